//! Options, environment, promptgate.toml and defaults, merged into typed settings.
//!
//! [`layers`] reads each place as texts with their origin; this file gives every setting its type, bounds and default, so
//! that a mistake has the same words wherever it was written; [`key`] finds the key; [`prices`] reads the user's own prices.
//!
//! Precedence: option, environment, front matter of the prompt (model and generation settings), file, default.

mod key;
mod layers;
mod prices;

pub use layers::{Environment, Layer, Origin, Written};

use crate::model::{Policy, Problem, Problems};
use crate::plan::price::Prices;
use crate::plan::{Selection, Shard};
use crate::run::gemini::{self, Delivery};
use crate::run::vertex::Place;
use crate::run::{ApiKey, Protocol, RetryPolicy, openai, vertex};
use key::KeyState;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `--baseline` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// `none`: gate on an absolute pass rate.
    None,
    /// A prompt.
    Prompt(String),
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// The Gemini API.
    Gemini,
    /// Gemini models on Vertex AI.
    Vertex,
    /// A service that completes chats as OpenAI does.
    OpenAi,
    /// The built-in simulator, or one at a base URL.
    Sim,
    /// Files of recorded answers.
    Recorded,
}

impl TargetKind {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetKind::Gemini => "gemini",
            TargetKind::Vertex => "vertex",
            TargetKind::OpenAi => "openai",
            TargetKind::Sim => "sim",
            TargetKind::Recorded => "recorded",
        }
    }

    /// How it is written to. Recorded answers were once asked of the Gemini API, as far as anyone can tell.
    pub fn protocol(self) -> Protocol {
        match self {
            TargetKind::Gemini | TargetKind::Sim | TargetKind::Recorded => Protocol::Gemini,
            TargetKind::Vertex => Protocol::Vertex,
            TargetKind::OpenAi => Protocol::OpenAi,
        }
    }

    /// The variable in which the official SDKs look for a base URL. A simulator is never looked for where a service is
    /// said to be.
    fn base_url_variable(self) -> Option<&'static str> {
        match self {
            TargetKind::Gemini => Some("GOOGLE_GEMINI_BASE_URL"),
            TargetKind::Vertex => Some("GOOGLE_VERTEX_BASE_URL"),
            TargetKind::OpenAi => Some("OPENAI_BASE_URL"),
            TargetKind::Sim | TargetKind::Recorded => None,
        }
    }

    fn parse(text: &str) -> Result<TargetKind, String> {
        word(
            text,
            &[
                ("gemini", TargetKind::Gemini),
                ("vertex", TargetKind::Vertex),
                ("openai", TargetKind::OpenAi),
                ("sim", TargetKind::Sim),
                ("recorded", TargetKind::Recorded),
            ],
        )
    }
}

/// How stored answers are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// A stored answer is used; others are asked and stored.
    Use,
    /// Everything is asked and stored.
    Refresh,
    /// Stored answers are neither used nor added.
    Off,
    /// Nothing is asked; an answer that is not stored is an error outcome.
    Only,
}

/// An earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// The newest of the same candidate.
    Newest,
    /// The one with this number.
    Number(i64),
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Everything `eval` needs, typed and within bounds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Project root: holds prompts/, .promptgate/, and bounds all paths that come from data.
    pub root: PathBuf,
    /// Green, as typed.
    pub prompt: String,
    /// Blue, as typed.
    pub baseline: Baseline,
    /// Golden files and folders.
    pub golden: Vec<PathBuf>,
    /// Which cases take part.
    pub selection: Selection,
    /// Samples per case and arm; 1..=1000.
    pub repeat: u32,
    /// What answers.
    pub target: TargetKind,
    /// The simulator stands in because no key is set on a person's machine.
    pub fallback: bool,
    /// The models that are named.
    pub models: ModelChoice,
    /// Base URL of the target.
    pub base_url: Option<String>,
    /// Version of the API: v1beta, v1, ...
    pub api_version: String,
    /// Whether answers are streamed.
    pub delivery: Delivery,
    /// Recorded answers.
    pub answers: Vec<PathBuf>,
    /// The key of the target, if it has one.
    pub key: Option<ApiKey>,
    /// Whose resources answer, and where, for the target `vertex`.
    pub place: Option<Place>,
    /// The file that the key came from: read once more when the key is refused.
    pub key_file: Option<PathBuf>,
    /// Requests at once; 1..=1024.
    pub concurrency: usize,
    /// Requests a minute.
    pub rpm: Option<u32>,
    /// Input tokens a minute.
    pub tpm: Option<u32>,
    /// Per attempt.
    pub timeout: Duration,
    /// Attempts beyond the first; 0..=100.
    pub retries: u32,
    /// How long to wait between attempts.
    pub retry: RetryPolicy,
    /// Dollars after which nothing more is asked.
    pub max_cost: Option<f64>,
    /// Requests, retries included, after which nothing more is asked.
    pub max_requests: Option<u64>,
    /// Tokens of answers, input and output, after which nothing more is asked.
    pub max_tokens: Option<u64>,
    /// What tokens cost.
    pub prices: Prices,
    /// How stored answers are used.
    pub cache: Cache,
    /// Continue the newest unfinished run of the same plan.
    pub resume: bool,
    /// Only the cases that failed in an earlier run.
    pub failed: Option<Earlier>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Decide; false with `--no-gate`.
    pub gated: bool,
    /// Only the last line.
    pub quiet: bool,
    /// When to colour.
    pub color: Color,
    /// The rules of the verdict.
    pub policy: Policy,
    /// Things worth a word that stop nothing.
    pub warnings: Vec<Problem>,
}

/// The variable of the official SDKs.
const GOOGLE_API_VERSION: &str = "GOOGLE_GENAI_API_VERSION";

/// The models that settings name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelChoice {
    /// Of option or environment: wins over front matter.
    wins: Option<String>,
    /// Of promptgate.toml: loses against front matter.
    loses: Option<String>,
    /// The target's own.
    default: Option<&'static str>,
}

impl ModelChoice {
    /// The model for a prompt with this front matter model; empty when nothing names one and the target has no default.
    pub fn resolve(&self, front_matter: Option<&str>) -> String {
        let model = self.wins.as_deref().or(front_matter).or(self.loses.as_deref());
        model.or(self.default).unwrap_or_default().to_owned()
    }
}

/// The layers of one call, by precedence, before they have types.
#[derive(Debug)]
pub struct Layers {
    root: PathBuf,
    layers: [Layer; 3],
    environment: Environment,
    /// Mistakes of the file.
    problems: Problems,
    warnings: Vec<Problem>,
}

impl Layers {
    /// Reads environment and file below the options. `config` is the file named by `--config`. Mistakes of the file are
    /// kept for [`Layers::check`] and [`Layers::settle`], because the output folder has to be known all the same.
    pub fn read(root: &Path, options: Layer, config: Option<&str>, environment: Environment) -> Layers {
        let (variables, warnings) = Layer::from_environment(&environment);
        let shown = config.unwrap_or("promptgate.toml");
        let mut problems = Problems::default();
        let file = Layer::from_file(&root.join(shown), shown, config.is_some(), &mut problems);
        Layers {
            root: root.to_owned(),
            layers: [options, variables, file],
            environment,
            problems,
            warnings,
        }
    }

    /// For commands that need few settings: the file has no mistake.
    ///
    /// # Errors
    /// All mistakes of the file.
    pub fn check(self) -> Result<Layers, Problems> {
        self.problems.clone().or(self)
    }

    /// The output folder, which is cleared before anything else is looked at.
    pub fn out(&self) -> PathBuf {
        self.under_root(self.get("out").map_or("reports", |written| written.values[0].as_str()))
    }

    /// A path below the root, as the user would type it.
    fn under_root(&self, path: &str) -> PathBuf {
        if self.root == Path::new(".") {
            PathBuf::from(path)
        } else {
            self.root.join(path)
        }
    }

    /// Green and blue as written, for commands that only look at prompts.
    pub fn versions(&self) -> (Option<&str>, Option<&str>) {
        let value = |key| self.get(key).map(|written| written.values[0].as_str());
        (value("prompt"), value("baseline"))
    }

    /// The golden files and folders.
    pub fn golden(&self) -> Vec<PathBuf> {
        self.get("golden").map_or_else(
            || vec![self.under_root("golden")],
            |golden| golden.values.iter().map(|path| self.under_root(path)).collect(),
        )
    }

    /// The key of the environment, if there is a usable one: what must not be written by commands that need no key.
    pub fn key(&self) -> Option<ApiKey> {
        match key::find(&self.environment) {
            KeyState::Present(text, _) => ApiKey::new(&text).ok(),
            KeyState::Unusable(_) | KeyState::Absent => None,
        }
    }

    /// The project root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The models that are named.
    pub fn models(&self) -> ModelChoice {
        let [options, variables, file] = &self.layers;
        let value = |layer: &Layer| layer.get("model").map(|written| written.values[0].clone());
        ModelChoice {
            wins: value(options).or_else(|| value(variables)),
            loses: value(file),
            default: self.target().unwrap_or(TargetKind::Gemini).protocol().default_model(),
        }
    }

    fn get(&self, key: &str) -> Option<&Written> {
        self.layers.iter().find_map(|layer| layer.get(key))
    }

    /// Gives every setting its type.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn settle(self) -> Result<Settings, Problems> {
        let mut problems = self.problems.clone();
        let mut read = Reader {
            layers: &self,
            problems: &mut problems,
        };
        let prompt = read.text("prompt");
        let baseline = read.text("baseline");
        let repeat = read.number("repeat", 1, 1000).unwrap_or(3) as u32;
        let concurrency = read.number("concurrency", 1, 1024).unwrap_or(16) as usize;
        let limit = read.number("limit", 1, u64::MAX);
        let rpm = read.number("rpm", 1, 1_000_000).map(|rpm| rpm as u32);
        let tpm = read.number("tpm", 1, u64::from(u32::MAX)).map(|tpm| tpm as u32);
        let retries = read.number("retries", 0, 100).unwrap_or(8) as u32;
        let retry = read.retry();
        let max_requests = read.number("max_requests", 1, u64::MAX);
        let max_tokens = read.number("max_tokens", 1, u64::MAX);
        let max_cost = read.fraction("max_cost", |cost| cost > 0.0, "US dollars, more than 0");
        let timeout = read.parsed("timeout", duration).unwrap_or(Duration::from_secs(60));
        let shard = read.parsed("shard", |text| text.parse::<Shard>());
        let cache = read.parsed("cache", |text| {
            word(
                text,
                &[
                    ("use", Cache::Use),
                    ("refresh", Cache::Refresh),
                    ("off", Cache::Off),
                    ("only", Cache::Only),
                ],
            )
        });
        let color = read.parsed("color", |text| {
            word(
                text,
                &[
                    ("auto", Color::Auto),
                    ("always", Color::Always),
                    ("never", Color::Never),
                ],
            )
        });
        let target = read.parsed("target", TargetKind::parse);
        let (api_version, delivery) = read.call(target.unwrap_or(TargetKind::Gemini));
        let strict_model = read.flag("strict_model");
        let resume = read.flag("resume");
        let failed = read.parsed("failed", |text| match text {
            "newest" => Ok(Earlier::Newest),
            number => match number.parse() {
                Ok(number) if number > 0 => Ok(Earlier::Number(number)),
                _ => Err(format!(
                    "`{number}` is not the number of a run; expected a whole number, or nothing for the newest"
                )),
            },
        });
        let dry_run = read.flag("dry_run");
        let gated = !read.flag("no_gate");
        let quiet = read.flag("quiet");
        let number = |text: &str| text.parse::<f64>().map_err(|_| format!("`{text}` is not a number"));
        let policy = Policy {
            margin: read.parsed("margin", number).unwrap_or(0.05),
            tolerance: read.parsed("tolerance", number).unwrap_or(0.01),
            alpha: read.parsed("alpha", number).unwrap_or(0.05),
            min_pass_rate: read.parsed("min_pass_rate", number),
            estimand: "population",
            max_missing: 0.05,
            strict_model,
        };
        if let Err(found) = policy.check() {
            for problem in found.iter() {
                let written = ["margin", "tolerance", "alpha", "min_pass_rate"]
                    .into_iter()
                    .find(|key| problem.message.starts_with(&format!("`{key}`")))
                    .and_then(|key| self.get(key));
                problems.push(match written {
                    Some(written) => Problem {
                        expected: problem.expected.clone(),
                        hint: problem.hint.clone(),
                        ..written.origin.problem(&problem.message)
                    },
                    None => problem.clone(),
                });
            }
        }
        let Some(prompt) = prompt else {
            problems.push(
                Problem::new("no prompt is named").hint("give --prompt NAME, or set `candidate` in promptgate.toml"),
            );
            return Err(problems);
        };
        let baseline = match baseline.as_deref() {
            Some("none") => Baseline::None,
            Some(name) => Baseline::Prompt(name.to_owned()),
            None => {
                problems.push(Problem::new("no baseline is named").hint(
                    "give --baseline NAME, or set `baseline` in promptgate.toml; `none` gates on --min-pass-rate instead",
                ));
                return Err(problems);
            }
        };
        if baseline != Baseline::None && policy.min_pass_rate.is_some() {
            problems.push(
                Problem::new("--min-pass-rate plays no part beside a baseline, so it would promise what nobody checks")
                    .hint("leave it out, or compare with nothing: --baseline none"),
            );
        }
        if baseline == Baseline::None && gated && policy.min_pass_rate.is_none() {
            problems.push(
                Problem::new("without a baseline there is nothing to compare with")
                    .expected("--min-pass-rate, the pass rate that must be exceeded")
                    .hint("give --min-pass-rate 0.9, say, or --no-gate for no decision"),
            );
        }
        let base_url = self.base_url(target.unwrap_or(TargetKind::Gemini));
        let place = match self.place(target) {
            Ok(place) => place,
            Err(found) => {
                problems.append(found);
                return Err(problems);
            }
        };
        let answers: Vec<PathBuf> = self.get("answers").map_or_else(Vec::new, |written| {
            written.values.iter().map(|path| self.under_root(path)).collect()
        });
        let offline = cache == Some(Cache::Only);
        let answerer = match self.answerer(target, base_url.as_deref(), place.as_ref(), &answers, offline) {
            Ok(answerer) => answerer,
            Err(problem) => {
                problems.push(problem);
                return Err(problems);
            }
        };
        let list = |key| {
            self.get(key)
                .map_or_else(Default::default, |written| written.values.iter().cloned().collect())
        };
        let models = self.models();
        let Answerer {
            target,
            fallback,
            key,
            key_file,
        } = answerer;
        problems.or(Settings {
            prompt,
            baseline,
            golden: self.golden(),
            selection: Selection {
                cases: list("case"),
                failed: None,
                tags: list("tag"),
                limit,
                shard,
            },
            repeat,
            target,
            fallback,
            models,
            base_url,
            api_version,
            delivery,
            answers,
            key,
            place,
            key_file,
            concurrency,
            rpm,
            tpm,
            timeout,
            retries,
            retry,
            max_cost,
            max_requests,
            max_tokens,
            prices: Prices::with_own(self.layers[2].prices().clone()),
            cache: cache.unwrap_or(Cache::Use),
            resume,
            failed,
            dry_run,
            gated,
            quiet,
            color: color.unwrap_or(Color::Auto),
            policy,
            warnings: self.warnings,
            root: self.root,
        })
    }

    /// The base URL of a target, if one is set: option, `PROMPTGATE_BASE_URL`, the variable of the target's SDKs, file.
    pub fn base_url(&self, target: TargetKind) -> Option<String> {
        let written = match target.base_url_variable() {
            Some(variable) => self.shared("base_url", variable)?,
            None => self.get("base_url")?.clone(),
        };
        Some(written.values[0].clone())
    }

    /// What answers, for commands that only look at prompts; the Gemini API when nothing is said.
    ///
    /// # Errors
    /// There is no such target.
    pub fn target(&self) -> Result<TargetKind, Problem> {
        match self.get("target") {
            None => Ok(TargetKind::Gemini),
            Some(written) => {
                TargetKind::parse(written.values[0].trim()).map_err(|message| written.origin.problem(message))
            }
        }
    }

    /// Project and location of the target `vertex`; express mode without a project. `None` for other targets.
    ///
    /// # Errors
    /// They are none, or were given for another target.
    pub fn place(&self, target: Option<TargetKind>) -> Result<Option<Place>, Problems> {
        let mut problems = Problems::default();
        let project = self.shared("project", "GOOGLE_CLOUD_PROJECT");
        let location = self.shared("location", "GOOGLE_CLOUD_LOCATION");
        if target != Some(TargetKind::Vertex) {
            // Variables and the file may serve other targets, too; an option is meant for this call.
            let given = [&project, &location].into_iter().flatten();
            problems.extend(
                given
                    .filter(|written| matches!(written.origin, Origin::Option(_)))
                    .map(|written| {
                        written
                            .origin
                            .problem("only the target `vertex` has one")
                            .hint("add --target vertex")
                    }),
            );
            return problems.or(None);
        }
        let mut read = |written: &Option<Written>, parse: fn(&str) -> Result<String, String>| {
            let written = written.as_ref()?;
            parse(written.values[0].trim())
                .map_err(|message| problems.push(written.origin.problem(message)))
                .ok()
        };
        let id = read(&project, vertex::project);
        let place = read(&location, vertex::location);
        let place = match (id, place) {
            (Some(project), place) => Place::Project {
                project,
                location: place.unwrap_or_else(|| "global".to_owned()),
            },
            (None, _) => Place::Express,
        };
        if let (None, Some(location)) = (&project, &location)
            && location.values[0].trim() != "global"
        {
            problems.push(
                location
                    .origin
                    .problem("without a project there is no choice of location")
                    .hint("give --project, or set GOOGLE_CLOUD_PROJECT"),
            );
        }
        problems.or(Some(place))
    }

    /// A setting that the services' own SDKs read from a variable, too: option, `PROMPTGATE_…`, that variable, file.
    fn shared(&self, key: &str, variable: &str) -> Option<Written> {
        let [options, variables, file] = &self.layers;
        let foreign = || {
            let value = self
                .environment
                .get(variable)
                .filter(|value| !value.trim().is_empty())?;
            Some(Written {
                values: vec![value.clone()],
                origin: Origin::Variable(variable.to_owned()),
            })
        };
        let own = options.get(key).or_else(|| variables.get(key)).cloned();
        own.or_else(foreign).or_else(|| file.get(key).cloned())
    }

    /// The version of the API and the way of delivery, for commands that only look at prompts.
    ///
    /// # Errors
    /// Mistakes in either, or one of them was given for a target without it.
    pub fn call(&self, target: TargetKind) -> Result<(String, Delivery), Problems> {
        let mut problems = Problems::default();
        let mut read = Reader {
            layers: self,
            problems: &mut problems,
        };
        let call = read.call(target);
        problems.or(call)
    }

    /// What answers, and with which key. `offline` sends nothing, so it needs none:
    /// a fork's pull request has no secrets, and its verdict counts as replayed.
    fn answerer(
        &self,
        target: Option<TargetKind>,
        base_url: Option<&str>,
        place: Option<&Place>,
        answers: &[PathBuf],
        offline: bool,
    ) -> Result<Answerer, Problem> {
        if !answers.is_empty() && target != Some(TargetKind::Recorded) {
            return Err(Problem::new("recorded answers are given, but not asked for").hint("add --target recorded"));
        }
        match target {
            Some(TargetKind::Sim) => return Ok(Answerer::keyless(TargetKind::Sim)),
            Some(TargetKind::Recorded) if answers.is_empty() => {
                return Err(Problem::new("the target `recorded` has no answers").hint("give --answers FILE"));
            }
            Some(TargetKind::Recorded) => return Ok(Answerer::keyless(TargetKind::Recorded)),
            Some(TargetKind::Vertex) => {
                let key = self.vertex_key(place)?;
                return Ok(Answerer {
                    key,
                    ..Answerer::keyless(TargetKind::Vertex)
                });
            }
            Some(TargetKind::OpenAi) => {
                let key = self.openai_key(base_url)?;
                return Ok(Answerer {
                    key,
                    ..Answerer::keyless(TargetKind::OpenAi)
                });
            }
            Some(TargetKind::Gemini) | None => {}
        }
        let hint = "set GEMINI_API_KEY (or GOOGLE_API_KEY, or GEMINI_API_KEY_FILE), or rehearse with --target sim";
        match key::find(&self.environment) {
            KeyState::Present(text, key_file) => Ok(Answerer {
                key: Some(ApiKey::new(&text)?),
                key_file,
                ..Answerer::keyless(TargetKind::Gemini)
            }),
            KeyState::Unusable(_) if offline => Ok(Answerer::keyless(TargetKind::Gemini)),
            KeyState::Absent
                if offline
                    && (target.is_some() || base_url.is_some() || key::unattended(&self.environment).is_some()) =>
            {
                Ok(Answerer::keyless(TargetKind::Gemini))
            }
            KeyState::Unusable(problem) => Err(problem),
            KeyState::Absent if target.is_some() || base_url.is_some() => {
                Err(Problem::new("no key is set for the target `gemini`").hint(hint))
            }
            KeyState::Absent => match key::unattended(&self.environment) {
                Some(name) => Err(Problem::new(format!(
                    "no key is set, and {name} shows an unattended machine, where the simulator never stands in for a missing secret"
                ))
                .hint(hint)),
                None => Ok(Answerer {
                    fallback: true,
                    ..Answerer::keyless(TargetKind::Sim)
                }),
            },
        }
    }

    /// The key of express mode; a project has none.
    fn vertex_key(&self, place: Option<&Place>) -> Result<Option<ApiKey>, Problem> {
        if let Some(Place::Project { .. }) = place {
            return Ok(None);
        }
        match key::in_variable("GOOGLE_API_KEY", &self.environment) {
            KeyState::Present(text, _) => Ok(Some(ApiKey::new(&text)?)),
            KeyState::Unusable(problem) => Err(problem),
            KeyState::Absent => Err(Problem::new("the target `vertex` has neither a project nor a key").hint(
                "give --project (or set GOOGLE_CLOUD_PROJECT) to ask with the credentials of this machine, or set GOOGLE_API_KEY for express mode",
            )),
        }
    }

    /// The key of an OpenAI-compatible service. A local model asks for none; but an empty secret on the way to another
    /// machine is a mistake.
    fn openai_key(&self, base_url: Option<&str>) -> Result<Option<ApiKey>, Problem> {
        let Some(base_url) = base_url else {
            return Err(Problem::new("the target `openai` has no base url")
                .hint("give --base-url, like http://localhost:11434/v1 for Ollama or https://api.openai.com/v1"));
        };
        let local = openai::is_local(base_url)?;
        match key::in_variable("OPENAI_API_KEY", &self.environment) {
            KeyState::Present(text, _) => Ok(Some(ApiKey::new(&text)?)),
            KeyState::Unusable(problem) if !local => Err(problem),
            KeyState::Unusable(_) | KeyState::Absent => Ok(None),
        }
    }
}

/// What answers, and with which key.
struct Answerer {
    target: TargetKind,
    /// It is the simulator for want of a key.
    fallback: bool,
    key: Option<ApiKey>,
    /// The file that the key came from.
    key_file: Option<PathBuf>,
}

impl Answerer {
    fn keyless(target: TargetKind) -> Answerer {
        Answerer {
            target,
            fallback: false,
            key: None,
            key_file: None,
        }
    }
}

/// Reads single settings and collects what is wrong with them.
struct Reader<'a> {
    layers: &'a Layers,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn parsed<T, E: std::fmt::Display>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let written = self.layers.get(key)?;
        match parse(written.values[0].trim()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problems.push(written.origin.problem(message));
                None
            }
        }
    }

    /// The version of the API and the way of delivery. Variables and the file may serve other targets, too; an option is
    /// meant for this call.
    fn call(&mut self, target: TargetKind) -> (String, Delivery) {
        let gemini = matches!(target, TargetKind::Gemini | TargetKind::Sim);
        let versioned = gemini || target == TargetKind::Recorded;
        for (key, has, message) in [
            ("stream", gemini, "only the targets `gemini` and `sim` stream"),
            (
                "api_version",
                versioned,
                "only the targets `gemini` and `sim` have a choice of version",
            ),
        ] {
            if let Some(written) = self.layers.get(key)
                && !has
                && matches!(written.origin, Origin::Option(_))
            {
                let problem = written.origin.problem(message);
                self.problems.push(problem.hint("leave it out for this target"));
            }
        }
        let version = self.api_version();
        let delivery = self.delivery();
        (
            if versioned { version } else { gemini::VERSION.to_owned() },
            if gemini { delivery } else { Delivery::Whole },
        )
    }

    /// The version of the API: option, `PROMPTGATE_API_VERSION`, `GOOGLE_GENAI_API_VERSION`, file, default.
    fn api_version(&mut self) -> String {
        let [options, variables, file] = &self.layers.layers;
        let google = self
            .layers
            .environment
            .get(GOOGLE_API_VERSION)
            .filter(|version| !version.trim().is_empty())
            .map(|version| Written {
                values: vec![version.clone()],
                origin: Origin::Variable(GOOGLE_API_VERSION.to_owned()),
            });
        let written = options
            .get("api_version")
            .or_else(|| variables.get("api_version"))
            .or(google.as_ref())
            .or_else(|| file.get("api_version"));
        let Some(written) = written else {
            return gemini::VERSION.to_owned();
        };
        match api_version(written.values[0].trim()) {
            Ok(version) => version,
            Err(message) => {
                self.problems.push(written.origin.problem(message));
                gemini::VERSION.to_owned()
            }
        }
    }

    fn delivery(&mut self) -> Delivery {
        if self.flag("stream") {
            Delivery::Stream
        } else {
            Delivery::Whole
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.parsed(key, |text| {
            if text.is_empty() {
                Err("is empty")
            } else {
                Ok(text.to_owned())
            }
        })
    }

    fn flag(&mut self, key: &str) -> bool {
        self.parsed(key, |text| {
            word(text, &[("true", true), ("false", false), ("1", true), ("0", false)])
        })
        .unwrap_or(false)
    }

    fn number(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        self.parsed(key, |text| match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ if most == u64::MAX => Err(format!("`{text}` is not a whole number from {least} on")),
            _ => Err(format!("`{text}` is not a whole number from {least} to {most}")),
        })
    }

    /// The waits between attempts; the longest one can't be shorter than the first.
    fn retry(&mut self) -> RetryPolicy {
        let default = RetryPolicy::default();
        let base = self.parsed("retry_base", duration);
        let max = self.parsed("retry_max", duration);
        if let (Some(base), Some(max)) = (base, max)
            && max < base
        {
            let written = self.layers.get("retry_max").map(|written| &written.origin);
            let message = "is shorter than retry_base, the longest first wait";
            self.problems
                .push(written.map_or_else(|| Problem::new(message), |origin| origin.problem(message)));
        }
        let base = base.unwrap_or(default.base);
        RetryPolicy {
            base,
            max: max.unwrap_or(default.max.max(base)),
            max_total: self.parsed("retry_total", duration).unwrap_or(default.max_total),
            ..default
        }
    }

    fn fraction(&mut self, key: &str, valid: impl FnOnce(f64) -> bool, expected: &str) -> Option<f64> {
        self.parsed(key, |text| match text.parse::<f64>() {
            Ok(number) if number.is_finite() && valid(number) => Ok(number),
            _ => Err(format!("`{text}` is not a number; expected {expected}")),
        })
    }
}

/// Reads `v1beta`, `v1` or another version; `beta` is v1beta, as the official SDK has it.
fn api_version(text: &str) -> Result<String, String> {
    if text == "beta" {
        return Ok("v1beta".to_owned());
    }
    let number = text
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if number && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no version of the api; expected v1beta or v1"))
    }
}

fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("`{text}` is not known; expected {}", known.join(", "))
        })
}

/// Reads `500ms`, `60s`, `2m` or a number of seconds; more than 0, up to an hour.
///
/// # Errors
/// What was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; expected something like 500ms, 60s or 2m, up to 60m");
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit() && c != '.') {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<f64>().map_err(|_| wrong())? * factor;
    if seconds > 0.0 && seconds <= 3600.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests;
