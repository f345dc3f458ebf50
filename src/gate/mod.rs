//! The gate: policy and comparison in, decision out. Pure, total, and it fails closed: what is not known to be good is not
//! promoted.
//!
//! It collects reasons, each of which speaks for one decision:
//!
//! 1. `validity`: is the run complete, and were enough answers scored?
//! 2. `must_pass`: do the must-pass cases pass?
//! 3. `effect`: is a loss beyond the tolerance shown (block), or a loss of the margin excluded (promote)? Without a baseline:
//!    the pass rate against the required one.
//! 4. `slices`: do the cases of a tag get worse, whatever the average says?
//! 5. `guardrails`: does the candidate cost more, take longer or refuse more often than is allowed?
//!
//! Before all that, golden data, checks or rules weaker than those of the policy base are a reason to wait (`policy_diff`), and
//! whatever a change adds, it is decided once more over the cases of the base.
//! Answers of another model than requested decide nothing with a strict policy, different models in the two arms only the
//! must-pass cases (`served_models`). Errors of judges scale the margins, and too many of them decide nothing (`judge_error`).
//!
//! Any reason to block blocks, else any reason to wait waits, else a reason to promote promotes. Missing answers count against
//! the candidate where it would be promoted and for it where it would be blocked, so that they can only move a verdict
//! towards inconclusive.
//!
//! Before a run `power` estimates what it can decide, after it `sample_size` what would settle it; `aa_test` and `simulate` tell
//! how often the rule decides what. `sentence` puts a verdict into plain words. `docs/gate.md` tells what the rules guarantee.

pub mod aa_test;
mod effect;
#[cfg(test)]
mod fixtures;
mod guardrails;
pub mod judge_error;
mod looks;
pub mod must_pass;
mod phrases;
mod policy;
mod policy_diff;
pub mod power;
mod quarantine;
mod rule_changes;
pub mod sample_size;
mod sentence;
mod served_models;
pub mod simulate;
mod slices;
mod statistics;
mod validity;

pub use crate::domain::Completion;
pub use looks::policy_for_look;
pub use policy::policy_digest;
pub use rule_changes::rule_changes;
pub use sentence::{SentenceContext, sentence};

use crate::domain::{
    ArmRate, Changes, Comparison, DecidingJudges, Decision, Difference, Guardrail, JudgeEvidence, Look, LooksBefore,
    Policy, Reason, ReasonCode, SampleSize, Slice, Warning, WarningCode, ZScores,
};
use judge_error::JudgeEffect;
use looks::Levels;
use statistics::Statistics;

const IDS: usize = 20;

/// What the gate must know of the run besides its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunContext<'a> {
    /// A decision was asked for; false with `--no-gate`.
    pub gated: bool,
    pub whole_run: Completion,
    /// A must-pass case that failed was asked again; false where nobody can ask, as with recorded answers.
    pub confirms: bool,
    /// The models asked for: baseline, candidate.
    pub models: (Option<&'a str>, &'a str),
    pub judges: Option<&'a DecidingJudges>,
    /// What changed since the policy base.
    pub changes: &'a Changes,
    pub look: &'a Look,
    pub before: &'a LooksBefore,
    /// Why a promote may not pass here.
    pub withheld: Option<&'a str>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct GateDecision {
    pub decision: Decision,
    /// Never empty; the most important first.
    pub reasons: Vec<Reason>,
    /// Candidate minus baseline; `None` without a case scored in both arms.
    pub difference: Option<Difference>,
    /// The two test statistics; `None` without a baseline or without cases. Always finite.
    pub z: Option<ZScores>,
    /// Pass rate of the baseline; `None` without a fully scored case.
    pub baseline_rate: Option<ArmRate>,
    /// Pass rate of the candidate; `None` without a fully scored case.
    pub candidate_rate: Option<ArmRate>,
    /// What would settle it; only when it is inconclusive for want of data.
    pub needed: Option<SampleSize>,
    /// What a reader has to know besides; decides nothing.
    pub warnings: Vec<Warning>,
    /// The judges that decide cases, and what their errors do to the margins.
    pub judges: JudgeEvidence,
    /// What the look at the answers came to, also where no decision was requested; `None` if the run was not whole, or how
    /// the prompts differ was not looked at.
    pub look_decision: Option<Decision>,
    pub slices: Vec<Slice>,
    pub guardrails: Vec<Guardrail>,
    /// What is decided over the cases of the policy base; only where reasons come from there.
    pub at_base: Option<Box<GateDecision>>,
}

/// Decides.
///
/// Never promotes without data, with a failed or unjudged must-pass case, with more answers missing than the policy
/// allows, on an incomplete run, when not gated, or under a policy that [`Policy::check`] refuses.
pub fn decide(policy: &Policy, comparison: &Comparison, facts: &RunContext<'_>) -> GateDecision {
    if let Err(problems) = policy.check() {
        let reason = reason(ReasonCode::NotGated, phrases::invalid_policy(&problems));
        return GateDecision::without_numbers(reason, slices::unanalyzed(comparison));
    }
    let levels = Levels::of(policy, facts.look).filter(|_| looks::allows_unanalyzed(facts.look, comparison));
    let Some(levels) = levels else {
        let reason = reason(ReasonCode::NotGated, phrases::no_such_look(facts.look));
        return GateDecision::without_numbers(reason, slices::unanalyzed(comparison));
    };
    let at_base = decide_at_base(policy, comparison, facts);
    let judges = judge_error::assess(policy, comparison, facts.judges);
    let policy = &levels.apply(&judges.policy);
    let statistics = Statistics::of(policy, &levels, comparison);
    let served = served_models::check(policy, comparison, facts.models);
    let mut reasons: Vec<Reason> = validity::completeness(comparison, facts.whole_run).into_iter().collect();
    reasons.extend(policy_diff::weaker(facts.changes));
    reasons.extend(looks::earlier_look(facts.before));
    let (slices, guardrails) = (slices::unanalyzed(comparison), guardrails::unanalyzed(policy, comparison));
    let mut findings = Findings { reasons, needed: None, slices, guardrails };
    if let Some(foreign) = served.foreign {
        findings.reasons.push(foreign);
    } else if is_identical(comparison) {
        findings.reasons.extend(must_pass::reasons(comparison, facts.confirms));
        findings.reasons.push(validity::identical(comparison));
    } else {
        let analysis =
            Analysis { policy, levels: &levels, judges: &judges, statistics: &statistics, comparison, facts };
        analysis.analyze(served.mixed, &mut findings);
    }

    let Findings { mut reasons, needed, slices, guardrails } = findings;
    let found = at_base.as_ref().map_or_else(Vec::new, |at_base| policy_diff::at_base(&reasons, at_base));
    let at_base = at_base.filter(|_| !found.is_empty()).map(Box::new);
    reasons.extend(found);
    let mut decision = combine(&reasons);
    let look_decision = looks::decision_of_look(decision, &reasons);
    if decision == Decision::Promote
        && let Some(why) = facts.withheld
    {
        reasons.push(validity::not_promotable(&reasons, why));
        decision = Decision::Inconclusive;
    }
    let decided = GateDecision {
        decision,
        reasons: relevant(reasons, decision),
        difference: statistics.difference,
        z: statistics.z,
        baseline_rate: statistics.baseline_rate,
        candidate_rate: statistics.candidate_rate,
        needed: needed.filter(|_| decision == Decision::Inconclusive),
        warnings: served
            .warnings
            .into_iter()
            .chain(must_pass::flaky(comparison, facts.confirms))
            .chain(judges.warnings)
            .chain(tags_left_out(comparison))
            .chain(quarantine::warnings(comparison))
            .collect(),
        judges: judges.found,
        look_decision,
        slices,
        guardrails,
        at_base,
    };
    if facts.gated { decided } else { decided.not_gated() }
}

/// Both arms send the same requests, and some case decides.
fn is_identical(comparison: &Comparison) -> bool {
    let arms_are_one = comparison.identical && comparison.has_baseline;
    arms_are_one && comparison.counts.cases > 0 && !quarantine::is_everything(comparison)
}

/// What was found so far.
struct Findings {
    reasons: Vec<Reason>,
    needed: Option<SampleSize>,
    slices: Vec<Slice>,
    guardrails: Vec<Guardrail>,
}

/// The analysis of the answers, under the rules as they read at this look and on the judges' scale.
struct Analysis<'a> {
    policy: &'a Policy,
    levels: &'a Levels,
    judges: &'a JudgeEffect,
    statistics: &'a Statistics,
    comparison: &'a Comparison,
    facts: &'a RunContext<'a>,
}

impl Analysis<'_> {
    /// Must-pass cases, then the effect, tags and guardrails, unless the arms were answered by `mixed` models.
    fn analyze(&self, mixed: Option<Reason>, findings: &mut Findings) {
        let Analysis { policy, comparison, facts, .. } = self;
        findings.reasons.extend(validity::enough_scored(policy, comparison));
        findings.reasons.extend(validity::nothing_passed(comparison));
        let settled = [ReasonCode::Weakened, ReasonCode::EarlierLook, ReasonCode::AttemptsLost];
        let incomplete = findings.reasons.iter().any(|reason| !settled.contains(&reason.code));
        findings.reasons.extend(must_pass::reasons(comparison, facts.confirms));
        if let Some(mixed) = mixed {
            findings.reasons.push(mixed);
            return;
        }
        let mut secondary = Vec::new();
        if let Some(weak) = &self.judges.weak {
            findings.reasons.push(weak.clone());
        } else {
            self.analyze_effect(incomplete, findings);
            if comparison.has_baseline {
                let found = slices::analyze(policy, self.levels, comparison);
                findings.slices = found.slices;
                secondary = found.reasons;
            }
        }
        let measured = guardrails::measure(policy, comparison);
        findings.guardrails = measured.guardrails;
        secondary.extend(measured.reasons);
        secondary.retain(|reason| !incomplete || speaks_for(reason.code) == Decision::Block);
        findings.reasons.extend(secondary);
    }

    fn analyze_effect(&self, incomplete: bool, findings: &mut Findings) {
        let comparison = self.comparison;
        let (mut reason, advice) = if comparison.has_baseline { effect::paired(self) } else { effect::absolute(self) };
        self.judges.explain(&mut reason);
        if reason.code == ReasonCode::TooFew {
            reason.message.push_str(&looks::next_attempt(self.facts.look));
        }
        findings.reasons.extend(self.judges.lenient(comparison, &reason));
        // Where answers are missing already, more cases are not what would settle it.
        if !(incomplete && speaks_for(reason.code) == Decision::Inconclusive) {
            findings.reasons.push(reason);
            findings.needed = advice;
        }
    }
}

/// The reasons that matter to a decision, those that speak for it first.
fn relevant(mut reasons: Vec<Reason>, decision: Decision) -> Vec<Reason> {
    reasons.retain(|reason| match speaks_for(reason.code) {
        good @ (Decision::Promote | Decision::Unchanged) => decision == good,
        Decision::Block => true,
        // What is open doesn't matter once the candidate is blocked, but that the run is not whole does.
        Decision::Inconclusive => {
            let open = [ReasonCode::TooFew, ReasonCode::NothingPassed, ReasonCode::SliceOpen];
            decision != Decision::Block || !open.contains(&reason.code)
        }
    });
    reasons.sort_by_key(|reason| speaks_for(reason.code) != decision);
    reasons
}

/// Decides over the cases of the policy base alone; `None` where none of them takes part.
fn decide_at_base(policy: &Policy, comparison: &Comparison, facts: &RunContext<'_>) -> Option<GateDecision> {
    let at_base = comparison.at_base.as_deref().filter(|at_base| at_base.counts.cases > 0)?;
    let there = RunContext { gated: true, changes: &Changes::NONE, before: &LooksBefore::Clear, ..*facts };
    Some(decide(policy, at_base, &there))
}

/// Tags beyond the bound decide nothing, which nobody should have to guess.
fn tags_left_out(comparison: &Comparison) -> Option<Warning> {
    comparison.tags_left_out.then(|| Warning {
        code: WarningCode::TagsLeftOut,
        message: format!(
            "the cases have more tags than the {} that are looked at one by one, the first by name; name those that matter in critical_tags",
            comparison.slices.len()
        ),
    })
}

/// The decision that a reason speaks for.
fn speaks_for(code: ReasonCode) -> Decision {
    meaning(code).0
}

/// The decision that a reason speaks for, and whether how the prompts differ was looked at all the same.
fn meaning(code: ReasonCode) -> (Decision, bool) {
    match code {
        ReasonCode::NotWorse | ReasonCode::PassRate => (Decision::Promote, true),
        ReasonCode::Identical => (Decision::Unchanged, true),
        ReasonCode::Critical
        | ReasonCode::Regression
        | ReasonCode::PassRateLow
        | ReasonCode::CandidateErrors
        | ReasonCode::Slice
        | ReasonCode::Guardrail => (Decision::Block, true),
        ReasonCode::CriticalUnscored
        | ReasonCode::Errors
        | ReasonCode::TooFew
        | ReasonCode::SliceOpen
        | ReasonCode::GuardrailOpen
        | ReasonCode::JudgeLenient
        | ReasonCode::Weakened
        | ReasonCode::BaseCases
        | ReasonCode::EarlierLook
        | ReasonCode::AttemptsLost
        | ReasonCode::NotPromotable
        | ReasonCode::NotGated => (Decision::Inconclusive, true),
        ReasonCode::Budget
        | ReasonCode::Stopped
        | ReasonCode::Shard
        | ReasonCode::NothingScored
        | ReasonCode::NothingPassed
        | ReasonCode::ServedModel
        | ReasonCode::MixedModels
        | ReasonCode::JudgeWeak
        | ReasonCode::JudgeStale
        | ReasonCode::Store => (Decision::Inconclusive, false),
    }
}

/// Block before inconclusive before the rest; nothing to say is inconclusive.
fn combine(reasons: &[Reason]) -> Decision {
    let order = [Decision::Block, Decision::Inconclusive, Decision::Promote, Decision::Unchanged];
    let spoken_for = |decision: &Decision| reasons.iter().any(|reason| speaks_for(reason.code) == *decision);
    order.into_iter().find(spoken_for).unwrap_or(Decision::Inconclusive)
}

fn reason(code: ReasonCode, message: impl Into<String>) -> Reason {
    Reason { code, message: message.into(), cases: Vec::new() }
}

impl GateDecision {
    fn without_numbers(reason: Reason, slices: Vec<Slice>) -> GateDecision {
        GateDecision { reasons: vec![reason], slices, ..GateDecision::default() }
    }

    /// Keeps the numbers, and says what the decision would have been.
    fn not_gated(mut self) -> GateDecision {
        let would = match self.reasons.first() {
            Some(first) => format!(
                "no decision was requested (--no-gate); the gate would have said {}: {}",
                self.decision.as_str(),
                first.message
            ),
            None => "no decision was requested (--no-gate)".to_owned(),
        };
        self.decision = Decision::Inconclusive;
        self.reasons = vec![reason(ReasonCode::NotGated, would)];
        self
    }
}

#[cfg(test)]
mod tests;
