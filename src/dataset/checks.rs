//! The list `expect` of a case.

use super::digest::IncludedFiles;
use super::mistake::{Mistake, Mistakes, kind};
use crate::domain::{CaseId, CheckRules, CheckSpec, Problem, Step};
use serde_json::Value;

/// Reads and verifies the checks of a case. With `flawed`, some may already be reported, and too few are no mistake.
pub(super) fn read(
    written: &Value,
    flawed: bool,
    rules: &dyn CheckRules,
    included: &mut IncludedFiles,
    mistakes: &mut Mistakes,
) -> Vec<CheckSpec> {
    let expect = [Step::key("expect")];
    let list = match written {
        Value::Array(list) => list,
        Value::Null => {
            mistakes.push(Mistake::value(&expect, none()));
            return Vec::new();
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            let problem = Problem::new(format!("`expect` is {}", kind(written)))
                .expected("a list of checks")
                .hint("put the check into a list: `expect: [{contains: \"30 days\"}]`");
            mistakes.push(Mistake::value(&expect, problem));
            return Vec::new();
        }
    };
    let mut checks = Vec::with_capacity(list.len());
    let mut has_mistake = flawed;
    for (index, written) in list.iter().enumerate() {
        let place = [Step::key("expect"), Step::Index(index)];
        let verified = CheckSpec::parse(written).map_err(|mistake| vec![mistake]).and_then(|check| rules.verify(check));
        match verified {
            Ok(check) => {
                if arguments(written, &check.matcher) != Some(&check.args) {
                    included.take(&check.args);
                }
                checks.push(check);
            }
            Err(found) => {
                has_mistake = true;
                for mistake in found {
                    mistakes.push(Mistake::inside(&place, mistake));
                }
            }
        }
    }
    if !has_mistake && !checks.iter().any(CheckSpec::decides) {
        let problem = if checks.is_empty() { none() } else { none_decides() };
        mistakes.push(Mistake::key(&expect, problem));
    }
    checks
}

/// Adds to verified checks what depends on the case, which can be told only once the whole row is read: its id may stand
/// behind them, or be made from the rest.
pub(super) fn complete(
    checks: &mut [CheckSpec],
    case: &CaseId,
    rules: &dyn CheckRules,
    included: &mut IncludedFiles,
    mistakes: &mut Mistakes,
) {
    for (index, check) in checks.iter_mut().enumerate() {
        match rules.complete(check.clone(), case) {
            Ok(completed) => {
                if completed.args != check.args {
                    included.take(&completed.args);
                }
                *check = completed;
            }
            Err(found) => {
                let place = [Step::key("expect"), Step::Index(index)];
                for mistake in found {
                    mistakes.push(Mistake::inside(&place, mistake));
                }
            }
        }
    }
}

/// The arguments of a check as they were written.
fn arguments<'a>(written: &'a Value, matcher: &str) -> Option<&'a Value> {
    match written {
        Value::Object(map) => map.get(matcher),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Some(written),
    }
}

/// The mistake of a case that nothing is expected of.
pub(super) fn none() -> Problem {
    Problem::new("the case has no check").expected(
        "at least one check that decides, like `expect: [{contains: \"30 days\"}]`; in CSV a filled `expected` or \
         `expect:MATCHER`",
    )
}

fn none_decides() -> Problem {
    Problem::new("no check of the case decides: each is advisory or has weight 0")
        .expected("at least one check that is not advisory and has a weight above 0")
}
