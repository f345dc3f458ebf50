//! What answers: which target, where it is, and with which key.

use super::Layers;
use super::key::{self, KeyState};
use super::layers::{Origin, Written};
use super::read::{Reader, duration, word};
use crate::domain::{Problem, Problems};
use crate::provider::vertex::Place;
use crate::provider::{ApiKey, BaseUrlSource, KeySource, ProviderDef, TargetKind, is_local, vertex};
use std::path::PathBuf;
use std::time::Duration;

/// The target of this name.
///
/// # Errors
/// There is none, in a sentence.
pub(super) fn target_kind(text: &str) -> Result<TargetKind, String> {
    let words: Vec<(&str, TargetKind)> = TargetKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
    word(text, &words)
}

/// The names of the targets that fit, for messages: `gemini, openai or sim`.
pub(super) fn names(fits: fn(&ProviderDef) -> bool) -> String {
    let fitting = TargetKind::ALL.iter().filter(|kind| fits(kind.def()));
    let names: Vec<&str> = fitting.map(|kind| kind.as_str()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

impl Layers {
    /// The base URL of a target, if one is set: option, `PROMPTGATE_BASE_URL`, the variable of the target's SDKs, file.
    pub fn base_url(&self, target: TargetKind) -> Option<String> {
        let written = match target.def().base_url.variable {
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
            Some(written) => target_kind(written.values[0].trim()).map_err(|message| written.origin.problem(message)),
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
    pub(super) fn shared(&self, key: &str, variable: &str) -> Option<Written> {
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

    /// What answers, and with which key. `offline` sends nothing, so it needs none:
    /// a fork's pull request has no secrets, and its verdict counts as replayed.
    pub(super) fn answerer(
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
        let kind = target.unwrap_or(TargetKind::Gemini);
        if kind == TargetKind::Recorded && answers.is_empty() {
            return Err(Problem::new("the target `recorded` has no answers").hint("give --answers FILE"));
        }
        let BaseUrlSource { required, example, .. } = kind.def().base_url;
        if required && base_url.is_none() {
            return Err(Problem::new(format!("the target `{}` has no base url", kind.as_str()))
                .hint(format!("give --base-url, like {example}")));
        }
        let own_key = match kind.def().key {
            KeySource::None => Some(None),
            KeySource::GoogleOrCredentials => Some(self.vertex_key(place)?),
            KeySource::Variable(name) => Some(self.own_key(name, base_url.unwrap_or_default())?),
            KeySource::Google => None,
        };
        if let Some(key) = own_key {
            return Ok(Answerer {
                key,
                ..Answerer::keyless(kind)
            });
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

    /// The key of a service with a variable of its own. A local model asks for none; but an empty secret on the way to
    /// another machine is a mistake.
    fn own_key(&self, variable: &str, base_url: &str) -> Result<Option<ApiKey>, Problem> {
        let local = is_local(base_url)?;
        match key::in_variable(variable, &self.environment) {
            KeyState::Present(text, _) => Ok(Some(ApiKey::new(&text)?)),
            KeyState::Unusable(problem) if !local => Err(problem),
            KeyState::Unusable(_) | KeyState::Absent => Ok(None),
        }
    }

    /// The key of a judge or an embedding model that names its own target, if there is one.
    pub(super) fn key_of(&self, target: Option<TargetKind>) -> Option<ApiKey> {
        let state = match target?.def().key {
            KeySource::Google => key::find(&self.environment),
            KeySource::Variable(name) => key::in_variable(name, &self.environment),
            KeySource::None | KeySource::GoogleOrCredentials => KeyState::Absent,
        };
        match state {
            KeyState::Present(text, _) => ApiKey::new(&text).ok(),
            KeyState::Absent | KeyState::Unusable(_) => None,
        }
    }
}

/// A service that holds batch jobs, for commands that need nothing else of it.
#[derive(Clone, Debug)]
pub struct BatchService {
    /// The Gemini API, or a simulator.
    pub target: TargetKind,
    /// Where it is, if that was said.
    pub base_url: Option<String>,
    /// Version of the API.
    pub api_version: String,
    /// The key, if it has one.
    pub key: Option<ApiKey>,
    /// For each call.
    pub timeout: Duration,
}

impl Layers {
    /// The service whose batch jobs are meant.
    ///
    /// # Errors
    /// All mistakes in these settings, or a service without batch jobs.
    pub fn batch_service(&self) -> Result<BatchService, Problems> {
        let mut problems = Problems::default();
        let mut read = Reader {
            layers: self,
            problems: &mut problems,
        };
        let target = read.parsed("target", target_kind);
        let api_version = read.api_version();
        let timeout = read.parsed("timeout", duration).unwrap_or(Duration::from_secs(60));
        let base_url = self.base_url(target.unwrap_or(TargetKind::Gemini));
        let service = BatchService {
            target: target.unwrap_or(TargetKind::Gemini),
            base_url,
            api_version,
            key: None,
            timeout,
        };
        let BatchService { target, base_url, .. } = &service;
        if !target.def().streams {
            problems.push(Problem::new("only the targets `gemini` and `sim` take batches"));
        } else if *target == TargetKind::Sim && base_url.is_none() {
            problems.push(
                Problem::new("the built-in simulator ends with its run, and its batch jobs with it")
                    .hint("give --base-url for a simulator that was started with `promptgate sim`"),
            );
        } else {
            match self.answerer(Some(*target), base_url.as_deref(), None, &[], false) {
                Ok(Answerer { key, .. }) => return problems.or(BatchService { key, ..service }),
                Err(problem) => problems.push(problem),
            }
        }
        problems.or(service)
    }
}

/// What answers, and with which key.
pub(super) struct Answerer {
    pub(super) target: TargetKind,
    /// It is the simulator for want of a key.
    pub(super) fallback: bool,
    pub(super) key: Option<ApiKey>,
    /// The file that the key came from.
    pub(super) key_file: Option<PathBuf>,
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
