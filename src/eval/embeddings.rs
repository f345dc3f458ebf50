//! Models that make vectors of texts. What checks want to compare by meaning is asked for like a judge's replies: through the
//! run stage, under its limits and the run's budget, many texts a request, and each vector is stored by itself.

use super::judges::open_each;
use super::target::{limits_of, run_service};
use crate::config::{EmbeddingSettings, Settings};
use crate::domain::{
    Arm, CaseId, Content, Failure, FailureKind, Job, JobResult, Part, Problem, Problems, Request, Role, Usage, digest,
};
use crate::plan::identity;
use crate::provider::{ApiKey, OwnService, Provider, Purpose, ServiceConfig, Target, embedding_requests};
use crate::scoring::StaticModel;
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The model that a check means that names none.
const DEFAULT: &str = "default";

/// How vectors are called among the replies of a run.
pub(super) const REPLIES: &str = "embeddings";

#[derive(Debug, Default)]
pub(crate) struct Embedders {
    pub(super) by_name: BTreeMap<String, EmbeddingModel>,
}

#[derive(Debug)]
pub(super) enum EmbeddingModel {
    Remote(Arc<RemoteModel>),
    Static(StaticModel),
}

#[derive(Debug)]
pub(super) struct RemoteModel {
    pub(super) provider: Arc<dyn Provider>,
    /// Writes a request: model, texts, dimensions.
    body: fn(&str, &[&str], Option<u32>) -> Vec<u8>,
    /// What answers, in the identity of each vector.
    pub(super) identity: String,
    model: String,
    dimensions: Option<u32>,
}

impl Embedders {
    /// Opens the models of these names. `run` is the run's own target.
    pub(crate) fn open(
        names: &BTreeSet<String>,
        settings: &Settings,
        run: Option<&Target>,
    ) -> Result<Embedders, Problems> {
        let by_name = open_each(names, |name| EmbeddingModel::open(name, settings, run))?;
        Ok(Embedders { by_name })
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

    pub(crate) fn keys(settings: &Settings) -> impl Iterator<Item = &ApiKey> {
        settings.scoring.embeddings.values().filter_map(|one| one.key.as_ref())
    }
}

impl EmbeddingModel {
    fn open(name: &str, settings: &Settings, run: Option<&Target>) -> Result<EmbeddingModel, Problem> {
        let written = settings.scoring.embeddings.get(name);
        if written.is_none() && name != DEFAULT {
            return Err(Problem::new(format!("a check names the embeddings `{name}`, which are not declared"))
                .did_you_mean(name, settings.scoring.embeddings.keys().map(String::as_str))
                .expected(format!("[embeddings.{name}] in promptgate.toml")));
        }
        let at = |problem: Problem| {
            let message = format!("the embeddings `{name}`: {}", problem.message);
            let told = match written {
                Some(one) => Problem::at(one.place.clone(), message),
                None => Problem::new(message),
            };
            Problem { expected: problem.expected, hint: problem.hint, ..told }
        };
        if let Some(path) = written.and_then(|one| one.path.as_deref()) {
            return StaticModel::open(&settings.root.join(path)).map(EmbeddingModel::Static).map_err(at);
        }
        RemoteModel::open(written, settings, run).map(|asked| EmbeddingModel::Remote(Arc::new(asked))).map_err(at)
    }
}

impl RemoteModel {
    fn open(
        written: Option<&EmbeddingSettings>,
        settings: &Settings,
        run: Option<&Target>,
    ) -> Result<RemoteModel, Problem> {
        let own = written.map_or_else(OwnService::default, |one| OwnService {
            target: one.target,
            base_url: one.base_url.clone(),
            key: one.key.clone(),
        });
        let service = ServiceConfig::find(Purpose::Embed, own, run_service(settings, run), limits_of(settings))?;
        let Some(embedding) = &service.def.embedding else {
            return Err(Problem::new(format!("the target `{}` embeds no texts", service.def.name)));
        };
        let model = written.and_then(|one| one.model.clone());
        let model = model.or_else(|| embedding.default_model.map(str::to_owned)).ok_or_else(|| {
            Problem::new("no model is named")
                .hint("set model, like \"text-embedding-3-small\", under [embeddings.NAME]")
        })?;
        if let Some(message) = (service.def.encoder)(&service.config).model_problem(&model) {
            return Err(Problem::new(message));
        }
        Ok(RemoteModel {
            provider: (embedding.open)(&service.config)?,
            body: embedding.body,
            identity: format!("{} embeddings", service.service),
            model,
            dimensions: written.and_then(|one| one.dimensions),
        })
    }

    pub(super) fn key(&self, text: &str) -> [u8; 32] {
        let body = (self.body)(&self.model, &[text], self.dimensions);
        identity(&self.identity, &self.model, &body, "embedding", 1, None)
    }

    /// A job for many texts. Its identity is nobody's: what is stored are the vectors.
    fn job(&self, texts: &[&str]) -> Job {
        let request = Request {
            model: self.model.clone(),
            system: Vec::new(),
            contents: texts
                .iter()
                .map(|text| Content { role: Role::User, parts: vec![Part::Text((*text).to_owned())] })
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
            body: (self.body)(&self.model, texts, self.dimensions).into(),
            later: Vec::new(),
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
        let batches = VectorBatches { texts: keys, dimensions: self.dimensions };
        (jobs, batches)
    }

    /// The job under which the vector of one text is stored.
    pub(super) fn job_of_one(&self, text: &str) -> Job {
        Job { key: self.key(text), ..self.job(&[text]) }
    }
}

pub(super) fn read(stored: &str) -> Result<Arc<[f32]>, Failure> {
    serde_json::from_str::<Vec<f32>>(stored)
        .map(Arc::from)
        .map_err(|error| failed(format!("a stored embedding can't be read: {error}")))
}

pub(super) fn failed(message: String) -> Failure {
    Failure { kind: FailureKind::Matcher, code: "embedding".to_owned(), message }
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
    pub(super) fn split(&self, arrival: &JobResult) -> Vec<JobResult> {
        let keys = self.texts.get(&arrival.meta.key).map_or(&[][..], Vec::as_slice);
        let vectors = self.vectors(arrival, keys.len());
        let one = |(at, key): (usize, &[u8; 32])| {
            let mut one = arrival.clone();
            one.meta.key = *key;
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

    fn vectors(&self, arrival: &JobResult, texts: usize) -> Result<Vec<Vec<f32>>, Failure> {
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
