//! Collecting: looks at the jobs, reads their results, pairs each with the planned answer that it belongs to, and hands it to
//! the store.

use super::{BatchState, Key, OpenBatch};
use crate::domain::{Answer, AnswerSink, BatchLedger, Event, Failure, FailureKind, JobResult, unhex};
use crate::provider::gemini::{BatchStatus, Item, Output, Results};
use crate::provider::{Provider, ProviderError, Retry};
use crate::runner::{StopReason, settled};
use std::sync::Arc;

/// Looks in a row that find no job before it counts as gone.
const LOOKS_FOR_GONE: u32 = 3;
/// Arrivals on their way to the store.
const KEEPING: usize = 256;

impl<K: AnswerSink, L: BatchLedger> BatchState<'_, K, L> {
    /// Looks at every job, and collects what has ended. Returns whether one has.
    pub(super) async fn look_at_all(&mut self) -> Result<bool, StopReason> {
        let mut ended = false;
        for mut batch in std::mem::take(&mut self.open) {
            let collected = match self.in_time(self.gemini.look(&batch.name)).await {
                Ok(BatchStatus::Waiting { done }) => {
                    batch.done = done;
                    Ok(false)
                }
                Ok(BatchStatus::Ended { output, why }) => self.collect_all(&batch, output, why).await?.map(|()| true),
                Err(error) => Err(error),
            };
            match collected {
                Ok(true) => {
                    ended = true;
                    self.keep_all(0).await?;
                    self.give_up(batch.id, batch.file.as_deref()).await?;
                }
                Ok(false) => {
                    (batch.failed_looks, batch.not_found) = (0, 0);
                    self.open.push(batch);
                }
                Err(error) => ended |= self.look_again(batch, error).await?,
            }
        }
        self.set.progress.on(&Event::Batched {
            jobs: self.open.len(),
            answered: self.open.iter().map(|batch| batch.done).sum(),
            requests: self.open.iter().map(|batch| batch.keys.len() as u64).sum(),
        });
        Ok(ended)
    }

    /// A look that failed: the next one may work, for the job is paid for. Only a refused key, and a service that fails
    /// again and again, end the run. Returns whether the job is gone.
    async fn look_again(&mut self, mut batch: OpenBatch, error: ProviderError) -> Result<bool, StopReason> {
        let failure = error.failure();
        batch.failed_looks += 1;
        batch.not_found = if failure.code == "http_404" { batch.not_found + 1 } else { 0 };
        if batch.not_found >= LOOKS_FOR_GONE {
            return self.find_or_lose(batch).await;
        }
        let limit = self.set.limits.give_up_after.unwrap_or(u32::MAX);
        if error.retry() == Retry::KeyRefused || batch.failed_looks >= limit {
            return Err(StopReason::Stopped(failure));
        }
        self.set.progress.on(&Event::Retrying { code: failure.code, wait: self.set.first_look });
        self.open.push(batch);
        Ok(false)
    }

    /// The service does not know a job: it may list it under its label all the same; else no answer of it can come any more.
    async fn find_or_lose(&mut self, mut batch: OpenBatch) -> Result<bool, StopReason> {
        if let Some(name) = self.insist(|gemini| gemini.find_batch(&batch.label)).await?
            && name != batch.name
        {
            self.set.ledger.created(batch.id, &name).map_err(StopReason::StoreFailed)?;
            batch.name = name;
            batch.not_found = 0;
            self.open.push(batch);
            return Ok(false);
        }
        self.fail_rest(&batch, &lost("batch_gone", "the service knows nothing of the batch job any more")).await?;
        self.keep_all(0).await?;
        self.give_up(batch.id, batch.file.as_deref()).await?;
        Ok(true)
    }

    /// Collects what a job that has ended holds; the rest fails. The inner error is one of reading it: what has come is
    /// kept, and the next look reads the rest.
    async fn collect_all(
        &mut self,
        batch: &OpenBatch,
        output: Output,
        why: Option<ProviderError>,
    ) -> Result<Result<(), ProviderError>, StopReason> {
        let read = match output {
            Output::Nothing => Ok(()),
            Output::Inline(results) => Ok(self.collect_inline(batch, results).await?),
            Output::File(file) => self.collect_file(batch, &file).await?,
        };
        match read {
            Ok(()) => {}
            // Nothing of it can be read, now or later: the file is gone, or holds what is no answer.
            Err(error) if error.failure().code == "http_404" || error.retry() == Retry::Never => {
                let failure = error.failure();
                let message = format!("the results can't be read: {}", failure.message);
                let error = ProviderError::new(failure.kind, failure.code, message, Retry::Never);
                self.fail_rest(batch, &error).await?;
            }
            Err(error) => return Ok(Err(error)),
        }
        let missing = || lost("batch_missing", "the batch job holds no result for this request");
        self.fail_rest(batch, &why.unwrap_or_else(missing)).await?;
        Ok(Ok(()))
    }

    /// Results that travel in the operation. They come in the order of the requests, so that none is lost where a service
    /// does not send the keys back.
    async fn collect_inline(&mut self, batch: &OpenBatch, results: Results) -> Result<(), StopReason> {
        let whole = results.how_many() == batch.requests.len();
        let items: Vec<Item> = results.collect();
        let in_order = whole && items.iter().all(|item| item.key.is_none());
        for (at, item) in items.into_iter().enumerate() {
            match batch.requests.get(at).filter(|_| in_order) {
                Some(key) => self.take(batch, key, item).await?,
                None => self.collect(batch, item).await?,
            }
        }
        Ok(())
    }

    /// Collects the results in a file. The inner error is one of reading it: what has come is kept, the rest may come at the
    /// next look.
    async fn collect_file(&mut self, batch: &OpenBatch, file: &str) -> Result<Result<(), ProviderError>, StopReason> {
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

    /// One result. One that belongs to no request can't be used, but is paid for.
    async fn collect(&mut self, batch: &OpenBatch, item: Item) -> Result<(), StopReason> {
        if let Some(key) = item.key.as_deref().and_then(unhex) {
            return self.take(batch, &key, item).await;
        }
        if let Ok(answer) = &item.result {
            self.pay(None, answer);
        }
        Ok(())
    }

    /// What is not waited for is skipped: a job that was taken over may hold answers that arrived before.
    async fn take(&mut self, batch: &OpenBatch, key: &Key, item: Item) -> Result<(), StopReason> {
        if !self.holds(batch, key) {
            return Ok(());
        }
        match self.gemini.without_key(item.result) {
            Ok(answer) => self.settle(key, Ok(answer)).await,
            Err(error) => self.fail(key, &error).await,
        }
    }

    /// Counts an answer, and tells what it cost.
    fn pay(&self, asked_for: Option<&str>, answer: &Answer) -> Option<f64> {
        let served = answer.model_version.as_deref();
        let cost = [served, asked_for].into_iter().flatten().find_map(|model| (self.set.price)(model, &answer.usage));
        self.budget.add(served.or(asked_for).unwrap_or_default(), &answer.usage, cost);
        cost
    }

    /// A planned answer is waited for in this job.
    fn holds(&self, batch: &OpenBatch, key: &Key) -> bool {
        self.waiting.get(key).is_some_and(|waiting| waiting.job == Some(batch.id))
    }

    /// What a failed request leads to: another job, or a failure.
    async fn fail(&mut self, key: &Key, error: &ProviderError) -> Result<(), StopReason> {
        let again = match error.retry() {
            Retry::Backoff | Retry::After(_) | Retry::KeyChanged => true,
            Retry::Never => false,
            Retry::QuotaSpent | Retry::KeyRefused => {
                let failure = error.failure();
                self.settle(key, Err(failure.clone())).await?;
                self.spent.get_or_insert(StopReason::Stopped(failure));
                return Ok(());
            }
        };
        let Some(waiting) = self.waiting.get_mut(key) else {
            return Ok(());
        };
        // What a job has lost without a word it may lose again, and be paid for again.
        let most = match error.failure().code.as_str() {
            "batch_missing" | "batch_gone" => self.set.limits.retries.min(1),
            _ => self.set.limits.retries,
        };
        if again && waiting.attempts <= most {
            if let Some(cost) = waiting.reserved.take() {
                self.budget.release(&waiting.expected, cost);
            }
            waiting.job = None;
            let model = waiting.meta.model.clone();
            self.fresh.entry(model).or_default().push(*key);
            return Ok(());
        }
        self.settle(key, Err(error.failure())).await
    }

    /// What a job that has ended says nothing about.
    async fn fail_rest(&mut self, batch: &OpenBatch, error: &ProviderError) -> Result<(), StopReason> {
        let rest: Vec<Key> = batch.keys.iter().filter(|key| self.holds(batch, key)).copied().collect();
        for key in rest {
            self.fail(&key, error).await?;
        }
        Ok(())
    }

    /// The arrival of a planned answer, on its way to the store.
    pub(super) async fn settle(&mut self, key: &Key, result: Result<Answer, Failure>) -> Result<(), StopReason> {
        let Some(waiting) = self.waiting.remove(key) else {
            return Ok(());
        };
        if let Some(cost) = waiting.reserved {
            self.budget.release(&waiting.expected, cost);
        }
        let event = settled(&result, |answer| self.pay(Some(&waiting.meta.model), answer));
        let arrival = JobResult {
            meta: waiting.meta,
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
    pub(super) async fn keep_all(&mut self, most: usize) -> Result<(), StopReason> {
        while self.keeping.len() > most {
            match self.keeping.join_next().await {
                Some(Ok(Ok(event))) => self.set.progress.on(&event),
                Some(Ok(Err(reason))) => return Err(StopReason::StoreFailed(reason)),
                // Nobody aborts these tasks, so one panicked: a bug, which must not look like an answer.
                Some(Err(error)) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(error) => return Err(StopReason::StoreFailed(error.to_string())),
                },
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// A batch job, or one of its results, does not exist any more.
fn lost(code: &str, message: &str) -> ProviderError {
    ProviderError::new(FailureKind::Transport, code, message, Retry::Backoff)
}
