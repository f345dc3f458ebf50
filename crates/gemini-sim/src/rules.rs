//! What the service refuses after parsing: roles, empty turns, and the limits that its documentation states.

use super::body::{get, list, number, same_name, snake};
use super::embed::DIMENSIONS;
use super::status::Status;
use serde_json::Value;

fn refuse<T>(message: impl Into<String>) -> Result<T, Status> {
    Err(Status::new(400, message))
}

/// What the service checks after parsing.
pub(super) fn generate_rules(body: &Value, model: &str) -> Result<(), Status> {
    contents_rules(body, "GenerateContentRequest")?;
    let generation = Generation::of(model);
    if list(body, "contents").last().and_then(|c| get(c, "role")).and_then(Value::as_str) == Some("model")
        && generation.is_some_and(Generation::refuses_prefill)
    {
        return refuse("Please ensure that the last turn of a request has the role user.");
    }
    if let Some(config) = get(body, "generationConfig") {
        config_rules(config, model, generation)?;
    }
    for (at, tool) in list(body, "tools").iter().enumerate() {
        for (index, function) in list(tool, "functionDeclarations").iter().enumerate() {
            let place = format!("GenerateContentRequest.tools[{at}].function_declarations[{index}]");
            if !get(function, "name").and_then(Value::as_str).is_some_and(is_function_name) {
                return refuse(format!(
                    "* {place}.name: Invalid function name. Must start with a letter or an underscore. Must be \
                     alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum \
                     length of 128.\n"
                ));
            }
            if get(function, "parameters").is_some() && get(function, "parametersJsonSchema").is_some() {
                return refuse(format!("* {place}: parameters and parameters_json_schema are mutually exclusive.\n"));
            }
        }
    }
    Ok(())
}

pub(super) fn count_rules(body: &Value) -> Result<(), Status> {
    match (get(body, "generateContentRequest"), get(body, "contents")) {
        (Some(_), Some(_)) => refuse("contents and generate_content_request are mutually exclusive."),
        (Some(inner), None) => {
            if !get(inner, "model").is_some_and(Value::is_string) {
                return refuse("* CountTokensRequest.generate_content_request.model: model is required.\n");
            }
            contents_rules(inner, "CountTokensRequest.generate_content_request")
        }
        (None, _) => contents_rules(body, "CountTokensRequest"),
    }
}

/// What the service checks of one embedding: a text, in this model, in as many numbers as there are.
pub(super) fn embed_rules(body: &Value, model: &str, message: &str) -> Result<(), Status> {
    let named = get(body, "model").and_then(Value::as_str);
    if named.is_some_and(|named| named.strip_prefix("models/").unwrap_or(named) != model) {
        return refuse(format!("* {message}.model: the model must match models/{model}.\n"));
    }
    let parts = get(body, "content").map_or(&[][..], |content| list(content, "parts"));
    if parts.is_empty() {
        return refuse(format!("* {message}.content: contents is not specified\n"));
    }
    match get(body, "outputDimensionality").and_then(number) {
        Some(wanted) if !(1.0..=DIMENSIONS as f64).contains(&wanted) => refuse(format!(
            "* {message}.output_dimensionality: output_dimensionality must be in the range [1, {DIMENSIONS}].\n"
        )),
        _ => Ok(()),
    }
}

/// At most 100 embeddings, each as above.
pub(super) fn batch_embed_rules(body: &Value, model: &str) -> Result<(), Status> {
    let requests = list(body, "requests");
    if requests.is_empty() {
        return refuse("* BatchEmbedContentsRequest.requests: requests is not specified\n");
    }
    if requests.len() > 100 {
        return refuse("* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n");
    }
    for (at, request) in requests.iter().enumerate() {
        if get(request, "model").is_none() {
            return refuse(format!("* BatchEmbedContentsRequest.requests[{at}].model: model is required\n"));
        }
        embed_rules(request, model, &format!("BatchEmbedContentsRequest.requests[{at}]"))?;
    }
    Ok(())
}

fn contents_rules(body: &Value, message: &str) -> Result<(), Status> {
    let contents = list(body, "contents");
    if contents.is_empty() {
        return refuse(format!("* {message}.contents: contents is not specified\n"));
    }
    for (at, content) in contents.iter().enumerate() {
        match get(content, "role").and_then(Value::as_str) {
            None | Some("" | "user" | "model") => {}
            Some(_) => return refuse("Please use a valid role: user, model."),
        }
        let parts = list(content, "parts");
        if parts.is_empty() {
            return refuse(format!("* {message}.contents[{at}].parts: contents.parts must not be empty.\n"));
        }
        for (index, part) in parts.iter().enumerate() {
            if !has_data(part) {
                return refuse(format!(
                    "* {message}.contents[{at}].parts[{index}].data: required oneof field 'data' must have one \
                     initialized field\n"
                ));
            }
        }
    }
    Ok(())
}

/// A part with content, or with only the signature that a model's turn may end with.
fn has_data(part: &Value) -> bool {
    part.as_object().is_some_and(|part| {
        part.iter().any(|(key, value)| {
            let metadata = ["thought", "partMetadata", "videoMetadata", "mediaResolution"];
            !value.is_null() && !metadata.iter().any(|name| same_name(name, key))
        })
    })
}

fn is_function_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'))
}

fn config_rules(config: &Value, model: &str, generation: Option<Generation>) -> Result<(), Status> {
    const PLACE: &str = "GenerateContentRequest.generation_config";
    let in_range = |name: &str, low: f64, high: f64, said: &str| match get(config, name).and_then(number) {
        Some(value) if !(low..=high).contains(&value) => {
            let name = snake(name);
            refuse(format!("* {PLACE}.{name}: {name} must be in the range {said}.\n"))
        }
        _ => Ok(()),
    };
    in_range("temperature", 0.0, 2.0, "[0.0, 2.0]")?;
    in_range("topP", 0.0, 1.0, "[0.0, 1.0]")?;
    in_range("logprobs", 0.0, 20.0, "[0, 20]")?;
    if get(config, "maxOutputTokens").and_then(number).is_some_and(|n| n < 1.0) {
        return refuse(format!("* {PLACE}.max_output_tokens: max_output_tokens must be positive.\n"));
    }
    if list(config, "stopSequences").len() > 5 {
        return refuse(format!("* {PLACE}.stop_sequences: at most 5 stop sequences are allowed.\n"));
    }
    let schema = get(config, "responseSchema").is_some();
    let json_schema = get(config, "responseJsonSchema").is_some();
    if schema && json_schema {
        return refuse(format!("* {PLACE}: response_schema and response_json_schema are mutually exclusive.\n"));
    }
    let mime = get(config, "responseMimeType").and_then(Value::as_str).unwrap_or("");
    if !matches!(mime, "" | "text/plain" | "application/json" | "text/x.enum") {
        return refuse(format!(
            "* {PLACE}.response_mime_type: allowed mimetypes are `text/plain`, `application/json`, and `text/x.enum`.\n"
        ));
    }
    if (schema || json_schema) && !matches!(mime, "application/json" | "text/x.enum") {
        return refuse(format!(
            "* {PLACE}.response_schema: only allowed for mime types `application/json` and `text/x.enum`.\n"
        ));
    }
    if get(config, "logprobs").is_some() && get(config, "responseLogprobs") != Some(&Value::Bool(true)) {
        return refuse("Logprobs is enabled but response_logprobs is not set.");
    }
    if generation.is_some_and(|g| g.major >= 3)
        && get(config, "candidateCount").and_then(number).is_some_and(|n| n > 1.0)
    {
        return refuse("Multiple candidates is not enabled for this model");
    }
    match get(config, "thinkingConfig") {
        Some(thinking) => thinking_rules(thinking, model, generation),
        None => Ok(()),
    }
}

fn thinking_rules(thinking: &Value, model: &str, generation: Option<Generation>) -> Result<(), Status> {
    let budget = get(thinking, "thinkingBudget").and_then(number);
    let level = get(thinking, "thinkingLevel");
    if budget.is_some() && level.is_some() {
        return refuse("You can only set only one of thinking budget and thinking level.");
    }
    if level.is_some() && generation.is_some_and(|g| g.major < 3) {
        return refuse("Thinking level is not supported for this model.");
    }
    if budget.is_some() && generation.is_some_and(|g| g.major >= 4) {
        return refuse("Thinking budget is not supported for this model.");
    }
    if budget == Some(0.0) && model.contains("pro") {
        return refuse("Budget 0 is invalid. This model only works in thinking mode.");
    }
    Ok(())
}

/// A model's generation, read from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Generation {
    major: u32,
    minor: u32,
}

impl Generation {
    /// `gemini-MAJOR[.MINOR]-…`; `None` for an alias without a number.
    fn of(model: &str) -> Option<Generation> {
        let version = model.strip_prefix("gemini-")?.split('-').next()?;
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        Some(Generation { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// A last turn of the model is a 400 since 3.6.
    fn refuses_prefill(self) -> bool {
        (self.major, self.minor) >= (3, 6)
    }
}
