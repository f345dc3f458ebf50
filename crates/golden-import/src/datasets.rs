//! OpenAI evals and Inspect datasets: rows of an input and what is expected of its answer. Neither says how the two are
//! compared: that is in the code of the evaluation, so whoever imports must say it.

use super::document::Node;
use super::draft::Draft;
use super::{Import, kind, tags, turns};
use diagnostics::Problem;
use serde_json::Value;

/// Imports rows `{input, ideal}` of OpenAI evals.
pub(crate) fn openai(import: &mut Import<'_>, rows: &[Node]) -> Result<(), Problem> {
    let name = |_: &Node, number: usize| format!("row-{number}");
    each_row(import, rows, name, "ideal", |draft, key, node| draft.lose(node, format!("no field of a case is `{key}`")))
}

pub(crate) fn inspect(import: &mut Import<'_>, rows: &[Node]) -> Result<(), Problem> {
    let name = |row: &Node, number: usize| match row.get("id").as_ref().map(Node::value) {
        Some(Value::String(text)) if !text.trim().is_empty() => text.clone(),
        Some(Value::Number(id)) => id.to_string(),
        Some(Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            number.to_string()
        }
    };
    each_row(import, rows, name, "target", |draft, key, node| match key {
        "id" => {}
        "choices" => choices(draft, node),
        "metadata" => metadata(draft, node),
        "sandbox" | "files" | "setup" => draft.lose(node, format!("there is no sandbox, so no `{key}`")),
        _ => draft.lose(node, format!("no field of a case is `{key}`")),
    })
}

/// A case for each row: its input, what is expected under `target`, and what `other` makes of its further fields.
fn each_row(
    import: &mut Import<'_>,
    rows: &[Node],
    name: impl Fn(&Node, usize) -> String,
    target: &str,
    other: impl Fn(&mut Draft, &str, &Node),
) -> Result<(), Problem> {
    comparison(import)?;
    for (number, row) in (1..).zip(rows) {
        let mut draft = Draft::new(row, name(row, number));
        match row.get("input") {
            Some(input) => turns::read(&mut draft, &input, import.options.var()),
            None => draft.lose_input(row, "the row has no `input`"),
        }
        expect(import, &mut draft, row, target);
        for (key, node) in row.entries() {
            if key != "input" && key != target {
                other(&mut draft, &key, &node);
            }
        }
        import.add(draft)?;
    }
    Ok(())
}

fn comparison(import: &Import<'_>) -> Result<(), Problem> {
    match import.options.check {
        Some(_) => Ok(()),
        None => Err(Problem::new("the dataset does not say how an answer is compared with what is expected")
            .expected("--check equals, contains, starts_with or ends_with")
            .hint(
                "look at the scorer of the evaluation: `includes` is contains with --ignore-case, `exact` is equals",
            )),
    }
}

/// The check of a row's expected texts.
fn expect(import: &Import<'_>, draft: &mut Draft, row: &Node, key: &str) {
    let Some(node) = row.get(key) else {
        return draft.lose(row, format!("the row has no `{key}`, so nothing is expected"));
    };
    let texts: Option<Vec<&str>> = match node.value() {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
        return draft.lose(&node, format!("what is expected is {}, not a text or a list of texts", kind(node.value())));
    };
    let Some(comparison) = import.options.check else { return };
    draft.check(&node, import.verified(comparison.check(&texts, import.options.ignore_case)));
}

/// Choices become a var: a template can list them.
fn choices(draft: &mut Draft, node: &Node) {
    let choices: Option<Vec<Value>> = match node.value() {
        Value::Array(list) => list.iter().map(|item| item.as_str().map(Value::from)).collect(),
        Value::String(text) => Some(text.split(',').map(|choice| choice.trim().into()).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    match choices {
        Some(choices) if !draft.vars.contains_key("choices") => {
            draft.note(node, "the choices are the var `choices`: the template says how they are listed");
            draft.vars.insert("choices".to_owned(), choices.into());
        }
        _ => draft.lose_input(node, "choices that are no list of texts"),
    }
}

fn metadata(draft: &mut Draft, node: &Node) {
    let entries = node.entries();
    if entries.is_empty() && node.value().as_object().is_none() {
        return draft.lose(node, format!("metadata that are {}", kind(node.value())));
    }
    for (key, node) in entries {
        match tags(&key, node.value()) {
            Some(tags) => draft.tags.extend(tags),
            None => draft.lose(&node, format!("metadata that are {} are no tag", kind(node.value()))),
        }
    }
}
