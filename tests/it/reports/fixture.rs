//! A run that holds every kind of outcome and every hostile text.

use promptgate::domain::{
    Answer, ArmRate, ArmRow, Arms, BaselinePromotion, Case, CaseId, CaseRow, Changes, CheckResult, CheckSpec,
    Completion, Counts, DatasetRecord, Decision, Difference, Estimand, Failure, FailureKind, FreshKey, GuardMetric,
    GuardStatus, Guardrail, InputDigests, Latency, Look, Method, Metric, ModelRecord, Outcome, PairCounts, Place,
    Policy, PolicyBase, PolicyChange, PriceList, PromotionTotal, PromptInfo, PromptRecord, Reason, ReasonCode, RunInfo,
    SampleSize, Score, ScoredSample, Skip, Slice, SliceGate, SliceStatus, Source, StateDiff, ToolCall, ToolInfo, Usage,
    Verdict, WaitTimes, Warning, WarningCode, ZScores,
};
use serde_json::json;

pub(super) fn run() -> RunInfo {
    let prompt = |name: &str, digit: &str| PromptInfo {
        name: name.into(),
        sha256: digit.repeat(64),
        model: "gemini-3.8-flash".into(),
        path: format!("prompts/{name}.prompt"),
        file_sha256: digit.repeat(63) + "f",
    };
    RunInfo {
        candidate: prompt("v2", "2"),
        baseline: Some(prompt("v1", "1")),
        promotion: Some(BaselinePromotion {
            notice: Some("the baseline is `v1` as promoted on 2026-09-03 <b>@team</b>\n::error::x".into()),
            dataset_sha256: None,
            total: Some(PromotionTotal {
                promotions: 12,
                since: "2026-09-03".into(),
                estimate: -0.041,
                low: -0.079,
                high: -0.003,
            }),
        }),
        target: "sim".into(),
        simulated: true,
        dataset_sha256: "d".repeat(64),
        cases: 11,
        total: 12,
        repeats: 2,
        gated: true,
        policy: Policy {
            margin: 0.05,
            tolerance: 0.01,
            alpha: 0.05,
            estimand: Estimand::Population,
            metric: Metric::Pass,
            ..Policy::default()
        },
        key: "k".repeat(64),
        tested: InputDigests {
            identical: false,
            requests_sha256: "e".repeat(64),
            judges_sha256: None,
            commands_sha256: Some("c".repeat(64)),
        },
        look: Look::ONLY,
        fresh_key: Some(FreshKey {
            reason: "the service was mended <b>@team</b>\n::error::x".into(),
            left_behind: vec![Decision::Inconclusive, Decision::Block],
        }),
        changes: changes(),
        started_at: "2026-11-22T17:56:32Z".into(),
    }
}

fn changes() -> Changes {
    let row = |kind: &str, what: &str, before: Option<&str>, after: Option<&str>, weaker| PolicyChange {
        kind: kind.into(),
        what: what.into(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
        weaker,
    };
    let base = PolicyBase { rev: "origin/main".into(), commit: "a".repeat(40) };
    let rows = vec![
        row("margin", "margin", Some("0.03"), Some("0.05"), true),
        row("case-deleted", "gone <b>@team</b>\n::error::x", Some("critical"), None, true),
        row("case-added", "refund <b>@team</b>", None, Some("2 checks"), false),
    ];
    let diff = StateDiff { rows, ..StateDiff::default() };
    Changes { accepted: Some("agreed with <b>@legal</b>".into()), ..Changes::of(base, diff) }
}

pub(super) fn verdict() -> Verdict {
    let record = |name: &str, digit: &str| PromptRecord {
        name: name.into(),
        sha256: digit.repeat(64),
        path: format!("prompts/{name}.prompt"),
        file_sha256: digit.repeat(63) + "f",
        model: ModelRecord { requested: "gemini-3.8-flash".into(), served: vec!["gemini-3.8-flash-001".into()] },
    };
    let run = run();
    Verdict {
        schema: Verdict::SCHEMA.to_owned(),
        simulated: run.simulated,
        gated: run.gated,
        key: run.key,
        look: run.look,
        fresh_key: run.fresh_key,
        promotion: run.promotion,
        policy: run.policy,
        policy_base: run.changes.base,
        changed: run.changes.rows,
        weaker_digest: run.changes.digest,
        accepted_weaker: run.changes.accepted,
        dataset: DatasetRecord { sha256: run.dataset_sha256, cases: run.cases, total: run.total },
        repeats: run.repeats,
        tested: run.tested,
        results: None,
        target: run.target,
        started_at: run.started_at,
        tool: ToolInfo::default(),
        decision: Decision::Block,
        sentence: "v2 must not go live: it fails 1 case that must always pass (refund <b>@team</b>\n::error::x)."
            .into(),
        exit_code: 10,
        promotable: false,
        rehearsal: false,
        tries: None,
        reasons: vec![
            Reason {
                code: ReasonCode::Critical,
                message: "the must-pass case \"refund <b>@team</b>\" failed".into(),
                cases: vec![CaseId::new("refund <b>@team</b>")],
            },
            Reason { code: ReasonCode::Errors, message: "2 of 22 answers are missing".into(), cases: vec![] },
        ],
        warnings: vec![Warning {
            code: WarningCode::ServedModel,
            message: "the candidate requested gemini-3.8-flash, but \"<new>\u{1b}\n@team\" served".into(),
        }],
        replayed: false,
        unlooked: None,
        policy_sha256: "f".repeat(64),
        completion: Completion::Complete,
        candidate: record("v2", "2"),
        baseline: Some(record("v1", "1")),
        counts: Counts { cases: 11, pass: 3, fail: 4, error: 2, skipped: 2 },
        quarantined: None,
        paired: PairCounts { n: 7, both_pass: 2, regressed: 3, improved: 1, both_fail: 1 },
        rates: Arms {
            baseline: Some(ArmRate { pass: 0.75, low: 0.4, high: 0.93 }),
            candidate: Some(ArmRate { pass: 0.5, low: 0.2, high: 0.8 }),
        },
        difference: Some(Difference { estimate: -0.25, low: -0.5, high: 0.01, confidence: 0.9, method: Method::Score }),
        z: Some(ZScores { promote: -1.25, block: f64::NAN }),
        needed: Some(SampleSize { cases: 240, repeats: Some(6) }),
        slices: vec![Slice {
            tag: "a|b".into(),
            n: 4,
            baseline: Some(1.0),
            candidate: Some(0.5),
            difference: Some(-0.5),
            status: SliceStatus::Worse,
            gate: SliceGate::Hold,
            p: Some(0.0123),
        }],
        guardrails: vec![
            Guardrail {
                metric: GuardMetric::LatencyP95,
                n: 60,
                baseline: Some(800.0),
                candidate: Some(1200.0),
                change: Some(0.5),
                allowed: 0.2,
                p: Some(0.0123),
                p_any: Some(0.0004),
                status: GuardStatus::Block,
                why: None,
            },
            Guardrail {
                metric: GuardMetric::RefusalRate,
                n: 11,
                baseline: Some(0.01),
                candidate: Some(0.02),
                change: Some(0.01),
                allowed: 0.02,
                p: Some(0.7),
                p_any: Some(0.4),
                status: GuardStatus::Ok,
                why: None,
            },
            Guardrail {
                metric: GuardMetric::Cost,
                n: 0,
                baseline: None,
                candidate: None,
                change: None,
                allowed: 0.1,
                p: None,
                p_any: None,
                status: GuardStatus::Unknown,
                why: Some("the price is not known".into()),
            },
        ],
        usage: Usage { prompt: 1000, cached: 100, output: 200, thinking: 50, total: 1250 },
        cost_usd: Some(0.0123),
        judges: None,
        answers_cost_usd: Some(0.0145),
        prices: PriceList { as_of: "2026-11-22".into(), own: 0 },
        requests: 24,
        cached: Arms { baseline: 3, candidate: 0 },
        imported: 0,
        retries: 4,
        waited_ms: WaitTimes { p50: 12, p95: 3000, max: 12_000, total: 24_096 },
        latency_ms: Arms {
            baseline: Latency { p50: 400, p95: 800, p99: 900 },
            candidate: Latency { p50: 410, p95: 1200, p99: 2100 },
        },
        finished_at: "2026-11-22T17:57:02Z".into(),
        candidates: Vec::new(),
    }
}

pub(super) fn answer(text: &str) -> Answer {
    Answer {
        text: text.into(),
        finish_reason: Some("STOP".into()),
        model_version: Some("gemini-3.8-flash-001".into()),
        usage: Usage { prompt: 40, cached: 0, output: 9, thinking: 0, total: 49 },
        latency_ms: 617,
        ..Answer::default()
    }
}

pub(super) fn judged(outcome: Outcome, answer: Option<Answer>, checks: Vec<CheckResult>) -> ScoredSample {
    ScoredSample {
        repeat: 0,
        source: answer.as_ref().map(|_| Source::Live),
        cost_usd: answer.as_ref().map(|_| 0.0005),
        attempts: u32::from(answer.is_some()),
        waited_ms: answer.as_ref().map(|_| 12),
        outcome,
        answer,
        checks,
        refused: None,
    }
}

pub(super) fn check(pass: bool, reason: &str) -> CheckResult {
    CheckResult {
        matcher: "contains".into(),
        name: None,
        pass: Some(pass),
        score: Some(f64::from(pass)),
        reason: reason.into(),
        advisory: false,
    }
}

pub(super) fn pass(text: &str) -> ScoredSample {
    let score = Score::binary(true, "all checks hold");
    judged(Outcome::Scored(score), Some(answer(text)), vec![check(true, "found")])
}

pub(super) fn fail(text: &str, reason: &str) -> ScoredSample {
    let score = Score::binary(false, "1 of 1 checks broke");
    judged(Outcome::Scored(score), Some(answer(text)), vec![check(false, reason)])
}

pub(super) fn unusable(reason: &str) -> ScoredSample {
    let score = Score::binary(false, reason);
    judged(Outcome::Scored(score), Some(answer("")), vec![])
}

pub(super) fn error(kind: FailureKind, code: &str, message: &str) -> ScoredSample {
    let failure = Failure { kind, code: code.into(), message: message.into() };
    ScoredSample { attempts: 9, waited_ms: Some(12_000), ..judged(Outcome::Errored(failure), None, vec![]) }
}

pub(super) fn skipped(skip: Skip) -> ScoredSample {
    judged(Outcome::Skipped(skip), None, vec![])
}

pub(super) fn arm<const N: usize>(repeats: [ScoredSample; N]) -> ArmRow {
    let numbered = repeats.into_iter().zip(1..).map(|(judged, repeat)| ScoredSample { repeat, ..judged });
    ArmRow { repeats: numbered.collect() }
}

pub(super) fn row(id: &str, suite: &str, line: u32, baseline: ArmRow, candidate: ArmRow) -> CaseRow {
    CaseRow {
        case: Case {
            suite: suite.into(),
            place: Place::at(format!("golden/{suite}.yaml"), line, 3),
            tags: vec!["refunds".into()],
            checks: vec![CheckSpec::plain("contains", json!("30 days"))],
            ..Case::new(id)
        },
        baseline: Some(baseline),
        candidate,
    }
}

/// Every outcome and every hostile text, in plan order.
pub(super) fn rows() -> Vec<CaseRow> {
    let hostile = "\u{1b}[31mred\u{7} ]]> <testcase/>\r\n::error file=x::y\n##[group]z\n@everyone \
                   ![x](https://evil.example/p.png)\nשלום \u{202e}cba\n```\n# not a heading\n";
    let long_line = "x".repeat(1024 * 1024);
    let place = |suite| {
        let mut line = 2;
        move |id: &str, baseline: [ScoredSample; 2], candidate: [ScoredSample; 2]| {
            line += 7;
            row(id, suite, line - 7, arm(baseline), arm(candidate))
        }
    };
    let (mut refund, mut shipping) = (place("refunds"), place("shipping"));
    let both = |sample: ScoredSample| [sample.clone(), sample];
    let mut critical = refund(
        "refund <b>@team</b>",
        both(pass("Within 30 days.")),
        [pass("Within 30 days."), fail("Within 14 days of delivery.", "the answer lacks \"30 days\"")],
    );
    critical.case.critical = true;
    let mut calls = answer("");
    calls.tool_calls =
        vec![ToolCall { name: "find_order".into(), args: serde_json::Map::from_iter([("id".to_owned(), json!(7))]) }];
    let with_calls = judged(Outcome::Scored(Score::binary(true, "")), Some(calls), vec![check(true, "called")]);
    vec![
        critical,
        refund("hostile", both(pass("fine")), both(fail(hostile, hostile))),
        refund(
            "one-megabyte-line",
            both(pass(&long_line)),
            [fail(&format!("{long_line}!"), "too long"), pass(&long_line)],
        ),
        refund("better\u{202e}", [fail("14 days", "lacks"), pass("30 days")], both(pass("30 days"))),
        shipping(
            "reworded",
            both(pass("It takes two days.")),
            [pass("It takes two days."), pass("Delivery takes two days.")],
        ),
        shipping("calls", both(with_calls.clone()), both(with_calls)),
        shipping("empty", both(fail("no", "lacks")), both(unusable("the answer is empty"))),
        shipping(
            "transport",
            both(pass("yes")),
            [pass("yes"), error(FailureKind::Transport, "http_503", "overloaded @x\n::error::y")],
        ),
        shipping(
            "matcher",
            [error(FailureKind::RateLimit, "http_429", "slow down"), pass("yes")],
            [error(FailureKind::Matcher, "matcher", "no judgement"), pass("yes")],
        ),
        shipping("identical", both(skipped(Skip::Identical)), both(skipped(Skip::Identical))),
        shipping(
            "over-budget",
            [skipped(Skip::Budget), skipped(Skip::Interrupted)],
            [skipped(Skip::Budget), skipped(Skip::Stopped)],
        ),
    ]
}
