//! `golden lint`, `golden stats` and `schema`, from golden files to findings.

use crate::support::project::Project;
use promptgate::domain::CheckSpec;
use promptgate::internals::commands::{self, LintRequest};
use promptgate::internals::scoring;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn lint_of<'a>(root: &'a Path, golden: &'a [PathBuf]) -> LintRequest<'a> {
    LintRequest { root, golden, prompts: &[], against: None, commands: &[] }
}

/// The codes of the findings of each line of a JSONL file with these cases, those of code `near-duplicate` left out.
fn codes(cases: &[Value]) -> BTreeMap<usize, Vec<String>> {
    let project = Project::empty();
    project.write_cases(cases);
    let linted = commands::lint(&lint_of(project.path(), &[project.file("golden")])).unwrap();
    let mut codes: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for finding in linted.findings {
        if finding.code != "near-duplicate" {
            let line = finding.place.as_ref().map_or(0, |place| place.line as usize);
            codes.entry(line).or_default().push(finding.code.to_owned());
        }
    }
    codes
}

fn with_checks(checks: &[Value]) -> Vec<Value> {
    checks
        .iter()
        .enumerate()
        .map(|(i, expect)| json!({"id": format!("c{i}"), "vars": {"n": i}, "expect": expect}))
        .collect()
}

#[track_caller]
fn assert_codes(table: &[(Value, &[&str])]) {
    let checks: Vec<Value> = table.iter().map(|(checks, _)| checks.clone()).collect();
    let found = codes(&with_checks(&checks));
    for (i, (checks, expected)) in table.iter().enumerate() {
        let found = found.get(&(i + 1)).cloned().unwrap_or_default();
        assert_eq!(found, *expected, "{checks}");
    }
}

#[test]
fn checks_that_exclude_each_other_are_found_and_others_are_not() {
    const NO: &[&str] = &["contradiction"];
    const OK: &[&str] = &[];
    assert_codes(&[
        (json!(["a", "b"]), NO),
        (json!([{"equals": {"value": "Yes", "ignore_case": true}}, "yes"]), &["redundant-check"]),
        (json!([{"equals": {"value": "Yes", "ignore_case": true}}, "no"]), NO),
        (json!([{"equals": {"value": "yes", "ignore_case": true}}, {"contains": "Yes"}]), OK),
        (
            json!([{"equals": {"value": "yes", "ignore_case": true}}, {"not": {"contains": {"value": "YES", "ignore_case": true}}}]),
            NO,
        ),
        (json!([{"contains": "30 days"}, {"not": {"contains": "30"}}]), NO),
        (json!([{"contains": "30"}, {"not": {"contains": "30 days"}}]), OK),
        (json!([{"contains": {"value": "Days", "ignore_case": true}}, {"not": {"contains": "Days"}}]), OK),
        (json!([{"contains_all": ["a", "b"]}, {"not": {"contains_any": ["c", "b"]}}]), NO),
        (json!([{"contains_any": ["a", "b"]}, {"not": {"contains": "a"}}]), OK),
        (json!([{"contains_any": ["ab", "ac"]}, {"not": {"contains": "a"}}]), NO),
        (json!([{"starts_with": "No"}, "Yes, you can"]), NO),
        (json!([{"starts_with": "No"}, {"starts_with": "Yes"}]), NO),
        (json!([{"starts_with": "No"}, {"starts_with": "No, never"}]), &["redundant-check"]),
        (json!([{"ends_with": "a."}, {"ends_with": "b."}]), NO),
        (json!(["a long text", {"length": {"max": 5}}]), NO),
        (json!(["a long text", {"length": {"min": 20}}]), NO),
        (json!([{"contains": "a long text"}, {"length": {"max": 5}}]), NO),
        (json!([{"contains": "a long text"}, {"length": {"max": 5, "unit": "words"}}]), OK),
        (json!([{"length": {"min": 9}}, {"length": {"max": 8}}]), NO),
        (json!([{"length": {"min": 9}}, {"length": {"max": 8, "unit": "words"}}]), OK),
        (json!([{"number": 3}, {"number": 4}]), NO),
        (json!([{"number": {"value": 3, "tolerance": 1}}, {"number": {"value": 4.5, "tolerance": 0.5}}]), OK),
        (json!([{"number": {"value": 3, "after": "a"}}, {"number": {"value": 4, "after": "b"}}]), OK),
        (json!([{"number": 3}, "4 days"]), NO),
        (json!([{"one_of": ["a", "b"]}, "c"]), NO),
        (json!([{"one_of": ["a", "b"]}, {"one_of": ["c", "d"]}]), NO),
        (json!([{"one_of": ["a", "b"]}, {"one_of": ["b", "c"]}]), OK),
        (json!([{"regex": "^[0-9]+$"}, "ten"]), NO),
        (json!([{"json": true}, "no json"]), NO),
        (json!([{"json_equals": {"value": {"a": 1}}}, {"json_equals": {"value": {"a": 2}}}]), NO),
        (json!([{"json_equals": {"value": {"a": 1}}}, {"json_schema": {"required": ["b"]}}]), NO),
        (json!([{"json_equals": {"value": {"a": 1}, "subset": true}}, {"json_schema": {"required": ["b"]}}]), OK),
        (json!([{"refusal": true}, {"refusal": false}]), NO),
        (json!([{"refusal": true}, "Yes"]), OK),
        (json!([{"finish_reason": "STOP"}, {"finish_reason": ["SAFETY", "MAX_TOKENS"]}]), NO),
        (json!([{"regex": "a"}, {"not": {"regex": "a"}}]), NO),
        (json!([{"all": ["a", {"contains": "b"}]}]), NO),
        (json!([{"any": ["a", "b"]}, "c"]), NO),
        (json!([{"any": ["a", "c"]}, "c"]), &["redundant-check"]),
        (json!([{"not": {"any": [{"contains": "x"}, {"contains": "y"}]}}, {"contains": "xy"}]), NO),
        // Only what decides can contradict.
        (json!(["a", {"equals": "b", "advisory": true}]), OK),
        (json!(["a", {"equals": "b", "weight": 0}]), OK),
    ]);
}

#[test]
fn checks_that_say_nothing_are_found() {
    const SAYS_NOTHING: &[&str] = &["redundant-check"];
    const OK: &[&str] = &[];
    assert_codes(&[
        (json!(["30 days", {"contains": "30"}]), SAYS_NOTHING),
        (json!(["30 days", {"regex": "[0-9]+ days"}]), SAYS_NOTHING),
        (json!([{"contains": "30"}, {"contains": "30 days"}]), SAYS_NOTHING),
        (json!([{"contains": "30"}, {"contains": "30"}]), SAYS_NOTHING),
        (json!([{"contains": "30"}, {"contains": "days"}]), OK),
        (json!([{"contains_all": ["a", "b"]}, {"contains": "b"}]), SAYS_NOTHING),
        (json!([{"contains": "b"}, {"contains_any": ["a", "b"]}]), SAYS_NOTHING),
        (json!([{"not": {"contains": "30"}}, {"not": {"contains": "30 days"}}]), SAYS_NOTHING),
        (json!([{"length": {"max": 9}}, {"length": {"max": 10}}]), SAYS_NOTHING),
        (json!([{"length": {"max": 9}}, {"length": {"min": 2}}]), OK),
        (json!([{"number": 3}, {"number": {"value": 3, "tolerance": 1}}]), SAYS_NOTHING),
        (json!([{"similarity": {"to": "abc", "min": 0.9}}, {"similarity": {"to": "abc", "min": 0.8}}]), SAYS_NOTHING),
        (json!([{"similarity": {"to": "abc", "min": 0.9}}, {"similarity": {"to": "abd", "min": 0.8}}]), OK),
        (json!([{"json": {"fenced": false}}, {"json_schema": {"type": "object"}}]), OK),
        (json!([{"json": true}, {"json_schema": {"type": "object"}}]), SAYS_NOTHING),
        (json!([{"any": [{"contains": "30 days"}, {"contains": "30"}]}]), &["unreachable-alternative"]),
        (json!([{"any": [{"contains": "30 days"}, {"contains": "a month"}]}]), OK),
        (json!([{"any": [{"contains": "30 days"}, {"not": {"contains": "30 days"}}]}]), &["always-holds"]),
        (json!([{"any": [{"not": {"contains": "30 days"}}, {"contains": "30"}]}]), &["always-holds"]),
        (json!([{"any": [{"not": {"contains": "30"}}, {"contains": "30 days"}]}]), OK),
    ]);
}

/// No text passes both of two checks that are said to exclude each other, and none passes the one and misses the other where
/// that is said to say nothing.
#[test]
fn what_is_said_of_two_checks_holds_for_every_text() {
    let texts = [
        "a",
        "A",
        "b",
        "ab",
        "AB",
        "a b",
        "a  b",
        " a b ",
        "ba",
        "abc",
        "a\nb",
        "1",
        "2",
        "1.0",
        "a 1",
        "1 a 2",
        "2 1",
        "[1]",
        "{}",
        "{\"a\":1}",
        "{\"a\":2}",
        "```json\n{\"a\":1}\n```",
        "true",
        "aaaaaaaaaaaa",
        "No",
        "Not",
        "no",
    ];
    let fold = |matcher: &str, text: &str, ignore_case: bool, normalize: bool| json!({matcher: {"value": text, "ignore_case": ignore_case, "normalize": normalize}});
    let mut checks = vec![
        json!({"contains_any": ["ab", "1"]}),
        json!({"contains_all": ["a", "1"]}),
        json!({"one_of": ["a", "ab"]}),
        json!({"one_of": {"values": ["A", "No"], "ignore_case": true}}),
        json!({"length": {"min": 2}}),
        json!({"length": {"max": 3}}),
        json!({"length": {"max": 1}}),
        json!({"length": {"max": 1, "unit": "words"}}),
        json!({"number": 1}),
        json!({"number": {"value": 2, "tolerance": 1}}),
        json!({"number": {"value": 2, "which": "first"}}),
        json!({"regex": "^[a-z ]+$"}),
        json!({"regex": {"pattern": "a", "count": {"min": 2}}}),
        json!({"regex": {"pattern": "a", "count": {"min": 3, "max": 20}}}),
        json!({"json": true}),
        json!({"json": {"fenced": false}}),
        json!({"json_schema": {"required": ["a"]}}),
        json!({"json_equals": {"value": {"a": 1}}}),
        json!({"json_equals": {"value": {"a": 2}, "tolerance": 1}}),
        json!({"json_path": {"path": "$.a", "equals": 1}}),
        json!({"similarity": {"to": "ab", "min": 0.5}}),
        json!({"similarity": {"to": "ab", "min": 0.9}}),
        json!({"any": ["a", {"contains": "1"}]}),
        json!({"all": [{"contains": "a"}, {"not": {"contains": "b"}}]}),
    ];
    for matcher in ["equals", "contains", "starts_with", "ends_with"] {
        checks.extend([
            fold(matcher, "a", false, false),
            fold(matcher, "A", true, false),
            fold(matcher, "a b", false, true),
            fold(matcher, "NO", true, true),
        ]);
    }
    checks.extend(checks.clone().into_iter().map(|check| json!({"not": check})));
    let passes =
        |check: &Value, text: &str| scoring::passes_text(&CheckSpec::parse(check).unwrap(), text) == Some(true);
    let passing: Vec<Vec<bool>> =
        checks.iter().map(|check| texts.iter().map(|text| passes(check, text)).collect()).collect();
    let pairs: Vec<(usize, usize)> = (0..checks.len()).flat_map(|a| (0..a).map(move |b| (a, b))).collect();
    let project = Project::empty();
    let expect = |(a, b): &(usize, usize)| json!([checks[*a], checks[*b]]);
    let cases = with_checks(&pairs.iter().map(expect).collect::<Vec<_>>());
    project.write_cases(&cases);
    let said = project.run("golden lint --json").stdout;
    let mut told = 0;
    for finding in serde_json::from_str::<Value>(&said).unwrap()["findings"].as_array().unwrap() {
        let (a, b) = pairs[finding["line"].as_u64().unwrap() as usize - 1];
        let message = finding["message"].as_str().unwrap();
        let (one, other) = (&passing[a], &passing[b]);
        let wrong = |holds: fn(bool, bool) -> bool| {
            let at = one.iter().zip(other).position(|(one, other)| !holds(*one, *other));
            at.map(|at| format!("{:?}: {} {} {message}", texts[at], checks[a], checks[b]))
        };
        let wrong = match finding["code"].as_str().unwrap() {
            "contradiction" => wrong(|one, other| !(one && other)),
            "redundant-check" if message.starts_with("check 1 ") => wrong(|one, other| one || !other),
            "redundant-check" => wrong(|one, other| other || !one),
            _ => continue,
        };
        assert_eq!(wrong, None);
        told += 1;
    }
    assert!(told > 300, "only {told} pairs were told");
}

#[test]
fn what_is_asked_twice_is_found() {
    let asks = |id: &str, question: &str, expect: Value| json!({"id": id, "vars": {"question": question, "lang": "en"}, "expect": expect});
    let boots = "Can I return worn boots after a walk in the mountains, or will you only exchange them for new ones?";
    let project = Project::empty();
    let cases = [
        asks("a", boots, json!([{"contains": "No"}])),
        // Keys in another order, a contradiction.
        json!({"id": "b", "vars": {"lang": "en", "question": boots}, "expect": [{"not": {"contains": "No"}}]}),
        asks("c", &boots.to_uppercase().replace(',', " -"), json!([{"contains": "No"}])),
        asks("d", &boots.replace("only", "just"), json!([{"contains": "No"}])),
        asks("e", &boots.replace("worn boots", "a tent"), json!([{"contains": "No"}])),
        asks("f", "What do 2 pairs of socks cost, all taxes and the fee for delivery included?", json!(["9"])),
        asks("g", "What do 3 pairs of socks cost, all taxes and the fee for delivery included?", json!(["12"])),
        asks("h", "?", json!(["9"])),
        asks("i", "!", json!(["9"])),
    ];
    project.write_cases(&cases);
    let ran = project.run("golden lint").assert_exit(2);
    insta::assert_snapshot!(ran.transcript());
}

#[test]
fn secrets_personal_data_and_leaked_answers_are_found_and_not_repeated() {
    let key = format!("AIza{}", "Sy0".repeat(12).split_at(35).0);
    let project = Project::with_cases(0);
    project.write(
        "prompts/v1.prompt",
        "---\nmodel: m\n---\nQ: How do I wash the\nblue tent at home?\nA: Wash it by hand in cold water with a little soap.\n{{question}} {{>facts}}\n",
    );
    project.write("prompts/_facts.prompt", "Tents may be returned within thirty days if they were never used.");
    let case =
        |id: &str, question: &str, expect: Value| json!({"id": id, "vars": {"question": question}, "expect": expect});
    let cases = [
        case("key", &format!("Is {key} valid?"), json!([{"contains": "no"}])),
        case("expected-key", "Which one?", json!([{"contains": format!("it is {key}")}, {"contains": "it is"}])),
        case("own-key", &format!("Is {key} valid?!"), json!([{"no_secrets": {"allow": [key]}}])),
        case(
            "mail",
            "Write to Ann.Lee@firm.com and to ann@shop.example, call 212-555-0123",
            json!([{"contains": "ok"}]),
        ),
        case("own-mail", "Write to Ann.Lee@firm.com", json!([{"no_pii": {"allow": ["@firm.com"]}}])),
        case("example", "how do I wash the blue tent at home", json!([{"contains": "by hand in cold water"}])),
        case("answer", "Washing?", json!([{"contains": "wash it by hand, in cold water with a little soap"}])),
        case("fact", "Returns?", json!([{"contains": "within thirty days"}])),
        case(
            "partial",
            "Returns now?",
            json!([{"not": {"contains": "x"}}, "tents may be returned within thirty days if they were never used"]),
        ),
    ];
    project.write_cases(&cases);
    let ran = project.run("golden lint").assert_exit(2);
    for secret in [&key, "Ann.Lee"] {
        assert!(!ran.stdout.contains(secret), "{}", ran.transcript());
    }
    insta::assert_snapshot!(ran.transcript());

    let ran = project.run("golden lint --prompt v2 --json");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["schema"], "promptgate.lint/1");
    assert_eq!((&told["errors"], &told["warnings"]), (&json!(2), &json!(1)), "{told}");
    assert_eq!(told["findings"][0]["code"], "secret");
    assert_eq!(told["findings"][0]["line"], 1);
    project.run("golden lint --prompt v9").assert_exit(2).assert_stderr("there is no prompt `v9`");
}

#[test]
fn mistakes_of_loading_stand_in_the_same_list() {
    let project = Project::empty();
    project.write(
        "golden/cases.yaml",
        "- id: a\n  expect: []\n- id: b\n  expect:\n    - {contains: x, advisory: true}\n- id: c\n  expect: [{contians: x}, {equals: a}]\n- id: d\n  expect: [a, b]\n",
    );
    project.write("prompts/broken.prompt", "{{#if}}");
    let ran = project.run("golden lint").assert_exit(2);
    let names: Vec<&str> = scoring::MATCHERS.iter().map(|def| def.name).collect();
    insta::assert_snapshot!(ran.transcript().replace(&names.join(", "), "[every matcher]"));
    project.run("golden lint nowhere").assert_exit(2);
    project.write("empty/cases.jsonl", "");
    project.run("golden lint empty --prompt broken").assert_exit(2);
    std::fs::remove_dir_all(project.file("prompts")).unwrap();
    project.run("golden lint empty").assert_exit(4);
}

#[test]
fn strict_fails_for_every_finding() {
    let project = Project::empty();
    project.write("golden/cases.yaml", "- id: a\n  expect: [{contains: x}, {contains: xy}]\n");
    project.run("golden lint").assert_exit(0);
    project.run("golden lint --strict").assert_exit(2);
    project.write("golden/cases.yaml", "- id: a\n  expect: [{contains: x}]\n");
    project.run("golden lint --strict").assert_exit(0);
}

#[test]
fn what_an_older_revision_asked_for_is_not_lost_quietly() {
    let project = Project::empty();
    let case = |id: &str, more: Value, expect: Value| {
        let mut case = json!({"id": id, "vars": {"question": format!("about {id}")}, "expect": expect});
        case.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{case}\n")
    };
    let write = |cases: &[String]| project.write("golden/team/cases.jsonl", cases.concat());
    let plain = || json!({});
    write(&[
        case("critical", json!({"critical": true}), json!(["a"])),
        case("gone", json!({"critical": true}), json!(["a"])),
        case("renamed", json!({"vars": {"question": "same"}}), json!([{"similarity": {"to": "abc", "min": 0.9}}])),
        case("tolerance", plain(), json!([{"number": 3}])),
        case("stricter", plain(), json!([{"contains": "30"}, {"length": {"max": 20}}])),
        case("removed", plain(), json!([{"contains": "30"}, {"contains": "days"}])),
        case("advisory", plain(), json!([{"contains": "30"}, {"contains": "days"}])),
        case("weight", plain(), json!([{"contains": "30", "weight": 2}, {"contains": "days"}])),
        case("changed", plain(), json!([{"contains": "30 days"}])),
        case("shorter", plain(), json!([{"contains": "30 days"}])),
        case("same", plain(), json!([{"contains": "30 days"}])),
    ]);
    project.git("init -q");
    project.git("add .");
    project.git("commit -qm one");
    let ran = project.run("golden lint --against HEAD");
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "11 cases: 0 errors, 0 warnings, 0 notes\n"),
        "{}",
        ran.transcript()
    );
    write(&[
        case("critical", plain(), json!(["a"])),
        case("new-name", json!({"vars": {"question": "same"}}), json!([{"similarity": {"to": "abc", "min": 0.8}}])),
        case("tolerance", plain(), json!([{"number": {"value": 3, "tolerance": 0.5}}])),
        case("stricter", plain(), json!(["30 days"])),
        case("removed", plain(), json!([{"contains": "30"}])),
        case("advisory", plain(), json!([{"contains": "30"}, {"contains": "days", "advisory": true}])),
        case("weight", plain(), json!([{"contains": "30", "weight": 0.5}, {"contains": "days"}])),
        case("changed", plain(), json!([{"contains": "14 days"}])),
        case("shorter", plain(), json!([{"contains": "30"}])),
        case("same", plain(), json!([{"contains": "30 days"}])),
    ]);
    let ran = project.run("golden lint --against HEAD");
    insta::assert_snapshot!(ran.transcript());
    project.run("golden lint --against HEAD --strict").assert_exit(2);

    for (rev, said) in [("nope", "unknown git revision `nope`"), ("--all", "is not a git revision")] {
        project.run(&format!("golden lint --against={rev}")).assert_exit(2).assert_stderr(said);
    }
    project.write("other/cases.yaml", "- id: a\n  expect: [a]\n");
    project.run("golden lint other --against HEAD").assert_stdout("[incomplete]: there are no golden files at HEAD");
    project.write("golden/team/cases.jsonl", "{\"id\": \"a\"");
    project.git("add .");
    project.git("commit -qm broken");
    project.write("golden/team/cases.jsonl", case("same", plain(), json!(["a"])));
    let ran = project.run("golden lint --against HEAD").assert_exit(2);
    assert!(ran.stdout.starts_with("git:HEAD:golden/team/cases.jsonl:1:"), "{}", ran.transcript());
}

#[test]
fn stats_count_and_say_what_a_tag_needs() {
    let project = Project::empty();
    project.write(
        "golden/a.yaml",
        "- id: one\n  tags: [x, y]\n  critical: true\n  vars: {q: abc}\n  expect: [{not: {contains: z}}, {any: [a, {contains: b}]}]\n\
         - id: two\n  tags: [x]\n  vars: {q: äöü, n: 12}\n  history: [{role: user, text: hello}]\n  expect: [a]\n",
    );
    let rows: String = (0..98)
        .map(|i| format!("{}\n", json!({"id": i, "tags": ["y"], "vars": {"q": "abcd"}, "expect": ["a"]})))
        .collect();
    project.write("golden/b.jsonl", rows + "{\"id\": \"none\", \"vars\": {\"q\": \"\"}, \"expect\": [\"a\"]}\n");
    let ran = project.run("golden stats");
    insta::assert_snapshot!(ran.transcript());
    let ran = project.run("golden stats --tag x --json");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["schema"], "promptgate.stats/1");
    assert_eq!(told["cases"], 2);
    assert_eq!(told["input_chars"], json!({"min": 3, "median": 3, "p95": 10, "max": 10}));
    assert_eq!(told["needs"], json!({"alike": 70, "typical": 99, "repeats": 3}));
    assert_eq!(told["tags"][1], json!({"tag": "y", "cases": 1, "critical": 1, "missing": 98}));
    project.run("golden stats --tag z").assert_exit(4);
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_demo_has_no_finding() {
    let linted = commands::lint(&lint_of(&root(), &[root().join("golden")])).unwrap();
    let findings: Vec<String> = linted.findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(linted.cases > 200);
}

fn schema(of: &str) -> Value {
    let ran = Project::empty().run(&format!("schema {of}")).assert_exit(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn the_demo_fits_the_schemas() {
    let golden = jsonschema::validator_for(&schema("golden")).unwrap();
    let valid = |validator: &jsonschema::Validator, value: &Value, path: &Path| {
        let mistakes: Vec<String> = validator.iter_errors(value).map(|it| it.to_string()).collect();
        assert!(mistakes.is_empty(), "{}: {}", path.display(), mistakes.join("\n"));
    };
    let yaml = root().join("golden/account.yaml");
    let cases: Value = serde_saphyr::from_str(&std::fs::read_to_string(&yaml).unwrap()).unwrap();
    valid(&golden, &cases, &yaml);
    let jsonl = root().join("golden/shipping.jsonl");
    for line in std::fs::read_to_string(&jsonl).unwrap().lines() {
        valid(&golden, &serde_json::from_str(line).unwrap(), &jsonl);
    }
    assert!(!golden.is_valid(&json!([{"id": "a"}])), "a case needs checks");
    assert!(!golden.is_valid(&json!([{"id": "a", "expect": [{"contains": "a", "equals": "b"}]}])));
    assert!(!golden.is_valid(&json!([{"id": "a", "tag": ["x"], "expect": ["a"]}])));

    let settings = jsonschema::validator_for(&schema("promptgate-toml")).unwrap();
    let path = root().join("promptgate.toml");
    let toml: toml::Value = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    valid(&settings, &serde_json::to_value(toml).unwrap(), &path);

    let prompt = jsonschema::validator_for(&schema("prompt")).unwrap();
    for name in ["v1", "v2", "v3"] {
        let path = root().join(format!("prompts/{name}.prompt"));
        let text = std::fs::read_to_string(&path).unwrap();
        let front = text.split("---").nth(1).unwrap();
        valid(&prompt, &serde_saphyr::from_str(front).unwrap(), &path);
    }
}
