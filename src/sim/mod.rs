//! The simulator: a small, honest question answerer behind the Gemini REST API, on loopback.
//!
//! ```text
//! HTTP ─▶ connection ─▶ service ─▶ faults ─▶ validate ─▶ answer ─▶ respond ─▶ HTTP
//!                          │                  ├ fields   ├ turns, library: what is asked, and of what
//!                        status               └ rules    ├ reader, instructions, words: what the text says
//!                                                        ├ rank, polarity: what fits the question
//!                                                        ├ structured, calls: JSON and functions
//!                                                        └ noise
//! ```
//!
//! Its model is an extractive question answerer. It splits the system instruction (and a long question's own context)
//! into sentences, ranks them against the question, and answers with the best ones in the form that the text asks for.
//! It knows no facts, no prompt and no case: what it says stands in the request, so a better prompt gets better answers
//! and a worse one worse. The instructions it obeys are listed in `instructions.rs`; where the text doesn't say and nobody
//! asked for a refusal, it answers anyway, and wrongly, as models do.
//!
//! Noise and faults are keyed by seed, request and the `x-promptgate-sample` header, never by time or order: a run repeats
//! exactly at any concurrency.

mod answer;
mod calls;
mod connection;
mod faults;
mod fields;
mod instructions;
mod library;
mod noise;
mod polarity;
mod rank;
mod reader;
mod respond;
mod rules;
mod server;
mod service;
mod status;
mod structured;
mod turns;
mod validate;
mod words;

pub use faults::{Fault, Faults, FaultsError};
pub use server::Simulator;

use std::time::Duration;

/// How the simulator behaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Waiting time before each answer.
    pub latency: Duration,
    /// Failures on demand.
    pub faults: Faults,
    /// Seed of noise and faults.
    pub seed: u64,
    /// Chance that an answer is degraded, 0..=1.
    pub noise: f64,
    /// Refuse requests without a key, as the service does. Any key is good.
    pub require_key: bool,
}
