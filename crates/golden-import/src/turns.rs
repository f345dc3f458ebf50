//! Conversations of other tools: a list of messages becomes earlier turns and the variable that takes the last message.

use super::document::Node;
use super::draft::{Draft, Role};
use super::kind;

/// The variable that takes a system message.
const SYSTEM: &str = "system";

/// Reads the input of a row: a text, or a list of messages `{role, content}` of which the user has the last one.
pub(crate) fn read(draft: &mut Draft, input: &Node, var: &str) {
    if let Some(text) = input.value().as_str() {
        draft.vars.insert(var.to_owned(), text.into());
        return;
    }
    let messages = input.items();
    if messages.is_empty() {
        return draft
            .lose_input(input, format!("the input is {}, not a text or a list of messages", kind(input.value())));
    }
    for (index, message) in messages.iter().enumerate() {
        let is_last = index + 1 == messages.len();
        let (Some(role), Some(text)) = (message.text("role"), content(message)) else {
            return draft.lose_input(message, "a message without a role, or without a text");
        };
        for (key, node) in message.entries() {
            if key != "role" && key != "content" {
                draft.lose(&node, format!("a message has no `{key}` here"));
            }
        }
        match (role, is_last) {
            ("user", true) => {
                draft.vars.insert(var.to_owned(), text.into());
            }
            ("user", false) => draft.history.push((Role::User, text)),
            ("assistant" | "model", false) => draft.history.push((Role::Model, text)),
            ("system" | "developer", false) if index == 0 => {
                draft.note(
                    message,
                    format!("the system message is the var `{SYSTEM}`: the template says where it stands"),
                );
                draft.vars.insert(SYSTEM.to_owned(), text.into());
            }
            (_, true) => return draft.lose_input(message, format!("the last message is by `{role}`, not by `user`")),
            (_, false) => return draft.lose_input(message, format!("a message by `{role}` in the middle")),
        }
    }
}

/// The text of a message: a text, or a list of text parts.
fn content(message: &Node) -> Option<String> {
    let content = message.get("content")?;
    if let Some(text) = content.value().as_str() {
        return Some(text.to_owned());
    }
    let parts = content.items();
    let texts: Option<Vec<&str>> = parts
        .iter()
        .map(|part| {
            part.text("text").filter(|_| part.text("type").is_none_or(|kind| kind == "text" || kind == "input_text"))
        })
        .collect();
    // The texts borrow from the parts, which end here.
    texts.filter(|texts| !texts.is_empty()).map(|texts| texts.join("\n"))
}
