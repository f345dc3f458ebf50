//! Checks that compare by meaning: which texts are sent, that none is sent twice, and what a failure leads to.

use crate::support::fake::{Fake, Received, Reply};
use crate::support::project::{KEY, Project};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Cases of which each answers with its own text; `case-3` with another meaning.
fn project(settings: &str, cases: usize) -> Project {
    let project = Project::with_cases(1);
    write_cases(&project, cases, "the shop opens at nine");
    record(&project, cases, |i| match i {
        3 => "lions sleep all day".to_owned(),
        i => format!("it opens at nine, number {i}"),
    });
    project.write("promptgate.toml", settings);
    project
}

fn write_cases(project: &Project, cases: usize, meaning: &str) {
    let case = |i| {
        let check = json!({"semantic": {"to": meaning, "min": 0.9}});
        json!({"id": format!("case-{i}"), "vars": {"question": format!("Number {i}?")}, "expect": [check]})
    };
    project.write_cases(&(0..cases).map(case).collect::<Vec<_>>());
}

/// Records the same answer to each case in both arms.
fn record(project: &Project, cases: usize, text: impl Fn(usize) -> String) {
    let answer = |i: usize, prompt| (format!("case-{i}"), prompt, text(i));
    project.record((0..cases).flat_map(|i| ["v1", "v2"].map(|prompt| answer(i, prompt))));
}

fn texts(request: &Received) -> Vec<String> {
    let body = request.json();
    let requests = body["requests"].as_array().unwrap();
    requests.iter().map(|one| one["content"]["parts"][0]["text"].as_str().unwrap().to_owned()).collect()
}

/// Texts about lions point another way than all others.
fn embed(request: &Received) -> Reply {
    assert_eq!(request.path, "/v1beta/models/gemini-embedding-001:batchEmbedContents");
    assert_eq!(request.header("x-goog-api-key"), Some(KEY));
    let vectors: Vec<Value> = texts(request)
        .iter()
        .map(|text| json!({"values": if text.contains("lions") { [0.1, 0.9] } else { [0.9, 0.1] }}))
        .collect();
    Reply::json(200, &json!({"embeddings": vectors}))
}

fn asked_for_768(request: &Received) -> bool {
    request.text().contains("\"outputDimensionality\":768")
}

fn asked_of(fake: &Fake) -> String {
    format!("[embeddings.default]\ntarget = \"gemini\"\nbase_url = \"{}\"\n", fake.url)
}

#[test]
fn meanings_decide_and_each_text_is_sent_once() {
    let fake = Fake::start(embed);
    let project = project(&asked_of(&fake), 150);
    project.eval_recorded("").assert_exit(0);
    let outcomes: BTreeMap<String, usize> = project.results().iter().fold(BTreeMap::new(), |mut counts, row| {
        *counts.entry(row["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
        counts
    });
    assert_eq!(outcomes, BTreeMap::from([("fail".to_owned(), 2), ("pass".to_owned(), 298)]));
    let sizes: Vec<usize> = fake.requests().iter().map(|request| texts(request).len()).collect();
    // 150 answers and one reference; both arms answer alike.
    assert_eq!(sizes.iter().sum::<usize>(), 151);
    assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= 100), "{sizes:?}");
    let verdict = project.verdict();
    assert_eq!(verdict["requests"], 2);
    assert!(verdict["cost_usd"].as_f64().unwrap() > 0.0);

    let again = project.eval_recorded("");
    assert_eq!((again.code, fake.count()), (0, 2));
    assert_eq!(project.verdict()["key"], verdict["key"]);
}

#[test]
fn another_model_is_another_test() {
    let fake = Fake::start(|request| {
        let vectors = texts(request).len();
        Reply::json(
            200,
            &json!({"embeddings": vec![json!({"values": vec![1.0; if asked_for_768(request) { 768 } else { 2 }]}); vectors]}),
        )
    });
    let project = project(&asked_of(&fake), 10);
    project.eval_recorded("");
    let key = project.verdict()["key"].clone();
    project.write("promptgate.toml", asked_of(&fake) + "dimensions = 768\n");
    project.eval_recorded("");
    assert_ne!(project.verdict()["key"], key);
    let body: Value = serde_json::from_slice(&fake.requests().last().unwrap().body).unwrap();
    assert_eq!(body["requests"][0]["outputDimensionality"], 768);
}

#[test]
fn a_vector_of_another_length_than_asked_for_is_none() {
    let of = |values: Value| {
        Fake::start(move |request| {
            let vectors = texts(request).len();
            Reply::json(200, &json!({"embeddings": vec![json!({"values": values}); vectors]}))
        })
    };
    for (values, dimensions) in [(json!([1.0, 0.0]), "dimensions = 3\n"), (json!([1.0]), "")] {
        let fake = of(values);
        let project = project(&(asked_of(&fake) + dimensions), 80);
        project.eval_recorded("--retries 0").assert_exit(11);
        assert!(project.results().iter().all(|row| row["outcome"] == "error"));
    }
}

#[test]
fn a_service_that_fails_is_never_green() {
    let short = json!({"embeddings": [{"values": [1.0]}]});
    let hollow = json!({"embeddings": vec![json!({}); 81]});
    for (reply, code) in [
        (Reply::json(200, &hollow), 11),
        (Reply::error(400, "INVALID_ARGUMENT", "no such model"), 11),
        (Reply::json(200, &short), 11),
        (Reply::json(200, &json!({})), 11),
        (Reply::json(200, &json!({"error": {"code": 500}, "embeddings": vec![json!({"values": [1.0, 0.0]}); 81]})), 11),
        (Reply::error(403, "PERMISSION_DENIED", "the key is not allowed"), 11),
    ] {
        let fake = Fake::start(move |_| reply.clone());
        let project = project(&asked_of(&fake), 80);
        let ran = project.eval_recorded("--retries 0").assert_exit(code);
        assert!(project.results().iter().all(|row| row["outcome"] == "error"));
        assert!(!ran.transcript().contains(KEY));
    }
}

const OTHER_KEY: &str = "other-key-9876543210";

/// The texts of a request to a service that speaks as OpenAI does.
fn inputs(request: &Received) -> Vec<String> {
    let body = request.json();
    serde_json::from_value(body["input"].clone()).unwrap()
}

/// A service that speaks as OpenAI does, and replies in another order than it was asked.
fn embed_as_openai(request: &Received) -> Reply {
    assert_eq!(request.path, "/v1/embeddings");
    let mut data: Vec<Value> = inputs(request)
        .iter()
        .enumerate()
        .map(|(i, text)| json!({"index": i, "embedding": if text.contains("lions") { [0.1, 0.9] } else { [0.9, 0.1] }}))
        .collect();
    data.reverse();
    Reply::json(200, &json!({"data": data, "usage": {"prompt_tokens": 5}}))
}

fn openai_at(fake: &Fake) -> String {
    format!("[embeddings.default]\ntarget = \"openai\"\nbase_url = \"{}/v1\"\nmodel = \"m\"\n", fake.url)
}

#[test]
fn a_service_that_speaks_as_openai_does_embeds_and_gets_its_own_key_only() {
    for key in [None, Some(OTHER_KEY)] {
        let fake = Fake::start(embed_as_openai);
        let project = project(&openai_at(&fake), 80);
        let eval = "eval --prompt v2 --baseline v1 --repeat 1 --target recorded";
        let keys: Vec<(&str, &str)> =
            [Some(("GEMINI_API_KEY", KEY)), key.map(|key| ("OPENAI_API_KEY", key))].into_iter().flatten().collect();
        let ran = project.run_with(&format!("{eval} --answers answers.jsonl"), &keys).assert_exit(0);
        let failed: Vec<Value> = project.results().iter().filter(|row| row["outcome"] != "pass").cloned().collect();
        assert!(failed.len() == 2 && failed.iter().all(|row| row["case"] == "case-3" && row["outcome"] == "fail"));
        let requests = fake.requests();
        assert_eq!(requests.iter().map(|request| inputs(request).len()).sum::<usize>(), 81);
        for request in requests {
            let expected = key.map(|key| format!("Bearer {key}"));
            assert_eq!(request.header("authorization"), expected.as_deref());
            assert_eq!(request.header("x-goog-api-key"), None);
        }
        assert!(!ran.transcript().contains(OTHER_KEY));
    }
}

#[test]
fn a_service_elsewhere_needs_its_own_key_and_a_model() {
    for (settings, said) in [
        ("base_url = \"https://embeddings.example/v1\"\nmodel = \"m\"\n", "set OPENAI_API_KEY"),
        ("base_url = \"http://127.0.0.1:9/v1\"\n", "no model is named"),
        ("model = \"m\"\n", "has no base url"),
    ] {
        project(&format!("[embeddings.default]\ntarget = \"openai\"\n{settings}"), 3)
            .eval_recorded("")
            .assert_exit(2)
            .assert_stderr(said);
    }
}

#[test]
fn long_texts_go_into_more_requests() {
    let fake = Fake::start(embed_as_openai);
    let project = project(&openai_at(&fake), 80);
    record(&project, 80, |i| format!("{i} {}", "nine ".repeat(1_200)));
    project.eval_recorded("").assert_exit(0);
    let sizes: Vec<usize> =
        fake.requests().iter().map(|request| inputs(request).iter().map(String::len).sum()).collect();
    assert!(sizes.len() >= 8 && sizes.iter().all(|size| *size <= 64 << 10), "{sizes:?}");
}

#[test]
fn without_a_model_that_embeds_nothing_is_sent() {
    let none = project("", 3);
    none.eval_recorded("").assert_exit(2).assert_stderr("the target `recorded` embeds no texts");
    let unknown = project("[embeddings.other]\ntarget = \"gemini\"\n", 3);
    unknown.write(
        "golden/cases.jsonl",
        "{\"id\":\"a\",\"vars\":{\"question\":\"?\"},\"expect\":[{\"semantic\":{\"to\":\"x\",\"min\":0.5,\"by\":\"othr\"}}]}\n",
    );
    unknown.eval_recorded("").assert_exit(2).assert_stderr("did you mean `other`?");
}

#[test]
fn the_built_in_simulator_embeds() {
    let project = Project::with_cases(5);
    project.write(
        "golden/cases.jsonl",
        "{\"id\":\"a\",\"vars\":{\"question\":\"When does the shop open?\"},\"expect\":[{\"semantic\":{\"to\":\"The shop opens at nine in the morning.\",\"min\":0.7}}]}\n",
    );
    let eval = "eval --prompt v2 --baseline v1 --no-gate";
    project.run(&eval).assert_exit(0);
    let passes =
        |arm: &str| project.results().iter().filter(|row| row["arm"] == arm && row["outcome"] == "pass").count();
    assert_eq!((passes("baseline"), passes("candidate")), (0, 3));
    project.run(&eval).assert_exit(0);
    assert_eq!(project.verdict()["requests"], 0, "answers and vectors are stored");
}

/// A model of four words: `shop` and `store` point the same way.
#[cfg(feature = "local-embeddings")]
fn static_model(project: &Project) {
    let words = ["[PAD]", "[UNK]", "shop", "store", "opens", "lions"];
    let vocabulary: Value = words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    });
    project.write("models/tiny/tokenizer.json", tokenizer.to_string());
    project.write("models/tiny/config.json", r#"{"normalize": true}"#);
    let rows: [[f32; 2]; 6] = [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [-0.2, 1.0]];
    let data: Vec<u8> = rows.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
    let header = json!({"embeddings": {"dtype": "F32", "shape": [6, 2], "data_offsets": [0, data.len()]}}).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    project.write("models/tiny/model.safetensors", file);
}

#[cfg(feature = "local-embeddings")]
#[test]
fn a_static_model_of_the_project_asks_nobody() {
    let project = project("[embeddings.default]\npath = \"models/tiny\"\n", 80);
    static_model(&project);
    write_cases(&project, 80, "the store opens");
    let text = |i| match i {
        3 => "lions",
        4 => "zebras graze",
        _ => "shop opens",
    };
    record(&project, 80, |i| text(i).to_owned());
    let ran = project.eval_recorded("");
    let outcome = |case: &str| {
        let rows = project.results();
        rows.iter().find(|row| row["case"] == case).map(|row| row["outcome"].as_str().unwrap().to_owned()).unwrap()
    };
    assert_eq!((outcome("case-0"), outcome("case-3")), ("pass".to_owned(), "fail".to_owned()), "{}", ran.transcript());
    // Of a text without a known word nothing is known.
    assert_eq!(outcome("case-4"), "error");
    assert_eq!(project.verdict()["requests"], 0);
    let key = project.verdict()["key"].clone();

    project.write("models/tiny/config.json", r#"{"normalize": false}"#);
    project.eval_recorded("");
    assert_ne!(project.verdict()["key"], key, "another model is another test");

    for (file, broken) in [
        ("models/tiny/model.safetensors", &b"none"[..]),
        ("models/tiny/tokenizer.json", b"{}"),
        ("models/tiny/config.json", b"["),
    ] {
        static_model(&project);
        project.write(file, broken);
        project.eval_recorded("").assert_exit(2).assert_stderr("promptgate.toml:1");
    }
}

#[cfg(not(feature = "local-embeddings"))]
#[test]
fn a_build_without_static_models_says_how_to_get_them() {
    let project = project("[embeddings.default]\npath = \"models/tiny\"\n", 3);
    project.eval_recorded("").assert_exit(2).assert_stderr(
        "needs the Cargo feature `local-embeddings`: use a published binary, or build with `cargo build",
    );
}

#[test]
fn the_key_of_the_run_goes_to_the_address_of_the_run_only() {
    let serve = |request: &Received| match request.path.as_str() {
        "/v1/chat/completions" => {
            let choice = json!({"message": {"content": "it opens at nine"}, "finish_reason": "stop"});
            Reply::json(200, &json!({"choices": [choice]}))
        }
        _ => embed_as_openai(request),
    };
    let keys_of = |fake: &Fake| -> Vec<Option<String>> {
        let requests = fake.requests();
        let embeddings = requests.iter().filter(|request| request.path == "/v1/embeddings");
        embeddings.map(|request| request.header("authorization").map(str::to_owned)).collect()
    };
    for elsewhere in [false, true] {
        let (own, other) = (Fake::start(serve), Fake::start(serve));
        let address = if elsewhere { format!("base_url = \"{}/v1\"\n", other.url) } else { String::new() };
        let project = project(&format!("[embeddings.default]\nmodel = \"m\"\n{address}"), 3);
        let url = format!("{}/v1", own.url);
        let eval = "eval --prompt v2 --baseline v1 --no-gate --target openai --model m";
        project.run_with(&format!("{eval} --base-url {url}"), &[("OPENAI_API_KEY", OTHER_KEY)]).assert_exit(0);
        let (asked, idle) = if elsewhere { (&other, &own) } else { (&own, &other) };
        let expected = (!elsewhere).then(|| format!("Bearer {OTHER_KEY}"));
        assert_eq!((keys_of(asked), keys_of(idle)), (vec![expected], vec![]));
    }
}
