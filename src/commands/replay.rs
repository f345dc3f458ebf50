//! Two runs side by side, by the same pairing and gate as in `eval`, from the outcomes that the store remembers. Nothing is
//! asked, and nothing is judged anew.

use super::runs;
use crate::compare::ComparisonBuilder;
use crate::domain::{
    ArmRow, Case, CaseChange, CaseRow, Changes, Decision, Design, Look, LooksBefore, Passes, Policy, Problem, Problems,
    Quarantine, RunComparison, RunFacts, RunRecord, ScoredSample, StoredAnswer, StoredCase, count as counted,
};
use crate::error::Error;
use crate::exit;
use crate::gate::{self, Completion, RunContext};
use crate::store::{CaseDifferences, CaseSample, DAY, Store};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use time::{Date, OffsetDateTime};

/// Regressed and improved cases that are named.
const NAMED: usize = 20;

/// Compares the candidates of two runs: the first stands as the baseline. With `gated`, the exit code is the decision's, and
/// a promote that leaves doubts is none; otherwise it is 0.
///
/// # Errors
/// A run is not there, is not decided, or its outcomes are not; the runs differ in anything but the prompt, the model and
/// what answered: every difference is told.
pub fn compare(root: &Path, first: i64, second: i64, policy: Policy, gated: bool) -> Result<RunComparison, Error> {
    if first == second {
        return Err(Problem::new(format!("run {first} can't be compared with itself"))
            .expected("the numbers of two runs")
            .hint("see `promptgate runs list`")
            .into());
    }
    let store = runs::open(root)?;
    let (first, second) = (runs::run(&store, first)?, runs::run(&store, second)?);
    let repeats = check_comparable(&store, &first, &second)?;
    let mut pairs = Pairs::new(repeats, &policy, OffsetDateTime::now_utc().date());
    store.side_by_side(first.run, second.run, &mut |case, other| pairs.add(case, &other))?;
    let Pairs { comparing, regressed, improved, shared, .. } = pairs;
    let mut comparison = comparing.finish();
    let served =
        |run: &RunRecord| run.concluded.as_ref().map_or_else(Vec::new, |concluded| concluded.candidate_served.clone());
    comparison.baseline_served = served(&first);
    comparison.candidate_served = served(&second);
    let sharded = |run: &RunRecord| run.facts.as_ref().is_some_and(|facts| facts.shard);
    let facts = RunContext {
        gated: true,
        whole_run: if sharded(&first) || sharded(&second) { Completion::Shard } else { Completion::Complete },
        models: (Some(model(&first)), model(&second)),
        // Nobody asks again, and what judges are known for was not remembered.
        confirms: false,
        judges: None,
        changes: &Changes::NONE,
        look: &Look::ONLY,
        before: &LooksBefore::Clear,
        withheld: None,
    };
    let decided = gate::decide(&policy, &comparison, &facts);
    let doubts = doubts(&store, &first, &second, shared)?;
    let exit_code = match decided.decision {
        _ if !gated => exit::OK,
        Decision::Promote if doubts.is_empty() => exit::OK,
        Decision::Block => exit::BLOCK,
        Decision::Promote | Decision::Inconclusive | Decision::Unchanged => exit::INCONCLUSIVE,
    };
    Ok(RunComparison {
        first,
        second,
        decision: decided.decision,
        reasons: decided.reasons,
        warnings: decided.warnings,
        doubts,
        exit_code,
        policy,
        counts: comparison.counts,
        paired: comparison.paired,
        baseline_rate: decided.baseline_rate,
        candidate_rate: decided.candidate_rate,
        difference: decided.difference,
        z: decided.z,
        needed: decided.needed,
        regressed,
        improved,
        slices: decided.slices,
    })
}

fn model(run: &RunRecord) -> &str {
    run.facts.as_ref().map_or("", |facts| facts.candidate.model.as_str())
}

/// The repeats of two runs that differ in nothing that decides an outcome but the candidate and what answered.
fn check_comparable(store: &Store, first: &RunRecord, second: &RunRecord) -> Result<u32, Error> {
    let mut problems = Problems::default();
    for run in [first, second] {
        match runs::complete_repeats(store, run) {
            Ok(_) => {}
            Err(Error::Invalid(found)) => problems.append(found),
            Err(error) => return Err(error),
        }
        if run.facts.as_ref().is_some_and(|facts| facts.identical) {
            problems.push(
                Problem::new(format!(
                    "run {} ran its must-pass cases only, because both of its prompts render the same requests",
                    run.run
                ))
                .hint("run the candidate against another baseline, or with --baseline none"),
            );
        }
    }
    problems.or(())?;
    let (Some(one), Some(two)) = (&first.facts, &second.facts) else {
        // `complete_repeats` has refused such runs.
        return Err(Problem::new("the runs are not remembered").into());
    };
    let mut problems = Problems::default();
    let apart = store.apart(first.run, second.run)?;
    let cases = cases_apart(first.run, second.run, &apart);
    let both = format!("runs {} and {}", first.run, second.run);
    if one.dataset_sha256 != two.dataset_sha256 {
        let cases = if cases.is_empty() {
            "; the cases that they ran are the same".to_owned()
        } else {
            format!(": {}", cases.join("; "))
        };
        problems.push(
            Problem::new(format!("the golden files of {both} differ{cases}"))
                .hint("run the older candidate again over the present files"),
        );
    } else if !cases.is_empty() {
        let selection = |facts: &RunFacts| match facts.selection.join(" ") {
            all if all.is_empty() => "all".to_owned(),
            some => some,
        };
        problems.push(
            Problem::new(format!("{both} ran different cases: {}", cases.join("; ")))
                .expected("the same cases in both runs")
                .hint(format!("they selected: {}; and: {}", selection(one), selection(two))),
        );
    }
    // Other cases have other checks; of the same ones it has to be told.
    let checks = |run: &RunRecord| run.concluded.as_ref().map(|concluded| concluded.checks_sha256.clone());
    let same_ids = apart.only_first.count == 0 && apart.only_second.count == 0;
    if same_ids && checks(first) != checks(second) {
        problems.push(Problem::new(format!("the checks of {both} differ")));
    }
    if one.judges_sha256 != two.judges_sha256 {
        problems.push(
            Problem::new(format!("the judges of {both}, or the commands of promptgate.toml, differ"))
                .hint("an answer that others judge may come to something else; run the older candidate again"),
        );
    }
    if one.repeats != two.repeats {
        problems.push(
            Problem::new(format!("{both} have {} and {} repeats", one.repeats, two.repeats))
                .hint("run one of them again with --repeat; stored answers are not requested again"),
        );
    }
    problems.or(one.repeats).map_err(Error::from)
}

/// How the cases differ, a phrase for each way.
fn cases_apart(first: i64, second: i64, apart: &CaseDifferences) -> Vec<String> {
    let CaseDifferences { only_first, only_second, changed } = apart;
    let mut phrases = Vec::new();
    for (cases, what) in [
        (only_first, format!("only in run {first}")),
        (only_second, format!("only in run {second}")),
        (changed, "written differently".to_owned()),
    ] {
        let CaseSample { count, ids } = cases;
        if *count > 0 {
            let named: Vec<String> = ids.iter().map(|id| format!("`{}`", clip(id))).collect();
            let more = if *count > ids.len() as u64 { ", …" } else { "" };
            let cases = counted(*count, "case is", "cases are");
            phrases.push(format!("{cases} {what} ({}{more})", named.join(", ")));
        }
    }
    phrases
}

fn clip(id: &str) -> String {
    id.chars().take(100).collect()
}

/// What else than the prompts a difference, or none, may come from.
fn doubts(store: &Store, first: &RunRecord, second: &RunRecord, shared: u64) -> Result<Vec<String>, Error> {
    let mut doubts = Vec::new();
    if let Some((from, to)) = store.request_period(first.run, second.run)?
        && to - from > DAY
    {
        doubts.push(format!(
            "the answers were requested over {} days, so the service may have changed meanwhile",
            (to - from).div_euclid(DAY) + 1
        ));
    }
    if first.target != second.target {
        doubts.push(format!("the answers come from {} and from {}", first.target, second.target));
    }
    if store.judged(first.run)? || store.judged(second.run)? {
        doubts.push(
            "models judged, and what their errors do to the margins is not taken into account here; `eval` with both prompts does"
                .to_owned(),
        );
    }
    if shared > 0 {
        doubts.push(format!("{shared} answers of the two runs are the same stored ones, which can't differ"));
    }
    Ok(doubts)
}

struct Pairs {
    repeats: u32,
    comparing: ComparisonBuilder,
    /// Of the day of the call, not of the runs: it is today that someone wants to know.
    quarantine: Quarantine,
    regressed: Vec<CaseChange>,
    improved: Vec<CaseChange>,
    /// Stored answers that both runs used.
    shared: u64,
}

impl Pairs {
    fn new(repeats: u32, policy: &Policy, today: Date) -> Pairs {
        let quarantine = Quarantine::on(policy, Some(today));
        Pairs {
            repeats,
            comparing: ComparisonBuilder::new(Design {
                repeats,
                baseline: true,
                identical: false,
                metric: policy.metric,
                estimand: policy.estimand,
            })
            .with_policy(policy)
            .with_quarantine(quarantine.clone()),
            quarantine,
            regressed: Vec::new(),
            improved: Vec::new(),
            shared: 0,
        }
    }

    fn add(&mut self, case: StoredCase, other: &[StoredAnswer]) {
        let StoredCase { number: _, id, critical, tags, weight, cluster, answers } = case;
        let used: BTreeSet<i64> = answers.iter().filter_map(|answer| answer.answer).collect();
        let shared = other.iter().filter_map(|answer| answer.answer).filter(|id| used.contains(id));
        self.shared += shared.count() as u64;
        // Answers beyond the plan count for must-pass cases of the candidate only.
        let planned: Vec<StoredAnswer> = answers.into_iter().filter(|answer| answer.repeat <= self.repeats).collect();
        let row = CaseRow {
            case: Case { id, tags, critical, weight, cluster: cluster.map(Arc::from), ..Case::new("") },
            baseline: Some(arm(&planned)),
            candidate: arm(other),
        };
        if self.quarantine.of(&row.case).is_none() {
            self.note_change(row.case.id.as_str(), critical, &planned, other);
        }
        self.comparing.add(&row);
    }

    fn note_change(&mut self, id: &str, critical: bool, first: &[StoredAnswer], second: &[StoredAnswer]) {
        let (Some(baseline), Some(candidate)) = (self.passes(first), self.passes(second)) else {
            return;
        };
        let list = match candidate.passed.cmp(&baseline.passed) {
            Ordering::Less => &mut self.regressed,
            Ordering::Greater => &mut self.improved,
            Ordering::Equal => return,
        };
        if list.len() < NAMED {
            list.push(CaseChange { case: id.to_owned(), critical, baseline, candidate });
        }
    }

    /// Passes of the planned answers, if all of them were judged.
    fn passes(&self, answers: &[StoredAnswer]) -> Option<Passes> {
        let mut passes = Passes::default();
        for answer in answers.iter().filter(|answer| answer.repeat <= self.repeats) {
            let outcome = answer.mark.outcome(answer.score);
            passes.add(outcome.score()?.pass);
        }
        (passes.judged == self.repeats).then_some(passes)
    }
}

fn arm(answers: &[StoredAnswer]) -> ArmRow {
    let judged = |answer: &StoredAnswer| ScoredSample::new(answer.repeat, answer.mark.outcome(answer.score));
    ArmRow { repeats: answers.iter().map(judged).collect() }
}
