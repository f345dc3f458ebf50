//! verdict.json: the one file that deploy steps read. Its fields and their order are a contract.

use super::output::Output;
use super::text::json_safe;
use super::{Context, ReportError, Reporter, ResultsWritten};
use crate::domain::{
    ArmRate, CandidateLine, CaseRow, Changed, Completion, Counts, Decision, Difference, FreshKey, Guardrail,
    JudgesAsked, Latency, Look, Needed, Paired, Policy, PolicyBase, PriceList, PromptRecord, Quarantined, Reason,
    RunInfo, Slice, Tested, Unlooked, Usage, Verdict, Waited, Warning, ZScores,
};
use serde::Serialize;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub(super) const FILE: &str = "verdict.json";

/// Changes when a field changes its meaning or goes; new fields may come.
pub(super) const SCHEMA: &str = "promptgate.verdict/1";

pub(super) fn open(folder: &Path, context: &Context) -> Result<Box<dyn Reporter>, ReportError> {
    Ok(Box::new(VerdictFile {
        results: Arc::clone(&context.results),
        output: Output::create(folder, FILE)?,
    }))
}

struct VerdictFile {
    /// Filled when results.jsonl is in place.
    results: Arc<OnceLock<ResultsWritten>>,
    output: Output,
}

impl Reporter for VerdictFile {
    fn begin(&mut self, _: &RunInfo) -> Result<(), ReportError> {
        Ok(())
    }

    fn case(&mut self, _: &CaseRow) -> Result<(), ReportError> {
        Ok(())
    }

    fn finish(mut self: Box<Self>, run: &RunInfo, verdict: &Verdict) -> Result<(), ReportError> {
        self.write(run, verdict).map_err(|cause| self.output.error(cause))?;
        self.output.publish()
    }
}

impl VerdictFile {
    fn write(&mut self, run: &RunInfo, verdict: &Verdict) -> io::Result<()> {
        // A float that is not a number becomes null.
        let json = serde_json::to_string_pretty(&record(run, verdict, self.results.get()))?;
        writeln!(self.output, "{}", json_safe(&json))
    }
}

#[derive(Serialize)]
struct Record<'a> {
    schema: &'static str,
    decision: Decision,
    sentence: &'a str,
    exit_code: u8,
    promotable: bool,
    reasons: &'a [Reason],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [Warning],
    simulated: bool,
    replayed: bool,
    gated: bool,
    key: &'a str,
    look: &'a Look,
    /// Absent where no earlier looks were left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    fresh_key: Option<&'a FreshKey>,
    policy: &'a Policy,
    policy_sha256: &'a str,
    policy_base: Option<&'a PolicyBase>,
    changed: &'a [Changed],
    accepted_weaker: Option<&'a str>,
    candidate: &'a PromptRecord,
    baseline: Option<&'a PromptRecord>,
    dataset: Dataset<'a>,
    /// Per case and arm.
    repeats: u32,
    tested: &'a Tested,
    completion: Completion,
    /// `None` if it could not be written.
    results: Option<&'a ResultsWritten>,
    /// Absent where there was one candidate.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    candidates: &'a [CandidateLine],
    target: &'a str,
    counts: &'a Counts,
    /// Absent where no tag is in quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<&'a Quarantined>,
    /// Absent where all cases were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    unlooked: Option<&'a Unlooked>,
    paired: &'a Paired,
    rates: Arms<Option<&'a ArmRate>>,
    difference: Option<&'a Difference>,
    z: Option<&'a ZScores>,
    needed: Option<&'a Needed>,
    slices: &'a [Slice],
    /// Absent where none is declared.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    guardrails: &'a [Guardrail],
    usage: &'a Usage,
    cost_usd: Option<f64>,
    /// Absent where no judge was asked, and none decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    judges: Option<&'a JudgesAsked>,
    answers_cost_usd: Option<f64>,
    prices: &'a PriceList,
    requests: u64,
    cached: Arms<u64>,
    imported: u64,
    retries: u64,
    waited_ms: &'a Waited,
    latency_ms: Arms<&'a Latency>,
    started_at: &'a str,
    finished_at: &'a str,
    tool: Tool,
}

#[derive(Serialize)]
struct Dataset<'a> {
    sha256: &'a str,
    /// Run.
    cases: u64,
    /// In the files.
    total: u64,
}

#[derive(Serialize)]
struct Arms<T> {
    baseline: T,
    candidate: T,
}

#[derive(Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Takes both apart completely, so that a new field can't be forgotten here.
fn record<'a>(run: &'a RunInfo, verdict: &'a Verdict, results: Option<&'a ResultsWritten>) -> Record<'a> {
    let RunInfo {
        candidate: _,
        baseline: _,
        target,
        simulated,
        dataset_sha256,
        cases,
        total,
        repeats,
        gated,
        policy,
        key,
        tested,
        look,
        fresh_key,
        changes,
        started_at,
    } = run;
    let Verdict {
        decision,
        sentence,
        exit_code,
        promotable,
        reasons,
        warnings,
        replayed,
        unlooked,
        policy_sha256,
        completion,
        candidate,
        baseline,
        counts,
        quarantined,
        paired,
        baseline_rate,
        candidate_rate,
        difference,
        z,
        needed,
        slices,
        guardrails,
        usage,
        cost_usd,
        judges,
        answers_cost_usd,
        prices,
        requests,
        cached,
        imported,
        retries,
        waited_ms,
        latency_ms,
        finished_at,
        candidates,
    } = verdict;
    Record {
        schema: SCHEMA,
        decision: *decision,
        sentence,
        exit_code: *exit_code,
        promotable: *promotable,
        reasons,
        warnings,
        simulated: *simulated,
        replayed: *replayed,
        gated: *gated,
        key,
        look,
        fresh_key: fresh_key.as_ref(),
        policy,
        policy_sha256,
        policy_base: changes.base.as_ref(),
        changed: &changes.rows,
        accepted_weaker: changes.accepted.as_deref(),
        candidate,
        baseline: baseline.as_ref(),
        dataset: Dataset {
            sha256: dataset_sha256,
            cases: *cases,
            total: *total,
        },
        repeats: *repeats,
        tested,
        completion: *completion,
        results,
        candidates,
        target,
        counts,
        quarantined: quarantined.as_ref(),
        unlooked: (unlooked.cases > 0).then_some(unlooked),
        paired,
        rates: Arms {
            baseline: baseline_rate.as_ref(),
            candidate: candidate_rate.as_ref(),
        },
        difference: difference.as_ref(),
        z: z.as_ref(),
        needed: needed.as_ref(),
        slices,
        guardrails,
        usage,
        cost_usd: *cost_usd,
        judges: (judges.requests + judges.stored > 0 || !judges.found.deciding.is_empty()).then_some(judges),
        answers_cost_usd: *answers_cost_usd,
        prices,
        requests: *requests,
        cached: Arms {
            baseline: cached.0,
            candidate: cached.1,
        },
        imported: *imported,
        retries: *retries,
        waited_ms,
        latency_ms: Arms {
            baseline: &latency_ms.0,
            candidate: &latency_ms.1,
        },
        started_at,
        finished_at,
        tool: Tool {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
        },
    }
}
