//! What a verdict says of itself and of its rules, against the settings and the clock.

use super::{AGAIN, EDITED};
use crate::config::VerificationSettings;
use crate::domain::{Completion, Decision, Policy, Problem, Quarantine, Verdict, day_of};
use crate::exit;
use crate::gate;
use serde_json::{Value, json};
use std::time::Duration;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Tolerated difference between the clocks of two machines.
const SKEW: time::Duration = time::Duration::minutes(1);

/// Does it say of itself that it may be acted on?
pub(super) fn check_claims(recorded: &Verdict) -> Vec<Problem> {
    let mut misses = Vec::new();
    let mut expect = |holds: bool, found: String, expected: &str, hint: &str| {
        if !holds {
            misses.push(Problem::new(found).expected(expected).hint(hint));
        }
    };
    let why = recorded.reasons.first().map_or("", |reason| reason.message.as_str());
    expect(
        recorded.decision == Decision::Promote,
        format!("the verdict is {}: {why}", recorded.decision.as_str()),
        "promote",
        "this candidate can't be promoted with it; see its reasons",
    );
    expect(
        recorded.exit_code == exit::OK || recorded.decision != Decision::Promote,
        format!("the verdict is promote, but the run ended with exit code {}", recorded.exit_code),
        "exit code 0",
        "a report could not be written, or the run was interrupted; run `promptgate eval` again",
    );
    expect(
        recorded.exit_code != exit::OK
            || matches!(recorded.decision, Decision::Promote | Decision::Unchanged)
            || !recorded.gated,
        format!("the verdict is {}, but its exit code is 0", recorded.decision.as_str()),
        "an exit code that says the same",
        EDITED,
    );
    expect(
        recorded.gated,
        "no decision was requested (--no-gate)".to_owned(),
        "a gated run",
        "run `promptgate eval` without --no-gate",
    );
    expect(
        !recorded.simulated,
        "a simulator answered, not the model".to_owned(),
        "answers of the model",
        "run `promptgate eval` with a key",
    );
    expect(
        !recorded.replayed,
        "the answers were replayed".to_owned(),
        "answers requested in the run",
        "run `promptgate eval` with a key, and with --cache refresh if the stored answers are old",
    );
    expect(
        recorded.imported == 0,
        format!("{} of the answers were imported", recorded.imported),
        "answers requested in the run",
        "run `promptgate eval` with --cache refresh",
    );
    expect(
        recorded.dataset.cases == recorded.dataset.total,
        format!("{} of {} cases were run", recorded.dataset.cases, recorded.dataset.total),
        "the whole dataset",
        "run `promptgate eval` without --case, --tag, --limit, --failed and --shard",
    );
    expect(
        recorded.completion == Completion::Complete,
        "the run did not come to its end".to_owned(),
        "a complete run",
        "run `promptgate eval --resume`",
    );
    let candidates = &recorded.candidates;
    expect(
        candidates.len() <= recorded.look.candidates as usize,
        format!(
            "the verdict lists {} candidates, and was decided as one of {}",
            candidates.len(),
            recorded.look.candidates
        ),
        "a decision among all of them",
        EDITED,
    );
    let chosen = |name: &str| candidates.iter().filter(|one| one.chosen).map(|one| one.name.as_str()).eq([name]);
    expect(
        candidates.is_empty()
            || (chosen(&recorded.candidate.name) && candidates.iter().all(|one| one.decision.is_some())),
        "not every candidate that the verdict lists was run, or another one was chosen".to_owned(),
        "a call that ran all of them and chose this one",
        "run `promptgate eval` again with --resume",
    );
    expect(
        recorded.promotable,
        "the verdict says that it is not promotable".to_owned(),
        "promotable: true",
        "what keeps it from being promotable is listed here, or in its reasons",
    );
    misses
}

pub(super) fn check_age(finished_at: &str, most: Duration, now: OffsetDateTime) -> Option<Problem> {
    let Ok(finished) = OffsetDateTime::parse(finished_at, &Rfc3339) else {
        let shown: String = finished_at.chars().take(100).collect();
        return Some(
            Problem::new(format!("`finished_at` is `{shown}`"))
                .expected("a time like 2026-11-22T17:57:02Z")
                .hint(EDITED),
        );
    };
    let age = now - finished;
    if age < -SKEW {
        return Some(
            Problem::new(format!("the verdict is of a time to come, {finished_at}"))
                .expected("a time before now")
                .hint("set this machine's clock right; if it is, the verdict was edited"),
        );
    }
    (age > most).then(|| {
        Problem::new(format!("the verdict is {} old", describe_age(age)))
            .expected(format!("at most {}", describe_age(time::Duration::try_from(most).unwrap_or(age))))
            .hint("run `promptgate eval` again, or allow for more with --max-age")
    })
}

fn describe_age(age: time::Duration) -> String {
    let counted = |n: i64, unit: &str| format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
    match age {
        age if age.whole_days() >= 2 => counted(age.whole_days(), "day"),
        age if age.whole_hours() >= 2 => counted(age.whole_hours(), "hour"),
        age if age.whole_minutes() >= 2 => counted(age.whole_minutes(), "minute"),
        age => counted(age.whole_seconds(), "second"),
    }
}

pub(super) fn check_policy(recorded: &Verdict, settings: &VerificationSettings) -> Vec<Problem> {
    let mut misses = Vec::new();
    if gate::policy_digest(&recorded.policy) != recorded.policy_sha256 {
        misses.push(
            Problem::new("`policy` and `policy_sha256` of the verdict don't belong together")
                .expected("the digest of the policy")
                .hint(EDITED),
        );
    }
    let (was, is) = (json!(recorded.policy), json!(settings.policy));
    let fields = |policy: &Value| policy.as_object().cloned().unwrap_or_default();
    let (was, is) = (fields(&was), fields(&is));
    let mut names: Vec<&String> = was.keys().chain(is.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let shown = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), Value::to_string);
        if was.get(name) != is.get(name) {
            misses.push(
                Problem::new(format!("the verdict was decided with {name} {}", shown(was.get(name))))
                    .expected(format!("{name} {}, as the settings say", shown(is.get(name))))
                    .hint("set in promptgate.toml what eval is to use, or give verify the same options; then run `promptgate eval`"),
            );
        }
    }
    misses
}

/// Are the cases that decided nothing still in quarantine? The day of the run decides what was, and a later one what is; an
/// earlier start that someone wrote in puts more into quarantine, which then shows here.
pub(super) fn check_quarantine(policy: &Policy, started_at: &str, now: OffsetDateTime) -> Vec<Problem> {
    if policy.quarantine.is_empty() {
        return Vec::new();
    }
    let Some(started) = day_of(started_at) else {
        let shown: String = started_at.chars().take(100).collect();
        let problem = Problem::new(format!("`started_at` is `{shown}`, so what was in quarantine is not known"));
        return vec![problem.expected("a time like 2026-11-22T17:57:02Z").hint(EDITED)];
    };
    let today = Quarantine::on(policy, Some(now.to_offset(UtcOffset::UTC).date()));
    let then = Quarantine::on(policy, Some(started));
    let over = then.active().iter().filter(|(tag, _)| !today.active().contains_key(*tag));
    over.map(|(tag, until)| {
        let tag: String = tag.chars().take(100).collect();
        Problem::new(format!("the cases of `{tag}` decided nothing, and their quarantine ended on {until}"))
            .expected("a verdict in which they decide")
            .hint(AGAIN)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_verdict_may_not_be_too_old_nor_of_a_time_to_come() {
        let now = datetime!(2026-11-22 12:00:00 UTC);
        let week = Duration::from_secs(7 * 86_400);
        let found = |finished: &str| check_age(finished, week, now).map(|problem| problem.message);
        assert_eq!(found("2026-11-22T12:00:00Z"), None);
        assert_eq!(found("2026-11-15T12:00:00Z"), None);
        assert_eq!(found("2026-11-22T12:01:00Z"), None);
        assert_eq!(found("2026-11-22T13:00:30+01:00"), None);
        assert_eq!(found("2026-11-15T11:59:59Z").as_deref(), Some("the verdict is 7 days old"));
        assert_eq!(
            found("2026-11-22T12:01:01Z").as_deref(),
            Some("the verdict is of a time to come, 2026-11-22T12:01:01Z")
        );
        assert_eq!(found("yesterday").as_deref(), Some("`finished_at` is `yesterday`"));
        assert!(found("").is_some());
    }

    #[test]
    fn a_quarantine_that_ended_since_does_not_hold_any_more() {
        let policy = Policy {
            quarantine: [("a", "2026-11-22"), ("b", "2026-12-31"), ("over", "2026-10-31")]
                .map(|(tag, until)| (tag.to_owned(), until.to_owned()))
                .into(),
            ..Policy::default()
        };
        let found = |started: &str, now: OffsetDateTime| -> Vec<String> {
            let problems = check_quarantine(&policy, started, now);
            problems.into_iter().map(|problem| problem.message).collect()
        };
        let started = "2026-11-22T10:00:00Z";
        assert_eq!(found(started, datetime!(2026-11-22 23:59:59 UTC)), Vec::<String>::new());
        // In another zone it is the next day already.
        assert_eq!(found(started, datetime!(2026-11-23 00:59:59 +01:00)), Vec::<String>::new());
        assert_eq!(
            found(started, datetime!(2026-11-23 00:00:00 UTC)),
            ["the cases of `a` decided nothing, and their quarantine ended on 2026-11-22"]
        );
        assert_eq!(found(started, datetime!(2027-01-01 00:00:00 UTC)).len(), 2);
        // A start that is written in to bring a quarantine back.
        assert_eq!(found("2026-10-01T10:00:00Z", datetime!(2026-11-22 10:00:00 UTC)).len(), 1);
        assert_eq!(
            found("", datetime!(2026-11-22 10:00:00 UTC)),
            ["`started_at` is ``, so what was in quarantine is not known"]
        );
        assert!(check_quarantine(&Policy::default(), "", datetime!(2026-11-22 10:00:00 UTC)).is_empty());
    }
}
