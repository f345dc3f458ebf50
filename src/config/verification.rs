//! Settings of the commands that check a verdict: what is tested and by which rules, without anything that answers. They
//! need no key, and read none.

use super::groups::{Acceptance, DifferenceRules, Exceptions, Prompts, Transport};
use super::layers::{Layers, ModelChoice};
use super::policy_base::PolicyBaseSettings;
use super::settings::{Baseline, JudgeCalibration, no_baseline, no_prompt};
use super::tables::JudgeSettings;
use super::value::Value as _;
use crate::domain::{Command, Policy, Problem, Problems};
use crate::provider::TargetKind;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct VerificationSettings {
    pub root: PathBuf,
    /// Green, as typed.
    pub prompt: String,
    /// Blue, as typed.
    pub baseline: Baseline,
    pub golden: Vec<PathBuf>,
    pub target: TargetKind,
    pub models: ModelChoice,
    pub api_version: String,
    pub judges: BTreeMap<String, JudgeSettings>,
    pub judge_calibration: JudgeCalibration,
    pub commands: Vec<Command>,
    pub policy: Policy,
    pub max_age: Duration,
    /// What golden data, checks and policy must not ask for less than.
    pub policy_base: PolicyBaseSettings,
}

impl Layers {
    /// The settings by which a verdict of a run against `target` is checked. `baseline` is another one than the settings
    /// say.
    pub fn verification(&self, target: &str, baseline: Option<&str>) -> Result<VerificationSettings, Problems> {
        let mut problems = self.problems.clone();
        let prompt = self.reader(&mut problems).only_candidate();
        let named: Prompts = self.group();
        let policy = self.policy();
        let DifferenceRules { judge_calibration, .. } = self.group();
        let Acceptance { max_age } = self.group();
        let exceptions: Exceptions = self.group();
        let Transport { api_version, .. } = self.group();
        if prompt.is_none() {
            problems.push(no_prompt());
        }
        let mut policy_base = self.policy_base(&exceptions);
        policy_base.baseline_in_file &= baseline.is_none();
        let baseline = baseline.map(str::to_owned).or(named.baseline);
        let baseline = baseline.map(Baseline::from).unwrap_or_else(|| {
            problems.push(no_baseline("`none` for a verdict without one"));
            Baseline::None
        });
        let target = TargetKind::from_text(target).unwrap_or_else(|message| {
            problems.push(Problem::new(format!("the verdict's target: {message}")));
            TargetKind::default()
        });
        if let Baseline::Prompt(name) = &baseline {
            policy_base.effective.set_baseline(name);
        }
        problems.or(VerificationSettings {
            root: self.root.clone(),
            prompt: prompt.unwrap_or_default(),
            baseline,
            golden: self.golden(),
            target,
            models: self.models_for(target),
            api_version: api_version.0,
            judges: self.file.tables.judges.clone(),
            judge_calibration: JudgeCalibration::new(self, &judge_calibration),
            commands: self.commands().to_vec(),
            policy,
            max_age,
            policy_base,
        })
    }
}
