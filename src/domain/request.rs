//! What is asked: a rendered prompt, and the job that asks it.

use super::arm::Arm;
use super::case_id::CaseId;
use super::digest::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;

string_enum! {
    /// Who speaks in a rendered prompt. System text stands apart, in [`Request::system`].
    pub enum Role {
        User = "user",
        Model = "model",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Text(String),
    /// Media by reference; a `data:` URL carries its bytes.
    Media {
        url: String,
        /// MIME type, if known.
        content_type: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub role: Role,
    pub parts: Vec<Part>,
}

/// A function the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Option<Value>,
}

/// A rendered prompt, independent of the service that will answer it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub model: String,
    /// System instruction, in order.
    pub system: Vec<Part>,
    /// Turns, oldest first; never empty, the last is the user's.
    pub contents: Vec<Content>,
    /// Generation settings as in the front matter's `config`, in the service's camelCase names.
    pub config: Map<String, Value>,
    /// `json` when the front matter's `output.format` asks for it.
    pub json_output: bool,
    /// JSON Schema of the answer.
    pub output_schema: Option<Value>,
    /// Functions the model may call.
    pub tools: Vec<Tool>,
}

impl Request {
    /// Estimated input tokens: four bytes of text a token, and 258 for a piece of media (what the Gemini API charges for a
    /// small image).
    pub fn estimated_tokens(&self) -> u64 {
        let turns = self.contents.iter().flat_map(|content| &content.parts);
        turns
            .chain(&self.system)
            .map(|part| match part {
                Part::Text(text) => (text.len() as u64).div_ceil(4),
                Part::Media { .. } => 258,
            })
            .sum()
    }
}

string_enum! {
    /// Where an answer came from.
    pub enum Source {
        Live = "live",
        Cache = "cache",
        /// Read from a file of recorded answers.
        Recorded = "recorded",
    }
}

/// What is sent at once: a request, and the bytes that say it.
#[derive(Clone, Debug)]
pub struct JobTurn {
    pub request: Arc<Request>,
    pub body: Arc<[u8]>,
}

/// One planned answer: a request, or a conversation of several turns in one session.
#[derive(Clone, Debug)]
pub struct Job {
    /// Position in plan order, from 0.
    pub seq: u64,
    pub case: CaseId,
    pub arm: Arm,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// What is asked; shared by the repeats.
    pub request: Arc<Request>,
    /// The body on the wire; shared by the repeats. Empty for recorded answers.
    pub body: Arc<[u8]>,
    /// The turns after the first. All are answered, or none is.
    pub later: Vec<JobTurn>,
    /// Identity of the answer: no two planned answers share one.
    pub key: [u8; 32],
}

impl Job {
    /// The job of each turn, in order.
    pub fn turns(&self) -> impl Iterator<Item = Job> {
        let first = JobTurn { request: Arc::clone(&self.request), body: Arc::clone(&self.body) };
        [first].into_iter().chain(self.later.iter().cloned()).map(|turn| Job {
            request: turn.request,
            body: turn.body,
            later: Vec::new(),
            case: self.case.clone(),
            ..*self
        })
    }

    /// Estimated input tokens of all turns.
    pub fn estimated_tokens(&self) -> u64 {
        let later = self.later.iter().map(|turn| turn.request.estimated_tokens());
        self.request.estimated_tokens() + later.sum::<u64>()
    }

    /// SHA-256 of the body on the wire, and of those of later turns.
    pub fn body_sha256(&self) -> [u8; 32] {
        match self.later.as_slice() {
            [] => Sha256::digest(&self.body).into(),
            later => digest([self.body.as_ref()].into_iter().chain(later.iter().map(|turn| turn.body.as_ref()))),
        }
    }
}

/// What is kept of a job beside its answer: everything but the request itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMeta {
    /// Position in plan order, from 0.
    pub seq: u64,
    pub case: CaseId,
    pub arm: Arm,
    /// Which repeat, from 1.
    pub repeat: u32,
    pub model: String,
    /// SHA-256 of the body on the wire.
    pub body_sha256: [u8; 32],
    /// Identity of the answer.
    pub key: [u8; 32],
}

impl From<&Job> for RequestMeta {
    fn from(job: &Job) -> RequestMeta {
        RequestMeta {
            seq: job.seq,
            case: job.case.clone(),
            arm: job.arm,
            repeat: job.repeat,
            model: job.request.model.clone(),
            body_sha256: job.body_sha256(),
            key: job.key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_estimated_from_text_and_media() {
        let text = |bytes: usize| Part::Text("x".repeat(bytes));
        let media = Part::Media { url: format!("data:image/png;base64,{}", "A".repeat(1_000_000)), content_type: None };
        let request = Request {
            model: "m".to_owned(),
            system: vec![text(401)],
            contents: vec![Content { role: Role::User, parts: vec![text(40), media] }],
            config: Map::new(),
            json_output: false,
            output_schema: None,
            tools: Vec::new(),
        };
        assert_eq!(request.estimated_tokens(), 101 + 10 + 258);
    }
}
