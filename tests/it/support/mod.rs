//! What several integration tests share.
pub(crate) mod batches;
pub(crate) mod fake;
pub(crate) mod project;
pub(crate) mod promoted;
pub(crate) mod questions;
pub(crate) mod runs;
