//! The read models' tables, read from where they lie.

use std::collections::BTreeMap;

use crate::backend::{Row, Store};

/// Reads the read side's store, also beside the server.
#[derive(Clone, Debug)]
pub struct ReadModels(Store);

type Projection = (String, i64, String, Option<String>, i64);

impl ReadModels {
    pub(crate) fn of(store: Store) -> Self {
        Self(store)
    }

    /// Of the database at this URL.
    pub fn in_database(url: &str) -> Self {
        Self(Store::Schema { url: url.to_owned(), name: "read" })
    }

    /// `Err` says which read model has not seen position `head`, or has set events aside.
    ///
    /// # Errors
    /// What is behind.
    pub async fn lagging(&self, head: i64) -> Result<(), String> {
        let sql = "SELECT name, position, status, error, (SELECT COUNT(*) FROM parked WHERE projector = name)
            FROM projection ORDER BY name";
        let found: Vec<Projection> = self.0.rows(sql).await.map_err(|error| error.to_string())?;
        if found.is_empty() {
            return Err("no projector has run".to_owned());
        }
        for (name, position, status, error, parked) in found {
            if position != head || status != "live" || parked > 0 {
                let error = error.unwrap_or_default();
                return Err(format!("{name} is {status} at {position} of {head} with {parked} events parked: {error}"));
            }
        }
        Ok(())
    }

    /// Every row of every read model as text, ordered, by table.
    pub async fn dump(&self) -> BTreeMap<String, Vec<String>> {
        let mut tables = BTreeMap::new();
        for table in self.tables().await {
            let row = if self.0.is_file() { self.quoted(&table).await } else { format!("\"{table}\"::text") };
            let sql = format!("SELECT {row} AS row FROM \"{table}\" ORDER BY row");
            let rows = self.texts(&sql).await;
            tables.insert(table, rows);
        }
        tables
    }

    async fn tables(&self) -> Vec<String> {
        let names = if self.0.is_file() {
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        } else {
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'read'"
        };
        let own = |name: &String| {
            let ours = ["projection", "parked", "_sqlx_migrations", "schema_migrations"];
            !name.ends_with("__next") && !name.starts_with("sqlite_") && !ours.contains(&name.as_str())
        };
        self.texts(names).await.into_iter().filter(own).collect()
    }

    async fn quoted(&self, table: &str) -> String {
        let columns =
            self.texts(&format!("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}')")).await;
        assert!(!columns.is_empty(), "{table} has no columns");
        columns.join(" || ' | ' || ")
    }

    /// The rows that `sql` selects.
    pub async fn rows<T: Row>(&self, sql: &str) -> Vec<T> {
        self.0.rows(sql).await.unwrap()
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows: Vec<(String,)> = self.0.rows(sql).await.unwrap();
        rows.into_iter().map(|(text,)| text).collect()
    }
}
