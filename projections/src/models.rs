//! The one list of all projectors.

use crate::{
    accounts::Accounts, candidate_status::CandidateStatus, evaluations::Evaluations, jobs::Jobs,
    monthly_usage::MonthlyUsage, projector::Projector, subscriptions::Subscriptions,
};

/// Names of the read models.
pub struct Models;

macro_rules! models {
    ($($projector:ident,)*) => {
        impl Models {
            pub const NAMES: &'static [&'static str] = &[$($projector::NAME,)*];

            /// The name as this crate spells it, for one that came from outside.
            pub fn named(name: &str) -> Option<&'static str> {
                Self::NAMES.iter().copied().find(|known| *known == name)
            }
        }

        /// Evaluates an expression with `$P` as the projector called `$name`; `None`: there is none of that name.
        macro_rules! with_projector {
            ($name:expr, $d P:ident => $d call:expr) => {{
                let name: &str = $name;
                $(if name == <$projector as $crate::projector::Projector>::NAME {
                    type $d P = $projector;
                    Some($d call)
                } else)* {
                    None
                }
            }};
        }
    };
}
