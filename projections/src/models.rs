//! The one list of all projectors.

use std::marker::PhantomData;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    ReadModelError, RebuildOptions, RebuildProgress, Rebuilt, Replayed,
    accounts::Accounts,
    candidate_status::CandidateStatus,
    db::Db,
    evaluations::Evaluations,
    jobs::Jobs,
    monthly_usage::MonthlyUsage,
    projector::Projector,
    runtime::{
        Side, Source,
        as_of::{Memory, Rows},
        rebuild::{Purpose, rebuild},
        replay::replay,
        runner::Runner,
    },
    subscriptions::Subscriptions,
    usage_entries::UsageEntries,
};

/// Names of the read models.
pub struct Models;

impl Models {
    pub const NAMES: &'static [&'static str] = &[
        CandidateStatus::NAME,
        Evaluations::NAME,
        Jobs::NAME,
        Accounts::NAME,
        Subscriptions::NAME,
        MonthlyUsage::NAME,
        UsageEntries::NAME,
    ];
}

/// In the order of [`Models::NAMES`].
const ALL: &[&'static dyn Model] = &[
    &Of::<CandidateStatus>(PhantomData),
    &Of::<Evaluations>(PhantomData),
    &Of::<Jobs>(PhantomData),
    &Of::<Accounts>(PhantomData),
    &Of::<Subscriptions>(PhantomData),
    &Of::<MonthlyUsage>(PhantomData),
    &Of::<UsageEntries>(PhantomData),
];

/// All read models, or only the one called so.
pub(crate) fn models(only: Option<&str>) -> Result<Vec<&'static dyn Model>, ReadModelError> {
    match only {
        None => Ok(ALL.to_vec()),
        Some(name) => Ok(vec![model(name)?]),
    }
}

pub(crate) fn model(name: &str) -> Result<&'static dyn Model, ReadModelError> {
    let found = ALL.iter().find(|model| model.name() == name);
    found.copied().ok_or_else(|| ReadModelError::UnknownProjector(name.to_owned()))
}

/// What can be done with any projector, whatever its rows are.
#[async_trait]
pub(crate) trait Model: Send + Sync {
    fn name(&self) -> &'static str;

    /// Under which a rebuild keeps its checkpoint.
    fn next_name(&self) -> &'static str;

    async fn run(&self, runner: Runner, shutdown: watch::Receiver<bool>);

    async fn rebuild(
        &self,
        db: &Db,
        source: &Source,
        options: RebuildOptions,
        purpose: Purpose,
        progress: &mut (dyn FnMut(RebuildProgress) + Send),
    ) -> Result<Rebuilt, ReadModelError>;

    async fn replay(&self, db: &Db, source: &Source) -> Result<Replayed, ReadModelError>;

    /// An empty table in memory.
    fn memory(&self) -> Box<dyn Memory>;
}

struct Of<P>(PhantomData<fn() -> P>);

#[async_trait]
impl<P: Projector> Model for Of<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn next_name(&self) -> &'static str {
        Side::Next.name::<P>()
    }

    async fn run(&self, runner: Runner, shutdown: watch::Receiver<bool>) {
        runner.run::<P>(shutdown).await;
    }

    async fn rebuild(
        &self,
        db: &Db,
        source: &Source,
        options: RebuildOptions,
        purpose: Purpose,
        progress: &mut (dyn FnMut(RebuildProgress) + Send),
    ) -> Result<Rebuilt, ReadModelError> {
        rebuild::<P>(db, source, options, purpose, progress).await
    }

    async fn replay(&self, db: &Db, source: &Source) -> Result<Replayed, ReadModelError> {
        replay::<P>(db, source).await
    }

    fn memory(&self) -> Box<dyn Memory> {
        Box::new(Rows::<P>::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Row;

    #[test]
    fn every_projector_is_named_once_and_after_its_table() {
        let names: std::collections::HashSet<_> = Models::NAMES.iter().collect();
        assert_eq!(names.len(), Models::NAMES.len());
        assert_eq!(CandidateStatus::NAME, <CandidateStatus as Projector>::Row::TABLE);
    }
}
