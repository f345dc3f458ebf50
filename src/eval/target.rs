//! What answers in each arm, open and with an identity.

use super::runtime;
use super::versions::{Version, Versions};
use crate::config::{Cache, Settings};
use crate::domain::{Arm, Arms, Problem};
use crate::error::Error;
use crate::provider::{ArmNames, ByArm, Provider, ProviderConfig, Renewal, RequestEncoder, RunService, Target};
use crate::report::Redactor;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Targets {
    arms: Arms<Target>,
    /// Secrets that must not be written.
    pub(crate) redactor: Redactor,
}

impl Targets {
    /// Opens what the settings name, for these versions if answers are looked up by their names; both arms share it. Starts
    /// the built-in simulator if it is the target.
    pub(crate) fn open(settings: &Settings, versions: Option<&Versions>) -> Result<Targets, Error> {
        let provider = &settings.provider;
        // An access token changes during the run, so it is redacted where answers come in.
        let redactor = provider.key.as_ref().map_or_else(Redactor::default, |key| Redactor::new([key.reveal()]));
        let renewal = provider.key_file.clone().map(|file| Renewal {
            file,
            hear: {
                let redactor = redactor.clone();
                Arc::new(move |key| redactor.add(key.reveal()))
            },
        });
        let names = |version: Option<&Version>| version.map(recorded_names).unwrap_or_default();
        let config = ProviderConfig {
            renewal,
            names: ArmNames {
                baseline: names(versions.and_then(|versions| versions.baseline.as_ref())),
                candidate: names(versions.map(|versions| &versions.candidate)),
            },
            ..config(settings)
        };
        let candidate = (provider.target.def().open)(&config)?;
        Ok(Targets { arms: Arms { baseline: candidate.clone(), candidate }, redactor })
    }

    pub(crate) fn of(&self, arm: Arm) -> &Target {
        self.arms.of(arm)
    }

    /// Sends the requests of both arms.
    pub(crate) fn provider(&self) -> Arc<dyn Provider> {
        let Arms { baseline, candidate } = &self.arms;
        Arc::new(ByArm(Arms { baseline: baseline.provider.clone(), candidate: candidate.provider.clone() }))
    }

    /// Both arms have the same one.
    pub(crate) fn are_one(&self) -> bool {
        self.arms.baseline.identity == self.arms.candidate.identity
    }

    /// The identity of the target, or of both.
    pub(crate) fn identity(&self) -> String {
        self.joined(|target| &target.identity)
    }

    /// The same without how they are asked.
    pub(crate) fn service(&self) -> String {
        self.joined(|target| &target.service)
    }

    fn joined(&self, of: fn(&Target) -> &String) -> String {
        match self.are_one() {
            true => of(&self.arms.candidate).clone(),
            false => format!("{}\n{}", of(&self.arms.baseline), of(&self.arms.candidate)),
        }
    }

    pub(crate) fn encoders(&self) -> Encoders {
        Arms { baseline: Arc::clone(&self.arms.baseline.encoder), candidate: Arc::clone(&self.arms.candidate.encoder) }
    }

    /// Makes sure that the first request can leave.
    pub(crate) fn sign_in(&self) -> Result<(), Problem> {
        runtime::single_threaded()?.block_on(async {
            self.arms.candidate.sign_in().await?;
            self.arms.baseline.sign_in().await
        })
    }
}

/// How the requests of each arm are written.
pub(crate) type Encoders = Arms<Arc<dyn RequestEncoder>>;

/// How the run's target is opened, but for what the prompts of the run have to do with it.
fn config(settings: &Settings) -> ProviderConfig {
    let provider = &settings.provider;
    ProviderConfig {
        base_url: provider.base_url.clone(),
        api_version: Some(provider.api_version.clone()),
        delivery: provider.delivery,
        batched: provider.batch.is_some(),
        place: provider.place.clone(),
        key: provider.key.clone(),
        answers: provider.answers.clone(),
        ..limits_of(settings)
    }
}

/// What every client of a run shares.
pub(crate) fn limits_of(settings: &Settings) -> ProviderConfig {
    ProviderConfig {
        timeout: settings.limits.timeout,
        concurrency: settings.limits.concurrency,
        ..ProviderConfig::default()
    }
}

/// The run whose answers are judged.
pub(crate) fn run_service<'a>(settings: &'a Settings, target: Option<&'a Target>) -> RunService<'a> {
    RunService {
        kind: settings.provider.target,
        target,
        key: settings.provider.key.as_ref(),
        base_url: settings.provider.base_url.as_deref(),
        offline: settings.limits.cache == Cache::Only || settings.provider.missing_key.is_some(),
    }
}

/// What a recording may call a prompt: its name as typed, or the stem of its file.
fn recorded_names(version: &Version) -> Vec<String> {
    let stem = Path::new(&version.info.path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names = vec![version.info.name.clone()];
    names.extend(stem.filter(|stem| *stem != version.info.name));
    names
}
