//! What is known of a run before its first answer.

use super::evidence::{Changes, InputDigests};
use super::look::{FreshKey, Look};
use super::policy::Policy;
use super::promotion::BaselinePromotion;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromptInfo {
    /// The name as typed: `v2`, a path, or `git:REV:v2`.
    pub name: String,
    /// Digest of its source and its partials.
    pub sha256: String,
    pub model: String,
    /// Where it was read from, for links in reports.
    pub path: String,
    /// Digest of the file's bytes alone.
    pub file_sha256: String,
}

/// A run before its first answer; handed to every reporter.
#[derive(Clone, Debug, PartialEq)]
pub struct RunInfo {
    pub candidate: PromptInfo,
    pub baseline: Option<PromptInfo>,
    /// What promptgate.lock knows of the baseline.
    pub promotion: Option<BaselinePromotion>,
    /// `gemini`, `sim`, `recorded`.
    pub target: String,
    pub simulated: bool,
    pub dataset_sha256: String,
    pub cases: u64,
    pub total: u64,
    pub repeats: u32,
    pub gated: bool,
    /// The rules of the verdict.
    pub policy: Policy,
    /// Identity of what is tested.
    pub key: String,
    /// Digests of what else decides.
    pub tested: InputDigests,
    /// Which look at the answers it is.
    pub look: Look,
    /// Earlier looks were left behind.
    pub fresh_key: Option<FreshKey>,
    /// What changed since an earlier state of the project.
    pub changes: Changes,
    /// RFC 3339, seconds, UTC.
    pub started_at: String,
}
