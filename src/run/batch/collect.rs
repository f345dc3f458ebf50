//! Collecting: looks at the jobs, reads their results, pairs each with the planned answer that it belongs to, and hands it to
//! the store.

use super::{Key, Open, Running};
use crate::model::{Answer, Arrival, BatchLedger, Event, Failure, FailureKind, Keep};
use crate::run::Ended;
use crate::run::gemini::{Item, Looked};
use crate::run::target::{Retry, Target, TargetError};
use std::sync::Arc;

/// Arrivals on their way to the store.
const KEEPING: usize = 256;

impl<K: Keep, L: BatchLedger> Running<'_, K, L> {
    /// Looks at every job, and collects what has ended. Returns whether one has.
    pub(super) async fn look_at_all(&mut self, failures: &mut u32) -> Result<bool, Ended> {
        let mut ended = false;
        for mut batch in std::mem::take(&mut self.open) {
            let looked = self.in_time(self.gemini.look(&batch.name)).await;
            let collected = match looked {
                Ok(Looked::Waiting { done }) => {
                    batch.done = done;
                    Ok(false)
                }
                Ok(Looked::Inline(results)) => {
                    for item in results {
                        self.collect(&batch, item).await?;
                    }
                    Ok(true)
                }
                Ok(Looked::File(file)) => self.collect_file(&batch, &file).await?.map(|()| true),
                Ok(Looked::Ended(error)) => {
                    self.fail_rest(&batch, &error).await?;
                    Ok(true)
                }
                // The service has forgotten it, so no answer of it can come any more.
                Err(error) if error.failure().code == "http_404" => {
                    self.fail_rest(&batch, &gone()).await?;
                    Ok(true)
                }
                Err(error) => Err(error),
            };
            match collected {
                Ok(true) => {
                    *failures = 0;
                    ended = true;
                    self.fail_rest(&batch, &missing()).await?;
                    self.keep_all(0).await?;
                    self.discard(batch.file.as_deref()).await;
                    self.set.ledger.close(batch.id).map_err(Ended::StoreFailed)?;
                }
                Ok(false) => {
                    *failures = 0;
                    self.open.push(batch);
                }
                Err(error) => {
                    self.open.push(batch);
                    self.look_again_later(error, failures)?;
                }
            }
        }
        self.set.progress.on(&Event::Batched {
            jobs: self.open.len(),
            answered: self.open.iter().map(|batch| batch.done).sum(),
            requests: self.open.iter().map(|batch| batch.keys.len() as u64).sum(),
        });
        Ok(ended)
    }

    /// A look that failed: the next one may work, unless it can't.
    fn look_again_later(&self, error: TargetError, failures: &mut u32) -> Result<(), Ended> {
        let again = match error.retry() {
            Retry::KeyChanged | Retry::Backoff | Retry::After(_) => true,
            Retry::Never | Retry::PrefixGone | Retry::QuotaSpent | Retry::KeyRefused => false,
        };
        *failures += 1;
        let failure = error.into_failure();
        if !again || self.set.limits.give_up_after.is_some_and(|limit| *failures >= limit) {
            return Err(Ended::Stopped(failure));
        }
        self.set.progress.on(&Event::Retrying {
            code: failure.code,
            wait: self.set.first_look,
        });
        Ok(())
    }

    /// Collects the results in a file. The inner error is one of reading it: what has come is kept, the rest may come at the
    /// next look.
    async fn collect_file(&mut self, batch: &Open, file: &str) -> Result<Result<(), TargetError>, Ended> {
        let mut results = match self.in_time(self.gemini.download(file)).await {
            Ok(results) => results,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match self.in_time(results.next()).await {
                Ok(Some(item)) => self.collect(batch, item).await?,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// One result. What is not waited for is skipped: a job that was taken over may hold answers that arrived before.
    async fn collect(&mut self, batch: &Open, item: Item) -> Result<(), Ended> {
        let Some(key) = item.key.as_deref().and_then(unhex) else {
            return Ok(());
        };
        if !self.holds(batch, &key) {
            return Ok(());
        }
        match self.gemini.without_key(item.result) {
            Ok(answer) => self.settle(&key, Ok(answer)).await,
            Err(error) => self.fail(&key, &error).await,
        }
    }

    /// A planned answer is waited for in this job.
    fn holds(&self, batch: &Open, key: &Key) -> bool {
        self.waiting
            .get(key)
            .is_some_and(|waiting| waiting.job == Some(batch.id))
    }

    /// What a failed request leads to: another job, or a failure.
    async fn fail(&mut self, key: &Key, error: &TargetError) -> Result<(), Ended> {
        let again = match error.retry() {
            Retry::Backoff | Retry::After(_) | Retry::KeyChanged => true,
            Retry::Never | Retry::PrefixGone => false,
            Retry::QuotaSpent | Retry::KeyRefused => {
                let failure = error.failure();
                self.settle(key, Err(failure.clone())).await?;
                self.spent.get_or_insert(Ended::Stopped(failure));
                return Ok(());
            }
        };
        let Some(waiting) = self.waiting.get_mut(key) else {
            return Ok(());
        };
        if again && waiting.attempts <= self.set.limits.retries {
            if let Some(cost) = waiting.reserved.take() {
                self.budget.release(&waiting.expected, cost);
            }
            waiting.job = None;
            let model = waiting.asked.model.clone();
            self.fresh.entry(model).or_default().push(*key);
            return Ok(());
        }
        self.settle(key, Err(error.failure())).await
    }

    /// What a job that has ended says nothing about.
    async fn fail_rest(&mut self, batch: &Open, error: &TargetError) -> Result<(), Ended> {
        let rest: Vec<Key> = batch
            .keys
            .iter()
            .filter(|key| self.holds(batch, key))
            .copied()
            .collect();
        for key in rest {
            self.fail(&key, error).await?;
        }
        Ok(())
    }

    /// The arrival of a planned answer, on its way to the store.
    pub(super) async fn settle(&mut self, key: &Key, result: Result<Answer, Failure>) -> Result<(), Ended> {
        let Some(waiting) = self.waiting.remove(key) else {
            return Ok(());
        };
        if let Some(cost) = waiting.reserved {
            self.budget.release(&waiting.expected, cost);
        }
        let event = match &result {
            Ok(answer) => {
                let served = answer.model_version.as_deref();
                let model = &waiting.asked.model;
                let cost = served
                    .and_then(|served| (self.set.price)(served, &answer.usage))
                    .or_else(|| (self.set.price)(model, &answer.usage));
                self.budget.add(served.unwrap_or(model), &answer.usage, cost);
                Event::Answered { cost_usd: cost }
            }
            Err(failure) => Event::Failed {
                code: failure.code.clone(),
                message: failure.message.clone(),
            },
        };
        let arrival = Arrival {
            asked: waiting.asked,
            result,
            attempts: waiting.attempts,
            waited_ms: None,
            source: self.gemini.source(),
        };
        let keep = Arc::clone(&self.set.keep);
        self.keeping.spawn(async move {
            keep.keep(arrival).await?;
            Ok(event)
        });
        self.keep_all(KEEPING).await
    }

    /// Waits until at most so many arrivals are on their way.
    pub(super) async fn keep_all(&mut self, most: usize) -> Result<(), Ended> {
        while self.keeping.len() > most {
            match self.keeping.join_next().await {
                Some(Ok(Ok(event))) => self.set.progress.on(&event),
                Some(Ok(Err(reason))) => return Err(Ended::StoreFailed(reason)),
                // Nobody aborts these tasks, so one panicked: a bug, which must not look like an answer.
                Some(Err(error)) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(error) => return Err(Ended::StoreFailed(error.to_string())),
                },
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// The job does not exist any more.
fn gone() -> TargetError {
    let message = "the service knows nothing of the batch job any more";
    TargetError::new(FailureKind::Transport, "batch_gone", message, Retry::Backoff)
}

/// No result came for a request.
fn missing() -> TargetError {
    let message = "the batch job holds no result for this request";
    TargetError::new(FailureKind::Transport, "batch_missing", message, Retry::Backoff)
}

fn unhex(text: &str) -> Option<Key> {
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}
