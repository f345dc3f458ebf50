//! Which look at the answers a run is. Whatever showed an answer was a look at it: it stands, and later runs complete what was
//! shown by what was planned then. What is tested has a key, and all complete looks at one key make a series, of which the first
//! one decides. With several planned attempts each look keeps the answers of those before, and adds as many more; the gate shares
//! the error between them (`gate::looks`).
//!
//! The store knows the looks. A CI system counts its attempts, too, so that a store that was lost on the way is noticed.

use super::questions::Identities;
use crate::config::{Cache, Settings};
use crate::domain::{
    Decision, FirstRules, FreshKey, Look, LookRecord, LooksBefore, Policy, Problem, RunFacts, RunRecord, Sequential,
    Tries, digest, hex,
};
use crate::error::Error;
use crate::gate::{self, GateDecision};
use crate::plan::{BEYOND, Plan};
use crate::store::{OpenRun, Questions, Series, Store, StoreError};

/// Which look a run is going to be.
#[derive(Clone, Debug)]
pub(crate) struct RerunPlan {
    pub(crate) series: Series,
    pub(crate) look: Look,
    /// Repeats per case and arm, those of earlier attempts included.
    pub(crate) repeats: u32,
    /// Repeats that each attempt adds.
    step: u32,
    /// What is asked, by case: shown answers are found by it.
    questions: Vec<[u8; 32]>,
    /// The same without the fresh key, if there is one: its answers stand for runs without it, too, where none stood before.
    without_key: Vec<[u8; 32]>,
    /// Shown answers are used whatever the cache is allowed to do: merging them is the rule.
    merges: bool,
    policy: Policy,
    first: Option<LookRecord>,
    /// The first look was planned with other looks on the way than this run.
    replanned: bool,
    /// The first look was decided by other rules than those of this run.
    other_rules: bool,
    /// Attempts that the CI system counted, and the store does not know.
    lost: Option<LooksBefore>,
    /// Earlier looks were left behind.
    pub(crate) fresh: Option<FreshKey>,
    /// They were before, for this reason, and may not be once more.
    left_before: Option<String>,
    /// Nobody can ask recorded answers again, so that no run of them is a second look.
    counts: bool,
    /// Worth a word before anything is sent.
    pub(crate) notes: Vec<Problem>,
}

impl RerunPlan {
    /// The first look at what is tested, whatever was looked at before.
    pub(crate) fn first(settings: &Settings, same: [u8; 32], questions: &[[u8; 32]], candidates: u32) -> RerunPlan {
        let own = |key: &[u8; 32]| match &settings.gate.attempts.fresh_key {
            Some(reason) => fresh(key, reason),
            None => *key,
        };
        let key = own(&same);
        RerunPlan {
            series: Series { key, same },
            look: Look { attempt: 1, attempts: settings.gate.policy.attempts, candidates, shares: Vec::new() },
            repeats: settings.dataset.repeat,
            step: settings.dataset.repeat,
            questions: questions.iter().map(own).collect(),
            without_key: settings.gate.attempts.fresh_key.iter().flat_map(|_| questions).copied().collect(),
            merges: false,
            policy: settings.gate.policy.clone(),
            first: None,
            replanned: false,
            other_rules: false,
            lost: None,
            fresh: None,
            left_before: None,
            counts: !settings.provider.target.def().replays,
            notes: Vec::new(),
        }
    }

    /// Works out which look the run is, by what the store knows, if there is one.
    pub(crate) fn find(
        settings: &Settings,
        identities: &Identities,
        candidates: u32,
        store: Option<&Store>,
    ) -> Result<RerunPlan, Error> {
        let options = &settings.gate.attempts;
        let mut attempt = RerunPlan::first(settings, identities.series, &identities.questions, candidates);
        let series = attempt.series;
        if !attempt.counts {
            let useless = [("--extend", options.extend), ("--fresh-key", options.fresh_key.is_some())];
            return match useless.iter().find(|(_, given)| *given) {
                Some((option, _)) => Err(Problem::new(format!("{option} plays no part with recorded answers"))
                    .expected("a target that can be asked again")
                    .hint("leave it out")
                    .into()),
                None => Ok(attempt),
            };
        }
        let looks = match store {
            Some(store) => store.looks(&series)?,
            None => Vec::new(),
        };
        if let Some(reason) = &options.fresh_key {
            let mut left_behind = Vec::new();
            if let Some(store) = store {
                left_behind = store.looks_left_behind(&series)?.iter().map(|look| look.decision).collect();
                let first = first_fresh_key(store, options.change.as_deref(), identities)?;
                attempt.left_before = first.filter(|first| first != reason);
            }
            left_behind.truncate(FreshKey::KEPT);
            attempt.fresh = Some(FreshKey { reason: reason.clone(), left_behind });
        } else {
            attempt.lost = lost(settings, &looks, store)?;
        }
        match (looks.first(), looks.last()) {
            (Some(first), Some(last)) => {
                let facts = store.map(|store| recalled(store, first.run)).transpose()?.flatten();
                attempt.follow(settings, first, last, facts.map(|(facts, _)| facts.policy))?;
            }
            (_, _) if options.extend => {
                return Err(Problem::new(
                    "there is nothing to extend: the store has no look at these prompts and cases",
                )
                .hint("run without --extend first")
                .into());
            }
            (_, _) => {}
        }
        attempt.note_lost_attempts();
        Ok(attempt)
    }

    /// Goes on after earlier looks.
    fn follow(
        &mut self,
        settings: &Settings,
        first: &LookRecord,
        last: &LookRecord,
        rules: Option<Policy>,
    ) -> Result<(), Error> {
        self.first = Some(first.clone());
        // What was planned before the first look holds, and a correction for picking the best of several is not undone.
        self.look.attempts = first.attempts;
        self.look.candidates = self.look.candidates.max(first.candidates);
        self.look.attempt = last.attempt;
        if settings.gate.policy.attempts != first.attempts {
            self.notes.push(
                Problem::new(format!(
                    "the first look at these prompts and cases (run {}) was planned with attempts = {}, and so it stays",
                    first.run, first.attempts
                ))
                .hint("another number holds from the next prompt on, or with --fresh-key REASON"),
            );
        }
        let policy = &settings.gate.policy;
        self.replanned = rules.as_ref().is_some_and(|rules| rules.sequential != policy.sequential);
        self.other_rules = rules.is_none_or(|rules| Policy { sequential: policy.sequential, ..rules } != *policy);
        if self.replanned {
            self.notes.push(
                Problem::new(format!(
                    "the first look at these prompts and cases (run {}, {}) was planned with other looks on the way{}",
                    first.run,
                    first.decision.as_str(),
                    if first.decision == Decision::Promote { "" } else { "; planned otherwise this run can't promote" },
                ))
                .hint("plan it so from the next prompt on, or with --fresh-key REASON"),
            );
        } else if self.other_rules {
            self.notes.push(Problem::new(format!(
                "the first look at these prompts and cases (run {}, {}) was decided by other rules than this one",
                first.run,
                first.decision.as_str()
            )));
        }
        let open = last.decision == Decision::Inconclusive;
        if settings.gate.attempts.extend {
            self.repeats = extended_repeats(last, first, open)?;
            self.step = first.step;
            self.merges = true;
            if first.attempts > 1 {
                let steps = (self.repeats / first.step).min(first.attempts);
                self.look.attempt = steps.max(last.attempt + 1);
            } else {
                self.notes.push(Problem::new(format!(
                    "with attempts = 1 the first look (run {}) is final: further repeats can show a regression, and can't promote",
                    first.run
                )));
            }
        } else if self.step != first.step {
            // Other data than planned: the gate has the last word on it.
            self.notes.push(Problem::new(format!(
                "the first look at these prompts and cases (run {}) had --repeat {}, and {} then; with other repeats this run can't promote{}",
                first.run,
                first.step,
                first.decision.as_str(),
                if first.decision == Decision::Promote { " unless it did" } else { "" },
            )));
        } else if open && last.attempt < first.attempts {
            self.look.attempt = last.attempt + 1;
            self.repeats = self.look.attempt * first.step;
            self.merges = true;
        } else {
            self.repeats = last.repeats;
            self.merges = first.attempts > 1;
        }
        Ok(())
    }

    /// Of attempts that are not known nothing is merged; the count of the CI system says which attempt this is.
    fn note_lost_attempts(&mut self) {
        if let Some(LooksBefore::Lost { attempt, known }) = &self.lost {
            self.notes.push(Problem::new(format!(
                "this is attempt {attempt} by the count of the CI system, and the store knows {known}: this run can't promote"
            )));
        }
    }

    /// The last of the planned looks, and its repeats.
    pub(crate) fn last(&self) -> (Look, u32) {
        let attempts = self.look.attempts;
        let look = Look { attempt: attempts, ..self.look.clone() };
        (look, self.repeats.max(attempts * self.step))
    }

    pub(crate) fn plan(&self, baseline: bool) -> Plan {
        Plan { repeats: self.repeats, baseline }
    }

    /// What is asked by a case, where an answer that was shown to it is used again.
    pub(crate) fn question(&self, case_index: u64, cache: Cache) -> Option<&[u8; 32]> {
        let allowed = self.counts && (self.merges || matches!(cache, Cache::Use | Cache::Only));
        self.questions.get(usize::try_from(case_index).ok()?).filter(|_| allowed)
    }

    /// Stored answers are those of looks that were left behind, but for what was shown since.
    pub(crate) fn ignores_cache(&self) -> bool {
        self.fresh.is_some()
    }

    /// Notes that the answers so far are shown: before anything is scored, since a run may end at any point after.
    pub(crate) fn show(&self, store: &Store, run: &OpenRun, plan: &Plan) -> Result<(), StoreError> {
        if !self.counts {
            return Ok(());
        }
        let asked = self.asked(run, plan);
        store.show(&asked)?;
        store.show(&Questions { cases: &self.without_key, ..asked })
    }

    fn asked(&self, run: &OpenRun, plan: &Plan) -> Questions<'_> {
        let arms = plan.arms().len() as u32;
        Questions { run: run.id, repeats: plan.repeats, arms, beyond: BEYOND, cases: &self.questions }
    }

    /// Repeats of all planned attempts.
    pub(crate) fn planned_repeats(&self) -> u32 {
        self.look.attempts * self.step
    }

    /// What earlier looks forbid, after all answers are there.
    pub(crate) fn before(&self, store: &Store, run: &OpenRun, plan: &Plan) -> Result<LooksBefore, StoreError> {
        if let Some(reason) = &self.left_before {
            return Ok(LooksBefore::LeftBehind { reason: reason.clone() });
        }
        if let Some(lost) = &self.lost {
            return Ok(lost.clone());
        }
        if !self.counts {
            return Ok(LooksBefore::Clear);
        }
        let shown = store.shown_before(&self.asked(run, plan))?;
        let other = shown.iter().find_map(|(run, other)| other.then_some(*run));
        if let Some(first) = &self.first {
            let fits = self.repeats >= first.repeats && self.on_schedule() && !self.replanned;
            if !fits || other.is_some() || self.goes_further(store, run, first)? {
                return Ok(LooksBefore::Final {
                    decision: first.decision,
                    run: first.run,
                    attempts: first.attempts,
                    other_rules: self.other_rules,
                });
            }
        } else if let Some(run) = other {
            return Ok(LooksBefore::Shown { run });
        }
        for earlier in shown.into_keys() {
            let Some((facts, decision)) = recalled(store, earlier)? else { continue };
            if self.first.is_none() && facts.planned_repeats != self.planned_repeats() {
                return Ok(LooksBefore::Shown { run: earlier });
            }
            let changes = gate::rule_changes(&self.policy, &facts.policy);
            let rules: Vec<String> = changes.into_iter().filter_map(|(rule, looser)| looser.then_some(rule)).collect();
            if !rules.is_empty() {
                return Ok(LooksBefore::Looser(FirstRules { run: earlier, decision, rules }));
            }
        }
        Ok(LooksBefore::Clear)
    }

    /// What the store knows of tries before this run.
    pub(crate) fn tries(&self, store: &Store, run: &OpenRun, plan: &Plan) -> Result<Option<Tries>, StoreError> {
        if !self.counts {
            return Ok(None);
        }
        let mut tries = store.tries(run.id)?;
        if let Some(first) = store.shown_before(&self.asked(run, plan))?.into_keys().next()
            && let Some((facts, decision)) = recalled(store, first)?
        {
            let rules: Vec<String> =
                gate::rule_changes(&self.policy, &facts.policy).into_iter().map(|(rule, _)| rule).collect();
            tries.first = (!rules.is_empty()).then_some(FirstRules { run: first, decision, rules });
        }
        Ok((tries.candidates > 1 || tries.first.is_some()).then_some(tries))
    }

    /// Whether cases are asked that an early decision left out.
    fn goes_further(&self, store: &Store, run: &OpenRun, first: &LookRecord) -> Result<bool, StoreError> {
        let early = self.policy.sequential != Sequential::Off && first.decision != Decision::Inconclusive;
        Ok(early && store.asked(run.id.number(), self.repeats)? > store.asked(first.run, self.repeats)?)
    }

    /// Remembers the look. Of the same answers, looked at by other rules, the first decision stays.
    pub(crate) fn note(&self, store: &Store, look: &LookRecord) -> Result<(), StoreError> {
        if self.other_rules { Ok(()) } else { store.note_look(&self.series, look) }
    }

    /// The repeats are those of an attempt of the series.
    fn on_schedule(&self) -> bool {
        match &self.first {
            None => true,
            Some(first) if first.attempts == 1 => self.repeats == first.repeats,
            Some(first) => self.step == first.step,
        }
    }

    /// The look as it is to be remembered; `None` if it is none that counts.
    pub(crate) fn record(&self, run: &OpenRun, gated: bool, decided: &GateDecision) -> Option<LookRecord> {
        // A run that decides nothing must not use up one of several planned attempts.
        let takes_part = self.counts && (gated || self.look.attempts == 1);
        let decision = decided.look_decision.filter(|_| takes_part)?;
        Some(LookRecord {
            run: run.id.number(),
            attempt: self.look.attempt,
            attempts: self.look.attempts,
            step: self.step,
            repeats: self.repeats,
            candidates: self.look.candidates,
            decision,
            needed: decided.needed.and_then(|needed| needed.repeats),
        })
    }
}

/// What an earlier run was, and decided.
fn recalled(store: &Store, run: i64) -> Result<Option<(RunFacts, Option<String>)>, StoreError> {
    let Some(RunRecord { facts: Some(facts), concluded, .. }) = store.recall(run)? else { return Ok(None) };
    Ok(Some((facts, concluded.map(|concluded| concluded.decision))))
}

/// The key of a series that leaves earlier looks behind.
pub(crate) fn fresh(key: &[u8; 32], reason: &str) -> [u8; 32] {
    digest([b"promptgate.fresh/1".as_slice(), key, reason.as_bytes()])
}

/// The first reason for which looks were left behind: in a pull request, else at this baseline with these cases, or at a part of them.
fn first_fresh_key(store: &Store, change: Option<&str>, asked: &Identities) -> Result<Option<String>, StoreError> {
    for (reason, set) in store.fresh_keys(change)? {
        let shown = || store.is_any_shown(asked.questions.iter().map(|question| fresh(question, &reason)));
        if change.is_some() || set == hex(asked.set) || shown()? {
            return Ok(Some(reason));
        }
    }
    Ok(None)
}

/// The repeats in all that `--extend` asks for.
fn extended_repeats(last: &LookRecord, first: &LookRecord, open: bool) -> Result<u32, Problem> {
    let nothing = |why: String| Problem::new(format!("there is nothing to extend: {why}"));
    if !open {
        let why = format!("run {} at these prompts and cases was {}", last.run, last.decision.as_str());
        return Err(nothing(why).hint("without --extend its answers are used again"));
    }
    let most = match first.attempts {
        1 => u32::MAX,
        attempts => attempts * first.step,
    };
    match last.needed {
        Some(_) if last.repeats >= most => Err(nothing(format!("all {} planned attempts were made", first.attempts))
            .hint("add cases, or start anew for all to see with --fresh-key REASON")),
        Some(needed) => Ok(needed.clamp(last.repeats + 1, most)),
        None => Err(nothing(format!("more repeats would not settle run {}", last.run))
            .hint("add cases; the verdict's `needed` says how many")),
    }
}

/// Attempts of this CI run that the store does not know, and whose answers may have been looked at.
fn lost(settings: &Settings, looks: &[LookRecord], store: Option<&Store>) -> Result<Option<LooksBefore>, StoreError> {
    let Some(ci) = &settings.gate.attempts.ci else {
        return Ok(None);
    };
    let known = match store {
        Some(store) => store.ci_attempts(ci)?,
        None => Vec::new(),
    };
    let missing = (1..ci.attempt).any(|attempt| !known.contains(&attempt));
    // With a single attempt the first look is here, and final: nothing can have been lost before it.
    let decided = looks.first().is_some_and(|first| first.attempts == 1);
    Ok((missing && !decided).then(|| LooksBefore::Lost {
        attempt: ci.attempt,
        known: known.iter().filter(|attempt| **attempt < ci.attempt).count() as u32,
    }))
}
