//! promptgate decides in CI whether a new prompt for a Gemini agent may go live.
//!
//! ```text
//! golden/  ─┐
//!           ├─ load ─▶ plan ─▶ run ─▶ score ─▶ compare ─▶ gate ─▶ report
//! prompts/ ─┘                   └── store ──┘
//! ```
//!
//! Modules stand in the order in which data flows through them. `pipeline` wires the stages; a stage never imports
//! another one, and all of them speak in the types of [`model`].

/// Plain data that the stages hand to each other.
pub mod model;

/// Blue and green side by side: pairing and statistics.
pub mod compare;
/// Policy and comparison in, verdict out. Pure; fails closed.
pub mod gate;
/// Golden files and prompts, read, checked and typed.
pub mod load;
/// Which answers are needed: jobs, shards, prices.
pub mod plan;
/// Projections of a run: JUnit, diff, summary, rows, verdict, console.
pub mod report;
/// Gets the answers: targets, retries, limits, the bounded loop. The only asynchronous stage.
pub mod run;
/// Judges answers: matchers and their table. Pure CPU.
pub mod score;
/// One SQLite file: every answer, written as it arrives.
pub mod store;

/// The simulator: a small question answerer behind the Gemini REST API.
pub mod sim;

/// The command line.
pub mod cli;
/// What can go wrong, and its exit code.
pub mod error;
/// Exit codes.
pub mod exit;
/// The arrow itself: all stages, wired.
pub mod pipeline;
/// Secrets, found in all the forms in which others repeat them.
pub mod secret;
/// Options, environment, front matter, file and defaults, merged.
pub mod settings;
