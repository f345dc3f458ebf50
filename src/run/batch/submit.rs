//! Submitting: requests become jobs of a size that the service takes, as far as the budget has room for them.

use super::spool::{Line, Lines, jsonl_length};
use super::{Key, Open, Running, hex};
use crate::model::{BatchLedger, Event, FailureKind, Keep, digest};
use crate::run::Ended;
use crate::run::gemini::PIECE;
use crate::run::target::{Retry, TargetError};
use std::time::Duration;
use time::OffsetDateTime;

/// Bytes of a job whose requests travel in the call that creates it; the service takes less than 20 MB.
const LARGEST_INLINE: u64 = 19_000_000;
/// Requests of such a job: its results come back in one piece, too, and twice in it.
const MOST_INLINE: usize = 1_000;
/// Bytes of a job whose requests are uploaded; the service takes 2 GB.
const LARGEST_FILE: u64 = 1 << 30;
/// Jobs that wait at once; the service takes 100 of a project.
const MOST_JOBS: usize = 50;

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

impl<K: Keep, L: BatchLedger> Running<'_, K, L> {
    /// Submits what is to be submitted. Returns whether the service has enough for now.
    pub(super) async fn submit(&mut self) -> Result<bool, Ended> {
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
                Retry::Never | Retry::PrefixGone => {
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

    /// Forgets a job of which nothing is to be had any more.
    pub(super) async fn give_up(&self, id: i64, file: Option<&str>) -> Result<(), Ended> {
        self.discard(file).await;
        self.set.ledger.close(id).map_err(Ended::StoreFailed)
    }

    /// Deletes an uploaded file. One that can't be deleted is deleted by the service after two days.
    pub(super) async fn discard(&self, file: Option<&str>) {
        if let Some(file) = file {
            let _ = self.in_time(self.gemini.delete_file(file)).await;
        }
    }
}

/// What a job is called: unique, so that it can be found by it.
fn label(items: &[(u64, Key)]) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos().to_le_bytes();
    let keys = items.iter().map(|(_, key)| key.as_slice());
    format!("promptgate-{}", &hex(&digest(keys.chain([now.as_slice()])))[..24])
}
