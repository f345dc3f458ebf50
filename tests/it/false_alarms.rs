//! How often the gate errs, counted and not argued: seeded runs of this repository's own golden cases and prompts, answered by
//! the simulator's model with noise, scored by the matchers, compared, and decided as `eval` does.
//!
//! The model is called without HTTP. Noise has only three answers to a request, so that each is made and scored once; a run
//! then draws which of them each sample gets, keyed by seed, request and sample as in the server.
//!
//! The test makes few runs; `cargo bench --bench false_alarms` makes the thousands whose shares stand in docs/statistics.md.

use gemini_sim::Rehearsal;
use promptgate::domain::{
    Answer, Arm, ArmRow, Case, CaseRow, Changes, Decision, Design, Look, LooksBefore, Outcome, Policy, ScoredSample,
    Source,
};
use promptgate::internals::compare::ComparisonBuilder;
use promptgate::internals::dataset;
use promptgate::internals::gate::{Completion, RunContext, decide};
use promptgate::internals::prompt::{Library, Prompt};
use promptgate::internals::provider::gemini::{body, decode, sample_of};
use promptgate::internals::scoring::{CaseAnswers, Commands, ReplyCache, Rules, score};
use rayon::prelude::*;
use std::fs;
use std::path::Path;

/// Repeats of a case and arm.
const K: u32 = 3;
/// Chance that an answer is degraded, unless its case is critical.
const NOISE: f64 = 0.1;
const MODEL: &str = "gemini-3.8-flash";
const PATH: &str = "/v1beta/models/gemini-3.8-flash:generateContent";

/// A case in one arm: the answers it may get, judged.
#[derive(Clone)]
struct ArmSamples {
    rehearsal: Rehearsal,
    judged: [ScoredSample; 3],
    /// Sample headers of the repeats.
    samples: Vec<String>,
}

impl ArmSamples {
    fn new(case: &Case, prompt: &Prompt, arm: Arm, commands: &Commands) -> ArmSamples {
        let request = prompt.render(MODEL, &case.vars, &case.history).unwrap();
        let rehearsal = Rehearsal::new(PATH, MODEL, &body(&request)).unwrap();
        let answers: Vec<Answer> =
            rehearsal.answers().iter().map(|answer| decode(answer.to_string().as_bytes()).unwrap()).collect();
        let unscored =
            CaseAnswers { case, answers: answers.iter().map(Some).collect(), systems: Vec::new(), costs: Vec::new() };
        let said = score(&[unscored], commands, &ReplyCache::default()).remove(0);
        let judged: Vec<ScoredSample> = said
            .into_iter()
            .zip(&answers)
            .map(|(said, answer)| {
                let said = said.unwrap();
                assert!(matches!(said.outcome, Outcome::Scored(_)), "{}: {:?}", case.id, said.outcome);
                ScoredSample {
                    answer: Some(answer.clone()),
                    refused: said.refused,
                    attempts: 1,
                    source: Some(Source::Live),
                    ..ScoredSample::new(1, said.outcome)
                }
            })
            .collect();
        ArmSamples {
            rehearsal,
            judged: judged.try_into().unwrap(),
            samples: (1..=K).map(|repeat| sample_of(&case.id, arm, repeat)).collect(),
        }
    }

    fn passes(&self, answer: usize) -> bool {
        self.judged[answer].outcome.score().unwrap().pass
    }

    fn rate(&self, noise: f64) -> f64 {
        let chances = Rehearsal::chances(noise).into_iter().enumerate();
        chances.filter(|(answer, _)| self.passes(*answer)).map(|(_, chance)| chance).sum()
    }
}

#[derive(Clone)]
struct CasePair {
    case: Case,
    baseline: ArmSamples,
    candidate: ArmSamples,
}

impl CasePair {
    fn noise(&self) -> f64 {
        if self.case.critical { 0.0 } else { NOISE }
    }
}

/// The golden cases of this repository under two prompts of a project.
fn case_pairs(project: &Path, baseline: &str, candidate: &str) -> Vec<CasePair> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases = Vec::new();
    dataset::survey(&[root.join("golden")], &Rules::new(root), &mut |case, _| cases.push(case.clone())).unwrap();
    let library = Library::new(project, Path::new("prompts"));
    let commands = Commands::new(root, &[]);
    let [baseline, candidate] = [baseline, candidate].map(|name| library.open(name, None).unwrap());
    cases
        .into_par_iter()
        .map(|case| CasePair {
            baseline: ArmSamples::new(&case, &baseline, Arm::Baseline, &commands),
            candidate: ArmSamples::new(&case, &candidate, Arm::Candidate, &commands),
            case,
        })
        .collect()
}

fn truth(all: &[CasePair]) -> f64 {
    let change = |tried: &CasePair| tried.candidate.rate(tried.noise()) - tried.baseline.rate(tried.noise());
    all.iter().map(change).sum::<f64>() / all.len() as f64
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cases {
    /// All of them, once.
    AsTheyAre,
    /// The critical ones, and as many as there are others, each drawn anew: a sample of cases like these.
    Drawn,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    promote: u64,
    block: u64,
    runs: u64,
}

impl Tally {
    fn count(mut self, decision: Decision) -> Tally {
        self.promote += u64::from(decision == Decision::Promote);
        self.block += u64::from(decision == Decision::Block);
        self.runs += 1;
        self
    }

    fn and(self, other: Tally) -> Tally {
        Tally { promote: self.promote + other.promote, block: self.block + other.block, runs: self.runs + other.runs }
    }

    fn share(self, part: u64) -> f64 {
        part as f64 / self.runs as f64
    }
}

impl std::fmt::Display for Tally {
    /// A row of the table in docs/statistics.md.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [promote, block, inconclusive] =
            [self.promote, self.block, self.runs - self.promote - self.block].map(|part| 100.0 * self.share(part));
        write!(f, "promote {promote:.2}%, block {block:.2}%, inconclusive {inconclusive:.2}% of {} runs", self.runs)
    }
}

/// A row whose repeats are put in place run after run; most of them stay as they were.
struct Slot {
    row: CaseRow,
    now: [[usize; K as usize]; 2],
}

impl Slot {
    fn new(tried: &CasePair) -> Slot {
        let arm = |asked: &ArmSamples| ArmRow {
            repeats: (1..=K).map(|repeat| ScoredSample { repeat, ..asked.judged[0].clone() }).collect(),
        };
        Slot {
            row: CaseRow {
                case: tried.case.clone(),
                baseline: Some(arm(&tried.baseline)),
                candidate: arm(&tried.candidate),
            },
            now: [[0; K as usize]; 2],
        }
    }

    /// Draws the answers of the `nth` time that this run asks the case.
    fn draw(&mut self, tried: &CasePair, seed: u64, nth: u32) {
        let baseline = self.row.baseline.as_mut().unwrap();
        let arms = [(&tried.baseline, baseline), (&tried.candidate, &mut self.row.candidate)];
        for ((asked, row), now) in arms.into_iter().zip(&mut self.now) {
            if tried.case.critical {
                continue;
            }
            let samples = asked.rehearsal.samples(seed);
            for ((header, judged), now) in asked.samples.iter().zip(&mut row.repeats).zip(now) {
                // A case that is drawn twice is asked twice.
                let drawn = match nth {
                    0 => samples.answer(NOISE, header.as_bytes()),
                    nth => samples.answer(NOISE, format!("{header}-{nth}").as_bytes()),
                };
                if drawn != *now {
                    *now = drawn;
                    *judged = ScoredSample { repeat: judged.repeat, ..asked.judged[drawn].clone() };
                }
            }
        }
    }
}

fn run(all: &[CasePair], slots: &mut [Slot], cases: Cases, seed: u64) -> Decision {
    let policy = Policy::default();
    let mut comparing =
        ComparisonBuilder::new(Design { repeats: K, baseline: true, ..Design::default() }).with_policy(&policy);
    let others: Vec<usize> = (0..all.len()).filter(|at| !all[*at].case.critical).collect();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut times = vec![0; all.len()];
    for at in 0..all.len() {
        let at = match cases {
            Cases::Drawn if !all[at].case.critical => others[random.usize(0..others.len())],
            Cases::AsTheyAre | Cases::Drawn => at,
        };
        slots[at].draw(&all[at], seed, times[at]);
        times[at] += 1;
        comparing.add(&slots[at].row);
    }
    let facts = RunContext {
        gated: true,
        whole_run: Completion::Complete,
        confirms: true,
        models: (Some(MODEL), MODEL),
        judges: None,
        changes: &Changes::NONE,
        look: &Look::ONLY,
        before: &LooksBefore::Clear,
        withheld: None,
    };
    decide(&policy, &comparing.finish(), &facts).decision
}

fn simulate(all: &[CasePair], cases: Cases, runs: u64) -> Tally {
    let seeds: Vec<u64> = (0..runs).collect();
    let some = |seeds: &[u64]| {
        let mut slots: Vec<Slot> = all.iter().map(Slot::new).collect();
        seeds.iter().fold(Tally::default(), |tally, seed| tally.count(run(all, &mut slots, cases, *seed)))
    };
    seeds.par_chunks(50).map(some).reduce(Tally::default, Tally::and)
}

/// What the candidate with the planted loss does not know. Without noise it answers all else like the baseline.
const UNKNOWN: [&str; 6] = [
    "- Returned items must be in their original packaging with the tags attached.",
    "- Personalised items cannot be returned unless they arrive faulty.",
    "- Delivery to islands takes 2 extra working days.",
    "- Invoices are due within 14 days.",
    "- Points expire after 24 months.",
    "- Gift cards are valid for 3 years.",
];

/// This repository's prompt `v2`, and `less`, which is the same without some sentences.
fn project() -> tempfile::TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join("prompts").join(name)).unwrap();
    let (policies, v2) = (read("_policies.prompt"), read("v2.prompt"));
    let (mut fewer, mut less) = (policies.clone(), v2.replace("{{>policies}}", "{{>fewer}}"));
    for sentence in UNKNOWN {
        let line = format!("{sentence}\n");
        assert!(fewer.contains(&line) || less.contains(&line), "{sentence}");
        (fewer, less) = (fewer.replace(&line, ""), less.replace(&line, ""));
    }
    let project = tempfile::tempdir().unwrap();
    let prompts = project.path().join("prompts");
    fs::create_dir(&prompts).unwrap();
    for (name, text) in
        [("_policies.prompt", policies), ("_fewer.prompt", fewer), ("less.prompt", less), ("v2.prompt", v2)]
    {
        fs::write(prompts.join(name), text).unwrap();
    }
    project
}

/// The largest share of so many runs that is no surprise where the true one is `share`: two standard errors.
fn at_most(share: f64, runs: u64) -> f64 {
    share + 2.0 * (share * (1.0 - share) / runs as f64).sqrt()
}

/// An equal candidate is blocked in at most 1% of runs, give or take two standard errors.
pub fn equal_candidate(runs: u64) -> Vec<String> {
    let all = case_pairs(project().path(), "v2", "v2");
    assert_eq!(truth(&all), 0.0);
    assert!(all.len() >= 200, "{}", all.len());
    assert!(all.iter().filter(|tried| tried.case.critical).count() >= 10);
    let row = |cases| {
        let tally = simulate(&all, cases, runs);
        assert!(tally.share(tally.block) <= at_most(0.01, runs), "{tally}");
        format!("no difference, {cases:?}: {tally}")
    };
    [Cases::AsTheyAre, Cases::Drawn].map(row).into()
}

/// A loss of the margin is promoted in at most 6 of 100 runs.
pub fn loss_of_the_margin(runs: u64) -> Vec<String> {
    let all = case_pairs(project().path(), "v2", "less");
    let truth = truth(&all);
    assert!((truth + 0.05).abs() <= 0.001, "the true difference is {truth}");
    assert!(all.iter().all(|tried| !tried.case.critical || tried.candidate.passes(0)));
    let row = |cases| {
        let tally = simulate(&all, cases, runs);
        assert!(tally.share(tally.promote) <= at_most(0.05, runs), "{tally}");
        format!("a loss of {:.2} points, {cases:?}: {tally}", -100.0 * truth)
    };
    [Cases::AsTheyAre, Cases::Drawn].map(row).into()
}

#[test]
fn an_equal_candidate_is_seldom_blocked() {
    equal_candidate(100);
}

#[test]
fn a_loss_of_the_margin_is_seldom_promoted() {
    loss_of_the_margin(100);
}
