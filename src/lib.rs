//! promptgate decides in CI whether a new prompt for a Gemini agent may go live.
//!
//! ```text
//! golden/  ─┐
//!           ├─ load ─▶ plan ─▶ run ─▶ score ─▶ compare ─▶ gate ─▶ report
//! prompts/ ─┘                   └── store ──┘
//! ```
//!
//! Modules stand in the order in which data flows through them. `eval` and `commands` wire the stages; a stage never imports
//! another one, and all of them speak in the types of [`domain`].

// Plain data that the stages hand to each other.
pub mod domain;

// Baseline and candidate side by side: pairing and statistics.
pub(crate) mod compare;
// Golden files, read, checked and typed.
pub(crate) mod dataset;
// Policy and comparison in, verdict out. Pure; fails closed.
pub(crate) mod gate;
// A git repository, asked for files of its revisions.
pub(crate) mod git;
// What can be said about golden data without any answer: findings and figures.
pub(crate) mod lint;
// Which answers are needed: jobs, shards, prices.
pub(crate) mod plan;
// Prompt versions in the dotprompt format.
pub(crate) mod prompt;
// What answers: one request in, one answer out.
pub(crate) mod provider;
// Projections of a run: JUnit, diff, summary, rows, verdict, console.
pub(crate) mod report;
// Gets all planned answers: the bounded loop, pace, retries, budget, batches.
pub(crate) mod runner;
// Judges answers: matchers and their table. Pure CPU.
pub(crate) mod scoring;
// Pure functions of numbers, each with its formula and source.
pub(crate) mod stats;
// One SQLite file: every answer, written as it arrives.
pub(crate) mod store;

// The command line.
pub mod cli;
// The other commands, wired.
pub(crate) mod commands;
// Options, environment, front matter, file and defaults, merged.
pub(crate) mod config;
// What can go wrong, and its exit code.
pub(crate) mod error;
// The arrow itself: all stages, wired.
pub(crate) mod eval;
// Exit codes.
pub mod exit;
// JSON with duplicate keys noticed.
pub(crate) mod json;
// Secrets, found in all the forms in which others repeat them.
pub(crate) mod secret;

/// What integration tests and benchmarks call besides the command line. Not an interface: everything else is private to the
/// crate, so that the compiler reports what nothing uses.
#[doc(hidden)]
pub mod internals {
    pub mod compare {
        pub use crate::compare::ComparisonBuilder;
    }
    pub mod dataset {
        pub use crate::dataset::survey;
    }
    pub mod gate {
        pub use crate::gate::{Completion, RunContext, decide, simulate};
    }
    pub mod commands {
        pub use crate::commands::{LintRequest, lint, unreferenced};
    }
    pub mod prompt {
        pub use crate::prompt::{Library, Prompt, frontmatter, marks, messages, picoschema, template, text};
    }
    pub mod report {
        pub use crate::report::{FORMATS, OutputDir, Redactor, ReportError, Reports, console};
    }
    pub mod provider {
        pub use crate::provider::{ApiKey, Gemini, GeminiSettings, Renewal, Retry};
        pub mod gemini {
            pub use crate::provider::gemini::{
                Delivery, VERSION, body, classify, decode, decode_stream, review, sample_of,
            };
        }
    }
    pub mod runner {
        pub use crate::runner::{Limits, LiveRun, RetryPolicy, RunSummary, StopReason};
    }
    pub mod scoring {
        pub use crate::scoring::{CaseAnswers, Commands, MATCHERS, ReplyCache, Rules, Sample, passes_text, score};
    }
    pub mod stats {
        pub use crate::stats::rule::Rule;
        pub use crate::stats::score_test::{CORRECTION, Differences, UnitKind};
    }
}
