//! What an error reply means: `{"error": {"message", "type", "code"}}` first, its HTTP status second.
//!
//! Local servers and gateways write the same thing in other forms: the error as a text, the code as a number, `detail`
//! instead of `error`, an HTML page. So everything here is optional, and a reply is never refused for its form.

use super::super::api::{ProviderError, Retry};
use super::super::gemini::{
    LONGEST_MESSAGE, LONGEST_WAIT, delay_after, duration, excerpt, http_error, seconds, shorten,
};
use crate::domain::FailureKind;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// Codes and types of errors that say that the account has nothing left to spend.
const SPENT: [&str; 3] = ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"];
/// Codes of errors that say that the key is none.
const REFUSED: [&str; 3] = ["invalid_api_key", "account_deactivated", "invalid_organization"];

/// Classifies an error reply: its HTTP status, the delay its headers ask for (see [`requested_delay`]), its body.
///
/// | what | kind | retry |
/// | --- | --- | --- |
/// | the account has nothing left (`insufficient_quota`), 429 with a wait above 5 minutes | quota | stop |
/// | the key is refused (`invalid_api_key`), 401, 403 | auth | stop |
/// | 429 | rate limit | after the requested delay, else backoff |
/// | 408, 409, 425, 500, 502, 503, 504 and 529 | transport | after the requested delay, else backoff |
/// | other 5xx | transport | never |
/// | 404 and all others | request | never |
pub(crate) fn classify(status: u16, requested: Option<Duration>, body: &[u8]) -> ProviderError {
    let error = error_value(body);
    let message = error.as_ref().map_or_else(|| excerpt(body), message_of);
    let requested = requested.or_else(|| message.as_deref().and_then(|message| delay_after("try again in ", message)));
    let named = ["code", "type"].map(|name| error.as_ref().and_then(|error| error.get(name)?.as_str()));
    let says = |codes: &'static [&'static str]| codes.iter().find(|code| named.contains(&Some(**code)));
    let again = match requested {
        Some(delay) if delay > LONGEST_WAIT => Retry::Never,
        Some(delay) => Retry::After(delay),
        None => Retry::Backoff,
    };
    let code = || format!("http_{status}");
    let (kind, code, retry) = if let Some(spent) = says(&SPENT) {
        (FailureKind::Quota, (*spent).to_owned(), Retry::QuotaSpent)
    } else if let Some(refused) = says(&REFUSED) {
        (FailureKind::Auth, (*refused).to_owned(), Retry::KeyRefused)
    } else {
        match status {
            401 | 403 => (FailureKind::Auth, code(), Retry::KeyRefused),
            429 if again == Retry::Never => (FailureKind::Quota, "quota_long_wait".to_owned(), Retry::QuotaSpent),
            429 => (FailureKind::RateLimit, code(), again),
            408 | 409 | 425 | 500 | 502 | 503 | 504 | 529 => (FailureKind::Transport, code(), again),
            500..=599 => (FailureKind::Transport, code(), Retry::Never),
            _ => (FailureKind::Request, code(), Retry::Never),
        }
    };
    ProviderError::new(kind, code, sentence(status, message.as_deref(), kind), retry)
}

/// The error in the body of a reply that claims success.
pub(super) fn in_success(body: &[u8]) -> ProviderError {
    let code = error_value(body).and_then(|error| match error.get("code")? {
        Value::Number(code) => code.as_u64().and_then(|code| u16::try_from(code).ok()),
        Value::String(code) => code.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    });
    classify(code.filter(|code| (400..600).contains(code)).unwrap_or(500), None, body)
}

/// The delay that headers ask for: `Retry-After-Ms` or `Retry-After` (in seconds; the form with a date is not read), else
/// the longest reset among the limits that have nothing remaining (`x-ratelimit-remaining-…`, `x-ratelimit-reset-…`).
pub(super) fn requested_delay(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    number("retry-after-ms")
        .and_then(|milliseconds| seconds(milliseconds / 1000.0))
        .or_else(|| number("retry-after").and_then(seconds))
        .or_else(|| {
            ["requests", "tokens"]
                .into_iter()
                .filter(|limit| text(&format!("x-ratelimit-remaining-{limit}")) == Some("0"))
                .filter_map(|limit| {
                    let reset = text(&format!("x-ratelimit-reset-{limit}"))?;
                    duration(reset).or_else(|| seconds(reset.parse().ok()?))
                })
                .max()
        })
}

/// `error`, or the whole body where it is an error without that frame.
fn error_value(body: &[u8]) -> Option<Value> {
    let Ok(Value::Object(mut reply)) = serde_json::from_slice(body) else {
        return None;
    };
    match reply.remove("error") {
        Some(error) if !error.is_null() => Some(error),
        Some(_) | None => Some(Value::Object(reply)),
    }
}

fn message_of(error: &Value) -> Option<String> {
    let said = ["message", "detail"].into_iter().find_map(|name| error.get(name)?.as_str());
    said.or_else(|| error.as_str()).map(str::to_owned)
}

/// What happened, for people, and what they can do where every further request would fail the same way.
fn sentence(status: u16, message: Option<&str>, kind: FailureKind) -> String {
    let sentence = shorten(http_error(status, &status.to_string(), message), LONGEST_MESSAGE - 100);
    match kind {
        FailureKind::Auth => format!("{sentence}; check OPENAI_API_KEY and what it may do"),
        FailureKind::Quota => format!("{sentence}; check the account's plan and billing, then go on with --resume"),
        FailureKind::Transport
        | FailureKind::RateLimit
        | FailureKind::Request
        | FailureKind::Missing
        | FailureKind::Matcher => sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};
    use serde_json::json;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(header).collect()
    }

    #[test]
    fn delays_are_read_from_headers() {
        let requested =
            |pairs: &[(&'static str, &'static str)]| requested_delay(&headers(pairs)).map(|delay| delay.as_secs_f64());
        assert_eq!(requested(&[]), None);
        assert_eq!(requested(&[("retry-after", "20")]), Some(20.0));
        assert_eq!(requested(&[("retry-after", "20"), ("retry-after-ms", "1500")]), Some(1.5));
        assert_eq!(requested(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), None);
        assert_eq!(requested(&[("retry-after", "-1")]), None);
        assert_eq!(requested(&[("x-ratelimit-reset-requests", "6m0s")]), None);
        let both = [
            ("x-ratelimit-remaining-requests", "3"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "1m20.5s"),
        ];
        assert_eq!(requested(&both), Some(80.5));
        assert_eq!(
            requested(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "120ms")]),
            Some(0.12)
        );
    }

    #[test]
    fn errors_are_classified_by_code_then_by_status() {
        use FailureKind::{Auth, Quota, RateLimit, Request, Transport};
        let error =
            |code: &str, message: &str| json!({"error": {"message": message, "type": "t", "code": code}}).to_string();
        let typed = json!({"error": {"message": "m", "type": "insufficient_quota", "code": null}}).to_string();
        let after = |seconds| Retry::After(Duration::from_secs(seconds));
        for (status, requested, body, kind, code, retry) in [
            (429, None, error("insufficient_quota", "m"), Quota, "insufficient_quota", Retry::QuotaSpent),
            (429, Some(1), typed, Quota, "insufficient_quota", Retry::QuotaSpent),
            (429, None, error("rate_limit_exceeded", "m"), RateLimit, "http_429", Retry::Backoff),
            (429, Some(7), error("rate_limit_exceeded", "Please try again in 20s."), RateLimit, "http_429", after(7)),
            (429, None, error("rate_limit_exceeded", "Please try again in 20s."), RateLimit, "http_429", after(20)),
            (429, Some(301), String::new(), Quota, "quota_long_wait", Retry::QuotaSpent),
            (401, None, error("invalid_api_key", "m"), Auth, "invalid_api_key", Retry::KeyRefused),
            (400, None, error("invalid_api_key", "m"), Auth, "invalid_api_key", Retry::KeyRefused),
            (401, None, String::new(), Auth, "http_401", Retry::KeyRefused),
            (403, None, "<html>".to_owned(), Auth, "http_403", Retry::KeyRefused),
            (400, None, error("context_length_exceeded", "m"), Request, "http_400", Retry::Never),
            (404, None, error("model_not_found", "m"), Request, "http_404", Retry::Never),
            (302, None, String::new(), Request, "http_302", Retry::Never),
            (408, None, String::new(), Transport, "http_408", Retry::Backoff),
            (409, None, String::new(), Transport, "http_409", Retry::Backoff),
            (500, None, String::new(), Transport, "http_500", Retry::Backoff),
            (501, None, String::new(), Transport, "http_501", Retry::Never),
            (503, Some(3), String::new(), Transport, "http_503", after(3)),
            (503, Some(3600), String::new(), Transport, "http_503", Retry::Never),
            (529, None, String::new(), Transport, "http_529", Retry::Backoff),
        ] {
            let error = classify(status, requested.map(Duration::from_secs), body.as_bytes());
            let failure = error.failure();
            let found = (failure.kind, failure.code.as_str(), error.retry());
            assert_eq!(found, (kind, code, retry), "{status} {requested:?} {body}");
        }
    }

    #[test]
    fn messages_are_read_in_all_their_forms_and_say_what_to_do() {
        let message = |status, body: &str| classify(status, None, body.as_bytes()).failure().message;
        assert_eq!(message(503, r#"{"error":{"message":"overloaded\n"}}"#), "http 503: overloaded");
        assert_eq!(message(404, r#"{"error":"model 'x' not found"}"#), "http 404: model 'x' not found");
        assert_eq!(message(404, r#"{"detail":"Not Found"}"#), "http 404: Not Found");
        assert_eq!(message(400, r#"{"object":"error","message":"too long"}"#), "http 400: too long");
        assert_eq!(message(502, "<html>\n bad</html>"), "http 502: <html> bad</html>");
        assert_eq!(message(500, ""), "http 500");
        assert!(message(401, "").contains("OPENAI_API_KEY"));
        assert!(message(302, "").contains("never followed"));
        let long = json!({"error": {"message": "é".repeat(5000)}}).to_string();
        assert!(message(401, &long).chars().count() <= LONGEST_MESSAGE);
    }
}
