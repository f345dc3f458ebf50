//! `json_equals`: the answer is JSON that equals a value, as people mean equal.

use super::json::find_json;
use super::json_path::PathText;
use super::json_schema::pointer;
use crate::domain::{ArgProblem, Score, Step};
use crate::scoring::arguments::{Fields, Read, each, flag, not_a, number, refuse, refuse_key, wrong};
use crate::scoring::constraint;
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::json_compare::{Comparison, Difference, ListOrder};
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use serde_json::{Map, Value};

pub(super) const JSON_EQUALS: MatcherDef = MatcherDef {
    name: "json_equals",
    summary: "the answer is JSON, as for `json`, and equals the value; 1 and 1.0 are equal, and the order of keys says \
              nothing",
    arguments: "{value, subset: false, ignore: [paths], unordered: true or [paths], tolerance: 0, fenced: true}; subset: \
                maps may have further keys, and unordered lists further elements; ignore: what these JSONPaths select is \
                left out on both sides, and leaves something of the value; unordered: all lists, or those that the paths select in the value, are compared \
                as multisets (duplicates count); tolerance: how far apart numbers may be",
    schema: r##"{"type": "object", "properties": {"value": true, "subset": {"type": "boolean"}, "ignore": {"type":
        "array", "items": {"type": "string"}, "minItems": 1}, "unordered": {"anyOf": [{"type": "boolean"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1}]}, "tolerance": {"type": "number",
        "minimum": 0}, "fenced": {"type": "boolean"}}, "required": ["value"], "additionalProperties": false,
        "not": {"required": ["subset"], "properties": {"subset": {"const": true}, "value": {"enum": [{},
        []]}}}}"##,
    example: r#"{"json_equals": {"value": {"id": 7, "tags": ["new", "sale"]}, "unordered": ["$.tags"], "ignore": ["$.time"]}}"#,
    passes: Sample::Text("{\"time\": \"12:05\", \"tags\": [\"sale\", \"new\"], \"id\": 7.0}"),
    fails: Sample::Text("{\"id\": 7, \"tags\": [\"sale\", \"sale\"]}"),
    refused: r#"{"json_equals": {"value": {}, "subset": true}}"#,
    cost: "linear in the answer; for unordered lists the product of their lengths; with more than 5 million comparisons it \
           can't judge",
    compile,
    constraint: constraint::json_equals,
    ..MatcherDef::DEFAULT
};

/// How many paths `ignore` and `unordered` may list.
const MAX_PATHS: usize = 50;

struct JsonEquals {
    value: Value,
    ignore: Vec<PathText>,
    comparison: Comparison,
    fenced: bool,
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of(
        args,
        &["value", "subset", "ignore", "unordered", "tolerance", "fenced"],
        "a map {value, subset, ignore, unordered, tolerance, fenced}",
    )?;
    let value = fields.required("value", "the JSON value to compare with", |value| Ok(value.clone()));
    let subset = fields.optional("subset", flag).unwrap_or(false);
    let ignore = fields.optional("ignore", paths).unwrap_or_default();
    let unordered = fields.optional("unordered", |value| match value.as_bool() {
        Some(false) => Ok(OrderOption::None),
        Some(true) => Ok(OrderOption::All),
        None => paths(value).map(OrderOption::Paths),
    });
    let tolerance = fields.optional("tolerance", tolerance).unwrap_or(0.0);
    let fenced = fields.optional("fenced", flag).unwrap_or(true);
    let mut value = fields.finish(value)?;
    let mut probe = probe(&value);
    remove_selected(&mut value, &ignore, "ignore")?;
    remove_selected(&mut probe, &ignore, "ignore")?;
    if !holds_something(&probe) {
        let message = "`ignore` leaves nothing of the value, so nothing is compared";
        return refuse_key("ignore", message, "paths that leave a part of `value`");
    }
    let empty = value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    if subset && empty {
        return refuse(
            "with `subset` an empty value says nothing about what the answer holds",
            "a value with something in it that is not ignored, or no `subset`",
        );
    }
    let unordered = match unordered.unwrap_or(OrderOption::None) {
        OrderOption::None => ListOrder::None,
        OrderOption::All => ListOrder::All,
        OrderOption::Paths(paths) => lists(&value, &paths)?,
    };
    let equals = JsonEquals { value, ignore, comparison: Comparison { subset, tolerance, unordered }, fenced };
    Ok(Matcher::new(move |input| equals.check(input)))
}

/// The value with something in each empty map and list. That one is empty is something to compare, unless whatever an
/// answer might have in it is ignored.
fn probe(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.is_empty() => Value::from_iter([("\0", Value::Null)]),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), probe(item))).collect(),
        Value::Array(list) if list.is_empty() => Value::Array(vec![Value::Null]),
        Value::Array(list) => list.iter().map(probe).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// There is a text, a number, true, false or null in it, and not only maps and lists of each other.
fn holds_something(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().any(holds_something),
        Value::Array(list) => list.iter().any(holds_something),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

enum OrderOption {
    None,
    All,
    Paths(Vec<PathText>),
}

fn tolerance(value: &Value) -> Read<f64> {
    let tolerance = number(value)?;
    if tolerance < 0.0 {
        return refuse(format!("{value} is less than 0"), "a tolerance of 0 or more");
    }
    Ok(tolerance)
}

fn paths(value: &Value) -> Read<Vec<PathText>> {
    let Some(list) = value.as_array() else {
        return wrong(not_a("a list of JSONPaths", value));
    };
    if list.is_empty() || list.len() > MAX_PATHS {
        return refuse(format!("the list has {} paths", list.len()), format!("1 to {MAX_PATHS} paths, or no such key"));
    }
    each(list, PathText::read)
}

/// Leaves out what the paths of the argument `key` select.
fn remove_selected(value: &mut Value, paths: &[PathText], key: &str) -> Read<()> {
    for (i, path) in paths.iter().enumerate() {
        let at = |problem: ArgProblem| vec![problem.inside(Step::Index(i)).inside(Step::key(key))];
        let places = path.places(value).map_err(|error| at(ArgProblem::new(error.reason)))?;
        if places.iter().any(Vec::is_empty) {
            let problem = ArgProblem::new(format!("the path {path} selects the whole value, so nothing is compared"));
            return Err(at(problem.expected("a path to a part of it")));
        }
        remove(value, &places);
    }
    Ok(())
}

/// Removes what stands at these places, which are sorted: the last first, so that indices stay right.
fn remove(value: &mut Value, places: &[Vec<Step>]) {
    for place in places.iter().rev() {
        let Some((last, parents)) = place.split_last() else {
            continue;
        };
        let parent = parents.iter().try_fold(&mut *value, |value, step| match step {
            Step::Key(key) => value.get_mut(key),
            Step::Index(index) => value.get_mut(index),
        });
        match (parent, last) {
            (Some(Value::Object(map)), Step::Key(key)) => drop(map.shift_remove(key)),
            (Some(Value::Array(list)), Step::Index(index)) if *index < list.len() => drop(list.remove(*index)),
            (_, Step::Key(_) | Step::Index(_)) => {}
        }
    }
}

/// The lists that the paths of `unordered` select.
fn lists(value: &Value, paths: &[PathText]) -> Read<ListOrder> {
    let mut found = std::collections::HashSet::new();
    for (i, path) in paths.iter().enumerate() {
        let at = |problem: ArgProblem| vec![problem.inside(Step::Index(i)).inside(Step::key("unordered"))];
        let places = path.places(value).map_err(|error| at(ArgProblem::new(error.reason)))?;
        let before = found.len();
        for place in places {
            let pointer = pointer(&place);
            if value.pointer(&pointer).is_some_and(Value::is_array) {
                found.insert(pointer);
            }
        }
        if found.len() == before {
            let problem = ArgProblem::new(format!("the path {path} selects no list of the value, or none anew"));
            return Err(at(problem.expected("a path to a list of `value`, like $.tags")));
        }
    }
    Ok(ListOrder::At(found))
}

impl JsonEquals {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let mut value = match find_json(&input.answer.text, self.fenced) {
            Ok(value) => value,
            Err(reason) => return Ok(Score::binary(false, reason)),
        };
        for path in &self.ignore {
            let places = path.places(&value)?;
            remove(&mut value, &places);
        }
        match self.comparison.compare(&self.value, &value) {
            Ok(()) => Ok(Score::binary(true, "is JSON that equals the value")),
            Err(Difference::Found(what)) => Ok(Score::binary(false, format!("does not equal the value: {what}"))),
            Err(Difference::TooMany) => {
                Err(MatchError::new("comparing its unordered lists takes more than 5 million comparisons"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use serde_json::json;

    #[test]
    fn compares_values_not_texts() {
        verdicts(
            json!({"json_equals": {"value": {"a": 1, "b": [1, 2]}}}),
            &[
                (r#"{"b": [1, 2.0], "a": 1.0}"#, true),
                ("```json\n{\"a\": 1, \"b\": [1, 2]}\n```", true),
                (r#"{"a": 1, "b": [2, 1]}"#, false),
                (r#"{"a": 1, "b": [1, 2], "c": null}"#, false),
                (r#"{"a": "1", "b": [1, 2]}"#, false),
                ("a: 1", false),
            ],
        );
        verdicts(
            json!({"json_equals": {"value": {"a": 1}, "subset": true, "tolerance": 0.5, "fenced": false}}),
            &[
                (r#"{"a": 1.5, "c": 1}"#, true),
                (r#"{"a": 1.6}"#, false),
                (r#"{"c": 1}"#, false),
                ("```json\n{\"a\": 1}\n```", false),
            ],
        );
        verdicts(json!({"json_equals": {"value": null}}), &[("null", true), ("{}", false)]);
    }

    #[test]
    fn ignored_parts_and_the_order_of_lists_say_nothing() {
        verdicts(
            json!({"json_equals": {
                "value": {"rows": [{"id": 1, "t": 5}, {"id": 2}], "order": [1, 2]},
                "ignore": ["$..t", "$.rows[?@.id == 9]"],
                "unordered": ["$.rows"],
            }}),
            &[
                (r#"{"rows": [{"id": 2, "t": 1}, {"id": 9}, {"id": 1}, {"id": 9}], "order": [1, 2]}"#, true),
                (r#"{"rows": [{"id": 2}, {"id": 1}], "order": [2, 1]}"#, false),
                (r#"{"rows": [{"id": 2}, {"id": 2}], "order": [1, 2]}"#, false),
            ],
        );
        verdicts(
            json!({"json_equals": {"value": [[1, 2], [3]], "unordered": true}}),
            &[("[[3], [2, 1]]", true), ("[[3], [2, 2]]", false), ("[[3]]", false)],
        );
    }

    #[test]
    fn what_is_ignored_leaves_something_to_compare() {
        let table = [
            (json!({"a": 1}), json!(["$.a"]), false),
            (json!({"a": 1}), json!(["$.*"]), false),
            (json!({"a": 1, "b": 2}), json!(["$.a", "$.b"]), false),
            (json!({"a": {"b": [1, 2]}}), json!(["$.a.b[*]"]), false),
            (json!({"a": {"b": 1}}), json!(["$..b"]), false),
            (json!([1, 2]), json!(["$[*]"]), false),
            (json!([{"a": 1}, {"a": 2}]), json!(["$[*].a"]), false),
            (json!({}), json!(["$.*"]), false),
            (json!({"a": []}), json!(["$.a[*]"]), false),
            (json!({"a": 1, "b": 2}), json!(["$.a"]), true),
            (json!({"a": 1}), json!(["$.b"]), true),
            (json!({"a": 1, "b": []}), json!(["$.a"]), true),
            (json!({"a": 1, "b": null}), json!(["$.a"]), true),
            (json!({}), json!(["$.a"]), true),
            (json!([1, 2]), json!(["$[0]"]), true),
        ];
        for (value, ignore, loads) in table {
            for subset in [false, true] {
                let check = json!({"json_equals": {"value": value, "ignore": ignore, "subset": subset}});
                let said = problems(std::slice::from_ref(&check));
                assert_eq!(said.is_empty(), loads && !(subset && value == json!({})), "{check}: {said}");
            }
        }
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(
            json!({"json_equals": {"value": {"a": [1]}}}),
            &[r#"{"a": [1]}"#, r#"{"a": [2]}"#, "no"],
        ), @r#"
        is JSON that equals the value
        does not equal the value: at /a/0: 2 instead of 1
        is not valid JSON: expected ident at line 1 column 2, in "no"
        "#);
        insta::assert_snapshot!(problems(&[
            json!({"json_equals": 3}),
            json!({"json_equals": {}}),
            json!({"json_equals": {"value": 1, "tolerance": -1}}),
            json!({"json_equals": {"value": [], "subset": true}}),
            json!({"json_equals": {"value": {"a": 1}, "subset": true, "ignore": ["$.a"]}}),
            json!({"json_equals": {"value": 1, "ignore": ["$"]}}),
            json!({"json_equals": {"value": 1, "ignore": []}}),
            json!({"json_equals": {"value": 1, "ignore": ["$.a", "a"]}}),
            json!({"json_equals": {"value": {"a": 1}, "unordered": ["$.a"]}}),
            json!({"json_equals": {"value": {"a": 1}, "unordered": "$.a"}}),
        ]));
    }
}
