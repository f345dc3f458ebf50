//! Errors as the service sends them: google.rpc.Status in an `error` envelope.

use serde_json::{Value, json};
use std::time::Duration;

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Status {
    /// The HTTP status.
    pub(super) http: u16,
    /// The canonical code's name.
    pub(super) status: &'static str,
    pub(super) message: String,
    /// Messages of google.rpc, each with its `@type`; may be empty.
    pub(super) details: Vec<Value>,
}

impl Status {
    /// A status without details; the canonical name follows from the HTTP status.
    pub(super) fn new(http: u16, message: impl Into<String>) -> Status {
        Status {
            http,
            status: canonical(http),
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// 400 with the offending fields.
    pub(super) fn bad_fields(violations: Vec<(String, String)>) -> Status {
        let message = violations
            .iter()
            .map(|(_, description)| description.as_str())
            .collect::<Vec<_>>()
            .join("\n");
        let listed: Vec<Value> = violations
            .iter()
            .map(|(field, description)| {
                if field.is_empty() {
                    json!({"description": description})
                } else {
                    json!({"field": field, "description": description})
                }
            })
            .collect();
        let mut status = Status::new(400, message);
        status.details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": listed,
        }));
        status
    }

    /// The body on the wire.
    pub(super) fn body(&self) -> Value {
        let mut error = json!({"code": self.http, "message": self.message, "status": self.status});
        if !self.details.is_empty() {
            error["details"] = Value::Array(self.details.clone());
        }
        json!({"error": error})
    }
}

/// The canonical code's name for an HTTP status, as google.rpc.Code maps them.
fn canonical(http: u16) -> &'static str {
    match http {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}

/// No key in a request that needs one.
pub(super) fn unregistered() -> Status {
    Status::new(
        403,
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other \
         form of API consumer identity to call this API.",
    )
}

/// A model the service doesn't have.
pub(super) fn unknown_model(model: &str, version: &str, method: &str) -> Status {
    Status::new(
        404,
        format!(
            "models/{model} is not found for API version {version}, or is not supported for {method}. Call \
             ModelService.ListModels to see the list of available models and their supported methods."
        ),
    )
}

/// The requests-per-minute quota is spent; the client is told when to come back.
pub(super) fn quota(model: &str, delay: Duration) -> Status {
    const METRIC: &str = "generativelanguage.googleapis.com/generate_content_free_tier_requests";
    let delay = format!("{}s", delay.as_secs_f64());
    let mut status = Status::new(
        429,
        format!(
            "You exceeded your current quota, please check your plan and billing details. For more information on this \
             error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: {METRIC}, \
             limit: 10, model: {model}\nPlease retry in {delay}."
        ),
    );
    status.details = vec![
        json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{
                "quotaMetric": METRIC,
                "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
                "quotaDimensions": {"location": "global", "model": model},
                "quotaValue": "10",
            }],
        }),
        json!({
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [{
                "description": "Learn more about Gemini API quotas",
                "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
            }],
        }),
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}),
    ];
    status
}

/// An injected failure with this HTTP status, worded as the service words it; a 429 asks to wait for `delay`.
pub(super) fn injected(http: u16, model: &str, delay: Duration) -> Status {
    match http {
        400 => Status::new(400, "Request contains an invalid argument."),
        401 => Status::new(
            401,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid \
             authentication credential.",
        ),
        403 => Status::new(403, "The caller does not have permission"),
        404 => Status::new(404, "Requested entity was not found."),
        429 => quota(model, delay),
        499 => Status::new(499, "The operation was cancelled."),
        503 => Status::new(503, "The model is overloaded. Please try again later."),
        504 => Status::new(504, "The request timed out. Please try again."),
        other => Status::new(other, "An internal error has occurred. Please retry."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_says_when_to_retry_in_both_places() {
        let body = quota("gemini-3.8-flash", Duration::from_millis(200)).body();
        assert_eq!(body["error"]["status"], "RESOURCE_EXHAUSTED");
        assert!(
            body["error"]["message"]
                .as_str()
                .unwrap()
                .ends_with("Please retry in 0.2s.")
        );
        let details = body["error"]["details"].as_array().unwrap();
        let delay = details
            .iter()
            .find(|d| d["@type"].as_str().unwrap().ends_with("RetryInfo"));
        assert_eq!(delay.unwrap()["retryDelay"], "0.2s");
        assert_eq!(
            details[0]["violations"][0]["quotaValue"], "10",
            "int64 is a string on the wire"
        );
    }

    #[test]
    fn injected_statuses_carry_their_canonical_names() {
        for (http, name) in [
            (400, "INVALID_ARGUMENT"),
            (429, "RESOURCE_EXHAUSTED"),
            (500, "INTERNAL"),
            (503, "UNAVAILABLE"),
            (504, "DEADLINE_EXCEEDED"),
        ] {
            let body = injected(http, "gemini-x", Duration::ZERO).body();
            assert_eq!(body["error"]["code"], http);
            assert_eq!(body["error"]["status"], name);
        }
    }
}
