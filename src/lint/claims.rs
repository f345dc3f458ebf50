//! What checks say about each other: that no answer can hold both, or that one holds wherever another one does.
//!
//! The checks of a case are flattened into [`Claim`]s: a check without `not` and `all` around it, that must hold or must
//! not. Two relations between checks, `excludes` and `implies`, then say everything, because for negated ones
//!
//! ```text
//! a excludes (not b)  ⇔  a implies b          (not a) implies (not b)  ⇔  b implies a
//! ```
//!
//! Both relations are sure, and incomplete: where nothing is known they say no. What a check says of a certain text is not
//! known here but asked of the matcher itself ([`Matchers`]), so a new matcher takes part without a line here.

use super::Matchers;
use crate::domain::{CheckSpec, Constraint, JsonContent, Logic, Range, TextConstraint, TextFolding, TextRelation};
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
pub(super) fn claims(checks: &[CheckSpec], matchers: &dyn Matchers) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (from, check) in checks.iter().enumerate().filter(|(_, check)| check.decides()) {
        flatten(check, true, from, matchers, &mut claims);
    }
    claims.truncate(MAX_CLAIMS);
    claims
}

fn flatten(check: &CheckSpec, holds: bool, from: usize, matchers: &dyn Matchers, claims: &mut Vec<Claim>) {
    if claims.len() > MAX_CLAIMS {
        return;
    }
    match (matchers.logic(check), holds) {
        (Some(Logic::Not), _) => {
            if let Ok(inner) = CheckSpec::parse(&check.args) {
                flatten(&inner, !holds, from, matchers, claims);
            }
            return;
        }
        // Not any of them is none of them.
        (Some(Logic::All), true) | (Some(Logic::Any), false) => {
            for inner in alternatives(check) {
                flatten(&inner, holds, from, matchers, claims);
            }
            return;
        }
        (Some(Logic::All | Logic::Any | Logic::Count) | None, _) => {}
    }
    let mut claim = |check: CheckSpec| claims.push(Claim { check, holds, from });
    match (texts_of(check, matchers), holds) {
        (Some(of), true) if of.relation == TextRelation::ContainsAll => one_by_one(check, of).for_each(claim),
        (Some(of), false) if of.relation == TextRelation::ContainsAny => one_by_one(check, of).for_each(claim),
        _ => claim(check.clone()),
    }
}

/// The check of each of its texts.
fn one_by_one(check: &CheckSpec, of: TextConstraint) -> impl Iterator<Item = CheckSpec> {
    let TextFolding { ignore_case, normalize } = of.folding;
    let list = check.args.is_array() || check.args.get("values").is_some();
    of.texts.into_iter().map(move |text| {
        let mut args = Map::from_iter([
            ("ignore_case".to_owned(), ignore_case.into()),
            ("normalize".to_owned(), normalize.into()),
        ]);
        match list {
            true => args.insert("values".to_owned(), json!([text])),
            false => args.insert("value".to_owned(), text.into()),
        };
        CheckSpec::plain(check.matcher.clone(), Value::Object(args))
    })
}

/// The checks in the list of an `any` or `all`.
pub(super) fn alternatives(check: &CheckSpec) -> Vec<CheckSpec> {
    let written = check.args.as_array().map_or(&[][..], Vec::as_slice);
    written.iter().take(MAX_CLAIMS).filter_map(|written| CheckSpec::parse(written).ok()).collect()
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
        flatten(a, true, 0, self.matchers, &mut from);
        flatten(b, true, 0, self.matchers, &mut to);
        !to.is_empty() && to.iter().all(|b| from.iter().any(|a| self.claim_implies(a, b)))
    }

    fn whole_excludes(&self, a: &CheckSpec, b: &CheckSpec) -> bool {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        flatten(a, true, 0, self.matchers, &mut one);
        flatten(b, true, 0, self.matchers, &mut other);
        one.iter().any(|a| other.iter().any(|b| self.claims_exclude(a, b)))
    }

    fn deeper(&self) -> Option<Self> {
        (self.depth < MAX_DEPTH).then_some(Relations { depth: self.depth + 1, ..*self })
    }

    fn is(&self, check: &CheckSpec, logic: Logic) -> bool {
        self.matchers.logic(check) == Some(logic)
    }

    /// Both must hold, and no answer can.
    fn excludes(&self, a: &CheckSpec, b: &CheckSpec) -> bool {
        if let (true, Some(deeper)) = (self.is(a, Logic::Any), self.deeper()) {
            let inner = alternatives(a);
            return !inner.is_empty() && inner.iter().all(|a| deeper.whole_excludes(a, b));
        }
        let (of_a, of_b) = (self.matchers.constraint(a), self.matchers.constraint(b));
        match (of_a, of_b) {
            (Some(Constraint::Text(one)), _) if one.relation == TextRelation::Is => {
                one.texts.iter().all(|text| self.refuses(b, text, one.folding))
            }
            (Some(Constraint::Text(one)), Some(Constraint::Text(other))) => {
                let lacks = |check: &CheckSpec, texts: &TextConstraint| {
                    let text = texts.texts.first().map_or("", String::as_str);
                    self.matchers.passes(&lenient(check), text) == Some(false)
                };
                let at_an_end = matches!(one.relation, TextRelation::StartsWith | TextRelation::EndsWith);
                at_an_end && one.relation == other.relation && lacks(a, &other) && lacks(b, &one)
            }
            (Some(Constraint::Text(one)), Some(Constraint::Range(length))) => {
                let shortest = one.texts.iter().map(|text| text.chars().count()).min();
                one.relation != TextRelation::ContainsAll
                    && one.folding == TextFolding::default()
                    && length.measure == Range::CHARS
                    && shortest.is_some_and(|shortest| shortest as f64 > length.max)
            }
            (Some(Constraint::Range(one)), Some(Constraint::Range(other))) => disjoint(&one, &other),
            (
                Some(Constraint::OneOf { property, values }),
                Some(Constraint::OneOf { property: same, values: others }),
            ) => property == same && !values.iter().any(|value| others.contains(value)),
            (
                Some(Constraint::Json { content: JsonContent::Value(value), .. }),
                Some(Constraint::Json { content: JsonContent::Shape | JsonContent::Value(_), .. }),
            ) => self.matchers.passes(b, &value.to_string()) == Some(false),
            (_, _) => false,
        }
    }

    /// Wherever `a` holds `b` does.
    fn implies(&self, a: &CheckSpec, b: &CheckSpec) -> bool {
        if a.matcher == b.matcher && a.args == b.args {
            return true;
        }
        if let (true, Some(deeper)) = (self.is(a, Logic::Any), self.deeper()) {
            let inner = alternatives(a);
            return !inner.is_empty() && inner.iter().all(|a| deeper.whole_implies(a, b));
        }
        let (of_a, of_b) = (self.matchers.constraint(a), self.matchers.constraint(b));
        let passes = |text: &String| self.matchers.passes(b, text) == Some(true);
        if let Some(Constraint::Text(one)) = &of_a
            && one.relation == TextRelation::Is
        {
            let covered = match &of_b {
                _ if one.folding == TextFolding::default() => true,
                Some(Constraint::Text(other)) => covers(other.folding, one.folding),
                Some(_) | None => false,
            };
            if covered && one.texts.iter().all(passes) {
                return true;
            }
        }
        if let (true, Some(deeper)) = (self.is(b, Logic::Any), self.deeper()) {
            return alternatives(b).iter().any(|b| deeper.whole_implies(a, b));
        }
        if let (true, Some(deeper)) = (self.is(b, Logic::All), self.deeper()) {
            return deeper.whole_implies(a, b);
        }
        match (of_a, of_b) {
            (Some(Constraint::Text(one)), Some(Constraint::Text(other)))
                if found_within(one.relation, other.relation) =>
            {
                covers(other.folding, one.folding) && one.texts.iter().all(passes)
            }
            (Some(Constraint::Range(one)), Some(Constraint::Range(other))) => {
                one.measure == other.measure && one.min >= other.min && one.max <= other.max
            }
            (
                Some(Constraint::OneOf { property, values }),
                Some(Constraint::OneOf { property: same, values: others }),
            ) => property == same && values.iter().all(|value| others.contains(value)),
            (
                Some(Constraint::Json { fenced, content }),
                Some(Constraint::Json { fenced: also, content: JsonContent::Valid }),
            ) if content != JsonContent::Valid => !fenced || also,
            (_, _) => a.matcher == b.matcher && at_least_as_strict(&a.args, &b.args),
        }
    }

    /// No answer that is this text, but for what is overlooked, passes the check.
    fn refuses(&self, check: &CheckSpec, text: &str, folding: TextFolding) -> bool {
        if folding == TextFolding::default() {
            return self.matchers.passes(check, text) == Some(false);
        }
        texts_of(check, self.matchers).is_some() && self.matchers.passes(&lenient(check), text) == Some(false)
    }
}

fn texts_of(check: &CheckSpec, matchers: &dyn Matchers) -> Option<TextConstraint> {
    match matchers.constraint(check)? {
        Constraint::Text(texts) => Some(texts),
        Constraint::Range(_) | Constraint::OneOf { .. } | Constraint::Json { .. } => None,
    }
}

/// Wherever a text has the first relation to others, what the second one looks for may be looked for in those others.
fn found_within(one: TextRelation, other: TextRelation) -> bool {
    use TextRelation::{ContainsAny, EndsWith, StartsWith};
    matches!(
        (one, other),
        (ContainsAny | StartsWith | EndsWith, ContainsAny) | (StartsWith, StartsWith) | (EndsWith, EndsWith)
    )
}

/// Ignores all that the other one ignores.
fn covers(one: TextFolding, other: TextFolding) -> bool {
    (one.ignore_case || !other.ignore_case) && (one.normalize || !other.normalize)
}

/// What a decimal tolerance leaves of rounding must not make two ranges that touch exclude each other.
fn disjoint(one: &Range, other: &Range) -> bool {
    let bounds = [one.min, one.max, other.min, other.max].into_iter();
    let largest = bounds.filter(|bound| bound.is_finite()).fold(0.0, |largest: f64, bound| largest.max(bound.abs()));
    let gap = 8.0 * f64::EPSILON * largest;
    one.measure == other.measure && (one.max + gap < other.min || other.max + gap < one.min)
}

/// The texts that a check expects in an answer, for those who look whether they stand elsewhere.
pub(super) fn expected_texts(claim: &Claim, matchers: &dyn Matchers) -> Vec<String> {
    let texts = texts_of(&claim.check, matchers).filter(|_| claim.holds);
    texts.map_or_else(Vec::new, |texts| texts.texts)
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
