//! Calls of a model: answers, streams, counts and embeddings.

use super::answer::answer;
use super::body::{get, list, number};
use super::embed::{DIMENSIONS, vector};
use super::library::Library;
use super::noise::{Key, degrade};
use super::respond::{Answer, counted, prompt_tokens};
use super::status::Status;
use super::turns::text_of;
use super::validate::{Method, validate};
use super::wire::{Ending, array, events, sent};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

/// What all answers share.
#[derive(Debug)]
pub(super) struct Answerer {
    library: Library,
    /// Chance that an answer is degraded, 0..=1.
    noise: f64,
}

impl Answerer {
    pub(super) fn new(noise: f64) -> Answerer {
        Answerer { library: Library::default(), noise }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Said,
    Unsaid,
}

/// A call that was understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) model: &'a str,
    /// A stream of server-sent events.
    pub(super) sse: bool,
    pub(super) key: Key,
    pub(super) finish: Finish,
    pub(super) ending: Ending,
}

impl Call<'_> {
    pub(super) fn answer(&self, answerer: &Answerer, body: &Value) -> Result<Response, Status> {
        validate(self.method, self.model, body)?;
        match self.method {
            #[cfg(feature = "emulator")]
            Method::BatchGenerate => Err(Status::new(400, "A batch is no call.")),
            Method::Generate => {
                let answered = generate(answerer, body, self.model, self.key)?;
                Ok(sent(StatusCode::OK, &self.ended(answered.body())))
            }
            Method::Stream => {
                let said = generate(answerer, body, self.model, self.key)?.events();
                let said = said.into_iter().map(|event| self.ended(event)).collect();
                Ok(if self.sse { events(said, self.ending) } else { array(said, self.ending) })
            }
            Method::CountTokens => {
                let request = get(body, "generateContentRequest").unwrap_or(body);
                refuse_cached_content(request)?;
                Ok(sent(StatusCode::OK, &counted(prompt_tokens(request))))
            }
            Method::Embed => Ok(sent(StatusCode::OK, &json!({"embedding": embed(body)}))),
            Method::BatchEmbed => {
                let all: Vec<Value> = list(body, "requests").iter().map(embed).collect();
                Ok(sent(StatusCode::OK, &json!({"embeddings": all})))
            }
        }
    }

    /// An answer or event with its finish reason, or without: then the end is missing.
    fn ended(&self, mut body: Value) -> Value {
        if (self.finish == Finish::Unsaid || self.ending != Ending::Whole)
            && let Some(candidate) = body["candidates"][0].as_object_mut()
        {
            candidate.remove("finishReason");
        }
        body
    }
}

/// Answers a request that was validated.
fn generate(answerer: &Answerer, body: &Value, model: &str, key: Key) -> Result<Answer, Status> {
    refuse_cached_content(body)?;
    let system = answerer.library.system(body);
    let reply = answer(body, system.as_deref(), degrade(key, answerer.noise));
    Ok(Answer::new(reply, body, model, key))
}

/// Answers a request inside a batch.
#[cfg(feature = "emulator")]
pub(super) fn answer_item(
    answerer: &Answerer,
    request: &Value,
    model: &str,
    key: Key,
    finish: Finish,
) -> Result<Value, Status> {
    let call = Call { method: Method::Generate, model, sse: false, key, finish, ending: Ending::Whole };
    validate(call.method, model, request)?;
    Ok(call.ended(generate(answerer, request, model, key)?.body()))
}

/// No cached content is kept here, so that none is found.
fn refuse_cached_content(body: &Value) -> Result<(), Status> {
    match get(body, "cachedContent").and_then(Value::as_str) {
        None | Some("") => Ok(()),
        Some(_) => Err(Status::new(403, "CachedContent not found (or permission denied)")),
    }
}

/// The embedding of a request that was validated.
fn embed(request: &Value) -> Value {
    let dimensions = get(request, "outputDimensionality").and_then(number).map_or(DIMENSIONS, |wanted| wanted as usize);
    let text = get(request, "content").map(text_of).unwrap_or_default();
    json!({"values": vector(&text, dimensions)})
}
