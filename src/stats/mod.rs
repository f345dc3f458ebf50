//! The statistics of the gate: pure functions of numbers, each with its formula and source. They know neither policies
//! nor verdicts.
//!
//! The gate decides by `score_test` and `rule`, checks who is to blame for errors by `fisher`, shows `proportions`, and
//! plans by `planning`. `simulate` tells how often it decides what. The others tell what a person wants to know besides,
//! or what other tools would say: `paired`, `ranks`, `permutation`, `student` and `bootstrap` of the same differences,
//! `multiplicity` of many at once, `sequential` of looking more than once, `repeats` of a case asked several times,
//! `judge_error` of judges that err, `exact_size` of the rule itself.

pub mod beta;
pub mod exact_size;
pub mod fisher;
pub mod judge_error;
pub mod multiplicity;
pub mod normal;
pub mod paired;
pub mod planning;
pub mod proportions;
pub mod random;
pub mod repeats;
pub mod rule;
pub mod score_test;
pub mod sequential;
pub mod student;
