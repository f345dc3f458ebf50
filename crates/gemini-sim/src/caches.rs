//! Cached contents: a prefix of requests that is stored once and named afterwards. In memory, bounded, forgotten when they
//! expire.

use super::clock::{duration, moment, stamp};
use super::noise::mix;
use super::pages::page;
use super::respond::prompt_tokens;
use super::status::Status;
use super::validate::{get, list};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;

/// Cached contents kept.
const MOST: usize = 1_000;
/// Bytes of all of them, as JSON.
const ROOM: usize = 128 << 20;
/// Life of a cached content whose request doesn't say.
const LIFE: Duration = Duration::from_secs(3600);
/// What a cached content gives to a request, and what a request may therefore not hold itself.
const GIVEN: [&str; 3] = ["systemInstruction", "tools", "toolConfig"];

/// A cached content.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    /// Without `cachedContents/`.
    name: String,
    /// Without `models/`.
    model: String,
    display_name: Option<String>,
    /// System instruction, contents, tools and their configuration.
    prefix: Arc<Map<String, Value>>,
    size: usize,
    /// Tokens of the prefix.
    pub(super) tokens: u64,
    created: OffsetDateTime,
    updated: OffsetDateTime,
    expires: OffsetDateTime,
}

impl Cache {
    fn body(&self) -> Value {
        let mut body = json!({
            "name": format!("cachedContents/{}", self.name),
            "model": format!("models/{}", self.model),
        });
        if let Some(name) = &self.display_name {
            body["displayName"] = json!(name);
        }
        body["createTime"] = json!(stamp(self.created));
        body["updateTime"] = json!(stamp(self.updated));
        body["expireTime"] = json!(stamp(self.expires));
        body["usageMetadata"] = json!({"totalTokenCount": self.tokens});
        body
    }

    /// The whole request: the cached prefix, then what the request adds.
    ///
    /// # Errors
    /// 400 when the request is for another model, or holds what the cached content holds.
    pub(super) fn extend(&self, request: &Value, model: &str) -> Result<Value, Status> {
        if self.model != model {
            return Err(Status::new(
                400,
                format!(
                    "Model used by GenerateContent request (models/{model}) and CachedContent (models/{}) has to be the \
                     same.",
                    self.model
                ),
            ));
        }
        if GIVEN.iter().any(|name| get(request, name).is_some()) {
            return Err(Status::new(
                400,
                "CachedContent can not be used with GenerateContent request setting system_instruction, tools or \
                 tool_config.\n\nProposed fix: move those values to CachedContent from GenerateContent request.",
            ));
        }
        let mut whole = self.prefix.as_ref().clone();
        let mut contents = match whole.remove("contents") {
            Some(Value::Array(contents)) => contents,
            Some(_) | None => Vec::new(),
        };
        contents.extend_from_slice(list(request, "contents"));
        whole.insert("contents".to_owned(), Value::Array(contents));
        if let Some(config) = get(request, "generationConfig") {
            whole.insert("generationConfig".to_owned(), config.clone());
        }
        Ok(Value::Object(whole))
    }
}

/// All cached contents.
#[derive(Debug, Default)]
pub(super) struct Caches {
    seed: u64,
    kept: Mutex<(Vec<Cache>, u64)>,
}

impl Caches {
    pub(super) fn new(seed: u64) -> Caches {
        Caches {
            seed,
            kept: Mutex::default(),
        }
    }

    /// What is kept, without what has expired.
    fn kept(&self, now: OffsetDateTime) -> MutexGuard<'_, (Vec<Cache>, u64)> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0.retain(|cache| cache.expires > now);
        kept
    }

    /// Creates a cached content for a model that was checked. Returns its body.
    pub(super) fn create(&self, body: &Value, model: &str, now: OffsetDateTime) -> Result<Value, Status> {
        let mut prefix = Map::new();
        for name in ["systemInstruction", "contents", "tools", "toolConfig"] {
            if let Some(value) = get(body, name) {
                let value = if matches!(name, "contents" | "tools") {
                    // The service also takes a lone element.
                    Value::Array(list(body, name).to_vec())
                } else {
                    value.clone()
                };
                prefix.insert(name.to_owned(), value);
            }
        }
        let expires = expiry(body, now)?.map_or_else(|| later(now, LIFE), Ok)?;
        let prefix = Value::Object(prefix);
        let tokens = prompt_tokens(&prefix);
        let least = least_tokens(model);
        if tokens < least {
            return Err(Status::new(
                400,
                format!("Cached content is too small. total_token_count={tokens}, min_total_token_count={least}"),
            ));
        }
        let size = prefix.to_string().len();
        let mut kept = self.kept(now);
        if kept.0.len() >= MOST || kept.0.iter().map(|cache| cache.size).sum::<usize>() + size > ROOM {
            return Err(Status::new(
                429,
                format!("You have exceeded your cached content storage: {MOST} entries, {ROOM} bytes."),
            ));
        }
        kept.1 += 1;
        let name = format!("{:016x}{:08x}", mix(self.seed ^ mix(kept.1)), kept.1);
        let Value::Object(prefix) = prefix else {
            return Err(Status::new(500, "An internal error has occurred."));
        };
        let cache = Cache {
            name,
            model: model.to_owned(),
            display_name: get(body, "displayName").and_then(Value::as_str).map(str::to_owned),
            prefix: Arc::new(prefix),
            size,
            tokens,
            created: now,
            updated: now,
            expires,
        };
        let body = cache.body();
        kept.0.push(cache);
        Ok(body)
    }

    /// A cached content by its name, `cachedContents/` or not.
    pub(super) fn find(&self, name: &str, now: OffsetDateTime) -> Result<Cache, Status> {
        let name = name.strip_prefix("cachedContents/").unwrap_or(name);
        let kept = self.kept(now);
        kept.0
            .iter()
            .find(|cache| cache.name == name)
            .cloned()
            .ok_or_else(missing)
    }

    /// The body of a cached content.
    pub(super) fn get(&self, name: &str, now: OffsetDateTime) -> Result<Value, Status> {
        self.find(name, now).map(|cache| cache.body())
    }

    /// The body of a page of all cached contents.
    pub(super) fn list(&self, query: &str, now: OffsetDateTime) -> Result<Value, Status> {
        page(&self.kept(now).0, query, "cachedContents", Cache::body)
    }

    /// Changes when a cached content expires; nothing else can change.
    pub(super) fn patch(&self, name: &str, body: &Value, now: OffsetDateTime) -> Result<Value, Status> {
        let fixed = [
            "model",
            "displayName",
            "contents",
            "systemInstruction",
            "tools",
            "toolConfig",
        ];
        if fixed.iter().any(|name| get(body, name).is_some()) {
            return Err(Status::new(
                400,
                "Only the expiration of a CachedContent can be updated.",
            ));
        }
        let expires = expiry(body, now)?;
        let mut kept = self.kept(now);
        let cache = kept.0.iter_mut().find(|cache| cache.name == name).ok_or_else(missing)?;
        if let Some(expires) = expires {
            cache.expires = expires;
            cache.updated = now;
        }
        Ok(cache.body())
    }

    /// Deletes a cached content.
    pub(super) fn delete(&self, name: &str, now: OffsetDateTime) -> Result<(), Status> {
        let mut kept = self.kept(now);
        let at = kept.0.iter().position(|cache| cache.name == name);
        kept.0.remove(at.ok_or_else(missing)?);
        Ok(())
    }
}

/// When a cached content expires, if the request says so.
fn expiry(body: &Value, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, Status> {
    match (get(body, "ttl"), get(body, "expireTime")) {
        (Some(_), Some(_)) => Err(Status::new(400, "ttl and expire_time are mutually exclusive.")),
        (Some(ttl), None) => {
            let ttl = duration(ttl).ok_or_else(|| Status::new(400, format!("Invalid value at 'ttl', {ttl}")))?;
            later(now, ttl).map(Some)
        }
        (None, Some(time)) => match moment(time) {
            Some(moment) if moment > now => Ok(Some(moment)),
            Some(_) => Err(Status::new(400, "expire_time must be in the future.")),
            None => Err(Status::new(400, format!("Invalid value at 'expire_time', {time}"))),
        },
        (None, None) => Ok(None),
    }
}

fn later(now: OffsetDateTime, life: Duration) -> Result<OffsetDateTime, Status> {
    let life = time::Duration::try_from(life).ok();
    life.and_then(|life| now.checked_add(life))
        .ok_or_else(|| Status::new(400, "ttl is out of range."))
}

/// The fewest tokens that can be cached: 4096 since Gemini 3, 2048 for 2.5 Pro, and 1024 for older ones.
fn least_tokens(model: &str) -> u64 {
    let major = model
        .strip_prefix("gemini-")
        .and_then(|rest| rest.split(['.', '-']).next())
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(..3) if model.contains("pro") => 2048,
        Some(..3) => 1024,
        // Aliases name the newest models.
        Some(_) | None => 4096,
    }
}

/// The service doesn't tell a missing or expired cached content from someone else's.
fn missing() -> Status {
    Status::new(403, "CachedContent not found (or permission denied)")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = "gemini-2.5-flash";

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_786_000_000 + seconds).unwrap()
    }

    fn long() -> Value {
        json!({
            "model": "models/gemini-2.5-flash",
            "system_instruction": {"parts": [{"text": "The zoo opens at nine. ".repeat(200)}]},
            "contents": {"role": "user", "parts": [{"text": "Here is the map."}]},
            "ttl": "300s",
        })
    }

    fn created(caches: &Caches, body: &Value) -> String {
        let body = caches.create(body, MODEL, at(0)).unwrap();
        body["name"].as_str().unwrap().replace("cachedContents/", "")
    }

    #[test]
    fn a_cached_content_lives_and_expires() {
        let caches = Caches::new(4);
        let name = created(&caches, &long());
        let body = caches.get(&name, at(299)).unwrap();
        assert_eq!(body["expireTime"], stamp(at(300)));
        assert_eq!(body["usageMetadata"]["totalTokenCount"], 1154);
        assert_eq!(caches.list("", at(0)).unwrap(), json!({"cachedContents": [body]}));
        let patched = caches.patch(&name, &json!({"ttl": "1000s"}), at(200)).unwrap();
        assert_eq!(patched["expireTime"], stamp(at(1200)));
        assert_eq!(patched["updateTime"], stamp(at(200)));
        assert_eq!(
            caches.patch(&name, &json!({"model": "x"}), at(200)).unwrap_err().http,
            400
        );
        let patched = caches
            .patch(&name, &json!({"expire_time": stamp(at(400))}), at(200))
            .unwrap();
        assert_eq!(patched["expireTime"], stamp(at(400)));
        assert_eq!(caches.get(&name, at(400)).unwrap_err().http, 403, "expired");
        assert_eq!(caches.list("", at(400)).unwrap(), json!({}));
        let again = created(&caches, &long());
        assert_ne!(again, name);
        caches.delete(&again, at(0)).unwrap();
        assert_eq!(caches.delete(&again, at(0)).unwrap_err().message, missing().message);
    }

    #[test]
    fn a_request_is_added_to_the_prefix() {
        let caches = Caches::default();
        let cache = caches.find(&created(&caches, &long()), at(0)).unwrap();
        let request = json!({
            "contents": [{"parts": [{"text": "When?"}]}],
            "generationConfig": {"maxOutputTokens": 9},
            "cachedContent": "cachedContents/x",
        });
        let whole = cache.extend(&request, MODEL).unwrap();
        assert_eq!(whole["contents"][0]["parts"][0]["text"], "Here is the map.");
        assert_eq!(whole["contents"][1]["parts"][0]["text"], "When?");
        assert_eq!(whole["generationConfig"]["maxOutputTokens"], 9);
        assert!(get(&whole, "systemInstruction").is_some());
        let error = cache.extend(&request, "gemini-3.8-flash").unwrap_err();
        assert!(error.message.contains("has to be the same"), "{}", error.message);
        let both = json!({"contents": [], "system_instruction": {"parts": [{"text": "Be nice."}]}});
        assert!(
            cache
                .extend(&both, MODEL)
                .unwrap_err()
                .message
                .starts_with("CachedContent can not be used")
        );
    }

    #[test]
    fn what_cannot_be_cached_is_refused() {
        let caches = Caches::default();
        for (change, words) in [
            (json!({"ttl": "5"}), "Invalid value at 'ttl', \"5\""),
            (json!({"ttl": "99999999999999s"}), "ttl is out of range."),
            (
                json!({"expireTime": "2026-12-01T00:00:00Z"}),
                "ttl and expire_time are mutually exclusive.",
            ),
            (
                json!({"ttl": null, "expireTime": "2020-12-01T00:00:00Z"}),
                "expire_time must be in the future.",
            ),
            (
                json!({"ttl": null, "expireTime": "soon"}),
                "Invalid value at 'expire_time', \"soon\"",
            ),
            (
                json!({"system_instruction": null}),
                "Cached content is too small. total_token_count=4, min_total_token_count=1024",
            ),
        ] {
            let mut body = long();
            for (name, value) in change.as_object().unwrap() {
                body[name] = value.clone();
            }
            assert_eq!(caches.create(&body, MODEL, at(0)).unwrap_err().message, words);
        }
        for (model, least) in [
            ("gemini-2.5-pro", 2048),
            ("gemini-2.5-flash", 1024),
            ("gemini-3.8-flash", 4096),
            ("gemini-4-argon", 4096),
            ("gemini-flash-latest", 4096),
        ] {
            assert_eq!(least_tokens(model), least, "{model}");
        }
    }
}
