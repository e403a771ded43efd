//! A read model's rows by key: loaded and written many at a time.

use std::collections::HashMap;

use sea_query::{Expr, ExprTrait, OnConflict, Query, SelectStatement, UnionType};
use uuid::Uuid;

use super::Side;
use crate::{
    ReadModelError,
    db::{MAX_PARAMETERS, Text, Tx},
    row::Row,
};

/// Keys in one `IN (…)`.
const KEYS_PER_STATEMENT: usize = 500;
/// Rows in one `INSERT`. Full statements have the same text and stay prepared; longer ones cost memory for little.
const ROWS_PER_STATEMENT: usize = 100;

/// The rows of `keys` that exist.
pub(crate) async fn load<R: Row>(tx: &mut Tx, side: Side, keys: &[Uuid]) -> Result<HashMap<Uuid, R>, ReadModelError> {
    let mut rows = HashMap::with_capacity(keys.len());
    for chunk in keys.chunks(KEYS_PER_STATEMENT) {
        let statement = Query::select()
            .columns(R::COLUMNS.iter().copied())
            .from(side.table::<R>())
            .and_where(Expr::col(R::COLUMNS[0]).is_in(chunk.iter().copied())) // the key comes first
            .to_owned();
        let loaded: Vec<R> = tx.all(&statement, text(chunk.len(), KEYS_PER_STATEMENT)).await?;
        rows.extend(loaded.into_iter().map(|row| (row.key(), row)));
    }
    Ok(rows)
}

/// Inserts rows, or replaces those of the same key.
pub(crate) async fn put<R: Row>(tx: &mut Tx, side: Side, rows: Vec<R>) -> Result<(), ReadModelError> {
    let per_statement = ROWS_PER_STATEMENT.min(MAX_PARAMETERS / R::COLUMNS.len());
    let (key, others) = (R::COLUMNS[0], &R::COLUMNS[1..]);
    let replace = OnConflict::column(key).update_columns(others.iter().copied()).to_owned();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut statement = Query::insert()
            .into_table(side.table::<R>())
            .columns(R::COLUMNS.iter().copied())
            .on_conflict(replace.clone())
            .to_owned();
        let mut count = 0;
        for row in rows.by_ref().take(per_statement) {
            statement.values(row.into_values())?;
            count += 1;
        }
        tx.run(&statement, text(count, per_statement)).await?;
    }
    Ok(())
}

pub(crate) async fn delete<R: Row>(tx: &mut Tx, side: Side, keys: &[Uuid]) -> Result<(), ReadModelError> {
    for chunk in keys.chunks(KEYS_PER_STATEMENT) {
        let statement = Query::delete()
            .from_table(side.table::<R>())
            .and_where(Expr::col(R::COLUMNS[0]).is_in(chunk.iter().copied()))
            .to_owned();
        tx.run(&statement, text(chunk.len(), KEYS_PER_STATEMENT)).await?;
    }
    Ok(())
}

pub(crate) async fn clear<R: Row>(tx: &mut Tx, side: Side) -> Result<(), ReadModelError> {
    Ok(tx.empty(side.table::<R>()).await?)
}

/// Puts the rebuilt table in the place of the live one, which becomes its double.
pub(crate) async fn swap<R: Row>(tx: &mut Tx) -> Result<(), ReadModelError> {
    Ok(tx.swap_tables(R::TABLE, R::NEXT_TABLE).await?)
}

/// Keys of the rows of `side` that the other side has not, or has otherwise.
pub(crate) async fn keys_only_on<R: Row>(tx: &mut Tx, side: Side) -> Result<Vec<Uuid>, ReadModelError> {
    let rows = |side: Side| -> SelectStatement {
        Query::select().columns(R::COLUMNS.iter().copied()).from(side.table::<R>()).to_owned()
    };
    let difference = rows(side).union(UnionType::Except, rows(side.other())).to_owned();
    let statement = Query::select().column(R::COLUMNS[0]).from_subquery(difference, "difference").to_owned();
    let keys: Vec<(Uuid,)> = tx.all(&statement, Text::Once).await?;
    Ok(keys.into_iter().map(|(key,)| key).collect())
}

fn text(count: usize, full: usize) -> Text {
    if count == full { Text::Repeated } else { Text::Once }
}
