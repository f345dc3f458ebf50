//! `snapshot`: the answer is the one that people approved.
//!
//! The approved answer of a case is a file; see `snapshot_file.rs`. Loading reads it into the check, under the key `approved`,
//! which nobody can write: so judging needs no file, and another approved answer makes another dataset.

use super::similarity::levenshtein;
use crate::domain::{ArgProblem, CaseId, CheckSpec, SNAPSHOTS, Score, snapshot_file, visible};
use crate::scoring::arguments::{Fields, Read, refuse_key, text, wrong};
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::project_file::ProjectFiles;
use crate::scoring::quote::quote;
use crate::scoring::redaction::{RedactedText, Redactions};
use crate::scoring::references::{self, MAX_CHARS_PRODUCT};
use crate::scoring::snapshot_file;
use serde_json::{Map, Value};

pub(super) const SNAPSHOT: MatcherDef = MatcherDef {
    name: "snapshot",
    summary: "the answer's text is the one that people approved for this case, in `golden/snapshots/`; without an approved \
              answer it fails",
    arguments: "true, or {redact: [dates, ids, numbers, whitespace, {pattern, with}], min}; redactions replace what may differ, \
                on both sides; min is the least similarity that passes, as for `similarity`, where equality is too much; white \
                space at the end never counts; a check of its own, not inside another one",
    schema: r##"{"anyOf": [{"const": true}, {"type": "object", "properties": {"redact": {"type": "array", "minItems": 1,
        "items": {"anyOf": [{"enum": ["dates", "ids", "numbers", "whitespace"]}, {"type": "object", "properties":
        {"pattern": {"$ref": "#/$defs/text"}, "with": {"type": "string"}}, "required": ["pattern"],
        "additionalProperties": false}]}}, "min": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}},
        "additionalProperties": false}]}"##,
    example: r#"{"snapshot": {"redact": ["dates", "numbers"]}}"#,
    passes: Sample::Text(EXAMPLE_ANSWER),
    fails: Sample::Text("I can't find your order."),
    refused: r#"{"snapshot": {"redact": ["date"]}}"#,
    cost: "linear in the answer for each redaction and what it finds; with `min` the product of both lengths, at most 10000 \
           characters each; texts of more than 1 MiB fail",
    compile,
    top_level_only: true,
    complete: Some(read_approved),
    ..MatcherDef::DEFAULT
};

/// An answer that passes the example once `EXAMPLE_APPROVED` is approved.
const EXAMPLE_ANSWER: &str = "Your order of 3 May 2026 costs 12.50 euros.";

/// What is approved for the example.
#[cfg(test)]
pub(in crate::scoring) const EXAMPLE_APPROVED: &str = "Your order of [date] costs [number] euros.\n";

/// The key under which loading puts the approved answer; null where there is none.
const APPROVED: &str = "approved";

struct Snapshot {
    redactions: Redactions,
    min: Option<f64>,
    /// The approved text as it was approved, and as the redactions of today leave it. Either may be what an answer
    /// becomes: what is approved was redacted already, and a pattern of the user's may find something in what it left.
    approved: Option<[String; 2]>,
}

/// The arguments without the approved answer, and that if it may stand there.
fn read(args: &Value, with_approved: bool) -> Read<(Redactions, Option<f64>, Option<&Value>)> {
    let known: &[&str] = if with_approved { &["redact", "min", APPROVED] } else { &["redact", "min"] };
    let mut fields = Fields::of_map_or_true(args, known, "snapshot", "a map {redact, min}")?;
    let redactions =
        if fields.has("redact") { fields.optional("redact", Redactions::read) } else { Some(Redactions::default()) };
    let min = if fields.has("min") { references::threshold(&mut fields, "similarity").map(Some) } else { Some(None) };
    let approved = args.get(APPROVED);
    let (redactions, min) = fields.finish(redactions.zip(min))?;
    Ok((redactions, min, approved))
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let is_loading = ctx.files().is_some();
    let (redactions, min, approved) = read(args, !is_loading)?;
    let approved = match approved {
        Some(Value::Null) => None,
        Some(approved) => {
            let approved = text(approved)?;
            let unredacted = compared(&Redactions::default(), approved);
            Some([unredacted.text, compared(&redactions, approved).text])
        }
        None if is_loading => None,
        None => return wrong(ArgProblem::new("the approved answer was not read while loading")),
    };
    let snapshot = Snapshot { redactions, min, approved };
    Ok(Matcher::new(move |input| snapshot.check(input)))
}

/// Reads the approved answer of a case into the arguments of a check that compiles.
///
/// # Errors
/// It is there, but can't be used.
fn read_approved(args: &mut Value, files: &ProjectFiles, case: &CaseId) -> Read<()> {
    let (_, min, _) = read(args, false)?;
    let approved = snapshot_file::approved(files, case).map_err(|problem| vec![problem])?;
    let length = approved.as_ref().map_or(0, |text| text.chars().count());
    if min.is_some() && length > MAX_CHARS_PRODUCT {
        let expected = format!("at most {MAX_CHARS_PRODUCT} characters for a similarity");
        return refuse_key("min", format!("the approved answer has {length} characters"), expected);
    }
    if !args.is_object() {
        *args = Value::Object(Map::new());
    }
    args[APPROVED] = approved.into();
    Ok(())
}

/// A text in the form in which it is compared: line feeds end lines, redactions are made, nothing acts or hides, and no
/// white space stands at the end. A file that insta wrote keeps all of that.
fn compared(redactions: &Redactions, text: &str) -> RedactedText {
    let redacted = redactions.apply(&text.replace("\r\n", "\n"));
    RedactedText { text: visible(redacted.text.trim_end()).into_owned(), ..redacted }
}

/// What keeps an answer from being compared, and so from being approved.
fn useless(answer: &str, redacted: &RedactedText) -> Option<&'static str> {
    if answer.trim().is_empty() {
        Some("the answer has no text to compare")
    } else if !redacted.says_something {
        Some("the redactions leave nothing of the answer to compare")
    } else {
        None
    }
}

/// Longer answers could not be read back once they are approved: the header needs some room, too.
const MAX_ANSWER: usize = ProjectFiles::MAX_BYTES as usize - (64 << 10);

impl Snapshot {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let fail = |reason: String| Ok(Score::binary(false, reason));
        let answer = &input.answer.text;
        if answer.len() > MAX_ANSWER {
            return fail(format!("has {} bytes, more than a snapshot can hold", answer.len()));
        }
        let redacted = compared(&self.redactions, answer);
        if let Some(reason) = useless(answer, &redacted) {
            return fail(reason.to_owned());
        }
        let Some(approved) = &self.approved else {
            return fail(format!("no approved answer yet: there is no {SNAPSHOTS}/{}", snapshot_file(&input.case.id)));
        };
        if approved.contains(&redacted.text) {
            return Ok(Score::binary(true, "is the approved answer"));
        }
        let Some(min) = self.min else {
            return fail(difference(&approved[1], &redacted.text));
        };
        let length = redacted.text.chars().count();
        if length > MAX_CHARS_PRODUCT {
            let most = approved.iter().map(|text| text.chars().count()).max().unwrap_or(0) as f64 / length as f64;
            let reason = format!("has {length} characters, and similarity compares at most {MAX_CHARS_PRODUCT}");
            // Too long to measure, but perhaps long enough to be sure.
            return if most < min { fail(reason) } else { Err(MatchError::new(reason)) };
        }
        let answer: Vec<char> = redacted.text.chars().collect();
        let near = |text: &String| levenshtein(&answer, &text.chars().collect::<Vec<char>>());
        let similarity = approved.iter().map(near).fold(0.0, f64::max);
        let pass = similarity >= min;
        let is = if pass { "at least" } else { "less than" };
        let reason = format!("its similarity to the approved answer is {similarity:.4}, {is} {min}");
        Ok(Score::new(similarity, pass, reason))
    }
}

/// The first line that differs.
fn difference(approved: &str, answer: &str) -> String {
    let (mut old, mut new) = (approved.split('\n'), answer.split('\n'));
    let shown = |line: Option<&str>| line.map_or_else(|| "nothing".to_owned(), quote);
    let mut number = 1;
    loop {
        match (old.next(), new.next()) {
            (Some(old), Some(new)) if old == new => number += 1,
            (old, new) => {
                return format!(
                    "is not the approved answer: line {number} is {}, approved was {}",
                    shown(new),
                    shown(old)
                );
            }
        }
    }
}

/// The check of a case that asks for its approved answer.
#[derive(Debug)]
pub struct Approval<'a> {
    /// Its place among the checks of the case.
    pub check: usize,
    /// What is approved, in the form in which it is compared; `None` while nothing is.
    pub approved: Option<String>,
    args: &'a Value,
}

pub fn approval(checks: &[CheckSpec]) -> Option<Approval<'_>> {
    let (check, spec) = checks.iter().enumerate().find(|(_, spec)| spec.matcher == SNAPSHOT.name)?;
    let approved = spec.args.get(APPROVED).and_then(Value::as_str);
    Some(Approval {
        check,
        approved: approved.map(|text| compared(&Redactions::default(), text).text),
        args: &spec.args,
    })
}

impl Approval<'_> {
    /// An answer in the form in which it can be approved; `None` if it never could be.
    pub fn proposal(&self, answer: &str) -> Option<String> {
        let (redactions, ..) = read(self.args, true).ok()?;
        if answer.len() > MAX_ANSWER {
            return None;
        }
        let redacted = compared(&redactions, answer);
        match useless(answer, &redacted) {
            None if redacted.text.len() <= MAX_ANSWER => Some(redacted.text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CheckRules;
    use crate::scoring::Rules;
    use crate::scoring::rules::testing::{answer_text, approved, problems, verify_in};
    use serde_json::json;
    use std::fs;
    use std::path::Path;

    /// `pass 1: reason`, for each answer.
    fn said(args: &Value, is_approved: Option<&str>, answers: &[&str]) -> String {
        let matcher = approved(json!({"snapshot": args}), is_approved);
        let said = answers.iter().map(|text| match matcher.check(&answer_text(text).input()) {
            Ok(score) => {
                let word = if score.pass { "pass" } else { "fail" };
                format!("{word} {:.3}: {}", score.value(), score.reason)
            }
            Err(MatchError { reason }) => format!("error: {reason}"),
        });
        said.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_approved_answer_passes_and_any_other_one_fails() {
        let answers = [
            "Free\nwithin 30 days.",
            "Free\r\nwithin 30 days. \n\n",
            "free\nwithin 30 days.",
            "Free\nwithin 30 days.\nReally.",
            "Free",
            " Free\nwithin 30 days.",
            "Free\n\x1bwithin 30 days.",
            "",
            " \n",
        ];
        insta::assert_snapshot!(said(&json!(true), Some("Free\nwithin 30 days.\n"), &answers));
    }

    #[test]
    fn redactions_are_made_on_both_sides() {
        let redact = json!({"redact": ["dates", "numbers", {"pattern": "Mr|Ms", "with": "M"}]});
        let answers =
            ["Ms Ng: 3 pairs, by 3 May", "Mr Ng: 12 pairs, by 2026-12-01", "Dr Ng: 3 pairs, by 3 May", "17", "3 May"];
        // Approved as it was answered, before there were redactions; and as it is proposed.
        let [answered, proposed] = ["Ms Ng: 1 pairs, by 1 June", "M Ng: [number] pairs, by [date]\n"]
            .map(|text| said(&redact, Some(text), &answers));
        assert_eq!(answered, proposed);
        insta::assert_snapshot!(answered, @r#"
        pass 1.000: is the approved answer
        pass 1.000: is the approved answer
        fail 0.000: is not the approved answer: line 1 is "Dr Ng: [number] pairs, by [date]", approved was "M Ng: [number] pairs, by [date]"
        fail 0.000: the redactions leave nothing of the answer to compare
        fail 0.000: the redactions leave nothing of the answer to compare
        "#);
        // A pattern that finds something in what it left.
        let grows = json!({"redact": [{"pattern": "x", "with": "xx"}]});
        insta::assert_snapshot!(said(&grows, Some("a xx"), &["a x", "a xx"]), @"
        pass 1.000: is the approved answer
        pass 1.000: is the approved answer
        ");
    }

    #[test]
    fn a_missing_approval_never_passes() {
        let [plain, near, redacted] = [json!(true), json!({"min": 0.1}), json!({"redact": ["numbers"]})]
            .map(|args| said(&args, None, &["Free.", ""]));
        assert_eq!([&near, &redacted], [&plain, &plain]);
        insta::assert_snapshot!(plain, @"
        fail 0.000: no approved answer yet: there is no golden/snapshots/case.snap
        fail 0.000: the answer has no text to compare
        ");
    }

    #[test]
    fn a_similarity_may_stand_for_equality() {
        let long = "a".repeat(10_001);
        let answers = ["Free within 30 days.", "Free within 31 days.", "No.", &long];
        insta::assert_snapshot!(said(&json!({"min": 0.9}), Some("Free within 30 days."), &answers), @"
        pass 1.000: is the approved answer
        pass 0.950: its similarity to the approved answer is 0.9500, at least 0.9
        fail 0.050: its similarity to the approved answer is 0.0500, less than 0.9
        fail 0.000: has 10001 characters, and similarity compares at most 10000
        ");
        let near = "a".repeat(10_000);
        insta::assert_snapshot!(said(&json!({"min": 0.9}), Some(&near), &[&long]), @"error: has 10001 characters, and similarity compares at most 10000");
    }

    #[test]
    fn an_answer_that_could_not_be_read_back_is_not_compared() {
        let answer = "a ".repeat(MAX_ANSWER / 2 + 1);
        insta::assert_snapshot!(said(&json!(true), Some(&answer), &[&answer]), @"fail 0.000: has 983042 bytes, more than a snapshot can hold");
        let checks = [CheckSpec::plain("snapshot", json!({"approved": null}))];
        assert_eq!(approval(&checks).unwrap().proposal(&answer), None);
    }

    #[test]
    fn mistakes_are_told() {
        insta::assert_snapshot!(problems(&[
            json!({"snapshot": false}),
            json!({"snapshot": "text"}),
            json!({"snapshot": {"approved": "text"}}),
            json!({"snapshot": {"min": 0}}),
            json!({"snapshot": {"min": 90}}),
            json!({"snapshot": {"redact": ["dats"], "mni": 1}}),
            json!({"not": {"snapshot": true}}),
            json!({"any": ["a", {"snapshot": true}]}),
            json!({"json_path": {"path": "$.a", "check": {"snapshot": true}}}),
        ]));
    }

    #[test]
    fn a_check_that_never_saw_a_file_does_not_compile_for_judging() {
        let check = CheckSpec::plain("snapshot", json!(true));
        let problems = Compile::new(crate::scoring::MATCHERS).check(&check).unwrap_err();
        assert_eq!(problems[0].message, "snapshot: the approved answer was not read while loading");
    }

    fn completed(root: &Path, written: Value, case: &str) -> Result<Value, String> {
        let check = verify_in(root, written).unwrap();
        match Rules::new(root).complete(check, &CaseId::new(case)) {
            Ok(check) => Ok(check.args),
            Err(problems) => Err(format!("{:?} {}", problems[0].path, problems[0].message)),
        }
    }

    #[test]
    fn loading_reads_the_file_of_the_case_into_the_check() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("project");
        let folder = root.join(SNAPSHOTS);
        fs::create_dir_all(&folder).unwrap();
        let write = |case: &str, text: &str| fs::write(folder.join(snapshot_file(&CaseId::new(case))), text).unwrap();
        write("a", "---\ninfo: {}\n---\nFree.\n");
        write("../secret", "---\ninfo: {}\n---\nstays here\n");
        write("bare", "Free.\n");
        write("empty", "---\ninfo: {}\n---\n \n");
        write("long", &format!("---\na: b\n---\n{}\n", "a".repeat(10_001)));
        fs::write(outer.path().join("secret.snap"), "---\na: b\n---\nsecret").unwrap();
        let read = |args: Value, case: &str| completed(&root, json!({"snapshot": args}), case);
        assert_eq!(read(json!(true), "a"), Ok(json!({"approved": "Free.\n"})));
        assert_eq!(read(json!({"min": 0.5}), "a"), Ok(json!({"min": 0.5, "approved": "Free.\n"})));
        assert_eq!(read(json!(true), "b"), Ok(json!({"approved": null})));
        assert_eq!(read(json!(true), "A"), Ok(json!({"approved": null})), "not the file of `a`");
        assert_eq!(read(json!(true), "../secret"), Ok(json!({"approved": "stays here\n"})));
        assert_eq!(read(json!(true), "a\0b"), Ok(json!({"approved": null})));
        assert_eq!(read(json!(true), &"x".repeat(100_000)), Ok(json!({"approved": null})));
        let refused = [read(json!(true), "bare"), read(json!(true), "empty"), read(json!({"min": 0.5}), "long")];
        let refused: Vec<String> = refused.into_iter().map(Result::unwrap_err).collect();
        insta::assert_snapshot!(refused.join("\n"), @r#"
        [Key("snapshot")] snapshot: "golden/snapshots/bare.snap" has no header
        [Key("snapshot")] snapshot: "golden/snapshots/empty.snap" is empty, so no answer could pass
        [Key("snapshot"), Key("min")] snapshot: the approved answer has 10002 characters
        "#);
        assert!(read(json!(true), "long").is_ok());
        let other = completed(&root, json!({"contains": "a"}), "a");
        assert_eq!(other, Ok(json!("a")), "no other check is touched");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_out_of_the_project_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("project");
        fs::create_dir_all(root.join(SNAPSHOTS)).unwrap();
        fs::write(outer.path().join("secret.snap"), "---\na: b\n---\nsecret").unwrap();
        std::os::unix::fs::symlink("../../../secret.snap", root.join(SNAPSHOTS).join("a.snap")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join(SNAPSHOTS).join("b.snap")).unwrap();
        let said = |case| completed(&root, json!({"snapshot": true}), case).unwrap_err();
        assert!(said("a").ends_with("\"golden/snapshots/a.snap\" lies outside the project root"));
        assert!(said("b").contains("can't read"), "{}", said("b"));
    }

    #[test]
    fn what_is_proposed_passes_once_it_is_approved() {
        let args = json!({"redact": ["dates", "ids", "whitespace", {"pattern": "e", "with": "ee"}]});
        for answer in ["Sent  at 10:30\r\n", "a\u{202e}b\x1b[1m", "---\nx\n---", "\n\n  indented\n", "…\tä"] {
            let mut with = args.clone();
            with["approved"] = Value::Null;
            let checks = [CheckSpec::plain("snapshot", with)];
            let proposal = approval(&checks).unwrap().proposal(answer).unwrap();
            let outcome = said(&args, Some(&format!("{proposal}\n")), &[answer]);
            assert_eq!(outcome, "pass 1.000: is the approved answer", "{answer:?}");
        }
    }
}
