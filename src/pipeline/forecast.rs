//! What `--dry-run` says: the requests that would be sent, and what they would use and cost.

use super::Version;
use super::planned::{Found, Walking};
use super::prefix::making_usd;
use crate::error::Error;
use crate::model::{Arm, PriceList, Problem, Request, RunInfo, Usage};
use crate::plan::estimated_tokens;
use crate::plan::price::{Prices, Tier};
use crate::run::gemini::Prefix;
use crate::settings::{Cache, TargetKind};
use serde_json::Value;
use time::OffsetDateTime;

/// The most that the models of the table put out, thinking included; the bound where a prompt sets no `maxOutputTokens`.
const LONGEST_OUTPUT: u64 = 65_536;

/// What would be sent, and what it would cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// What would be run.
    pub run: RunInfo,
    /// Blue; `None` without a baseline.
    pub baseline: Option<ArmForecast>,
    /// Green.
    pub candidate: ArmForecast,
    /// Nothing is sent: recorded answers, or `--cache only`.
    pub offline: bool,
    /// Prefixes that the service would be asked to keep.
    pub prefixes: Vec<PrefixForecast>,
    /// Where the prices come from.
    pub prices: PriceList,
}

/// A prefix that the service would be asked to keep, for all its requests.
#[derive(Clone, Debug, PartialEq)]
pub struct PrefixForecast {
    /// The model it would be kept for.
    pub model: String,
    /// Its tokens, estimated on this machine.
    pub tokens: u64,
    /// US dollars for making it, once; `None` for an unknown price.
    pub making_usd: Option<f64>,
    /// US dollars for each hour that it is kept; `None` for an unknown price.
    pub hour_usd: Option<f64>,
}

impl PrefixForecast {
    fn new(prefix: &Prefix, prices: &Prices) -> PrefixForecast {
        let (model, tokens) = (prefix.model(), prefix.estimated_tokens());
        let today = OffsetDateTime::now_utc().date();
        PrefixForecast {
            model: model.to_owned(),
            tokens,
            making_usd: making_usd(prices, model, tokens, today),
            hour_usd: prices.storage_usd(model, tokens, 1.0, today),
        }
    }
}

/// One arm's part.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmForecast {
    /// Answers planned.
    pub planned: u64,
    /// Of these, answers that the store has.
    pub stored: u64,
    /// Input tokens of the rest, estimated on this machine.
    pub input_tokens: u64,
    /// Output tokens of the rest, thinking included.
    pub output_tokens: u64,
    /// How the output tokens were estimated.
    pub output: Estimate,
    /// US dollars for the rest at today's prices; `None` for a model without a known price.
    pub cost_usd: Option<f64>,
}

impl ArmForecast {
    /// Requests that would be sent, if none has to be repeated.
    pub fn requests(&self) -> u64 {
        self.planned - self.stored
    }

    /// The output is an upper bound and no estimate, and there is something to send.
    pub fn bounded(&self) -> bool {
        match self.output {
            Estimate::Earlier { .. } => false,
            Estimate::MaxOutputTokens | Estimate::ModelLimit => self.requests() > 0,
        }
    }
}

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

/// Works it out. Sends nothing and writes nothing.
pub(super) fn forecast(walking: &Walking<'_>, run: &RunInfo) -> Result<Forecast, Error> {
    let settings = walking.settings;
    let counting = |version: Option<&Version>| version.map(|version| Counting::new(walking, version)).transpose();
    let mut baseline = counting(walking.versions.baseline.as_ref())?;
    let mut candidate = Counting::new(walking, &walking.versions.candidate)?;
    let unread = walking.walk(&mut |job, found| {
        let arm = match job.arm {
            Arm::Baseline => baseline.as_mut(),
            Arm::Candidate => Some(&mut candidate),
        };
        if let Some(arm) = arm {
            arm.add(&job.request, found);
        }
        Ok(())
    })?;
    if let Some(message) = unread {
        return Err(Problem::new(message).into());
    }
    Ok(Forecast {
        run: run.clone(),
        baseline: baseline.map(|arm| arm.so_far),
        candidate: candidate.so_far,
        offline: settings.target == TargetKind::Recorded || settings.cache == Cache::Only,
        prefixes: walking
            .target
            .prefixes
            .iter()
            .map(|prefix| PrefixForecast::new(prefix, &settings.prices))
            .collect(),
        prices: settings.prices.list(),
    })
}

/// What an answer of one arm is expected to use: the mean of earlier answers, or an upper bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// Output tokens of an earlier answer in the mean, and how many there were.
    earlier: Option<(f64, u64)>,
}

impl Expected {
    pub(super) fn of(walking: &Walking<'_>, version: &Version) -> Result<Expected, Error> {
        let earlier = match walking.store {
            Some(store) => store.mean_output(&version.info.name, &version.info.model, &walking.target.identity)?,
            None => None,
        };
        Ok(Expected { earlier })
    }

    /// Input tokens, output tokens with their fraction, and where the latter come from.
    fn tokens(self, request: &Request) -> (u64, f64, Estimate) {
        let most = request.config.get("maxOutputTokens").and_then(Value::as_u64);
        let (output, estimate) = match (self.earlier, most) {
            (Some((mean, answers)), _) => (mean, Estimate::Earlier { answers }),
            (None, Some(most)) => (most as f64, Estimate::MaxOutputTokens),
            (None, None) => (LONGEST_OUTPUT as f64, Estimate::ModelLimit),
        };
        (estimated_tokens(request), output, estimate)
    }

    /// The same as an answer would count it.
    pub(super) fn usage(self, request: &Request) -> Usage {
        let (prompt, output, _) = self.tokens(request);
        Usage {
            prompt,
            output: output.round() as u64,
            ..Usage::default()
        }
    }
}

/// One arm, while its answers are counted.
struct Counting<'a> {
    so_far: ArmForecast,
    prices: &'a Prices,
    tier: Tier,
    expected: Expected,
    /// Sum of the outputs, kept with its fraction.
    output: f64,
}

impl<'a> Counting<'a> {
    fn new(walking: &Walking<'a>, version: &Version) -> Result<Counting<'a>, Error> {
        let expected = Expected::of(walking, version)?;
        Ok(Counting {
            so_far: ArmForecast {
                planned: 0,
                stored: 0,
                input_tokens: 0,
                output_tokens: 0,
                output: match expected.earlier {
                    Some((_, answers)) => Estimate::Earlier { answers },
                    None => Estimate::MaxOutputTokens,
                },
                cost_usd: Some(0.0),
            },
            prices: &walking.settings.prices,
            tier: version.tier(walking.settings),
            expected,
            output: 0.0,
        })
    }

    fn add(&mut self, request: &Request, found: Found) {
        self.so_far.planned += 1;
        match found {
            Found::InRun | Found::Stored(_) => {
                self.so_far.stored += 1;
                return;
            }
            Found::Nothing => {}
        }
        let (prompt, output, estimate) = self.expected.tokens(request);
        if estimate == Estimate::ModelLimit {
            self.so_far.output = estimate;
        }
        self.output += output;
        self.so_far.input_tokens += prompt;
        self.so_far.output_tokens = self.output.round() as u64;
        let usage = self.expected.usage(request);
        let today = OffsetDateTime::now_utc().date();
        let cost = self.prices.cost_usd(&request.model, &usage, self.tier, today);
        self.so_far.cost_usd = self.so_far.cost_usd.zip(cost).map(|(sum, cost)| sum + cost);
    }
}
