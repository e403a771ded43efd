//! What is due at a time: the worker of the lane `clock`. Nothing depends on its being punctual.

use starscreen_domain::{
    UsageId,
    usage::{ClosePeriod, Usage},
};

use super::{WorkError, Workers, report};
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
        self.bus
            .commit(report(item).in_turn(), |unit| Box::pin(async move { subscription::apply_scheduled(unit).await }))
            .await?;
        Ok(())
    }
}
