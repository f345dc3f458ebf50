//! junit.xml: one test suite per golden file, one test case per case of the candidate; valid by junit-10.xsd.
//!
//! junit-report builds and serialises the cases, a bounded number at a time. Three things it leaves to us: it writes texts
//! as they are, so every text is made legal first; it writes no skipped totals and no totals on the root; and the totals
//! of a suite stand before its cases, which are not known yet. So its cases are copied into a spool, one line each, and
//! its heads are replaced by ours at the end of the run.

use super::output::{Output, Spool};
use super::text::{log_line, log_safe, truncate, xml_cdata, xml_safe};
use super::why::{Why, answered, expected, outcomes, why};
use super::{CallReport, Context, Format, ReportError, Reporter};
use crate::domain::{ArmRow, Case, CaseRow, OutcomeKind, Quarantine, RunInfo, ScoredSample, Verdict, Warning};
use junit_report::{Report, TestCase, TestResult, TestSuite};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, Event};
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::sync::Arc;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

pub(super) const FILE: &str = "junit.xml";

pub(super) const FORMAT: Format =
    Format { file: FILE, purpose: "test tabs: one suite a golden file, one test a case", call: CallReport::Copy, open };

/// Bytes of an attribute.
const MESSAGE: usize = 500;
/// Bytes of the text of one case; GitLab and Jenkins cut or refuse much more.
const TEXT: usize = 8 * 1024;
/// Bytes of the expectations and of the answer within that text.
const PART: usize = 3 * 1024;
/// Milliseconds of one case. A recorded answer may claim any, and junit-report panics when a sum overflows.
const LONGEST: u64 = u32::MAX as u64;
/// Broken checks named in that text.
const BROKEN: usize = 10;

fn open(folder: &Path, _: &Context) -> Result<Box<dyn Reporter>, ReportError> {
    let output = Output::create(folder, FILE)?;
    let spool = Spool::create(folder).map_err(|cause| output.error(cause))?;
    Ok(Box::new(Junit { output, spool, suites: Vec::new(), quarantine: Quarantine::default() }))
}

struct Junit {
    output: Output,
    spool: Spool,
    /// The suites so far; the last one is still filling.
    suites: Vec<Suite>,
    quarantine: Quarantine,
}

/// A suite's head, and how much of the spool is its body.
struct Suite {
    /// The golden file's stem.
    name: Arc<str>,
    /// The file itself: two files may share a stem.
    file: Arc<str>,
    totals: Totals,
    bytes: u64,
}

#[derive(Clone, Copy, Default)]
struct Totals {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    time: Duration,
}

impl Totals {
    fn add(&mut self, other: Totals) {
        let Totals { tests, failures, errors, skipped, time } = other;
        self.tests += tests;
        self.failures += failures;
        self.errors += errors;
        self.skipped += skipped;
        self.time = self.time.saturating_add(time);
    }
}

impl Reporter for Junit {
    fn begin(&mut self, run: &RunInfo) -> Result<(), ReportError> {
        self.quarantine = Quarantine::of_run(&run.policy, &run.started_at);
        Ok(())
    }

    fn case(&mut self, row: &CaseRow) -> Result<(), ReportError> {
        self.add(row).map_err(|cause| self.output.error(cause))
    }

    fn finish(self: Box<Self>, verdict: &Verdict) -> Result<(), ReportError> {
        let Junit { mut output, spool, suites, quarantine: _ } = *self;
        write_document(&mut output, spool, &suites, verdict).map_err(|cause| output.error(cause))?;
        output.publish()
    }
}

impl Junit {
    fn add(&mut self, row: &CaseRow) -> io::Result<()> {
        let test = test_case(row, self.quarantine.of(&row.case));
        let Case { suite: name, place, .. } = &row.case;
        if self.suites.last().is_none_or(|suite| suite.file != place.file) {
            let (name, file) = (Arc::clone(name), Arc::clone(&place.file));
            self.suites.push(Suite { name, file, totals: Totals::default(), bytes: 0 });
        }
        if let Some(suite) = self.suites.last_mut() {
            suite.totals.add(Totals {
                tests: 1,
                failures: test.is_failure().into(),
                errors: test.is_error().into(),
                skipped: test.is_skipped().into(),
                time: test.time,
            });
            let before = self.spool.len();
            write_case(test, &mut self.spool)?;
            suite.bytes += self.spool.len() - before;
        }
        Ok(())
    }
}

/// Writes a test case on lines of its own: what stands within the only suite of a report. Before it `<` can only be markup,
/// because attributes are escaped.
fn write_case(test: TestCase, spool: &mut Spool) -> io::Result<()> {
    let mut suite = TestSuite::new("");
    suite.add_testcase(test);
    let mut report = Report::new();
    report.add_testsuite(suite);
    let mut xml = Vec::new();
    report.write_xml(&mut xml).map_err(io::Error::other)?;
    let xml = String::from_utf8(xml).map_err(io::Error::other)?;
    let case = xml.find("<testcase").zip(xml.rfind("</testsuite>")).and_then(|(from, to)| xml.get(from..to));
    writeln!(spool, "    {}", case.ok_or_else(|| io::Error::other("junit-report wrote no test case"))?)
}

/// The whole document: the root's totals, then each suite's head and its part of the spool.
fn write_document(output: &mut Output, spool: Spool, suites: &[Suite], verdict: &Verdict) -> io::Result<()> {
    let mut bodies = spool.rewind()?;
    let mut totals = Totals::default();
    suites.iter().for_each(|suite| totals.add(suite.totals));
    let timestamp = timestamp(&verdict.started_at);
    let mut writer = Writer::new(output);

    push_line(&mut writer, Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    // The schema has no skipped total here.
    let mut root = BytesStart::new("testsuites");
    root.push_attribute(("name", "promptgate"));
    push_totals(&mut root, &totals);
    push_line(&mut writer, Event::Start(root))?;
    for suite in suites {
        let mut head = BytesStart::new("testsuite");
        head.push_attribute(("name", name(&suite.name).as_str()));
        push_totals(&mut head, &suite.totals);
        head.push_attribute(("skipped", suite.totals.skipped.to_string().as_str()));
        if let Some(timestamp) = &timestamp {
            head.push_attribute(("timestamp", timestamp.as_str()));
        }
        writer.get_mut().write_all(b"  ")?;
        push_line(&mut writer, Event::Start(head))?;
        push_properties(&mut writer, verdict)?;
        let copied = io::copy(&mut bodies.by_ref().take(suite.bytes), writer.get_mut())?;
        if copied != suite.bytes {
            return Err(io::Error::other("the temporary file lost a part of its content"));
        }
        writer.get_mut().write_all(b"  ")?;
        push_line(&mut writer, Event::End(BytesEnd::new("testsuite")))?;
    }
    push_line(&mut writer, Event::End(BytesEnd::new("testsuites")))
}

/// A tag at the end of a line.
fn push_line(writer: &mut Writer<&mut Output>, tag: Event<'_>) -> io::Result<()> {
    writer.write_event(tag)?;
    writer.get_mut().write_all(b"\n")
}

/// What was tested, whether it was the real thing, and what speaks against it.
fn push_properties(writer: &mut Writer<&mut Output>, verdict: &Verdict) -> io::Result<()> {
    let baseline = verdict.baseline.as_ref().map_or("none", |prompt| &prompt.name);
    let properties = [
        ("candidate", verdict.candidate.name.as_str()),
        ("baseline", baseline),
        ("target", &verdict.target),
        ("simulated", if verdict.simulated { "true" } else { "false" }),
        ("replayed", if verdict.replayed { "true" } else { "false" }),
        ("decision", verdict.decision.as_str()),
        ("sentence", &verdict.sentence),
    ];
    writer.get_mut().write_all(b"    ")?;
    writer.write_event(Event::Start(BytesStart::new("properties")))?;
    for (name, value) in properties {
        push_property(writer, name, &truncate(&attribute(value), MESSAGE))?;
    }
    // Numbered, because readers keep one property of a name.
    for (number, Warning { code: _, message }) in (1..).zip(&verdict.warnings) {
        push_property(writer, &format!("warning {number}"), &truncate(&attribute(message), MESSAGE))?;
    }
    push_line(writer, Event::End(BytesEnd::new("properties")))
}

fn push_property(writer: &mut Writer<&mut Output>, name: &str, value: &str) -> io::Result<()> {
    let mut property = BytesStart::new("property");
    property.push_attribute(("name", name));
    property.push_attribute(("value", value));
    writer.write_event(Event::Empty(property))
}

fn push_totals(tag: &mut BytesStart<'_>, totals: &Totals) {
    tag.push_attribute(("tests", totals.tests.to_string().as_str()));
    tag.push_attribute(("failures", totals.failures.to_string().as_str()));
    tag.push_attribute(("errors", totals.errors.to_string().as_str()));
    // The schema takes at most three decimals, and no exponent.
    tag.push_attribute(("time", format!("{:.3}", totals.time.as_seconds_f64()).as_str()));
}

/// UTC to the second without a zone, the only form that every reader of the format takes; `None` if it can't be read.
fn timestamp(started_at: &str) -> Option<String> {
    let started = OffsetDateTime::parse(started_at, &Rfc3339).ok()?.to_offset(UtcOffset::UTC);
    let (year, month, day) = started.to_calendar_date();
    let (hour, minute, second) = started.to_hms();
    Some(format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}", u8::from(month)))
}

/// The candidate's side of a case, and by which tag and until when it is in quarantine. One that fails there fails here, too,
/// so that the totals are those of the verdict; its message says that it decides nothing.
fn test_case(row: &CaseRow, quarantined: Option<(&str, &str)>) -> TestCase {
    let CaseRow { case, baseline: _, candidate } = row;
    let latency: u64 = candidate
        .repeats
        .iter()
        .filter_map(|judged| judged.answer.as_ref())
        .fold(0, |sum: u64, answer| sum.saturating_add(answer.latency_ms))
        .min(LONGEST);
    let mut test =
        TestCase::success(&name(case.id.as_str()), Duration::milliseconds(i64::try_from(latency).unwrap_or_default()));
    test.set_classname(&name(&case.suite));
    test.result = match candidate.deciding() {
        // Nothing was planned for it.
        None => TestResult::Skipped,
        Some(judged) => result(case, candidate, judged, quarantined),
    };
    test
}

/// What the deciding repeat makes of the test case. A skipped one keeps its reason in the attribute.
fn result(case: &Case, candidate: &ArmRow, judged: &ScoredSample, quarantined: Option<(&str, &str)>) -> TestResult {
    let reasons = why(judged);
    let Some(Why { kind, label, reason }) = reasons.first() else {
        return TestResult::Success;
    };
    let type_ = attribute(kind);
    let apart = quarantined.map_or_else(String::new, |(tag, until)| {
        format!("in quarantine until {until} by its tag {}, decides nothing: ", truncate(tag, 100))
    });
    let message = truncate(&attribute(&format!("{apart}{label}: {reason}")), MESSAGE).into_owned();
    let cause = Some(details(&message, case, candidate, judged, &reasons));
    match judged.outcome.kind() {
        OutcomeKind::Fail => TestResult::Failure { cause, type_, message },
        OutcomeKind::Error => TestResult::Error { cause, type_, message },
        OutcomeKind::Skipped | OutcomeKind::Pass => TestResult::SkippedWithCause { cause: None, type_, message },
    }
}

/// The text of a failure or error. The message comes first, because some readers show only the text.
fn details(message: &str, case: &Case, candidate: &ArmRow, judged: &ScoredSample, reasons: &[Why<'_>]) -> String {
    let mut text = format!("{message}\n\nat {}\n", log_line(&case.place.to_string()));
    text.push_str(&format!("repeat {} of {} ({})\n", judged.repeat, candidate.repeats.len(), outcomes(candidate)));
    if reasons.len() > 1 {
        text.push_str("\nbroken checks:\n");
        for Why { kind: _, label, reason } in reasons.iter().take(BROKEN) {
            let line = format!("{label}: {reason}");
            text.push_str(&format!("- {}\n", truncate(&log_line(&line), MESSAGE)));
        }
        if reasons.len() > BROKEN {
            text.push_str(&format!("… and {} more\n", reasons.len() - BROKEN));
        }
    }
    text.push_str("\nexpected:\n");
    text.push_str(&log_safe(&truncate(&expected(&case.checks), PART)));
    if let Some(answer) = &judged.answer {
        text.push_str("\nanswer:\n");
        text.push_str(&log_safe(&truncate(&answered(answer), PART)));
        text.push('\n');
    }
    xml_cdata(&truncate(&text, TEXT)).into_owned()
}

/// A name as it was written, as far as XML can carry it; line breaks, which readers make spaces, are spaces.
fn name(text: &str) -> String {
    xml_safe(text).replace(['\n', '\t'], " ")
}

/// Text for an attribute: one line, also safe in a log, where readers of the format print it.
fn attribute(text: &str) -> String {
    xml_safe(&log_line(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_have_seconds_and_no_zone() {
        assert_eq!(timestamp("2026-11-22T17:56:32Z").as_deref(), Some("2026-11-22T17:56:32"));
        assert_eq!(timestamp("2026-11-22T17:56:32.399656224+02:00").as_deref(), Some("2026-11-22T15:56:32"));
        assert_eq!(timestamp("yesterday"), None);
    }
}
