//! Models that judge: the second plan, over answers that are stored. Whatever checks want to ask of a judge is asked
//! through the run stage, under its limits and the run's budget, and every reply is stored, so that nothing is asked twice.

use super::Interrupt;
use super::Version;
use super::embeddings::Embedders;
use super::forecast::Expected;
use super::open_prompt;
use super::target::{BATCHED, OpenedTarget, service};
use crate::config::{Cache, JudgeSettings, Settings, TargetKind};
use crate::domain::{
    Answer, Arm, Arrival, CaseId, Event, Failure, FailureKind, Job, JudgeVerdict, Keep, Problem, Problems, Progress,
    Question, Request, digest,
};
use crate::error::Error;
use crate::plan::identity;
use crate::plan::price::Tier;
use crate::prompt::Library;
use crate::provider::gemini::{self, Delivery};
use crate::provider::{AnyTarget, ApiKey, Gemini, GeminiSettings, OpenAi, OpenAiSettings, Protocol, Target};
use crate::runner::{self, Ended, Limits, Price, RunEnd, Taken};
use crate::scoring::{self, Commands, ReplyCache, ScoredAnswer, Unscored};
use crate::store::{RunId, Store, Writer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use time::OffsetDateTime;
use tokio::sync::mpsc;

/// Questions can lead to further questions (`any` asks its second check when the first one has failed), so often.
pub(crate) const ROUNDS: usize = 8;

/// Characters of a judge's refusal that its failure quotes.
const REFUSAL_SHOWN: usize = 200;
/// The prompt of a judge that names none.
pub(crate) const BUILTIN: &str = include_str!("judge.prompt");

/// The judge that a check means that names none.
const DEFAULT: &str = "default";

/// The judges that the checks name.
#[derive(Debug, Default)]
pub(crate) struct Judges {
    by_name: BTreeMap<String, Judge>,
}

#[derive(Debug)]
struct Judge {
    target: Arc<AnyTarget>,
    /// What answers, in the identity of each reply.
    identity: String,
    /// The service alone, see [`OpenedTarget::service`].
    service: String,
    protocol: Protocol,
    prompt: Version,
}

/// What asking the judges came to, over a whole run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consulted {
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    /// Tokens of the replies, input and output.
    pub(crate) tokens: u64,
    /// Replies that were stored already.
    pub(crate) stored: u64,
    /// Of these, replies of another store.
    pub(crate) imported: u64,
    /// `None` when a price is not known.
    pub(crate) cost_usd: Option<f64>,
    /// Why no more is asked, if so.
    pub(crate) ended: Option<Ended>,
    /// A reply came from the simulator.
    pub(crate) simulated: bool,
    /// The models that served, by the judge's name.
    pub(crate) served: BTreeMap<String, BTreeSet<String>>,
}

/// Models that are remembered of each judge; more than that is no longer one judge in any case.
const SERVED: usize = 100;

/// Who a judge is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) model: String,
    pub(crate) prompt_sha256: String,
    /// Digest of service, model and prompt.
    pub(crate) sha256: String,
}

impl Consulted {
    /// Together with what answers took.
    pub(crate) fn beside(&self, answers: Taken) -> Taken {
        Taken {
            requests: answers.requests + self.requests,
            tokens: answers.tokens.saturating_add(self.tokens),
            cost_usd: answers.cost_usd + self.cost_usd.unwrap_or(0.0),
        }
    }
}

impl Judges {
    /// Opens the judges of these names.
    ///
    /// # Errors
    /// All mistakes: a judge that is not declared, or can't be asked.
    pub(crate) fn open(
        names: &BTreeSet<String>,
        settings: &Settings,
        library: &Library,
        run_target: Option<&OpenedTarget>,
    ) -> Result<Judges, Problems> {
        let mut by_name = BTreeMap::new();
        let mut problems = Problems::default();
        for name in names {
            match Judge::open(name, settings, library, run_target) {
                Ok(judge) => {
                    by_name.insert(name.clone(), judge);
                }
                Err(found) => problems.append(found),
            }
        }
        problems.or(Judges { by_name })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What asking a question would send, and at which tier it is priced; `None` for a question that can't be asked.
    pub(crate) fn foretold(&self, question: &Question) -> Option<(Request, Tier)> {
        let judge = self.by_name.get(&question.judge)?;
        let request = judge.request(question).ok()?;
        Some((request, judge.prompt.standard_tier()))
    }

    /// What a reply of each judge is expected to use, by earlier ones.
    ///
    /// # Errors
    /// The store can't be read.
    pub(crate) fn expected(&self, store: Option<&Store>) -> Result<BTreeMap<&str, Expected>, Error> {
        let mut all = BTreeMap::new();
        for (name, judge) in &self.by_name {
            let info = &judge.prompt.info;
            let earlier = match store {
                Some(store) => store.mean_reply(&info.name, &info.model, &judge.identity)?,
                None => None,
            };
            all.insert(name.as_str(), Expected { earlier });
        }
        Ok(all)
    }

    /// What the judges are: another model or prompt of a judge makes another test.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest_with(|judge| &judge.identity)
    }

    /// The same, in whichever way they are asked.
    pub(crate) fn same(&self) -> [u8; 32] {
        self.digest_with(|judge| &judge.service)
    }

    fn digest_with(&self, asked: impl Fn(&Judge) -> &String) -> [u8; 32] {
        let pieces = self.by_name.iter().flat_map(|(name, judge)| {
            let info = &judge.prompt.info;
            [name, asked(judge), &info.model, &info.sha256]
        });
        digest(pieces.map(|piece| piece.as_bytes()))
    }

    /// Who the judge of this name is, if it is open.
    pub(crate) fn identity(&self, name: &str) -> Option<Identity> {
        let judge = self.by_name.get(name)?;
        let info = &judge.prompt.info;
        let pieces = [&judge.identity, &info.model, &info.sha256];
        Some(Identity {
            model: info.model.clone(),
            prompt_sha256: info.sha256.clone(),
            sha256: super::hex(&digest(pieces.map(|piece| piece.as_bytes()))),
        })
    }

    /// Secrets of the judges' own.
    pub(crate) fn keys(settings: &Settings) -> impl Iterator<Item = &ApiKey> {
        settings.scoring.judges.values().filter_map(|judge| judge.key.as_ref())
    }
}

impl Judge {
    fn open(
        name: &str,
        settings: &Settings,
        library: &Library,
        run_target: Option<&OpenedTarget>,
    ) -> Result<Judge, Problems> {
        let written = settings.scoring.judges.get(name);
        if written.is_none() && name != DEFAULT {
            let problem = Problem::new(format!("a check names the judge `{name}`, which is not declared"))
                .did_you_mean(name, settings.scoring.judges.keys().map(String::as_str))
                .expected(format!("[judges.{name}] in promptgate.toml"));
            return Err(problem.into());
        }
        let at = |message: String| match written {
            Some(JudgeSettings { place, .. }) => Problem::at(place.clone(), format!("the judge `{name}`: {message}")),
            None => Problem::new(format!("the judge `{name}`: {message}")),
        };
        let own = written.filter(|judge| judge.target.is_some() || judge.base_url.is_some());
        let run_target = run_target.filter(|_| settings.provider.target != TargetKind::Recorded);
        let (target, identity, service, protocol) = match (own, run_target) {
            (None, None) => {
                return Err(at("recorded answers can't judge".to_owned())
                    .hint(format!("set target and model under [judges.{name}] in promptgate.toml"))
                    .into());
            }
            (None, Some(run_target)) => {
                let identity = run_target.identity.trim_end_matches(BATCHED).to_owned();
                let service = run_target.service.clone();
                (
                    Arc::clone(&run_target.target),
                    identity,
                    service,
                    settings.provider.target.protocol(),
                )
            }
            (Some(judge), _) => {
                let (target, identity, protocol) = own_target(judge, settings).map_err(|problem| {
                    let said = at(problem.message.clone());
                    Problem {
                        expected: problem.expected,
                        hint: problem.hint,
                        ..said
                    }
                })?;
                (target, identity.clone(), identity, protocol)
            }
        };
        let model = written.and_then(|judge| judge.model.clone()).unwrap_or_else(|| {
            let default = protocol.default_model().map(str::to_owned);
            match own {
                None => settings.arms.models.resolve(None),
                Some(_) => default.unwrap_or_default(),
            }
        });
        if let Some(message) = protocol.model_problem(&model) {
            return Err(at(message).into());
        }
        let prompt = match written.and_then(|judge| judge.prompt.as_deref()) {
            Some(path) => open_prompt(library, path, None, &|_| model.clone())?,
            None => {
                let prompt = Library::builtin("judge", BUILTIN)?;
                let info = crate::domain::PromptInfo {
                    name: prompt.name.clone(),
                    sha256: prompt.sha256.clone(),
                    model,
                    path: prompt.path.clone(),
                    file_sha256: prompt.file_sha256.clone(),
                };
                Version { prompt, info }
            }
        };
        for needed in ["rubric", "answer"] {
            if !prompt.prompt.variables().iter().any(|variable| variable.name == needed) {
                return Err(Problem::new(format!("{} never says {{{{{needed}}}}}", prompt.info.path))
                    .expected("a judge's prompt with rubric, answer and input; first, second, reference and scores as needed")
                    .into());
            }
        }
        Ok(Judge {
            target,
            identity,
            service,
            protocol,
            prompt,
        })
    }

    /// The job that asks a question. Its body holds no arm, so equal answers of both arms share one reply.
    fn job(&self, question: &Question) -> Result<Job, Failure> {
        let request = self.request(question)?;
        let body = self.protocol.body(&request);
        let key = identity(&self.identity, &request.model, &body, "judge", question.vote, None);
        Ok(Job {
            seq: 0,
            case: CaseId::new("judge"),
            arm: Arm::Candidate,
            repeat: question.vote,
            request: Arc::new(request),
            body: body.into(),
            key,
        })
    }

    fn request(&self, question: &Question) -> Result<Request, Failure> {
        let Version { prompt, info } = &self.prompt;
        let mut request = prompt
            .render(&info.model, &question.vars, &[])
            .map_err(|problem| unaskable(format!("the judge's prompt does not render: {problem}")))?;
        if request.contents.is_empty() {
            return Err(unaskable("the judge's prompt says nothing to the judge".to_owned()));
        }
        request.json_output = true;
        request.output_schema = Some(schema(question.verdict));
        Ok(request)
    }
}

/// The object that a judge has to reply with.
fn schema(verdict: JudgeVerdict) -> Value {
    let verdict_schema = match verdict {
        JudgeVerdict::PassOrFail => json!({"type": "boolean"}),
        JudgeVerdict::Score => json!({"type": "number", "minimum": 0, "maximum": 1}),
        JudgeVerdict::Preference => json!({"type": "string", "enum": ["first", "second", "equal"]}),
    };
    json!({
        "type": "object",
        "properties": {"reason": {"type": "string"}, verdict.as_str(): verdict_schema},
        "required": ["reason", verdict.as_str()],
        "additionalProperties": false,
    })
}

/// A target of a judge's own.
fn own_target(judge: &JudgeSettings, settings: &Settings) -> Result<(Arc<AnyTarget>, String, Protocol), Problem> {
    let kind = judge.target.unwrap_or(settings.provider.target);
    let concurrency = settings.limits.concurrency;
    match kind {
        TargetKind::OpenAi => {
            let base_url = judge.base_url.clone().ok_or_else(|| {
                Problem::new("the target `openai` has no base url").hint("set base_url, like http://localhost:11434/v1")
            })?;
            if judge.key.is_none() && !crate::provider::openai::is_local(&base_url)? {
                return Err(Problem::new("there is no key for it").hint("set OPENAI_API_KEY"));
            }
            let identity = format!("openai {}", base_url.trim_end_matches('/'));
            let target = OpenAi::new(&OpenAiSettings {
                base_url,
                key: judge.key.clone(),
                concurrency,
            })?;
            Ok((Arc::new(AnyTarget::OpenAi(target)), identity, Protocol::OpenAi))
        }
        TargetKind::Gemini | TargetKind::Sim => {
            // The run's key only if it is one for the same service.
            let runs = settings
                .provider
                .key
                .clone()
                .filter(|_| settings.provider.target == TargetKind::Gemini);
            let key = judge.key.clone().or(runs).filter(|_| kind == TargetKind::Gemini);
            if kind == TargetKind::Gemini && key.is_none() && settings.run.cache != Cache::Only {
                return Err(Problem::new("there is no key for it").hint("set GEMINI_API_KEY"));
            }
            let url = match (&judge.base_url, kind) {
                (Some(url), _) => url.clone(),
                (None, TargetKind::Gemini) => gemini::BASE_URL.to_owned(),
                (None, _) => {
                    return Err(Problem::new("a simulator that judges needs an address")
                        .hint("set base_url to that of `promptgate sim`"));
                }
            };
            let identity = service(kind.as_str(), &url, gemini::VERSION);
            let target = Gemini::new(&GeminiSettings {
                base_url: url,
                version: gemini::VERSION.to_owned(),
                delivery: Delivery::Whole,
                key,
                renewal: None,
                timeout: settings.limits.timeout,
                concurrency,
                simulated: false,
            })?;
            Ok((Arc::new(AnyTarget::Gemini(target)), identity, Protocol::Gemini))
        }
        TargetKind::Vertex | TargetKind::Recorded => {
            Err(Problem::new("it has a base url, but no target that takes one").hint("set target"))
        }
    }
}

fn unaskable(message: String) -> Failure {
    Failure {
        kind: FailureKind::Matcher,
        code: "judge_prompt".to_owned(),
        message,
    }
}

/// Asks judges for as long as the run's limits allow.
pub(crate) struct Asker<'a> {
    pub(crate) judges: &'a Judges,
    pub(crate) embedders: &'a Embedders,
    pub(crate) settings: &'a Settings,
    pub(crate) store: &'a Store,
    /// Of the whole run, answers included.
    pub(crate) limits: Limits,
    /// What the answers took of it.
    pub(crate) answers_took: Taken,
    /// The run whose answers are judged.
    pub(crate) run: RunId,
    pub(crate) interrupt: &'a Interrupt,
    /// What asking came to so far.
    pub(crate) so_far: Consulted,
}

impl Asker<'_> {
    /// Gets replies to these questions, and notes them.
    ///
    /// # Errors
    /// The store can't be used.
    pub(crate) fn ask(&mut self, questions: Vec<Question>, asking: &mut ReplyCache) -> Result<(), Error> {
        let mut by_judge: BTreeMap<&str, Vec<(Question, Job)>> = BTreeMap::new();
        for question in questions {
            let Some((name, judge)) = self.judges.by_name.get_key_value(&question.judge) else {
                let message = format!("the judge `{}` is not there", question.judge);
                asking.note(&question, Err(unaskable(message)));
                continue;
            };
            match judge.job(&question) {
                Ok(job) => by_judge.entry(name).or_default().push((question, job)),
                Err(failure) => asking.note(&question, Err(failure)),
            }
        }
        for (name, asked) in by_judge {
            if let Some(judge) = self.judges.by_name.get(name) {
                self.ask_one(judge, asked, asking)?;
            }
        }
        Ok(())
    }

    fn ask_one(&mut self, judge: &Judge, asked: Vec<(Question, Job)>, asking: &mut ReplyCache) -> Result<(), Error> {
        let mut open = Vec::new();
        for (question, job) in asked {
            match self.stored(judge, &job)? {
                Some((answer, imported)) => {
                    self.so_far.stored += 1;
                    self.so_far.imported += u64::from(imported);
                    self.note(&question, Ok(answer), asking);
                }
                None => open.push((question, job)),
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let replies = match self.unasked() {
            Some(failure) => Err(failure),
            None => Ok(self.run(judge, open.iter().map(|(_, job)| job.clone()).collect())?),
        };
        for (question, job) in open {
            let reply = match &replies {
                Ok(replies) => replies.get(&job.key).cloned().unwrap_or_else(|| Err(self.left_out())),
                Err(failure) => Err(failure.clone()),
            };
            self.note(&question, reply, asking);
        }
        Ok(())
    }

    /// A reply of an earlier run, and whether it was imported.
    fn stored(&self, judge: &Judge, job: &Job) -> Result<Option<(Answer, bool)>, Error> {
        match self.settings.run.cache {
            Cache::Use | Cache::Only => Ok(self.store.reply(self.run, &judge.prompt.info.name, job)?),
            Cache::Refresh | Cache::Off => Ok(None),
        }
    }

    /// Why nothing may be asked, if so.
    pub(crate) fn unasked(&self) -> Option<Failure> {
        if self.settings.run.cache == Cache::Only {
            return Some(Failure {
                kind: FailureKind::Missing,
                code: "not_cached".to_owned(),
                message: "no stored reply of the judge, and --cache only sends nothing".to_owned(),
            });
        }
        (self.so_far.ended.is_some() || self.interrupt.code().is_some()).then(|| self.left_out())
    }

    pub(crate) fn left_out(&self) -> Failure {
        let why = match &self.so_far.ended {
            Some(Ended::Budget(reason)) => reason.clone(),
            Some(Ended::Stopped(failure)) => failure.message.clone(),
            Some(Ended::StoreFailed(reason)) => reason.clone(),
            Some(Ended::Complete | Ended::Interrupted) | None => "the run was interrupted".to_owned(),
        };
        Failure {
            kind: FailureKind::Missing,
            code: "judge_not_asked".to_owned(),
            message: format!("the judge was not asked: {why}"),
        }
    }

    /// Reads an answer as a reply. One that is cut off, blocked or empty is none.
    fn note(&mut self, question: &Question, reply: Result<Answer, Failure>, asking: &mut ReplyCache) {
        let reply = reply.and_then(|answer| {
            self.so_far.simulated |= answer.simulated;
            let refused = answer.details.as_ref().and_then(|details| details.refusal.as_deref());
            let refused = refused.map(|refusal| {
                format!(
                    "it is refused: {}",
                    refusal.chars().take(REFUSAL_SHOWN).collect::<String>()
                )
            });
            if let Some(model) = &answer.model_version {
                let served = self.so_far.served.entry(question.judge.clone()).or_default();
                if served.len() < SERVED {
                    served.insert(model.clone());
                }
            }
            let calls = (!answer.tool_calls.is_empty()).then(|| "it calls functions instead of judging".to_owned());
            match answer.unusable().or(refused).or(calls) {
                None => Ok(answer.text),
                Some(reason) => Err(Failure {
                    kind: FailureKind::Matcher,
                    code: "judge_unusable".to_owned(),
                    message: reason,
                }),
            }
        });
        asking.note(question, reply);
    }

    /// Sends what is not stored.
    fn run(&mut self, judge: &Judge, open: Vec<Job>) -> Result<HashMap<[u8; 32], Result<Answer, Failure>>, Error> {
        let reusable = self.settings.run.cache != Cache::Off;
        let keep = Arc::new(Gathering {
            writer: self
                .store
                .replies(self.run, &judge.prompt.info.name, &judge.identity, reusable)?,
            got: Mutex::default(),
        });
        let end = self.send(
            open,
            Arc::clone(&judge.target),
            Arc::clone(&keep),
            judge.prompt.standard_tier(),
        )?;
        self.count(end);
        let Some(Gathering { writer, got }) = Arc::into_inner(keep) else {
            return Err(Error::StoreFailed(Problem::new("the store's writer is still in use")));
        };
        writer
            .finish()
            .map_err(|message| Error::StoreFailed(Problem::new(message)))?;
        Ok(got.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks a target through the run stage, within what is left of the run's limits.
    pub(crate) fn send<T: Target, K: Keep>(
        &self,
        jobs: Vec<Job>,
        target: Arc<T>,
        keep: Arc<K>,
        tier: Tier,
    ) -> Result<RunEnd, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("judge")
            .enable_all()
            .build()
            .map_err(|error| Problem::new(format!("the runtime can't start: {error}")))?;
        let prices = self.settings.prices.clone();
        let today = OffsetDateTime::now_utc().date();
        let price: Arc<Price<'static>> = Arc::new(move |model, usage| prices.cost_usd(model, usage, tier, today));
        let (sending, queue) = mpsc::channel(2 * self.settings.limits.concurrency);
        let running = runtime.spawn(runner::run(
            queue,
            Arc::clone(&target),
            self.limits(),
            price,
            keep,
            Arc::new(Silent) as Arc<dyn Progress>,
            self.interrupt.token.clone(),
        ));
        for job in jobs {
            if sending.blocking_send(job).is_err() {
                break;
            }
        }
        drop(sending);
        match runtime.block_on(running) {
            Ok(end) => Ok(end),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(Error::StoreFailed(Problem::new(format!(
                    "the judge was aborted: {error}"
                )))),
            },
        }
    }

    /// Adds what asking took.
    pub(crate) fn count(&mut self, end: RunEnd) {
        self.so_far.requests += end.requests;
        self.so_far.retries += end.retries;
        self.so_far.tokens = self.so_far.tokens.saturating_add(end.tokens);
        self.so_far.cost_usd = match (self.so_far.requests == end.requests, self.so_far.cost_usd, end.cost_usd) {
            (true, _, cost) => cost,
            (false, Some(sum), Some(cost)) => Some(sum + cost),
            (false, _, _) => None,
        };
        if end.ended != Ended::Complete {
            self.so_far.ended.get_or_insert(end.ended);
        }
    }

    /// The run's limits, and what was taken of them. An unknown price has ended the run before, if it must.
    fn limits(&self) -> Limits {
        let Taken {
            requests,
            tokens,
            cost_usd,
        } = self.answers_took;
        Limits {
            taken: Taken {
                requests: requests + self.so_far.requests,
                tokens: tokens + self.so_far.tokens,
                cost_usd: cost_usd + self.so_far.cost_usd.unwrap_or(0.0),
            },
            ..self.limits.clone()
        }
    }

    /// Judges a batch; whatever its checks want to ask of judges is asked in between.
    ///
    /// # Errors
    /// The store can't be used.
    pub(crate) fn judge(
        &mut self,
        batch: &[Unscored<'_>],
        commands: &Commands,
    ) -> Result<Vec<Vec<Option<ScoredAnswer>>>, Error> {
        // What commands say of this batch is kept while it is judged again and again.
        commands.forget();
        let mut asking = ReplyCache::default();
        let mut judgements = scoring::score(batch, commands, &asking);
        for _ in 0..ROUNDS {
            let (questions, meanings) = asking.take_missing();
            if questions.is_empty() && meanings.is_empty() {
                break;
            }
            self.ask(questions, &mut asking)?;
            self.embed(meanings, &mut asking)?;
            judgements = scoring::score(batch, commands, &asking);
        }
        Ok(judgements)
    }
}

/// Keeps replies in the store and at hand.
#[derive(Debug)]
struct Gathering {
    writer: Writer,
    got: Mutex<HashMap<[u8; 32], Result<Answer, Failure>>>,
}

impl Keep for Gathering {
    async fn keep(&self, arrival: Arrival) -> Result<(), String> {
        let (key, result) = (arrival.asked.key, arrival.result.clone());
        if result.is_ok() {
            self.writer.keep(arrival).await?;
        }
        self.got
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, result);
        Ok(())
    }
}

/// Progress is told of the answers, not of the replies of judges.
#[derive(Debug)]
struct Silent;

impl Progress for Silent {
    fn on(&self, _: &Event) {}
}
