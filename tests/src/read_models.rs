//! The read models' tables, read from their file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sqlx::{Row, sqlite::SqliteRow};

use crate::events::rows;

/// Reads `read.db`, also beside the server.
#[derive(Clone, Debug)]
pub struct ReadModels(PathBuf);

impl ReadModels {
    pub(crate) fn of(data: &Path) -> Self {
        Self(data.join("read.db"))
    }

    /// `Err` says which read model has not seen position `head`, or has set events aside.
    pub(crate) async fn lagging(&self, head: i64) -> Result<(), String> {
        let sql = "SELECT name, position, status, error, (SELECT COUNT(*) FROM parked WHERE projector = name)
            FROM projection ORDER BY name";
        let found = rows(&self.0, sql).await.map_err(|error| error.to_string())?;
        if found.is_empty() {
            return Err("no projector has run".to_owned());
        }
        for row in found {
            let (name, position, status): (String, i64, String) = (row.get(0), row.get(1), row.get(2));
            let (error, parked): (Option<String>, i64) = (row.get(3), row.get(4));
            if position != head || status != "live" || parked > 0 {
                let error = error.unwrap_or_default();
                return Err(format!("{name} is {status} at {position} of {head} with {parked} events parked: {error}"));
            }
        }
        Ok(())
    }

    /// Every row of every read model as text, ordered, by table.
    pub async fn dump(&self) -> BTreeMap<String, Vec<String>> {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%!_!_next' ESCAPE '!'
            AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT IN ('projection', 'parked', '_sqlx_migrations')";
        let mut tables = BTreeMap::new();
        for table in self.texts(sql).await {
            let columns =
                self.texts(&format!("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}')")).await;
            assert!(!columns.is_empty(), "{table} has no columns");
            let sql = format!("SELECT {} AS row FROM \"{table}\" ORDER BY row", columns.join(" || ' | ' || "));
            tables.insert(table, self.texts(&sql).await);
        }
        tables
    }

    /// The one row that `sql` selects.
    pub async fn row(&self, sql: &str) -> SqliteRow {
        let mut found = rows(&self.0, sql).await.unwrap();
        assert_eq!(found.len(), 1, "{sql}");
        found.remove(0)
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        rows(&self.0, sql).await.unwrap().iter().map(|row| row.get(0)).collect()
    }
}
