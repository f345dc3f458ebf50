//! The models that judge, each with its prompt and its target. `judge_client` sends their requests.

use super::target::{limits_of, run_service};
use super::versions::{Version, open_prompt};
use crate::config::{JudgeSettings, Settings};
use crate::domain::{
    Arm, CaseId, Failure, FailureKind, Job, Problem, Problems, Question, ReplyForm, Request, digest, hex,
};
use crate::error::Error;
use crate::plan::identity;
use crate::plan::price::Tier;
use crate::prompt::Library;
use crate::provider::{ApiKey, OwnService, Purpose, ServiceConfig, Target};
use crate::runner::{Spend, StopReason};
use crate::store::Store;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The prompt of a judge that names none.
pub(crate) const BUILTIN: &str = include_str!("judge.prompt");

/// The judge that a check means that names none.
const DEFAULT: &str = "default";

#[derive(Debug, Default)]
pub(crate) struct Judges {
    pub(super) by_name: BTreeMap<String, Judge>,
}

/// A model with the prompt by which it judges.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) target: Target,
    pub(super) prompt: Version,
}

/// What judges were used for and cost, over a whole run.
#[derive(Clone, Debug, Default)]
pub(crate) struct JudgeUsage {
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
    /// Why no more requests are sent, if so.
    pub(crate) ended: Option<StopReason>,
    /// A reply came from the simulator.
    pub(crate) simulated: bool,
    /// The models that served, by the judge's name.
    pub(crate) served: BTreeMap<String, BTreeSet<String>>,
}

/// What makes a judge the one that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JudgeIdentity {
    pub(crate) model: String,
    pub(crate) prompt_sha256: String,
    /// Digest of service, model and prompt.
    pub(crate) sha256: String,
}

impl JudgeUsage {
    /// No requests, and so no costs.
    pub(crate) fn none() -> JudgeUsage {
        JudgeUsage { cost_usd: Some(0.0), ..JudgeUsage::default() }
    }

    /// Together with what answers took.
    pub(crate) fn add_to(&self, answers: Spend) -> Spend {
        Spend {
            requests: answers.requests + self.requests,
            tokens: answers.tokens.saturating_add(self.tokens),
            cost_usd: answers.cost_usd + self.cost_usd.unwrap_or(0.0),
        }
    }
}

/// Mean output tokens of earlier replies, and how many there were; `None` without any.
type MeanReply = Option<(f64, u64)>;

impl Judges {
    /// Opens the judges of these names.
    pub(crate) fn open(
        names: &BTreeSet<String>,
        settings: &Settings,
        library: &Library,
        run_target: Option<&Target>,
    ) -> Result<Judges, Problems> {
        let by_name = open_each(names, |name| Judge::open(name, settings, library, run_target))?;
        Ok(Judges { by_name })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The request that a question would send, and its tier; `None` for a question that can't be sent.
    pub(crate) fn forecast(&self, question: &Question) -> Option<(Request, Tier)> {
        let judge = self.by_name.get(&question.judge)?;
        let request = judge.request(question).ok()?;
        Some((request, judge.prompt.standard_tier()))
    }

    /// Mean output tokens of each judge's earlier replies, and how many there were.
    pub(crate) fn mean_replies(&self, store: Option<&Store>) -> Result<BTreeMap<&str, MeanReply>, Error> {
        let mut all = BTreeMap::new();
        for (name, judge) in &self.by_name {
            let info = &judge.prompt.info;
            let earlier = match store {
                Some(store) => store.mean_reply(&info.name, &info.model, &judge.target.identity)?,
                None => None,
            };
            all.insert(name.as_str(), earlier);
        }
        Ok(all)
    }

    /// What the judges are: another model or prompt of a judge makes another test.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest_with(|judge| &judge.target.identity)
    }

    /// The same, in whichever way they are asked.
    pub(crate) fn same(&self) -> [u8; 32] {
        self.digest_with(|judge| &judge.target.service)
    }

    fn digest_with(&self, identity: impl Fn(&Judge) -> &String) -> [u8; 32] {
        let pieces = self.by_name.iter().flat_map(|(name, judge)| {
            let info = &judge.prompt.info;
            [name, identity(judge), &info.model, &info.sha256]
        });
        digest(pieces.map(|piece| piece.as_bytes()))
    }

    pub(crate) fn identity(&self, name: &str) -> Option<JudgeIdentity> {
        let judge = self.by_name.get(name)?;
        let info = &judge.prompt.info;
        let pieces = [&judge.target.identity, &info.model, &info.sha256];
        Some(JudgeIdentity {
            model: info.model.clone(),
            prompt_sha256: info.sha256.clone(),
            sha256: hex(digest(pieces.map(|piece| piece.as_bytes()))),
        })
    }

    pub(crate) fn keys(settings: &Settings) -> impl Iterator<Item = &ApiKey> {
        settings.scoring.judges.values().filter_map(|judge| judge.key.as_ref())
    }
}

impl Judge {
    fn open(
        name: &str,
        settings: &Settings,
        library: &Library,
        run_target: Option<&Target>,
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
        let run_target = run_target.filter(|_| !settings.provider.target.def().replays);
        let (target, default_model) = match (own, run_target) {
            (None, None) => {
                return Err(at("recorded answers can't judge".to_owned())
                    .hint(format!("set target and model under [judges.{name}] in promptgate.toml"))
                    .into());
            }
            (None, Some(run_target)) => (run_target.unbatched(), settings.arms.models.resolve(None)),
            (Some(judge), _) => {
                let placed = |problem: &Problem| Problem {
                    expected: problem.expected.clone(),
                    hint: problem.hint.clone(),
                    ..at(problem.message.clone())
                };
                let (target, model) = own_target(judge, settings).map_err(|found| {
                    let mut problems = Problems::default();
                    problems.extend(found.iter().map(placed));
                    problems
                })?;
                (target, model.unwrap_or_default().to_owned())
            }
        };
        let model = written.and_then(|judge| judge.model.clone()).unwrap_or(default_model);
        if let Some(message) = target.encoder.model_problem(&model) {
            return Err(at(message).into());
        }
        let prompt = match written.and_then(|judge| judge.prompt.as_deref()) {
            Some(path) => open_prompt(library, path, None, &|_| model.clone())?,
            None => Version::new(Library::builtin("judge", BUILTIN)?, model),
        };
        for needed in ["rubric", "answer"] {
            if !prompt.prompt.variables().iter().any(|variable| variable.name == needed) {
                return Err(Problem::new(format!("{} never says {{{{{needed}}}}}", prompt.info.path))
                    .expected(
                        "a judge's prompt with rubric, answer and input; first, second, reference and scores as needed",
                    )
                    .into());
            }
        }
        Ok(Judge { target, prompt })
    }

    /// The job that asks a question. Its body holds no arm, so equal answers of both arms share one reply.
    pub(super) fn job(&self, question: &Question) -> Result<Job, Failure> {
        let request = self.request(question)?;
        let body = self.target.encoder.body(&request);
        let key = identity(&self.target.identity, &request.model, &body, "judge", question.vote, None);
        Ok(Job {
            seq: 0,
            case: CaseId::new("judge"),
            arm: Arm::Candidate,
            repeat: question.vote,
            request: Arc::new(request),
            body: body.into(),
            later: Vec::new(),
            key,
        })
    }

    pub(super) fn request(&self, question: &Question) -> Result<Request, Failure> {
        let Version { prompt, info } = &self.prompt;
        let mut request = prompt
            .render(&info.model, &question.vars, &[])
            .map_err(|problem| invalid_question(format!("the judge's prompt does not render: {problem}")))?;
        if request.contents.is_empty() {
            return Err(invalid_question("the judge's prompt says nothing to the judge".to_owned()));
        }
        request.json_output = true;
        request.output_schema = Some(schema(question.verdict));
        Ok(request)
    }
}

/// Opens the models of these names, or returns all mistakes.
pub(super) fn open_each<T, E: Into<Problems>>(
    names: &BTreeSet<String>,
    open: impl Fn(&str) -> Result<T, E>,
) -> Result<BTreeMap<String, T>, Problems> {
    let mut by_name = BTreeMap::new();
    let mut problems = Problems::default();
    for name in names {
        match open(name) {
            Ok(model) => drop(by_name.insert(name.clone(), model)),
            Err(found) => problems.append(found.into()),
        }
    }
    problems.or(by_name)
}

/// The object that a judge has to reply with.
fn schema(verdict: ReplyForm) -> Value {
    let verdict_schema = match verdict {
        ReplyForm::PassOrFail => json!({"type": "boolean"}),
        ReplyForm::Score => json!({"type": "number", "minimum": 0, "maximum": 1}),
        ReplyForm::Preference => json!({"type": "string", "enum": ["first", "second", "equal"]}),
    };
    json!({
        "type": "object",
        "properties": {"reason": {"type": "string"}, verdict.as_str(): verdict_schema},
        "required": ["reason", verdict.as_str()],
        "additionalProperties": false,
    })
}

/// A target of a judge's own, and the model where the judge names none.
fn own_target(judge: &JudgeSettings, settings: &Settings) -> Result<(Target, Option<&'static str>), Problems> {
    let own = OwnService { target: judge.target, base_url: judge.base_url.clone(), key: judge.key.clone() };
    let service = ServiceConfig::find(Purpose::Judge, own, run_service(settings, None), limits_of(settings))?;
    Ok((service.open()?, service.def.default_model))
}

pub(super) fn invalid_question(message: String) -> Failure {
    Failure { kind: FailureKind::Matcher, code: "judge_prompt".to_owned(), message }
}
