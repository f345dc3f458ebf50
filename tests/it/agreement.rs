//! Golden data of other tools, imported and judged here, against what those tools say of the same answers: numbers written
//! by the scripts in `tests/oracles/`, which run the tools. Every difference is listed here with its reason; `docs/import.md`
//! explains the reasons.

use crate::support::project::Project;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The lines of a file of `tests/oracles/`, or of a path.
fn lines(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles").join(file);
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts(value: &Value) -> Vec<&Value> {
    value.as_array().unwrap().iter().collect()
}

/// Why an outcome here is another one than that of the development kit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    /// An answer without text and calls never passes here.
    Empty,
    /// To Python, true is 1 and false is 0.
    TrueIsOne,
    /// No answer here tells a call without arguments from one with empty ones.
    NoArguments,
    /// Without a final response to compare with no answer passes there; here `--allow-partial` left that criterion out.
    NoReference,
}

/// The differences from the kit: file, case, the number of the answer (from 1), and why. The outcome here is the other one.
const OF_THE_KIT: &[(&str, &str, usize, Because)] = &[
    ("lamps.test.json", "switch_off-turn-2", 7, Because::TrueIsOne),
    ("lamps.test.json", "cut_short", 1, Because::NoReference),
    ("lamps.test.json", "cut_short", 2, Because::NoReference),
    ("lamps.test.json", "cut_short", 3, Because::NoReference),
    ("lamps.test.json", "cut_short", 4, Because::NoReference),
    ("lamps.test.json", "cut_short", 11, Because::NoReference),
    ("payroll.evalset.json", "nothing", 11, Because::Empty),
    ("payroll.evalset.json", "untouched", 11, Because::Empty),
    ("payroll.evalset.json", "bare", 1, Because::NoArguments),
    ("payroll.evalset.json", "bare", 2, Because::NoArguments),
    ("payroll.evalset.json", "bare", 4, Because::NoArguments),
    ("payroll.evalset.json", "bare", 11, Because::NoArguments),
    ("sessions.evalset.json", "browse-turn-2", 8, Because::TrueIsOne),
];

/// Turns that have no case here: their history is not known, as a turn before them has no final response.
const NOT_OF_THE_KIT: &[(&str, &str)] = &[("payroll.evalset.json", "equal-turn-2")];

/// What the kit says of a turn: it has no mean to take, so every metric must pass.
fn kit_passes(kit: &Value, turn: usize) -> bool {
    let metrics = kit.as_object().unwrap();
    assert!(!metrics.is_empty());
    metrics.values().all(|metric| metric[2][turn][1] == true)
}

type Outcomes = BTreeMap<(String, u64), String>;

/// Judges recorded answers, rows of `{case, repeat, text, ..}`.
fn judged(project: &Project, variable: &str, rows: &[Value], repeats: usize) -> Outcomes {
    project.write(
        "prompts/plain.prompt",
        format!("---\nmodel: gemini-2.5-flash\n---\n{{{{history}}}}{{{{role \"user\"}}}}{{{{{variable}}}}}\n"),
    );
    let mut rows = rows.to_vec();
    rows.iter_mut().for_each(|row| row["prompt"] = "plain".into());
    project.write_rows("answers.jsonl", &rows);
    project
        .run(&format!(
            "eval --prompt plain --baseline none --no-gate --target recorded --answers answers.jsonl --repeat {repeats}"
        ))
        .assert_exit(0);
    let outcome = |row: Value| {
        let case = row["case"].as_str().unwrap().to_owned();
        let outcome = row["outcome"].as_str().unwrap().to_owned();
        ((case, row["repeat"].as_u64().unwrap()), outcome)
    };
    project.results().into_iter().map(outcome).collect()
}

#[derive(Default)]
struct Compared {
    turns: usize,
    conversations: usize,
    /// File, case and number, and why the outcomes differ, if that is known.
    differences: Vec<(String, String, usize, Option<Because>)>,
    left_out: BTreeSet<(String, String)>,
    /// Conversations that pass there because a good turn makes up for a bad one.
    made_up_for: usize,
}

fn compare_evalset(set: &Value, compared: &mut Compared) {
    let project = Project::empty();
    let name = set["file"].as_str().unwrap();
    project.write(&format!("source/{name}"), set["evalset"].to_string());
    if !set["config"].is_null() {
        project.write("source/test_config.json", set["config"].to_string());
    }
    fs::create_dir(project.file("golden")).unwrap();
    let source = format!("source/{name}");
    project.run(&format!("golden import {source} --to golden/imported.yaml --allow-partial")).assert_exit(0);

    let mut rows = Vec::new();
    let mut turns = Vec::new();
    for conversation in texts(&set["conversations"]) {
        let answers = texts(&conversation["answers"]);
        let count = answers[0].as_array().unwrap().len();
        for turn in 0..count {
            let id = conversation["eval_id"].as_str().unwrap();
            let case = match count {
                1 => id.to_owned(),
                _ => format!("{id}-turn-{}", turn + 1),
            };
            for (number, answer) in (1..).zip(&answers) {
                let mut row = answer[turn].clone();
                row["case"] = case.clone().into();
                row["repeat"] = number.into();
                rows.push(row);
            }
            turns.push((conversation, turn, case));
        }
    }
    let repeats = texts(&set["conversations"][0]["answers"]).len();
    let outcomes = judged(&project, "input", &rows, repeats);

    // Whether the conversation passes there and here, and whether that is known to differ.
    let mut whole: BTreeMap<(String, usize), (bool, bool, bool)> = BTreeMap::new();
    for (conversation, turn, case) in turns {
        let kit = texts(&conversation["kit"]);
        for (index, (kit, answers)) in kit.iter().zip(texts(&conversation["answers"])).enumerate() {
            let number = index + 1;
            let Some(ours) = outcomes.get(&(case.clone(), number as u64)) else {
                compared.left_out.insert((name.to_owned(), case.clone()));
                continue;
            };
            let (ours, theirs) = (ours == "pass", kit_passes(kit, turn));
            compared.turns += 1;
            let differs = ours != theirs;
            if differs {
                let as_expected = &conversation["kit"][0];
                let because = because(&answers[turn], as_expected, turn, ours);
                compared.differences.push((name.to_owned(), case.clone(), number, because));
            }
            let metrics = kit.as_object().unwrap();
            let passes_there = metrics.values().all(|metric| metric[1] == true);
            let id = conversation["eval_id"].as_str().unwrap().to_owned();
            let (_, here, known) = whole.entry((id, number)).or_insert((passes_there, true, false));
            *here &= ours;
            *known |= differs;
        }
    }
    for ((id, number), (there, here, known)) in whole {
        compared.conversations += 1;
        let is_partly_left_out =
            compared.left_out.iter().any(|(file, case)| file == name && case.starts_with(&format!("{id}-turn-")));
        assert!(there || !here || known || is_partly_left_out, "{name} {id} {number}: passes only here");
        compared.made_up_for += usize::from(there && !here && !known);
    }
}

/// Why the outcome of an answer differs. `as_expected` is what the kit says of the answer that is what the evalset expects.
fn because(answer: &Value, as_expected: &Value, turn: usize, passes_here: bool) -> Option<Because> {
    let calls = answer["tool_calls"].to_string();
    let is_empty = answer["text"].as_str().unwrap().trim().is_empty() && calls == "[]";
    let cannot_pass = |metric: &str| as_expected[metric][2][turn][0] == 0.0;
    match passes_here {
        false if is_empty => Some(Because::Empty),
        false if calls.contains("true") || calls.contains("false") => Some(Because::TrueIsOne),
        true if cannot_pass("response_match_score") => Some(Because::NoReference),
        true if cannot_pass("tool_trajectory_avg_score") && calls.contains("{}") => Some(Because::NoArguments),
        _ => None,
    }
}

#[test]
fn evalsets_are_judged_as_the_kit_judges_them() {
    let mut compared = Compared::default();
    for set in &lines("adk.json")[1..] {
        compare_evalset(set, &mut compared);
    }
    let expected: Vec<_> = OF_THE_KIT
        .iter()
        .map(|(file, case, number, because)| ((*file).to_owned(), (*case).to_owned(), *number, Some(*because)))
        .collect();
    assert_eq!(compared.differences, expected);
    let left_out: Vec<_> = compared.left_out.iter().map(|(file, case)| (&**file, &**case)).collect();
    assert_eq!(left_out, NOT_OF_THE_KIT);
    let Compared { turns, conversations, made_up_for, .. } = compared;
    assert!(turns > 500 && conversations > 400, "{turns} turns, {conversations} conversations");
    assert!(made_up_for > 0, "no conversation shows that a mean is laxer than each turn");
}

#[test]
fn other_evalsets_differ_only_for_the_same_reasons() {
    let Some(file) = std::env::var_os("PROMPTGATE_ADK_EVALSETS") else {
        eprintln!("PROMPTGATE_ADK_EVALSETS is not set to what tests/oracles/adk.py --of wrote, so nothing is compared");
        return;
    };
    let mut compared = Compared::default();
    for set in &lines(&file.to_string_lossy())[1..] {
        compare_evalset(set, &mut compared);
    }
    let unknown: Vec<_> = compared.differences.iter().filter(|(.., because)| because.is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    eprintln!("{} turns compared, {} differ for a known reason", compared.turns, compared.differences.len());
}

// Why an outcome here is another one than that of promptfoo.
const UNUSABLE: &str = "a blocked, cut off or empty answer passes here only checks that are about how it ended";
const INSIDE: &str = "what JSON or XML is looked for must be the whole answer or its one code block";
const OTHER_PHRASES: &str = "another list of phrases";

/// The differences from promptfoo: test, the numbers of the answers (from 1), the outcome here, and why.
const OF_PROMPTFOO: &[(&str, &[usize], &str, &str)] = &[
    ("icontains, Greek", &[3], "pass", "without regard to case, a final sigma is a sigma"),
    ("regex, an emoji", &[2], "pass", "JavaScript counts an emoji as two characters"),
    ("regex, a slash and a brace", &[3], "fail", UNUSABLE),
    ("contains json", &[2], "fail", INSIDE),
    ("contains json with a schema", &[3, 4], "fail", INSIDE),
    ("is xml, forms", &[4], "fail", "a document type declaration is refused"),
    ("contains xml", &[2], "fail", INSIDE),
    ("contains xml with elements", &[3], "fail", INSIDE),
    ("bleu, several", &[3], "fail", "another BLEU, to which case counts"),
    ("finish reason, length", &[2, 4], "fail", UNUSABLE),
    ("is refusal", &[4], "fail", OTHER_PHRASES),
    ("is refusal, otherwise", &[1], "pass", OTHER_PHRASES),
    ("is refusal, otherwise", &[2], "fail", OTHER_PHRASES),
    ("tool calls, twice", &[1], "fail", "a function that is called twice counts twice"),
    ("blank answers", &[1, 2, 3], "fail", UNUSABLE),
    ("cell: levenshtein", &[3], "fail", "a replaced letter weighs more than an added one"),
];

#[test]
fn promptfoo_tests_are_judged_as_promptfoo_judges_them() {
    let file = lines("promptfoo.json");
    let (head, tests) = file.split_first().unwrap();
    let project = Project::empty();
    project.write("source/promptfooconfig.yaml", head["config"].as_str().unwrap());
    project.write("source/table.csv", head["table"].as_str().unwrap());
    fs::create_dir(project.file("golden")).unwrap();
    let source = "source/promptfooconfig.yaml";
    project.run(&format!("golden import {source} --to golden/imported.yaml")).assert_exit(0);

    // A case is found by its variables.
    let variables = |vars: &Value| {
        let vars = vars.as_object().unwrap().iter();
        vars.map(|(key, value)| (key.clone(), value.to_string())).collect::<BTreeMap<_, _>>()
    };
    let cases: Vec<Value> = serde_saphyr::from_str(&project.read("golden/imported.yaml")).unwrap();
    let cases: BTreeMap<_, _> =
        cases.iter().map(|case| (variables(&case["vars"]), case["id"].as_str().unwrap().to_owned())).collect();
    let (mut rows, mut found) = (Vec::new(), Vec::new());
    for test in tests {
        let mut vars = test["vars"].clone();
        vars["question"] = test["question"].clone();
        let question = test["question"].as_str().unwrap();
        let name = question.split_once(": ").unwrap().1.trim_end_matches('?');
        let case = &cases[&variables(&vars)];
        for (number, answer) in (1..).zip(texts(&test["answers"])) {
            let mut row = answer.clone();
            row["case"] = case.clone().into();
            row["repeat"] = number.into();
            if let Some(reason) = row.get("finish_reason").and_then(Value::as_str) {
                row["finish_reason"] = match reason {
                    "stop" => "STOP",
                    "length" => "MAX_TOKENS",
                    _ => "SAFETY",
                }
                .into();
            }
            rows.push(row);
        }
        found.push((name, case, texts(&test["promptfoo"])));
    }
    let outcomes = judged(&project, "question", &rows, 4);
    let (mut differences, mut counts) = (Vec::new(), BTreeMap::new());
    for (name, case, theirs) in found {
        for (number, theirs) in (1..).zip(theirs) {
            let ours = outcomes[&(case.clone(), number as u64)].as_str();
            *counts.entry(theirs.as_str().unwrap()).or_insert(0) += 1;
            if theirs != ours {
                differences.push((name, number, ours));
            }
        }
    }
    let listed = OF_PROMPTFOO.iter();
    let listed: Vec<_> =
        listed.flat_map(|(name, numbers, ours, _)| numbers.iter().map(|number| (*name, *number, *ours))).collect();
    assert_eq!(differences, listed);
    assert!(counts["pass"] > 200 && counts["fail"] > 200, "{counts:?}");
}

#[test]
fn every_assertion_with_an_equivalent_is_compared_with_promptfoo() {
    // Those that ask a model can't be, without a network.
    let models = ["similar", "llm-rubric", "model-graded-closedqa"];
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/import.md")).unwrap();
    let table = page.split("| assertion | here | difference |").nth(1).unwrap();
    let config = lines("promptfoo.json")[0]["config"].as_str().unwrap().to_owned();
    let mut compared = 0;
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let assertion = cells[1].trim_matches('`');
        if cells[2].starts_with("no equivalent") || models.contains(&assertion) {
            continue;
        }
        compared += 1;
        let written = |kind: &str| config.contains(&format!("\"type\": \"{kind}\""));
        assert!(written(assertion), "{assertion}");
        let has_not = !cells[2].contains("`not-` has no equivalent");
        assert!(!has_not || written(&format!("not-{assertion}")), "not-{assertion}");
    }
    assert!(compared >= 20, "{compared}");
}
