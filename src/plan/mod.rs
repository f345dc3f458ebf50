//! Which answers are needed, in which order, and what they will cost.
//!
//! - [`Plan`] numbers the planned answers: per case, repeat 1 baseline, repeat 1 candidate, repeat 2 baseline, and so on, so
//!   that drift of the service hits both arms alike.
//! - [`Schedule`] says at which look a case is asked, where a run may end early.
//! - [`Selection`] and [`Shard`] say which cases take part.
//! - [`price`] knows what tokens cost.

mod looks;
pub mod price;
mod selection;

pub use looks::{Schedule, ScheduleBuilder};
pub use selection::{Selection, Shard};

use crate::domain::{Arm, digest};

/// A must-pass case may be asked so many times more than planned.
pub const BEYOND: u32 = 10;

/// The shape of a run: cases × arms × repeats, numbered in plan order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Repeats per case and arm.
    pub repeats: u32,
    /// There is a baseline.
    pub baseline: bool,
}

impl Plan {
    pub fn arms(&self) -> &'static [Arm] {
        if self.baseline { &[Arm::Baseline, Arm::Candidate] } else { &[Arm::Candidate] }
    }

    /// Planned answers of one case.
    pub fn per_case(&self) -> u64 {
        u64::from(self.repeats) * self.arms().len() as u64
    }

    /// Repeat (from 1) and arm of each answer of one case, in plan order.
    pub fn answers(&self) -> impl Iterator<Item = (u32, Arm)> + use<> {
        let arms = self.arms();
        (1..=self.repeats).flat_map(move |repeat| arms.iter().map(move |arm| (repeat, *arm)))
    }

    /// Position of the first answer of a case, from 0.
    pub fn first(&self, case_index: u64) -> u64 {
        case_index * self.per_case()
    }

    /// Position of a repeat of the candidate beyond the planned ones, of which there are at most [`BEYOND`], in a run of so many
    /// `cases`. They stand behind all planned ones, [`BEYOND`] places a case, in the order of their repeats.
    pub fn beyond(&self, cases: u64, case_index: u64, repeat: u32) -> u64 {
        self.first(cases) + case_index * u64::from(BEYOND) + u64::from(repeat.saturating_sub(self.repeats + 1))
    }
}

/// Identity of an answer: everything that can change it. The arm counts only where both arms send the same body, because
/// otherwise two planned answers would share a stored one. `body` is the whole request, whether or not the service kept a
/// part of it.
pub fn identity(target: &str, model: &str, body: &[u8], case: &str, repeat: u32, arm: Option<Arm>) -> [u8; 32] {
    digest([
        b"promptgate.answer/1".as_slice(),
        target.as_bytes(),
        model.as_bytes(),
        body,
        case.as_bytes(),
        &repeat.to_le_bytes(),
        arm.map_or("", Arm::as_str).as_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_a_case_alternate_between_the_arms() {
        let plan = Plan { repeats: 2, baseline: true };
        assert_eq!(
            plan.answers().collect::<Vec<_>>(),
            [(1, Arm::Baseline), (1, Arm::Candidate), (2, Arm::Baseline), (2, Arm::Candidate)]
        );
        assert_eq!(plan.first(3), 12);
        assert_eq!((plan.beyond(3, 0, 3), plan.beyond(3, 1, 3), plan.beyond(3, 1, 12)), (12, 22, 31));
    }

    #[test]
    fn every_piece_of_the_identity_counts() {
        let key = identity("t", "m", b"b", "c", 1, None);
        for other in [
            identity("u", "m", b"b", "c", 1, None),
            identity("t", "n", b"b", "c", 1, None),
            identity("t", "m", b"x", "c", 1, None),
            identity("t", "m", b"b", "d", 1, None),
            identity("t", "m", b"b", "c", 2, None),
            identity("t", "m", b"b", "c", 1, Some(Arm::Baseline)),
            identity("tm", "", b"b", "c", 1, None),
        ] {
            assert_ne!(key, other);
        }
    }
}
