//! `promptgate judge calibrate`.

use super::options::{Calibrate, Judge as Command};
use super::signals::interruptible;
use super::terminal::{hide, print_error, print_json, print_line, warn};
use crate::commands::{CalibrationRun, Disagreement, JudgeCalibration, JudgeResult, RateEstimate};
use crate::config::{CallKind, Environment, Settings};
use crate::error::Error;
use crate::eval::Interrupt;
use crate::exit;
use crate::report::text::{log_line, truncate};
use serde_json::{Value, json};

/// Bytes of an answer, and of a reason, that are shown.
const SHOWN: usize = 200;

/// Digits of a digest that are shown.
const DIGITS: usize = 12;

pub(super) fn judge(Command::Calibrate(options): Command, environment: Environment) -> Result<u8, Error> {
    interruptible(|interrupt| calibrate(options, environment, interrupt))
}

fn calibrate(options: Calibrate, environment: Environment, interrupt: &Interrupt) -> Result<u8, Error> {
    let settings = options.settings.layers(environment).settings(CallKind::Judges)?;
    let run = CalibrationRun::prepare(&settings, options.judge.as_deref())?;
    hide(run.redactor());
    for warning in &settings.warnings {
        warn(&format!("warning: {warning}"));
    }
    let calibration = run.run(interrupt)?;
    match options.json {
        true => print_json(&document(&calibration)),
        false => print_judge_calibration(&calibration, &settings),
    }
    for reason in &calibration.unwritten {
        print_error(&log_line(reason));
    }
    if calibration.written.is_none() && calibration.exit_code != exit::REPORT {
        print_error("nothing was written, so what the gate knows of these judges is what it knew before");
    }
    Ok(calibration.exit_code)
}

fn print_judge_calibration(calibration: &JudgeCalibration, settings: &Settings) {
    if calibration.simulated {
        print_line("SIMULATED: the simulator judges, not the model; its calibration holds for no other judge");
    }
    for judge in &calibration.judges {
        print_judge(judge, settings);
    }
    let usage = &calibration.usage;
    let cost = usage.cost_usd.map_or_else(|| "price unknown".to_owned(), |cost| format!("${cost:.4}"));
    print_line(&format!("{} requests, {} replies from the store, {cost}", usage.requests, usage.stored));
    if let Some(path) = &calibration.written {
        print_line(&log_line(&format!("written to {}", path.display())));
    }
}

fn print_judge(judge: &JudgeResult, settings: &Settings) {
    let JudgeResult {
        judge_use,
        model,
        prompt_sha256,
        counts,
        sensitivity,
        specificity,
        youden,
        youden_low,
        margins,
        disagreements,
        more,
    } = judge;
    let digest: String = prompt_sha256.chars().take(DIGITS).collect();
    print_line(&log_line(&format!("judge {judge_use}: {model}, prompt {digest}, {} labels", counts.labels())));
    print_line("                   people: pass  people: fail");
    print_line(&format!("  judge: pass      {:>12}  {:>12}", counts.true_pass, counts.false_pass));
    print_line(&format!("  judge: fail      {:>12}  {:>12}", counts.false_fail, counts.true_fail));
    if counts.errors > 0 {
        print_line(&format!("  no judgement: {}", counts.errors));
    }
    print_line(&format!("  sensitivity {}, of what people let pass", rated(sensitivity)));
    print_line(&format!("  specificity {}, of what people do not let pass", rated(specificity)));
    let (margin, tolerance) = (settings.gate.policy.margin, settings.gate.policy.tolerance);
    print_line(&format!("  Youden's J {youden:.3}, at least {youden_low:.3}"));
    match margins {
        Some((scaled, tolerated)) => print_line(&format!(
            "  where it decides, a margin of {margin} counts as {scaled:.4}, a tolerance of {tolerance} as {tolerated:.4}"
        )),
        None => print_line(
            "  TOO WEAK: where it decides, every comparison is inconclusive; J must be 0.5 at least, its lower bound too",
        ),
    }
    if !disagreements.is_empty() {
        let all = disagreements.len() as u64 + more;
        print_line(&format!("  disagreements and missing judgements: {all}"));
    }
    for Disagreement { case, place, answer, people, judge, reason } in disagreements {
        print_line(&indented(
            2,
            &format!("{case} at {place}: people say {}, the judge {}", word(Some(*people)), word(*judge)),
        ));
        print_line(&indented(4, &format!("answer: {}", truncate(answer, SHOWN))));
        print_line(&indented(4, &truncate(reason, SHOWN)));
    }
    if *more > 0 {
        print_line(&format!("  … and {more} more"));
    }
}

/// A line with words from outside, behind so many blanks: of the line itself none in front would be left.
fn indented(blanks: usize, line: &str) -> String {
    " ".repeat(blanks) + &log_line(line)
}

fn word(pass: Option<bool>) -> &'static str {
    match pass {
        Some(true) => "pass",
        Some(false) => "fail",
        None => "nothing that counts",
    }
}

/// `95.0% (86.3% to 98.3%)`.
fn rated(rated: &RateEstimate) -> String {
    let RateEstimate { share, low, high } = rated;
    format!("{:.1}% ({:.1}% to {:.1}%)", 100.0 * share, 100.0 * low, 100.0 * high)
}

fn document(calibration: &JudgeCalibration) -> Value {
    let judges: Vec<Value> = calibration.judges.iter().map(judge_document).collect();
    json!({
        "schema": "promptgate.calibrated/1",
        "judges": judges,
        "requests": calibration.usage.requests,
        "stored": calibration.usage.stored,
        "cost_usd": calibration.usage.cost_usd,
        "simulated": calibration.simulated,
        "written": calibration.written.as_ref().map(|path| path.display().to_string()),
    })
}

fn judge_document(judge: &JudgeResult) -> Value {
    json!({
        "judge": judge.judge_use.judge,
        "votes": judge.judge_use.votes,
        "rule": judge.judge_use.rule,
        "model": judge.model,
        "prompt_sha256": judge.prompt_sha256,
        "counts": judge.counts,
        "sensitivity": judge.sensitivity,
        "specificity": judge.specificity,
        "youden": judge.youden,
        "youden_low": judge.youden_low,
        "margin_scaled": judge.margins.map(|(margin, _)| margin),
        "tolerance_scaled": judge.margins.map(|(_, tolerance)| tolerance),
        "disagreements": judge.disagreements,
        "more_disagreements": judge.more,
    })
}
