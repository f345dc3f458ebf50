//! What holds for every matcher of the table.

use crate::domain::{CheckSpec, Score, Step};
use crate::scoring::definition::{Asks, Children, MatcherDef};
use crate::scoring::matcher::{MatchError, Matcher};
use crate::scoring::rules::testing::{answer_text, available, compiled, sample, verify_in};
use proptest::prelude::*;
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::path::Path;

fn written(check: &str) -> Value {
    serde_json::from_str(check).unwrap()
}

fn loads(check: &Value) -> bool {
    verify_in(Path::new("/nowhere"), check.clone()).is_ok()
}

fn judged(matcher: &Matcher, text: &str) -> Result<Score, MatchError> {
    matcher.check(&answer_text(text).input())
}

/// The example of a kind, and `not` of it.
fn example(def: &MatcherDef) -> (Matcher, Matcher) {
    let example = written(def.example);
    if def.top_level_only {
        assert!(!loads(&json!({"not": example})), "{}", def.name);
        return (compiled(example.clone()), negated(compiled(example)));
    }
    (compiled(example.clone()), compiled(json!({"not": example})))
}

/// Stands in for `not` where that is refused.
fn negated(matcher: Matcher) -> Matcher {
    Matcher::new(move |input| {
        let said = matcher.check(input)?;
        Ok(Score::new(1.0 - said.value(), !said.pass, said.reason))
    })
}

/// `not` turns pass and fail around, and nothing else.
fn assert_negated(name: &str, said: &Result<Score, MatchError>, negated: &Result<Score, MatchError>) {
    match (said, negated) {
        (Ok(said), Ok(negated)) => {
            assert!((0.0..=1.0).contains(&said.value()), "{name}: {}", said.value());
            assert_ne!(said.pass, negated.pass, "{name}");
            assert!((said.value() + negated.value() - 1.0).abs() < 1e-12, "{name}");
            assert!(!said.reason.contains('\n') && !said.reason.is_empty(), "{name}: {}", said.reason);
        }
        (Err(_), Err(_)) => {}
        (said, negated) => panic!("{name}: {said:?}, but not: {negated:?}"),
    }
}

#[test]
fn the_samples_of_every_matcher_are_judged_as_it_says() {
    for def in available() {
        let (matcher, negated) = example(def);
        for (of, pass) in [(def.passes, true), (def.fails, false)] {
            let answer = sample(of);
            let said = matcher.check(&answer.input());
            assert_eq!(said.as_ref().map(|said| said.pass), Ok(pass), "{}: {said:?}", def.name);
            assert_negated(def.name, &said, &negated.check(&answer.input()));
        }
        assert!(!def.cost.is_empty() && !def.cost.contains('\n'), "{}", def.name);
    }
}

#[test]
fn what_every_matcher_refuses_is_refused_at_its_place() {
    for def in available() {
        let check = written(def.refused);
        assert!(check.get(def.name).is_some(), "{}", def.name);
        let problems = verify_in(Path::new("/nowhere"), check).expect_err(def.name);
        for problem in problems {
            assert_eq!(problem.path.first(), Some(&Step::key(def.name)), "{problem}");
        }
    }
}

#[test]
fn an_answer_too_long_to_judge_is_so_under_not_as_well() {
    let long = "word ".repeat(60_000);
    for def in available() {
        let (matcher, negated) = example(def);
        assert_negated(def.name, &judged(&matcher, &long), &judged(&negated, &long));
    }
}

/// One megabyte; `MEGABYTES=10` takes minutes without optimisation.
#[test]
fn megabytes_of_anything_are_judged_or_said_to_be_too_much() {
    let megabytes: usize = std::env::var("MEGABYTES").map_or(1, |megabytes| megabytes.parse().unwrap());
    every_matcher_returns(megabytes << 20);
}

/// On texts of so many bytes, as long as no answer of a model is. Whatever grew with their square would not come back.
fn every_matcher_returns(bytes: usize) {
    let repeated = |piece: &str| piece.repeat(bytes / piece.len());
    let row = r#"{"id": 7, "tags": ["new", "sale"]},"#;
    let texts = [
        ("one word", repeated("x")),
        ("lines", repeated("a b\n")),
        ("brackets", repeated("[")),
        ("json", format!("[{}7]", repeated(row))),
    ];
    // What a format's own reader could stumble over.
    let formats = [
        ("xml", "<a>"),
        ("markdown", "> "),
        ("markdown", "*_"),
        ("markdown", "[a]("),
        ("yaml", "- "),
        ("yaml", "{a: "),
        ("csv", "\""),
        ("csv", "a,"),
        ("code_block", "```\n"),
        ("json", "```json\n{}\n```\n"),
        ("no_pii", "a@a."),
        ("no_pii", "4 "),
        ("no_secrets", "sk-"),
        ("number", "1,"),
        ("refusal", "I can't "),
    ];
    let every = available()
        .filter(|def| def.asks != Some(Asks::Command))
        .flat_map(|def| texts.iter().map(|(kind, text)| (def.name, *kind, Cow::Borrowed(text.as_str()))));
    // A command takes what it takes, up to its timeout.
    let every: Vec<_> = every.collect();
    let own = formats.par_iter().map(|(name, piece)| (*name, *piece, Cow::Owned(repeated(piece))));
    every.into_par_iter().chain(own).for_each(|(name, kind, text)| {
        let def = available().find(|def| def.name == name).unwrap();
        if let Ok(score) = judged(&example(def).0, &text) {
            assert!(score.reason.len() < 2_000, "{name}, {kind}: {} bytes of reason", score.reason.len());
        }
    });
}

#[test]
fn patterns_that_would_grow_without_bounds_do_not_load() {
    for pattern in [
        "(a{1000}){1000}",
        "((a{100}){100}){100}",
        r"(\pL{500}){500}",
        "(?:(?:(?:(?:a{30}){30}){30}){30}){30}",
        "a{4294967295}",
    ] {
        for check in [
            json!({"regex": pattern}),
            json!({"regex": {"pattern": pattern, "count": 1}}),
            json!({"json_schema": {"type": "string", "pattern": pattern}}),
            json!({"json_schema": {"type": "object", "patternProperties": {pattern: true}}}),
        ] {
            assert!(!loads(&check), "{check}");
        }
        // An expression may put its patterns together, so they are bounded when they are there.
        #[cfg(feature = "cel")]
        {
            let computed = compiled(json!({"cel": format!("answer.text.matches(r'{pattern}')")}));
            assert!(judged(&computed, "a").is_err(), "{pattern}");
        }
    }
    assert!(loads(&json!({"regex": "(a{10}){10}"})));
}

/// The keys under which a combining matcher has its checks; without them its map is a check itself.
const INSIDE: [&str; 4] = ["of", "is", "check", "calls"];

/// The check with one more letter in a key of its arguments, for each of its keys: those of the matcher itself, and those
/// of the checks in it.
fn mistyped(check: &Value, at: usize, letter: char) -> Vec<Value> {
    let Some(map) = check.as_object() else {
        return Vec::new();
    };
    let mut typos = Vec::new();
    for (key, args) in map {
        let with = |key: &str, args: Value| {
            let mut map = map.clone();
            map.insert(key.to_owned(), args);
            Value::Object(map)
        };
        let combines = available().any(|def| def.name == key && !matches!(def.children, Children::None));
        match args {
            Value::Object(args) if combines && !INSIDE.iter().any(|key| args.contains_key(*key)) => {
                let check = Value::Object(args.clone());
                typos.extend(mistyped(&check, at, letter).into_iter().map(|typo| with(key, typo)));
            }
            Value::Object(args) => {
                for typo in 0..args.len() {
                    typos.push(with(key, Value::Object(with_typo(args, typo, at, letter))));
                }
                let mut put = |under: &str, typo: Value| {
                    let mut args = args.clone();
                    args.insert(under.to_owned(), typo);
                    typos.push(with(key, Value::Object(args)));
                };
                for key in ["is", "check"] {
                    if combines && let Some(check) = args.get(key) {
                        mistyped(check, at, letter).into_iter().for_each(|typo| put(key, typo));
                    }
                }
                if combines && let Some(Value::Array(checks)) = args.get("of") {
                    for (i, check) in checks.iter().enumerate() {
                        for typo in mistyped(check, at, letter) {
                            let mut checks = checks.clone();
                            checks[i] = typo;
                            put("of", Value::Array(checks));
                        }
                    }
                }
            }
            Value::Array(checks) if combines => {
                for (i, check) in checks.iter().enumerate() {
                    for typo in mistyped(check, at, letter) {
                        let mut checks = checks.clone();
                        checks[i] = typo;
                        typos.push(with(key, Value::Array(checks)));
                    }
                }
            }
            Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for typo in 0..map.len() {
        typos.push(Value::Object(with_typo(map, typo, at, letter)));
    }
    typos
}

/// The map with a letter put into its nth key.
fn with_typo(map: &Map<String, Value>, nth: usize, at: usize, letter: char) -> Map<String, Value> {
    let rename = |(i, (key, value)): (usize, (&String, &Value))| {
        let mut key = key.clone();
        if i == nth {
            key.insert(at % (key.len() + 1), letter);
        }
        (key, value.clone())
    };
    map.iter().enumerate().map(rename).collect()
}

proptest! {
    #[test]
    fn no_matcher_panics_and_every_score_is_a_share(text in "\\PC{0,60}|(?s:.{0,60})|[ -~\n]{0,200}|[\\[\\]{}\",:0-9a-z\\\\|<>/#*`~ \n-]{0,80}") {
        for def in available() {
            let (matcher, negated) = example(def);
            assert_negated(def.name, &judged(&matcher, &text), &judged(&negated, &text));
        }
    }

    #[test]
    fn a_mistyped_key_never_loads(at in 0..20_usize, letter in "[a-z_A-Z0-9 -]") {
        for def in available() {
            for typo in mistyped(&written(def.example), at, letter.chars().next().unwrap()) {
                prop_assert!(!loads(&typo), "{typo}");
            }
        }
    }

    #[test]
    fn a_key_more_never_loads(key in "[a-z_]{1,12}") {
        for def in available() {
            let mut check = written(def.example);
            let Some(args) = check.get_mut(def.name).and_then(Value::as_object_mut) else {
                continue;
            };
            let bare = !matches!(def.children, Children::None) && !INSIDE.iter().any(|key| args.contains_key(*key));
            if !bare && args.insert(format!("{key}_"), json!(1)).is_none() {
                prop_assert!(!loads(&check), "{check}");
            }
        }
    }
}

#[test]
fn typos_reach_every_level() {
    let check = json!({"all": [{"length": {"max": 3}, "weight": 1}]});
    let typos: Vec<String> = mistyped(&check, 0, 'x').iter().map(Value::to_string).collect();
    assert_eq!(
        typos,
        [
            r#"{"all":[{"length":{"xmax":3},"weight":1}]}"#,
            r#"{"all":[{"xlength":{"max":3},"weight":1}]}"#,
            r#"{"all":[{"length":{"max":3},"xweight":1}]}"#,
            r#"{"xall":[{"length":{"max":3},"weight":1}]}"#,
        ]
    );
    assert!(CheckSpec::parse(&check).is_ok() && loads(&check));
}
