use super::*;
use crate::fixtures::{after, claim, given, sealed, somebody_else, user};

#[test]
fn registering_opens_the_account() {
    given::<Account>(vec![]).when(register().into()).then_expect_events(vec![registered()]);
}

#[test]
fn names_may_be_left_out() {
    let command = RegisterAccount { full_name: None, company_name: None, ..register() };
    let event = AccountEvent::AccountRegistered {
        user_id: user(),
        claim_id: claim(),
        email: sealed("ada@example.org"),
        full_name: None,
        company_name: None,
    };
    given::<Account>(vec![]).when(command.into()).then_expect_events(vec![event]);
}

#[test]
fn an_account_is_registered_once() {
    given::<Account>(vec![registered()])
        .when(register().into())
        .then_expect_error_message("an account was already registered under this id");
}

#[test]
fn another_user_cannot_register_over_an_account() {
    let command = RegisterAccount { user_id: somebody_else(), ..register() };
    given::<Account>(vec![registered()]).when(command.into()).then_expect_error(AccountError::AlreadyRegistered);
}

#[test]
fn the_account_knows_its_user() {
    assert_eq!(after::<Account>(vec![registered()]).user_id, Some(user()));
}

fn register() -> RegisterAccount {
    RegisterAccount {
        user_id: user(),
        claim_id: claim(),
        email: sealed("ada@example.org"),
        full_name: Some(sealed("Ada Lovelace")),
        company_name: Some(sealed("Analytical Engines")),
    }
}

fn registered() -> AccountEvent {
    AccountEvent::AccountRegistered {
        user_id: user(),
        claim_id: claim(),
        email: sealed("ada@example.org"),
        full_name: Some(sealed("Ada Lovelace")),
        company_name: Some(sealed("Analytical Engines")),
    }
}
