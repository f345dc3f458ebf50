//! What checks say about each other: that no answer can hold both, or that one holds wherever another one does.
//!
//! The checks of a case are flattened into [`Claim`]s: a check without `not` and `all` around it, that must hold or must
//! not. Two relations between checks, [`excludes`] and [`implies`], then say everything, because for negated ones
//!
//! ```text
//! a excludes (not b)  ⇔  a implies b          (not a) implies (not b)  ⇔  b implies a
//! ```
//!
//! Both relations are sure, and incomplete: where nothing is known they say no. What a check says of a certain text is not
//! known here but asked of the matcher itself ([`Matchers::passes`]), so a new matcher takes part without a line here
//! wherever a case expects a certain text.

use super::Matchers;
use crate::domain::CheckSpec;
use serde_json::{Map, Value, json};

/// Beyond this many claims the rest of a case is not compared: the work grows with their square.
pub(super) const MAX_CLAIMS: usize = 128;

/// How deep relations look into `any`. Each level multiplies the work.
const MAX_DEPTH: u32 = 4;

/// A check that must hold, or must not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claim {
    /// Neither `not` nor `all`.
    pub(super) check: CheckSpec,
    pub(super) holds: bool,
    /// The check of the case that it comes from, from 0.
    pub(super) from: usize,
}

/// The claims of the deciding checks of a case, at most [`MAX_CLAIMS`].
pub(super) fn claims(checks: &[CheckSpec]) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (from, check) in checks.iter().enumerate().filter(|(_, check)| check.decides()) {
        flatten(check, true, from, &mut claims);
    }
    claims.truncate(MAX_CLAIMS);
    claims
}

fn flatten(check: &CheckSpec, holds: bool, from: usize, claims: &mut Vec<Claim>) {
    if claims.len() > MAX_CLAIMS {
        return;
    }
    match (check.matcher.as_str(), holds) {
        ("not", _) => {
            if let Ok(inner) = CheckSpec::parse(&check.args) {
                flatten(&inner, !holds, from, claims);
            }
        }
        // Not any of them is none of them.
        ("all", true) | ("any", false) => {
            for inner in alternatives(check) {
                flatten(&inner, holds, from, claims);
            }
        }
        ("contains_all", true) | ("contains_any", false) if Texts::of(check).is_some() => {
            let (texts, folding) = Texts::of(check).map_or_else(Default::default, |it| (it.texts, it.folding));
            for text in texts {
                claims.push(Claim {
                    check: CheckSpec::plain("contains", folding.arguments(&text)),
                    holds,
                    from,
                });
            }
        }
        _ => claims.push(Claim {
            check: check.clone(),
            holds,
            from,
        }),
    }
}

/// The checks in the list of an `any` or `all`.
pub(super) fn alternatives(check: &CheckSpec) -> Vec<CheckSpec> {
    let written = check.args.as_array().map_or(&[][..], Vec::as_slice);
    written
        .iter()
        .take(MAX_CLAIMS)
        .filter_map(|written| CheckSpec::parse(written).ok())
        .collect()
}

/// No answer makes both claims true.
pub(super) fn contradict(a: &Claim, b: &Claim, matchers: &dyn Matchers) -> bool {
    Relations { matchers, depth: 0 }.claims_exclude(a, b)
}

/// Wherever `a` is true `b` is, too.
pub(super) fn follows(a: &Claim, b: &Claim, matchers: &dyn Matchers) -> bool {
    Relations { matchers, depth: 0 }.claim_implies(a, b)
}

/// Of the two claims at least one is true of any answer: `not a, or b` where a implies b.
pub(super) fn exhaust(a: &Claim, b: &Claim, matchers: &dyn Matchers) -> bool {
    let relations = Relations { matchers, depth: 0 };
    match (a.holds, b.holds) {
        (false, true) => relations.implies(&a.check, &b.check),
        (true, false) => relations.implies(&b.check, &a.check),
        (true, true) | (false, false) => false,
    }
}

/// Wherever the first check holds the second one does, too; for checks with any `not` and `all` in them.
pub(super) fn check_implies(a: &CheckSpec, b: &CheckSpec, matchers: &dyn Matchers) -> bool {
    Relations { matchers, depth: 0 }.whole_implies(a, b)
}

#[derive(Clone, Copy)]
struct Relations<'a> {
    matchers: &'a dyn Matchers,
    depth: u32,
}

impl Relations<'_> {
    fn claims_exclude(&self, a: &Claim, b: &Claim) -> bool {
        match (a.holds, b.holds) {
            (true, true) => self.excludes(&a.check, &b.check) || self.excludes(&b.check, &a.check),
            (true, false) => self.implies(&a.check, &b.check),
            (false, true) => self.implies(&b.check, &a.check),
            (false, false) => false,
        }
    }

    fn claim_implies(&self, a: &Claim, b: &Claim) -> bool {
        match (a.holds, b.holds) {
            (true, true) => self.implies(&a.check, &b.check),
            (true, false) => self.excludes(&a.check, &b.check) || self.excludes(&b.check, &a.check),
            (false, false) => self.implies(&b.check, &a.check),
            (false, true) => false,
        }
    }

    /// All claims of `b` follow from some claim of `a`.
    fn whole_implies(&self, a: &CheckSpec, b: &CheckSpec) -> bool {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        flatten(a, true, 0, &mut from);
        flatten(b, true, 0, &mut to);
        !to.is_empty() && to.iter().all(|b| from.iter().any(|a| self.claim_implies(a, b)))
    }

    fn whole_excludes(&self, a: &CheckSpec, b: &CheckSpec) -> bool {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        flatten(a, true, 0, &mut one);
        flatten(b, true, 0, &mut other);
        one.iter().any(|a| other.iter().any(|b| self.claims_exclude(a, b)))
    }

    fn deeper(&self) -> Option<Self> {
        (self.depth < MAX_DEPTH).then_some(Relations {
            depth: self.depth + 1,
            ..*self
        })
    }

    /// Both must hold, and no answer can.
    fn excludes(&self, a: &CheckSpec, b: &CheckSpec) -> bool {
        if let (true, Some(deeper)) = (a.matcher == "any", self.deeper()) {
            let inner = alternatives(a);
            return !inner.is_empty() && inner.iter().all(|a| deeper.whole_excludes(a, b));
        }
        if let Some(pinned) = Texts::pinned_by(a) {
            return pinned.texts.iter().all(|text| self.refuses(b, text, pinned.folding));
        }
        match (a.matcher.as_str(), b.matcher.as_str()) {
            ("starts_with", "starts_with") | ("ends_with", "ends_with") => {
                let (Some(one), Some(other)) = (Texts::of(a), Texts::of(b)) else {
                    return false;
                };
                let lacks = |check: &CheckSpec, texts: &Texts| {
                    let text = texts.texts.first().map_or("", String::as_str);
                    self.matchers.passes(&lenient(check), text) == Some(false)
                };
                lacks(a, &other) && lacks(b, &one)
            }
            ("contains" | "contains_any" | "starts_with" | "ends_with", "length") => {
                let (Some(found), Some(length)) = (Texts::of(a), Range::of_length(b)) else {
                    return false;
                };
                let shortest = found.texts.iter().map(|text| text.chars().count()).min();
                found.folding == Folding::default()
                    && length.what == "chars"
                    && shortest.is_some_and(|shortest| shortest as f64 > length.max)
            }
            ("length", "length") => pair(a, b, Range::of_length, |a, b| a.disjoint(b)),
            ("number", "number") => pair(a, b, Range::of_number, |a, b| a.disjoint(b)),
            ("finish_reason", "finish_reason") => match (words(&a.args), words(&b.args)) {
                (Some(a), Some(b)) => !a.iter().any(|word| b.contains(word)),
                (_, _) => false,
            },
            ("refusal", "refusal") => match (&a.args, &b.args) {
                (Value::Bool(a), Value::Bool(b)) => a != b,
                (_, _) => false,
            },
            // Only where the first one says all of the value.
            ("json_equals", "json_equals" | "json_schema") => match a.args.as_object() {
                Some(map) if map.keys().all(|key| key == "value" || key == "fenced") => map
                    .get("value")
                    .is_some_and(|value| self.matchers.passes(b, &value.to_string()) == Some(false)),
                Some(_) | None => false,
            },
            (_, _) => false,
        }
    }

    /// Wherever `a` holds `b` does.
    fn implies(&self, a: &CheckSpec, b: &CheckSpec) -> bool {
        if a.matcher == b.matcher && a.args == b.args {
            return true;
        }
        if let (true, Some(deeper)) = (a.matcher == "any", self.deeper()) {
            let inner = alternatives(a);
            return !inner.is_empty() && inner.iter().all(|a| deeper.whole_implies(a, b));
        }
        if let Some(pinned) = Texts::pinned_by(a) {
            let folding = pinned.folding;
            let covered = folding == Folding::default() || Texts::of(b).is_some_and(|b| b.folding.covers(folding));
            if covered
                && pinned
                    .texts
                    .iter()
                    .all(|text| self.matchers.passes(b, text) == Some(true))
            {
                return true;
            }
        }
        if let (true, Some(deeper)) = (b.matcher == "any", self.deeper()) {
            return alternatives(b).iter().any(|b| deeper.whole_implies(a, b));
        }
        if let ("all", Some(deeper)) = (b.matcher.as_str(), self.deeper()) {
            return deeper.whole_implies(a, b);
        }
        match (a.matcher.as_str(), b.matcher.as_str()) {
            ("contains" | "contains_any" | "starts_with" | "ends_with", "contains" | "contains_any")
            | ("starts_with", "starts_with")
            | ("ends_with", "ends_with") => {
                let (Some(found), Some(wanted)) = (Texts::of(a), Texts::of(b)) else {
                    return false;
                };
                wanted.folding.covers(found.folding)
                    && found
                        .texts
                        .iter()
                        .all(|text| self.matchers.passes(b, text) == Some(true))
            }
            ("length", "length") => pair(a, b, Range::of_length, |a, b| a.within(b)),
            ("number", "number") => pair(a, b, Range::of_number, |a, b| a.within(b)),
            ("finish_reason", "finish_reason") => match (words(&a.args), words(&b.args)) {
                (Some(a), Some(b)) => a.iter().all(|word| b.contains(word)),
                (_, _) => false,
            },
            ("json_schema" | "json_path" | "json_equals", "json") => !is_fenced(a) || is_fenced(b),
            (one, other) if one == other => at_least_as_strict(&a.args, &b.args),
            (_, _) => false,
        }
    }

    /// No answer that is this text, but for what `folding` overlooks, passes the check.
    fn refuses(&self, check: &CheckSpec, text: &str, folding: Folding) -> bool {
        if folding == Folding::default() {
            return self.matchers.passes(check, text) == Some(false);
        }
        Texts::of(check).is_some() && self.matchers.passes(&lenient(check), text) == Some(false)
    }
}

/// The JSON matchers take fenced JSON unless told otherwise.
fn is_fenced(check: &CheckSpec) -> bool {
    check.args.get("fenced") != Some(&Value::Bool(false))
}

/// Both checks have what `read` reads, and `holds` of it.
fn pair<T>(
    a: &CheckSpec,
    b: &CheckSpec,
    read: impl Fn(&CheckSpec) -> Option<T>,
    holds: impl Fn(&T, &T) -> bool,
) -> bool {
    match (read(a), read(b)) {
        (Some(a), Some(b)) => holds(&a, &b),
        (_, _) => false,
    }
}

/// One word, or a list of them.
fn words(args: &Value) -> Option<Vec<&str>> {
    match args {
        Value::String(word) => Some(vec![word]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// What a text comparison overlooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Folding {
    ignore_case: bool,
    normalize: bool,
}

impl Folding {
    fn of(args: &Value) -> Folding {
        let flag = |key: &str| args.get(key).and_then(Value::as_bool).unwrap_or(false);
        Folding {
            ignore_case: flag("ignore_case"),
            normalize: flag("normalize"),
        }
    }

    /// Overlooks all that the other one overlooks.
    fn covers(self, other: Folding) -> bool {
        (self.ignore_case || !other.ignore_case) && (self.normalize || !other.normalize)
    }

    fn arguments(self, text: &str) -> Value {
        if self == Folding::default() {
            return Value::from(text);
        }
        json!({"value": text, "ignore_case": self.ignore_case, "normalize": self.normalize})
    }
}

/// The arguments are not a map, or a map of these keys alone: an option that is not known here may change what they mean.
fn has_only(args: &Value, known: &[&str]) -> bool {
    args.as_object()
        .is_none_or(|map| map.keys().all(|key| known.contains(&key.as_str())))
}

/// The texts that a check compares with.
struct Texts {
    texts: Vec<String>,
    folding: Folding,
}

impl Texts {
    fn of(check: &CheckSpec) -> Option<Texts> {
        let key = match check.matcher.as_str() {
            "equals" | "contains" | "starts_with" | "ends_with" => "value",
            "contains_any" | "contains_all" | "one_of" => "values",
            _ => return None,
        };
        if !has_only(&check.args, &[key, "ignore_case", "normalize"]) {
            return None;
        }
        let written = check.args.get(key).unwrap_or(&check.args);
        let texts: Vec<String> = match written {
            Value::String(text) => vec![text.clone()],
            Value::Array(list) => list
                .iter()
                .map(|text| text.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
        };
        (!texts.is_empty()).then_some(Texts {
            texts,
            folding: Folding::of(&check.args),
        })
    }

    /// The texts of which the whole answer must be one.
    fn pinned_by(check: &CheckSpec) -> Option<Texts> {
        match check.matcher.as_str() {
            "equals" | "one_of" => Texts::of(check),
            _ => None,
        }
    }
}

/// The texts that a check wants to see in an answer, for those who look whether they stand elsewhere.
pub(super) fn expected_texts(claim: &Claim) -> Vec<String> {
    if claim.holds {
        Texts::of(&claim.check).map_or_else(Vec::new, |texts| texts.texts)
    } else {
        Vec::new()
    }
}

/// The check, overlooking letter case and white space.
fn lenient(check: &CheckSpec) -> CheckSpec {
    let mut map = match &check.args {
        Value::Object(map) => map.clone(),
        Value::Array(_) => Map::from_iter([("values".to_owned(), check.args.clone())]),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Map::from_iter([("value".to_owned(), check.args.clone())])
        }
    };
    map.insert("ignore_case".to_owned(), Value::Bool(true));
    map.insert("normalize".to_owned(), Value::Bool(true));
    CheckSpec::plain(check.matcher.clone(), Value::Object(map))
}

/// Numbers that a check lets through.
struct Range {
    min: f64,
    max: f64,
    /// Of what: the unit of a length, the place of a number. Only ranges of the same thing compare.
    what: Value,
}

impl Range {
    fn of_length(check: &CheckSpec) -> Option<Range> {
        let map = check.args.as_object()?;
        if !has_only(&check.args, &["min", "max", "unit"]) {
            return None;
        }
        Some(Range {
            min: map.get("min").map_or(Some(0.0), Value::as_f64)?,
            max: map.get("max").map_or(Some(f64::INFINITY), Value::as_f64)?,
            what: map.get("unit").cloned().unwrap_or_else(|| Value::from("chars")),
        })
    }

    fn of_number(check: &CheckSpec) -> Option<Range> {
        if !has_only(&check.args, &["value", "tolerance", "relative", "after", "which"]) {
            return None;
        }
        let get = |key: &str| check.args.get(key);
        let value = get("value").unwrap_or(&check.args).as_f64()?;
        let share = |key: &str| get(key).and_then(Value::as_f64).unwrap_or(0.0);
        let allowed = share("tolerance").max(share("relative") * value.abs());
        let after = get("after").cloned().unwrap_or(Value::Null);
        let which = get("which").cloned();
        let which = which.unwrap_or_else(|| Value::from(if after.is_null() { "last" } else { "first" }));
        Some(Range {
            min: value - allowed,
            max: value + allowed,
            what: json!([after, which]),
        })
    }

    /// What a decimal tolerance leaves of rounding must not make two ranges that touch exclude each other.
    fn rounding(&self, other: &Range) -> f64 {
        let largest = [self.min, self.max, other.min, other.max]
            .into_iter()
            .filter(|bound| bound.is_finite())
            .fold(0.0, |largest: f64, bound| largest.max(bound.abs()));
        8.0 * f64::EPSILON * largest
    }

    fn disjoint(&self, other: &Range) -> bool {
        let gap = self.rounding(other);
        self.what == other.what && (self.max + gap < other.min || other.max + gap < self.min)
    }

    fn within(&self, other: &Range) -> bool {
        self.what == other.what && self.min >= other.min && self.max <= other.max
    }
}

/// Arguments that differ only in thresholds, of which those of `a` let no more through. Known by their names, which mean
/// the same in every matcher.
fn at_least_as_strict(a: &Value, b: &Value) -> bool {
    let (Value::Object(a), Value::Object(b)) = (a, b) else {
        return a == b;
    };
    let keys = a.keys().chain(b.keys());
    keys.into_iter().all(|key| {
        let (one, other) = (a.get(key), b.get(key));
        if one == other {
            return true;
        }
        let number = |value: Option<&Value>, default: f64| value.map_or(Some(default), Value::as_f64);
        let order = |default: f64, holds: fn(f64, f64) -> bool| match (number(one, default), number(other, default)) {
            (Some(one), Some(other)) => holds(one, other),
            (_, _) => false,
        };
        match key.as_str() {
            // Without it the mode decides, which is neither more nor less.
            "min_f1" => order(f64::NAN, |one, other| one >= other),
            "min" => order(0.0, |one, other| one >= other),
            "max" => order(f64::INFINITY, |one, other| one <= other),
            "tolerance" | "relative" => order(0.0, |one, other| one <= other),
            "count" | "rows" | "columns" | "list_items" => match (one, other) {
                (Some(one), Some(other)) => bounds_within(one, other),
                (_, _) => false,
            },
            _ => false,
        }
    })
}

/// Counts, as a number or {min, max}.
fn bounds_within(a: &Value, b: &Value) -> bool {
    let bounds = |value: &Value| match value {
        Value::Number(number) => number.as_f64().map(|exact| (exact, exact)),
        Value::Object(map) => {
            let bound = |key: &str, default: f64| map.get(key).map_or(Some(default), Value::as_f64);
            bound("min", 0.0).zip(bound("max", f64::INFINITY))
        }
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => None,
    };
    match (bounds(a), bounds(b)) {
        (Some(a), Some(b)) => a.0 >= b.0 && a.1 <= b.1,
        (_, _) => false,
    }
}
