//! A payment provider in memory: customers, subscriptions, metered usage, and faults as a contract wants them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use starscreen_domain::{
    TenantId,
    subscription::{Interval, PlanTerms, Price},
};
use uuid::Uuid;

use crate::{
    catalog::{Catalog, FREE, Offer},
    ports::{MeteredUsage, Order, PaidItem, PaidSubscription, Payments, PaymentsError, Preview, Prices},
};

/// How the provider takes one call that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Down,
    /// It happens, and the answer is lost.
    AnswerLost,
    Declines,
    /// Its adapter does.
    Panics,
}

#[derive(Default)]
pub struct ScriptedPayments(Mutex<State>);

#[derive(Default)]
struct State {
    customers: BTreeMap<String, TenantId>,
    subscriptions: Vec<PaidSubscription>,
    done: BTreeMap<Uuid, String>,
    metered: BTreeMap<Uuid, MeteredUsage>,
    /// Customers that it does not know, and whether it says so to whoever asks for one.
    missing: BTreeMap<String, bool>,
    faults: VecDeque<Fault>,
    /// Whether it does not answer at all.
    is_down: bool,
    changes: Vec<&'static str>,
    /// Whether what is done about prices is not answered yet.
    holds_answers: bool,
}

impl State {
    /// Looks for the customer that a call names.
    fn look(&self, customer: &str) -> Result<(), PaymentsError> {
        if self.is_down {
            return Err(unavailable());
        }
        if self.missing.contains_key(customer) { Err(PaymentsError::CustomerGone) } else { Ok(()) }
    }
}

impl ScriptedPayments {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn then(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.extend(faults);
    }

    /// Faults that are still to come.
    pub fn faults_left(&self) -> usize {
        self.state().faults.len()
    }

    /// Does as it should from now on; answers how many faults were still to come.
    pub fn clear_faults(&self) -> usize {
        std::mem::take(&mut self.state().faults).len()
    }

    pub fn down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }

    /// What is done about prices is done, and not answered until this is over.
    pub fn hold_answers(&self, holds_answers: bool) {
        self.state().holds_answers = holds_answers;
    }

    /// Changes that were made, by name.
    pub fn changes(&self) -> Vec<&'static str> {
        self.state().changes.clone()
    }

    pub fn metered(&self) -> Vec<MeteredUsage> {
        self.state().metered.values().cloned().collect()
    }

    pub fn living(&self) -> Vec<PaidSubscription> {
        let state = self.state();
        state.subscriptions.iter().filter(|subscription| subscription.status != "canceled").cloned().collect()
    }

    pub fn add_customer(&self, customer: &str, tenant: TenantId) {
        self.state().customers.insert(customer.to_owned(), tenant);
    }

    /// Somebody subscribes there, by a hosted page.
    pub fn add_subscription(&self, customer: &str, price: &str, status: &str) -> String {
        let mut state = self.state();
        let id = format!("sub_{}", state.subscriptions.len());
        let subscription = subscription(&id, customer, &Prices { base: price.to_owned(), usage: None }, status);
        state.subscriptions.push(subscription);
        id
    }

    /// Somebody deletes the customer there; what it paid for is over.
    pub fn delete_customer(&self, customer: &str) {
        let mut state = self.state();
        let theirs = state.subscriptions.iter_mut().filter(|subscription| subscription.customer == customer);
        theirs.for_each(|subscription| "canceled".clone_into(&mut subscription.status));
        state.missing.insert(customer.to_owned(), true);
    }

    /// Calls that name the customer do not find it, although it is there; or do again.
    pub fn mislay_customer(&self, customer: &str, is_mislaid: bool) {
        if is_mislaid {
            self.state().missing.insert(customer.to_owned(), false);
        } else {
            self.state().missing.remove(customer);
        }
    }

    pub fn change(&self, id: &str, change: impl FnOnce(&mut PaidSubscription)) {
        let mut state = self.state();
        let subscription = state.subscriptions.iter_mut().find(|subscription| subscription.id == id);
        change(subscription.expect("the contract made it"));
    }

    /// One call that changes something: as the script says, and once for each key.
    fn call(
        &self,
        key: Uuid,
        name: &'static str,
        change: impl FnOnce(&mut State) -> String,
    ) -> Result<String, PaymentsError> {
        let mut state = self.state();
        let fault = if state.is_down { Some(Fault::Down) } else { state.faults.pop_front() };
        match fault {
            Some(Fault::Down) => return Err(unavailable()),
            Some(Fault::Declines) => {
                let (code, reason) = (Some("card_declined".to_owned()), "Your card was declined.".to_owned());
                return Err(PaymentsError::Declined { code, reason });
            }
            Some(Fault::Panics) => panic!("as the script says"),
            Some(Fault::AnswerLost) | None => {}
        }
        if !state.done.contains_key(&key) {
            let made = change(&mut state);
            state.changes.push(name);
            state.done.insert(key, made);
        }
        let made = state.done[&key].clone();
        if fault == Some(Fault::AnswerLost) { Err(unavailable()) } else { Ok(made) }
    }

    fn changed(
        &self,
        key: Uuid,
        name: &'static str,
        id: &str,
        change: impl FnOnce(&mut PaidSubscription),
    ) -> Result<PaidSubscription, PaymentsError> {
        let id = id.to_owned();
        let id = self.call(key, name, move |state| {
            if let Some(subscription) = state.subscriptions.iter_mut().find(|subscription| subscription.id == id) {
                change(subscription);
            }
            id
        })?;
        Ok(self.get(&id))
    }

    fn get(&self, id: &str) -> PaidSubscription {
        let state = self.state();
        state.subscriptions.iter().find(|subscription| subscription.id == id).cloned().expect("it was made")
    }
}

fn unavailable() -> PaymentsError {
    PaymentsError::Unavailable { reason: "no answer".to_owned(), retry_after: None }
}

fn items(prices: &Prices) -> Vec<PaidItem> {
    let item = |price: &String, metered| PaidItem { id: format!("si_{price}"), price: price.clone(), metered };
    let usage = prices.usage.iter().map(|price| item(price, true));
    [item(&prices.base, false)].into_iter().chain(usage).collect()
}

fn subscription(id: &str, customer: &str, prices: &Prices, status: &str) -> PaidSubscription {
    PaidSubscription {
        id: id.to_owned(),
        customer: customer.to_owned(),
        status: status.to_owned(),
        items: items(prices),
        cancel_at_period_end: false,
        period_end: Some(Utc::now() + TimeDelta::days(20)),
        created: Utc::now(),
    }
}

#[async_trait]
impl Payments for ScriptedPayments {
    async fn create_customer(&self, tenant: TenantId, _: Option<&str>, key: Uuid) -> Result<String, PaymentsError> {
        self.call(key, "customer", |state| {
            let id = format!("cus_{tenant}_{}", state.customers.len());
            state.customers.insert(id.clone(), tenant);
            id
        })
    }

    async fn tenant_of(&self, customer: &str) -> Result<Option<TenantId>, PaymentsError> {
        let state = self.state();
        if state.is_down { Err(unavailable()) } else { Ok(state.customers.get(customer).copied()) }
    }

    async fn is_gone(&self, customer: &str) -> Result<bool, PaymentsError> {
        let state = self.state();
        if state.is_down { Err(unavailable()) } else { Ok(state.missing.get(customer) == Some(&true)) }
    }

    async fn subscriptions(&self, customer: &str) -> Result<Vec<PaidSubscription>, PaymentsError> {
        let state = self.state();
        state.look(customer)?;
        let own = state.subscriptions.iter().rev().filter(|subscription| subscription.customer == customer);
        Ok(own.cloned().collect())
    }

    async fn subscribe(&self, order: &Order, _: &str, key: Uuid) -> Result<PaidSubscription, PaymentsError> {
        let order = order.clone();
        let id = self.call(key, "subscribe", move |state| {
            let id = format!("sub_{}", state.subscriptions.len());
            state.subscriptions.push(subscription(&id, &order.customer, &order.prices, "active"));
            id
        })?;
        Ok(self.get(&id))
    }

    async fn change_prices(
        &self,
        subscription: &PaidSubscription,
        prices: &Prices,
        prorate: bool,
        key: Uuid,
    ) -> Result<PaidSubscription, PaymentsError> {
        let name = if prorate { "prices, prorated" } else { "prices" };
        let changed = self.changed(key, name, &subscription.id, |subscription| subscription.items = items(prices));
        while self.state().holds_answers {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        changed
    }

    async fn set_cancel_at_period_end(
        &self,
        subscription: &str,
        cancel: bool,
        key: Uuid,
    ) -> Result<PaidSubscription, PaymentsError> {
        let name = if cancel { "cancel at end" } else { "go on" };
        self.changed(key, name, subscription, |subscription| subscription.cancel_at_period_end = cancel)
    }

    async fn cancel(&self, subscription: &str, key: Uuid) -> Result<PaidSubscription, PaymentsError> {
        self.changed(key, "cancel", subscription, |subscription| "canceled".clone_into(&mut subscription.status))
    }

    async fn checkout(&self, order: &Order, _: Uuid) -> Result<String, PaymentsError> {
        Ok(format!("https://pay.example/{}", order.customer))
    }

    async fn close_checkouts(&self, customer: &str) -> Result<(), PaymentsError> {
        self.state().look(customer)
    }

    async fn portal(&self, customer: &str) -> Result<String, PaymentsError> {
        Ok(format!("https://pay.example/{customer}"))
    }

    async fn preview(&self, _: &PaidSubscription, _: &Prices) -> Result<Preview, PaymentsError> {
        Ok(Preview { amount_due: 0, currency: "usd".to_owned(), lines: vec![] })
    }

    async fn record_usage(&self, usage: &MeteredUsage) -> Result<(), PaymentsError> {
        let usage = usage.clone();
        self.state().look(&usage.customer)?;
        self.call(usage.entry.0, "usage", move |state| {
            state.metered.insert(usage.entry.0, usage);
            String::new()
        })
        .map(drop)
    }

    async fn recorded_usage(
        &self,
        customer: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<i64, PaymentsError> {
        let metered = self.metered().into_iter().filter(|usage| usage.customer == customer);
        Ok(metered.filter(|usage| from <= usage.at && usage.at < to).map(|usage| usage.quantity).sum())
    }
}

/// `free` (2 candidates), `small` (5), `large` (50), `metered` (1 included).
pub fn catalog() -> Catalog {
    let offer = |code: &str, monthly_limit, included: Option<u32>, prices: Option<Prices>| {
        let amount = |_: &Prices| Price {
            amount: 2_000,
            currency: "usd".to_owned(),
            interval: Interval::Monthly,
            overage: included.map(|_| 25),
        };
        let (display_name, price) = (code.to_uppercase(), prices.as_ref().map(amount));
        Offer { terms: PlanTerms { code: code.to_owned(), display_name, monthly_limit, included, price }, prices }
    };
    let base = |id: &str| Some(Prices { base: id.to_owned(), usage: None });
    let metered = Prices { base: "price_metered".to_owned(), usage: Some("price_usage".to_owned()) };
    let offers = vec![
        offer(FREE, Some(2), None, None),
        offer("small", Some(5), None, base("price_small")),
        offer("large", Some(50), None, base("price_large")),
        offer("metered", None, Some(1), Some(metered)),
    ];
    let codes: BTreeSet<&str> = offers.iter().map(|offer| offer.terms.code.as_str()).collect();
    debug_assert_eq!(codes.len(), offers.len());
    Catalog { offers, grace: TimeDelta::days(7) }
}

pub fn terms(code: &str) -> PlanTerms {
    catalog().offer(code, Interval::Monthly).expect("it is in the catalog").terms.clone()
}
