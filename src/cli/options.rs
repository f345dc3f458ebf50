//! What can be typed. Values are taken as texts; `settings` gives them types, so that an option, a variable and a file entry
//! have one set of rules and one set of messages.

use crate::config::Layer;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Decides whether a new prompt for a Gemini agent may go live.
#[derive(Debug, Parser)]
#[command(name = "promptgate", version, after_help = exit_codes(), max_term_width = 110)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run candidate and baseline over the golden cases and decide
    Eval(Box<Eval>),
    /// Look at how the gate decides
    #[command(subcommand)]
    Gate(Gate),
    /// Check that a verdict still holds: computed again from its rows, and compared with the working tree
    Verify(Box<Verify>),
    /// Make the candidate of a verdict that holds the baseline in promptgate.toml
    Promote(Box<Promote>),
    /// Look at golden data, or bring that of other tools here
    #[command(subcommand)]
    Golden(Golden),
    /// Look at prompts
    #[command(subcommand)]
    Prompt(Prompt),
    /// Find out how far the models that judge agree with people
    #[command(subcommand)]
    Judge(Judge),
    /// Look at runs that are over
    #[command(subcommand)]
    Runs(Runs),
    /// Compare the candidates of two runs by their stored outcomes; nothing is asked, and nothing of it can be promoted
    Compare(Compare),
    /// Look at the jobs that `eval --batch` left at a service, or cancel them
    #[command(subcommand)]
    Batch(Batch),
    /// Write stored answers to a file, and read them back in another place
    #[command(subcommand)]
    Record(Record),
    /// Print a JSON Schema, for editors and other checks
    Schema {
        /// What it describes
        #[arg(value_enum)]
        of: SchemaOf,
    },
    /// Serve the Gemini API on this machine, answered by a small simulator
    Sim(Sim),
}

/// The exit codes, for the end of `--help`.
fn exit_codes() -> String {
    let rows: Vec<String> = crate::exit::TABLE
        .iter()
        .map(|(code, meaning)| format!("  {code:>3}  {meaning}"))
        .collect();
    format!("Exit codes:\n{}", rows.join("\n"))
}

/// Which cases are asked, and how often.
#[derive(Args, Debug)]
pub(super) struct Cases {
    /// Golden files and folders [default: golden]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    golden: Vec<String>,
    /// Only these cases
    #[arg(long, value_name = "ID", num_args = 1..)]
    case: Vec<String>,
    /// Only cases with any of these tags
    #[arg(long, value_name = "TAG", num_args = 1..)]
    tag: Vec<String>,
    /// Only the first N of the selected cases
    #[arg(long, value_name = "N")]
    limit: Option<String>,
    /// Samples per case and arm [default: 3]
    #[arg(long, value_name = "K")]
    repeat: Option<String>,
}

impl Cases {
    fn add_to(self, layer: Layer) -> Layer {
        let Cases {
            golden,
            case,
            tag,
            limit,
            repeat,
        } = self;
        layer
            .option("golden", golden)
            .option("case", case)
            .option("tag", tag)
            .option("limit", one(limit))
            .option("repeat", one(repeat))
    }
}

/// Who answers, and how it is asked.
#[derive(Args, Debug)]
pub(super) struct Asking {
    /// What answers: gemini, vertex, openai, sim or recorded [default: gemini; without any key, on a person's machine: sim]
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Model, for both arms [default: the prompt's own, else gemini-3.8-flash]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Base URL of the service; for --target openai with its version, like http://localhost:11434/v1
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Project of Google Cloud, for --target vertex [default: GOOGLE_CLOUD_PROJECT; without one: express mode]
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// Location of --target vertex: global, us, eu or a region [default: GOOGLE_CLOUD_LOCATION, else global]
    #[arg(long, value_name = "PLACE")]
    location: Option<String>,
    /// Ask through the batch API: half the price, answered within a day; --resume goes on after a kill
    #[arg(long)]
    batch: bool,
    /// Requests at once [default: 16]
    #[arg(long, value_name = "C")]
    concurrency: Option<String>,
    /// Requests a minute
    #[arg(long, value_name = "N")]
    rpm: Option<String>,
    /// Input tokens a minute, estimated on this machine
    #[arg(long, value_name = "N")]
    tpm: Option<String>,
    /// Time for one attempt, like 500ms, 60s or 2m [default: 60s]
    #[arg(long, value_name = "D")]
    timeout: Option<String>,
    /// Attempts beyond the first, for failures of transport and capacity [default: 8]
    #[arg(long, value_name = "N")]
    retries: Option<String>,
    /// Stop asking once this much is spent; inconclusive, --resume goes on
    #[arg(long, value_name = "USD")]
    max_cost: Option<String>,
    /// Stop asking after this many requests; inconclusive, --resume goes on
    #[arg(long, value_name = "N")]
    max_requests: Option<String>,
    /// Stop asking once the answers used this many tokens; inconclusive, --resume goes on
    #[arg(long, value_name = "N")]
    max_tokens: Option<String>,
    /// Stored answers: use, refresh, off, or only (nothing is sent) [default: use]
    #[arg(long, value_name = "MODE")]
    cache: Option<String>,
    /// Continue the newest unfinished run of the same plan
    #[arg(long)]
    resume: bool,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

impl Asking {
    fn add_to(self, layer: Layer) -> Layer {
        let Asking {
            target,
            model,
            base_url,
            project,
            location,
            batch,
            concurrency,
            rpm,
            tpm,
            timeout,
            retries,
            max_cost,
            max_requests,
            max_tokens,
            cache,
            resume,
            dry_run,
        } = self;
        layer
            .option("target", one(target))
            .option("model", one(model))
            .option("base_url", one(base_url))
            .option("project", one(project))
            .option("location", one(location))
            .flag("batch", batch)
            .option("concurrency", one(concurrency))
            .option("rpm", one(rpm))
            .option("tpm", one(tpm))
            .option("timeout", one(timeout))
            .option("retries", one(retries))
            .option("max_cost", one(max_cost))
            .option("max_requests", one(max_requests))
            .option("max_tokens", one(max_tokens))
            .option("cache", one(cache))
            .flag("resume", resume)
            .flag("dry_run", dry_run)
    }
}

/// By what a difference is decided.
#[derive(Args, Debug)]
pub(super) struct Rules {
    /// Promote only if being worse by this share of cases or more is excluded [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    margin: Option<String>,
    /// Block if being worse by more than this share is demonstrated [default: 0.01]
    #[arg(long, value_name = "SHARE")]
    tolerance: Option<String>,
    /// Chance of each wrong decision [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    alpha: Option<String>,
    /// What an answer scores: pass (1 or 0) or score (what its checks scored, 0 to 1) [default: pass]
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// What the difference is about: population (cases like these) or dataset (exactly these) [default: population]
    #[arg(long, value_name = "WHAT")]
    estimand: Option<String>,
    /// How far judges agree with people, as `judge calibrate` wrote it [default: judge-calibration.json, if there is one]
    #[arg(long, value_name = "FILE")]
    judge_calibration: Option<String>,
}

impl Rules {
    fn add_to(self, layer: Layer) -> Layer {
        let Rules {
            margin,
            tolerance,
            alpha,
            metric,
            estimand,
            judge_calibration,
        } = self;
        layer
            .option("margin", one(margin))
            .option("tolerance", one(tolerance))
            .option("alpha", one(alpha))
            .option("metric", one(metric))
            .option("estimand", one(estimand))
            .option("judge_calibration", one(judge_calibration))
    }
}

/// What else the rules of a verdict are, where it is computed again, too.
#[derive(Args, Debug)]
pub(super) struct Looks {
    /// With --baseline none: the pass rate that must be exceeded
    #[arg(long, value_name = "SHARE")]
    min_pass_rate: Option<String>,
    /// Looks at the same prompts and cases that are planned before the first: each adds --repeat answers [default: 1]
    #[arg(long, value_name = "K")]
    attempts: Option<String>,
    /// Look three times on the way, with shares of the error, and ask nothing more once it is decided
    #[arg(long)]
    sequential: bool,
    /// Inconclusive if another model served than the one asked for; without it, that is a warning
    #[arg(long)]
    strict_model: bool,
}

impl Looks {
    fn add_to(self, layer: Layer) -> Layer {
        let Looks {
            min_pass_rate,
            attempts,
            sequential,
            strict_model,
        } = self;
        layer
            .option("min_pass_rate", one(min_pass_rate))
            .option("attempts", one(attempts))
            .flag("sequential", sequential)
            .flag("strict_model", strict_model)
    }
}

/// At most one value of an option.
fn one(value: Option<String>) -> Vec<String> {
    value.into_iter().collect()
}

#[derive(Args, Debug)]
#[command(after_help = exit_codes())]
pub(super) struct Eval {
    /// Candidate (green): a name in prompts/, a path, or git:REV:NAME; several, with commas, to pick the best of them
    /// [default: `candidate` in promptgate.toml]
    #[arg(long, value_name = "NAME|PATH|git:REV:NAME")]
    prompt: Vec<String>,
    /// Baseline (blue): likewise, git:REV for the same name at a revision, or none [default: `baseline` in promptgate.toml]
    #[arg(long, value_name = "NAME|PATH|git:REV[:NAME]|none")]
    baseline: Option<String>,
    /// Output folder [default: reports]
    #[arg(long, value_name = "DIR")]
    out: Option<String>,
    /// Propose answers that differ from the approved ones, in golden/snapshots/: write or no [default: write; in CI: no]
    #[arg(long, value_name = "MODE")]
    snapshots: Option<String>,
    /// Run and report without deciding
    #[arg(long)]
    no_gate: bool,
    /// Print only the last line
    #[arg(long)]
    quiet: bool,
    /// auto, always or never [default: auto]
    #[arg(long, value_name = "WHEN")]
    color: Option<String>,
    /// Settings file [default: promptgate.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<String>,
    #[command(flatten, next_help_heading = "Cases")]
    cases: Cases,
    /// Only the cases that failed in the newest run of the same candidate, or in run RUN
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "newest")]
    failed: Option<String>,
    /// One part of the dataset, like 2/8; a part alone is never promoted
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    #[command(flatten, next_help_heading = "Asking")]
    asking: Asking,
    /// Version of the service's API [default: v1beta]
    #[arg(long, value_name = "VERSION")]
    api_version: Option<String>,
    /// Stream the answers, which gives the time to the first token
    #[arg(long)]
    stream: bool,
    /// First pause before looking at batch jobs; later ones grow to six times it [default: 10s]
    #[arg(long, value_name = "TIME")]
    batch_poll: Option<String>,
    /// How long to wait for batch jobs; after it they go on, and --resume collects their answers [default: 24h]
    #[arg(long, value_name = "TIME")]
    batch_wait: Option<String>,
    /// Recorded answers, for --target recorded
    #[arg(long, value_name = "FILE", num_args = 1..)]
    answers: Vec<String>,
    #[command(flatten, next_help_heading = "Deciding")]
    rules: Rules,
    #[command(flatten, next_help_heading = "Deciding")]
    looks: Looks,
    /// Add the repeats that would probably settle the last look at the same
    #[arg(long)]
    extend: bool,
    /// Leave earlier looks at the same behind and ask anew; the reason heads verdict and summary
    #[arg(long, value_name = "REASON")]
    fresh_key: Option<String>,
    /// Inconclusive if golden data, checks or promptgate.toml ask for less than at the merge base of HEAD and REV [default: in
    /// CI the base of the pull request, else none]
    #[arg(long, value_name = "REV|none")]
    policy_base: Option<String>,
    /// Decide although they ask for less; the reason stands in verdict and summary
    #[arg(long, value_name = "REASON")]
    accept_weaker: Option<String>,
}

impl Eval {
    /// What was typed, as the first layer of settings.
    pub(super) fn into_layer(self) -> (Layer, Option<String>) {
        let Eval {
            prompt,
            baseline,
            out,
            snapshots,
            no_gate,
            quiet,
            color,
            config,
            cases,
            failed,
            shard,
            asking,
            api_version,
            stream,
            batch_poll,
            batch_wait,
            answers,
            rules,
            looks,
            extend,
            fresh_key,
            policy_base,
            accept_weaker,
        } = self;
        let layer = Layer::default()
            .option("prompt", prompt)
            .option("baseline", one(baseline))
            .option("out", one(out))
            .option("snapshots", one(snapshots))
            .flag("no_gate", no_gate)
            .flag("quiet", quiet)
            .option("color", one(color))
            .option("failed", one(failed))
            .option("shard", one(shard))
            .option("api_version", one(api_version))
            .flag("stream", stream)
            .option("batch_poll", one(batch_poll))
            .option("batch_wait", one(batch_wait))
            .option("answers", answers)
            .flag("extend", extend)
            .option("fresh_key", one(fresh_key))
            .option("policy_base", one(policy_base))
            .option("accept_weaker", one(accept_weaker));
        (looks.add_to(rules.add_to(asking.add_to(cases.add_to(layer)))), config)
    }
}

/// What is tested, and by which rules, for commands that check a verdict.
#[derive(Args, Debug)]
pub(super) struct Tested {
    /// Golden files and folders [default: golden]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    golden: Vec<String>,
    /// Model that eval was given
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Revision whose merge base with HEAD the verdict must have been compared with [default: in CI the base of the pull
    /// request, else that of the verdict]
    #[arg(long, value_name = "REV|none")]
    policy_base: Option<String>,
    /// How old the verdict may be, like 36h or 7d [default: 7d]
    #[arg(long, value_name = "AGE")]
    max_age: Option<String>,
    /// Settings file [default: promptgate.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    #[command(flatten, next_help_heading = "As eval was given")]
    rules: Rules,
    #[command(flatten, next_help_heading = "As eval was given")]
    looks: Looks,
}

impl Tested {
    /// What was typed, and the settings file.
    pub(super) fn into_layer(self) -> (Layer, Option<String>) {
        let Tested {
            golden,
            model,
            policy_base,
            max_age,
            config,
            rules,
            looks,
        } = self;
        let layer = Layer::default()
            .option("golden", golden)
            .option("model", one(model))
            .option("policy_base", one(policy_base))
            .option("max_age", one(max_age));
        (looks.add_to(rules.add_to(layer)), config)
    }
}

#[derive(Args, Debug)]
#[command(after_help = exit_codes())]
pub(super) struct Verify {
    /// The verdict [default: verdict.json in the output folder]; results.jsonl has to stand beside it
    #[arg(value_name = "FILE")]
    pub(super) verdict: Option<PathBuf>,
    /// Candidate (green) [default: `candidate` in promptgate.toml]
    #[arg(long, value_name = "NAME|PATH|git:REV:NAME")]
    pub(super) prompt: Option<String>,
    /// Baseline that serves now [default: `baseline` in promptgate.toml]
    #[arg(long, value_name = "NAME|PATH|git:REV[:NAME]|none")]
    pub(super) baseline: Option<String>,
    #[command(flatten)]
    pub(super) tested: Tested,
}

#[derive(Args, Debug)]
#[command(after_help = exit_codes())]
pub(super) struct Promote {
    /// Candidate that is to serve: a name in prompts/, or a path
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Its verdict [default: verdict.json in the output folder]; results.jsonl has to stand beside it
    #[arg(long, value_name = "FILE")]
    pub(super) verdict: Option<PathBuf>,
    /// Make NAME the baseline without any verdict, because it was the baseline before
    #[arg(long, conflicts_with = "verdict")]
    pub(super) rollback: bool,
    #[command(flatten)]
    pub(super) tested: Tested,
}

/// What a schema describes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum SchemaOf {
    /// Golden files: YAML, JSON, and each line of JSONL
    Golden,
    /// promptgate.toml
    PromptgateToml,
    /// Front matter of prompts
    Prompt,
}

#[derive(Debug, Subcommand)]
pub(super) enum Gate {
    /// Tell how often the gate promotes, blocks and waits, for candidates that are better or worse by known amounts
    Simulate(Simulate),
    /// Compare a prompt with itself: how much its answers vary, how often the gate would err, and how many cases and repeats
    /// are enough
    Calibrate(Box<CalibrateGate>),
}

#[derive(Args, Debug)]
#[command(after_help = exit_codes())]
pub(super) struct CalibrateGate {
    /// Prompt that is compared with itself [default: `baseline` in promptgate.toml, else `candidate`]
    #[arg(long, value_name = "NAME|PATH|git:REV:NAME")]
    prompt: Option<String>,
    /// No progress, and no warnings
    #[arg(long)]
    quiet: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// Settings file [default: promptgate.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    #[command(flatten, next_help_heading = "Cases")]
    cases: Cases,
    #[command(flatten, next_help_heading = "Asking")]
    asking: Asking,
    #[command(flatten, next_help_heading = "Deciding")]
    rules: Rules,
}

impl CalibrateGate {
    /// What was typed, as the first layer of settings.
    pub(super) fn into_layer(self) -> (Layer, Option<String>) {
        let CalibrateGate {
            prompt,
            quiet,
            json: _,
            config,
            cases,
            asking,
            rules,
        } = self;
        let layer = Layer::default().option("prompt", one(prompt)).flag("quiet", quiet);
        (rules.add_to(asking.add_to(cases.add_to(layer))), config)
    }
}

#[derive(Args, Debug)]
pub(super) struct Simulate {
    /// Golden cases
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(super) n: u32,
    /// Samples per case and arm
    #[arg(long, value_name = "K", default_value_t = 3)]
    pub(super) repeat: u32,
    /// Loss that has to be excluded to promote
    #[arg(long, value_name = "M", default_value_t = 0.05)]
    pub(super) margin: f64,
    /// Loss that still goes unblocked
    #[arg(long, value_name = "T", default_value_t = 0.01)]
    pub(super) tolerance: f64,
    /// Error of each decision
    #[arg(long, value_name = "A", default_value_t = 0.05)]
    pub(super) alpha: f64,
    /// What the cases are like: std, diffuse, high, flaky or lopsided
    #[arg(long, value_name = "NAME", default_value = "std")]
    pub(super) scenario: String,
    /// What the verdict is to hold for: population (cases like these) or dataset (just these cases)
    #[arg(long, value_name = "NAME", default_value = "population")]
    pub(super) estimand: String,
    /// The runs may end early, as with `eval --sequential`
    #[arg(long)]
    pub(super) sequential: bool,
    /// Simulated runs a row
    #[arg(long, value_name = "R", default_value_t = 4000)]
    pub(super) runs: u32,
    /// Seed; the same one gives the same table
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(super) seed: u64,
    /// True differences, candidate - baseline: -0.05 is a loss of 5 points
    #[arg(long, value_name = "D", num_args = 1.., allow_negative_numbers = true, default_values_t = [0.02, 0.0, -0.01, -0.03, -0.05, -0.1])]
    pub(super) difference: Vec<f64>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Golden {
    /// Translate golden data of promptfoo, ADK, OpenAI evals, Inspect or a CSV table into a golden file
    Import(Import),
    /// Find duplicates, contradictions, secrets, leaked answers and weakened checks; exit code 2 for errors
    Lint {
        /// Golden files and folders [default: golden]
        #[arg(value_name = "PATH")]
        paths: Vec<String>,
        /// Prompts to search for answers: names, paths, or git:REV:NAME [default: all in prompts/]
        #[arg(long, value_name = "NAME", num_args = 1..)]
        prompt: Vec<String>,
        /// Tell what the golden files at this git revision asked for and these do not, like origin/main
        #[arg(long, value_name = "REV")]
        against: Option<String>,
        /// Exit code 2 for warnings and notes, too
        #[arg(long)]
        strict: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// Settings file [default: promptgate.toml, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<String>,
    },
    /// Count cases by file, tag and matcher, and say how many a tag needs to be decided
    Stats {
        /// Golden files and folders [default: golden]
        #[arg(value_name = "PATH")]
        paths: Vec<String>,
        /// Only cases with any of these tags
        #[arg(long, value_name = "TAG", num_args = 1..)]
        tag: Vec<String>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// Settings file [default: promptgate.toml, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Prompt {
    /// List the prompts with their digests and models
    List {
        /// Settings file [default: promptgate.toml, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<String>,
    },
    /// Show the exact request for a case
    Render {
        /// The prompt: a name, a path, or git:REV:NAME
        name: String,
        /// The case
        #[arg(long, value_name = "ID")]
        case: String,
        /// Golden files and folders [default: golden]
        #[arg(long, value_name = "PATH", num_args = 1..)]
        golden: Vec<String>,
        /// Model [default: the prompt's own, else gemini-3.8-flash]
        #[arg(long, value_name = "MODEL")]
        model: Option<String>,
        /// What would answer, as for eval
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
        /// Base URL of the service
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
        /// Project of Google Cloud, for --target vertex
        #[arg(long, value_name = "ID")]
        project: Option<String>,
        /// Location of --target vertex
        #[arg(long, value_name = "PLACE")]
        location: Option<String>,
        /// Settings file [default: promptgate.toml, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<String>,
    },
    /// Show what changed between two prompts
    Diff {
        /// The older one: a name, a path, or git:REV[:NAME]
        old: String,
        /// The newer one: a name, a path, or git:REV:NAME
        new: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Judge {
    /// Ask judges about the labelled answers of golden cases, and write down how often they err, for the gate
    Calibrate(Box<Calibrate>),
}

#[derive(Args, Debug)]
pub(super) struct Calibrate {
    /// Only this judge [default: all that labels are about]
    #[arg(long, value_name = "NAME")]
    pub(super) judge: Option<String>,
    /// Golden files and folders [default: golden]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    golden: Vec<String>,
    /// Only labels of these cases
    #[arg(long, value_name = "ID", num_args = 1..)]
    case: Vec<String>,
    /// Only labels of cases with any of these tags
    #[arg(long, value_name = "TAG", num_args = 1..)]
    tag: Vec<String>,
    /// What answers for judges that name no target: gemini, vertex, openai or sim
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Model of judges that name neither target nor model
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Base URL of that target
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Requests at once [default: 16]
    #[arg(long, value_name = "C")]
    concurrency: Option<String>,
    /// Requests a minute
    #[arg(long, value_name = "N")]
    rpm: Option<String>,
    /// Input tokens a minute, estimated on this machine
    #[arg(long, value_name = "N")]
    tpm: Option<String>,
    /// Time for one attempt, like 500ms, 60s or 2m [default: 60s]
    #[arg(long, value_name = "D")]
    timeout: Option<String>,
    /// Attempts beyond the first, for failures of transport and capacity [default: 8]
    #[arg(long, value_name = "N")]
    retries: Option<String>,
    /// Stop asking once this much is spent; nothing is written then, and replies are kept
    #[arg(long, value_name = "USD")]
    max_cost: Option<String>,
    /// Stop asking after this many requests; likewise
    #[arg(long, value_name = "N")]
    max_requests: Option<String>,
    /// Stop asking once the replies used this many tokens; likewise
    #[arg(long, value_name = "N")]
    max_tokens: Option<String>,
    /// Stored replies: use, refresh, off, or only (nothing is sent) [default: use]
    #[arg(long, value_name = "MODE")]
    cache: Option<String>,
    /// File to write; entries of other judges in it stay [default: judge-calibration.json]
    #[arg(long, value_name = "FILE")]
    judge_calibration: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// Settings file [default: promptgate.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
}

impl Calibrate {
    /// What was typed, as the first layer of settings.
    pub(super) fn into_layer(self) -> (Layer, Option<String>) {
        let Calibrate {
            judge: _,
            golden,
            case,
            tag,
            target,
            model,
            base_url,
            concurrency,
            rpm,
            tpm,
            timeout,
            retries,
            max_cost,
            max_requests,
            max_tokens,
            cache,
            judge_calibration,
            json: _,
            config,
        } = self;
        let one = |value: Option<String>| value.into_iter().collect();
        let layer = Layer::default()
            .option("golden", golden)
            .option("case", case)
            .option("tag", tag)
            .option("target", one(target))
            .option("model", one(model))
            .option("base_url", one(base_url))
            .option("concurrency", one(concurrency))
            .option("rpm", one(rpm))
            .option("tpm", one(tpm))
            .option("timeout", one(timeout))
            .option("retries", one(retries))
            .option("max_cost", one(max_cost))
            .option("max_requests", one(max_requests))
            .option("max_tokens", one(max_tokens))
            .option("cache", one(cache))
            .option("judge_calibration", one(judge_calibration));
        (layer, config)
    }
}

#[derive(Subcommand, Debug)]
pub(super) enum Runs {
    /// List the runs of this project, newest first
    List {
        /// At most so many, up to 1000
        #[arg(long, value_name = "N", default_value = "20")]
        limit: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show what a run was and what it came to
    Show {
        /// Number of the run, as `runs list` has it
        run: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// List the cases whose answers sometimes pass and sometimes don't, in a run and over the runs before it
    Flaky {
        /// Number of the run [default: the newest finished one of the candidate]
        run: Option<String>,
        /// Candidate whose newest run is meant [default: `candidate` in promptgate.toml]
        #[arg(long, value_name = "NAME")]
        prompt: Option<String>,
        /// At most so many, up to 1000
        #[arg(long, value_name = "N", default_value = "20")]
        limit: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// Settings file [default: promptgate.toml, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<String>,
    },
}

#[derive(Args, Debug)]
#[command(after_help = exit_codes())]
pub(super) struct Compare {
    /// Number of the run whose candidate stands as the baseline
    #[arg(value_name = "RUN")]
    pub(super) first: String,
    /// Number of the run whose candidate is the candidate
    #[arg(value_name = "RUN")]
    pub(super) second: String,
    /// Exit with the code of the decision instead of 0; a promote with doubts is inconclusive
    #[arg(long)]
    pub(super) gate: bool,
    /// As for eval [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    pub(super) margin: Option<String>,
    /// As for eval [default: 0.01]
    #[arg(long, value_name = "SHARE")]
    pub(super) tolerance: Option<String>,
    /// As for eval [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    pub(super) alpha: Option<String>,
    /// As for eval
    #[arg(long)]
    pub(super) strict_model: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// Settings file [default: promptgate.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Batch {
    /// List the batch jobs that wait at a service, of all runs of this project
    List,
    /// Cancel batch jobs; --resume asks anew for what they held
    Cancel {
        /// The jobs, as `batch list` names them [default: all that wait at the service]
        #[arg(value_name = "JOB")]
        names: Vec<String>,
        /// Where they wait: gemini or sim [default: gemini]
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
        /// Base URL of the service
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
        /// Settings file [default: promptgate.toml, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Record {
    /// Write the answers of a run as JSONL, one line each, sorted, without keys
    Export {
        /// Number of the run [default: the newest finished one of the candidate]
        run: Option<String>,
        /// File to write; an existing one is replaced
        #[arg(long, value_name = "FILE")]
        to: String,
        /// Candidate whose newest run is meant [default: `candidate` in promptgate.toml]
        #[arg(long, value_name = "NAME")]
        prompt: Option<String>,
        /// Settings file [default: promptgate.toml, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<String>,
    },
    /// Read exported answers into the store; a verdict that uses them is `replayed` and can't be promoted
    Import {
        /// Files that `record export` wrote
        #[arg(value_name = "FILE", required = true)]
        files: Vec<String>,
    },
}

#[derive(Args, Debug)]
pub(super) struct Import {
    /// A promptfoo configuration or file of tests, an evalset, a dataset, a table
    #[arg(value_name = "FILE")]
    pub(super) source: PathBuf,
    /// Golden file to write, like golden/imported.yaml
    #[arg(long, value_name = "FILE")]
    pub(super) to: PathBuf,
    /// Whose data it is: promptfoo, adk, openai, inspect or csv [default: found from the data]
    #[arg(long, value_name = "TOOL")]
    pub(super) from: Option<String>,
    /// For plain CSV: what a column is: id, tags, critical, notes, expect:MATCHER, the name of a var, or - to leave it out
    #[arg(long, value_name = "COLUMN=FIELD", num_args = 1..)]
    pub(super) map: Vec<String>,
    /// How answers are compared, where the data do not say it: equals, contains, starts_with or ends_with
    #[arg(long, value_name = "MATCHER")]
    pub(super) check: Option<String>,
    /// With --check: overlook case
    #[arg(long)]
    pub(super) ignore_case: bool,
    /// The template's variable for the user's message, where the data have messages and no variables [default: input]
    #[arg(long, value_name = "NAME")]
    pub(super) var: Option<String>,
    /// Write what has an equivalent, also if something has none; all of it is listed either way
    #[arg(long)]
    pub(super) allow_partial: bool,
    /// Replace an existing file
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Args, Debug)]
pub(super) struct Sim {
    /// Port on this machine; 0 picks a free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub(super) port: u16,
    /// Wait this long before each answer, like 200ms
    #[arg(long, value_name = "D", default_value = "0ms")]
    pub(super) latency: String,
    /// Faults and their shares, like 429:0.1,429:1s:0.05,429-day:0.01,reset:0.01
    #[arg(long, value_name = "FAULTS", default_value = "")]
    pub(super) fault: String,
    /// Faults request by request, a JSON object a line, like {"match": "refund", "outcomes": ["429:1s", 503, "ok"]}
    #[arg(long, value_name = "FILE")]
    pub(super) script: Option<PathBuf>,
    /// Share of answers that are degraded
    #[arg(long, value_name = "P", default_value = "0")]
    pub(super) noise: String,
    /// Seed of noise and faults
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(super) seed: u64,
    /// Refuse requests without a key
    #[arg(long)]
    pub(super) require_key: bool,
    /// Polls that find a batch unfinished [default: 2]; needs a build with the feature `emulator`
    #[arg(long, value_name = "N")]
    pub(super) batch_polls: Option<u32>,
    /// Log each request, a line of JSON each; counters are at /_promptgate/counters
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
