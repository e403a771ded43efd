use uuid::Uuid;

use super::*;
use crate::{
    TenantId,
    fixtures::{given, tenant},
};

fn claim(tenant_id: TenantId) -> ClaimCustomer {
    ClaimCustomer { customer: "cus_1".to_owned(), tenant_id }
}

fn claimed() -> CustomerEvent {
    CustomerEvent::CustomerClaimed { customer: "cus_1".to_owned(), tenant_id: tenant() }
}

#[test]
fn a_customer_is_claimed_once_and_for_ever() {
    given::<Customer>(vec![]).when(claim(tenant())).then_expect_events(vec![claimed()]);
    given::<Customer>(vec![claimed()]).when(claim(tenant())).then_expect_events(vec![]);
}

#[test]
fn nobody_else_gets_it() {
    let other = TenantId(Uuid::from_u128(2));
    given::<Customer>(vec![claimed()]).when(claim(other)).then_expect_error(CustomerError::Claimed);
}
