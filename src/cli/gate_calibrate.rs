//! `promptgate gate calibrate`.

use super::dry_run::print_dry_run;
use super::options::CalibrateGate;
use super::signals::interruptible;
use super::terminal::{RunDisplay, hide, print_json, print_line};
use crate::commands::{self, DecisionShares, GateCalibration};
use crate::config::{CallKind, Environment};
use crate::domain::Estimand;
use crate::error::Error;
use crate::eval::{self, Interrupt, RunHooks, RunKind};
use crate::exit;
use crate::report::text::log_line;
use serde_json::{Value, json};

pub(super) fn calibrate(options: CalibrateGate, environment: Environment) -> Result<u8, Error> {
    interruptible(|interrupt| compare(options, environment, interrupt))
}

fn compare(options: CalibrateGate, environment: Environment, interrupt: &Interrupt) -> Result<u8, Error> {
    let display = RunDisplay::new(&environment);
    let settings = options.settings.layers(environment).settings(CallKind::SelfComparison)?;
    let display = display.with(&settings);
    let context = eval::prepare(&settings, RunKind::AaTest)?;
    hide(context.redactor());
    for warning in &context.warnings {
        display.warn(&format!("warning: {warning}"));
    }
    if settings.continuation.dry_run {
        print_dry_run(&[eval::forecast(&context)?], &[]);
        return Ok(exit::OK);
    }
    let progress = display.progress(context.redactor());
    let hooks = RunHooks { progress: &progress, interrupt, print: &|message| display.warn(message) };
    let calibration = commands::gate_calibrate(context, hooks)?;
    match options.json {
        true => print_json(&document(&calibration)),
        false => print_gate_calibration(&calibration),
    }
    Ok(exit::OK)
}

fn print_gate_calibration(calibration: &GateCalibration) {
    print_noise(calibration);
    print_decisions(calibration);
    print_remedies(calibration);
    let cost = calibration.cost_usd.map_or_else(|| "price unknown".to_owned(), |cost| format!("${cost:.4}"));
    print_line(&format!("{} requests, {cost}; no verdict was written", calibration.requests));
}

/// How much the answers vary.
fn print_noise(calibration: &GateCalibration) {
    let GateCalibration { run, judged, missing, noise, .. } = calibration;
    if run.simulated {
        print_line("SIMULATED: the simulator answers, not the model; a real model's answers vary in another way");
    }
    if let Some(prompt) = &run.baseline {
        print_line(&log_line(&format!(
            "{} on {} against itself: {judged} of {} cases, {} in both arms",
            prompt.name,
            prompt.model,
            run.cases,
            samples(run.repeats)
        )));
    }
    if *missing > 0 {
        print_line(&format!("{missing} answers could not be judged; their cases are left out below"));
    }
    print_line(&format!(
        "pass rate           {:.1}% and {:.1}%",
        100.0 * noise.baseline_rate,
        100.0 * noise.candidate_rate
    ));
    print_line(&format!(
        "discordance         {:.1}% of pairs of answers to one case: one passes, the other fails",
        100.0 * noise.discordance
    ));
    print_line(&format!("flaky cases         {} of {judged}: some of their answers pass, some don't", noise.flaky));
    print_line(&format!(
        "sigma2              {:.4}: variance of an answer within a case, both arms together",
        noise.within
    ));
    print_line(&match noise.between {
        Some(between) => format!(
            "omega2              {between:+.4}: variance between cases, as estimated; it is 0 here, as both arms are one prompt"
        ),
        None => "omega2              not estimated; it is 0 here, as both arms are one prompt".to_owned(),
    });
    if noise.critical > 0 {
        print_line(&format!(
            "must-pass cases     {}, {} with an answer that failed; they block an equal candidate in {:.1}% of runs",
            noise.critical,
            noise.critical_failed,
            100.0 * noise.critical_blocks
        ));
    }
    if calibration.is_still() {
        print_line(
            "The answers don't vary: all answers to a case are judged alike, as at temperature 0 or with a simulator without noise. \
             One sample a case then tells as much as many.",
        );
    }
}

/// What the gate would decide by such answers.
fn print_decisions(calibration: &GateCalibration) {
    let GateCalibration { run, margins: (margin, tolerance), equal, lost, .. } = calibration;
    print_line("");
    print_line(&format!(
        "What the gate would decide, in {} resamples of these answers (margin {}, tolerance {}, alpha {}):",
        equal.runs,
        round(*margin),
        round(*tolerance),
        run.policy.alpha
    ));
    print_line("                          promote     block   inconclusive");
    print_line(&row("equal candidate", equal));
    match lost {
        Some(lost) => print_line(&row("lost the margin", lost)),
        None => print_line("lost the margin         it can't: the pass rate is lower than the margin"),
    }
    print_line("By the pass rate alone: must-pass cases, tags and guardrails can only block or wait more often.");
}

/// How many repeats and cases are enough.
fn print_remedies(calibration: &GateCalibration) {
    let GateCalibration { run, judged, by_repeats, repeats, cases, .. } = calibration;
    print_line("");
    print_line(&format!("An equal candidate is promoted, with {judged} cases like these:"));
    for (k, shares) in by_repeats {
        print_line(&format!("  --repeat {k:<3} {:>6.1}%", 100.0 * shares.promote));
    }
    print_line(&match repeats {
        Some(k) => format!("--repeat {k} is enough: it is promoted in 80% of runs or more."),
        None => "None of these is enough to promote it in 80% of runs; add cases.".to_owned(),
    });
    match cases {
        Some(least) => print_line(&format!(
            "With --repeat {}, {} cases are enough (planned with omega2 0.01, because a real candidate differs from case to case; an \
             equal one is promoted in {:.1}%).",
            least.repeats,
            least.cases,
            100.0 * least.promote
        )),
        None if run.policy.estimand == Estimand::Dataset => {
            print_line("The cases are fixed (estimand dataset), so only repeats can be added.");
        }
        None => print_line(
            "No affordable number of cases is enough with --repeat 3; allow a larger margin, or steady the answers.",
        ),
    }
}

fn row(name: &str, shares: &DecisionShares) -> String {
    format!(
        "{name:<24} {:>7.1}%  {:>7.1}%  {:>12.1}%",
        100.0 * shares.promote,
        100.0 * shares.block,
        100.0 * shares.inconclusive
    )
}

fn samples(repeats: u32) -> String {
    match repeats {
        1 => "1 sample each".to_owned(),
        repeats => format!("{repeats} samples each"),
    }
}

/// Rounded to hundredths of a percent.
fn round(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

fn document(calibration: &GateCalibration) -> Value {
    let GateCalibration { run, noise, margins: (margin, tolerance), .. } = calibration;
    json!({
        "schema": "promptgate.gate_calibration/1",
        "prompt": run.baseline.as_ref().map(|prompt| json!({
            "name": prompt.name, "sha256": prompt.sha256, "model": prompt.model,
        })),
        "target": run.target,
        "simulated": run.simulated,
        "dataset_sha256": run.dataset_sha256,
        "cases": run.cases,
        "judged": calibration.judged,
        "missing": calibration.missing,
        "repeats": run.repeats,
        "margin": margin,
        "tolerance": tolerance,
        "alpha": run.policy.alpha,
        "metric": run.policy.metric,
        "estimand": run.policy.estimand,
        "rates": [noise.baseline_rate, noise.candidate_rate],
        "discordance": noise.discordance,
        "sigma2": noise.within,
        "omega2": noise.between,
        "flaky": noise.flaky,
        "critical": noise.critical,
        "critical_failed": noise.critical_failed,
        "critical_blocks": noise.critical_blocks,
        "varies": !calibration.is_still(),
        "equal": calibration.equal,
        "lost_the_margin": calibration.lost,
        "by_repeats": calibration
            .by_repeats
            .iter()
            .map(|(k, shares)| json!({"repeats": k, "decisions": shares}))
            .collect::<Vec<_>>(),
        "enough_repeats": calibration.repeats,
        "enough_cases": calibration.cases,
        "requests": calibration.requests,
        "cost_usd": calibration.cost_usd,
    })
}
