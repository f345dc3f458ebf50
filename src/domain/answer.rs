//! What a target answered.

use super::Details;
use super::finish::Finish;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    pub name: String,
    #[serde(default)]
    pub args: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Input tokens, the cached ones included, and those of tool results.
    pub prompt: u64,
    /// Input tokens that were read from a cache.
    pub cached: u64,
    /// Output tokens without thinking.
    pub output: u64,
    pub thinking: u64,
    pub total: u64,
}

impl Usage {
    /// Adds another answer's tokens. Saturates: the counts come from outside.
    pub fn add(&mut self, other: &Usage) {
        self.prompt = self.prompt.saturating_add(other.prompt);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
        self.thinking = self.thinking.saturating_add(other.thinking);
        self.total = self.total.saturating_add(other.total);
    }
}

/// A parsed answer, whatever it says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The concatenated text parts without thoughts; empty if there are none.
    pub text: String,
    pub tool_calls: Vec<ToolCall>,
    /// Why the model stopped, in the provider's word; `None` if it did not say.
    pub finish_reason: Option<String>,
    /// What that means, where the word does not tell or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Finish>,
    /// Why the service refused the prompt itself, in the service's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_reason: Option<String>,
    pub model_version: Option<String>,
    pub usage: Usage,
    /// Milliseconds from sending the successful attempt to its last byte.
    pub latency_ms: u64,
    /// Milliseconds from sending the successful attempt to its first text or tool call, where the answer was streamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// What the service tells beside the words; `None` when it tells nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    /// It came through a batch job, and so has no latency.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub batched: bool,
    /// The simulator answered, whatever the target is called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
}

impl Answer {
    pub fn finish(&self) -> Finish {
        self.finish.unwrap_or_else(|| Finish::of(self.finish_reason.as_deref()))
    }

    /// The word for why it ended, as files, reports and checks have it.
    pub fn finish_word(&self) -> Option<&str> {
        let word = self.finish_reason.as_deref();
        word.or_else(|| self.finish.and_then(|finish| finish.words().next()))
    }

    /// It ends because it got too long, not because it is complete.
    pub fn is_cut_off(&self) -> bool {
        matches!(self.finish(), Finish::CutOff | Finish::Partial)
    }

    /// Why this answer can't be a good one before any check has looked at it: blocked, cut off, or empty.
    pub fn unusable(&self) -> Option<String> {
        if let Some(reason) = &self.block_reason {
            let message = self.details.as_ref().and_then(|details| details.block_message.as_deref());
            return Some(format!("the prompt was blocked ({})", explained(reason, message)));
        }
        let word = self.finish_word().unwrap_or("no reason given");
        match self.finish() {
            Finish::Complete => {}
            Finish::ToolCall if !self.tool_calls.is_empty() => {}
            Finish::CutOff => return Some(format!("the answer was cut off ({word})")),
            Finish::Partial => {
                let part = "the answer is only a part: the service would continue it, which costs another request";
                return Some(format!("{part} ({word})"));
            }
            Finish::Blocked | Finish::ToolCall | Finish::Other => {
                let message = self.details.as_ref().and_then(|details| details.finish_message.as_deref());
                return Some(format!("the answer was stopped ({})", explained(word, message)));
            }
            Finish::Unknown => return Some("the answer has no finish reason, so it may be incomplete".to_owned()),
        }
        if self.text.trim().is_empty() && self.tool_calls.is_empty() {
            return Some("the answer is empty: no text and no tool call".to_owned());
        }
        None
    }
}

/// Characters of the service's own sentence that a reason quotes.
const QUOTED: usize = 200;

/// The service's word, and the beginning of its sentence if there is one.
fn explained(word: &str, sentence: Option<&str>) -> String {
    match sentence {
        Some(sentence) => format!("{word}: {}", sentence.chars().take(QUOTED).collect::<String>()),
        None => word.to_owned(),
    }
}
