//! Guardrails and tags, from judged answers to the decision: how often they err, and what a run says of them.

use crate::support::project::Project;
use promptgate::domain::{
    Answer, ArmRow, Case, CaseRow, Changes, Design, GuardStatus, Guardrails, Look, LooksBefore, Outcome, Policy, Score,
    ScoredSample, Source, Usage,
};
use promptgate::internals::compare::ComparisonBuilder;
use promptgate::internals::gate::{Completion, RunContext, decide};
use serde_json::{Value, json};
use std::fmt::Write as _;

const WHOLE: RunContext<'static> = RunContext {
    models: (Some("m"), "m"),
    judges: None,
    confirms: false,
    changes: &Changes::NONE,
    look: &Look::ONLY,
    before: &LooksBefore::Clear,
    withheld: None,
    gated: true,
    whole_run: Completion::Complete,
};

#[derive(Clone, Copy, Default)]
struct Took {
    latency_ms: u64,
    tokens: u64,
    refused: bool,
}

fn arm(answers: &[Took]) -> ArmRow {
    let judged = |(took, repeat): (&Took, u32)| ScoredSample {
        answer: Some(Answer {
            latency_ms: took.latency_ms,
            usage: Usage { prompt: 10, output: took.tokens, ..Usage::default() },
            ..Answer::default()
        }),
        refused: Some(took.refused),
        attempts: 1,
        source: Some(Source::Live),
        ..ScoredSample::new(repeat, Outcome::Scored(Score::binary(true, "")))
    };
    ArmRow { repeats: answers.iter().zip(1..).map(judged).collect() }
}

/// A run of `cases` cases, three repeats each; `case` draws the answers of baseline and candidate.
fn run(guardrails: Guardrails, cases: usize, mut case: impl FnMut() -> ([Took; 3], [Took; 3])) -> GuardStatus {
    let policy = Policy { guardrails, ..Policy::default() };
    let mut comparing =
        ComparisonBuilder::new(Design { repeats: 3, baseline: true, ..Design::default() }).with_policy(&policy);
    for _ in 0..cases {
        let (blue, green) = case();
        comparing.add(&CaseRow { case: Case::new("case"), baseline: Some(arm(&blue)), candidate: arm(&green) });
    }
    decide(&policy, &comparing.finish(), &WHOLE).guardrails[0].status
}

/// Shares of runs, in percent, that block, and that hold or block.
fn shares(
    seed: u64,
    runs: u32,
    guardrails: Guardrails,
    cases: usize,
    case: impl Fn(&mut fastrand::Rng) -> ([Took; 3], [Took; 3]),
) -> (f64, f64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut blocks, mut stops) = (0u32, 0u32);
    for _ in 0..runs {
        match run(guardrails, cases, || case(&mut random)) {
            GuardStatus::Block => {
                blocks += 1;
                stops += 1;
            }
            GuardStatus::Hold => stops += 1,
            GuardStatus::Ok => {}
            GuardStatus::Unknown => panic!("there is enough to go by"),
        }
    }
    let percent = |n: u32| 100.0 * f64::from(n) / f64::from(runs);
    (percent(blocks), percent(stops))
}

/// Standard normal, by Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

/// Answers whose value is a case's own (logarithms scatter by `between`) times noise (by `within`, for each arm).
fn alike(
    random: &mut fastrand::Rng,
    between: f64,
    within: (f64, f64),
    medians: (f64, f64),
    took: impl Fn(f64) -> Took,
) -> ([Took; 3], [Took; 3]) {
    let own = (between * normal(random)).exp();
    let mut draw = |median: f64, within: f64| took(median * own * (within * normal(random)).exp());
    let blue = std::array::from_fn(|_| draw(medians.0, within.0));
    let green = std::array::from_fn(|_| draw(medians.1, within.1));
    (blue, green)
}

const RUNS: u32 = 250;
/// Three standard errors of a share of 5% in so many runs, in percent.
const NOISE: f64 = 4.1;

/// A candidate that is worse by just what is allowed is blocked in 5% of runs at most, also where the arms scatter
/// differently; one that is much worse nearly always.
#[test]
fn latency_blocks_by_chance_no_more_than_alpha() {
    let guardrails = Guardrails { latency_p95: Some(0.2), ..Guardrails::default() };
    let latency = |ms: f64| Took { latency_ms: ms.round() as u64, ..Took::default() };
    // 1.645 standard deviations of the logarithm make the 95th percentile.
    let like = |within: f64| (1.644_854 * (0.25f64.sqrt() - within.hypot(0.4))).exp();
    for (cases, green_within, factor, least, most) in [
        (60, 0.3, 1.2, 0.0, 5.0),
        (100, 0.3, 1.2, 0.0, 5.0),
        (100, 0.1, 1.2, 0.0, 5.0),
        (100, 0.6, 1.2, 0.0, 5.0),
        (60, 0.3, 1.0, 0.0, 0.0),
        (60, 0.3, 2.0, 80.0, 100.0),
        (200, 0.3, 1.6, 90.0, 100.0),
    ] {
        let (blocks, _) = shares(1, RUNS, guardrails, cases, |random| {
            let medians = (1000.0, 1000.0 * factor * like(green_within));
            alike(random, 0.4, (0.3, green_within), medians, latency)
        });
        assert!(blocks >= least && blocks <= most + NOISE, "{cases} {green_within} {factor}: {blocks}");
    }
}

#[test]
fn tokens_block_by_chance_no_more_than_alpha() {
    let guardrails = Guardrails { output_tokens: Some(0.3), ..Guardrails::default() };
    let tokens = |tokens: f64| Took { tokens: tokens.round() as u64, ..Took::default() };
    for (cases, within, factor, least, most) in [
        (20, (0.3, 0.3), 1.3, 0.0, 5.0),
        (100, (0.3, 0.3), 1.3, 0.0, 5.0),
        (20, (0.3, 1.0), 1.3, 0.0, 5.0),
        (100, (0.3, 0.3), 1.0, 0.0, 0.0),
        (20, (0.3, 0.3), 1.8, 90.0, 100.0),
        (100, (0.3, 0.3), 1.5, 90.0, 100.0),
    ] {
        let (blocks, _) = shares(2, RUNS, guardrails, cases, |random| {
            // The mean of a lognormal value grows with its scatter.
            let like = f64::exp((within.0 * within.0 - within.1 * within.1) / 2.0);
            alike(random, 0.6, within, (200.0, 200.0 * factor * like), tokens)
        });
        assert!(blocks >= least && blocks <= most + NOISE, "{cases} {within:?} {factor}: {blocks}");
    }
    // The hardest: a baseline of very different lengths, and a candidate whose answers are all of one.
    for (cases, most) in [(20, 18.0), (100, 12.0)] {
        let (blocks, _) = shares(3, RUNS, guardrails, cases, |random| {
            let own = 200.0 * normal(random).exp();
            ([tokens(own); 3], [tokens(200.0 * 0.5f64.exp() * 1.3); 3])
        });
        assert!(blocks <= most, "{cases}: {blocks}");
    }
}

#[test]
fn refusals_block_by_chance_no_more_than_alpha() {
    let guardrails = Guardrails { refusal_rate: Some(0.02), ..Guardrails::default() };
    for (cases, more, least, most) in [
        (50, 0.02, 0.0, 5.0),
        (200, 0.02, 0.0, 5.0),
        (200, 0.0, 0.0, 0.5),
        (50, 0.25, 90.0, 100.0),
        (200, 0.10, 90.0, 100.0),
    ] {
        let (blocks, _) = shares(4, RUNS, guardrails, cases, |random| {
            let answer = |refused: bool| Took { refused, ..Took::default() };
            // One answer in a hundred by chance; and cases that the candidate always refuses.
            let breaks = random.f64() < more / 0.99;
            let mut draw = |always: bool| std::array::from_fn(|_| answer(always || random.f64() < 0.01));
            (draw(false), draw(breaks))
        });
        assert!(blocks >= least && blocks <= most + NOISE, "{cases} {more}: {blocks}");
    }
}

/// Recorded answers of two prompts to forty questions; the candidate's have so many tokens, and so many are refusals.
fn recorded(tokens: u64, refusals: usize) -> Project {
    let project = Project::empty();
    let mut cases = String::new();
    let mut answers = String::new();
    for i in 0..40 {
        writeln!(
            cases,
            "{}",
            json!({"id": format!("case-{i}"), "tags": ["all"], "vars": {"question": i}, "expect": [{"length": {"min": 1}}]})
        )
        .unwrap();
        for prompt in ["v1", "v2"] {
            let candidate = prompt == "v2";
            let text = if candidate && i < refusals { "I'm sorry, but I can't help with that." } else { "Here it is." };
            let output = if candidate { tokens } else { 100 } + i as u64 % 7;
            writeln!(
                answers,
                "{}",
                json!({"case": format!("case-{i}"), "prompt": prompt, "text": text, "finish_reason": "STOP",
                       "latency_ms": 100, "usage": {"prompt": 10, "output": output, "total": output + 10}})
            )
            .unwrap();
        }
    }
    project.write("golden/cases.jsonl", cases);
    project.write("answers.jsonl", answers);
    project.write("prompts/v1.prompt", "{{question}}");
    project.write("prompts/v2.prompt", "Please: {{question}}");
    project
}

fn evaluated(project: &Project, guardrails: &str) -> (i32, Value) {
    project.write("promptgate.toml", format!("margin = 0.1\n[gate.guardrails]\n{guardrails}"));
    let ran = project.run("eval --prompt v2 --baseline v1 --target recorded --answers answers.jsonl --repeat 1");
    (ran.code, project.verdict())
}

fn found(verdict: &Value) -> Vec<(&str, &str)> {
    let guardrails = verdict["guardrails"].as_array().map(Vec::as_slice).unwrap_or_default();
    guardrails.iter().map(|found| (found["metric"].as_str().unwrap(), found["status"].as_str().unwrap())).collect()
}

#[test]
fn a_run_is_blocked_by_a_guardrail_and_held_by_one_that_can_not_be_judged() {
    let project = recorded(100, 0);
    let (code, verdict) = evaluated(&project, "");
    assert_eq!((code, &verdict["guardrails"]), (0, &Value::Null), "{verdict:#}");
    assert_eq!(verdict["policy"]["guardrails"], Value::Null);

    let (code, verdict) = evaluated(&project, "output_tokens = 0.2\nrefusal_rate = 0.05\n");
    assert_eq!(code, 0, "{verdict:#}");
    assert_eq!(found(&verdict), [("output_tokens", "ok"), ("refusal_rate", "ok")]);
    assert_eq!(verdict["policy"]["guardrails"], json!({"output_tokens": 0.2, "refusal_rate": 0.05}));

    // A recording tells neither prices nor latencies of now.
    let (code, verdict) = evaluated(&project, "latency_p95 = 0.2\ncost = 0.1\n");
    assert_eq!((code, &verdict["reasons"][0]["code"]), (11, &json!("guardrail_open")), "{verdict:#}");
    assert_eq!(found(&verdict), [("latency_p95", "unknown"), ("cost", "unknown")]);

    let longer = recorded(150, 0);
    let (code, verdict) = evaluated(&longer, "output_tokens = 0.2\n");
    assert_eq!((code, &verdict["reasons"][0]["code"]), (10, &json!("guardrail")), "{verdict:#}");
    assert_eq!(found(&verdict), [("output_tokens", "block")]);
    assert!(longer.read("reports/summary.md").contains("| output_tokens | 40 | 102."));

    let refusing = recorded(100, 12);
    let (code, verdict) = evaluated(&refusing, "refusal_rate = 0.05\n");
    assert_eq!((code, &verdict["reasons"][0]["code"]), (10, &json!("guardrail")), "{verdict:#}");
    let rows = refusing.read("reports/results.jsonl");
    assert_eq!(rows.matches("\"refused\":true").count(), 12);
}
