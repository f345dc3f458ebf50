//! The policy base: the state of the project that golden data, checks and policy must not ask for less than; and what
//! promptgate.toml asked for there and does not any more.

use super::layers::{Environment, Layer, Origin};
use super::read::Reader;
use super::{EmbeddingSettings, JudgeSettings};
use crate::domain::{Changed, Command, Policy, Problem, Problems};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Characters of a reason.
const MAX_REASON: usize = 1_000;

/// What is compared with what.
#[derive(Clone, Debug)]
pub struct PolicyBaseSettings {
    /// The revision that was asked for; `None` for no comparison.
    pub rev: Option<String>,
    /// Where it was asked for.
    pub asked_by: String,
    /// Why someone accepts what is weaker.
    pub accepted: Option<String>,
    /// The settings file, below the root.
    pub config: String,
    /// What it says now.
    pub file: Layer,
    /// Golden files and folders of options or variables, which hold for both states.
    pub golden: Option<Vec<PathBuf>>,
}

impl Reader<'_> {
    /// Option and variable win over what CI tells, and that over the file: a change must not choose what it is compared with.
    pub(super) fn policy_base(&mut self) -> PolicyBaseSettings {
        let [options, variables, file] = &self.layers.layers;
        let given = options.get("policy_base").or_else(|| variables.get("policy_base"));
        let in_ci = base_in_ci(&self.layers.environment);
        let (rev, asked_by) = match (given, in_ci, file.get("policy_base")) {
            (Some(written), _, _) | (None, None, Some(written)) => {
                let asked_by = match &written.origin {
                    Origin::Option(_) => "--policy-base".to_owned(),
                    Origin::Variable(name) => name.clone(),
                    Origin::File(place) => place.to_string(),
                };
                let rev = written.values[0].trim().to_owned();
                if rev.is_empty() {
                    let problem = written.origin.problem("is empty").expected("a git revision, or `none`");
                    self.problems.push(problem);
                }
                (Some(rev).filter(|rev| rev != "none"), asked_by)
            }
            (None, Some((name, rev)), _) => (Some(rev), name.to_owned()),
            (None, None, None) => (None, String::new()),
        };
        let accepted = self.parsed("accept_weaker", |text| {
            if text.is_empty() {
                Err("needs a reason".to_owned())
            } else if text.chars().count() > MAX_REASON {
                Err(format!("the reason has more than {MAX_REASON} characters"))
            } else {
                Ok(text.to_owned())
            }
        });
        let golden = [options, variables].into_iter().find_map(|layer| layer.get("golden"));
        PolicyBaseSettings {
            rev,
            asked_by,
            accepted,
            config: self.layers.shown.clone(),
            file: file.clone(),
            golden: golden.map(|_| self.layers.golden()),
        }
    }
}

/// The base of the change that CI looks at, and the variable that tells it.
fn base_in_ci(environment: &Environment) -> Option<(&'static str, String)> {
    let value = |name: &str| {
        environment
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };
    let branch = |name: &'static str| {
        let branch = value(name)?;
        let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        Some((name, format!("origin/{branch}")))
    };
    // A merge queue tests refs/heads/gh-readonly-queue/BRANCH/pr-N-SHA.
    let queue = || {
        let queued = value("GITHUB_REF")?.strip_prefix("refs/heads/gh-readonly-queue/")?;
        let (branch, _) = queued.rsplit_once("/pr-")?;
        Some(("GITHUB_REF", format!("origin/{branch}")))
    };
    branch("GITHUB_BASE_REF")
        .or_else(queue)
        .or_else(|| {
            let name = "CI_MERGE_REQUEST_DIFF_BASE_SHA";
            value(name).map(|commit| (name, commit.to_owned()))
        })
        .or_else(|| branch("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"))
        .or_else(|| branch("SYSTEM_PULLREQUEST_TARGETBRANCH"))
        .or_else(|| branch("BITBUCKET_PR_DESTINATION_BRANCH"))
        .or_else(|| branch("CHANGE_TARGET"))
}

impl Layer {
    /// Reads a settings file of an older state.
    ///
    /// # Errors
    /// All mistakes in it.
    pub fn of_text(text: &str, shown: &str) -> Result<Layer, Problems> {
        let mut problems = Problems::default();
        let layer = Layer::parse(text, shown, &mut problems);
        problems.or(layer)
    }

    /// The golden files and folders it names.
    pub fn golden_paths(&self) -> Option<&[String]> {
        self.get("golden").map(|written| written.values.as_slice())
    }

    /// The commands it declares.
    pub fn own_commands(&self) -> &[Command] {
        self.commands()
    }

    /// The tags it has in quarantine, whatever day it is.
    pub fn quarantined_tags(&self) -> BTreeSet<String> {
        self.quarantine().keys().cloned().collect()
    }

    fn texts(&self, key: &str) -> Option<String> {
        self.get(key).map(|written| written.values.join(", "))
    }
}

/// How another value of a setting is to be taken.
#[derive(Clone, Copy)]
enum Direction {
    /// A larger one asks for less.
    LessIsStronger,
    /// A smaller one asks for less.
    MoreIsStronger,
    /// It leaves cases out: any value but the old one may leave out others, and none at all leaves out nothing.
    Selects,
    /// `true` asks for more.
    Flag,
    /// A guardrail: a smaller one asks for more, and none for nothing.
    Guard,
    /// A list: what is no longer named is no longer asked for.
    Names,
    /// Whether another one is milder is not known, so it counts as if it were.
    Unknown,
    /// These values keep the model from being asked.
    Without(&'static [&'static str]),
    /// Neither is weaker.
    Note,
}

/// The settings that decide, with their defaults.
fn rules() -> Vec<(&'static str, Direction, Option<String>)> {
    let Policy {
        margin,
        tolerance,
        alpha,
        slice_margin,
        slice_q,
        ..
    } = Policy::default();
    let number = |number: f64| Some(number.to_string());
    vec![
        ("margin", Direction::LessIsStronger, number(margin)),
        ("tolerance", Direction::LessIsStronger, number(tolerance)),
        ("alpha", Direction::LessIsStronger, number(alpha)),
        ("min_pass_rate", Direction::MoreIsStronger, None),
        ("slice_margin", Direction::LessIsStronger, number(slice_margin)),
        ("slice_q", Direction::MoreIsStronger, number(slice_q)),
        ("critical_tags", Direction::Names, None),
        ("critical_margin", Direction::LessIsStronger, number(slice_margin)),
        ("guardrail_latency_p95", Direction::Guard, None),
        ("guardrail_cost", Direction::Guard, None),
        ("guardrail_output_tokens", Direction::Guard, None),
        ("guardrail_refusal_rate", Direction::Guard, None),
        ("guardrail_truncation_rate", Direction::Guard, None),
        ("metric", Direction::Unknown, Some("pass".to_owned())),
        ("estimand", Direction::Unknown, Some("population".to_owned())),
        (
            "judge_calibration",
            Direction::Unknown,
            Some("judge-calibration.json".to_owned()),
        ),
        ("strict_model", Direction::Flag, Some("false".to_owned())),
        ("case", Direction::Selects, None),
        ("tag", Direction::Selects, None),
        ("limit", Direction::Selects, None),
        ("shard", Direction::Selects, None),
        ("target", Direction::Without(&["sim", "recorded"]), None),
        ("cache", Direction::Without(&["only"]), None),
        ("baseline", Direction::Without(&["none"]), None),
        ("policy_base", Direction::Selects, None),
        ("golden", Direction::Note, None),
        ("repeat", Direction::Note, None),
        ("attempts", Direction::Note, None),
        ("sequential", Direction::Note, Some("false".to_owned())),
        ("max_age", Direction::Note, None),
    ]
}

/// What the settings file asks for otherwise than before.
pub fn compare_files(before: &Layer, after: &Layer) -> Vec<Changed> {
    let mut rows = Vec::new();
    for (key, direction, default) in rules() {
        let (was, is) = (before.texts(key), after.texts(key));
        if was == is {
            continue;
        }
        let (old, new) = (
            was.clone().or_else(|| default.clone()),
            is.clone().or_else(|| default.clone()),
        );
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
        let weaker = match direction {
            Direction::LessIsStronger => match (number(&old), number(&new)) {
                (Some(old), Some(new)) if old == new => continue,
                (Some(old), Some(new)) => new > old,
                _ => true,
            },
            Direction::MoreIsStronger => match (number(&old), number(&new)) {
                (Some(old), Some(new)) if old == new => continue,
                (Some(old), Some(new)) => new < old,
                (None, Some(_)) => false,
                _ => true,
            },
            Direction::Selects => match (key, number(&old), number(&new)) {
                ("limit", Some(old), Some(new)) => new < old,
                ("policy_base", ..) => was.is_some(),
                _ => is.is_some(),
            },
            Direction::Flag | Direction::Unknown if old == new => continue,
            Direction::Unknown => true,
            Direction::Guard => match (number(&old), number(&new)) {
                (Some(old), Some(new)) if old == new => continue,
                (Some(old), Some(new)) => new > old,
                (None, Some(_)) => false,
                _ => true,
            },
            Direction::Names => {
                let names = |layer: &Layer| layer.get(key).map_or_else(Vec::new, |written| written.values.clone());
                let kept = names(after);
                names(before).iter().any(|name| !kept.contains(name))
            }
            Direction::Flag => new.as_deref() != Some("true"),
            Direction::Without(values) => is.as_deref().is_some_and(|is| values.contains(&is)),
            Direction::Note => false,
        };
        rows.push(Changed {
            kind: key.to_owned(),
            what: key.to_owned(),
            before: was,
            after: is,
            weaker,
        });
    }
    rows.extend(quarantine(before, after));
    rows.extend(judges(before, after));
    rows.extend(commands(before, after));
    let embeddings = |layer: &Layer| {
        let models = layer.embeddings().iter();
        models
            .map(|(name, model)| {
                let EmbeddingSettings {
                    target,
                    model,
                    base_url,
                    dimensions,
                    path,
                    key: _,
                    place: _,
                } = model;
                let or_default = |text: Option<String>| text.unwrap_or_else(|| "default".to_owned());
                let shown = format!(
                    "target {}, model {}, base_url {}, dimensions {}, path {}",
                    target.map_or("default", |target| target.as_str()),
                    or_default(model.clone()),
                    or_default(base_url.clone()),
                    or_default(dimensions.map(|n| n.to_string())),
                    path.as_deref().unwrap_or("none")
                );
                (name.clone(), shown)
            })
            .collect()
    };
    rows.extend(tables("embeddings", embeddings(before), embeddings(after)));
    rows
}

/// A tag in quarantine, or one that stays there longer, is decided by less. What day it is plays no part, so that a verdict is
/// checked by the same changes on a later day.
fn quarantine(before: &Layer, after: &Layer) -> Vec<Changed> {
    let state = |layer: &Layer| -> BTreeMap<String, String> {
        let written = layer.quarantine().iter();
        written
            .map(|(tag, written)| (tag.clone(), written.values[0].clone()))
            .collect()
    };
    let (were, are) = (state(before), state(after));
    let tags: BTreeSet<&String> = were.keys().chain(are.keys()).collect();
    tags.into_iter()
        .map(|tag| (tag, were.get(tag), are.get(tag)))
        .filter(|(_, was, is)| was != is)
        .map(|(tag, was, is)| Changed {
            kind: "quarantine".to_owned(),
            what: tag.clone(),
            before: was.cloned(),
            after: is.cloned(),
            // Days that are written in one way are in the order of their texts; none comes before all.
            weaker: is > was,
        })
        .collect()
}

/// Whether another judge judges more mildly is not known, so it counts as if it did.
fn judges(before: &Layer, after: &Layer) -> Vec<Changed> {
    let shown = |judge: &JudgeSettings| {
        let JudgeSettings {
            target,
            model,
            base_url,
            prompt,
            key: _,
            place: _,
        } = judge;
        let or_default = |text: &Option<String>| text.clone().unwrap_or_else(|| "default".to_owned());
        format!(
            "target {}, model {}, base_url {}, prompt {}",
            target.map_or("default", |target| target.as_str()),
            or_default(model),
            or_default(base_url),
            or_default(prompt)
        )
    };
    let state = |layer: &Layer| {
        layer
            .judges()
            .iter()
            .map(|(name, judge)| (name.clone(), shown(judge)))
            .collect()
    };
    tables("judge", state(before), state(after))
}

/// Nor is it known of another command.
fn commands(before: &Layer, after: &Layer) -> Vec<Changed> {
    let state = |layer: &Layer| {
        let commands = layer.commands().iter();
        // Values of variables are not told.
        commands
            .map(|command| {
                let variables: Vec<&str> = command.env.keys().map(String::as_str).collect();
                let shown = format!(
                    "{}, timeout {} ms, variables {}",
                    command.argv.join(" "),
                    command.timeout.as_millis(),
                    variables.join(" ")
                );
                (command.name.clone(), shown)
            })
            .collect()
    };
    tables("command", state(before), state(after))
}

fn tables(kind: &str, before: Vec<(String, String)>, after: Vec<(String, String)>) -> Vec<Changed> {
    let of = |all: &[(String, String)], name: &str| {
        all.iter()
            .find(|(other, _)| other == name)
            .map(|(_, state)| state.clone())
    };
    let mut names: Vec<&String> = before.iter().chain(&after).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|name| (name, of(&before, name), of(&after, name)))
        .filter(|(_, was, is)| was != is)
        .map(|(name, was, is)| Changed {
            kind: kind.to_owned(),
            what: name.clone(),
            weaker: was.is_some(),
            before: was,
            after: is,
        })
        .collect()
}

impl PolicyBaseSettings {
    /// Names who asked for the base in what keeps it from being read.
    pub fn unreadable(&self, problem: Problem) -> Problem {
        let hint = problem.hint.unwrap_or_default();
        let fetch = "fetch all commits, as with `fetch-depth: 0` of actions/checkout, or say `--policy-base none`";
        let hint = if hint.is_empty() {
            fetch.to_owned()
        } else {
            format!("{hint}; {fetch}")
        };
        Problem {
            message: format!("the policy base ({}) can't be read: {}", self.asked_by, problem.message),
            hint: Some(hint),
            ..problem
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARANTINE: &str = "[gate.quarantine]\na = \"2026-12-31\"";

    fn rows(before: &str, after: &str) -> Vec<(String, bool)> {
        let layer = |text| Layer::of_text(text, "promptgate.toml").unwrap();
        let rows = compare_files(&layer(before), &layer(after));
        rows.into_iter().map(|row| (row.kind, row.weaker)).collect()
    }

    #[test]
    fn a_looser_setting_is_weaker_and_a_tighter_one_is_not() {
        for (before, after, expected) in [
            ("", "", None),
            ("margin = 0.05", "", None),
            ("", "margin = 0.05", None),
            ("", "margin = 0.06", Some(("margin", true))),
            ("", "margin = 0.04", Some(("margin", false))),
            ("margin = 0.04", "", Some(("margin", true))),
            ("tolerance = 0.005", "tolerance = 0.01", Some(("tolerance", true))),
            ("alpha = 0.05", "alpha = 0.1", Some(("alpha", true))),
            ("alpha = 0.05", "alpha = 0.01", Some(("alpha", false))),
            (
                "min_pass_rate = 0.9",
                "min_pass_rate = 0.8",
                Some(("min_pass_rate", true)),
            ),
            (
                "min_pass_rate = 0.8",
                "min_pass_rate = 0.9",
                Some(("min_pass_rate", false)),
            ),
            ("min_pass_rate = 0.8", "", Some(("min_pass_rate", true))),
            ("", "min_pass_rate = 0.8", Some(("min_pass_rate", false))),
            ("strict_model = true", "", Some(("strict_model", true))),
            ("", "strict_model = true", Some(("strict_model", false))),
            ("strict_model = false", "", None),
            ("", "[gate]\nslice_margin = 0.2", Some(("slice_margin", true))),
            ("", "[gate]\nslice_q = 0.01", Some(("slice_q", true))),
            ("", "[gate]\ncritical_tags = [\"a\"]", Some(("critical_tags", false))),
            (
                "[gate]\ncritical_tags = [\"a\"]",
                "[gate]\ncritical_tags = [\"b\"]",
                Some(("critical_tags", true)),
            ),
            ("", "[gate.guardrails]\ncost = 0.1", Some(("guardrail_cost", false))),
            (
                "[gate.guardrails]\ncost = 0.1",
                "[gate.guardrails]\ncost = 0.2",
                Some(("guardrail_cost", true)),
            ),
            ("[gate.guardrails]\ncost = 0.1", "", Some(("guardrail_cost", true))),
            ("", QUARANTINE, Some(("quarantine", true))),
            (
                QUARANTINE,
                "[gate.quarantine]\na = \"2027-01-01\"",
                Some(("quarantine", true)),
            ),
            (
                QUARANTINE,
                "[gate.quarantine]\na = \"2026-12-30\"",
                Some(("quarantine", false)),
            ),
            // Also one that was over long ago: what day it is plays no part.
            ("", "[gate.quarantine]\na = \"2020-01-01\"", Some(("quarantine", true))),
            (QUARANTINE, "", Some(("quarantine", false))),
            (QUARANTINE, QUARANTINE, None),
            ("", "metric = \"score\"", Some(("metric", true))),
            ("", "estimand = \"dataset\"", Some(("estimand", true))),
            ("", "estimand = \"population\"", None),
            ("", "limit = 5", Some(("limit", true))),
            ("limit = 5", "limit = 4", Some(("limit", true))),
            ("limit = 5", "limit = 6", Some(("limit", false))),
            ("limit = 5", "", Some(("limit", false))),
            ("", "tag = \"a\"", Some(("tag", true))),
            ("tag = \"a\"", "tag = [\"a\"]", None),
            ("tag = [\"a\", \"b\"]", "tag = \"a\"", Some(("tag", true))),
            ("tag = \"a\"", "", Some(("tag", false))),
            ("", "case = \"a\"", Some(("case", true))),
            ("", "shard = \"1/2\"", Some(("shard", true))),
            ("", "target = \"sim\"", Some(("target", true))),
            ("target = \"sim\"", "target = \"gemini\"", Some(("target", false))),
            ("", "cache = \"only\"", Some(("cache", true))),
            ("baseline = \"v1\"", "baseline = \"none\"", Some(("baseline", true))),
            ("baseline = \"v1\"", "baseline = \"v2\"", Some(("baseline", false))),
            (
                "policy_base = \"a\"",
                "policy_base = \"none\"",
                Some(("policy_base", true)),
            ),
            ("policy_base = \"a\"", "", Some(("policy_base", true))),
            ("", "policy_base = \"a\"", Some(("policy_base", false))),
            ("repeat = 5", "repeat = 1", Some(("repeat", false))),
            ("candidate = \"a\"", "candidate = \"b\"", None),
            ("concurrency = 1", "concurrency = 2", None),
            ("", "[commands.c]\nargv = [\"a\"]", Some(("command", false))),
            ("[commands.c]\nargv = [\"a\"]", "\n\n[commands.c]\nargv = [\"a\"]", None),
            (
                "[commands.c]\nargv = [\"a\"]",
                "[commands.c]\nargv = [\"b\"]",
                Some(("command", true)),
            ),
            ("[commands.c]\nargv = [\"a\"]", "", Some(("command", true))),
            (
                "[judges.default]\nmodel = \"a\"",
                "[judges.default]\nmodel = \"b\"",
                Some(("judge", true)),
            ),
            ("", "[judges.default]\nmodel = \"b\"", Some(("judge", false))),
        ] {
            let expected: Vec<(String, bool)> = expected
                .into_iter()
                .map(|(kind, weaker)| (kind.to_owned(), weaker))
                .collect();
            assert_eq!(rows(before, after), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn the_base_of_a_change_is_known_from_ci() {
        let base = |pairs: &[(&str, &str)]| {
            let environment = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            base_in_ci(&environment).map(|(_, rev)| rev)
        };
        assert_eq!(base(&[]), None);
        assert_eq!(
            base(&[("GITHUB_BASE_REF", ""), ("GITHUB_REF", "refs/heads/main")]),
            None
        );
        for (name, value, expected) in [
            ("GITHUB_BASE_REF", "release/1.x", "origin/release/1.x"),
            ("GITHUB_REF", "refs/heads/gh-readonly-queue/a/b/pr-7-0123", "origin/a/b"),
            ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "0123", "0123"),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main", "origin/main"),
            ("SYSTEM_PULLREQUEST_TARGETBRANCH", "refs/heads/main", "origin/main"),
            ("BITBUCKET_PR_DESTINATION_BRANCH", "main", "origin/main"),
            ("CHANGE_TARGET", "main", "origin/main"),
        ] {
            assert_eq!(base(&[(name, value)]).as_deref(), Some(expected), "{name}");
        }
    }
}
