//! Integration tests, in one binary.

mod architecture;
mod cli;
mod docs;
mod dotprompt_spec;
mod faults;
mod gate_oracles;
mod gemini_wire;
mod gsm8k;
mod reports;
mod resume;
mod support;
