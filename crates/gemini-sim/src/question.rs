//! A question, with the passages that may answer it.

use super::instructions::Instructions;
use super::polarity::{amounts, asks_yes_or_no, is_yes};
use super::rank::{Query, RankedPassage};
use super::words::term;

/// Below this share of the question covered, a text doesn't say. Only a request that asks for refusals gets one.
const SAYS: f32 = 0.3;
/// A further sentence is added when it is nearly as good as the best one.
const NEARLY: f32 = 0.8;
/// The same, when the request allows several sentences in so many words.
const ALLOWED: f32 = 0.55;

pub(super) struct Question<'a> {
    pub(super) question: String,
    pub(super) query: Query,
    pub(super) ranked: Vec<RankedPassage<'a>>,
    pub(super) instructions: Instructions,
}

impl Question<'_> {
    /// What to say because the text doesn't say, if the request wants that said.
    pub(super) fn refusal(&self) -> Option<&str> {
        let refusal = self.instructions.refusal.as_deref()?;
        let covered = self.ranked.first().map_or(0.0, |best| best.coverage);
        (covered < SAYS).then_some(refusal)
    }

    /// The answer in plain sentences.
    pub(super) fn sentences(&self) -> String {
        let Some(best) = self.ranked.first() else {
            return self.invention().to_owned();
        };
        let (most, enough) = match self.instructions.max_sentences {
            Some(most) => (most, ALLOWED),
            None => (2, NEARLY),
        };
        let mut text = String::with_capacity(200);
        for (at, ranked) in self.ranked.iter().take(most).enumerate() {
            if at > 0 && ranked.score < enough * best.score {
                break;
            }
            if at > 0 {
                text.push(' ');
            }
            text.push_str(&ranked.passage.text);
            if !text.ends_with(['.', '!', '?', '"', '”', ')']) {
                text.push('.');
            }
        }
        text
    }

    /// Yes or no, by the best passage. Without one the model guesses.
    pub(super) fn is_yes(&self) -> bool {
        self.ranked.first().is_none_or(|best| is_yes(&self.question, &best.passage.text, &self.query))
    }

    /// Nothing fits and nobody asked to admit it: a confident guess.
    fn invention(&self) -> &'static str {
        if asks_yes_or_no(&self.question) {
            "Yes, that should be no problem."
        } else {
            "That is usually sorted out within a few days."
        }
    }
}

/// The amount of a text whose unit is asked for; else its first. An amount that the question states is not the answer.
pub(super) fn nearest_amount(text: &str, query: &Query) -> Option<String> {
    let all = amounts(text);
    let new = || all.iter().filter(|amount| !query.has(term(amount.text)));
    new()
        .find(|amount| amount.unit.iter().flatten().any(|unit| query.has(*unit)))
        .or_else(|| new().next())
        .or(all.first())
        .map(|amount| amount.text.replace(',', ""))
}
