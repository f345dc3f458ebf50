//! How many tokens an answer is expected to use.

use super::context::EvalContext;
use crate::domain::{Arm, Request, Usage};
use crate::error::Error;
use crate::store::Store;
use serde_json::Value;

/// The most that the models of the price table put out, thinking included; the bound where a prompt sets no `maxOutputTokens`.
const LONGEST_OUTPUT: u64 = 65_536;

/// Earlier answers whose mean says something of the next ones.
const ENOUGH_ANSWERS: u64 = 20;

/// Where the number of output tokens comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimate {
    /// The mean of stored answers of earlier runs of the same prompt name, model and target.
    Earlier {
        /// How many answers.
        answers: u64,
    },
    /// No such answers: an upper bound, the prompt's `maxOutputTokens`.
    MaxOutputTokens,
    /// No such answers and no `maxOutputTokens`: an upper bound, what the models put out at most.
    ModelLimit,
}

impl Estimate {
    /// The one of two that is a bound rather than a mean, or goes by fewer answers.
    pub(super) fn least_sure(self, other: Estimate) -> Estimate {
        match (self, other) {
            (Estimate::ModelLimit, _) | (_, Estimate::ModelLimit) => Estimate::ModelLimit,
            (Estimate::MaxOutputTokens, _) | (_, Estimate::MaxOutputTokens) => Estimate::MaxOutputTokens,
            (Estimate::Earlier { answers: a }, Estimate::Earlier { answers: b }) => {
                Estimate::Earlier { answers: a.min(b) }
            }
        }
    }
}

/// What an answer is expected to use: the mean of earlier answers, or an upper bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UsageEstimate {
    /// Mean output tokens of earlier answers, and how many there were.
    pub(crate) earlier: Option<(f64, u64)>,
}

impl UsageEstimate {
    /// Of an arm's answers; `None` without the arm.
    pub(crate) fn of_arm(
        context: &EvalContext<'_>,
        store: Option<&Store>,
        arm: Arm,
    ) -> Result<Option<UsageEstimate>, Error> {
        let Some(version) = context.versions.arm(arm) else {
            return Ok(None);
        };
        let info = &version.info;
        let earlier = match store {
            Some(store) => store.mean_output(&info.name, &info.model, &context.target(arm).identity)?,
            None => None,
        };
        Ok(Some(UsageEstimate { earlier }))
    }

    /// Input tokens, output tokens with their fraction, and where the latter come from.
    pub(super) fn tokens(self, request: &Request) -> (u64, f64, Estimate) {
        let (output, estimate) = match (self.earlier, max_output(request)) {
            (Some((mean, answers)), _) => (mean, Estimate::Earlier { answers }),
            (None, Some(most)) => (most as f64, Estimate::MaxOutputTokens),
            (None, None) => (LONGEST_OUTPUT as f64, Estimate::ModelLimit),
        };
        (request.estimated_tokens(), output, estimate)
    }

    /// What an answer may use, for a limit that has to hold: what it must not exceed, or, once enough answers are known,
    /// twice their mean.
    pub(super) fn at_most(self, request: &Request) -> Usage {
        let bound = max_output(request).unwrap_or(LONGEST_OUTPUT);
        let output = match self.earlier {
            Some((mean, answers)) if answers >= ENOUGH_ANSWERS => bound.min((2.0 * mean).ceil() as u64),
            Some(_) | None => bound,
        };
        Usage { prompt: request.estimated_tokens(), output, ..Usage::default() }
    }

    /// The expected usage in whole tokens.
    pub(super) fn usage(self, request: &Request) -> Usage {
        let (prompt, output, _) = self.tokens(request);
        Usage { prompt, output: output.round() as u64, ..Usage::default() }
    }
}

fn max_output(request: &Request) -> Option<u64> {
    request.config.get("maxOutputTokens").and_then(Value::as_u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(max_output: Option<u64>) -> Request {
        let mut config = serde_json::Map::new();
        if let Some(most) = max_output {
            config.insert("maxOutputTokens".to_owned(), json!(most));
        }
        Request {
            model: "m".to_owned(),
            system: Vec::new(),
            contents: Vec::new(),
            config,
            json_output: false,
            output_schema: None,
            tools: Vec::new(),
        }
    }

    #[test]
    fn bounds_hold_until_enough_answers_are_known() {
        for (earlier, max_output, at_most) in [
            (None, None, LONGEST_OUTPUT),
            (None, Some(100), 100),
            (Some((30.0, 19)), Some(100), 100),
            (Some((30.0, 20)), Some(100), 60),
            (Some((80.0, 20)), Some(100), 100),
        ] {
            let usage = UsageEstimate { earlier }.at_most(&request(max_output));
            assert_eq!(usage.output, at_most, "{earlier:?} {max_output:?}");
        }
    }

    #[test]
    fn estimates_go_by_earlier_answers_first() {
        let of = |earlier, max_output| UsageEstimate { earlier }.tokens(&request(max_output)).2;
        assert_eq!(of(Some((3.0, 2)), Some(9)), Estimate::Earlier { answers: 2 });
        assert_eq!(of(None, Some(9)), Estimate::MaxOutputTokens);
        assert_eq!(of(None, None), Estimate::ModelLimit);
        let sure = Estimate::Earlier { answers: 5 };
        assert_eq!(sure.least_sure(Estimate::Earlier { answers: 2 }), Estimate::Earlier { answers: 2 });
        assert_eq!(sure.least_sure(Estimate::ModelLimit), Estimate::ModelLimit);
    }
}
