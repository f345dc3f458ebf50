//! `promptgate golden lint | stats`.

use super::golden_import;
use super::options::{ConfigOptions, Golden as Command};
use super::terminal::{print_json, print_line};
use crate::commands::{self, LintRequest};
use crate::config::{Environment, Layers, OptionArgs};
use crate::domain::count;
use crate::error::Error;
use crate::exit;
use crate::lint::LintReport;
use crate::report::text;
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn golden(command: Command, environment: Environment) -> Result<u8, Error> {
    let layers = |paths: Vec<String>, settings: OptionArgs<ConfigOptions>| {
        let typed = settings.command_line().option("golden", paths);
        Layers::read(Path::new("."), typed, environment).check()
    };
    match command {
        Command::Import(import) => golden_import::import(import),
        Command::Lint { paths, prompt, against, strict, json, settings } => {
            lint(&layers(paths, settings)?, &prompt, against.as_deref(), strict, json)
        }
        Command::Stats { paths, tag, json, settings } => stats(&layers(paths, settings)?, &tag, json),
    }
}

fn lint(layers: &Layers, prompts: &[String], against: Option<&str>, strict: bool, json: bool) -> Result<u8, Error> {
    let linted = commands::lint(&LintRequest {
        root: layers.root(),
        golden: &layers.golden(),
        prompts,
        against,
        commands: layers.commands(),
    })?;
    let LintReport { findings, errors, warnings, notes, cases } = &linted;
    let all = errors + warnings + notes;
    if json {
        print_json(&json!({
            "schema": "promptgate.lint/1",
            "cases": cases,
            "errors": errors,
            "warnings": warnings,
            "notes": notes,
            "findings": findings,
        }));
    } else {
        for finding in findings {
            print_line(&text::log_safe(&finding.to_string()));
        }
        let hidden = all - findings.len() as u64;
        if hidden > 0 {
            print_line(&format!("… and {hidden} more findings"));
        }
        print_line(&format!(
            "{}: {}, {}, {}",
            count(*cases, "case", "cases"),
            count(*errors, "error", "errors"),
            count(*warnings, "warning", "warnings"),
            count(*notes, "note", "notes")
        ));
    }
    let fails = *errors > 0 || (strict && all > 0);
    Ok(if fails { exit::INVALID } else { exit::OK })
}

fn stats(layers: &Layers, tags: &[String], json: bool) -> Result<u8, Error> {
    let summary = commands::stats(layers.root(), &layers.golden(), tags, layers.commands())?;
    if json {
        let mut document = json!({"schema": "promptgate.stats/1"});
        if let (Value::Object(document), Ok(Value::Object(fields))) = (&mut document, serde_json::to_value(&summary)) {
            document.extend(fields);
        }
        print_json(&document);
    } else {
        print_line(&text::log_safe(&summary.to_string()));
    }
    Ok(exit::OK)
}
