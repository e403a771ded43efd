//! What can be subscribed to, and by which of the payment provider's prices it is paid.

use chrono::TimeDelta;
use starscreen_domain::subscription::{Interval, PlanTerms};

use crate::ports::Prices;

/// The offers of this installation. Changing them changes what is sold from then on, never what was agreed.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pub offers: Vec<Offer>,
    /// How long everything still works although an invoice is not paid.
    pub grace: TimeDelta,
}

/// One plan, paid in one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub terms: PlanTerms,
    /// `None`: cannot be paid for; free, or given by an operator.
    pub prices: Option<Prices>,
}

/// Code of the plan of those who do not pay.
pub const FREE: &str = "free";

impl Catalog {
    /// The terms of whoever does not pay.
    pub fn free(&self) -> PlanTerms {
        let free = self.offers.iter().find(|offer| offer.terms.code == FREE);
        free.map(|offer| offer.terms.clone()).unwrap_or_default()
    }

    /// The plan of that name, in upper or lower case; an interval that it is not paid in is none.
    pub fn offer(&self, code: &str, interval: Interval) -> Option<&Offer> {
        self.offers.iter().find(|offer| {
            let paid_in = offer.terms.price.as_ref().map_or(interval, |price| price.interval);
            offer.terms.code.eq_ignore_ascii_case(code) && paid_in == interval
        })
    }

    /// What the base price with that id buys.
    pub fn by_price(&self, price: &str) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.prices.as_ref().is_some_and(|prices| prices.base == price))
    }

    /// The prices by which a plan that was agreed on is paid now.
    pub fn prices_of(&self, plan: &PlanTerms) -> Option<&Prices> {
        let interval = plan.price.as_ref().map_or(Interval::Monthly, |price| price.interval);
        self.offer(&plan.code, interval)?.prices.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use starscreen_domain::subscription::Price;

    use super::*;

    fn offer(code: &str, paid: Option<(Interval, &str)>) -> Offer {
        let price =
            paid.map(|(interval, _)| Price { amount: 100, currency: "usd".to_owned(), interval, overage: None });
        let terms = PlanTerms { code: code.to_owned(), price, ..PlanTerms::default() };
        Offer { terms, prices: paid.map(|(_, id)| Prices { base: id.to_owned(), usage: None }) }
    }

    fn catalog() -> Catalog {
        let offers = vec![
            offer("free", None),
            offer("recruiter", Some((Interval::Monthly, "price_m"))),
            offer("recruiter", Some((Interval::Annual, "price_a"))),
        ];
        Catalog { offers, grace: TimeDelta::days(7) }
    }

    #[test]
    fn a_plan_is_found_by_name_interval_and_price() {
        let catalog = catalog();
        let annual = catalog.offer("Recruiter", Interval::Annual).unwrap();
        assert_eq!(annual.prices.as_ref().unwrap().base, "price_a");
        assert_eq!(catalog.by_price("price_a"), Some(annual));
        assert_eq!(catalog.prices_of(&annual.terms).unwrap().base, "price_a");
        assert_eq!(catalog.free().code, "free");
        assert!(catalog.offer("free", Interval::Annual).is_some(), "what costs nothing has no interval");
        assert!(catalog.by_price("price_x").is_none() && catalog.offer("x", Interval::Monthly).is_none());
    }
}
