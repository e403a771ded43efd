use crate::{ClaimId, Sealed, UserId};

#[derive(Clone, Debug)]
pub enum AccountCommand {
    RegisterAccount(RegisterAccount),
}

/// Opens a tenant with its first user. Goes with the claim of the address and the start of the subscription.
#[derive(Clone, Debug)]
pub struct RegisterAccount {
    pub user_id: UserId,
    pub claim_id: ClaimId,
    pub email: Sealed,
    pub full_name: Option<Sealed>,
    pub company_name: Option<Sealed>,
}

impl From<RegisterAccount> for AccountCommand {
    fn from(command: RegisterAccount) -> Self {
        Self::RegisterAccount(command)
    }
}
