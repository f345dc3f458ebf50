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

/// Plain data that the stages hand to each other.
pub mod domain;

/// Blue and green side by side: pairing and statistics.
pub mod compare;
/// Golden files, read, checked and typed.
pub mod dataset;
/// Policy and comparison in, verdict out. Pure; fails closed.
pub mod gate;
/// A git repository, asked for files of its revisions.
pub mod git;
/// What can be said about golden data without any answer: findings and figures.
pub mod lint;
/// Golden data of other tools, and what an earlier run left.
pub mod load;
/// Which answers are needed: jobs, shards, prices.
pub mod plan;
/// Prompt versions in the dotprompt format.
pub mod prompt;
/// What answers: one request in, one answer out.
pub mod provider;
/// Projections of a run: JUnit, diff, summary, rows, verdict, console.
pub mod report;
/// Gets all planned answers: the bounded loop, pace, retries, budget, batches.
pub mod runner;
/// Judges answers: matchers and their table. Pure CPU.
pub mod scoring;
/// Pure functions of numbers, each with its formula and source.
pub mod stats;
/// One SQLite file: every answer, written as it arrives.
pub mod store;

/// The command line.
pub mod cli;
/// The other commands, wired.
pub mod commands;
/// Options, environment, front matter, file and defaults, merged.
pub mod config;
/// What can go wrong, and its exit code.
pub mod error;
/// The arrow itself: all stages, wired.
pub mod eval;
/// Exit codes.
pub mod exit;
/// Secrets, found in all the forms in which others repeat them.
pub mod secret;
