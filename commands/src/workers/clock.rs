//! What is due at a time: the worker of the lane `clock`. Nothing depends on its being punctual.

use chrono::{TimeDelta, Utc};
use starscreen_domain::{
    UsageId,
    subscription::Subscription,
    usage::{ClosePeriod, Usage},
    work::{Task, daily_turn},
};

use super::{Budget, WorkError, Workers, again, report};
use crate::{subscription, work::Claimed};

/// How long after the last news whoever pays nothing is asked about.
const FOLLOWED_FOR: TimeDelta = TimeDelta::days(30);

impl Workers {
    pub(super) async fn close_period(&self, item: &Claimed) -> Result<(), WorkError> {
        let id = UsageId(item.subject);
        self.bus
            .commit(report(item).in_turn(), move |unit| {
                Box::pin(async move {
                    let at = unit.at();
                    unit.decide::<Usage>(id, ClosePeriod { at }).await.map(drop)
                })
            })
            .await?;
        Ok(())
    }

    pub(super) async fn apply_scheduled_change(&self, item: &Claimed) -> Result<(), WorkError> {
        let scheduled = self.bus.read::<Subscription>(item.tenant, item.tenant).await?.scheduled;
        let early = scheduled.and_then(|to| (to.effective_at - chrono::Utc::now()).to_std().ok());
        if let Some(after) = early.filter(|early| !early.is_zero()) {
            // Another was scheduled since, or a clock was set back.
            return Err(WorkError::Again {
                reason: "not due yet".to_owned(),
                after: Some(after),
                budget: Budget::Time,
            });
        }
        self.bus
            .commit(report(item).in_turn(), |unit| Box::pin(async move { subscription::apply_scheduled(unit).await }))
            .await?;
        Ok(())
    }

    /// Notices get lost. So it is asked once a day how each subscription stands, by an item that comes again and again:
    /// from the last news on, for as long as something is paid there, and for a while after. Without a key nobody is
    /// asked.
    pub(super) async fn follow_daily(&self, item: &Claimed) -> Result<(), WorkError> {
        let (now, tenant) = (Utc::now(), item.tenant);
        let subscription = self.bus.read::<Subscription>(tenant, tenant).await?;
        let is_over = subscription.paid.is_none() && now - item.asked_at > FOLLOWED_FOR;
        // There was news since, and another item with it.
        if is_over || self.queue.is_asked_again(item).await.map_err(|error| again(&error))? {
            return self.done(item).await;
        }
        let task = self.ports.payments.is_some().then_some(Task::FollowCustomer);
        let next = daily_turn(item.subject, now);
        self.queue.put_off(item, next, task.as_ref()).await.map_err(|error| again(&error))?;
        Ok(())
    }
}
