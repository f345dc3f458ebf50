//! Runs that are over: a list, one in full, two side by side, and their flaky cases; as text and as JSON.

use super::console::reason_lines;
use super::numbers::{UNKNOWN, comparison_lines, count, percent};
use super::text::{json_safe, log_line, truncate};
use crate::domain::{
    CaseChange, Counts, Decision, Flaky, FlakyCase, Passes, Reliability, RunComparison, RunConclusion, RunFacts,
    RunRecord, TestedPrompt, Warning,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Bytes of a name in a list.
const NAME: usize = 60;
/// Bytes of a message.
const MESSAGE: usize = 1_000;

/// The runs in a plain table, in the order given.
pub fn list(runs: &[RunRecord]) -> String {
    let mut rows =
        vec![["run", "started", "candidate", "baseline", "target", "cases", "answers", "verdict"].map(str::to_owned)];
    rows.extend(runs.iter().map(|run| {
        let facts = run.facts.as_ref();
        [
            run.run.to_string(),
            minute(run.started_at),
            name(&run.candidate),
            run.baseline.as_deref().map_or_else(|| UNKNOWN.to_owned(), name),
            name(&run.target),
            facts.map_or_else(|| UNKNOWN.to_owned(), |facts| facts.cases.to_string()),
            format!("{}/{}", run.answers, run.planned),
            verdict(run),
        ]
    }));
    table(&rows)
}

pub fn list_json(runs: &[RunRecord]) -> String {
    let runs: Vec<Value> = runs.iter().map(record).collect();
    document("promptgate.runs/1", &json!({ "runs": runs }))
}

pub fn show(run: &RunRecord) -> String {
    let mut lines = vec![
        ("run", run.run.to_string()),
        ("started", time(run.started_at)),
        ("ended", ended(run)),
        ("target", name(&run.target)),
        ("answers", format!("{} of {} planned", run.answers, run.planned)),
    ];
    match &run.facts {
        Some(facts) => lines.extend(facts_lines(facts)),
        None => {
            lines.push(("candidate", name(&run.candidate)));
            lines.push(("baseline", run.baseline.as_deref().map_or_else(|| "none".to_owned(), name)));
            lines.push(("", "more was not noted by the promptgate that made it".to_owned()));
        }
    }
    if let Some(concluded) = &run.concluded {
        lines.extend(concluded_lines(concluded));
    }
    lines.push(("verdict", verdict(run)));
    pairs(&lines)
}

fn facts_lines(facts: &RunFacts) -> Vec<(&'static str, String)> {
    let RunFacts {
        candidate,
        baseline,
        simulated,
        dataset_sha256,
        judges_sha256,
        policy_sha256,
        key,
        selection,
        shard: _,
        cases,
        total,
        repeats,
        gated,
        identical,
        policy: _,
        planned_repeats: _,
        set: _,
        series: _,
        requests_sha256: _,
        fresh_key,
        change: _,
        ci,
    } = facts;
    let mut lines = vec![
        ("candidate", tested(candidate)),
        ("baseline", baseline.as_ref().map_or_else(|| "none".to_owned(), tested)),
        ("cases", format!("{cases} of {total} × {}", count(u64::from(*repeats), "repeat", "repeats"))),
    ];
    if !selection.is_empty() {
        lines.push(("selection", name_of(&selection.join(" "), MESSAGE)));
    }
    for (on, word) in [
        (*simulated, "SIMULATED: the simulator answered"),
        (!gated, "NOT GATED: no decision was requested"),
        (*identical, "both prompts rendered the same requests"),
    ] {
        if on {
            lines.push(("", word.to_owned()));
        }
    }
    if let Some(reason) = fresh_key {
        lines.push(("fresh key", name_of(reason, MESSAGE)));
    }
    if let Some(ci) = ci {
        lines.push(("CI attempt", ci.attempt.to_string()));
    }
    lines.extend([
        ("dataset", digest(dataset_sha256)),
        ("judges", digest(judges_sha256)),
        ("policy", digest(policy_sha256)),
        ("key", digest(key)),
    ]);
    lines
}

fn concluded_lines(concluded: &RunConclusion) -> Vec<(&'static str, String)> {
    let RunConclusion {
        decision: _,
        exit_code,
        promotable,
        simulated: _,
        replayed,
        reasons,
        counts,
        checks_sha256,
        baseline_served,
        candidate_served,
    } = concluded;
    let Counts { cases: _, pass, fail, error, skipped } = counts;
    let served = [baseline_served, candidate_served].map(|models| name_of(&models.join(", "), MESSAGE));
    let mut lines = vec![
        ("checks", digest(checks_sha256)),
        ("outcomes", format!("{pass} pass, {fail} fail, {error} error, {skipped} skipped")),
    ];
    for (title, models) in ["baseline by", "candidate by"].into_iter().zip(served) {
        if !models.is_empty() {
            lines.push((title, models));
        }
    }
    if *replayed {
        lines.push(("", "REPLAYED: answers were requested earlier".to_owned()));
    }
    lines.push(("reasons", name_of(&reasons.join(", "), MESSAGE)));
    lines.push(("exit code", exit_code.to_string()));
    lines.push(("promotable", if *promotable { "yes" } else { "no" }.to_owned()));
    lines
}

pub fn show_json(run: &RunRecord) -> String {
    document("promptgate.run/1", &record(run))
}

pub fn flaky(run: &RunRecord, flaky: &Flaky) -> String {
    let repeats = run.facts.as_ref().map_or(0, |facts| facts.repeats);
    let Flaky { flaky: all, cases } = flaky;
    let head = format!(
        "run {} of {}: {} with answers that pass and answers that don't",
        run.run,
        name(&run.candidate),
        count(*all, "case", "cases")
    );
    if cases.is_empty() {
        return head;
    }
    let mut rows = vec![[
        "case".to_owned(),
        "baseline".to_owned(),
        "over runs".to_owned(),
        format!("pass^{repeats}"),
        "candidate".to_owned(),
        "over runs".to_owned(),
        format!("pass^{repeats}"),
        format!("pass@{repeats}"),
    ]];
    rows.extend(cases.iter().map(|FlakyCase { case, baseline, candidate }| {
        let [run, history, all, _] = cells(baseline.as_ref());
        let [candidate, ever, every, any] = cells(candidate.as_ref());
        [name(case), run, history, all, candidate, ever, every, any]
    }));
    let more = all.saturating_sub(cases.len() as u64);
    let more = if more > 0 { format!("\n… and {more} more") } else { String::new() };
    format!("{head}\n\n{}{more}", table(&rows))
}

fn cells(reliability: Option<&Reliability>) -> [String; 4] {
    let share = |share: Option<f64>| share.map_or_else(|| UNKNOWN.to_owned(), percent);
    match reliability {
        None => [UNKNOWN; 4].map(str::to_owned),
        Some(Reliability { run, history, pass_at_k, pass_all_k }) => {
            [passes(*run), passes(*history), share(*pass_all_k), share(*pass_at_k)]
        }
    }
}

pub fn flaky_json(run: &RunRecord, flaky: &Flaky) -> String {
    let k = run.facts.as_ref().map(|facts| facts.repeats);
    document("promptgate.flaky/1", &json!({ "run": run.run, "k": k, "flaky": flaky.flaky, "cases": flaky.cases }))
}

/// Two runs side by side. The last line is for machines; it never says `verdict=`, as it is none.
pub fn compared(comparison: &RunComparison) -> String {
    let RunComparison {
        first,
        second,
        decision,
        reasons,
        warnings,
        doubts,
        exit_code,
        policy: _,
        counts,
        paired,
        baseline_rate,
        candidate_rate,
        difference: found,
        z: _,
        needed,
        regressed,
        improved,
        slices: _,
    } = comparison;
    let mut text =
        "REPLAYED: outcomes of two runs from the store; nothing was sent or judged, and nothing here can be promoted\n"
            .to_owned();
    for (run, role) in [(first, "baseline"), (second, "candidate")] {
        let facts = run.facts.as_ref();
        let simulated = facts.is_some_and(|facts| facts.simulated);
        let _ = writeln!(
            text,
            "{role:<11} run {}, {}, {}, target {}{}",
            run.run,
            facts.map_or_else(|| name(&run.candidate), |facts| tested(&facts.candidate)),
            minute(run.started_at),
            name(&run.target),
            if simulated { " (SIMULATED)" } else { "" }
        );
    }
    for Warning { code: _, message } in warnings {
        let _ = writeln!(text, "WARNING: {}", name_of(message, MESSAGE));
    }
    for doubt in doubts {
        let _ = writeln!(text, "DOUBT: {}", name_of(doubt, MESSAGE));
    }
    text.push('\n');
    text.push_str(&changed_cases("regressed", paired.regressed, regressed));
    text.push_str(&changed_cases("improved", paired.improved, improved));
    text.push_str(&pairs(&comparison_lines(paired, baseline_rate.as_ref(), candidate_rate.as_ref(), found.as_ref())));
    let _ = write!(text, "\n\n{}", decision.as_str());
    for line in reason_lines(reasons, needed.as_ref(), counts) {
        let _ = write!(text, "\n  {line}");
    }
    if *decision == Decision::Promote && !doubts.is_empty() {
        text.push_str("\n  with doubts, this is no promote");
    }
    let _ = write!(text, "\nreplayed={} exit={exit_code}", decision.as_str());
    text
}

fn changed_cases(title: &str, all: u64, cases: &[CaseChange]) -> String {
    if all == 0 {
        return String::new();
    }
    let mut text = format!("{title}: {}\n", count(all, "case", "cases"));
    for CaseChange { case, critical, baseline, candidate } in cases {
        let critical = if *critical { ", must pass" } else { "" };
        let _ = writeln!(text, "  {}  {} → {}{critical}", name_of(case, 200), passes(*baseline), passes(*candidate));
    }
    let more = all.saturating_sub(cases.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "  … and {more} more");
    }
    text.push('\n');
    text
}

/// The same as one JSON document. It is always replayed and never promotable.
pub fn compared_json(comparison: &RunComparison) -> String {
    let mut value = serde_json::to_value(comparison).unwrap_or_default();
    value["first"] = record(&comparison.first);
    value["second"] = record(&comparison.second);
    value["replayed"] = json!(true);
    value["promotable"] = json!(false);
    document("promptgate.comparison/1", &value)
}

/// A run with its times as people and machines write them.
fn record(run: &RunRecord) -> Value {
    // A struct of texts and numbers always becomes JSON.
    let mut value = serde_json::to_value(run).unwrap_or_default();
    value["started_at"] = json!(time(run.started_at));
    value["ended_at"] = json!(run.ended_at.map(time));
    value
}

fn document(schema: &str, body: &impl Serialize) -> String {
    let mut value = json!({ "schema": schema });
    if let (Some(fields), Ok(Value::Object(more))) = (value.as_object_mut(), serde_json::to_value(body)) {
        fields.extend(more);
    }
    json_safe(&format!("{value:#}")).into_owned()
}

fn verdict(run: &RunRecord) -> String {
    match (&run.concluded, &run.ended) {
        (Some(RunConclusion { decision, reasons, .. }), _) => {
            let reason = reasons.first().map_or_else(String::new, |code| format!(" ({code})"));
            name(&format!("{decision}{reason}"))
        }
        (None, Some(_)) => UNKNOWN.to_owned(),
        (None, None) => "not ended".to_owned(),
    }
}

fn ended(run: &RunRecord) -> String {
    match (run.ended_at, &run.ended) {
        (Some(at), Some(how)) => format!("{}, {}", time(at), name(how)),
        _ => "no".to_owned(),
    }
}

fn tested(prompt: &TestedPrompt) -> String {
    let TestedPrompt { name: typed, sha256, model } = prompt;
    let short: String = sha256.chars().take(12).collect();
    format!("{} ({}, {})", name(typed), name(&short), name(model))
}

fn passes(Passes { judged, passed }: Passes) -> String {
    if judged == 0 { UNKNOWN.to_owned() } else { format!("{passed}/{judged}") }
}

fn digest(text: &str) -> String {
    name_of(text, 64)
}

fn name(text: &str) -> String {
    name_of(text, NAME)
}

fn name_of(text: &str, max: usize) -> String {
    log_line(&truncate(text, max))
}

/// RFC 3339 in UTC.
fn time(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| UNKNOWN.to_owned())
}

/// `2026-11-22 10:00`, in UTC.
fn minute(seconds: i64) -> String {
    time(seconds).chars().take(16).collect::<String>().replace('T', " ")
}

/// Columns as wide as their widest cell, two blanks apart; no line ends with a blank.
pub fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn pairs(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(title, _)| title.len() + 2).max().unwrap_or(0);
    let line = |(title, text): &(&str, String)| format!("{title:<width$}{text}").trim_end().to_owned();
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}
