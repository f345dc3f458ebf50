//! Does a verdict still hold? Everything that it says is computed again: the decision from the rows beside it, through the
//! same comparison and the same gate as in `eval`, and the digests from the working tree. Nothing is sent, and no key is
//! read.

mod claims;
mod inputs;
mod numbers;
mod rows;

use crate::config::{Layers, VerificationSettings};
use crate::domain::{Arms, Changes, DecidingJudges, Decision, Look, Problem, Problems, Verdict};
use crate::error::Error;
use crate::eval::calibration;
use crate::eval::fingerprint::FingerprintInputs;
use crate::eval::lock::Lock;
use crate::eval::survey::{self, Survey, SurveyScope};
use crate::eval::versions::{Versions, open_versions};
use crate::exit;
use crate::gate;
use crate::git;
use crate::plan::{Schedule, Selection};
use crate::provider::ProviderConfig;
use crate::report::{ResultsReader, read_verdict};
use crate::scoring::{Commands, Rules};
use rows::Rows;
use serde_json::Value;
use std::path::Path;
use time::OffsetDateTime;

/// The rows of a verdict stand beside it.
const ROWS: &str = "results.jsonl";

const AGAIN: &str = "run `promptgate eval` again, and take the verdict that it writes";
const EDITED: &str =
    "verdict.json or results.jsonl was edited, or they are not of one run; run `promptgate eval` again";

#[derive(Debug)]
pub struct Verification {
    pub recorded: Verdict,
    /// All that does not hold: what was found, what was expected, what to do.
    pub misses: Problems,
    /// The decision of today; `None` if the rows allow none.
    pub decision: Option<Decision>,
}

impl Verification {
    /// 0 only for a promote that holds.
    pub fn exit_code(&self) -> u8 {
        match self.decision {
            Some(Decision::Block) => exit::BLOCK,
            Some(Decision::Promote) if self.misses.is_empty() => exit::OK,
            Some(Decision::Promote | Decision::Inconclusive | Decision::Unchanged) | None => exit::INCONCLUSIVE,
        }
    }
}

/// Checks the verdict at `path` against the working tree. The baseline is `baseline`, else that of the settings.
pub fn verify(path: &Path, layers: &Layers, baseline: Option<&str>) -> Result<Verification, Error> {
    let recorded = read_verdict(path)?;
    let settings = layers.verification(&recorded.target, baseline)?;
    let mut rows = ResultsReader::open(&path.with_file_name(ROWS), recorded.repeats, recorded.baseline.is_some())?;
    // That a commit can't be read is told below.
    let commit = recorded.policy_base.as_ref().and_then(|base| git::commit(&settings.root, &base.commit).ok());
    let lock = Lock::at(&settings.root, &settings.policy_base, commit.as_deref())?;
    let versions = open_versions(&settings.prompt, &settings.baseline, &settings.models, &lock)?;
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

    let clock = OffsetDateTime::now_utc();
    let mut misses = Problems::default();
    misses.extend(claims::check_claims(&recorded));
    misses.extend(claims::check_age(&recorded.finished_at, settings.max_age, clock));
    misses.extend(claims::check_policy(&recorded, &settings));
    misses.extend(claims::check_quarantine(&recorded.policy, &recorded.started_at, clock));
    misses.extend(inputs::check_prompt("candidate", &recorded.candidate, &versions.candidate));
    misses.extend(inputs::check_baseline(&recorded, &settings, versions.baseline.as_ref()));
    misses.extend(inputs::check_dataset(&recorded, &survey, &now));
    misses.extend(inputs::check_rows_digest(&recorded, &rows));
    let changes = inputs::check_policy_base(&recorded, &settings, (&versions, &lock), &mut misses)?;

    let same_data = recorded.dataset.sha256 == survey.dataset.sha256 && recorded.dataset.cases == survey.dataset.total;
    let schedule = survey.schedule.as_ref().filter(|_| same_data);
    let looks = inputs::check_looks(&recorded, schedule, same_data).unwrap_or_else(|problem| {
        misses.push(problem);
        schedule.map_or(1, Schedule::looks)
    });
    let dataset = same_data.then_some(&survey.dataset);
    let folded =
        rows::fold((&recorded, &changes), &mut rows, (dataset, &rules), schedule.map(|schedule| (schedule, looks)));
    let read = rows.rows;
    let decision = match folded {
        Ok(rows) => {
            misses.extend(inputs::check_row_count(&recorded, read));
            let recorded_judges = recorded.judges.iter().flat_map(|judges| &judges.found.deciding);
            let judges = recorded_judges
                .map(|judge| (judge.name.as_str(), (judge.model.as_str(), judge.prompt_sha256.as_str())))
                .collect();
            let deciding = survey.judge_roles.recorded(&judges, &calibrations);
            Some(decide(&recorded, &rows, &survey, (&changes, &deciding), &mut misses))
        }
        Err(problem) => {
            misses.push(Problem { hint: Some(EDITED.to_owned()), ..problem });
            None
        }
    };
    Ok(Verification { recorded, misses, decision })
}

/// Decides again at every look up to the verdict's own, which has to be the first that decides, and compares its numbers.
fn decide(
    recorded: &Verdict,
    rows: &Rows,
    survey: &Survey,
    (changes, judges): (&Changes, &DecidingJudges),
    misses: &mut Problems,
) -> Decision {
    let before = numbers::prior_looks(recorded);
    let facts = numbers::facts(recorded, changes, judges, &before);
    for (look, comparison) in (1..).zip(&rows.earlier) {
        let shares = survey.schedule.as_ref().map_or(&[][..], |schedule| schedule.shares(look));
        let look_then = Look { shares: shares.to_vec(), ..recorded.look.clone() };
        let facts = gate::RunContext { look: &look_then, ..numbers::facts(recorded, changes, judges, &before) };
        let decision = gate::decide(&recorded.policy, comparison, &facts).decision;
        if decision != Decision::Inconclusive {
            let found = format!("the run went on after look {look}, which came to {}", decision.as_str());
            misses.push(Problem::new(found).expected("a run that ends with the first look that decides").hint(EDITED));
        }
    }
    let decided = gate::decide(&recorded.policy, &rows.comparison, &facts);
    let sentence = numbers::sentence(recorded, &facts, &rows.comparison, &decided);
    misses.extend(numbers::check_numbers(recorded, &rows.comparison, &decided, &sentence));
    decided.decision
}

fn survey_all(settings: &VerificationSettings, versions: &Versions, rules: &Rules) -> Result<Survey, Error> {
    let encoder = (settings.target.def().encoder)(&ProviderConfig {
        api_version: Some(settings.api_version.clone()),
        ..ProviderConfig::default()
    });
    let scope = SurveyScope {
        golden: &settings.golden,
        selection: &Selection::default(),
        rules,
        target: "",
        service: "",
        encoders: Arms { baseline: encoder.clone(), candidate: encoder },
        recorded: settings.target.def().replays,
        may_be_identical: !settings.target.def().replays,
        sequential: settings.policy.sequential,
        margin: None,
        today: OffsetDateTime::now_utc().date(),
    };
    survey::survey(&scope, versions)
}

fn shorten(digest: &str) -> String {
    if digest.len() == 64 && digest.is_ascii() {
        format!("{}…", &digest[..12])
    } else {
        digest.chars().take(100).collect()
    }
}

/// The start of a value as JSON.
fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(200).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
