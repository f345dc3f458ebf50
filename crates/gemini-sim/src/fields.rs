//! The fields of a request, as the public protocol buffers and the official client of the Gemini API know them. Names are
//! in lowerCamelCase; the service accepts snake_case too.

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// Base64, standard or URL-safe.
    Bytes,
    /// `true` or `false`.
    Bool,
    /// A whole number of 32 bits; as a string too.
    Int32,
    /// A whole number of 64 bits; as a string too.
    Int64,
    /// Any number; as a string too.
    Number,
    /// A name out of a list, in any case, or its number. The first is the full name of the type.
    Enum(&'static str, &'static [&'static str]),
    /// A message.
    Message(&'static [Field]),
    /// A map from any key to a message.
    MapOf(&'static [Field]),
    /// An object of any shape.
    Object,
    /// Any JSON at all.
    Any,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// In lowerCamelCase.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// A list; the service also takes a lone element.
    pub(super) repeated: bool,
    /// One of the alternatives of which a message may hold only one.
    pub(super) data: bool,
}

pub(super) const fn one(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        repeated: false,
        data: false,
    }
}

pub(super) const fn many(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        repeated: true,
        data: false,
    }
}

const fn data(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        repeated: false,
        data: true,
    }
}

/// `generateContent` and `streamGenerateContent`.
pub(super) const GENERATE: &[Field] = &[
    one("model", Kind::Text),
    one("systemInstruction", Kind::Message(CONTENT)),
    many("contents", Kind::Message(CONTENT)),
    many("tools", Kind::Message(TOOL)),
    one("toolConfig", Kind::Message(TOOL_CONFIG)),
    many("safetySettings", Kind::Message(SAFETY_SETTING)),
    one("generationConfig", Kind::Message(GENERATION_CONFIG)),
    one("cachedContent", Kind::Text),
    one(
        "serviceTier",
        Kind::Enum("ServiceTier", &["UNSPECIFIED", "FLEX", "STANDARD", "PRIORITY"]),
    ),
    one("store", Kind::Bool),
    one("labels", Kind::Object),
    one("continuationToken", Kind::Bytes),
];

/// `countTokens`.
pub(super) const COUNT_TOKENS: &[Field] = &[
    one("model", Kind::Text),
    many("contents", Kind::Message(CONTENT)),
    one("generateContentRequest", Kind::Message(GENERATE)),
];

pub(super) const CONTENT: &[Field] = &[many("parts", Kind::Message(PART)), one("role", Kind::Text)];

const PART: &[Field] = &[
    data("text", Kind::Text),
    data("inlineData", Kind::Message(BLOB)),
    data("fileData", Kind::Message(FILE_DATA)),
    data("functionCall", Kind::Message(FUNCTION_CALL)),
    data("functionResponse", Kind::Message(FUNCTION_RESPONSE)),
    data("executableCode", Kind::Message(EXECUTABLE_CODE)),
    data("codeExecutionResult", Kind::Message(CODE_RESULT)),
    data("toolCall", Kind::Object),
    data("toolResponse", Kind::Object),
    one("thought", Kind::Bool),
    one("thoughtSignature", Kind::Bytes),
    one("partMetadata", Kind::Object),
    one("videoMetadata", Kind::Message(VIDEO_METADATA)),
    one("mediaResolution", Kind::Object),
    one("audioTranscription", Kind::Object),
    one("mediaProcessing", Kind::Any),
    one("speechMetadata", Kind::Object),
    one("documentMetadata", Kind::Object),
    one("spreadsheetMetadata", Kind::Object),
    one("audioMetadata", Kind::Object),
];

const BLOB: &[Field] = &[
    one("mimeType", Kind::Text),
    one("data", Kind::Bytes),
    one("displayName", Kind::Text),
];

const FILE_DATA: &[Field] = &[
    one("mimeType", Kind::Text),
    one("fileUri", Kind::Text),
    one("displayName", Kind::Text),
];

const FUNCTION_CALL: &[Field] = &[
    one("id", Kind::Text),
    one("name", Kind::Text),
    one("args", Kind::Object),
];

const FUNCTION_RESPONSE: &[Field] = &[
    one("id", Kind::Text),
    one("name", Kind::Text),
    one("response", Kind::Object),
    many("parts", Kind::Message(RESPONSE_PART)),
    one("willContinue", Kind::Bool),
    one(
        "scheduling",
        Kind::Enum(
            "FunctionResponse.Scheduling",
            &["SCHEDULING_UNSPECIFIED", "SILENT", "WHEN_IDLE", "INTERRUPT"],
        ),
    ),
];

const RESPONSE_PART: &[Field] = &[
    data("inlineData", Kind::Message(BLOB)),
    data("fileData", Kind::Message(FILE_DATA)),
];

const EXECUTABLE_CODE: &[Field] = &[
    one("id", Kind::Text),
    one(
        "language",
        Kind::Enum("ExecutableCode.Language", &["LANGUAGE_UNSPECIFIED", "PYTHON"]),
    ),
    one("code", Kind::Text),
];

const CODE_RESULT: &[Field] = &[
    one("id", Kind::Text),
    one(
        "outcome",
        Kind::Enum(
            "CodeExecutionResult.Outcome",
            &[
                "OUTCOME_UNSPECIFIED",
                "OUTCOME_OK",
                "OUTCOME_FAILED",
                "OUTCOME_DEADLINE_EXCEEDED",
            ],
        ),
    ),
    one("output", Kind::Text),
];

const VIDEO_METADATA: &[Field] = &[
    one("startOffset", Kind::Text),
    one("endOffset", Kind::Text),
    one("fps", Kind::Number),
];

pub(super) const TOOL: &[Field] = &[
    many("functionDeclarations", Kind::Message(FUNCTION_DECLARATION)),
    one("googleSearchRetrieval", Kind::Object),
    one("googleSearch", Kind::Object),
    one("codeExecution", Kind::Object),
    one("urlContext", Kind::Object),
    one("googleMaps", Kind::Object),
    one("fileSearch", Kind::Object),
    one("computerUse", Kind::Object),
    one("mcpServers", Kind::Any),
];

const FUNCTION_DECLARATION: &[Field] = &[
    one("name", Kind::Text),
    one("description", Kind::Text),
    one("parameters", Kind::Message(&SCHEMA)),
    one("parametersJsonSchema", Kind::Any),
    one("response", Kind::Message(&SCHEMA)),
    one("responseJsonSchema", Kind::Any),
    one(
        "behavior",
        Kind::Enum(
            "FunctionDeclaration.Behavior",
            &["UNSPECIFIED", "BLOCKING", "NON_BLOCKING"],
        ),
    ),
];

/// A static, because it holds itself.
static SCHEMA: [Field; 25] = [
    one(
        "type",
        Kind::Enum(
            "Type",
            &[
                "TYPE_UNSPECIFIED",
                "STRING",
                "NUMBER",
                "INTEGER",
                "BOOLEAN",
                "ARRAY",
                "OBJECT",
                "NULL",
            ],
        ),
    ),
    one("format", Kind::Text),
    one("title", Kind::Text),
    one("description", Kind::Text),
    one("nullable", Kind::Bool),
    many("enum", Kind::Text),
    one("items", Kind::Message(&SCHEMA)),
    one("maxItems", Kind::Int64),
    one("minItems", Kind::Int64),
    one("properties", Kind::MapOf(&SCHEMA)),
    many("required", Kind::Text),
    one("minProperties", Kind::Int64),
    one("maxProperties", Kind::Int64),
    one("minimum", Kind::Number),
    one("maximum", Kind::Number),
    one("minLength", Kind::Int64),
    one("maxLength", Kind::Int64),
    one("pattern", Kind::Text),
    one("example", Kind::Any),
    many("anyOf", Kind::Message(&SCHEMA)),
    many("propertyOrdering", Kind::Text),
    one("default", Kind::Any),
    one("additionalProperties", Kind::Any),
    one("defs", Kind::Object),
    one("ref", Kind::Text),
];

pub(super) const TOOL_CONFIG: &[Field] = &[
    one("functionCallingConfig", Kind::Message(CALLING_CONFIG)),
    one("retrievalConfig", Kind::Object),
    one("includeServerSideToolInvocations", Kind::Bool),
];

const CALLING_CONFIG: &[Field] = &[
    one(
        "mode",
        Kind::Enum(
            "FunctionCallingConfig.Mode",
            &["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"],
        ),
    ),
    many("allowedFunctionNames", Kind::Text),
];

const SAFETY_SETTING: &[Field] = &[
    one(
        "category",
        Kind::Enum(
            "HarmCategory",
            &[
                "HARM_CATEGORY_UNSPECIFIED",
                "HARM_CATEGORY_DEROGATORY",
                "HARM_CATEGORY_TOXICITY",
                "HARM_CATEGORY_VIOLENCE",
                "HARM_CATEGORY_SEXUAL",
                "HARM_CATEGORY_MEDICAL",
                "HARM_CATEGORY_DANGEROUS",
                "HARM_CATEGORY_HARASSMENT",
                "HARM_CATEGORY_HATE_SPEECH",
                "HARM_CATEGORY_SEXUALLY_EXPLICIT",
                "HARM_CATEGORY_DANGEROUS_CONTENT",
                "HARM_CATEGORY_CIVIC_INTEGRITY",
            ],
        ),
    ),
    one(
        "threshold",
        Kind::Enum(
            "SafetySetting.HarmBlockThreshold",
            &[
                "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
                "BLOCK_LOW_AND_ABOVE",
                "BLOCK_MEDIUM_AND_ABOVE",
                "BLOCK_ONLY_HIGH",
                "BLOCK_NONE",
                "OFF",
            ],
        ),
    ),
];

const GENERATION_CONFIG: &[Field] = &[
    one("candidateCount", Kind::Int32),
    many("stopSequences", Kind::Text),
    one("maxOutputTokens", Kind::Int32),
    one("temperature", Kind::Number),
    one("topP", Kind::Number),
    one("topK", Kind::Number),
    one("seed", Kind::Int32),
    one("responseMimeType", Kind::Text),
    one("responseSchema", Kind::Message(&SCHEMA)),
    one("responseJsonSchema", Kind::Any),
    one("responseJsonSchemaOrdered", Kind::Any),
    one("presencePenalty", Kind::Number),
    one("frequencyPenalty", Kind::Number),
    one("responseLogprobs", Kind::Bool),
    one("logprobs", Kind::Int32),
    one("enableEnhancedCivicAnswers", Kind::Bool),
    many(
        "responseModalities",
        Kind::Enum(
            "GenerationConfig.Modality",
            &["MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO"],
        ),
    ),
    one("speechConfig", Kind::Object),
    one("thinkingConfig", Kind::Message(THINKING_CONFIG)),
    one("imageConfig", Kind::Object),
    one(
        "mediaResolution",
        Kind::Enum(
            "GenerationConfig.MediaResolution",
            &[
                "MEDIA_RESOLUTION_UNSPECIFIED",
                "MEDIA_RESOLUTION_LOW",
                "MEDIA_RESOLUTION_MEDIUM",
                "MEDIA_RESOLUTION_HIGH",
            ],
        ),
    ),
    one("responseFormat", Kind::Any),
    one("audioTranscriptionConfig", Kind::Object),
    one("translationConfig", Kind::Object),
];

const THINKING_CONFIG: &[Field] = &[
    one("includeThoughts", Kind::Bool),
    one("thinkingBudget", Kind::Int32),
    one(
        "thinkingLevel",
        Kind::Enum(
            "ThinkingConfig.ThinkingLevel",
            &[
                "THINKING_LEVEL_UNSPECIFIED",
                "MINIMAL",
                "LOW",
                "MEDIUM",
                "HIGH",
                "XHIGH",
            ],
        ),
    ),
];
