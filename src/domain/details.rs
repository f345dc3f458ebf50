//! What a service tells of an answer beside its words: sources, probabilities, code it ran, why it stopped.

use serde::{Deserialize, Serialize};

/// What there is; empty fields are not written. Entries beyond a bound, and those of a form that is not known, are
/// counted and not kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// What the model said in place of an answer, where the service tells that apart from the answer's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The finish reason, in the service's sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_message: Option<String>,
    /// The reason for blocking the prompt, in the service's sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_message: Option<String>,
    /// What the safety filters found in the prompt or the answer: whatever is blocked, or more than negligibly probable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub safety: Vec<SafetyRating>,
    /// Mean natural logarithm of the tokens' probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg_logprob: Option<f64>,
    /// The answer's tokens with their probabilities, as far as they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<ChosenToken>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<Citation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<FoundSource>,
    /// Which passages of the answer rest on which sources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supports: Vec<Support>,
    /// Pages that the model asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<RetrievedUrl>,
    /// Code that the model ran; no part of its text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub code: Vec<CodeRun>,
    /// The state of the model that served, where the service tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_status: Option<ModelStatus>,
    /// Entries that were not kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u64,
}

/// What a safety filter found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SafetyRating {
    /// The kind of harm, in the service's word.
    pub category: String,
    /// How probable it is, in the service's word.
    pub probability: String,
    /// It is why something was blocked.
    pub blocked: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChosenToken {
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// The most probable tokens at its place, by probability.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<TopToken>,
}

/// A token that could have stood at a place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TopToken {
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// A passage that stands elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Citation {
    /// Where it begins, in bytes of the answer.
    pub start: u64,
    /// Where it ends, in bytes of the answer.
    pub end: u64,
    /// Where else it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}

/// A source that a search found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FoundSource {
    /// Where it is; what was found in one's own documents may have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A passage of the answer that rests on sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Support {
    /// Where it begins, in bytes of its part of the answer.
    pub start: u64,
    /// Where it ends, in bytes of its part of the answer.
    pub end: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Its sources, as positions from 0 in [`Details::sources`].
    pub sources: Vec<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetrievedUrl {
    pub url: String,
    /// Whether it came, in the service's word.
    pub status: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeRun {
    /// Its language, in the service's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How it ended, in the service's word; `None` if no end was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelStatus {
    /// The stage of its life, in the service's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What the service says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it goes, as the service writes times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Details {
    pub fn is_empty(&self) -> bool {
        *self == Details::default()
    }

    /// Hands out every text. Takes everything apart, so that a new field can't be forgotten here.
    pub fn for_each_text(&mut self, visit: &mut dyn FnMut(&mut String)) {
        let Details {
            refusal,
            finish_message,
            block_message,
            safety,
            avg_logprob: _,
            logprobs,
            citations,
            queries,
            sources,
            supports,
            urls,
            code,
            model_status,
            dropped: _,
        } = self;
        let mut all: Vec<&mut String> = Vec::new();
        all.extend([refusal, finish_message, block_message].into_iter().flatten());
        for SafetyRating { category, probability, blocked: _ } in safety {
            all.extend([category, probability]);
        }
        for ChosenToken { token, logprob: _, top } in logprobs {
            all.push(token);
            all.extend(top.iter_mut().map(|TopToken { token, logprob: _ }| token));
        }
        for Citation { start: _, end: _, uri, title, license } in citations {
            all.extend([uri, title, license].into_iter().flatten());
        }
        all.extend(queries);
        for FoundSource { uri, title, text } in sources {
            all.extend([uri, title, text].into_iter().flatten());
        }
        for Support { start: _, end: _, text, sources: _ } in supports {
            all.push(text);
        }
        for RetrievedUrl { url, status } in urls {
            all.extend([url, status]);
        }
        for CodeRun { language, code, outcome, output } in code {
            all.extend([language, code, outcome, output].into_iter().flatten());
        }
        if let Some(ModelStatus { stage, message, retires_at }) = model_status {
            all.extend([stage, message, retires_at].into_iter().flatten());
        }
        all.into_iter().for_each(visit);
    }
}
