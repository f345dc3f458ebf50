//! Submitting: requests become jobs of a size that the service takes, as far as the budget has room for them.

use super::{BatchState, Key, OpenBatch};
use crate::domain::{AnswerSink, BatchLedger, Event, FailureKind, digest, hex};
use crate::provider::gemini::{Line, Lines, PIECE, jsonl_length};
use crate::provider::{ProviderError, Retry};
use crate::runner::StopReason;
use std::time::Duration;
use time::OffsetDateTime;

/// Bytes of a job whose requests travel in the call that creates it; the service takes less than 20 MB.
const LARGEST_INLINE: u64 = 19_000_000;
/// Requests of such a job: its results come back in one piece, too, and twice in it.
const MOST_INLINE: usize = 1_000;
/// Bytes of a job whose requests are uploaded; the service takes 2 GB.
pub(super) const LARGEST_FILE: u64 = 1 << 30;
/// Jobs that wait at once; the service takes 100 of a project.
const MOST_JOBS: usize = 50;

struct Chunk {
    model: String,
    keys: Vec<Key>,
}

/// What came of creating a job.
enum Creation {
    /// It waits.
    Yes,
    /// Not now: the service has enough of them.
    Later(Chunk),
}

impl<K: AnswerSink, L: BatchLedger> BatchState<'_, K, L> {
    /// Submits what is to be submitted and what the budget has room for. Returns whether more has to wait until a job ends.
    pub(super) async fn submit(&mut self) -> Result<bool, StopReason> {
        let more = self.reserve();
        while let Some((model, keys)) = self.fresh.pop_first() {
            let (keys, later): (Vec<Key>, Vec<Key>) = keys.into_iter().partition(|key| self.is_reserved(key));
            let mut chunks = self.chunks(&model, keys).into_iter();
            let mut back = later;
            while let Some(chunk) = chunks.next() {
                let has_room = self.open.len() < MOST_JOBS;
                match if has_room { self.create(chunk).await? } else { Creation::Later(chunk) } {
                    Creation::Yes => continue,
                    Creation::Later(chunk) => back.extend(chunk.keys),
                }
                back.extend(chunks.flat_map(|chunk| chunk.keys));
                self.set_aside(model, back);
                return Ok(true);
            }
            if !back.is_empty() {
                // What the budget has no room for comes when answers have given back what was reserved for them.
                self.parked.entry(model).or_default().extend(back);
            }
        }
        self.fresh = std::mem::take(&mut self.parked);
        Ok(more)
    }

    /// Keeps what could not be submitted for the next time.
    fn set_aside(&mut self, model: String, keys: Vec<Key>) {
        self.fresh.entry(model).or_default().extend(keys);
        for (model, keys) in std::mem::take(&mut self.parked) {
            self.fresh.entry(model).or_default().extend(keys);
        }
    }

    fn is_reserved(&self, key: &Key) -> bool {
        self.waiting.get(key).is_some_and(|waiting| waiting.reserved.is_some())
    }

    /// Reserves in plan order what the budget has room for, so that no arm gets all of it. Returns whether something has to
    /// wait for room. Where nothing is out that could make room, what is left is given up.
    fn reserve(&mut self) -> bool {
        let mut fresh: Vec<(u64, Key)> = Vec::new();
        for keys in self.fresh.values_mut() {
            keys.sort_unstable_by_key(|key| self.waiting.get(key).map_or(0, |waiting| waiting.meta.seq));
            fresh.extend(keys.iter().filter_map(|key| Some((self.waiting.get(key)?.meta.seq, *key))));
        }
        fresh.sort_unstable();
        let mut refused = self.spent.is_some().then(String::new);
        let mut something = !self.open.is_empty();
        for (_, key) in &fresh {
            let Some(waiting) = self.waiting.get_mut(key) else {
                continue;
            };
            if waiting.reserved.is_some() {
                something = true;
                continue;
            }
            if refused.is_some() {
                continue;
            }
            let cost = (self.set.price)(&waiting.meta.model, &waiting.expected);
            match self.budget.reserve(waiting.attempts + 1, &waiting.expected, cost) {
                Ok(()) => {
                    waiting.reserved = Some(cost.unwrap_or(0.0));
                    waiting.attempts += 1;
                    something = true;
                }
                Err(reason) => refused = Some(reason),
            }
        }
        let Some(reason) = refused else { return false };
        if something && self.spent.is_none() && !self.budget.is_out_of_requests() {
            return true;
        }
        self.spent.get_or_insert(StopReason::Budget(reason));
        for (_, key) in fresh {
            if !self.is_reserved(&key) {
                self.waiting.remove(&key);
            }
        }
        let waiting = &self.waiting;
        self.fresh.values_mut().for_each(|keys| keys.retain(|key| waiting.contains_key(key)));
        false
    }

    /// Splits requests into jobs of a size that the service takes.
    fn chunks(&self, model: &str, keys: Vec<Key>) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut size = 0;
        for key in keys {
            let own = self.size(&key);
            if chunks.is_empty() || size + own > self.largest {
                size = 0;
                chunks.push(Chunk { model: model.to_owned(), keys: Vec::new() });
            }
            size += own;
            if let Some(chunk) = chunks.last_mut() {
                chunk.keys.push(key);
            }
        }
        chunks
    }

    fn size(&self, key: &Key) -> u64 {
        self.waiting.get(key).map_or(0, |waiting| waiting.line.size())
    }

    /// Creates a job, and insists on it as long as that may help.
    async fn create(&mut self, chunk: Chunk) -> Result<Creation, StopReason> {
        let items: Vec<(u64, Key)> =
            chunk.keys.iter().filter_map(|key| Some((self.waiting.get(key)?.meta.seq, *key))).collect();
        let Some((_, first)) = items.first().copied() else {
            return Ok(Creation::Yes);
        };
        let label = label(&items);
        let id = self.set.ledger.announce(&label, &items).map_err(StopReason::StoreFailed)?;
        let mut file = None;
        let mut attempt = 0;
        let mut waited = Duration::ZERO;
        // An attempt got no reply, so the job may exist.
        let mut in_doubt = false;
        loop {
            if in_doubt && let Some(name) = self.insist(|gemini| gemini.find_batch(&label)).await? {
                return self.created(id, label, name, file, chunk);
            }
            attempt += 1;
            let error = match self.try_to_create(&chunk, &label, id, &mut file).await? {
                Ok(name) => return self.created(id, label, name, file, chunk),
                Err(error) => error,
            };
            let failure = error.failure();
            in_doubt |= failure.kind == FailureKind::Transport;
            let requested = match error.retry() {
                Retry::KeyChanged => continue,
                Retry::Backoff => None,
                Retry::After(delay) => Some(delay),
                Retry::Never | Retry::QuotaSpent | Retry::KeyRefused => {
                    if in_doubt && let Some(name) = self.find_lost(id, &label).await? {
                        return self.created(id, label, name, file, chunk);
                    }
                    self.give_up(id, file.as_deref()).await?;
                    return self.refused(chunk, &error).await;
                }
            };
            let full = failure.kind == FailureKind::RateLimit && !in_doubt;
            if full && !self.open.is_empty() {
                self.give_up(id, file.as_deref()).await?;
                return Ok(Creation::Later(chunk));
            }
            let delay = self.set.limits.retry.delay(&first, attempt, requested);
            waited += delay;
            if attempt > self.set.limits.retries || waited > self.set.limits.retry.max_total {
                if full && chunk.keys.len() > 1 {
                    // Perhaps it is too large for what the service takes of this project.
                    self.largest = chunk.keys.iter().map(|key| self.size(key)).sum::<u64>() / 2;
                    self.give_up(id, file.as_deref()).await?;
                    return Ok(Creation::Later(chunk));
                }
                // What is announced stays so: the job may exist, and --resume looks for it.
                if self.open.is_empty() {
                    return Err(StopReason::Stopped(failure));
                }
                self.spent.get_or_insert(StopReason::Stopped(failure));
                self.forget(&chunk);
                return Ok(Creation::Yes);
            }
            self.set.progress.on(&Event::Retrying { code: failure.code, wait: delay });
            self.pause(delay).await?;
        }
    }

    fn created(
        &mut self,
        id: i64,
        label: String,
        name: String,
        file: Option<String>,
        chunk: Chunk,
    ) -> Result<Creation, StopReason> {
        self.set.ledger.created(id, &name).map_err(StopReason::StoreFailed)?;
        for key in &chunk.keys {
            if let Some(waiting) = self.waiting.get_mut(key) {
                waiting.job = Some(id);
            }
        }
        self.open.push(OpenBatch {
            id,
            label,
            name,
            file,
            requests: chunk.keys.clone(),
            keys: chunk.keys,
            ..OpenBatch::default()
        });
        Ok(Creation::Yes)
    }

    /// The service takes no such job, or no job at all.
    async fn refused(&mut self, chunk: Chunk, error: &ProviderError) -> Result<Creation, StopReason> {
        let failure = error.failure();
        match error.retry() {
            Retry::KeyRefused => return Err(StopReason::Stopped(failure)),
            Retry::QuotaSpent => {
                self.spent.get_or_insert(StopReason::Stopped(failure));
                self.forget(&chunk);
            }
            Retry::Never | Retry::Backoff | Retry::After(_) | Retry::KeyChanged => {
                for key in &chunk.keys {
                    self.settle(key, Err(failure.clone())).await?;
                }
            }
        }
        Ok(Creation::Yes)
    }

    /// These requests get no arrival.
    fn forget(&mut self, chunk: &Chunk) {
        for key in &chunk.keys {
            if let Some(waiting) = self.waiting.remove(key)
                && let Some(cost) = waiting.reserved
            {
                self.budget.release(&waiting.expected, cost);
            }
        }
    }

    async fn try_to_create(
        &self,
        chunk: &Chunk,
        label: &str,
        id: i64,
        file: &mut Option<String>,
    ) -> Result<Result<String, ProviderError>, StopReason> {
        let lines: Vec<(Line, String)> =
            chunk.keys.iter().filter_map(|key| Some((self.waiting.get(key)?.line, hex(key)))).collect();
        let size: u64 = lines.iter().map(|(line, _)| line.size()).sum();
        if size <= LARGEST_INLINE && lines.len() <= MOST_INLINE {
            return Ok(self.in_time(self.gemini.create_inline(&chunk.model, label, &self.spool, &lines)).await);
        }
        if file.is_none() {
            match self.upload(label, &lines).await {
                Ok(name) => {
                    self.set.ledger.uploaded(id, &name).map_err(StopReason::StoreFailed)?;
                    *file = Some(name);
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        let file = file.as_deref().unwrap_or_default();
        Ok(self.in_time(self.gemini.create_from_file(&chunk.model, label, file)).await)
    }

    /// Uploads requests as JSON lines. Returns the file's name.
    async fn upload(&self, label: &str, lines: &Lines) -> Result<String, ProviderError> {
        let length = jsonl_length(lines);
        let url = self.in_time(self.gemini.begin_upload(label, length)).await?;
        let mut pieces = self.spool.jsonl(lines);
        let mut offset = 0;
        loop {
            let piece = pieces.piece(PIECE).map_err(ProviderError::unreadable_spool)?;
            let end = offset + piece.len() as u64;
            let sent = self.in_time(self.gemini.upload(&url, offset, piece, end == length)).await?;
            if let Some(name) = sent {
                return Ok(name);
            }
            offset = end;
        }
    }

    /// Forgets a job of which nothing is to be had any more, and its file.
    pub(super) async fn give_up(&self, id: i64, file: Option<&str>) -> Result<(), StopReason> {
        if let Some(file) = file {
            // One that can't be deleted is deleted by the service after two days.
            let _ = self.in_time(self.gemini.delete_file(file)).await;
        }
        self.set.ledger.close(id).map_err(StopReason::StoreFailed)
    }
}

/// What a job is called: unique, so that it can be found by it.
fn label(items: &[(u64, Key)]) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos().to_le_bytes();
    let keys = items.iter().map(|(_, key)| key.as_slice());
    format!("promptgate-{}", &hex(digest(keys.chain([now.as_slice()])))[..24])
}
