//! How a rendered prompt is written on the wire: what a target must know before, and apart from, sending anything.

use super::{gemini, openai, vertex};
use crate::model::{Problem, Request};
use serde_json::{Map, Value};

/// The protocol of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `generateContent` of the Gemini API.
    Gemini,
    /// `generateContent` of Vertex AI.
    Vertex,
    /// Chat completions of OpenAI.
    OpenAi,
}

impl Protocol {
    /// The exact body on the wire. The same request always gives the same bytes.
    pub fn body(self, request: &Request) -> Vec<u8> {
        match self {
            Protocol::Gemini | Protocol::Vertex => gemini::body(request),
            Protocol::OpenAi => openai::body(request),
        }
    }

    /// Why a text can't name a model, in a sentence.
    pub fn model_problem(self, model: &str) -> Option<String> {
        match self {
            Protocol::Gemini => gemini::model_problem(model),
            Protocol::Vertex => vertex::model_problem(model),
            Protocol::OpenAi => openai::model_problem(model),
        }
    }

    /// The generation settings that the service would refuse with every request.
    pub fn config_problems(self, config: &Map<String, Value>) -> Vec<Problem> {
        match self {
            Protocol::Gemini => gemini::config_problems(config),
            Protocol::Vertex => vertex::config_problems(config),
            Protocol::OpenAi => openai::config_problems(config),
        }
    }

    /// What the service can't take in a rendered prompt, in a sentence.
    pub fn content_problem(self, request: &Request) -> Option<String> {
        match self {
            Protocol::Gemini | Protocol::Vertex => gemini::content_problem(request),
            Protocol::OpenAi => openai::content_problem(request),
        }
    }

    /// The model when nothing names one; a service with models of anyone has none.
    pub fn default_model(self) -> Option<&'static str> {
        match self {
            Protocol::Gemini | Protocol::Vertex => Some("gemini-3.8-flash"),
            Protocol::OpenAi => None,
        }
    }
}
