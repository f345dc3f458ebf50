//! The turns of a request: its question, what may answer it besides the system instruction, and what was said before.

use super::body::{get, list};
use super::instructions::{Instructions, Meaning, meaning};
use super::reader::{Document, sentences};
use serde_json::Value;

/// Weight of the last earlier turn of the person, of older ones, and of the model's last turn.
const EARLIER: [f32; 3] = [0.35, 0.15, 0.2];

pub(super) struct Turns {
    pub(super) question: String,
    /// What the question's turn, and functions, said besides.
    pub(super) context: Document,
    /// Earlier turns with their weights.
    pub(super) earlier: Vec<(String, f32)>,
    /// The last turn is a function's response.
    pub(super) answered: bool,
}

impl Turns {
    pub(super) fn read(body: &Value) -> Turns {
        let contents = list(body, "contents");
        let is_user = |content: &Value| get(content, "role").and_then(Value::as_str) != Some("model");
        let asking = contents.iter().rposition(|content| is_user(content) && !text_of(content).trim().is_empty());
        let said = asking.map(|at| text_of(&contents[at])).unwrap_or_default();
        let (question, mut rest) = split_question(&said);

        let mut earlier = Vec::new();
        let (mut people, mut models) = (0, 0);
        for content in contents[..asking.unwrap_or(0)].iter().rev() {
            let text = text_of(content);
            if is_user(content) {
                earlier.push((text, EARLIER[usize::from(people > 0)]));
                people += 1;
            } else if models == 0 {
                earlier.push((text, EARLIER[2]));
                models += 1;
            }
        }
        for content in contents {
            for part in list(content, "parts") {
                if let Some(response) = get(part, "functionResponse").and_then(|call| get(call, "response")) {
                    rest.push('\n');
                    spell(response, "", &mut rest, 8);
                }
            }
        }
        let answered = contents
            .last()
            .is_some_and(|content| list(content, "parts").iter().any(|part| get(part, "functionResponse").is_some()));
        Turns {
            question,
            context: if rest.trim().is_empty() { Document::default() } else { Document::read(&rest) },
            earlier,
            answered,
        }
    }
}

/// The text parts of a content, thoughts left out.
pub(super) fn text_of(content: &Value) -> String {
    let mut text = String::new();
    for part in list(content, "parts") {
        if get(part, "thought") != Some(&Value::Bool(true))
            && let Some(said) = get(part, "text").and_then(Value::as_str)
        {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(said);
        }
    }
    text
}

/// The question of a turn, and the rest, which is something to answer from. A short turn is all question; a long one may
/// mark its question with `Question:`, else its question sentences are the question.
fn split_question(said: &str) -> (String, String) {
    const SHORT: usize = 5;
    let marked = said.match_indices("uestion:").last().filter(|(at, _)| said[..*at].ends_with(['Q', 'q']));
    if let Some((at, mark)) = marked {
        return (said[at + mark.len()..].trim().to_owned(), said[..at - 1].to_owned());
    }
    let all: Vec<&str> = said.lines().flat_map(sentences).collect();
    if all.len() < SHORT || !said.contains('?') {
        return match (all.len() < SHORT, all.last()) {
            (false, Some(last)) if said.lines().count() > 1 => ((*last).to_owned(), said.to_owned()),
            _ => (said.to_owned(), String::new()),
        };
    }
    let (mut question, mut rest) = (String::new(), String::new());
    for sentence in all {
        let asks = sentence.ends_with('?') || meaning(sentence) == Meaning::Instruction;
        let side = if asks { &mut question } else { &mut rest };
        side.push_str(sentence);
        side.push('\n');
    }
    (question, rest)
}

/// Spells a function's response out as lines.
fn spell(value: &Value, key: &str, out: &mut String, depth: usize) {
    if depth == 0 {
        return;
    }
    let mut line = |text: &str| {
        out.push_str(&key.replace('_', " "));
        out.push(' ');
        out.push_str(text);
        out.push('\n');
    };
    match value {
        Value::Null => {}
        Value::Bool(yes) => line(if *yes { "yes" } else { "no" }),
        Value::Number(number) => line(&number.to_string()),
        Value::String(text) => line(text),
        Value::Array(items) => items.iter().for_each(|item| spell(item, key, out, depth - 1)),
        Value::Object(map) => map.iter().for_each(|(key, item)| spell(item, key, out, depth - 1)),
    }
}

/// The sentences of a question that say what it is about: all but orders, unless it is nothing else.
pub(super) fn topics(question: &str) -> Vec<&str> {
    let all = || question.lines().flat_map(sentences);
    let topics: Vec<&str> = all().filter(|sentence| meaning(sentence) == Meaning::Fact).collect();
    if topics.is_empty() { all().collect() } else { topics }
}

/// Orders in a question: whole sentences, and forms that are named in passing ("in one word, …").
pub(super) fn orders_of(question: &str) -> Instructions {
    let mut orders = Instructions::default();
    for sentence in question.lines().flat_map(sentences) {
        match meaning(sentence) {
            Meaning::Instruction => orders.obey(sentence),
            Meaning::Fact | Meaning::Refusal(_) | Meaning::Rule(_) => orders.obey_in_passing(sentence),
        }
    }
    orders
}
