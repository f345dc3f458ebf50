//! Keeps the proposals beside the approved answers up to date: an answer of the candidate that is not the approved one is
//! proposed, and a proposal that has become pointless is withdrawn. Nothing here approves anything.

use crate::config::Settings;
use crate::dataset::{Dataset, unreferenced_snapshots};
use crate::domain::{CaseRow, CheckRules, Problem, RunInfo, SNAPSHOTS, ScoredSample, snapshot_file};
use crate::report::{self, Proposal, Redactor};
use crate::scoring;
use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub(crate) struct Approvals<'a> {
    /// The project root; `None` where nothing is to be written.
    root: Option<&'a Path>,
    run: RunInfo,
    redactor: Redactor,
    proposed: u64,
    failed: u64,
    first_failure: Option<io::Error>,
}

impl<'a> Approvals<'a> {
    pub(crate) fn new(settings: &'a Settings, run: &RunInfo, redactor: &Redactor) -> Approvals<'a> {
        Approvals {
            root: settings.dataset.snapshots.then_some(&settings.root),
            run: redactor.run(run),
            redactor: redactor.clone(),
            proposed: 0,
            failed: 0,
            first_failure: None,
        }
    }

    pub(crate) fn case(&mut self, row: &CaseRow) {
        let Some(root) = self.root else { return };
        if scoring::approval(&row.case.checks).is_none() {
            return;
        }
        // Secrets go before anything is redacted: a redaction could leave half of one.
        let row = self.redactor.row(row);
        match self.update(root, &row) {
            Ok(proposed) => self.proposed += u64::from(proposed),
            Err(error) => {
                self.failed += 1;
                self.first_failure.get_or_insert(error);
            }
        }
    }

    /// Proposes or withdraws; whether it has proposed something.
    fn update(&self, root: &Path, row: &CaseRow) -> io::Result<bool> {
        let case = &row.case;
        let Some(approval) = scoring::approval(&case.checks) else {
            return Ok(false);
        };
        let repeats = &row.candidate.repeats;
        let passes = |judged: &ScoredSample| judged.checks.get(approval.check).and_then(|check| check.pass);
        if !repeats.is_empty() && repeats.iter().all(|judged| passes(judged) == Some(true)) {
            report::withdraw(root, &case.id)?;
            return Ok(false);
        }
        // The first one, so that the same answers always give the same proposal.
        let differing = repeats.iter().filter(|judged| passes(judged) == Some(false));
        let proposal =
            differing.filter_map(|judged| Some((judged, approval.proposal(&judged.answer.as_ref()?.text)?))).next();
        let Some((judged, text)) = proposal else {
            return Ok(false);
        };
        let mut reason = "";
        let mut against = Vec::new();
        for (at, check) in judged.checks.iter().enumerate() {
            if at == approval.check {
                reason = &check.reason;
            } else if check.pass != Some(true) {
                let label = check.name.as_deref().unwrap_or(&check.matcher);
                against.push(format!("{label}: {}", check.reason));
            }
        }
        report::propose(
            root,
            &Proposal {
                case,
                prompt: &self.run.candidate.name,
                target: &self.run.target,
                repeat: judged.repeat,
                reason,
                against,
                approved: approval.approved.as_deref(),
                text: &text,
            },
        )?;
        Ok(true)
    }

    pub(crate) fn announce(&self, print: &dyn Fn(&str)) {
        if self.proposed > 0 {
            let waits = if self.proposed == 1 {
                "1 answer waits".to_owned()
            } else {
                format!("{} answers wait", self.proposed)
            };
            print(&format!("{waits} for approval in {SNAPSHOTS}/: `cargo insta review`, or rename .snap.new to .snap"));
        }
        if let Some(error) = &self.first_failure {
            print(&format!("warning: {} proposals in {SNAPSHOTS}/ could not be kept up to date: {error}", self.failed));
        }
    }
}

/// The approved answers and proposals in `golden/snapshots/` that no case of the golden files asks for, sorted by name.
pub fn unreferenced(root: &Path, dataset: &Dataset, rules: &dyn CheckRules) -> Result<Vec<PathBuf>, Problem> {
    let mut referenced = BTreeSet::new();
    dataset.stream(rules, &mut |case| {
        if scoring::approval(&case.checks).is_some() {
            referenced.insert(snapshot_file(&case.id));
        }
        ControlFlow::Continue(())
    })?;
    let names = unreferenced_snapshots(root, &referenced)
        .map_err(|error| Problem::new(format!("{SNAPSHOTS} can't be read: {error}")))?;
    Ok(names.into_iter().map(|name| Path::new(SNAPSHOTS).join(name)).collect())
}
