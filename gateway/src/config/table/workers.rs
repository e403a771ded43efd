//! How much is done at the same time.

use super::{Found, ROW, Setting, set};
use crate::config::values;

const PARALLEL: &str = "it must be a whole number from 1 to 64";

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "workers.extract_parallel",
        variable: "STARSCREEN_WORKERS_EXTRACT_PARALLEL",
        about: "Resumes that are read at the same time; each takes a core and up to 512 MB.",
        allowed: PARALLEL,
        set: |draft, found| set(&mut draft.settings.workers.extract_parallel, parallel(found)),
        ..ROW
    },
    Setting {
        key: "workers.rubric_parallel",
        variable: "STARSCREEN_WORKERS_RUBRIC_PARALLEL",
        about: "Rubrics that the model draws up at the same time.",
        allowed: PARALLEL,
        set: |draft, found| set(&mut draft.settings.workers.rubric_parallel, parallel(found)),
        ..ROW
    },
    Setting {
        key: "workers.score_parallel",
        variable: "STARSCREEN_WORKERS_SCORE_PARALLEL",
        about: "Resumes that the model grades at the same time; your OpenAI rate limit is the bound.",
        allowed: PARALLEL,
        set: |draft, found| set(&mut draft.settings.workers.score_parallel, parallel(found)),
        ..ROW
    },
    Setting {
        key: "workers.react_parallel",
        variable: "STARSCREEN_WORKERS_REACT_PARALLEL",
        about: "Reactions (a deleted job's candidates, a rubric that is ready at last) at the same time.",
        allowed: PARALLEL,
        set: |draft, found| set(&mut draft.settings.workers.react_parallel, parallel(found)),
        ..ROW
    },
];

fn parallel(found: &Found<'_>) -> Option<usize> {
    values::number(found.text, 1..=64)
}
