//! How a rendered prompt is written on the wire: what a provider must know before, and apart from, sending anything.

use crate::domain::{ArgProblem, Problem, Request};
use std::fmt::Debug;
use time::Date;

/// What the service would say about a prompt's settings; paths lead from the top of the front matter to the culprit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The service would refuse every request.
    pub refused: Vec<ArgProblem>,
    /// The service would take it and not do as it says.
    pub doubtful: Vec<ArgProblem>,
}

/// Writes the requests of one provider as it is configured. Identities and caches hash its bodies, so the same request must
/// always give the same bytes.
pub trait RequestEncoder: Debug + Send + Sync {
    /// The exact body on the wire.
    fn body(&self, request: &Request) -> Vec<u8>;

    /// The URL of a request to a model, for people to look at.
    fn url(&self, model: &str) -> Result<String, Problem>;

    /// Why a text can't name a model, in a sentence.
    fn model_problem(&self, model: &str) -> Option<String>;

    /// Reviews what a prompt asks of the service beside its turns, for a day.
    fn review(&self, request: &Request, today: Date) -> Findings;

    /// What the service can't take in a rendered prompt, in a sentence.
    fn content_problem(&self, request: &Request) -> Option<String>;
}
