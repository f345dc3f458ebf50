//! What a provider is: it sends one request, or says what went wrong.

use crate::domain::{Answer, Failure, FailureKind, Job, Problem, Source};
use crate::secret::Redact;
pub use futures_util::future::BoxFuture;
use std::fmt;
use std::time::Duration;

/// One of the services that a run asks. Each has limits of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lane(pub(super) u8);

/// Sends one request. Neither retries nor waits nor limits its own time: `runner` owns all three.
pub trait Provider: Send + Sync {
    /// Gets the answer. Dropping the future abandons the request.
    ///
    /// # Errors
    /// Why there is none, and whether another attempt can help. The text holds neither key nor URL.
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>>;

    /// Where the answers come from. Only [`Source::Live`] ones are requests: paced, counted, priced and budgeted.
    fn source(&self) -> Source {
        Source::Live
    }

    /// Which service a job goes to, where there are several.
    fn lane(&self, _job: &Job) -> Lane {
        Lane::default()
    }

    /// Signs in where the first request could not leave otherwise.
    fn sign_in(&self) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async { Ok(()) })
    }
}

impl fmt::Debug for dyn Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}

/// What another attempt can do about a failure.
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
pub struct ProviderError {
    failure: Failure,
    retry: Retry,
    reach: Reach,
}

impl ProviderError {
    /// A failure and what asking again can do about it. A delay concerns everyone, unless [`ProviderError::reaching`] says
    /// otherwise: waiting in vain is better than storming a service that asked for a pause.
    pub fn new(kind: FailureKind, code: impl Into<String>, message: impl Into<String>, retry: Retry) -> ProviderError {
        ProviderError {
            failure: Failure { kind, code: code.into(), message: message.into() },
            retry,
            reach: Reach::Everyone,
        }
    }

    /// A body that is no answer, for a reason in a sentence; worth another attempt.
    pub(super) fn bad_body(message: impl Into<String>) -> ProviderError {
        ProviderError::new(FailureKind::Transport, "bad_body", message, Retry::Backoff)
    }

    /// No request can be made for a model of this name, for a reason in a sentence.
    pub(super) fn bad_model(message: String) -> ProviderError {
        ProviderError::new(FailureKind::Request, "bad_model", message, Retry::Never)
    }

    /// Requests that were put aside on disk can't be read back: nothing was sent.
    pub(crate) fn unreadable_spool(cause: std::io::Error) -> ProviderError {
        let message = format!("the requests that were put aside can't be read: {cause}");
        ProviderError::new(FailureKind::Transport, "spool", message, Retry::Never)
    }

    /// Says whom the delay concerns.
    #[must_use]
    pub fn reaching(mut self, reach: Reach) -> ProviderError {
        self.reach = reach;
        self
    }

    /// The same failure with another consequence.
    pub(crate) fn with_retry(mut self, retry: Retry) -> ProviderError {
        self.retry = retry;
        self
    }

    /// The attempt took longer than it may.
    pub(crate) fn timeout(limit: Duration) -> ProviderError {
        let message = format!("no complete answer within {} s", limit.as_secs_f64());
        ProviderError::new(FailureKind::Transport, "timeout", message, Retry::Backoff)
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
    pub(crate) fn map_message(mut self, rewrite: impl FnOnce(String) -> String) -> ProviderError {
        self.failure.message = rewrite(self.failure.message);
        self
    }

    /// The same without a secret.
    pub(crate) fn without(mut self, secret: &dyn Redact) -> ProviderError {
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
