//! The room from outside: what cases come out of which files, and every message.

mod files;
mod formats;
mod labels;
mod mistakes;
mod properties;
mod rows;
mod stream;

use super::{Dataset, survey};
use crate::domain::{ArgProblem, Case, CaseId, CheckRules, CheckSpec, Problems, Step};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Stands in for the matchers: enough of them to see every path through the room.
struct FakeRules {
    /// What `json_schema: {file: ..}` finds.
    schema: Value,
    /// What is approved for every `json: true`.
    approved: Option<&'static str>,
}

const RULES: FakeRules = FakeRules { schema: Value::Null, approved: None };

const TEXT: [&str; 3] = ["equals", "contains", "regex"];
const OTHER: [&str; 5] = ["contains_any", "number", "json", "json_schema", "not"];

impl CheckRules for FakeRules {
    fn verify(&self, mut check: CheckSpec) -> Result<CheckSpec, Vec<ArgProblem>> {
        let name = check.matcher.clone();
        let mut found: Vec<ArgProblem> = match (name.as_str(), &mut check.args) {
            ("equals" | "contains" | "regex", Value::String(text)) if !text.is_empty() => vec![],
            ("equals" | "contains" | "regex", _) => {
                vec![ArgProblem::new(format!("`{name}` needs a text")).expected("a text that is not empty")]
            }
            ("contains_any", Value::Array(values)) if !values.is_empty() => {
                let mistakes = values.iter().enumerate().filter(|(_, value)| !value.is_string());
                mistakes.map(|(index, _)| ArgProblem::new("not a text").inside(Step::Index(index))).collect()
            }
            ("contains_any", _) => vec![ArgProblem::new("`contains_any` needs a list").expected("a list of texts")],
            ("number", Value::Number(_)) | ("json", Value::Bool(true)) => vec![],
            ("number" | "json", _) => vec![ArgProblem::new(format!("`{name}` can't take this"))],
            ("json_schema", args) => {
                if args.get("file").is_some() {
                    *args = self.schema.clone();
                }
                vec![]
            }
            ("not", args) => {
                let inner = CheckSpec::parse(args).map_err(|problem| vec![problem]);
                inner.and_then(|inner| self.verify(inner)).err().unwrap_or_default()
            }
            _ => {
                let unknown = ArgProblem::new(format!("unknown matcher `{name}`"));
                return Err(vec![unknown.inside(Step::key(name))]);
            }
        };
        if found.is_empty() {
            Ok(check)
        } else {
            found.iter_mut().for_each(|problem| *problem = problem.clone().inside(Step::key(&*name)));
            Err(found)
        }
    }

    fn complete(&self, mut check: CheckSpec, case: &CaseId) -> Result<CheckSpec, Vec<ArgProblem>> {
        if check.matcher == "json" && self.approved.is_some() {
            check.args = json!({"case": case, "approved": self.approved});
        }
        Ok(check)
    }

    fn takes_text(&self, matcher: &str) -> Option<bool> {
        let is_text = TEXT.contains(&matcher);
        (is_text || OTHER.contains(&matcher)).then_some(is_text)
    }

    fn names(&self) -> Vec<&'static str> {
        TEXT.into_iter().chain(OTHER).collect()
    }
}

/// A folder `golden` that goes away with the test.
struct Golden {
    folder: tempfile::TempDir,
}

impl Golden {
    fn of(files: &[(&str, &str)]) -> Golden {
        let golden = Golden { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(golden.path("")).unwrap();
        for (name, text) in files {
            golden.write(name, text.as_bytes());
        }
        golden
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        let golden = self.folder.path().join("golden");
        if name.is_empty() { golden } else { golden.join(name) }
    }

    /// The survey of the whole folder, and the cases it visited.
    fn survey(&self) -> (Result<Dataset, Problems>, Vec<Case>) {
        self.survey_paths(&[self.path("")])
    }

    fn survey_paths(&self, paths: &[PathBuf]) -> (Result<Dataset, Problems>, Vec<Case>) {
        let mut cases = Vec::new();
        let result = survey(paths, &RULES, &mut |case, _| cases.push(case.clone()));
        (result, cases)
    }

    /// The cases of a folder without mistakes.
    fn cases(&self) -> Vec<Case> {
        let (result, cases) = self.survey();
        let dataset = result.unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(dataset.total, cases.len() as u64);
        cases
    }

    /// All mistakes as a person reads them, paths from the folder above `golden`.
    fn messages(&self) -> String {
        self.messages_of(&[self.path("")])
    }

    fn messages_of(&self, paths: &[PathBuf]) -> String {
        match self.survey_paths(paths) {
            (Ok(_), _) => "no mistake".to_owned(),
            (Err(problems), _) => self.relative(&problems.to_string()),
        }
    }

    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// The mistakes of one file.
fn messages(name: &str, text: &str) -> String {
    Golden::of(&[(name, text)]).messages()
}

/// The cases of one file.
fn cases(name: &str, text: &str) -> Vec<Case> {
    Golden::of(&[(name, text)]).cases()
}

/// A case without its place and suite, as JSON.
fn plain(case: &Case) -> Value {
    let checks = case.checks.iter().map(|check| {
        json!({
            "matcher": check.matcher, "args": check.args, "weight": check.weight,
            "name": check.name, "advisory": check.advisory,
        })
    });
    json!({
        "id": case.id, "tags": case.tags, "critical": case.critical, "vars": case.vars, "history": case.history,
        "checks": checks.collect::<Vec<_>>(), "notes": case.notes,
        "labels": case.labels.iter().map(|label| json!([label.answer, label.pass, label.check])).collect::<Vec<_>>(),
    })
}

/// Relative links for tests of links.
#[cfg(unix)]
fn link(target: impl AsRef<Path>, at: &Path) {
    std::os::unix::fs::symlink(target, at).unwrap();
}
