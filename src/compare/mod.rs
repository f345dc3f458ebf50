//! Blue and candidate side by side.
//!
//! `ComparisonBuilder` is folded over the judged cases, one `CaseRow` at a time, and ends as a `Comparison`: the numbers a
//! verdict is made of, and nothing else of the cases. Its memory grows with what is distinct (differences, tags, error
//! codes, models), never with the number of cases.
//!
//! Every repeat stands for itself: it scores 1 for a pass and 0 for a fail, or what its checks scored. A case's difference is
//! the mean score of its repeats in the candidate minus that in the baseline, the d of the statistics. An answer that could
//! not be judged is never a pass by right. It is counted twice over, worst for the candidate and best for the candidate, so
//! that the gate can ask whether its decision would stand either way.
//!
//! `repeats.rs` counts the answers of one case, `units.rs` makes of them what is compared; `quarantine.rs`
//! keeps apart what does not decide.

#[cfg(test)]
pub mod fixtures;
mod guards;
mod latency;
mod quarantine;
mod repeats;
mod tags;
mod units;

use crate::domain::{
    ArmRow, Attempts, BaseCases, Case, CaseId, CaseRow, Changes, Comparison, Design, Latency, Outcome, Policy,
    Quarantine, RateSums, ScoredSample, Skip, Source, Tally, WaitTimes,
};
use guards::Guards;
use latency::Latencies;
use quarantine::QuarantineTally;
use repeats::Repeats;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tags::Tags;
use units::UnitSums;

/// Ids kept in each list, for messages.
const IDS: usize = 20;
/// Distinct error codes that are counted, and how many of them are told.
const CODES: usize = 64;
const MAX_CODES_SHOWN: usize = 5;
/// Names of served models kept per arm.
const MODELS: usize = 20;
/// Characters kept of a text that comes from outside.
const TEXT: usize = 300;

#[derive(Clone, Debug)]
pub struct ComparisonBuilder {
    design: Design,
    comparison: Comparison,
    compared: UnitSums,
    tags: Tags,
    guards: Guards,
    quarantine: QuarantineTally,
    baseline: ArmSums,
    candidate: ArmSums,
    /// Of what this run asked for.
    cost: Option<PicoDollars>,
    /// Of all answers.
    answers_cost: Option<PicoDollars>,
    waits: Latencies,
    /// By code: the first message, and how often.
    errors: BTreeMap<String, (String, u64)>,
    at_base: Option<Box<AtBase>>,
}

/// The comparison over the cases of the policy base.
#[derive(Clone, Debug)]
struct AtBase {
    cases: Arc<BaseCases>,
    /// The difference was accepted, so the cases count as they do today.
    accepted: bool,
    comparing: ComparisonBuilder,
}

/// Money as an integer, so that the order of answers can't change a digit of the sum.
#[derive(Clone, Copy, Debug, Default)]
struct PicoDollars(i128);

/// Sums over the answers of one arm that the comparison does not carry itself.
#[derive(Clone, Debug, Default)]
struct ArmSums {
    /// Of fully judged cases.
    rate: RateSums,
    latencies: Latencies,
    served: BTreeSet<String>,
}

impl ComparisonBuilder {
    /// Starts with what the plan knows. Only where both arms render the same requests may `Skip::Identical` stand for "no
    /// difference".
    pub fn new(design: Design) -> ComparisonBuilder {
        ComparisonBuilder {
            design,
            comparison: Comparison {
                repeats: design.repeats,
                has_baseline: design.baseline,
                identical: design.identical && design.baseline,
                metric: design.metric,
                estimand: design.estimand,
                ..Comparison::default()
            },
            compared: UnitSums::new(design),
            tags: Tags::new(design),
            guards: Guards::default(),
            quarantine: QuarantineTally::default(),
            baseline: ArmSums::default(),
            candidate: ArmSums::default(),
            cost: Some(PicoDollars::default()),
            answers_cost: Some(PicoDollars::default()),
            waits: Latencies::default(),
            errors: BTreeMap::new(),
            at_base: None,
        }
    }

    /// Looks at what this policy asks for: its critical tags, whatever others there are, and latencies where a guardrail is
    /// declared for them.
    #[must_use]
    pub fn with_policy(mut self, policy: &Policy) -> ComparisonBuilder {
        self.tags.require(&policy.critical_tags);
        if let Some(allowed) = policy.guardrails.latency_p95 {
            self.guards.with_latency(allowed);
        }
        self
    }

    /// Keeps the cases in quarantine apart: they are counted, and enter nothing else that decides. What they cost and took, the
    /// models that served them, and whether they were asked at all belongs to the run like that of any other.
    #[must_use]
    pub fn with_quarantine(mut self, quarantine: Quarantine) -> ComparisonBuilder {
        self.quarantine = QuarantineTally::new(quarantine);
        self
    }

    /// Folds the cases of the policy base into a comparison of their own, with what they count as there; where the
    /// difference was accepted, with what they count as today.
    #[must_use]
    pub fn with_base_cases(self, changes: &Changes) -> ComparisonBuilder {
        let accepted = changes.accepted.is_some();
        let at_base = changes.cases.clone().map(|cases| Box::new(AtBase { cases, accepted, comparing: self.clone() }));
        ComparisonBuilder { at_base, ..self }
    }

    /// Adds one case. Rows come in plan order, which decides only which ids and messages the bounded lists keep.
    ///
    /// An arm with fewer repeats than planned misses the others; repeats beyond the plan do not enter the statistics.
    pub fn add(&mut self, row: &CaseRow) {
        self.fold(row, ComparisonBuilder::add_as);
    }

    /// Adds one case that the decision does not go by, because the run was decided before its look. It enters no statistic
    /// and misses nothing; a must-pass case was asked all the same, and has to pass.
    pub fn add_unanalyzed(&mut self, row: &CaseRow) {
        self.fold(row, ComparisonBuilder::add_unanalyzed_as);
    }

    /// Adds a row, and once more as the case counts at the policy base if it exists there.
    fn fold(&mut self, row: &CaseRow, add: fn(&mut ComparisonBuilder, &Case, &CaseRow)) {
        add(self, &row.case, row);
        if let Some(AtBase { cases, accepted, comparing }) = self.at_base.as_deref_mut()
            && let Some(then) = cases.get(&row.case.id)
        {
            let mut case = row.case.clone();
            if !*accepted {
                then.restore(&mut case);
            }
            add(comparing, &case, row);
        }
    }

    fn add_as(&mut self, case: &Case, row: &CaseRow) {
        self.comparison.counts.add(row.candidate.outcome());
        let candidate = Repeats::count(Some(&row.candidate), &self.design);
        let baseline = self.comparison.has_baseline.then(|| Repeats::count(row.baseline.as_ref(), &self.design));
        if self.quarantine.contains(case) {
            self.quarantine.add(case, row, baseline.as_ref(), &candidate);
        } else {
            self.add_deciding(case, row, baseline.as_ref(), &candidate);
        }
        if case.critical && candidate.identical == 0 {
            self.must_pass(&case.id, &row.candidate);
        }
        for counted in [Some(candidate), baseline].into_iter().flatten() {
            self.comparison.over_budget += u64::from(counted.over_budget);
            self.comparison.not_asked += u64::from(counted.not_asked);
        }
        self.add_answers(row);
    }

    fn add_unanalyzed_as(&mut self, case: &Case, row: &CaseRow) {
        self.comparison.counts.add(row.candidate.outcome());
        if self.quarantine.contains(case) {
            self.quarantine.count(case, row);
        }
        let answers = row.baseline.iter().chain([&row.candidate]).flat_map(|arm| &arm.repeats);
        let spared = answers.filter(|judged| judged.outcome == Outcome::Skipped(Skip::Decided));
        self.comparison.unlooked.cases += 1;
        self.comparison.unlooked.answers += spared.count() as u64;
        if case.critical {
            self.must_pass(&case.id, &row.candidate);
        }
        self.add_answers(row);
    }

    fn add_answers(&mut self, row: &CaseRow) {
        let baseline = row.baseline.as_ref().filter(|_| self.comparison.has_baseline);
        for judged in baseline.iter().flat_map(|arm| &arm.repeats) {
            self.comparison.baseline.cached += u64::from(judged.source == Some(Source::Cache));
            self.baseline.add_answer(judged);
            self.add_answer(judged);
        }
        for judged in &row.candidate.repeats {
            self.comparison.candidate.cached += u64::from(judged.source == Some(Source::Cache));
            self.candidate.add_answer(judged);
            self.add_answer(judged);
        }
    }

    pub fn finish(self) -> Comparison {
        let mut comparison = self.comparison;
        comparison.at_base = self.at_base.map(|at_base| Box::new(at_base.comparing.finish()));
        comparison.tags_left_out = self.tags.left_out();
        comparison.slices = self.tags.slices(self.compared.common());
        self.compared.finish(&mut comparison);
        let (baseline, candidate) = (self.baseline, self.candidate);
        comparison.baseline_rate = baseline.rate;
        comparison.candidate_rate = candidate.rate;
        comparison.latency_ms = (baseline.latencies.percentiles(), candidate.latencies.percentiles());
        let Latency { p50, p95, p99: _ } = self.waits.percentiles();
        comparison.waited_ms = WaitTimes { p50, p95, ..comparison.waited_ms };
        comparison.baseline_served = baseline.served.into_iter().collect();
        comparison.candidate_served = candidate.served.into_iter().collect();
        comparison.guards = self.guards.finish();
        comparison.quarantine = self.quarantine.finish();
        comparison.cost_usd = self.cost.map(PicoDollars::usd);
        comparison.answers_cost_usd = self.answers_cost.map(PicoDollars::usd);
        comparison.errors = self.errors.into_iter().map(|(code, (message, count))| (code, message, count)).collect();
        // Stable: among equally frequent ones the code's name decides.
        comparison.errors.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        comparison.errors.truncate(MAX_CODES_SHOWN);
        comparison
    }

    /// Enters a case into everything that decides.
    fn add_deciding(&mut self, case: &Case, row: &CaseRow, baseline: Option<&Repeats>, candidate: &Repeats) {
        self.comparison.candidate.add(candidate);
        self.candidate.add_case(case, candidate);
        if let Some(baseline) = baseline {
            self.comparison.baseline.add(baseline);
            self.baseline.add_case(case, baseline);
            self.pair(case, baseline, candidate);
            let lost = ArmRow { repeats: Vec::new() };
            let baseline = row.baseline.as_ref().unwrap_or(&lost);
            self.guards.add(baseline, &row.candidate, self.design.repeats);
        } else {
            self.count_alone(case, candidate);
        }
        if candidate.missing + baseline.map_or(0, |baseline| baseline.missing) > 0 {
            push_bounded(&mut self.comparison.missing, &case.id);
        }
    }

    /// Enters a case into the paired statistics. A case of which a repeat was left out as identical has no difference
    /// to test, and is no evidence either.
    fn pair(&mut self, case: &Case, baseline: &Repeats, candidate: &Repeats) {
        if baseline.identical > 0 || candidate.identical > 0 {
            return;
        }
        self.compared.pair(case, baseline, candidate);
        let k = self.comparison.repeats;
        self.tags.add(case, Some(baseline), candidate);
        if k == 0 || baseline.missing > 0 || candidate.missing > 0 {
            return;
        }

        self.comparison.within.0 += baseline.variation();
        self.comparison.within.1 += candidate.variation();
        let paired = &mut self.comparison.paired;
        paired.n += 1;
        match candidate.sum.cmp(&baseline.sum) {
            Ordering::Less => {
                paired.regressed += 1;
                push_bounded(&mut self.comparison.regressed, &case.id);
            }
            Ordering::Equal if candidate.passed == k && baseline.passed == k => paired.both_pass += 1,
            Ordering::Equal => paired.both_fail += 1,
            Ordering::Greater => paired.improved += 1,
        }
    }

    fn count_alone(&mut self, case: &Case, candidate: &Repeats) {
        self.compared.alone(case, candidate);
        if self.comparison.repeats > 0 && candidate.identical == 0 {
            self.tags.add(case, None, candidate);
        }
    }

    /// Notes how a must-pass case fared. Here every repeat counts, also one beyond the plan.
    fn must_pass(&mut self, id: &CaseId, candidate: &ArmRow) {
        let attempts = Attempts::of(candidate, self.comparison.repeats);
        let alike = self.comparison.must_pass.entry(attempts).or_default();
        alike.cases += 1;
        push_bounded(&mut alike.ids, id);
    }

    /// Adds what an answer took and cost, and its error.
    fn add_answer(&mut self, judged: &ScoredSample) {
        if let Some(answer) = &judged.answer {
            self.comparison.usage.add(&answer.usage);
        }
        // Attempts of a cached or recorded answer were made by another run, and so was the waiting.
        match judged.source {
            Some(Source::Live) | None => {
                self.comparison.requests += u64::from(judged.attempts);
                self.comparison.retries += u64::from(judged.attempts.saturating_sub(1));
                if let Some(waited_ms) = judged.waited_ms {
                    self.waits.add(waited_ms);
                    let WaitTimes { max, total, .. } = &mut self.comparison.waited_ms;
                    *max = waited_ms.max(*max);
                    *total = total.saturating_add(waited_ms);
                }
            }
            Some(Source::Cache | Source::Recorded) => {}
        }
        if judged.answer.is_some() {
            if judged.source == Some(Source::Live) {
                self.cost = PicoDollars::plus(self.cost, judged.cost_usd);
            }
            self.answers_cost = PicoDollars::plus(self.answers_cost, judged.cost_usd);
        }
        match &judged.outcome {
            Outcome::Scored(_) | Outcome::Skipped(_) => {}
            Outcome::Errored(failure) => {
                let code = clip(&failure.code);
                if let Some((_, count)) = self.errors.get_mut(&code) {
                    *count += 1;
                } else if self.errors.len() < CODES {
                    self.errors.insert(code, (clip(&failure.message), 1));
                }
            }
        }
    }
}

impl PicoDollars {
    /// A sum with an unknown part is unknown.
    fn plus(sum: Option<PicoDollars>, usd: Option<f64>) -> Option<PicoDollars> {
        let (PicoDollars(sum), usd) = (sum?, usd?);
        Some(PicoDollars(sum.saturating_add((usd * 1e12).round() as i128)))
    }

    fn usd(self) -> f64 {
        self.0 as f64 / 1e12
    }
}

impl ArmSums {
    fn add_case(&mut self, case: &Case, repeats: &Repeats) {
        if repeats.scored > 0 && repeats.scored == repeats.planned() {
            let weight = u64::from(case.weight);
            self.rate.size += weight;
            self.rate.squares += u128::from(weight * weight);
            self.rate.passes += weight * u64::from(repeats.passed);
        }
    }

    fn add_answer(&mut self, judged: &ScoredSample) {
        let Some(answer) = &judged.answer else { return };
        match judged.source {
            // A stored answer took as long as it took when it was asked for; reports say how many those are.
            Some(Source::Live | Source::Cache) if answer.batched => {}
            Some(Source::Live | Source::Cache) => self.latencies.add(answer.latency_ms),
            // A recording need not know how long the answer took.
            Some(Source::Recorded) if answer.latency_ms > 0 => self.latencies.add(answer.latency_ms),
            Some(Source::Recorded) | None => {}
        }
        if let Some(model) = &answer.model_version {
            if !self.served.contains(model.as_str()) {
                self.served.insert(clip(model));
            }
            // The first by name stay, so that the order of answers does not matter.
            if self.served.len() > MODELS {
                self.served.pop_last();
            }
        }
    }
}

impl Tally {
    fn add(&mut self, repeats: &Repeats) {
        self.planned += u64::from(repeats.planned() - repeats.identical);
        self.scored += u64::from(repeats.scored);
        self.passed += u64::from(repeats.passed);
        self.missing += u64::from(repeats.missing);
        self.refused += u64::from(repeats.refused);
    }
}

fn push_bounded(ids: &mut Vec<CaseId>, id: &CaseId) {
    if ids.len() < IDS {
        ids.push(id.clone());
    }
}

fn clip(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

#[cfg(test)]
mod tests;
