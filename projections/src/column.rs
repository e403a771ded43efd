//! How a field of a row is kept in a column: the same for every back end.

use std::error::Error;

use chrono::{DateTime, SubsecRound, Utc};
use sea_query::Value;
use sqlx::types::Json;
use starscreen_domain::{
    CandidateId, EventId, JobId, TenantId, UsageId, UserId,
    candidate::{CategoryScore, Evaluation},
    subscription::{Interval, SubscriptionStatus},
};
use uuid::Uuid;

pub type ColumnError = Box<dyn Error + Send + Sync>;

/// PostgreSQL keeps microseconds; rows must read back the same from every back end.
const SUBSECOND_DIGITS: u16 = 6;

/// A type that a column can hold.
pub trait Column: Sized {
    /// What the database makes of it.
    type Stored;

    /// # Errors
    /// When the stored value is outside what this type can be.
    fn from_stored(stored: Self::Stored) -> Result<Self, ColumnError>;

    fn into_value(self) -> Value;

    fn null() -> Value;
}

impl<T: Column> Column for Option<T> {
    type Stored = Option<T::Stored>;

    fn from_stored(stored: Self::Stored) -> Result<Self, ColumnError> {
        stored.map(T::from_stored).transpose()
    }

    fn into_value(self) -> Value {
        self.map_or_else(T::null, T::into_value)
    }

    fn null() -> Value {
        T::null()
    }
}

macro_rules! plain_columns {
    ($($type:ty: $value:ident;)*) => {$(
        impl Column for $type {
            type Stored = $type;

            fn from_stored(stored: $type) -> Result<Self, ColumnError> {
                Ok(stored)
            }

            fn into_value(self) -> Value {
                Value::$value(Some(self))
            }

            fn null() -> Value {
                Value::$value(None)
            }
        }
    )*};
}

macro_rules! id_columns {
    ($($type:ident)*) => {$(
        impl Column for $type {
            type Stored = Uuid;

            fn from_stored(stored: Uuid) -> Result<Self, ColumnError> {
                Ok(Self(stored))
            }

            fn into_value(self) -> Value {
                Value::Uuid(Some(self.0))
            }

            fn null() -> Value {
                Value::Uuid(None)
            }
        }
    )*};
}

macro_rules! unsigned_columns {
    ($($type:ty)*) => {$(
        impl Column for $type {
            type Stored = i64;

            fn from_stored(stored: i64) -> Result<Self, ColumnError> {
                Ok(stored.try_into()?)
            }

            fn into_value(self) -> Value {
                Value::BigInt(Some(i64::try_from(self).unwrap_or(i64::MAX)))
            }

            fn null() -> Value {
                Value::BigInt(None)
            }
        }
    )*};
}

macro_rules! json_columns {
    ($($type:ty)*) => {$(
        impl Column for $type {
            type Stored = Json<$type>;

            fn from_stored(Json(stored): Self::Stored) -> Result<Self, ColumnError> {
                Ok(stored)
            }

            fn into_value(self) -> Value {
                // Fails for maps whose keys are no text only; none of these types has one.
                Value::Json(Some(Box::new(json_without_nul(serde_json::to_value(self).unwrap_or_default()))))
            }

            fn null() -> Value {
                Value::Json(None)
            }
        }
    )*};
}

plain_columns! { Uuid: Uuid; i64: BigInt; bool: Bool; }
id_columns! { TenantId UserId JobId CandidateId UsageId EventId }
unsigned_columns! { u32 u64 }
json_columns! { Vec<String> Vec<CategoryScore> Evaluation serde_json::Value }

impl Column for String {
    type Stored = Self;

    fn from_stored(stored: Self) -> Result<Self, ColumnError> {
        Ok(stored)
    }

    fn into_value(self) -> Value {
        Value::String(Some(without_nul(self)))
    }

    fn null() -> Value {
        Value::String(None)
    }
}

/// PostgreSQL keeps no NUL in a text, and one in a file's name must not hold up a projector.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}

fn json_without_nul(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value::{Array, Object, String};
    match value {
        String(text) => String(without_nul(text)),
        Array(values) => Array(values.into_iter().map(json_without_nul).collect()),
        Object(fields) => {
            Object(fields.into_iter().map(|(name, value)| (without_nul(name), json_without_nul(value))).collect())
        }
        plain => plain,
    }
}

impl Column for DateTime<Utc> {
    type Stored = Self;

    fn from_stored(stored: Self) -> Result<Self, ColumnError> {
        Ok(stored)
    }

    fn into_value(self) -> Value {
        Value::ChronoDateTimeUtc(Some(self.trunc_subsecs(SUBSECOND_DIGITS)))
    }

    fn null() -> Value {
        Value::ChronoDateTimeUtc(None)
    }
}

/// As Stripe spells it.
impl Column for SubscriptionStatus {
    type Stored = String;

    fn from_stored(stored: String) -> Result<Self, ColumnError> {
        Ok(Self::of(&stored)) // one that a newer version has written is `Unknown` here
    }

    fn into_value(self) -> Value {
        Value::String(Some(self.as_str().to_owned()))
    }

    fn null() -> Value {
        Value::String(None)
    }
}

const MONTHLY: &str = "monthly";
const ANNUAL: &str = "annual";

impl Column for Interval {
    type Stored = String;

    fn from_stored(stored: String) -> Result<Self, ColumnError> {
        match stored.as_str() {
            MONTHLY => Ok(Self::Monthly),
            ANNUAL => Ok(Self::Annual),
            _ => Err(UnknownName { given: stored, known: &[MONTHLY, ANNUAL] }.into()),
        }
    }

    fn into_value(self) -> Value {
        let text = match self {
            Self::Monthly => MONTHLY,
            Self::Annual => ANNUAL,
        };
        Value::String(Some(text.to_owned()))
    }

    fn null() -> Value {
        Value::String(None)
    }
}

/// An enum without data whose names on the wire and in the column are the same.
macro_rules! text_enum {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::column::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    unknown => Err($crate::column::UnknownName {
                        given: unknown.to_owned(),
                        known: &[$($text,)*],
                    }),
                }
            }
        }

        impl $crate::column::Column for $name {
            type Stored = String;

            fn from_stored(stored: String) -> Result<Self, $crate::column::ColumnError> {
                Ok(stored.parse()?)
            }

            fn into_value(self) -> sea_query::Value {
                sea_query::Value::String(Some(self.as_str().to_owned()))
            }

            fn null() -> sea_query::Value {
                sea_query::Value::String(None)
            }
        }
    };
}

pub(crate) use text_enum;

/// A text that names none of an enum's variants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is none of {}", known.join(", "))]
pub struct UnknownName {
    pub given: String,
    pub known: &'static [&'static str],
}
