//! The settings of the Gemini API and of Vertex AI: types, ranges and names as in the messages of v1beta (and newer fields of
//! the official SDK) and of Vertex AI's v1 (discovery document of 2026-11-06).

use super::shape::{Field, Form, MANY, MOST, Service};

const STOP_SEQUENCES: usize = 5;

const fn both(name: &'static str, form: Form) -> Field {
    Field { name, form, only: None }
}

const fn gemini(name: &'static str, form: Form) -> Field {
    Field { name, form, only: Some(Service::Gemini) }
}

const fn vertex(name: &'static str, form: Form) -> Field {
    Field { name, form, only: Some(Service::Vertex) }
}

/// First those of `generationConfig`, then those that stand beside it.
pub(super) const CONFIG: &[Field] = &[
    vertex("audioTimestamp", Form::Flag),
    both("audioTranscriptionConfig", Form::Object),
    // Further candidates would be paid for, and never looked at.
    both("candidateCount", Form::Whole(1, 1)),
    vertex("enableAffectiveDialog", Form::Flag),
    gemini("enableEnhancedCivicAnswers", Form::Flag),
    both("frequencyPenalty", Form::Number(-2.0, 2.0)),
    both("imageConfig", Form::Object),
    both("logprobs", Form::Whole(0, 20)),
    both("maxOutputTokens", Form::Whole(1, MOST)),
    both("mediaResolution", Form::Word(MEDIA_RESOLUTION)),
    both("presencePenalty", Form::Number(-2.0, 2.0)),
    both("responseFormat", Form::Any),
    both("responseJsonSchema", Form::Any),
    both("responseLogprobs", Form::Flag),
    both("responseMimeType", Form::Word(&["text/plain", "application/json", "text/x.enum"])),
    gemini("responseModalities", Form::List(&Form::Word(&["TEXT", "IMAGE", "AUDIO"]), MANY)),
    vertex("responseModalities", Form::List(&Form::Word(&["TEXT", "IMAGE", "AUDIO", "VIDEO"]), MANY)),
    both("responseSchema", Form::Map(&SCHEMA)),
    vertex("routingConfig", Form::Map(ROUTING)),
    both("seed", Form::Whole(-MOST - 1, MOST)),
    both("speechConfig", Form::Object),
    both("stopSequences", Form::List(&Form::Text, STOP_SEQUENCES)),
    both("temperature", Form::Number(0.0, 2.0)),
    both("thinkingConfig", Form::Map(THINKING)),
    gemini("topK", Form::Whole(1, MOST)),
    // A fraction, other than in the Gemini API.
    vertex("topK", Form::Number(1.0, MOST as f64)),
    both("topP", Form::Number(0.0, 1.0)),
    both("translationConfig", Form::Object),
    both("safetySettings", Form::List(&Form::Map(SAFETY), MANY)),
    both("tools", Form::OneOrMany(&Form::Map(TOOL))),
    both("toolConfig", Form::Map(TOOL_CONFIG)),
    both("cachedContent", Form::Text),
    both("labels", Form::Texts),
    vertex("modelArmorConfig", Form::Map(MODEL_ARMOR)),
    gemini("serviceTier", Form::Word(&["unspecified", "flex", "standard", "priority"])),
    gemini("store", Form::Flag),
];

const MEDIA_RESOLUTION: &[&str] =
    &["MEDIA_RESOLUTION_UNSPECIFIED", "MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"];

const ROUTING: &[Field] = &[both("autoMode", Form::Object), both("manualMode", Form::Object)];

const MODEL_ARMOR: &[Field] = &[both("promptTemplateName", Form::Text), both("responseTemplateName", Form::Text)];

const THINKING: &[Field] = &[
    both("includeThoughts", Form::Flag),
    // 0 turns thinking off, -1 leaves it to the model.
    both("thinkingBudget", Form::Whole(-1, MOST)),
    gemini("thinkingLevel", Form::Word(&["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"])),
    vertex("thinkingLevel", Form::Word(&["MINIMAL", "LOW", "MEDIUM", "HIGH"])),
];

/// The first five are those of the Gemini API.
const HARM_CATEGORIES: [&str; 10] = [
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
    "HARM_CATEGORY_IMAGE_HATE",
    "HARM_CATEGORY_IMAGE_DANGEROUS_CONTENT",
    "HARM_CATEGORY_IMAGE_HARASSMENT",
    "HARM_CATEGORY_IMAGE_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_JAILBREAK",
];

const SAFETY: &[Field] = &[
    gemini("category", Form::Word(HARM_CATEGORIES.split_at(5).0)),
    vertex("category", Form::Word(&HARM_CATEGORIES)),
    vertex("method", Form::Word(&["SEVERITY", "PROBABILITY"])),
    both(
        "threshold",
        Form::Word(&["BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"]),
    ),
];

const TOOL: &[Field] = &[
    both("functionDeclarations", Form::List(&Form::Map(FUNCTION), MANY)),
    both("codeExecution", Form::Object),
    both("computerUse", Form::Object),
    vertex("enterpriseWebSearch", Form::Object),
    vertex("exaAiSearch", Form::Object),
    gemini("fileSearch", Form::Object),
    both("googleMaps", Form::Object),
    both("googleSearch", Form::Object),
    both("googleSearchRetrieval", Form::Object),
    gemini("mcpServers", Form::Any),
    vertex("parallelAiSearch", Form::Object),
    vertex("retrieval", Form::Object),
    both("urlContext", Form::Object),
];

const FUNCTION: &[Field] = &[
    both("name", Form::Text),
    both("description", Form::Text),
    both("parameters", Form::Map(&SCHEMA)),
    both("parametersJsonSchema", Form::Object),
    both("response", Form::Map(&SCHEMA)),
    both("responseJsonSchema", Form::Object),
    both("behavior", Form::Word(&["UNSPECIFIED", "BLOCKING", "NON_BLOCKING"])),
];

const TOOL_CONFIG: &[Field] = &[
    both("functionCallingConfig", Form::Map(CALLING)),
    both("retrievalConfig", Form::Object),
    gemini("includeServerSideToolInvocations", Form::Flag),
];

const CALLING: &[Field] = &[
    both("mode", Form::Word(&["AUTO", "ANY", "NONE", "VALIDATED"])),
    both("allowedFunctionNames", Form::List(&Form::Text, MANY)),
    vertex("streamFunctionCallArguments", Form::Flag),
];

/// The subset of OpenAPI that describes answers and arguments; references are Vertex AI's. A static, because it holds itself.
static SCHEMA: [Field; 25] = [
    both("type", Form::Word(&["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"])),
    vertex("additionalProperties", Form::Any),
    both("anyOf", Form::List(&Form::Map(&SCHEMA), MANY)),
    both("default", Form::Any),
    vertex("defs", Form::MapOf(&SCHEMA)),
    both("description", Form::Text),
    both("enum", Form::List(&Form::Text, MANY)),
    both("example", Form::Any),
    both("format", Form::Text),
    both("items", Form::Map(&SCHEMA)),
    both("maxItems", Form::Count),
    both("maxLength", Form::Count),
    both("maxProperties", Form::Count),
    both("maximum", Form::Number(f64::MIN, f64::MAX)),
    both("minItems", Form::Count),
    both("minLength", Form::Count),
    both("minProperties", Form::Count),
    both("minimum", Form::Number(f64::MIN, f64::MAX)),
    both("nullable", Form::Flag),
    both("pattern", Form::Text),
    both("properties", Form::MapOf(&SCHEMA)),
    both("propertyOrdering", Form::List(&Form::Text, MANY)),
    vertex("ref", Form::Text),
    both("required", Form::List(&Form::Text, MANY)),
    both("title", Form::Text),
];
