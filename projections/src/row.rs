//! Rows of read models: a struct whose fields are the columns, in one place, for reading and writing.

use sea_query::Expr;
use uuid::Uuid;

use crate::db::Loaded;

/// One row of a read model.
pub trait Row: Loaded + Clone + PartialEq + Send + Sync + 'static {
    const TABLE: &'static str;
    /// Its double, into which a rebuild writes; also the name of the rebuild's checkpoint.
    const NEXT_TABLE: &'static str;
    /// The key comes first.
    const COLUMNS: &'static [&'static str];

    fn key(&self) -> Uuid;

    /// In the order of [`Row::COLUMNS`].
    fn into_values(self) -> Vec<Expr>;
}

/// Declares a row: its first field is the key, and every field is a column of the same name.
///
/// `FromRow` is written once over every back end. The derive of sqlx is not used: its proc macro would build the
/// drivers a second time.
macro_rules! row {
    (
        $(#[$doc:meta])*
        pub struct $name:ident in $table:literal {
            $(#[$key_doc:meta])* pub $key:ident: $key_type:ty,
            $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(#[$key_doc])* pub $key: $key_type,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $crate::row::Row for $name {
            const TABLE: &'static str = $table;
            const NEXT_TABLE: &'static str = concat!($table, "__next");
            const COLUMNS: &'static [&'static str] = &[stringify!($key), $(stringify!($field),)*];

            fn key(&self) -> uuid::Uuid {
                self.$key.into()
            }

            fn into_values(self) -> Vec<sea_query::Expr> {
                use $crate::column::Column;
                vec![
                    sea_query::Expr::Value(self.$key.into_value()),
                    $(sea_query::Expr::Value(self.$field.into_value()),)*
                ]
            }
        }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            &'static str: sqlx::ColumnIndex<R>,
            <$key_type as $crate::column::Column>::Stored: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
            $(<$type as $crate::column::Column>::Stored: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
                use $crate::column::Column;
                Ok(Self {
                    $key: <$key_type>::from_stored(row.try_get(stringify!($key))?).map_err(sqlx::Error::Decode)?,
                    $($field: <$type>::from_stored(row.try_get(stringify!($field))?).map_err(sqlx::Error::Decode)?,)*
                })
            }
        }
    };
}

pub(crate) use row;
