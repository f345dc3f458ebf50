//! What the end of an answer means.

use serde::{Deserialize, Serialize};

/// Why an answer ended, whatever the provider calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    Complete,
    /// The model calls functions.
    ToolCall,
    /// It reached its longest length.
    CutOff,
    /// It is one part of an answer that the service would continue.
    Partial,
    /// Withheld for what it says.
    Blocked,
    /// Stopped for another reason.
    Other,
    /// The provider gave no reason.
    Unknown,
}

/// Words that mean the same everywhere: those of the Gemini API, which files, reports and checks use. Providers with other
/// words translate them.
const WORDS: [(&str, Finish); 12] = [
    ("STOP", Finish::Complete),
    // Gemini ends calls with STOP; gateways and mocks of it have a word of their own.
    ("FUNCTION_CALL", Finish::ToolCall),
    ("TOOL_CALLS", Finish::ToolCall),
    ("MAX_TOKENS", Finish::CutOff),
    ("CONTINUATION", Finish::Partial),
    ("SAFETY", Finish::Blocked),
    ("BLOCKLIST", Finish::Blocked),
    ("PROHIBITED_CONTENT", Finish::Blocked),
    ("SPII", Finish::Blocked),
    ("IMAGE_SAFETY", Finish::Blocked),
    ("IMAGE_PROHIBITED_CONTENT", Finish::Blocked),
    ("MODEL_ARMOR", Finish::Blocked),
];

impl Finish {
    pub fn of(word: Option<&str>) -> Finish {
        match word {
            None => Finish::Unknown,
            Some(word) => WORDS.iter().find(|(known, _)| *known == word).map_or(Finish::Other, |(_, finish)| *finish),
        }
    }

    /// The words for it, the usual one first.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let known = WORDS.iter().filter(move |(_, finish)| *finish == self);
        known.map(|(word, _)| *word)
    }
}
