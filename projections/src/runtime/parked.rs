//! Events that could not be folded, and those that wait behind them in the same row.

use std::collections::HashSet;

use sea_query::{Expr, ExprTrait, OnConflict, Order, Query, SelectStatement};
use uuid::Uuid;

use super::fold::{Entry, Poison};
use crate::{
    ReadModelError,
    column::Column,
    db::{Db, Scope, Text, Tx},
};

const TABLE: &str = "parked";
const COLUMNS: [&str; 6] = ["projector", "position", "row_key", "event_type", "reason", "attempts"];
const ROWS_PER_STATEMENT: usize = 500;
/// The reason of an event that could be folded itself.
pub(crate) const WAITS: &str = "waits behind an earlier event of its row";

/// A position of the history that a projector has set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    pub position: u64,
    pub row_key: Uuid,
    pub event_type: String,
    pub reason: String,
    /// Times it was tried.
    pub attempts: u32,
}

impl Parked {
    pub(crate) fn because(entry: &Entry, Poison { event_type, reason }: Poison) -> Self {
        Self { position: entry.position, row_key: entry.key, event_type, reason, attempts: 1 }
    }

    pub(crate) fn behind(entry: &Entry) -> Self {
        let event_type = match &entry.event {
            Ok(event) => event.payload.event_type(),
            Err(poison) => poison.event_type.clone(),
        };
        Self { position: entry.position, row_key: entry.key, event_type, reason: WAITS.to_owned(), attempts: 0 }
    }
}

impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for Parked
where
    &'static str: sqlx::ColumnIndex<R>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    Uuid: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            position: u64::from_stored(row.try_get("position")?).map_err(sqlx::Error::Decode)?,
            row_key: row.try_get("row_key")?,
            event_type: row.try_get("event_type")?,
            reason: row.try_get("reason")?,
            attempts: u32::from_stored(row.try_get("attempts")?).map_err(sqlx::Error::Decode)?,
        })
    }
}

/// Keys of the rows whose events wait.
pub(crate) async fn blocked_rows(tx: &mut Tx, projector: &str) -> Result<HashSet<Uuid>, ReadModelError> {
    let statement = Query::select()
        .distinct()
        .column("row_key")
        .from(TABLE)
        .and_where(Expr::col("projector").eq(projector))
        .to_owned();
    let keys: Vec<(Uuid,)> = tx.all(&statement, Text::Repeated).await?;
    Ok(keys.into_iter().map(|(key,)| key).collect())
}

/// At most `limit` parked events after position `after`, in order.
pub(crate) async fn list(db: &Db, projector: &str, after: u64, limit: u64) -> Result<Vec<Parked>, ReadModelError> {
    let statement = select(projector).and_where(Expr::col("position").gt(after.into_value())).limit(limit).to_owned();
    Ok(db.all(Scope::All, &statement).await?)
}

/// All parked events of one row, in order.
pub(crate) async fn of_row(tx: &mut Tx, projector: &str, key: Uuid) -> Result<Vec<Parked>, ReadModelError> {
    let statement = select(projector).and_where(Expr::col("row_key").eq(key)).to_owned();
    Ok(tx.all(&statement, Text::Repeated).await?)
}

fn select(projector: &str) -> SelectStatement {
    Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .and_where(Expr::col("projector").eq(projector))
        .order_by("position", Order::Asc)
        .to_owned()
}

/// Adds events, or brings reason and attempts of known ones up to date.
pub(crate) async fn put(tx: &mut Tx, projector: &str, parked: Vec<Parked>) -> Result<(), ReadModelError> {
    for chunk in parked.chunks(ROWS_PER_STATEMENT) {
        let mut statement = Query::insert().into_table(TABLE).columns(COLUMNS).to_owned();
        for event in chunk {
            statement.values([
                projector.into(),
                Expr::Value(event.position.into_value()),
                event.row_key.into(),
                event.event_type.clone().into(),
                event.reason.clone().into(),
                Expr::Value(event.attempts.into_value()),
            ])?;
        }
        let known = OnConflict::columns(["projector", "position"]).update_columns(["reason", "attempts"]).to_owned();
        tx.run(statement.on_conflict(known), Text::Once).await?;
    }
    Ok(())
}

/// Takes out the events of a row up to position `to`: they are folded now.
pub(crate) async fn take_out(tx: &mut Tx, projector: &str, key: Uuid, to: u64) -> Result<(), ReadModelError> {
    let statement = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("projector").eq(projector))
        .and_where(Expr::col("row_key").eq(key))
        .and_where(Expr::col("position").lte(to.into_value()))
        .to_owned();
    tx.run(&statement, Text::Repeated).await?;
    Ok(())
}

/// Takes out one event that turned out to concern no row.
pub(crate) async fn forget(db: &Db, projector: &str, position: u64) -> Result<(), ReadModelError> {
    let mut tx = db.begin().await?;
    let statement = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("projector").eq(projector))
        .and_where(Expr::col("position").eq(position.into_value()))
        .to_owned();
    tx.run(&statement, Text::Repeated).await?;
    Ok(tx.commit().await?)
}

pub(crate) async fn clear(tx: &mut Tx, projector: &str) -> Result<(), ReadModelError> {
    let statement = Query::delete().from_table(TABLE).and_where(Expr::col("projector").eq(projector)).to_owned();
    tx.run(&statement, Text::Repeated).await?;
    Ok(())
}

/// Hands the events parked by `from` over to `to`.
pub(crate) async fn hand_over(tx: &mut Tx, from: &str, to: &str) -> Result<(), ReadModelError> {
    clear(tx, to).await?;
    let statement =
        Query::update().table(TABLE).value("projector", to).and_where(Expr::col("projector").eq(from)).to_owned();
    tx.run(&statement, Text::Repeated).await?;
    Ok(())
}

/// Number of parked events for each projector that has any.
pub(crate) async fn counts(db: &Db) -> Result<Vec<(String, i64)>, ReadModelError> {
    let statement = Query::select()
        .column("projector")
        .expr(Expr::col("position").count())
        .from(TABLE)
        .add_group_by([Expr::col("projector")])
        .to_owned();
    Ok(db.all(Scope::All, &statement).await?)
}
