//! The settings of a run, typed and within bounds.

use super::attempts::AttemptSettings;
use super::definition::{Group as _, Origin};
use super::groups::{
    Cache, Cases, Continuation, DifferenceRules, Exceptions, GateTable, GuardrailTable, LimitSettings, Output, Part,
    Prompts, Proposals, Recordings, RunSelector,
};
use super::key;
use super::layers::{Layers, ModelChoice};
use super::policy_base::PolicyBaseSettings;
use super::provider::ProviderSettings;
use super::tables::{EmbeddingSettings, JudgeSettings};
use crate::domain::{Candidate, Command, Policy, Problem, Problems};
use crate::plan::Selection;
use crate::plan::price::Prices;
use crate::runner::RetryPolicy;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Project root: holds prompts/, .promptgate/, and bounds all paths that come from data.
    pub root: PathBuf,
    pub arms: ArmSettings,
    pub dataset: DatasetSettings,
    pub provider: ProviderSettings,
    pub limits: LimitSettings,
    pub scoring: ScoringSettings,
    pub continuation: Continuation,
    pub output: Output,
    pub gate: GateSettings,
    pub prices: Prices,
    pub warnings: Vec<Problem>,
}

#[derive(Clone, Debug)]
pub struct ArmSettings {
    /// Candidate, as typed; the first of several.
    pub prompt: String,
    /// All of several candidates, 2..=[`crate::domain::MOST_CANDIDATES`], in the order they were typed; empty where there is one.
    pub candidates: Vec<Candidate>,
    pub baseline: Baseline,
    pub models: ModelChoice,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// `none`: gate on an absolute pass rate.
    None,
    Prompt(String),
}

impl From<String> for Baseline {
    fn from(text: String) -> Baseline {
        if text == "none" { Baseline::None } else { Baseline::Prompt(text) }
    }
}

#[derive(Clone, Debug)]
pub struct DatasetSettings {
    pub golden: Vec<PathBuf>,
    pub selection: Selection,
    /// Samples per case and arm; 1..=1000.
    pub repeat: u32,
    pub failed: Option<RunSelector>,
    pub snapshots: bool,
}

#[derive(Clone, Debug)]
pub struct ScoringSettings {
    pub judges: BTreeMap<String, JudgeSettings>,
    pub embeddings: BTreeMap<String, EmbeddingSettings>,
    pub judge_calibration: JudgeCalibration,
    pub commands: Vec<Command>,
}

/// The file of what is known of judges' errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgeCalibration {
    pub path: PathBuf,
    /// A setting names it, so it has to be there for a run.
    pub named: bool,
}

impl JudgeCalibration {
    pub(super) fn new(layers: &Layers, path: &str) -> JudgeCalibration {
        JudgeCalibration { path: layers.under_root(path), named: layers.raw("judge_calibration").is_some() }
    }
}

#[derive(Clone, Debug)]
pub struct GateSettings {
    /// Decide; false with `--no-gate`.
    pub gated: bool,
    /// On an unattended machine a promote has to be promotable.
    pub unattended: bool,
    /// The run is a rehearsal: its promote passes anywhere, and is promotable nowhere.
    pub rehearsal: bool,
    pub policy: Policy,
    /// What golden data, checks and policy must not ask for less than.
    pub policy_base: PolicyBaseSettings,
    pub attempts: AttemptSettings,
}

/// What a call needs settings for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Verdict,
    /// Judges alone: no prompt is under test, and nothing is decided.
    Judges,
    /// A prompt against itself: nothing is decided, so what was accepted or is meant for single runs plays no part.
    SelfComparison,
}

impl Layers {
    /// The settings of a call. For a comparison of a prompt with itself that is the one of the option, else the baseline, else
    /// the candidate.
    pub fn settings(mut self, call: CallKind) -> Result<Settings, Problems> {
        if call == CallKind::SelfComparison {
            const UNUSED: [&str; 5] = ["accept_weaker", "failed", "min_pass_rate", "shard", "snapshots"];
            for layer in [&mut self.options, &mut self.variables, &mut self.file.values] {
                layer.retain(|key, _| !UNUSED.contains(key));
            }
        }
        let mut problems = self.problems.clone();
        let arms = self.arms(call, &mut problems);
        let Cases { case, tag, limit, repeat, .. } = self.group();
        let Part { failed, shard } = self.group();
        let limits: LimitSettings = self.group();
        self.check_retries(&limits, &mut problems);
        let output: Output = self.group();
        let gated = call == CallKind::Verdict && !output.no_gate;
        let policy = self.policy();
        let DifferenceRules { judge_calibration, .. } = self.group();
        let exceptions: Exceptions = self.group();
        let policy_base = self.policy_base(&exceptions);
        if call == CallKind::Verdict {
            problems.extend(self.hidden_switches());
        }
        let attempts = AttemptSettings::new(&exceptions, &self.environment, &mut problems);
        let Some(arms) = arms else {
            return Err(problems);
        };
        if !arms.candidates.is_empty() {
            self.reader(&mut problems).fits_several(limits.cache);
        }
        if call == CallKind::Verdict {
            self.fits_baseline(&arms.baseline, gated, &policy, &mut problems);
        }
        if call != CallKind::Judges {
            problems.extend(self.not_early(&policy, gated && arms.baseline == Baseline::None));
        }
        let Recordings { answers } = self.group();
        let provider = match self.provider(&answers, limits.cache == Cache::Only, &mut problems) {
            Ok(provider) => provider,
            Err(found) => {
                problems.append(found);
                return Err(problems);
            }
        };
        if call == CallKind::SelfComparison && provider.target.def().replays {
            problems.push(
                Problem::new("recorded answers can't tell how much answers vary: both arms would get the same ones")
                    .expected("a target that answers anew")
                    .hint("give another --target"),
            );
        }
        // Only a verdict that asks nothing can do without.
        problems.extend(provider.missing_key.clone().filter(|_| call != CallKind::Verdict));
        // One proposal file cannot hold the answers of several candidates, and on an unattended machine nobody would look.
        let propose = match output.snapshots {
            Some(proposals) => proposals == Proposals::Write,
            None => key::unattended(&self.environment).is_none(),
        };
        problems.or(Settings {
            dataset: DatasetSettings {
                golden: self.golden(),
                selection: Selection {
                    cases: case.into_iter().collect(),
                    failed: None,
                    tags: tag.into_iter().collect(),
                    limit,
                    shard,
                },
                repeat,
                failed,
                snapshots: propose && arms.candidates.is_empty(),
            },
            arms,
            provider,
            scoring: ScoringSettings {
                judges: self.judges(),
                embeddings: self.embeddings(),
                judge_calibration: JudgeCalibration::new(&self, &judge_calibration),
                commands: self.commands().to_vec(),
            },
            continuation: self.group(),
            output,
            limits,
            gate: GateSettings {
                gated,
                unattended: key::unattended(&self.environment).is_some(),
                rehearsal: exceptions.rehearse,
                policy,
                policy_base,
                attempts,
            },
            prices: Prices::with_own(self.file.tables.prices.clone()),
            warnings: self.warnings,
            root: self.root,
        })
    }

    /// Prompts and models; `None` after a mistake that leaves nothing to compare.
    fn arms(&self, call: CallKind, problems: &mut Problems) -> Option<ArmSettings> {
        let models = self.models();
        match call {
            CallKind::Judges => {
                Some(ArmSettings { prompt: String::new(), candidates: Vec::new(), baseline: Baseline::None, models })
            }
            CallKind::SelfComparison => {
                let Some(prompt) = self.own_baseline() else {
                    problems.push(no_prompt());
                    return None;
                };
                Some(ArmSettings { candidates: Vec::new(), baseline: Baseline::Prompt(prompt.clone()), prompt, models })
            }
            CallKind::Verdict => {
                let (prompt, candidates) = self.reader(problems).candidates();
                let Prompts { baseline, .. } = self.group();
                if prompt.is_none() {
                    problems.push(no_prompt());
                } else if baseline.is_none() {
                    problems.push(no_baseline("`none` gates on --min-pass-rate instead"));
                }
                Some(ArmSettings { prompt: prompt?, candidates, baseline: baseline?.into(), models })
            }
        }
    }

    fn own_baseline(&self) -> Option<String> {
        if let Some(typed) = self.options.get("prompt") {
            return Some(typed.text().to_owned());
        }
        let text = |key| self.raw(key).map(|raw| raw.text().to_owned());
        let candidate = text("prompt");
        match text("baseline").filter(|name| name != "none") {
            // A revision alone means the candidate's name there.
            Some(rev) if rev.strip_prefix("git:").is_some_and(|rest| !rest.contains(':')) => {
                let name = candidate.unwrap_or_default();
                let bare = name.rsplit(':').next().unwrap_or_default();
                Some(format!("{rev}:{bare}"))
            }
            Some(baseline) => Some(baseline),
            None => candidate,
        }
    }

    fn fits_baseline(&self, baseline: &Baseline, gated: bool, policy: &Policy, problems: &mut Problems) {
        match baseline {
            Baseline::Prompt(_) if policy.min_pass_rate.is_some() => problems.push(
                Problem::new("--min-pass-rate plays no part beside a baseline, so it would promise what nobody checks")
                    .hint("leave it out, or compare with nothing: --baseline none"),
            ),
            Baseline::None if gated => {
                if policy.min_pass_rate.is_none() {
                    problems.push(
                        Problem::new("without a baseline there is nothing to compare with")
                            .expected("--min-pass-rate, the pass rate that must be exceeded")
                            .hint("give --min-pass-rate 0.9, say, or --no-gate for no decision"),
                    );
                }
                let comparing = GateTable::DEFINITIONS
                    .iter()
                    .filter(|definition| definition.key == "critical_tags")
                    .chain(GuardrailTable::DEFINITIONS);
                problems.extend(comparing.filter_map(|definition| self.raw(definition.key)).map(|raw| {
                    let message =
                        "without a baseline there is nothing to be worse than, so it would promise what nobody checks";
                    raw.origin.problem(message).hint("leave it out, name a baseline, or give --no-gate")
                }));
            }
            Baseline::Prompt(_) | Baseline::None => {}
        }
    }

    /// Variables that would change what a check decides, where nobody who reviews its command would see them.
    fn hidden_switches(&self) -> impl Iterator<Item = Problem> {
        let ci = key::unattended(&self.environment);
        let by_variable = ["dry_run", "no_gate", "fresh_key"].into_iter().filter_map(|key| Some((key, self.raw(key)?)));
        by_variable.filter(|(_, raw)| matches!(raw.origin, Origin::Variable(_)) && raw.text() != "false").filter_map(
            move |(key, raw)| {
                let message = format!("in CI ({} is set) this has to stand in the command, where it is reviewed", ci?);
                let option = key.replace('_', "-");
                Some(raw.origin.problem(message).hint(format!("unset it, or type --{option} in the command")))
            },
        )
    }

    /// The longest delay can't be shorter than the first.
    fn check_retries(&self, limits: &LimitSettings, problems: &mut Problems) {
        if let (Some(base), Some(max), Some(raw)) = (limits.retry_base, limits.retry_max, self.raw("retry_max"))
            && max < base
        {
            problems.push(raw.origin.problem("is shorter than retry_base, the longest first wait"));
        }
    }
}

impl LimitSettings {
    /// Delays between attempts. A long first one alone lifts the longest.
    pub fn retry(&self) -> RetryPolicy {
        let default = RetryPolicy::default();
        let base = self.retry_base.unwrap_or(default.base);
        RetryPolicy {
            base,
            max: self.retry_max.unwrap_or(default.max.max(base)),
            max_total: self.retry_total.unwrap_or(default.max_total),
            ..default
        }
    }
}

pub(super) fn no_prompt() -> Problem {
    Problem::new("no prompt is named").hint("give --prompt NAME, or set `candidate` in promptgate.toml")
}

pub(super) fn no_baseline(otherwise: &str) -> Problem {
    Problem::new("no baseline is named")
        .hint(format!("give --baseline NAME, or set `baseline` in promptgate.toml; {otherwise}"))
}
