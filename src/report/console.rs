//! The end of a run on the terminal: what it means, what broke, the numbers, why, and one last line for machines.
//!
//! ```text
//! v2 must not go live: it fails 1 case that must always pass (refund-after-41-days).
//!
//! regressed: 1 of 40 compared cases
//!   refund-after-41-days  golden/refunds.yaml:12:3
//!     contains: the answer lacks "30 days"
//! …
//! verdict=block exit=10
//! ```

use super::highlights::{Headline, HeadlineList, Highlights, Trouble};
use super::numbers::{cost, count, difference, early, latency, rate, retries};
use super::redactor::Redactor;
use super::summary::{left_behind, needed};
use super::text::{log_line, truncate};
use crate::domain::{Arms, CaseRow, Counts, Decision, PairCounts, Quarantine, Reason, Verdict, Warning};
use std::io::{self, Write};
use std::path::Path;

/// Reasons printed.
const REASONS: usize = 10;
/// Bytes of a reason.
const MESSAGE: usize = 1_000;

/// How the end of a run is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// With ANSI colours.
    pub color: bool,
    /// Only the last line.
    pub quiet: bool,
}

/// Picks what to print while the rows stream by.
#[derive(Debug)]
pub struct Console {
    style: Style,
    redactor: Redactor,
    highlights: Highlights,
}

impl Console {
    /// Nothing seen yet.
    pub fn new(style: Style, redactor: Redactor) -> Console {
        Console { style, highlights: Highlights::new(redactor.clone()), redactor }
    }

    /// The tags whose cases don't decide.
    #[must_use]
    pub fn apart(mut self, quarantine: Quarantine) -> Console {
        self.highlights.apart(quarantine);
        self
    }

    /// Takes note of the next case, in plan order.
    pub fn case(&mut self, row: &CaseRow) {
        self.highlights.note(row);
    }

    /// Writes the end of the run. `exit` is the process's exit code; `reports` the folder that holds the rest.
    ///
    /// # Errors
    /// `out` can't be written.
    pub fn finish(&self, verdict: &Verdict, exit: u8, reports: &Path, out: &mut dyn Write) -> io::Result<()> {
        self.body(verdict, reports, out)?;
        last_line(verdict, exit, out)
    }

    /// The end of the run without the last line, which is the call's where it has several candidates.
    ///
    /// # Errors
    /// `out` can't be written.
    pub fn body(&self, verdict: &Verdict, reports: &Path, out: &mut dyn Write) -> io::Result<()> {
        if self.style.quiet {
            return Ok(());
        }
        let verdict = self.redactor.verdict(verdict);
        self.sentence(&verdict, out)?;
        self.banners(&verdict, out)?;
        self.lists(&verdict, reports, out)?;
        self.errors(out)?;
        self.table(&verdict, out)?;
        self.reasons(&verdict, out)
    }

    /// First of all, what it means.
    fn sentence(&self, verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
        let sentence = log_line(&truncate(&verdict.sentence, MESSAGE));
        writeln!(out, "{}\n", self.paint(color(verdict.decision), &sentence))
    }

    fn banners(&self, verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
        for (on, word, text) in [
            (verdict.replayed, "REPLAYED", "the answers were recorded earlier; nothing here can be promoted"),
            (
                verdict.dataset.cases < verdict.dataset.total,
                "PARTIAL",
                "only a part of the dataset was run; nothing here can be promoted",
            ),
        ] {
            if on {
                writeln!(out, "{}: {text}", self.paint(YELLOW, word))?;
            }
        }
        if let Some(fresh) = &verdict.fresh_key {
            let text = format!("{}: {}", left_behind(fresh), fresh.reason);
            let text = log_line(truncate(&text, MESSAGE).as_ref());
            writeln!(out, "{}: {text}", self.paint(YELLOW, "FRESH KEY"))?;
        }
        for Warning { code: _, message } in &verdict.warnings {
            let message = log_line(truncate(message, MESSAGE).as_ref());
            writeln!(out, "{}: {message}", self.paint(YELLOW, "WARNING"))?;
        }
        Ok(())
    }

    fn lists(&self, verdict: &Verdict, reports: &Path, out: &mut dyn Write) -> io::Result<()> {
        let Highlights { regressed, critical, failing, quarantined, errors: _, other_errors: _, skipped: _, .. } =
            &self.highlights;
        if verdict.baseline.is_some() {
            let of = format!("of {} compared", verdict.paired.n);
            self.list("regressed", &of, regressed, reports, out)?;
        } else {
            let of = format!("of {}", verdict.counts.cases);
            self.list("failing", &of, failing, reports, out)?;
        }
        self.list("must-pass cases in trouble", "", critical, reports, out)?;
        self.list("not passing, in quarantine", "", quarantined, reports, out)
    }

    fn list(
        &self,
        title: &str,
        of: &str,
        listed: &HeadlineList,
        reports: &Path,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if listed.count() == 0 {
            return Ok(());
        }
        let title = self.paint(RED, title);
        writeln!(out, "{}", format!("{title}: {} {of}", listed.count()).trim_end())?;
        for Headline { id, place, label, reason } in &listed.named {
            writeln!(out, "  {}  {}", self.paint(BOLD, &log_line(id)), log_line(place))?;
            writeln!(out, "    {}: {}", log_line(label), log_line(reason))?;
        }
        if listed.more > 0 {
            let path = reports.join(super::diff::FILE);
            writeln!(out, "  … and {} more, see {}", listed.more, log_line(&path.to_string_lossy()))?;
        }
        writeln!(out)
    }

    fn errors(&self, out: &mut dyn Write) -> io::Result<()> {
        let Highlights { errors, other_errors, skipped, .. } = &self.highlights;
        if errors.is_empty() && skipped.is_empty() {
            return Ok(());
        }
        writeln!(out, "{}:", self.paint(YELLOW, "answers without a judgement"))?;
        for ((arm, code), Trouble { count: n, message }) in errors {
            writeln!(out, "  {arm}  {n} × {}: {}", log_line(code), log_line(message))?;
        }
        if *other_errors > 0 {
            writeln!(out, "  {} of other kinds", count(*other_errors, "error", "errors"))?;
        }
        for (word, n) in skipped {
            writeln!(out, "  {} not asked: {word}", count(*n, "answer", "answers"))?;
        }
        writeln!(out)
    }

    fn table(&self, verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
        let Counts { cases, pass, fail, error, skipped } = &verdict.counts;
        let mut lines =
            vec![("candidate", format!("{cases} cases: {pass} pass, {fail} fail, {error} error, {skipped} skipped"))];
        if let Some(early) = early(verdict) {
            lines.push(("early", early));
        }
        if verdict.baseline.is_some() {
            let PairCounts { n, both_pass, regressed, improved, both_fail } = &verdict.paired;
            lines.push((
                "compared",
                format!("{n} cases: {regressed} regressed, {improved} improved, {both_pass} both pass, {both_fail} both fail"),
            ));
            lines.push(("baseline", format!("pass rate {}", rate(verdict.rates.baseline.as_ref()))));
        }
        lines.push(("candidate", format!("pass rate {}", rate(verdict.rates.candidate.as_ref()))));
        if let Some(found) = &verdict.difference {
            lines.push(("difference", difference(found)));
        }
        lines.push(("latency", latencies(verdict)));
        lines.push((
            "spent",
            format!(
                "{}, {}, {} tokens, {}",
                count(verdict.requests, "request", "requests"),
                retries(verdict),
                verdict.usage.total,
                cost(verdict)
            ),
        ));
        for (name, text) in lines {
            writeln!(out, "{name:<11} {text}")?;
        }
        writeln!(out)
    }

    fn reasons(&self, verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
        let decision = verdict.decision;
        writeln!(out, "{}", self.paint(color(decision), decision.as_str()))?;
        for Reason { code, message, cases: _ } in verdict.reasons.iter().take(REASONS) {
            writeln!(out, "  {}: {}", code.as_str(), log_line(&truncate(message, MESSAGE)))?;
        }
        if let Some(text) = needed(verdict.needed.as_ref(), &verdict.counts) {
            writeln!(out, "  to settle it: {text}")?;
        }
        Ok(())
    }

    fn paint(&self, color: &str, text: &str) -> String {
        if self.style.color { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The one line for machines.
///
/// # Errors
/// `out` can't be written.
pub fn last_line(verdict: &Verdict, exit: u8, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "verdict={} exit={exit}", verdict.decision.as_str())
}

const BOLD: &str = "1";
const RED: &str = "1;31";
const GREEN: &str = "1;32";
const YELLOW: &str = "1;33";

fn color(decision: Decision) -> &'static str {
    match decision {
        Decision::Promote => GREEN,
        Decision::Block => RED,
        Decision::Inconclusive => YELLOW,
    }
}

fn latencies(verdict: &Verdict) -> String {
    let Arms { baseline, candidate } = &verdict.latency_ms;
    if verdict.baseline.is_some() {
        format!(
            "p50 / p95 / p99: baseline {}, candidate {}",
            latency(baseline, verdict.cached.baseline),
            latency(candidate, verdict.cached.candidate)
        )
    } else {
        format!("p50 / p95 / p99: {}", latency(candidate, verdict.cached.candidate))
    }
}
