//! The one place where a service of one's own is found for judges and embeddings: its own settings first, then the run's.

use super::base_url::BaseUrl;
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
    pub base_url: Option<&'a str>,
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
        if key.is_some() && same_kind && !owns_key(def, run.base_url, &base_url)? {
            return Err(Problem::new("its base url names another host than that of the run, whose key stays there")
                .expected("the host of the run, or the service's own")
                .hint("leave base_url out, or give the run the same"));
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

/// Whether a run's key is one for this address, too: the service's own, the run's, or one of this machine. A run on this machine
/// does without a key, so that of another variable than Google's is for whoever else names the service.
fn owns_key(def: &ProviderDef, run: Option<&str>, base_url: &str) -> Result<bool, Problem> {
    let read = |base_url: &str| BaseUrl::new(base_url, def.base_url.example);
    let to = read(base_url)?;
    let run = run.or(def.base_url.default).map(read).transpose()?;
    let default = def.base_url.default.map(read).transpose()?;
    let is_there = |base: &BaseUrl| base.host() == to.host();
    let is_free = matches!(def.key, KeySource::Variable(_)) && run.as_ref().is_some_and(BaseUrl::is_loopback);
    Ok(to.is_loopback() || is_free || run.iter().chain(&default).any(is_there))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_run_goes_to_its_own_host_only() {
        const GEMINI: &str = "https://generativelanguage.googleapis.com";
        let (gemini, openai) = (TargetKind::Gemini, TargetKind::OpenAi);
        for (kind, run, judge, is_sent) in [
            (gemini, None, GEMINI, true),
            (gemini, None, "https://evil.example", false),
            (gemini, None, "https://generativelanguage.googleapis.com.evil.example", false),
            (gemini, None, "http://127.0.0.1:9", true),
            (gemini, Some("https://gateway.example"), "https://gateway.example/judges", true),
            (gemini, Some("https://gateway.example"), GEMINI, true),
            (gemini, Some("http://127.0.0.1:9"), "https://evil.example", false),
            (openai, Some("https://api.example/v1"), "https://api.example/v1", true),
            (openai, Some("https://api.example/v1"), "https://evil.example/v1", false),
            // A model of this machine needs no key.
            (openai, Some("http://localhost:11434/v1"), "https://api.example/v1", true),
        ] {
            let key = ApiKey::new("test-key-0123456789").unwrap();
            let own = OwnService { target: Some(kind), base_url: Some(judge.to_owned()), key: Some(key.clone()) };
            let run_service = RunService { kind, target: None, key: Some(&key), base_url: run, offline: false };
            let found = ServiceConfig::find(Purpose::Judge, own, run_service, ProviderConfig::default());
            assert_eq!(found.is_ok(), is_sent, "{kind:?} {run:?} {judge}");
            if let Err(problem) = found {
                assert!(problem.message.contains("whose key stays there"), "{}", problem.message);
            }
        }
    }
}
