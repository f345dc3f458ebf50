//! Options, environment, promptgate.toml and defaults, merged into typed settings.
//!
//! `layers.rs` reads each place as texts with their origin; `read.rs` gives single settings their type and bounds, so that a
//! mistake has the same words wherever it was written; `target.rs` finds what answers, and `key.rs` its key; `prices.rs`
//! reads the table of own prices, `commands.rs` that of own commands, `gate.rs` and
//! `quarantine.rs` that of the gate; this file puts it all together.
//!
//! Precedence: option, environment, front matter of the prompt (model and generation settings), file, default.

mod attempts;
mod base;
mod baseline;
mod candidates;
mod commands;
mod embeddings;
mod gate;
mod judges;
mod key;
mod layers;
mod prices;
mod quarantine;
mod read;
mod schema;
mod sequential;
mod target;
mod tested;

pub use crate::provider::TargetKind;
pub use attempts::AttemptSettings;
pub use base::{PolicyBaseSettings, compare_files};
pub use baseline::BaselineFile;
pub use embeddings::EmbeddingSettings;
pub use judges::JudgeSettings;
pub use key::secrets;
pub use layers::{Environment, Layer, Written};
pub use read::duration;
pub use schema::schema;
pub use target::BatchService;
pub use tested::TestedSettings;

use crate::domain::{Candidate, Command, Policy, Problem, Problems, Sequential};
use crate::plan::price::Prices;
use crate::plan::{Selection, Shard};
use crate::provider::ApiKey;
use crate::provider::gemini::Delivery;
use crate::provider::vertex::Place;
use crate::runner::RetryPolicy;
use read::{Reader, word};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use target::Answerer;

/// Samples per case and arm without a setting.
pub const REPEATS: u32 = 3;

/// What `--baseline` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// `none`: gate on an absolute pass rate.
    None,
    /// A prompt.
    Prompt(String),
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

/// How batch jobs are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// The first pause before a look at the jobs; later ones grow up to six times it.
    pub first_look: Duration,
    /// How long they are waited for; after that they go on at the service, and `--resume` collects their answers.
    pub wait: Duration,
}

/// The file of what is known of judges' errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgeCalibration {
    /// Where it is.
    pub path: PathBuf,
    /// A setting names it, so it has to be there for a run.
    pub named: bool,
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
    /// What is compared.
    pub arms: ArmSettings,
    /// Cases and samples.
    pub dataset: DatasetSettings,
    /// Where requests go.
    pub provider: ProviderSettings,
    /// Pace, patience and budget.
    pub limits: LimitSettings,
    /// What checks may consult.
    pub scoring: ScoringSettings,
    /// How this call runs.
    pub run: RunSettings,
    /// How the verdict is found.
    pub gate: GateSettings,
    /// Prices of tokens.
    pub prices: Prices,
    /// Non-fatal warnings.
    pub warnings: Vec<Problem>,
}

/// Prompts and models of both arms.
#[derive(Clone, Debug)]
pub struct ArmSettings {
    /// Candidate, as typed; the first of several.
    pub prompt: String,
    /// All of several candidates, 2..=[`crate::domain::MOST_CANDIDATES`], in the order they were typed; empty where there is one.
    pub candidates: Vec<Candidate>,
    /// Baseline, as typed.
    pub baseline: Baseline,
    /// The models that are named.
    pub models: ModelChoice,
}

/// Cases, and how often each is sampled.
#[derive(Clone, Debug)]
pub struct DatasetSettings {
    /// Golden files and folders.
    pub golden: Vec<PathBuf>,
    /// Which cases take part.
    pub selection: Selection,
    /// Samples per case and arm; 1..=1000.
    pub repeat: u32,
    /// Only the cases that failed in an earlier run.
    pub failed: Option<Earlier>,
    /// Answers that differ from the approved ones are proposed in golden/snapshots/.
    pub snapshots: bool,
}

/// Where requests go, and in which form.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// What answers.
    pub target: TargetKind,
    /// The simulator stands in because no key is set on a person's machine.
    pub fallback: bool,
    /// Base URL of the target.
    pub base_url: Option<String>,
    /// Version of the API: v1beta, v1, ...
    pub api_version: String,
    /// Whether answers are streamed.
    pub delivery: Delivery,
    /// The answers come through batch jobs.
    pub batch: Option<BatchSettings>,
    /// Recorded answers.
    pub answers: Vec<PathBuf>,
    /// The key of the target, if it has one.
    pub key: Option<ApiKey>,
    /// Whose resources answer, and where, for the target `vertex`.
    pub place: Option<Place>,
    /// The file that the key came from: read once more when the key is refused.
    pub key_file: Option<PathBuf>,
}

/// Pace, patience and budget of requests.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// Parallel requests; 1..=1024.
    pub concurrency: usize,
    /// Requests per minute.
    pub rpm: Option<u32>,
    /// Input tokens per minute.
    pub tpm: Option<u32>,
    /// Per attempt.
    pub timeout: Duration,
    /// Attempts beyond the first; 0..=100.
    pub retries: u32,
    /// Delays between attempts.
    pub retry: RetryPolicy,
    /// US dollars after which nothing more is sent.
    pub max_cost: Option<f64>,
    /// Requests, retries included, after which nothing more is sent.
    pub max_requests: Option<u64>,
    /// Input and output tokens after which nothing more is sent.
    pub max_tokens: Option<u64>,
}

/// Models and commands that checks may consult.
#[derive(Clone, Debug)]
pub struct ScoringSettings {
    /// LLM judges by name.
    pub judges: BTreeMap<String, JudgeSettings>,
    /// Embedding models by name.
    pub embeddings: BTreeMap<String, EmbeddingSettings>,
    /// What is known of the judges' errors.
    pub judge_calibration: JudgeCalibration,
    /// Commands that checks may name.
    pub commands: Vec<Command>,
}

/// How this call runs.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// How stored answers are used.
    pub cache: Cache,
    /// Continue the newest unfinished run of the same plan.
    pub resume: bool,
    /// Send nothing.
    pub dry_run: bool,
    /// Print only the last line.
    pub quiet: bool,
    /// When to color.
    pub color: Color,
}

/// How the verdict is found.
#[derive(Clone, Debug)]
pub struct GateSettings {
    /// Decide; false with `--no-gate`.
    pub gated: bool,
    /// Its rules.
    pub policy: Policy,
    /// What golden data, checks and policy must not ask for less than.
    pub policy_base: PolicyBaseSettings,
    /// Looking again at the same.
    pub attempts: AttemptSettings,
}

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
pub struct Layers {
    root: PathBuf,
    /// The settings file, below the root.
    shown: String,
    layers: [Layer; 3],
    environment: Environment,
    /// Mistakes of the file.
    problems: Problems,
    warnings: Vec<Problem>,
}

impl fmt::Debug for Layers {
    /// Without the environment: keys stand in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
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
            shown: shown.to_owned(),
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
        // Of several candidates the first.
        let prompt = value("prompt").map(|names| names.split(',').next().unwrap_or(names));
        (prompt, value("baseline"))
    }

    /// The golden files and folders.
    pub fn golden(&self) -> Vec<PathBuf> {
        self.get("golden").map_or_else(
            || vec![self.under_root("golden")],
            |golden| golden.values.iter().map(|path| self.under_root(path)).collect(),
        )
    }

    /// The commands that checks may name.
    pub fn commands(&self) -> &[Command] {
        self.layers[2].commands()
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
            default: self.target().unwrap_or(TargetKind::Gemini).def().default_model,
        }
    }

    fn get(&self, key: &str) -> Option<&Written> {
        self.layers.iter().find_map(|layer| layer.get(key))
    }

    /// The same for a call that asks judges alone: it looks at no prompt under test, and decides nothing.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn settle_for_judges(mut self) -> Result<Settings, Problems> {
        let options = std::mem::take(&mut self.layers[0]);
        self.layers[0] = options
            .option("prompt", vec!["judge".to_owned()])
            .option("baseline", vec!["none".to_owned()])
            .flag("no_gate", true);
        self.settle()
    }

    /// The same for a call that compares a prompt with itself: the one of the option, else the baseline, else the candidate. It
    /// decides nothing, so what was accepted or is asked of single runs plays no part.
    ///
    /// # Errors
    /// All mistakes at once; recorded answers, which are no second sample.
    pub fn settle_for_itself(mut self) -> Result<Settings, Problems> {
        let name = self.itself();
        for layer in &mut self.layers {
            layer.forget(&["accept_weaker", "failed", "min_pass_rate", "shard", "snapshots"]);
        }
        let mut options = std::mem::take(&mut self.layers[0]);
        options.forget(&["prompt"]);
        if let Some(name) = name {
            options = options
                .option("prompt", vec![name.clone()])
                .option("baseline", vec![name]);
        }
        self.layers[0] = options
            .option("policy_base", vec!["none".to_owned()])
            .flag("no_gate", true);
        let settings = self.settle()?;
        if settings.provider.target == TargetKind::Recorded {
            return Err(Problem::new(
                "recorded answers can't tell how much answers vary: both arms would get the same ones",
            )
            .expected("a target that answers anew")
            .hint("give another --target")
            .into());
        }
        Ok(settings)
    }

    /// The prompt that is compared with itself.
    fn itself(&self) -> Option<String> {
        let value = |written: &Written| written.values[0].clone();
        if let Some(typed) = self.layers[0].get("prompt") {
            return Some(value(typed));
        }
        let candidate = self.get("prompt").map(value);
        let baseline = self.get("baseline").map(value).filter(|name| name != "none");
        match baseline {
            // A revision alone means the candidate's name there.
            Some(rev) if rev.starts_with("git:") && !rev["git:".len()..].contains(':') => {
                let name = candidate.unwrap_or_default();
                let bare = name.rsplit(':').next().unwrap_or_default();
                Some(format!("{rev}:{bare}"))
            }
            Some(baseline) => Some(baseline),
            None => candidate,
        }
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
        let (prompt, candidates) = read.candidates();
        let baseline = read.text("baseline");
        let repeat = read.number("repeat", 1, 1000).map_or(REPEATS, |repeat| repeat as u32);
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
        let target = read.parsed("target", target::target_kind);
        let (api_version, delivery) = read.call(target.unwrap_or(TargetKind::Gemini));
        let batch = read.batch(target.unwrap_or(TargetKind::Gemini), delivery);
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
        let judge_calibration = read.text("judge_calibration");
        let snapshots = read.parsed("snapshots", |text| word(text, &[("write", true), ("no", false)]));
        let dry_run = read.flag("dry_run");
        let gated = !read.flag("no_gate");
        let quiet = read.flag("quiet");
        let policy = read.policy();
        let policy_base = read.policy_base();
        let attempts = read.attempts();
        if !candidates.is_empty() {
            read.fits_several(cache.unwrap_or(Cache::Use));
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
        if baseline == Baseline::None && gated {
            let declared = gate::KEYS.iter().filter(|key| gate::compares(key));
            problems.extend(declared.filter_map(|key| self.get(key)).map(|written| {
                let message =
                    "without a baseline there is nothing to be worse than, so it would promise what nobody checks";
                written
                    .origin
                    .problem(message)
                    .hint("leave it out, name a baseline, or give --no-gate")
            }));
        }
        problems.extend(self.not_early(&policy, gated && baseline == Baseline::None));
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
        // One proposal file cannot hold the answers of several candidates.
        let snapshots = candidates.is_empty()
            // On an unattended machine nobody would look at them.
            && snapshots.unwrap_or_else(|| key::unattended(&self.environment).is_none());
        problems.or(Settings {
            arms: ArmSettings {
                prompt,
                candidates,
                baseline,
                models,
            },
            dataset: DatasetSettings {
                golden: self.golden(),
                selection: Selection {
                    cases: list("case"),
                    failed: None,
                    tags: list("tag"),
                    limit,
                    shard,
                },
                repeat,
                failed,
                snapshots,
            },
            provider: ProviderSettings {
                target,
                fallback,
                base_url,
                api_version,
                delivery,
                batch,
                answers,
                key,
                place,
                key_file,
            },
            limits: LimitSettings {
                concurrency,
                rpm,
                tpm,
                timeout,
                retries,
                retry,
                max_cost,
                max_requests,
                max_tokens,
            },
            scoring: ScoringSettings {
                judges: self.judges(),
                embeddings: self.embeddings(),
                judge_calibration: JudgeCalibration {
                    path: self.under_root(judge_calibration.as_deref().unwrap_or("judge-calibration.json")),
                    named: judge_calibration.is_some(),
                },
                commands: self.commands().to_vec(),
            },
            run: RunSettings {
                cache: cache.unwrap_or(Cache::Use),
                resume,
                dry_run,
                quiet,
                color: color.unwrap_or(Color::Auto),
            },
            gate: GateSettings {
                gated,
                policy,
                policy_base,
                attempts,
            },
            prices: Prices::with_own(self.layers[2].prices().clone()),
            warnings: self.warnings,
            root: self.root,
        })
    }

    /// The rules of a verdict between two arms, for commands that need few settings.
    ///
    /// # Errors
    /// All mistakes in them.
    pub fn policy(&self) -> Result<Policy, Problems> {
        let mut problems = Problems::default();
        let mut read = Reader {
            layers: self,
            problems: &mut problems,
        };
        let rules = read.policy();
        problems.or(Policy {
            min_pass_rate: None,
            sequential: Sequential::Off,
            ..rules
        })
    }

    /// The judges of the file, with their keys.
    fn judges(&self) -> BTreeMap<String, JudgeSettings> {
        let mut judges = self.layers[2].judges().clone();
        for judge in judges.values_mut() {
            judge.key = self.key_of(judge.target);
        }
        judges
    }

    /// The models of embeddings of the file, with their keys.
    fn embeddings(&self) -> BTreeMap<String, EmbeddingSettings> {
        let mut embeddings = self.layers[2].embeddings().clone();
        for one in embeddings.values_mut() {
            one.key = self.key_of(one.target);
        }
        embeddings
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
}

#[cfg(test)]
mod tests;
