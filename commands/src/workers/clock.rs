//! What is due at a time: the worker of the lane `clock`. Nothing depends on its being punctual.

use starscreen_domain::{
    UsageId,
    subscription::Subscription,
    usage::{ClosePeriod, Usage},
};

use super::{Budget, WorkError, Workers, report};
use crate::{subscription, work::Claimed};

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
}
