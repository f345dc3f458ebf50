//! All settings, each in one row. The order of rows is that of the help, and the headings are those of `eval --help`.

use super::definition::{Definition, Group, Reader, Scope, Weaker, settings};
use super::value::{AGE, Kind, LONG_TIME, TIME, Value, providers, share, words};
use crate::domain::{Consent, Estimand, GuardMetric, MOST_ATTEMPTS, Metric, Policy, string_enum};
use crate::plan::Shard;
use crate::provider::TargetKind;
use crate::provider::gemini;
use std::ops::Bound;
use std::time::Duration;

settings! {
    /// What is compared.
    #[expect(dead_code, reason = "candidates are read with their origin")]
    pub struct Prompts("") {
        /// Candidate (green): a name in prompts/, a path, or git:REV:NAME; several, with commas, to pick the best of them
        /// [default: `candidate` in promptgate.toml]
        prompt: Vec<String>, Kind::Names, "NAME|PATH|git:REV:NAME" { weaker: Weaker::Harmless };
        /// Baseline (blue): likewise, git:REV for the same name at a revision, or none [default: `baseline` in promptgate.toml]
        baseline: Option<String>, Kind::Text, "NAME|PATH|git:REV[:NAME]|none" { weaker: Weaker::AnyOther };
    }
}

settings! {
    /// What a call writes.
    pub struct Output("") {
        /// Output folder
        out: String = "reports", Kind::Text, "DIR" { weaker: Weaker::Harmless };
        /// Whether to propose answers that differ from the approved ones, in golden/snapshots/ [default: write; in CI: no]
        snapshots: Option<Proposals>, words::<Proposals>(), "MODE" { weaker: Weaker::Harmless };
        /// Run and report without deciding
        no_gate: bool, Kind::Flag, "" { scope: Scope::OneCall, weaker: Weaker::Harmless };
        /// Print only the last line
        quiet: bool, Kind::Flag, "" { weaker: Weaker::Harmless };
        /// When to use color
        color: Color = "auto", words::<Color>(), "WHEN" { weaker: Weaker::Harmless };
    }
}

settings! {
    /// Where the settings of the project are.
    #[expect(dead_code, reason = "it is read before all groups")]
    pub struct ConfigFile("") {
        /// Settings file [default: promptgate.toml, if there is one]
        config: Option<String>, Kind::Text, "FILE" { scope: Scope::CommandLine, weaker: Weaker::Harmless };
    }
}

settings! {
    /// Which cases take part, and how often.
    pub struct Cases("Cases") {
        /// Golden files and folders
        golden: Vec<String> = "golden", Kind::List, "PATH" { weaker: Weaker::AnyOther };
        /// Only these cases
        case: Vec<String>, Kind::List, "ID" { weaker: Weaker::Selecting };
        /// Only cases with any of these tags
        tag: Vec<String>, Kind::List, "TAG" { weaker: Weaker::Selecting };
        /// Only the first N of the selected cases
        limit: Option<u64>, Kind::Whole(1, u64::MAX), "N" { weaker: Weaker::SmallerSelection };
        /// Samples per case and arm
        repeat: u32 = REPEATS, Kind::Whole(1, 1000), "K" { weaker: Weaker::Smaller };
    }
}

settings! {
    /// Parts of the selected cases.
    pub struct Part("Cases") {
        /// Only the cases that failed in the newest run of the same candidate, or in run RUN
        failed: Option<RunSelector>, Kind::Run, "RUN" { scope: Scope::OneCall, weaker: Weaker::Selecting };
        /// One part of the dataset, like 2/8; a part alone is never promoted
        shard: Option<Shard>, Kind::Pattern("^ *[0-9]+/[0-9]+ *$"), "I/N" { weaker: Weaker::Harmless };
    }
}

settings! {
    /// Where requests go.
    #[expect(dead_code, reason = "most depend on the layer they are written in")]
    pub struct Service("Requests") {
        /// Provider that answers [default: gemini; without any key, on a person's machine: sim]
        target: Option<TargetKind>, Kind::Words(|| providers(|_| true)), "TARGET" { weaker: Weaker::AnyOther };
        /// Model, for both arms [default: the prompt's own, else gemini-3.8-flash]
        model: Option<String>, Kind::Text, "MODEL" { weaker: Weaker::AnyOther };
        /// Base URL of the service; for --target openai with its version, like http://localhost:11434/v1
        base_url: Option<String>, Kind::Text, "URL" { weaker: Weaker::AnyOther };
        /// Google Cloud project, for --target vertex [default: GOOGLE_CLOUD_PROJECT; without one: express mode]
        project: Option<String>, Kind::Text, "ID" { variable: Some("GOOGLE_CLOUD_PROJECT"), weaker: Weaker::AnyOther };
        /// Location of --target vertex: global, us, eu or a region [default: GOOGLE_CLOUD_LOCATION, else global]
        location: Option<String>, Kind::Text, "PLACE" { variable: Some("GOOGLE_CLOUD_LOCATION"), weaker: Weaker::AnyOther };
    }
}

settings! {
    /// How requests travel.
    pub struct Transport("Requests") {
        /// Version of the service's API
        api_version: ApiVersion = gemini::VERSION, Kind::Pattern("^ *(v[0-9][0-9A-Za-z]*|beta) *$"), "VERSION"
            { variable: Some("GOOGLE_GENAI_API_VERSION"), weaker: Weaker::AnyOther };
        /// Stream the answers, which gives the time to the first token
        stream: bool, Kind::Flag, "" { weaker: Weaker::Harmless };
        /// Use the batch API: half the price, answered within a day; --resume goes on after a kill
        batch: bool, Kind::Flag, "" { weaker: Weaker::Harmless };
        /// First delay between polls of batch jobs; later ones grow to six times it
        batch_poll: Duration = "10s", TIME, "TIME" { weaker: Weaker::Harmless };
        /// How long to wait for batch jobs; after it they go on, and --resume collects their answers
        batch_wait: Duration = "24h", LONG_TIME, "TIME" { weaker: Weaker::Harmless };
    }
}

settings! {
    /// Answers that are there already.
    pub struct Recordings("Requests") {
        /// Recorded answers, for --target recorded
        answers: Vec<String>, Kind::List, "FILE" { weaker: Weaker::Harmless };
    }
}

settings! {
    /// Pace, patience and budget of requests.
    pub struct LimitSettings("Requests") {
        /// Parallel requests
        concurrency: usize = 16, Kind::Whole(1, 1024), "C" { weaker: Weaker::Harmless };
        /// Requests per minute
        rpm: Option<u32>, Kind::Whole(1, 1_000_000), "N" { weaker: Weaker::Harmless };
        /// Input tokens per minute, estimated on this machine
        tpm: Option<u32>, Kind::Whole(1, u32::MAX as u64), "N" { weaker: Weaker::Harmless };
        /// Time limit of one attempt, like 500ms, 60s or 2m
        timeout: Duration = "60s", TIME, "D" { weaker: Weaker::Harmless };
        /// Attempts beyond the first, after failures of transport and capacity
        retries: u32 = 8, Kind::Whole(0, 100), "N" { weaker: Weaker::Harmless };
        /// The longest first delay between attempts [default: 1s]
        retry_base: Option<Duration>, TIME, "D" { scope: Scope::Project, weaker: Weaker::Harmless };
        /// The longest delay between attempts [default: 60s]
        retry_max: Option<Duration>, TIME, "D" { scope: Scope::Project, weaker: Weaker::Harmless };
        /// All delays of one answer together [default: 10m]
        retry_total: Option<Duration>, TIME, "D" { scope: Scope::Project, weaker: Weaker::Harmless };
        /// Stop sending once this much is spent; inconclusive, --resume goes on
        max_cost: Option<f64>, Kind::Number(Bound::Excluded(0.0), Bound::Excluded(f64::INFINITY), "US dollars, more than 0"), "USD" { weaker: Weaker::Harmless };
        /// Stop sending after this many requests; inconclusive, --resume goes on
        max_requests: Option<u64>, Kind::Whole(1, u64::MAX), "N" { weaker: Weaker::Harmless };
        /// Stop sending once the answers used this many tokens; inconclusive, --resume goes on
        max_tokens: Option<u64>, Kind::Whole(1, u64::MAX), "N" { weaker: Weaker::Harmless };
        /// How to use stored answers: only sends nothing
        cache: Cache = "use", words::<Cache>(), "MODE" { weaker: Weaker::Lost(&["refresh", "off"]) };
    }
}

settings! {
    /// How a call goes on.
    pub struct Continuation("Requests") {
        /// Continue the newest unfinished run of the same plan
        resume: bool, Kind::Flag, "" { scope: Scope::OneCall, weaker: Weaker::Harmless };
        /// Print what would be sent, and send nothing
        dry_run: bool, Kind::Flag, "" { scope: Scope::OneCall, weaker: Weaker::Harmless };
    }
}

settings! {
    /// Rules for a difference.
    pub struct DifferenceRules("Decision") {
        /// Promote only if being worse by this share of cases or more is excluded
        margin: f64 = Policy::default().margin, share(Policy::MAX_LOSS), "SHARE" { weaker: Weaker::Larger };
        /// Block if being worse by more than this share is demonstrated
        tolerance: f64 = Policy::default().tolerance, share(Policy::MAX_LOSS), "SHARE" { weaker: Weaker::Larger };
        /// Chance of a wrong promotion
        alpha: f64 = Policy::default().alpha, share(Policy::MAX_ERROR), "SHARE" { weaker: Weaker::Larger };
        /// Chance of a wrong block; what lies between is inconclusive
        block_alpha: f64 = Policy::default().block_alpha, share(Policy::MAX_ERROR), "SHARE" { weaker: Weaker::Smaller };
        /// What an answer scores: pass (1 or 0) or score (what its checks scored, 0 to 1)
        metric: Metric = Metric::default().as_str(), words::<Metric>(), "METRIC" { weaker: Weaker::AnyOther };
        /// What the difference is about: population (cases like these) or dataset (exactly these)
        estimand: Estimand = Estimand::default().as_str(), words::<Estimand>(), "WHAT" { weaker: Weaker::AnyOther };
        /// Calibration of LLM judges by `judge calibrate`; it may be absent unless it is named
        judge_calibration: String = JUDGE_CALIBRATION, Kind::Text, "FILE" { weaker: Weaker::AnyOther };
    }
}

settings! {
    /// Rules for a verdict as a whole.
    pub struct VerdictRules("Decision") {
        /// With --baseline none: the pass rate that must be exceeded
        min_pass_rate: Option<f64>, Kind::Number(Bound::Excluded(0.0), Bound::Excluded(1.0), ""), "SHARE"
            { weaker: Weaker::Smaller };
        /// Looks at the same prompts and cases, planned before the first; each adds --repeat answers
        attempts: u32 = Policy::default().attempts, Kind::Whole(1, MOST_ATTEMPTS as u64), "K" { weaker: Weaker::Never };
        /// Look three times on the way, with shares of the error, and send nothing more once it is decided
        sequential: bool, Kind::Flag, "" { weaker: Weaker::Never };
        /// Inconclusive if another model served than the one requested; without it, that is a warning
        strict_model: bool, Kind::Flag, "" { weaker: Weaker::Lost(&["true", "1"]) };
    }
}

settings! {
    /// What a verdict is compared with, and what was accepted.
    #[expect(dead_code, reason = "the base is read with its origin")]
    pub struct Exceptions("Decision") {
        /// Add the repeats that would probably settle the last look at the same
        extend: bool, Kind::Flag, "" { scope: Scope::OneCall, weaker: Weaker::Harmless };
        /// Leave earlier looks at the same behind and start anew; the reason heads verdict and summary
        fresh_key: Option<String>, Kind::Reason(500), "REASON" { scope: Scope::OneCall, weaker: Weaker::Harmless };
        /// Inconclusive if golden data, checks or promptgate.toml are weaker than at the merge base of HEAD and REV [default: in
        /// CI the base of the pull request, else none]
        policy_base: Option<String>, Kind::Text, "REV|none" { weaker: Weaker::ReplacedInFile };
        /// Let a promote that is not promotable pass in CI; nothing that is rehearsed can be promoted
        rehearse: bool, Kind::Flag, "" { scope: Scope::CommandLine, weaker: Weaker::Harmless };
        /// Decide although they are weaker, if D is the digest in summary.md; REASON stands in verdict and summary; several, one
        /// a line
        accept_weaker: Vec<Consent>, Kind::Reason(5_000), "D=REASON" { scope: Scope::OneCall, weaker: Weaker::Harmless };
    }
}

settings! {
    /// What `verify` and `promote` accept.
    pub struct Acceptance("") {
        /// How old the verdict may be, like 36h or 7d
        max_age: Duration = "7d", AGE, "AGE" { weaker: Weaker::ReplacedInFile };
    }
}

settings! {
    /// `[gate]`: what decides besides the score as a whole.
    pub struct GateTable("") {
        /// A tag blocks, or holds a promotion, only from this loss on
        slice_margin: f64 = Policy::default().slice_margin, share(Policy::MAX_SLICE_LOSS), "SHARE" { scope: Scope::Project, weaker: Weaker::Larger };
        /// Share of blocked tags that are blocked wrongly, on average
        slice_q: f64 = Policy::default().slice_q, share(Policy::MAX_ERROR), "SHARE" { scope: Scope::Project, weaker: Weaker::Smaller };
        /// Tags for which a loss of critical_margin must be excluded
        critical_tags: Vec<String>, Kind::List, "TAG" { scope: Scope::Project, weaker: Weaker::NameLost };
        /// The loss that critical tags must exclude; default: slice_margin
        critical_margin: Option<f64>, share(Policy::MAX_LOSS), "SHARE" { scope: Scope::Project, weaker: Weaker::Larger };
    }
}

settings! {
    /// `[gate.guardrails]`: how much worse than the baseline the candidate may be; what is not given is not looked at.
    pub struct GuardrailTable("") {
        /// 95th percentile of the latency, as a share of the baseline's
        guardrail_latency_p95: Option<f64>, share(GuardMetric::MAX_SHARE), "SHARE" { scope: Scope::Project, weaker: Weaker::LargerOrNone };
        /// Cost of a case, as a share of the baseline's
        guardrail_cost: Option<f64>, share(GuardMetric::MAX_SHARE), "SHARE" { scope: Scope::Project, weaker: Weaker::LargerOrNone };
        /// Output tokens, as a share of the baseline's
        guardrail_output_tokens: Option<f64>, share(GuardMetric::MAX_SHARE), "SHARE" { scope: Scope::Project, weaker: Weaker::LargerOrNone };
        /// Share of refusals, in points of it
        guardrail_refusal_rate: Option<f64>, share(GuardMetric::MAX_POINTS), "SHARE" { scope: Scope::Project, weaker: Weaker::LargerOrNone };
        /// Share of answers that are cut off, in points of it
        guardrail_truncation_rate: Option<f64>, share(GuardMetric::MAX_POINTS), "SHARE" { scope: Scope::Project, weaker: Weaker::LargerOrNone };
    }
}

settings! {
    /// `[policy]`: who may accept what is weaker.
    #[expect(dead_code, reason = "it is read at the policy base")]
    pub struct PolicyTable("") {
        /// Allowed-signers file of SSH: who may accept what is weaker, with a signed commit. It holds as it is at the policy base
        accept_signers: Option<String>, Kind::Text, "FILE" { scope: Scope::Project, weaker: Weaker::AnyOther };
    }
}

/// A group among its kind.
pub(super) struct GroupDef {
    definitions: &'static [Definition],
    /// Reads it for its mistakes.
    check: fn(&mut Reader<'_>),
}

const fn group<G: Group>() -> GroupDef {
    GroupDef { definitions: G::DEFINITIONS, check: |reader| drop(G::read(reader)) }
}

/// Groups of the file's top level.
const TOP: &[GroupDef] = &[
    group::<Prompts>(),
    group::<Output>(),
    group::<ConfigFile>(),
    group::<Cases>(),
    group::<Part>(),
    group::<Service>(),
    group::<Transport>(),
    group::<Recordings>(),
    group::<LimitSettings>(),
    group::<Continuation>(),
    group::<DifferenceRules>(),
    group::<VerdictRules>(),
    group::<Exceptions>(),
    group::<Acceptance>(),
];

/// Groups that are tables of the file.
const TABLES: &[GroupDef] = &[group::<GateTable>(), group::<GuardrailTable>(), group::<PolicyTable>()];

/// Finds every mistake in every setting.
pub(super) fn check(reader: &mut Reader<'_>) {
    TOP.iter().chain(TABLES).for_each(|group| (group.check)(reader));
}

/// Settings of the file's top level, without those of the command line alone.
pub(super) fn top() -> impl Iterator<Item = &'static Definition> {
    let all = TOP.iter().flat_map(|group| group.definitions);
    all.filter(|definition| definition.scope != Scope::CommandLine)
}

/// Settings of the command line alone.
pub(super) fn typed_only() -> impl Iterator<Item = &'static Definition> {
    let all = TOP.iter().flat_map(|group| group.definitions);
    all.filter(|definition| definition.scope == Scope::CommandLine)
}

/// All settings that have a variable.
pub(super) fn all() -> impl Iterator<Item = &'static Definition> {
    top().chain(TABLES.iter().flat_map(|group| group.definitions))
}

/// A setting by its name, wherever it may be written.
pub(crate) fn definition(key: &str) -> Option<&'static Definition> {
    all().chain(typed_only()).find(|definition| definition.key == key)
}

/// Calibration of judges without a setting.
pub(super) const JUDGE_CALIBRATION: &str = "judge-calibration.json";

/// Samples per case and arm without a setting.
pub const REPEATS: u32 = 3;

string_enum! {
    /// How stored answers are used.
    #[derive(Default)]
    pub enum Cache {
        /// A stored answer is used; others are requested and stored.
        #[default]
        Use = "use",
        /// Everything is requested and stored.
        Refresh = "refresh",
        /// Stored answers are neither used nor added.
        Off = "off",
        /// Nothing is sent; an answer that is not stored is an error outcome.
        Only = "only",
    }
}

string_enum! {
    /// When to use color.
    #[derive(Default)]
    pub enum Color {
        /// On a terminal, unless NO_COLOR is set.
        #[default]
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

string_enum! {
    /// Whether answers that differ from the approved ones are proposed.
    pub enum Proposals {
        /// They are.
        Write = "write",
        /// They are not.
        No = "no",
    }
}

/// Which earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunSelector {
    /// The newest of the same candidate.
    Newest,
    /// The one with this number.
    Number(i64),
}

impl Value for RunSelector {
    fn from_text(text: &str) -> Result<RunSelector, String> {
        match text {
            "newest" => Ok(RunSelector::Newest),
            number => match number.parse() {
                Ok(number) if number > 0 => Ok(RunSelector::Number(number)),
                _ => Err(format!(
                    "`{number}` is not the number of a run; expected a whole number, or nothing for the newest"
                )),
            },
        }
    }
}

/// `v1beta`, `v1` or another version; `beta` is v1beta, as the official SDK has it.
#[derive(Clone, Debug, Default)]
pub struct ApiVersion(pub String);

impl Value for ApiVersion {
    fn from_text(text: &str) -> Result<ApiVersion, String> {
        let number = text.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        match text {
            "beta" => Ok(ApiVersion("v1beta".to_owned())),
            _ if number && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Ok(ApiVersion(text.to_owned())),
            _ => Err(format!("`{text}` is no version of the api; expected v1beta or v1")),
        }
    }
}
