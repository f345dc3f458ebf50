//! Digests of what decides besides prompts, dataset and policy. Nothing here opens a target or needs a key, so that whoever
//! checks a verdict later can compute them again.

use super::judges::BUILTIN;
use super::lock::library;
use crate::config::{JudgeSettings, ModelChoice, TargetKind};
use crate::domain::{Case, Command, Problems, digest, hex};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The largest file of a command that is digested; a larger one counts by its size.
const MAX_BYTES: u64 = 64 << 20;

/// What decides besides prompts, dataset and policy.
pub(crate) struct FingerprintInputs<'a> {
    pub(crate) root: &'a Path,
    pub(crate) judges: &'a BTreeMap<String, JudgeSettings>,
    pub(crate) commands: &'a [Command],
    pub(crate) models: &'a ModelChoice,
    pub(crate) target: TargetKind,
}

/// Over the name, target, address, model and prompt of each judge.
pub(crate) fn judges_digest(
    names: &BTreeSet<String>,
    inputs: &FingerprintInputs<'_>,
) -> Result<Option<String>, Problems> {
    let mut pieces = Vec::new();
    for name in names {
        let written = inputs.judges.get(name);
        let own = written.filter(|judge| judge.target.is_some() || judge.base_url.is_some());
        let target = own.and_then(|judge| judge.target).unwrap_or(inputs.target);
        let model = written.and_then(|judge| judge.model.clone()).unwrap_or_else(|| {
            let default = target.def().default_model.map(str::to_owned);
            match own {
                None => inputs.models.resolve(None),
                Some(_) => default.unwrap_or_default(),
            }
        });
        let prompt = match written.and_then(|judge| judge.prompt.as_deref()) {
            Some(path) => library(inputs.root).open(path, None)?.sha256,
            None => hex(digest([BUILTIN.as_bytes()])),
        };
        let url = own.and_then(|judge| judge.base_url.clone()).unwrap_or_default();
        pieces.extend([name.clone(), target.as_str().to_owned(), url, model, prompt]);
    }
    let digest = digest(pieces.iter().map(String::as_bytes));
    Ok((!names.is_empty()).then(|| hex(digest)))
}

/// Over the name, arguments, time limit and environment of each command, and the files that its arguments name.
pub(crate) fn commands_digest(inputs: &FingerprintInputs<'_>) -> Option<String> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for Command { name, argv, timeout, env, place: _ } in inputs.commands {
        pieces.push(name.as_bytes().to_vec());
        pieces.push(timeout.as_millis().to_le_bytes().to_vec());
        pieces.push((argv.len() as u64).to_le_bytes().to_vec());
        for word in argv {
            pieces.push(word.as_bytes().to_vec());
            pieces.push(file(&inputs.root.join(word)).map_or_else(Vec::new, |digest| digest.to_vec()));
        }
        for (name, value) in env {
            pieces.extend([name.as_bytes().to_vec(), value.as_bytes().to_vec()]);
        }
    }
    let digest = digest(pieces.iter().map(Vec::as_slice));
    (!inputs.commands.is_empty()).then(|| hex(digest))
}

fn file(path: &Path) -> Option<[u8; 32]> {
    let meta = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut hash = Sha256::new();
    hash.update(meta.len().to_le_bytes());
    let mut bytes = File::open(path).ok()?.take(MAX_BYTES);
    let mut chunk = vec![0; 64 << 10];
    loop {
        match bytes.read(&mut chunk) {
            Ok(0) => return Some(hash.finalize().into()),
            Ok(read) => hash.update(&chunk[..read]),
            Err(_) => return None,
        }
    }
}

/// Everything about the checks of a case.
pub(crate) fn checks_digest(case: &Case) -> Vec<u8> {
    let mut pieces = Vec::new();
    for check in &case.checks {
        let modifiers = [u8::from(check.advisory), u8::from(check.name.is_some())];
        pieces.extend(digest([
            check.matcher.as_bytes(),
            check.args.to_string().as_bytes(),
            &check.weight.to_le_bytes(),
            check.name.as_deref().unwrap_or_default().as_bytes(),
            &modifiers,
        ]));
    }
    pieces
}

/// Everything that is written about a case, but for its place and notes.
pub(crate) fn case_digest(case: &Case, checks: &[u8]) -> [u8; 32] {
    let Case { id, suite: _, place: _, tags, critical, vars, history, weight, cluster, checks: _, labels: _, notes: _ } =
        case;
    // Maps of texts and plain structs become JSON always; what would not would be one more state of the case.
    let json = serde_json::to_vec(&(vars, history, tags, weight, cluster.as_deref())).unwrap_or_default();
    digest([b"promptgate.case/1".as_slice(), id.as_str().as_bytes(), &json, checks, &[u8::from(*critical)]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CaseId, CheckSpec, Place};
    use serde_json::json;

    fn case() -> Case {
        Case {
            tags: vec!["t".to_owned()],
            vars: json!({"q": "x"}).as_object().cloned().unwrap_or_default(),
            checks: vec![CheckSpec::plain("contains", json!("x"))],
            ..Case::new("a")
        }
    }

    fn of(case: &Case) -> [u8; 32] {
        case_digest(case, &checks_digest(case))
    }

    #[test]
    fn whatever_decides_an_outcome_makes_another_case_and_nothing_else_does() {
        let same = Case { suite: "other".into(), place: Place::file("other"), notes: Some("n".to_owned()), ..case() };
        assert_eq!(of(&same), of(&case()));
        let check = |change: &dyn Fn(&mut CheckSpec)| {
            let mut case = case();
            change(&mut case.checks[0]);
            case
        };
        let mut two = case();
        two.checks.push(CheckSpec::plain("contains", json!("y")));
        for other in [
            Case { id: CaseId::new("b"), ..case() },
            Case { critical: true, ..case() },
            Case { weight: 1, ..case() },
            Case { cluster: Some("c".into()), ..case() },
            Case { tags: Vec::new(), ..case() },
            Case { vars: serde_json::Map::new(), ..case() },
            check(&|check| check.args = json!("z")),
            check(&|check| check.weight = 2.0),
            check(&|check| check.advisory = true),
            check(&|check| check.name = Some(String::new())),
            check(&|check| check.matcher = "equals".to_owned()),
            two,
        ] {
            assert_ne!(of(&other), of(&case()), "{other:?}");
        }
    }
}
