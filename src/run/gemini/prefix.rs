//! Prefixes that the service keeps: what all requests of an arm begin with is sent once, as cached content, and named from
//! then on.
//!
//! ```text
//! empty ── the first request that needs it makes it, the others wait ──▶ ready ── deleted when the run ends
//!   ▲                                                                     │
//!   └────────────── the service does not know it any more ────────────────┘
//! ```
//!
//! A prefix that the service will not keep is sent with every request, as without caching: the model sees the same content
//! either way. Facts of the wire: `cachedContents` of google/ai/generativelanguage/v1beta/cache_service.proto.

use super::super::http::post;
use super::super::target::{Retry, TargetError};
use super::endpoint::resource;
use super::{Connection, body, classify};
use crate::domain::{FailureKind, PrefixCaches, Request, digest};
use reqwest::Method;
use serde_json::Value;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long the service keeps a prefix that nobody renews: what a run leaves behind when it is killed costs no more than
/// this.
const LIFE: Duration = Duration::from_secs(600);
/// A prefix that is still used at this age is renewed: in the second half of its life.
pub const RENEW_AFTER: Duration = Duration::from_secs(300);
/// A renewal that failed is tried again after this.
const RENEW_AGAIN: Duration = Duration::from_secs(30);
/// A prefix that is gone is made anew; after so many times something else is wrong.
const MOST_LOSSES: u32 = 8;
/// A creation that fails for reasons that may pass is tried so often in a run: each may leave something behind.
const MOST_FAILURES: u64 = 3;
/// Whoever ends a run waits no longer than this for tidying up.
const CLOSING: Duration = Duration::from_secs(10);
/// Attempts to delete.
const DELETIONS: u32 = 3;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(200);
/// Bytes of a name that the service gives.
const LONGEST_NAME: usize = 256;

/// What requests have in common and the service can keep: system instruction, tools and their configuration, for one
/// model.
#[derive(Clone, PartialEq, Eq)]
pub struct Prefix {
    model: String,
    /// A JSON object.
    fields: Vec<u8>,
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefix")
            .field("model", &self.model)
            .field("bytes", &self.fields.len())
            .finish()
    }
}

impl Prefix {
    /// The prefix of a request; `None` where there is nothing to keep, or the request names cached content itself.
    pub fn of(request: &Request) -> Option<Prefix> {
        Some(Prefix {
            model: request.model.clone(),
            fields: body::prefix(request)?,
        })
    }

    /// The model that it is kept for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Its tokens, roughly: four bytes a token.
    pub fn estimated_tokens(&self) -> u64 {
        (self.fields.len() as u64).div_ceil(4)
    }

    /// It may be long enough to be kept. Counted in favour of trying, three bytes a token: the service counts exactly, and
    /// says so when it is too short.
    pub fn may_be_kept(&self) -> bool {
        (self.fields.len() as u64).div_ceil(3) >= self.least_tokens()
    }

    /// The fewest tokens that the service keeps for the model, by its documentation on context caching (November 2026):
    /// 4,096 since Gemini 3, which aliases name too, 2,048 before. A model of another name is for the service to judge.
    pub fn least_tokens(&self) -> u64 {
        let name = self.model.strip_prefix("models/").unwrap_or(&self.model);
        match name.strip_prefix("gemini-") {
            Some(version) if version.starts_with("2.") || version.starts_with("1.") => 2048,
            Some(_) => 4096,
            None => 0,
        }
    }

    /// What people find it by in a list of cached contents.
    fn display_name(&self) -> String {
        let digest = digest([self.model.as_bytes(), self.fields.as_slice()]);
        let hex: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("promptgate {hex}")
    }

    /// The request that makes the service keep it.
    fn creation(&self) -> Vec<u8> {
        let text = |text: &str| Value::from(text).to_string();
        let mut body = format!(
            "{{\"model\":{},\"displayName\":{},\"ttl\":\"{}s\",",
            text(&resource(&self.model)),
            text(&self.display_name()),
            LIFE.as_secs()
        )
        .into_bytes();
        // The fields are an object with at least one field; it goes on where its brace was.
        body.extend_from_slice(self.fields.get(1..).unwrap_or_default());
        body
    }
}

/// Dollars for a model, the tokens of a kept prefix, and the hours it was kept; `None` for an unknown price.
pub type KeepingPrice = dyn Fn(&str, u64, f64) -> Option<f64> + Send + Sync;

/// What caching prefixes needs to know.
#[derive(Clone)]
pub struct Caching {
    /// What to keep; requests with another prefix are sent as they are.
    pub prefixes: Vec<Prefix>,
    /// The longest one request of making, renewing or deleting may take.
    pub timeout: Duration,
    /// The age at which it is renewed, if it is still used; see [`RENEW_AFTER`].
    pub renew_after: Duration,
    /// What it costs.
    pub price: Arc<KeepingPrice>,
    /// Takes sentences worth showing.
    pub tell: Arc<dyn Fn(String) + Send + Sync>,
}

impl fmt::Debug for Caching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caching")
            .field("prefixes", &self.prefixes)
            .finish_non_exhaustive()
    }
}

/// The prefixes of a run: as many as were planned, each kept at most once at a time.
#[derive(Debug)]
pub(super) struct Prefixes {
    slots: Vec<Arc<Slot>>,
    keeper: Arc<Keeper>,
}

/// One prefix, kept or not.
#[derive(Debug)]
struct Slot {
    prefix: Prefix,
    /// Held while it is being made: whoever needs it waits here.
    state: tokio::sync::Mutex<State>,
    /// Attempts to make it that failed. Whoever was waiting during one goes without it, too.
    failures: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    losses: u32,
}

#[derive(Debug, Default)]
enum Phase {
    /// To be made by the next request that needs it.
    #[default]
    Empty,
    Ready(Arc<Kept>),
    /// Requests go without.
    Without,
    /// The key, or a quota, is no good: every request would be refused.
    Refused(TargetError),
}

/// A prefix that the service keeps.
#[derive(Debug)]
pub(super) struct Kept {
    /// `cachedContents/…`
    name: String,
    model: String,
    tokens: u64,
    born: Instant,
    span: Mutex<Span>,
    /// A request with it was answered.
    answered: AtomicBool,
}

#[derive(Debug)]
struct Span {
    /// When the service drops it, if nothing else happens.
    until: Instant,
    /// The same for people.
    until_utc: OffsetDateTime,
    /// Not renewed before.
    renew: Instant,
    /// When it was deleted, or found to be gone.
    over: Option<Instant>,
}

/// What makes, renews and deletes.
#[derive(Debug)]
struct Keeper {
    connection: Arc<Connection>,
    caching: Caching,
    /// Everything that was made, in order.
    made: Mutex<Vec<Arc<Kept>>>,
    /// Creations whose reply got lost: the service may keep what nobody knows the name of.
    lost_replies: AtomicU64,
}

/// The outcome of needing a prefix: to be named, or to be sent.
type Needed = Result<Option<Arc<Kept>>, TargetError>;

impl Prefixes {
    pub(super) fn new(connection: Arc<Connection>, caching: Caching) -> Prefixes {
        let slot = |prefix: &Prefix| {
            Arc::new(Slot {
                prefix: prefix.clone(),
                state: tokio::sync::Mutex::default(),
                failures: AtomicU64::new(0),
            })
        };
        Prefixes {
            slots: caching.prefixes.iter().map(slot).collect(),
            keeper: Arc::new(Keeper {
                connection,
                caching,
                made: Mutex::default(),
                lost_replies: AtomicU64::new(0),
            }),
        }
    }

    /// The kept prefix of a request, made now if it has to be; `None` where the request is to be sent whole.
    ///
    /// # Errors
    /// It could not be made.
    pub(super) async fn of(&self, request: &Request) -> Needed {
        let Some(slot) = self.slot(request) else {
            return Ok(None);
        };
        let seen = slot.failures.load(Ordering::SeqCst);
        let settled = slot.state.lock().await.settled(slot, seen, &self.keeper);
        if let Some(settled) = settled {
            return settled;
        }
        // In a task of its own: an attempt that runs out of time, or is abandoned, must not lose a name that is on its way.
        let making = tokio::spawn(make(Arc::clone(slot), Arc::clone(&self.keeper), seen));
        match making.await {
            Ok(needed) => needed,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(TargetError::new(
                    FailureKind::Transport,
                    "aborted",
                    format!("the prefix was not cached: {error}"),
                    Retry::Never,
                )),
            },
        }
    }

    /// What the failure of a request that named a kept prefix leads to: if the service does not know it any more, it is
    /// given up, once for all who named it, and the request is repeated.
    pub(super) async fn after(&self, request: &Request, kept: &Arc<Kept>, error: TargetError) -> TargetError {
        if !is_gone(&error) {
            return error;
        }
        if let Some(slot) = self.slot(request) {
            let mut state = slot.state.lock().await;
            if matches!(&state.phase, Phase::Ready(ready) if Arc::ptr_eq(ready, kept)) {
                state.lose(slot, kept, &self.keeper);
            }
        }
        // Neither the key nor the request was refused, whatever the status says.
        let message = error.failure().message;
        TargetError::new(FailureKind::Transport, "prefix_gone", message, Retry::PrefixGone)
    }

    /// What was used so far.
    pub(super) fn used(&self) -> PrefixCaches {
        let now = Instant::now();
        let mut used = PrefixCaches::default();
        for kept in self.keeper.made().iter() {
            used.created += 1;
            used.tokens = used.tokens.saturating_add(kept.tokens);
            let cost = (self.keeper.caching.price)(&kept.model, kept.tokens, kept.hours(now));
            used.cost_usd = used.cost_usd.zip(cost).map(|(sum, cost)| sum + cost);
        }
        used
    }

    /// Deletes what is kept, and says what could not be deleted. Nothing is made afterwards.
    pub(super) async fn close(&self) {
        let deadline = Instant::now() + self.keeper.caching.timeout.min(CLOSING);
        for slot in &self.slots {
            match timeout_at(deadline, slot.state.lock()).await {
                Ok(mut state) => state.phase = Phase::Without,
                Err(_) => {
                    self.keeper.lost_replies.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        let left: Vec<_> = self
            .keeper
            .made()
            .iter()
            .filter(|kept| !kept.is_over())
            .cloned()
            .collect();
        for kept in left {
            let deleted = timeout_at(deadline, self.keeper.delete(&kept)).await;
            if let Err(reason) = deleted.unwrap_or_else(|_| Err("there was no reply in time".to_owned())) {
                kept.stays();
                self.keeper.tell(format!(
                    "warning: the cached prefix {} could not be deleted ({reason}); it expires by itself at {}",
                    kept.name,
                    kept.expiry()
                ));
            }
        }
        if self.keeper.lost_replies.load(Ordering::SeqCst) > 0 {
            self.keeper.tell(format!(
                "warning: the reply to the creation of a cached prefix got lost; if the service has made it, its display name \
                 begins with `promptgate`, and it expires by itself within {} minutes",
                LIFE.as_secs() / 60
            ));
        }
    }

    fn slot(&self, request: &Request) -> Option<&Arc<Slot>> {
        let mut of_model = self
            .slots
            .iter()
            .filter(|slot| slot.prefix.model == request.model)
            .peekable();
        of_model.peek()?;
        let prefix = Prefix::of(request)?;
        of_model.find(|slot| slot.prefix == prefix)
    }
}

impl State {
    /// What is known without asking the service; `None` when the prefix has to be made.
    fn settled(&mut self, slot: &Slot, seen: u64, keeper: &Arc<Keeper>) -> Option<Needed> {
        if let Phase::Ready(kept) = &self.phase
            && kept.is_expired()
        {
            let kept = Arc::clone(kept);
            self.lose(slot, &kept, keeper);
        }
        match &self.phase {
            Phase::Ready(kept) => {
                keeper.renew_in_time(kept);
                Some(Ok(Some(Arc::clone(kept))))
            }
            Phase::Without => Some(Ok(None)),
            Phase::Refused(error) => Some(Err(error.clone())),
            Phase::Empty if slot.failures.load(Ordering::SeqCst) > seen => Some(Ok(None)),
            Phase::Empty => None,
        }
    }

    /// The service does not keep the prefix any more.
    fn lose(&mut self, slot: &Slot, kept: &Kept, keeper: &Keeper) {
        kept.end();
        self.losses += 1;
        let useless = !kept.answered.load(Ordering::SeqCst);
        self.phase = if useless || self.losses > MOST_LOSSES {
            keeper.tell(format!(
                "the service does not find the cached prefix {} of {}; the run goes on without it",
                kept.name, slot.prefix.model
            ));
            Phase::Without
        } else {
            keeper.tell(format!("the cached prefix {} has expired and is made anew", kept.name));
            Phase::Empty
        };
    }
}

/// Makes a prefix, unless someone else has settled it meanwhile.
async fn make(slot: Arc<Slot>, keeper: Arc<Keeper>, seen: u64) -> Needed {
    let mut state = slot.state.lock().await;
    if let Some(settled) = state.settled(&slot, seen, &keeper) {
        return settled;
    }
    match keeper.create(&slot.prefix).await {
        Ok(kept) => {
            keeper.tell(format!(
                "the prefix of {}, {} tokens, is cached as {}",
                kept.model, kept.tokens, kept.name
            ));
            state.phase = Phase::Ready(Arc::clone(&kept));
            Ok(Some(kept))
        }
        Err(error) if is_everyones(&error) => {
            let error = error.map_message(|message| format!("the prefix could not be cached: {message}"));
            if error.retry() != Retry::KeyChanged {
                state.phase = Phase::Refused(error.clone());
            }
            Err(error)
        }
        Err(error) => {
            // What keeps a prefix from being kept keeps no request from being answered.
            let failures = slot.failures.fetch_add(1, Ordering::SeqCst) + 1;
            if is_not_kept(&error) || error.retry() == Retry::Never || failures >= MOST_FAILURES {
                keeper.tell(format!(
                    "the run goes on without a cached prefix for {}, the service refuses it: {}",
                    slot.prefix.model,
                    error.failure().message
                ));
                state.phase = Phase::Without;
            }
            Ok(None)
        }
    }
}

/// A failure that every request would share, whatever it asks for.
fn is_everyones(error: &TargetError) -> bool {
    match error.retry() {
        Retry::KeyRefused | Retry::KeyChanged => true,
        Retry::QuotaSpent => !is_not_kept(error),
        Retry::Never | Retry::Backoff | Retry::After(_) | Retry::PrefixGone => false,
    }
}

impl Kept {
    /// As a request names it.
    pub(super) fn name(&self) -> Value {
        Value::from(self.name.as_str())
    }

    /// A request with it was answered.
    pub(super) fn has_answered(&self) {
        self.answered.store(true, Ordering::SeqCst);
    }

    /// Hours from its creation to its end, or to now; never beyond its expiry.
    fn hours(&self, now: Instant) -> f64 {
        let span = self.span();
        let end = span.over.unwrap_or(now).min(span.until);
        end.saturating_duration_since(self.born).as_secs_f64() / 3600.0
    }

    fn is_expired(&self) -> bool {
        Instant::now() >= self.span().until
    }

    fn is_over(&self) -> bool {
        self.span().over.is_some()
    }

    fn end(&self) {
        self.span().over.get_or_insert_with(Instant::now);
    }

    /// It is kept, and paid for, until it expires.
    fn stays(&self) {
        let mut span = self.span();
        span.over = Some(span.until);
    }

    /// When it expires, in minutes of UTC.
    fn expiry(&self) -> String {
        let at = self.span().until_utc;
        format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute())
    }

    fn span(&self) -> MutexGuard<'_, Span> {
        self.span.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    fn tell(&self, sentence: String) {
        (self.caching.tell)(sentence);
    }

    fn made(&self) -> MutexGuard<'_, Vec<Arc<Kept>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the service keep a prefix, in its time.
    async fn create(&self, prefix: &Prefix) -> Result<Arc<Kept>, TargetError> {
        let (born, born_utc) = (Instant::now(), OffsetDateTime::now_utc());
        let body: Arc<[u8]> = prefix.creation().into();
        let sent = self.send(Method::POST, None, &body).await;
        let reply = sent.inspect_err(|error| {
            let failure = error.failure();
            if failure.kind == FailureKind::Transport && failure.code != "connect" && !failure.code.starts_with("http_")
            {
                self.lost_replies.fetch_add(1, Ordering::SeqCst);
            }
        })?;
        let reply: Value = serde_json::from_slice(&reply).unwrap_or_default();
        let name = reply["name"].as_str().filter(|name| is_name(name)).ok_or_else(|| {
            self.lost_replies.fetch_add(1, Ordering::SeqCst);
            TargetError::new(
                FailureKind::Transport,
                "bad_body",
                "the service gave the cached content no name that can be used",
                Retry::Never,
            )
        })?;
        let kept = Arc::new(Kept {
            name: name.to_owned(),
            model: prefix.model.clone(),
            tokens: reply["usageMetadata"]["totalTokenCount"]
                .as_u64()
                .unwrap_or_else(|| prefix.estimated_tokens()),
            born,
            span: Mutex::new(Span {
                until: born + LIFE,
                until_utc: born_utc + LIFE,
                renew: born + self.caching.renew_after,
                over: None,
            }),
            answered: AtomicBool::new(false),
        });
        self.made().push(Arc::clone(&kept));
        Ok(kept)
    }

    /// Renews a prefix that is old enough, without anyone waiting for it.
    fn renew_in_time(self: &Arc<Keeper>, kept: &Arc<Kept>) {
        let now = Instant::now();
        {
            let mut span = kept.span();
            if now < span.renew {
                return;
            }
            span.renew = now + RENEW_AGAIN;
        }
        let (keeper, kept) = (Arc::clone(self), Arc::clone(kept));
        tokio::spawn(async move {
            let asked = OffsetDateTime::now_utc();
            let body: Arc<[u8]> = format!("{{\"ttl\":\"{}s\"}}", LIFE.as_secs()).into_bytes().into();
            // One that fails is tried again; in the end the prefix expires, and is made anew.
            if keeper.send(Method::PATCH, Some(&kept.name), &body).await.is_ok() {
                let mut span = kept.span();
                span.until = now + LIFE;
                span.until_utc = asked + LIFE;
                span.renew = now + keeper.caching.renew_after;
            }
        });
    }

    /// Deletes a prefix; one that is not there any more is as good as deleted.
    async fn delete(&self, kept: &Kept) -> Result<(), String> {
        let mut attempt = 1;
        loop {
            let error = match self.send(Method::DELETE, Some(&kept.name), &Arc::from([])).await {
                Ok(_) => break,
                Err(error) if is_gone(&error) || error.failure().code == "http_404" => break,
                Err(error) => error,
            };
            if attempt == DELETIONS || error.retry() == Retry::Never {
                return Err(error.failure().message);
            }
            attempt += 1;
            sleep(PAUSE).await;
        }
        kept.end();
        Ok(())
    }

    /// One exchange about cached contents, in its time. Returns the body of a success.
    async fn send(&self, method: Method, name: Option<&str>, body: &Arc<[u8]>) -> Result<Vec<u8>, TargetError> {
        let limit = self.caching.timeout;
        timeout(limit, self.exchange(method, name, body))
            .await
            .unwrap_or_else(|_| Err(TargetError::timeout(limit)))
    }

    async fn exchange(&self, method: Method, name: Option<&str>, body: &Arc<[u8]>) -> Result<Vec<u8>, TargetError> {
        let connection = &self.connection;
        let url = connection.endpoint.resource(name.unwrap_or("cachedContents"));
        let mut request = post(url, connection.headers.clone(), body);
        *request.method_mut() = method;
        let generation = connection.sign(&mut request);
        let reply = match connection.http.send(request, connection.secret()).await {
            Ok(reply) if reply.is_success() => return Ok(reply.body),
            Ok(reply) => Err(classify(reply.status, reply.retry_after(), &reply.body)),
            Err(error) => Err(error),
        };
        reply.map_err(|error| connection.judge(error, generation))
    }
}

/// A name that can stand in a URL and leads nowhere else.
fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.len() <= LONGEST_NAME
        && name
            .strip_prefix("cachedContents/")
            .is_some_and(|id| !id.is_empty() && id.chars().all(legal))
}

/// The letters and digits of a message, in lower case: `Cached content` and `CachedContent` are the same.
fn letters(error: &TargetError) -> String {
    let message = error.failure().message;
    let letters = message.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// The service does not know the cached content that was named. It answers 403 then, in words that leave open whose it is
/// ("CachedContent not found (or permission denied)"), or 404.
pub(super) fn is_gone(error: &TargetError) -> bool {
    let said = letters(error);
    matches!(error.failure().code.as_str(), "http_403" | "http_404")
        && said.contains("cachedcontent")
        // A method that a key or a model may not use.
        && !said.contains("createcachedcontent")
}

/// The service refuses to keep this prefix, or any, and would answer a request all the same: too short, a model without
/// caching, or no storage granted (as for projects without billing).
fn is_not_kept(error: &TargetError) -> bool {
    let said = letters(error);
    match error.failure().code.as_str() {
        "http_400" | "http_404" => [
            "toosmall",
            "createcachedcontent",
            "notsupportcach",
            "notsupportedforcach",
            "cachingisnotsupported",
        ]
        .iter()
        .any(|words| said.contains(words)),
        _ => said.contains("cachedcontentstorage"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Content, Part, Role};
    use crate::run::gemini::{Delivery, Gemini, GeminiSettings, VERSION};
    use serde_json::{Map, json};

    fn request(system: &str, config: Value) -> Request {
        let text = |text: &str| vec![Part::Text(text.to_owned())];
        Request {
            model: "gemini-3.8-flash".to_owned(),
            system: if system.is_empty() { Vec::new() } else { text(system) },
            contents: vec![Content {
                role: Role::User,
                parts: text("Hi"),
            }],
            config: config.as_object().cloned().unwrap_or_else(Map::new),
            json_output: false,
            output_schema: None,
            tools: Vec::new(),
        }
    }

    fn prefix(model: &str, bytes: usize) -> Prefix {
        Prefix {
            model: model.to_owned(),
            fields: vec![b'x'; bytes],
        }
    }

    #[test]
    fn a_prefix_is_what_the_service_can_keep() {
        let of = |system, config| Prefix::of(&request(system, config));
        assert_eq!(of("", json!({"temperature": 1})), None);
        assert_eq!(of("", json!({"toolConfig": {}})), None);
        assert_eq!(of("Hi", json!({"cachedContent": "cachedContents/mine"})), None);
        let config =
            json!({"tools": [{"googleSearch": {}}], "toolConfig": {}, "temperature": 1, "cachedContent": null});
        let whole = of("Be \"brief\".", config).unwrap();
        insta::assert_snapshot!(String::from_utf8(whole.creation()).unwrap(), @r#"{"model":"models/gemini-3.8-flash","displayName":"promptgate 75003229650c995f","ttl":"600s","systemInstruction":{"parts":[{"text":"Be \"brief\"."}]},"tools":[{"googleSearch":{}}],"toolConfig":{}}"#);
        let value: Value = serde_json::from_slice(&whole.creation()).unwrap();
        assert_eq!(value["model"], "models/gemini-3.8-flash");
        assert_ne!(of("Hi", json!({})), of("Ho", json!({})));
    }

    #[test]
    fn a_request_with_a_kept_prefix_says_the_rest_only() {
        let config =
            json!({"tools": [{"googleSearch": {}}], "toolConfig": {}, "temperature": 1, "serviceTier": "flex"});
        let body = body::body_after_prefix(&request("Be brief.", config), &json!("cachedContents/1"));
        insta::assert_snapshot!(String::from_utf8(body).unwrap(), @r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],"generationConfig":{"temperature":1},"cachedContent":"cachedContents/1","serviceTier":"flex"}"#);
    }

    #[test]
    fn what_is_too_short_is_known_by_the_model() {
        for (model, least) in [
            ("gemini-3.8-flash", 4096),
            ("models/gemini-4-argon", 4096),
            ("gemini-flash-latest", 4096),
            ("gemini-2.5-pro", 2048),
            ("models/gemini-2.5-flash", 2048),
            ("tunedModels/mine", 0),
        ] {
            assert_eq!(prefix(model, 1).least_tokens(), least, "{model}");
        }
        assert!(!prefix("gemini-2.5-pro", 3 * 2047).may_be_kept());
        assert!(prefix("gemini-2.5-pro", 3 * 2047 + 1).may_be_kept());
        assert_eq!(prefix("gemini-2.5-pro", 401).estimated_tokens(), 101);
    }

    #[test]
    fn names_lead_nowhere_else() {
        assert!(is_name("cachedContents/a-B_9"));
        let long = format!("cachedContents/{}", "a".repeat(LONGEST_NAME));
        for name in [
            "",
            "a",
            "cachedContents/",
            "cachedContents/a/b",
            "cachedContents/..",
            "cachedContents/a?b",
            &long,
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    fn said(status: u16, message: &str) -> TargetError {
        let body = json!({"error": {"code": status, "message": message}}).to_string();
        classify(status, None, body.as_bytes())
    }

    #[test]
    fn what_the_service_says_is_understood() {
        for (status, message, gone, not_kept) in [
            (403, "CachedContent not found (or permission denied)", true, false),
            (404, "Cached content cachedContents/1 was not found.", true, false),
            (403, "The caller does not have permission", false, false),
            (404, "models/m is not found for API version v1beta", false, false),
            (
                400,
                "CachedContent can not be used with GenerateContent request setting tools",
                false,
                false,
            ),
            (400, "Cached content is too small. total_token_count=9", false, true),
            (
                404,
                "models/m is not found, or not supported for createCachedContent",
                false,
                true,
            ),
            (400, "Model m does not support cached content.", false, true),
            (
                429,
                "TotalCachedContentStorageTokensPerModelFreeTier limit exceeded",
                false,
                true,
            ),
            (429, "You exceeded your current quota", false, false),
            (503, "The model is overloaded", false, false),
        ] {
            let error = said(status, message);
            assert_eq!((is_gone(&error), is_not_kept(&error)), (gone, not_kept), "{message}");
        }
    }

    fn prefixes(told: &Arc<Mutex<Vec<String>>>) -> Prefixes {
        keeping(prefix("gemini-3.8-flash", 1), told)
    }

    fn keeping(prefix: Prefix, told: &Arc<Mutex<Vec<String>>>) -> Prefixes {
        let settings = GeminiSettings {
            base_url: "http://127.0.0.1:9".to_owned(),
            version: VERSION.to_owned(),
            delivery: Delivery::Whole,
            key: None,
            renewal: None,
            timeout: Duration::from_secs(1),
            concurrency: 1,
            simulated: false,
        };
        let told = Arc::clone(told);
        let caching = Caching {
            prefixes: vec![prefix],
            timeout: Duration::from_secs(1),
            renew_after: LIFE,
            price: Arc::new(|_, tokens, hours| Some(tokens as f64 * hours)),
            tell: Arc::new(move |sentence| told.lock().unwrap().push(sentence)),
        };
        Prefixes::new(Gemini::new(&settings).unwrap().connection, caching)
    }

    fn kept(prefixes: &Prefixes, life: Duration) -> Arc<Kept> {
        let born = Instant::now();
        let kept = Arc::new(Kept {
            name: "cachedContents/1".to_owned(),
            model: "gemini-3.8-flash".to_owned(),
            tokens: 1000,
            born,
            span: Mutex::new(Span {
                until: born + life,
                until_utc: OffsetDateTime::UNIX_EPOCH + life,
                renew: born + 2 * life,
                over: None,
            }),
            answered: AtomicBool::new(false),
        });
        prefixes.keeper.made().push(Arc::clone(&kept));
        kept
    }

    #[test]
    fn who_waited_during_a_failed_attempt_goes_without_it() {
        let prefixes = prefixes(&Arc::default());
        let slot = &prefixes.slots[0];
        let mut state = State::default();
        assert!(state.settled(slot, 0, &prefixes.keeper).is_none(), "nobody has tried");
        slot.failures.store(1, Ordering::SeqCst);
        assert!(state.settled(slot, 0, &prefixes.keeper).unwrap().unwrap().is_none());
        assert!(state.settled(slot, 1, &prefixes.keeper).is_none(), "it is tried again");
    }

    #[tokio::test]
    async fn only_the_prefix_that_was_named_is_given_up() {
        let request = request("Hi", json!({}));
        let prefixes = keeping(Prefix::of(&request).unwrap(), &Arc::default());
        let (old, new) = (kept(&prefixes, LIFE), kept(&prefixes, LIFE));
        new.has_answered();
        prefixes.slots[0].state.lock().await.phase = Phase::Ready(Arc::clone(&new));
        // A request that named the old one comes back late.
        let late = said(403, "CachedContent not found (or permission denied)");
        let error = prefixes.after(&request, &old, late.clone()).await;
        assert_eq!(error.retry(), Retry::PrefixGone);
        assert_eq!(error.failure().kind, FailureKind::Transport);
        let ready = prefixes.of(&request).await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&ready, &new));
        let other = said(403, "The caller does not have permission");
        assert_eq!(prefixes.after(&request, &new, other.clone()).await, other);
        assert!(prefixes.of(&request).await.unwrap().is_some());
        prefixes.after(&request, &new, late).await;
        assert!(matches!(prefixes.slots[0].state.lock().await.phase, Phase::Empty));
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_prefix_is_made_anew_so_many_times() {
        let told = Arc::default();
        let prefixes = prefixes(&told);
        let slot = &prefixes.slots[0];
        let mut state = State::default();
        for _ in 0..MOST_LOSSES {
            let kept = kept(&prefixes, Duration::from_secs(60));
            kept.has_answered();
            state.phase = Phase::Ready(Arc::clone(&kept));
            assert!(state.settled(slot, 0, &prefixes.keeper).unwrap().unwrap().is_some());
            tokio::time::advance(Duration::from_secs(60)).await;
            assert!(state.settled(slot, 0, &prefixes.keeper).is_none());
            assert!(kept.is_over());
        }
        let last = kept(&prefixes, Duration::ZERO);
        last.has_answered();
        state.phase = Phase::Ready(last);
        assert!(state.settled(slot, 0, &prefixes.keeper).unwrap().unwrap().is_none());
        assert_eq!(told.lock().unwrap().len(), 1 + MOST_LOSSES as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn keeping_costs_until_the_end_or_the_expiry() {
        let prefixes = prefixes(&Arc::default());
        let one = kept(&prefixes, Duration::from_secs(7200));
        kept(&prefixes, Duration::from_secs(1800));
        assert_eq!(prefixes.used().cost_usd, Some(0.0));
        tokio::time::advance(Duration::from_secs(3600)).await;
        one.end();
        tokio::time::advance(Duration::from_secs(3600)).await;
        let used = prefixes.used();
        assert_eq!((used.created, used.tokens), (2, 2000));
        assert_eq!(used.cost_usd, Some(1000.0 * 1.0 + 1000.0 * 0.5));
        assert_eq!(one.expiry(), "1970-01-01 02:00 UTC");
    }
}
