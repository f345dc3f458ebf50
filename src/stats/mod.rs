//! The statistics of the gate: pure functions of numbers, each with its formula and source. They know neither policies
//! nor verdicts.
//!
//! The gate decides by `score_test` and `rule`, at several looks by `sequential`, for many tags by `multiplicity`, checks who
//! is to blame for errors by `fisher`, corrects for judges that err by `judge_error`, shows `proportions`, and plans by
//! `planning` and `repeats`. `exact_size_tests` counts how often the rule itself errs, as a test.

pub mod beta;
#[cfg(test)]
pub mod exact_size_tests;
pub mod fisher;
pub mod judge_error;
pub mod multiplicity;
pub mod normal;
pub mod planning;
pub mod proportions;
pub mod random;
pub mod repeats;
pub mod rule;
pub mod score_test;
pub mod sequential;
pub mod student;

/// Halves an interval some `steps` times, or until doubles end, and returns the upper end of what is left: below it numbers
/// are still `too_low`.
pub(crate) fn bisect((mut low, mut high): (f64, f64), steps: u32, too_low: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..steps {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if too_low(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}
