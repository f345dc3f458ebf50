//! verdict.json: the one file that deploy steps read. Its fields and their order are a contract.

use super::output::Output;
use super::text::json_safe;
use super::{CallReport, Context, Format, ReportError, Reporter};
use crate::domain::{Place, Problem, ResultsFile, Verdict};
use serde::Deserialize as _;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub(super) const FILE: &str = "verdict.json";

pub(super) const FORMAT: Format = Format {
    file: FILE,
    purpose: "deploy steps: `decision`, `promotable`, a `sentence` for people, reasons, and all evidence",
    call: CallReport::Rewrite,
    open,
};

/// Bytes of the largest file that is read back.
const MAX_VERDICT: u64 = 64 << 20;

fn open(folder: &Path, context: &Context) -> Result<Box<dyn Reporter>, ReportError> {
    Ok(Box::new(VerdictReport { results: Arc::clone(&context.results), output: Output::create(folder, FILE)? }))
}

struct VerdictReport {
    /// Filled when results.jsonl is in place.
    results: Arc<OnceLock<ResultsFile>>,
    output: Output,
}

impl Reporter for VerdictReport {
    fn finish(mut self: Box<Self>, verdict: &Verdict) -> Result<(), ReportError> {
        self.write(verdict).map_err(|cause| self.output.error(cause))?;
        self.output.publish()
    }
}

impl VerdictReport {
    fn write(&mut self, verdict: &Verdict) -> io::Result<()> {
        let verdict = Verdict { results: self.results.get().cloned(), ..verdict.clone() };
        // A float that is not a number becomes null.
        writeln!(self.output, "{}", json_safe(&serde_json::to_string_pretty(&verdict)?))
    }
}

/// Reads verdict.json back. Anyone may have written or edited it, so nothing in it is believed here.
pub fn read_verdict(path: &Path) -> Result<Verdict, Problem> {
    let shown = path.to_string_lossy().into_owned();
    let place = || Place::file(shown.as_str());
    let unreadable = |error: io::Error| {
        Problem::at(place(), format!("the verdict can't be read: {error}"))
            .hint("run `promptgate eval`, or name the file: promptgate verify DIR/verdict.json")
    };
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_VERDICT + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_VERDICT {
        let message = format!("the file is larger than {} MiB", MAX_VERDICT >> 20);
        return Err(Problem::at(place(), message).expected("a verdict.json"));
    }
    let no_verdict = |what: String| {
        Problem::at(place(), what)
            .expected(format!("the verdict.json of `promptgate eval`, schema {}", Verdict::SCHEMA))
    };
    let json: Value =
        serde_json::from_slice(&text).map_err(|error| no_verdict(format!("this is not JSON: {error}")))?;
    match json.get("schema").and_then(Value::as_str) {
        Some(Verdict::SCHEMA) => {}
        Some(other) => {
            let other: String = other.chars().take(100).collect();
            return Err(no_verdict(format!("the schema is `{other}`")).hint("use the promptgate that wrote it"));
        }
        None => return Err(no_verdict("this is not a verdict: it names no schema".to_owned())),
    }
    let hint = "another version of promptgate may have written it; run `promptgate eval` again";
    let verdict = Verdict::deserialize(&json)
        .map_err(|error| no_verdict(format!("the verdict is not complete: {error}")).hint(hint))?;
    let written = serde_json::to_value(&verdict).unwrap_or_default();
    match surplus(&json, &written) {
        Some(key) => Err(no_verdict(format!("the verdict has a key that no eval writes: `{key}`")).hint(hint)),
        None => Ok(verdict),
    }
}

/// The path of a key that stands in `read` and not in `written`, where every value that was read is written again. What is
/// empty may be left out.
fn surplus(read: &Value, written: &Value) -> Option<String> {
    match (read, written) {
        (Value::Object(read), Value::Object(written)) => read.iter().find_map(|(key, value)| match written.get(key) {
            Some(written) => surplus(value, written).map(|inner| format!("{key}.{inner}")),
            None if is_empty(value) => None,
            None => Some(key.chars().take(100).collect()),
        }),
        (Value::Array(read), Value::Array(written)) => read
            .iter()
            .zip(written)
            .enumerate()
            .find_map(|(index, (read, written))| surplus(read, written).map(|inner| format!("{index}.{inner}"))),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
