//! From a rendered prompt to the bytes of a chat completion request.
//!
//! Prompts are written for Gemini, so settings have its names; each one that chat completions know too is translated, and
//! any other is a mistake that is found before anything is sent: an answer without it would not be an answer to the
//! prompt under test.

use super::super::gemini::{at, knows_setting};
use super::super::media::{Inline, media_problem};
use crate::domain::{ArgProblem, Content, Part, Request, Role, Tool, nearest};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Settings that only change their name, and what they are called here.
const RENAMED: [(&str, &str); 10] = [
    ("candidateCount", "n"),
    ("frequencyPenalty", "frequency_penalty"),
    ("logprobs", "top_logprobs"),
    ("maxOutputTokens", "max_tokens"),
    ("presencePenalty", "presence_penalty"),
    ("responseLogprobs", "logprobs"),
    ("seed", "seed"),
    ("stopSequences", "stop"),
    ("temperature", "temperature"),
    ("topP", "top_p"),
];

/// Settings that change their form.
const REWRITTEN: [&str; 4] = ["responseJsonSchema", "responseMimeType", "thinkingConfig", "toolConfig"];

/// The name that a schema must have on the wire; nobody reads it.
const SCHEMA_NAME: &str = "answer";

/// The settings that chat completions can't say, and why.
pub(crate) fn config_problems(config: &Map<String, Value>) -> Vec<ArgProblem> {
    config
        .iter()
        .filter(|(_, value)| !value.is_null())
        .filter_map(|(name, value)| setting_problem(name, value))
        .collect()
}

fn setting_problem(name: &str, value: &Value) -> Option<ArgProblem> {
    let known = || RENAMED.iter().map(|(name, _)| *name).chain(REWRITTEN);
    let unsayable = |hint: &str| {
        let said =
            ArgProblem::new(format!("an OpenAI-compatible service has no counterpart of this `{name}` (in `config`)"));
        Some(ArgProblem { path: at(&[name]), ..said.hint(hint) })
    };
    match name {
        "responseMimeType" if !matches!(value.as_str(), Some("application/json" | "text/plain")) => {
            unsayable("it knows application/json and text/plain")
        }
        "responseSchema" => unsayable("write the schema as JSON Schema, in output.schema or responseJsonSchema"),
        "thinkingConfig" if effort(value).is_none() => {
            unsayable("only thinkingLevel has one (reasoning_effort); leave thinkingBudget and includeThoughts out")
        }
        "toolConfig" if tool_choice(value).is_none() => {
            unsayable("only functionCallingConfig.mode has one: AUTO, ANY or NONE")
        }
        "tools" => unsayable("declare functions in the prompt's `tools`; tools of the service itself exist only there"),
        _ if known().any(|known| known == name) => None,
        _ => {
            let hint = match nearest(name, known()) {
                Some(near) if !knows_setting(name) => {
                    format!("did you mean `{near}`? otherwise leave it out for this target")
                }
                Some(_) | None => "leave it out for this target".to_owned(),
            };
            unsayable(&hint)
        }
    }
}

/// What chat completions can't take in a rendered prompt, in a sentence; `None` when [`body`] can say everything.
pub(crate) fn content_problem(request: &Request) -> Option<String> {
    if request.system.iter().any(|part| matches!(part, Part::Media { .. })) {
        return Some("the system instruction holds media; it takes text only".to_owned());
    }
    if request.contents.is_empty() {
        return Some("the prompt has no message".to_owned());
    }
    for Content { role, parts } in &request.contents {
        if parts.is_empty() {
            return Some("a message is empty".to_owned());
        }
        for part in parts {
            if let Part::Media { url, content_type } = part {
                if *role == Role::Model {
                    return Some("a message of the model holds media; here it takes text only".to_owned());
                }
                if let Some(problem) = image_problem(url, content_type.as_deref()) {
                    return Some(problem);
                }
            }
        }
    }
    None
}

fn image_problem(url: &str, content_type: Option<&str>) -> Option<String> {
    if let Some(problem) = media_problem(url, content_type) {
        return Some(problem);
    }
    let inline = Inline::read(url);
    if inline.is_none() && !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Some(
            "a media part is neither a data: nor an http url; an OpenAI-compatible service takes no other".to_owned(),
        );
    }
    let mime = content_type.or(inline.and_then(|inline| inline.mime));
    match mime {
        Some(mime) if !mime.starts_with("image/") => {
            Some(format!("a media part has the type `{mime}`; an OpenAI-compatible service takes images only"))
        }
        Some(_) | None => None,
    }
}

/// Why a text can't name a model, in a sentence. It stands in the body, so it can't lead elsewhere; gateways and local
/// servers have names like `llama3.2:1b`, `vendor/model` or a path.
pub(crate) fn model_problem(model: &str) -> Option<String> {
    if model.is_empty() {
        return Some("no model is named for the target `openai`; give --model, or set `model`".to_owned());
    }
    model
        .chars()
        .any(|c| c.is_control() || c.is_whitespace())
        .then(|| format!("`{}` is no name of a model: it holds white space", model.escape_debug()))
}

/// The exact body on the wire. The same request always gives the same bytes.
pub(crate) fn body(request: &Request) -> Vec<u8> {
    let system = (!request.system.is_empty()).then(|| Message { role: "system", content: said(&request.system) });
    let turns = request.contents.iter().map(|Content { role, parts }| Message {
        role: match role {
            Role::User => "user",
            Role::Model => "assistant",
        },
        content: said(parts),
    });
    let body = Body {
        model: &request.model,
        messages: system.into_iter().chain(turns).collect(),
        settings: settings(request),
        tools: request.tools.iter().map(function).collect(),
    };
    // Strings, numbers and values that were parsed from JSON always serialize. Were it otherwise, the service would
    // refuse the empty body.
    serde_json::to_vec(&body).unwrap_or_default()
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(flatten)]
    settings: BTreeMap<&'static str, Cow<'a, Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a>>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: MessageContent<'a>,
}

/// One text stands as it is, because some servers know no other form.
#[derive(Serialize)]
#[serde(untagged)]
enum MessageContent<'a> {
    Text(&'a str),
    Parts(Vec<Piece<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: Image<'a> },
}

#[derive(Serialize)]
struct Image<'a> {
    url: Cow<'a, str>,
}

#[derive(Serialize)]
struct Function<'a> {
    r#type: &'static str,
    function: Declaration<'a>,
}

#[derive(Serialize)]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a Value>,
}

fn said(parts: &[Part]) -> MessageContent<'_> {
    match parts {
        [Part::Text(text)] => MessageContent::Text(text),
        parts => MessageContent::Parts(parts.iter().map(piece).collect()),
    }
}

fn piece(part: &Part) -> Piece<'_> {
    match part {
        Part::Text(text) => Piece::Text { text },
        Part::Media { url, content_type } => Piece::ImageUrl {
            image_url: Image {
                url: match Inline::read(url) {
                    Some(Inline { mime, data }) => {
                        let mime = content_type.as_deref().or(mime).unwrap_or("application/octet-stream");
                        Cow::Owned(format!("data:{mime};base64,{data}"))
                    }
                    None => Cow::Borrowed(url),
                },
            },
        },
    }
}

fn function(tool: &Tool) -> Function<'_> {
    Function {
        r#type: "function",
        function: Declaration {
            name: &tool.name,
            description: &tool.description,
            parameters: tool.parameters.as_ref(),
        },
    }
}

/// Settings under the names they have here, sorted; those without a counterpart are left to [`config_problems`].
fn settings(request: &Request) -> BTreeMap<&'static str, Cow<'_, Value>> {
    let written = |name: &str| request.config.get(name).filter(|value| !value.is_null());
    let mut settings = BTreeMap::new();
    for (theirs, ours) in RENAMED {
        if let Some(value) = written(theirs) {
            settings.insert(ours, Cow::Borrowed(value));
        }
    }
    if let Some(effort) = written("thinkingConfig").and_then(effort) {
        settings.insert("reasoning_effort", Cow::Owned(effort));
    }
    if let Some(choice) = written("toolConfig").and_then(tool_choice) {
        settings.insert("tool_choice", Cow::Owned(choice));
    }
    // In the service's own words the prompt says it best; else its output says it.
    let mime = written("responseMimeType").and_then(Value::as_str);
    let schema = written("responseJsonSchema").or(request.output_schema.as_ref());
    let format = match (mime, schema) {
        (Some("text/plain"), _) => None,
        (_, Some(schema)) => Some(json!({
            "type": "json_schema",
            "json_schema": {"name": SCHEMA_NAME, "schema": schema},
        })),
        (Some(_), None) => Some(json!({"type": "json_object"})),
        (None, None) => request.json_output.then(|| json!({"type": "json_object"})),
    };
    if let Some(format) = format {
        settings.insert("response_format", Cow::Owned(format));
    }
    settings
}

/// `reasoning_effort`, if that says everything in a thinkingConfig.
fn effort(config: &Value) -> Option<Value> {
    let config = config.as_object()?;
    match config.get("thinkingLevel")?.as_str()? {
        level if config.len() == 1 => Some(Value::String(level.to_ascii_lowercase())),
        _ => None,
    }
}

/// `tool_choice`, if that says everything in a toolConfig.
fn tool_choice(config: &Value) -> Option<Value> {
    let calling = config.as_object().filter(|config| config.len() == 1)?;
    let calling = calling.get("functionCallingConfig")?.as_object()?;
    let choice = match calling.get("mode")?.as_str()? {
        _ if calling.len() > 1 => return None,
        "AUTO" => "auto",
        "ANY" => "required",
        "NONE" => "none",
        _ => return None,
    };
    Some(Value::String(choice.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            model: "llama3.2:1b".to_owned(),
            contents: vec![Content { role: Role::User, parts: vec![Part::Text("Hi \"there\"\n".to_owned())] }],
            ..Request::default()
        }
    }

    fn configured(config: Value) -> Request {
        Request { config: config.as_object().unwrap().clone(), ..request() }
    }

    fn wire(request: &Request) -> Value {
        serde_json::from_slice(&body(request)).unwrap()
    }

    fn media(url: &str, content_type: Option<&str>) -> Part {
        Part::Media { url: url.to_owned(), content_type: content_type.map(str::to_owned) }
    }

    #[test]
    fn a_plain_prompt_is_a_plain_body() {
        insta::assert_snapshot!(String::from_utf8(body(&request())).unwrap(), @r#"{"model":"llama3.2:1b","messages":[{"role":"user","content":"Hi \"there\"\n"}]}"#);
    }

    #[test]
    fn everything_has_its_place() {
        let mut request = configured(json!({
            "topP": 0.9, "temperature": 0.5, "maxOutputTokens": 100, "stopSequences": ["\n\n"], "seed": 7,
            "presencePenalty": 1, "frequencyPenalty": -1, "candidateCount": 1, "responseLogprobs": true, "logprobs": 3,
            "thinkingConfig": {"thinkingLevel": "LOW"}, "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        }));
        request.system = vec![Part::Text("Be brief.".to_owned())];
        request
            .contents
            .insert(0, Content { role: Role::Model, parts: vec![Part::Text("How can I help?".to_owned())] });
        request.contents.push(Content {
            role: Role::User,
            parts: vec![
                Part::Text("What is this?".to_owned()),
                media("data:image/png;base64,iVBORw==", None),
                media("https://example.org/a.jpg", Some("image/jpeg")),
            ],
        });
        request.output_schema = Some(json!({"type": "object", "properties": {"z": {"type": "string"}}}));
        request.tools = vec![
            Tool {
                name: "look_up".to_owned(),
                description: "Finds an order".to_owned(),
                parameters: Some(json!({"type": "object", "properties": {"id": {"type": "string"}}})),
            },
            Tool { name: "ping".to_owned(), description: String::new(), parameters: None },
        ];
        assert_eq!(config_problems(&request.config), []);
        assert_eq!(content_problem(&request), None);
        insta::assert_snapshot!(serde_json::to_string_pretty(&wire(&request)).unwrap());
    }

    #[test]
    fn the_order_of_settings_does_not_reach_the_wire() {
        let one = configured(json!({"topP": 0.5, "temperature": 1, "seed": null}));
        let two = configured(json!({"temperature": 1, "topP": 0.5}));
        assert_eq!(body(&one), body(&two));
    }

    #[test]
    fn the_form_of_output_is_the_prompts_unless_its_settings_say_another() {
        let format = |config: Value, json_output: bool, schema: Option<Value>| {
            let request = Request { json_output, output_schema: schema, ..configured(config) };
            wire(&request)["response_format"].clone()
        };
        let object = json!({"type": "json_object"});
        let of = |schema: Value| json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
        let schema = || json!({"type": "string"});
        assert_eq!(format(json!({}), false, None), Value::Null);
        assert_eq!(format(json!({}), true, None), object);
        assert_eq!(format(json!({}), true, Some(schema())), of(schema()));
        assert_eq!(format(json!({"responseMimeType": "application/json"}), false, None), object);
        assert_eq!(format(json!({"responseMimeType": "text/plain"}), true, None), Value::Null);
        let own = json!({"responseMimeType": "application/json", "responseJsonSchema": {"type": "integer"}});
        assert_eq!(format(own, true, Some(schema())), of(json!({"type": "integer"})));
    }

    #[test]
    fn settings_without_a_counterpart_are_named() {
        let problems = |config: Value| -> String {
            let problems = config_problems(config.as_object().unwrap());
            let line = |problem: &ArgProblem| {
                assert_eq!(problem.path.len(), 2, "{problem:?}");
                format!("{} | {}\n", problem.message, problem.hint.as_deref().unwrap_or_default())
            };
            problems.iter().map(line).collect()
        };
        assert_eq!(problems(json!({"topK": null, "responseMimeType": "text/plain"})), "");
        insta::assert_snapshot!(problems(json!({
            "topK": 3,
            "temprature": 1,
            "labels": {},
            "responseSchema": {"type": "STRING"},
            "responseMimeType": "text/x.enum",
            "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": true},
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "tools": [{"googleSearch": {}}],
        })));
    }

    #[test]
    fn what_the_service_cannot_take_is_said() {
        let with = |part: Part| {
            let mut request = request();
            request.contents[0].parts = vec![part];
            content_problem(&request).unwrap_or_default()
        };
        assert_eq!(with(media("data:image/png;base64,iVBORw==", None)), "");
        assert_eq!(with(media("https://example.org/a", None)), "");
        assert!(with(media("files/abc", None)).contains("neither a data: nor an http url"));
        assert!(with(media("gs://bucket/a.png", Some("image/png"))).contains("neither a data:"));
        assert!(with(media("https://example.org/a.pdf", Some("application/pdf"))).contains("images only"));
        assert!(with(media("data:audio/wav;base64,AAAA", None)).contains("images only"));
        assert!(with(media("data:;base64,AAAA", None)).contains("mime type"));
        let mut model = request();
        model.contents[0] = Content { role: Role::Model, parts: vec![media("https://example.org/a.png", None)] };
        assert!(content_problem(&model).is_some_and(|said| said.contains("text only")));
        model.contents.clear();
        assert!(content_problem(&model).is_some());
    }

    #[test]
    fn media_keep_the_type_that_was_given() {
        let url = |url: &str, content_type: Option<&str>| {
            let mut request = request();
            request.contents[0].parts = vec![media(url, content_type)];
            wire(&request)["messages"][0]["content"][0]["image_url"]["url"].clone()
        };
        assert_eq!(url("data:;base64,AAAA", Some("image/png")), "data:image/png;base64,AAAA");
        assert_eq!(url("data:image/svg+xml,a%20b", None), "data:image/svg+xml;base64,YSBi");
        assert_eq!(url("https://example.org/a", None), "https://example.org/a");
    }

    #[test]
    fn models_have_names_of_all_kinds() {
        for model in ["gpt-4o", "llama3.2:1b", "meta-llama/Llama-3.1-8B", "/models/a.gguf"] {
            assert_eq!(model_problem(model), None);
        }
        for model in ["", "two words", "line\nbreak"] {
            assert!(model_problem(model).is_some(), "{model:?}");
        }
    }
}
