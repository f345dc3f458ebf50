//! What goes over the wire and what comes back, seen from the command line: settings of a prompt, streamed answers,
//! versions of the API, and the models that serve.

use crate::support::fake::{Fake, Received, Reply};
use crate::support::project::{KEY, Project};
use serde_json::{Value, json};

const EVAL: &str = "eval --prompt v2 --baseline v1";

/// An answer that another model gives to requests of the baseline (`v2` knows the opening hours).
fn reply(request: &Received, baseline: &str, candidate: &str) -> Reply {
    let is_candidate = request.text().contains("opens at nine");
    let (text, model) =
        if is_candidate { ("It opens at nine.", candidate) } else { ("The text does not say.", baseline) };
    Reply::json(
        200,
        &json!({
            "candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}],
            "modelVersion": model,
        }),
    )
}

fn codes(verdict: &Value, list: &str) -> Vec<String> {
    let entries = verdict[list].as_array().cloned().unwrap_or_default();
    let code = |entry: &Value| entry["code"].as_str().unwrap_or_default().to_owned();
    entries.iter().map(code).collect()
}

#[test]
fn settings_that_the_service_refuses_are_listed_with_their_place() {
    let project = Project::with_cases(2);
    project.write(
        "prompts/v2.prompt",
        "---\nmodel: gemini-2.5-flash-lite\nconfig:\n  temperature: 3\n  candidateCount: 2\n  thinkingConfig:\n    thinkingLevel: LOW\n  \
         responseSchema: {type: STRING}\n  safetySettings:\n    - {category: HARM_CATEGORY_HARASSMENT, threshold: SOME}\ntools:\n  - name: 1st\n---\nHi {{question}}",
    );
    let ran = project.run(EVAL).assert_exit(2);
    insta::assert_snapshot!(ran.stderr);
    let twice = project.run("eval --prompt v2 --baseline v2");
    assert_eq!(twice.stderr, ran.stderr, "a prompt compared with itself has its mistakes once");
}

#[test]
fn settings_that_the_service_ignores_are_warnings_with_their_place() {
    let project = Project::with_cases(2);
    let v2 = project.read("prompts/v2.prompt");
    project.write("prompts/v2.prompt", v2.replacen("---\n{{", "config: {topK: 3}\n---\n{{", 1));
    project
        .run(&format!("{EVAL} --dry-run"))
        .assert_exit(0)
        .assert_stderr("warning: prompts/v2.prompt:3:10: gemini-3.8-flash ignores `topK`");
}

#[test]
fn streamed_answers_are_judged_alike_and_have_a_first_token() {
    let project = Project::with_cases(3);
    let arguments = format!("{EVAL} --no-gate --repeat 1 --target sim");
    let outcomes = |project: &Project| -> Vec<Value> {
        let rows = project.results();
        rows.iter().map(|row| json!([row["case"], row["arm"], row["outcome"], row["answer"], row["usage"]])).collect()
    };
    project.run(&arguments).assert_exit(0);
    let whole = outcomes(&project);
    assert!(project.results().iter().all(|row| row["first_token_ms"].is_null()));
    for again in [false, true] {
        project.run(&format!("{arguments} --stream")).assert_exit(0);
        assert_eq!(outcomes(&project), whole);
        for row in project.results() {
            // An answer that was not streamed does not stand in for one that is to be; a streamed one does.
            assert_eq!(row["source"], if again { "cache" } else { "live" });
            assert!(row["first_token_ms"].as_u64().unwrap() <= row["latency_ms"].as_u64().unwrap());
        }
    }
}

#[test]
fn a_stream_that_breaks_off_is_asked_again_and_an_error_in_it_is_an_error() {
    let project = Project::with_cases(1);
    let text = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"It opens at nine.\"}]}}]}\r\n\r\n";
    let fake = Fake::start(move |request| {
        let tail = match request.number {
            0 => "",
            1 => {
                "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"overloaded\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}"
            }
            _ => {
                "data: {\"candidates\": [{\"finishReason\": \"STOP\"}], \"modelVersion\": \"gemini-3.8-flash\"}\r\n\r\n"
            }
        };
        Reply::text(200, "text/event-stream", format!("{text}{tail}"))
    });
    let arguments = format!("eval --prompt v2 --baseline none --no-gate --repeat 1 --stream --base-url {}", fake.url);
    let ran = project.run_with_key(&arguments).assert_exit(0);
    let row = &project.results()[0];
    assert_eq!((&row["outcome"], &row["attempts"]), (&json!("pass"), &json!(3)));
    // What was waited for the third attempt stands apart from its latency; the store keeps both.
    let waited = row["waited_ms"].as_u64().unwrap();
    let verdict = project.verdict();
    assert_eq!(
        verdict["waited_ms"],
        json!({"p50": verdict["waited_ms"]["p50"], "p95": verdict["waited_ms"]["p95"], "max": waited, "total": waited})
    );
    assert!(ran.stdout.contains("2 retries, waited "), "{}", ran.stdout);
    assert!(project.read("reports/summary.md").contains("(2 retries, waited "));
    let (asked_for, sent) = (row.clone(), fake.count());
    project.run_with_key(&arguments).assert_exit(0);
    let stored = &project.results()[0];
    assert_eq!(fake.count(), sent);
    for field in ["attempts", "waited_ms", "latency_ms"] {
        assert_eq!(stored[field], asked_for[field], "{field}");
    }
    assert_eq!(stored["source"], "cache");
    assert_eq!(project.verdict()["waited_ms"], json!({"p50": 0, "p95": 0, "max": 0, "total": 0}));
    assert_eq!(row["answer"]["text"], "It opens at nine.");
    let asked = fake.requests();
    assert!(
        asked
            .iter()
            .all(|request| request.path.ends_with("/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse")),
        "{asked:?}"
    );
}

#[test]
fn the_version_of_the_api_can_be_chosen() {
    let project = Project::with_cases(1);
    let fake = Fake::answering("nine");
    let base = format!("{}/gateway", fake.url);
    let (key, google) = (("GEMINI_API_KEY", KEY), ("GOOGLE_GENAI_API_VERSION", "v1"));
    for (more, variables, version) in [
        ("", &[key][..], "v1beta"),
        ("--api-version v1", &[key], "v1"),
        ("", &[key, google], "v1"),
        ("--api-version beta", &[key, google], "v1beta"),
        ("", &[key, google, ("PROMPTGATE_API_VERSION", "v2alpha")], "v2alpha"),
    ] {
        let arguments = format!("eval --prompt v2 --baseline none --no-gate --repeat 1 --base-url {base} {more}");
        let before = fake.count();
        project.run_with(&arguments, variables).assert_exit(0);
        if let Some(request) = fake.requests().get(before) {
            let expected = format!("/gateway/{version}/models/gemini-3.8-flash:generateContent");
            assert_eq!(request.path, expected);
        } else {
            // An answer of the same version is there already.
            assert!(matches!(version, "v1" | "v1beta"), "{version} was not asked");
        }
        let rendered = project.run_with("prompt render v2 --case case-00000", variables);
        assert!(!more.is_empty() || rendered.stdout.contains(&format!("/{version}/models/")), "{}", rendered.stdout);
    }
    assert_eq!(fake.count(), 3);
    project
        .run_with_key(&format!("{EVAL} --api-version ../x"))
        .assert_exit(2)
        .assert_stderr("--api-version: `../x` is no version");
    project
        .run_with(EVAL, &[("GOOGLE_GENAI_API_VERSION", "latest")])
        .assert_stderr("GOOGLE_GENAI_API_VERSION: `latest`");
}

#[test]
fn another_model_than_the_one_asked_for_is_told_everywhere() {
    let project = Project::with_cases(40);
    let fake = Fake::start(|request| reply(request, "gemini-9-new", "gemini-9-new"));
    let ran = project.eval_at(&fake.url, "").assert_exit(0);
    let sentence = "the candidate requested gemini-3.8-flash, but gemini-9-new served";
    assert!(ran.stdout.contains(&format!("WARNING: {sentence}")), "{}", ran.stdout);
    for file in ["summary.md", "diff.md"] {
        let text = project.read(&format!("reports/{file}"));
        assert!(text.contains(&format!("> **WARNING**: {sentence}.")), "{file}: {text}");
    }
    let junit = project.read("reports/junit.xml");
    for number in [1, 2] {
        let head = format!("<property name=\"warning {number}\" value=\"");
        assert_eq!(junit.matches(&head).count(), junit.matches("<testsuite ").count(), "{junit}");
    }
    assert!(junit.contains(&format!("<property name=\"warning 2\" value=\"{sentence}\"/>")), "{junit}");
    for row in project.results() {
        assert_eq!(row["warning"], "requested gemini-3.8-flash, but gemini-9-new served");
    }
    let verdict = project.verdict();
    assert_eq!(codes(&verdict, "warnings"), ["served_model", "served_model"]);
    assert_eq!(verdict["policy"]["strict_model"], Value::Null);

    project.eval_at(&fake.url, "--strict-model").assert_exit(11);
    let verdict = project.verdict();
    assert_eq!(codes(&verdict, "reasons"), ["served_model"]);
    assert_eq!(verdict["policy"]["strict_model"], true);
    project.write("promptgate.toml", "strict_model = true\n");
    project.eval_at(&fake.url, "").assert_exit(11);
    project.write("promptgate.toml", "");
    let arguments = format!("{EVAL} --base-url {}", fake.url);
    project.run_with(&arguments, &[("GEMINI_API_KEY", KEY), ("PROMPTGATE_STRICT_MODEL", "1")]).assert_exit(11);
}

#[test]
fn arms_that_different_models_served_are_not_compared() {
    let project = Project::with_cases(40);
    let fake = Fake::start(|request| reply(request, "gemini-3.8-flash-001", "gemini-3.8-flash-002"));
    project.eval_at(&fake.url, "").assert_exit(11);
    assert_eq!(codes(&project.verdict(), "reasons"), ["mixed_models"]);
    assert_eq!(codes(&project.verdict(), "warnings"), [""; 0]);
    assert!(!project.read("reports/junit.xml").contains("\"warning 1\""));
    assert!(project.results().iter().all(|row| row.get("warning").is_none()));
    // The other way round, a regression that may be the model's is none either.
    let arguments = format!("eval --prompt v1 --baseline v2 --base-url {}", fake.url);
    project.run_with_key(&arguments).assert_exit(11);
}

#[test]
fn what_is_told_beside_the_words_stands_in_the_results_also_from_the_cache() {
    let project = Project::with_cases(1);
    let fake = Fake::start(|_| {
        let candidate = json!({
            "content": {"parts": [{"text": "It opens at nine."}, {"executableCode": {"language": "PYTHON", "code": "1"}}]},
            "finishReason": "STOP",
            "finishMessage": "The key is test-key-0123456789.",
            "avgLogprobs": -0.5,
            "citationMetadata": {"citationSources": [{"endIndex": 4, "uri": "https://example.org/"}]},
            "groundingMetadata": {"webSearchQueries": ["opening hours"], "groundingChunks": [{"web": {"uri": "https://example.com/"}}]},
        });
        Reply::json(200, &json!({"candidates": [candidate], "modelVersion": "gemini-3.8-flash"}))
    });
    for source in ["live", "cache"] {
        project.eval_at(&fake.url, "--no-gate --repeat 1").assert_exit(0);
        for row in project.results() {
            assert_eq!(row["source"], source);
            let answer = json!({
                "text": "It opens at nine.",
                "tool_calls": [],
                "finish_reason": "STOP",
                "model_version": "gemini-3.8-flash",
                "finish_message": "The key is ***.",
                "avg_logprob": -0.5,
                "citations": [{"start": 0, "end": 4, "uri": "https://example.org/"}],
                "queries": ["opening hours"],
                "sources": [{"uri": "https://example.com/"}],
                "code": [{"language": "PYTHON", "code": "1"}],
            });
            assert_eq!(row["answer"], answer);
        }
    }
}
