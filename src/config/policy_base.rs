//! The policy base: the state of the project that golden data, checks and policy must not ask for less than; and what
//! promptgate.toml asked for there and does not any more.

use super::definition::{Definition, Origin, RawValue, Weaker};
use super::file::FileSettings;
use super::groups::{self, Exceptions};
use super::layers::{Environment, Layers};
use super::tables::{Embedding, Judge};
use super::value::Kind;
use crate::domain::{Command, Policy, PolicyChange, Problem};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct PolicyBaseSettings {
    /// The revision that was asked for; `None` for no comparison.
    pub rev: Option<String>,
    pub asked_by: String,
    pub accepted: Option<String>,
    pub config: String,
    /// The baseline is that of the file; a call can name another one.
    pub baseline_in_file: bool,
    pub file: FileSettings,
    /// Golden files and folders of options or variables, which hold for both states.
    pub golden: Option<Vec<PathBuf>>,
}

impl Layers {
    /// Option and variable win over what CI tells, and that over the file: a change must not choose what it is compared with.
    pub(super) fn policy_base(&self, exceptions: &Exceptions) -> PolicyBaseSettings {
        const KEY: &str = "policy_base";
        let given = self.options.get(KEY).or_else(|| self.variables.get(KEY));
        let (rev, asked_by) = match (given, base_in_ci(&self.environment), self.file.values.get(KEY)) {
            (Some(raw), _, _) | (None, None, Some(raw)) => {
                let asked_by = match &raw.origin {
                    Origin::Option(_) => "--policy-base".to_owned(),
                    Origin::Variable(name) => name.clone(),
                    Origin::File(place) => place.to_string(),
                };
                (Some(raw.text().to_owned()).filter(|rev| rev != "none"), asked_by)
            }
            (None, Some((name, rev)), _) => (Some(rev), name.to_owned()),
            (None, None, None) => (None, String::new()),
        };
        let typed_golden = self.options.contains_key("golden") || self.variables.contains_key("golden");
        PolicyBaseSettings {
            rev,
            asked_by,
            accepted: exceptions.accept_weaker.clone(),
            config: self.shown.clone(),
            baseline_in_file: matches!(self.raw("baseline"), Some(RawValue { origin: Origin::File(_), .. })),
            file: self.file.clone(),
            golden: typed_golden.then(|| self.golden()),
        }
    }
}

/// The base of the change that CI looks at, and the variable that tells it.
fn base_in_ci(environment: &Environment) -> Option<(&'static str, String)> {
    let value = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
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

impl FileSettings {
    pub fn golden_paths(&self) -> Option<&[String]> {
        self.values.get("golden").map(|raw| raw.values.as_slice())
    }

    pub fn baseline(&self) -> Option<&str> {
        self.values.get("baseline").map(RawValue::text)
    }

    pub fn own_commands(&self) -> &[Command] {
        &self.tables.commands
    }

    /// The tags it has in quarantine, whatever day it is.
    pub fn quarantined_tags(&self) -> BTreeSet<String> {
        self.quarantine.keys().cloned().collect()
    }
}

/// What the settings file asks for otherwise than before.
pub fn compare_files(before: &FileSettings, after: &FileSettings) -> Vec<PolicyChange> {
    let mut rows: Vec<PolicyChange> = groups::all()
        .filter(|definition| definition.weaker != Weaker::Unrelated)
        .filter_map(|definition| compare_setting(definition, before, after))
        .collect();
    // A tag in quarantine, or one that stays there longer, is decided by less. What day it is plays no part, so that a verdict
    // is checked by the same changes on a later day. Days are in the order of their texts; none comes before all.
    rows.extend(compare_entries(
        "quarantine",
        [before, after],
        |was, is| is > was,
        |file| {
            let tags = file.quarantine.iter();
            tags.map(|(tag, raw)| (tag.clone(), raw.text().to_owned())).collect()
        },
    ));
    // Whether another judge, command or model is milder is not known, so it counts as if it were.
    let replaced: Weakening = |was, _| was.is_some();
    rows.extend(compare_entries("judge", [before, after], replaced, |file| {
        let judges = file.tables.judges.iter();
        judges.map(|(name, judge)| (name.clone(), show_judge(judge))).collect()
    }));
    rows.extend(compare_entries("command", [before, after], replaced, |file| {
        let commands = file.tables.commands.iter();
        commands.map(|command| (command.name.clone(), show_command(command))).collect()
    }));
    rows.extend(compare_entries("embeddings", [before, after], replaced, |file| {
        let models = file.tables.embeddings.iter();
        models.map(|(name, model)| (name.clone(), show_embedding(model))).collect()
    }));
    rows
}

/// Whether an entry that was one text and is another asks for less.
type Weakening = fn(Option<&String>, Option<&String>) -> bool;

/// The entries of a table that are not as before.
fn compare_entries(
    kind: &str,
    files: [&FileSettings; 2],
    weaker: Weakening,
    entries: fn(&FileSettings) -> BTreeMap<String, String>,
) -> Vec<PolicyChange> {
    let [before, after] = files.map(entries);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let pairs = names.into_iter().map(|name| (name, before.get(name), after.get(name)));
    pairs
        .filter(|(_, was, is)| was != is)
        .map(|(name, was, is)| PolicyChange {
            kind: kind.to_owned(),
            what: name.clone(),
            before: was.cloned(),
            after: is.cloned(),
            weaker: weaker(was, is),
        })
        .collect()
}

/// What one setting asks for otherwise than before; `None` for the same.
fn compare_setting(definition: &Definition, before: &FileSettings, after: &FileSettings) -> Option<PolicyChange> {
    let key = definition.key;
    let names = |file: &FileSettings| file.values.get(key).map_or_else(Vec::new, |raw| raw.values.clone());
    let text = |file: &FileSettings| file.values.get(key).map(|raw| raw.values.join(", "));
    let (was, is) = (text(before), text(after));
    if was == is {
        return None;
    }
    let default = match (definition.default, definition.kind) {
        (Some(default), _) => Some(default()),
        (None, Kind::Flag) => Some("false".to_owned()),
        // A critical tag without a margin of its own has that of all tags.
        (None, _) if key == "critical_margin" => Some(Policy::default().slice_margin.to_string()),
        (None, _) => None,
    };
    let (old, new) = (was.clone().or_else(|| default.clone()), is.clone().or(default));
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
    let numbers = (number(&old), number(&new));
    let same = match definition.weaker {
        Weaker::Larger | Weaker::Smaller | Weaker::LargerOrNone => numbers.0.is_some() && numbers.0 == numbers.1,
        Weaker::Off | Weaker::AnyOther => old == new,
        Weaker::Unrelated => true,
        Weaker::Selecting
        | Weaker::SmallerSelection
        | Weaker::Replaced
        | Weaker::NameLost
        | Weaker::Words(_)
        | Weaker::Never => false,
    };
    if same {
        return None;
    }
    let weaker = match (definition.weaker, numbers) {
        (Weaker::Smaller | Weaker::LargerOrNone, (None, Some(_))) => false,
        (Weaker::Smaller | Weaker::SmallerSelection, (Some(old), Some(new))) => new < old,
        (Weaker::Larger | Weaker::LargerOrNone, (Some(old), Some(new))) => new > old,
        (Weaker::Larger | Weaker::Smaller | Weaker::LargerOrNone | Weaker::AnyOther, _) => true,
        (Weaker::Selecting | Weaker::SmallerSelection, _) => is.is_some(),
        (Weaker::Replaced, _) => was.is_some(),
        (Weaker::NameLost, _) => {
            let kept = names(after);
            names(before).iter().any(|name| !kept.contains(name))
        }
        (Weaker::Off, _) => new.as_deref() != Some("true"),
        (Weaker::Words(words), _) => is.as_deref().is_some_and(|is| words.contains(&is)),
        (Weaker::Never | Weaker::Unrelated, _) => false,
    };
    Some(PolicyChange { kind: key.to_owned(), what: key.to_owned(), before: was, after: is, weaker })
}

fn or_default(text: Option<&str>) -> &str {
    text.unwrap_or("default")
}

fn show_judge(judge: &Judge) -> String {
    let Judge { target, model, base_url, prompt } = judge;
    format!(
        "target {}, model {}, base_url {}, prompt {}",
        or_default(target.map(|target| target.as_str())),
        or_default(model.as_deref()),
        or_default(base_url.as_deref()),
        or_default(prompt.as_deref())
    )
}

fn show_embedding(model: &Embedding) -> String {
    let Embedding { target, model, base_url, dimensions, path } = model;
    format!(
        "target {}, model {}, base_url {}, dimensions {}, path {}",
        or_default(target.map(|target| target.as_str())),
        or_default(model.as_deref()),
        or_default(base_url.as_deref()),
        or_default(dimensions.map(|n| n.to_string()).as_deref()),
        path.as_deref().unwrap_or("none")
    )
}

/// Without the values of variables.
fn show_command(command: &Command) -> String {
    let variables: Vec<&str> = command.env.keys().map(String::as_str).collect();
    format!("{}, timeout {} ms, variables {}", command.argv.join(" "), command.timeout.as_millis(), variables.join(" "))
}

impl PolicyBaseSettings {
    /// Names who asked for the base in what keeps it from being read.
    pub fn unreadable(&self, problem: Problem) -> Problem {
        let hint = problem.hint.unwrap_or_default();
        let fetch = "fetch all commits, as with `fetch-depth: 0` of actions/checkout, or say `--policy-base none`";
        let hint = if hint.is_empty() { fetch.to_owned() } else { format!("{hint}; {fetch}") };
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
        let layer = |text| FileSettings::of_text(text, "promptgate.toml").unwrap();
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
            ("min_pass_rate = 0.9", "min_pass_rate = 0.8", Some(("min_pass_rate", true))),
            ("min_pass_rate = 0.8", "min_pass_rate = 0.9", Some(("min_pass_rate", false))),
            ("min_pass_rate = 0.8", "", Some(("min_pass_rate", true))),
            ("", "min_pass_rate = 0.8", Some(("min_pass_rate", false))),
            ("strict_model = true", "", Some(("strict_model", true))),
            ("", "strict_model = true", Some(("strict_model", false))),
            ("strict_model = false", "", None),
            ("", "[gate]\nslice_margin = 0.2", Some(("slice_margin", true))),
            ("", "[gate]\nslice_q = 0.01", Some(("slice_q", true))),
            ("", "[gate]\ncritical_tags = [\"a\"]", Some(("critical_tags", false))),
            ("[gate]\ncritical_tags = [\"a\"]", "[gate]\ncritical_tags = [\"b\"]", Some(("critical_tags", true))),
            ("", "[gate.guardrails]\ncost = 0.1", Some(("guardrail_cost", false))),
            ("[gate.guardrails]\ncost = 0.1", "[gate.guardrails]\ncost = 0.2", Some(("guardrail_cost", true))),
            ("[gate.guardrails]\ncost = 0.1", "", Some(("guardrail_cost", true))),
            ("", QUARANTINE, Some(("quarantine", true))),
            (QUARANTINE, "[gate.quarantine]\na = \"2027-01-01\"", Some(("quarantine", true))),
            (QUARANTINE, "[gate.quarantine]\na = \"2026-12-30\"", Some(("quarantine", false))),
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
            ("policy_base = \"a\"", "policy_base = \"none\"", Some(("policy_base", true))),
            ("policy_base = \"a\"", "", Some(("policy_base", true))),
            ("", "policy_base = \"a\"", Some(("policy_base", false))),
            ("repeat = 5", "repeat = 1", Some(("repeat", false))),
            ("candidate = \"a\"", "candidate = \"b\"", None),
            ("concurrency = 1", "concurrency = 2", None),
            ("", "[commands.c]\nargv = [\"a\"]", Some(("command", false))),
            ("[commands.c]\nargv = [\"a\"]", "\n\n[commands.c]\nargv = [\"a\"]", None),
            ("[commands.c]\nargv = [\"a\"]", "[commands.c]\nargv = [\"b\"]", Some(("command", true))),
            ("[commands.c]\nargv = [\"a\"]", "", Some(("command", true))),
            ("[judges.default]\nmodel = \"a\"", "[judges.default]\nmodel = \"b\"", Some(("judge", true))),
            ("", "[judges.default]\nmodel = \"b\"", Some(("judge", false))),
        ] {
            let expected: Vec<(String, bool)> =
                expected.into_iter().map(|(kind, weaker)| (kind.to_owned(), weaker)).collect();
            assert_eq!(rows(before, after), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn the_base_of_a_change_is_known_from_ci() {
        let base = |pairs: &[(&str, &str)]| {
            let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            base_in_ci(&environment).map(|(_, rev)| rev)
        };
        assert_eq!(base(&[]), None);
        assert_eq!(base(&[("GITHUB_BASE_REF", ""), ("GITHUB_REF", "refs/heads/main")]), None);
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
