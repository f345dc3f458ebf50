//! What is known of the models by their names: which settings they take, which they ignore, and until when they serve.
//!
//! Facts as published in November 2026 in the API's documentation (thinking, deprecations, latest models). A model that
//! is not known here is not judged: a private or newer one may take anything.

use super::super::encoder::Findings;
use super::shape::at;
use crate::domain::{ArgProblem, Step};
use serde_json::{Map, Value};
use time::macros::date;
use time::{Date, Duration};

/// A retirement is told this long before it.
const NOTICE: Duration = Duration::days(90);

/// The size of a model within its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    Pro,
    Flash,
    FlashLite,
    Other,
}

/// A model's place among the models: `gemini-GENERATION-TIER`; nothing is known of one named otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Family(Option<((u32, u32), Tier)>);

/// Models that are retired or going to be: name, day, and what happens on it.
const RETIRING: [(&str, Date, &str); 3] = [
    ("gemini-2.5-pro", date!(2026 - 12 - 01), "answered by gemini-3.8-flash, at its price"),
    ("gemini-2.5-flash", date!(2026 - 12 - 01), "answered by gemini-3.5-flash-lite, at its price"),
    ("gemini-3.1-flash-lite", date!(2027 - 05 - 07), "shut down"),
];

impl Family {
    /// Reads a model's name, with or without its collection.
    pub(super) fn of(model: &str) -> Family {
        let known = || {
            let (generation, tier) = name(model).strip_prefix("gemini-")?.split_once('-')?;
            let (major, minor) = generation.split_once('.').unwrap_or((generation, "0"));
            let tier = if tier.starts_with("flash-lite") {
                Tier::FlashLite
            } else if tier.starts_with("flash") {
                Tier::Flash
            } else if tier.starts_with("pro") {
                Tier::Pro
            } else {
                Tier::Other
            };
            Some(((major.parse().ok()?, minor.parse().ok()?), tier))
        };
        Family(known())
    }

    /// Adds what this model would refuse or ignore.
    pub(super) fn review(
        self,
        model: &str,
        config: &Map<String, Value>,
        version: &str,
        today: Date,
        findings: &mut Findings,
    ) {
        if name(model).ends_with("-latest") && version == "v1" {
            findings.refused.push(ArgProblem {
                path: vec![Step::key("model")],
                ..ArgProblem::new(format!("version v1 of the api has no alias `{model}`"))
                    .expected("a model with a number, or `--api-version v1beta`")
            });
        }
        self.thinking(model, config, findings);
        self.sampling(model, config, findings);
        findings.doubtful.extend(
            self.retirement(model, today)
                .map(|message| ArgProblem { path: vec![Step::key("model")], ..ArgProblem::new(message) }),
        );
    }

    fn thinking(self, model: &str, config: &Map<String, Value>, findings: &mut Findings) {
        let Some(Value::Object(thinking)) = config.get("thinkingConfig") else {
            return;
        };
        let get = |key: &str| thinking.get(key).filter(|value| !value.is_null());
        let mut refuse = |key: &str, message: String, expected: String| {
            findings
                .refused
                .push(ArgProblem { path: at(&["thinkingConfig", key]), ..ArgProblem::new(message).expected(expected) });
        };
        if get("thinkingBudget").is_some() && get("thinkingLevel").is_some() {
            refuse(
                "thinkingLevel",
                "both `thinkingBudget` and `thinkingLevel` are given".to_owned(),
                "one of them".to_owned(),
            );
        }
        if let (Some(level), Some(levels)) = (get("thinkingLevel").and_then(Value::as_str), self.levels())
            && !levels.iter().any(|known| known.eq_ignore_ascii_case(level))
        {
            let expected = if levels.is_empty() {
                "`thinkingBudget` instead".to_owned()
            } else {
                format!("one of {}", levels.join(", "))
            };
            let shown: String = level.chars().take(60).collect();
            refuse("thinkingLevel", format!("{model} has no thinking level {shown}"), expected);
        }
        if let Some(budget) = get("thinkingBudget").and_then(Value::as_i64)
            && let Some(expected) = self.budget_problem(budget)
        {
            refuse("thinkingBudget", format!("{model} takes no thinking budget of {budget}"), expected.to_owned());
        }
    }

    /// The thinking levels it takes; `None` if nothing is known of it.
    fn levels(self) -> Option<&'static [&'static str]> {
        let (generation, tier) = self.0?;
        Some(match tier {
            _ if generation < (3, 0) => &[],
            _ if generation >= (3, 7) => &["LOW", "MEDIUM", "HIGH"],
            Tier::Pro => &["LOW", "MEDIUM", "HIGH"],
            Tier::Flash | Tier::FlashLite => &["MINIMAL", "LOW", "MEDIUM", "HIGH"],
            Tier::Other => return None,
        })
    }

    /// What would have been right instead of a thinking budget; `None` if it may be.
    fn budget_problem(self, budget: i64) -> Option<&'static str> {
        let (generation, tier) = self.0?;
        if generation >= (4, 0) {
            return Some("`thinkingLevel` instead");
        }
        let (fits, expected) = match (generation, tier) {
            (_, _) if budget == -1 => return None,
            ((2, 5), Tier::Pro) => ((128..=32_768).contains(&budget), "-1, or 128 to 32768"),
            ((2, 5), Tier::Flash) => ((0..=24_576).contains(&budget), "-1, or 0 to 24576"),
            ((2, 5), Tier::FlashLite) => (budget == 0 || (512..=24_576).contains(&budget), "-1, 0, or 512 to 24576"),
            (_, Tier::Pro) => (budget != 0, "-1, or more than 0: this model always thinks"),
            (_, Tier::Flash | Tier::FlashLite | Tier::Other) => return None,
        };
        (!fits).then_some(expected)
    }

    /// Since 3.6 (the smallest models since 3.5), these are accepted and ignored.
    fn sampling(self, model: &str, config: &Map<String, Value>, findings: &mut Findings) {
        let ignores = match self.0 {
            Some(((3, minor), Tier::Flash)) => minor >= 6,
            Some(((3, minor), Tier::FlashLite)) => minor >= 5,
            Some(_) | None => false,
        };
        for key in ["temperature", "topP", "topK"] {
            if ignores && config.get(key).is_some_and(|value| !value.is_null()) {
                findings.doubtful.push(ArgProblem {
                    path: at(&[key]),
                    ..ArgProblem::new(format!("{model} ignores `{key}`, and later models are going to refuse it"))
                        .hint("drop it; what differs from sample to sample is measured by --repeat")
                });
            }
        }
    }

    /// What is to be said about the model's future, in a sentence.
    fn retirement(self, model: &str, today: Date) -> Option<String> {
        if let Some((generation, _)) = self.0
            && generation < (2, 5)
        {
            return Some(format!("{model} is shut down"));
        }
        let (_, day, what) = RETIRING.iter().find(|(retired, ..)| *retired == name(model))?;
        if today >= *day {
            Some(format!("since {day}, {model} is {what}"))
        } else {
            (today >= *day - NOTICE).then(|| format!("from {day} on, {model} is {what}"))
        }
    }
}

/// A model's name without its collection; one's own models have no name of the service.
fn name(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TODAY: Date = date!(2026 - 11 - 22);

    /// Paths of what is refused, and of what is doubtful.
    fn judged(model: &str, config: Value) -> (String, String) {
        let mut findings = Findings::default();
        let config = config.as_object().unwrap();
        Family::of(model).review(model, config, "v1beta", TODAY, &mut findings);
        let keys = |problems: &[ArgProblem]| {
            let last = |problem: &ArgProblem| match problem.path.last() {
                Some(Step::Key(key)) => key.clone(),
                Some(Step::Index(_)) | None => String::new(),
            };
            problems.iter().map(last).collect::<Vec<_>>().join(" ")
        };
        (keys(&findings.refused), keys(&findings.doubtful))
    }

    #[test]
    fn thinking_levels_by_model() {
        for (model, taken, refused) in [
            ("gemini-3.8-flash", "LOW medium HIGH", "MINIMAL XHIGH"),
            ("models/gemini-3.7-flash", "LOW", "minimal"),
            ("gemini-3.6-flash", "MINIMAL LOW MEDIUM HIGH", "XHIGH"),
            ("gemini-3.5-flash-lite", "MINIMAL HIGH", "XHIGH"),
            ("gemini-3.1-pro-preview", "LOW HIGH", "MINIMAL"),
            ("gemini-4-argon", "LOW HIGH", "MINIMAL"),
            ("gemini-2.5-flash", "", "LOW HIGH"),
            ("gemini-flash-latest", "MINIMAL XHIGH", ""),
            ("tunedModels/gemini-2.5-flash-mine", "LOW", ""),
            ("mine", "MINIMAL", ""),
        ] {
            for (levels, expected) in [(taken, ""), (refused, "thinkingLevel")] {
                for level in levels.split_whitespace() {
                    let found = judged(model, json!({"thinkingConfig": {"thinkingLevel": level}})).0;
                    assert_eq!(found, expected, "{model} {level}");
                }
            }
        }
    }

    #[test]
    fn thinking_budgets_by_model() {
        for (model, taken, refused) in [
            ("gemini-2.5-pro", vec![-1, 128, 32_768], vec![0, 127, 32_769]),
            ("gemini-2.5-flash", vec![-1, 0, 24_576], vec![24_577]),
            ("gemini-2.5-flash-lite", vec![-1, 0, 512], vec![1, 511, 24_577]),
            ("gemini-3.1-pro-preview", vec![-1, 1], vec![0]),
            ("gemini-3.8-flash", vec![0, 100_000], vec![]),
            ("gemini-4-argon", vec![], vec![-1, 0, 500]),
            ("mine", vec![0, 1], vec![]),
        ] {
            for (budgets, expected) in [(taken, ""), (refused, "thinkingBudget")] {
                for budget in budgets {
                    let found = judged(model, json!({"thinkingConfig": {"thinkingBudget": budget}})).0;
                    assert_eq!(found, expected, "{model} {budget}");
                }
            }
        }
        let both = json!({"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}});
        assert_eq!(judged("mine", both).0, "thinkingLevel");
        let null = json!({"thinkingConfig": {"thinkingBudget": null, "thinkingLevel": "LOW"}});
        assert_eq!(judged("gemini-3.8-flash", null).0, "");
    }

    #[test]
    fn sampling_is_ignored_by_the_newer_small_models() {
        let config = json!({"temperature": 0, "topP": 0.5, "topK": null});
        for (model, ignored) in [
            ("gemini-3.8-flash", "temperature topP"),
            ("gemini-3.6-flash", "temperature topP"),
            ("gemini-3.5-flash-lite", "temperature topP"),
            ("gemini-3.5-flash", ""),
            ("gemini-3.1-flash-lite", ""),
            ("gemini-4-argon", ""),
            ("gemini-2.5-flash-lite", ""),
        ] {
            assert_eq!(judged(model, config.clone()), (String::new(), ignored.to_owned()), "{model}");
        }
    }

    #[test]
    fn retirements_are_told_in_time() {
        let notice = |model: &str, day| Family::of(model).retirement(model, day).unwrap_or_default();
        assert_eq!(
            notice("gemini-2.5-flash", TODAY),
            "from 2026-12-01 on, gemini-2.5-flash is answered by gemini-3.5-flash-lite, at its price"
        );
        assert_eq!(
            notice("models/gemini-2.5-pro", date!(2026 - 12 - 01)),
            "since 2026-12-01, models/gemini-2.5-pro is answered by gemini-3.8-flash, at its price"
        );
        assert_eq!(notice("gemini-2.5-flash", date!(2026 - 01 - 01)), "");
        assert_eq!(notice("gemini-2.5-flash-lite", TODAY), "");
        assert_eq!(notice("gemini-3.1-flash-lite", TODAY), "");
        assert_eq!(notice("gemini-2.0-flash", TODAY), "gemini-2.0-flash is shut down");
        assert_eq!(notice("gemini-1.5-pro-002", TODAY), "gemini-1.5-pro-002 is shut down");
        assert_eq!(notice("gemini-3.8-flash", TODAY), "");
    }

    #[test]
    fn aliases_are_in_one_version_only() {
        let refused = |model: &str, version: &str| {
            let mut findings = Findings::default();
            Family::of(model).review(model, &Map::new(), version, TODAY, &mut findings);
            findings.refused.len()
        };
        assert_eq!(refused("gemini-flash-latest", "v1"), 1);
        assert_eq!(refused("gemini-flash-latest", "v1beta"), 0);
        assert_eq!(refused("gemini-3.8-flash", "v1"), 0);
    }
}
