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

/// Each side makes the roles of both, since either may be the first; a role that one forgets is missing on some days.
#[test]
fn both_sides_make_the_same_roles() {
    let write = include_str!("../../commands/migrations/postgres/roles.sql");
    let read = include_str!("../../projections/migrations/postgres/roles.sql");
    assert!(write == read, "commands/ and projections/ have different migrations/postgres/roles.sql");
}

mod write_side {
    use starscreen_commands::contracts::Store;

    async fn fresh() -> Store {
        let database = super::database();
        let url = database.url.clone();
        Store::postgres(&url, database).await
    }

    starscreen_commands::contract_tests!(fresh());

    mod of_several_processes {
        use super::fresh;

        starscreen_commands::postgres_contract_tests!(fresh());
    }
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
