use serde::{Deserialize, Serialize};

use crate::{TenantId, UserId};

/// One fact in the history of an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EmailClaimEvent {
    EmailClaimed {
        tenant_id: TenantId,
        user_id: UserId,
    },
    /// By change of address or erasure: somebody else may claim it.
    EmailReleased {},
}

crate::event::event_types! { EmailClaimEvent {
    EmailClaimed: "1",
    EmailReleased: "1",
} }

#[derive(Clone, Debug)]
pub enum EmailClaimCommand {
    ClaimEmail(ClaimEmail),
    ReleaseEmail(ReleaseEmail),
}

#[derive(Clone, Debug)]
pub struct ClaimEmail {
    pub tenant_id: TenantId,
    pub user_id: UserId,
}

#[derive(Clone, Debug)]
pub struct ReleaseEmail {
    /// Only the holder can let go.
    pub user_id: UserId,
}

impl From<ClaimEmail> for EmailClaimCommand {
    fn from(command: ClaimEmail) -> Self {
        Self::ClaimEmail(command)
    }
}

impl From<ReleaseEmail> for EmailClaimCommand {
    fn from(command: ReleaseEmail) -> Self {
        Self::ReleaseEmail(command)
    }
}

/// A broken rule. The caller's fault, so never a 5xx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailClaimError {
    #[error("the address is claimed by another account")]
    AlreadyClaimed,
    #[error("the address is not claimed by this account")]
    NotTheHolder,
}

/// Who holds the address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EmailClaim {
    pub holder: Option<(TenantId, UserId)>,
}

impl EmailClaim {
    /// Decides what `command` changes, without changing anything.
    ///
    /// # Errors
    /// An [`EmailClaimError`] when a rule forbids the command.
    pub fn decide(&self, command: EmailClaimCommand) -> Result<Vec<EmailClaimEvent>, EmailClaimError> {
        match command {
            EmailClaimCommand::ClaimEmail(command) => self.claim(&command),
            EmailClaimCommand::ReleaseEmail(command) => self.release(&command),
        }
    }

    fn claim(&self, &ClaimEmail { tenant_id, user_id }: &ClaimEmail) -> Result<Vec<EmailClaimEvent>, EmailClaimError> {
        match self.holder {
            None => Ok(vec![EmailClaimEvent::EmailClaimed { tenant_id, user_id }]),
            Some(holder) if holder == (tenant_id, user_id) => Ok(vec![]),
            Some(_) => Err(EmailClaimError::AlreadyClaimed),
        }
    }

    fn release(&self, command: &ReleaseEmail) -> Result<Vec<EmailClaimEvent>, EmailClaimError> {
        match self.holder {
            Some((_, user_id)) if user_id == command.user_id => Ok(vec![EmailClaimEvent::EmailReleased {}]),
            Some(_) | None => Err(EmailClaimError::NotTheHolder),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "every noun evolves by the same signature")]
    fn evolve(&mut self, event: EmailClaimEvent) {
        self.holder = match event {
            EmailClaimEvent::EmailClaimed { tenant_id, user_id } => Some((tenant_id, user_id)),
            EmailClaimEvent::EmailReleased {} => None,
        };
    }
}

crate::event::aggregate!(EmailClaim, "email_claim", EmailClaimCommand, EmailClaimEvent, EmailClaimError);
