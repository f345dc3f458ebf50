//! Values for tests.

use super::{Arm, CaseId, Job, Request};
use std::sync::Arc;

/// An empty request to the model `m`, as repeat 1 of the candidate.
pub fn job(case: &str) -> Job {
    Job {
        seq: 0,
        case: CaseId::new(case),
        arm: Arm::Candidate,
        repeat: 1,
        request: Arc::new(Request { model: "m".to_owned(), ..Request::default() }),
        body: Arc::from(&b"{}"[..]),
        later: Vec::new(),
        key: [0; 32],
    }
}
