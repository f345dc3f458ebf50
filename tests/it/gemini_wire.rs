//! Responses of the live service, and responses built from its official messages, read as the official SDK reads them.
//!
//! The data is not part of this repository: PROMPTGATE_CONFORMANCE names its folder. Without it the tests say so and do
//! nothing.
#![expect(clippy::print_stdout, reason = "what was not run, and how much was, is told")]

use promptgate::domain::{Answer, CodeRun, FailureKind, Request, Usage};
use promptgate::internals::provider::Retry;
use promptgate::internals::provider::gemini::{classify, decode, decode_stream, review};
use serde_json::{Map, Value};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The folder, or a printed reason to do nothing.
fn conformance() -> Option<PathBuf> {
    let folder = std::env::var_os("PROMPTGATE_CONFORMANCE").filter(|folder| !folder.is_empty());
    if folder.is_none() {
        println!("skipped: PROMPTGATE_CONFORMANCE names no folder with recorded exchanges");
    }
    folder.map(PathBuf::from)
}

/// Equal as JSON, whether a number is written 3 or 3.0.
fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => one.as_f64() == two.as_f64(),
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            one.len() == two.len() && one.iter().all(|(key, one)| two.get(key).is_some_and(|two| same(one, two)))
        }
        (one, two) => one == two,
    }
}

/// What the SDK reads, against what we read. `finish` is the name of the SDK's field for the finish reason.
fn compare(name: &str, answer: &Answer, sdk: &Value, finish: &str) {
    assert_eq!(answer.text, sdk["text"].as_str().unwrap_or_default(), "text of {name}");
    assert_eq!(answer.finish_reason.as_deref(), sdk[finish].as_str(), "finish reason of {name}");
    let calls = sdk["function_calls"].as_array().unwrap();
    assert_eq!(answer.tool_calls.len(), calls.len(), "calls of {name}");
    for (call, expected) in answer.tool_calls.iter().zip(calls) {
        assert_eq!(call.name, expected["name"], "{name}");
        let args = if expected["args"].is_null() { Value::Object(Map::new()) } else { expected["args"].clone() };
        assert!(same(&Value::Object(call.args.clone()), &args), "args of {name}: {:?} and {args}", call.args);
    }
    // Of recorded streams only the total is told.
    if let Some(total) = sdk["total_token_count"].as_u64() {
        assert_eq!(answer.usage.total, total, "total of {name}");
        return;
    }
    let count = |field: &str| sdk["usage"][field].as_u64().unwrap_or(0);
    let usage = Usage {
        prompt: count("prompt_token_count") + count("tool_use_prompt_token_count"),
        cached: count("cached_content_token_count"),
        output: count("candidates_token_count"),
        thinking: count("thoughts_token_count"),
        total: count("total_token_count"),
    };
    assert_eq!(answer.usage, usage, "usage of {name}");
}

/// How many things were told beside the words; all of them must have been kept.
fn details_told(name: &str, answer: &Answer, body: &str, streamed: bool) -> usize {
    let responses: Vec<Value> = if streamed {
        let events = body.lines().filter_map(|line| line.strip_prefix("data:"));
        events.map(|event| serde_json::from_str(event).unwrap()).collect()
    } else {
        vec![serde_json::from_str(body).unwrap()]
    };
    let count = |path: &str| -> usize {
        let found = responses.iter().filter_map(|response| response.pointer(path));
        found.map(|found| found.as_array().map_or(1, Vec::len)).sum()
    };
    let parts = |kind: &str| -> usize {
        let parts = responses.iter().filter_map(|response| response.pointer("/candidates/0/content/parts"));
        parts.flat_map(|parts| parts.as_array().unwrap()).filter(|part| part.get(kind).is_some()).count()
    };
    let details = answer.details.as_deref().cloned().unwrap_or_default();
    let candidate = "/candidates/0";
    assert_eq!(details.dropped, 0, "{name}");
    assert_eq!(usize::from(details.finish_message.is_some()), count(&format!("{candidate}/finishMessage")), "{name}");
    assert_eq!(usize::from(details.block_message.is_some()), count("/promptFeedback/blockReasonMessage"), "{name}");
    assert_eq!(details.avg_logprob.is_some(), count(&format!("{candidate}/avgLogprobs")) > 0, "{name}");
    assert_eq!(details.logprobs.len(), count(&format!("{candidate}/logprobsResult/chosenCandidates")), "{name}");
    assert_eq!(details.sources.len(), count(&format!("{candidate}/groundingMetadata/groundingChunks")), "{name}");
    assert_eq!(details.supports.len(), count(&format!("{candidate}/groundingMetadata/groundingSupports")), "{name}");
    assert_eq!(details.queries.len(), count(&format!("{candidate}/groundingMetadata/webSearchQueries")), "{name}");
    assert_eq!(details.urls.len(), count(&format!("{candidate}/urlContextMetadata/urlMetadata")), "{name}");
    let code = |told: fn(&CodeRun) -> bool| details.code.iter().filter(|run| told(run)).count();
    assert_eq!(code(|run| run.code.is_some()), parts("executableCode"), "{name}");
    assert_eq!(code(|run| run.outcome.is_some()), parts("codeExecutionResult"), "{name}");
    usize::from(answer.details.is_some())
}

#[test]
fn recorded_exchanges_are_read_as_the_sdk_reads_them() {
    let Some(folder) = conformance() else { return };
    let (mut answers, mut streams, mut calls, mut thoughts, mut errors, mut others, mut told) = (0, 0, 0, 0, 0, 0, 0);
    for line in fs::read_to_string(folder.join("gemini-wire.jsonl")).unwrap().lines() {
        let exchange: Value = serde_json::from_str(line).unwrap();
        // Vectors and counts of tokens: no answer is read from them, and none is expected.
        if matches!(exchange["method"].as_str(), Some("countTokens" | "embedContent" | "batchEmbedContents")) {
            assert!(exchange["expected"].is_null());
            others += 1;
            continue;
        }
        let name = exchange["id"].to_string();
        let stream = exchange["sse"].as_str();
        let body = stream.map_or_else(|| exchange["response"].to_string(), str::to_owned);
        let status = exchange["status"].as_u64().unwrap() as u16;
        if status != 200 {
            // All that were recorded are refusals of one request.
            let error = classify(status, None, body.as_bytes());
            assert_eq!((error.failure().kind, error.retry()), (FailureKind::Request, Retry::Never), "{name}");
            errors += 1;
            continue;
        }
        let decoded = if stream.is_some() { decode_stream(body.as_bytes()) } else { decode(body.as_bytes()) };
        let answer = decoded.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let expected = &exchange["expected"];
        compare(&name, &answer, expected, "finish_reason");
        if stream.is_none() {
            assert_eq!(answer.model_version.as_deref(), expected["model_version"].as_str(), "{name}");
        }
        told += details_told(&name, &answer, &body, stream.is_some());
        answers += 1;
        streams += usize::from(stream.is_some());
        calls += answer.tool_calls.len();
        thoughts += usize::from(answer.usage.thinking > 0);
    }
    assert!(told >= 130, "{told}");
    assert!(
        answers >= 281 && streams >= 10 && calls >= 100 && thoughts >= 50 && errors >= 3 && others >= 9,
        "{answers} {streams} {calls} {thoughts} {errors} {others}"
    );
}

/// The service also takes `thinking_budget`; a prompt has to write `thinkingBudget`.
fn in_camel_case(value: Value) -> Value {
    let camel = |key: String| {
        let mut words = key.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |name, word| {
            let mut letters = word.chars();
            name + &letters.next().map_or_else(String::new, |c| c.to_uppercase().to_string()) + letters.as_str()
        })
    };
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (camel(key), in_camel_case(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(in_camel_case).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[test]
fn what_the_service_took_is_not_refused_by_our_rules() {
    let Some(folder) = conformance() else { return };
    let mut taken = 0;
    for line in fs::read_to_string(folder.join("gemini-wire.jsonl")).unwrap().lines() {
        let exchange: Value = serde_json::from_str(line).unwrap();
        let path = exchange["path"].as_str().unwrap();
        let Some((before, _)) = path.split_once("enerateContent") else {
            continue;
        };
        if exchange["status"] != 200 {
            continue;
        }
        let model = before.rsplit_once("models/").unwrap().1.split(':').next().unwrap();
        let mut config = Map::new();
        for (key, value) in exchange["request"].as_object().unwrap() {
            match key.as_str() {
                "generationConfig" => config.extend(value.as_object().unwrap().clone()),
                // The last one only Vertex AI knows.
                "contents" | "systemInstruction" | "modelArmorConfig" => {}
                _ => {
                    config.insert(key.clone(), value.clone());
                }
            }
        }
        let Value::Object(config) = in_camel_case(Value::Object(config)) else { unreachable!("a map stays one") };
        let request = Request {
            model: model.to_owned(),
            system: Vec::new(),
            contents: Vec::new(),
            config,
            json_output: false,
            output_schema: None,
            tools: Vec::new(),
        };
        let found = review(&request, "v1beta", time::macros::date!(2026 - 11 - 22));
        assert_eq!(found.refused, [], "{}", exchange["id"]);
        taken += 1;
    }
    assert!(taken >= 281, "{taken}");
}

#[test]
fn built_responses_are_read_as_the_sdk_reads_them() {
    let Some(folder) = conformance() else { return };
    let (mut answers, mut blocked, mut unreadable) = (0, 0, 0);
    for (name, entry) in index(&folder) {
        if entry["kind"] != "unary" || entry["http_status"] != 200 || entry["sdk"].is_null() {
            continue;
        }
        let sdk = &entry["sdk"];
        let body = body_of(&folder, &entry);
        // Two things the SDK lets through are no answer: a page of HTML it can't read either, and no bytes at all.
        if sdk["error"].is_object() || body.is_empty() {
            let error = decode(&body).unwrap_err();
            assert_eq!((error.failure().code.as_str(), error.retry()), ("bad_body", Retry::Backoff), "{name}");
            unreadable += 1;
            continue;
        }
        let answer = decode(&body).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        compare(&name, &answer, sdk, "finish");
        assert_eq!(answer.block_reason.as_deref(), sdk["block_reason"].as_str(), "{name}");
        // Whatever did not end well can't be a good answer.
        let well = sdk["finish"] == "STOP"
            && (sdk["text"].as_str().is_some_and(|text| !text.is_empty()) || !answer.tool_calls.is_empty());
        assert_eq!(answer.unusable().is_none(), well, "{name}");
        answers += 1;
        blocked += usize::from(answer.block_reason.is_some());
    }
    assert!(answers >= 55 && blocked >= 5 && unreadable >= 3, "{answers} {blocked} {unreadable}");
}

#[test]
fn built_streams_are_read_as_the_sdk_reads_them() {
    let Some(folder) = conformance() else { return };
    use FailureKind::{RateLimit, Transport};
    // What is no answer, and what is done about it. The SDK takes a stream that just stops for one.
    let table = [
        ("s_no_finish", Transport, "bad_body", Retry::Backoff),
        ("s_cut_in_event", Transport, "bad_body", Retry::Backoff),
        ("s_error_event", Transport, "http_503", Retry::Backoff),
        ("s_error_raw_tail", Transport, "http_503", Retry::Backoff),
        ("s_error_first", RateLimit, "http_429", Retry::After(Duration::from_nanos(2_185_908_122))),
    ];
    let (mut answers, mut refused) = (0, 0);
    for (name, entry) in index(&folder) {
        if entry["kind"] != "stream" {
            continue;
        }
        let body = body_of(&folder, &entry);
        let decoded = decode_stream(&body);
        if let Some((_, kind, code, retry)) = table.iter().find(|(known, ..)| *known == name) {
            let error = decoded.unwrap_err();
            let failure = error.failure();
            assert_eq!((failure.kind, failure.code.as_str()), (*kind, *code), "{name}");
            assert_eq!(error.retry(), *retry, "{name}");
            refused += 1;
            continue;
        }
        let answer = decoded.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        if entry["sdk"].is_null() {
            // The SDK never asks for a stream without events.
            assert!(!answer.text.is_empty() && answer.finish_reason.as_deref() == Some("STOP"), "{name}");
        } else {
            assert!(entry["sdk"]["error"].is_null(), "{name} is new: what should be done about it?");
            compare_stream(&name, &answer, &entry["sdk"]);
        }
        answers += 1;
    }
    assert!(answers >= 11 && refused == table.len(), "{answers} {refused}");
}

/// As [`compare`]; for streams, the data does not tell calls.
fn compare_stream(name: &str, answer: &Answer, sdk: &Value) {
    let calls = answer.tool_calls.clone();
    let answer = Answer { tool_calls: Vec::new(), ..answer.clone() };
    let mut sdk = sdk.clone();
    sdk["function_calls"] = Value::Array(Vec::new());
    compare(name, &answer, &sdk, "finish");
    assert_eq!(answer.block_reason.as_deref(), sdk["block_reason"].as_str(), "{name}");
    assert_eq!(calls.is_empty(), name != "s_function_call", "{name}");
}

#[test]
fn every_built_error_is_classified() {
    let Some(folder) = conformance() else { return };
    use FailureKind::{Auth, Quota, RateLimit, Request, Transport};
    let after = |seconds| Retry::After(Duration::from_secs_f64(seconds));
    let table = [
        ("err_429_rpm", RateLimit, after(2.185908122)),
        ("err_429_rpm_fraction", RateLimit, after(0.539477544)),
        ("err_429_tpm", RateLimit, after(40.025771073)),
        ("err_429_rpd", Quota, Retry::QuotaSpent),
        ("err_429_rpm_and_rpd", Quota, Retry::QuotaSpent),
        ("err_429_limit_zero", Quota, Retry::QuotaSpent),
        ("err_429_bare", RateLimit, Retry::Backoff),
        ("err_429_retry_after_header", RateLimit, after(3.0)),
        ("err_gateway_code_string", RateLimit, Retry::Backoff),
        ("err_499", Transport, Retry::Backoff),
        ("err_500", Transport, Retry::Backoff),
        ("err_502_html", Transport, Retry::Backoff),
        ("err_503_overloaded", Transport, Retry::Backoff),
        ("err_503_high_demand", Transport, Retry::Backoff),
        ("err_504", Transport, Retry::Backoff),
        ("err_array_wrapped", Transport, Retry::Backoff),
        ("err_400_unknown_field", Request, Retry::Never),
        ("err_400_tokens", Request, Retry::Never),
        ("err_404_model", Request, Retry::Never),
        ("err_400_api_key", Auth, Retry::KeyRefused),
        ("err_400_location", Auth, Retry::KeyRefused),
        ("err_400_free_tier", Auth, Retry::KeyRefused),
        ("err_401", Auth, Retry::KeyRefused),
        ("err_403", Auth, Retry::KeyRefused),
        ("err_403_leaked", Auth, Retry::KeyRefused),
    ];
    let index = index(&folder);
    for (name, entry) in index.iter().filter(|(name, _)| name.starts_with("err_")) {
        let (_, kind, retry) = table
            .iter()
            .find(|(expected, ..)| expected == name)
            .unwrap_or_else(|| panic!("{name} is new: classify it"));
        let status = entry["http_status"].as_u64().unwrap() as u16;
        let error = classify(status, entry["headers"]["Retry-After"].as_str(), &body_of(&folder, entry));
        assert_eq!((error.failure().kind, error.retry()), (*kind, *retry), "{name}: {error:?}");
        let said: String = entry["sdk"]["error"]["message"].as_str().unwrap().chars().take(60).collect();
        assert!(error.failure().message.contains(said.trim()), "{name}: {error:?}");
    }
    for (name, ..) in table {
        assert!(index.iter().any(|(known, _)| known == name), "{name} is gone");
    }
}

fn index(folder: &std::path::Path) -> Vec<(String, Value)> {
    let text = fs::read_to_string(folder.join("responses/index.json")).unwrap();
    let index: Map<String, Value> = serde_json::from_str(&text).unwrap();
    index.into_iter().collect()
}

fn body_of(folder: &std::path::Path, entry: &Value) -> Vec<u8> {
    fs::read(folder.join("responses").join(entry["file"].as_str().unwrap())).unwrap()
}
