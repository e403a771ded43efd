//! What tenants can subscribe to. Plans are data: changing one needs no new program.

use starscreen_domain::subscription::PlanTerms;

use super::error::ConfigError;

/// One plan on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Name in lower case, such as `small_business`.
    pub code: String,
    pub display_name: String,
    /// Candidates a billing period may take; `None`: no limit, metered.
    pub monthly_limit: Option<u32>,
}

impl Plan {
    pub fn metered(&self) -> bool {
        self.monthly_limit.is_none()
    }

    /// What the plan means to a tenant that agrees to it now.
    pub fn terms(&self) -> PlanTerms {
        PlanTerms {
            code: self.code.clone(),
            display_name: self.display_name.clone(),
            monthly_limit: self.monthly_limit,
        }
    }
}

/// The plans on offer, by rising limit.
#[derive(Clone, Debug, Default)]
pub struct Plans(Vec<Plan>);

/// A plan while its keys come in, one by one and in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub code: String,
    pub display_name: Option<String>,
    pub monthly_limit: Option<Limit>,
}

/// Candidates a billing period may take, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Candidates(u32),
    Unlimited,
}

impl Limit {
    fn candidates(self) -> Option<u32> {
        match self {
            Self::Candidates(candidates) => Some(candidates),
            Self::Unlimited => None,
        }
    }
}

impl Plans {
    /// The plan of that name, in upper or lower case.
    pub fn get(&self, code: &str) -> Option<&Plan> {
        self.0.iter().find(|plan| plan.code.eq_ignore_ascii_case(code))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Plan> {
        self.0.iter()
    }

    pub(super) fn from_drafts(drafts: Vec<Draft>) -> Result<Self, ConfigError> {
        let mut plans = Vec::with_capacity(drafts.len());
        for Draft { code, display_name, monthly_limit } in drafts {
            let missing = |key| ConfigError::IncompletePlan { code: code.clone(), key };
            plans.push(Plan {
                display_name: display_name.ok_or_else(|| missing("display_name"))?,
                monthly_limit: monthly_limit.ok_or_else(|| missing("monthly_limit"))?.candidates(),
                code,
            });
        }
        plans.sort_by_key(|plan| (plan.monthly_limit.is_none(), plan.monthly_limit, plan.code.clone()));
        Ok(Self(plans))
    }
}
