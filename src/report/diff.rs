//! diff.md: what changed, case by case, regressions first.
//!
//! Rows come in plan order and the verdict last, so the cases wait in one spool per section and the document is put
//! together at the end. Each spool is bounded, and so is the document; what is left out is counted.

use super::excerpt::{around_difference, unified, words};
use super::highlights::shown_repeat;
use super::numbers::count;
use super::output::{Output, Spool};
use super::text::{md_code, md_fence, md_inline, truncate};
use super::why::{Why, answered, expected, outcomes, why};
use super::{CallReport, Context, Format, ReportError, Reporter, summary};
use crate::domain::{
    Case, CaseRow, Change, OutcomeKind, PromptRecord, Quarantine, RunInfo, ScoredSample, Verdict, WEIGHT,
};
use std::io::{self, Read, Write as _};
use std::path::Path;

pub(super) const FILE: &str = "diff.md";

pub(super) const FORMAT: Format = Format {
    file: FILE,
    purpose: "people: every changed case, what broke, the two answers side by side",
    call: CallReport::Copy,
    open,
};

/// Bytes of the expectations of a case, and of each diff.
const PART: usize = 16 * 1024;
/// Bytes of a reason.
const REASON: usize = 1_000;
/// Broken checks named for a case.
const BROKEN: usize = 10;

/// The kinds of cases shown, in the order of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Regressed,
    Improved,
    /// No judgement in one of the arms.
    Unjudged,
    /// In quarantine, whatever changed: it decides nothing.
    Quarantined,
    /// Neither better nor worse, but another answer.
    Changed,
    /// Without a baseline: what does not pass.
    Failing,
}

impl Section {
    const ALL: [Section; 6] = [
        Section::Regressed,
        Section::Improved,
        Section::Unjudged,
        Section::Quarantined,
        Section::Changed,
        Section::Failing,
    ];

    fn title(self) -> &'static str {
        match self {
            Section::Regressed => "Regressed",
            Section::Improved => "Improved",
            Section::Unjudged => "Not judged in both arms",
            Section::Quarantined => "In quarantine",
            Section::Changed => "Other answers, same result",
            Section::Failing => "Not passing",
        }
    }

    /// Where a case belongs; `None` if there is nothing to show.
    fn of(row: &CaseRow) -> Option<Section> {
        let Some(baseline) = &row.baseline else {
            return match row.candidate.outcome() {
                OutcomeKind::Fail | OutcomeKind::Error => Some(Section::Failing),
                OutcomeKind::Skipped | OutcomeKind::Pass => None,
            };
        };
        match row.change() {
            Change::Regressed => Some(Section::Regressed),
            Change::Improved => Some(Section::Improved),
            Change::Unpaired => [baseline, &row.candidate]
                .iter()
                .any(|arm| arm.outcome() != OutcomeKind::Skipped)
                .then_some(Section::Unjudged),
            Change::BothPass | Change::BothFail => {
                let (before, after) = shown(row);
                (before.map(said) != after.map(said)).then_some(Section::Changed)
            }
        }
    }
}

/// The two repeats that a case is shown by; without a baseline the one that decides its outcome.
fn shown(row: &CaseRow) -> (Option<&ScoredSample>, Option<&ScoredSample>) {
    let Some(baseline) = &row.baseline else {
        return (None, row.candidate.deciding());
    };
    let at = shown_repeat(row);
    (baseline.repeats.get(at), row.candidate.repeats.get(at))
}

fn said(judged: &ScoredSample) -> Option<String> {
    judged.answer.as_ref().map(answered)
}

fn open(folder: &Path, context: &Context) -> Result<Box<dyn Reporter>, ReportError> {
    let output = Output::create(folder, FILE)?;
    let mut bodies = Vec::with_capacity(Section::ALL.len());
    for section in Section::ALL {
        bodies.push(Body {
            section,
            spool: Spool::create(folder).map_err(|cause| output.error(cause))?,
            lengths: Vec::new(),
            cases: 0,
        });
    }
    Ok(Box::new(Diff {
        output,
        bodies,
        quarantine: Quarantine::default(),
        most_cases: context.diff_cases,
        most_bytes: context.diff_bytes,
    }))
}

struct Diff {
    output: Output,
    bodies: Vec<Body>,
    quarantine: Quarantine,
    most_cases: usize,
    most_bytes: u64,
}

struct Body {
    section: Section,
    spool: Spool,
    /// Bytes of each spooled case.
    lengths: Vec<u64>,
    /// Cases of this kind, spooled or not.
    cases: u64,
}

impl Reporter for Diff {
    fn begin(&mut self, run: &RunInfo) -> Result<(), ReportError> {
        self.quarantine = Quarantine::of_run(&run.policy, &run.started_at);
        Ok(())
    }

    fn case(&mut self, row: &CaseRow) -> Result<(), ReportError> {
        self.add(row).map_err(|cause| self.output.error(cause))
    }

    fn finish(self: Box<Self>, verdict: &Verdict) -> Result<(), ReportError> {
        let Diff { mut output, bodies, quarantine: _, most_cases, most_bytes } = *self;
        write_document(&mut output, bodies, (most_cases, most_bytes), verdict).map_err(|cause| output.error(cause))?;
        output.publish()
    }
}

impl Diff {
    fn add(&mut self, row: &CaseRow) -> io::Result<()> {
        let Some(section) = Section::of(row) else { return Ok(()) };
        let quarantined = self.quarantine.of(&row.case);
        let section = quarantined.map_or(section, |_| Section::Quarantined);
        let Some(body) = self.bodies.iter_mut().find(|body| body.section == section) else {
            return Ok(());
        };
        body.cases += 1;
        if body.lengths.len() < self.most_cases && body.spool.len() < self.most_bytes {
            let text = case_text(row, quarantined);
            body.lengths.push(text.len() as u64);
            body.spool.write_all(text.as_bytes())?;
        }
        Ok(())
    }
}

fn write_document(
    output: &mut Output,
    bodies: Vec<Body>,
    (mut cases_left, mut bytes_left): (usize, u64),
    verdict: &Verdict,
) -> io::Result<()> {
    output.write_all(head(verdict).as_bytes())?;
    if bodies.iter().all(|body| body.cases == 0) {
        output.write_all(b"No case to show.\n")?;
    }
    for body in bodies.into_iter().filter(|body| body.cases > 0) {
        let Body { section, spool, lengths, cases } = body;
        writeln!(output, "## {} ({cases})\n", section.title())?;
        let mut fitting = 0;
        let mut bytes = 0;
        for length in lengths.iter().take(cases_left) {
            if bytes + length > bytes_left {
                break;
            }
            fitting += 1;
            bytes += length;
        }
        io::copy(&mut spool.rewind()?.take(bytes), output)?;
        cases_left -= fitting;
        bytes_left -= bytes;
        let more = cases - fitting as u64;
        if more > 0 {
            writeln!(output, "… and {}, in results.jsonl.\n", count(more, "more case", "more cases"))?;
        }
    }
    Ok(())
}

fn head(verdict: &Verdict) -> String {
    let mut head = match &verdict.baseline {
        Some(baseline) => format!("# {} → {}\n\n", md_code(&baseline.name), md_code(&verdict.candidate.name)),
        None => format!("# {}\n\n", md_code(&verdict.candidate.name)),
    };
    head.push_str(&summary::verdict_line(verdict));
    head.push_str(&summary::rule(verdict));
    head.push_str(&summary::banners(verdict));
    head.push('\n');
    let prompts = [("baseline", verdict.baseline.as_ref()), ("candidate", Some(&verdict.candidate))];
    for (arm, prompt) in prompts {
        if let Some(PromptRecord { name, sha256, model, path, file_sha256: _ }) = prompt {
            head.push_str(&format!(
                "- {arm}: {} from {}, model {}, sha256 {}\n",
                md_code(name),
                md_code(path),
                md_code(&model.requested),
                md_code(sha256)
            ));
        }
    }
    head.push('\n');
    head
}

fn case_text(row: &CaseRow, quarantined: Option<(&str, &str)>) -> String {
    let case = &row.case;
    let (baseline, candidate) = shown(row);
    let mut text = format!("### {}\n\n", md_code(case.id.as_str()));
    text.push_str(&facts(row, candidate));
    if let Some((tag, until)) = quarantined {
        text.push_str(&format!(
            "- **in quarantine** by its tag {} until {until}: decides nothing\n",
            md_code(&truncate(tag, 100))
        ));
    }
    for (arm, judged) in [("Baseline", baseline), ("Candidate", candidate)] {
        if let Some(judged) = judged {
            text.push_str(&reasons(arm, judged));
        }
    }
    text.push_str(&expectations(case));
    let answer = |judged: Option<&ScoredSample>| judged.and_then(|judged| judged.answer.as_ref()).map(answered);
    match (answer(baseline), answer(candidate)) {
        (Some(baseline), Some(candidate)) if baseline == candidate => {
            text.push_str("\nBoth answers are the same:\n\n");
            text.push_str(&excerpt(&candidate));
        }
        (Some(baseline), Some(candidate)) => text.push_str(&diffs(&baseline, &candidate)),
        (baseline, candidate) => {
            for (arm, answer) in [("baseline", baseline), ("candidate", candidate)] {
                match answer {
                    Some(answer) => {
                        text.push_str(&format!("\nAnswer of the {arm}:\n\n"));
                        text.push_str(&excerpt(&answer));
                    }
                    None if row.baseline.is_none() && arm == "baseline" => {}
                    None => text.push_str(&format!("\nThe {arm} has no answer.\n")),
                }
            }
        }
    }
    text.push('\n');
    text
}

/// Where it stands, its tags, its repeats, and how it was called.
fn facts(row: &CaseRow, shown: Option<&ScoredSample>) -> String {
    let Case {
        id: _,
        suite: _,
        place,
        tags,
        critical,
        weight,
        cluster,
        vars: _,
        history: _,
        checks: _,
        labels: _,
        notes: _,
    } = &row.case;
    let mut facts = format!("- at {}", md_code(&place.to_string()));
    if *critical {
        facts.push_str(", **critical**");
    }
    if *weight != WEIGHT {
        facts.push_str(&format!(", weight {}", f64::from(*weight) / f64::from(WEIGHT)));
    }
    if let Some(cluster) = cluster {
        facts.push_str(&format!(", cluster {}", md_code(&truncate(cluster, 100))));
    }
    if !tags.is_empty() {
        let tags: Vec<_> = tags.iter().map(|tag| md_code(&truncate(tag, 100))).take(20).collect();
        facts.push_str(&format!(", tags {}", tags.join(" ")));
    }
    facts.push('\n');
    if let Some(baseline) = &row.baseline {
        facts.push_str(&format!("- baseline: {}\n", outcomes(baseline)));
    }
    facts.push_str(&format!("- candidate: {}\n", outcomes(&row.candidate)));
    if let Some(shown) = shown.filter(|_| row.candidate.repeats.len() > 1) {
        facts.push_str(&format!("- shown: repeat {}\n", shown.repeat));
    }
    facts
}

/// Which checks broke, and why; nothing for a pass.
fn reasons(arm: &str, judged: &ScoredSample) -> String {
    let mut text = String::new();
    let reasons = why(judged);
    let word = judged.outcome.kind().as_str();
    for Why { kind: _, label, reason } in reasons.iter().take(BROKEN) {
        text.push_str(&format!(
            "- {arm} **{word}**: {}: {}\n",
            md_code(&truncate(label, 200)),
            md_inline(&truncate(reason, REASON))
        ));
    }
    if reasons.len() > BROKEN {
        text.push_str(&format!("- … and {} more\n", reasons.len() - BROKEN));
    }
    text
}

fn expectations(case: &Case) -> String {
    let yaml = expected(&case.checks);
    format!("\nExpected:\n\n{}", md_fence("yaml", &truncate(&yaml, PART)))
}

fn diffs(baseline: &str, candidate: &str) -> String {
    let (baseline, candidate) = around_difference(baseline, candidate);
    format!(
        "\nBaseline → candidate, by line:\n\n{}\nBy word:\n\n{}",
        md_fence("diff", &truncate(&unified(&baseline, &candidate), PART * 2)),
        md_fence("text", &truncate(&words(&baseline, &candidate), PART * 2))
    )
}

fn excerpt(answer: &str) -> String {
    md_fence("text", &truncate(answer, PART))
}
