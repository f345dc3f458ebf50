//! Whether two JSON values are equal, as people mean it.
//!
//! Numbers are equal by value (1 and 1.0), the order of keys says nothing, and lists may be compared as multisets: each
//! element of one needs an element of its own in the other. Elements can be alike without being the same (with a
//! tolerance, or with `subset`), so that is a maximum matching in a bipartite graph, found with augmenting paths (Kuhn).

use super::quote::{bounded, counted, quote};
use serde_json::{Number, Value};
use std::cell::Cell;
use std::collections::HashSet;

/// How many pairs of values are compared at most; more is no judgement. Bounds the time of unordered lists, which grows
/// with the product of their lengths.
const MAX_PAIRS: u64 = 5_000_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    /// Maps of the answer may have further keys, and unordered lists further elements.
    pub(super) subset: bool,
    pub(super) tolerance: f64,
    pub(super) unordered: ListOrder,
}

/// Lists whose order says nothing, by their place in the expected value.
#[derive(Clone, Debug, Default)]
pub(super) enum ListOrder {
    #[default]
    None,
    All,
    /// The lists at these JSON pointers.
    At(HashSet<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// They differ: a sentence that says where and how.
    Found(String),
    TooMany,
}

impl Comparison {
    /// Compares; the first difference in the order of the expected value.
    pub(super) fn compare(&self, expected: &Value, actual: &Value) -> Result<(), Difference> {
        let mut comparing = Comparing { rules: self, left: Cell::new(MAX_PAIRS), place: String::new() };
        comparing.compare(expected, actual)
    }
}

struct Comparing<'a> {
    rules: &'a Comparison,
    left: Cell<u64>,
    /// JSON pointer of the expected value at hand.
    place: String,
}

impl Comparing<'_> {
    fn differ<T>(&self, what: &str) -> Result<T, Difference> {
        let place = if self.place.is_empty() { String::new() } else { format!("at {}: ", bounded(&self.place, 80)) };
        Err(Difference::Found(format!("{place}{what}")))
    }

    fn compare(&mut self, expected: &Value, actual: &Value) -> Result<(), Difference> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(Difference::TooMany),
        }
        match (expected, actual) {
            (Value::Number(a), Value::Number(b)) if equal(a, b, self.rules.tolerance) => Ok(()),
            (Value::Object(a), Value::Object(b)) => {
                for (key, expected) in a {
                    let Some(actual) = b.get(key) else {
                        return self.differ(&format!("the key {} is missing", quote(key)));
                    };
                    let length = self.enter(&key.replace('~', "~0").replace('/', "~1"));
                    self.compare(expected, actual)?;
                    self.place.truncate(length);
                }
                if !self.rules.subset
                    && let Some(key) = b.keys().find(|key| !a.contains_key(*key))
                {
                    return self.differ(&format!("there is a further key {}", quote(key)));
                }
                Ok(())
            }
            (Value::Array(a), Value::Array(b)) => {
                let unordered = match &self.rules.unordered {
                    ListOrder::None => false,
                    ListOrder::All => true,
                    ListOrder::At(places) => places.contains(&self.place),
                };
                let fewer = unordered && self.rules.subset;
                if a.len() > b.len() || (a.len() < b.len() && !fewer) {
                    return self.differ(&format!(
                        "{} instead of {}",
                        counted(b.len() as u64, "element", "elements"),
                        a.len()
                    ));
                }
                if unordered {
                    return self.multisets(a, b);
                }
                for (i, (expected, actual)) in a.iter().zip(b).enumerate() {
                    let length = self.enter(&i.to_string());
                    self.compare(expected, actual)?;
                    self.place.truncate(length);
                }
                Ok(())
            }
            (expected, actual) if expected == actual => Ok(()),
            (expected, actual) => self.differ(&format!("{} instead of {}", shown(actual), shown(expected))),
        }
    }

    /// Goes one step deeper and returns the length to go back to.
    fn enter(&mut self, token: &str) -> usize {
        let length = self.place.len();
        self.place.push('/');
        self.place.push_str(token);
        length
    }

    /// Every expected element has an element of its own.
    fn multisets(&mut self, expected: &[Value], actual: &[Value]) -> Result<(), Difference> {
        let mut alike = Vec::with_capacity(expected.len());
        for (i, wanted) in expected.iter().enumerate() {
            let length = self.enter(&i.to_string());
            let here = self.place.len();
            let mut candidates = Vec::new();
            for (j, found) in actual.iter().enumerate() {
                match self.compare(wanted, found) {
                    Ok(()) => candidates.push(j),
                    Err(Difference::Found(_)) => self.place.truncate(here),
                    Err(Difference::TooMany) => return Err(Difference::TooMany),
                }
            }
            self.place.truncate(length);
            alike.push(candidates);
        }
        match matching(&alike, actual.len(), &self.left) {
            None => Err(Difference::TooMany),
            Some(owners) => match (0..expected.len()).find(|i| !owners.contains(&Some(*i))) {
                None => Ok(()),
                Some(i) => self.differ(&format!(
                    "no element of its own for {}, the one numbered {i}",
                    expected.get(i).map(shown).unwrap_or_default()
                )),
            },
        }
    }
}

/// A maximum matching: which left node each right node belongs to. `alike` lists the right nodes that a left node may
/// have. Takes a step from `left` for every edge it looks at; `None` when there is none left.
pub(super) fn matching(alike: &[Vec<usize>], right: usize, left: &Cell<u64>) -> Option<Vec<Option<usize>>> {
    let mut owners: Vec<Option<usize>> = vec![None; right];
    for start in 0..alike.len() {
        // Breadth first, so that no long chain of owners takes the stack.
        let mut reached_from: Vec<Option<usize>> = vec![None; right];
        let mut reached: Vec<bool> = vec![false; right];
        let mut queue = std::collections::VecDeque::from([start]);
        let mut free = None;
        'search: while let Some(node) = queue.pop_front() {
            for &candidate in alike.get(node).map_or(&[][..], Vec::as_slice) {
                left.set(left.get().checked_sub(1)?);
                if reached[candidate] {
                    continue;
                }
                reached[candidate] = true;
                reached_from[candidate] = Some(node);
                match owners[candidate] {
                    Some(owner) => queue.push_back(owner),
                    None => {
                        free = Some(candidate);
                        break 'search;
                    }
                }
            }
        }
        // Along the path back, every node takes the element through which the search left it.
        while let Some(candidate) = free {
            let Some(node) = reached_from[candidate] else { break };
            free = owners.iter().position(|owner| *owner == Some(node));
            if let Some(previous) = free {
                owners[previous] = None;
            }
            owners[candidate] = Some(node);
            if node == start {
                break;
            }
        }
    }
    Some(owners)
}

/// Equal by value, or within the tolerance. Whole numbers are compared exactly, whatever their size.
fn equal(a: &Number, b: &Number, tolerance: f64) -> bool {
    let whole = |number: &Number| number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    if let (Some(a), Some(b)) = (whole(a), whole(b))
        && (a == b || tolerance == 0.0)
    {
        return a == b;
    }
    match (a.as_f64(), b.as_f64()) {
        // A tolerance of 0.1 must let 1.1 pass for 1, whose difference is 0.10000000000000009.
        (Some(a), Some(b)) => a == b || (tolerance > 0.0 && (a - b).abs() <= tolerance * (1.0 + 1e-9)),
        _ => false,
    }
}

pub(super) fn shown(value: &Value) -> String {
    bounded(&value.to_string(), 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn said(rules: &Comparison, expected: &Value, actual: &Value) -> String {
        match rules.compare(expected, actual) {
            Ok(()) => "equal".to_owned(),
            Err(Difference::Found(what)) => what,
            Err(Difference::TooMany) => "too many".to_owned(),
        }
    }

    #[test]
    fn numbers_are_equal_by_value() {
        let exact = Comparison::default();
        let table = [
            (json!(1), json!(1.0), true),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), false),
            (json!(-1), json!(u64::MAX), false),
            (json!(0.1), json!(0.1), true),
            (json!(1), json!("1"), false),
            (json!(1), json!(true), false),
            (json!(null), json!(0), false),
        ];
        for (a, b, equal) in table {
            assert_eq!(exact.compare(&a, &b).is_ok(), equal, "{a} {b}");
            assert_eq!(exact.compare(&b, &a).is_ok(), equal, "{b} {a}");
        }
        let near = Comparison { tolerance: 0.1, ..Comparison::default() };
        for (a, b, equal) in [(1.0, 1.1, true), (1.0, 1.101, false), (1.0, 0.9, true)] {
            assert_eq!(near.compare(&json!(a), &json!(b)).is_ok(), equal, "{a} {b}");
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let exact = Comparison::default();
        let subset = Comparison { subset: true, ..Comparison::default() };
        let a = json!({"a": [1, {"b/c": 2}]});
        insta::assert_snapshot!([
            said(&exact, &a, &json!({"a": [1, {"b/c": 2}]})),
            said(&exact, &a, &json!({"a": [1, {"b/c": 3}]})),
            said(&exact, &a, &json!({"a": [1, {}]})),
            said(&exact, &a, &json!({"a": [1]})),
            said(&exact, &a, &json!({"a": [1, {"b/c": 2, "d": 1}]})),
            said(&subset, &a, &json!({"a": [1, {"b/c": 2, "d": 1}]})),
            said(&subset, &a, &json!({"a": [1, {"b/c": 2}, 3]})),
            said(&exact, &a, &json!([])),
        ].join("\n"), @r#"
        equal
        at /a/1/b~1c: 3 instead of 2
        at /a/1: the key "b/c" is missing
        at /a: 1 element instead of 2
        at /a/1: there is a further key "d"
        equal
        at /a: 3 elements instead of 2
        [] instead of {"a":[1,{"b/c":2}]}
        "#);
    }

    #[test]
    fn unordered_lists_count_duplicates() {
        let unordered = Comparison { unordered: ListOrder::All, ..Comparison::default() };
        let places = Comparison { unordered: ListOrder::At(HashSet::from(["/a".to_owned()])), ..Comparison::default() };
        let subset = Comparison { subset: true, ..unordered.clone() };
        assert!(unordered.compare(&json!([1, 2, 2]), &json!([2, 1, 2])).is_ok());
        assert!(unordered.compare(&json!([1, 2, 2]), &json!([2, 1, 1])).is_err());
        assert!(unordered.compare(&json!([1]), &json!([1, 1])).is_err());
        assert!(subset.compare(&json!([1, 1]), &json!([1, 2, 1])).is_ok());
        assert!(subset.compare(&json!([1, 1]), &json!([1, 2, 3])).is_err());
        // A greedy choice would give the first element to {} and leave {"a": 1} without one.
        assert!(subset.compare(&json!([{}, {"a": 1}]), &json!([{"a": 1}, {"b": 1}])).is_ok());
        let (a, b) = (json!({"a": [1, 2], "b": [1, 2]}), json!({"a": [2, 1], "b": [1, 2]}));
        assert!(places.compare(&a, &b).is_ok());
        assert!(places.compare(&b, &json!({"a": [2, 1], "b": [2, 1]})).is_err());
        insta::assert_snapshot!(said(&unordered, &json!([1, 2, 2]), &json!([2, 1, 1])), @"no element of its own for 2, the one numbered 2");
    }

    #[test]
    fn the_work_is_bounded() {
        let unordered = Comparison { unordered: ListOrder::All, ..Comparison::default() };
        // Equal elements, so that no pair costs a message.
        let many = Value::Array(vec![Value::Null; 3_000]);
        assert_eq!(unordered.compare(&many, &many), Err(Difference::TooMany));
    }

    proptest! {
        #[test]
        fn a_shuffled_list_is_the_same_multiset(list in proptest::collection::vec(0..5u8, 0..12), seed in any::<u64>()) {
            let unordered = Comparison { unordered: ListOrder::All, ..Comparison::default() };
            let mut shuffled = list.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert!(unordered.compare(&json!(list), &json!(shuffled)).is_ok());
            if let Some(first) = shuffled.first_mut() {
                *first += 10;
                prop_assert!(unordered.compare(&json!(list), &json!(shuffled)).is_err());
            }
        }

        /// Against the definition: some choice of elements of their own exists, tried one by one.
        #[test]
        fn the_matching_is_a_maximum(edges in proptest::collection::vec(proptest::collection::vec(0..5usize, 0..4), 0..5)) {
            fn most(edges: &[Vec<usize>], taken: &mut [bool; 5]) -> usize {
                let Some((first, rest)) = edges.split_first() else { return 0 };
                let mut best = most(rest, taken);
                for &j in first {
                    if !taken[j] {
                        taken[j] = true;
                        best = best.max(1 + most(rest, taken));
                        taken[j] = false;
                    }
                }
                best
            }
            let owners = matching(&edges, 5, &Cell::new(10_000)).unwrap();
            prop_assert_eq!(owners.iter().flatten().count(), most(&edges, &mut [false; 5]));
            for (j, owner) in owners.iter().enumerate() {
                prop_assert!(owner.is_none_or(|i| edges[i].contains(&j)));
            }
        }
    }
}
