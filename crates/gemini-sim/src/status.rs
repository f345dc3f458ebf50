//! Errors as the service sends them: google.rpc.Status in an `error` envelope.

use super::faults::{Fault, Quota, seconds};
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Status {
    pub(super) http: u16,
    pub(super) message: String,
    /// Messages of google.rpc, each with its `@type`; may be empty.
    pub(super) details: Vec<Value>,
}

impl Status {
    /// A status without details.
    pub(super) fn new(http: u16, message: impl Into<String>) -> Status {
        Status { http, message: message.into(), details: Vec::new() }
    }

    /// 400 with the offending fields.
    pub(super) fn bad_fields(violations: Vec<(String, String)>) -> Status {
        let message = violations.iter().map(|(_, description)| description.as_str()).collect::<Vec<_>>().join("\n");
        let listed: Vec<Value> = violations
            .iter()
            .map(|(field, description)| match field.as_str() {
                "" => json!({"description": description}),
                field => json!({"field": field, "description": description}),
            })
            .collect();
        Status::new(400, message)
            .with(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": listed}))
    }

    fn with(mut self, detail: Value) -> Status {
        self.details.push(detail);
        self
    }

    /// The same as a bare google.rpc.Status, with its gRPC code: how operations and items of a batch carry errors.
    #[cfg(feature = "emulator")]
    pub(super) fn rpc(&self) -> Value {
        self.with_details(json!({"code": rpc_code(self.http).1, "message": self.message}))
    }

    pub(super) fn body(&self) -> Value {
        let error = json!({"code": self.http, "message": self.message, "status": rpc_code(self.http).0});
        json!({"error": self.with_details(error)})
    }

    fn with_details(&self, mut error: Value) -> Value {
        if !self.details.is_empty() {
            error["details"] = Value::Array(self.details.clone());
        }
        error
    }
}

/// Name and number of google.rpc.Code for an HTTP status.
fn rpc_code(http: u16) -> (&'static str, u8) {
    match http {
        400 => ("INVALID_ARGUMENT", 3),
        401 => ("UNAUTHENTICATED", 16),
        403 => ("PERMISSION_DENIED", 7),
        404 => ("NOT_FOUND", 5),
        409 => ("ALREADY_EXISTS", 6),
        429 => ("RESOURCE_EXHAUSTED", 8),
        499 => ("CANCELLED", 1),
        503 => ("UNAVAILABLE", 14),
        504 => ("DEADLINE_EXCEEDED", 4),
        _ => ("INTERNAL", 13),
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

/// A quota is spent; the client is told when to come back.
fn quota(model: &str, quota: Quota, delay: Duration) -> Status {
    const REQUESTS: &str = "generativelanguage.googleapis.com/generate_content_free_tier_requests";
    const TOKENS: &str = "generativelanguage.googleapis.com/generate_content_free_tier_input_token_count";
    let (metric, id, limit) = match quota {
        Quota::Minute => (REQUESTS, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "10"),
        Quota::Tokens => (TOKENS, "GenerateContentInputTokensPerModelPerMinute-FreeTier", "250000"),
        Quota::Day => (REQUESTS, "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250"),
        Quota::Zero => (REQUESTS, "", "0"),
        Quota::Unnamed => {
            return Status::new(429, "Resource exhausted. Please try again later.").with(retry_info(delay));
        }
    };
    let mut status = Status::new(
        429,
        format!(
            "You exceeded your current quota, please check your plan and billing details. For more information on this \
             error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: {metric}, \
             limit: {limit}, model: {model}\nPlease retry in {}.",
            seconds(delay)
        ),
    );
    // A quota of zero comes without its failure's details.
    if !id.is_empty() {
        status.details.push(json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{
                "quotaMetric": metric,
                "quotaId": id,
                "quotaDimensions": {"location": "global", "model": model},
                "quotaValue": limit,
            }],
        }));
    }
    let help = json!({
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [{
            "description": "Learn more about Gemini API quotas",
            "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
        }],
    });
    status.with(help).with(retry_info(delay))
}

/// How long the client is asked to wait.
fn retry_info(delay: Duration) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": seconds(delay)})
}

/// The key is not valid.
fn bad_key() -> Status {
    const MESSAGE: &str = "API key not valid. Please pass a valid API key.";
    let localized = json!({
        "@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": MESSAGE,
    });
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    });
    Status::new(400, MESSAGE).with(info).with(localized)
}

/// The service is overloaded, in the words of a storm.
pub(super) fn high_demand() -> Status {
    Status::new(
        503,
        "This model is currently experiencing high demand. Spikes in demand are usually temporary. Please try again later.",
    )
}

/// The error that a fault answers with, worded as the service words it; `None` when the fault is no error answer.
pub(super) fn injected(fault: Fault, model: &str) -> Option<Status> {
    let status = match fault {
        Fault::Status(400) => Status::new(400, "Request contains an invalid argument."),
        Fault::Status(401) => Status::new(
            401,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid \
             authentication credential.",
        ),
        Fault::Status(403) => Status::new(403, "The caller does not have permission"),
        Fault::Status(404) => Status::new(404, "Requested entity was not found."),
        Fault::Status(499) => Status::new(499, "The operation was cancelled."),
        Fault::Status(503) => Status::new(503, "The model is overloaded. Please try again later."),
        Fault::Status(504) => Status::new(504, "The request timed out. Please try again."),
        Fault::Status(other) => Status::new(other, "An internal error has occurred. Please retry."),
        Fault::Quota(kind, delay) => quota(model, kind, delay),
        Fault::Exhausted => Status::new(429, "Resource has been exhausted (e.g. check quota)."),
        Fault::BadKey => bad_key(),
        Fault::HighDemand => high_demand(),
        Fault::Reset
        | Fault::Stall
        | Fault::Hang
        | Fault::Truncate
        | Fault::Html502
        | Fault::NoFinish
        | Fault::ErrorEvent
        | Fault::ErrorTail
        | Fault::Slow(_) => return None,
    };
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(fault: &str) -> Value {
        injected(fault.parse().unwrap(), "gemini-3.8-flash").unwrap().body()
    }

    #[test]
    fn quota_says_when_to_retry_in_both_places() {
        let body = body("429");
        assert_eq!(body["error"]["status"], "RESOURCE_EXHAUSTED");
        assert!(body["error"]["message"].as_str().unwrap().ends_with("Please retry in 0.2s."));
        let details = body["error"]["details"].as_array().unwrap();
        let delay = details.iter().find(|d| d["@type"].as_str().unwrap().ends_with("RetryInfo"));
        assert_eq!(delay.unwrap()["retryDelay"], "0.2s");
        assert_eq!(details[0]["violations"][0]["quotaValue"], "10", "int64 is a string on the wire");
    }

    #[test]
    fn quotas_are_told_apart() {
        let day = body("429-day:60s").to_string();
        assert!(day.contains("PerDay") && day.contains("\"retryDelay\":\"60s\""), "{day}");
        let tokens = body("429-tokens").to_string();
        assert!(tokens.contains("InputTokensPerModelPerMinute"), "{tokens}");
        let zero = body("429-zero").to_string();
        assert!(zero.contains("limit: 0, model") && !zero.contains("QuotaFailure"), "{zero}");
        let retry = body("429-retry:1s").to_string();
        assert!(
            retry.contains("\"retryDelay\":\"1s\"") && !retry.contains("QuotaFailure") && !retry.contains("retry in"),
            "{retry}"
        );
        assert!(body("429-bare")["error"].get("details").is_none());
        assert!(body("400-key").to_string().contains("API_KEY_INVALID"));
    }

    #[test]
    fn injected_statuses_carry_their_canonical_names() {
        for (fault, http, name, code) in [
            ("400", 400, "INVALID_ARGUMENT", 3),
            ("429", 429, "RESOURCE_EXHAUSTED", 8),
            ("500", 500, "INTERNAL", 13),
            ("503-demand", 503, "UNAVAILABLE", 14),
            ("504", 504, "DEADLINE_EXCEEDED", 4),
        ] {
            let status = injected(fault.parse().unwrap(), "gemini-x").unwrap();
            assert_eq!(status.body()["error"]["code"], http);
            assert_eq!(status.body()["error"]["status"], name);
            assert_eq!(status.rpc()["code"], code);
        }
        assert_eq!(injected(Fault::Reset, "gemini-x"), None);
    }
}
