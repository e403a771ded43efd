//! Use cases of accounts: a tenant comes to be, with its first user and the free plan.

use serde::{Deserialize, Serialize};
use starscreen_domain::{
    TenantId, UserId,
    account::{Account, RegisterAccount},
    email_claim::{ClaimEmail, EmailClaim},
    subscription::{PlanTerms, StartSubscription, Subscription},
};

use crate::{
    append::NewCredential,
    bus::{Bus, Committed, Context},
    error::CommandError,
    ports::Vault,
};

/// A person registers. All values are checked by the caller; the password is hashed already.
#[derive(Clone)]
pub struct Registration {
    pub tenant: TenantId,
    pub user: UserId,
    pub email: String,
    pub full_name: Option<String>,
    pub company_name: Option<String>,
    pub password_hash: String,
    pub plan: PlanTerms,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registered {
    pub tenant: TenantId,
    pub user: UserId,
}

/// Registers a tenant: claim of the address, account, subscription, keys and credential in one commit.
///
/// # Errors
/// [`starscreen_domain::email_claim::EmailClaimError::AlreadyClaimed`] for a known address, or when a store fails.
pub async fn register(
    bus: &Bus,
    vault: &dyn Vault,
    context: Context,
    registration: Registration,
) -> Result<Committed<Registered>, CommandError> {
    let Registration { tenant, user, email, full_name, company_name, password_hash, plan } = registration;
    let tenant_key = vault.new_tenant_key(tenant)?;
    let (key, user_key) = vault.new_subject_key(tenant, user.0, Some(&tenant_key)).await?;
    let claim_id = vault.claim_id(&email);
    let seal = |field, value: Option<&String>| value.map(|value| key.seal(field, value)).transpose();
    let command = RegisterAccount {
        user_id: user,
        claim_id,
        email: key.seal("email", &email)?,
        full_name: seal("full_name", full_name.as_ref())?,
        company_name: seal("company_name", company_name.as_ref())?,
    };
    let anchor = context.at;
    bus.commit(context, move |unit| {
        let (command, plan, password_hash) = (command.clone(), plan.clone(), password_hash.clone());
        let (tenant_key, user_key) = (tenant_key.clone(), user_key.clone());
        Box::pin(async move {
            unit.decide::<EmailClaim>(claim_id, ClaimEmail { tenant_id: tenant, user_id: user }).await?;
            unit.decide::<Account>(tenant, command).await?;
            unit.decide::<Subscription>(tenant, StartSubscription { plan, anchor }).await?;
            unit.add_key(tenant_key);
            unit.add_key(user_key);
            unit.add_credential(NewCredential { user_id: user, tenant_id: tenant, password_hash });
            Ok(Registered { tenant, user })
        })
    })
    .await
}

/// Who holds an address; `None`: nobody.
///
/// # Errors
/// When the store fails.
pub async fn holder_of(bus: &Bus, vault: &dyn Vault, email: &str) -> Result<Option<(TenantId, UserId)>, CommandError> {
    // Claims belong to no tenant: the id given here is not looked at.
    Ok(bus.read::<EmailClaim>(TenantId::default(), vault.claim_id(email)).await?.holder)
}
