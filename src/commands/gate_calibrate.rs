//! `gate calibrate`: a prompt is compared with itself, on the way of every run up to the judged answers. What comes of it is no
//! verdict: it tells how much answers vary on this dataset, and what the gate makes of that.

use crate::domain::{ArmRow, CaseRow, Metric, Problem, RunInfo, score_ticks};
use crate::error::Error;
use crate::eval::cases::CaseSource;
use crate::eval::phase::AnalysisScope;
use crate::eval::run_state::RunState;
use crate::eval::score_pass::ScorePass;
use crate::eval::{self, EvalContext, RunHooks, run_store};
use crate::gate::aa_test::{self, AaCase, AaTest, DecisionShares, Noise, REPEATS, USUAL_REPEATS};
use crate::runner::StopReason;
use crate::stats::planning::POWER;
use crate::store::RunStatus;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Fewer cases than this say nothing about how answers vary.
const LEAST_CASES: usize = 10;

/// Seed of the resamples: the same answers give the same numbers.
const SEED: u64 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LeastCases {
    pub repeats: u32,
    pub cases: u64,
    /// Share of resamples of so many cases that promote an equal candidate.
    pub promote: f64,
}

#[derive(Clone, Debug)]
pub struct GateCalibration {
    pub run: RunInfo,
    /// Cases that were judged completely in both arms.
    pub judged: u64,
    pub missing: u64,
    pub noise: Noise,
    /// Margin and tolerance of the rule, on the scale of judges that err.
    pub margins: (f64, f64),
    /// Decisions for an equal candidate with the run's repeats.
    pub equal: DecisionShares,
    /// Decisions for a candidate that lost the margin; `None` where the baseline can't lose as much.
    pub lost: Option<DecisionShares>,
    /// How often an equal candidate is promoted, by repeats, with the cases at hand.
    pub by_repeats: Vec<(u32, DecisionShares)>,
    /// The fewest of these repeats that promote it often enough.
    pub repeats: Option<u32>,
    /// How many cases are enough with the usual repeats; `None` where the cases are given, or none would do.
    pub cases: Option<LeastCases>,
    /// Requests sent, retries and judges included.
    pub requests: u64,
    /// What they cost in US dollars; `None` where a price is not known.
    pub cost_usd: Option<f64>,
}

impl GateCalibration {
    /// No two answers to a case were judged differently.
    pub fn is_still(&self) -> bool {
        self.noise.flaky == 0 && self.noise.within == 0.0
    }
}

/// Runs a prompt against itself, context as [`RunKind::AaTest`](crate::eval::RunKind::AaTest), and measures how its answers
/// vary.
///
/// # Errors
/// As for a run; and where it ended early, too many answers are missing, or the judges are too weak, so that nothing can
/// be said.
pub fn gate_calibrate(mut context: EvalContext<'_>, hooks: RunHooks<'_>) -> Result<GateCalibration, Error> {
    let settings = context.settings;
    let store = context.open_store()?;
    let open_run = run_store::open_run(&context, &store, hooks.print)?;
    eval::describe(&context, &store, &open_run)?;
    hooks.interrupt.end_cleanly();
    let mut state = RunState::new(&context, &store, &open_run, hooks);
    eval::request(&context, &mut state)?;
    eval::end_requests(&context, &mut state);
    let mut scores = CaseScores::new(&context);
    let pass = ScorePass::new(&context, &state, AnalysisScope::ALL);
    let scored = pass.score_some(CaseSource::GoldenFiles, &|_, _| true, &mut |_, row| scores.case(row))?;
    let end = &state.end;
    let complete = end.ended == StopReason::Complete && scored.unanswered == 0 && scored.store_failed.is_none();
    let ended = if complete { RunStatus::Complete } else { RunStatus::Incomplete };
    if let Err(error) = store.end(&open_run, ended) {
        // Only --resume would miss it.
        (hooks.print)(&format!("warning: {error}"));
    }
    if scored.stale > 0 {
        (hooks.print)(&format!(
            "warning: {} answers were stored more than a day ago; --cache refresh requests them anew",
            scored.stale
        ));
    }
    context.info.simulated |= scored.simulated > 0 || scored.judge_usage.simulated;
    let comparison = &scored.comparison;
    let ended = match scored.judge_usage.ended {
        Some(ref ended) if end.ended == StopReason::Complete => ended,
        _ => &end.ended,
    };
    if let Some(problem) = unfinished(ended, scored.store_failed.as_deref()) {
        return Err(Error::TooLittle(problem));
    }
    let arms = [&comparison.baseline, &comparison.candidate];
    let (planned, missing) = arms.iter().fold((0, 0), |sum, tally| (sum.0 + tally.planned, sum.1 + tally.missing));
    let most = settings.gate.policy.max_missing;
    let too_many = |planned: u64, missing: u64| missing as f64 > most * planned as f64;
    if scores.cases.len() < LEAST_CASES || arms.iter().any(|arm| too_many(arm.planned, arm.missing)) {
        let first = comparison.errors.first();
        let frequent = first
            .map_or_else(String::new, |(code, message, _)| format!("; the most frequent error: {code}: {message}"));
        return Err(Error::TooLittle(
            Problem::new(format!(
                "{missing} of {planned} answers could not be judged, and {} cases were judged completely, so nothing can be \
                 said about how answers vary{frequent}",
                scores.cases.len()
            ))
            .expected(format!(
                "at least {LEAST_CASES} cases, and at most {}% of the answers missing",
                100.0 * most
            ))
            .hint("--resume requests what is missing"),
        ));
    }
    let deciding =
        context.survey.judge_roles.deciding(&context.judges, &context.calibrations, &scored.judge_usage.served);
    let rule = aa_test::rule(&settings.gate.policy, comparison, &deciding).map_err(|message| {
        Error::TooLittle(Problem::new(format!("with its judges the gate decides nothing: {message}")))
    })?;
    let policy = &settings.gate.policy;
    let resampled = AaTest::new(scores.cases, policy.metric.whole(), policy.estimand, rule, SEED);
    let by_repeats: Vec<(u32, DecisionShares)> = REPEATS.iter().map(|k| (*k, resampled.equal(*k))).collect();
    let enough = |(_, shares): &&(u32, DecisionShares)| shares.promote >= POWER;
    Ok(GateCalibration {
        judged: resampled.cases(),
        missing,
        noise: resampled.noise(),
        margins: (rule.margin, rule.tolerance),
        equal: resampled.equal(context.plan.repeats),
        lost: resampled.after_losing_the_margin(context.plan.repeats),
        repeats: by_repeats.iter().find(enough).map(|(k, _)| *k),
        by_repeats,
        cases: resampled.enough_cases(USUAL_REPEATS).map(|(cases, shares)| LeastCases {
            repeats: USUAL_REPEATS,
            cases,
            promote: shares.promote,
        }),
        requests: end.requests + scored.judge_usage.requests,
        cost_usd: comparison.cost_usd.zip(scored.judge_usage.cost_usd).map(|(answers, judges)| answers + judges),
        run: context.info,
    })
}

/// Why a run that ended so says nothing.
fn unfinished(ended: &StopReason, store_failed: Option<&str>) -> Option<Problem> {
    let why = match (ended, store_failed) {
        (_, Some(message)) => format!("the store can't be read: {message}"),
        (StopReason::StoreFailed(message), None) => format!("the store failed: {message}"),
        (StopReason::Budget(_), None) => "the budget was spent before every answer was there".to_owned(),
        (StopReason::Interrupted, None) => "the run was interrupted".to_owned(),
        (StopReason::Stopped(failure), None) => format!("the run was stopped: {}", failure.message),
        (StopReason::Complete, None) => return None,
    };
    let problem = Problem::new(format!("{why}, so nothing can be said about how answers vary"));
    Some(problem.hint("remove the cause, then --resume"))
}

/// Keeps the scores of the cases that were judged completely. Memory: 8 bytes a repeat, and about 100 bytes a case.
struct CaseScores {
    repeats: usize,
    metric: Metric,
    clusters: BTreeMap<Arc<str>, u32>,
    cases: Vec<AaCase>,
}

impl CaseScores {
    fn new(context: &EvalContext<'_>) -> CaseScores {
        CaseScores {
            repeats: context.plan.repeats as usize,
            metric: context.settings.gate.policy.metric,
            clusters: BTreeMap::new(),
            cases: Vec::new(),
        }
    }

    fn case(&mut self, row: &CaseRow) {
        let Some(((baseline, passed), (candidate, also))) =
            row.baseline.as_ref().and_then(|arm| self.arm(arm)).zip(self.arm(&row.candidate))
        else {
            return;
        };
        let next = self.clusters.len() as u32;
        let cluster = row.case.cluster.as_ref();
        self.cases.push(AaCase {
            weight: row.case.weight,
            cluster: cluster.map(|cluster| *self.clusters.entry(Arc::clone(cluster)).or_insert(next)),
            critical: row.case.critical,
            baseline,
            candidate,
            passed: (passed, also),
        });
    }

    /// Scores in ticks, and how many repeats pass; `None` unless all were judged.
    fn arm(&self, arm: &ArmRow) -> Option<(Vec<u32>, u32)> {
        let mut scores = Vec::with_capacity(self.repeats);
        let mut passed = 0;
        for judged in arm.repeats.iter().take(self.repeats) {
            let score = judged.outcome.score()?;
            passed += u32::from(score.pass);
            scores.push(match self.metric {
                Metric::Pass => u32::from(score.pass),
                // A score is always a number in 0..=1, so at most a million ticks.
                Metric::Score => score_ticks(score.value()).map_or(0, |ticks| ticks as u32),
            });
        }
        (scores.len() == self.repeats).then_some((scores, passed))
    }
}
