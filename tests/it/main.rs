//! Integration tests, in one binary.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also outside of its own function"
)]

mod acceptance;
mod agreement;
mod approved;
mod architecture;
mod attempts;
mod batch;
mod checks;
mod cli;
mod confirm;
mod docs;
mod dotprompt_spec;
mod false_alarms;
mod faults;
mod gate_calibrate;
mod gemini_wire;
mod golden;
mod gsm8k;
mod guardrails;
mod import;
mod judge;
mod judge_calibrate;
mod lock;
mod looks;
mod money;
mod no_evidence;
mod outlook;
mod own_checks;
mod promote;
mod quarantine;
mod record;
mod reports;
mod resume;
mod runs;
mod secrets;
mod semantic;
mod sequential;
mod several;
mod support;
mod targets;
mod unattended;
mod verify;
mod weakened;
mod wire;
