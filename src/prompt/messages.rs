//! From rendered text to messages, with dotprompt's rules: text before any role is the user's, blank texts count for
//! nothing, and the history stands where `{{history}}` is, else before the last message if that is the user's, else at
//! the end.

use super::marks::{Mark, Piece, Speaker};
use crate::domain::{Content, Part, Role, Turn, TurnRole};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub speaker: Speaker,
    /// In order; never empty, but for a message of the history.
    pub parts: Vec<MessagePart>,
    /// Inserted by `{{history}}`.
    pub history: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessagePart {
    Text(String),
    /// Media by reference.
    Media {
        url: String,
        /// MIME type, if given.
        content_type: Option<String>,
    },
    /// Where a named section starts; its content has yet to come from elsewhere.
    Pending {
        purpose: String,
    },
}

impl From<&Turn> for Message {
    fn from(turn: &Turn) -> Message {
        Message {
            speaker: match turn.role {
                TurnRole::User => Speaker::User,
                TurnRole::Model => Speaker::Model,
            },
            parts: vec![MessagePart::Text(turn.text.clone())],
            history: false,
        }
    }
}

pub(super) fn assemble(pieces: Vec<Piece<'_>>, history: Vec<Message>) -> Vec<Message> {
    let mut history = Some(history);
    let mut messages = Vec::new();
    let mut current = empty(Speaker::User);
    for piece in pieces {
        match piece {
            Piece::Text(text) if text.trim().is_empty() => {}
            Piece::Text(text) => current.parts.push(MessagePart::Text(text.to_owned())),
            Piece::Mark(Mark::Media { url, content_type }) => {
                current.parts.push(MessagePart::Media { url, content_type });
            }
            Piece::Mark(Mark::Section(purpose)) => current.parts.push(MessagePart::Pending { purpose }),
            Piece::Mark(Mark::Role(speaker)) => {
                if current.parts.is_empty() {
                    current.speaker = speaker;
                } else {
                    messages.push(std::mem::replace(&mut current, empty(speaker)));
                }
            }
            Piece::Mark(Mark::History) => {
                push(&mut messages, std::mem::replace(&mut current, empty(Speaker::Model)));
                messages
                    .extend(history.take().into_iter().flatten().map(|message| Message { history: true, ..message }));
            }
        }
    }
    push(&mut messages, current);
    if let Some(history) = history {
        let ends_with_user = messages.last().is_some_and(|last| last.speaker == Speaker::User);
        let at = messages.len() - usize::from(ends_with_user);
        messages.splice(at..at, history);
    }
    messages
}

fn empty(speaker: Speaker) -> Message {
    Message { speaker, parts: Vec::new(), history: false }
}

fn push(messages: &mut Vec<Message>, message: Message) {
    if !message.parts.is_empty() {
        messages.push(message);
    }
}

/// System parts apart, turns in order. Pending sections are dropped, and messages that consist of nothing else.
pub(super) fn into_contents(messages: Vec<Message>) -> (Vec<Part>, Vec<Content>) {
    let mut system = Vec::new();
    let mut contents = Vec::new();
    for message in messages {
        let parts = message.parts.into_iter().filter_map(|part| match part {
            MessagePart::Text(text) => Some(Part::Text(text)),
            MessagePart::Media { url, content_type } => Some(Part::Media { url, content_type }),
            MessagePart::Pending { .. } => None,
        });
        let role = match message.speaker {
            Speaker::System => {
                system.extend(parts);
                continue;
            }
            Speaker::User => Role::User,
            Speaker::Model => Role::Model,
        };
        let parts: Vec<Part> = parts.collect();
        if !parts.is_empty() {
            contents.push(Content { role, parts });
        }
    }
    (system, contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(speaker: Speaker) -> Piece<'static> {
        Piece::Mark(Mark::Role(speaker))
    }

    fn message(text: &str) -> Message {
        Message { parts: vec![MessagePart::Text(text.to_owned())], ..empty(Speaker::User) }
    }

    fn show(messages: &[Message]) -> String {
        let show_part = |part: &MessagePart| match part {
            MessagePart::Text(text) => text.clone(),
            MessagePart::Media { url, .. } => format!("<{url}>"),
            MessagePart::Pending { purpose } => format!("[{purpose}]"),
        };
        let show = |message: &Message| {
            let parts: Vec<String> = message.parts.iter().map(show_part).collect();
            format!("{}{}: {}", message.speaker.as_str(), if message.history { "*" } else { "" }, parts.join("|"))
        };
        messages.iter().map(show).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn history_goes_where_dotprompt_puts_it() {
        use Piece::Text;
        let h = || vec![message("h")];
        let cases = [
            (vec![Text("a")], h(), "user: h; user: a"),
            (vec![role(Speaker::System), Text("s")], h(), "system: s; user: h"),
            (vec![], h(), "user: h"),
            (vec![Text("a"), role(Speaker::Model), Text("b")], h(), "user: a; model: b; user: h"),
            (
                vec![Text("a"), Piece::Mark(Mark::History), Text(" \n"), role(Speaker::User), Text("b")],
                h(),
                "user: a; user*: h; user: b",
            ),
            (vec![Piece::Mark(Mark::History), Text("b")], h(), "user*: h; model: b"),
            (vec![Piece::Mark(Mark::History), Text("b")], vec![], "model: b"),
            (vec![Text(" "), role(Speaker::System), role(Speaker::Model), Text("b")], vec![], "model: b"),
        ];
        for (pieces, history, expected) in cases {
            assert_eq!(show(&assemble(pieces, history)), expected);
        }
    }

    #[test]
    fn pending_sections_do_not_reach_a_request() {
        let section = || Piece::Mark(Mark::Section("code".to_owned()));
        let messages = assemble(
            vec![
                role(Speaker::System),
                Piece::Text("s"),
                section(),
                role(Speaker::User),
                section(),
                role(Speaker::User),
                Piece::Text("q"),
            ],
            Vec::new(),
        );
        assert_eq!(show(&messages), "system: s|[code]; user: [code]; user: q");
        let (system, contents) = into_contents(messages);
        assert_eq!(system, [Part::Text("s".to_owned())]);
        assert_eq!(contents.len(), 1);
        assert_eq!(contents[0].parts, [Part::Text("q".to_owned())]);
    }
}
