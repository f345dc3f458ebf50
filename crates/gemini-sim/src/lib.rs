//! The simulator: a small, honest question answerer behind the Gemini REST API, on loopback.
//!
//! ```text
//! HTTP ─▶ connection ─▶ service ─▶ faults, script ─▶ call ─▶ validate ─▶ answer ─▶ respond ─▶ wire ─▶ HTTP
//!                        │ path                       │      ├ fields    ├ turns, library: what is asked, and of what
//!                        │ ledger: log, counters      │      └ rules     ├ reader, instructions, words: what the text says
//!                        │                          embed                ├ rank, polarity: what fits the question
//!                        │                                               ├ json_answer, calls: JSON and functions
//!                        └ emulator: files, batches (feature `emulator`)  └ noise
//! ```
//!
//! Its model is an extractive question answerer. It splits the system instruction (and a long question's own context)
//! into sentences, ranks them against the question, and answers with the best ones in the form that the text asks for.
//! It knows no facts, no prompt and no case: what it says stands in the request, so a better prompt gets better answers
//! and a worse one worse. The instructions it obeys are listed in `instructions.rs`; where the text doesn't say and nobody
//! asked for a refusal, it answers anyway, and wrongly, as models do.
//!
//! Noise and faults are keyed by seed, request and the `x-promptgate-sample` header, never by time or order: a run repeats
//! exactly at any concurrency. A script (`script.rs`) can also count requests in their order, when it says so. With the feature
//! `emulator` there are files and batches, too: in memory, within fixed bounds; a batch takes a number of polls, not a time.

mod answer;
mod body;
mod call;
mod calls;
mod connection;
mod embed;
mod faults;
mod fields;
mod instructions;
mod json_answer;
mod ledger;
mod library;
mod noise;
mod pages;
mod path;
mod polarity;
mod question;
mod rank;
mod reader;
mod recent;
mod respond;
mod rules;
mod script;
mod server;
mod service;
mod status;
mod turns;
mod validate;
mod wire;
mod words;

pub use faults::{Faults, FaultsError};
pub use script::Script;
pub use server::Simulator;
#[cfg(feature = "emulator")]
pub use service::emulator::Rehearsal;

use std::path::PathBuf;
use std::time::Duration;

/// There are files and batches in this build.
pub const HAS_EMULATOR: bool = cfg!(feature = "emulator");

/// How the simulator behaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Waiting time before each answer.
    pub latency: Duration,
    /// Failures on demand, by chance.
    pub faults: Faults,
    /// Failures on demand, request by request; goes before those by chance.
    pub script: Script,
    /// Seed of noise and faults.
    pub seed: u64,
    /// Chance that an answer is degraded, 0..=1.
    pub noise: f64,
    /// Refuse requests without a key, as the service does. Any key is good.
    pub require_key: bool,
    /// Polls that find a batch unfinished, where there are batches (feature `emulator`).
    pub batch_polls: u32,
    /// Where each request is logged, a line of JSON each; an older file is overwritten.
    pub log: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
