//! What `--dry-run` says: the requests that would be sent, and what they would use and cost.

use super::Version;
use super::judges::Judges;
use super::sample_walk::{Found, Walking};
use crate::config::{Cache, TargetKind};
use crate::domain::{Arm, Case, CaseId, PriceList, Problem, Request, RunInfo, Usage};
use crate::error::Error;
use crate::plan::price::{Prices, Tier};
use crate::scoring;
use serde_json::Value;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// The most that the models of the table put out, thinking included; the bound where a prompt sets no `maxOutputTokens`.
const LONGEST_OUTPUT: u64 = 65_536;

/// Earlier answers whose mean says something of the next ones.
const ENOUGH_ANSWERS: u64 = 20;

/// What would be sent, and what it would cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// What would be run.
    pub run: RunInfo,
    /// Blue; `None` without a baseline.
    pub baseline: Option<ArmForecast>,
    /// Green.
    pub candidate: ArmForecast,
    /// What judges would be asked, at most; `None` if checks name none, or nothing may be sent.
    pub judges: Option<JudgesForecast>,
    /// How often commands of the project's own would be asked, at most.
    pub commands: u64,
    /// No answer is asked for: recorded answers, or `--cache only`.
    pub offline: bool,
    /// Where the prices come from.
    pub prices: PriceList,
}

/// What judges would be asked: every vote of every check on every planned answer, as if none were stored or alike.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgesForecast {
    /// Requests, if none has to be repeated.
    pub requests: u64,
    /// Input tokens, estimated on this machine; of the answers as long as those are expected to be.
    pub input_tokens: u64,
    /// Output tokens, thinking included.
    pub output_tokens: u64,
    /// How the output tokens were estimated: as the least sure one of them.
    pub output: Estimate,
    /// US dollars at today's prices; `None` for a model without a known price.
    pub cost_usd: Option<f64>,
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

impl Estimate {
    /// The one of two that is a bound rather than a mean, or goes by fewer answers.
    fn least_sure(self, other: Estimate) -> Estimate {
        match (self, other) {
            (Estimate::ModelLimit, _) | (_, Estimate::ModelLimit) => Estimate::ModelLimit,
            (Estimate::MaxOutputTokens, _) | (_, Estimate::MaxOutputTokens) => Estimate::MaxOutputTokens,
            (Estimate::Earlier { answers: a }, Estimate::Earlier { answers: b }) => {
                Estimate::Earlier { answers: a.min(b) }
            }
        }
    }
}

/// Works it out. Sends nothing and writes nothing.
pub(crate) fn forecast(walking: &Walking<'_>, judges: &Judges, run: &RunInfo) -> Result<Forecast, Error> {
    let settings = walking.settings;
    let counting = |version: Option<&Version>| version.map(|version| Counting::new(walking, version)).transpose();
    let mut baseline = counting(walking.versions.baseline.as_ref())?;
    let mut candidate = Counting::new(walking, &walking.versions.candidate)?;
    let mut judging = Consulting::new(walking, judges)?;
    let unread = walking.walk(&mut |case, job, found| {
        let arm = match job.arm {
            Arm::Baseline => baseline.as_mut(),
            Arm::Candidate => Some(&mut candidate),
        };
        if let Some(arm) = arm {
            arm.add(&job.request, found);
            let (_, answer, _) = arm.expected.tokens(&job.request);
            judging.add(case, answer);
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
        judges: judging
            .so_far
            .filter(|judges| judges.requests > 0 && settings.run.cache != Cache::Only),
        commands: judging.commands,
        offline: settings.provider.target == TargetKind::Recorded || settings.run.cache == Cache::Only,
        prices: settings.prices.list(),
    })
}

/// What an answer of one arm is expected to use: the mean of earlier answers, or an upper bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Output tokens of an earlier answer in the mean, and how many there were.
    pub(crate) earlier: Option<(f64, u64)>,
}

impl Expected {
    pub(crate) fn of(walking: &Walking<'_>, version: &Version) -> Result<Expected, Error> {
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
        (request.estimated_tokens(), output, estimate)
    }

    /// What an answer may use, for a limit that has to hold: what it must not exceed, or, once enough answers are known,
    /// twice their mean.
    pub(crate) fn at_most(self, request: &Request) -> Usage {
        let bound = request
            .config
            .get("maxOutputTokens")
            .and_then(Value::as_u64)
            .unwrap_or(LONGEST_OUTPUT);
        let output = match self.earlier {
            Some((mean, answers)) if answers >= ENOUGH_ANSWERS => bound.min((2.0 * mean).ceil() as u64),
            Some(_) | None => bound,
        };
        Usage {
            prompt: request.estimated_tokens(),
            output,
            ..Usage::default()
        }
    }

    /// The same as an answer would count it.
    pub(crate) fn usage(self, request: &Request) -> Usage {
        let (prompt, output, _) = self.tokens(request);
        Usage {
            prompt,
            output: output.round() as u64,
            ..Usage::default()
        }
    }
}

/// A question about an answer whose length is not known yet.
struct Foretold {
    request: Request,
    tier: Tier,
    expected: Expected,
}

/// Judges and commands, while what they would be asked is counted.
struct Consulting<'a> {
    so_far: Option<JudgesForecast>,
    commands: u64,
    prices: &'a Prices,
    /// What a reply of each judge is expected to use.
    expected: BTreeMap<&'a str, Expected>,
    judges: &'a Judges,
    /// The case that was last seen, and what its checks ask about each answer.
    case: Option<CaseId>,
    questions: Vec<Foretold>,
    of_commands: u64,
    /// Sum of the outputs, kept with its fraction.
    output: f64,
}

impl<'a> Consulting<'a> {
    fn new(walking: &'a Walking<'a>, judges: &'a Judges) -> Result<Consulting<'a>, Error> {
        Ok(Consulting {
            so_far: None,
            commands: 0,
            prices: &walking.settings.prices,
            expected: judges.expected(walking.store)?,
            judges,
            case: None,
            questions: Vec::new(),
            of_commands: 0,
            output: 0.0,
        })
    }

    /// Counts what is asked about one answer of so many tokens.
    fn add(&mut self, case: &Case, answer_tokens: f64) {
        if self.case.as_ref() != Some(&case.id) {
            let asked = scoring::max_external_calls(case);
            let foretold = asked.questions.iter().filter_map(|question| {
                let (request, tier) = self.judges.foretold(question)?;
                let expected = *self.expected.get(question.judge.as_str())?;
                Some(Foretold {
                    request,
                    tier,
                    expected,
                })
            });
            self.questions = foretold.collect();
            self.of_commands = asked.commands;
            self.case = Some(case.id.clone());
        }
        self.commands += self.of_commands;
        let today = OffsetDateTime::now_utc().date();
        for Foretold {
            request,
            tier,
            expected,
        } in &self.questions
        {
            let (prompt, output, estimate) = expected.tokens(request);
            let usage = Usage {
                prompt: prompt + answer_tokens.round() as u64,
                ..expected.usage(request)
            };
            let cost = self.prices.cost_usd(&request.model, &usage, *tier, today);
            let so_far = self.so_far.get_or_insert(JudgesForecast {
                requests: 0,
                input_tokens: 0,
                output_tokens: 0,
                output: estimate,
                cost_usd: Some(0.0),
            });
            self.output += output;
            so_far.requests += 1;
            so_far.input_tokens += usage.prompt;
            so_far.output_tokens = self.output.round() as u64;
            so_far.output = so_far.output.least_sure(estimate);
            so_far.cost_usd = so_far.cost_usd.zip(cost).map(|(sum, cost)| sum + cost);
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
