//! What a run costs: foretold, limited, and counted for what the store already has.

use crate::support::fake::Fake;
use crate::support::project::{KEY, Project};

#[test]
fn a_dry_run_tells_requests_tokens_and_cost_of_each_arm() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(4);
    let v2 = project.read("prompts/v2.prompt");
    project.write("prompts/v2.prompt", v2.replace("---\n{{role", "config: {maxOutputTokens: 100}\n---\n{{role"));
    insta::assert_snapshot!(project.eval_at(&fake.url, "--dry-run").assert_exit(0).stdout, @"
    4 of 4 cases, 3 repeats: 24 answers planned, 0 of them stored
    an equally good candidate would be promoted with a chance of less than 1% (80% would take about 150 cases); no loss would be blocked as often as 4 times in 5; with fewer than 70 cases even one that differs nowhere is not promoted; by typical noise, there is no earlier run to go by
    baseline: v1 on gemini-3.8-flash: 12 requests, about 312 input tokens, at most 786432 output tokens (the model's own limit: no earlier answer to go by, and no maxOutputTokens), at most about $2.9494
    candidate: v2 on gemini-3.8-flash: 12 requests, about 432 input tokens, at most 1200 output tokens (maxOutputTokens; no earlier answer to go by), at most about $0.0048
    in all: 24 requests to gemini, at most about $2.9542
    prices as of 2026-11-22; nothing was sent
    ");
    assert!(!project.file(".promptgate").exists());
    assert_eq!(fake.count(), 0);

    project.eval_at(&fake.url, "--limit 1 --no-gate").assert_exit(0);
    assert_eq!(fake.count(), 6);
    insta::assert_snapshot!(project.eval_at(&fake.url, "--dry-run").assert_exit(0).stdout, @"
    4 of 4 cases, 3 repeats: 24 answers planned, 6 of them stored
    an equally good candidate would be promoted with a chance of less than 1% (80% would take about 150 cases); no loss would be blocked as often as 4 times in 5; with fewer than 70 cases even one that differs nowhere is not promoted; by typical noise, there is no earlier run to go by
    baseline: v1 on gemini-3.8-flash: 9 requests, about 234 input tokens, about 45 output tokens (the mean of 3 earlier answers), about $0.0003
    candidate: v2 on gemini-3.8-flash: 9 requests, about 324 input tokens, about 45 output tokens (the mean of 3 earlier answers), about $0.0004
    in all: 18 requests to gemini, about $0.0008
    prices as of 2026-11-22; nothing was sent
    ");
    insta::assert_snapshot!(project.eval_at(&fake.url, "--dry-run --limit 1").assert_exit(0).stdout, @"
    1 of 4 cases, 3 repeats: 6 answers planned, 6 of them stored
    an equally good candidate would be promoted with a chance of less than 1% (80% would take about 150 cases); no loss would be blocked as often as 4 times in 5; with fewer than 70 cases even one that differs nowhere is not promoted; by typical noise, there is no earlier run to go by
    baseline: v1 on gemini-3.8-flash: 0 requests, about 0 input tokens, about 0 output tokens (the mean of 3 earlier answers), about $0.0000
    candidate: v2 on gemini-3.8-flash: 0 requests, about 0 input tokens, about 0 output tokens (the mean of 3 earlier answers), about $0.0000
    in all: 0 requests to gemini, about $0.0000
    prices as of 2026-11-22; nothing was sent
    ");
    insta::assert_snapshot!(project.eval_at(&fake.url, "--dry-run --cache only").assert_exit(0).stdout, @"
    4 of 4 cases, 3 repeats: 24 answers planned, 6 of them stored
    an equally good candidate would be promoted with a chance of less than 1% (80% would take about 150 cases); no loss would be blocked as often as 4 times in 5; with fewer than 70 cases even one that differs nowhere is not promoted; by typical noise, there is no earlier run to go by
    target gemini: nothing would be sent
    ");
    insta::assert_snapshot!(project.eval_at(&fake.url, "--dry-run --model my-model --cache refresh").assert_exit(0).stdout, @"
    4 of 4 cases, 3 repeats: 24 answers planned, 0 of them stored
    an equally good candidate would be promoted with a chance of less than 1% (80% would take about 150 cases); no loss would be blocked as often as 4 times in 5; with fewer than 70 cases even one that differs nowhere is not promoted; by typical noise, there is no earlier run to go by
    baseline: v1 on my-model: 12 requests, about 312 input tokens, at most 786432 output tokens (the model's own limit: no earlier answer to go by, and no maxOutputTokens), price unknown (set it in promptgate.toml, under [prices])
    candidate: v2 on my-model: 12 requests, about 432 input tokens, at most 1200 output tokens (maxOutputTokens; no earlier answer to go by), price unknown (set it in promptgate.toml, under [prices])
    in all: 24 requests to gemini, price unknown (set it in promptgate.toml, under [prices])
    prices as of 2026-11-22; nothing was sent
    ");
    assert_eq!(fake.count(), 6);
}

#[test]
fn prices_of_ones_own_are_used_and_named() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(2);
    project.write(
        "promptgate.toml",
        "[prices.\"fake-001\"]\ninput = 1000\noutput = 2000\n[prices.my-model]\ninput = 1\noutput = 1\n",
    );
    project.eval_at(&fake.url, "--no-gate --model my-model").assert_exit(0);
    // 12 answers of 10 x $1000 + 5 x $2000 a million.
    assert_eq!(project.verdict()["cost_usd"], 0.24);
    let summary = project.read("reports/summary.md");
    assert!(summary.contains("2 models as set in promptgate.toml"), "{summary}");
    project.write("promptgate.toml", "[prices.x]\ninput = \"free\"\n");
    let ran = project.eval_at(&fake.url, "--no-gate").assert_exit(2);
    insta::assert_snapshot!(ran.stderr, @"
    error: promptgate.toml:1:9: [prices.x]: `output` is missing
      expected: US dollars per million tokens
    error: promptgate.toml:2:9: `free` is not a number; expected US dollars per million tokens, from 0 to 100000
    ");
}

#[test]
fn an_answer_costs_what_it_cost_on_the_day_it_was_asked_for() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(2);
    project.write(
        "promptgate.toml",
        "[[prices.\"fake-001\"]]\ninput = 100\noutput = 0\n[[prices.\"fake-001\"]]\nfrom = 2024-06-01\ninput = 1000\noutput = 0\n",
    );
    project.eval_at(&fake.url, "--no-gate").assert_exit(0);
    assert_eq!(project.verdict()["cost_usd"], 0.12);
    assert_eq!(project.verdict()["answers_cost_usd"], 0.12);
    assert_eq!(project.results()[0]["cost_usd"], 0.01);
    // 2024-01-15
    project.store().execute("UPDATE answers SET created_at = 1705312800", []).unwrap();
    let ran = project.eval_at(&fake.url, "--no-gate").assert_exit(0);
    let verdict = project.verdict();
    assert_eq!(verdict["cost_usd"], 0.0);
    assert_eq!(verdict["answers_cost_usd"], 0.012);
    let row = &project.results()[0];
    assert_eq!(row["cost_usd"], 0.001);
    assert_eq!((&row["source"], &row["attempts"]), (&"cache".into(), &1.into()));
    assert!(row["latency_ms"].is_u64());
    assert_eq!(ran.stdout.matches("(6 from the store)").count(), 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("when they were requested: $0.0120"), "{}", ran.stdout);
    let summary = project.read("reports/summary.md");
    assert_eq!(summary.matches("(6 from the store)").count(), 2, "{summary}");
}

/// Makes the 15 answers of an arm older.
fn age(project: &Project, days: f64, arm: &str) {
    let older =
        "UPDATE answers SET created_at = created_at - ?1 WHERE id IN (SELECT answer FROM results WHERE arm = ?2)";
    let changed = project.store().execute(older, rusqlite::params![(days * 86_400.0) as i64, arm]);
    assert_eq!(changed.unwrap(), 15);
}

#[test]
fn answers_of_a_pair_that_lie_more_than_a_day_apart_are_asked_again() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(5);
    project.eval_at(&fake.url, "--no-gate").assert_exit(0);
    assert_eq!(fake.count(), 30);
    // A pair that aged together stays.
    age(&project, 10.0, "baseline");
    age(&project, 9.5, "candidate");
    project.eval_at(&fake.url, "--no-gate").assert_exit(0);
    assert_eq!(fake.count(), 30);
    // Now the baseline is too old for the candidate, and the candidate too old to stand beside a new baseline.
    age(&project, 1.0, "baseline");
    project.eval_at(&fake.url, "--no-gate").assert_exit(0);
    assert_eq!(fake.count(), 60);
    assert_eq!(project.verdict()["cached"], serde_json::json!({"baseline": 0, "candidate": 0}));
}

#[test]
fn a_fresh_candidate_is_kept_beside_a_baseline_that_is_asked_again() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(5);
    project.eval_at(&fake.url, "--no-gate").assert_exit(0);
    age(&project, 1.2, "baseline");
    project.eval_at(&fake.url, "--no-gate").assert_exit(0);
    assert_eq!(fake.count(), 45);
    assert_eq!(project.verdict()["cached"], serde_json::json!({"baseline": 0, "candidate": 15}));
}

#[test]
fn spent_tokens_and_dollars_stop_the_run_and_it_can_be_resumed() {
    for (limit, variable, file) in [
        ("--max-tokens 300", None, ""),
        ("", Some(("PROMPTGATE_MAX_TOKENS", "300")), ""),
        ("", None, "max_tokens = 300\n"),
        // 20 answers of 10 x $0.75 + 5 x $3.75 a million.
        ("--max-cost 0.000525", None, ""),
    ] {
        let fake = Fake::answering("nine");
        let project = Project::with_cases(40);
        project.write(
            "promptgate.toml",
            format!("concurrency = 1\n{file}[prices.fake-001]\ninput = 0.75\noutput = 3.75\n"),
        );
        let arguments = format!("eval --prompt v2 --baseline v1 --base-url {} {limit}", fake.url);
        let variables: Vec<_> = [("GEMINI_API_KEY", KEY)].into_iter().chain(variable).collect();
        project.run_with(&arguments, &variables).assert_exit(11);
        assert_eq!(fake.count(), 20, "{limit:?} {variable:?} {file}");
        assert!(project.verdict()["reasons"].to_string().contains("--max-tokens"));
        project.write("promptgate.toml", "");
        project.eval_at(&fake.url, "--resume --no-gate").assert_exit(0);
        assert_eq!(fake.count(), 240);
    }
}

#[test]
fn a_limit_in_dollars_needs_a_price() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(1);
    let ran = project.eval_at(&fake.url, "--max-cost 1 --model my-model").assert_exit(2);
    insta::assert_snapshot!(ran.stderr, @r#"
    error: the price of `my-model` is not known, so --max-cost can't be kept
      help: set input and output under [prices."my-model"] in promptgate.toml
    "#);
    assert_eq!(fake.count(), 0);
}

#[test]
fn each_arm_is_priced_by_its_own_service_tier() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(1);
    project.edit("prompts/v2.prompt", "---\n{{role", "config: {serviceTier: flex}\n---\n{{role");
    project.eval_at(&fake.url, "--no-gate --repeat 1").assert_exit(0);
    let costs: Vec<f64> = project.results().iter().filter_map(|row| row["cost_usd"].as_f64()).collect();
    // 10 x $0.75 + 5 x $3.75 a million, and half of it.
    assert_eq!(costs, [0.000_026_25, 0.000_013_125]);
}

#[test]
fn what_can_change_an_answer_is_part_of_its_identity() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(1);
    let asked = |more: &str| {
        let before = fake.count();
        project.eval_at(&fake.url, &format!("--no-gate --limit 1 {more}")).assert_exit(0);
        fake.count() - before
    };
    assert_eq!(asked("--repeat 2"), 4);
    assert_eq!(asked("--repeat 2"), 0);
    assert_eq!(asked("--repeat 3"), 2);
    assert_eq!(asked(""), 0);
    assert_eq!(asked("--model gemini-3.5-flash"), 6);
    let v2 = project.read("prompts/v2.prompt");
    for changed in
        [v2.replace("---\n{{role", "config: {seed: 1}\n---\n{{role"), v2.replace("sells shoes", "sells boots")]
    {
        project.write("prompts/v2.prompt", changed);
        assert_eq!(asked(""), 3);
    }
    project.write("prompts/v2.prompt", v2);
    assert_eq!(asked(""), 0);
    // Another id is no other question.
    project.edit("golden/cases.jsonl", "case-00000", "case-x");
    assert_eq!(asked(""), 0);
    let other = Fake::answering("nine");
    project.eval_at(&other.url, "--no-gate").assert_exit(0);
    assert_eq!(other.requests().len(), 6, "another server is another target");
}
