//! What the service would say about a prompt's settings, known before anything is sent.
//!
//! A wrong setting is refused with every request, after a run has begun and money is spent; an ignored one leaves a
//! difference between two prompts that is none. Types, ranges and names are those of the v1beta messages
//! GenerateContentRequest and GenerationConfig; rules across settings are those that the documentation names, and
//! `family.rs` knows the models. What the service grows tomorrow stands inside the settings that are not looked into.

use super::super::protocol::Findings;
use super::family::Family;
use super::shape::{Field, Form, MANY, MOST, check, deeper};
use crate::domain::{ArgProblem, Request, Step};
use serde_json::{Map, Value};
use time::Date;

/// Stop sequences of one request.
const STOP_SEQUENCES: usize = 5;
/// Bytes of a function's name.
const LONGEST_NAME: usize = 128;

/// Reviews what a prompt asks of the service beside its turns, for a version of the API and a day.
pub fn review(request: &Request, version: &str, today: Date) -> Findings {
    review_by(CONFIG, request, version, today)
}

/// The same for a service with settings of other forms.
pub(crate) fn review_by(settings: &'static [Field], request: &Request, version: &str, today: Date) -> Findings {
    let mut review = Review {
        request,
        findings: Findings::default(),
    };
    let config = Value::Object(request.config.clone());
    check(&config, Form::Map(settings), &at(&[]), &mut review.findings.refused);
    review.schemas();
    review.logprobs();
    review.safety();
    review.functions();
    review.cached_content();
    Family::of(&request.model).review(&request.model, &request.config, version, today, &mut review.findings);
    review.findings
}

struct Review<'a> {
    request: &'a Request,
    findings: Findings,
}

impl Review<'_> {
    /// A setting that is there.
    fn get(&self, name: &str) -> Option<&Value> {
        self.request.config.get(name).filter(|value| !value.is_null())
    }

    fn refuse(&mut self, path: Vec<Step>, message: impl Into<String>, expected: &str) {
        self.findings.refused.push(ArgProblem {
            path,
            ..ArgProblem::new(message).expected(expected)
        });
    }

    /// One schema at most, and an answer type that goes with it.
    fn schemas(&mut self) {
        let open_api = self.get("responseSchema").is_some();
        let json = self.get("responseJsonSchema").is_some();
        if open_api && json {
            self.refuse(
                at(&["responseJsonSchema"]),
                "both `responseSchema` and `responseJsonSchema` are given",
                "one of them",
            );
        }
        let written = if open_api {
            "responseSchema"
        } else {
            "responseJsonSchema"
        };
        let output = self.request.output_schema.is_some();
        if output && (open_api || json) {
            self.refuse(
                at(&[written]),
                format!("both `output.schema` and `{written}` are given"),
                "one of them",
            );
        }
        if let Some(Value::Object(_)) | None = self.get("responseJsonSchema") {
        } else {
            self.refuse(
                at(&["responseJsonSchema"]),
                "`responseJsonSchema` is not a map",
                "a JSON Schema",
            );
        }
        let implied = output || self.request.json_output;
        let fits = match self.get("responseMimeType").and_then(Value::as_str) {
            Some(mime) => matches!(mime, "application/json" | "text/x.enum"),
            None => implied,
        };
        if (open_api || json || output) && !fits {
            let path = if self.get("responseMimeType").is_some() {
                at(&["responseMimeType"])
            } else {
                at(&[written])
            };
            self.refuse(
                path,
                "a schema of the answer needs an answer in JSON",
                "`responseMimeType: application/json` (or text/x.enum)",
            );
        }
    }

    fn logprobs(&mut self) {
        if self.get("logprobs").is_some() && self.get("responseLogprobs") != Some(&Value::Bool(true)) {
            self.refuse(
                at(&["logprobs"]),
                "`logprobs` counts nothing without `responseLogprobs`",
                "`responseLogprobs: true` beside it",
            );
        }
    }

    /// The service takes one setting a category.
    fn safety(&mut self) {
        let settings = self
            .get("safetySettings")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut seen: Vec<String> = Vec::new();
        for (index, setting) in settings.iter().enumerate() {
            let path = deeper(&at(&["safetySettings"]), Step::Index(index));
            let category = setting
                .get("category")
                .and_then(Value::as_str)
                .map(str::to_ascii_uppercase);
            match category {
                None => self.refuse(path, "a safety setting has no category", "category and threshold"),
                Some(category) if seen.contains(&category) => {
                    self.refuse(path, format!("`{category}` is set twice"), "one setting a category");
                }
                Some(category) => seen.push(category),
            }
            if setting.get("threshold").is_none() {
                let path = deeper(&at(&["safetySettings"]), Step::Index(index));
                self.refuse(path, "a safety setting has no threshold", "category and threshold");
            }
        }
    }

    /// Names of functions, their schemas, and which of them may be called.
    fn functions(&mut self) {
        let mut names: Vec<String> = self.request.tools.iter().map(|tool| tool.name.clone()).collect();
        for (index, name) in names.iter().enumerate() {
            if !is_function_name(name) {
                let problem = ArgProblem::new(format!("`{}` is no name of a function", short(name)));
                self.findings.refused.push(ArgProblem {
                    path: vec![Step::key("tools"), Step::Index(index), Step::key("name")],
                    ..problem.expected(FUNCTION_NAME)
                });
            }
        }
        let written = match self.get("tools") {
            Some(Value::Array(tools)) => tools.clone(),
            Some(tool) => vec![tool.clone()],
            None => Vec::new(),
        };
        let alone = !matches!(self.get("tools"), Some(Value::Array(_)));
        for (index, tool) in written.iter().enumerate() {
            let mut tool_path = at(&["tools"]);
            if !alone {
                tool_path.push(Step::Index(index));
            }
            if tool.as_object().is_some_and(Map::is_empty) {
                self.refuse(tool_path.clone(), "a tool is empty", "a map like `{googleSearch: {}}`");
            }
            let declarations = tool.get("functionDeclarations").and_then(Value::as_array);
            for (number, function) in declarations.into_iter().flatten().enumerate() {
                let path = deeper(
                    &deeper(&tool_path, Step::key("functionDeclarations")),
                    Step::Index(number),
                );
                self.function(function, path, &mut names);
            }
        }
        self.allowed(&names);
    }

    fn function(&mut self, function: &Value, path: Vec<Step>, names: &mut Vec<String>) {
        match function.get("name").and_then(Value::as_str) {
            Some(name) if !is_function_name(name) => {
                let message = format!("`{}` is no name of a function", short(name));
                self.refuse(deeper(&path, Step::key("name")), message, FUNCTION_NAME);
            }
            Some(name) if names.iter().any(|known| known == name) => {
                let message = format!("function `{name}` is declared twice");
                self.refuse(deeper(&path, Step::key("name")), message, "one declaration");
            }
            Some(name) => names.push(name.to_owned()),
            None => self.refuse(path.clone(), "a function has no name", FUNCTION_NAME),
        }
        for (one, other) in [
            ("parameters", "parametersJsonSchema"),
            ("response", "responseJsonSchema"),
        ] {
            if function.get(one).is_some() && function.get(other).is_some() {
                let message = format!("both `{one}` and `{other}` are given");
                self.refuse(deeper(&path, Step::key(other)), message, "one of them");
            }
        }
    }

    /// Names that may be called must be declared, and are only looked at in two modes.
    fn allowed(&mut self, names: &[String]) {
        let calling = self
            .get("toolConfig")
            .and_then(|config| config.get("functionCallingConfig"));
        let Some(allowed) = calling.and_then(|calling| calling.get("allowedFunctionNames")).cloned() else {
            return;
        };
        let mode = calling.and_then(|calling| calling.get("mode")).and_then(Value::as_str);
        let heeds = mode.is_some_and(|mode| ["ANY", "VALIDATED"].iter().any(|word| word.eq_ignore_ascii_case(mode)));
        let path = at(&["toolConfig", "functionCallingConfig", "allowedFunctionNames"]);
        if !heeds {
            self.refuse(
                path.clone(),
                "`allowedFunctionNames` needs a mode that heeds it",
                "`mode: ANY` or `mode: VALIDATED` beside it",
            );
        }
        for (index, name) in allowed.as_array().into_iter().flatten().enumerate() {
            if let Some(name) = name.as_str()
                && !names.iter().any(|known| known == name)
            {
                let message = format!("no function `{}` is declared", short(name));
                self.refuse(
                    deeper(&path, Step::Index(index)),
                    message,
                    "the name of a declared function",
                );
            }
        }
    }

    /// What a cached prefix holds can't be given anew.
    fn cached_content(&mut self) {
        let Some(name) = self.get("cachedContent").and_then(Value::as_str) else {
            return;
        };
        if !name.contains("cachedContents/") {
            self.refuse(
                at(&["cachedContent"]),
                format!("`{}` is no cached content", short(name)),
                "a name like cachedContents/abc123",
            );
        }
        for (name, given) in [
            ("tools", self.get("tools").is_some() || !self.request.tools.is_empty()),
            ("toolConfig", self.get("toolConfig").is_some()),
        ] {
            if given {
                self.refuse(
                    at(&["cachedContent"]),
                    format!("`{name}` can't stand beside `cachedContent`"),
                    "tools and their settings inside the cached content",
                );
            }
        }
    }
}

const FUNCTION_NAME: &str = "a letter or `_`, then letters, digits and `_.:-`, 128 in all at most";

fn is_function_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c))
}

/// The service has a generation setting of this name.
pub(crate) fn knows_setting(name: &str) -> bool {
    CONFIG.iter().any(|(known, _)| *known == name)
}

/// The path of a setting.
pub(crate) fn at(keys: &[&str]) -> Vec<Step> {
    ["config"].iter().chain(keys).map(|key| Step::key(*key)).collect()
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The settings: first those of `generationConfig` (message GenerationConfig of the v1beta API, and newer fields of the
/// official SDK), then those that stand beside it.
const CONFIG: &[Field] = &[
    ("audioTranscriptionConfig", Form::Object),
    // Further candidates would be paid for, and never looked at.
    ("candidateCount", Form::Whole(1, 1)),
    ("enableEnhancedCivicAnswers", Form::Flag),
    ("frequencyPenalty", Form::Number(-2.0, 2.0)),
    ("imageConfig", Form::Object),
    ("logprobs", Form::Whole(0, 20)),
    ("maxOutputTokens", Form::Whole(1, MOST)),
    (
        "mediaResolution",
        Form::Word(&[
            "MEDIA_RESOLUTION_UNSPECIFIED",
            "MEDIA_RESOLUTION_LOW",
            "MEDIA_RESOLUTION_MEDIUM",
            "MEDIA_RESOLUTION_HIGH",
        ]),
    ),
    ("presencePenalty", Form::Number(-2.0, 2.0)),
    ("responseFormat", Form::Any),
    ("responseJsonSchema", Form::Any),
    ("responseLogprobs", Form::Flag),
    (
        "responseMimeType",
        Form::Word(&["text/plain", "application/json", "text/x.enum"]),
    ),
    (
        "responseModalities",
        Form::List(&Form::Word(&["TEXT", "IMAGE", "AUDIO"]), MANY),
    ),
    ("responseSchema", Form::Map(&SCHEMA)),
    ("seed", Form::Whole(-MOST - 1, MOST)),
    ("speechConfig", Form::Object),
    ("stopSequences", Form::List(&Form::Text, STOP_SEQUENCES)),
    ("temperature", Form::Number(0.0, 2.0)),
    ("thinkingConfig", Form::Map(THINKING)),
    ("topK", Form::Whole(1, MOST)),
    ("topP", Form::Number(0.0, 1.0)),
    ("translationConfig", Form::Object),
    ("safetySettings", Form::List(&Form::Map(SAFETY), MANY)),
    ("tools", Form::OneOrMany(&Form::Map(TOOL))),
    ("toolConfig", Form::Map(TOOL_CONFIG)),
    ("cachedContent", Form::Text),
    ("labels", Form::Texts),
    (
        "serviceTier",
        Form::Word(&["unspecified", "flex", "standard", "priority"]),
    ),
    ("store", Form::Flag),
];

const THINKING: &[Field] = &[
    ("includeThoughts", Form::Flag),
    // 0 turns thinking off, -1 leaves it to the model.
    ("thinkingBudget", Form::Whole(-1, MOST)),
    (
        "thinkingLevel",
        Form::Word(&["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"]),
    ),
];

const SAFETY: &[Field] = &[
    (
        "category",
        Form::Word(&[
            "HARM_CATEGORY_HARASSMENT",
            "HARM_CATEGORY_HATE_SPEECH",
            "HARM_CATEGORY_SEXUALLY_EXPLICIT",
            "HARM_CATEGORY_DANGEROUS_CONTENT",
            "HARM_CATEGORY_CIVIC_INTEGRITY",
        ]),
    ),
    (
        "threshold",
        Form::Word(&[
            "BLOCK_LOW_AND_ABOVE",
            "BLOCK_MEDIUM_AND_ABOVE",
            "BLOCK_ONLY_HIGH",
            "BLOCK_NONE",
            "OFF",
        ]),
    ),
];

const TOOL: &[Field] = &[
    ("functionDeclarations", Form::List(&Form::Map(FUNCTION), MANY)),
    ("googleSearch", Form::Object),
    ("googleSearchRetrieval", Form::Object),
    ("codeExecution", Form::Object),
    ("urlContext", Form::Object),
    ("googleMaps", Form::Object),
    ("fileSearch", Form::Object),
    ("computerUse", Form::Object),
    ("mcpServers", Form::Any),
];

const FUNCTION: &[Field] = &[
    ("name", Form::Text),
    ("description", Form::Text),
    ("parameters", Form::Map(&SCHEMA)),
    ("parametersJsonSchema", Form::Object),
    ("response", Form::Map(&SCHEMA)),
    ("responseJsonSchema", Form::Object),
    ("behavior", Form::Word(&["UNSPECIFIED", "BLOCKING", "NON_BLOCKING"])),
];

const TOOL_CONFIG: &[Field] = &[
    ("functionCallingConfig", Form::Map(CALLING)),
    ("retrievalConfig", Form::Object),
    ("includeServerSideToolInvocations", Form::Flag),
];

const CALLING: &[Field] = &[
    ("mode", Form::Word(&["AUTO", "ANY", "NONE", "VALIDATED"])),
    ("allowedFunctionNames", Form::List(&Form::Text, MANY)),
];

/// The subset of OpenAPI that describes answers and arguments. A static, because it holds itself.
static SCHEMA: [Field; 22] = [
    (
        "type",
        Form::Word(&["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"]),
    ),
    ("format", Form::Text),
    ("title", Form::Text),
    ("description", Form::Text),
    ("nullable", Form::Flag),
    ("enum", Form::List(&Form::Text, MANY)),
    ("items", Form::Map(&SCHEMA)),
    ("minItems", Form::Count),
    ("maxItems", Form::Count),
    ("properties", Form::MapOf(&SCHEMA)),
    ("required", Form::List(&Form::Text, MANY)),
    ("minProperties", Form::Count),
    ("maxProperties", Form::Count),
    ("minimum", Form::Number(f64::MIN, f64::MAX)),
    ("maximum", Form::Number(f64::MIN, f64::MAX)),
    ("minLength", Form::Count),
    ("maxLength", Form::Count),
    ("pattern", Form::Text),
    ("example", Form::Any),
    ("anyOf", Form::List(&Form::Map(&SCHEMA), MANY)),
    ("propertyOrdering", Form::List(&Form::Text, MANY)),
    ("default", Form::Any),
];

#[cfg(test)]
mod tests;
