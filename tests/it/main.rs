//! Integration tests, in one binary.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also outside of its own function"
)]

mod approved;
mod architecture;
mod batch;
mod checks;
mod cli;
mod docs;
mod dotprompt_spec;
mod faults;
mod gate_oracles;
mod gemini_wire;
mod golden;
mod gsm8k;
mod import;
mod judge;
mod money;
mod own_checks;
mod prefix;
mod record;
mod reports;
mod resume;
mod runs;
mod secrets;
mod support;
mod targets;
mod wire;
