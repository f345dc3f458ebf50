//! Marks in rendered text: where a role, the history, media or a section starts.
//!
//! A mark stands between two tokens. The token is a digest over the template and all values, so no value can contain it:
//! a value would have to contain a digest of itself. It is the same for the same inputs.

use crate::domain::{Words, string_enum};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

string_enum! {
    pub enum Speaker {
        System = "system",
        User = "user",
        Model = "model",
    }
}

impl Speaker {
    pub fn parse(name: &str) -> Option<Speaker> {
        Speaker::WORDS.iter().find(|(word, _)| *word == name).map(|(_, speaker)| *speaker)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Role(Speaker),
    History,
    Media { url: String, content_type: Option<String> },
    Section(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Mark(Mark),
}

// Marks are written as JSON, because it has no line ends: an indented partial indents after each of them.

pub(super) fn role(speaker: Speaker) -> String {
    Value::from(vec!["role", speaker.as_str()]).to_string()
}

pub(super) fn history() -> String {
    Value::from(vec!["history"]).to_string()
}

pub(super) fn media(url: &str, content_type: Option<&str>) -> String {
    Value::from_iter(["media", url].into_iter().chain(content_type)).to_string()
}

pub(super) fn section(name: &str) -> String {
    Value::from(vec!["section", name]).to_string()
}

/// Splits rendered text at its marks. `None` if a mark was cut into pieces, which no template can do.
pub(super) fn split<'a>(rendered: &'a str, token: &str) -> Option<Vec<Piece<'a>>> {
    let mut pieces = Vec::new();
    for (index, text) in rendered.split(token).enumerate() {
        if index % 2 == 0 {
            pieces.push(Piece::Text(text));
        } else {
            pieces.push(Piece::Mark(read(text)?));
        }
    }
    (pieces.len() % 2 == 1).then_some(pieces)
}

fn read(text: &str) -> Option<Mark> {
    let words: Vec<String> = serde_json::from_str(text).ok()?;
    let mut words = words.into_iter();
    match words.next()?.as_str() {
        "role" => Some(Mark::Role(Speaker::parse(&words.next()?)?)),
        "history" => Some(Mark::History),
        "media" => Some(Mark::Media { url: words.next()?, content_type: words.next() }),
        "section" => Some(Mark::Section(words.next()?)),
        _ => None,
    }
}

#[derive(Clone, Debug)]
pub(super) struct TokenMaker {
    template: Sha256,
}

impl TokenMaker {
    /// `texts` are the template and its partials.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> TokenMaker {
        let mut template = Sha256::new();
        for text in texts {
            add_text(&mut template, text);
        }
        TokenMaker { template }
    }

    /// A token that occurs neither in the template nor in the values.
    pub(super) fn token(&self, maps: [&Map<String, Value>; 2]) -> String {
        let mut hash = self.template.clone();
        for map in maps {
            add_map(&mut hash, map);
        }
        let mut token = String::with_capacity(34);
        token.push('\u{2}');
        for byte in &hash.finalize()[..16] {
            for half in [byte >> 4, byte & 15] {
                token.push(char::from(b"0123456789abcdef"[usize::from(half)]));
            }
        }
        token.push('\u{3}');
        token
    }
}

fn add_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

fn add_map(hash: &mut Sha256, map: &Map<String, Value>) {
    hash.update((map.len() as u64).to_le_bytes());
    for (key, value) in map {
        add_text(hash, key);
        add_value(hash, value);
    }
}

fn add_value(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"0"),
        Value::Bool(bool) => hash.update(if *bool { b"t" } else { b"f" }),
        Value::Number(number) => {
            hash.update(b"n");
            add_text(hash, &number.to_string());
        }
        Value::String(text) => {
            hash.update(b"s");
            add_text(hash, text);
        }
        Value::Array(items) => {
            hash.update(b"a");
            hash.update((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| add_value(hash, item));
        }
        Value::Object(map) => {
            hash.update(b"m");
            add_map(hash, map);
        }
    }
}
