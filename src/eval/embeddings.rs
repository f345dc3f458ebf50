//! Models that make vectors of texts. What checks want to compare by meaning is asked for like a judge's replies: through the
//! run stage, under its limits and the run's budget, many texts a request, and each vector is stored by itself.

use super::judges::Asker;
use super::target::service;
use crate::config::{Cache, EmbeddingSettings, Settings, TargetKind};
use crate::domain::{
    Answer, Arm, Arrival, CaseId, Content, Failure, FailureKind, Job, Keep, Meaning, Part, Problem, Problems, Request,
    Role, Usage, digest,
};
use crate::error::Error;
use crate::plan::identity;
use crate::plan::price::Tier;
use crate::provider::gemini::{self, Delivery, EMBEDDING_MODEL};
use crate::provider::{ApiKey, Embedder, GeminiSettings, OpenAiSettings, embedding_requests, openai};
use crate::scoring::{ReplyCache, StaticModel};
use crate::store::Writer;
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The model that a check means that names none.
const DEFAULT: &str = "default";

/// How vectors are called among the replies of a run.
const REPLIES: &str = "embeddings";

/// The models that the checks name.
#[derive(Debug, Default)]
pub(crate) struct Embedders {
    by_name: BTreeMap<String, Model>,
}

#[derive(Debug)]
enum Model {
    Asked(Arc<Asked>),
    Static(StaticModel),
}

/// A model that is asked over the network.
#[derive(Debug)]
struct Asked {
    target: Arc<Embedder>,
    /// What answers, in the identity of each vector.
    identity: String,
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
            match Model::open(name, settings, runs) {
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
                Model::Asked(asked) => [
                    name.clone().into_bytes(),
                    asked.identity.clone().into_bytes(),
                    format!("{} {:?}", asked.model, asked.dimensions).into_bytes(),
                ],
                Model::Static(model) => [name.clone().into_bytes(), b"static".to_vec(), model.digest().to_vec()],
            })
            .collect();
        digest(pieces.iter().map(Vec::as_slice))
    }

    /// Secrets of the models' own.
    pub(crate) fn keys(settings: &Settings) -> impl Iterator<Item = &ApiKey> {
        settings.scoring.embeddings.values().filter_map(|one| one.key.as_ref())
    }
}

impl Model {
    fn open(name: &str, settings: &Settings, runs: Option<&(String, String)>) -> Result<Model, Problem> {
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
                .map(Model::Static)
                .map_err(at);
        }
        Asked::open(written, settings, runs)
            .map(|asked| Model::Asked(Arc::new(asked)))
            .map_err(at)
    }
}

impl Asked {
    fn open(
        written: Option<&EmbeddingSettings>,
        settings: &Settings,
        runs: Option<&(String, String)>,
    ) -> Result<Asked, Problem> {
        let kind = written.and_then(|one| one.target).unwrap_or(settings.provider.target);
        let base_url = written.and_then(|one| one.base_url.clone());
        if kind == TargetKind::OpenAi {
            return Asked::open_openai(written, settings);
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
        Ok(Asked {
            target: Arc::new(Embedder::Gemini(target)),
            identity,
            model,
            dimensions: written.and_then(|one| one.dimensions),
        })
    }

    /// A service that speaks as OpenAI does: the one that is named, else the run's own.
    fn open_openai(written: Option<&EmbeddingSettings>, settings: &Settings) -> Result<Asked, Problem> {
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
        Ok(Asked {
            target: Arc::new(Embedder::OpenAi(Box::new(target))),
            identity,
            model,
            dimensions: written.and_then(|one| one.dimensions),
        })
    }

    /// The identity of one vector.
    fn key(&self, text: &str) -> [u8; 32] {
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

impl Asker<'_> {
    /// Gets the vectors of these texts, and notes them.
    ///
    /// # Errors
    /// The store can't be used.
    pub(crate) fn embed(&mut self, wanted: Vec<Meaning>, asking: &mut ReplyCache) -> Result<(), Error> {
        let mut by_model: BTreeMap<String, Vec<Meaning>> = BTreeMap::new();
        for meaning in wanted {
            by_model.entry(meaning.by.clone()).or_default().push(meaning);
        }
        let embedders = self.embedders;
        for (name, meanings) in by_model {
            match embedders.by_name.get(&name) {
                None => {
                    for meaning in meanings {
                        asking.note_vector(&meaning, Err(failed(format!("the embeddings `{name}` are not there"))));
                    }
                }
                Some(Model::Static(model)) => {
                    for meaning in meanings {
                        let vector = model.vector(&meaning.text).map(Arc::from).map_err(failed);
                        asking.note_vector(&meaning, vector);
                    }
                }
                Some(Model::Asked(asked)) => self.embed_by(asked, meanings, asking)?,
            }
        }
        Ok(())
    }

    fn embed_by(&mut self, asked: &Arc<Asked>, meanings: Vec<Meaning>, asking: &mut ReplyCache) -> Result<(), Error> {
        let mut open = Vec::new();
        for meaning in meanings {
            let known = match self.settings.run.cache {
                Cache::Use | Cache::Only => self.store.reply(self.run, REPLIES, &asked.job_of_one(&meaning.text))?,
                Cache::Refresh | Cache::Off => None,
            };
            match known {
                Some((answer, imported)) => {
                    self.so_far.stored += 1;
                    self.so_far.imported += u64::from(imported);
                    self.so_far.simulated |= answer.simulated;
                    asking.note_vector(&meaning, read(&answer.text));
                }
                None => open.push(meaning),
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        if let Some(failure) = self.unasked() {
            for meaning in open {
                asking.note_vector(&meaning, Err(failure.clone()));
            }
            return Ok(());
        }
        let mut texts = HashMap::new();
        let mut jobs = Vec::new();
        for chunk in embedding_requests(&open, |meaning| meaning.text.len()) {
            let chunk: Vec<&str> = chunk.iter().map(|meaning| meaning.text.as_str()).collect();
            let job = asked.job(&chunk);
            texts.insert(job.key, chunk.iter().map(|text| asked.key(text)).collect());
            jobs.push(job);
        }
        let reusable = self.settings.run.cache != Cache::Off;
        let keep = Arc::new(Vectors {
            texts,
            dimensions: asked.dimensions,
            writer: self.store.replies(self.run, REPLIES, &asked.identity, reusable)?,
            got: Mutex::default(),
        });
        let target = Arc::clone(&asked.target);
        let end = self.send(jobs, target, Arc::clone(&keep), Tier::Standard)?;
        self.count(end);
        let Some(Vectors { writer, got, .. }) = Arc::into_inner(keep) else {
            return Err(Error::StoreFailed(Problem::new("the store's writer is still in use")));
        };
        writer
            .finish()
            .map_err(|message| Error::StoreFailed(Problem::new(message)))?;
        let got = got.into_inner().unwrap_or_else(PoisonError::into_inner);
        for meaning in open {
            let vector = match got.get(&asked.key(&meaning.text)) {
                Some(Ok(answer)) => {
                    self.so_far.simulated |= answer.simulated;
                    read(&answer.text)
                }
                Some(Err(failure)) => Err(failure.clone()),
                None => Err(self.left_out()),
            };
            asking.note_vector(&meaning, vector);
        }
        Ok(())
    }
}

impl Asked {
    fn job_of_one(&self, text: &str) -> Job {
        Job {
            key: self.key(text),
            ..self.job(&[text])
        }
    }
}

fn read(stored: &str) -> Result<Arc<[f32]>, Failure> {
    serde_json::from_str::<Vec<f32>>(stored)
        .map(Arc::from)
        .map_err(|error| failed(format!("a stored embedding can't be read: {error}")))
}

fn failed(message: String) -> Failure {
    Failure {
        kind: FailureKind::Matcher,
        code: "embedding".to_owned(),
        message,
    }
}

/// Takes the replies apart, and keeps each vector by itself.
#[derive(Debug)]
struct Vectors {
    /// By the identity of each job: those of its texts.
    texts: HashMap<[u8; 32], Vec<[u8; 32]>>,
    /// Numbers that each vector must have.
    dimensions: Option<u32>,
    writer: Writer,
    got: Mutex<HashMap<[u8; 32], Result<Answer, Failure>>>,
}

impl Vectors {
    fn note(&self, key: [u8; 32], got: Result<Answer, Failure>) {
        let mut all = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, got);
    }
}

impl Keep for Vectors {
    async fn keep(&self, arrival: Arrival) -> Result<(), String> {
        let texts = self.texts.get(&arrival.asked.key).cloned().unwrap_or_default();
        let vectors = arrival.result.as_ref().map_err(Clone::clone).and_then(|answer| {
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
            if vectors.len() == texts.len() {
                Ok(vectors)
            } else {
                Err(failed(format!(
                    "{} embeddings came for {} texts",
                    vectors.len(),
                    texts.len()
                )))
            }
        });
        let vectors = match vectors {
            Ok(vectors) => vectors,
            Err(failure) => {
                texts.into_iter().for_each(|key| self.note(key, Err(failure.clone())));
                return Ok(());
            }
        };
        for (key, vector) in texts.into_iter().zip(vectors) {
            let mut one = arrival.clone();
            one.asked.key = key;
            if let Ok(answer) = &mut one.result {
                answer.text = serde_json::to_string(&vector).unwrap_or_default();
                // The tokens are those of all texts together.
                answer.usage = Usage::default();
            }
            let result = one.result.clone();
            self.writer.keep(one).await?;
            self.note(key, result);
        }
        Ok(())
    }
}
