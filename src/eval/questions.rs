//! What a run asks, without what can't matter to an answer: white space and invisible characters, ids, names of checks, the
//! order of the cases, and other names of a model. Whoever asks the same in another spelling looks at the same again.

use crate::domain::{Case, digest};
use serde_json::Value;
use std::collections::HashMap;

/// A request as it goes over the wire, and its model.
pub(crate) type WireRequest<'a> = (&'a [u8], &'a str);

/// Gathers the questions of the selected cases. About 80 bytes a case.
#[derive(Debug, Default)]
pub(crate) struct QuestionDigests {
    /// What both arms are asked, a case each. Cases that ask the same are told apart by their number.
    questions: Vec<[u8; 32]>,
    times: HashMap<[u8; 32], u32>,
    series: Sum,
    set: Sum,
}

/// What identifies looks at the same.
#[derive(Debug)]
pub(crate) struct Identities {
    pub(crate) questions: Vec<[u8; 32]>,
    /// Both prompts, cases and checks.
    pub(crate) series: [u8; 32],
    /// The same without the candidate.
    pub(crate) set: [u8; 32],
}

impl QuestionDigests {
    pub(crate) fn add(
        &mut self,
        service: &str,
        case: &Case,
        baseline: Option<WireRequest<'_>>,
        candidate: WireRequest<'_>,
    ) {
        let request = |(body, model): WireRequest<'_>| digest([plain_model(model).as_bytes(), &plain_body(body)]);
        let baseline = baseline.map_or([0; 32], request);
        let question = digest([service.as_bytes(), &baseline, &request(candidate)]);
        let demands = demands(case);
        self.series.add(digest([question, demands].iter().map(<[u8; 32]>::as_slice)));
        self.set.add(digest([service.as_bytes(), &baseline, &demands]));
        let times = self.times.entry(question).or_default();
        self.questions.push(digest([question.as_slice(), &times.to_le_bytes()]));
        *times += 1;
    }

    pub(crate) fn finish(self) -> Identities {
        Identities { questions: self.questions, series: self.series.digest(), set: self.set.digest() }
    }
}

/// A sum of digests: the same in whichever order they come.
#[derive(Debug, Default)]
struct Sum([u64; 4]);

impl Sum {
    fn add(&mut self, digest: [u8; 32]) {
        for (lane, bytes) in self.0.iter_mut().zip(digest.as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*bytes));
        }
    }

    fn digest(&self) -> [u8; 32] {
        digest(self.0.map(u64::to_le_bytes).iter().map(<[u8; 8]>::as_slice))
    }
}

/// What a case demands of its answers, and what it counts.
fn demands(case: &Case) -> [u8; 32] {
    let checks: Vec<_> =
        case.checks.iter().map(|check| (&check.matcher, &check.args, check.weight, check.advisory)).collect();
    let demands = (checks, &case.tags, case.weight, case.cluster.as_deref(), case.critical);
    // Texts, numbers and JSON become JSON always.
    digest([serde_json::to_vec(&demands).unwrap_or_default().as_slice()])
}

/// A body without white space in its texts; as it is if it is no JSON.
fn plain_body(body: &[u8]) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice(body) else { return body.to_vec() };
    strip(&mut json);
    json.to_string().into_bytes()
}

fn strip(json: &mut Value) {
    match json {
        Value::String(text) => text.retain(|c| !is_blank(c)),
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(fields) => fields.values_mut().for_each(strip),
        // 1 and 1.0 are one number.
        Value::Number(number) => *json = number.as_f64().map_or(Value::Null, Value::from),
        Value::Null | Value::Bool(_) => {}
    }
}

/// White space, and what shows as nothing: control characters, joiners, marks of direction, selectors of variants, fillers, and
/// the empty Braille pattern; those of Unicode's Default_Ignorable_Code_Point among them.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'
                ..='\u{180f}'
        )
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}')
        || matches!(c, '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The name of a model without its collection, and without what says which of its versions is meant.
fn plain_model(model: &str) -> String {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let name = name.strip_suffix("-latest").unwrap_or(&name);
    match name.rsplit_once('-') {
        Some((family, version)) if version.len() == 3 && version.bytes().all(|byte| byte.is_ascii_digit()) => {
            family.to_owned()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CheckSpec;
    use serde_json::json;

    fn case(id: &str, text: &str) -> Case {
        Case { checks: vec![CheckSpec::plain("contains", json!(text))], ..Case::new(id) }
    }

    fn identities(cases: &[(Case, &str, &str)]) -> Identities {
        let mut digests = QuestionDigests::default();
        for (case, baseline, candidate) in cases {
            let body = |text: &str| json!({"contents": [text], "temperature": 0.5}).to_string();
            digests.add("service", case, Some((body(baseline).as_bytes(), "m")), (body(candidate).as_bytes(), "m"));
        }
        digests.finish()
    }

    #[test]
    fn another_spelling_is_the_same_series() {
        let two = |one: &str, other: &str| {
            identities(&[(case(one, "x"), "Old.", "New one."), (case(other, "y"), "Old. 2", "New two.")])
        };
        let first = two("a", "b");
        let spelt = identities(&[
            (case("c", "y"), "Old.\n2", "New\u{200b} two.\u{3164}\u{2800} "),
            (
                Case {
                    checks: vec![CheckSpec { name: Some("n".to_owned()), ..CheckSpec::plain("contains", json!("x")) }],
                    ..Case::new("d")
                },
                "Old.\t",
                "\u{feff}Newone.",
            ),
        ]);
        assert_eq!((first.series, first.set), (spelt.series, spelt.set));
        assert_eq!(first.questions, [spelt.questions[1], spelt.questions[0]]);
        let other = identities(&[(case("a", "x"), "Old.", "New 1."), (case("b", "y"), "Old. 2", "New two.")]);
        assert_ne!(first.series, other.series);
        assert_eq!(first.set, other.set);
        // Another check is another set, and the same question.
        let check = identities(&[(case("a", "z"), "Old.", "New one."), (case("b", "y"), "Old. 2", "New two.")]);
        assert_ne!((first.series, first.set), (check.series, check.set));
        assert_eq!(first.questions, check.questions);
    }

    #[test]
    fn a_number_is_one_in_every_form() {
        let plain = |body: &str| String::from_utf8(plain_body(body.as_bytes())).unwrap();
        assert_eq!(plain(r#"{"temperature": 1, "topP": 5e-1}"#), plain(r#"{"temperature": 1.0, "topP": 0.5}"#));
        assert_ne!(plain(r#"{"temperature": 1}"#), plain(r#"{"temperature": 1.5}"#));
    }

    #[test]
    fn cases_that_ask_the_same_have_questions_of_their_own() {
        let all = identities(&[(case("a", "x"), "Old.", "New."), (case("b", "y"), "Old.", "New.")]);
        assert_ne!(all.questions[0], all.questions[1]);
        let one = identities(&[(case("b", "y"), "Old.", "New.")]);
        assert_eq!(one.questions[0], all.questions[0]);
    }

    #[test]
    fn names_of_one_model_are_one() {
        for (name, plain) in [
            ("models/gemini-3.8-flash", "gemini-3.8-flash"),
            ("publishers/google/models/Gemini-3.8-flash-001", "gemini-3.8-flash"),
            ("gemini-flash-latest", "gemini-flash"),
            ("gemini-3.8-flash-lite", "gemini-3.8-flash-lite"),
        ] {
            assert_eq!(plain_model(name), plain);
        }
    }
}
