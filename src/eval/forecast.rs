//! What `--dry-run` says: the requests that would be sent, and what they would use and cost.

use super::cases::CaseSource;
use super::context::EvalContext;
use super::judges::Judges;
use super::phase::{MustPassRetries, Phase};
use super::sample_walk::{CacheLookup, SampleWalk};
use super::usage_estimate::{Estimate, UsageEstimate};
use crate::config::Cache;
use crate::domain::{Arm, Case, CaseId, PriceList, Problem, Request, RunInfo, Usage};
use crate::error::Error;
use crate::plan::price::{Prices, Tier};
use crate::scoring;
use crate::store::Store;
use std::collections::BTreeMap;
use time::OffsetDateTime;

#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
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
    pub prices: PriceList,
}

/// What judges would be asked: every vote of every check on every planned answer, as if none were stored or alike.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgesForecast {
    /// Requests, if none has to be repeated.
    pub requests: u64,
    /// Input tokens, estimated on this machine; of the answers as long as those are expected to be.
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// How the output tokens were estimated: as the least sure one of them.
    pub output: Estimate,
    /// US dollars at today's prices; `None` for a model without a known price.
    pub cost_usd: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ArmForecast {
    pub planned: u64,
    /// Of these, answers that the store has.
    pub stored: u64,
    /// Input tokens of the rest, estimated on this machine.
    pub input_tokens: u64,
    /// Output tokens of the rest, thinking included.
    pub output_tokens: u64,
    pub output: Estimate,
    /// US dollars for the rest at today's prices; `None` for a model without a known price.
    pub cost_usd: Option<f64>,
}

impl Default for ArmForecast {
    fn default() -> ArmForecast {
        ArmForecast {
            planned: 0,
            stored: 0,
            input_tokens: 0,
            output_tokens: 0,
            output: Estimate::MaxOutputTokens,
            cost_usd: Some(0.0),
        }
    }
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

/// Works out what would be sent and what it would cost. Neither sends nor writes anything.
pub fn forecast(context: &EvalContext<'_>) -> Result<Forecast, Error> {
    let settings = context.settings;
    let store = context.existing_store()?;
    let resumed = match &store {
        Some(store) if settings.continuation.resume => store.resume(&context.plan_digest())?,
        Some(_) | None => None,
    };
    let mut baseline = ArmCounter::new(context, store.as_ref(), Arm::Baseline)?;
    let mut candidate = ArmCounter::new(context, store.as_ref(), Arm::Candidate)?;
    let mut judging = JudgeCounter::new(context, store.as_ref())?;
    let walk = SampleWalk {
        context,
        store: store.as_ref(),
        run: resumed.as_ref(),
        retries: &MustPassRetries::new(settings),
        phase: Phase::Planned,
    };
    let unread = walk.walk(CaseSource::GoldenFiles, None, &mut |case, job, lookup| {
        let arm = match job.arm {
            Arm::Baseline => baseline.as_mut(),
            Arm::Candidate => candidate.as_mut(),
        };
        if let Some(arm) = arm {
            arm.add(&job.request, lookup);
            let (_, answer, _) = arm.estimate.tokens(&job.request);
            judging.add(case, answer);
        }
        Ok(())
    })?;
    if let Some(message) = unread {
        return Err(Problem::new(message).into());
    }
    Ok(Forecast {
        run: context.info.clone(),
        baseline: baseline.map(|arm| arm.total),
        candidate: candidate.map(|arm| arm.total).unwrap_or_default(),
        judges: judging.total.filter(|judges| judges.requests > 0 && settings.limits.cache != Cache::Only),
        commands: judging.commands,
        offline: settings.provider.target.def().replays || settings.limits.cache == Cache::Only,
        prices: settings.prices.list(),
    })
}

/// A question about an answer whose length is not known yet.
struct ForecastQuestion {
    request: Request,
    tier: Tier,
    estimate: UsageEstimate,
}

struct JudgeCounter<'a> {
    total: Option<JudgesForecast>,
    commands: u64,
    prices: &'a Prices,
    /// Of a reply of each judge.
    estimates: BTreeMap<&'a str, UsageEstimate>,
    judges: &'a Judges,
    /// The case that was last seen, and what its checks ask about each answer.
    case: Option<CaseId>,
    questions: Vec<ForecastQuestion>,
    commands_per_answer: u64,
    /// Sum of the outputs, kept with its fraction.
    output: f64,
}

impl<'a> JudgeCounter<'a> {
    fn new(context: &'a EvalContext<'_>, store: Option<&Store>) -> Result<JudgeCounter<'a>, Error> {
        let replies = context.judges.mean_replies(store)?;
        let estimates = replies.into_iter().map(|(name, earlier)| (name, UsageEstimate { earlier })).collect();
        Ok(JudgeCounter {
            total: None,
            commands: 0,
            prices: &context.settings.prices,
            estimates,
            judges: &context.judges,
            case: None,
            questions: Vec::new(),
            commands_per_answer: 0,
            output: 0.0,
        })
    }

    /// Counts what is asked about one answer of so many tokens.
    fn add(&mut self, case: &Case, answer_tokens: f64) {
        if self.case.as_ref() != Some(&case.id) {
            let calls = scoring::max_external_calls(case);
            let questions = calls.questions.iter().filter_map(|question| {
                let (request, tier) = self.judges.forecast(question)?;
                let estimate = *self.estimates.get(question.judge.as_str())?;
                Some(ForecastQuestion { request, tier, estimate })
            });
            self.questions = questions.collect();
            self.commands_per_answer = calls.commands;
            self.case = Some(case.id.clone());
        }
        self.commands += self.commands_per_answer;
        let today = OffsetDateTime::now_utc().date();
        for ForecastQuestion { request, tier, estimate } in &self.questions {
            let (prompt, output, source) = estimate.tokens(request);
            let usage = Usage { prompt: prompt + answer_tokens.round() as u64, ..estimate.usage(request) };
            let cost = self.prices.cost_usd(&request.model, &usage, *tier, today);
            let total = self.total.get_or_insert(JudgesForecast {
                requests: 0,
                input_tokens: 0,
                output_tokens: 0,
                output: source,
                cost_usd: Some(0.0),
            });
            self.output += output;
            total.requests += 1;
            total.input_tokens += usage.prompt;
            total.output_tokens = self.output.round() as u64;
            total.output = total.output.least_sure(source);
            total.cost_usd = total.cost_usd.zip(cost).map(|(sum, cost)| sum + cost);
        }
    }
}

struct ArmCounter<'a> {
    total: ArmForecast,
    prices: &'a Prices,
    tier: Tier,
    estimate: UsageEstimate,
    /// Sum of the outputs, kept with its fraction.
    output: f64,
}

impl<'a> ArmCounter<'a> {
    /// `None` without the arm.
    fn new(context: &'a EvalContext<'_>, store: Option<&Store>, arm: Arm) -> Result<Option<ArmCounter<'a>>, Error> {
        let Some((estimate, (_, tier))) = UsageEstimate::of_arm(context, store, arm)?.zip(context.priced_as(arm))
        else {
            return Ok(None);
        };
        Ok(Some(ArmCounter {
            total: ArmForecast {
                output: match estimate.earlier {
                    Some((_, answers)) => Estimate::Earlier { answers },
                    None => Estimate::MaxOutputTokens,
                },
                ..ArmForecast::default()
            },
            prices: &context.settings.prices,
            tier,
            estimate,
            output: 0.0,
        }))
    }

    fn add(&mut self, request: &Request, lookup: CacheLookup) {
        let total = &mut self.total;
        total.planned += 1;
        match lookup {
            CacheLookup::Resumed(_) | CacheLookup::Stored(_) => {
                total.stored += 1;
                return;
            }
            CacheLookup::Missing => {}
        }
        let (prompt, output, estimate) = self.estimate.tokens(request);
        if estimate == Estimate::ModelLimit {
            total.output = estimate;
        }
        self.output += output;
        total.input_tokens += prompt;
        total.output_tokens = self.output.round() as u64;
        let usage = self.estimate.usage(request);
        let today = OffsetDateTime::now_utc().date();
        let cost = self.prices.cost_usd(&request.model, &usage, self.tier, today);
        total.cost_usd = total.cost_usd.zip(cost).map(|(sum, cost)| sum + cost);
    }
}
