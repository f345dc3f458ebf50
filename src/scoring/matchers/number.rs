//! `number`: the answer's number is this one. What counts as a number stands in `numerals`.

use crate::domain::Score;
use crate::scoring::arguments::{Fields, Read, choice, needle, number, refuse};
use crate::scoring::constraint;
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::numerals::numerals;
use crate::scoring::quote::{bounded, quote};
use serde_json::Value;

pub(super) const NUMBER: MatcherDef = MatcherDef {
    name: "number",
    summary: "the number in the answer is this one, to a tolerance, or lies in a range",
    arguments: "18, or {value, tolerance: 0, relative: 0, after, which}, or {min, max, after, which}; tolerance is \
                absolute, relative a share of the value (0.05 is 5 %), with both either is enough; min and max are \
                inclusive, one of them is enough; after: only the text behind the last place where this text stands; \
                which: first or last, by default the last number of the answer, or the first one behind `after`; \
                numbers may have a sign, groups of three (1,234), decimals after a point and an exponent; a currency \
                sign or a unit does not matter, so 18% is 18; decimal commas are not read; compared as 64-bit floats",
    schema: r##"{"anyOf": [{"type": "number"}, {"type": "object", "properties": {"value": {"type": "number"},
        "tolerance": {"type": "number", "minimum": 0}, "relative": {"type": "number", "minimum": 0,
        "exclusiveMaximum": 1}, "min": {"type": "number"}, "max": {"type": "number"},
        "after": {"$ref": "#/$defs/text"}, "which": {"enum": ["first", "last"]}},
        "anyOf": [{"required": ["value"]}, {"required": ["min"]}, {"required": ["max"]}],
        "additionalProperties": false}]}"##,
    example: r#"{"number": {"value": 1250.5, "tolerance": 0.01, "after": "Total:"}}"#,
    passes: Sample::Text("Two items. Total: $1,250.50"),
    fails: Sample::Text("Total: 1,250"),
    refused: r#"{"number": {"value": "1250.5"}}"#,
    compile,
    constraint: constraint::number,
    ..MatcherDef::DEFAULT
};

#[derive(Clone, Copy, Debug)]
enum Which {
    First,
    Last,
}

struct Number {
    wanted: Target,
    after: Option<String>,
    which: Which,
}

enum Target {
    Near {
        value: f64,
        tolerance: f64,
        relative: f64,
    },
    /// An end that is not given is infinite.
    Within {
        min: f64,
        max: f64,
    },
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let known = ["value", "tolerance", "relative", "min", "max", "after", "which"];
    let expected = "a number, or a map {value, tolerance, relative, min, max, after, which}";
    let mut fields = Fields::of_map_or(|args| args.is_number() || args.is_string(), args, &known, expected)?;
    let wanted = match fields.has("min") || fields.has("max") {
        true => range_target(&mut fields),
        false => value_target(&mut fields),
    };
    let after = fields.optional("after", needle).map(str::to_owned);
    let which = fields.optional("which", |which| choice(which, &[("first", Which::First), ("last", Which::Last)]));
    let which = which.unwrap_or(if after.is_some() { Which::First } else { Which::Last });
    let number = Number { wanted: fields.finish(wanted)?, after, which };
    Ok(Matcher::new(move |input| Ok(number.judge(&input.answer.text))))
}

fn value_target(fields: &mut Fields<'_>) -> Option<Target> {
    let value = fields.required("value", "a number, or a range of `min` and `max`", number);
    let tolerance = fields.optional("tolerance", not_negative).unwrap_or(0.0);
    let relative = fields.optional("relative", share).unwrap_or(0.0);
    if value == Some(0.0) && relative > 0.0 {
        fields.refuse_key("relative", "a share of 0 is 0, so `relative` has no effect", "`tolerance` instead");
    }
    value.map(|value| Target::Near { value, tolerance, relative })
}

fn range_target(fields: &mut Fields<'_>) -> Option<Target> {
    let min = fields.optional("min", number);
    let max = fields.optional("max", number);
    for key in ["value", "tolerance", "relative"] {
        if fields.has(key) {
            let expected = "`value` with a tolerance, or `min` and `max`";
            fields.refuse_key(key, format!("`{key}` does not go with a range"), expected);
        }
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        fields.refuse_inverted(min, max);
    }
    Some(Target::Within { min: min.unwrap_or(f64::NEG_INFINITY), max: max.unwrap_or(f64::INFINITY) })
}

fn not_negative(value: &Value) -> Read<f64> {
    let tolerance = number(value)?;
    if tolerance < 0.0 {
        return refuse(format!("{value} is negative"), "a number of 0 or more");
    }
    Ok(tolerance)
}

fn share(value: &Value) -> Read<f64> {
    let share = not_negative(value)?;
    if share >= 1.0 {
        return refuse(format!("{value} is not a share below 1"), "a share of the value: 0.05 is 5 %");
    }
    Ok(share)
}

impl Target {
    fn accepts(&self, found: f64) -> bool {
        match *self {
            Target::Near { value, tolerance, relative } => {
                let allowed = tolerance.max(relative * value.abs());
                // What a decimal tolerance leaves of rounding: 18.1 is 18 to 0.1, although its difference is a little more.
                let rounding = if allowed > 0.0 { 4.0 * f64::EPSILON * value.abs().max(found.abs()) } else { 0.0 };
                found == value || (found.is_finite() && (found - value).abs() <= allowed + rounding)
            }
            // A number too large to be told is in no range.
            Target::Within { min, max } => found.is_finite() && (min..=max).contains(&found),
        }
    }

    /// What the number is or is not.
    fn describe(&self) -> String {
        match *self {
            Target::Near { value, tolerance, relative } => {
                let mut text = value.to_string();
                if tolerance > 0.0 {
                    text = format!("{text} ± {tolerance}");
                }
                if relative > 0.0 {
                    let or = if tolerance > 0.0 { " or" } else { "" };
                    text = format!("{text}{or} ± {relative} of it");
                }
                text
            }
            Target::Within { min, max } if min.is_infinite() => format!("at most {max}"),
            Target::Within { min, max } if max.is_infinite() => format!("at least {min}"),
            Target::Within { min, max } => format!("from {min} to {max}"),
        }
    }
}

impl Number {
    fn judge(&self, mut text: &str) -> Score {
        let mut place = String::new();
        if let Some(after) = &self.after {
            place = format!(" after {}", quote(after));
            match text.rfind(after.as_str()) {
                Some(at) => text = &text[at + after.len()..],
                None => return Score::binary(false, format!("does not contain {}", quote(after))),
            }
        }
        let mut found = numerals(text);
        let (which, found) = match self.which {
            Which::First => ("first", found.next()),
            Which::Last => ("last", found.last()),
        };
        let Some(found) = found else {
            return Score::binary(false, format!("has no number{place}"));
        };
        let pass = self.wanted.accepts(found.value);
        let minus = if found.value.is_sign_negative() { "-" } else { "" };
        let shown = bounded(found.text, 40);
        let is = if pass { "is" } else { "is not" };
        Score::binary(pass, format!("the {which} number{place}, {minus}{shown}, {is} {}", self.wanted.describe()))
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use serde_json::json;

    #[test]
    fn takes_the_last_number() {
        verdicts(
            json!({"number": 18}),
            &[
                ("16 + 2 = 18.", true),
                ("$18.00", true),
                ("18%", true),
                ("18 of 20", false),
                ("-18", false),
                ("18.0000001", false),
                ("eighteen", false),
                ("", false),
            ],
        );
        verdicts(json!({"number": {"value": 18, "which": "first"}}), &[("18 of 20", true), ("2 + 16 = 18", false)]);
        verdicts(json!({"number": -1234.5}), &[("about -1,234.5", true), ("1,234.5", false)]);
    }

    #[test]
    fn looks_behind_a_marker() {
        let check = json!({"number": {"value": 18, "after": "A:"}});
        verdicts(check, &[("A: 7\nA: 18 (not 20)", true), ("A: 7", false), ("18", false), ("18 A:", false)]);
        verdicts(json!({"number": {"value": 18, "after": "A:", "which": "last"}}), &[("A: 9 + 9 = 18", true)]);
    }

    #[test]
    fn tolerances_are_inclusive_and_either_is_enough() {
        verdicts(
            json!({"number": {"value": 18, "tolerance": 0.1}}),
            &[("18.1", true), ("17.9", true), ("18.11", false), ("1e999", false)],
        );
        verdicts(
            json!({"number": {"value": 200, "relative": 0.05}}),
            &[("210", true), ("190", true), ("210.1", false)],
        );
        verdicts(
            json!({"number": {"value": 200, "relative": 0.05, "tolerance": 20}}),
            &[("220", true), ("220.1", false)],
        );
        verdicts(json!({"number": 0.3}), &[("0.3", true), ("0.30000000000000004", false)]);
    }

    #[test]
    fn a_range_is_inclusive() {
        verdicts(
            json!({"number": {"min": 1000, "max": 2000.5}}),
            &[("$1,000", true), ("€2,000.50", true), ("999.99", false), ("2,000.51", false), ("none", false)],
        );
        verdicts(
            json!({"number": {"min": 0.1, "after": "rate:"}}),
            &[("rate: 10%", true), ("rate: -5%", false), ("1e999 rate: 1e999", false)],
        );
        verdicts(json!({"number": {"max": -1}}), &[("-1", true), ("0", false), ("-1e999", false)]);
    }

    #[test]
    fn reasons_name_the_number() {
        insta::assert_snapshot!(reasons(json!({"number": 18}), &["18", "so -1,200", "none"]), @"
        the last number, 18, is 18
        the last number, -1,200, is not 18
        has no number
        ");
        let range = json!({"number": {"min": 1, "max": 2}});
        insta::assert_snapshot!(reasons(range, &["1.5", "3"]), @"
        the last number, 1.5, is from 1 to 2
        the last number, 3, is not from 1 to 2
        ");
        let check = json!({"number": {"value": 2, "tolerance": 0.5, "relative": 0.1, "after": "A:"}});
        insta::assert_snapshot!(reasons(check, &["A: 3", "A: x", "3"]), @r#"
        the first number after "A:", 3, is not 2 ± 0.5 or ± 0.1 of it
        has no number after "A:"
        does not contain "A:"
        "#);
    }

    #[test]
    fn problems_say_what_to_do() {
        insta::assert_snapshot!(problems(&[
            json!({"number": "18"}),
            json!({"number": "x"}),
            json!({"number": null}),
            json!({"number": {}}),
            json!({"number": {"value": "18", "tolerence": 1}}),
            json!({"number": {"value": 18, "tolerance": -1}}),
            json!({"number": {"value": 18, "relative": 5}}),
            json!({"number": {"value": 0, "relative": 0.1}}),
            json!({"number": {"value": 18, "after": "", "which": "frist"}}),
            json!({"number": {"min": 2, "max": 1}}),
            json!({"number": {"min": "1", "value": 1, "tolerance": 1}}),
        ]));
    }
}
