//! Budgets of what one page may draw, and the way out when one is spent.
//!
//! The interpreter calls us and cannot be told to stop: a page of a few hundred bytes can draw for hours. So the way out
//! is to unwind through it, caught where the interpreter was called. It needs `panic = "unwind"`; with `abort` the child
//! would die instead, which the parent takes for the same failure.

use std::panic::{self, AssertUnwindSafe};

use super::super::ExtractionFailure;

/// A dense page of text has 6,000.
const MAX_GLYPHS: usize = 60_000;
/// Charts and maps have thousands; a resume, a few hundred lines and boxes.
const MAX_SHAPES: usize = 100_000;

/// Thrown through the interpreter; caught by [`within_budget`] only.
struct Spent;

/// Counts what a page draws.
#[derive(Debug, Default)]
pub struct Budget {
    glyphs: usize,
    shapes: usize,
}

impl Budget {
    pub fn spend_glyphs(&mut self, count: usize) {
        self.glyphs += count;
        if self.glyphs > MAX_GLYPHS {
            panic::resume_unwind(Box::new(Spent));
        }
    }

    /// Paths, pictures, clips and groups.
    pub fn spend_shape(&mut self) {
        self.shapes += 1;
        if self.shapes > MAX_SHAPES {
            panic::resume_unwind(Box::new(Spent));
        }
    }
}

/// Runs a call into the interpreter or the renderer; says whether it ran out of budget or stumbled over the file.
pub fn within_budget<T>(call: impl FnOnce() -> T) -> Result<T, ExtractionFailure> {
    // Whatever `call` was building is dropped with it, so nothing half-made is seen afterwards.
    panic::catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        if payload.is::<Spent>() { ExtractionFailure::TooComplex } else { ExtractionFailure::BrokenFile }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_glyph_too_many_ends_the_call() {
        let draw = |count| within_budget(|| Budget::default().spend_glyphs(count));
        assert_eq!(draw(MAX_GLYPHS), Ok(()));
        assert_eq!(draw(MAX_GLYPHS + 1), Err(ExtractionFailure::TooComplex));
    }

    #[test]
    fn shapes_are_counted_too() {
        let mut budget = Budget::default();
        let drawn = within_budget(|| (0..=MAX_SHAPES).for_each(|_| budget.spend_shape()));
        assert_eq!(drawn, Err(ExtractionFailure::TooComplex));
    }

    #[test]
    fn a_stumble_is_not_taken_for_a_spent_budget() {
        let stumble = within_budget(|| panic::resume_unwind(Box::new("index out of bounds")));
        assert_eq!(stumble, Err::<(), _>(ExtractionFailure::BrokenFile));
    }
}
