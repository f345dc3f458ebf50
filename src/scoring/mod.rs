//! Scores answers. Pure CPU: no clock, no network, no randomness, but for commands of the user's own, which have a room
//! of their own, `command/`.
//!
//! ```text
//! CheckSpec ── rules.rs: verify, read files in ──▶ CheckSpec ── score.rs: compile, check, weigh ──▶ ScoredAnswer
//!                             │                                        │
//!                             └────── matchers/: MATCHERS, the table ──┘
//! ```
//!
//! A *matcher* is a kind (`contains`), a *check* is a matcher with its arguments on a case. `MATCHERS` lists every kind;
//! a new one is a file in `matchers/` and a line in the table: its `MatcherDef` holds every fact about it. `Rules` tells the
//! loader what a good check is: what it lets through compiles, and names a criterion that an answer can miss. `score` runs
//! a batch on all cores, and `aggregate` weighs the scores of a case's checks.
//!
//! The other files serve the matchers, or answer questions about checks without an answer (`requirements`, `offline`,
//! `schema`).

mod aggregate;
mod arguments;
mod cache;
mod code_fence;
mod command;
mod constraint;
mod definition;
mod folding;
mod inner_check;
mod json_compare;
mod matcher;
mod matchers;
mod numerals;
mod offline;
mod project_file;
mod quote;
mod redaction;
mod references;
mod replies;
mod requirements;
mod rules;
mod schema;
mod schema_keywords;
mod score;
mod sequences;
mod snapshot_file;
mod static_model;
mod stems;
mod strict_json;

pub use command::Commands;
pub use definition::Sample;
pub use matchers::MATCHERS;
pub use matchers::snapshot::approval;
pub use offline::{passes_text, personal_data, secrets};
pub use replies::ReplyCache;
pub use requirements::{
    constraint_of, deciding_judges, embeddings_named, judges_named, logic_of, max_external_calls, needs_system, use_of,
};
pub use rules::Rules;
pub use schema::schema;
pub use score::{CaseAnswers, ScoredAnswer, score};
pub use static_model::StaticModel;
