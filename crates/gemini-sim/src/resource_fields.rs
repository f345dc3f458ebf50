//! The fields of the requests besides answers: embeddings, batches, cached contents, files.

use super::fields::{CONTENT, Field, GENERATE, Kind, TOOL, TOOL_CONFIG, many, one};

/// `embedContent`, and each of `batchEmbedContents`.
pub(super) const EMBED: &[Field] = &[
    one("model", Kind::Text),
    one("content", Kind::Message(CONTENT)),
    one(
        "taskType",
        Kind::Enum(
            "TaskType",
            &[
                "TASK_TYPE_UNSPECIFIED",
                "RETRIEVAL_QUERY",
                "RETRIEVAL_DOCUMENT",
                "SEMANTIC_SIMILARITY",
                "CLASSIFICATION",
                "CLUSTERING",
                "QUESTION_ANSWERING",
                "FACT_VERIFICATION",
                "CODE_RETRIEVAL_QUERY",
            ],
        ),
    ),
    one("title", Kind::Text),
    one("outputDimensionality", Kind::Int32),
    one("embedContentConfig", Kind::Object),
];

/// `batchEmbedContents`.
pub(super) const BATCH_EMBED: &[Field] = &[one("model", Kind::Text), many("requests", Kind::Message(EMBED))];

/// `batchGenerateContent`.
pub(super) const BATCH_GENERATE: &[Field] = &[one("batch", Kind::Message(BATCH))];

const BATCH: &[Field] = &[
    one("name", Kind::Text),
    one("model", Kind::Text),
    one("displayName", Kind::Text),
    one("inputConfig", Kind::Message(INPUT)),
    one("priority", Kind::Int64),
    one("webhookConfig", Kind::Object),
];

const INPUT: &[Field] = &[
    one("fileName", Kind::Text),
    one("requests", Kind::Message(&[many("requests", Kind::Message(INLINED))])),
];

const INLINED: &[Field] = &[one("request", Kind::Message(GENERATE)), one("metadata", Kind::Object)];

/// A cached content, created or patched.
pub(super) const CACHED_CONTENT: &[Field] = &[
    one("name", Kind::Text),
    one("model", Kind::Text),
    one("displayName", Kind::Text),
    one("systemInstruction", Kind::Message(CONTENT)),
    many("contents", Kind::Message(CONTENT)),
    many("tools", Kind::Message(TOOL)),
    one("toolConfig", Kind::Message(TOOL_CONFIG)),
    one("ttl", Kind::Text),
    one("expireTime", Kind::Text),
];

/// The start of an upload.
pub(super) const UPLOAD: &[Field] = &[one("file", Kind::Message(FILE))];

const FILE: &[Field] = &[
    one("name", Kind::Text),
    one("displayName", Kind::Text),
    one("mimeType", Kind::Text),
    one("sizeBytes", Kind::Int64),
];
