//! Gives single settings their type and bounds, in one set of words wherever they were written.

use super::layers::{Origin, Written};
use super::{BatchSettings, Layers, TargetKind, gate};
use crate::domain::{Estimand, MOST_ATTEMPTS, Metric, Policy, Problem, Problems, Sequential};
use crate::provider::gemini::{self, Delivery};
use crate::runner::RetryPolicy;
use std::time::Duration;

/// The variable of the official SDKs.
const GOOGLE_API_VERSION: &str = "GOOGLE_GENAI_API_VERSION";

/// Reads single settings and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers,
    pub(super) problems: &'a mut Problems,
}

impl Reader<'_> {
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let written = self.layers.get(key)?;
        match parse(written.values[0].trim()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problems.push(written.origin.problem(message));
                None
            }
        }
    }

    /// The version of the API and the way of delivery. Variables and the file may serve other targets, too; an option is
    /// meant for this call.
    pub(super) fn call(&mut self, target: TargetKind) -> (String, Delivery) {
        let (gemini, versioned) = (target.def().streams, target.def().versions);
        for (key, has, message) in [
            ("stream", gemini, "only the targets `gemini` and `sim` stream"),
            ("batch", gemini, "only the targets `gemini` and `sim` take batches"),
            (
                "api_version",
                versioned,
                "only the targets `gemini` and `sim` have a choice of version",
            ),
        ] {
            if let Some(written) = self.layers.get(key)
                && !has
                && matches!(written.origin, Origin::Option(_))
            {
                let problem = written.origin.problem(message);
                self.problems.push(problem.hint("leave it out for this target"));
            }
        }
        let version = self.api_version();
        let delivery = self.delivery();
        (
            if versioned { version } else { gemini::VERSION.to_owned() },
            if gemini { delivery } else { Delivery::Whole },
        )
    }

    /// The version of the API: option, `PROMPTGATE_API_VERSION`, `GOOGLE_GENAI_API_VERSION`, file, default.
    pub(super) fn api_version(&mut self) -> String {
        let [options, variables, file] = &self.layers.layers;
        let google = self
            .layers
            .environment
            .get(GOOGLE_API_VERSION)
            .filter(|version| !version.trim().is_empty())
            .map(|version| Written {
                values: vec![version.clone()],
                origin: Origin::Variable(GOOGLE_API_VERSION.to_owned()),
            });
        let written = options
            .get("api_version")
            .or_else(|| variables.get("api_version"))
            .or(google.as_ref())
            .or_else(|| file.get("api_version"));
        let Some(written) = written else {
            return gemini::VERSION.to_owned();
        };
        match api_version(written.values[0].trim()) {
            Ok(version) => version,
            Err(message) => {
                self.problems.push(written.origin.problem(message));
                gemini::VERSION.to_owned()
            }
        }
    }

    pub(super) fn delivery(&mut self) -> Delivery {
        if self.flag("stream") {
            Delivery::Stream
        } else {
            Delivery::Whole
        }
    }

    /// How batch jobs are waited for, if the answers are to come through them.
    pub(super) fn batch(&mut self, target: TargetKind, delivery: Delivery) -> Option<BatchSettings> {
        let asked = self.flag("batch");
        let first_look = self.parsed("batch_poll", duration).unwrap_or(Duration::from_secs(10));
        let wait = self
            .parsed("batch_wait", long_duration)
            .unwrap_or(Duration::from_secs(86_400));
        if !asked || !target.def().streams {
            return None;
        }
        if delivery == Delivery::Stream {
            let problem = Problem::new("answers of batch jobs can't be streamed");
            self.problems
                .push(problem.hint("leave out one of --batch and --stream"));
        }
        Some(BatchSettings { first_look, wait })
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.parsed(key, |text| {
            if text.is_empty() {
                Err("is empty")
            } else {
                Ok(text.to_owned())
            }
        })
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        self.parsed(key, |text| {
            word(text, &[("true", true), ("false", false), ("1", true), ("0", false)])
        })
        .unwrap_or(false)
    }

    pub(super) fn number(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        self.parsed(key, |text| match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ if most == u64::MAX => Err(format!("`{text}` is not a whole number from {least} on")),
            _ => Err(format!("`{text}` is not a whole number from {least} to {most}")),
        })
    }

    /// The waits between attempts; the longest one can't be shorter than the first.
    pub(super) fn retry(&mut self) -> RetryPolicy {
        let default = RetryPolicy::default();
        let base = self.parsed("retry_base", duration);
        let max = self.parsed("retry_max", duration);
        if let (Some(base), Some(max)) = (base, max)
            && max < base
        {
            let written = self.layers.get("retry_max").map(|written| &written.origin);
            let message = "is shorter than retry_base, the longest first wait";
            self.problems
                .push(written.map_or_else(|| Problem::new(message), |origin| origin.problem(message)));
        }
        let base = base.unwrap_or(default.base);
        RetryPolicy {
            base,
            max: max.unwrap_or(default.max.max(base)),
            max_total: self.parsed("retry_total", duration).unwrap_or(default.max_total),
            ..default
        }
    }

    /// The rules of the verdict, within their bounds.
    pub(super) fn policy(&mut self) -> Policy {
        let number = |text: &str| text.parse::<f64>().map_err(|_| format!("`{text}` is not a number"));
        let default = Policy::default();
        let policy = Policy {
            margin: self.parsed("margin", number).unwrap_or(default.margin),
            tolerance: self.parsed("tolerance", number).unwrap_or(default.tolerance),
            alpha: self.parsed("alpha", number).unwrap_or(default.alpha),
            min_pass_rate: self.parsed("min_pass_rate", number),
            metric: self
                .parsed("metric", |text| {
                    word(text, &[("pass", Metric::Pass), ("score", Metric::Score)])
                })
                .unwrap_or(default.metric),
            estimand: self
                .parsed("estimand", |text| {
                    word(
                        text,
                        &[("population", Estimand::Population), ("dataset", Estimand::Dataset)],
                    )
                })
                .unwrap_or(default.estimand),
            attempts: self
                .number("attempts", 1, MOST_ATTEMPTS.into())
                .map_or(1, |attempts| attempts as u32),
            sequential: match self.flag("sequential") {
                true => Sequential::Looks,
                false => Sequential::Off,
            },
            strict_model: self.flag("strict_model"),
            ..default
        };
        let policy = self.beside_the_score(policy);
        let policy = self.quarantine(policy);
        if let Err(found) = policy.check() {
            for problem in found.iter() {
                let written = ["margin", "tolerance", "alpha", "min_pass_rate"]
                    .iter()
                    .chain(gate::KEYS)
                    .find(|key| problem.message.starts_with(&format!("`{key}`")))
                    .and_then(|key| self.layers.get(key));
                self.problems.push(match written {
                    Some(written) => Problem {
                        expected: problem.expected.clone(),
                        hint: problem.hint.clone(),
                        ..written.origin.problem(&problem.message)
                    },
                    None => problem.clone(),
                });
            }
        }
        policy
    }

    pub(super) fn fraction(&mut self, key: &str, valid: impl FnOnce(f64) -> bool, expected: &str) -> Option<f64> {
        self.parsed(key, |text| match text.parse::<f64>() {
            Ok(number) if number.is_finite() && valid(number) => Ok(number),
            _ => Err(format!("`{text}` is not a number; expected {expected}")),
        })
    }
}

/// Reads `v1beta`, `v1` or another version; `beta` is v1beta, as the official SDK has it.
fn api_version(text: &str) -> Result<String, String> {
    if text == "beta" {
        return Ok("v1beta".to_owned());
    }
    let number = text
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if number && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no version of the api; expected v1beta or v1"))
    }
}

pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("`{text}` is not known; expected {}", known.join(", "))
        })
}

/// Reads `500ms`, `60s`, `2m` or a number of seconds; more than 0, up to an hour.
///
/// # Errors
/// What was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let expected = "something like 500ms, 60s or 2m, up to 60m";
    within(text, Duration::from_secs(3_600)).ok_or_else(|| format!("`{text}` is not a duration; expected {expected}"))
}

/// The same up to two days, after which the service has given up a batch job.
fn long_duration(text: &str) -> Result<Duration, String> {
    let expected = "something like 90s, 30m or 24h, up to 48h";
    within(text, Duration::from_secs(172_800)).ok_or_else(|| format!("`{text}` is not a duration; expected {expected}"))
}

/// How old a verdict may be, up to a year.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let expected = "something like 90m, 36h or 7d, up to 365d";
    within(text, Duration::from_secs(365 * 86_400))
        .ok_or_else(|| format!("`{text}` is not an age; expected {expected}"))
}

fn within(text: &str, most: Duration) -> Option<Duration> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit() && c != '.') {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * factor;
    (seconds > 0.0 && seconds <= most.as_secs_f64()).then(|| Duration::from_secs_f64(seconds))
}
