//! What answers: the trait, its error, and the targets there are.

use super::gemini::Gemini;
use super::openai::OpenAi;
use super::recorded::Recorded;
use super::vertex::Vertex;
use crate::domain::{Answer, Failure, FailureKind, Job, Problem, Source};
use crate::secret::Redact;
use std::future::Future;
use std::time::Duration;

/// Answers one job, once. Neither retries nor waits nor limits its own time: the loop owns all three.
pub trait Target: Send + Sync + 'static {
    /// Gets the answer. Dropping the future abandons the request.
    ///
    /// # Errors
    /// Why there is none, and whether asking again can help. The text holds neither key nor URL.
    fn answer(&self, job: &Job) -> impl Future<Output = Result<Answer, TargetError>> + Send;

    /// Where the answers come from. Only [`Source::Live`] ones are requests: paced, counted, priced and budgeted.
    fn source(&self) -> Source;
}

/// What asking again can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: the same request would fail the same way.
    Never,
    /// It may work after a pause of our own choice.
    Backoff,
    /// It may work after this long, says the service.
    After(Duration),
    /// Nothing, for hours, and for all further requests too.
    QuotaSpent,
    /// Nothing, and for all further requests too: key, account or place are refused.
    KeyRefused,
    /// At once: the key was refused, but there is another one now.
    KeyChanged,
}

/// Whom the delay of [`Retry::After`] concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This request alone. `google.rpc.RetryInfo` by itself says no more than that.
    Request,
    /// All requests of the same limiter.
    Everyone,
    /// All of them, because a quota of requests per minute is spent: there were too many.
    Requests,
    /// Likewise, of input tokens per minute.
    Tokens,
}

/// Why one attempt got no answer.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetError {
    failure: Failure,
    retry: Retry,
    reach: Reach,
}

impl TargetError {
    /// A failure and what asking again can do about it. A delay concerns everyone, unless [`TargetError::reaching`] says
    /// otherwise: waiting in vain is better than storming a service that asked for a pause.
    pub fn new(kind: FailureKind, code: impl Into<String>, message: impl Into<String>, retry: Retry) -> TargetError {
        TargetError {
            failure: Failure {
                kind,
                code: code.into(),
                message: message.into(),
            },
            retry,
            reach: Reach::Everyone,
        }
    }

    /// Says whom the delay concerns.
    #[must_use]
    pub fn reaching(mut self, reach: Reach) -> TargetError {
        self.reach = reach;
        self
    }

    /// The same failure with another consequence.
    pub(crate) fn with_retry(mut self, retry: Retry) -> TargetError {
        self.retry = retry;
        self
    }

    /// The attempt took longer than it may.
    pub(crate) fn timeout(limit: Duration) -> TargetError {
        let message = format!("no complete answer within {} s", limit.as_secs_f64());
        TargetError::new(FailureKind::Transport, "timeout", message, Retry::Backoff)
    }

    /// What asking again can do.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// Whom the delay concerns.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// What happened.
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Rewrites the message.
    pub(crate) fn map_message(mut self, rewrite: impl FnOnce(String) -> String) -> TargetError {
        self.failure.message = rewrite(self.failure.message);
        self
    }

    /// The same without a secret.
    pub(crate) fn without(mut self, secret: &dyn Redact) -> TargetError {
        let Failure { kind: _, code, message } = &mut self.failure;
        secret.hide(code);
        secret.hide(message);
        self
    }

    /// The failure itself.
    pub(crate) fn into_failure(self) -> Failure {
        self.failure
    }
}

/// The targets there are. A new one is one folder and one arm here.
#[derive(Debug)]
pub enum AnyTarget {
    /// The Gemini API; also the simulator, which speaks the same protocol under a base URL of its own.
    Gemini(Gemini),
    /// Gemini models on Vertex AI.
    Vertex(Vertex),
    /// A service that completes chats as OpenAI does.
    OpenAi(OpenAi),
    /// Answers from files.
    Recorded(Recorded),
}

impl AnyTarget {
    /// Makes sure that the first request can leave: who has to sign in first does it now.
    ///
    /// # Errors
    /// Nobody can.
    pub async fn sign_in(&self) -> Result<(), Problem> {
        match self {
            AnyTarget::Vertex(target) => target.sign_in().await,
            AnyTarget::Gemini(_) | AnyTarget::OpenAi(_) | AnyTarget::Recorded(_) => Ok(()),
        }
    }
}

impl Target for AnyTarget {
    async fn answer(&self, job: &Job) -> Result<Answer, TargetError> {
        match self {
            AnyTarget::Gemini(target) => target.answer(job).await,
            AnyTarget::Vertex(target) => target.answer(job).await,
            AnyTarget::OpenAi(target) => target.answer(job).await,
            AnyTarget::Recorded(target) => target.answer(job).await,
        }
    }

    fn source(&self) -> Source {
        match self {
            AnyTarget::Gemini(target) => target.source(),
            AnyTarget::Vertex(target) => target.source(),
            AnyTarget::OpenAi(target) => target.source(),
            AnyTarget::Recorded(target) => target.source(),
        }
    }
}
