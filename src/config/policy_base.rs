//! The policy base: the state of the project that golden data, checks and policy must not ask for less than; and what
//! promptgate.toml asked for there and does not any more.

use super::definition::{Definition, Origin, RawValue, Weaker};
use super::file::FileSettings;
use super::groups::{self, Exceptions, JUDGE_CALIBRATION};
use super::layers::{Environment, Layers};
use super::tables::{Embedding, Judge, Tables};
use super::value::{Kind, Value as _};
use crate::domain::{Command, Consent, Metric, Policy, PolicyChange, Problem, digest, hex, string_enum};
use crate::provider::TargetKind;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct PolicyBaseSettings {
    /// The revision that was asked for; `None` for no comparison.
    pub rev: Option<String>,
    pub asked_by: String,
    /// What an option or a variable names instead of the base that CI tells.
    pub instead: Option<String>,
    pub consents: Vec<Consent>,
    pub config: String,
    /// The baseline is that of the file; a call can name another one.
    pub baseline_in_file: bool,
    /// The settings of the call: options and variables over the file.
    pub effective: FileSettings,
}

impl Layers {
    /// What CI tells wins over all others: no call may choose what it is compared with.
    pub(super) fn policy_base(&self, exceptions: &Exceptions) -> PolicyBaseSettings {
        const KEY: &str = "policy_base";
        let call = self.options.get(KEY).or_else(|| self.variables.get(KEY));
        let (rev, asked_by, instead) = match (base_in_ci(&self.environment), call.or_else(|| self.file.values.get(KEY)))
        {
            (Some((name, rev)), _) => {
                let instead = call.map(|raw| raw.text().to_owned()).filter(|other| *other != rev);
                (Some(rev), name.to_owned(), instead)
            }
            (None, Some(raw)) => {
                let asked_by = match &raw.origin {
                    Origin::Option(_) => "--policy-base".to_owned(),
                    Origin::Variable(name) => name.clone(),
                    Origin::File(place) => place.to_string(),
                };
                (Some(raw.text().to_owned()).filter(|rev| rev != "none"), asked_by, None)
            }
            (None, None) => (None, String::new(), None),
        };
        PolicyBaseSettings {
            rev,
            asked_by,
            instead,
            consents: exceptions.accept_weaker.clone(),
            config: self.shown.clone(),
            baseline_in_file: matches!(self.raw("baseline"), Some(RawValue { origin: Origin::File(_), .. })),
            effective: self.effective(),
        }
    }

    /// The file with options and `PROMPTGATE_…` variables over it. Variables of the services' own SDKs are those of the machine,
    /// which no change can choose.
    fn effective(&self) -> FileSettings {
        let mut effective = self.file.clone();
        let compared = groups::all().filter(|definition| definition.weaker != Weaker::ReplacedInFile);
        for Definition { key, .. } in compared {
            let call = self.options.get(key).or_else(|| self.variables.get(key));
            effective.values.extend(call.map(|raw| (*key, raw.clone())));
        }
        effective
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

string_enum! {
    /// What a file is for that a run reads beside settings, golden data and the prompts of both arms. Schemas and approved
    /// answers are compared as parts of their checks.
    pub enum FileRole {
        Calibration = "judge-calibration",
        /// With its partials.
        JudgePrompt = "judge-prompt",
        /// What a command's arguments and environment name.
        CommandFile = "command-file",
        /// A folder with a static model.
        EmbeddingModel = "embeddings-file",
        Signers = "accept-signers-file",
    }
}

impl FileSettings {
    /// Another baseline than the settings name.
    pub(super) fn set_baseline(&mut self, name: &str) {
        let raw = RawValue { values: vec![name.to_owned()], origin: Origin::Option("baseline") };
        self.values.insert("baseline", raw);
    }

    pub fn golden_paths(&self) -> Vec<String> {
        self.values.get("golden").map_or_else(|| vec!["golden".to_owned()], |raw| raw.values.clone())
    }

    pub fn metric(&self) -> Metric {
        let written = self.values.get("metric").and_then(|raw| Metric::from_text(raw.text()).ok());
        written.unwrap_or_default()
    }

    pub fn baseline(&self) -> Option<&str> {
        self.values.get("baseline").map(RawValue::text)
    }

    /// The file that says who may accept what is weaker.
    pub fn accept_signers(&self) -> Option<&str> {
        self.values.get("accept_signers").map(RawValue::text)
    }

    pub fn own_commands(&self) -> &[Command] {
        &self.tables.commands
    }

    /// The tags it has in quarantine, whatever day it is.
    pub fn quarantined_tags(&self) -> BTreeSet<String> {
        self.quarantine.keys().cloned().collect()
    }

    /// The files and folders that a run reads by these settings. Some may not be there, and most words of a command are none.
    pub fn files(&self) -> Vec<(FileRole, String)> {
        let Tables { prices: _, judges, embeddings, commands } = &self.tables;
        let calibration = self.values.get("judge_calibration").map_or(JUDGE_CALIBRATION, RawValue::text);
        let mut files = vec![(FileRole::Calibration, calibration.to_owned())];
        files.extend(self.accept_signers().map(|file| (FileRole::Signers, file.to_owned())));
        files.extend(judges.values().filter_map(|judge| Some((FileRole::JudgePrompt, judge.prompt.clone()?))));
        files.extend(embeddings.values().filter_map(|model| Some((FileRole::EmbeddingModel, model.path.clone()?))));
        for word in commands.iter().flat_map(|command| command.argv.iter().chain(command.env.values())) {
            // Like `--rules=checks/rules.json`, `PYTHONPATH = "checks:lib"`, or `exec python3 checks/sums.py` for a shell.
            let between = |c: char| c.is_whitespace() || "=:,;|&()'\"".contains(c);
            for path in word.split(between).chain([word.as_str()]).filter(|path| !path.is_empty()) {
                // What a script loads stands beside it, and a module is named by its package: `checks.sums`.
                let folder = path.rsplit_once('/').map(|(folder, _)| folder).filter(|folder| self.holds_code(folder));
                let package = path.split_once('.').map(|(package, _)| package).filter(|_| !path.contains('/'));
                let named = [Some(path), folder, package.filter(|package| !package.is_empty())];
                files.extend(named.into_iter().flatten().map(|path| (FileRole::CommandFile, path.to_owned())));
            }
        }
        files
    }

    /// A folder below the project, or beside it, in which neither prompts nor golden data stand: those are compared by themselves.
    fn holds_code(&self, folder: &str) -> bool {
        let folder = folder.trim_start_matches("./");
        let others = self
            .golden_paths()
            .into_iter()
            .map(|path| PathBuf::from(path.trim_start_matches("./")))
            .chain([PathBuf::from("prompts")]);
        folder.contains(|c| !"./".contains(c)) && !others.into_iter().any(|path| path.starts_with(folder))
    }
}

/// What the settings ask for otherwise than before.
pub fn compare_files(before: &FileSettings, after: &FileSettings) -> Vec<PolicyChange> {
    let mut rows: Vec<PolicyChange> =
        groups::all().filter_map(|definition| compare_setting(definition, before, after)).collect();
    let (before, after) = (entries(before), entries(after));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    rows.extend(names.into_iter().filter(|name| before.get(name) != after.get(name)).map(|name| {
        let (was, is) = (before.get(name), after.get(name));
        PolicyChange {
            before: was.cloned(),
            after: is.cloned(),
            // Whether another judge, command, model or price is milder is not known. A tag in quarantine, or one that stays
            // there longer, is decided by less. What day it is plays no part, so that a verdict is checked by the same changes
            // on a later day. Days are in the order of their texts; none comes before all.
            weaker: name.0 != "quarantine" || is > was,
            ..PolicyChange::weaker(name.0, name.1.as_str())
        }
    }));
    rows
}

/// Each entry of the tables as a text, by kind and name.
fn entries(file: &FileSettings) -> BTreeMap<(&'static str, String), String> {
    let FileSettings { values: _, tables, quarantine } = file;
    let Tables { prices, judges, embeddings, commands } = tables;
    let mut entries = BTreeMap::new();
    let mut add = |kind: &'static str, name: &str, text: String| {
        // A model without a service of its own is one of the run's.
        if !(kind.ends_with("-service") && text.is_empty()) {
            entries.insert((kind, name.to_owned()), text);
        }
    };
    for (name, judge) in judges {
        let Judge { target, model, base_url, prompt } = &**judge;
        add("judge-service", name, service(*target, base_url.as_deref()));
        add("judge", name, written(&[("model", model.as_deref()), ("prompt", prompt.as_deref())]));
    }
    for (name, embedding) in embeddings {
        let Embedding { target, model, base_url, dimensions, path } = &**embedding;
        add("embeddings-service", name, service(*target, base_url.as_deref()));
        let dimensions = dimensions.map(|n| n.to_string());
        let pairs = [("model", model.as_deref()), ("dimensions", dimensions.as_deref()), ("path", path.as_deref())];
        add("embeddings", name, written(&pairs));
    }
    for Command { name, argv, timeout, env, place: _ } in commands {
        // A value may be a secret.
        let variables = env.iter().map(|(name, value)| format!(", {name} = {}", hex(digest([value.as_bytes()]))));
        let (timeout, variables) = (timeout.as_millis(), variables.collect::<String>());
        add("command", name, format!("{argv:?}, timeout {timeout} ms{variables}"));
    }
    for (model, prices) in prices {
        let prices: Vec<String> = prices.iter().map(ToString::to_string).collect();
        add("price", model, prices.join("; "));
    }
    for (tag, until) in quarantine {
        add("quarantine", tag, until.text().to_owned());
    }
    entries
}

/// What one setting asks for otherwise than before; `None` for the same.
fn compare_setting(definition: &Definition, before: &FileSettings, after: &FileSettings) -> Option<PolicyChange> {
    let key = definition.key;
    let written = |file: &FileSettings| file.values.get(key).map(|raw| raw.values.clone());
    let (was, is) = (written(before), written(after));
    let in_force =
        |written: &Option<Vec<String>>, file| written.clone().or_else(|| Some(vec![default(definition, file)?]));
    let (old, new) = (in_force(&was, before), in_force(&is, after));
    if was == is || old == new {
        return None;
    }
    let number = |values: &Option<Vec<String>>| values.as_ref()?.first()?.parse::<f64>().ok();
    let numbers = (number(&old), number(&new));
    let weaker = match (definition.weaker, numbers) {
        (Weaker::Harmless, _) => return None,
        (Weaker::Larger | Weaker::Smaller | Weaker::LargerOrNone, (Some(old), Some(new))) if old == new => return None,
        (Weaker::Never, _) | (Weaker::Smaller | Weaker::LargerOrNone, (None, Some(_))) => false,
        (Weaker::Smaller | Weaker::SmallerSelection, (Some(old), Some(new))) => new < old,
        (Weaker::Larger | Weaker::LargerOrNone, (Some(old), Some(new))) => new > old,
        (Weaker::Larger | Weaker::Smaller | Weaker::LargerOrNone | Weaker::AnyOther | Weaker::Unstated, _) => true,
        (Weaker::Selecting | Weaker::SmallerSelection, _) => new.is_some(),
        (Weaker::Lost(words), _) => {
            let any = |values: &Option<Vec<String>>| values.iter().flatten().any(|text| words.contains(&text.as_str()));
            any(&old) && !any(&new)
        }
        (Weaker::NameLost, _) => old.iter().flatten().any(|name| !new.iter().flatten().any(|kept| kept == name)),
        (Weaker::ReplacedInFile, _) => old.is_some(),
    };
    let shown = |written: Option<Vec<String>>| written.map(|values| values.join(", "));
    Some(PolicyChange { before: shown(was), after: shown(is), weaker, ..PolicyChange::weaker(key, key) })
}

/// What holds where a file does not have the setting.
fn default(definition: &Definition, file: &FileSettings) -> Option<String> {
    match (definition.key, definition.default, definition.kind) {
        (_, Some(default), _) => Some(default()),
        (_, None, Kind::Flag) => Some("false".to_owned()),
        ("target", ..) => Some(TargetKind::default().as_str().to_owned()),
        ("location", ..) => Some("global".to_owned()),
        // A critical tag without a margin of its own has that of all tags.
        ("critical_margin", ..) => {
            let of_tags = file.values.get("slice_margin").map(|raw| raw.text().to_owned());
            of_tags.or_else(|| Some(Policy::default().slice_margin.to_string()))
        }
        _ => None,
    }
}

/// As it stands in a table.
fn written(pairs: &[(&str, Option<&str>)]) -> String {
    let pairs = pairs.iter().filter_map(|(key, value)| value.map(|value| format!("{key} = {value:?}")));
    pairs.collect::<Vec<_>>().join(", ")
}

fn service(target: Option<TargetKind>, base_url: Option<&str>) -> String {
    written(&[("target", target.map(TargetKind::as_str)), ("base_url", base_url)])
}

impl PolicyBaseSettings {
    /// Names who asked for the base in what keeps it from being read.
    pub fn unreadable(&self, problem: Problem) -> Problem {
        let hint = problem.hint.unwrap_or_default();
        let fetch = "fetch all commits, as with `fetch-depth: 0` of actions/checkout";
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
            ("", "shard = \"1/2\"", None),
            ("", "target = \"sim\"", Some(("target", true))),
            ("target = \"sim\"", "target = \"gemini\"", Some(("target", true))),
            ("", "target = \"gemini\"", None),
            ("", "base_url = \"https://a\"", Some(("base_url", true))),
            ("", "model = \"m\"", Some(("model", true))),
            ("", "cache = \"only\"", Some(("cache", false))),
            ("cache = \"refresh\"", "cache = \"off\"", Some(("cache", false))),
            ("cache = \"refresh\"", "", Some(("cache", true))),
            ("baseline = \"v1\"", "baseline = \"none\"", Some(("baseline", true))),
            ("baseline = \"v1\"", "baseline = \"v2\"", Some(("baseline", true))),
            ("policy_base = \"a\"", "policy_base = \"none\"", Some(("policy_base", true))),
            ("policy_base = \"a\"", "", Some(("policy_base", true))),
            ("", "policy_base = \"a\"", Some(("policy_base", false))),
            ("repeat = 5", "repeat = 1", Some(("repeat", true))),
            ("", "repeat = 3", None),
            ("", "repeat = 4", Some(("repeat", false))),
            ("", "attempts = 3", Some(("attempts", false))),
            ("", "max_age = \"8d\"", Some(("max_age", true))),
            ("", "golden = \"easy\"", Some(("golden", true))),
            ("", "golden = \"golden\"", None),
            (
                "[gate]\nslice_margin = 0.05",
                "[gate]\nslice_margin = 0.05\ncritical_margin = 0.1",
                Some(("critical_margin", true)),
            ),
            (
                "[gate]\ncritical_tags = [\"a\", \"b\"]",
                "[gate]\ncritical_tags = [\"a, b\"]",
                Some(("critical_tags", true)),
            ),
            ("candidate = \"a\"", "candidate = \"b\"", None),
            ("concurrency = 1", "concurrency = 2", None),
            ("", "[commands.c]\nargv = [\"a\"]", Some(("command", true))),
            (
                "[commands.c]\nargv = [\"a\"]\nenv = {A = \"1\"}",
                "[commands.c]\nargv = [\"a\"]\nenv = {A = \"2\"}",
                Some(("command", true)),
            ),
            ("[commands.c]\nargv = [\"a\"]", "\n\n[commands.c]\nargv = [\"a\"]", None),
            ("[commands.c]\nargv = [\"a\"]", "[commands.c]\nargv = [\"b\"]", Some(("command", true))),
            ("[commands.c]\nargv = [\"a\"]", "", Some(("command", true))),
            ("[judges.default]\nmodel = \"a\"", "[judges.default]\nmodel = \"b\"", Some(("judge", true))),
            ("", "[judges.default]\nmodel = \"b\"", Some(("judge", true))),
            ("[judges.a]\ntarget = \"gemini\"", "[judges.a]\ntarget = \"openai\"", Some(("judge-service", true))),
            ("[judges.a]\nprompt = \"a.md\"", "[judges.a]\nprompt = \"b.md\"", Some(("judge", true))),
            ("[embeddings.a]\nmodel = \"a\"", "[embeddings.a]\nmodel = \"b\"", Some(("embeddings", true))),
            ("[prices.m]\ninput = 1\noutput = 2", "[prices.m]\ninput = 1\noutput = 3", Some(("price", true))),
        ] {
            let expected: Vec<(String, bool)> =
                expected.into_iter().map(|(kind, weaker)| (kind.to_owned(), weaker)).collect();
            assert_eq!(rows(before, after), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn every_setting_that_is_not_on_the_list_of_the_harmless_has_weaker_values() {
        let mut harmless = Vec::new();
        for definition in groups::all() {
            let pair = if let Weaker::Lost(words) = definition.weaker { [words[0], "3"] } else { ["2", "3"] };
            let file = |text: &str| {
                let raw = RawValue { values: vec![text.to_owned()], origin: Origin::Option(definition.key) };
                FileSettings { values: [(definition.key, raw)].into(), ..FileSettings::default() }
            };
            let [one, other] = pair.map(file);
            let weaker = |before, after| compare_files(before, after).iter().any(|row| row.weaker);
            assert_ne!(definition.weaker, Weaker::Unstated, "`{}` doesn't say what is weaker", definition.key);
            if !weaker(&one, &other) && !weaker(&other, &one) {
                harmless.push(definition.key);
            }
        }
        let lines: Vec<String> = harmless.chunks(8).map(|keys| keys.join(" ")).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        prompt out snapshots no_gate quiet color shard stream
        batch batch_poll batch_wait answers concurrency rpm tpm timeout
        retries retry_base retry_max retry_total max_cost max_requests max_tokens resume
        dry_run attempts sequential extend fresh_key accept_weaker
        ");
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
