//! What a check says of answers without looking at one: surely, or not at all.

use serde_json::Value;

/// How checks on the same answer are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    /// Its one check does not hold.
    Not,
    /// All hold.
    All,
    /// At least one holds.
    Any,
    /// Another number of them holds.
    Count,
}

/// What a check says of answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Constraint {
    /// How the answer's text is related to some texts.
    Text(TextConstraint),
    /// A measure of the answer lies within bounds.
    Range(Range),
    /// A property of the answer has one of these values.
    OneOf {
        /// Which property.
        property: &'static str,
        /// At least one.
        values: Vec<String>,
    },
    /// The answer is JSON, or holds some in a fenced block if `fenced`.
    Json {
        /// Fenced JSON will do.
        fenced: bool,
        /// What else is said of it.
        content: JsonContent,
    },
}

/// What a check says of an answer's JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonContent {
    /// That it is JSON.
    Valid,
    /// Something that may depend on how it is written.
    Written,
    /// Something that depends on its value alone.
    Shape,
    /// That it is this value.
    Value(Value),
}

/// How an answer's text is related to some texts.
#[derive(Clone, Debug, PartialEq)]
pub struct TextConstraint {
    /// The relation.
    pub relation: TextRelation,
    /// At least one text.
    pub texts: Vec<String>,
    /// What the comparison ignores.
    pub folding: TextFolding,
}

/// What a comparison of texts ignores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextFolding {
    /// Upper and lower case.
    pub ignore_case: bool,
    /// White space and Unicode forms.
    pub normalize: bool,
}

/// How an answer's text is related to some texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRelation {
    /// It is one of them.
    Is,
    /// It begins with the only one.
    StartsWith,
    /// It ends with the only one.
    EndsWith,
    /// It contains at least one.
    ContainsAny,
    /// It contains all of several.
    ContainsAll,
}

/// Bounds of a measure of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The least value that passes.
    pub min: f64,
    /// The greatest value that passes.
    pub max: f64,
    /// What is measured. Only ranges of the same measure compare.
    pub measure: Value,
}

impl Range {
    /// The measure of a text's characters.
    pub const CHARS: &str = "chars";
}
