//! A command of the user's own that judges answers.

use diagnostics::Place;
use std::collections::BTreeMap;
use std::time::Duration;

/// A command as promptgate.toml declares it. Only settings can: they are the user's own code, while golden data may come
/// from anyone, so that a check names a command but never says what is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub name: String,
    /// The program and its arguments; at least the program. No shell reads them.
    pub argv: Vec<String>,
    /// How long it may take to answer one request, its start included; more than 0, up to an hour.
    pub timeout: Duration,
    pub env: BTreeMap<String, String>,
    pub place: Place,
}
