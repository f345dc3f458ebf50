//! What the store remembers of a run: what it was, how each of its answers was judged, and what it came to.

use super::Prepared;
use super::hex;
use crate::domain::{
    ArmRow, Case, CaseRow, Concluded, Mark, Marked, MarkedCase, PromptInfo, RunFacts, RunInfo, TestedPrompt, Verdict,
    digest,
};
use crate::gate;
use crate::plan::Plan;
use crate::store::{OpenRun, RunId, Store, StoreError, Subject};
use sha2::{Digest, Sha256};

/// Cases and answers of one transaction; they wait for it in memory, about 100 bytes each.
const BATCH_CASES: usize = 256;
const BATCH_ANSWERS: usize = 8_192;

impl Prepared<'_> {
    /// Notes what the run is.
    pub(crate) fn describe(&self, store: &Store, run: &OpenRun) -> Result<(), StoreError> {
        let RunInfo {
            candidate,
            baseline,
            target: _,
            simulated,
            dataset_sha256,
            cases,
            total,
            repeats,
            gated,
            policy,
            key,
            started_at: _,
            ..
        } = &self.run;
        let judges = self.judges_digest();
        let facts = RunFacts {
            candidate: tested(candidate),
            baseline: baseline.as_ref().map(tested),
            simulated: *simulated,
            dataset_sha256: dataset_sha256.clone(),
            judges_sha256: hex(&judges),
            policy_sha256: gate::policy_digest(policy),
            key: key.clone(),
            selection: self.selection.describe(),
            shard: self.selection.shard.is_some_and(|shard| shard.is_partial()),
            cases: *cases,
            total: *total,
            repeats: *repeats,
            gated: *gated,
            identical: self.survey.identical,
            ci: self.settings.gate.attempts.ci.clone(),
        };
        let subject = |prompt: &PromptInfo| self.subject(prompt);
        store.describe(run.id, &facts, subject(candidate), baseline.as_ref().map(subject))
    }

    /// Whose outcomes are of one kind: the same prompt, model, target and judges.
    pub(crate) fn subject(&self, prompt: &PromptInfo) -> Subject {
        let PromptInfo { sha256, model, .. } = prompt;
        Subject(digest([
            b"promptgate.subject/1".as_slice(),
            sha256.as_bytes(),
            model.as_bytes(),
            self.target.identity.as_bytes(),
            &self.judges_digest(),
        ]))
    }

    /// Who judges beside the matchers: the judges that checks name, and all commands of the project's own.
    fn judges_digest(&self) -> [u8; 32] {
        let mut pieces = vec![self.judges.digest().to_vec()];
        if !self.embedders.is_empty() {
            pieces.push(self.embedders.digest().to_vec());
        }
        for command in &self.settings.scoring.commands {
            let env = command.env.iter().flat_map(|(name, value)| [name, value]);
            let words = std::iter::once(&command.name).chain(&command.argv).chain(env);
            pieces.push(digest(words.map(|word| word.as_bytes())).to_vec());
            pieces.push(command.timeout.as_millis().to_le_bytes().to_vec());
        }
        digest(pieces.iter().map(Vec::as_slice))
    }
}

fn tested(prompt: &PromptInfo) -> TestedPrompt {
    TestedPrompt {
        name: prompt.name.clone(),
        sha256: prompt.sha256.clone(),
        model: prompt.model.clone(),
    }
}

/// Notes outcomes in batches while the judged cases stream by in plan order.
pub(crate) struct Remembering<'a> {
    store: &'a Store,
    run: RunId,
    plan: Plan,
    /// Cases so far.
    seen: u64,
    waiting: Vec<MarkedCase>,
    answers: usize,
    checks: Sha256,
    /// The first trouble; nothing is noted after it.
    failed: Option<StoreError>,
}

impl<'a> Remembering<'a> {
    pub(crate) fn new(store: &'a Store, run: RunId, plan: Plan) -> Remembering<'a> {
        Remembering {
            store,
            run,
            plan,
            seen: 0,
            waiting: Vec::new(),
            answers: 0,
            checks: Sha256::new(),
            failed: None,
        }
    }

    /// Takes note of the next case.
    pub(crate) fn case(&mut self, row: &CaseRow) {
        let first = self.plan.first(self.seen);
        self.seen += 1;
        if self.failed.is_some() {
            return;
        }
        let checks = checks(&row.case);
        self.checks.update(digest([row.case.id.as_str().as_bytes(), &checks]));
        let arms = self.plan.arms();
        let mut answers = Vec::with_capacity(self.plan.per_case() as usize);
        for (position, arm) in arms.iter().enumerate() {
            let repeats = row.arm(*arm).map_or(&[][..], |ArmRow { repeats }| repeats);
            answers.extend(repeats.iter().map(|judged| {
                Marked {
                    arm: *arm,
                    repeat: judged.repeat,
                    seq: (1..=self.plan.repeats)
                        .contains(&judged.repeat)
                        .then(|| first + u64::from(judged.repeat - 1) * arms.len() as u64 + position as u64),
                    mark: Mark::of(&judged.outcome),
                    score: judged.outcome.score().map(|score| score.value()),
                }
            }));
        }
        self.answers += answers.len();
        self.waiting.push(MarkedCase {
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
            &Concluded {
                decision: verdict.decision.as_str().to_owned(),
                exit_code,
                promotable: verdict.promotable && exit_code == crate::exit::OK,
                simulated: run.simulated,
                replayed: verdict.replayed,
                reasons: verdict
                    .reasons
                    .iter()
                    .map(|reason| reason.code.as_str().to_owned())
                    .collect(),
                counts: verdict.counts,
                checks_sha256: hex(&self.checks.finalize()),
                baseline_served: baseline.map_or_else(Vec::new, |prompt| prompt.model.served.clone()),
                candidate_served: verdict.candidate.model.served.clone(),
            },
        )?;
        self.store.forget_old_outcomes()
    }
}

/// Everything about the checks of a case.
pub(crate) fn checks(case: &Case) -> Vec<u8> {
    let mut pieces = Vec::new();
    for check in &case.checks {
        let modifiers = [u8::from(check.advisory), u8::from(check.name.is_some())];
        pieces.extend(digest([
            check.matcher.as_bytes(),
            check.args.to_string().as_bytes(),
            &check.weight.to_le_bytes(),
            check.name.as_deref().unwrap_or_default().as_bytes(),
            &modifiers,
        ]));
    }
    pieces
}

/// Everything that is written about a case, but for its place and notes.
pub(crate) fn case_digest(case: &Case, checks: &[u8]) -> [u8; 32] {
    let Case {
        id,
        suite: _,
        place: _,
        tags,
        critical,
        vars,
        history,
        weight,
        cluster,
        checks: _,
        labels: _,
        notes: _,
    } = case;
    // Maps of texts and plain structs become JSON always; what would not would be one more state of the case.
    let json = serde_json::to_vec(&(vars, history, tags, weight, cluster.as_deref())).unwrap_or_default();
    digest([
        b"promptgate.case/1".as_slice(),
        id.as_str().as_bytes(),
        &json,
        checks,
        &[u8::from(*critical)],
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CaseId, CheckSpec, Place, WEIGHT};
    use serde_json::json;

    fn case() -> Case {
        Case {
            id: CaseId::new("a"),
            suite: "s".into(),
            place: Place::file("f"),
            tags: vec!["t".to_owned()],
            critical: false,
            weight: WEIGHT,
            cluster: None,
            vars: json!({"q": "x"}).as_object().cloned().unwrap_or_default(),
            history: Vec::new(),
            checks: vec![CheckSpec::plain("contains", json!("x"))],
            labels: Vec::new(),
            notes: None,
        }
    }

    fn of(case: &Case) -> [u8; 32] {
        case_digest(case, &checks(case))
    }

    #[test]
    fn whatever_decides_an_outcome_makes_another_case_and_nothing_else_does() {
        let same = Case {
            suite: "other".into(),
            place: Place::file("other"),
            notes: Some("n".to_owned()),
            ..case()
        };
        assert_eq!(of(&same), of(&case()));
        let check = |change: &dyn Fn(&mut CheckSpec)| {
            let mut case = case();
            change(&mut case.checks[0]);
            case
        };
        let mut two = case();
        two.checks.push(CheckSpec::plain("contains", json!("y")));
        for other in [
            Case {
                id: CaseId::new("b"),
                ..case()
            },
            Case {
                critical: true,
                ..case()
            },
            Case { weight: 1, ..case() },
            Case {
                cluster: Some("c".into()),
                ..case()
            },
            Case {
                tags: Vec::new(),
                ..case()
            },
            Case {
                vars: serde_json::Map::new(),
                ..case()
            },
            check(&|check| check.args = json!("z")),
            check(&|check| check.weight = 2.0),
            check(&|check| check.advisory = true),
            check(&|check| check.name = Some(String::new())),
            check(&|check| check.matcher = "equals".to_owned()),
            two,
        ] {
            assert_ne!(of(&other), of(&case()), "{other:?}");
        }
    }
}
