//! What tenants can subscribe to. Plans are data: changing one needs no new program.

use starscreen_commands::{catalog::Offer, ports::Prices};
use starscreen_domain::subscription::{Interval, PlanTerms, Price};

use super::error::ConfigError;

/// One plan on offer. Amounts are in the smallest unit of the currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Name in lower case, such as `small_business`.
    pub code: String,
    pub display_name: String,
    /// Candidates a billing period may take; `None`: no limit.
    pub monthly_limit: Option<u32>,
    pub money: PlanMoney,
}

/// What a plan costs, and the payment provider's ids of its prices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanMoney {
    pub currency: String,
    pub price: Option<u32>,
    pub price_annual: Option<u32>,
    /// For each candidate over the included ones of a billing period.
    pub overage_price: Option<u32>,
    pub included: Option<u32>,
    pub price_id: Option<String>,
    pub price_id_annual: Option<String>,
    pub price_id_usage: Option<String>,
}

impl Plan {
    pub fn metered(&self) -> bool {
        self.monthly_limit.is_none()
    }

    /// What the plan means to a tenant that agrees to it now, paid each month.
    pub fn terms(&self) -> PlanTerms {
        self.terms_paid(Interval::Monthly)
    }

    fn terms_paid(&self, interval: Interval) -> PlanTerms {
        let money = &self.money;
        let amount = match interval {
            Interval::Monthly => money.price,
            Interval::Annual => money.price_annual,
        };
        let is_paid = amount.is_some() || self.price_id(interval).is_some();
        let counted = money.price_id_usage.as_ref().map(|_| 0);
        PlanTerms {
            code: self.code.clone(),
            display_name: self.display_name.clone(),
            monthly_limit: self.monthly_limit,
            included: money.included.or(counted).filter(|_| self.metered()),
            price: is_paid.then(|| Price {
                amount: amount.unwrap_or_default(),
                currency: money.currency.clone(),
                interval,
                overage: money.overage_price.filter(|_| self.metered()),
            }),
        }
    }

    fn price_id(&self, interval: Interval) -> Option<&String> {
        match interval {
            Interval::Monthly => self.money.price_id.as_ref(),
            Interval::Annual => self.money.price_id_annual.as_ref(),
        }
    }

    /// By month, and by year where there is a price for it.
    pub fn offers(&self) -> Vec<Offer> {
        let is_offered = |interval: &Interval| match interval {
            Interval::Monthly => true,
            Interval::Annual => self.money.price_annual.is_some() || self.money.price_id_annual.is_some(),
        };
        let offer = |interval| Offer {
            terms: self.terms_paid(interval),
            prices: self
                .price_id(interval)
                .map(|base| Prices { base: base.clone(), usage: self.money.price_id_usage.clone() }),
        };
        [Interval::Monthly, Interval::Annual].into_iter().filter(is_offered).map(offer).collect()
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
    pub money: PlanMoney,
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

    pub(super) fn from_drafts(drafts: Vec<Draft>, currency: &str) -> Result<Self, ConfigError> {
        let mut plans = Vec::with_capacity(drafts.len());
        for Draft { code, display_name, monthly_limit, money } in drafts {
            let missing = |key| ConfigError::IncompletePlan { code: code.clone(), key };
            plans.push(Plan {
                display_name: display_name.ok_or_else(|| missing("display_name"))?,
                monthly_limit: monthly_limit.ok_or_else(|| missing("monthly_limit"))?.candidates(),
                money: PlanMoney { currency: currency.to_owned(), ..money },
                code,
            });
        }
        plans.sort_by_key(|plan| (plan.monthly_limit.is_none(), plan.monthly_limit, plan.code.clone()));
        Ok(Self(plans))
    }
}
