//! summary.md: the run on one page, short enough for a step summary or a comment.

use super::highlights::{CaseList, FlakyHeadline, Headline, Highlights};
use super::judges;
use super::numbers::{UNKNOWN, cost, count, difference, early, latency, percent, points, promotions, rate, retries, z};
use super::output::Output;
use super::redactor::Redactor;
use super::text::{md_code, md_inline, truncate};
use super::{CallReport, Context, Format, ReportError, Reporter};
use crate::domain::{
    CaseRow, Counts, DatasetRecord, Decision, FirstRules, FreshKey, GuardMetric, Guardrail, PairCounts, Passes,
    PolicyBase, PolicyChange, Quarantine, Reason, RunInfo, SampleSize, Slice, SliceGate, Tries, Usage, Verdict,
    Warning,
};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

pub(super) const FILE: &str = "summary.md";

pub(super) const FORMAT: Format =
    Format { file: FILE, purpose: "the step summary or a comment on the pull request", call: CallReport::Page, open };

/// Bytes of the whole file: a comment may have 65,536 characters, and others may want to add to it.
const MOST: usize = 60_000;
/// Bytes of a reason's message.
const MESSAGE: usize = 1_000;
/// Reasons, and tags, that are listed.
const REASONS: usize = 10;
const SLICES: usize = 50;
const CHANGES: usize = 30;
/// Bytes of a name in a list.
const NAME: usize = 120;

fn open(folder: &Path, _: &Context) -> Result<Box<dyn Reporter>, ReportError> {
    Ok(Box::new(Summary {
        output: Output::create(folder, FILE)?,
        // Rows come masked.
        highlights: Highlights::new(Redactor::default()),
    }))
}

struct Summary {
    output: Output,
    highlights: Highlights,
}

impl Reporter for Summary {
    fn begin(&mut self, run: &RunInfo) -> Result<(), ReportError> {
        self.highlights.set_quarantine(Quarantine::of_run(&run.policy, &run.started_at));
        Ok(())
    }

    fn case(&mut self, row: &CaseRow) -> Result<(), ReportError> {
        self.highlights.note(row);
        Ok(())
    }

    fn finish(mut self: Box<Self>, verdict: &Verdict) -> Result<(), ReportError> {
        let text = fit(page(verdict, &self.highlights));
        self.output.write_all(text.as_bytes()).map_err(|cause| self.output.error(cause))?;
        self.output.publish()
    }
}

/// The last resort against a page that is too long: whole lines are cut from its end.
pub(super) fn fit(mut page: String) -> String {
    const CUT: &str = "\n… cut here; the rest is in diff.md and results.jsonl.\n";
    if page.len() > MOST {
        let end = page.floor_char_boundary(MOST - CUT.len());
        page.truncate(page[..end].rfind('\n').unwrap_or(end));
        page.push_str(CUT);
    }
    page
}

fn page(verdict: &Verdict, highlights: &Highlights) -> String {
    let mut page = verdict_line(verdict);
    page.push_str(&fresh(verdict));
    page.push_str(&weaker(verdict));
    page.push_str(&baseline_notice(verdict));
    page.push_str(&rule(verdict));
    page.push_str(&banners(verdict));
    page.push('\n');
    page.push_str(&what_ran(verdict));
    page.push_str(&tries(verdict));
    if let Some(early) = early(verdict) {
        let _ = write!(page, "\nDecided early, {early}.\n");
    }
    page.push_str(&more_reasons(verdict));
    page.push_str(&changes(verdict));
    page.push_str(&numbers(verdict));
    page.push_str(&settle(verdict));
    page.push_str(&listed("Must-pass cases not passing", &highlights.critical));
    if verdict.baseline.is_some() {
        page.push_str(&listed("Regressed", &highlights.regressed));
    } else {
        page.push_str(&listed("Failing", &highlights.failing));
    }
    page.push_str(&listed("Not passing, in quarantine", &highlights.quarantined));
    page.push_str(&flaky(&highlights.flaky));
    page.push_str(&errors(highlights));
    if let Some(judges) = &verdict.judges {
        page.push_str(&judges::section(&judges.found));
    }
    page.push_str(&guardrails(&verdict.guardrails));
    page.push_str(&slices(&verdict.slices));
    page.push_str(&spent(verdict));
    page
}

pub(super) fn verdict_line(verdict: &Verdict) -> String {
    let word = match verdict.decision {
        Decision::Promote => "✅ **promote**",
        Decision::Block => "❌ **block**",
        Decision::Inconclusive => "⚠️ **inconclusive**",
        Decision::Unchanged => "✅ **unchanged**",
    };
    let how = match (verdict.simulated, verdict.replayed) {
        (true, _) => " (SIMULATED)",
        (false, true) => " (REPLAYED)",
        (false, false) => "",
    };
    format!("{word}{how}: {}\n", md_inline(&truncate(&verdict.sentence, MESSAGE)))
}

/// The first reason: the rule, the numbers and the interval.
pub(super) fn rule(verdict: &Verdict) -> String {
    match verdict.reasons.first() {
        Some(reason) => format!("\n{}\n", md_inline(&truncate(&reason.message, MESSAGE))),
        None => String::new(),
    }
}

/// How many candidates were tried, and by which rules these answers were looked at first.
fn tries(verdict: &Verdict) -> String {
    let Some(Tries { candidates, respelled, since, first }) = &verdict.tries else {
        return String::new();
    };
    let mut text = String::new();
    if *candidates > 1 {
        let _ = write!(text, "\nCandidate {candidates} on these cases");
        if let Some(baseline) = &verdict.baseline {
            let _ = write!(text, " against {}", code(&baseline.name));
        }
        let _ = write!(text, " since {since}");
        if *respelled > 0 {
            let _ = write!(text, "; {respelled} of the others differ from it only in white space, order or names");
        }
        text.push_str(".\n");
    }
    if let Some(FirstRules { run, decision, rules }) = first {
        let rules = md_inline(&truncate(&rules.join("; "), MESSAGE));
        let decision =
            decision.as_deref().map_or_else(String::new, |decision| format!(" and was {}", md_inline(decision)));
        let _ = writeln!(text, "\nRun {run} looked at these answers first{decision}, by other rules: {rules}.");
    }
    text
}

/// Whether earlier looks at the same were left behind.
fn fresh(verdict: &Verdict) -> String {
    let Some(fresh) = &verdict.fresh_key else {
        return String::new();
    };
    format!("\n> **FRESH KEY**: {}. Reason: {}\n", left_behind(fresh), md_inline(&truncate(&fresh.reason, MESSAGE)))
}

/// `2 earlier looks at the same were left behind (block, inconclusive)`.
pub(super) fn left_behind(fresh: &FreshKey) -> String {
    if fresh.left_behind.is_empty() {
        return "earlier looks at the same, if there were any, were left behind".to_owned();
    }
    let decisions: Vec<&str> = fresh.left_behind.iter().map(|decision| decision.as_str()).collect();
    format!(
        "{} at the same {} left behind ({})",
        count(decisions.len() as u64, "earlier look", "earlier looks"),
        if decisions.len() == 1 { "was" } else { "were" },
        decisions.join(", ")
    )
}

/// What was compared, where settings or the prompt's file say otherwise.
fn baseline_notice(verdict: &Verdict) -> String {
    let notice = verdict.promotion.as_ref().and_then(|promotion| promotion.notice.as_deref());
    notice.map_or_else(String::new, |notice| format!("\n> **BASELINE**: {}.\n", md_inline(&truncate(notice, MESSAGE))))
}

/// Whether the project asks for less than it did.
fn weaker(verdict: &Verdict) -> String {
    let (Some(base), n) = (&verdict.policy_base, verdict.changed.iter().filter(|row| row.weaker).count()) else {
        return String::new();
    };
    if n == 0 {
        return String::new();
    }
    let mut text = format!(
        "\n> **WEAKER** than {}: {} may let through what was stopped there.",
        base_name(base),
        count(n as u64, "change", "changes")
    );
    if let Some(digest) = &verdict.weaker_digest {
        let _ = write!(text, " Digest: {}.", code(digest));
    }
    if let Some(reason) = &verdict.accepted_weaker {
        let _ = write!(text, " Accepted: {}", md_inline(&truncate(reason, MESSAGE)));
    }
    text.push('\n');
    text
}

fn base_name(base: &PolicyBase) -> String {
    let commit: String = base.commit.chars().take(12).collect();
    format!("{} ({})", code(&base.rev), code(&commit))
}

/// What changed since the policy base, in a table.
fn changes(verdict: &Verdict) -> String {
    let Some(base) = &verdict.policy_base else {
        return String::new();
    };
    if verdict.changed.is_empty() {
        return format!("\nGolden data, checks and policy are those of {}.\n", base_name(base));
    }
    let mut text = format!(
        "\n### Changed since {}\n\n| | change | what | before | after |\n| --- | --- | --- | --- | --- |\n",
        base_name(base)
    );
    let cell = |value: &Option<String>| {
        let text = value.as_deref().unwrap_or(UNKNOWN);
        md_inline(&truncate(text, NAME))
    };
    for PolicyChange { kind, what, before, after, weaker } in verdict.changed.iter().take(CHANGES) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            if *weaker { "**weaker**" } else { "" },
            md_inline(kind),
            md_inline(&truncate(what, NAME)),
            cell(before),
            cell(after)
        );
    }
    if verdict.changed.len() > CHANGES {
        let _ = writeln!(text, "\n… and {} more, in verdict.json.", verdict.changed.len() - CHANGES);
    }
    text
}

/// What keeps this run from being evidence for a deployment.
pub(super) fn caveats(verdict: &Verdict) -> impl Iterator<Item = (&'static str, &'static str)> {
    let DatasetRecord { cases, total, .. } = verdict.dataset;
    [
        (verdict.simulated, "SIMULATED", "the built-in simulator answered, not the model"),
        (verdict.replayed, "REPLAYED", "answers were recorded earlier, not requested now"),
        (verdict.rehearsal, "REHEARSAL", "--rehearse lets a promote pass"),
        (!verdict.gated, "NOT GATED", "no decision was requested"),
        (cases < total, "PARTIAL", "only a part of the dataset was run"),
    ]
    .into_iter()
    .filter_map(|(applies, word, text)| applies.then_some((word, text)))
}

/// Caveats and warnings, loudly.
pub(super) fn banners(verdict: &Verdict) -> String {
    let caveats =
        caveats(verdict).map(|(word, text)| format!("\n> **{word}**: {text}. Nothing here can be promoted.\n"));
    let warnings = verdict
        .warnings
        .iter()
        .map(|Warning { code: _, message }| format!("\n> **WARNING**: {}.\n", md_inline(&truncate(message, MESSAGE))));
    caveats.chain(warnings).collect()
}

fn what_ran(verdict: &Verdict) -> String {
    let DatasetRecord { cases, total, .. } = verdict.dataset;
    let cases = if cases == total {
        count(cases, "case", "cases")
    } else {
        format!("{cases} of {}", count(total, "case", "cases"))
    };
    let against = verdict
        .baseline
        .as_ref()
        .map_or_else(|| "without a baseline".to_owned(), |prompt| format!("against {}", code(&prompt.name)));
    format!(
        "{} {against}, {cases} × {}, target {}, model {}.\n",
        code(&verdict.candidate.name),
        count(verdict.repeats.into(), "repeat", "repeats"),
        code(&verdict.target),
        code(&verdict.candidate.model.requested)
    )
}

fn more_reasons(verdict: &Verdict) -> String {
    let mut text = String::new();
    let rest = verdict.reasons.get(1..).unwrap_or_default();
    for Reason { code: _, message, cases: _ } in rest.iter().take(REASONS) {
        let _ = writeln!(text, "- {}", md_inline(&truncate(message, MESSAGE)));
    }
    if text.is_empty() { text } else { format!("\nAlso:\n\n{text}") }
}

fn numbers(verdict: &Verdict) -> String {
    let Counts { cases, pass, fail, error, skipped } = &verdict.counts;
    let mut text = format!(
        "\n| candidate cases | pass | fail | error | skipped |\n| ---: | ---: | ---: | ---: | ---: |\n\
         | {cases} | {pass} | {fail} | {error} | {skipped} |\n"
    );
    if verdict.baseline.is_none() {
        let _ = write!(
            text,
            "\n| | candidate |\n| --- | ---: |\n| pass rate | {} |\n| latency p50 / p95 / p99 | {} |\n",
            rate(verdict.rates.candidate.as_ref()),
            latency(&verdict.latency_ms.candidate, verdict.cached.candidate)
        );
        return text;
    }
    let PairCounts { n, both_pass, regressed, improved, both_fail } = &verdict.paired;
    let _ = write!(
        text,
        "\n| compared cases | regressed | improved | both pass | both fail |\n| ---: | ---: | ---: | ---: | ---: |\n\
         | {n} | {regressed} | {improved} | {both_pass} | {both_fail} |\n"
    );
    let _ = write!(
        text,
        "\n| | baseline | candidate |\n| --- | ---: | ---: |\n| pass rate | {} | {} |\n\
         | latency p50 / p95 / p99 | {} | {} |\n| answers from the cache | {} | {} |\n",
        rate(verdict.rates.baseline.as_ref()),
        rate(verdict.rates.candidate.as_ref()),
        latency(&verdict.latency_ms.baseline, verdict.cached.baseline),
        latency(&verdict.latency_ms.candidate, verdict.cached.candidate),
        verdict.cached.baseline,
        verdict.cached.candidate
    );
    if let Some(found) = &verdict.difference {
        let _ = write!(text, "\nDifference: **{}**", difference(found));
        if let Some(scores) = &verdict.z {
            let _ = write!(text, ", z promote {}, z block {}", z(scores.promote), z(scores.block));
        }
        text.push_str(".\n");
    }
    if let Some((promotions, doubtful)) = promotions(verdict) {
        let _ = write!(text, "\n{}{}.\n", if doubtful { "**WARNING**: " } else { "" }, md_inline(&promotions));
    }
    let (margin, tolerance) = match verdict.judges.as_ref().and_then(|judges| judges.found.scale) {
        Some(scale) => (scale.margin_scaled, scale.tolerance_scaled),
        None => (verdict.policy.margin, verdict.policy.tolerance),
    };
    let _ = writeln!(
        text,
        "\nPromoting needs a difference above {} points, blocking one below {} points, at errors of {} and {}.",
        points(-margin),
        points(-tolerance),
        verdict.policy.alpha,
        verdict.policy.block_alpha
    );
    text
}

fn settle(verdict: &Verdict) -> String {
    needed(verdict.needed.as_ref(), &verdict.counts)
        .map_or_else(String::new, |text| format!("\n**To settle it:** {text}\n"))
}

/// What would settle the verdict, in a sentence.
pub(super) fn needed(needed: Option<&SampleSize>, counts: &Counts) -> Option<String> {
    let SampleSize { cases, repeats } = needed?;
    let now = counts.cases;
    let or = repeats.map_or_else(String::new, |repeats| {
        format!(", or {repeats} repeats of the present cases (`--repeat {repeats}`)")
    });
    Some(format!(
        "about {} in all (now {now}){or}, if the candidate is as good as it looks.",
        count(*cases, "case", "cases")
    ))
}

fn listed(title: &str, listed: &CaseList<Headline>) -> String {
    if listed.count() == 0 {
        return String::new();
    }
    let mut text = format!("\n### {title} ({})\n\n", listed.count());
    for Headline { id, place, label, reason } in &listed.named {
        let _ = writeln!(
            text,
            "- {} ({}): **{}**: {}",
            code(id),
            code(place),
            md_inline(&truncate(label, NAME)),
            md_inline(reason)
        );
    }
    if listed.more > 0 {
        let _ = writeln!(text, "- … and {} more, see diff.md", listed.more);
    }
    text
}

/// Cases of which some answers pass and some don't.
fn flaky(flaky: &CaseList<FlakyHeadline>) -> String {
    if flaky.count() == 0 {
        return String::new();
    }
    let passing = |Passes { judged, passed }: Passes| format!("{passed} of {judged}");
    let mut text = format!("\n### Flaky cases ({})\n\n", flaky.count());
    for FlakyHeadline { id, place, baseline, candidate } in &flaky.named {
        let baseline = baseline.map_or_else(String::new, |passes| format!("baseline passes {}, ", passing(passes)));
        let _ = writeln!(text, "- {} ({}): {baseline}candidate passes {}", code(id), code(place), passing(*candidate));
    }
    if flaky.more > 0 {
        let _ = writeln!(text, "- … and {} more", flaky.more);
    }
    text
}

fn errors(highlights: &Highlights) -> String {
    let lines = highlights.unjudged(code, md_inline);
    let lines: String = lines.iter().map(|line| format!("- {line}\n")).collect();
    if lines.is_empty() { lines } else { format!("\n### Answers without a judgement\n\n{lines}") }
}

/// The declared guardrails. Latencies in milliseconds, costs in US dollars, both like tokens for a case asked once.
fn guardrails(guardrails: &[Guardrail]) -> String {
    if guardrails.is_empty() {
        return String::new();
    }
    let mut text = "\n### Guardrails\n\n| | cases | baseline | candidate | change | allowed | p | |\n\
                    | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
        .to_owned();
    for Guardrail { metric, n, baseline, candidate, change, allowed, p, p_any: _, status, why } in guardrails {
        let value = |value: &Option<f64>| value.map_or_else(|| UNKNOWN.to_owned(), |value| guarded(*metric, value));
        let share = |share: f64| {
            if metric.is_relative() { percent(share) } else { points(share) }
        };
        let why = why.as_ref().map_or_else(String::new, |why| format!(": {}", md_inline(why)));
        let _ = writeln!(
            text,
            "| {} | {n} | {} | {} | {} | {} | {} | {}{why} |",
            metric.as_str(),
            value(baseline),
            value(candidate),
            change.map_or_else(|| UNKNOWN.to_owned(), share),
            share(*allowed),
            p.map_or_else(|| UNKNOWN.to_owned(), |p| format!("{p:.3}")),
            status.as_str()
        );
    }
    text
}

fn guarded(metric: GuardMetric, value: f64) -> String {
    match metric {
        GuardMetric::LatencyP95 => format!("{value:.0} ms"),
        GuardMetric::Cost => format!("${value:.6}"),
        GuardMetric::OutputTokens => format!("{value:.1}"),
        GuardMetric::RefusalRate | GuardMetric::TruncationRate => percent(value),
    }
}

fn slices(slices: &[Slice]) -> String {
    if slices.is_empty() {
        return String::new();
    }
    let mut text = "\n### Tags\n\n| tag | cases | baseline | candidate | difference | | gate |\n| --- | ---: | ---: | ---: | ---: | --- | --- |\n"
        .to_owned();
    let share = |share: &Option<f64>| share.map_or_else(|| UNKNOWN.to_owned(), percent);
    // What decides comes first.
    let mut ordered: Vec<&Slice> = slices.iter().collect();
    ordered.sort_by_key(|slice| match slice.gate {
        SliceGate::Block => 0,
        SliceGate::Hold => 1,
        SliceGate::Ok | SliceGate::Unpowered | SliceGate::Unknown => 2,
    });
    for Slice { tag, n, baseline, candidate, difference, status, gate, p: _ } in ordered.into_iter().take(SLICES) {
        let _ = writeln!(
            text,
            "| {} | {n} | {} | {} | {} | {} | {} |",
            md_inline(&truncate(tag, NAME)),
            share(baseline),
            share(candidate),
            difference.map_or_else(|| UNKNOWN.to_owned(), points),
            status.as_str(),
            gate.as_str()
        );
    }
    if slices.len() > SLICES {
        let _ = writeln!(text, "\n… and {} more, in verdict.json.", slices.len() - SLICES);
    }
    text
}

fn spent(verdict: &Verdict) -> String {
    let Usage { prompt, cached, output, thinking, total } = &verdict.usage;
    format!(
        "\n{} ({}), cost {}, {total} tokens: {prompt} in (of them {cached} cached), {output} out, {thinking} thinking; {}.\n",
        count(verdict.requests, "request", "requests"),
        retries(verdict),
        cost(verdict),
        verdict.prices
    )
}

/// A name as a code span, of bounded length.
fn code(name: &str) -> String {
    md_code(&truncate(name, NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_too_long_is_cut_between_lines() {
        let page = fit("- äöü €\n".repeat(10_000));
        assert!(page.len() <= MOST && page.len() > MOST - 100);
        assert!(page.ends_with("- äöü €\n… cut here; the rest is in diff.md and results.jsonl.\n"));
        assert_eq!(fit("short\n".to_owned()), "short\n");
    }
}
