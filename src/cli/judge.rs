//! `promptgate judge calibrate`.

use super::options::{Calibrate, Judge as Command};
use super::{complain, hide, report, say, signals, warn};
use crate::commands::{CalibrationRun, Disagreement, JudgeCalibration, JudgeResult, RateEstimate};
use crate::config::{Environment, Settings};
use crate::domain::Problem;
use crate::error::Error;
use crate::eval::Interrupt;
use crate::exit;
use crate::report::text;
use serde_json::{Value, json};

/// Bytes of an answer, and of a reason, that are shown.
const SHOWN: usize = 200;

/// Digits of a digest that are shown.
const DIGITS: usize = 12;

pub(super) fn judge(command: Command, environment: Environment) -> Result<u8, Error> {
    let Command::Calibrate(options) = command;
    let interrupt = signals::watch().map_err(|error| Problem::new(format!("signals can't be watched: {error}")))?;
    let done = calibrate(options, environment, &interrupt);
    // A signal wins over everything, also over what went wrong meanwhile.
    match (interrupt.code(), done) {
        (None, done) => done,
        (Some(code), Ok(_)) => Ok(code),
        (Some(code), Err(error)) => {
            report(&error);
            Ok(code)
        }
    }
}

fn calibrate(options: Calibrate, environment: Environment, interrupt: &Interrupt) -> Result<u8, Error> {
    let (only, json) = (options.judge, options.json);
    let settings = options.given.layers(environment).settle_for_judges()?;
    let calibrating = CalibrationRun::prepare(&settings, only.as_deref())?;
    hide(calibrating.redactor());
    for warning in &settings.warnings {
        warn(&format!("warning: {warning}"));
    }
    let calibrated = calibrating.run(interrupt)?;
    if json {
        let pretty = serde_json::to_string_pretty(&document(&calibrated)).unwrap_or_default();
        say(&text::json_safe(&pretty));
    } else {
        tell(&calibrated, &settings);
    }
    for reason in &calibrated.unwritten {
        complain(&text::log_line(reason));
    }
    if calibrated.written.is_none() && calibrated.exit_code != exit::REPORT {
        complain("nothing was written, so what the gate knows of these judges is what it knew before");
    }
    Ok(calibrated.exit_code)
}

fn tell(calibrated: &JudgeCalibration, settings: &Settings) {
    if calibrated.simulated {
        say("SIMULATED: the simulator judges, not the model; its calibration holds for no other judge");
    }
    for judge in &calibrated.judges {
        tell_judge(judge, settings);
    }
    let asked = &calibrated.asked;
    let cost = asked.cost_usd.map_or_else(|| "price unknown".to_owned(), |cost| format!("${cost:.4}"));
    say(&format!("{} requests, {} replies from the store, {cost}", asked.requests, asked.stored));
    if let Some(path) = &calibrated.written {
        say(&text::log_line(&format!("written to {}", path.display())));
    }
}

fn tell_judge(judge: &JudgeResult, settings: &Settings) {
    let JudgeResult {
        asked,
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
    say(&text::log_line(&format!("judge {asked}: {model}, prompt {digest}, {} labels", counts.labels())));
    say("                   people: pass  people: fail");
    say(&format!("  judge: pass      {:>12}  {:>12}", counts.true_pass, counts.false_pass));
    say(&format!("  judge: fail      {:>12}  {:>12}", counts.false_fail, counts.true_fail));
    if counts.errors > 0 {
        say(&format!("  no judgement: {}", counts.errors));
    }
    say(&format!("  sensitivity {}, of what people let pass", rated(sensitivity)));
    say(&format!("  specificity {}, of what people do not let pass", rated(specificity)));
    let (margin, tolerance) = (settings.gate.policy.margin, settings.gate.policy.tolerance);
    say(&format!("  Youden's J {youden:.3}, at least {youden_low:.3}"));
    match margins {
        Some((scaled, tolerated)) => say(&format!(
            "  where it decides, a margin of {margin} counts as {scaled:.4}, a tolerance of {tolerance} as {tolerated:.4}"
        )),
        None => say(
            "  TOO WEAK: where it decides, every comparison is inconclusive; J must be 0.5 at least, its lower bound too",
        ),
    }
    if !disagreements.is_empty() {
        let all = disagreements.len() as u64 + more;
        say(&format!("  disagreements and missing judgements: {all}"));
    }
    for Disagreement { case, place, answer, people, judge, reason } in disagreements {
        say(&indented(
            2,
            &format!("{case} at {place}: people say {}, the judge {}", word(Some(*people)), word(*judge)),
        ));
        say(&indented(4, &format!("answer: {}", text::truncate(answer, SHOWN))));
        say(&indented(4, &text::truncate(reason, SHOWN)));
    }
    if *more > 0 {
        say(&format!("  … and {more} more"));
    }
}

/// A line with words from outside, behind so many blanks: of the line itself none in front would be left.
fn indented(blanks: usize, line: &str) -> String {
    " ".repeat(blanks) + &text::log_line(line)
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

fn document(calibrated: &JudgeCalibration) -> Value {
    let judges: Vec<Value> = calibrated.judges.iter().map(judge_document).collect();
    json!({
        "schema": "promptgate.calibrated/1",
        "judges": judges,
        "requests": calibrated.asked.requests,
        "stored": calibrated.asked.stored,
        "cost_usd": calibrated.asked.cost_usd,
        "simulated": calibrated.simulated,
        "written": calibrated.written.as_ref().map(|path| path.display().to_string()),
    })
}

fn judge_document(judge: &JudgeResult) -> Value {
    let rated = |RateEstimate { share, low, high }: &RateEstimate| json!({"share": share, "low": low, "high": high});
    let disagreements: Vec<Value> = judge
        .disagreements
        .iter()
        .map(|found| {
            json!({
                "case": found.case,
                "place": found.place.to_string(),
                "answer": found.answer,
                "people": found.people,
                "judge": found.judge,
                "reason": found.reason,
            })
        })
        .collect();
    json!({
        "judge": judge.asked.judge,
        "votes": judge.asked.votes,
        "rule": judge.asked.rule,
        "model": judge.model,
        "prompt_sha256": judge.prompt_sha256,
        "counts": judge.counts,
        "sensitivity": rated(&judge.sensitivity),
        "specificity": rated(&judge.specificity),
        "youden": judge.youden,
        "youden_low": judge.youden_low,
        "margin_scaled": judge.margins.map(|(margin, _)| margin),
        "tolerance_scaled": judge.margins.map(|(_, tolerance)| tolerance),
        "disagreements": disagreements,
        "more_disagreements": judge.more,
    })
}
