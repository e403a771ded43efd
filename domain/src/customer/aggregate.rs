use serde::{Deserialize, Serialize};

use crate::TenantId;

/// One fact in the history of a customer of the payment provider. Belongs to no tenant, so that it is found without one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CustomerEvent {
    /// For ever.
    CustomerClaimed { customer: String, tenant_id: TenantId },
}

crate::event::event_types! { CustomerEvent {
    CustomerClaimed: "1",
} }

#[derive(Clone, Debug)]
pub struct ClaimCustomer {
    pub customer: String,
    pub tenant_id: TenantId,
}

/// A broken rule. The caller's fault, so never a 5xx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomerError {
    #[error("the customer belongs to another tenant")]
    Claimed,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Customer {
    pub tenant: Option<TenantId>,
}

impl Customer {
    /// Decides what `command` changes, without changing anything.
    ///
    /// # Errors
    /// [`CustomerError::Claimed`] when it is somebody else's.
    pub fn decide(&self, command: ClaimCustomer) -> Result<Vec<CustomerEvent>, CustomerError> {
        let ClaimCustomer { customer, tenant_id } = command;
        match self.tenant {
            None => Ok(vec![CustomerEvent::CustomerClaimed { customer, tenant_id }]),
            Some(tenant) if tenant == tenant_id => Ok(vec![]),
            Some(_) => Err(CustomerError::Claimed),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "every noun evolves by the same signature")]
    fn evolve(&mut self, event: CustomerEvent) {
        match event {
            CustomerEvent::CustomerClaimed { tenant_id, .. } => self.tenant = Some(tenant_id),
        }
    }
}

crate::event::aggregate!(Customer, "customer", ClaimCustomer, CustomerEvent, CustomerError);
