//! The messages of the API, as its public protocol buffers and official client know them.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A line for each message: its name, then `field:type` in lowerCamelCase. `*` marks a repeated field, `?` an alternative of
/// which a message may hold only one, `{M}` a map to messages `M`; types in upper case are enums.
const MESSAGES: &str = "
Generate model:text systemInstruction:Content contents:Content* tools:Tool* toolConfig:ToolConfig safetySettings:Safety* \
  generationConfig:GenerationConfig cachedContent:text serviceTier:TIER store:bool labels:object continuationToken:bytes
CountTokens model:text contents:Content* generateContentRequest:Generate
Content parts:Part* role:text
Part text:text? inlineData:Blob? fileData:FileData? functionCall:FunctionCall? functionResponse:FunctionResponse? \
  executableCode:ExecutableCode? codeExecutionResult:CodeResult? toolCall:object? toolResponse:object? thought:bool \
  thoughtSignature:bytes partMetadata:object videoMetadata:VideoMetadata mediaResolution:object audioTranscription:object \
  mediaProcessing:any speechMetadata:object documentMetadata:object spreadsheetMetadata:object audioMetadata:object
Blob mimeType:text data:bytes displayName:text
FileData mimeType:text fileUri:text displayName:text
FunctionCall id:text name:text args:object
FunctionResponse id:text name:text response:object parts:ResponsePart* willContinue:bool scheduling:SCHEDULING
ResponsePart inlineData:Blob? fileData:FileData?
ExecutableCode id:text language:LANGUAGE code:text
CodeResult id:text outcome:OUTCOME output:text
VideoMetadata startOffset:text endOffset:text fps:number
Tool functionDeclarations:FunctionDeclaration* googleSearchRetrieval:object googleSearch:object codeExecution:object \
  urlContext:object googleMaps:object fileSearch:object computerUse:object mcpServers:any
FunctionDeclaration name:text description:text parameters:Schema parametersJsonSchema:any response:Schema \
  responseJsonSchema:any behavior:BEHAVIOR
Schema type:TYPE format:text title:text description:text nullable:bool enum:text* items:Schema maxItems:int64 minItems:int64 \
  properties:{Schema} required:text* minProperties:int64 maxProperties:int64 minimum:number maximum:number minLength:int64 \
  maxLength:int64 pattern:text example:any anyOf:Schema* propertyOrdering:text* default:any additionalProperties:any \
  defs:object ref:text
ToolConfig functionCallingConfig:CallingConfig retrievalConfig:object includeServerSideToolInvocations:bool
CallingConfig mode:MODE allowedFunctionNames:text*
Safety category:CATEGORY threshold:THRESHOLD
GenerationConfig candidateCount:int32 stopSequences:text* maxOutputTokens:int32 temperature:number topP:number topK:number \
  seed:int32 responseMimeType:text responseSchema:Schema responseJsonSchema:any responseJsonSchemaOrdered:any \
  presencePenalty:number frequencyPenalty:number responseLogprobs:bool logprobs:int32 enableEnhancedCivicAnswers:bool \
  responseModalities:MODALITY* speechConfig:object thinkingConfig:ThinkingConfig imageConfig:object mediaResolution:RESOLUTION \
  responseFormat:any audioTranscriptionConfig:object translationConfig:object
ThinkingConfig includeThoughts:bool thinkingBudget:int32 thinkingLevel:LEVEL
Embed model:text content:Content taskType:TASK title:text outputDimensionality:int32 embedContentConfig:object
BatchEmbed model:text requests:Embed*
BatchGenerate batch:Batch
Batch name:text model:text displayName:text inputConfig:BatchInput priority:int64 webhookConfig:object
BatchInput fileName:text requests:InlinedRequests
InlinedRequests requests:InlinedRequest*
InlinedRequest request:Generate metadata:object
Upload file:File
File name:text displayName:text mimeType:text sizeBytes:int64
";

/// A line for each enum: its name above, its name in the API, and its values by number.
const ENUMS: &str = "
TIER ServiceTier UNSPECIFIED FLEX STANDARD PRIORITY
SCHEDULING FunctionResponse.Scheduling SCHEDULING_UNSPECIFIED SILENT WHEN_IDLE INTERRUPT
LANGUAGE ExecutableCode.Language LANGUAGE_UNSPECIFIED PYTHON
OUTCOME CodeExecutionResult.Outcome OUTCOME_UNSPECIFIED OUTCOME_OK OUTCOME_FAILED OUTCOME_DEADLINE_EXCEEDED
BEHAVIOR FunctionDeclaration.Behavior UNSPECIFIED BLOCKING NON_BLOCKING
TYPE Type TYPE_UNSPECIFIED STRING NUMBER INTEGER BOOLEAN ARRAY OBJECT NULL
MODE FunctionCallingConfig.Mode MODE_UNSPECIFIED AUTO ANY NONE VALIDATED
CATEGORY HarmCategory HARM_CATEGORY_UNSPECIFIED HARM_CATEGORY_DEROGATORY HARM_CATEGORY_TOXICITY HARM_CATEGORY_VIOLENCE \
  HARM_CATEGORY_SEXUAL HARM_CATEGORY_MEDICAL HARM_CATEGORY_DANGEROUS HARM_CATEGORY_HARASSMENT HARM_CATEGORY_HATE_SPEECH \
  HARM_CATEGORY_SEXUALLY_EXPLICIT HARM_CATEGORY_DANGEROUS_CONTENT HARM_CATEGORY_CIVIC_INTEGRITY
THRESHOLD SafetySetting.HarmBlockThreshold HARM_BLOCK_THRESHOLD_UNSPECIFIED BLOCK_LOW_AND_ABOVE BLOCK_MEDIUM_AND_ABOVE \
  BLOCK_ONLY_HIGH BLOCK_NONE OFF
MODALITY GenerationConfig.Modality MODALITY_UNSPECIFIED TEXT IMAGE AUDIO
RESOLUTION GenerationConfig.MediaResolution MEDIA_RESOLUTION_UNSPECIFIED MEDIA_RESOLUTION_LOW MEDIA_RESOLUTION_MEDIUM \
  MEDIA_RESOLUTION_HIGH
LEVEL ThinkingConfig.ThinkingLevel THINKING_LEVEL_UNSPECIFIED MINIMAL LOW MEDIUM HIGH XHIGH
TASK TaskType TASK_TYPE_UNSPECIFIED RETRIEVAL_QUERY RETRIEVAL_DOCUMENT SEMANTIC_SIMILARITY CLASSIFICATION CLUSTERING \
  QUESTION_ANSWERING FACT_VERIFICATION CODE_RETRIEVAL_QUERY
";

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// Base64, standard or URL-safe.
    Bytes,
    Bool,
    /// A whole number; as a string too.
    Int32,
    /// A whole number; as a string too.
    Int64,
    /// Any number; as a string too.
    Number,
    /// A name out of [`values`], in any case, or its number.
    Enum(&'static str),
    Message(&'static str),
    /// A map from any key to a message.
    MapOf(&'static str),
    /// An object of any shape.
    Object,
    Any,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// In lowerCamelCase; the service accepts snake_case too.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// A list; the service also takes a lone element.
    pub(super) repeated: bool,
    /// One of the alternatives of which a message may hold only one.
    pub(super) alternative: bool,
}

pub(super) fn fields(message: &str) -> &'static [Field] {
    static TABLE: LazyLock<HashMap<&str, Vec<Field>>> =
        LazyLock::new(|| rows(MESSAGES).map(|(name, fields)| (name, fields.map(field).collect())).collect());
    TABLE.get(message).map_or(&[], Vec::as_slice)
}

/// The full name of an enum, and its values by number.
pub(super) fn values(name: &str) -> (&'static str, &'static [&'static str]) {
    static TABLE: LazyLock<HashMap<&str, Vec<&str>>> =
        LazyLock::new(|| rows(ENUMS).map(|(name, values)| (name, values.collect())).collect());
    match TABLE.get(name).map(Vec::as_slice) {
        Some([full, values @ ..]) => (full, values),
        Some([]) | None => ("", &[]),
    }
}

fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, impl Iterator<Item = &'static str>)> {
    table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        Some((words.next()?, words))
    })
}

fn field(text: &'static str) -> Field {
    let (name, kind) = text.split_once(':').unwrap_or((text, "any"));
    let base = kind.trim_end_matches(['*', '?']);
    Field {
        name,
        kind: match base {
            "text" => Kind::Text,
            "bytes" => Kind::Bytes,
            "bool" => Kind::Bool,
            "int32" => Kind::Int32,
            "int64" => Kind::Int64,
            "number" => Kind::Number,
            "object" => Kind::Object,
            "any" => Kind::Any,
            map if map.starts_with('{') => Kind::MapOf(map.trim_matches(['{', '}'])),
            name if name.bytes().all(|byte| byte.is_ascii_uppercase()) => Kind::Enum(name),
            message => Kind::Message(message),
        },
        repeated: kind.ends_with('*'),
        alternative: kind.ends_with('?'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_defined() {
        let all: Vec<(&str, Field)> =
            rows(MESSAGES).flat_map(|(name, _)| fields(name).iter().map(move |f| (name, *f))).collect();
        assert!(all.len() > 150, "{}", all.len());
        for (message, field) in all {
            let is_known = match field.kind {
                Kind::Message(name) | Kind::MapOf(name) => !fields(name).is_empty(),
                Kind::Enum(name) => values(name).1.len() > 1,
                Kind::Text
                | Kind::Bytes
                | Kind::Bool
                | Kind::Int32
                | Kind::Int64
                | Kind::Number
                | Kind::Object
                | Kind::Any => true,
            };
            assert!(is_known, "{message}.{}", field.name);
        }
    }
}
