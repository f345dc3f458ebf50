//! What several integration tests share.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also outside of its own function"
)]

pub(crate) mod fake;
pub(crate) mod project;
pub(crate) mod runs;
