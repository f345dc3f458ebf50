//! The walk over the planned answers, and which of them the store has: what the second pass asks by, and what a dry run
//! counts by.

use super::must_pass::Confirming;
use super::prior_runs::Call;
use super::reruns::Attempt;
use super::survey::{Survey, Versions};
use super::target::OpenedTarget;
use crate::config::{Cache, Settings};
use crate::domain::{Arm, Case, CheckRules, Job, Problem, Request};
use crate::error::Error;
use crate::plan::{Plan, Selection, identity};
use crate::store::{CachedAnswer, OpenRun, Store, StoreError};
use std::ops::ControlFlow;
use std::sync::Arc;
use time::OffsetDateTime;

/// Two answers of a pair may lie this far apart, in seconds; more would charge the service's drift to the candidate.
pub(crate) const DAY: i64 = 86_400;

/// What is planned, and where its answers may be.
pub(crate) struct Walking<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) selection: &'a Selection,
    pub(crate) versions: &'a Versions,
    pub(crate) survey: &'a Survey,
    pub(crate) plan: Plan,
    pub(crate) rules: &'a dyn CheckRules,
    pub(crate) target: &'a OpenedTarget,
    /// `None` when there is no store yet.
    pub(crate) store: Option<&'a Store>,
    /// `None` when no run was begun.
    pub(crate) run: Option<&'a OpenRun>,
    /// Which answers to must-pass cases there are beyond the plan.
    pub(crate) confirming: &'a Confirming,
    /// Which look the run is, and whose answers it keeps.
    pub(crate) attempt: &'a Attempt,
    /// The call that the run is a part of.
    pub(crate) call: &'a Call,
    /// What the walk is over.
    pub(crate) round: Round,
}

/// Which answers a walk is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// All that are known to be needed.
    Planned,
    /// Those of one look of a run that may end early, from 0; the first one has all must-pass cases.
    Look(usize),
    /// Further answers to must-pass cases that failed.
    Confirming,
}

/// What the store knows of a planned answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The run that is resumed has it.
    InRun,
    /// An earlier answer may be used again.
    Stored(CachedAnswer),
    /// It has to be asked for.
    Nothing,
}

/// A planned answer that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    answer: CachedAnswer,
    /// The run itself has it, from before it was interrupted.
    in_run: bool,
}

impl Known {
    fn found(self) -> Found {
        match self {
            Known { in_run: true, .. } => Found::InRun,
            Known { answer, .. } => Found::Stored(answer),
        }
    }
}

/// A case's request in one arm, shared by its repeats.
struct Rendered {
    request: Arc<Request>,
    body: Arc<[u8]>,
}

/// Why the walk ends before its end.
pub(crate) enum Halt {
    /// The run stage takes no more jobs; it knows why.
    RunEnded,
    /// The store can't be read.
    Store(StoreError),
    /// A case that rendered in the first pass does not render now.
    Render(Problem),
}

/// Takes a planned answer, in plan order.
pub(crate) type Take<'a> = dyn FnMut(&Case, Job, Found) -> Result<(), Halt> + 'a;

impl Walking<'_> {
    /// Hands every planned answer that is to be had to `take`, with what the store knows of it. Returns why the store could
    /// not be read to the end.
    ///
    /// # Errors
    /// The golden files changed since the first pass.
    pub(crate) fn walk(&self, take: &mut Take<'_>) -> Result<Option<String>, Error> {
        let Walking {
            selection,
            survey,
            rules,
            ..
        } = self;
        let mut walk = selection.walk();
        let mut index = 0;
        let mut halt = None;
        survey.dataset.stream(*rules, &mut |case| {
            if !walk.selects(&case) {
                return ControlFlow::Continue(());
            }
            let outcome = self.case(&case, index, take);
            index += 1;
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(why) => {
                    halt = Some(why);
                    ControlFlow::Break(())
                }
            }
        })?;
        match halt {
            None | Some(Halt::RunEnded) => Ok(None),
            Some(Halt::Store(error)) => Ok(Some(error.to_string())),
            Some(Halt::Render(problem)) => Err(problem.into()),
        }
    }

    fn case(&self, case: &Case, index: u64, take: &mut Take<'_>) -> Result<(), Halt> {
        let Walking { survey, plan, .. } = self;
        let takes_part = match self.round {
            Round::Planned => true,
            Round::Look(look) if case.critical => look == 0,
            Round::Look(look) => survey
                .schedule
                .as_ref()
                .is_none_or(|schedule| schedule.look(index) == look),
            Round::Confirming => self.confirming.again(index),
        };
        if !takes_part || (survey.identical && !case.critical) {
            return Ok(());
        }
        let baseline = self.render(case, Arm::Baseline)?;
        let candidate = self.render(case, Arm::Candidate)?;
        let same = match (&baseline, &candidate) {
            (Some(blue), Some(green)) => blue.body == green.body && blue.request.model == green.request.model,
            _ => false,
        };
        if self.round != Round::Confirming {
            self.planned(case, index, &baseline, &candidate, same, take)?;
        }
        let Some(rendered) = &candidate else { return Ok(()) };
        for repeat in plan.repeats + 1..=self.confirming.answers(plan, case, index) {
            let seq = plan.beyond(survey.selected, index, repeat);
            let job = self.job(case, rendered, seq, repeat, Arm::Candidate, same);
            let known = self.known(&job)?;
            take(case, job, known.map_or(Found::Nothing, Known::found))?;
        }
        Ok(())
    }

    /// The answers of the plan.
    fn planned(
        &self,
        case: &Case,
        index: u64,
        baseline: &Option<Rendered>,
        candidate: &Option<Rendered>,
        same: bool,
        take: &mut Take<'_>,
    ) -> Result<(), Halt> {
        let Walking { survey, plan, .. } = self;
        let first = plan.first(index);
        let arms = plan.arms().len();
        let mut pair: Vec<(Job, Option<Known>)> = Vec::with_capacity(arms);
        for (offset, (repeat, arm)) in plan.answers().enumerate() {
            let rendered = match arm {
                Arm::Baseline => baseline,
                Arm::Candidate => candidate,
            };
            if let Some(rendered) = rendered
                && !(survey.identical && arm == Arm::Baseline)
            {
                let job = self.job(case, rendered, first + offset as u64, repeat, arm, same);
                let known = self.known(&job)?;
                pair.push((job, known));
            }
            if (offset + 1) % arms == 0 {
                self.hand_out(case, &mut pair, take)?;
            }
        }
        Ok(())
    }

    fn render(&self, case: &Case, arm: Arm) -> Result<Option<Rendered>, Halt> {
        let Some(version) = self.versions.arm(arm) else {
            return Ok(None);
        };
        let request = version.render(case).map_err(Halt::Render)?;
        let body = self.settings.provider.target.protocol().body(&request).into();
        Ok(Some(Rendered {
            request: Arc::new(request),
            body,
        }))
    }

    fn job(&self, case: &Case, rendered: &Rendered, seq: u64, repeat: u32, arm: Arm, same: bool) -> Job {
        let Rendered { request, body } = rendered;
        let target = &self.target.identity;
        let key = identity(
            target,
            &request.model,
            body,
            case.id.as_str(),
            repeat,
            same.then_some(arm),
        );
        Job {
            seq,
            case: case.id.clone(),
            arm,
            repeat,
            request: Arc::clone(request),
            body: Arc::clone(body),
            key,
        }
    }

    /// The answer that the run, or the cache, has already.
    fn known(&self, job: &Job) -> Result<Option<Known>, Halt> {
        let Some(store) = self.store else { return Ok(None) };
        if let Some(run) = self.run
            && run.resumed > 0
            && let Some(answer) = store
                .answered(run.id.number(), job.seq, &self.target.identity)
                .map_err(Halt::Store)?
        {
            return Ok(Some(Known { answer, in_run: true }));
        }
        if let Some((run, seq)) = self.attempt.kept_answer(job, &self.plan, self.settings.run.cache)
            && let Some(answer) = store.answered(run, seq, &self.target.identity).map_err(Halt::Store)?
        {
            return Ok(Some(Known { answer, in_run: false }));
        }
        if let Some(answer) = self
            .call
            .answer(store, job, &self.plan, (self.versions, &self.target.identity))
            .map_err(Halt::Store)?
        {
            return Ok(Some(Known { answer, in_run: false }));
        }
        let cached = match self.settings.run.cache {
            Cache::Use | Cache::Only if self.target.reusable && !self.attempt.anew() => {
                store.cached(job).map_err(Halt::Store)?
            }
            Cache::Use | Cache::Only | Cache::Refresh | Cache::Off => None,
        };
        Ok(cached.map(|answer| Known { answer, in_run: false }))
    }

    /// Hands out the answers of one repeat, both arms together.
    fn hand_out(&self, case: &Case, pair: &mut Vec<(Job, Option<Known>)>, take: &mut Take<'_>) -> Result<(), Halt> {
        if self.settings.run.cache != Cache::Only && pair.len() == 2 {
            let now = OffsetDateTime::now_utc().unix_timestamp();
            let (blue, green) = coherent(pair[0].1, pair[1].1, now);
            pair[0].1 = blue;
            pair[1].1 = green;
        }
        for (job, known) in pair.drain(..) {
            take(case, job, known.map_or(Found::Nothing, Known::found))?;
        }
        Ok(())
    }
}

/// Which stored answers of a pair may stand side by side: none that is more than a day away from its partner, whose time is
/// `now` if it has to be asked.
fn coherent(blue: Option<Known>, green: Option<Known>, now: i64) -> (Option<Known>, Option<Known>) {
    let fresh = |known: Known| (now - known.answer.created_at <= DAY).then_some(known);
    match (blue, green) {
        (Some(b), Some(g)) if (b.answer.created_at - g.answer.created_at).abs() <= DAY => (blue, green),
        (blue, green) => {
            // One of them will be asked now, so the other has to be fresh; if both are stored, the older one goes.
            let (blue, green) = match (blue, green) {
                (Some(b), Some(g)) if b.answer.created_at < g.answer.created_at => (None, Some(g)),
                (Some(b), Some(_)) => (Some(b), None),
                other => other,
            };
            (blue.and_then(fresh), green.and_then(fresh))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_answers_of_a_pair_lie_at_most_a_day_apart() {
        let at = |created_at| {
            let answer = CachedAnswer {
                answer: created_at,
                created_at,
            };
            Some(Known { answer, in_run: false })
        };
        let now = 1_000_000;
        let old = now - DAY - 1;
        for (blue, green, expected) in [
            (None, None, (None, None)),
            (at(now - 5), None, (at(now - 5), None)),
            (at(old), None, (None, None)),
            (None, at(old), (None, None)),
            (at(old), at(old + 10), (at(old), at(old + 10))),
            (at(old), at(now), (None, at(now))),
            (at(now), at(old), (at(now), None)),
            (at(old - 2 * DAY), at(old), (None, None)),
        ] {
            assert_eq!(coherent(blue, green, now), expected, "{blue:?} {green:?}");
        }
    }
}
