//! `number`: the answer's number is this one. What counts as a number stands in `numerals`.

use crate::model::{ArgProblem, Score, Step};
use crate::score::arguments::{Fields, Read, choice, needle, not_a, number, wrong};
use crate::score::matcher::{CannotJudge, Compile, Matcher, MatcherDef, Sample, Seen};
use crate::score::numerals::numerals;
use crate::score::quote::{bounded, quote};
use serde_json::Value;

pub(super) const NUMBER: MatcherDef = MatcherDef {
    name: "number",
    summary: "the number in the answer is this one, to a tolerance",
    arguments: "18, or {value, tolerance: 0, relative: 0, after, which}; tolerance is absolute, relative a share of the \
                value (0.05 is 5 %), with both either is enough; after: only the text behind the last place where this \
                text stands; which: first or last, by default the last number of the answer, or the first one behind \
                `after`; numbers are compared as 64-bit floats",
    schema: r##"{"anyOf": [{"type": "number"}, {"type": "object", "properties": {"value": {"type": "number"},
        "tolerance": {"type": "number", "minimum": 0}, "relative": {"type": "number", "minimum": 0,
        "exclusiveMaximum": 1}, "after": {"$ref": "#/$defs/text"}, "which": {"enum": ["first", "last"]}},
        "required": ["value"], "additionalProperties": false}]}"##,
    example: r#"{"number": {"value": 1250.5, "tolerance": 0.01, "after": "Total:"}}"#,
    passes: Sample::Text("Two items. Total: $1,250.50"),
    fails: Sample::Text("Total: 1,250"),
    refused: r#"{"number": {"value": "1250.5"}}"#,
    cost: "linear in the answer",
    takes_text: false,
    combines: false,
    inline: None,
    compile,
};

#[derive(Clone, Copy, Debug)]
enum Which {
    First,
    Last,
}

#[derive(Debug)]
struct Number {
    value: f64,
    tolerance: f64,
    relative: f64,
    after: Option<String>,
    which: Which,
}

fn compile(args: &Value, _: &Compile<'_>) -> Result<Box<dyn Matcher>, Vec<ArgProblem>> {
    let matcher = match args {
        Value::Object(map) => {
            let mut fields = Fields::new(map, &["value", "tolerance", "relative", "after", "which"]);
            let value = fields.required("value", "a number", number);
            let tolerance = fields.optional("tolerance", not_negative).unwrap_or(0.0);
            let relative = fields.optional("relative", share).unwrap_or(0.0);
            let after = fields.optional("after", needle).map(str::to_owned);
            let which = fields.optional("which", |which| {
                choice(which, &[("first", Which::First), ("last", Which::Last)])
            });
            if value == Some(0.0) && relative > 0.0 {
                fields.refuse(
                    ArgProblem::new("a share of 0 is 0, so `relative` has no effect")
                        .inside(Step::key("relative"))
                        .expected("`tolerance` instead"),
                );
            }
            let which = which.unwrap_or(if after.is_some() { Which::First } else { Which::Last });
            let value = fields.finish(value)?;
            Number {
                value,
                tolerance,
                relative,
                after,
                which,
            }
        }
        Value::Number(_) | Value::String(_) => Number {
            value: number(args)?,
            tolerance: 0.0,
            relative: 0.0,
            after: None,
            which: Which::Last,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) => {
            return wrong(not_a(
                "a number, or a map {value, tolerance, relative, after, which}",
                args,
            ));
        }
    };
    Ok(Box::new(matcher))
}

fn not_negative(value: &Value) -> Read<f64> {
    let tolerance = number(value)?;
    if tolerance < 0.0 {
        return wrong(ArgProblem::new(format!("{value} is negative")).expected("a number of 0 or more"));
    }
    Ok(tolerance)
}

fn share(value: &Value) -> Read<f64> {
    let share = not_negative(value)?;
    if share >= 1.0 {
        return wrong(
            ArgProblem::new(format!("{value} is not a share below 1")).expected("a share of the value: 0.05 is 5 %"),
        );
    }
    Ok(share)
}

impl Number {
    fn accepts(&self, found: f64) -> bool {
        let allowed = self.tolerance.max(self.relative * self.value.abs());
        // What a decimal tolerance leaves of rounding: 18.1 is 18 to 0.1, although its difference is a little more.
        let rounding = if allowed > 0.0 {
            4.0 * f64::EPSILON * self.value.abs().max(found.abs())
        } else {
            0.0
        };
        found == self.value || (found.is_finite() && (found - self.value).abs() <= allowed + rounding)
    }

    fn expected(&self) -> String {
        let mut text = self.value.to_string();
        if self.tolerance > 0.0 {
            text = format!("{text} ± {}", self.tolerance);
        }
        if self.relative > 0.0 {
            let or = if self.tolerance > 0.0 { " or" } else { "" };
            text = format!("{text}{or} ± {} of it", self.relative);
        }
        text
    }
}

impl Matcher for Number {
    fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge> {
        let mut text = seen.answer.text.as_str();
        let mut place = String::new();
        if let Some(after) = &self.after {
            place = format!(" after {}", quote(after));
            match text.rfind(after.as_str()) {
                Some(at) => text = &text[at + after.len()..],
                None => return Ok(Score::binary(false, format!("does not contain {}", quote(after)))),
            }
        }
        let mut found = numerals(text);
        let (which, found) = match self.which {
            Which::First => ("first", found.next()),
            Which::Last => ("last", found.last()),
        };
        let Some(found) = found else {
            return Ok(Score::binary(false, format!("has no number{place}")));
        };
        let pass = self.accepts(found.value);
        let minus = if found.value.is_sign_negative() { "-" } else { "" };
        let shown = bounded(found.text, 40);
        let is = if pass { "is" } else { "is not" };
        Ok(Score::binary(
            pass,
            format!("the {which} number{place}, {minus}{shown}, {is} {}", self.expected()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::score::rules::testing::{problems, reasons, verdicts};
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
        verdicts(
            json!({"number": {"value": 18, "which": "first"}}),
            &[("18 of 20", true), ("2 + 16 = 18", false)],
        );
        verdicts(
            json!({"number": -1234.5}),
            &[("about -1,234.5", true), ("1,234.5", false)],
        );
    }

    #[test]
    fn looks_behind_a_marker() {
        let check = json!({"number": {"value": 18, "after": "A:"}});
        verdicts(
            check,
            &[
                ("A: 7\nA: 18 (not 20)", true),
                ("A: 7", false),
                ("18", false),
                ("18 A:", false),
            ],
        );
        verdicts(
            json!({"number": {"value": 18, "after": "A:", "which": "last"}}),
            &[("A: 9 + 9 = 18", true)],
        );
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
    fn reasons_name_the_number() {
        insta::assert_snapshot!(reasons(json!({"number": 18}), &["18", "so -1,200", "none"]), @"
        the last number, 18, is 18
        the last number, -1,200, is not 18
        has no number
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
        ]), @r#"
        /number number: a text stands here
          expected: a number
          help: leave the quotes away: 18
        /number number: a text stands here
          expected: a number
        /number number: nothing stands here
          expected: a number, or a map {value, tolerance, relative, after, which}
        /number number: `value` is missing
          expected: a number
        /number/tolerence number: unknown key `tolerence`
          expected: one of the keys value, tolerance, relative, after, which
          help: did you mean `tolerance`?
        /number/value number: a text stands here
          expected: a number
          help: leave the quotes away: 18
        /number/tolerance number: -1 is negative
          expected: a number of 0 or more
        /number/relative number: 5 is not a share below 1
          expected: a share of the value: 0.05 is 5 %
        /number/relative number: a share of 0 is 0, so `relative` has no effect
          expected: `tolerance` instead
        /number/after number: the text is empty
          expected: a text with at least one visible character
        /number/which number: `frist` is not known here
          expected: one of first, last
          help: did you mean `first`?
        "#);
    }
}
