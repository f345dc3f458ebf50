//! The second strategy of the run stage: the same jobs through the service's batch API, at half the price and answered
//! within a day.
//!
//! ```text
//! jobs ─▶ spool ─▶ submit ─▶ look … look ─▶ collect ─▶ keep
//!                    ▲                         │
//!                    └──── what may be repeated┘
//! ```
//!
//! - `spool.rs`: the requests on disk, until their jobs have ended.
//! - this file: what is submitted when, and what becomes of it. Calls are made one after the other, by one task.
//!
//! A job is noted in the ledger with everything in it *before* it is created, under a label of its own; then its name is.
//! So a process that dies at any point leaves either nothing at the service, or a job that the next one finds: by its name,
//! or, when that was lost, by its label. No request is sent twice while its job may still answer.
//!
//! Memory: about 250 bytes for each answer that is waited for, and one inline job or one piece of an upload at a time.

mod spool;

pub(super) use spool::{Lines, Spool};

use super::budget::Budget;
use super::gemini::{Gemini, Item, Looked, PIECE};
use super::target::{AnyTarget, Retry, Target, TargetError};
use super::{Ended, Limits, Price, RunEnd, describe};
use crate::model::{
    Answer, Arrival, Asked, BatchLedger, Event, Failure, FailureKind, Job, Keep, Progress, Usage, digest,
};
use spool::{Line, jsonl_length};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Bytes of a job whose requests travel in the call that creates it; the service takes less than 20 MB.
const LARGEST_INLINE: u64 = 19_000_000;
/// Requests of such a job: its results come back in one piece, too, and twice in it.
const MOST_INLINE: usize = 1_000;
/// Bytes of a job whose requests are uploaded; the service takes 2 GB.
const LARGEST_FILE: u64 = 1 << 30;
/// Jobs that wait at once; the service takes 100 of a project.
const MOST_JOBS: usize = 50;
/// Arrivals on their way to the store.
const KEEPING: usize = 256;
/// The pause between two looks grows by half each time, up to so many first pauses.
const LONGEST_PAUSE: u32 = 6;

/// An identity of an answer.
type Key = [u8; 32];

/// What a run by batches needs beside its jobs.
pub struct Batched<K, L> {
    /// What answers. Only the Gemini API takes batches.
    pub target: Arc<AnyTarget>,
    /// What the run may do and cost.
    pub limits: Limits,
    /// The first pause before a look at the jobs.
    pub first_look: Duration,
    /// How long jobs are waited for.
    pub wait: Duration,
    /// What an answer costs.
    pub price: Arc<Price<'static>>,
    /// What an answer is expected to use at most: reserved when its request is submitted, since everything is in flight at
    /// once.
    pub expected: Arc<dyn Fn(&Job) -> Usage + Send + Sync>,
    /// Where arrivals are kept.
    pub keep: Arc<K>,
    /// Where waiting jobs are noted.
    pub ledger: L,
    /// Who hears of it.
    pub progress: Arc<dyn Progress>,
    /// Fires when the run is to end at once. Jobs at the service go on.
    pub cancel: CancellationToken,
}

/// A planned answer that has not arrived.
struct Waiting {
    asked: Asked,
    /// Times its request was submitted, so far.
    attempts: u32,
    /// The job that holds it; `None` while it is to be submitted.
    job: Option<i64>,
    line: Line,
    expected: Usage,
    /// Dollars reserved for it.
    reserved: Option<f64>,
}

/// A job at the service.
struct Open {
    id: i64,
    name: String,
    file: Option<String>,
    keys: Vec<Key>,
    /// Requests answered, as of the last look.
    done: u64,
}

/// Requests for one job.
struct Chunk {
    model: String,
    keys: Vec<Key>,
}

/// What came of creating a job.
enum Created {
    /// It waits.
    Yes,
    /// Not now: the service has enough of them.
    Later(Chunk),
}

impl<K: Keep, L: BatchLedger> Batched<K, L> {
    /// Runs until every job has its arrival, everything is cancelled, the budget or the time is spent, or a failure occurs
    /// that every further call would share. Arrivals are handed to `keep`; a job that was not submitted, or whose batch job
    /// still waits, has none.
    pub async fn run(self, jobs: mpsc::Receiver<Job>) -> RunEnd {
        let budget = Budget::new(&self.limits);
        let AnyTarget::Gemini(gemini) = self.target.as_ref() else {
            // Settings do not let it come to this.
            let message = "this target takes no batches".to_owned();
            return end(&budget, Ended::Stopped(unasked(message)));
        };
        let ended = match Spool::new() {
            Ok(spool) => {
                let mut run = Running {
                    set: &self,
                    gemini,
                    budget: &budget,
                    spool,
                    waiting: HashMap::new(),
                    fresh: BTreeMap::new(),
                    open: Vec::new(),
                    keeping: JoinSet::new(),
                    spent: None,
                };
                let ended = run.all(jobs).await.err();
                // Whatever ended it, answers that have arrived are kept.
                let kept = run.keep_all(0).await.err();
                ended.or(kept).or(run.spent).unwrap_or(Ended::Complete)
            }
            Err(cause) => Ended::Stopped(unasked(format!("no temporary file can be made: {cause}"))),
        };
        if ended != Ended::Complete && ended != Ended::Interrupted {
            self.progress.on(&Event::Stopping {
                reason: describe(&ended),
            });
        }
        end(&budget, ended)
    }
}

fn end(budget: &Budget, ended: Ended) -> RunEnd {
    let spent = budget.so_far();
    RunEnd {
        ended,
        requests: spent.requests,
        retries: spent.retries,
        cost_usd: spent.cost_usd(),
    }
}

/// Nothing could be asked.
fn unasked(message: String) -> Failure {
    Failure {
        kind: FailureKind::Transport,
        code: "batch".to_owned(),
        message,
    }
}

/// The state of one run.
struct Running<'a, K, L> {
    set: &'a Batched<K, L>,
    gemini: &'a Gemini,
    budget: &'a Budget,
    spool: Spool,
    waiting: HashMap<Key, Waiting>,
    /// What is to be submitted, by model.
    fresh: BTreeMap<String, Vec<Key>>,
    open: Vec<Open>,
    /// Arrivals on their way to the store; each yields what is told of it.
    keeping: JoinSet<Result<Event, String>>,
    /// A limit was reached: nothing more is submitted, what is out is waited for.
    spent: Option<Ended>,
}

impl<'a, K: Keep, L: BatchLedger> Running<'a, K, L> {
    /// From the first job to the last arrival.
    ///
    /// # Errors
    /// Why it ends early.
    async fn all(&mut self, jobs: mpsc::Receiver<Job>) -> Result<(), Ended> {
        let resumed = self.adopt().await?;
        self.take_in(jobs, resumed).await?;
        let look_at_once = !self.open.is_empty();
        let deadline = Instant::now() + self.set.wait;
        let mut pause = if look_at_once {
            Duration::ZERO
        } else {
            self.set.first_look
        };
        let mut failures = 0;
        // The service has enough jobs; cleared when one of them ends.
        let mut held = false;
        loop {
            if !held {
                held = self.submit().await?;
            }
            if self.open.is_empty() && !held {
                break;
            }
            if Instant::now() + pause > deadline {
                return Err(Ended::Budget(self.out_of_time()));
            }
            self.pause(pause).await?;
            pause = (pause.max(self.set.first_look).mul_f64(1.5)).min(self.set.first_look * LONGEST_PAUSE);
            let ended = self.look_at_all(&mut failures).await?;
            held &= !ended && !self.open.is_empty();
        }
        self.keep_all(0).await
    }

    /// Takes over the jobs of a process that died. One that was noted but never created is forgotten.
    async fn adopt(&mut self) -> Result<HashMap<Key, usize>, Ended> {
        let mut adopted = HashMap::new();
        for batch in self.set.ledger.open().map_err(Ended::StoreFailed)? {
            let name = match batch.name {
                Some(name) => Some(name),
                None => {
                    let found = self.insist(|gemini| gemini.find_batch(&batch.label)).await?;
                    if let Some(name) = &found {
                        self.set.ledger.created(batch.id, name).map_err(Ended::StoreFailed)?;
                    }
                    found
                }
            };
            let Some(name) = name else {
                self.discard(batch.file.as_deref()).await;
                self.set.ledger.close(batch.id).map_err(Ended::StoreFailed)?;
                continue;
            };
            adopted.extend(batch.items.iter().map(|(_, key)| (*key, self.open.len())));
            self.open.push(Open {
                id: batch.id,
                name,
                file: batch.file,
                keys: Vec::new(),
                done: 0,
            });
        }
        Ok(adopted)
    }

    /// Puts every job aside: those that a job at the service holds already wait for it, the others are to be submitted.
    async fn take_in(&mut self, mut jobs: mpsc::Receiver<Job>, adopted: HashMap<Key, usize>) -> Result<(), Ended> {
        loop {
            let job = tokio::select! {
                biased;
                () = self.set.cancel.cancelled() => return Err(Ended::Interrupted),
                job = jobs.recv() => job,
            };
            let Some(job) = job else { return Ok(()) };
            let line = self
                .spool
                .push(&job.body)
                .map_err(|cause| Ended::Stopped(unasked(format!("a request can't be put aside: {cause}"))))?;
            let holder = adopted.get(&job.key).and_then(|&at| self.open.get_mut(at));
            let held_by = holder.map(|open| {
                open.keys.push(job.key);
                open.id
            });
            if held_by.is_none() {
                let fresh = self.fresh.entry(job.request.model.clone()).or_default();
                fresh.push(job.key);
            }
            let waiting = Waiting {
                attempts: u32::from(held_by.is_some()),
                job: held_by,
                line,
                expected: (self.set.expected)(&job),
                reserved: None,
                asked: Asked::from(&job),
            };
            self.waiting.insert(job.key, waiting);
        }
    }

    /// Submits what is to be submitted. Returns whether the service has enough for now.
    async fn submit(&mut self) -> Result<bool, Ended> {
        for (model, keys) in std::mem::take(&mut self.fresh) {
            let mut chunks = self.chunks(&model, keys).into_iter();
            while let Some(chunk) = chunks.next() {
                let later = if self.open.len() < MOST_JOBS {
                    match self.create(chunk).await? {
                        Created::Yes => continue,
                        Created::Later(chunk) => chunk,
                    }
                } else {
                    chunk
                };
                let rest = chunks.flat_map(|chunk| chunk.keys);
                let keys = later.keys.into_iter().chain(rest).collect();
                self.fresh.insert(model, keys);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Splits requests into jobs of a size that the service takes.
    fn chunks(&self, model: &str, keys: Vec<Key>) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut size = 0;
        for key in keys {
            let own = self.waiting.get(&key).map_or(0, |waiting| waiting.line.size());
            if chunks.is_empty() || size + own > LARGEST_FILE {
                size = 0;
                chunks.push(Chunk {
                    model: model.to_owned(),
                    keys: Vec::new(),
                });
            }
            size += own;
            if let Some(chunk) = chunks.last_mut() {
                chunk.keys.push(key);
            }
        }
        chunks
    }

    /// Takes as many requests as the budget has room for.
    fn affordable(&mut self, chunk: &mut Chunk) {
        let mut affordable = 0;
        for key in &chunk.keys {
            let Some(waiting) = self.waiting.get_mut(key) else {
                continue;
            };
            if waiting.reserved.is_none() {
                let cost = (self.set.price)(&waiting.asked.model, &waiting.expected);
                if let Err(reason) = self.budget.reserve(waiting.attempts + 1, &waiting.expected, cost) {
                    self.spent = Some(Ended::Budget(reason));
                    break;
                }
                waiting.reserved = Some(cost.unwrap_or(0.0));
                waiting.attempts += 1;
            }
            affordable += 1;
        }
        for key in chunk.keys.drain(affordable..) {
            self.waiting.remove(&key);
        }
    }

    /// Creates a job, and insists on it as long as that may help.
    async fn create(&mut self, mut chunk: Chunk) -> Result<Created, Ended> {
        if self.spent.is_some() {
            for key in &chunk.keys {
                self.waiting.remove(key);
            }
            return Ok(Created::Yes);
        }
        self.affordable(&mut chunk);
        if chunk.keys.is_empty() {
            return Ok(Created::Yes);
        }
        let items: Vec<(u64, Key)> = chunk
            .keys
            .iter()
            .filter_map(|key| Some((self.waiting.get(key)?.asked.seq, *key)))
            .collect();
        let label = label(&items);
        let id = self.set.ledger.announce(&label, &items).map_err(Ended::StoreFailed)?;
        let mut file = None;
        let mut attempt = 0;
        let mut waited = Duration::ZERO;
        loop {
            attempt += 1;
            let error = match self.try_to_create(&chunk, &label, id, &mut file).await? {
                Ok(name) => {
                    self.set.ledger.created(id, &name).map_err(Ended::StoreFailed)?;
                    for key in &chunk.keys {
                        if let Some(waiting) = self.waiting.get_mut(key) {
                            waiting.job = Some(id);
                        }
                    }
                    self.open.push(Open {
                        id,
                        name,
                        file,
                        keys: chunk.keys,
                        done: 0,
                    });
                    return Ok(Created::Yes);
                }
                Err(error) => error,
            };
            let failure = error.failure();
            let told = match error.retry() {
                Retry::KeyChanged => continue,
                Retry::QuotaSpent | Retry::KeyRefused => {
                    self.give_up(id, file.as_deref()).await?;
                    return Err(Ended::Stopped(failure));
                }
                Retry::Never => {
                    self.give_up(id, file.as_deref()).await?;
                    for key in chunk.keys {
                        self.settle(&key, Err(failure.clone())).await?;
                    }
                    return Ok(Created::Yes);
                }
                Retry::Backoff => None,
                Retry::After(delay) => Some(delay),
            };
            if failure.kind == FailureKind::RateLimit && !self.open.is_empty() {
                self.give_up(id, file.as_deref()).await?;
                return Ok(Created::Later(chunk));
            }
            let delay = self.set.limits.retry.delay(&items[0].1, attempt, told);
            waited += delay;
            if attempt > self.set.limits.retries || waited > self.set.limits.retry.max_total {
                // What is announced stays so: the job may exist, and --resume looks for it.
                return Err(Ended::Stopped(failure));
            }
            self.set.progress.on(&Event::Retrying {
                code: failure.code,
                wait: delay,
            });
            self.pause(delay).await?;
        }
    }

    /// One attempt. A failure on the way may mean that the job exists without our knowing its name, so it is looked for.
    async fn try_to_create(
        &self,
        chunk: &Chunk,
        label: &str,
        id: i64,
        file: &mut Option<String>,
    ) -> Result<Result<String, TargetError>, Ended> {
        let lines: Vec<(Line, String)> = chunk
            .keys
            .iter()
            .filter_map(|key| Some((self.waiting.get(key)?.line, hex(key))))
            .collect();
        let size: u64 = lines.iter().map(|(line, _)| line.size()).sum();
        let created = if size <= LARGEST_INLINE && lines.len() <= MOST_INLINE {
            let call = self.gemini.create_inline(&chunk.model, label, &self.spool, &lines);
            self.in_time(call).await
        } else {
            if file.is_none() {
                match self.upload(label, &lines).await {
                    Ok(name) => {
                        self.set.ledger.uploaded(id, &name).map_err(Ended::StoreFailed)?;
                        *file = Some(name);
                    }
                    Err(error) => return Ok(Err(error)),
                }
            }
            let file = file.as_deref().unwrap_or_default();
            self.in_time(self.gemini.create_from_file(&chunk.model, label, file))
                .await
        };
        match created {
            Err(error) if error.failure().kind == FailureKind::Transport => {
                Ok(match self.in_time(self.gemini.find_batch(label)).await {
                    Ok(Some(name)) => Ok(name),
                    Ok(None) | Err(_) => Err(error),
                })
            }
            created => Ok(created),
        }
    }

    /// Uploads requests as JSON lines. Returns the file's name.
    async fn upload(&self, label: &str, lines: &Lines) -> Result<String, TargetError> {
        let length = jsonl_length(lines);
        let url = self.in_time(self.gemini.begin_upload(label, length)).await?;
        let mut pieces = self.spool.jsonl(lines);
        let mut offset = 0;
        loop {
            let piece = pieces.piece(PIECE).map_err(|cause| {
                let message = format!("the requests that were put aside can't be read: {cause}");
                TargetError::new(FailureKind::Transport, "spool", message, Retry::Never)
            })?;
            let end = offset + piece.len() as u64;
            let sent = self
                .in_time(self.gemini.upload(&url, offset, piece, end == length))
                .await?;
            if let Some(name) = sent {
                return Ok(name);
            }
            offset = end;
        }
    }

    /// Forgets a job that was never created.
    async fn give_up(&self, id: i64, file: Option<&str>) -> Result<(), Ended> {
        self.discard(file).await;
        self.set.ledger.close(id).map_err(Ended::StoreFailed)
    }

    /// Deletes an uploaded file. One that can't be deleted is deleted by the service after two days.
    async fn discard(&self, file: Option<&str>) {
        if let Some(file) = file {
            let _ = self.in_time(self.gemini.delete_file(file)).await;
        }
    }

    /// Looks at every job, and collects what has ended. Returns whether one has.
    async fn look_at_all(&mut self, failures: &mut u32) -> Result<bool, Ended> {
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
            Retry::Never | Retry::QuotaSpent | Retry::KeyRefused => false,
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
        match item.result {
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
            Retry::Never => false,
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
    async fn settle(&mut self, key: &Key, result: Result<Answer, Failure>) -> Result<(), Ended> {
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
    async fn keep_all(&mut self, most: usize) -> Result<(), Ended> {
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

    /// A call that is repeated as often as a request may be.
    async fn insist<T, F: Future<Output = Result<T, TargetError>>>(
        &self,
        call: impl Fn(&'a Gemini) -> F,
    ) -> Result<T, Ended> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.in_time(call(self.gemini)).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let told = match error.retry() {
                Retry::KeyChanged => continue,
                Retry::Backoff => None,
                Retry::After(delay) => Some(delay),
                Retry::Never | Retry::QuotaSpent | Retry::KeyRefused => {
                    return Err(Ended::Stopped(error.failure()));
                }
            };
            if attempt > self.set.limits.retries {
                return Err(Ended::Stopped(error.failure()));
            }
            self.pause(self.set.limits.retry.delay(&[0; 32], attempt, told)).await?;
        }
    }

    /// A call in its time.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, TargetError>>) -> Result<T, TargetError> {
        let limit = self.set.limits.timeout;
        timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(TargetError::timeout(limit)))
    }

    /// Waits, unless the run is cancelled. The jobs at the service go on.
    async fn pause(&self, pause: Duration) -> Result<(), Ended> {
        tokio::select! {
            biased;
            () = self.set.cancel.cancelled() => Err(Ended::Interrupted),
            () = sleep(pause) => Ok(()),
        }
    }

    fn out_of_time(&self) -> String {
        let jobs = self.open.len();
        let noun = if jobs == 1 { "job is" } else { "jobs are" };
        format!(
            "{jobs} batch {noun} not finished after {} s of waiting; they go on at the service, and --resume collects their \
             answers",
            self.set.wait.as_secs()
        )
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

/// What a job is called: unique, so that it can be found by it.
fn label(items: &[(u64, Key)]) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos().to_le_bytes();
    let keys = items.iter().map(|(_, key)| key.as_slice());
    format!("promptgate-{}", &hex(&digest(keys.chain([now.as_slice()])))[..24])
}

fn hex(key: &Key) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
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
