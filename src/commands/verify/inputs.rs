//! What the verdict was about, prompts, golden data, rows and the policy base, against the working tree.

use super::{AGAIN, EDITED, ROWS, excerpt, shorten};
use crate::config::{self, Baseline, VerificationSettings};
use crate::domain::{
    Changes, Consent, InputDigests, PolicyChange, Problem, Problems, PromptRecord, StateDiff, Verdict,
};
use crate::error::Error;
use crate::eval::Version;
use crate::eval::lock::Lock;
use crate::eval::policy_diff::{CurrentState, DiffError, since};
use crate::eval::survey::Survey;
use crate::eval::versions::Versions;
use crate::git;
use crate::plan::Schedule;
use crate::report::ResultsReader;
use serde_json::json;

pub(super) fn check_prompt(arm: &str, recorded: &PromptRecord, version: &Version) -> Vec<Problem> {
    let mut misses = Vec::new();
    if recorded.sha256 != version.info.sha256 {
        misses.push(
            Problem::new(format!(
                "the verdict's {arm} `{}` has the digest {}",
                recorded.name,
                shorten(&recorded.sha256)
            ))
            .expected(format!("{}, that of {}", shorten(&version.info.sha256), version.info.path))
            .hint("the prompt or a partial changed since, or another one was meant; run `promptgate eval` again"),
        );
    }
    for (what, was, is) in
        [("bytes", &recorded.file_sha256, &version.info.file_sha256), ("path", &recorded.path, &version.info.path)]
    {
        if was != is && recorded.sha256 == version.info.sha256 {
            misses.push(
                Problem::new(format!("the {what} of the verdict's {arm} `{}`: {}", recorded.name, shorten(was)))
                    .expected(format!("{}, those of the working tree", shorten(is)))
                    .hint(AGAIN),
            );
        }
    }
    if recorded.model.requested != version.info.model {
        misses.push(
            Problem::new(format!("the verdict's {arm} requested the model {}", recorded.model.requested))
                .expected(format!("{}, as prompt and settings say", version.info.model))
                .hint("give verify the model that eval was given, or name it in the prompt or in promptgate.toml"),
        );
    }
    misses
}

pub(super) fn check_baseline(
    recorded: &Verdict,
    settings: &VerificationSettings,
    version: Option<&Version>,
) -> Vec<Problem> {
    match (&recorded.baseline, version) {
        (Some(recorded), Some(version)) => check_prompt("baseline", recorded, version),
        (None, None) => Vec::new(),
        (Some(recorded), None) => vec![
            Problem::new(format!("the verdict compared with `{}`", recorded.name))
                .expected("no baseline, as the settings say")
                .hint("name the baseline with --baseline or in promptgate.toml"),
        ],
        (None, Some(_)) => {
            let name = match &settings.baseline {
                Baseline::Prompt(name) => name.as_str(),
                Baseline::None => "none",
            };
            vec![
                Problem::new("the verdict compared with no baseline")
                    .expected(format!("the baseline `{name}`, as the settings say"))
                    .hint(AGAIN),
            ]
        }
    }
}

pub(super) fn check_dataset(recorded: &Verdict, survey: &Survey, now: &InputDigests) -> Vec<Problem> {
    let InputDigests { identical, requests_sha256, judges_sha256, commands_sha256 } = &recorded.tested;
    let mut misses = Vec::new();
    let mut same = |what: &str, was: &str, is: &str| {
        if was != is {
            misses.push(
                Problem::new(format!("{what} of the verdict: {}", shorten(was)))
                    .expected(format!("{}, from the working tree", shorten(is)))
                    .hint("it changed since, or eval had other options; run `promptgate eval` again"),
            );
        }
    };
    let or_none = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "none".to_owned());
    same("digest of golden cases and checks", &recorded.dataset.sha256, &survey.dataset.sha256);
    same("number of golden cases", &recorded.dataset.total.to_string(), &survey.dataset.total.to_string());
    // Of a part other requests were sent; that it is a part is told already.
    if recorded.dataset.cases == recorded.dataset.total {
        same("digest of the requests", requests_sha256, &now.requests_sha256);
        same("whether both prompts send the same requests", &identical.to_string(), &now.identical.to_string());
        same("digest of the judges", &or_none(judges_sha256), &or_none(&now.judges_sha256));
    }
    same("digest of the commands that judge", &or_none(commands_sha256), &or_none(&now.commands_sha256));
    misses
}

pub(super) fn check_rows_digest(recorded: &Verdict, rows: &ResultsReader) -> Option<Problem> {
    let expected = match &recorded.results {
        Some(results) if results.sha256 == rows.sha256 => return None,
        Some(results) => format!("{}, as verdict.json says", shorten(&results.sha256)),
        None => "none: verdict.json knows of no rows, because they could not be written".to_owned(),
    };
    Some(Problem::new(format!("{ROWS} has the digest {}", shorten(&rows.sha256))).expected(expected).hint(EDITED))
}

pub(super) fn check_row_count(recorded: &Verdict, read: u64) -> Option<Problem> {
    let results = recorded.results.as_ref().filter(|results| results.rows != read)?;
    let found = format!("`results.rows` of the verdict is {}", results.rows);
    Some(Problem::new(found).expected(format!("{read}, the rows of {ROWS}")).hint(EDITED))
}

/// Compares golden data, checks and policy with the commit that the verdict compared them with. What it says of it has to be
/// what is found now, and where a base is asked for, it has to be that one.
pub(super) fn check_policy_base(
    recorded: &Verdict,
    settings: &VerificationSettings,
    (versions, lock): (&Versions, &Lock),
    misses: &mut Problems,
) -> Result<Changes, Error> {
    let base = &settings.policy_base;
    if let Some(rev) = &base.rev {
        let asked = git::merge_base(&settings.root, rev).map_err(|problem| base.unreadable(problem))?;
        if recorded.policy_base.as_ref().map(|base| &base.commit) != Some(&asked) {
            let found = recorded.policy_base.as_ref().map_or_else(
                || "the verdict compared golden data, checks and policy with no earlier state".to_owned(),
                |base| format!("the verdict compared golden data, checks and policy with the commit {}", base.commit),
            );
            let expected = format!("{asked}, the merge base of HEAD and {rev} ({})", base.asked_by);
            misses.push(Problem::new(found).expected(expected).hint(AGAIN));
        }
    }
    let Some(policy_base) = recorded.policy_base.clone() else {
        return Ok(Changes::default());
    };
    let today = CurrentState {
        root: &settings.root,
        golden: &settings.golden,
        base,
        baseline: versions.baseline.as_ref().map(|version| &version.info),
        candidate: &versions.candidate.info,
        lock,
    };
    let diff = git::commit(&settings.root, &policy_base.commit)
        .map_err(DiffError::Base)
        .and_then(|commit| since(&today, &commit));
    // Who accepted it is believed, for what the verdict says that was accepted.
    let accepted = recorded.weaker_digest.clone().zip(recorded.accepted_weaker.clone());
    let consent = accepted.map(|(digest, reason)| Consent { digest, reason });
    match diff {
        Ok(mut diff) => {
            // Options that verify does not have may have made more settings weaker, never fewer.
            let of_call = |row: &&PolicyChange| config::definition(&row.kind).is_some() && !diff.rows.contains(row);
            let of_call: Vec<PolicyChange> = recorded.changed.iter().filter(of_call).cloned().collect();
            diff.rows.extend(of_call);
            let mut changes = Changes::of(policy_base, diff);
            consent.iter().for_each(|consent| changes.accept(consent));
            if changes.rows != recorded.changed || changes.digest != recorded.weaker_digest {
                let count = |rows: &[PolicyChange], digest: &Option<String>| {
                    let weaker = rows.iter().filter(|row| row.weaker).count();
                    let digest = digest.as_deref().unwrap_or("none");
                    format!("{} changes, {weaker} of them weaker (digest {digest})", rows.len())
                };
                let found = count(&recorded.changed, &recorded.weaker_digest);
                let expected = count(&changes.rows, &changes.digest);
                misses.push(
                    Problem::new(format!("`changed` of the verdict has {found}"))
                        .expected(format!("{expected}, as the working tree has since that commit"))
                        .hint(AGAIN),
                );
            }
            Ok(changes)
        }
        Err(DiffError::CurrentState(problems)) => Err(problems.into()),
        Err(DiffError::Base(problem)) => {
            misses.push(base.unreadable(problem));
            let (rows, accepted) = (recorded.changed.clone(), recorded.accepted_weaker.clone());
            Ok(Changes { rows, accepted, ..Changes::of(policy_base, StateDiff::default()) })
        }
    }
}

/// The looks that the verdict goes by. Its shares have to be those of the golden data, up to one of the looks.
pub(super) fn check_looks(recorded: &Verdict, schedule: Option<&Schedule>, known: bool) -> Result<usize, Problem> {
    let found = &recorded.look.shares;
    match schedule {
        Some(schedule) => {
            let looks = found.len();
            // Written and read as the verdict was.
            let alike = |(one, other): (&f64, &f64)| (one - other).abs() < 1e-12;
            if looks > 0 && looks <= schedule.looks() && found.iter().zip(schedule.shares(looks)).all(alike) {
                return Ok(looks);
            }
            Err(Problem::new(format!("`look.shares` of the verdict is {}", excerpt(&json!(found))))
                .expected(format!(
                    "the first of {}, as the cases are spread over the looks",
                    excerpt(&json!(schedule.shares(schedule.looks())))
                ))
                .hint(EDITED))
        }
        None if known && !found.is_empty() => {
            Err(Problem::new(format!("`look.shares` of the verdict is {}", excerpt(&json!(found))))
                .expected("none: nothing is looked at before the end")
                .hint(EDITED))
        }
        None => Ok(1),
    }
}
