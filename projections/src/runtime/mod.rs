//! What drives projectors: the runner, rebuild beside the live table, replay of what was parked, and waiting.

pub(crate) mod as_of;
pub(crate) mod batch;
pub(crate) mod checkpoint;
pub(crate) mod fold;
pub(crate) mod leader;
pub(crate) mod parked;
pub(crate) mod rebuild;
pub(crate) mod replay;
pub(crate) mod runner;
pub(crate) mod table;
pub(crate) mod waiting;

use std::sync::Arc;

use crate::{Feed, Opener, projector::Projector, row::Row};

/// Where events come from, and who opens what is sealed in them.
#[derive(Clone)]
pub(crate) struct Source {
    pub feed: Arc<dyn Feed>,
    pub opener: Arc<dyn Opener>,
}

/// A projector's two tables: the one that is read, and the one that a rebuild fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Live,
    Next,
}

impl Side {
    pub(crate) fn table<R: Row>(self) -> &'static str {
        match self {
            Self::Live => R::TABLE,
            Self::Next => R::NEXT_TABLE,
        }
    }

    /// Under which its checkpoint and its parked events are kept.
    pub(crate) fn name<P: Projector>(self) -> &'static str {
        match self {
            Self::Live => P::NAME,
            Self::Next => P::Row::NEXT_TABLE,
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Live => Self::Next,
            Self::Next => Self::Live,
        }
    }
}
