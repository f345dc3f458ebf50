//! `promptgate gate calibrate`.

use super::eval::print_dry_run;
use super::options::CalibrateGate;
use super::{hide, report, say, signals, warn};
use crate::commands::{self, GateCalibration};
use crate::config::Environment;
use crate::domain::{Estimand, Problem, Progress};
use crate::error::Error;
use crate::eval::{self, Interrupt, RunHooks, RunKind};
use crate::exit;
use crate::report::progress::{self, Silent};
use crate::report::text;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn calibrate(options: CalibrateGate, environment: Environment) -> Result<u8, Error> {
    let interrupt = signals::watch().map_err(|error| Problem::new(format!("signals can't be watched: {error}")))?;
    let done = compare(options, environment, &interrupt);
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

fn compare(options: CalibrateGate, environment: Environment, interrupt: &Interrupt) -> Result<u8, Error> {
    let as_json = options.json;
    let unattended = environment.contains_key("CI");
    let settings = options.given.layers(environment).settle_for_itself()?;
    let prepared = eval::prepare(&settings, RunKind::AaTest)?;
    let redactor = prepared.redactor().clone();
    hide(&redactor);
    let tell = |sentence: &str| {
        if !settings.run.quiet {
            warn(sentence);
        }
    };
    for warning in &prepared.warnings {
        tell(&format!("warning: {warning}"));
    }
    if settings.run.dry_run {
        print_dry_run(&eval::forecast(&prepared)?, None);
        return Ok(exit::OK);
    }
    let progress: Arc<dyn Progress> =
        if settings.run.quiet { Arc::new(Silent) } else { progress::to_stderr(redactor, !unattended).into() };
    let hooks = RunHooks { progress: &progress, interrupt, say: &tell };
    let calibrated = commands::gate_calibrate(prepared, hooks)?;
    if as_json {
        let pretty = serde_json::to_string_pretty(&document(&calibrated)).unwrap_or_default();
        say(&text::json_safe(&pretty));
    } else {
        tell_all(&calibrated);
    }
    Ok(exit::OK)
}

fn tell_all(calibrated: &GateCalibration) {
    let GateCalibration {
        run,
        judged,
        missing,
        noise,
        margins: (margin, tolerance),
        equal,
        lost,
        by_repeats,
        repeats,
        cases,
        requests,
        cost_usd,
    } = calibrated;
    if run.simulated {
        say("SIMULATED: the simulator answers, not the model; a real model's answers vary in another way");
    }
    if let Some(prompt) = &run.baseline {
        say(&text::log_line(&format!(
            "{} on {} against itself: {judged} of {} cases, {} in both arms",
            prompt.name,
            prompt.model,
            run.cases,
            samples(run.repeats)
        )));
    }
    if *missing > 0 {
        say(&format!("{missing} answers could not be judged; their cases are left out below"));
    }
    say(&format!("pass rate           {:.1}% and {:.1}%", 100.0 * noise.baseline_rate, 100.0 * noise.candidate_rate));
    say(&format!(
        "discordance         {:.1}% of pairs of answers to one case: one passes, the other fails",
        100.0 * noise.discordance
    ));
    say(&format!("flaky cases         {} of {judged}: some of their answers pass, some don't", noise.flaky));
    say(&format!("sigma2              {:.4}: variance of an answer within a case, both arms together", noise.within));
    say(&match noise.between {
        Some(between) => format!(
            "omega2              {between:+.4}: variance between cases, as estimated; it is 0 here, as both arms are one prompt"
        ),
        None => "omega2              not estimated; it is 0 here, as both arms are one prompt".to_owned(),
    });
    if noise.critical > 0 {
        say(&format!(
            "must-pass cases     {}, {} with an answer that failed; they block an equal candidate in {:.1}% of runs",
            noise.critical,
            noise.critical_failed,
            100.0 * noise.critical_blocks
        ));
    }
    if calibrated.is_still() {
        say(
            "The answers don't vary: all answers to a case are judged alike, as at temperature 0 or with a simulator without noise. \
             One sample a case then tells as much as many.",
        );
    }
    say("");
    say(&format!(
        "What the gate would decide, in {} resamples of these answers (margin {}, tolerance {}, alpha {}):",
        equal.runs,
        round(*margin),
        round(*tolerance),
        run.policy.alpha
    ));
    say("                          promote     block   inconclusive");
    say(&row("equal candidate", equal));
    match lost {
        Some(lost) => say(&row("lost the margin", lost)),
        None => say("lost the margin         it can't: the pass rate is lower than the margin"),
    }
    say("By the pass rate alone: must-pass cases, tags and guardrails can only block or wait more often.");
    say("");
    say(&format!("An equal candidate is promoted, with {judged} cases like these:"));
    for (k, shares) in by_repeats {
        say(&format!("  --repeat {k:<3} {:>6.1}%", 100.0 * shares.promote));
    }
    say(&match repeats {
        Some(k) => format!("--repeat {k} is enough: it is promoted in 80% of runs or more."),
        None => "None of these is enough to promote it in 80% of runs; add cases.".to_owned(),
    });
    match cases {
        Some(least) => say(&format!(
            "With --repeat {}, {} cases are enough (planned with omega2 0.01, because a real candidate differs from case to case; an \
             equal one is promoted in {:.1}%).",
            least.repeats,
            least.cases,
            100.0 * least.promote
        )),
        None if run.policy.estimand == Estimand::Dataset => {
            say("The cases are given (estimand dataset), so only repeats can be added.");
        }
        None => say(
            "No affordable number of cases is enough with --repeat 3; allow a larger margin, or steady the answers.",
        ),
    }
    let cost = cost_usd.map_or_else(|| "price unknown".to_owned(), |cost| format!("${cost:.4}"));
    say(&format!("{requests} requests, {cost}; no verdict was written"));
}

fn row(name: &str, shares: &commands::DecisionShares) -> String {
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

/// Without digits that nobody needs.
fn round(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

fn document(calibrated: &GateCalibration) -> Value {
    let GateCalibration {
        run,
        judged,
        missing,
        noise,
        margins: (margin, tolerance),
        equal,
        lost,
        by_repeats,
        repeats,
        cases,
        requests,
        cost_usd,
    } = calibrated;
    let shares = |shares: &commands::DecisionShares| {
        json!({
            "runs": shares.runs,
            "promote": shares.promote,
            "block": shares.block,
            "inconclusive": shares.inconclusive,
        })
    };
    json!({
        "schema": "promptgate.gate_calibration/1",
        "prompt": run.baseline.as_ref().map(|prompt| json!({
            "name": prompt.name, "sha256": prompt.sha256, "model": prompt.model,
        })),
        "target": run.target,
        "simulated": run.simulated,
        "dataset_sha256": run.dataset_sha256,
        "cases": run.cases,
        "judged": judged,
        "missing": missing,
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
        "varies": !calibrated.is_still(),
        "equal": shares(equal),
        "lost_the_margin": lost.as_ref().map(shares),
        "by_repeats": by_repeats
            .iter()
            .map(|(k, row)| json!({"repeats": k, "decisions": shares(row)}))
            .collect::<Vec<_>>(),
        "enough_repeats": repeats,
        "enough_cases": cases.map(|least| json!({
            "repeats": least.repeats, "cases": least.cases, "promote": least.promote,
        })),
        "requests": requests,
        "cost_usd": cost_usd,
    })
}
