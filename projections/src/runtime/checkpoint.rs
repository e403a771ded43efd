//! How far each projector has come, kept in the transaction that writes its rows.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, OnConflict, Order, Query};
use uuid::Uuid;

use super::Side;
use crate::{
    ReadModelError,
    column::{Column, text_enum},
    db::{Db, Scope, Text, Tx},
    projector::Projector,
};

pub(crate) const TABLE: &str = "projection";
const COLUMNS: [&str; 7] = ["name", "version", "position", "generation", "status", "error", "updated_at"];

text_enum! {
    /// What a projector is doing.
    pub enum ProjectorStatus {
        /// On its way to the newest event for the first time since it was started or rebuilt.
        Booting = "booting",
        /// Has been up to date; lags only by what is coming in.
        Live = "live",
        /// An operator has stopped it.
        Paused = "paused",
        /// Tries again and again; the error says at what.
        Error = "error",
    }
}

/// A projector's row in the table `projection`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checkpoint {
    pub name: String,
    pub version: u32,
    pub position: u64,
    /// Changes when the table is replaced, so that a runner that works on the old one notices.
    pub generation: Uuid,
    pub status: ProjectorStatus,
    pub error: Option<String>,
    pub updated_at: DateTime<Utc>,
}

impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for Checkpoint
where
    &'static str: sqlx::ColumnIndex<R>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    Uuid: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    Option<String>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    DateTime<Utc>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            version: u32::from_stored(row.try_get("version")?).map_err(sqlx::Error::Decode)?,
            position: u64::from_stored(row.try_get("position")?).map_err(sqlx::Error::Decode)?,
            generation: row.try_get("generation")?,
            status: ProjectorStatus::from_stored(row.try_get("status")?).map_err(sqlx::Error::Decode)?,
            error: row.try_get("error")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

pub(crate) async fn list(db: &Db) -> Result<Vec<Checkpoint>, ReadModelError> {
    let statement = Query::select().columns(COLUMNS).from(TABLE).order_by("name", Order::Asc).to_owned();
    Ok(db.all(Scope::All, &statement).await?)
}

pub(crate) async fn find(db: &Db, name: &str) -> Result<Option<Checkpoint>, ReadModelError> {
    let statement = Query::select().columns(COLUMNS).from(TABLE).and_where(Expr::col("name").eq(name)).to_owned();
    Ok(db.first(Scope::All, &statement).await?)
}

/// How far all of them have come.
pub(crate) async fn positions(db: &Db) -> Result<HashMap<String, u64>, ReadModelError> {
    let statement = Query::select().columns(["name", "position"]).from(TABLE).to_owned();
    let positions: Vec<(String, i64)> = db.all(Scope::All, &statement).await?;
    Ok(positions.into_iter().map(|(name, position)| (name, position.unsigned_abs())).collect())
}

/// The live checkpoint; a projector that never ran starts before the first event.
pub(crate) async fn load<P: Projector>(db: &Db) -> Result<Checkpoint, ReadModelError> {
    if let Some(checkpoint) = find(db, P::NAME).await? {
        return Ok(checkpoint);
    }
    let mut tx = db.begin().await?;
    insert(&mut tx, P::NAME, P::VERSION).await?;
    let checkpoint = lock(&mut tx, P::NAME).await?;
    tx.commit().await?;
    checkpoint.ok_or(ReadModelError::Database(sqlx::Error::RowNotFound))
}

/// Starts a checkpoint at 0, unless there is one.
async fn insert(tx: &mut Tx, name: &str, version: u32) -> Result<(), ReadModelError> {
    tx.hold(name).await?;
    let mut statement = Query::insert().into_table(TABLE).columns(COLUMNS).to_owned();
    statement.values([
        name.into(),
        Expr::Value(version.into_value()),
        0_i64.into(),
        Uuid::now_v7().into(),
        ProjectorStatus::Booting.as_str().into(),
        Expr::Value(String::null()),
        Expr::Value(Utc::now().into_value()),
    ])?;
    tx.run(statement.on_conflict(OnConflict::column("name").do_nothing().to_owned()), Text::Repeated).await?;
    Ok(())
}

/// Reads a checkpoint so that nobody else can move it, or make one where there is none, before this transaction ends.
pub(crate) async fn lock(tx: &mut Tx, name: &str) -> Result<Option<Checkpoint>, ReadModelError> {
    tx.hold(name).await?;
    let touch = Query::update()
        .table(TABLE)
        .value("position", Expr::col("position"))
        .and_where(Expr::col("name").eq(name))
        .to_owned();
    tx.run(&touch, Text::Repeated).await?;
    let statement = Query::select().columns(COLUMNS).from(TABLE).and_where(Expr::col("name").eq(name)).to_owned();
    Ok(tx.all(&statement, Text::Repeated).await?.pop())
}

/// Moves the checkpoint on to `to`, unless it is no longer where `from` saw it, or paused: then `false`.
///
/// First statement of its transaction, so that of two processes with the same projector one waits here and then finds
/// its rows already folded.
pub(crate) async fn advance(tx: &mut Tx, name: &str, from: &Checkpoint, to: u64) -> Result<bool, ReadModelError> {
    let statement = Query::update()
        .table(TABLE)
        .value("position", Expr::Value(to.into_value()))
        .value("updated_at", Expr::Value(Utc::now().into_value()))
        .and_where(Expr::col("name").eq(name))
        .and_where(Expr::col("position").eq(from.position.into_value()))
        .and_where(Expr::col("generation").eq(from.generation))
        .and_where(Expr::col("status").ne(ProjectorStatus::Paused.as_str()))
        .to_owned();
    Ok(tx.run(&statement, Text::Repeated).await? == 1)
}

/// Says what a projector is doing; never lifts a pause.
pub(crate) async fn report(
    db: &Db,
    name: &str,
    status: ProjectorStatus,
    error: Option<&str>,
) -> Result<(), ReadModelError> {
    let mut tx = db.begin().await?;
    let statement = Query::update()
        .table(TABLE)
        .value("status", status.as_str())
        .value("error", error)
        .value("updated_at", Expr::Value(Utc::now().into_value()))
        .and_where(Expr::col("name").eq(name))
        .and_where(Expr::col("status").ne(ProjectorStatus::Paused.as_str()))
        .to_owned();
    tx.run(&statement, Text::Repeated).await?;
    Ok(tx.commit().await?)
}

/// Stops a projector, or lets it go on.
pub(crate) async fn set_paused(db: &Db, name: &str, paused: bool) -> Result<(), ReadModelError> {
    let status = if paused { ProjectorStatus::Paused } else { ProjectorStatus::Booting };
    let mut tx = db.begin().await?;
    let mut statement =
        Query::update().table(TABLE).value("status", status.as_str()).and_where(Expr::col("name").eq(name)).to_owned();
    if !paused {
        statement.and_where(Expr::col("status").eq(ProjectorStatus::Paused.as_str()));
    }
    tx.run(&statement, Text::Repeated).await?;
    Ok(tx.commit().await?)
}

/// Begins a rebuild's checkpoint at 0 with a generation of its own: whoever held the old one is fenced off.
pub(crate) async fn restart<P: Projector>(tx: &mut Tx) -> Result<Checkpoint, ReadModelError> {
    let name = Side::Next.name::<P>();
    remove(tx, name).await?;
    insert(tx, name, P::VERSION).await?;
    lock(tx, name).await?.ok_or(ReadModelError::Database(sqlx::Error::RowNotFound))
}

pub(crate) async fn remove(tx: &mut Tx, name: &str) -> Result<(), ReadModelError> {
    let statement = Query::delete().from_table(TABLE).and_where(Expr::col("name").eq(name)).to_owned();
    tx.run(&statement, Text::Repeated).await?;
    Ok(())
}

/// Puts the live checkpoint where the rebuilt table stands.
pub(crate) async fn switch<P: Projector>(tx: &mut Tx, rebuilt: &Checkpoint) -> Result<(), ReadModelError> {
    insert(tx, P::NAME, P::VERSION).await?;
    let statement = Query::update()
        .table(TABLE)
        .value("version", Expr::Value(P::VERSION.into_value()))
        .value("position", Expr::Value(rebuilt.position.into_value()))
        .value("generation", rebuilt.generation)
        .value("error", Expr::Value(String::null()))
        .value("updated_at", Expr::Value(Utc::now().into_value()))
        .and_where(Expr::col("name").eq(P::NAME))
        .to_owned();
    tx.run(&statement, Text::Repeated).await?;
    let mended = Query::update()
        .table(TABLE)
        .value("status", ProjectorStatus::Booting.as_str())
        .and_where(Expr::col("name").eq(P::NAME))
        .and_where(Expr::col("status").eq(ProjectorStatus::Error.as_str()))
        .to_owned();
    tx.run(&mended, Text::Repeated).await?;
    remove(tx, Side::Next.name::<P>()).await
}
