//! promptfoo's assertions and what they are here: one table, which the documentation is held to.
//!
//! Whether a matcher exists is asked of the matchers themselves when a check is verified, so a row whose matcher is not
//! there yet is "no equivalent", and works from the day the matcher is there.

use super::document::yaml_value;
use super::{js_regex, kind, number_text};
use serde_json::{Value, json};

/// What is known of an assertion, its templates rendered and its files read.
pub(crate) struct Args {
    pub(crate) value: Option<Value>,
    pub(crate) threshold: Option<f64>,
    /// Other keys that change its meaning, like `provider`; no row knows any.
    pub(crate) config: Option<Value>,
}

/// A check, or why there is no equivalent, for a sentence.
pub(crate) type Translation = Result<Value, String>;

/// What `not-` does to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Not {
    /// The check inside `not` means the same.
    Same,
    /// It has no equivalent: the check is stricter than the assertion, so `not` of it would be laxer, or the assertion
    /// does not heed `not-`.
    Lost,
}

/// What an assertion scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Score {
    /// 1 or 0, so that it can be counted.
    Binary,
    Graded,
}

pub(crate) struct Equivalent {
    /// Its type, without `not-`.
    pub(crate) assertion: &'static str,
    /// What it is here, for people.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the documentation, which a test holds to the table"))]
    pub(crate) check: &'static str,
    /// How its meaning differs; empty if it does not.
    pub(crate) differs: &'static str,
    pub(crate) score: Score,
    pub(crate) not: Not,
    pub(crate) make: fn(&Args) -> Translation,
}

/// A row that means the same; the methods say where it does not.
const fn same(assertion: &'static str, check: &'static str, make: fn(&Args) -> Translation) -> Equivalent {
    Equivalent { assertion, check, differs: "", score: Score::Binary, not: Not::Same, make }
}

impl Equivalent {
    const fn differs(self, differs: &'static str) -> Equivalent {
        Equivalent { differs, ..self }
    }

    const fn graded(self) -> Equivalent {
        Equivalent { score: Score::Graded, ..self }
    }

    const fn without_not(self) -> Equivalent {
        Equivalent { not: Not::Lost, ..self }
    }
}

/// Types with an equivalent.
pub(crate) const TABLE: &[Equivalent] = &[
    same("equals", "`equals`; for a map or list `json_equals`", equals),
    same("contains", "`contains`", |args| Ok(json!({"contains": text(args)?}))),
    same("icontains", "`contains` with `ignore_case`", |args| {
        Ok(json!({"contains": {"value": text(args)?, "ignore_case": true}}))
    }),
    same("contains-any", "`contains_any`", |args| Ok(json!({"contains_any": list(args)?}))),
    same("contains-all", "`contains_all`", |args| Ok(json!({"contains_all": list(args)?}))),
    same("icontains-any", "`contains_any` with `ignore_case`", |args| {
        Ok(json!({"contains_any": {"values": list(args)?, "ignore_case": true}}))
    }),
    same("icontains-all", "`contains_all` with `ignore_case`", |args| {
        Ok(json!({"contains_all": {"values": list(args)?, "ignore_case": true}}))
    }),
    same("starts-with", "`starts_with`", |args| Ok(json!({"starts_with": text(args)?}))),
    same("regex", "`regex`, the pattern rewritten to Rust's syntax", |args| {
        Ok(json!({"regex": js_regex::translate(&text(args)?)?}))
    }),
    same("is-json", "`json: {fenced: false}`, with a schema `json_schema` too", |args| {
        with_schema(json!({"json": {"fenced": false}}), args)
    }),
    same("contains-json", "`json_schema: {type: object}`, with a schema that too", |args| {
        with_schema(json!({"json_schema": {"type": "object"}}), args)
    })
    .differs("stricter: the JSON is the whole answer or its one code block, not anywhere in it")
    .without_not(),
    same("is-xml", "`xml: {fenced: false}`, with required elements a `path` each", |args| xml(args, false))
        .differs("stricter: a document type declaration is refused")
        .without_not(),
    same("contains-xml", "`xml`, with required elements a `path` each", |args| xml(args, true))
        .differs(
            "stricter: the XML is the whole answer or its one code block, and a document type declaration is refused",
        )
        .without_not(),
    same("word-count", "`regex` that counts runs without white space", word_count),
    same("levenshtein", "`similarity`, with the `min` that as many added letters reach", levenshtein)
        .differs(
            "stricter: the distance is measured against the longer text, so replaced and missing letters weigh more",
        )
        .without_not(),
    same("rouge-n", "`rouge` with `metric: rouge1`", |args| {
        Ok(json!({"rouge": {"to": text(args)?, "min": share(args, Some(0.75))?, "metric": "rouge1"}}))
    })
    .differs("words are cut otherwise (only a-z and 0-9 are letters), so scores near the threshold may differ")
    .graded(),
    same("bleu", "`bleu`", bleu)
        .differs("another BLEU (sacrebleu's: smoothed, case counts, punctuation is cut off), so scores differ")
        .graded(),
    same("similar", "`semantic`", similar).differs("another embedding model, so scores differ").graded(),
    same("llm-rubric", "`judge`; with a threshold also its mean score", llm_rubric)
        .differs("another judge and another prompt for it")
        .graded(),
    same("model-graded-closedqa", "`judge`", |args| Ok(json!({"judge": {"rubric": text(args)?}})))
        .differs("another judge and another prompt for it")
        .graded()
        .without_not(),
    same("latency", "`latency`", latency).differs(
        "the time of the one attempt that succeeded, without waiting and retries; an unknown time can't be judged",
    ),
    same("cost", "`cost`", |args| Ok(json!({"cost": {"max": limit(args)?}}))).differs("by the prices of promptgate"),
    same("finish-reason", "`finish_reason`, stop as STOP and length as MAX_TOKENS", finish_reason)
        .differs("in Gemini's words; promptfoo itself fails this assertion for every Gemini answer")
        .without_not(),
    same("is-refusal", "`refusal: true`; not- is `refusal: false`", |_| Ok(json!({"refusal": true})))
        .differs("another list of phrases; a blocked answer is a refusal too"),
    same("tool-call-f1", "`tool_calls` with `mode: any_order` and `min_f1`", tool_call_f1)
        .differs("stricter: a function that is called twice counts twice")
        .graded()
        .without_not(),
];

/// Types without an equivalent, by reason.
pub(crate) const NONE: &[(&str, &str)] = &[
    ("code is not run", "javascript python ruby"),
    ("nothing is sent to a service", "webhook"),
    ("no matcher knows HTML", "contains-html is-html"),
    ("no matcher knows SQL", "contains-sql is-sql"),
    ("no matcher measures GLEU", "gleu"),
    ("no matcher measures METEOR", "meteor"),
    ("answers carry no log probabilities", "perplexity perplexity-score"),
    ("answers carry no guardrail verdict", "guardrails"),
    (
        "golden data knows no declarations of functions",
        "is-valid-function-call is-valid-openai-function-call is-valid-openai-tools-call",
    ),
    (
        "it looks at traces",
        "skill-used trajectory:tool-used trajectory:tool-sequence trajectory:tool-args-match trajectory:step-count \
         trajectory:goal-success trace-span-count trace-span-duration trace-error-spans",
    ),
    (
        "it asks a model in a way of its own",
        "factuality model-graded-factuality g-eval answer-relevance context-faithfulness context-recall \
         context-relevance conversation-relevance search-rubric agent-rubric",
    ),
    ("`similar` is the one that has an equivalent", "similar:cosine"),
    ("no matcher measures dot products", "similar:dot"),
    ("no matcher measures distances of embeddings", "similar:euclidean"),
    ("it asks a service", "classifier moderation pi"),
    ("no person is asked", "human"),
    ("it compares the answers of one run with each other", "select-best max-score"),
];

/// The row of a type without `not-`, or why there is none, for a sentence.
pub(crate) fn find(assertion: &str) -> Option<Result<&'static Equivalent, &'static str>> {
    let row = TABLE.iter().find(|row| row.assertion == assertion).map(Ok);
    row.or_else(|| {
        NONE.iter().find(|(_, types)| types.split(' ').any(|known| known == assertion)).map(|(why, _)| Err(*why))
    })
}

impl Equivalent {
    /// The check, turned around if the type begins with `not-`.
    pub(crate) fn check(&self, args: &Args, is_not: bool) -> Translation {
        if is_not && self.not == Not::Lost {
            return Err("its equivalent is not exactly the same, so `not` of it could pass where this fails".to_owned());
        }
        if args.config.is_some() {
            return Err("`config` changes its meaning".to_owned());
        }
        let check = (self.make)(args)?;
        Ok(match is_not {
            true if self.assertion == "is-refusal" => json!({"refusal": false}),
            true => json!({ "not": check }),
            false => check,
        })
    }
}

/// The value as a text: numbers and true and false as JavaScript writes them.
fn text(args: &Args) -> Result<String, String> {
    text_of(args.value.as_ref().ok_or("it has no value")?)
}

fn text_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => number_text(number).ok_or("its value is a number with an exponent".to_owned()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!("its value is {}", kind(value))),
    }
}

fn equals(args: &Args) -> Translation {
    Ok(match &args.value {
        Some(value @ (Value::Object(_) | Value::Array(_))) => json!({"json_equals": {"value": value, "fenced": false}}),
        _ => json!({"equals": text(args)?}),
    })
}

/// The value as a list of texts; a text is cut at commas outside quotes.
fn list(args: &Args) -> Result<Vec<String>, String> {
    list_of(args.value.as_ref().ok_or("it has no value")?)
}

fn list_of(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => items.iter().map(text_of).collect(),
        Value::String(text) => cut(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(format!("its value is {}", kind(value)))
        }
    }
}

/// Cuts a text at commas; inside double quotes a comma stands for itself, and so does `\"` or `""` for a quote.
fn cut(text: &str) -> Result<Vec<String>, String> {
    let mut items = Vec::new();
    let (mut item, mut in_quotes, mut was_quoted) = (String::new(), false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_quotes && chars.peek() == Some(&'"') => item.extend(chars.next()),
            '"' if in_quotes && chars.peek() == Some(&'"') => item.extend(chars.next()),
            '"' if in_quotes => in_quotes = false,
            '"' if item.trim().is_empty() && !was_quoted => {
                item.clear();
                (in_quotes, was_quoted) = (true, true);
            }
            ',' if !in_quotes => {
                items.push(if was_quoted { item } else { item.trim().to_owned() });
                (item, was_quoted) = (String::new(), false);
            }
            c if was_quoted && !in_quotes && c.is_whitespace() => {}
            c => item.push(c),
        }
    }
    if in_quotes {
        return Err("a quote in its value is never closed".to_owned());
    }
    items.push(if was_quoted { item } else { item.trim().to_owned() });
    Ok(items)
}

/// Adds the schema of an assertion about JSON, if it has one: a map, or a text that holds one. Without `$schema` it is
/// draft 7, as ajv reads it.
fn with_schema(check: Value, args: &Args) -> Translation {
    let mut schema = match &args.value {
        None => return Ok(check),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(check),
        Some(Value::String(text)) => yaml_value(text).map_err(|_| "its schema is not readable".to_owned())?,
        Some(value) => value.clone(),
    };
    let Some(map) = schema.as_object_mut() else {
        return Err(format!("its schema is {}", kind(&schema)));
    };
    if !map.contains_key("$schema") {
        map.shift_insert(0, "$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    }
    Ok(json!({"all": [check, {"json_schema": schema}]}))
}

fn xml(args: &Args, fenced: bool) -> Translation {
    let required = match &args.value {
        None => Vec::new(),
        Some(Value::Object(map)) => match map.get("requiredElements") {
            Some(elements) if map.len() == 1 => list_of(elements)?,
            _ => return Err("its value has keys that no matcher knows".to_owned()),
        },
        Some(value) => list_of(value)?,
    };
    let one = |path: &String| json!({"xml": {"path": path.replace('.', "/"), "fenced": fenced}});
    Ok(match required.as_slice() {
        [] => json!({"xml": {"fenced": fenced}}),
        [only] => one(only),
        many => json!({"all": many.iter().map(one).collect::<Vec<_>>()}),
    })
}

fn word_count(args: &Args) -> Translation {
    let count = match &args.value {
        Some(Value::Object(map)) if map.keys().all(|key| key == "min" || key == "max") && !map.is_empty() => {
            if map.values().any(|bound| !bound.is_u64()) {
                return Err("a bound is not a whole number".to_owned());
            }
            let bounds = ["min", "max"].into_iter().filter_map(|key| Some((key.to_owned(), map.get(key)?.clone())));
            Value::Object(bounds.collect())
        }
        Some(Value::Object(_)) => return Err("its value has keys that are not known".to_owned()),
        _ => {
            let count: u64 = text(args)?.trim().parse().map_err(|_| "its value is not a whole number")?;
            json!({"min": count, "max": count})
        }
    };
    Ok(json!({"regex": {"pattern": format!("{}+", js_regex::NOT_SPACE), "count": count}}))
}

/// An answer of `distance` edits has at least the similarity `length / (length + distance)` only if the edits are
/// additions; every other one with that similarity has fewer edits.
fn levenshtein(args: &Args) -> Translation {
    let (to, distance) = (text(args)?, args.threshold.unwrap_or(5.0).floor());
    if distance < 0.0 {
        return Err("no answer has a distance below 0".to_owned());
    }
    if distance == 0.0 {
        return Ok(json!({"equals": to}));
    }
    let length = to.chars().count() as f64;
    // Rounded down, so that it is reached; by too little to allow a further edit in the longest answer that is measured.
    let reached = length / (length + distance);
    let min = ((reached * 1e9).floor() / 1e9).min(reached);
    Ok(json!({"similarity": {"to": to, "min": min}}))
}

fn tool_call_f1(args: &Args) -> Translation {
    let mut names = Vec::new();
    for name in list(args)? {
        if !name.trim().is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    let calls: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    Ok(json!({"tool_calls": {"mode": "any_order", "calls": calls, "min_f1": share(args, Some(1.0))?}}))
}

fn bleu(args: &Args) -> Translation {
    let min = share(args, Some(0.5))?;
    Ok(match args.value {
        Some(Value::Array(_)) => json!({"bleu": {"to_any": list(args)?, "min": min}}),
        _ => json!({"bleu": {"to": text(args)?, "min": min}}),
    })
}

fn similar(args: &Args) -> Translation {
    let min = share(args, Some(0.75))?;
    let check = |to: &Value| json!({"semantic": {"to": to, "min": min}});
    Ok(match &args.value {
        Some(Value::Array(texts)) => json!({"any": texts.iter().map(check).collect::<Vec<_>>()}),
        _ => check(&text(args)?.into()),
    })
}

fn llm_rubric(args: &Args) -> Translation {
    let rubric = text(args)?;
    let check = json!({"judge": {"rubric": rubric}});
    Ok(match args.threshold {
        None => check,
        Some(_) => {
            let mean = json!({"judge": {"rubric": rubric, "aggregate": "mean", "min": share(args, None)?}});
            json!({"all": [check, mean]})
        }
    })
}

fn latency(args: &Args) -> Translation {
    match limit(args)?.floor() {
        milliseconds if (1.0..1e15).contains(&milliseconds) => Ok(json!({"latency": {"max": milliseconds as u64}})),
        _ => Err("its threshold is no time of 1 millisecond or more".to_owned()),
    }
}

fn finish_reason(args: &Args) -> Translation {
    match text(args)?.to_lowercase().as_str() {
        "stop" => Ok(json!({"finish_reason": "STOP"})),
        "length" => Ok(json!({"finish_reason": "MAX_TOKENS"})),
        _ => Err("Gemini has no one reason of this name".to_owned()),
    }
}

/// The threshold as a share above 0.
fn share(args: &Args, default: Option<f64>) -> Result<f64, String> {
    match args.threshold.or(default) {
        Some(share) if share > 0.0 && share <= 1.0 => Ok(share),
        Some(_) => Err("its threshold is not more than 0 and at most 1, so it can't decide".to_owned()),
        None => Err("it has no threshold".to_owned()),
    }
}

/// A threshold that must be there.
fn limit(args: &Args) -> Result<f64, String> {
    args.threshold.filter(|limit| *limit > 0.0).ok_or_else(|| "it has no threshold above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(value: Value, threshold: Option<f64>) -> Args {
        Args { value: Some(value).filter(|value| !value.is_null()), threshold, config: None }
    }

    #[test]
    fn the_documentation_holds_the_table() {
        let equivalents = TABLE.iter().map(|Equivalent { assertion, check, differs, not, .. }| match not {
            Not::Same => format!("| `{assertion}` | {check} | {differs} |\n"),
            Not::Lost => format!("| `{assertion}` | {check}; `not-` has no equivalent | {differs} |\n"),
        });
        let none =
            NONE.iter().map(|(why, types)| format!("| `{}` | no equivalent: {why} | |\n", types.replace(' ', "`, `")));
        let rows = equivalents.chain(none);
        let table = format!("| assertion | here | difference |\n| --- | --- | --- |\n{}", rows.collect::<String>());
        let page = include_str!("../../../docs/import.md");
        assert!(page.contains(&table), "docs/import.md has not this table:\n{table}");
    }

    #[test]
    fn types_stand_once() {
        let mut seen = std::collections::HashSet::new();
        let none = NONE.iter().flat_map(|(_, types)| types.split(' '));
        for assertion in TABLE.iter().map(|row| row.assertion).chain(none) {
            assert!(seen.insert(assertion), "{assertion}");
        }
    }

    #[test]
    fn every_row_with_an_equivalent_makes_it() {
        let table = [
            ("equals", json!("a"), None),
            ("equals", json!(1.50), None),
            ("equals", json!(true), None),
            ("equals", json!({"a": [1]}), None),
            ("not-equals", json!("a"), None),
            ("contains", json!(42), None),
            ("contains-any", json!("a, \"b, \\\"c\\\"\", d\"\"e"), None),
            ("contains-any", json!("a, \"b"), None),
            ("icontains-all", json!(["a", 1]), None),
            ("regex", json!("\\d+"), None),
            ("not-is-json", json!("type: object"), None),
            ("is-json", Value::Null, None),
            ("contains-json", Value::Null, None),
            ("not-contains-json", Value::Null, None),
            ("is-xml", json!({"requiredElements": ["a.b", "a.c"]}), None),
            ("contains-xml", Value::Null, None),
            ("word-count", json!(3), None),
            ("word-count", json!({"min": 2}), None),
            ("levenshtein", json!("kitten"), None),
            ("levenshtein", json!("kitten"), Some(0.75)),
            ("rouge-n", json!("a b"), None),
            ("bleu", json!(["a b", "b c"]), Some(0.9)),
            ("similar", json!(["a", "b"]), None),
            ("llm-rubric", json!("kind"), None),
            ("llm-rubric", json!("kind"), Some(0.5)),
            ("latency", Value::Null, Some(900.0)),
            ("latency", Value::Null, None),
            ("finish-reason", json!("length"), None),
            ("finish-reason", json!("content_filter"), None),
            ("not-is-refusal", Value::Null, None),
            ("tool-call-f1", json!("find, refund, find"), None),
            ("javascript", json!("true"), None),
        ];
        let made: Vec<String> = table
            .into_iter()
            .map(|(written, value, threshold)| {
                let kind = written.strip_prefix("not-").unwrap_or(written);
                let row = find(kind).unwrap().map_err(str::to_owned);
                let made = row.and_then(|row| row.check(&args(value, threshold), kind != written));
                match made {
                    Ok(check) => format!("{written}: {check}"),
                    Err(why) => format!("{written}: ! {why}"),
                }
            })
            .collect();
        insta::assert_snapshot!("equivalents", made.join("\n"));
    }

    #[test]
    fn an_answer_of_that_similarity_has_at_most_that_distance() {
        // Whatever the answer: more edits than allowed never reach the similarity.
        for length in 1..40_u32 {
            for distance in (1..12_u32).chain([9_000]) {
                let check = levenshtein(&args(json!("x".repeat(length as usize)), Some(f64::from(distance)))).unwrap();
                let min = check["similarity"]["min"].as_f64().unwrap();
                // The longest answer that is `edits` away makes the edits weigh least.
                let similarity = |edits: u32| f64::from(length) / f64::from(length + edits);
                assert!(similarity(distance) >= min, "{length} {distance}");
                for edits in distance + 1..distance + 60 {
                    assert!(similarity(edits) < min, "{length} {distance} {edits}");
                }
            }
        }
    }
}
