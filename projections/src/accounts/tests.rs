use super::*;
use crate::contracts::{fixtures::*, log::DESTROYED};

#[test]
fn a_registration_opens_an_account() {
    let row = row_after::<Accounts>(TENANT.0, vec![registered(sealed("ada@example.org"))]).unwrap();
    assert_eq!((row.tenant_id, row.user_id, row.email.as_str()), (TENANT, USER, "ada@example.org"));
    assert_eq!((row.full_name.as_deref(), row.company_name), (Some("Ada Lovelace"), None));
    assert_eq!((row.is_active, row.is_verified, row.is_admin), (true, false, false));
    assert_eq!((row.created_at, row.position), (at(1), 1));
}

#[test]
fn an_erased_user_is_blank() {
    let row = row_after::<Accounts>(TENANT.0, vec![registered(sealed(DESTROYED))]).unwrap();
    assert_eq!(row.email, "");
}
