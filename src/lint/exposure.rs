//! What should not stand where it stands: secrets and personal data in cases, and in prompts what the cases expect or ask.

use super::claims::{Claim, expected_texts};
use super::finding::{Finding, Findings, Level};
use super::words::{START, hash, words};
use super::{Matchers, named};
use crate::domain::{Case, CheckSpec, Place};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// An expected text of at least so many words is found in prompts. Shorter ones (`30 days`) are facts that a prompt must
/// be free to tell.
pub(super) const EXPECTED_WORDS: usize = 8;

/// The value of a variable of at least so many words is found in prompts.
pub(super) const INPUT_WORDS: usize = 5;

/// How many places of the same run of words are remembered.
const PLACES: usize = 8;

/// A file of a prompt, searched for answers.
#[derive(Clone, Debug)]
pub struct PromptText {
    pub file: Arc<str>,
    pub text: Arc<str>,
}

/// The words of all prompts, by runs of [`INPUT_WORDS`] words.
#[derive(Default)]
pub(super) struct Exposure {
    files: Vec<File>,
    runs: HashMap<u64, Vec<(u32, u32)>>,
}

struct File {
    text: PromptText,
    /// Hash and byte of each word.
    words: Vec<(u64, usize)>,
}

impl Exposure {
    pub(super) fn new(prompts: &[PromptText]) -> Exposure {
        let mut exposure = Exposure::default();
        for (number, prompt) in prompts.iter().enumerate() {
            let words: Vec<(u64, usize)> =
                words(&prompt.text).map(|(at, word)| (hash(START, word.as_bytes()), at)).collect();
            for (at, run) in words.windows(INPUT_WORDS).enumerate() {
                let places = exposure.runs.entry(run_hash(run.iter().map(|(word, _)| *word))).or_default();
                if places.len() < PLACES {
                    places.push((number as u32, at as u32));
                }
            }
            exposure.files.push(File { text: prompt.clone(), words });
        }
        exposure
    }

    pub(super) fn check_case(&self, case: &Case, claims: &[Claim], matchers: &dyn Matchers, findings: &mut Findings) {
        for (place, text) in texts(case) {
            check_private_data(case, &place, text, matchers, findings);
        }
        if self.files.is_empty() {
            return;
        }
        let mut leaky_checks = BTreeSet::new();
        for claim in claims {
            for text in expected_texts(claim, matchers) {
                if let Some((count, place)) = self.find(&text, EXPECTED_WORDS)
                    && leaky_checks.insert(claim.from)
                    && let Some(check) = case.checks.get(claim.from)
                {
                    let name = named(claim.from, check, matchers);
                    let message = format!(
                        "the prompt gives the answer away: what {name} expects, {count} words, stands at {place}"
                    );
                    let help = "keep answers of golden cases out of prompts, or the case measures copying";
                    findings.push(Finding::at(&case.place, Level::Warning, "leaked-answer", message, help));
                }
            }
        }
        for (name, value) in &case.vars {
            if let Some((count, place)) = value.as_str().and_then(|text| self.find(text, INPUT_WORDS)) {
                let message = format!(
                    "the case is an example in the prompt: its variable `{name}`, {count} words, stands at {place}"
                );
                let help = "take another example into the prompt, or leave the case out: the model has seen it";
                findings.push(Finding::at(&case.place, Level::Warning, "leaked-input", message, help));
            }
        }
    }

    /// How many words the text has, and where all of them stand in a row in a prompt for the first time.
    fn find(&self, text: &str, fewest: usize) -> Option<(usize, Place)> {
        let wanted: Vec<u64> = words(text).map(|(_, word)| hash(START, word.as_bytes())).collect();
        if wanted.len() < fewest {
            return None;
        }
        let run = wanted.get(..INPUT_WORDS)?;
        let places = self.runs.get(&run_hash(run.iter().copied()))?;
        places.iter().find_map(|(file, at)| {
            let file = self.files.get(*file as usize)?;
            let found = file.words.get(*at as usize..*at as usize + wanted.len())?;
            let same = found.iter().map(|(word, _)| word).eq(wanted.iter());
            let (_, byte) = *found.first().filter(|_| same)?;
            Some((wanted.len(), Place::of_offset(Arc::clone(&file.text.file), &file.text.text, byte)))
        })
    }
}

fn run_hash(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(START, |sum, word| hash(sum, &word.to_le_bytes()))
}

/// Every text of a case with a name for it.
fn texts(case: &Case) -> Vec<(String, &str)> {
    let mut texts = Vec::new();
    for (name, value) in &case.vars {
        strings(value, &mut |text| texts.push((format!("the variable `{name}`"), text)));
    }
    for (number, turn) in case.history.iter().enumerate() {
        texts.push((format!("turn {} of the history", number + 1), turn.text.as_str()));
    }
    for (number, check) in case.checks.iter().enumerate() {
        strings(&check.args, &mut |text| texts.push((format!("check {}", number + 1), text)));
    }
    for (number, label) in case.labels.iter().enumerate() {
        texts.push((format!("label {}", number + 1), label.answer.as_str()));
    }
    if let Some(notes) = &case.notes {
        texts.push(("`notes`".to_owned(), notes));
    }
    texts
}

/// All texts in a value. Depth is bounded: the value was parsed with a limit.
fn strings<'a>(value: &'a Value, each: &mut impl FnMut(&'a str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(list) => list.iter().for_each(|value| strings(value, each)),
        Value::Object(map) => map.values().for_each(|value| strings(value, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Secrets and personal data in one text of a case. One finding a kind.
fn check_private_data(case: &Case, place: &str, text: &str, matchers: &dyn Matchers, findings: &mut Findings) {
    let mut kinds = BTreeSet::new();
    for (kind, at) in matchers.secrets(text) {
        let found = text.get(at).unwrap_or_default();
        if !allowed(case, "no_secrets", found) && kinds.insert(kind) {
            let message = format!("{place} holds what looks like a {kind}");
            let help = "revoke it and replace it by a made-up one; where it is made up, name it under `allow` of a \
                        `no_secrets` check of the case";
            findings.push(Finding::at(&case.place, Level::Error, "secret", message, help));
        }
    }
    for (kind, at) in matchers.personal_data(text) {
        let found = text.get(at).unwrap_or_default();
        if !reserved(kind, found) && !allowed(case, "no_pii", found) && kinds.insert(kind) {
            let message = format!("{place} holds what looks like personal data ({kind})");
            let help = "use made-up data, like ann@shop.example or 555-0100; where it must stand, name it under `allow` of \
                        a `no_pii` check of the case";
            findings.push(Finding::at(&case.place, Level::Warning, "personal-data", message, help));
        }
    }
}

/// The case itself says that this may stand there.
fn allowed(case: &Case, matcher: &str, found: &str) -> bool {
    let checks = case.checks.iter().filter(|check| check.matcher == matcher);
    let mut texts = checks.filter_map(|check: &CheckSpec| check.args.get("allow")?.as_array());
    texts.any(|texts| texts.iter().filter_map(Value::as_str).any(|text| is_allowed(text, found)))
}

fn is_allowed(allowed: &str, found: &str) -> bool {
    let (allowed, found) = (bare(allowed), bare(found));
    allowed == found || (allowed.starts_with('@') && found.ends_with(&*allowed))
}

/// Without letter case and, in numbers, without what stands between the digits.
fn bare(text: &str) -> Cow<'_, str> {
    let lower = text.trim().to_lowercase();
    if lower.contains('@') || lower.chars().any(char::is_alphabetic) {
        return Cow::Owned(lower);
    }
    Cow::Owned(lower.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect())
}

/// Nobody's: domains that RFC 2606 and RFC 6761 set aside, and the numbers 555-0100 to 555-0199 of fiction.
fn reserved(kind: &str, found: &str) -> bool {
    match kind {
        "email" => {
            let domain = found.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
            let is = |reserved: &str| domain == reserved || domain.ends_with(&format!(".{reserved}"));
            ["example", "test", "invalid", "localhost", "example.com", "example.net", "example.org"].into_iter().any(is)
        }
        "phone" => {
            let digits: String = found.chars().filter(char::is_ascii_digit).collect();
            let local = digits.len().checked_sub(7).and_then(|at| digits.get(at..));
            local.is_some_and(|local| local.starts_with("55501"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_data_are_nobodys() {
        for (kind, text, nobodys) in [
            ("email", "ann@shop.example", true),
            ("email", "ann@mail.EXAMPLE.com", true),
            ("email", "ann@myexample.com", false),
            ("phone", "(212) 555-0123", true),
            ("phone", "212-555-0923", false),
            ("phone", "+1 212 555 0199", true),
            ("iban", "example.com", false),
        ] {
            assert_eq!(reserved(kind, text), nobodys, "{text}");
        }
        assert!(is_allowed("@firm.com", "Ann@Firm.com"));
        assert!(!is_allowed("firm.com", "ann@firm.com"));
        assert!(is_allowed("4111-1111-1111-1111", "4111 1111 1111 1111"));
    }

    #[test]
    fn only_whole_texts_of_enough_words_are_found() {
        let prompt = |text: &str| PromptText { file: "p".into(), text: text.into() };
        let exposure = Exposure::new(&[
            prompt("You may return unused items"),
            prompt(
                "Q: Can I\nreturn worn boots, or not?\nA: You may return unused items within thirty days of delivery.",
            ),
        ]);
        let find = |text: &str, fewest| exposure.find(text, fewest).map(|(words, place)| format!("{words} {place}"));
        assert_eq!(find("can i return worn boots or NOT", 5).as_deref(), Some("7 p:1:4"));
        assert_eq!(
            find("you may return unused items within thirty days of delivery", 8).as_deref(),
            Some("10 p:3:4"),
            "the second place of its first words"
        );
        assert_eq!(find("return worn boots", 5), None);
        assert_eq!(find("you may return unused items within forty days", 8), None);
        assert_eq!(find("thirty days of delivery and not one more day", 8), None);
    }
}
