//! Understanding of a text: lines and sentences under their headings, apart from the instructions among them.

use super::instructions::{Instructions, Meaning, Rule, meaning};
use super::words::{Term, terms, words};
use std::borrow::Cow;

/// Passages beyond this many are not read.
const MOST_PASSAGES: usize = 5_000;

#[derive(Clone, Debug)]
pub(super) struct Passage {
    /// What is said when it answers.
    pub(super) text: String,
    /// Position of its heading in [`Document::headings`].
    pub(super) heading: Option<usize>,
    /// What it is about.
    pub(super) terms: Vec<Term>,
    /// What its surroundings are about: its heading, and the sentence that its first pronoun points to.
    pub(super) context: Vec<Term>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) passages: Vec<Passage>,
    pub(super) headings: Vec<String>,
    pub(super) instructions: Instructions,
}

impl Document {
    /// Reads a text: instructions are taken out, all else becomes passages.
    pub(super) fn read(text: &str) -> Document {
        let mut document = Document::default();
        let mut heading = None;
        for line in unwrapped(text) {
            let line = bare(&line);
            if line.is_empty() {
                continue;
            }
            if let Some(title) = heading_of(line) {
                document.headings.push(title.to_owned());
                heading = Some(document.headings.len() - 1);
                continue;
            }
            document.read_line(line, heading);
        }
        document
    }

    fn read_line(&mut self, line: &str, heading: Option<usize>) {
        let mut heading = heading;
        let mut line = line;
        if let Some((label, rest)) = label_of(line)
            && matches!(meaning(line), Meaning::Fact)
        {
            self.headings.push(label.to_owned());
            heading = Some(self.headings.len() - 1);
            line = rest;
        }
        let mut before: Option<usize> = None;
        let mut question: Vec<Term> = Vec::new();
        let mut rest = sentences(line).peekable();
        while let Some(sentence) = rest.next() {
            // "Late? We wait." A question in a text is about what follows it.
            if sentence.ends_with('?') && rest.peek().is_some() {
                question.extend(terms(sentence));
                continue;
            }
            if self.passages.len() >= MOST_PASSAGES {
                return;
            }
            match meaning(sentence) {
                Meaning::Instruction => self.instructions.obey(sentence),
                Meaning::Refusal(text) => self.instructions.refusal = Some(text),
                Meaning::Rule(Rule { condition, reply }) => {
                    let terms = terms(&condition).collect();
                    self.passages.push(Passage { text: reply, heading, terms, context: Vec::new() });
                }
                Meaning::Fact => {
                    let mut context = std::mem::take(&mut question);
                    if let Some(heading) = heading {
                        context.extend(terms(&self.headings[heading]));
                    }
                    if let Some(before) = before
                        && points_back(sentence)
                    {
                        context.extend_from_slice(&self.passages[before].terms);
                    }
                    before = Some(self.passages.len());
                    self.passages.push(Passage {
                        text: sentence.to_owned(),
                        heading,
                        terms: terms(sentence).collect(),
                        context,
                    });
                }
            }
        }
    }

    /// The heading over a passage.
    pub(super) fn heading(&self, passage: &Passage) -> Option<&str> {
        passage.heading.map(|at| self.headings[at].as_str())
    }
}

/// The lines of a text; a long line without an end goes on with the next one, if that is neither empty nor a list item or
/// a heading.
fn unwrapped(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    const LONG: usize = 60;
    let mut lines = text.lines().map(str::trim).peekable();
    std::iter::from_fn(move || {
        let mut whole = Cow::Borrowed(lines.next()?);
        while whole.len() >= LONG
            && !whole.ends_with(['.', '!', '?', ':', '|', '"', '”'])
            && let Some(next) = lines.next_if(|next| next.starts_with(char::is_alphanumeric) && bare(next) == *next)
        {
            whole.to_mut().push(' ');
            whole.to_mut().push_str(next);
        }
        Some(whole)
    })
}

/// A line without bullets, numbering and bold marks around it.
fn bare(line: &str) -> &str {
    let line = line.trim();
    let line = line
        .strip_prefix("- ")
        .or_else(|| line.strip_prefix("* "))
        .or_else(|| line.strip_prefix("• "))
        .or_else(|| line.strip_prefix("> "))
        .unwrap_or(line);
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let line = match line.get(digits..) {
        Some(rest) if (1..=2).contains(&digits) => {
            rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") ")).unwrap_or(line)
        }
        _ => line,
    };
    line.trim_matches(['|', ' '])
}

/// A heading: `# Title`, `**Title**`, a short line that ends with a colon, or a short question alone on its line.
fn heading_of(line: &str) -> Option<&str> {
    if line.starts_with('#') {
        return Some(line.trim_matches(['#', ' ', ':']));
    }
    if let Some(title) = line.strip_prefix("**").and_then(|rest| rest.strip_suffix("**")) {
        return Some(title.trim_end_matches(':'));
    }
    let title = line.strip_suffix(':').or_else(|| line.ends_with('?').then_some(line))?;
    (words(title).count() <= 8 && !title.contains(". ") && matches!(meaning(title), Meaning::Fact)).then_some(title)
}

/// A label before its text: `Opening hours: weekdays from 9 to 5`.
fn label_of(line: &str) -> Option<(&str, &str)> {
    let (label, rest) = line.split_once(": ")?;
    let rest = rest.trim();
    let label = label.trim_matches('*');
    ((1..=5).contains(&words(label).count())
        && words(rest).count() >= 3
        && !rest.starts_with(char::is_lowercase)
        && !label.contains(['.', '?', '"', ',']))
    .then_some((label, rest.trim_start_matches("** ")))
}

/// The sentence leans on the one before it.
fn points_back(sentence: &str) -> bool {
    const POINTERS: [&str; 9] = ["it", "this", "they", "these", "that", "then", "otherwise", "after", "those"];
    words(sentence).next().is_some_and(|word| POINTERS.iter().any(|pointer| word.text.eq_ignore_ascii_case(pointer)))
}

/// Splits a line after `.`, `!` or `?` and the quotes that follow it, if the next sentence starts like one.
pub(super) fn sentences(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = sentence_end(rest);
        let sentence = rest[..end].trim();
        rest = rest[end..].trim_start();
        Some(sentence)
    })
}

fn sentence_end(text: &str) -> usize {
    const ABBREVIATIONS: [&str; 12] = ["e.g", "i.e", "etc", "mr", "mrs", "ms", "dr", "no", "vs", "approx", "st", "a.m"];
    let bytes = text.as_bytes();
    let mut from = 0;
    // A quotation is part of its sentence, however many sentences are quoted.
    let mut quoted = false;
    while let Some(found) = text[from..].find(['.', '!', '?', '"', '“', '”']) {
        let at = from + found;
        match bytes[at] {
            b'"' => {
                quoted = !quoted;
                from = at + 1;
                continue;
            }
            b'.' | b'!' | b'?' => {}
            _ => {
                quoted = text[at..].starts_with('“');
                from = at + '“'.len_utf8();
                continue;
            }
        }
        let mark = bytes[at];
        let mut end = at + 1;
        while let Some(c) =
            text[end..].chars().next().filter(|c| matches!(c, '"' | '”' | '\'' | ')' | '*' | '.' | '!' | '?'))
        {
            if matches!(c, '"' | '”') {
                quoted = false;
            }
            end += c.len_utf8();
        }
        from = end;
        let after = &text[end..];
        if after.is_empty() || quoted || !after.starts_with(char::is_whitespace) {
            continue;
        }
        let next = after.trim_start().chars().next();
        let starts =
            next.is_none_or(|c| c.is_uppercase() || c.is_ascii_digit() || matches!(c, '"' | '“' | '(' | '*' | '\''));
        let last_word = text[..at].rsplit([' ', '(']).next().unwrap_or_default().to_ascii_lowercase();
        let abbreviated = mark == b'.' && (last_word.len() == 1 || ABBREVIATIONS.contains(&last_word.as_str()));
        if starts && !abbreviated {
            return end;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_people_end_them() {
        for (line, expected) in [
            ("One. Two! Three? four.", &["One.", "Two!", "Three? four."][..]),
            ("It costs 4.90 a day. Ask.", &["It costs 4.90 a day.", "Ask."]),
            ("Use a box, e.g. Brown ones. Fine.", &["Use a box, e.g. Brown ones.", "Fine."]),
            (r#"Say "No. Not now." and stop. Done."#, &[r#"Say "No. Not now." and stop."#, "Done."]),
            (r#"Reply "No." Then stop."#, &[r#"Reply "No.""#, "Then stop."]),
            ("", &[]),
            ("no end", &["no end"]),
        ] {
            assert_eq!(sentences(line).collect::<Vec<_>>(), expected, "{line}");
        }
    }

    #[test]
    fn structure_is_read() {
        let document = Document::read(
            "You are a guide.\n\n# Opening hours\n- We open at nine. It is earlier in May.\n\n**Prices:**\n1. Adults: Five euros a day\n2. Children: one euro a day. Late? We wait.\nAnswer in one sentence.",
        );
        let seen: Vec<_> =
            document.passages.iter().map(|p| (document.heading(p).unwrap_or(""), p.text.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("Opening hours", "We open at nine."),
                ("Opening hours", "It is earlier in May."),
                ("Adults", "Five euros a day"),
                ("Prices", "Children: one euro a day."),
                ("Prices", "We wait."),
            ]
        );
        assert_eq!(document.instructions.max_sentences, Some(1));
        assert!(document.passages[1].context.contains(&super::super::words::term("nine")));
    }

    #[test]
    fn wrapped_lines_are_one() {
        let text = "The zoo is open from nine in the morning until the last visitor\nhas left. It is closed\non Mondays.\n- one\n- two";
        let lines: Vec<_> = unwrapped(text).collect();
        assert_eq!(
            lines,
            [
                "The zoo is open from nine in the morning until the last visitor has left. It is closed on Mondays.",
                "- one",
                "- two"
            ]
        );
    }

    #[test]
    fn a_rule_answers_with_its_quotation() {
        let document = Document::read(r#"If someone asks about lions, reply "Lions sleep.""#);
        assert_eq!(document.passages[0].text, "Lions sleep.");
        assert!(document.passages[0].terms.contains(&super::super::words::term("lion")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,200}") {
            let document = Document::read(&text);
            for passage in &document.passages {
                proptest::prop_assert!(!passage.text.contains('\n'));
            }
            let whole: usize = sentences(&text).map(str::len).sum();
            proptest::prop_assert!(whole <= text.len());
        }
    }
}
