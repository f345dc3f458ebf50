//! Secrets are replaced where data enters the reports, before anything is cut, escaped or compared: a reporter never sees
//! them, so none can forget to hide them, and no escape or cut can save half of one.

use crate::domain::{
    ArmRow, BaselinePromotion, Case, CaseId, CaseRow, Changes, CheckResult, CheckSpec, Failure, Label, Outcome, Place,
    Policy, PolicyBase, PolicyChange, PromptInfo, PromptRecord, Reason, RunInfo, ScoredSample, Slice, Turn, Verdict,
    Warning,
};
use crate::secret::{Redact, SecretForms, redact_all};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Secrets that must not appear in any output, in any of the forms that `SecretForms` knows.
///
/// Clones share their secrets: one that appears while a run goes on, like a key that replaces a refused one, is hidden by
/// all of them from then on.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Arc<RwLock<Vec<SecretForms>>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} secrets)", self.secrets().len())
    }
}

impl Redact for Redactor {
    fn redact<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        redact_all(self.secrets().iter().map(|cover| cover as &dyn Redact), bytes)
    }
}

impl Redactor {
    /// Hides these secrets; empty ones are ignored.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Redactor {
        let redactor = Redactor::default();
        for secret in secrets {
            redactor.add(secret.as_ref());
        }
        redactor
    }

    pub fn add(&self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        secrets.push(SecretForms::new(secret));
    }

    /// Hides what another redactor hides now, too.
    pub fn add_all(&self, other: &Redactor) {
        let further = other.secrets().clone();
        self.secrets.write().unwrap_or_else(PoisonError::into_inner).extend(further);
    }

    pub fn is_empty(&self) -> bool {
        self.secrets().is_empty()
    }

    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Redact::text(self, text)
    }

    /// A JSON value without the secrets, in its texts and keys.
    pub fn json(&self, value: &mut Value) {
        if !self.is_empty() {
            self.value(value);
        }
    }

    fn secrets(&self) -> RwLockReadGuard<'_, Vec<SecretForms>> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn run(&self, run: &RunInfo) -> RunInfo {
        let mut run = run.clone();
        let RunInfo {
            candidate,
            baseline,
            target,
            simulated: _,
            dataset_sha256: _,
            cases: _,
            total: _,
            repeats: _,
            gated: _,
            policy,
            key: _,
            tested: _,
            look: _,
            fresh_key,
            changes,
            promotion,
            started_at: _,
        } = &mut run;
        for prompt in [Some(candidate), baseline.as_mut()].into_iter().flatten() {
            let PromptInfo { name, sha256: _, model, path, file_sha256: _ } = prompt;
            self.hide_all([name, model, path]);
        }
        self.hide(target);
        self.policy(policy);
        let Changes { base, rows, digest: _, accepted, refused, cases: _ } = changes;
        self.changes(base, rows);
        self.hide_all(accepted.iter_mut().chain(refused));
        self.hide_all(fresh_key.as_mut().map(|fresh| &mut fresh.reason));
        self.promotion(promotion);
        run
    }

    /// The case without the secrets; borrowed when there is nothing to hide.
    pub fn row<'a>(&self, row: &'a CaseRow) -> Cow<'a, CaseRow> {
        if self.is_empty() {
            return Cow::Borrowed(row);
        }
        let mut row = row.clone();
        let CaseRow { case, baseline, candidate } = &mut row;
        self.case(case);
        for ArmRow { repeats } in [baseline.as_mut(), Some(candidate)].into_iter().flatten() {
            for judged in repeats {
                self.judged(judged);
            }
        }
        Cow::Owned(row)
    }

    pub fn verdict(&self, verdict: &Verdict) -> Verdict {
        let mut verdict = verdict.clone();
        // Takes everything apart, so that a new field can't be forgotten here.
        let Verdict {
            schema: _,
            decision: _,
            sentence,
            exit_code: _,
            promotable: _,
            rehearsal: _,
            reasons,
            warnings,
            simulated: _,
            replayed: _,
            gated: _,
            key: _,
            look: _,
            fresh_key,
            tries,
            policy,
            policy_sha256: _,
            policy_base,
            changed,
            weaker_digest: _,
            accepted_weaker,
            candidate,
            baseline,
            promotion,
            dataset: _,
            repeats: _,
            tested: _,
            completion: _,
            results: _,
            candidates,
            target,
            counts: _,
            quarantined,
            unlooked: _,
            paired: _,
            rates: _,
            difference: _,
            z: _,
            needed: _,
            slices,
            // Our own words and numbers.
            guardrails: _,
            usage: _,
            cost_usd: _,
            judges,
            answers_cost_usd: _,
            prices: _,
            requests: _,
            cached: _,
            imported: _,
            retries: _,
            waited_ms: _,
            latency_ms: _,
            started_at: _,
            finished_at: _,
            tool: _,
        } = &mut verdict;
        for line in candidates {
            self.hide(&mut line.name);
            self.hide_all(&mut line.path);
        }
        self.hide_all([sentence, target]);
        self.promotion(promotion);
        self.policy(policy);
        self.hide_all(tries.iter_mut().flat_map(|tries| &mut tries.first).flat_map(|first| &mut first.rules));
        self.changes(policy_base, changed);
        self.hide_all(accepted_weaker);
        self.hide_all(fresh_key.as_mut().map(|fresh| &mut fresh.reason));
        for judge in judges.iter_mut().flat_map(|judges| &mut judges.found.deciding) {
            self.hide_all([&mut judge.name, &mut judge.model]);
        }
        for Reason { code: _, message, cases } in reasons {
            self.hide(message);
            cases.iter_mut().for_each(|id| self.id(id));
        }
        for Warning { code: _, message } in warnings {
            self.hide(message);
        }
        for PromptRecord { name, sha256: _, path, file_sha256: _, model } in
            [Some(candidate), baseline.as_mut()].into_iter().flatten()
        {
            self.hide_all([name, path, &mut model.requested]);
            self.hide_all(&mut model.served);
        }
        for Slice { tag, .. } in slices {
            self.hide(tag);
        }
        for tag in quarantined.iter_mut().flat_map(|quarantined| &mut quarantined.tags) {
            self.hide(&mut tag.tag);
        }
        verdict
    }

    /// The rules are our own words and numbers, but for the names of tags.
    fn policy(&self, policy: &mut Policy) {
        self.hide_all(&mut policy.critical_tags);
        let quarantine = std::mem::take(&mut policy.quarantine);
        policy.quarantine = quarantine
            .into_iter()
            .map(|(mut tag, until)| {
                self.hide(&mut tag);
                (tag, until)
            })
            .collect();
    }

    fn promotion(&self, promotion: &mut Option<BaselinePromotion>) {
        if let Some(BaselinePromotion { notice, dataset_sha256: _, total }) = promotion {
            self.hide_all(notice);
            self.hide_all(total.as_mut().map(|total| &mut total.since));
        }
    }

    fn changes(&self, base: &mut Option<PolicyBase>, rows: &mut [PolicyChange]) {
        if let Some(PolicyBase { rev, commit: _ }) = base {
            self.hide(rev);
        }
        for PolicyChange { kind: _, what, before, after, weaker: _ } in rows {
            self.hide_all([Some(what), before.as_mut(), after.as_mut()].into_iter().flatten());
        }
    }

    fn case(&self, case: &mut Case) {
        let Case {
            id,
            suite,
            place: Place { file, line: _, column: _ },
            tags,
            critical: _,
            weight: _,
            cluster,
            vars,
            history,
            checks,
            labels,
            notes,
        } = case;
        self.id(id);
        self.shared(suite);
        self.shared(file);
        self.hide_all(tags);
        if let Some(cluster) = cluster {
            self.shared(cluster);
        }
        self.map(vars);
        for Turn { role: _, text } in history {
            self.hide(text);
        }
        for CheckSpec { matcher, args, weight: _, name, advisory: _ } in checks {
            self.hide(matcher);
            self.value(args);
            self.hide_all(name);
        }
        for Label { answer, pass: _, check } in labels {
            self.hide(answer);
            self.hide_all(check);
        }
        self.hide_all(notes);
    }

    fn judged(&self, judged: &mut ScoredSample) {
        let ScoredSample {
            repeat: _,
            outcome,
            answer,
            checks,
            refused: _,
            cost_usd: _,
            attempts: _,
            waited_ms: _,
            source: _,
        } = judged;
        match outcome {
            Outcome::Scored(score) => self.hide(&mut score.reason),
            Outcome::Errored(Failure { kind: _, code, message }) => self.hide_all([code, message]),
            Outcome::Skipped(_) => {}
        }
        if let Some(answer) = answer {
            self.answer(answer);
        }
        for CheckResult { matcher, name, pass: _, score: _, reason, advisory: _ } in checks {
            self.hide_all([matcher, reason]);
            self.hide_all(name);
        }
    }

    fn hide_all<'a>(&self, texts: impl IntoIterator<Item = &'a mut String>) {
        texts.into_iter().for_each(|text| self.hide(text));
    }

    fn shared(&self, text: &mut Arc<str>) {
        if let Cow::Owned(hidden) = self.text(text) {
            *text = hidden.into();
        }
    }

    fn id(&self, id: &mut CaseId) {
        if let Cow::Owned(hidden) = self.text(id.as_str()) {
            *id = CaseId::new(hidden);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AIza_\"Sy+D/9~x?y>z";

    #[test]
    fn a_secret_that_appears_later_is_hidden_by_every_clone() {
        let redactor = Redactor::default();
        let clone = redactor.clone();
        redactor.add("");
        assert!(clone.is_empty());
        redactor.add(KEY);
        assert_eq!(clone.text(&format!("key={KEY};")), "key=***;");
        clone.add("the-second-key");
        assert_eq!(redactor.text(&format!("{KEY} the-second-key")), "*** ***");
    }

    #[test]
    fn nothing_to_hide_changes_nothing() {
        let redactor = Redactor::new(["", ""]);
        assert!(redactor.is_empty());
        assert!(matches!(redactor.text("abc"), Cow::Borrowed("abc")));
    }

    #[test]
    fn a_mask_does_not_show_its_secrets() {
        assert!(!format!("{:?}", Redactor::new([KEY])).contains("AIza"));
    }

    #[test]
    fn keys_of_maps_are_hidden_too() {
        let mut value = serde_json::json!({"a": [{"AIza-secret": "x AIza-secret"}], "n": 1});
        Redactor::new(["AIza-secret"]).value(&mut value);
        assert_eq!(value, serde_json::json!({"a": [{"***": "x ***"}], "n": 1}));
    }
}
