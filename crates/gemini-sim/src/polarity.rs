//! Yes or no: reads it off a passage, with the one piece of arithmetic that rules need, comparing an amount with a limit.

use super::rank::Query;
use super::words::{Term, term, words};

#[derive(Clone, Debug)]
pub(super) struct Amount<'a> {
    pub(super) value: f64,
    pub(super) text: &'a str,
    /// Byte offset in the text.
    pub(super) start: usize,
    /// Terms of the two words after it, what is counted.
    pub(super) unit: [Option<Term>; 2],
}

/// Numbers of a text beyond this many are not read.
const MOST_AMOUNTS: usize = 64;

/// The numbers of a text, in order.
pub(super) fn amounts(text: &str) -> Vec<Amount<'_>> {
    if !text.bytes().any(|b| b.is_ascii_digit()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for word in words(text) {
        let Ok(value) = word.text.replace(',', "").parse::<f64>() else {
            continue;
        };
        if found.len() >= MOST_AMOUNTS {
            break;
        }
        let mut after = words(&text[word.start + word.text.len()..]).take(2).map(|next| next.term);
        found.push(Amount { value, text: word.text, start: word.start, unit: [after.next(), after.next()] });
    }
    found
}

/// How a limit is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// The limit itself and less is fine.
    AtMost,
    /// The limit itself and more is fine.
    AtLeast,
}

fn limit_before(text: &str) -> Option<Limit> {
    const AT_MOST: [&str; 8] =
        ["within", "up to", "at most", "under", "less than", "no more than", "maximum of", "in the first"];
    const AT_LEAST: [&str; 5] = ["over", "more than", "at least", "from", "minimum of"];
    let before = text.trim_end_matches(|c: char| c.is_whitespace() || !c.is_ascii() || matches!(c, '$' | '('));
    let before = before.strip_suffix(" the").unwrap_or(before);
    let tail = &before[before.floor_char_boundary(before.len().saturating_sub(16))..];
    let tail = tail.to_ascii_lowercase();
    let ends = |signs: &[&str]| signs.iter().any(|sign| tail.ends_with(sign));
    if ends(&AT_MOST) {
        Some(Limit::AtMost)
    } else if ends(&AT_LEAST) {
        Some(Limit::AtLeast)
    } else {
        None
    }
}

/// The question's amount against the passage's limit with the same unit: `Some(true)` if it keeps the limit.
fn keeps_limit(question: &str, passage: &str) -> Option<bool> {
    let of_question = amounts(question);
    if of_question.is_empty() {
        return None;
    }
    for limit in amounts(passage) {
        let Some(kind) = limit_before(&passage[..limit.start]) else {
            continue;
        };
        for amount in &of_question {
            let same_unit = amount.unit[0].is_some() && amount.unit[0] == limit.unit[0];
            let money = |text: &str, start: usize| text[..start].ends_with(['£', '€', '$']);
            if same_unit || (money(question, amount.start) && money(passage, limit.start)) {
                return Some(match kind {
                    Limit::AtMost => amount.value <= limit.value,
                    Limit::AtLeast => amount.value >= limit.value,
                });
            }
        }
    }
    None
}

/// `true` for yes. The part of the passage that is nearest to the question decides; a broken limit turns a yes into a no.
pub(super) fn is_yes(question: &str, passage: &str, query: &Query) -> bool {
    let clause = nearest_clause(passage, query);
    if denies(clause) {
        return false;
    }
    keeps_limit(question, passage).unwrap_or(true)
}

/// The clause that shares most terms with the question; the first of equals.
fn nearest_clause<'a>(passage: &'a str, query: &Query) -> &'a str {
    const BREAKS: [&str; 6] = [", but ", "; ", ", unless ", ", except ", " but ", ", not "];
    let mut clauses = vec![passage];
    for mark in BREAKS {
        clauses = clauses
            .into_iter()
            .flat_map(|clause| match clause.find(mark) {
                // The mark stays with the second part: its "not" belongs there.
                Some(at) => vec![&clause[..at], &clause[at..]],
                None => vec![clause],
            })
            .collect();
    }
    let share = |clause: &str| {
        let content = || words(clause).filter(|word| !word.stop);
        let shared = content().filter(|word| query.has(word.term)).count() as f32;
        // Of clauses that share as many, the one with least besides.
        shared + shared / content().count().max(1) as f32
    };
    let mut best = clauses[0];
    let mut most = share(best);
    for clause in &clauses[1..] {
        let share = share(clause);
        if share > most {
            (best, most) = (clause, share);
        }
    }
    best
}

fn denies(clause: &str) -> bool {
    const DENIALS: [&str; 16] = [
        "not", "no", "never", "cannot", "can't", "won't", "don't", "doesn't", "isn't", "aren't", "nor", "nothing",
        "unable", "neither", "none", "excluded",
    ];
    words(clause).any(|word| {
        let text = word.text.replace('’', "'");
        DENIALS.iter().any(|denial| text.eq_ignore_ascii_case(denial))
    })
}

/// The question can be answered with yes or no: its last question sentence, or a clause of it, starts with an auxiliary.
pub(super) fn asks_yes_or_no(question: &str) -> bool {
    const AUXILIARIES: [&str; 24] = [
        "am", "are", "aren't", "can", "can't", "could", "did", "didn't", "do", "does", "doesn't", "don't", "has",
        "have", "is", "isn't", "may", "must", "shall", "should", "was", "will", "won't", "would",
    ];
    const OPENERS: [&str; 9] = ["and", "but", "so", "hi", "hello", "ok", "also", "then", "hey"];
    const ASKING: [&str; 9] = ["how", "what", "when", "where", "which", "who", "why", "whose", "whom"];
    let Some(sentence) = super::reader::sentences(question).filter(|s| s.ends_with('?')).last() else {
        return false;
    };
    for clause in sentence.split([',', ':', ';', '–', '—']) {
        let first = words(clause)
            .map(|word| word.text.to_ascii_lowercase().replace('’', "'"))
            .find(|word| !OPENERS.contains(&word.as_str()));
        let Some(first) = first else { continue };
        if ASKING.contains(&first.as_str()) {
            return false;
        }
        if AUXILIARIES.contains(&first.as_str()) {
            return true;
        }
    }
    false
}

/// The question asks for an amount or a time.
pub(super) fn asks_number(question: &str) -> bool {
    let how = term("how");
    let mut before = None;
    for word in words(question) {
        let after_how = before == Some(how)
            && ["many", "much", "long", "soon", "late", "old", "far", "big", "heavy", "fast", "quickly", "often"]
                .iter()
                .any(|sign| word.text.eq_ignore_ascii_case(sign));
        if after_how || ["when", "deadline", "cost", "costs"].iter().any(|sign| word.text.eq_ignore_ascii_case(sign)) {
            return true;
        }
        before = Some(word.term);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::terms;

    fn yes(question: &str, passage: &str) -> bool {
        is_yes(question, passage, &Query::of(terms(question)))
    }

    #[test]
    fn passages_say_yes_or_no() {
        for (question, passage, expected) in [
            ("Can I feed the lions?", "Visitors may feed the lions.", true),
            ("Can I feed the lions?", "Nobody may feed the lions, not even keepers.", true),
            ("Can I feed the lions?", "You cannot feed the lions.", false),
            ("Can I bring a dog?", "You may bring a child, but not a dog.", false),
            ("Can I bring a child?", "You may bring a child, but not a dog.", true),
            ("Is a visit of 3 hours fine?", "You may stay for up to 2 hours.", false),
            ("Is a visit of 2 hours fine?", "You may stay for up to 2 hours.", true),
            ("Is a ticket of £9 enough?", "The tour is open from £12.", false),
        ] {
            assert_eq!(yes(question, passage), expected, "{question} {passage}");
        }
    }

    #[test]
    fn kinds_of_questions_are_told_apart() {
        for (question, yes_or_no) in [
            ("Can I come?", true),
            ("Hi, is it open?", true),
            ("If it rains, do you close?", true),
            ("What can I do?", false),
            ("I am late. How long is it open?", false),
            ("Tell me more.", false),
        ] {
            assert_eq!(asks_yes_or_no(question), yes_or_no, "{question}");
        }
        assert!(asks_number("And how much is it?"));
        assert!(!asks_number("Who is it?"));
    }

    #[test]
    fn amounts_have_units() {
        let found = amounts("It is 4.50 euros for 2 days");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].text, "4.50");
        assert_eq!(found[1].unit[0], Some(term("days")));
    }
}
