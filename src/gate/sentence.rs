//! What a verdict means, in one sentence for people who decide about a product and know no statistics. The rule, the numbers
//! and the interval stand in the reasons' messages; none of their terms are used here.
//!
//! It is made from the decision and its first reason. It may quote names, ids and tags from outside, so a reporter makes it
//! safe.

use super::must_pass::{self, MustPassStatus};
use super::{GateDecision, RunContext, phrases};
use crate::domain::{
    Comparison, Decision, GuardMetric, GuardStatus, Guardrail, Policy, Reason, ReasonCode, SampleSize, SliceGate,
};

const MAX_NAMED: usize = 3;

/// What the sentence tells of the run besides what was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentenceContext<'a> {
    pub candidate: &'a str,
    pub baseline: Option<&'a str>,
    /// The candidate is an edit, in place, of what was promoted under its name.
    pub edited: bool,
    pub simulated: bool,
    /// Answers were recorded earlier.
    pub replayed: bool,
    /// Golden cases that were run, and all there are.
    pub cases: (u64, u64),
    pub promotable: bool,
    pub rehearsal: bool,
}

pub fn sentence(
    context: &SentenceContext<'_>,
    policy: &Policy,
    facts: &RunContext<'_>,
    comparison: &Comparison,
    decided: &GateDecision,
) -> String {
    // What blocks over the cases of the base alone is told with the numbers of there.
    let there = comparison.at_base.as_deref().zip(decided.at_base.as_deref());
    let there = there.filter(|_| decided.decision == Decision::Block);
    let (comparison, decided) = there.unwrap_or((comparison, decided));
    let (candidate, as_promoted) = match phrases::quoted(context.candidate) {
        name if context.edited => (format!("the edited {name}"), " as promoted"),
        name => (name, ""),
    };
    let sentence = Sentence {
        candidate,
        baseline: context.baseline.map_or_else(|| "the baseline".to_owned(), phrases::quoted) + as_promoted,
        policy,
        facts,
        comparison,
        decided,
    };
    let because = decided.reasons.first().map(|first| sentence.because(first));
    let because = because.unwrap_or_else(|| "nothing speaks for it".to_owned());
    let lead = sentence.lead(context.promotable);
    let base = if there.is_some() { ", in the cases that were there before this change" } else { "" };
    let but = doubts(context, decided.decision);
    let rehearsal = if context.rehearsal { "Rehearsal: " } else { "" };
    format!("{rehearsal}{lead}: {because}{base}{but}.")
}

struct Sentence<'a> {
    candidate: String,
    baseline: String,
    policy: &'a Policy,
    facts: &'a RunContext<'a>,
    comparison: &'a Comparison,
    decided: &'a GateDecision,
}

impl Sentence<'_> {
    fn lead(&self, promotable: bool) -> String {
        let candidate = &self.candidate;
        match (self.decided.decision, self.decided.reasons.first().map(|first| first.code)) {
            (Decision::Promote, _) if promotable => format!("{candidate} may go live"),
            (Decision::Promote, _) | (Decision::Inconclusive, Some(ReasonCode::NotPromotable)) => {
                format!("{candidate} may not go live on this run")
            }
            (Decision::Block, _) => format!("{candidate} must not go live"),
            (Decision::Unchanged, _) => format!("Nothing to promote in {candidate}"),
            (Decision::Inconclusive, Some(ReasonCode::NotGated)) => format!("Nothing was decided about {candidate}"),
            (
                Decision::Inconclusive,
                Some(ReasonCode::Weakened | ReasonCode::BaseCases | ReasonCode::EarlierLook | ReasonCode::AttemptsLost),
            ) => format!("{candidate} may not go live yet"),
            (Decision::Inconclusive, _) => format!("Not enough is known about {candidate} yet"),
        }
    }

    fn because(&self, first: &Reason) -> String {
        let Sentence { candidate, baseline, policy, comparison, decided, .. } = self;
        let cases = phrases::cases(comparison);
        let required = phrases::percent(policy.min_pass_rate.unwrap_or(0.0));
        match first.code {
            ReasonCode::NotWorse => format!(
                "over {cases} it answers {} {baseline}, and a loss of {} or more can be ruled out",
                match decided.difference {
                    Some(difference) if difference.low > 0.0 => "better than",
                    Some(_) | None => "at least about as well as",
                },
                phrases::points(policy.margin)
            ),
            ReasonCode::Identical => format!("it sends the model exactly what {baseline} sends"),
            ReasonCode::PassRate => format!("over {cases} it gets at least the required {required} right"),
            ReasonCode::Critical => format!("it fails {}", self.must_pass(MustPassStatus::Fails, first)),
            ReasonCode::Regression => format!(
                "over {cases} it answers worse than {baseline} ({} got worse, {} got better), by more than the {} that may be lost",
                comparison.paired.regressed,
                comparison.paired.improved,
                phrases::points(policy.tolerance)
            ),
            ReasonCode::PassRateLow => format!("over {cases} it gets less than the required {required} right"),
            ReasonCode::CandidateErrors => format!(
                "the service refuses its requests, {} of them, against {} of {baseline}",
                comparison.candidate.refused, comparison.baseline.refused
            ),
            ReasonCode::Guardrail => format!(
                "compared with {baseline}, {} than is allowed",
                guardrails(&decided.guardrails, &[GuardStatus::Block], "and")
            ),
            ReasonCode::Slice => format!(
                "it got worse for {}, whatever the average says",
                self.tags(SliceGate::Block)
            ),
            ReasonCode::CriticalUnscored => format!(
                "it is not certain that it passes {}",
                self.must_pass(MustPassStatus::Open, first)
            ),
            ReasonCode::Errors => format!(
                "{} of {} could not be judged, too many to decide without them",
                comparison.candidate.missing + comparison.baseline.missing,
                phrases::count(comparison.candidate.planned + comparison.baseline.planned, "answer")
            ),
            ReasonCode::TooFew => self.too_few(&cases, &required),
            ReasonCode::GuardrailOpen => format!(
                "compared with {baseline}, it is not clear whether {} than is allowed",
                guardrails(&decided.guardrails, &[GuardStatus::Hold, GuardStatus::Unknown], "or")
            ),
            ReasonCode::SliceOpen => format!("it may have got worse for {}", self.tags(SliceGate::Hold)),
            ReasonCode::Budget => "the budget was spent before all answers were there".to_owned(),
            ReasonCode::Stopped => "the run ended before all answers were there".to_owned(),
            ReasonCode::Shard => "this is one part of a divided run, and only all parts together can decide".to_owned(),
            ReasonCode::NothingScored => match (comparison.candidate.scored, comparison.baseline.scored) {
                (1.., 0) if comparison.has_baseline => format!("not one answer of {baseline} could be judged"),
                (_, _) => "not one of its answers could be judged".to_owned(),
            },
            ReasonCode::ServedModel => "another model answered than the one that was requested".to_owned(),
            ReasonCode::MixedModels => {
                format!("different models answered for {candidate} and for {baseline}, so a difference may be theirs")
            }
            ReasonCode::NothingPassed => {
                "not one of its answers is right, so the service, the cases or the checks may be broken".to_owned()
            }
            ReasonCode::JudgeWeak => {
                "the model that judges its answers errs too often, or is not known well enough, to be relied on"
                    .to_owned()
            }
            ReasonCode::JudgeStale => {
                "the model that judges its answers is not the one whose judgements were checked by people".to_owned()
            }
            ReasonCode::JudgeLenient => {
                "it seems good enough, but the model that judges its answers lets too many bad ones pass".to_owned()
            }
            ReasonCode::Store => "the disk failed midway, so answers may be lost".to_owned(),
            ReasonCode::Weakened => format!(
                "its tests ask for less than they did ({}), and no one has accepted that",
                phrases::count(self.facts.changes.unaccepted().len() as u64, "change")
            ),
            ReasonCode::BaseCases => {
                "the cases that were there before this change don't show it, whatever was added beside them".to_owned()
            }
            ReasonCode::EarlierLook => {
                "an earlier run of the very same test came to another result, and asking again until it is green proves nothing"
                    .to_owned()
            }
            ReasonCode::AttemptsLost => {
                "the test was run before, and what came of it is not known here".to_owned()
            }
            ReasonCode::NotPromotable => "in CI only a verdict that can be acted on passes".to_owned(),
            ReasonCode::NotGated if !self.facts.gated => "no decision was requested".to_owned(),
            ReasonCode::NotGated if !comparison.has_baseline && policy.min_pass_rate.is_none() => {
                "there is neither another prompt to compare it with nor a share of right answers that it must reach"
                    .to_owned()
            }
            ReasonCode::NotGated => "the rules to decide by are not valid".to_owned(),
        }
    }

    fn too_few(&self, cases: &str, required: &str) -> String {
        let margin = self.decided.judges.scale.map_or(self.policy.margin, |scale| scale.margin_scaled);
        let open = match &self.decided.difference {
            _ if !self.comparison.has_baseline => {
                format!("{cases} can't tell whether it gets the required {required} right")
            }
            Some(difference) if difference.low > -margin => format!(
                "over {cases} a loss of {} or more is ruled out, but it has probably lost more than the {} that may be lost",
                phrases::points(margin),
                phrases::points(self.policy.tolerance)
            ),
            Some(difference) => format!(
                "over {cases} a loss of {} or more is ruled out; the limit is {}",
                phrases::points(-difference.low),
                phrases::points(margin)
            ),
            None => format!(
                "{cases} can't tell whether it is as good as {} or worse by {}",
                self.baseline,
                phrases::points(margin)
            ),
        };
        match &self.decided.needed {
            Some(needed) => format!("{open}; {} would probably settle it", self.remedies(needed)),
            None => format!("{open}, and it is too close for any affordable number of cases"),
        }
    }

    /// What would settle it, the fewest answers first: `asking each of these 5 times (800 more answers, about $0.40), or ...`.
    fn remedies(&self, needed: &SampleSize) -> String {
        let comparison = self.comparison;
        let arms = 1 + u64::from(comparison.has_baseline);
        let (now, repeats) = (comparison.counts.cases, comparison.repeats);
        let of_answer = |cost: f64| cost / (comparison.baseline.planned + comparison.candidate.planned).max(1) as f64;
        let cost = comparison.answers_cost_usd.map(of_answer).filter(|cost| *cost > 0.0);
        let mut remedies = vec![(
            needed.cases.saturating_sub(now).saturating_mul(arms * u64::from(repeats)),
            format!("about {} cases", needed.cases),
        )];
        if let Some(more) = needed.repeats {
            let answers = u64::from(more.saturating_sub(repeats)) * now * arms;
            remedies.push((answers, format!("asking each of these {more} times")));
        }
        remedies.sort();
        let told: Vec<String> = remedies
            .into_iter()
            .map(|(answers, what)| {
                let cost = cost.map_or_else(String::new, |cost| format!(", about ${:.2}", cost * answers as f64));
                format!("{what} ({answers} more answers{cost})")
            })
            .collect();
        told.join(", or ")
    }

    /// `2 cases that must always pass (a, b)`.
    fn must_pass(&self, standing: MustPassStatus, reason: &Reason) -> String {
        let n = must_pass::cases(self.comparison, self.facts.confirms, standing);
        let ids = reason.cases.iter().map(|id| phrases::quoted(id.as_str()));
        let named = match phrases::list(ids, n, MAX_NAMED) {
            names if names.is_empty() => String::new(),
            names => format!(" ({names})"),
        };
        format!("{} that must always pass{named}", phrases::count(n, "case"))
    }

    /// `cases tagged a, b`: tags of which the gate says so, and critical ones that no case has.
    fn tags(&self, gate: SliceGate) -> String {
        let slices = &self.decided.slices;
        let said = slices.iter().filter(|slice| slice.gate == gate).map(|slice| &slice.tag);
        let absent = self
            .policy
            .critical_tags
            .iter()
            .filter(|tag| gate == SliceGate::Hold && !slices.iter().any(|slice| slice.tag == **tag));
        let tags: Vec<String> = said.chain(absent).map(|tag| phrases::quoted(tag)).collect();
        let n = tags.len() as u64;
        format!("cases tagged {}", phrases::list(tags, n, MAX_NAMED))
    }
}

/// `it costs more and it refuses to answer more often`.
fn guardrails(all: &[Guardrail], statuses: &[GuardStatus], and: &str) -> String {
    let worse: Vec<&str> = all
        .iter()
        .filter(|guardrail| statuses.contains(&guardrail.status))
        .map(|guardrail| match guardrail.metric {
            GuardMetric::LatencyP95 => "its slow answers take longer",
            GuardMetric::Cost => "it costs more",
            GuardMetric::OutputTokens => "its answers are longer",
            GuardMetric::RefusalRate => "it refuses to answer more often",
            GuardMetric::TruncationRate => "its answers are cut off more often",
        })
        .collect();
    match worse.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} {and} {last}", rest.join(", ")),
        None => "it got worse".to_owned(),
    }
}

/// Why the sentence is less than it seems.
fn doubts(context: &SentenceContext<'_>, decision: Decision) -> String {
    let mut doubts = Vec::new();
    if context.simulated {
        doubts.push("the simulator answered, so this proves nothing about the model".to_owned());
    } else if context.replayed {
        doubts.push("the answers were recorded earlier, so this proves nothing about the model of today".to_owned());
    }
    let (run, total) = context.cases;
    if run < total {
        doubts.push(format!("only {run} of {} were run", phrases::count(total, "case")));
    }
    let promote = decision == Decision::Promote;
    if doubts.is_empty() && promote && !context.promotable {
        doubts.push("this run alone is not enough for that".to_owned());
    }
    match (doubts.is_empty(), promote) {
        (true, _) => String::new(),
        (false, true) => format!(", but {}", doubts.join(", and ")),
        (false, false) => format!("; besides, {}", doubts.join(", and ")),
    }
}

#[cfg(test)]
mod tests;
