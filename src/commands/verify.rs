//! Does a verdict still hold? Everything that it says is computed again: the decision from the rows beside it, through the
//! same comparison and the same gate as in `eval`, and the digests from the working tree. Nothing is sent, and no key is
//! read.

use crate::compare::ComparisonBuilder;
use crate::config::{Baseline, Layers, TargetKind, VerificationSettings};
use crate::dataset::Dataset;
use crate::domain::{
    Case, CaseRow, Changes, Comparison, Completion, DecidingJudges, Decision, Design, InputDigests, Look, LooksBefore,
    Outcome, Policy, PolicyChange, Problem, Problems, PromptRecord, Quarantine, ReasonCode, Skip, Verdict, day_of,
};
use crate::error::Error;
use crate::eval::Version;
use crate::eval::calibration;
use crate::eval::fingerprint::FingerprintInputs;
use crate::eval::policy_diff::{CurrentState, DiffError, since};
use crate::eval::survey::{self, Survey, SurveyScope};
use crate::eval::target::Encoders;
use crate::eval::versions::{Versions, open_versions};
use crate::exit;
use crate::gate::{self, GateDecision, RunContext, SentenceContext};
use crate::git;
use crate::plan::{Schedule, Selection};
use crate::provider::ProviderConfig;
use crate::report::{ResultsReader, read_verdict};
use crate::scoring::{Commands, Rules};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// The rows of a verdict stand beside it.
const ROWS: &str = "results.jsonl";

/// Clocks of two machines differ by less.
const SKEW: time::Duration = time::Duration::minutes(1);

const AGAIN: &str = "run `promptgate eval` again, and take the verdict that it writes";
const EDITED: &str =
    "verdict.json or results.jsonl was edited, or they are not of one run; run `promptgate eval` again";

/// What checking a verdict came to.
#[derive(Debug)]
pub struct Verified {
    /// What the verdict says.
    pub recorded: Verdict,
    /// All that does not hold: what was found, what was expected, what to do.
    pub misses: Problems,
    /// The decision of today; `None` if the rows allow none.
    pub decision: Option<Decision>,
}

impl Verified {
    /// 0 only for a promote that holds.
    pub fn exit_code(&self) -> u8 {
        match self.decision {
            Some(Decision::Block) => exit::BLOCK,
            Some(Decision::Promote) if self.misses.is_empty() => exit::OK,
            Some(Decision::Promote | Decision::Inconclusive) | None => exit::INCONCLUSIVE,
        }
    }
}

/// Checks the verdict at `path` against the working tree. The baseline is `baseline`, else that of the settings.
///
/// # Errors
/// There is no such verdict, it has another format, its rows are not there, or prompts and golden data of the working tree
/// can't be used.
pub fn verify(path: &Path, layers: &Layers, baseline: Option<&str>) -> Result<Verified, Error> {
    let recorded = read_verdict(path)?;
    let settings = layers.verification(&recorded.target, baseline)?;
    let mut rows = ResultsReader::open(
        &path.with_file_name(ROWS),
        recorded.repeats,
        recorded.baseline.is_some(),
    )?;
    let versions = open_versions(&settings.root, &settings.prompt, &settings.baseline, &settings.models)?;
    let rules = Rules::new(&settings.root).with_commands(Commands::new(&settings.root, &settings.commands));
    let survey = survey_all(&settings, &versions, &rules)?;
    let calibrations = match survey.judge_roles.is_empty() {
        true => Vec::new(),
        false => calibration::entries(&settings.judge_calibration)?,
    };
    let now = survey.input_digests(&FingerprintInputs {
        root: &settings.root,
        judges: &settings.judges,
        commands: &settings.commands,
        models: &settings.models,
        target: settings.target,
    })?;

    let mut misses = Problems::default();
    misses.extend(says(&recorded));
    misses.extend(age(&recorded.finished_at, settings.max_age, OffsetDateTime::now_utc()));
    misses.extend(policy(&recorded, &settings));
    misses.extend(quarantine(
        &recorded.policy,
        &recorded.started_at,
        OffsetDateTime::now_utc(),
    ));
    misses.extend(prompt("candidate", &recorded.candidate, &versions.candidate));
    misses.extend(blue(&recorded, &settings, versions.baseline.as_ref()));
    misses.extend(data(&recorded, &survey, &now));
    misses.extend(digest_of_rows(&recorded, &rows));

    let changes = since_then(&recorded, &settings, &versions, &mut misses)?;
    let known = (recorded.dataset.sha256 == survey.dataset.sha256 && recorded.dataset.cases == survey.dataset.total)
        .then_some(&survey.dataset);
    let schedule = survey.schedule.as_ref().filter(|_| known.is_some());
    let looks = match looks(&recorded, schedule, known.is_some()) {
        Ok(looks) => looks,
        Err(problem) => {
            misses.push(problem);
            schedule.map_or(1, Schedule::looks)
        }
    };
    let decision = match compare(
        &recorded,
        &mut rows,
        (known, &rules),
        schedule.map(|schedule| (schedule, looks)),
    ) {
        Ok(Compared { comparison, earlier }) => {
            let recorded_judges = recorded.judges.iter().flat_map(|judges| &judges.found.deciding);
            let judges = recorded_judges
                .map(|judge| {
                    (
                        judge.name.as_str(),
                        (judge.model.as_str(), judge.prompt_sha256.as_str()),
                    )
                })
                .collect();
            let deciding = survey.judge_roles.recorded(&judges, &calibrations);
            let before = before(&recorded);
            for (look, comparison) in (1..).zip(&earlier) {
                let look_then = Look {
                    shares: survey
                        .schedule
                        .as_ref()
                        .map_or(&[][..], |schedule| schedule.shares(look))
                        .to_vec(),
                    ..recorded.look.clone()
                };
                let facts = RunContext {
                    look: &look_then,
                    ..facts(&recorded, &changes, &deciding, &before)
                };
                let decision = gate::decide(&recorded.policy, comparison, &facts).decision;
                if decision != Decision::Inconclusive {
                    misses.push(
                        Problem::new(format!(
                            "the run went on after look {look}, which came to {}",
                            decision.as_str()
                        ))
                        .expected("a run that ends with the first look that decides")
                        .hint(EDITED),
                    );
                }
            }
            let facts = facts(&recorded, &changes, &deciding, &before);
            let decided = gate::decide(&recorded.policy, &comparison, &facts);
            let sentence = sentence(&recorded, &facts, &comparison, &decided);
            misses.extend(numbers(&recorded, &comparison, &decided, &sentence));
            Some(decided.decision)
        }
        Err(problem) => {
            misses.push(Problem {
                hint: Some(EDITED.to_owned()),
                ..problem
            });
            None
        }
    };
    Ok(Verified {
        recorded,
        misses,
        decision,
    })
}

fn survey_all(settings: &VerificationSettings, versions: &Versions, rules: &Rules) -> Result<Survey, Error> {
    let scope = SurveyScope {
        golden: &settings.golden,
        selection: &Selection::default(),
        rules,
        target: "",
        service: "",
        encoders: Encoders::both((settings.target.def().encoder)(&ProviderConfig {
            api_version: Some(settings.api_version.clone()),
            ..ProviderConfig::default()
        })),
        recorded: settings.target == TargetKind::Recorded,
        may_be_identical: settings.target != TargetKind::Recorded,
        sequential: settings.policy.sequential,
        today: OffsetDateTime::now_utc().date(),
    };
    survey::survey(&scope, versions)
}

/// Does it say of itself that it may be acted on?
fn says(recorded: &Verdict) -> Vec<Problem> {
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
        format!(
            "the verdict is promote, but the run ended with exit code {}",
            recorded.exit_code
        ),
        "exit code 0",
        "a report could not be written, or the run was interrupted; run `promptgate eval` again",
    );
    expect(
        recorded.exit_code != exit::OK || recorded.decision == Decision::Promote || !recorded.gated,
        format!("the verdict is {}, but its exit code is 0", recorded.decision.as_str()),
        "an exit code that says the same",
        EDITED,
    );
    expect(
        recorded.gated,
        "no decision was asked for (--no-gate)".to_owned(),
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
        "answers asked for in the run",
        "run `promptgate eval` with a key, and with --cache refresh if the stored answers are old",
    );
    expect(
        recorded.dataset.cases == recorded.dataset.total,
        format!(
            "{} of {} cases were run",
            recorded.dataset.cases, recorded.dataset.total
        ),
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
    let chosen = |name: &str| {
        candidates
            .iter()
            .filter(|one| one.chosen)
            .map(|one| one.name.as_str())
            .eq([name])
    };
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

/// Is it of today?
fn age(finished_at: &str, most: Duration, now: OffsetDateTime) -> Option<Problem> {
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
        Problem::new(format!("the verdict is {} old", about(age)))
            .expected(format!(
                "at most {}",
                about(time::Duration::try_from(most).unwrap_or(age))
            ))
            .hint("run `promptgate eval` again, or allow for more with --max-age")
    })
}

/// An age in its largest unit.
fn about(age: time::Duration) -> String {
    let counted = |n: i64, unit: &str| format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
    match age {
        age if age.whole_days() >= 2 => counted(age.whole_days(), "day"),
        age if age.whole_hours() >= 2 => counted(age.whole_hours(), "hour"),
        age if age.whole_minutes() >= 2 => counted(age.whole_minutes(), "minute"),
        age => counted(age.whole_seconds(), "second"),
    }
}

/// Are its rules those of the project?
fn policy(recorded: &Verdict, settings: &VerificationSettings) -> Vec<Problem> {
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
fn quarantine(policy: &Policy, started_at: &str, now: OffsetDateTime) -> Vec<Problem> {
    if policy.quarantine.is_empty() {
        return Vec::new();
    }
    let Some(started) = day_of(started_at) else {
        let shown: String = started_at.chars().take(100).collect();
        let problem = Problem::new(format!(
            "`started_at` is `{shown}`, so what was in quarantine is not known"
        ));
        return vec![problem.expected("a time like 2026-11-22T17:57:02Z").hint(EDITED)];
    };
    let today = Quarantine::on(policy, Some(now.to_offset(UtcOffset::UTC).date()));
    let then = Quarantine::on(policy, Some(started));
    let over = then
        .active()
        .iter()
        .filter(|(tag, _)| !today.active().contains_key(*tag));
    over.map(|(tag, until)| {
        let tag: String = tag.chars().take(100).collect();
        Problem::new(format!(
            "the cases of `{tag}` decided nothing, and their quarantine ended on {until}"
        ))
        .expected("a verdict in which they decide")
        .hint(AGAIN)
    })
    .collect()
}

/// Is it about this prompt?
fn prompt(arm: &str, recorded: &PromptRecord, version: &Version) -> Vec<Problem> {
    let mut misses = Vec::new();
    if recorded.sha256 != version.info.sha256 {
        misses.push(
            Problem::new(format!(
                "the verdict's {arm} `{}` has the digest {}",
                recorded.name,
                short(&recorded.sha256)
            ))
            .expected(format!(
                "{}, that of {}",
                short(&version.info.sha256),
                version.info.path
            ))
            .hint("the prompt or a partial changed since, or another one was meant; run `promptgate eval` again"),
        );
    }
    if recorded.model.requested != version.info.model {
        misses.push(
            Problem::new(format!(
                "the verdict's {arm} asked for the model {}",
                recorded.model.requested
            ))
            .expected(format!("{}, as prompt and settings say", version.info.model))
            .hint("give verify the model that eval was given, or name it in the prompt or in promptgate.toml"),
        );
    }
    misses
}

/// Was it compared with what serves now?
fn blue(recorded: &Verdict, settings: &VerificationSettings, version: Option<&Version>) -> Vec<Problem> {
    match (&recorded.baseline, version) {
        (Some(recorded), Some(version)) => prompt("baseline", recorded, version),
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

/// Is it about these cases, checks and requests?
fn data(recorded: &Verdict, survey: &Survey, now: &InputDigests) -> Vec<Problem> {
    let InputDigests {
        identical,
        requests_sha256,
        judges_sha256,
        commands_sha256,
    } = &recorded.tested;
    let mut misses = Vec::new();
    let mut same = |what: &str, was: &str, is: &str| {
        if was != is {
            misses.push(
                Problem::new(format!("{what} of the verdict: {}", short(was)))
                    .expected(format!("{}, from the working tree", short(is)))
                    .hint("it changed since, or eval had other options; run `promptgate eval` again"),
            );
        }
    };
    let or_none = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "none".to_owned());
    same(
        "digest of golden cases and checks",
        &recorded.dataset.sha256,
        &survey.dataset.sha256,
    );
    same(
        "number of golden cases",
        &recorded.dataset.total.to_string(),
        &survey.dataset.total.to_string(),
    );
    // Of a part other requests were sent; that it is a part is context already.
    if recorded.dataset.cases == recorded.dataset.total {
        same("digest of the requests", requests_sha256, &now.requests_sha256);
        same(
            "whether both prompts send the same requests",
            &identical.to_string(),
            &now.identical.to_string(),
        );
        same(
            "digest of the judges",
            &or_none(judges_sha256),
            &or_none(&now.judges_sha256),
        );
    }
    same(
        "digest of the commands that judge",
        &or_none(commands_sha256),
        &or_none(&now.commands_sha256),
    );
    misses
}

/// A digest, shortened for people.
fn short(digest: &str) -> String {
    if digest.len() == 64 && digest.is_ascii() {
        format!("{}…", &digest[..12])
    } else {
        digest.chars().take(100).collect()
    }
}

fn digest_of_rows(recorded: &Verdict, rows: &ResultsReader) -> Option<Problem> {
    let expected = match &recorded.results {
        Some(results) if results.sha256 == rows.sha256 => return None,
        Some(results) => format!("{}, as verdict.json says", short(&results.sha256)),
        None => "none: verdict.json knows of no rows, because they could not be written".to_owned(),
    };
    Some(
        Problem::new(format!("{ROWS} has the digest {}", short(&rows.sha256)))
            .expected(expected)
            .hint(EDITED),
    )
}

/// Compares golden data, checks and policy with the commit that the verdict compared them with. What it says of it has to be
/// what is found now, and where a base is asked for, it has to be that one.
fn since_then(
    recorded: &Verdict,
    settings: &VerificationSettings,
    versions: &Versions,
    misses: &mut Problems,
) -> Result<Changes, Error> {
    let base = &settings.policy_base;
    if let Some(rev) = &base.rev {
        let asked = git::merge_base(&settings.root, rev).map_err(|problem| base.unreadable(problem))?;
        if recorded.policy_base.as_ref().map(|base| &base.commit) != Some(&asked) {
            let found = recorded.policy_base.as_ref().map_or_else(
                || "the verdict compared golden data, checks and policy with no earlier state".to_owned(),
                |base| {
                    format!(
                        "the verdict compared golden data, checks and policy with the commit {}",
                        base.commit
                    )
                },
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
        baseline: (
            &settings.baseline,
            versions.baseline.as_ref().map(|version| &version.info),
        ),
    };
    let rows = git::commit(&settings.root, &policy_base.commit)
        .map_err(DiffError::Base)
        .and_then(|commit| since(&today, &commit));
    match rows {
        Ok(rows) => {
            let changes = Changes::of(policy_base, rows, recorded.accepted_weaker.clone());
            if changes.rows != recorded.changed {
                let count = |rows: &[PolicyChange]| {
                    let weaker = rows.iter().filter(|row| row.weaker).count();
                    format!("{} changes, {weaker} of them weaker", rows.len())
                };
                misses.push(
                    Problem::new(format!("`changed` of the verdict has {}", count(&recorded.changed)))
                        .expected(format!(
                            "{}, as the working tree has since that commit",
                            count(&changes.rows)
                        ))
                        .hint(AGAIN),
                );
            }
            Ok(changes)
        }
        Err(DiffError::CurrentState(problems)) => Err(problems.into()),
        Err(DiffError::Base(problem)) => {
            misses.push(base.unreadable(problem));
            Ok(Changes::of(
                policy_base,
                recorded.changed.clone(),
                recorded.accepted_weaker.clone(),
            ))
        }
    }
}

/// The looks that the verdict goes by. Its shares have to be those of the golden data, up to one of the looks.
fn looks(recorded: &Verdict, schedule: Option<&Schedule>, known: bool) -> Result<usize, Problem> {
    let found = &recorded.look.shares;
    match schedule {
        Some(schedule) => {
            let looks = found.len();
            // Written and read as the verdict was.
            let alike = |(one, other): (&f64, &f64)| (one - other).abs() < 1e-12;
            if looks > 0 && looks <= schedule.looks() && found.iter().zip(schedule.shares(looks)).all(alike) {
                return Ok(looks);
            }
            Err(
                Problem::new(format!("`look.shares` of the verdict is {}", excerpt(&json!(found))))
                    .expected(format!(
                        "the first of {}, as the cases are spread over the looks",
                        excerpt(&json!(schedule.shares(schedule.looks())))
                    ))
                    .hint(EDITED),
            )
        }
        None if known && !found.is_empty() => Err(Problem::new(format!(
            "`look.shares` of the verdict is {}",
            excerpt(&json!(found))
        ))
        .expected("none: nothing is looked at before the end")
        .hint(EDITED)),
        None => Ok(1),
    }
}

/// The rows, folded.
struct Compared {
    comparison: Comparison,
    /// What stood at the looks before that of the verdict.
    earlier: Vec<Comparison>,
}

/// Folds the rows into a comparison as `eval` does. If the golden data are those of the verdict, there have to be rows for
/// each of their cases, and what is to be known of a case comes from them; cases of later looks than that of the verdict
/// must not have been asked.
fn compare(
    recorded: &Verdict,
    rows: &mut ResultsReader,
    (dataset, rules): (Option<&Dataset>, &Rules),
    schedule: Option<(&Schedule, usize)>,
) -> Result<Compared, Problem> {
    let comparing = || {
        ComparisonBuilder::new(Design {
            repeats: recorded.repeats,
            baseline: recorded.baseline.is_some(),
            identical: recorded.tested.identical,
            metric: recorded.policy.metric,
            estimand: recorded.policy.estimand,
        })
        .with_policy(&recorded.policy)
        .with_quarantine(Quarantine::of_run(&recorded.policy, &recorded.started_at))
    };
    // One for each look up to that of the verdict, which is the last of them.
    let mut all: Vec<ComparisonBuilder> = (0..schedule.map_or(1, |(_, looks)| looks))
        .map(|_| comparing())
        .collect();
    let looks = all.len();
    let mut index = 0;
    let mut add = |row: &CaseRow| -> Result<(), Problem> {
        let look = schedule.map_or(0, |(schedule, _)| schedule.look(index));
        index += 1;
        if look >= looks && !row.case.critical && asked(row) {
            return Err(Problem::at(
                row.case.place.clone(),
                format!(
                    "`{}` was asked, though the run was decided before its look",
                    row.case.id
                ),
            )
            .expected("skipped answers (`decided`)"));
        }
        for (at, comparing) in all.iter_mut().enumerate() {
            if look <= at {
                comparing.add(row);
            } else {
                comparing.add_unanalyzed(row);
            }
        }
        Ok(())
    };
    if let Some(dataset) = dataset {
        let mut wrong = None;
        dataset.stream(rules, &mut |case| {
            let expected = || format!("the rows of `{}` ({})", case.id, case.place);
            match rows.next_case() {
                Ok(Some(row)) if row.case.id != case.id => {
                    let found = format!("there stand the rows of `{}`", row.case.id);
                    wrong = Some(Problem::at(row.case.place, found).expected(expected()));
                }
                Ok(Some(row)) if !alike(&row.case, &case) => {
                    let found = format!(
                        "`{}` has another `critical`, `weight` or `cluster`, or other tags than in the golden data",
                        case.id
                    );
                    wrong = Some(Problem::at(row.case.place, found).expected(expected()));
                }
                Ok(Some(row)) => match add(&CaseRow { case, ..row }) {
                    Ok(()) => return ControlFlow::Continue(()),
                    Err(problem) => wrong = Some(problem),
                },
                Ok(None) => wrong = Some(Problem::new(format!("{ROWS} ends too early")).expected(expected())),
                Err(problem) => wrong = Some(problem),
            }
            ControlFlow::Break(())
        })?;
        if let Some(problem) = wrong {
            return Err(problem);
        }
        if let Some(row) = rows.next_case()? {
            let found = format!("there stand rows of `{}` behind the last case", row.case.id);
            return Err(Problem::at(row.case.place, found).expected("one row for each planned answer"));
        }
    } else {
        while let Some(row) = rows.next_case()? {
            add(&row)?;
        }
    }
    let mut all: Vec<Comparison> = all.into_iter().map(ComparisonBuilder::finish).collect();
    let comparison = all.pop().unwrap_or_default();
    Ok(Compared {
        comparison,
        earlier: all,
    })
}

/// An answer of the row was not left out by an early decision.
fn asked(row: &CaseRow) -> bool {
    let mut answers = row.baseline.iter().chain([&row.candidate]).flat_map(|arm| &arm.repeats);
    answers.any(|judged| judged.outcome != Outcome::Skipped(Skip::Decided))
}

/// What of a case plays a part in a comparison is the same.
fn alike(one: &Case, other: &Case) -> bool {
    (one.critical, &one.tags, one.weight, &one.cluster) == (other.critical, &other.tags, other.weight, &other.cluster)
}

/// What `eval` knew of the run.
fn facts<'a>(
    recorded: &'a Verdict,
    changes: &'a Changes,
    judges: &'a DecidingJudges,
    before: &'a LooksBefore,
) -> RunContext<'a> {
    RunContext {
        gated: recorded.gated,
        whole_run: recorded.completion,
        models: (
            recorded.baseline.as_ref().map(|prompt| prompt.model.requested.as_str()),
            &recorded.candidate.model.requested,
        ),
        confirms: recorded.target != TargetKind::Recorded.as_str(),
        judges: Some(judges),
        weaker: changes.unaccepted(),
        look: &recorded.look,
        before,
    }
}

/// What `eval` says that it means.
fn sentence(recorded: &Verdict, facts: &RunContext<'_>, comparison: &Comparison, decided: &GateDecision) -> String {
    let context = SentenceContext {
        candidate: &recorded.candidate.name,
        baseline: recorded.baseline.as_ref().map(|prompt| prompt.name.as_str()),
        simulated: recorded.simulated,
        replayed: recorded.replayed,
        cases: (recorded.dataset.cases, recorded.dataset.total),
        promotable: recorded.promotable,
    };
    gate::sentence(&context, &recorded.policy, facts, comparison, decided)
}

/// What earlier looks forbade, which no row tells: it is believed, since it only ever forbids.
fn before(recorded: &Verdict) -> LooksBefore {
    let says = |code: ReasonCode| recorded.reasons.iter().any(|reason| reason.code == code);
    if says(ReasonCode::EarlierLook) {
        return LooksBefore::Final {
            decision: Decision::Inconclusive,
            run: 0,
            attempts: 1,
            other_rules: false,
        };
    }
    if says(ReasonCode::AttemptsLost) {
        return LooksBefore::Lost { attempt: 0, known: 0 };
    }
    LooksBefore::Clear
}

/// What of verdict.json is not what follows from the rows.
fn numbers(recorded: &Verdict, comparison: &Comparison, decided: &GateDecision, sentence: &str) -> Vec<Problem> {
    let codes = |reasons: &Value| -> Value {
        let reasons = reasons.as_array().map_or(&[][..], Vec::as_slice);
        reasons.iter().map(|reason| reason["code"].clone()).collect()
    };
    let computed = json!({
        "decision": decided.decision,
        // A verdict without a sentence holds.
        "sentence": if recorded.sentence.is_empty() { "" } else { sentence },
        "reasons": codes(&json!(decided.reasons)),
        "warnings": codes(&json!(decided.warnings)),
        "counts": comparison.counts,
        "quarantined": (!comparison.quarantine.found.tags.is_empty()).then_some(&comparison.quarantine.found),
        "unlooked": (comparison.unlooked.cases > 0).then_some(comparison.unlooked),
        "paired": comparison.paired,
        "rates": {"baseline": decided.baseline_rate, "candidate": decided.candidate_rate},
        "difference": decided.difference,
        "z": decided.z,
        "needed": decided.needed,
        "slices": decided.slices,
        "guardrails": (!decided.guardrails.is_empty()).then_some(&decided.guardrails),
        "usage": comparison.usage,
        "answers_cost_usd": comparison.answers_cost_usd,
        "cached": {"baseline": comparison.baseline.cached, "candidate": comparison.candidate.cached},
        "latency_ms": {"baseline": comparison.latency_ms.0, "candidate": comparison.latency_ms.1},
        "candidate.model.served": comparison.candidate_served,
        "baseline.model.served": recorded.baseline.as_ref().map(|_| &comparison.baseline_served),
    });
    // Written and read as verdict.json was, so that both went the same way through the decimal digits.
    let computed: Value = serde_json::from_str(&computed.to_string()).unwrap_or_default();
    let recorded = json!(recorded);
    let written = |field: &str| match field {
        "reasons" | "warnings" => codes(&recorded[field]),
        field => field.split('.').fold(&recorded, |json, step| &json[step]).clone(),
    };
    let mut misses = Vec::new();
    for (field, computed) in computed.as_object().into_iter().flatten() {
        let found = written(field);
        if found != *computed {
            misses.push(
                Problem::new(format!("`{field}` of the verdict is {}", excerpt(&found)))
                    .expected(format!("{}, as it follows from {ROWS}", excerpt(computed)))
                    .hint(EDITED),
            );
        }
    }
    misses
}

/// The start of a value as JSON.
fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        format!("{short}…")
    } else {
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_verdict_may_not_be_too_old_nor_of_a_time_to_come() {
        let now = datetime!(2026-11-22 12:00:00 UTC);
        let week = Duration::from_secs(7 * 86_400);
        let found = |finished: &str| age(finished, week, now).map(|problem| problem.message);
        assert_eq!(found("2026-11-22T12:00:00Z"), None);
        assert_eq!(found("2026-11-15T12:00:00Z"), None);
        assert_eq!(found("2026-11-22T12:01:00Z"), None);
        assert_eq!(found("2026-11-22T13:00:30+01:00"), None);
        assert_eq!(
            found("2026-11-15T11:59:59Z").as_deref(),
            Some("the verdict is 7 days old")
        );
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
            let problems = quarantine(&policy, started, now);
            problems.into_iter().map(|problem| problem.message).collect()
        };
        let started = "2026-11-22T10:00:00Z";
        assert_eq!(found(started, datetime!(2026-11-22 23:59:59 UTC)), Vec::<String>::new());
        // In another zone it is the next day already.
        assert_eq!(
            found(started, datetime!(2026-11-23 00:59:59 +01:00)),
            Vec::<String>::new()
        );
        assert_eq!(
            found(started, datetime!(2026-11-23 00:00:00 UTC)),
            ["the cases of `a` decided nothing, and their quarantine ended on 2026-11-22"]
        );
        assert_eq!(found(started, datetime!(2027-01-01 00:00:00 UTC)).len(), 2);
        // A start that is written in to bring a quarantine back.
        assert_eq!(
            found("2026-10-01T10:00:00Z", datetime!(2026-11-22 10:00:00 UTC)).len(),
            1
        );
        assert_eq!(
            found("", datetime!(2026-11-22 10:00:00 UTC)),
            ["`started_at` is ``, so what was in quarantine is not known"]
        );
        assert!(quarantine(&Policy::default(), "", datetime!(2026-11-22 10:00:00 UTC)).is_empty());
    }
}
