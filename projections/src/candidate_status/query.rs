//! The table `candidate_status` and its reads.

use chrono::{DateTime, Utc};
use sea_query::{Cond, Expr, ExprTrait, Order, Query, SelectStatement};
use starscreen_domain::{CandidateId, JobId, TenantId};

use crate::{
    Cursor, Page, ReadModelError,
    column::{Column, text_enum},
    cursor::{List, MAX_PAGE_ROWS, page, page_rows},
    db::{Db, Scope},
    row::{Row, row},
};

text_enum! {
    /// Where a candidate stands, as the API spells it.
    pub enum Status {
        Uploaded = "UPLOADED",
        Processing = "PROCESSING",
        Parsed = "PARSED",
        Scored = "SCORED",
        Failed = "FAILED",
    }
}

row! {
    /// One candidate. What was never known, or is erased, is blank.
    pub struct CandidateStatusRow in "candidate_status" {
        pub candidate_id: CandidateId,
        pub tenant_id: TenantId,
        pub job_id: JobId,
        pub status: Status,
        pub first_name: Option<String>,
        pub last_name: Option<String>,
        pub email: Option<String>,
        pub phone: Option<String>,
        pub location: Option<String>,
        pub linkedin_url: Option<String>,
        pub github_url: Option<String>,
        pub portfolio_url: Option<String>,
        pub other_urls: Vec<String>,
        pub original_filename: String,
        pub file_kind: String,
        pub size_bytes: u64,
        pub blob_key: String,
        pub text_key: Option<String>,
        /// Of the failure that `error_message` puts into words.
        pub failure_code: Option<String>,
        pub error_message: Option<String>,
        /// Tenths of a point.
        pub score: Option<i64>,
        /// `score`, or -1: databases disagree on where NULL sorts.
        pub sort_score: i64,
        pub needs_review: Vec<String>,
        /// Findings and their share of the text, when somebody hid text in the file.
        pub hidden_text: Option<serde_json::Value>,
        pub model: Option<String>,
        pub rubric_version: Option<u32>,
        pub uploaded_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
        /// Of the last event that changed the row.
        pub position: u64,
    }
}

/// Which of a job's candidates to list.
#[derive(Clone, Copy, Debug)]
pub struct ListCandidates {
    pub status: Option<Status>,
    /// Tenths of a point; leaves out who has no score.
    pub min_score: Option<i64>,
    /// Tenths of a point; leaves out who has no score.
    pub max_score: Option<i64>,
    /// Rows to pass over, after the cursor if there is one.
    pub skip: u64,
    /// Rows to answer with, 100 at most.
    pub limit: u64,
    pub after: Option<Cursor>,
}

impl Default for ListCandidates {
    fn default() -> Self {
        Self { status: None, min_score: None, max_score: None, skip: 0, limit: MAX_PAGE_ROWS, after: None }
    }
}

/// Reads of the table; the tenant comes first in each.
#[derive(Clone, Copy)]
pub struct CandidateStatusQuery<'a>(pub(crate) &'a Db);

impl CandidateStatusQuery<'_> {
    /// A job's candidates, best score first, then the earlier upload.
    ///
    /// # Errors
    /// [`ReadModelError::ForeignCursor`], or when the database cannot be read.
    pub async fn list(
        self,
        tenant: TenantId,
        job: JobId,
        list: ListCandidates,
    ) -> Result<Page<CandidateStatusRow>, ReadModelError> {
        let mut matching =
            Query::select().from(CandidateStatusRow::TABLE).and_where(Expr::col("tenant_id").eq(tenant.0)).to_owned();
        matching
            .and_where(Expr::col("job_id").eq(job.0))
            .and_where_option(list.status.map(|status| Expr::col("status").eq(status.as_str())))
            .and_where_option(list.min_score.map(|min| Expr::col("score").gte(min)))
            .and_where_option(list.max_score.map(|max| Expr::col("score").lte(max)));
        let count = matching.clone().expr(Expr::col("candidate_id").count()).to_owned();

        let limit = page_rows(list.limit);
        let mut rows = matching.columns(CandidateStatusRow::COLUMNS.iter().copied()).to_owned();
        if let Some(cursor) = list.after {
            after(&mut rows, cursor)?;
        }
        rows.order_by("sort_score", Order::Desc)
            .order_by("uploaded_at", Order::Asc)
            .order_by("candidate_id", Order::Asc)
            .offset(list.skip)
            .limit(limit + 1);
        let (total, rows) = self.0.counted::<CandidateStatusRow>(Scope::Tenant(tenant), &count, &rows).await?;
        Ok(page(rows, limit, total, |row| Cursor {
            list: List::Candidates,
            rank: row.sort_score,
            at: row.uploaded_at,
            id: row.candidate_id.0,
        }))
    }

    /// # Errors
    /// When the database cannot be read.
    pub async fn get(
        self,
        tenant: TenantId,
        job: JobId,
        candidate: CandidateId,
    ) -> Result<Option<CandidateStatusRow>, ReadModelError> {
        let statement = Query::select()
            .columns(CandidateStatusRow::COLUMNS.iter().copied())
            .from(CandidateStatusRow::TABLE)
            .and_where(Expr::col("tenant_id").eq(tenant.0))
            .and_where(Expr::col("job_id").eq(job.0))
            .and_where(Expr::col("candidate_id").eq(candidate.0))
            .to_owned();
        Ok(self.0.first(Scope::Tenant(tenant), &statement).await?)
    }
}

/// Rows behind the cursor: score falls, time and id rise, so one comparison of tuples cannot say it.
fn after(rows: &mut SelectStatement, cursor: Cursor) -> Result<(), ReadModelError> {
    if cursor.list != List::Candidates {
        return Err(ReadModelError::ForeignCursor);
    }
    let later = Expr::tuple([Expr::col("uploaded_at"), Expr::col("candidate_id")])
        .gt(Expr::tuple([Expr::Value(cursor.at.into_value()), cursor.id.into()]));
    rows.and_where(Expr::col("sort_score").lte(cursor.rank)) // lets the index begin at the cursor
        .cond_where(Cond::any().add(Expr::col("sort_score").lt(cursor.rank)).add(later));
    Ok(())
}
