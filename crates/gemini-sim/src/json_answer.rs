//! JSON answers: by a response schema of the request, or by the keys that its text names. Values are found by ranking.

use super::body::{get, list};
use super::question::{Question, nearest_amount};
use super::rank::{Query, RankedPassage};
use super::words::{Term, key_terms, term, terms};
use serde_json::{Map, Number, Value, json};

/// Nesting of a schema that is followed; deeper parts are null.
const DEPTH: usize = 8;

/// The answer that `generationConfig` asks for: JSON by a schema, or one of an enum. `None` when it asks for plain text.
pub(super) fn by_config(body: &Value, question: &Question<'_>) -> Option<String> {
    let config = get(body, "generationConfig")?;
    let mime = get(config, "responseMimeType")?.as_str()?;
    let schema = get(config, "responseSchema").or_else(|| get(config, "responseJsonSchema"));
    match (mime, schema) {
        ("text/x.enum", Some(schema)) => {
            let options: Vec<String> =
                list(schema, "enum").iter().filter_map(|v| Some(v.as_str()?.to_owned())).collect();
            Some(option(&options, question).to_owned())
        }
        ("application/json", Some(schema)) => {
            Some(Filling { question, root: schema }.fill("", schema, DEPTH).to_string())
        }
        ("application/json", None) => match &question.instructions.form {
            Some(super::instructions::Form::Json(keys)) => Some(by_keys(keys, question)),
            _ => Some(json!({"answer": plain(question)}).to_string()),
        },
        _ => None,
    }
}

/// An object with these keys, the kinds of their values guessed from their names.
pub(super) fn by_keys(keys: &[String], question: &Question<'_>) -> String {
    let root = Value::Null;
    let filling = Filling { question, root: &root };
    let object: Map<String, Value> = keys.iter().map(|key| (key.clone(), filling.of_kind(key, kind_of(key)))).collect();
    Value::Object(object).to_string()
}

/// The option that the best passages or the question speak of; the first if none is mentioned.
pub(super) fn option<'a>(options: &'a [String], question: &Question<'_>) -> &'a str {
    let mut best = (0.0, options.first().map_or("", String::as_str));
    for option in options {
        let wanted = key_terms(option);
        let share = |found: usize| found as f32 / wanted.len().max(1) as f32;
        let mut score = 0.1 * share(wanted.iter().filter(|term| question.query.has(**term)).count());
        for (at, ranked) in question.ranked.iter().take(3).enumerate() {
            let passage = ranked.passage;
            let found =
                wanted.iter().filter(|term| passage.terms.contains(term) || passage.context.contains(term)).count();
            score += ranked.score * share(found) / (at + 1) as f32;
        }
        if matches!(wanted.as_slice(), [word] if *word == term("yes") || *word == term("no")) {
            let yes = wanted[0] == term("yes");
            score += f32::from(u8::from(question.is_yes() == yes));
        }
        if score > best.0 {
            best = (score, option);
        }
    }
    best.1
}

fn plain(question: &Question<'_>) -> String {
    question.refusal().map_or_else(|| question.sentences(), str::to_owned)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Text,
    Heading,
    Number,
    Integer,
    Bool,
}

/// What a key's name promises.
fn kind_of(key: &str) -> Sort {
    const NUMBERS: &str =
        "count total amount number day hour minute week month year percent price cost limit confidence";
    let found = key_terms(key);
    let any = |names: &str| names.split(' ').any(|name| found.contains(&term(name)));
    if any("is can has allowed possible eligible") {
        Sort::Bool
    } else if any(NUMBERS) {
        Sort::Number
    } else if names_heading(&found) {
        Sort::Heading
    } else {
        Sort::Text
    }
}

fn names_heading(key: &[Term]) -> bool {
    ["section", "source", "topic", "heading", "title", "category", "reference"]
        .iter()
        .any(|name| key.contains(&term(name)))
}

struct Filling<'a, 'b> {
    question: &'a Question<'b>,
    /// The whole schema, for its `$defs`.
    root: &'a Value,
}

impl Filling<'_, '_> {
    fn fill(&self, key: &str, schema: &Value, depth: usize) -> Value {
        if depth == 0 {
            return Value::Null;
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.fill(key, target, depth - 1));
        }
        if let Some(options) = schema.get("enum").and_then(Value::as_array) {
            let texts: Vec<String> = options.iter().filter_map(|v| Some(v.as_str()?.to_owned())).collect();
            return match texts.is_empty() {
                true => options.first().cloned().unwrap_or(Value::Null),
                false => Value::String(option(&texts, self.question).to_owned()),
            };
        }
        for name in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = list(schema, name).iter().find(|choice| !is_type(choice, "null")) {
                return self.fill(key, first, depth - 1);
            }
        }
        if is_type(schema, "object") || get(schema, "properties").is_some() {
            return self.object(schema, depth);
        }
        if is_type(schema, "array") {
            return self.array(key, schema, depth);
        }
        let sort = if is_type(schema, "boolean") {
            Sort::Bool
        } else if is_type(schema, "integer") {
            Sort::Integer
        } else if is_type(schema, "number") {
            Sort::Number
        } else if names_heading(&key_terms(key)) {
            Sort::Heading
        } else {
            Sort::Text
        };
        self.of_kind(key, sort)
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let Some(properties) = get(schema, "properties").and_then(Value::as_object) else {
            return json!({});
        };
        let mut object = Map::new();
        for key in list(schema, "propertyOrdering").iter().filter_map(Value::as_str) {
            if let Some(property) = properties.get(key) {
                object.insert(key.to_owned(), self.fill(key, property, depth - 1));
            }
        }
        for (key, property) in properties {
            if !object.contains_key(key) {
                object.insert(key.clone(), self.fill(key, property, depth - 1));
            }
        }
        Value::Object(object)
    }

    fn array(&self, key: &str, schema: &Value, depth: usize) -> Value {
        let items = get(schema, "items").unwrap_or(&Value::Null);
        if !is_type(items, "string") || items.get("enum").is_some() {
            return Value::Array(vec![self.fill(key, items, depth - 1)]);
        }
        let best = self.question.ranked.first().map_or(0.0, |best| best.score);
        let texts = self.question.ranked.iter().take(3).filter(|ranked| ranked.score >= 0.6 * best);
        Value::Array(texts.map(|ranked| Value::String(ranked.passage.text.clone())).collect())
    }

    fn of_kind(&self, key: &str, sort: Sort) -> Value {
        match sort {
            Sort::Bool => Value::Bool(self.question.refusal().is_none() && self.question.is_yes()),
            Sort::Heading => {
                let best = self.question.ranked.first().filter(|_| self.question.refusal().is_none());
                let heading = best.and_then(|best| best.document.heading(best.passage));
                Value::String(heading.unwrap_or_default().to_owned())
            }
            Sort::Number | Sort::Integer => self.number(key, sort),
            Sort::Text => Value::String(self.text(key)),
        }
    }

    fn number(&self, key: &str, sort: Sort) -> Value {
        if self.question.refusal().is_some() {
            return Value::Null;
        }
        let wanted = key_terms(key);
        if [term("confidence"), term("score"), term("probability")].iter().any(|name| wanted.contains(name)) {
            let sure = self.question.ranked.first().map_or(0.0, |best| f64::from(best.coverage));
            return json!((sure * 100.0).round() / 100.0);
        }
        let mut query = self.question.query.clone();
        query.add(wanted.iter().copied(), 1.0);
        let found = self
            .nearest(&wanted)
            .and_then(|ranked| {
                nearest_amount(&ranked.passage.text, &Query::of(wanted.iter().copied()))
                    .or_else(|| nearest_amount(&ranked.passage.text, &query))
            })
            .and_then(|text| text.parse::<f64>().ok());
        match found {
            Some(number) if sort == Sort::Integer || number.fract() == 0.0 => json!(number as i64),
            Some(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
            None if sort == Sort::Integer => json!(0),
            None => Value::Null,
        }
    }

    /// The best of the first passages that also speaks of the key and has a number; else the best with a number.
    fn nearest(&self, wanted: &[Term]) -> Option<&RankedPassage<'_>> {
        let least = 0.6 * self.question.ranked.first().map_or(0.0, |best| best.score);
        let numbered = || {
            let near = self.question.ranked.iter().take(3).filter(move |ranked| ranked.score >= least);
            near.filter(|ranked| ranked.passage.text.bytes().any(|b| b.is_ascii_digit()))
        };
        numbered()
            .find(|ranked| wanted.iter().any(|term| ranked.passage.terms.contains(term)))
            .or_else(|| numbered().next())
    }

    fn text(&self, key: &str) -> String {
        const WHOLE: [&str; 10] =
            ["answer", "text", "reply", "message", "summary", "response", "result", "explanation", "reason", "details"];
        let wanted = key_terms(key);
        let whole = wanted.is_empty() || WHOLE.iter().any(|name| wanted.contains(&term(name)));
        if whole || self.question.refusal().is_some() {
            return plain(self.question);
        }
        self.question
            .ranked
            .iter()
            .take(5)
            .find(|ranked| wanted.iter().any(|term| ranked.passage.terms.contains(term)))
            .map_or_else(|| plain(self.question), |ranked| ranked.passage.text.clone())
    }
}

/// The schema's type, in either of the two dialects.
fn is_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind.eq_ignore_ascii_case(name),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(|kind| kind.eq_ignore_ascii_case(name)),
        _ => false,
    }
}

/// Content words of a description, for function arguments.
pub(super) fn description_terms(schema: &Value) -> Vec<Term> {
    get(schema, "description").and_then(Value::as_str).map(|text| terms(text).collect()).unwrap_or_default()
}
