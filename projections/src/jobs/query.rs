//! The table `jobs` and its reads.

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Order, Query};
use starscreen_domain::{JobId, TenantId, UserId};

use crate::{
    Cursor, Page, ReadModelError,
    column::{Column, text_enum},
    cursor::{List, MAX_PAGE_ROWS, page, page_rows},
    db::{Db, Scope},
    row::{Row, row},
};

text_enum! {
    /// Where the rubric of the job's current text stands, as the API spells it.
    pub enum JobStatus {
        Pending = "PENDING",
        Processing = "PROCESSING",
        Completed = "COMPLETED",
        Failed = "FAILED",
    }
}

row! {
    /// One opening.
    pub struct JobRow in "jobs" {
        pub job_id: JobId,
        pub tenant_id: TenantId,
        pub title: String,
        pub description: String,
        pub location: Option<String>,
        pub work_authorization_required: bool,
        pub status: JobStatus,
        pub error_message: Option<String>,
        /// The last rubric, with `model`, `prompt_version` and `version` beside its own fields.
        pub job_config: Option<serde_json::Value>,
        pub created_by: UserId,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
        /// Of the last event that changed the row.
        pub position: u64,
    }
}

/// Which of a tenant's jobs to list.
#[derive(Clone, Copy, Debug)]
pub struct ListJobs {
    pub status: Option<JobStatus>,
    /// Rows to pass over, after the cursor if there is one.
    pub skip: u64,
    /// Rows to answer with, 100 at most.
    pub limit: u64,
    pub after: Option<Cursor>,
}

impl Default for ListJobs {
    fn default() -> Self {
        Self { status: None, skip: 0, limit: MAX_PAGE_ROWS, after: None }
    }
}

/// Reads of the table; the tenant comes first in each.
#[derive(Clone, Copy)]
pub struct JobsQuery<'a>(pub(crate) &'a Db);

impl JobsQuery<'_> {
    /// A tenant's jobs, newest first.
    ///
    /// # Errors
    /// [`ReadModelError::ForeignCursor`], or when the database cannot be read.
    pub async fn list(self, tenant: TenantId, list: ListJobs) -> Result<Page<JobRow>, ReadModelError> {
        let mut matching =
            Query::select().from(JobRow::TABLE).and_where(Expr::col("tenant_id").eq(tenant.0)).to_owned();
        matching.and_where_option(list.status.map(|status| Expr::col("status").eq(status.as_str())));
        let count = matching.clone().expr(Expr::col("job_id").count()).to_owned();

        let limit = page_rows(list.limit);
        let mut rows = matching.columns(JobRow::COLUMNS.iter().copied()).to_owned();
        if let Some(cursor) = list.after {
            if cursor.list != List::Jobs {
                return Err(ReadModelError::ForeignCursor);
            }
            rows.and_where(
                Expr::tuple([Expr::col("created_at"), Expr::col("job_id")])
                    .lt(Expr::tuple([Expr::Value(cursor.at.into_value()), cursor.id.into()])),
            );
        }
        rows.order_by("created_at", Order::Desc).order_by("job_id", Order::Desc).offset(list.skip).limit(limit + 1);
        let (total, rows) = self.0.counted::<JobRow>(Scope::Tenant(tenant), &count, &rows).await?;
        Ok(page(rows, limit, total, |row| Cursor { list: List::Jobs, rank: 0, at: row.created_at, id: row.job_id.0 }))
    }

    /// # Errors
    /// When the database cannot be read.
    pub async fn get(self, tenant: TenantId, job: JobId) -> Result<Option<JobRow>, ReadModelError> {
        let statement = Query::select()
            .columns(JobRow::COLUMNS.iter().copied())
            .from(JobRow::TABLE)
            .and_where(Expr::col("tenant_id").eq(tenant.0))
            .and_where(Expr::col("job_id").eq(job.0))
            .to_owned();
        Ok(self.0.first(Scope::Tenant(tenant), &statement).await?)
    }

    /// # Errors
    /// When the database cannot be read.
    pub async fn exists(self, tenant: TenantId, job: JobId) -> Result<bool, ReadModelError> {
        let statement = Query::select()
            .column("position")
            .from(JobRow::TABLE)
            .and_where(Expr::col("tenant_id").eq(tenant.0))
            .and_where(Expr::col("job_id").eq(job.0))
            .to_owned();
        Ok(self.0.first::<(i64,)>(Scope::Tenant(tenant), &statement).await?.is_some())
    }
}
