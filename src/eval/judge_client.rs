//! The client of everything that is asked while answers are scored: judges and embedding models. Every reply is stored, so
//! that nothing is asked twice, and counts against the limits of the run.

use super::embeddings::{self, Embedders, EmbeddingModel, RemoteModel, VectorBatches};
use super::interrupt::Interrupt;
use super::judges::{Judge, JudgeUsage, Judges, invalid_question};
use super::runtime;
use crate::config::{Cache, Settings};
use crate::domain::{
    Answer, AnswerSink, Event, Failure, FailureKind, Job, JobResult, Meaning, Problem, Progress, Question,
};
use crate::error::Error;
use crate::plan::price::Tier;
use crate::provider::Provider;
use crate::runner::{Limits, LiveRun, Price, RunSummary, Spend, StopReason};
use crate::scoring::{self, CaseAnswers, Commands, ReplyCache, ScoredAnswer};
use crate::store::{RunId, Store, Writer};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use time::OffsetDateTime;
use tokio::sync::mpsc;

/// How often questions may lead to further questions: `any` asks its second check once the first one has failed.
const ROUNDS: usize = 8;

/// Characters of a judge's refusal that its failure quotes.
const REFUSAL_SHOWN: usize = 200;

/// Served models recorded of each judge; with more than that it is no longer one judge.
const SERVED: usize = 100;

type Replies = HashMap<[u8; 32], Result<Answer, Failure>>;

/// Asks judges and embedding models, as long as the run's limits allow.
pub(crate) struct JudgeClient<'a> {
    pub(crate) judges: &'a Judges,
    pub(crate) embedders: &'a Embedders,
    pub(crate) settings: &'a Settings,
    pub(crate) store: &'a Store,
    /// Of the whole run, answers included.
    pub(crate) limits: Limits,
    /// What the answers took of the limits.
    pub(crate) spent_by_answers: Spend,
    /// The run whose answers are scored.
    pub(crate) run: RunId,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) usage: JudgeUsage,
}

/// What is sent to one model.
struct Batch<'b> {
    provider: &'b Arc<dyn Provider>,
    /// The name that the replies are stored by.
    name: &'b str,
    /// What answers, in the identity of each reply.
    identity: &'b str,
    tier: Tier,
    jobs: Vec<Job>,
    /// For embeddings, which come many in one reply.
    vectors: Option<VectorBatches>,
}

impl JudgeClient<'_> {
    /// Scores a batch of answers; whatever its checks want to ask is asked in between.
    pub(crate) fn score(
        &mut self,
        batch: &[CaseAnswers<'_>],
        commands: &Commands,
    ) -> Result<Vec<Vec<Option<ScoredAnswer>>>, Error> {
        // What commands say of this batch is kept while it is scored again and again.
        commands.forget();
        let mut asking = ReplyCache::default();
        let mut scores = scoring::score(batch, commands, &asking);
        for _ in 0..ROUNDS {
            let (questions, meanings) = asking.take_missing();
            if questions.is_empty() && meanings.is_empty() {
                break;
            }
            self.ask(questions, &mut asking)?;
            self.embed(meanings, &mut asking)?;
            scores = scoring::score(batch, commands, &asking);
        }
        Ok(scores)
    }

    fn ask(&mut self, questions: Vec<Question>, asking: &mut ReplyCache) -> Result<(), Error> {
        let judges = self.judges;
        let mut by_judge: BTreeMap<&str, Vec<(Question, Job)>> = BTreeMap::new();
        for question in questions {
            let Some((name, judge)) = judges.by_name.get_key_value(&question.judge) else {
                let message = format!("the judge `{}` is not there", question.judge);
                asking.note(&question, Err(invalid_question(message)));
                continue;
            };
            match judge.job(&question) {
                Ok(job) => by_judge.entry(name).or_default().push((question, job)),
                Err(failure) => asking.note(&question, Err(failure)),
            }
        }
        for (name, questions) in by_judge {
            if let Some(judge) = judges.by_name.get(name) {
                self.ask_judge(judge, questions, asking)?;
            }
        }
        Ok(())
    }

    fn ask_judge(
        &mut self,
        judge: &Judge,
        questions: Vec<(Question, Job)>,
        asking: &mut ReplyCache,
    ) -> Result<(), Error> {
        let name = &judge.prompt.info.name;
        let mut open = Vec::new();
        for (question, job) in questions {
            match self.stored(name, &job)? {
                Some(answer) => {
                    let reply = self.read_reply(&question, answer);
                    asking.note(&question, reply);
                }
                None => open.push((question, job)),
            }
        }
        let replies = self.request(Batch {
            provider: &judge.target.provider,
            name,
            identity: &judge.target.identity,
            tier: judge.prompt.standard_tier(),
            jobs: open.iter().map(|(_, job)| job.clone()).collect(),
            vectors: None,
        })?;
        for (question, job) in open {
            let reply = self.received(&replies, &job.key);
            let reply = reply.and_then(|answer| self.read_reply(&question, answer));
            asking.note(&question, reply);
        }
        Ok(())
    }

    fn embed(&mut self, meanings: Vec<Meaning>, asking: &mut ReplyCache) -> Result<(), Error> {
        let mut by_model: BTreeMap<String, Vec<Meaning>> = BTreeMap::new();
        for meaning in meanings {
            by_model.entry(meaning.by.clone()).or_default().push(meaning);
        }
        let embedders = self.embedders;
        for (name, meanings) in by_model {
            match embedders.by_name.get(&name) {
                None => {
                    let failure = embeddings::failed(format!("the embeddings `{name}` are not there"));
                    for meaning in meanings {
                        asking.note_vector(&meaning, Err(failure.clone()));
                    }
                }
                Some(EmbeddingModel::Static(model)) => {
                    for meaning in meanings {
                        let vector = model.vector(&meaning.text).map(Arc::from);
                        asking.note_vector(&meaning, vector.map_err(embeddings::failed));
                    }
                }
                Some(EmbeddingModel::Remote(model)) => self.embed_remotely(model, meanings, asking)?,
            }
        }
        Ok(())
    }

    fn embed_remotely(
        &mut self,
        model: &RemoteModel,
        meanings: Vec<Meaning>,
        asking: &mut ReplyCache,
    ) -> Result<(), Error> {
        let mut open = Vec::new();
        for meaning in meanings {
            match self.stored(embeddings::REPLIES, &model.job_of_one(&meaning.text))? {
                Some(answer) => {
                    self.usage.simulated |= answer.simulated;
                    asking.note_vector(&meaning, embeddings::read(&answer.text));
                }
                None => open.push(meaning),
            }
        }
        let texts: Vec<&str> = open.iter().map(|meaning| meaning.text.as_str()).collect();
        let (jobs, vectors) = model.jobs(&texts);
        let replies = self.request(Batch {
            provider: &model.provider,
            name: embeddings::REPLIES,
            identity: &model.identity,
            tier: Tier::Standard,
            jobs,
            vectors: Some(vectors),
        })?;
        for meaning in open {
            let vector = self.received(&replies, &model.key(&meaning.text)).and_then(|answer| {
                self.usage.simulated |= answer.simulated;
                embeddings::read(&answer.text)
            });
            asking.note_vector(&meaning, vector);
        }
        Ok(())
    }

    /// A reply of an earlier run.
    fn stored(&mut self, name: &str, job: &Job) -> Result<Option<Answer>, Error> {
        let stored = match self.settings.limits.cache {
            Cache::Use | Cache::Only => self.store.reply(self.run, name, job)?,
            Cache::Refresh | Cache::Off => None,
        };
        Ok(stored.map(|(answer, imported)| {
            self.usage.stored += 1;
            self.usage.imported += u64::from(imported);
            answer
        }))
    }

    fn received(&self, replies: &Result<Replies, Failure>, key: &[u8; 32]) -> Result<Answer, Failure> {
        let replies = replies.as_ref().map_err(Clone::clone)?;
        replies.get(key).cloned().unwrap_or_else(|| Err(self.not_sent()))
    }

    /// Why nothing may be sent, if so.
    fn blocked(&self) -> Option<Failure> {
        if self.settings.limits.cache == Cache::Only {
            return Some(Failure {
                kind: FailureKind::Missing,
                code: "not_cached".to_owned(),
                message: "no stored reply of the judge, and --cache only sends nothing".to_owned(),
            });
        }
        (self.usage.ended.is_some() || self.interrupt.code().is_some()).then(|| self.not_sent())
    }

    fn not_sent(&self) -> Failure {
        let why = match &self.usage.ended {
            Some(StopReason::Budget(reason)) => reason.clone(),
            Some(StopReason::Stopped(failure)) => failure.message.clone(),
            Some(StopReason::StoreFailed(reason)) => reason.clone(),
            Some(StopReason::Complete | StopReason::Interrupted) | None => "the run was interrupted".to_owned(),
        };
        Failure {
            kind: FailureKind::Missing,
            code: "judge_not_asked".to_owned(),
            message: format!("the judge was not asked: {why}"),
        }
    }

    /// The text of a judge's answer. One that is cut off, blocked or empty is no reply.
    fn read_reply(&mut self, question: &Question, answer: Answer) -> Result<String, Failure> {
        self.usage.simulated |= answer.simulated;
        if let Some(model) = &answer.model_version {
            let served = self.usage.served.entry(question.judge.clone()).or_default();
            if served.len() < SERVED {
                served.insert(model.clone());
            }
        }
        let refusal = answer.details.as_ref().and_then(|details| details.refusal.as_deref());
        let refusal = refusal.map(|refusal| {
            let shown: String = refusal.chars().take(REFUSAL_SHOWN).collect();
            format!("it is refused: {shown}")
        });
        let calls = (!answer.tool_calls.is_empty()).then(|| "it calls functions instead of judging".to_owned());
        match answer.unusable().or(refusal).or(calls) {
            None => Ok(answer.text),
            Some(reason) => {
                Err(Failure { kind: FailureKind::Matcher, code: "judge_unusable".to_owned(), message: reason })
            }
        }
    }

    /// Sends a batch within what is left of the run's limits, and stores its replies. The inner error says why nothing was
    /// sent.
    fn request(&mut self, batch: Batch<'_>) -> Result<Result<Replies, Failure>, Error> {
        let Batch { provider, name, identity, tier, jobs, vectors } = batch;
        if jobs.is_empty() {
            return Ok(Ok(Replies::default()));
        }
        if let Some(failure) = self.blocked() {
            return Ok(Err(failure));
        }
        let reusable = self.settings.limits.cache != Cache::Off;
        let sink = Arc::new(ReplySink {
            writer: self.store.replies(self.run, name, identity, reusable)?,
            vectors,
            received: Mutex::default(),
        });
        let end = self.send(jobs, provider.clone(), Arc::clone(&sink), tier)?;
        self.count(end);
        let Some(ReplySink { writer, received, .. }) = Arc::into_inner(sink) else {
            return Err(Error::StoreFailed(Problem::new("the store's writer is still in use")));
        };
        writer.finish().map_err(|message| Error::StoreFailed(Problem::new(message)))?;
        Ok(Ok(received.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    fn send(
        &self,
        jobs: Vec<Job>,
        provider: Arc<dyn Provider>,
        sink: Arc<ReplySink>,
        tier: Tier,
    ) -> Result<RunSummary, Error> {
        let workers = runtime::workers("judge")?;
        let prices = self.settings.prices.clone();
        let today = OffsetDateTime::now_utc().date();
        let price: Arc<Price<'static>> = Arc::new(move |model, usage| prices.cost_usd(model, usage, tier, today));
        let (sender, queue) = mpsc::channel(2 * self.settings.limits.concurrency);
        let live = LiveRun {
            target: provider,
            limits: self.limits(),
            price,
            keep: sink,
            progress: Arc::new(Silent),
            cancel: self.interrupt.token.clone(),
        };
        let running = workers.spawn(live.run(queue));
        for job in jobs {
            if sender.blocking_send(job).is_err() {
                break;
            }
        }
        drop(sender);
        runtime::wait(&workers, running, "the judge")
    }

    fn count(&mut self, end: RunSummary) {
        let usage = &mut self.usage;
        usage.requests += end.requests;
        usage.retries += end.retries;
        usage.tokens = usage.tokens.saturating_add(end.tokens);
        usage.cost_usd = usage.cost_usd.zip(end.cost_usd).map(|(sum, cost)| sum + cost);
        if end.ended != StopReason::Complete {
            usage.ended.get_or_insert(end.ended);
        }
    }

    /// The run's limits, and what was spent of them. An unknown price has ended the run before, if it must.
    fn limits(&self) -> Limits {
        Limits { taken: self.usage.add_to(self.spent_by_answers), ..self.limits.clone() }
    }
}

/// Stores replies, and keeps them at hand.
#[derive(Debug)]
struct ReplySink {
    writer: Writer,
    vectors: Option<VectorBatches>,
    received: Mutex<Replies>,
}

impl AnswerSink for ReplySink {
    async fn keep(&self, arrival: JobResult) -> Result<(), String> {
        let arrivals = match &self.vectors {
            None => vec![arrival],
            Some(vectors) => vectors.split(&arrival),
        };
        for arrival in arrivals {
            let (key, result) = (arrival.meta.key, arrival.result.clone());
            if result.is_ok() {
                self.writer.keep(arrival).await?;
            }
            let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
            received.insert(key, result);
        }
        Ok(())
    }
}

/// Progress is about answers, not about replies of judges.
#[derive(Debug)]
struct Silent;

impl Progress for Silent {
    fn on(&self, _: &Event) {}
}
