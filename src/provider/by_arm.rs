//! A provider for each arm.

use super::api::{BoxFuture, Lane, Provider, ProviderError};
use crate::domain::{Answer, Arm, Arms, Job, Source};
use std::sync::Arc;

/// Sends the requests of each arm to the arm's own provider. Both are live, or neither is.
pub struct ByArm(pub Arms<Arc<dyn Provider>>);

impl Provider for ByArm {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        self.0.of(job.arm).answer(job)
    }

    fn source(&self) -> Source {
        self.0.candidate.source()
    }

    fn lane(&self, job: &Job) -> Lane {
        let one = Arc::ptr_eq(&self.0.baseline, &self.0.candidate);
        Lane(u8::from(!one && job.arm == Arm::Baseline))
    }
}
