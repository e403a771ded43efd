use uuid::Uuid;

use super::*;
use crate::{
    TenantId,
    fixtures::{after, given, somebody_else, tenant, user},
};

#[test]
fn a_free_address_can_be_claimed() {
    given::<EmailClaim>(vec![]).when(claim().into()).then_expect_events(vec![claimed()]);
}

#[test]
fn claiming_again_by_the_holder_changes_nothing() {
    given::<EmailClaim>(vec![claimed()]).when(claim().into()).then_expect_events(vec![]);
}

#[test]
fn a_claimed_address_is_refused_to_another_user() {
    let command = ClaimEmail { user_id: somebody_else(), ..claim() };
    given::<EmailClaim>(vec![claimed()]).when(command.into()).then_expect_error(EmailClaimError::AlreadyClaimed);
}

#[test]
fn a_claimed_address_is_refused_to_another_tenant() {
    let command = ClaimEmail { tenant_id: TenantId(Uuid::from_u128(2)), ..claim() };
    given::<EmailClaim>(vec![claimed()]).when(command.into()).then_expect_error(EmailClaimError::AlreadyClaimed);
}

#[test]
fn the_holder_can_release_the_address() {
    given::<EmailClaim>(vec![claimed()]).when(release().into()).then_expect_events(vec![released()]);
}

#[test]
fn only_the_holder_can_release_the_address() {
    let command = ReleaseEmail { user_id: somebody_else() };
    given::<EmailClaim>(vec![claimed()]).when(command.into()).then_expect_error(EmailClaimError::NotTheHolder);
}

#[test]
fn an_address_that_nobody_holds_cannot_be_released() {
    given::<EmailClaim>(vec![]).when(release().into()).then_expect_error(EmailClaimError::NotTheHolder);
}

#[test]
fn an_address_is_released_once() {
    given::<EmailClaim>(vec![claimed(), released()])
        .when(release().into())
        .then_expect_error(EmailClaimError::NotTheHolder);
}

#[test]
fn a_released_address_can_be_claimed_by_somebody_else() {
    let command = ClaimEmail { user_id: somebody_else(), ..claim() };
    let claimed_anew = EmailClaimEvent::EmailClaimed { tenant_id: tenant(), user_id: somebody_else() };
    given::<EmailClaim>(vec![claimed(), released()]).when(command.into()).then_expect_events(vec![claimed_anew]);
}

#[test]
fn the_claim_knows_its_holder() {
    assert_eq!(after::<EmailClaim>(vec![claimed()]).holder, Some((tenant(), user())));
    assert_eq!(after::<EmailClaim>(vec![claimed(), released()]).holder, None);
}

fn claim() -> ClaimEmail {
    ClaimEmail { tenant_id: tenant(), user_id: user() }
}

fn claimed() -> EmailClaimEvent {
    EmailClaimEvent::EmailClaimed { tenant_id: tenant(), user_id: user() }
}

fn release() -> ReleaseEmail {
    ReleaseEmail { user_id: user() }
}

fn released() -> EmailClaimEvent {
    EmailClaimEvent::EmailReleased {}
}
