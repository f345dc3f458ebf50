//! The prompts of both arms, opened, each with its resolved model.

use crate::config::{Baseline, ModelChoice, Settings};
use crate::domain::{Arm, Case, Problem, Problems, PromptInfo, Request, bare_name};
use crate::error::Error;
use crate::plan::price::Tier;
use crate::prompt::{Library, Prompt};
use serde_json::Value;
use std::path::Path;

/// A prompt with its resolved model.
#[derive(Debug)]
pub struct Version {
    /// The prompt.
    pub prompt: Prompt,
    /// As reports name it.
    pub info: PromptInfo,
}

impl Version {
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
}

impl Versions {
    pub(crate) fn arm(&self, arm: Arm) -> Option<&Version> {
        match arm {
            Arm::Baseline => self.baseline.as_ref(),
            Arm::Candidate => Some(&self.candidate),
        }
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
    root: &Path,
    prompt: &str,
    baseline: &Baseline,
    models: &ModelChoice,
) -> Result<Versions, Error> {
    let library = library(root);
    let model = |prompt: &Prompt| models.resolve(prompt.model.as_deref());
    let mut problems = Problems::default();
    let mut open =
        |reference: &str, default_name: Option<&str>| match open_prompt(&library, reference, default_name, &model) {
            Ok(version) => Some(version),
            Err(found) => {
                problems.append(found);
                None
            }
        };
    let candidate = open(prompt, None);
    let baseline = match baseline {
        Baseline::None => None,
        Baseline::Prompt(name) => open(name, Some(bare_name(prompt))),
    };
    match candidate {
        Some(candidate) => Ok(problems.or(Versions { candidate, baseline })?),
        None => Err(problems.into()),
    }
}

/// The prompts of a project.
pub fn library(root: &Path) -> Library {
    Library::new(root, &root.join("prompts"))
}

/// Opens a prompt and resolves its model.
pub fn open_prompt(
    library: &Library,
    reference: &str,
    default_name: Option<&str>,
    model: &dyn Fn(&Prompt) -> String,
) -> Result<Version, Problems> {
    let prompt = library.open(reference, default_name)?;
    let info = PromptInfo {
        name: prompt.name.clone(),
        sha256: prompt.sha256.clone(),
        model: model(&prompt),
        path: prompt.path.clone(),
        file_sha256: prompt.file_sha256.clone(),
    };
    Ok(Version { prompt, info })
}
