//! Function calls: when a declared function is asked for, and which arguments the question holds for it.

use super::body::{get, list};
use super::json_answer::description_terms;
use super::rank::Query;
use super::words::{Term, key_terms, term, words};
use serde_json::{Map, Value, json};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) args: Map<String, Value>,
}

/// Points from which an optional call is made: a word of the name counts two, one of the description one.
const WORTH: usize = 3;

/// The call to make, if any: in mode ANY the nearest function, in mode AUTO one whose words the question uses.
pub(super) fn choose(body: &Value, question: &str, query: &Query) -> Option<Call> {
    let config = get(body, "toolConfig").and_then(|config| get(config, "functionCallingConfig"));
    let mode = config.and_then(|config| get(config, "mode")).and_then(Value::as_str).unwrap_or("AUTO");
    if mode.eq_ignore_ascii_case("NONE") {
        return None;
    }
    let forced = mode.eq_ignore_ascii_case("ANY");
    let allowed = config.map_or(&[][..], |config| list(config, "allowedFunctionNames"));
    let mut best: Option<(usize, &str, &Value)> = None;
    for function in list(body, "tools").iter().flat_map(|tool| list(tool, "functionDeclarations")) {
        let Some(name) = get(function, "name").and_then(Value::as_str) else {
            continue;
        };
        if forced && !allowed.is_empty() && !allowed.iter().any(|known| known == name) {
            continue;
        }
        let hits = |terms: Vec<Term>| terms.into_iter().filter(|term| query.has(*term)).count();
        let points = 2 * hits(key_terms(name)) + hits(description_terms(function));
        if best.is_none_or(|(most, ..)| points > most) {
            best = Some((points, name, function));
        }
    }
    let (points, name, function) = best?;
    (forced || points >= WORTH).then(|| Call { name: name.to_owned(), args: arguments(function, question) })
}

fn arguments(function: &Value, question: &str) -> Map<String, Value> {
    let schema = get(function, "parameters").or_else(|| get(function, "parametersJsonSchema"));
    let mut args = Map::new();
    let Some(properties) = schema.and_then(|schema| get(schema, "properties")).and_then(Value::as_object) else {
        return args;
    };
    let required: Vec<&str> =
        schema.map_or(&[][..], |s| list(s, "required")).iter().filter_map(Value::as_str).collect();
    for (key, property) in properties {
        match argument(key, property, question) {
            Some(value) => {
                args.insert(key.clone(), value);
            }
            None if required.contains(&key.as_str()) => {
                args.insert(key.clone(), Value::String(question.trim().chars().take(200).collect()));
            }
            None => {}
        }
    }
    args
}

/// The question's value for a parameter: one of its enum, a number, what follows the parameter's own name, a quotation,
/// or a name.
fn argument(key: &str, property: &Value, question: &str) -> Option<Value> {
    let kind = get(property, "type").and_then(Value::as_str).unwrap_or("string").to_ascii_lowercase();
    let options = list(property, "enum");
    if !options.is_empty() {
        let terms: Vec<Term> = words(question).map(|word| word.term).collect();
        return options
            .iter()
            .find(|option| {
                option.as_str().is_some_and(|option| key_terms(option).iter().any(|term| terms.contains(term)))
            })
            .cloned();
    }
    match kind.as_str() {
        "boolean" => Some(Value::Bool(true)),
        "integer" | "number" => {
            let amount = super::polarity::amounts(question).into_iter().next()?;
            Some(if kind == "integer" { json!(amount.value as i64) } else { json!(amount.value) })
        }
        "string" => text_argument(key, question).map(Value::String),
        _ => None,
    }
}

fn text_argument(key: &str, question: &str) -> Option<String> {
    let wanted = key_terms(key);
    let all: Vec<_> = words(question).collect();
    let code = |text: &str| text.bytes().any(|b| b.is_ascii_digit());
    if let Some(at) = all.iter().position(|word| wanted.contains(&word.term))
        && let Some(word) = all[at + 1..].iter().take(3).find(|word| code(word.text))
    {
        return Some(word.text.to_owned());
    }
    if let Some(text) = super::instructions::quoted(question).into_iter().next() {
        return Some(text);
    }
    if wanted.contains(&term("id"))
        && let Some(word) = all.iter().find(|word| code(word.text))
    {
        return Some(word.text.to_owned());
    }
    let capital = |text: &str| text.starts_with(char::is_uppercase);
    let first = all.iter().skip(1).position(|word| capital(word.text) && word.text.len() > 1)? + 1;
    let last = first + all[first..].iter().take_while(|word| capital(word.text)).count() - 1;
    question.get(all[first].start..all[last].start + all[last].text.len()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::terms;

    fn call(question: &str, mode: &str) -> Option<Call> {
        let body = json!({
            "tools": [{"functionDeclarations": [
                {"name": "feed_animal", "description": "Feeds an animal of the zoo", "parameters": {"type": "OBJECT",
                    "properties": {"animal_id": {"type": "STRING"}, "portions": {"type": "INTEGER"},
                                   "food": {"type": "STRING", "enum": ["hay", "fish"]}}, "required": ["animal_id"]}},
                {"name": "get_weather", "description": "Weather of a city", "parametersJsonSchema": {"type": "object",
                    "properties": {"city": {"type": "string"}}, "required": ["city"]}},
            ]}],
            "toolConfig": {"functionCallingConfig": {"mode": mode}},
        });
        choose(&body, question, &Query::of(terms(question)))
    }

    #[test]
    fn the_question_decides_what_is_called_and_with_what() {
        let fed = call("Please feed animal A7 with 3 portions of fish.", "AUTO").unwrap();
        assert_eq!(fed.name, "feed_animal");
        assert_eq!(Value::Object(fed.args), json!({"animal_id": "A7", "portions": 3, "food": "fish"}));
        let weather = call("What is the weather in New York?", "AUTO").unwrap();
        assert_eq!(Value::Object(weather.args), json!({"city": "New York"}));
        assert_eq!(call("Who are you?", "AUTO"), None);
        assert_eq!(call("Please feed animal A7 now.", "NONE"), None);
        assert_eq!(call("Who are you?", "ANY").unwrap().name, "feed_animal");
    }
}
