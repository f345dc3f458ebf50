//! The one place where a service of one's own is found for judges and embeddings: its own settings first, then the run's.

use super::definition::{ProviderConfig, ProviderDef, service};
use super::key::ApiKey;
use super::target::Target;
use super::{KeySource, TargetKind, is_local};
use crate::domain::{Problem, Problems};

/// Why a service is asked beside the run's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Judge,
    /// Makes vectors of texts. Without an address of its own it is asked where the run's target is, if that is of its kind.
    Embed,
}

/// What `[judges.NAME]` or `[embeddings.NAME]` says about its service.
#[derive(Clone, Debug, Default)]
pub struct OwnService {
    /// What answers, if not the run's kind of target.
    pub target: Option<TargetKind>,
    pub base_url: Option<String>,
    pub key: Option<ApiKey>,
}

/// The run whose answers are judged.
#[derive(Clone, Copy, Debug)]
pub struct RunService<'a> {
    pub kind: TargetKind,
    /// Its target, where it is open.
    pub target: Option<&'a Target>,
    pub key: Option<&'a ApiKey>,
    /// Nothing is sent, so nobody needs a key.
    pub offline: bool,
}

/// A service that can be opened.
#[derive(Debug)]
pub struct ServiceConfig {
    pub def: &'static ProviderDef,
    pub config: ProviderConfig,
    /// Its identity, without models.
    pub service: String,
}

impl ServiceConfig {
    /// Finds the service. `base` holds what it shares with the run: time and connections.
    ///
    /// # Errors
    /// It can't do what is wanted of it, or its address or key is missing.
    pub fn find(
        purpose: Purpose,
        own: OwnService,
        run: RunService<'_>,
        base: ProviderConfig,
    ) -> Result<ServiceConfig, Problem> {
        let kind = own.target.unwrap_or(run.kind);
        let def = kind.def();
        fits(purpose, def)?;
        let same_kind = kind == run.kind;
        let inherited = run.target.filter(|_| purpose == Purpose::Embed && same_kind && own.base_url.is_none());
        let base_url = own
            .base_url
            .or_else(|| inherited.map(|target| target.base_url.clone()))
            .or_else(|| def.base_url.default.map(str::to_owned))
            .ok_or_else(|| {
                Problem::new(format!("the target `{}` has no base url", def.name))
                    .hint(format!("set base_url, like {}", def.base_url.example))
            })?;
        let shares = match def.key {
            KeySource::None => false,
            KeySource::Google | KeySource::GoogleOrCredentials => same_kind,
            KeySource::Variable(_) => inherited.is_some(),
        };
        let key = match def.key {
            KeySource::None => None,
            KeySource::Google | KeySource::GoogleOrCredentials | KeySource::Variable(_) => {
                own.key.or_else(|| run.key.filter(|_| shares).cloned())
            }
        };
        if let Some(hint) = def.key.hint()
            && key.is_none()
            && !run.offline
            && !(matches!(def.key, KeySource::Variable(_)) && is_local(&base_url)?)
        {
            return Err(Problem::new("there is no key for it").hint(hint));
        }
        Ok(ServiceConfig {
            def,
            service: inherited.map_or_else(|| service(def.name, &base_url), |target| target.service.clone()),
            config: ProviderConfig { base_url: Some(base_url), key, ..base },
        })
    }
}

impl ServiceConfig {
    /// Opens it.
    ///
    /// # Errors
    /// The address is wrong, or no client can be made.
    pub fn open(&self) -> Result<Target, Problems> {
        (self.def.open)(&self.config)
    }
}

fn fits(purpose: Purpose, def: &ProviderDef) -> Result<(), Problem> {
    match purpose {
        Purpose::Judge if !def.judges => {
            Err(Problem::new("it has a base url, but no target that takes one").hint("set target"))
        }
        Purpose::Embed if def.embedding.is_none() => {
            Err(Problem::new(format!("the target `{}` embeds no texts", def.name)).hint(
                "set target = \"gemini\" or \"openai\", or path = \"FOLDER\" of a static model, under [embeddings.NAME] in promptgate.toml",
            ))
        }
        Purpose::Judge | Purpose::Embed => Ok(()),
    }
}
