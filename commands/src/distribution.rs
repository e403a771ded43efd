//! What the leading relay says of distributing events, kept where everybody may read it: gateways and operators learn of
//! a broker that they cannot ask themselves. Only over PostgreSQL.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    db::{Db, Scope},
    work::WorkQueue,
    write_side::WriteSide,
};

/// A relay that leads says something every second.
pub const SILENT_TOO_LONG: Duration = Duration::from_secs(6);

/// What the relay says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Newest position that is known to be distributed.
    pub published: u64,
    /// What keeps the relay from publishing, in a word.
    pub blocked_by: Option<String>,
    pub blocked_since: Option<DateTime<Utc>>,
    pub error: Option<String>,
}

/// How distribution stands by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    pub told: Told,
    pub silent_for: Duration,
    /// Positions that are not distributed; while many are written, those of the last second count, too.
    pub lag: u64,
    /// How long the oldest of them has had its position.
    pub lag_for: Duration,
}

impl Distribution {
    pub fn is_silent(&self) -> bool {
        self.silent_for > SILENT_TOO_LONG
    }
}

/// Says how it stands. Where NATS could not be asked yet, what it held last is still the newest known.
///
/// # Errors
/// When the database fails.
pub async fn tell(write: &WriteSide, told: &Told) -> Result<(), sqlx::Error> {
    const SQL: &str = "INSERT INTO distribution (name, published, blocked_by, blocked_since, error, told_at)
        VALUES ('relay', $1, $2, $3, $4, clock_timestamp())
        ON CONFLICT (name) DO UPDATE SET
            published = CASE WHEN excluded.published = 0 AND excluded.blocked_by IS NOT NULL
                THEN distribution.published ELSE excluded.published END,
            blocked_by = excluded.blocked_by, blocked_since = excluded.blocked_since, error = excluded.error,
            told_at = excluded.told_at";
    let Told { published, blocked_by, blocked_since, error } = told.clone();
    let published = i64::try_from(published).unwrap_or(i64::MAX);
    let values = vec![published.into(), blocked_by.into(), blocked_since.into(), error.into()];
    let mut tx = write.db.begin(Scope::All).await?;
    tx.execute(SQL, values).await?;
    tx.commit().await
}

type Row = (i64, Option<String>, Option<DateTime<Utc>>, Option<String>, i64, i64, i64);

/// `None`: no relay has ever distributed anything.
///
/// # Errors
/// When the database fails.
pub async fn told(queue: &WorkQueue) -> Result<Option<Distribution>, sqlx::Error> {
    const SQL: &str = "SELECT published, blocked_by, blocked_since, error,
            CAST(extract(epoch FROM clock_timestamp() - told_at) * 1000 AS BIGINT),
            (SELECT COALESCE(MAX(position), 0) FROM positions) - published,
            COALESCE((SELECT CAST(extract(epoch FROM clock_timestamp() - waiting.recorded_at) * 1000 AS BIGINT)
                FROM positions AS waiting WHERE waiting.position = distribution.published + 1), 0)
        FROM distribution WHERE name = 'relay'";
    if let Db::Sqlite { .. } = queue.db() {
        return Ok(None);
    }
    let rows: Vec<Row> = queue.db().fetch(Scope::All, SQL, vec![]).await?;
    let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let distribution = |(published, blocked_by, blocked_since, error, silent_ms, lag, lag_ms): Row| Distribution {
        told: Told { published: published.unsigned_abs(), blocked_by, blocked_since, error },
        silent_for: millis(silent_ms),
        lag: u64::try_from(lag).unwrap_or(0),
        lag_for: millis(lag_ms),
    };
    Ok(rows.into_iter().next().map(distribution))
}
