//! How often the gate errs on this repository's own golden cases: 2,000 runs a row, as they stand in docs/statistics.md.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "shares the module of a test, and prints a table")]

#[path = "../tests/it/false_alarms.rs"]
mod false_alarms;

fn main() {
    for rows in [false_alarms::equal_candidate(2_000), false_alarms::loss_of_the_margin(2_000)] {
        rows.iter().for_each(|row| println!("{row}"));
    }
}
