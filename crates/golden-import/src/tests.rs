//! Whatever a source holds, an import ends, and what it writes is read back.

use super::*;
use proptest::prelude::*;

/// Knows a few matchers and accepts all arguments.
struct Lenient(&'static [&'static str]);

const MATCHERS: &[&str] = &["equals", "contains", "any", "all", "not", "tool_calls"];

impl Matchers for Lenient {
    fn verify(&self, check: &Value) -> Result<(), String> {
        if let Value::Array(checks) = check {
            return checks.iter().try_for_each(|check| self.verify(check));
        }
        for (matcher, args) in check.as_object().into_iter().flatten() {
            match matcher.as_str() {
                "weight" | "name" => {}
                "all" | "any" | "not" => self.verify(args)?,
                name if self.0.contains(&name) => {}
                name => return Err(format!("there is no matcher `{name}`")),
            }
        }
        Ok(())
    }

    fn takes_text(&self, matcher: &str) -> Option<bool> {
        self.0.contains(&matcher).then_some(true)
    }

    fn names(&self) -> Vec<&'static str> {
        self.0.to_vec()
    }
}

fn imported(name: &str, content: &Value, beside: &Value, matchers: &'static [&'static str]) -> Proposal {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join(name);
    std::fs::write(&source, content.to_string()).unwrap();
    std::fs::write(folder.path().join("test_config.json"), beside.to_string()).unwrap();
    import(&source, &Options::default(), &Lenient(matchers)).unwrap()
}

#[test]
fn a_matcher_is_an_equivalent_from_the_day_it_is_there() {
    let part = |text: &str| json!({"parts": [{"text": text}]});
    let evalset = json!({"eval_cases": [{
        "eval_id": "hours",
        "rubrics": [{"rubric_id": "kind", "rubric_content": {"text_property": "The answer is kind."}}],
        "conversation": [{"user_content": part("When?"), "final_response": part("At nine.")}],
    }]});
    let criteria = json!({"criteria": {
        "final_response_match_v2": {"threshold": 0.5, "judge_model_options": {"num_samples": 3}},
        "rubric_based_final_response_quality_v1": 1.0,
    }});
    let tests = json!({"tests": [{"vars": {"a": "b"}, "assert": [
        {"type": "llm-rubric", "value": "is about {{a}}"},
        {"type": "not-llm-rubric", "value": "is rude", "threshold": 0.7},
        {"type": "latency", "threshold": 1500.5},
    ]}]});
    for (name, content) in [("a.evalset.json", &evalset), ("a.json", &tests)] {
        let without = imported(name, content, &criteria, MATCHERS);
        assert_eq!(without.cases, 0, "{}", without.text);
        assert!(without.text.contains("there is no matcher `judge`"), "{}", without.text);
    }
    let with = ["a.evalset.json", "a.json"].map(|name| {
        let content = if name == "a.json" { &tests } else { &evalset };
        let with = imported(name, content, &criteria, &["judge", "latency", "not", "all"]);
        assert_eq!((with.cases, with.lost()), (1, 0), "{}", with.text);
        with.text
    });
    insta::assert_snapshot!("with_a_judge", with.join("\n"));
}

/// Documents of the words that importers look for, in any order and with any kinds of values.
fn document() -> impl Strategy<Value = Value> {
    const WORDS: &str = "tests|vars|assert|type|value|threshold|weight|metric|options|transform|defaultTest|scenarios|config|\
                         metadata|description|eval_cases|conversation|user_content|parts|text|final_response|\
                         intermediate_data|tool_uses|name|args|session_input|state|query|reference|expected_tool_use|data|\
                         input|ideal|target|choices|id|role|content|equals|contains|not-contains|regex|assert-set|is-json|\
                         user|assistant|file://a|file://../b.yaml|\\{\\{a\\}\\}|\\$ref|#/tests|prompt|agent_data|turns|events";
    let word = || proptest::string::string_regex(WORDS).unwrap();
    let leaf = prop_oneof![
        4 => word().prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => prop_oneof![Just(0.5), Just(-1.0), Just(1e300), Just(2.0)].prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(7, 120, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::vec((word(), inner), 0..6).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// The document as one of the forms that are imported.
fn shaped(tool: Tool, inner: Value) -> Value {
    match tool {
        Tool::Promptfoo => {
            json!({"tests": [inner, {"vars": {"a": ["x", "y"]}, "assert": [inner, {"type": "equals", "value": inner}]}]})
        }
        Tool::Adk => {
            json!({"eval_cases": [inner, {"eval_id": "e", "conversation": [inner, {"user_content": {"parts": [{"text": "a"}]}, "final_response": inner, "intermediate_data": inner}]}]})
        }
        Tool::OpenAi | Tool::Inspect | Tool::Csv => {
            json!([inner, {"input": "a", "target": inner}, {"input": inner, "target": "a"}])
        }
    }
}

proptest! {
    #[test]
    fn every_document_is_imported_or_refused(inner in document(), number in 0..3_usize) {
        let tool = [Tool::Promptfoo, Tool::Adk, Tool::Inspect][number];
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source.json");
        std::fs::write(&source, shaped(tool, inner).to_string()).unwrap();
        let options = Options {
            tool: Some(tool),
            check: (tool == Tool::Inspect).then_some(Comparison::Equals),
            ..Options::default()
        };
        // An error is a refusal of the source, never one of what was written.
        match import(&source, &options, &Lenient(MATCHERS)) {
            Ok(imported) => prop_assert!(imported.lost() > 0 || imported.left_out == 0),
            Err(problem) => {
                prop_assert!(!problem.message.contains("can't be read:"), "{}", problem);
                prop_assert!(!problem.message.contains("unchanged"), "{}", problem);
            }
        }
    }
}
