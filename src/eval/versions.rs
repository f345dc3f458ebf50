//! The prompts of both arms, opened, each with its resolved model.

use super::lock::Lock;
use crate::config::{Baseline, ModelChoice, Settings};
use crate::domain::{Arm, BaselinePromotion, Case, Problem, Problems, PromptInfo, Request, bare_name};
use crate::error::Error;
use crate::plan::price::Tier;
use crate::prompt::{Library, Prompt};
use serde_json::Value;

/// A prompt with its resolved model.
#[derive(Debug)]
pub struct Version {
    /// The prompt.
    pub prompt: Prompt,
    /// As reports name it.
    pub info: PromptInfo,
}

impl Version {
    pub(super) fn new(prompt: Prompt, model: String) -> Version {
        let info = PromptInfo {
            name: prompt.name.clone(),
            sha256: prompt.sha256.clone(),
            model,
            path: prompt.path.clone(),
            file_sha256: prompt.file_sha256.clone(),
        };
        Version { prompt, info }
    }

    /// How its requests are served.
    pub(crate) fn tier(&self, settings: &Settings) -> Tier {
        if settings.provider.batch.is_some() {
            return Tier::Batch;
        }
        self.standard_tier()
    }

    /// How its requests are served where no batch job plays a part.
    pub(crate) fn standard_tier(&self) -> Tier {
        let tier = self.prompt.config.get("serviceTier").and_then(Value::as_str);
        tier.map_or(Tier::Standard, Tier::of)
    }

    /// The request for a case.
    pub fn render(&self, case: &Case) -> Result<Request, Problem> {
        self.prompt.render(&self.info.model, &case.vars, &case.history).map_err(|problem| {
            let at = format!("{} (case `{}` at {})", problem.message, case.id, case.place);
            Problem { message: at, ..problem }
        })
    }
}

/// Both versions of the prompt.
#[derive(Debug)]
pub(crate) struct Versions {
    pub(crate) candidate: Version,
    pub(crate) baseline: Option<Version>,
    /// What the lock knows of the baseline.
    pub(crate) promotion: Option<BaselinePromotion>,
}

impl Versions {
    pub(crate) fn arm(&self, arm: Arm) -> Option<&Version> {
        match arm {
            Arm::Baseline => self.baseline.as_ref(),
            Arm::Candidate => Some(&self.candidate),
        }
    }

    /// The candidate is what was promoted last.
    pub(crate) fn candidate_serves(&self) -> bool {
        let PromptInfo { sha256, model, .. } = &self.candidate.info;
        let same = |serving: &Version| (&serving.info.sha256, &serving.info.model) == (sha256, model);
        self.promotion.is_some() && self.baseline.as_ref().is_some_and(same)
    }

    /// The dearer tier of the two arms: a cost limit must hold for both.
    pub(crate) fn dearest_tier(&self, settings: &Settings) -> Tier {
        let tiers = self.all().map(|version| version.tier(settings));
        tiers.reduce(Tier::dearer).unwrap_or_default()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Version> {
        self.arms().map(|(_, version)| version)
    }

    /// Baseline first.
    pub(crate) fn arms(&self) -> impl Iterator<Item = (Arm, &Version)> {
        let baseline = self.baseline.iter().map(|version| (Arm::Baseline, version));
        baseline.chain([(Arm::Candidate, &self.candidate)])
    }
}

/// Opens the prompts of both arms.
pub(crate) fn open_versions(
    prompt: &str,
    baseline: &Baseline,
    models: &ModelChoice,
    lock: &Lock,
) -> Result<Versions, Error> {
    let candidate = open_prompt(&lock.library(), prompt, None, &|prompt| models.resolve(prompt.model.as_deref()));
    let baseline = match baseline {
        Baseline::None => Ok((None, None)),
        Baseline::Prompt(name) => open_baseline(name, bare_name(prompt), models, lock),
    };
    match (candidate, baseline) {
        (Ok(candidate), Ok((baseline, promotion))) => Ok(Versions { candidate, baseline, promotion }),
        (candidate, baseline) => {
            let mut problems = candidate.err().unwrap_or_default();
            problems.append(baseline.err().unwrap_or_default());
            Err(problems.into())
        }
    }
}

/// What serves: the promoted content where the lock knows the baseline, else its file.
fn open_baseline(
    typed: &str,
    default_name: &str,
    models: &ModelChoice,
    lock: &Lock,
) -> Result<(Option<Version>, Option<BaselinePromotion>), Problems> {
    let name = lock.serving().map_or(typed, |promotion| &promotion.name);
    let model = |prompt: &Prompt| models.resolve(prompt.model.as_deref());
    let file = open_prompt(&lock.library(), name, Some(default_name), &model);
    let path = file.as_ref().ok().map(|version| version.info.path.as_str());
    let Some(pin) = lock.pin(name, path).filter(|_| !name.starts_with("git:")) else {
        return Ok((Some(file?), None));
    };
    let copy = lock.open(pin)?;
    // The model that serves is the one it was promoted with, whatever settings say today.
    let model = models.resolve(pin.model.as_deref().or(copy.model.as_deref()));
    let mut version = Version::new(copy, model);
    version.info.name = name.to_owned();
    let same = file.is_ok_and(|file| file.info.sha256 == pin.sha256);
    let other_file = (!same).then(|| format!("{} has other content", pin.path));
    let why = if name == typed { other_file } else { Some(format!("promptgate.toml names `{typed}`")) };
    let notice = why
        .map(|why| format!("the baseline is `{name}` as promoted on {}, from {}; {why}", pin.date, version.info.path));
    if same {
        version.info.path.clone_from(&pin.path);
    }
    let promotion = BaselinePromotion { notice, dataset_sha256: pin.dataset_sha256.clone(), total: lock.total(pin) };
    Ok((Some(version), Some(promotion)))
}

/// Opens a prompt and resolves its model.
pub fn open_prompt(
    library: &Library,
    reference: &str,
    default_name: Option<&str>,
    model: &dyn Fn(&Prompt) -> String,
) -> Result<Version, Problems> {
    let prompt = library.open(reference, default_name)?;
    let model = model(&prompt);
    Ok(Version::new(prompt, model))
}
