//! A provider of any kind.

use super::api::{Lane, Provider, ProviderError};
use crate::domain::{Answer, Arm, Job, Problem, Source};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The same as [`Provider`], for trait objects.
trait DynProvider: Send + Sync {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>>;
    fn source(&self) -> Source;
    fn lane(&self, job: &Job) -> Lane;
    fn sign_in(&self) -> BoxFuture<'_, Result<(), Problem>>;
}

impl<P: Provider> DynProvider for P {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(Provider::answer(self, job))
    }

    fn source(&self) -> Source {
        Provider::source(self)
    }

    fn lane(&self, job: &Job) -> Lane {
        Provider::lane(self, job)
    }

    fn sign_in(&self) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(Provider::sign_in(self))
    }
}

/// A provider whose type is not known to whoever sends through it.
#[derive(Clone)]
pub struct AnyProvider(Arc<dyn DynProvider>);

impl AnyProvider {
    /// Hides the type of a provider.
    pub fn new(provider: Arc<impl Provider>) -> AnyProvider {
        AnyProvider(provider)
    }

    /// A provider for each arm. Both are asked, or neither is.
    pub fn by_arm(baseline: AnyProvider, candidate: AnyProvider) -> AnyProvider {
        AnyProvider::new(Arc::new(ByArm { baseline, candidate }))
    }
}

/// Sends the requests of each arm to the arm's own provider.
struct ByArm {
    baseline: AnyProvider,
    candidate: AnyProvider,
}

impl Provider for ByArm {
    async fn answer(&self, job: &Job) -> Result<Answer, ProviderError> {
        let provider = match job.arm {
            Arm::Baseline => &self.baseline,
            Arm::Candidate => &self.candidate,
        };
        Provider::answer(provider, job).await
    }

    fn source(&self) -> Source {
        Provider::source(&self.candidate)
    }

    fn lane(&self, job: &Job) -> Lane {
        let one = Arc::ptr_eq(&self.baseline.0, &self.candidate.0);
        Lane(u8::from(!one && job.arm == Arm::Baseline))
    }
}

impl fmt::Debug for AnyProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyProvider").finish_non_exhaustive()
    }
}

impl Provider for AnyProvider {
    async fn answer(&self, job: &Job) -> Result<Answer, ProviderError> {
        self.0.as_ref().answer(job).await
    }

    fn source(&self) -> Source {
        self.0.as_ref().source()
    }

    fn lane(&self, job: &Job) -> Lane {
        self.0.as_ref().lane(job)
    }

    async fn sign_in(&self) -> Result<(), Problem> {
        self.0.as_ref().sign_in().await
    }
}
