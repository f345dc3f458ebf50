//! Settings of the commands that check a verdict: what is tested and by which rules, without anything that answers. They
//! need no key, and read none.

use super::read::{Reader, age};
use super::target::target_kind;
use super::{Baseline, JudgeCalibration, JudgeSettings, Layers, ModelChoice, PolicyBaseSettings, TargetKind};
use crate::domain::{Command, Policy, Problem, Problems};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How old a verdict may be without a setting.
pub const MAX_AGE: Duration = Duration::from_secs(7 * 86_400);

/// What is tested, and by which rules.
#[derive(Clone, Debug)]
pub struct TestedSettings {
    /// Project root.
    pub root: PathBuf,
    /// Green, as typed.
    pub prompt: String,
    /// Blue, as typed.
    pub baseline: Baseline,
    /// Golden files and folders.
    pub golden: Vec<PathBuf>,
    /// The target of the run whose verdict is checked.
    pub target: TargetKind,
    /// The models that are named.
    pub models: ModelChoice,
    /// Version of the API.
    pub api_version: String,
    /// The models that read answers against a rubric, by name.
    pub judges: BTreeMap<String, JudgeSettings>,
    /// What is known of their errors.
    pub judge_calibration: JudgeCalibration,
    /// Commands that checks may name.
    pub commands: Vec<Command>,
    /// The rules of the verdict.
    pub policy: Policy,
    /// How old a verdict may be.
    pub max_age: Duration,
    /// What golden data, checks and policy must not ask for less than.
    pub policy_base: PolicyBaseSettings,
}

impl Layers {
    /// The settings by which a verdict of a run against `target` is checked. `baseline` is another one than the settings
    /// say.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn tested(&self, target: &str, baseline: Option<&str>) -> Result<TestedSettings, Problems> {
        let mut problems = self.problems.clone();
        let mut read = Reader {
            layers: self,
            problems: &mut problems,
        };
        let prompt = read.only_candidate();
        let judge_calibration = read.text("judge_calibration");
        let named = baseline.map(str::to_owned).or_else(|| read.text("baseline"));
        let policy = read.policy();
        let max_age = read.parsed("max_age", age).unwrap_or(MAX_AGE);
        let policy_base = read.policy_base();
        let api_version = read.api_version();
        if prompt.is_none() {
            problems.push(
                Problem::new("no prompt is named").hint("give --prompt NAME, or set `candidate` in promptgate.toml"),
            );
        }
        let baseline = match named.as_deref() {
            Some("none") => Baseline::None,
            Some(name) => Baseline::Prompt(name.to_owned()),
            None => {
                problems.push(Problem::new("no baseline is named").hint(
                    "give --baseline NAME, or set `baseline` in promptgate.toml; `none` for a verdict without one",
                ));
                Baseline::None
            }
        };
        let target = match target_kind(target) {
            Ok(target) => target,
            Err(message) => {
                problems.push(Problem::new(format!("the verdict's target: {message}")));
                TargetKind::Gemini
            }
        };
        problems.or(TestedSettings {
            root: self.root.clone(),
            prompt: prompt.unwrap_or_default(),
            baseline,
            golden: self.golden(),
            target,
            models: ModelChoice {
                default: target.def().default_model,
                ..self.models()
            },
            api_version,
            judges: self.layers[2].judges().clone(),
            judge_calibration: JudgeCalibration {
                path: self.under_root(judge_calibration.as_deref().unwrap_or("judge-calibration.json")),
                named: judge_calibration.is_some(),
            },
            commands: self.commands().to_vec(),
            policy,
            max_age,
            policy_base,
        })
    }
}
