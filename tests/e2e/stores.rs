//! The contracts of both sides on PostgreSQL, from the same text as on SQLite.

use std::sync::OnceLock;

use starscreen_tests::{Database, migrated, postgres};

use crate::product_binary;

/// A database of its own with the product's schemas.
pub(crate) fn database() -> Database {
    static TEMPLATE: OnceLock<Database> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| migrated(&product_binary()));
    postgres().fresh_database(Some(&template.name))
}

mod write_side {
    use starscreen_commands::contracts::Store;

    async fn fresh() -> Store {
        let database = super::database();
        let url = database.url.clone();
        Store::postgres(&url, database).await
    }

    starscreen_commands::contract_tests!(fresh());
}

mod read_side {
    use starscreen_projections::contracts::Store;
    use starscreen_tests::postgres;

    async fn fresh() -> Store {
        Store::postgres(&postgres().url("postgres")).await
    }

    starscreen_projections::contract_tests!(fresh());

    mod of_several_processes {
        use super::fresh;

        starscreen_projections::postgres_contract_tests!(fresh());
    }
}
