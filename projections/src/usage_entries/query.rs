//! The table `usage_entries` and its reads.

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Func, Order, Query};
use starscreen_domain::{CandidateId, EventId, TenantId, UsageId};

use crate::{
    Cursor, Page, ReadModelError,
    column::text_enum,
    cursor::{List, page, page_rows},
    db::{Db, Scope},
    row::{Row, row},
};

text_enum! {
    /// What an entry says, as the API spells it.
    pub enum EntryKind {
        Opened = "opened",
        LimitChanged = "limit_changed",
        Reserved = "reserved",
        Committed = "committed",
        Released = "released",
        Adjusted = "adjusted",
        Metered = "metered",
        MeteringGivenUp = "metering_given_up",
        MeteringRetried = "metering_retried",
        Threshold = "threshold",
        Closed = "closed",
    }
}

row! {
    /// One entry of a billing period's ledger.
    pub struct UsageEntryRow in "usage_entries" {
        pub entry_id: EventId,
        pub tenant_id: TenantId,
        pub usage_id: UsageId,
        pub kind: EntryKind,
        /// Added to what is used.
        pub delta: i64,
        /// Added to what is billed over the included candidates.
        pub quantity: i64,
        /// Candidates it is about. A reservation may be about many; each is named by the entry that settles its slot.
        pub candidates: u32,
        /// The candidate it is about, when that is one.
        pub candidate: Option<CandidateId>,
        /// In force from here on.
        pub plan: Option<String>,
        /// In force from here on, or what `percent` is of.
        pub monthly_limit: Option<u32>,
        pub included: Option<u32>,
        /// Share of the limit that is reached.
        pub percent: Option<u32>,
        /// Of a release, a correction or usage that could not be billed.
        pub reason: Option<String>,
        /// `kind` or `kind:id`.
        pub actor: String,
        pub occurred_at: DateTime<Utc>,
        pub tenant_position: u64,
        pub position: u64,
    }
}

/// An entry with the balance after it.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageEntry {
    pub row: UsageEntryRow,
    /// Sum of all deltas up to here. Corrections may take it below 0, where nothing is used.
    pub balance: i64,
}

impl UsageEntry {
    /// What is used after this entry, as quota decisions see it.
    pub fn used(&self) -> u32 {
        u32::try_from(Ord::max(self.balance, 0)).unwrap_or(u32::MAX)
    }
}

/// Reads of the table; the tenant comes first in each.
#[derive(Clone, Copy)]
pub struct UsageEntriesQuery<'a>(pub(crate) &'a Db);

impl UsageEntriesQuery<'_> {
    /// The entries of a billing period in order, at most `limit` and 100 of them, each with the balance after it.
    ///
    /// # Errors
    /// [`ReadModelError::ForeignCursor`], or when the database cannot be read.
    pub async fn list(
        self,
        tenant: TenantId,
        usage: UsageId,
        limit: u64,
        after: Option<Cursor>,
    ) -> Result<Page<UsageEntry>, ReadModelError> {
        if after.is_some_and(|cursor| cursor.list != List::UsageEntries) {
            return Err(ReadModelError::ForeignCursor);
        }
        let of_period = Query::select()
            .from(UsageEntryRow::TABLE)
            .and_where(Expr::col("tenant_id").eq(tenant.0))
            .and_where(Expr::col("usage_id").eq(usage.0))
            .to_owned();
        let count = of_period.clone().expr(Expr::col("entry_id").count()).to_owned();
        let limit = page_rows(limit);
        let after = after.map_or(0, |cursor| cursor.rank);
        let mut balance = self.balance_at(tenant, usage, after).await?;
        let rows = of_period
            .clone()
            .columns(UsageEntryRow::COLUMNS.iter().copied())
            .and_where(Expr::col("position").gt(after))
            .order_by("position", Order::Asc)
            .limit(limit + 1)
            .to_owned();
        let (total, rows) = self.0.counted::<UsageEntryRow>(Scope::Tenant(tenant), &count, &rows).await?;
        let entries = rows.into_iter().map(|row| {
            balance = balance.saturating_add(row.delta);
            UsageEntry { row, balance }
        });
        Ok(page(entries.collect(), limit, total, |entry| Cursor {
            list: List::UsageEntries,
            rank: i64::try_from(entry.row.position).unwrap_or(i64::MAX),
            at: entry.row.occurred_at,
            id: entry.row.entry_id.0,
        }))
    }

    /// Sum of the deltas up to a position. Entries are only ever added, so it is the same whenever it is asked for.
    async fn balance_at(self, tenant: TenantId, usage: UsageId, position: i64) -> Result<i64, ReadModelError> {
        let sum = Func::coalesce([Expr::col("delta").sum(), 0_i64.into()]);
        let statement = Query::select()
            .expr(Expr::from(sum).cast_as("BIGINT")) // PostgreSQL adds up to a NUMERIC
            .from(UsageEntryRow::TABLE)
            .and_where(Expr::col("tenant_id").eq(tenant.0))
            .and_where(Expr::col("usage_id").eq(usage.0))
            .and_where(Expr::col("position").lte(position))
            .to_owned();
        Ok(self.0.first::<(i64,)>(Scope::Tenant(tenant), &statement).await?.map_or(0, |(sum,)| sum))
    }
}
