//! What the store keeps of a run: what it was, how each of its answers was judged, and what it came to.

use super::context::EvalContext;
use super::fingerprint::{case_digest, checks_digest};
use crate::domain::{
    AnswerOutcome, CaseOutcomes, CaseRow, OutcomeCode, PromptInfo, RunConclusion, RunFacts, RunInfo, TestedPrompt,
    Verdict, digest, hex,
};
use crate::gate;
use crate::plan::Plan;
use crate::store::{OpenRun, RunId, Store, StoreError};
use sha2::{Digest, Sha256};

/// Cases and answers of one transaction; they wait for it in memory, about 100 bytes each.
const BATCH_CASES: usize = 256;
const BATCH_ANSWERS: usize = 8_192;

/// Stores what the run is.
pub(crate) fn describe(context: &EvalContext<'_>, store: &Store, run: &OpenRun) -> Result<(), StoreError> {
    let info = &context.info;
    let facts = RunFacts {
        candidate: tested_prompt(&info.candidate),
        baseline: info.baseline.as_ref().map(tested_prompt),
        simulated: info.simulated,
        dataset_sha256: info.dataset_sha256.clone(),
        judges_sha256: hex(context.judges_digest()),
        policy_sha256: gate::policy_digest(&info.policy),
        key: info.key.clone(),
        selection: context.selection.describe(),
        shard: context.selection.shard.is_some_and(|shard| shard.is_partial()),
        cases: info.cases,
        total: info.total,
        repeats: info.repeats,
        gated: info.gated,
        identical: context.survey.identical,
        policy: info.policy.clone(),
        planned_repeats: context.rerun.planned_repeats(),
        set: hex(context.survey.identities.set),
        series: hex(context.survey.identities.series),
        requests_sha256: info.tested.requests_sha256.clone(),
        fresh_key: context.settings.gate.attempts.fresh_key.clone(),
        change: context.settings.gate.attempts.change.clone(),
        ci: context.settings.gate.attempts.ci.clone(),
    };
    let subject = |prompt: &PromptInfo| context.subject(prompt);
    store.describe(run.id, &facts, subject(&info.candidate), info.baseline.as_ref().map(subject))
}

fn tested_prompt(prompt: &PromptInfo) -> TestedPrompt {
    TestedPrompt { name: prompt.name.clone(), sha256: prompt.sha256.clone(), model: prompt.model.clone() }
}

/// Stores outcomes in batches while the scored cases stream by in plan order.
pub(crate) struct HistoryWriter<'a> {
    store: &'a Store,
    run: RunId,
    plan: Plan,
    cases: u64,
    waiting: Vec<CaseOutcomes>,
    answers: usize,
    checks: Sha256,
    /// The first failure; nothing is stored after it.
    failed: Option<StoreError>,
}

impl<'a> HistoryWriter<'a> {
    pub(crate) fn new(store: &'a Store, run: RunId, plan: Plan) -> HistoryWriter<'a> {
        HistoryWriter {
            store,
            run,
            plan,
            cases: 0,
            waiting: Vec::new(),
            answers: 0,
            checks: Sha256::new(),
            failed: None,
        }
    }

    pub(crate) fn case(&mut self, row: &CaseRow) {
        let first = self.plan.first(self.cases);
        self.cases += 1;
        if self.failed.is_some() {
            return;
        }
        let checks = checks_digest(&row.case);
        self.checks.update(digest([row.case.id.as_str().as_bytes(), &checks]));
        let arms = self.plan.arms();
        let mut answers = Vec::with_capacity(self.plan.per_case() as usize);
        for (position, arm) in arms.iter().enumerate() {
            answers.extend(row.repeats(*arm).iter().map(|judged| {
                AnswerOutcome {
                    arm: *arm,
                    repeat: judged.repeat,
                    seq: (1..=self.plan.repeats)
                        .contains(&judged.repeat)
                        .then(|| first + u64::from(judged.repeat - 1) * arms.len() as u64 + position as u64),
                    mark: OutcomeCode::of(&judged.outcome),
                    score: judged.outcome.score().map(|score| score.value()),
                }
            }));
        }
        self.answers += answers.len();
        self.waiting.push(CaseOutcomes {
            digest: case_digest(&row.case, &checks),
            id: row.case.id.clone(),
            critical: row.case.critical,
            tags: row.case.tags.clone(),
            weight: row.case.weight,
            cluster: row.case.cluster.as_deref().map(str::to_owned),
            answers,
        });
        if self.waiting.len() >= BATCH_CASES || self.answers >= BATCH_ANSWERS {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.store.note_outcomes(self.run, &self.waiting)
        {
            self.failed = Some(error);
        }
        self.waiting.clear();
        self.answers = 0;
    }

    /// Notes what the run came to. A run whose outcomes could not all be noted stays undecided in the store, so that nothing
    /// is compared with half of it.
    pub(crate) fn conclude(mut self, run: &RunInfo, verdict: &Verdict, exit_code: u8) -> Result<(), StoreError> {
        self.write();
        if let Some(error) = self.failed {
            return Err(error);
        }
        let baseline = verdict.baseline.as_ref();
        self.store.conclude(
            self.run,
            &RunConclusion {
                decision: verdict.decision.as_str().to_owned(),
                exit_code,
                promotable: verdict.promotable && exit_code == crate::exit::OK,
                simulated: run.simulated,
                replayed: verdict.replayed,
                reasons: verdict.reasons.iter().map(|reason| reason.code.as_str().to_owned()).collect(),
                counts: verdict.counts,
                checks_sha256: hex(self.checks.finalize()),
                baseline_served: baseline.map_or_else(Vec::new, |prompt| prompt.model.served.clone()),
                candidate_served: verdict.candidate.model.served.clone(),
            },
        )?;
        self.store.forget_old_outcomes()
    }
}
