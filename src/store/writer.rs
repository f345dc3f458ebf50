//! The one thread that writes: takes arrivals from a bounded queue and commits them in groups.

use super::{CachedAnswer, RunId, milliseconds, now};
use crate::domain::{AnswerSink, Arm, Job, JobResult, Source};
use rusqlite::{Connection, TransactionBehavior, params};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Arrivals that wait for the next commit; more make the run stage wait.
const QUEUE: usize = 256;

enum Order {
    Arrived(Box<JobResult>),
    Reused { seq: u64, arm: Arm, repeat: u32, cached: CachedAnswer },
}

/// Who waits for the commit; nobody for what can be looked up again.
type Acknowledge = Option<oneshot::Sender<Result<(), String>>>;

/// What arrivals are to their run.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// Planned answers, each at its position.
    Results(RunId),
    /// Replies of judges, who were asked with the prompt of this name.
    Replies(RunId, String),
}

/// Writes the results of one run, or the replies of judges that it goes by. Dropping it waits until everything is committed.
#[derive(Debug)]
pub struct Writer {
    orders: Option<mpsc::Sender<(Order, Acknowledge)>>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        part: Part,
        targets: [String; 2],
        reusable: bool,
    ) -> std::io::Result<Writer> {
        let (orders, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || write(connection, &part, &targets, reusable, queue))?;
        Ok(Writer { orders: Some(orders), thread: Some(thread) })
    }

    /// Notes that a planned answer is an earlier one, without waiting for the commit. Blocks while the queue is full.
    ///
    /// # Errors
    /// The writer has stopped.
    pub fn reuse(&self, job: &Job, cached: CachedAnswer) -> Result<(), String> {
        self.note(Order::Reused { seq: job.seq, arm: job.arm, repeat: job.repeat, cached })
    }

    /// Notes the end of a job that sent nothing, without waiting for the commit. Blocks while the queue is full.
    ///
    /// # Errors
    /// The writer has stopped.
    pub fn settle(&self, arrival: JobResult) -> Result<(), String> {
        self.note(Order::Arrived(Box::new(arrival)))
    }

    fn note(&self, order: Order) -> Result<(), String> {
        let orders = self.orders.as_ref().ok_or_else(stopped)?;
        orders.blocking_send((order, None)).map_err(|_| stopped())
    }

    /// Waits until everything is committed.
    ///
    /// # Errors
    /// The first commit that failed; everything after it is lost too.
    pub fn finish(mut self) -> Result<(), String> {
        self.orders = None;
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(|_| Err(stopped())))
    }
}

fn stopped() -> String {
    "the store's writer has stopped".to_owned()
}

impl AnswerSink for Writer {
    async fn keep(&self, arrival: JobResult) -> Result<(), String> {
        let (acknowledge, done) = oneshot::channel();
        let orders = self.orders.as_ref().ok_or_else(stopped)?;
        orders.send((Order::Arrived(Box::new(arrival)), Some(acknowledge))).await.map_err(|_| stopped())?;
        done.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // Whoever cares how it ended calls `finish`.
            let _ = thread.join();
        }
    }
}

fn write(
    mut connection: Connection,
    part: &Part,
    targets: &[String; 2],
    reusable: bool,
    mut queue: mpsc::Receiver<(Order, Acknowledge)>,
) -> Result<(), String> {
    let mut failed = Ok(());
    let mut group = Vec::with_capacity(QUEUE);
    while queue.blocking_recv_many(&mut group, QUEUE) > 0 {
        if failed.is_ok() {
            failed = commit(&mut connection, part, targets, reusable, &group).map_err(|error| error.to_string());
        }
        for (_, acknowledge) in group.drain(..) {
            if let Some(acknowledge) = acknowledge {
                // A receiver that is gone belongs to a cancelled task; the answer is kept all the same.
                let _ = acknowledge.send(failed.clone());
            }
        }
    }
    failed
}

fn commit(
    connection: &mut Connection,
    part: &Part,
    targets: &[String; 2],
    reusable: bool,
    group: &[(Order, Acknowledge)],
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut answer = transaction.prepare_cached(
            "INSERT INTO answers (key, request, case_id, target, model, served, latency_ms, attempts, answer, reusable,
                                  created_at, waited_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        let mut result = transaction.prepare_cached(
            "INSERT OR REPLACE INTO results (run, seq, answer, source, attempts, failure, arm, repeat, waited_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        let mut reply = transaction.prepare_cached(super::NOTE_REPLY)?;
        for (order, _) in group {
            match order {
                Order::Reused { seq, arm, repeat, cached } => {
                    let Part::Results(run) = part else { continue };
                    let (source, arm) = (Source::Cache.as_str(), arm.as_str());
                    let (failure, waited_ms) = (None::<&str>, None::<i64>);
                    result.execute(params![
                        run.0,
                        *seq as i64,
                        cached.answer,
                        source,
                        0,
                        failure,
                        arm,
                        repeat,
                        waited_ms
                    ])?;
                }
                Order::Arrived(arrival) => {
                    let JobResult { meta, result: outcome, attempts, waited_ms, source } = arrival.as_ref();
                    let waited_ms = waited_ms.map(milliseconds);
                    let (row, failure) = match outcome {
                        Ok(given) => {
                            answer.execute(params![
                                meta.key,
                                meta.body_sha256,
                                meta.case.as_str(),
                                targets[usize::from(meta.arm == Arm::Candidate)],
                                meta.model,
                                given.model_version,
                                milliseconds(given.latency_ms),
                                attempts,
                                json(given)?,
                                reusable,
                                now(),
                                waited_ms,
                            ])?;
                            (Some(transaction.last_insert_rowid()), None)
                        }
                        Err(failure) => (None, Some(json(failure)?)),
                    };
                    match (part, row) {
                        (Part::Results(run), _) => {
                            let (seq, source, arm) = (meta.seq as i64, source.as_str(), meta.arm.as_str());
                            let repeat = meta.repeat;
                            result
                                .execute(params![run.0, seq, row, source, attempts, failure, arm, repeat, waited_ms])?;
                        }
                        (Part::Replies(run, prompt), Some(row)) => {
                            reply.execute(params![run.0, row, prompt, meta.repeat])?;
                        }
                        (Part::Replies(..), None) => {}
                    }
                }
            }
        }
    }
    transaction.commit()
}

pub(super) fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
