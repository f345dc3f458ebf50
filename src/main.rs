//! The `promptgate` binary.

fn main() {}
