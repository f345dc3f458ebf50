//! Calls of a model: answers, streams, counts and embeddings.

use super::answer::answer;
use super::embed::{DIMENSIONS, embedding};
use super::noise::{Key, degrade};
use super::respond::{Answered, counted, prompt_tokens};
use super::service::Service;
use super::status::Status;
use super::turns::text_of;
use super::validate::{Method, get, list, number, validate};
use super::wire::{Ending, array, events, sent};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use std::borrow::Cow;
use time::OffsetDateTime;

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// With its finish reason.
    Said,
    /// Without one.
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
    /// Answers a body.
    pub(super) fn answer(&self, service: &Service, body: &Value) -> Result<Response, Status> {
        validate(self.method, self.model, body)?;
        match self.method {
            Method::Generate | Method::BatchGenerate => {
                let answered = generate(service, body, self.model, self.key)?;
                Ok(sent(StatusCode::OK, &self.ended(answered.body())))
            }
            Method::Stream => {
                let said = generate(service, body, self.model, self.key)?.events();
                let said = said.into_iter().map(|event| self.ended(event)).collect();
                Ok(if self.sse {
                    events(said, self.ending)
                } else {
                    array(said, self.ending)
                })
            }
            Method::CountTokens => {
                let asked = get(body, "generateContentRequest").unwrap_or(body);
                let (whole, cached) = whole(service, asked, self.model)?;
                Ok(sent(StatusCode::OK, &counted(prompt_tokens(&whole), cached)))
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
fn generate(service: &Service, body: &Value, model: &str, key: Key) -> Result<Answered, Status> {
    let (whole, cached) = whole(service, body, model)?;
    let system = service.library.system(&whole);
    let reply = answer(&whole, system.as_deref(), degrade(key, service.settings.noise));
    Ok(Answered::new(reply, &whole, model, key).cached(cached))
}

/// Answers a request inside a batch.
pub(super) fn answer_item(
    service: &Service,
    request: &Value,
    model: &str,
    key: Key,
    finish: Finish,
) -> Result<Value, Status> {
    let call = Call {
        method: Method::Generate,
        model,
        sse: false,
        key,
        finish,
        ending: Ending::Whole,
    };
    validate(call.method, model, request)?;
    Ok(call.ended(generate(service, request, model, key)?.body()))
}

/// A request with the cached content that it names, and how many of its tokens come from there.
fn whole<'a>(service: &Service, body: &'a Value, model: &str) -> Result<(Cow<'a, Value>, u64), Status> {
    match get(body, "cachedContent").and_then(Value::as_str) {
        None | Some("") => Ok((Cow::Borrowed(body), 0)),
        Some(name) => {
            let cache = service.caches.find(name, OffsetDateTime::now_utc())?;
            Ok((Cow::Owned(cache.extend(body, model)?), cache.tokens))
        }
    }
}

/// The embedding of a request that was validated.
fn embed(request: &Value) -> Value {
    let dimensions = get(request, "outputDimensionality")
        .and_then(number)
        .map_or(DIMENSIONS, |wanted| wanted as usize);
    let text = get(request, "content").map(text_of).unwrap_or_default();
    embedding(&text, dimensions)
}
