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

use super::highlights::{CaseList, Headline, Highlights};
use super::numbers::{comparison_lines, cost, count, early, latency, promotions, rate, retries};
use super::redactor::Redactor;
use super::summary::{caveats, left_behind, needed};
use super::text::{log_line, truncate};
use crate::domain::{Arms, CaseRow, Counts, Decision, Quarantine, Reason, SampleSize, Verdict, Warning};
use std::io::{self, Write};
use std::path::Path;

const REASONS: usize = 10;
/// Bytes of a reason.
const MESSAGE: usize = 1_000;

/// How the end of a run is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
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
    pub fn new(style: Style, redactor: Redactor) -> Console {
        Console { style, highlights: Highlights::new(redactor.clone()), redactor }
    }

    #[must_use]
    pub fn with_quarantine(mut self, quarantine: Quarantine) -> Console {
        self.highlights.set_quarantine(quarantine);
        self
    }

    pub fn case(&mut self, row: &CaseRow) {
        self.highlights.note(row);
    }

    /// Writes the end of the run. `exit` is the process's exit code; `reports` the folder that holds the rest.
    pub fn finish(&self, verdict: &Verdict, exit: u8, reports: &Path, out: &mut dyn Write) -> io::Result<()> {
        self.body(verdict, reports, out)?;
        last_line(verdict, exit, out)
    }

    /// The end of the run without the last line, which is the call's where it has several candidates.
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

    fn sentence(&self, verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
        let sentence = log_line(&truncate(&verdict.sentence, MESSAGE));
        writeln!(out, "{}\n", self.paint(color(verdict.decision), &sentence))
    }

    fn banners(&self, verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
        // That it is simulated was said before the run.
        for (word, text) in caveats(verdict).filter(|(word, _)| *word != "SIMULATED") {
            writeln!(out, "{}: {text}; nothing here can be promoted", self.paint(YELLOW, word))?;
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
        let Highlights { regressed, critical, failing, quarantined, .. } = &self.highlights;
        if verdict.baseline.is_some() {
            let of = format!("of {} compared", verdict.paired.n);
            self.list("regressed", &of, regressed, reports, out)?;
        } else {
            let of = format!("of {}", verdict.counts.cases);
            self.list("failing", &of, failing, reports, out)?;
        }
        self.list("must-pass cases not passing", "", critical, reports, out)?;
        self.list("not passing, in quarantine", "", quarantined, reports, out)
    }

    fn list(
        &self,
        title: &str,
        of: &str,
        listed: &CaseList<Headline>,
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
        let lines = self.highlights.unjudged(log_line, log_line);
        if lines.is_empty() {
            return Ok(());
        }
        writeln!(out, "{}:", self.paint(YELLOW, "answers without a judgement"))?;
        for line in lines {
            writeln!(out, "  {line}")?;
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
        let Arms { baseline, candidate } = &verdict.rates;
        if verdict.baseline.is_some() {
            let difference = verdict.difference.as_ref();
            lines.extend(comparison_lines(&verdict.paired, baseline.as_ref(), candidate.as_ref(), difference));
            lines.extend(promotions(verdict).map(|(text, _)| ("promotions", log_line(&text))));
        } else {
            lines.push(("candidate", format!("pass rate {}", rate(candidate.as_ref()))));
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
        for line in reason_lines(&verdict.reasons, verdict.needed.as_ref(), &verdict.counts) {
            writeln!(out, "  {line}")?;
        }
        Ok(())
    }

    fn paint(&self, color: &str, text: &str) -> String {
        if self.style.color { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

pub(super) fn reason_lines(reasons: &[Reason], size: Option<&SampleSize>, counts: &Counts) -> Vec<String> {
    let reasons = reasons.iter().take(REASONS);
    let lines = reasons.map(|Reason { code, message, cases: _ }| {
        format!("{}: {}", code.as_str(), log_line(&truncate(message, MESSAGE)))
    });
    lines.chain(needed(size, counts).map(|text| format!("to settle it: {text}"))).collect()
}

/// The one line for machines.
pub fn last_line(verdict: &Verdict, exit: u8, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "verdict={} exit={exit}", verdict.decision.as_str())
}

const BOLD: &str = "1";
const RED: &str = "1;31";
const GREEN: &str = "1;32";
const YELLOW: &str = "1;33";

fn color(decision: Decision) -> &'static str {
    match decision {
        Decision::Promote | Decision::Unchanged => GREEN,
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
