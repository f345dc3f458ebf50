//! What a planned run can decide is told before anything is spent on it.

use crate::support::fake::Fake;
use crate::support::project::{Project, Run};

fn eval(project: &Project, fake: &Fake, more: &str) -> Run {
    let baseline = if more.contains("--baseline") { "" } else { "--baseline v1" };
    project.run_with_key(&format!("eval --prompt v2 --base-url {} {baseline} {more}", fake.url))
}

/// The line of a dry run that says what could be decided.
fn foretold(project: &Project, fake: &Fake, more: &str) -> String {
    let ran = eval(project, fake, &format!("--dry-run {more}")).assert_exit(0);
    let said = ran.stdout.lines().filter(|line| line.contains("would be"));
    said.map(|line| format!("{line}\n")).collect()
}

fn warned(ran: &Run) -> String {
    let warnings = ran.stderr.lines().filter(|line| line.contains("this plan"));
    warnings.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_plan_that_can_hardly_decide_is_warned_of_and_run() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(20);
    insta::assert_snapshot!(foretold(&project, &fake, ""), @"an equally good candidate would be promoted with a chance of less than 1% (80% would take about 150 cases); a loss of 46.3 points or more would be blocked 4 times in 5; with fewer than 70 cases even one that differs nowhere is not promoted; by typical noise, there is no earlier run to go by");
    assert!(!project.file(".promptgate").exists());
    assert_eq!(fake.requests().len(), 0);

    let ran = eval(&project, &fake, "").assert_exit(11);
    assert_eq!(fake.requests().len(), 120);
    // What is told depends on the history and is no evidence: the verdict does not hold it.
    let verdict = project.verdict();
    assert!(!verdict.to_string().contains("equally good"), "{verdict}");
    insta::assert_snapshot!(warned(&ran), @"warning: this plan can hardly decide: an equally good candidate would be promoted with a chance of less than 1% (by typical noise, there is no earlier run to go by); 80% would take about 150 cases");
    // By now it is known that the answers are all alike.
    insta::assert_snapshot!(foretold(&project, &fake, ""), @"an equally good candidate would be promoted with a chance of less than 1% (80% would take about 110 cases); a loss of 45.8 points or more would be blocked 4 times in 5; with fewer than 70 cases even one that differs nowhere is not promoted; by the noise of 1 earlier run");

    for silent in ["--quiet", "--no-gate", "--baseline v2", "--shard 1/2"] {
        assert_eq!(warned(&eval(&project, &fake, silent)), "", "{silent:?}");
    }
    for nothing in ["--no-gate", "--baseline v2", "--shard 1/2"] {
        assert_eq!(foretold(&project, &fake, nothing), "", "{nothing:?}");
    }
}

#[test]
fn a_plan_that_can_decide_is_not_warned_of() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(300);
    insta::assert_snapshot!(foretold(&project, &fake, ""), @"an equally good candidate would be promoted with a chance of about 99%; a loss of 6.3 points or more would be blocked 4 times in 5; by typical noise, there is no earlier run to go by");
    let ran = eval(&project, &fake, "");
    assert_eq!((ran.code, warned(&ran)), (0, String::new()), "{}", ran.transcript());
    // One repeat, a narrow margin, and the repeats as units.
    insta::assert_snapshot!(foretold(&project, &fake, "--repeat 1 --margin 0.02 --cache refresh"), @"an equally good candidate would be promoted with a chance of about 72% (80% would take about 350 cases); a loss of 5.3 points or more would be blocked 4 times in 5; by the noise of 1 earlier run");
    insta::assert_snapshot!(foretold(&project, &fake, "--limit 30 --estimand dataset"), @"an equally good candidate would be promoted with a chance of more than 99%; a loss of 12.1 points or more would be blocked 4 times in 5; by the noise of 1 earlier run");
}

#[test]
fn weights_and_clusters_are_counted_while_the_files_are_read() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(200);
    let plain = project.read("golden/cases.jsonl");
    let with = |add: &dyn Fn(usize) -> String| {
        let rows = plain.lines().enumerate();
        let rows: String = rows.map(|(i, row)| format!("{{{},{}\n", add(i), &row[1..])).collect();
        project.write("golden/cases.jsonl", rows);
        foretold(&project, &fake, "")
    };
    let even = with(&|_| "\"weight\":2".to_owned());
    project.write("golden/cases.jsonl", &plain);
    assert_eq!(even, foretold(&project, &fake, ""), "only proportions count");
    // A tenth of the cases has a third of the weight.
    insta::assert_snapshot!(with(&|i| format!("\"weight\":{}", if i % 10 == 0 { 5 } else { 1 })), @"an equally good candidate would be promoted with a chance of about 70% (80% would take --repeat 6, or about 270 cases); a loss of 11.4 points or more would be blocked 4 times in 5; by typical noise, there is no earlier run to go by");
    insta::assert_snapshot!(with(&|i| format!("\"cluster\":\"family {}\"", i / 4)), @"an equally good candidate would be promoted with a chance of about 8% (80% would take about 350 cases, in as many more clusters); a loss of 21.2 points or more would be blocked 4 times in 5; with fewer than 280 cases even one that differs nowhere is not promoted; by typical noise, there is no earlier run to go by");
    insta::assert_snapshot!(with(&|_| "\"cluster\":\"one\"".to_owned()), @"an equally good candidate would be promoted with a chance of less than 1% (80% would take about 21000 cases, in as many more clusters); no loss would be blocked as often as 4 times in 5; with fewer than 14000 cases even one that differs nowhere is not promoted; by typical noise, there is no earlier run to go by");
}

/// 405 cases in 108 clusters, their sizes as a geometric distribution has them.
#[test]
fn clusters_of_unequal_size_are_foretold_as_simulated() {
    const CLUSTERS: [(usize, usize); 10] =
        [(25, 1), (19, 2), (16, 3), (13, 4), (10, 5), (7, 6), (6, 7), (4, 8), (4, 9), (4, 10)];
    let sizes = CLUSTERS.iter().flat_map(|(clusters, size)| std::iter::repeat_n(*size, *clusters));
    let names: Vec<usize> = sizes.enumerate().flat_map(|(name, size)| std::iter::repeat_n(name, size)).collect();
    let fake = Fake::answering("nine");
    let project = Project::with_cases(405);
    let rows: Vec<String> = project
        .read("golden/cases.jsonl")
        .lines()
        .zip(&names)
        .map(|(row, name)| format!("{{\"cluster\":\"c{name}\",{}", &row[1..]))
        .collect();
    assert_eq!(rows.len(), names.len());
    project.write("golden/cases.jsonl", rows.join("\n"));

    let groups = CLUSTERS.map(|(clusters, size)| format!("{clusters}x{size}")).join(" ");
    // Wide enough that no advice is searched for, which takes longer.
    let rules = "--repeat 1 --margin 0.065";
    let ran = project.run(&format!("gate simulate --clusters {groups} {rules} --difference 0 --runs 1000 --json"));
    let table = ran.assert_exit(0).json();
    assert_eq!(table["cases"], 405);
    let simulated = 100.0 * table["rows"][0]["promote"].as_f64().unwrap();
    let said = foretold(&project, &fake, rules);
    let chance: f64 = said.split_once("about ").unwrap().1.split_once('%').unwrap().0.parse().unwrap();
    assert!((chance - simulated).abs() <= 5.0 && simulated < 95.0, "{simulated}: {said}");
}

/// One case or cluster must not be as much as the margin by itself, because then no number of cases could tell.
#[test]
fn a_unit_that_alone_could_be_the_margin_is_refused() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(200);
    let plain = project.read("golden/cases.jsonl");
    let with = |add: &dyn Fn(usize) -> Option<String>, more: &str, code: u8| {
        let rows = plain.lines().enumerate();
        let rows: String = rows
            .map(|(i, row)| add(i).map_or_else(|| format!("{row}\n"), |key| format!("{{{key},{}\n", &row[1..])))
            .collect();
        project.write("golden/cases.jsonl", rows);
        eval(&project, &fake, &format!("--dry-run {more}")).assert_exit(code.into()).stderr
    };
    let heavy = |weight: u32| move |i: usize| (i == 7).then(|| format!("\"weight\":{weight}"));
    insta::assert_snapshot!(with(&heavy(20), "", 2), @r#"
error: golden/cases.jsonl:8:1: this case has 9.1% of the weight of all cases
  expected: at most 2.5%, half the margin, for what is more than twice as heavy as the mean
  help: split it, lower its weight, add cases, or allow a larger margin; --estimand dataset decides about exactly these cases
"#);
    for (weight, more, code) in
        [(5, "", 0), (6, "", 2), (20, "--estimand dataset", 0), (6, "--margin 0.1", 0), (20, "--limit 100", 0)]
    {
        with(&heavy(weight), more, code);
    }
    let cluster = |i: usize| (i < 12).then(|| "\"cluster\":\"refunds\"".to_owned());
    insta::assert_snapshot!(with(&cluster, "", 2), @r#"
error: golden/cases.jsonl:1:1: the cluster "refunds" has 6.0% of the weight of all cases
  expected: at most 2.5%, half the margin, for what is more than twice as heavy as the mean
  help: split it, lower its weight, add cases, or allow a larger margin; --estimand dataset decides about exactly these cases
"#);
    // Equal ones never are, however few.
    with(&|i| Some(format!("\"cluster\":\"family {}\"", i / 50)), "", 0);
    assert_eq!(fake.requests().len(), 0);
}

#[test]
fn without_a_baseline_the_rates_are_told_that_would_be_decided() {
    let fake = Fake::answering("nine");
    let project = Project::with_cases(12);
    let alone = |rate: &'static str| format!("--baseline none --min-pass-rate {rate}");
    insta::assert_snapshot!(foretold(&project, &fake, &alone("0.5")), @"a candidate that passes 86.9% or more would be promoted 4 times in 5; one that passes 13.1% or less would be blocked as often");
    insta::assert_snapshot!(foretold(&project, &fake, &alone("0.9")), @"nothing would be promoted: 29 cases are the fewest that can show a pass rate of 90%; one that passes 58.8% or less would be blocked as often");
    let ran = eval(&project, &fake, &alone("0.9")).assert_exit(11);
    insta::assert_snapshot!(warned(&ran), @"warning: this plan can't promote: nothing would be promoted: 29 cases are the fewest that can show a pass rate of 90%; one that passes 58.8% or less would be blocked as often");
    // Looser rules for the same answers would promote nothing.
    let project = Project::with_cases(12);
    let ran = eval(&project, &fake, &alone("0.5"));
    assert_eq!((ran.code, warned(&ran)), (0, String::new()), "{}", ran.transcript());
}
