//! From a rendered prompt to the bytes of a `generateContent` request.
//!
//! The same request always gives the same bytes: fields stand in a fixed order and generation settings are sorted, so
//! that two prompts differ on the wire only where they differ in meaning. What stands inside a setting or a schema keeps
//! its order, because there it may carry meaning.

use super::super::media::{Inline, media_problem};
use crate::domain::{Content, Part, Request, Role, Tool};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A setting of Vertex AI alone that stands beside `generationConfig`.
const MODEL_ARMOR: &str = "modelArmorConfig";

/// The settings that stand beside `generationConfig` in the request.
const BESIDE: [&str; 7] = ["safetySettings", "tools", "toolConfig", "cachedContent", "labels", "serviceTier", "store"];

/// What the service can't take in a rendered prompt, in a sentence; `None` when [`body`] can say everything.
pub fn content_problem(request: &Request) -> Option<String> {
    if request.system.iter().any(|part| matches!(part, Part::Media { .. })) {
        return Some("the system instruction holds media; it takes text only".to_owned());
    }
    if !request.system.is_empty() && request.config.get("cachedContent").is_some_and(|name| !name.is_null()) {
        return Some("a system instruction can't stand beside `cachedContent`, which holds its own".to_owned());
    }
    if request.contents.is_empty() {
        return Some("the prompt has no message".to_owned());
    }
    for content in &request.contents {
        if content.parts.is_empty() {
            return Some("a message is empty".to_owned());
        }
        for part in &content.parts {
            if let Part::Media { url, content_type } = part
                && let Some(problem) = media_problem(url, content_type.as_deref())
            {
                return Some(problem);
            }
        }
    }
    None
}

/// The exact body on the wire. The model is not in it: it stands in the URL.
pub fn body(request: &Request) -> Vec<u8> {
    bytes(&whole(request))
}

/// Strings, numbers and values that were parsed from JSON always serialize. Were it otherwise, the service would refuse
/// the empty body.
fn bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

fn whole(request: &Request) -> Body<'_> {
    let beside = |name: &str| request.config.get(name).filter(|value| !value.is_null());
    Body {
        contents: request.contents.iter().map(content).collect(),
        system_instruction: (!request.system.is_empty())
            .then(|| Instruction { parts: request.system.iter().map(part).collect() }),
        generation_config: generation_config(request),
        safety_settings: beside("safetySettings"),
        tools: tools(&request.tools, beside("tools")),
        tool_config: beside("toolConfig"),
        cached_content: beside("cachedContent"),
        labels: beside("labels"),
        service_tier: beside("serviceTier"),
        store: beside("store"),
        model_armor_config: beside(MODEL_ARMOR),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    contents: Vec<WireContent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instruction<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    generation_config: BTreeMap<&'a str, Cow<'a, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_settings: Option<&'a Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_armor_config: Option<&'a Value>,
}

#[derive(Serialize)]
struct WireContent<'a> {
    role: &'static str,
    parts: Vec<WirePart<'a>>,
}

#[derive(Serialize)]
struct Instruction<'a> {
    parts: Vec<WirePart<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum WirePart<'a> {
    Text(&'a str),
    #[serde(rename_all = "camelCase")]
    InlineData {
        mime_type: &'a str,
        data: Cow<'a, str>,
    },
    #[serde(rename_all = "camelCase")]
    FileData {
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<&'a str>,
        file_uri: &'a str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireTool<'a> {
    #[serde(rename_all = "camelCase")]
    Functions { function_declarations: Vec<Function<'a>> },
    /// Written in the prompt's settings, like `{googleSearch: {}}`.
    AsWritten(&'a Value),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a Value>,
}

fn content(content: &Content) -> WireContent<'_> {
    WireContent {
        role: match content.role {
            Role::User => "user",
            Role::Model => "model",
        },
        parts: content.parts.iter().map(part).collect(),
    }
}

fn part(part: &Part) -> WirePart<'_> {
    match part {
        Part::Text(text) => WirePart::Text(text),
        Part::Media { url, content_type } => match Inline::read(url) {
            Some(inline) => WirePart::InlineData {
                mime_type: content_type.as_deref().or(inline.mime).unwrap_or("application/octet-stream"),
                data: inline.data,
            },
            None => WirePart::FileData { mime_type: content_type.as_deref(), file_uri: url },
        },
    }
}

/// Settings, without those that stand beside it and without nulls; plus the form of output the prompt asks for, unless
/// its settings already say it in the service's own words.
fn generation_config(request: &Request) -> BTreeMap<&str, Cow<'_, Value>> {
    let mut config: BTreeMap<&str, Cow<'_, Value>> = request
        .config
        .iter()
        .filter(|(name, value)| !BESIDE.contains(&name.as_str()) && name.as_str() != MODEL_ARMOR && !value.is_null())
        .map(|(name, value)| (name.as_str(), Cow::Borrowed(value)))
        .collect();
    let has_schema = config.contains_key("responseSchema") || config.contains_key("responseJsonSchema");
    if let Some(schema) = &request.output_schema
        && !has_schema
    {
        config.insert("responseJsonSchema", Cow::Borrowed(schema));
    }
    // A schema is refused without this type.
    if request.json_output || request.output_schema.is_some() {
        let json = || Cow::Owned(Value::String("application/json".to_owned()));
        config.entry("responseMimeType").or_insert_with(json);
    }
    config
}

fn tools<'a>(functions: &'a [Tool], written: Option<&'a Value>) -> Vec<WireTool<'a>> {
    let declarations: Vec<Function<'_>> = functions
        .iter()
        .map(|tool| Function {
            name: &tool.name,
            description: &tool.description,
            parameters_json_schema: tool.parameters.as_ref(),
        })
        .collect();
    let declared = (!declarations.is_empty()).then_some(WireTool::Functions { function_declarations: declarations });
    // One tool may be written without the list around it; anything else is for the service to refuse, not for us to drop.
    let written = match written {
        Some(Value::Array(tools)) => tools.as_slice(),
        Some(tool) => std::slice::from_ref(tool),
        None => &[],
    };
    declared.into_iter().chain(written.iter().map(WireTool::AsWritten)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn request() -> Request {
        Request {
            model: "gemini-3.8-flash".to_owned(),
            contents: vec![Content { role: Role::User, parts: vec![Part::Text("Hi \"there\"\n".to_owned())] }],
            ..Request::default()
        }
    }

    fn config(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn text(request: &Request) -> String {
        String::from_utf8(body(request)).unwrap()
    }

    fn media(url: &str, content_type: Option<&str>) -> Part {
        Part::Media { url: url.to_owned(), content_type: content_type.map(str::to_owned) }
    }

    #[test]
    fn a_plain_prompt_is_a_plain_body() {
        insta::assert_snapshot!(text(&request()), @r#"{"contents":[{"role":"user","parts":[{"text":"Hi \"there\"\n"}]}]}"#);
    }

    #[test]
    fn everything_has_its_place() {
        let mut request = request();
        request.system = vec![Part::Text("Be brief.".to_owned())];
        request.contents.insert(
            0,
            Content {
                role: Role::Model,
                parts: vec![
                    media("data:image/png;base64,iVBORw==", None),
                    media("https://example.org/a.pdf", Some("application/pdf")),
                ],
            },
        );
        request.config = config(json!({
            "topK": 3, "temperature": 0.5, "seed": null, "labels": {"team": "x"},
            "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": true},
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
            "cachedContent": "cachedContents/1", "serviceTier": "flex", "tools": [{"googleSearch": {}}],
        }));
        request.json_output = true;
        request.output_schema =
            Some(json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer"}}}));
        request.tools = vec![
            Tool {
                name: "look_up".to_owned(),
                description: "Finds an order".to_owned(),
                parameters: Some(json!({"type": "object", "properties": {"id": {"type": "string"}}})),
            },
            Tool { name: "ping".to_owned(), description: String::new(), parameters: None },
        ];
        let pretty: Value = serde_json::from_slice(&body(&request)).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&pretty).unwrap());
    }

    #[test]
    fn the_order_of_settings_does_not_reach_the_wire() {
        let mut one = request();
        one.config = config(json!({"topP": 0.5, "temperature": 1}));
        let mut two = request();
        two.config = config(json!({"temperature": 1, "topP": 0.5}));
        assert_eq!(text(&one), text(&two));
        assert!(text(&one).ends_with(r#""generationConfig":{"temperature":1,"topP":0.5}}"#));
    }

    #[test]
    fn settings_in_the_services_words_win_over_the_prompts_output() {
        let mut request = request();
        request.json_output = true;
        request.output_schema = Some(json!({"type": "string"}));
        request.config = config(json!({"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING"}}));
        assert!(
            text(&request).ends_with(
                r#""generationConfig":{"responseMimeType":"text/x.enum","responseSchema":{"type":"STRING"}}}"#
            )
        );
    }

    #[test]
    fn tools_in_the_settings_are_sent_as_they_are_written() {
        for written in [json!([{"urlContext": {}}]), json!({"urlContext": {}})] {
            let mut request = request();
            request.config = config(json!({"tools": written}));
            assert!(text(&request).ends_with(r#""tools":[{"urlContext":{}}]}"#), "{}", text(&request));
        }
    }

    #[test]
    fn media_is_inline_or_by_reference() {
        let wire =
            |url: &str, content_type: Option<&str>| serde_json::to_string(&part(&media(url, content_type))).unwrap();
        assert_eq!(
            wire("data:image/png;base64,AAAA", None),
            r#"{"inlineData":{"mimeType":"image/png","data":"AAAA"}}"#
        );
        assert_eq!(
            wire("DATA:text/plain;charset=utf-8;BASE64,AAAA", Some("text/csv")),
            r#"{"inlineData":{"mimeType":"text/csv","data":"AAAA"}}"#
        );
        assert_eq!(
            wire("data:text/plain,a%20b%", None),
            r#"{"inlineData":{"mimeType":"text/plain","data":"YSBiJQ=="}}"#
        );
        assert_eq!(wire("files/abc", None), r#"{"fileData":{"fileUri":"files/abc"}}"#);
        assert_eq!(wire("däta:", None), r#"{"fileData":{"fileUri":"däta:"}}"#);
    }

    #[test]
    fn what_the_service_cannot_take_is_said() {
        assert_eq!(content_problem(&request()), None);
        let with = |part: Part| {
            let mut request = request();
            request.contents[0].parts = vec![part];
            content_problem(&request).unwrap_or_default()
        };
        assert_eq!(with(media("data:image/png;base64,iVBORw==", None)), "");
        assert!(with(media("data:;base64,iVBORw==", None)).contains("mime type"));
        assert!(with(media("data:image/png;base64,***", None)).contains("base64"));
        assert!(with(media(" ", None)).contains("no url"));
        let mut silent = request();
        silent.contents[0].parts.clear();
        assert!(content_problem(&silent).is_some_and(|said| said.contains("empty")));
        silent.contents.clear();
        assert!(content_problem(&silent).is_some());
        let mut system = request();
        system.system = vec![media("files/a", None)];
        assert!(content_problem(&system).is_some_and(|said| said.contains("text only")));
        system.system = vec![Part::Text("Be brief.".to_owned())];
        assert_eq!(content_problem(&system), None);
        system.config = config(json!({"cachedContent": "cachedContents/1"}));
        assert!(content_problem(&system).is_some_and(|said| said.contains("cachedContent")));
    }
}
