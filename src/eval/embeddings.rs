//! Models that make vectors of texts. What checks want to compare by meaning is asked for like a judge's replies: through the
//! run stage, under its limits and the run's budget, many texts a request, and each vector is stored by itself.

use super::target::service;
use crate::config::{Cache, EmbeddingSettings, Settings, TargetKind};
use crate::domain::{
    Arm, Arrival, CaseId, Content, Failure, FailureKind, Job, Part, Problem, Problems, Request, Role, Usage, digest,
};
use crate::plan::identity;
use crate::provider::gemini::{self, Delivery, EMBEDDING_MODEL};
use crate::provider::{ApiKey, Embedder, GeminiSettings, OpenAiSettings, embedding_requests, openai};
use crate::scoring::StaticModel;
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The model that a check means that names none.
const DEFAULT: &str = "default";

/// How vectors are called among the replies of a run.
pub(super) const REPLIES: &str = "embeddings";

/// The models that the checks name.
#[derive(Debug, Default)]
pub(crate) struct Embedders {
    pub(super) by_name: BTreeMap<String, EmbeddingModel>,
}

#[derive(Debug)]
pub(super) enum EmbeddingModel {
    Remote(Arc<RemoteModel>),
    Static(StaticModel),
}

/// A model that is asked over the network.
#[derive(Debug)]
pub(super) struct RemoteModel {
    pub(super) target: Arc<Embedder>,
    /// What answers, in the identity of each vector.
    pub(super) identity: String,
    model: String,
    dimensions: Option<u32>,
}

impl Embedders {
    /// Opens the models of these names. `runs` is where the run's own target embeds and what it is, if it does.
    ///
    /// # Errors
    /// All mistakes: a model that is not declared, or can't be used.
    pub(crate) fn open(
        names: &BTreeSet<String>,
        settings: &Settings,
        runs: Option<&(String, String)>,
    ) -> Result<Embedders, Problems> {
        let mut by_name = BTreeMap::new();
        let mut problems = Problems::default();
        for name in names {
            match EmbeddingModel::open(name, settings, runs) {
                Ok(model) => {
                    by_name.insert(name.clone(), model);
                }
                Err(found) => problems.push(found),
            }
        }
        problems.or(Embedders { by_name })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What the models are: another one makes another test.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let pieces: Vec<Vec<u8>> = self
            .by_name
            .iter()
            .flat_map(|(name, model)| match model {
                EmbeddingModel::Remote(asked) => [
                    name.clone().into_bytes(),
                    asked.identity.clone().into_bytes(),
                    format!("{} {:?}", asked.model, asked.dimensions).into_bytes(),
                ],
                EmbeddingModel::Static(model) => {
                    [name.clone().into_bytes(), b"static".to_vec(), model.digest().to_vec()]
                }
            })
            .collect();
        digest(pieces.iter().map(Vec::as_slice))
    }

    /// Secrets of the models' own.
    pub(crate) fn keys(settings: &Settings) -> impl Iterator<Item = &ApiKey> {
        settings.scoring.embeddings.values().filter_map(|one| one.key.as_ref())
    }
}

impl EmbeddingModel {
    fn open(name: &str, settings: &Settings, runs: Option<&(String, String)>) -> Result<EmbeddingModel, Problem> {
        let written = settings.scoring.embeddings.get(name);
        if written.is_none() && name != DEFAULT {
            return Err(
                Problem::new(format!("a check names the embeddings `{name}`, which are not declared"))
                    .did_you_mean(name, settings.scoring.embeddings.keys().map(String::as_str))
                    .expected(format!("[embeddings.{name}] in promptgate.toml")),
            );
        }
        let at = |problem: Problem| {
            let message = format!("the embeddings `{name}`: {}", problem.message);
            let told = match written {
                Some(one) => Problem::at(one.place.clone(), message),
                None => Problem::new(message),
            };
            Problem {
                expected: problem.expected,
                hint: problem.hint,
                ..told
            }
        };
        if let Some(path) = written.and_then(|one| one.path.as_deref()) {
            return StaticModel::open(&settings.root.join(path))
                .map(EmbeddingModel::Static)
                .map_err(at);
        }
        RemoteModel::open(written, settings, runs)
            .map(|asked| EmbeddingModel::Remote(Arc::new(asked)))
            .map_err(at)
    }
}

impl RemoteModel {
    fn open(
        written: Option<&EmbeddingSettings>,
        settings: &Settings,
        runs: Option<&(String, String)>,
    ) -> Result<RemoteModel, Problem> {
        let kind = written.and_then(|one| one.target).unwrap_or(settings.provider.target);
        let base_url = written.and_then(|one| one.base_url.clone());
        if kind == TargetKind::OpenAi {
            return RemoteModel::open_openai(written, settings);
        }
        // The run's own service, unless another one is named.
        let (url, service) = match (base_url, kind) {
            (Some(url), TargetKind::Gemini | TargetKind::Sim) => {
                let name = service(kind.as_str(), &url, gemini::VERSION);
                (url, name)
            }
            (None, TargetKind::Gemini | TargetKind::Sim) if kind == settings.provider.target && runs.is_some() => {
                runs.cloned().unwrap_or_default()
            }
            (None, TargetKind::Gemini) => {
                let url = gemini::BASE_URL.to_owned();
                let name = service(kind.as_str(), &url, gemini::VERSION);
                (url, name)
            }
            (None, TargetKind::Sim) => {
                return Err(Problem::new("a simulator that embeds needs an address")
                    .hint("set base_url to that of `promptgate sim`"));
            }
            (_, TargetKind::Vertex | TargetKind::OpenAi | TargetKind::Recorded) => {
                return Err(
                    Problem::new(format!("the target `{}` embeds no texts", kind.as_str())).hint(
                        "set target = \"gemini\" or \"openai\", or path = \"FOLDER\" of a static model, under [embeddings.NAME] in promptgate.toml",
                    ),
                );
            }
        };
        let of_run = settings
            .provider
            .key
            .clone()
            .filter(|_| settings.provider.target == TargetKind::Gemini);
        let key = written
            .and_then(|one| one.key.clone())
            .or(of_run)
            .filter(|_| kind == TargetKind::Gemini);
        if kind == TargetKind::Gemini && key.is_none() && settings.run.cache != Cache::Only {
            return Err(Problem::new("there is no key for it").hint("set GEMINI_API_KEY"));
        }
        let model = written
            .and_then(|one| one.model.clone())
            .unwrap_or_else(|| EMBEDDING_MODEL.to_owned());
        if let Some(message) = gemini::model_problem(&model) {
            return Err(Problem::new(message));
        }
        let identity = format!("{service} embeddings");
        let target = gemini::Embedder::new(&GeminiSettings {
            base_url: url,
            version: gemini::VERSION.to_owned(),
            delivery: Delivery::Whole,
            key,
            renewal: None,
            timeout: settings.limits.timeout,
            concurrency: settings.limits.concurrency,
            simulated: false,
        })?;
        Ok(RemoteModel {
            target: Arc::new(Embedder::Gemini(target)),
            identity,
            model,
            dimensions: written.and_then(|one| one.dimensions),
        })
    }

    /// A service that speaks as OpenAI does: the one that is named, else the run's own.
    fn open_openai(written: Option<&EmbeddingSettings>, settings: &Settings) -> Result<RemoteModel, Problem> {
        let named = written.and_then(|one| one.base_url.clone());
        let of_run = settings
            .provider
            .base_url
            .clone()
            .filter(|_| settings.provider.target == TargetKind::OpenAi);
        let base_url = named.clone().or(of_run).ok_or_else(|| {
            Problem::new("the target `openai` has no base url").hint("set base_url, like http://localhost:11434/v1")
        })?;
        // The run's key goes nowhere but to the run's own address.
        let key_of_run = (settings.provider.target == TargetKind::OpenAi && named.is_none())
            .then(|| settings.provider.key.clone())
            .flatten();
        let key = written.and_then(|one| one.key.clone()).or(key_of_run);
        if key.is_none() && settings.run.cache != Cache::Only && !openai::is_local(&base_url)? {
            return Err(Problem::new("there is no key for it").hint("set OPENAI_API_KEY"));
        }
        // A model for chats is none for embeddings, so the run's is no default.
        let model = written.and_then(|one| one.model.clone()).ok_or_else(|| {
            Problem::new("no model is named")
                .hint("set model, like \"text-embedding-3-small\", under [embeddings.NAME]")
        })?;
        if let Some(message) = openai::model_problem(&model) {
            return Err(Problem::new(message));
        }
        let identity = format!("openai {} embeddings", base_url.trim_end_matches('/'));
        let target = openai::Embedder::new(&OpenAiSettings {
            base_url,
            key,
            concurrency: settings.limits.concurrency,
        })?;
        Ok(RemoteModel {
            target: Arc::new(Embedder::OpenAi(Box::new(target))),
            identity,
            model,
            dimensions: written.and_then(|one| one.dimensions),
        })
    }

    /// The identity of one vector.
    pub(super) fn key(&self, text: &str) -> [u8; 32] {
        let body = self.target.body(&self.model, &[text], self.dimensions);
        identity(&self.identity, &self.model, &body, "embedding", 1, None)
    }

    /// A job for many texts. Its identity is nobody's: what is stored are the vectors.
    fn job(&self, texts: &[&str]) -> Job {
        let request = Request {
            model: self.model.clone(),
            system: Vec::new(),
            contents: texts
                .iter()
                .map(|text| Content {
                    role: Role::User,
                    parts: vec![Part::Text((*text).to_owned())],
                })
                .collect(),
            config: Map::new(),
            json_output: false,
            output_schema: None,
            tools: Vec::new(),
        };
        let keys: Vec<[u8; 32]> = texts.iter().map(|text| self.key(text)).collect();
        Job {
            seq: 0,
            case: CaseId::new("embedding"),
            arm: Arm::Candidate,
            repeat: 1,
            request: Arc::new(request),
            body: self.target.body(&self.model, texts, self.dimensions).into(),
            key: digest(keys.iter().map(<[u8; 32]>::as_slice)),
        }
    }
}

impl RemoteModel {
    /// Jobs for many texts, and how to split their replies.
    pub(super) fn jobs(&self, texts: &[&str]) -> (Vec<Job>, VectorBatches) {
        let mut keys = HashMap::new();
        let mut jobs = Vec::new();
        for chunk in embedding_requests(texts, |text| text.len()) {
            let job = self.job(chunk);
            keys.insert(job.key, chunk.iter().map(|text| self.key(text)).collect());
            jobs.push(job);
        }
        let batches = VectorBatches {
            texts: keys,
            dimensions: self.dimensions,
        };
        (jobs, batches)
    }

    /// The job under which the vector of one text is stored.
    pub(super) fn job_of_one(&self, text: &str) -> Job {
        Job {
            key: self.key(text),
            ..self.job(&[text])
        }
    }
}

pub(super) fn read(stored: &str) -> Result<Arc<[f32]>, Failure> {
    serde_json::from_str::<Vec<f32>>(stored)
        .map(Arc::from)
        .map_err(|error| failed(format!("a stored embedding can't be read: {error}")))
}

pub(super) fn failed(message: String) -> Failure {
    Failure {
        kind: FailureKind::Matcher,
        code: "embedding".to_owned(),
        message,
    }
}

/// Splits the reply to a request into one reply for each of its texts.
#[derive(Debug)]
pub(super) struct VectorBatches {
    /// By the identity of each job: those of its texts.
    texts: HashMap<[u8; 32], Vec<[u8; 32]>>,
    /// Numbers that each vector must have.
    dimensions: Option<u32>,
}

impl VectorBatches {
    pub(super) fn split(&self, arrival: &Arrival) -> Vec<Arrival> {
        let keys = self.texts.get(&arrival.asked.key).map_or(&[][..], Vec::as_slice);
        let vectors = self.vectors(arrival, keys.len());
        let one = |(at, key): (usize, &[u8; 32])| {
            let mut one = arrival.clone();
            one.asked.key = *key;
            match (&mut one.result, &vectors) {
                (Ok(answer), Ok(vectors)) => {
                    answer.text = serde_json::to_string(&vectors[at]).unwrap_or_default();
                    // The tokens are those of all texts together.
                    answer.usage = Usage::default();
                }
                (result, Err(failure)) => *result = Err(failure.clone()),
                (Err(_), Ok(_)) => {}
            }
            one
        };
        keys.iter().enumerate().map(one).collect()
    }

    /// One vector for each text.
    fn vectors(&self, arrival: &Arrival, texts: usize) -> Result<Vec<Vec<f32>>, Failure> {
        let answer = arrival.result.as_ref().map_err(Clone::clone)?;
        let vectors: Vec<Vec<f32>> = serde_json::from_str(&answer.text)
            .map_err(|error| failed(format!("the embeddings can't be read: {error}")))?;
        let wrong = |vector: &&Vec<f32>| self.dimensions.is_some_and(|wanted| vector.len() != wanted as usize);
        if let Some(vector) = vectors.iter().find(wrong) {
            return Err(failed(format!(
                "an embedding has {} numbers, and {} were asked for",
                vector.len(),
                self.dimensions.unwrap_or_default()
            )));
        }
        if vectors.len() != texts {
            return Err(failed(format!("{} embeddings came for {texts} texts", vectors.len())));
        }
        Ok(vectors)
    }
}
