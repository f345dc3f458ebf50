//! Judges answers. Pure CPU: no clock, no network, no randomness, but for commands of the user's own, which have a room
//! of their own, `command/`.
//!
//! ```text
//! CheckSpec ── rules.rs: verify, read files in ──▶ CheckSpec ── judge.rs: compile, check, weigh ──▶ Judgement
//!                             │                                        │
//!                             └────── matchers/: MATCHERS, the table ──┘
//! ```
//!
//! A *matcher* is a kind (`contains`), a *check* is a matcher with its arguments on a case. `MATCHERS` lists every kind;
//! a new one is a file in `matchers/` and a line in the table. `Rules` tells the loader what a good check is: what it
//! lets through compiles, and names a criterion that an answer can miss. `judge` scores a batch on all cores, and
//! `tally` weighs what the checks of a case say.
//!
//! The other files serve the matchers: `arguments` reads what the user wrote, `folding` treats case and white space as
//! asked, `quote` shortens bytes from outside for a sentence, `numerals` finds numbers, `likeness` holds what all measures
//! of nearness to a text share, `sequences` finds what two of them have in common, `cache` keeps expensive compilations,
//! `project_file` reads a file that golden data names, `approved` the approved answer of a case, `redaction` replaces what
//! may differ from it, `schema_keywords` finds keywords of a JSON schema that would check
//! nothing, `fenced` finds code blocks, `strict_json` reads JSON of others, `json_compare` says what equal JSON is, `part` runs a check on a part of an answer,
//! `ending` keeps checks from passing on answers that are not usable, `replies` writes down what judges have to be asked, `probe`
//! asks matchers about texts that are no answers, `static_model` makes vectors of texts without asking anyone, `uses` finds the
//! judges that decide a case, `schema` describes checks for editors.

mod approved;
mod arguments;
mod cache;
mod command;
mod ending;
mod fenced;
mod folding;
mod json_compare;
mod judge;
mod likeness;
mod matcher;
mod matchers;
mod numerals;
mod part;
mod probe;
mod project_file;
mod quote;
mod redaction;
mod replies;
mod rules;
mod schema;
mod schema_keywords;
mod sequences;
mod static_model;
mod stems;
mod strict_json;
mod tally;
mod uses;

pub use command::Commands;
pub use judge::{Judgement, Unjudged, asks_at_most, embedders_of, judge, judges_of, needs_system};
pub use matcher::Sample;
pub use matchers::MATCHERS;
pub use matchers::snapshot::approval;
pub use probe::{passes_text, personal_data, secrets};
pub use replies::Asking;
pub use rules::Rules;
pub use schema::schema;
pub use static_model::StaticModel;
pub use uses::{deciding_judges, use_of};
