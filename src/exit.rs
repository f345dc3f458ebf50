//! Exit codes: the contract with required checks and deploy steps.
//!
//! 1 and 101 are never used, so that a shell's generic failure or a failed build can't be taken for a verdict.

/// Promote, or unchanged; for other commands than `eval`: done.
pub const OK: u8 = 0;
/// Usage, settings, prompt or golden data invalid, store or output folder not usable; nothing was sent.
pub const INVALID: u8 = 2;
/// Nothing to evaluate: no case selected.
pub const NOTHING: u8 = 4;
/// Block.
pub const BLOCK: u8 = 10;
/// Inconclusive; the message says what would settle it.
pub const INCONCLUSIVE: u8 = 11;
/// A report could not be written; replaces only a 0.
pub const REPORT: u8 = 12;
/// A bug in promptgate.
pub const BUG: u8 = 70;
/// Interrupted by SIGINT; finished answers are kept.
pub const INTERRUPTED: u8 = 130;
/// Interrupted by SIGTERM; finished answers are kept.
pub const TERMINATED: u8 = 143;

/// Code and meaning of each, as `--help` and the README list them.
pub const TABLE: &[(u8, &str)] = &[
    (OK, "promote, or unchanged (for other commands: done)"),
    (INVALID, "usage, settings, prompt or golden data invalid, store or output folder not usable; nothing was sent"),
    (NOTHING, "nothing to evaluate: no case selected"),
    (BLOCK, "block"),
    (
        INCONCLUSIVE,
        "inconclusive: too few cases, too many errors, budget or quota spent, a lone shard, the store failed midway; in CI also a promote that is not promotable",
    ),
    (REPORT, "a report could not be written (replaces only a 0)"),
    (BUG, "a bug in promptgate"),
    (INTERRUPTED, "interrupted (SIGINT); finished answers are kept, --resume goes on"),
    (TERMINATED, "interrupted (SIGTERM); finished answers are kept, --resume goes on"),
];
