//! What an error reply means: read from the details of its `google.rpc.Status` first, from its HTTP status second.
//!
//! Replies also come from gateways and front ends: a code may be a string, the status absent, the body an HTML page, an
//! array around the error, or nothing at all. So everything here is optional, and a reply is never refused for its form.

use super::super::api::{ProviderError, Reach, Retry};
use crate::domain::FailureKind;
use serde_json::Value;
use std::time::Duration;

/// A wait longer than this is no rate limit but a spent quota (the official command-line client draws the same line).
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// What a spent quota per minute waits when the service does not say how long.
const MINUTE: Duration = Duration::from_secs(60);
/// Characters of a message that are kept.
pub(crate) const LONGEST_MESSAGE: usize = 1000;

/// Classifies an error reply: its HTTP status, its `Retry-After` header if it had one, its body.
///
/// | what | kind | retry |
/// | --- | --- | --- |
/// | the key is not valid (400 with reason `API_KEY_…`), 401, 403 | auth | stop |
/// | 400 `FAILED_PRECONDITION` about location, billing or tier | auth | stop |
/// | a quota per day, `limit: 0`, 429 with a wait above 5 minutes | quota | stop |
/// | 429 | rate limit | after the requested delay, else backoff |
/// | 408, 425, 499, 500, 502, 503, 504 | transport | after the requested delay, else backoff |
/// | other 5xx | transport | never |
/// | 404 and all others | request | never |
pub fn classify(status: u16, retry_after: Option<&str>, body: &[u8]) -> ProviderError {
    let reply = Reply::read(status, body);
    let requested = reply.requested_delay(retry_after);
    let (kind, code, retry) = reply.meaning(requested);
    ProviderError::new(kind, code, reply.sentence(), retry).reaching(reply.reach(retry_after.is_some()))
}

/// The error in the body of a reply that claims success, if there is one.
pub(super) fn in_success(body: &[u8]) -> Option<ProviderError> {
    let error = error_object(body)?;
    let status = code_of(&error).unwrap_or(500);
    Some(classify(status, None, body))
}

struct Reply {
    /// The HTTP status; the error's own code where the HTTP status claims success.
    http: u16,
    /// `error.status`, like `RESOURCE_EXHAUSTED`.
    status: Option<String>,
    message: Option<String>,
    details: Vec<Value>,
}

impl Reply {
    fn read(http: u16, body: &[u8]) -> Reply {
        let Some(error) = error_object(body) else {
            return Reply { http, status: None, message: excerpt(body), details: Vec::new() };
        };
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        Reply {
            http,
            status: text("status"),
            message: text("message").or_else(|| error.as_str().map(str::to_owned)),
            details: error.get("details").and_then(Value::as_array).cloned().unwrap_or_default(),
        }
    }

    /// Kind, code and consequence; the table of [`classify`].
    fn meaning(&self, requested: Option<Duration>) -> (FailureKind, String, Retry) {
        if let Some(code) = self.refused_key() {
            return (FailureKind::Auth, code, Retry::KeyRefused);
        }
        if let Some(code) = self.spent_quota(requested) {
            return (FailureKind::Quota, code.to_owned(), Retry::QuotaSpent);
        }
        let again = match requested {
            Some(delay) if delay > LONGEST_WAIT => Retry::Never,
            Some(delay) => Retry::After(delay),
            None => Retry::Backoff,
        };
        let code = format!("http_{}", self.http);
        match self.http {
            401 | 403 => (FailureKind::Auth, code, Retry::KeyRefused),
            429 => (FailureKind::RateLimit, code, again),
            408 | 425 | 499 | 500 | 502 | 503 | 504 => (FailureKind::Transport, code, again),
            500..=599 => (FailureKind::Transport, code, Retry::Never),
            _ => (FailureKind::Request, code, Retry::Never),
        }
    }

    /// Whom a requested delay concerns. A quota per minute is shared by all requests, and so is what a `Retry-After` header says
    /// about the whole service (RFC 9110); `RetryInfo` by itself is about the failed request.
    fn reach(&self, has_header: bool) -> Reach {
        if self.http == 429 {
            let mut per_minute = self.quota_ids().filter(|id| id.contains("PerMinute")).peekable();
            if per_minute.peek().is_some() {
                let tokens_only = per_minute.all(|id| id.contains("Token"));
                return if tokens_only { Reach::Tokens } else { Reach::Requests };
            }
        }
        let message = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        let of_quota = self.http == 429 && (message.contains("quota") || self.quota_ids().next().is_some());
        if has_header || of_quota { Reach::Everyone } else { Reach::Request }
    }

    /// The code of a failure of key, account or place that no further request can escape.
    fn refused_key(&self) -> Option<String> {
        if let Some(reason) = self.reasons().find(|reason| reason.starts_with("API_KEY_")) {
            return Some(reason.to_ascii_lowercase());
        }
        let message = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        if self.http == 400 && (message.contains("api key not valid") || message.contains("api key expired")) {
            return Some("api_key_invalid".to_owned());
        }
        // The same status also tells that one request's file is not ready; only these words concern every request.
        let place = ["location", "billing", "free tier", "country", "region"];
        if self.http == 400
            && self.status.as_deref() == Some("FAILED_PRECONDITION")
            && place.iter().any(|word| message.contains(word))
        {
            return Some("failed_precondition".to_owned());
        }
        None
    }

    /// The code of a quota that does not come back in minutes.
    fn spent_quota(&self, requested: Option<Duration>) -> Option<&'static str> {
        if self.quota_ids().any(|id| id.contains("PerDay") || id.contains("Daily")) {
            return Some("quota_per_day");
        }
        if self.http != 429 {
            return None;
        }
        if self.message.as_deref().is_some_and(says_limit_zero) {
            return Some("quota_zero");
        }
        requested.filter(|delay| *delay > LONGEST_WAIT).map(|_| "quota_long_wait")
    }

    /// The delay the service asks for: `RetryInfo`, "retry in 44.09s" in the message and the `Retry-After` header (in
    /// seconds; the form with a date is not read), the longest of them; a minute for a quota per minute without any.
    fn requested_delay(&self, retry_after: Option<&str>) -> Option<Duration> {
        let info = self.details_of("RetryInfo").filter_map(|detail| duration(detail.get("retryDelay")?.as_str()?));
        let message = self.message.as_deref().and_then(|message| delay_after("retry in ", message));
        let header = retry_after.and_then(|value| seconds(value.trim().parse().ok()?));
        info.chain(message).chain(header).max().or_else(|| {
            let per_minute = self.quota_ids().any(|id| id.contains("PerMinute"));
            (self.http == 429 && per_minute).then_some(MINUTE)
        })
    }

    fn reasons(&self) -> impl Iterator<Item = &str> {
        self.details_of("ErrorInfo").filter_map(|detail| detail.get("reason")?.as_str())
    }

    fn quota_ids(&self) -> impl Iterator<Item = &str> {
        self.details_of("QuotaFailure")
            .filter_map(|detail| detail.get("violations")?.as_array())
            .flatten()
            .filter_map(|violation| violation.get("quotaId")?.as_str())
    }

    /// The details whose type is `google.rpc.NAME`.
    fn details_of(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.details.iter().filter(move |detail| {
            let of = detail.get("@type").and_then(Value::as_str);
            of.is_some_and(|of| of.rsplit(['.', '/']).next() == Some(name))
        })
    }

    fn sentence(&self) -> String {
        let status = self.status.as_ref().map(|status| format!(" {status}"));
        let code = format!("{}{}", self.http, status.unwrap_or_default());
        shorten(http_error(self.http, &code, self.message.as_deref()), LONGEST_MESSAGE)
    }
}

/// `http CODE: MESSAGE`, for people.
pub(crate) fn http_error(status: u16, code: &str, message: Option<&str>) -> String {
    let mut sentence = format!("http {code}");
    if (300..400).contains(&status) {
        sentence.push_str(": a redirect, which is never followed because the key would travel with it");
    }
    if let Some(message) = message {
        sentence.push_str(": ");
        sentence.push_str(message.trim());
    }
    sentence
}

/// The value of `error` in `{"error": ..}`, also inside an array.
fn error_object(body: &[u8]) -> Option<Value> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    if let Some(first) = value.as_array_mut().and_then(|array| array.first_mut()) {
        value = first.take();
    }
    let error = value.as_object_mut()?.remove("error")?;
    (!error.is_null()).then_some(error)
}

/// The HTTP status an error names itself, as a number, as a text, or by its status.
fn code_of(error: &Value) -> Option<u16> {
    let code = error.get("code");
    let number = code.and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let text = || code.and_then(Value::as_str).and_then(|code| code.parse().ok());
    let by_status = || {
        let status = error.get("status").and_then(Value::as_str)?;
        CANONICAL.iter().find(|(_, name, _)| *name == status).map(|(.., http)| *http)
    };
    number.or_else(text).filter(|code| (400..600).contains(code)).or_else(by_status)
}

/// The codes of google/rpc/code.proto: number, name, and the HTTP status that each maps to there.
pub(super) const CANONICAL: [(u64, &str, u16); 16] = [
    (1, "CANCELLED", 499),
    (2, "UNKNOWN", 500),
    (3, "INVALID_ARGUMENT", 400),
    (4, "DEADLINE_EXCEEDED", 504),
    (5, "NOT_FOUND", 404),
    (6, "ALREADY_EXISTS", 409),
    (7, "PERMISSION_DENIED", 403),
    (8, "RESOURCE_EXHAUSTED", 429),
    (9, "FAILED_PRECONDITION", 400),
    (10, "ABORTED", 409),
    (11, "OUT_OF_RANGE", 400),
    (12, "UNIMPLEMENTED", 501),
    (13, "INTERNAL", 500),
    (14, "UNAVAILABLE", 503),
    (15, "DATA_LOSS", 500),
    (16, "UNAUTHENTICATED", 401),
];

/// "limit: 0", but neither "limit: 05" nor "limit: 0.5": the model is not offered to this account at all.
fn says_limit_zero(message: &str) -> bool {
    message.match_indices("limit:").any(|(at, word)| {
        let mut rest = message[at + word.len()..].trim_start().chars();
        rest.next() == Some('0')
            && match rest.next() {
                Some('.') => !rest.next().is_some_and(|c| c.is_ascii_digit()),
                Some(next) => !next.is_ascii_digit(),
                None => true,
            }
    })
}

/// The delay after these words in a message, like "Please retry in 44.097740004s." or "… in 900.2ms."
pub(crate) fn delay_after(words: &str, message: &str) -> Option<Duration> {
    // ASCII lower case keeps every byte where it was.
    let at = message.to_ascii_lowercase().find(words)? + words.len();
    duration(&message[at..])
}

/// The duration at the start of a text: `0.5s`, `900.2ms`, `1h2m3.5s`. What follows it is not looked at.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = None;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
            .into_iter()
            .find(|(unit, _)| tail.starts_with(unit));
        let (Ok(number), Some((unit, scale))) = (number.parse::<f64>(), unit) else {
            return total;
        };
        total = Some(total.unwrap_or(Duration::ZERO).saturating_add(seconds(number * scale)?));
        rest = &tail[unit.len()..];
    }
}

/// A duration from hostile seconds: `None` for negative, infinite and absurd ones.
pub(crate) fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// The beginning of a body that is not an error object, on one line.
pub(crate) fn excerpt(body: &[u8]) -> Option<String> {
    const LONGEST: usize = 200;
    // A character has at most four bytes, so this much is enough and a huge page is not copied.
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * LONGEST)]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| shorten(line, LONGEST))
}

pub(crate) fn shorten(mut text: String, longest: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(longest) {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn requested(text: &str) -> Option<f64> {
        duration(text).map(|delay| delay.as_secs_f64())
    }

    #[test]
    fn durations_are_read_in_all_their_forms() {
        for (text, seconds) in [
            ("45.837906927s", 45.837906927),
            ("0.5s.", 0.5),
            ("900.2ms.", 0.9002),
            ("68940s", 68940.0),
            ("1h2m3.5s", 3723.5),
        ] {
            assert_eq!(requested(text), Some(seconds), "{text}");
        }
        for text in ["soon", "-3s", "1.2.3s", "99999999999999999999999999s", ""] {
            assert_eq!(requested(text), None, "{text}");
        }
        assert_eq!(
            delay_after("retry in ", "Quota exceeded.\nPlease retry in 44.097740004s."),
            Some(Duration::from_nanos(44_097_740_004))
        );
        assert_eq!(delay_after("retry in ", "please try again"), None);
    }

    #[test]
    fn limit_zero_is_not_limit_zero_point_five() {
        for zero in ["requests, limit: 0, model: x", "limit:0", "limit: 10, limit: 0."] {
            assert!(says_limit_zero(zero), "{zero}");
        }
        for other in ["limit: 0.5", "limit: 05", "limit: 10", "no limit"] {
            assert!(!says_limit_zero(other), "{other}");
        }
    }

    /// (status, Retry-After, body) → (kind, code, retry).
    #[test]
    fn details_decide_before_the_status() {
        use FailureKind::{Auth, Quota, RateLimit, Request, Transport};
        let day = json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}, {"quotaId": "GenerateRequestsPerDayPerProject"}]});
        let daily = json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "DailyRequests"}]});
        let minute = json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]});
        let wait = |delay: &str| json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay});
        let bad_key = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"});
        let error = |details: Vec<&Value>| json!({"error": {"message": "m", "details": details}}).to_string();
        let says = |status: &str, message: &str| json!({"error": {"status": status, "message": message}}).to_string();
        let after = |seconds| Retry::After(Duration::from_secs(seconds));
        let invalid = says("INVALID_ARGUMENT", "API key not valid. Please pass");
        let place = says("FAILED_PRECONDITION", "User location is not supported");
        let inactive = says("FAILED_PRECONDITION", "The File x is not in an ACTIVE state");
        let none = says("RESOURCE_EXHAUSTED", "limit: 0, model: m\nPlease retry in 9s.");
        let soon = says("RESOURCE_EXHAUSTED", "Please retry in 900ms.");
        let table = [
            (400, None, error(vec![&bad_key]), Auth, "api_key_invalid", Retry::KeyRefused),
            (400, None, invalid, Auth, "api_key_invalid", Retry::KeyRefused),
            (400, None, place, Auth, "failed_precondition", Retry::KeyRefused),
            (400, None, inactive, Request, "http_400", Retry::Never),
            (400, None, says("INVALID_ARGUMENT", "Unknown name"), Request, "http_400", Retry::Never),
            (401, None, String::new(), Auth, "http_401", Retry::KeyRefused),
            (403, None, "<html>".to_owned(), Auth, "http_403", Retry::KeyRefused),
            (404, None, says("NOT_FOUND", "models/x"), Request, "http_404", Retry::Never),
            (413, None, String::new(), Request, "http_413", Retry::Never),
            (302, None, String::new(), Request, "http_302", Retry::Never),
            (408, None, String::new(), Transport, "http_408", Retry::Backoff),
            (425, None, String::new(), Transport, "http_425", Retry::Backoff),
            (499, None, String::new(), Transport, "http_499", Retry::Backoff),
            (500, None, String::new(), Transport, "http_500", Retry::Backoff),
            (501, None, String::new(), Transport, "http_501", Retry::Never),
            (502, None, "<html>".to_owned(), Transport, "http_502", Retry::Backoff),
            (503, Some("7"), String::new(), Transport, "http_503", after(7)),
            (503, Some("3600"), String::new(), Transport, "http_503", Retry::Never),
            (504, Some("-1"), String::new(), Transport, "http_504", Retry::Backoff),
            (429, None, String::new(), RateLimit, "http_429", Retry::Backoff),
            (429, Some("nan"), String::new(), RateLimit, "http_429", Retry::Backoff),
            (429, Some("3"), error(vec![&wait("2s")]), RateLimit, "http_429", after(3)),
            (429, None, error(vec![&minute]), RateLimit, "http_429", after(60)),
            (429, None, error(vec![&minute, &wait("2s")]), RateLimit, "http_429", after(2)),
            (429, None, error(vec![&wait("300s")]), RateLimit, "http_429", after(300)),
            (429, None, error(vec![&wait("301s")]), Quota, "quota_long_wait", Retry::QuotaSpent),
            (429, None, error(vec![&day, &wait("2s")]), Quota, "quota_per_day", Retry::QuotaSpent),
            (503, None, error(vec![&day]), Quota, "quota_per_day", Retry::QuotaSpent),
            (429, None, error(vec![&daily]), Quota, "quota_per_day", Retry::QuotaSpent),
            (429, None, none, Quota, "quota_zero", Retry::QuotaSpent),
            (429, None, soon, RateLimit, "http_429", Retry::After(Duration::from_millis(900))),
        ];
        for (status, header, body, kind, code, retry) in table {
            let error = classify(status, header, body.as_bytes());
            let failure = error.failure();
            let found = (failure.kind, failure.code.as_str(), error.retry());
            assert_eq!(found, (kind, code, retry), "{status} {header:?} {body}");
        }
    }

    #[test]
    fn a_delay_concerns_those_who_share_the_quota() {
        let violation =
            |id: &str| json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": id}]});
        let wait = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"});
        let body =
            |message: &str, details: &[&Value]| json!({"error": {"message": message, "details": details}}).to_string();
        let requests = violation("GenerateRequestsPerMinutePerProjectPerModel-FreeTier");
        let tokens = violation("GenerateContentPaidTierInputTokensPerModelPerMinute");
        let other = violation("BatchEnqueuedTokens");
        for (status, header, body, reach) in [
            (429, None, body("m", &[&requests, &wait]), Reach::Requests),
            (429, None, body("m", &[&tokens, &wait]), Reach::Tokens),
            (429, None, body("m", &[&tokens, &requests]), Reach::Requests),
            (429, None, body("m", &[&other, &wait]), Reach::Everyone),
            (429, None, body("Quota exceeded. Please retry in 2s.", &[]), Reach::Everyone),
            (429, Some("2"), body("m", &[]), Reach::Everyone),
            (429, None, body("Resource exhausted.", &[&wait]), Reach::Request),
            (503, None, body("overloaded", &[&wait]), Reach::Request),
            (503, Some("2"), String::new(), Reach::Everyone),
        ] {
            assert_eq!(classify(status, header, body.as_bytes()).reach(), reach, "{status} {header:?} {body}");
        }
    }

    #[test]
    fn an_error_inside_a_success_is_found() {
        let meaning = |body: &str| in_success(body.as_bytes()).map(|error| (error.failure().code, error.retry()));
        let of = |code: &str, retry| Some((code.to_owned(), retry));
        assert_eq!(meaning(r#"{"error":{"code":503,"message":"x"}}"#), of("http_503", Retry::Backoff));
        assert_eq!(meaning(r#"{"error":{"code":"429"}}"#), of("http_429", Retry::Backoff));
        assert_eq!(meaning(r#"[{"error":{"status":"UNAVAILABLE"}}]"#), of("http_503", Retry::Backoff));
        assert_eq!(meaning(r#"{"error":{"code":8}}"#), of("http_500", Retry::Backoff));
        assert_eq!(meaning(r#"{"error":"boom"}"#), of("http_500", Retry::Backoff));
        assert_eq!(meaning(r#"{"error":null}"#), None);
        assert_eq!(meaning("{}"), None);
        assert_eq!(meaning("[]"), None);
    }

    #[test]
    fn messages_are_bounded_and_say_what_the_service_said() {
        let message = |status, body: &str| classify(status, None, body.as_bytes()).failure().message;
        assert_eq!(
            message(503, r#"{"error":{"code":503,"message":"overloaded\n","status":"UNAVAILABLE"}}"#),
            "http 503 UNAVAILABLE: overloaded"
        );
        assert_eq!(message(502, "<html>\n  <b>bad</b>\n</html>"), "http 502: <html> <b>bad</b> </html>");
        assert_eq!(message(500, ""), "http 500");
        assert_eq!(message(500, &"é ".repeat(100_000)).chars().count(), 200 + "http 500: …".chars().count());
        let long = json!({"error": {"message": "é".repeat(5000)}}).to_string();
        assert_eq!(message(400, &long).chars().count(), LONGEST_MESSAGE + 1);
        assert!(message(302, "").contains("never followed"));
    }
}
