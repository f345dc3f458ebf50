//! What several integration tests need.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also outside of its own function"
)]

pub(crate) mod fake;
pub(crate) mod runs;
