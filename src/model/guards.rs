//! What the gate looks at beside the score as a whole: tags, and guardrails on speed, cost, length, refusals.

use super::verdict::Slice;
use std::collections::BTreeMap;

/// The cases of one tag, counted. As with the whole run, every missing answer is counted twice over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TagSums {
    /// The rates over the cases scored in both arms; what the gate says of them is still open.
    pub slice: Slice,
    /// Histogram of passes(candidate) - passes(baseline), when every missing answer is worst for the candidate. Key in
    /// -k..=k, value = number of cases.
    pub worst: BTreeMap<i64, u64>,
    /// The same with every missing answer best for the candidate.
    pub best: BTreeMap<i64, u64>,
}
