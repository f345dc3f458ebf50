//! What can be typed. The options of settings come from their definitions in `config`, which also gives them their types, so
//! that an option, a variable and a file entry have one set of rules and one set of messages.

use crate::commands::Scenario;
use crate::config::{OptionArgs, WordParser, options};
use crate::domain::{Problem, Words as _};
use clap::{Args, Parser, Subcommand};
use golden_import::{Comparison, Tool};
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
    #[command(after_help = exit_codes())]
    Eval(OptionArgs<EvalOptions>),
    /// Simulate and calibrate the gate
    #[command(subcommand)]
    Gate(Gate),
    /// Verify a verdict: recompute it from its rows, and compare it with the working tree
    Verify(Verify),
    /// Promote a verified candidate to baseline
    Promote(Promote),
    /// Lint, summarize and import golden cases
    #[command(subcommand)]
    Golden(Golden),
    /// List, render and compare prompts
    #[command(subcommand)]
    Prompt(Prompt),
    /// Calibrate LLM judges against human labels
    #[command(subcommand)]
    Judge(Judge),
    /// List and inspect past runs
    #[command(subcommand)]
    Runs(Runs),
    /// Compare the candidates of two runs by their stored outcomes; sends nothing, and cannot promote
    Compare(Compare),
    /// List and cancel the batch jobs of `eval --batch`
    #[command(subcommand)]
    Batch(Batch),
    /// Export and import stored answers
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
    let rows: Vec<String> =
        crate::exit::TABLE.iter().map(|(code, meaning)| format!("  {code:>3}  {meaning}")).collect();
    format!("Exit codes:\n{}", rows.join("\n"))
}

options! {
    EvalOptions: Prompts, Output, ConfigFile, Cases, Part, Service, Transport, Recordings, LimitSettings, Continuation,
        DifferenceRules, VerdictRules, Exceptions
}

options! {
    SelfComparisonOptions: ConfigFile, Cases, Service, Transport, LimitSettings, Continuation, DifferenceRules;
        prompt = "Prompt to compare with itself [default: `baseline` in promptgate.toml, else `candidate`]",
        quiet = "No progress, and no warnings"
}

options! {
    SimulateOptions: ; repeat, margin, tolerance, alpha, block_alpha, estimand, sequential
}

options! {
    JudgeOptions: ConfigFile, Service, LimitSettings;
        golden, case, tag, limit, judge_calibration = "File to write; entries of other judges in it stay [default: judge-calibration.json]"
}

options! {
    VerdictOptions: ConfigFile, DifferenceRules, VerdictRules;
        golden, model = "Model that eval was given", max_age,
        policy_base = "Revision whose merge base with HEAD the verdict must have been compared with [default: in CI the base of the pull request, else that of the verdict]"
}

options! {
    VerifyOptions: ConfigFile, DifferenceRules, VerdictRules;
        prompt = "Candidate (green) [default: `candidate` in promptgate.toml]",
        baseline = "Baseline that serves now [default: `baseline` in promptgate.toml]",
        golden, model = "Model that eval was given", max_age,
        policy_base = "Revision whose merge base with HEAD the verdict must have been compared with [default: in CI the base of the pull request, else that of the verdict]"
}

options! {
    CompareOptions: ConfigFile; margin, tolerance, alpha, block_alpha, strict_model
}

options! {
    ConfigOptions: ConfigFile
}

options! {
    CandidateOptions: ConfigFile; prompt = "Candidate whose newest run is meant [default: `candidate` in promptgate.toml]"
}

options! {
    RenderOptions: ConfigFile, Service; golden
}

options! {
    BatchOptions: ConfigFile; target = "Provider that holds them: gemini or sim [default: gemini]", base_url = "Base URL of the service"
}

#[derive(Args, Debug)]
#[command(after_help = exit_codes())]
pub(super) struct Verify {
    /// Verdict to check, with results.jsonl beside it [default: verdict.json in the output folder]
    #[arg(value_name = "FILE")]
    pub(super) verdict: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: OptionArgs<VerifyOptions>,
}

#[derive(Args, Debug)]
#[command(after_help = exit_codes())]
pub(super) struct Promote {
    /// Candidate to promote: a name in prompts/, or a path
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Its verdict, with results.jsonl beside it [default: verdict.json in the output folder]
    #[arg(long, value_name = "FILE")]
    pub(super) verdict: Option<PathBuf>,
    /// Make NAME, as it was promoted before, the baseline again, without a verdict
    #[arg(long, conflicts_with = "verdict")]
    pub(super) rollback: bool,
    /// Roll back to what promptgate.lock doesn't know as promoted
    #[arg(long, value_name = "REASON", requires = "rollback", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) force: Option<String>,
    #[command(flatten)]
    pub(super) settings: OptionArgs<VerdictOptions>,
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
    /// Show how often the gate promotes, blocks or is inconclusive, for candidates of known quality
    Simulate(Simulate),
    /// Compare a prompt with itself: how much its answers vary, how often the gate errs, and how many cases are enough
    Calibrate(CalibrateGate),
}

#[derive(Args, Debug)]
#[command(after_help = exit_codes())]
pub(super) struct CalibrateGate {
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) settings: OptionArgs<SelfComparisonOptions>,
}

#[derive(Args, Debug)]
pub(super) struct Simulate {
    /// Golden cases
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(super) n: u32,
    /// Cases of different weights instead, like 180x1 20x9: 180 that weigh 1, and 20 that weigh 9
    #[arg(long, value_name = "COUNTxWEIGHT", num_args = 1.., conflicts_with = "n")]
    pub(super) weights: Vec<String>,
    /// Clusters of cases instead, like 60x1 30x4: 60 of one case each, and 30 of four
    #[arg(long, value_name = "COUNTxCASES", num_args = 1.., conflicts_with_all = ["n", "weights"])]
    pub(super) clusters: Vec<String>,
    /// What the cases are like
    #[arg(long, value_name = "NAME", default_value = "std", value_parser = WordParser(|| names(Scenario::WORDS)))]
    pub(super) scenario: String,
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
    #[command(flatten)]
    pub(super) settings: OptionArgs<SimulateOptions>,
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
        /// Report what is weaker than in the golden files at this git revision, like origin/main
        #[arg(long, value_name = "REV")]
        against: Option<String>,
        /// Exit with code 2 for warnings and notes, too
        #[arg(long)]
        strict: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: OptionArgs<ConfigOptions>,
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
        #[command(flatten)]
        settings: OptionArgs<ConfigOptions>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Prompt {
    /// List the prompts with their digests and models
    List {
        #[command(flatten)]
        settings: OptionArgs<ConfigOptions>,
    },
    /// Show the exact request for a case
    Render {
        /// The prompt: a name, a path, or git:REV:NAME
        name: String,
        /// The case
        #[arg(long, value_name = "ID")]
        case: String,
        #[command(flatten)]
        settings: OptionArgs<RenderOptions>,
    },
    /// Show what changed between two prompts
    Diff {
        /// The older one: a name, a path, or `git:REV[:NAME]`
        old: String,
        /// The newer one: a name, a path, or git:REV:NAME
        new: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Judge {
    /// Measure how often LLM judges err on the labelled answers of golden cases, for the gate
    Calibrate(Calibrate),
}

#[derive(Args, Debug)]
pub(super) struct Calibrate {
    /// Only this judge [default: all that have labels]
    #[arg(long, value_name = "NAME")]
    pub(super) judge: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) settings: OptionArgs<JudgeOptions>,
}

#[derive(Subcommand, Debug)]
pub(super) enum Runs {
    /// List the runs of this project, newest first
    List {
        /// How many to list, up to 1000
        #[arg(long, value_name = "N", default_value = "20")]
        limit: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show a run and its outcome
    Show {
        /// Number of the run, as `runs list` has it
        run: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// List the cases that sometimes pass and sometimes fail, in a run and the runs before it
    Flaky {
        /// Number of the run [default: the newest finished one of the candidate]
        run: Option<String>,
        /// How many to list, up to 1000
        #[arg(long, value_name = "N", default_value = "20")]
        limit: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: OptionArgs<CandidateOptions>,
    },
}

#[derive(Args, Debug)]
#[command(after_help = exit_codes())]
pub(super) struct Compare {
    /// Number of the run whose candidate stands as the baseline
    #[arg(value_name = "BASELINE_RUN")]
    pub(super) first: String,
    /// Number of the run whose candidate is the candidate
    #[arg(value_name = "CANDIDATE_RUN")]
    pub(super) second: String,
    /// Exit with the code of the decision instead of 0; a promote with doubts is inconclusive
    #[arg(long)]
    pub(super) gate: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) settings: OptionArgs<CompareOptions>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Batch {
    /// List the batch jobs that wait at a service, of all runs of this project
    List,
    /// Cancel batch jobs; --resume requests again what they held
    Cancel {
        /// The jobs, as `batch list` names them [default: all that wait at the service]
        #[arg(value_name = "JOB")]
        names: Vec<String>,
        #[command(flatten)]
        settings: OptionArgs<BatchOptions>,
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
        #[command(flatten)]
        settings: OptionArgs<CandidateOptions>,
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
    /// Whose data it is [default: found from the data]
    #[arg(long, value_name = "TOOL", value_parser = WordParser(|| names(&Tool::ALL)))]
    pub(super) from: Option<String>,
    /// For plain CSV: what a column is: id, tags, critical, notes, expect:MATCHER, the name of a var, or - to leave it out
    #[arg(long, value_name = "COLUMN=FIELD", num_args = 1..)]
    pub(super) map: Vec<String>,
    /// How to compare answers where the data does not say it
    #[arg(long, value_name = "MATCHER", value_parser = WordParser(|| names(&Comparison::ALL)))]
    pub(super) check: Option<String>,
    /// With --check: ignore case
    #[arg(long)]
    pub(super) ignore_case: bool,
    /// Template variable for the user's message, where the data has messages and no variables [default: input]
    #[arg(long, value_name = "NAME")]
    pub(super) var: Option<String>,
    /// Write what has an equivalent, even if something has none; both are listed
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

/// The value that a word of an option stands for.
pub(super) fn choice<T: Copy>(option: &str, name: &str, choices: &[(&'static str, T)]) -> Result<T, Problem> {
    match choices.iter().find(|(known, _)| *known == name) {
        Some((_, choice)) => Ok(*choice),
        None => Err(Problem::new(format!("{option}: `{name}` is not known"))
            .expected(format!("one of {}", names(choices).join(", ")))
            .did_you_mean(name, names(choices))),
    }
}

fn names<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_of_eval_is_a_setting() {
        let command = Cli::command();
        let eval = command.find_subcommand("eval").unwrap();
        for option in eval.get_arguments() {
            let definition = crate::config::definition(option.get_id().as_str());
            assert!(definition.is_some(), "{} has no definition", option.get_id());
        }
    }

    #[test]
    fn words_of_settings_are_offered_and_others_left_to_the_settings() {
        let command = Cli::command();
        let eval = command.find_subcommand("eval").unwrap();
        let cache = eval.get_arguments().find(|option| option.get_id() == "cache").unwrap();
        let offered: Vec<String> = cache.get_possible_values().iter().map(|word| word.get_name().to_owned()).collect();
        assert_eq!(offered, ["use", "refresh", "off", "only"]);
        assert!(Cli::try_parse_from(["promptgate", "eval", "--cache", "always"]).is_ok());
    }
}
