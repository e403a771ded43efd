use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ApplyScheduledChange, ChangePlan, DeclineOrder, DeclinePlanChange, Declined, LinkCustomer, NoteProviderInformed,
    Order, OrderOutcome, OrderPlan, Paid, PlanTerms, Reached, RecordProviderState, ReplaceCustomer, SchedulePlanChange,
    Scheduled, StartSubscription, SubscriptionCommand, SubscriptionError, SubscriptionEvent, SubscriptionStatus,
    WithdrawPlanChange,
};
use crate::period::Period;

type Decision = Result<Vec<SubscriptionEvent>, SubscriptionError>;

const ENDED: &str = "the paid subscription has ended";
const CHANGED_THERE: &str = "changed at the payment provider";

/// What rules need to know of one subscription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    pub anchor: Option<DateTime<Utc>>,
    pub plan: PlanTerms,
    pub status: SubscriptionStatus,
    pub grace_until: Option<DateTime<Utc>>,
    pub scheduled: Option<Scheduled>,
    /// The payment provider's id of the tenant.
    pub customer: Option<String>,
    /// Those that another one took the place of. What they have still counts.
    pub former_customers: Vec<String>,
    pub paid: Option<Paid>,
    pub order: Option<Order>,
    /// Something was decided that the payment provider has not been told.
    pub untold: bool,
    /// Revision of the last decision of ours that concerns the provider.
    pub decided: u64,
    /// Of the first one that it was not told either.
    pub untold_since: u64,
    pub declined: Vec<Declined>,
    /// The plan that the provider's price stands for.
    pub told: Option<PlanTerms>,
    /// The plan that is paid for now.
    pub paid_for: Option<PlanTerms>,
    /// Events so far.
    pub revision: u64,
}

impl Subscription {
    /// Decides what `command` changes, without changing anything.
    ///
    /// # Errors
    /// A [`SubscriptionError`] when a rule forbids the command.
    pub fn decide(&self, command: SubscriptionCommand) -> Decision {
        if let SubscriptionCommand::StartSubscription(command) = command {
            return self.start(command);
        }
        if self.anchor.is_none() {
            return Err(SubscriptionError::NotStarted);
        }
        match command {
            SubscriptionCommand::StartSubscription(command) => self.start(command),
            SubscriptionCommand::ChangePlan(command) => Ok(self.change_plan(command)),
            SubscriptionCommand::SchedulePlanChange(command) => Ok(self.schedule(command)),
            SubscriptionCommand::WithdrawPlanChange(command) => Ok(self.withdraw(command)),
            SubscriptionCommand::ApplyScheduledChange(command) => Ok(self.apply_scheduled(&command)),
            SubscriptionCommand::LinkCustomer(command) => self.link_customer(command),
            SubscriptionCommand::ReplaceCustomer(command) => self.replace_customer(command),
            SubscriptionCommand::OrderPlan(command) => self.order_plan(command),
            SubscriptionCommand::DeclineOrder(command) => Ok(self.decline_order(command)),
            SubscriptionCommand::NoteProviderInformed(command) => Ok(self.note_informed(command)),
            SubscriptionCommand::DeclinePlanChange(command) => Ok(self.decline_plan_change(command)),
            SubscriptionCommand::RecordProviderState(command) => self.record_provider_state(command),
        }
    }

    /// The billing period that holds `at`.
    ///
    /// # Errors
    /// [`SubscriptionError::NotStarted`] before there is an anchor to count from.
    pub fn period(&self, at: DateTime<Utc>) -> Result<Period, SubscriptionError> {
        self.anchor.map(|anchor| Period::holding(anchor, at)).ok_or(SubscriptionError::NotStarted)
    }

    /// The plan in force at `at`, whether or not the scheduled change that is due by then has been recorded.
    pub fn plan_at(&self, at: DateTime<Utc>) -> &PlanTerms {
        match &self.scheduled {
            Some(scheduled) if scheduled.effective_at <= at => &scheduled.plan,
            _ => &self.plan,
        }
    }

    /// The plan that the provider is to have: what it invoices next.
    pub fn wanted(&self, free: &str) -> &PlanTerms {
        match &self.scheduled {
            Some(scheduled) if scheduled.plan.code != free => &scheduled.plan,
            _ => &self.plan,
        }
    }

    /// What the provider has as soon as it has this state.
    pub fn reached(&self) -> Reached {
        let next = self.scheduled.as_ref().map(|to| &to.plan).filter(|plan| plan.price.is_some());
        let told = next.unwrap_or(&self.plan).clone();
        Reached { revision: self.revision, paid_for: self.plan.clone(), told }
    }

    /// Whether what costs something may be asked for.
    ///
    /// # Errors
    /// [`SubscriptionError::NotInGoodStanding`] when it is not paid for, and no grace is left.
    pub fn require_good_standing(&self, at: DateTime<Utc>) -> Result<(), SubscriptionError> {
        let borne = self.grace_until.is_some_and(|until| at < until);
        match self.status {
            SubscriptionStatus::Active | SubscriptionStatus::Trialing | SubscriptionStatus::Unknown => Ok(()),
            SubscriptionStatus::PastDue if borne => Ok(()),
            status => Err(SubscriptionError::NotInGoodStanding(status.as_str())),
        }
    }

    /// The subscription that is paid for at the provider.
    ///
    /// # Errors
    /// [`SubscriptionError::NothingPaid`] when there is none.
    pub fn require_paid(&self) -> Result<&Paid, SubscriptionError> {
        self.paid.as_ref().filter(|paid| paid.status.holds_plan()).ok_or(SubscriptionError::NothingPaid)
    }

    /// Whose usage is invoiced: a former customer's where that pays for the plan.
    pub fn paying_customer(&self) -> Option<&str> {
        let paying = self.paid.as_ref().and_then(|paid| paid.customer.as_ref());
        paying.or(self.customer.as_ref()).map(String::as_str)
    }

    /// What became of the decision of this revision, when it could not be paid.
    pub fn declined(&self, revision: u64) -> Option<&Declined> {
        self.declined.iter().find(|declined| (declined.first..=declined.last).contains(&revision))
    }

    fn start(&self, command: StartSubscription) -> Decision {
        if self.anchor.is_some() {
            return Err(SubscriptionError::AlreadyStarted);
        }
        let StartSubscription { plan, anchor } = command;
        Ok(vec![SubscriptionEvent::SubscriptionStarted { plan, anchor }])
    }

    fn change_plan(&self, command: ChangePlan) -> Vec<SubscriptionEvent> {
        let ChangePlan { plan, reason } = command;
        if self.plan == plan {
            return self.withdraw(WithdrawPlanChange { reason });
        }
        vec![self.changed(plan, reason, false)]
    }

    fn changed(&self, plan: PlanTerms, reason: String, by_provider: bool) -> SubscriptionEvent {
        SubscriptionEvent::PlanChanged { from: self.plan.code.clone(), plan, reason, by_provider, declined: false }
    }

    fn schedule(&self, command: SchedulePlanChange) -> Vec<SubscriptionEvent> {
        let SchedulePlanChange { plan, effective_at, reason } = command;
        if plan == self.plan {
            return self.withdraw(WithdrawPlanChange { reason });
        }
        if self.scheduled.as_ref().is_some_and(|scheduled| scheduled.plan == plan) {
            return vec![];
        }
        vec![SubscriptionEvent::PlanChangeScheduled { plan, effective_at, reason, by_provider: false }]
    }

    fn withdraw(&self, WithdrawPlanChange { reason }: WithdrawPlanChange) -> Vec<SubscriptionEvent> {
        match self.scheduled {
            Some(_) => vec![SubscriptionEvent::PlanChangeWithdrawn { reason, by_provider: false }],
            None => vec![],
        }
    }

    fn apply_scheduled(&self, &ApplyScheduledChange { at }: &ApplyScheduledChange) -> Vec<SubscriptionEvent> {
        match &self.scheduled {
            Some(scheduled) if scheduled.effective_at <= at => {
                vec![self.changed(scheduled.plan.clone(), "scheduled".to_owned(), false)]
            }
            _ => vec![],
        }
    }

    fn link_customer(&self, LinkCustomer { customer }: LinkCustomer) -> Decision {
        match &self.customer {
            None => Ok(vec![SubscriptionEvent::CustomerLinked { customer }]),
            Some(linked) if *linked == customer || self.former_customers.contains(&customer) => Ok(vec![]),
            Some(_) => Err(SubscriptionError::OtherCustomerLinked),
        }
    }

    fn replace_customer(&self, ReplaceCustomer { customer, reason }: ReplaceCustomer) -> Decision {
        let former = match &self.customer {
            None => return self.link_customer(LinkCustomer { customer }),
            Some(linked) if *linked == customer => return Ok(vec![]),
            Some(linked) => linked.clone(),
        };
        self.require_no_pending_order()?;
        if let Some(paid) = &self.paid {
            return Err(SubscriptionError::StillPaid(paid.id.clone()));
        }
        Ok(vec![SubscriptionEvent::CustomerReplaced { former, customer, reason }])
    }

    fn require_no_pending_order(&self) -> Result<(), SubscriptionError> {
        let is_pending = self.order.as_ref().is_some_and(|order| order.outcome == OrderOutcome::Pending);
        if is_pending { Err(SubscriptionError::OrderPending) } else { Ok(()) }
    }

    fn order_plan(&self, command: OrderPlan) -> Decision {
        let OrderPlan { order, plan, price, payment_method } = command;
        self.require_no_pending_order()?;
        Ok(vec![SubscriptionEvent::PlanOrdered { order, plan, price, payment_method }])
    }

    fn decline_order(&self, command: DeclineOrder) -> Vec<SubscriptionEvent> {
        let DeclineOrder { order, code, reason } = command;
        match &self.order {
            Some(pending) if pending.id == order && pending.outcome == OrderOutcome::Pending => {
                vec![SubscriptionEvent::OrderDeclined { order, code, reason }]
            }
            _ => vec![],
        }
    }

    /// What was paid before something else was decided stays paid, whatever becomes of the rest.
    fn note_informed(
        &self,
        NoteProviderInformed { revision, reached }: NoteProviderInformed,
    ) -> Vec<SubscriptionEvent> {
        let part = match reached {
            _ if !self.untold || revision < self.untold_since => return vec![],
            _ if self.decided <= revision => None,
            Some(reached) => Some(reached),
            None => return vec![],
        };
        vec![SubscriptionEvent::ProviderInformed { part }]
    }

    fn decline_plan_change(&self, command: DeclinePlanChange) -> Vec<SubscriptionEvent> {
        let DeclinePlanChange { revision, reason } = command;
        let Some(plan) = self.paid_for.clone().filter(|_| self.untold && self.decided <= revision) else {
            return vec![];
        };
        let mut events = vec![SubscriptionEvent::ProviderInformed { part: None }];
        if plan != self.plan {
            let from = self.plan.code.clone();
            events.push(SubscriptionEvent::PlanChanged { from, plan, reason, by_provider: true, declined: true });
        }
        events
    }

    /// What the provider says counts for status and payment. For the plan it counts where its price has changed, and
    /// never while a decision of ours has not reached it: that is newer.
    fn record_provider_state(&self, command: RecordProviderState) -> Decision {
        if command.revision != self.revision {
            return Err(SubscriptionError::Outdated);
        }
        let mut paid = command.paid.clone().filter(|paid| !paid.status.is_over());
        if let Some(paid) = &mut paid {
            // Where none is linked yet, this one is going to be.
            paid.customer.take_if(|customer| self.customer.as_ref().is_none_or(|linked| linked == customer));
        }
        let mut events = vec![];
        if paid != self.paid {
            events.push(SubscriptionEvent::ProviderStateRecorded { paid: paid.clone() });
        }
        let status = paid.as_ref().map_or(SubscriptionStatus::Active, |paid| match paid.status {
            // Nothing of it has come into force.
            SubscriptionStatus::Incomplete => SubscriptionStatus::Active,
            status => status,
        });
        if status != self.status {
            let grace_until = (status == SubscriptionStatus::PastDue).then_some(command.grace_until);
            events.push(SubscriptionEvent::StatusChanged { status, grace_until });
        }
        events.extend(self.follow_plan(paid.as_ref(), command));
        Ok(events)
    }

    fn follow_plan(&self, paid: Option<&Paid>, command: RecordProviderState) -> Vec<SubscriptionEvent> {
        let held = |paid: &&Paid| paid.status.holds_plan();
        let (before, now) = (self.paid.as_ref().filter(held), paid.filter(held));
        let Some(now) = now else {
            // A plan that an operator gave to somebody who pays nothing stays.
            let ends = before.is_some() && self.plan.code != command.free.code;
            return if ends { vec![self.changed(command.free, ENDED.to_owned(), true)] } else { vec![] };
        };
        if self.untold && before.is_some() {
            return vec![];
        }
        let RecordProviderState { plan, free, period_end, .. } = command;
        let is_scheduled = |plan: &PlanTerms| self.scheduled.as_ref().is_some_and(|to| to.plan.is_same_plan_as(plan));
        let schedule = |plan, effective_at| SubscriptionEvent::PlanChangeScheduled {
            plan,
            effective_at,
            reason: CHANGED_THERE.to_owned(),
            by_provider: true,
        };
        let take_back =
            || SubscriptionEvent::PlanChangeWithdrawn { reason: CHANGED_THERE.to_owned(), by_provider: true };
        let mut events = vec![];
        match plan.filter(|_| before.is_none_or(|before| before.price != now.price)) {
            Some(plan) if plan.is_same_plan_as(&self.plan) => {
                events.extend(self.scheduled.is_some().then(take_back));
            }
            Some(plan) if is_scheduled(&plan) => {}
            Some(plan) if before.is_some() && plan.takes_less_than(&self.plan) => {
                events.push(schedule(plan, period_end));
            }
            Some(plan) => events.push(self.changed(plan, CHANGED_THERE.to_owned(), true)),
            None => {}
        }
        let was_ending = before.is_some_and(|before| before.cancel_at_period_end);
        match (was_ending, now.cancel_at_period_end) {
            (false, true) if !is_scheduled(&free) || !events.is_empty() => {
                events.push(schedule(free, now.period_end.unwrap_or(period_end)));
            }
            (true, false) if is_scheduled(&free) && events.is_empty() => events.push(take_back()),
            _ => {}
        }
        events
    }

    fn evolve(&mut self, event: SubscriptionEvent) {
        self.revision += 1;
        match event {
            SubscriptionEvent::SubscriptionStarted { plan, anchor } => {
                self.plan = plan;
                self.anchor = Some(anchor);
            }
            SubscriptionEvent::PlanChanged { plan, by_provider, declined, .. } => {
                if declined {
                    let (first, last, stays) = (self.untold_since, self.decided, plan.display_name.clone());
                    self.declined.push(Declined { first, last, stays });
                }
                if by_provider {
                    self.told = Some(plan.clone());
                    self.paid_for = Some(plan.clone());
                }
                self.plan = plan;
                self.scheduled = None;
                self.decide_here(!by_provider);
            }
            SubscriptionEvent::PlanChangeScheduled { plan, effective_at, by_provider, .. } => {
                if by_provider && plan.price.is_some() {
                    self.told = Some(plan.clone());
                }
                self.scheduled = Some(Scheduled { plan, effective_at });
                self.decide_here(!by_provider);
            }
            SubscriptionEvent::PlanChangeWithdrawn { by_provider, .. } => {
                if by_provider {
                    self.told = Some(self.plan.clone());
                }
                self.scheduled = None;
                self.decide_here(!by_provider);
            }
            SubscriptionEvent::CustomerLinked { customer } => self.customer = Some(customer),
            SubscriptionEvent::CustomerReplaced { former, customer, .. } => {
                self.former_customers.retain(|earlier| *earlier != customer);
                self.former_customers.push(former);
                self.customer = Some(customer);
            }
            SubscriptionEvent::PlanOrdered { order, plan, price, payment_method } => {
                self.order = Some(Order { id: order, plan, price, payment_method, outcome: OrderOutcome::Pending });
            }
            SubscriptionEvent::OrderDeclined { code, reason, .. } => {
                self.end_order(OrderOutcome::Declined { code, reason });
            }
            SubscriptionEvent::ProviderInformed { part } => {
                self.untold = part.is_some();
                if let Some(part) = &part {
                    self.untold_since = part.revision + 1;
                }
                let Reached { paid_for, told, .. } = part.unwrap_or_else(|| self.reached());
                self.told = Some(told);
                self.paid_for = Some(paid_for);
            }
            SubscriptionEvent::ProviderStateRecorded { paid } => {
                if paid.as_ref().is_some_and(|paid| paid.status.holds_plan()) {
                    self.end_order(OrderOutcome::Accepted);
                } else {
                    self.untold = false; // there is nobody to be told
                }
                self.paid = paid;
            }
            SubscriptionEvent::StatusChanged { status, grace_until } => {
                self.status = status;
                self.grace_until = grace_until;
            }
        }
    }

    fn decide_here(&mut self, is_ours: bool) {
        if is_ours && self.paid.is_some() {
            if !self.untold {
                self.untold_since = self.revision;
            }
            self.untold = true;
            self.decided = self.revision;
        }
    }

    fn end_order(&mut self, outcome: OrderOutcome) {
        if let Some(order) = self.order.as_mut().filter(|order| order.outcome == OrderOutcome::Pending) {
            order.outcome = outcome;
        }
    }
}

crate::event::aggregate!(Subscription, "subscription", SubscriptionCommand, SubscriptionEvent, SubscriptionError);
