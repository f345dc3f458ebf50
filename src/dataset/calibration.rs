//! The file in which `judge calibrate` keeps how far judges agree with people: small, to be committed and reviewed.
//!
//! Only counts stand in it; whatever follows from them is computed from them, so that no figure can contradict another.

use crate::domain::{CalibrationEntry, JudgeUse, Place, Problem, Problems};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Changes when a field changes its meaning or goes.
const SCHEMA: &str = "promptgate.judge-calibration/1";

/// Labels of a judge at most; people wrote them.
const MOST_LABELS: u64 = 100_000_000;

/// Bytes of the file at most.
const LARGEST: u64 = 1 << 20;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    judges: Vec<CalibrationEntry>,
}

/// Reads a calibration file; `None` if there is none. `shown` is its path as the user would type it.
///
/// # Errors
/// It can't be read, or is not such a file: all mistakes.
pub fn read(path: &Path, shown: &str) -> Result<Option<Vec<CalibrationEntry>>, Problems> {
    let unreadable = |error: std::io::Error| Problem::at(Place::file(shown), format!("can't be read: {error}"));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error).into()),
    };
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        return Err(Problem::at(Place::file(shown), format!("is larger than {} KiB", LARGEST >> 10)).into());
    }
    parse(&text, shown).map(Some)
}

fn parse(text: &str, shown: &str) -> Result<Vec<CalibrationEntry>, Problems> {
    let not_one = |problem: Problem| {
        problem
            .expected("a file that `promptgate judge calibrate` wrote")
            .hint("remove it, and run `promptgate judge calibrate` to write it anew")
    };
    let Document { schema, judges } = serde_json::from_str(text).map_err(|error| {
        let place = Place::at(shown, clamp(error.line()), clamp(error.column()));
        // The place stands in front of the message already.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        not_one(Problem::at(place, format!("is no calibration of judges: {message}")))
    })?;
    if schema != SCHEMA {
        let message = format!("its schema is not `{SCHEMA}`");
        return Err(not_one(Problem::at(Place::file(shown), message)).into());
    }
    let mut problems = Problems::default();
    let mut refuse = |message| problems.push(not_one(Problem::at(Place::file(shown), message)));
    let mut seen: BTreeSet<JudgeUse> = BTreeSet::new();
    for entry in &judges {
        let (judge, errors) = (entry.judge_use(), entry.counts.errors);
        if entry.counts.passing() == 0 || entry.counts.failing() == 0 {
            refuse(format!("the judge `{judge}` has no labels of one of both kinds"));
        }
        let judged = entry.counts.passing().saturating_add(entry.counts.failing());
        if judged > MOST_LABELS || errors.saturating_mul(20) > judged.saturating_add(errors) {
            let count = format!("{judged} labels and {errors} errors");
            refuse(format!("the judge `{judge}` has {count}, which no calibration comes to"));
        }
        if !seen.insert(judge.clone()) {
            refuse(format!("the judge `{judge}` is there twice"));
        }
    }
    problems.or(judges)
}

fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The file's text, sorted by judge: the same entries give the same bytes.
pub fn text(mut entries: Vec<CalibrationEntry>) -> String {
    entries.sort_by_key(CalibrationEntry::judge_use);
    let document = Document { schema: SCHEMA.to_owned(), judges: entries };
    // Texts and counts always become JSON.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Agreement;

    fn entry(judge: &str, votes: u32) -> CalibrationEntry {
        CalibrationEntry {
            judge: judge.to_owned(),
            votes,
            rule: "majority".to_owned(),
            model: "m".to_owned(),
            served: vec!["m-001".to_owned()],
            prompt_sha256: "aa".to_owned(),
            judge_sha256: "bb".to_owned(),
            labels_sha256: "cc".to_owned(),
            counts: Agreement { true_pass: 9, false_fail: 1, true_fail: 8, false_pass: 2, errors: 0 },
        }
    }

    #[test]
    fn what_is_written_is_read_back_in_one_order() {
        let one = text(vec![entry("b", 1), entry("a", 3), entry("a", 1)]);
        assert_eq!(one, text(vec![entry("a", 3), entry("a", 1), entry("b", 1)]));
        assert_eq!(parse(&one, "f").unwrap(), [entry("a", 1), entry("a", 3), entry("b", 1)]);
        insta::assert_snapshot!(text(vec![entry("a", 1)]));
    }

    #[test]
    fn what_is_no_such_file_is_refused_at_its_place() {
        let good = text(vec![entry("a", 1)]);
        for (from, to, message) in [
            ("calibration/1", "calibration/2", "its schema is not"),
            ("\"true_pass\": 9", "\"true_pass\": -9", "f:16:23: is no calibration"),
            ("\"true_pass\": 9", "\"sensitivity\": 1", "unknown field `sensitivity`"),
            ("\"errors\": 0", "\"errors\": 0, \"youden\": 1", "unknown field `youden`"),
            ("\"votes\": 1,", "", "missing field `votes`"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            let refusal = parse(&bad, "f").unwrap_err().to_string();
            assert!(refusal.contains(message), "{refusal}");
        }
        let mut none = entry("a", 1);
        none.counts.true_fail = 0;
        none.counts.false_pass = 0;
        let message = parse(&text(vec![none, entry("b", 1), entry("b", 1)]), "f").unwrap_err().to_string();
        assert!(message.contains("`a` has no labels of one") && message.contains("`b` is there twice"), "{message}");
    }
}
