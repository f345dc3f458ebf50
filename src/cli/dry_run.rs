//! What `--dry-run` prints: what would be sent, what it would cost, and what it could decide.

use super::terminal::print_line;
use crate::domain::{PromptInfo, count};
use crate::eval::{ArmForecast, Estimate, Forecast, JudgesForecast, PowerEstimate};
use crate::report::text::log_line;

/// Prints the forecasts of all candidates, with the baseline in one of them.
pub(super) fn print_dry_run(forecasts: &[Forecast], estimates: &[Option<PowerEstimate>]) {
    let Some(first) = forecasts.first() else { return };
    let several = forecasts.len() > 1;
    let arms = || forecasts.iter().flat_map(|forecast| forecast.baseline.iter().chain([&forecast.candidate]));
    let sum = |of: fn(&ArmForecast) -> u64| -> u64 { arms().map(of).sum() };
    let (planned, stored) = (sum(|arm| arm.planned), sum(|arm| arm.stored));
    let size =
        if several { format!("{} candidates", forecasts.len()) } else { format!("{} repeats", first.run.repeats) };
    print_line(&format!(
        "{} of {} cases, {size}: {planned} answers planned, {stored} of them stored",
        first.run.cases, first.run.total
    ));
    for (forecast, estimate) in forecasts.iter().zip(estimates) {
        let name = if several { format!("{}: ", forecast.run.candidate.name) } else { String::new() };
        if let Some(estimate) = estimate {
            print_line(&log_line(&format!("{name}{}", estimate.sentence())));
        }
    }
    if first.offline {
        let judged = forecasts.iter().any(|forecast| forecast.judges.is_some());
        let what = if judged { " for answers" } else { "" };
        print_line(&format!("target {}: nothing would be sent{what}", first.run.target));
    } else {
        for Forecast { run, baseline, .. } in forecasts {
            if let (Some(info), Some(arm)) = (&run.baseline, baseline) {
                print_arm("baseline", info, arm);
            }
        }
        for Forecast { run, candidate, .. } in forecasts {
            print_arm("candidate", &run.candidate, candidate);
        }
        let cost = arms().try_fold(0.0, |sum, arm| Some(sum + arm.cost_usd?));
        let bounded = arms().any(ArmForecast::bounded);
        print_line(&format!(
            "in all: {} to {}, {}",
            count(planned - stored, "request", "requests"),
            first.run.target,
            dollars(cost, bounded)
        ));
    }
    for Forecast { run, judges, commands, .. } in forecasts {
        let of = if several { format!(" for `{}` and its baseline", run.candidate.name) } else { String::new() };
        if let Some(judges) = judges {
            print_judges(&of, judges);
        }
        if *commands > 0 {
            print_line(&log_line(&format!("commands{of}: at most {commands} checks, on this machine")));
        }
    }
    if !first.offline {
        print_line(&format!("{}; nothing was sent", first.prices));
    }
}

fn print_arm(name: &str, info: &PromptInfo, arm: &ArmForecast) {
    print_line(&log_line(&format!(
        "{name}: {} on {}: {}, about {} input tokens, {}, {}",
        info.name,
        info.model,
        count(arm.requests(), "request", "requests"),
        arm.input_tokens,
        output_tokens(arm.output, arm.output_tokens),
        dollars(arm.cost_usd, arm.bounded())
    )));
}

fn print_judges(of: &str, judges: &JudgesForecast) {
    print_line(&log_line(&format!(
        "judges{of}: at most {} (every vote on every answer; stored replies and equal answers make it fewer), about {} input \
         tokens, {}, {}; not in the sum above",
        count(judges.requests, "request", "requests"),
        judges.input_tokens,
        output_tokens(judges.output, judges.output_tokens),
        dollars(judges.cost_usd, true)
    )));
}

/// How many output tokens, and where the number comes from.
fn output_tokens(estimate: Estimate, tokens: u64) -> String {
    match estimate {
        Estimate::Earlier { answers } => {
            format!("about {tokens} output tokens (the mean of {answers} earlier answers)")
        }
        Estimate::MaxOutputTokens => {
            format!("at most {tokens} output tokens (maxOutputTokens; no earlier answer to go by)")
        }
        Estimate::ModelLimit => format!(
            "at most {tokens} output tokens (the model's own limit: no earlier answer to go by, and no maxOutputTokens)"
        ),
    }
}

/// A sum of money, and what kind of estimate it is.
fn dollars(cost: Option<f64>, at_most: bool) -> String {
    match cost {
        Some(cost) if at_most => format!("at most about ${cost:.4}"),
        Some(cost) => format!("about ${cost:.4}"),
        None => "price unknown (set it in promptgate.toml, under [prices])".to_owned(),
    }
}
