//! The table `evaluations` and its reads.

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Query};
use starscreen_domain::{
    CandidateId, TenantId,
    candidate::{CategoryScore, Evaluation},
};

use crate::{
    ReadModelError,
    db::{Db, Scope},
    row::{Row, row},
};

row! {
    /// A candidate's last score with its reasons.
    pub struct EvaluationRow in "evaluations" {
        pub candidate_id: CandidateId,
        pub tenant_id: TenantId,
        /// Tenths of a point; `None`: no category could be supported.
        pub match_score: Option<i64>,
        pub model: String,
        pub prompt_version: String,
        pub rubric_version: u32,
        pub categories: Vec<CategoryScore>,
        /// `None`: the person is erased.
        pub evaluation: Option<Evaluation>,
        pub needs_review: Vec<String>,
        /// When it was scored.
        pub created_at: DateTime<Utc>,
        /// Of the event that brought it.
        pub position: u64,
    }
}

/// Reads of the table; the tenant comes first in each.
#[derive(Clone, Copy)]
pub struct EvaluationsQuery<'a>(pub(crate) &'a Db);

impl EvaluationsQuery<'_> {
    /// # Errors
    /// When the database cannot be read.
    pub async fn get(self, tenant: TenantId, candidate: CandidateId) -> Result<Option<EvaluationRow>, ReadModelError> {
        let statement = Query::select()
            .columns(EvaluationRow::COLUMNS.iter().copied())
            .from(EvaluationRow::TABLE)
            .and_where(Expr::col("tenant_id").eq(tenant.0))
            .and_where(Expr::col("candidate_id").eq(candidate.0))
            .to_owned();
        Ok(self.0.first(Scope::Tenant(tenant), &statement).await?)
    }
}
