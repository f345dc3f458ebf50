//! Options, environment, promptgate.toml and defaults, merged into typed settings.
//!
//! `groups.rs` defines every setting in one row, and `tables.rs` the entries that only the file has; `definition.rs` says what
//! a row is, and `value.rs` what may be written. From the rows come the options (`arguments.rs`), the variables
//! (`layers.rs`), the keys of the file (`section.rs`, `file.rs`) and its schema, the comparison with the file of the
//! base (`policy_base.rs`), and the typed fields, of which `settings.rs` makes the settings of a run.
//!
//! Precedence: option, environment, front matter of the prompt (model and generation settings), file, default.

mod arguments;
mod attempts;
mod baseline;
mod candidates;
mod definition;
mod file;
mod groups;
mod key;
mod layers;
mod policy_base;
mod provider;
mod quarantine;
mod rules;
mod schema;
mod section;
mod sequential;
mod settings;
mod tables;
mod value;
mod verification;

pub use crate::provider::TargetKind;
pub(crate) use arguments::{OptionArgs, Options, WordParser, group, options, single};
pub use baseline::BaselineFile;
pub(crate) use definition::Definition;
pub use file::FileSettings;
pub(crate) use groups::definition;
pub use groups::{
    Cache, Cases, Color, ConfigFile, Continuation, DifferenceRules, Exceptions, LimitSettings, Output, Part, Prompts,
    REPEATS, Recordings, RunSelector, Service, Transport, VerdictRules,
};
pub use key::secrets;
pub use layers::{CommandLine, Environment, Layers, ModelChoice};
pub use policy_base::{FileRole, PolicyBaseSettings, compare_files};
pub use provider::{BatchService, BatchSettings};
pub use schema::schema;
pub use settings::{ArmSettings, Baseline, CallKind, JudgeCalibration, Settings};
pub use tables::{EmbeddingSettings, JudgeSettings};
pub use value::duration;
pub use verification::VerificationSettings;

#[cfg(test)]
mod tests;
