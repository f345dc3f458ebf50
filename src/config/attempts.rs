//! Looking again at the same: how often is planned beforehand (`attempts`, a rule of the gate), and what one call asks for.
//!
//! ```toml
//! attempts = 3                    # up to three looks, each with `repeat` more answers; 1 by default
//! ```
//!
//! Which attempt a run is, CI systems count, too. Their counters are read from the variables listed in `COUNTERS`.

use super::groups::Exceptions;
use super::layers::Environment;
use crate::domain::{CiAttempt, Problem, Problems};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptSettings {
    /// Add the repeats that would probably settle the last look.
    pub extend: bool,
    pub fresh_key: Option<String>,
    /// The pull request that CI looks at; `None` outside of one.
    pub change: Option<String>,
    /// What the CI system counts; `None` where none does.
    pub ci: Option<CiAttempt>,
}

/// A variable that counts attempts, how much it is short of counting from 1, and the variables that tell one CI run from
/// others: of <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>,
/// <https://learn.microsoft.com/en-us/azure/devops/pipelines/build/variables>,
/// <https://buildkite.com/docs/pipelines/configure/environment-variables> and
/// <https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/>.
const COUNTERS: [(&str, u32, &[&str]); 4] = [
    ("GITHUB_RUN_ATTEMPT", 0, &["GITHUB_REPOSITORY", "GITHUB_RUN_ID"]),
    ("SYSTEM_JOBATTEMPT", 0, &["SYSTEM_COLLECTIONURI", "BUILD_BUILDID", "SYSTEM_JOBID"]),
    ("BUILDKITE_RETRY_COUNT", 1, &["BUILDKITE_BUILD_ID", "BUILDKITE_STEP_ID"]),
    ("BITBUCKET_STEP_RUN_NUMBER", 0, &["BITBUCKET_REPO_UUID", "BITBUCKET_BUILD_NUMBER", "BITBUCKET_STEP_UUID"]),
];

/// Variables with the number of the pull request; `GITHUB_REF` is `refs/pull/7/merge` in one.
const CHANGES: [&str; 6] = [
    "GITHUB_REF",
    "CI_MERGE_REQUEST_IID",
    "SYSTEM_PULLREQUEST_PULLREQUESTID",
    "BUILDKITE_PULL_REQUEST",
    "BITBUCKET_PR_ID",
    "CHANGE_ID",
];

fn change(environment: &Environment) -> Option<String> {
    CHANGES.into_iter().find_map(|name| {
        let value = environment.get(name)?.trim();
        let is_change =
            if name == "GITHUB_REF" { value.starts_with("refs/pull/") } else { !matches!(value, "" | "false") };
        is_change.then(|| format!("{name} {value}"))
    })
}

/// Later attempts count as this one.
const MOST: u32 = 10_000;

impl AttemptSettings {
    pub(super) fn new(exceptions: &Exceptions, environment: &Environment, problems: &mut Problems) -> AttemptSettings {
        let Exceptions { extend, fresh_key, .. } = exceptions;
        if *extend && fresh_key.is_some() {
            problems.push(
                Problem::new("--extend adds to the last look, and --fresh-key leaves it behind")
                    .hint("leave out one of them"),
            );
        }
        let ci = counted(environment).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        AttemptSettings { extend: *extend, fresh_key: fresh_key.clone(), change: change(environment), ci }
    }
}

fn counted(environment: &Environment) -> Result<Option<CiAttempt>, Problem> {
    let value = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    for (name, short, ids) in COUNTERS {
        let Some(text) = value(name) else { continue };
        // Beyond the bound it is still a later attempt than any that is known.
        let number = text.parse::<u64>().ok().map(|number| number.min(MOST.into()) as u32 + short);
        let Some(attempt) = number.filter(|number| *number > 0) else {
            let shown: String = text.chars().take(50).collect();
            return Err(Problem::new(format!("{name}: `{shown}` is not the number of an attempt"))
                .expected("a whole number, as the CI system sets it")
                .hint(
                    "unset it, or leave it as the CI system sets it: it tells whether answers were looked at before",
                ));
        };
        let ids: Vec<&str> = ids.iter().filter_map(|id| value(id)).collect();
        return Ok(Some(CiAttempt { attempt, run: format!("{name} {}", ids.join(" ")) }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<(u32, String)>, String> {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        counted(&environment).map(|ci| ci.map(|ci| (ci.attempt, ci.run))).map_err(|problem| problem.message)
    }

    #[test]
    fn attempts_are_counted_as_the_systems_do() {
        assert_eq!(of(&[("CI", "true")]), Ok(None));
        assert_eq!(of(&[("GITHUB_RUN_ATTEMPT", "")]), Ok(None));
        let github = [("GITHUB_RUN_ATTEMPT", "2"), ("GITHUB_RUN_ID", "7"), ("GITHUB_REPOSITORY", "a/b")];
        assert_eq!(of(&github), Ok(Some((2, "GITHUB_RUN_ATTEMPT a/b 7".to_owned()))));
        for (name, value, attempt) in [
            ("SYSTEM_JOBATTEMPT", "3", 3),
            ("BUILDKITE_RETRY_COUNT", "0", 1),
            ("BUILDKITE_RETRY_COUNT", "1", 2),
            ("BITBUCKET_STEP_RUN_NUMBER", " 2 ", 2),
            ("GITHUB_RUN_ATTEMPT", "99999999999", MOST),
        ] {
            assert_eq!(of(&[(name, value)]).map(|ci| ci.map(|ci| ci.0)), Ok(Some(attempt)), "{name}");
        }
    }

    #[test]
    fn what_is_no_count_is_a_mistake() {
        for (name, value) in [
            ("GITHUB_RUN_ATTEMPT", "two"),
            ("GITHUB_RUN_ATTEMPT", "0"),
            ("GITHUB_RUN_ATTEMPT", "-1"),
            ("SYSTEM_JOBATTEMPT", "1.5"),
        ] {
            assert!(of(&[(name, value)]).is_err(), "{name}={value}");
        }
    }
}
