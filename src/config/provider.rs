//! Where requests go: which target, at which address, and with which key.

use super::groups::{ApiVersion, LimitSettings, Service, Transport};
use super::key::{self, KeyState};
use super::layers::Layers;
use super::tables::{EmbeddingSettings, JudgeSettings};
use super::value::providers;
use crate::domain::{Problem, Problems};
use crate::provider::gemini::{self, Delivery};
use crate::provider::vertex::Place;
use crate::provider::{ApiKey, BaseUrlSource, KeySource, ProviderDef, TargetKind, is_local, vertex};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct ProviderSettings {
    pub target: TargetKind,
    /// The simulator stands in because no key is set on a person's machine.
    pub fallback: bool,
    pub base_url: Option<String>,
    /// Version of the API: v1beta, v1, ...
    pub api_version: String,
    pub delivery: Delivery,
    pub batch: Option<BatchSettings>,
    pub answers: Vec<PathBuf>,
    pub key: Option<ApiKey>,
    /// Why there is no key; whatever sends a request ends with it.
    pub missing_key: Option<Problem>,
    /// Whose resources answer, and where, for the target `vertex`.
    pub place: Option<Place>,
    /// The file that the key came from: read once more when the key is refused.
    pub key_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// The first pause before a look at the jobs; later ones grow up to six times it.
    pub first_look: Duration,
    /// How long they are waited for; after that they go on at the service, and `--resume` collects their answers.
    pub wait: Duration,
}

const BATCHES: &str = "take batches";

/// What a provider can do.
type Ability = fn(&ProviderDef) -> bool;

/// Settings of how requests are sent that only some providers have: which, and what those do.
const FORMS: [(&str, Ability, &str); 3] = [
    ("stream", |def| def.streams, "stream"),
    ("batch", |def| def.batches, BATCHES),
    ("api_version", |def| def.versions, "have a choice of version"),
];

fn only(has: Ability, able: &str) -> String {
    let names: Vec<String> = providers(has).into_iter().map(|name| format!("`{name}`")).collect();
    format!("only the targets {} {able}", names.join(" and "))
}

impl Layers {
    /// Where requests go; `offline` sends nothing.
    pub(super) fn provider(
        &self,
        answers: &[String],
        offline: bool,
        problems: &mut Problems,
    ) -> Result<ProviderSettings, Problems> {
        let Service { target, .. } = self.group();
        let expected = target.unwrap_or_default();
        let (api_version, delivery) = self.form(expected, problems);
        let batch = self.batch(expected, delivery, problems);
        let base_url = self.base_url(expected);
        let place = self.place(target)?;
        let answers: Vec<PathBuf> = answers.iter().map(|path| self.under_root(path)).collect();
        let answerer = self.answerer(target, base_url.as_deref(), place.as_ref(), &answers, offline)?;
        let Answerer { target, fallback, key, missing_key, key_file } = answerer;
        Ok(ProviderSettings {
            target,
            fallback,
            base_url,
            api_version,
            delivery,
            batch,
            answers,
            key,
            missing_key,
            place,
            key_file,
        })
    }

    /// The version of the API and the way of delivery. Variables and the file may serve other targets, too; an option is
    /// meant for this call.
    fn form(&self, target: TargetKind, problems: &mut Problems) -> (String, Delivery) {
        for (key, has, able) in FORMS {
            if let Some(raw) = self.options.get(key).filter(|_| !has(target.def())) {
                problems.push(raw.origin.problem(only(has, able)).hint("leave it out for this target"));
            }
        }
        let ProviderDef { versions, streams, .. } = *target.def();
        let Transport { api_version: ApiVersion(version), stream, .. } = self.group();
        (
            if versions { version } else { gemini::VERSION.to_owned() },
            if streams && stream { Delivery::Stream } else { Delivery::Whole },
        )
    }

    /// The version of the API and the way of delivery, for commands that only look at prompts.
    pub fn call(&self, target: TargetKind) -> Result<(String, Delivery), Problems> {
        let mut problems = Problems::default();
        let form = self.form(target, &mut problems);
        problems.or(form)
    }

    /// How batch jobs are waited for, if the answers are to come through them. Mistakes in the group are those of the form.
    fn batch(&self, target: TargetKind, delivery: Delivery, problems: &mut Problems) -> Option<BatchSettings> {
        let Transport { batch, batch_poll, batch_wait, .. } = self.group();
        if !batch || !target.def().batches {
            return None;
        }
        if delivery == Delivery::Stream {
            let problem = Problem::new("answers of batch jobs can't be streamed");
            problems.push(problem.hint("leave out one of --batch and --stream"));
        }
        Some(BatchSettings { first_look: batch_poll, wait: batch_wait })
    }

    /// Project and location of the target `vertex`; express mode without a project. `None` for other targets.
    pub fn place(&self, target: Option<TargetKind>) -> Result<Option<Place>, Problems> {
        let mut problems = Problems::default();
        if target != Some(TargetKind::Vertex) {
            // Variables and the file may serve other targets, too; an option is meant for this call.
            for raw in ["project", "location"].iter().filter_map(|key| self.options.get(key)) {
                let problem = raw.origin.problem("only the target `vertex` has one");
                problems.push(problem.hint("add --target vertex"));
            }
            return problems.or(None);
        }
        let mut read = |key: &str, parse: fn(&str) -> Result<String, String>| {
            let raw = self.raw(key)?;
            let parsed = parse(raw.text()).map_err(|message| problems.push(raw.origin.problem(message)));
            parsed.ok()
        };
        let place = match (read("project", vertex::project), read("location", vertex::location)) {
            (Some(project), location) => {
                Place::Project { project, location: location.unwrap_or_else(|| "global".to_owned()) }
            }
            (None, _) => Place::Express,
        };
        if let (None, Some(location)) = (self.raw("project"), self.raw("location"))
            && location.text() != "global"
        {
            let problem = location.origin.problem("without a project there is no choice of location");
            problems.push(problem.hint("give --project, or set GOOGLE_CLOUD_PROJECT"));
        }
        problems.or(Some(place))
    }

    /// What answers, and with which key.
    fn answerer(
        &self,
        target: Option<TargetKind>,
        base_url: Option<&str>,
        place: Option<&Place>,
        answers: &[PathBuf],
        offline: bool,
    ) -> Result<Answerer, Problem> {
        if !answers.is_empty() && !target.is_some_and(|target| target.def().replays) {
            return Err(Problem::new("recorded answers are given, but the target does not read them")
                .hint("add --target recorded"));
        }
        let kind = target.unwrap_or_default();
        if kind.def().replays && answers.is_empty() {
            return Err(Problem::new("the target `recorded` has no answers").hint("give --answers FILE"));
        }
        let BaseUrlSource { required, example, .. } = kind.def().base_url;
        if required && base_url.is_none() {
            return Err(Problem::new(format!("the target `{}` has no base url", kind.as_str()))
                .hint(format!("give --base-url, like {example}")));
        }
        let keyless = Answerer::keyless(kind);
        let found = self.with_key(keyless, (target, base_url, place), offline);
        Ok(found.unwrap_or_else(|problem| Answerer { missing_key: Some(problem), ..Answerer::keyless(kind) }))
    }

    /// Adds the key. `offline` sends nothing, so it needs none: a fork's pull request has no secrets, and its verdict counts
    /// as replayed.
    fn with_key(
        &self,
        keyless: Answerer,
        (target, base_url, place): (Option<TargetKind>, Option<&str>, Option<&Place>),
        offline: bool,
    ) -> Result<Answerer, Problem> {
        let own_key = match keyless.target.def().key {
            KeySource::None => Some(None),
            KeySource::GoogleOrCredentials => Some(self.vertex_key(place)?),
            KeySource::Variable(name) => Some(self.own_key(name, base_url.unwrap_or_default())?),
            KeySource::Google => None,
        };
        if let Some(key) = own_key {
            return Ok(Answerer { key, ..keyless });
        }
        let hint = "set GEMINI_API_KEY (or GOOGLE_API_KEY, or GEMINI_API_KEY_FILE), or rehearse with --target sim";
        match key::find(&self.environment) {
            KeyState::Present(text, key_file) => {
                Ok(Answerer { key: Some(ApiKey::new(&text)?), key_file, ..keyless })
            }
            KeyState::Unusable(_) if offline => Ok(keyless),
            KeyState::Absent
                if offline
                    && (target.is_some() || base_url.is_some() || key::unattended(&self.environment).is_some()) =>
            {
                Ok(keyless)
            }
            KeyState::Unusable(problem) => Err(problem),
            KeyState::Absent if target.is_some() || base_url.is_some() => {
                Err(Problem::new(format!("no key is set for the target `{}`", keyless.target.as_str())).hint(hint))
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
    pub target: TargetKind,
    pub base_url: Option<String>,
    pub api_version: String,
    pub key: Option<ApiKey>,
    pub timeout: Duration,
}

impl Layers {
    pub fn batch_service(&self) -> Result<BatchService, Problems> {
        let mut problems = Problems::default();
        let Service { target, .. } = self.group();
        let Transport { api_version: ApiVersion(api_version), .. } = self.group();
        let LimitSettings { timeout, .. } = self.group();
        let target = target.unwrap_or_default();
        let mut service = BatchService { target, base_url: self.base_url(target), api_version, key: None, timeout };
        if !target.def().batches {
            problems.push(Problem::new(only(|def| def.batches, BATCHES)));
        } else if target.def().simulates && service.base_url.is_none() {
            problems.push(
                Problem::new("the built-in simulator ends with its run, and its batch jobs with it")
                    .hint("give --base-url for a simulator that was started with `promptgate sim`"),
            );
        } else {
            match self.answerer(Some(target), service.base_url.as_deref(), None, &[], false) {
                Ok(Answerer { key, missing_key: None, .. }) => service.key = key,
                Ok(Answerer { missing_key: Some(problem), .. }) | Err(problem) => problems.push(problem),
            }
        }
        problems.or(service)
    }

    pub(super) fn judges(&self) -> BTreeMap<String, JudgeSettings> {
        let mut judges = self.file.tables.judges.clone();
        for judge in judges.values_mut() {
            judge.key = self.key_of(judge.target);
        }
        judges
    }

    pub(super) fn embeddings(&self) -> BTreeMap<String, EmbeddingSettings> {
        let mut models = self.file.tables.embeddings.clone();
        for model in models.values_mut() {
            model.key = self.key_of(model.target);
        }
        models
    }
}

struct Answerer {
    target: TargetKind,
    /// It is the simulator for want of a key.
    fallback: bool,
    key: Option<ApiKey>,
    missing_key: Option<Problem>,
    key_file: Option<PathBuf>,
}

impl Answerer {
    fn keyless(target: TargetKind) -> Answerer {
        Answerer { target, fallback: false, key: None, missing_key: None, key_file: None }
    }
}
