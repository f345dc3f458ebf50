//! How a rendered prompt is written on the wire: what a target must know before, and apart from, sending anything.

use super::{gemini, openai, vertex};
use crate::domain::{ArgProblem, Request};
use time::Date;

/// What the service would say about a prompt's settings; paths lead from the top of the front matter to the culprit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The service would refuse every request.
    pub refused: Vec<ArgProblem>,
    /// The service would take it and not do as it says.
    pub doubtful: Vec<ArgProblem>,
}

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

    /// Reviews what a prompt asks of the service beside its turns, for a version of the Gemini API and a day.
    pub fn review(self, request: &Request, api_version: &str, today: Date) -> Findings {
        match self {
            Protocol::Gemini => gemini::review(request, api_version, today),
            Protocol::Vertex => vertex::review(request, today),
            Protocol::OpenAi => Findings {
                refused: openai::config_problems(&request.config),
                doubtful: Vec::new(),
            },
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
