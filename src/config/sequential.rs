//! What does not go together with a run that may end early.

use super::layers::Layers;
use crate::domain::{Estimand, Policy, Problem, Sequential};

impl Layers {
    /// Settings that an early end would make meaningless, each with the reason.
    pub(super) fn not_early(&self, policy: &Policy, alone: bool) -> Vec<Problem> {
        if policy.sequential == Sequential::Off {
            return Vec::new();
        }
        let set = |key: &str| self.raw(key).is_some_and(|raw| !matches!(raw.text(), "false" | "0"));
        [
            (
                alone,
                "--baseline none",
                "without a baseline nothing is compared, and only a comparison has bounds for looks on the way",
            ),
            (
                policy.attempts > 1,
                "--attempts",
                "attempts add repeats of the same cases, looks on the way add cases, and the error is shared only among one kind of look",
            ),
            (
                set("extend"),
                "--extend",
                "the last look of a sequential run is its last, and nothing is left to extend",
            ),
            (
                policy.estimand == Estimand::Dataset,
                "--estimand dataset",
                "it is about exactly these cases, so all of them have to be asked",
            ),
            (
                set("shard"),
                "--shard",
                "the looks are those of the whole run, of which a shard sees only its part",
            ),
            (
                set("batch"),
                "--batch",
                "batch jobs are sent together, so that there is nothing to save between looks",
            ),
            (
                self.target().def().replays,
                "--target recorded",
                "recorded answers are there already, so that there is nothing to save",
            ),
        ]
        .into_iter()
        .filter(|(given, _, _)| *given)
        .map(|(_, other, why)| {
            Problem::new(format!("--sequential does not go together with {other}: {why}")).hint("leave out one of them")
        })
        .collect()
    }
}
