use serde::{Deserialize, Serialize};

use super::{AccountCommand, AccountError, AccountEvent, RegisterAccount};
use crate::{Sealed, UserId};

/// What rules need to know of one account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub user_id: Option<UserId>,
    pub email: Option<Sealed>,
}

impl Account {
    /// Decides what `command` changes, without changing anything.
    ///
    /// # Errors
    /// An [`AccountError`] when a rule forbids the command.
    pub fn decide(&self, command: AccountCommand) -> Result<Vec<AccountEvent>, AccountError> {
        match command {
            AccountCommand::RegisterAccount(command) => self.register(command),
        }
    }

    fn register(&self, command: RegisterAccount) -> Result<Vec<AccountEvent>, AccountError> {
        if self.user_id.is_some() {
            return Err(AccountError::AlreadyRegistered);
        }
        let RegisterAccount { user_id, claim_id, email, full_name, company_name } = command;
        Ok(vec![AccountEvent::AccountRegistered { user_id, claim_id, email, full_name, company_name }])
    }

    fn evolve(&mut self, event: AccountEvent) {
        match event {
            AccountEvent::AccountRegistered { user_id, email, .. } => {
                self.user_id = Some(user_id);
                self.email = Some(email);
            }
        }
    }
}

crate::event::aggregate!(Account, "account", AccountCommand, AccountEvent, AccountError);
