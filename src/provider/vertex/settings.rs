//! The settings of Vertex AI: types, ranges and names as in the messages of its version v1 (discovery document of
//! 2026-11-06). Most of them are those of the Gemini API; the tables differ where the services do.

use super::super::gemini::{Field, Form, MANY, MOST};

/// Those of `generationConfig` first, then those that stand beside it.
pub(super) const CONFIG: &[Field] = &[
    ("audioTimestamp", Form::Flag),
    ("audioTranscriptionConfig", Form::Object),
    // Further candidates would be paid for, and never looked at.
    ("candidateCount", Form::Whole(1, 1)),
    ("enableAffectiveDialog", Form::Flag),
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
        Form::List(&Form::Word(&["TEXT", "IMAGE", "AUDIO", "VIDEO"]), MANY),
    ),
    ("responseSchema", Form::Map(&SCHEMA)),
    ("routingConfig", Form::Map(ROUTING)),
    ("seed", Form::Whole(-MOST - 1, MOST)),
    ("speechConfig", Form::Object),
    ("stopSequences", Form::List(&Form::Text, 5)),
    ("temperature", Form::Number(0.0, 2.0)),
    ("thinkingConfig", Form::Map(THINKING)),
    // A fraction, other than in the Gemini API.
    ("topK", Form::Number(1.0, MOST as f64)),
    ("topP", Form::Number(0.0, 1.0)),
    ("translationConfig", Form::Object),
    ("cachedContent", Form::Text),
    ("labels", Form::Texts),
    ("modelArmorConfig", Form::Map(MODEL_ARMOR)),
    ("safetySettings", Form::List(&Form::Map(SAFETY), MANY)),
    ("toolConfig", Form::Map(TOOL_CONFIG)),
    ("tools", Form::OneOrMany(&Form::Map(TOOL))),
];

const ROUTING: &[Field] = &[("autoMode", Form::Object), ("manualMode", Form::Object)];

const MODEL_ARMOR: &[Field] = &[("promptTemplateName", Form::Text), ("responseTemplateName", Form::Text)];

const THINKING: &[Field] = &[
    ("includeThoughts", Form::Flag),
    ("thinkingBudget", Form::Whole(-1, MOST)),
    ("thinkingLevel", Form::Word(&["MINIMAL", "LOW", "MEDIUM", "HIGH"])),
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
            "HARM_CATEGORY_IMAGE_HATE",
            "HARM_CATEGORY_IMAGE_DANGEROUS_CONTENT",
            "HARM_CATEGORY_IMAGE_HARASSMENT",
            "HARM_CATEGORY_IMAGE_SEXUALLY_EXPLICIT",
            "HARM_CATEGORY_JAILBREAK",
        ]),
    ),
    ("method", Form::Word(&["SEVERITY", "PROBABILITY"])),
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
    ("codeExecution", Form::Object),
    ("computerUse", Form::Object),
    ("enterpriseWebSearch", Form::Object),
    ("exaAiSearch", Form::Object),
    ("googleMaps", Form::Object),
    ("googleSearch", Form::Object),
    ("googleSearchRetrieval", Form::Object),
    ("parallelAiSearch", Form::Object),
    ("retrieval", Form::Object),
    ("urlContext", Form::Object),
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
];

const CALLING: &[Field] = &[
    ("mode", Form::Word(&["AUTO", "ANY", "NONE", "VALIDATED"])),
    ("allowedFunctionNames", Form::List(&Form::Text, MANY)),
    ("streamFunctionCallArguments", Form::Flag),
];

/// The subset of OpenAPI that describes answers and arguments, with references, which the Gemini API has not. A static,
/// because it holds itself.
static SCHEMA: [Field; 25] = [
    (
        "type",
        Form::Word(&["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"]),
    ),
    ("additionalProperties", Form::Any),
    ("anyOf", Form::List(&Form::Map(&SCHEMA), MANY)),
    ("default", Form::Any),
    ("defs", Form::MapOf(&SCHEMA)),
    ("description", Form::Text),
    ("enum", Form::List(&Form::Text, MANY)),
    ("example", Form::Any),
    ("format", Form::Text),
    ("items", Form::Map(&SCHEMA)),
    ("maxItems", Form::Count),
    ("maxLength", Form::Count),
    ("maxProperties", Form::Count),
    ("maximum", Form::Number(f64::MIN, f64::MAX)),
    ("minItems", Form::Count),
    ("minLength", Form::Count),
    ("minProperties", Form::Count),
    ("minimum", Form::Number(f64::MIN, f64::MAX)),
    ("nullable", Form::Flag),
    ("pattern", Form::Text),
    ("properties", Form::MapOf(&SCHEMA)),
    ("propertyOrdering", Form::List(&Form::Text, MANY)),
    ("ref", Form::Text),
    ("required", Form::List(&Form::Text, MANY)),
    ("title", Form::Text),
];
