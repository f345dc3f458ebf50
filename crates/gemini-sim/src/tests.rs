//! The simulator as a client meets it, over HTTP.

use super::*;
use serde_json::{Value, json};
use tokio::runtime::Builder;

const PATH: &str = "/v1beta/models/gemini-3.8-flash";

fn body(question: &str) -> Value {
    json!({
        "systemInstruction": {"parts": [{"text":
            "Answer in one sentence. The zoo opens at nine. The lions sleep all day. The goats may be fed."}]},
        "contents": [{"role": "user", "parts": [{"text": question}]}],
    })
}

fn simulator(settings: Settings) -> Simulator {
    Simulator::start(0, settings).unwrap()
}

/// Runs a client against a simulator.
fn client<T>(work: impl AsyncFnOnce(reqwest::Client) -> T) -> T {
    // Built with the whole workspace, reqwest has TLS, and no provider of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work(client))
}

async fn post(client: &reqwest::Client, url: String, body: &Value, sample: u32) -> reqwest::Result<(u16, String)> {
    let request = client.post(url).header("x-promptgate-sample", sample.to_string()).body(body.to_string());
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[test]
fn every_endpoint_answers() {
    let simulator = simulator(Settings::default());
    let url = simulator.url();
    client(async |client| {
        let question = body("When does the zoo open?");
        let (code, text) = post(&client, format!("{url}{PATH}:generateContent"), &question, 1).await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(code, 200);
        assert_eq!(answer["candidates"][0]["content"]["parts"][0]["text"], "The zoo opens at nine.");
        assert_eq!(answer["modelVersion"], "gemini-3.8-flash");

        let prefixed = format!("{url}/gateway/v1/models/gemini-3.8-flash:countTokens");
        let (code, text) = post(&client, prefixed, &json!({"contents": question["contents"]}), 1).await.unwrap();
        let counted: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, counted["totalTokens"].as_u64()), (200, Some(6)));

        let (code, text) =
            post(&client, format!("{url}{PATH}:streamGenerateContent?alt=sse"), &question, 1).await.unwrap();
        assert_eq!(code, 200);
        assert!(text.starts_with("data: {") && text.ends_with("}\r\n\r\n"), "{text}");
        assert!(!text.contains("[DONE]"));

        let (_, text) = post(&client, format!("{url}{PATH}:streamGenerateContent"), &question, 1).await.unwrap();
        assert!(serde_json::from_str::<Value>(&text).unwrap().is_array());

        let models = client.get(format!("{url}/v1beta/models")).send().await.unwrap();
        let models: Value = serde_json::from_str(&models.text().await.unwrap()).unwrap();
        assert_eq!(models["models"][0]["name"], "models/gemini-3.8-flash");
        let model = client.get(format!("{url}{PATH}")).send().await.unwrap();
        assert_eq!(model.status(), 200);
    });
    assert_eq!(simulator.requests(), 6);
}

#[test]
fn refusals_are_statuses() {
    let simulator = simulator(Settings { require_key: true, ..Settings::default() });
    let url = simulator.url();
    client(async |client| {
        let question = body("When?");
        let (code, text) = post(&client, format!("{url}{PATH}:generateContent"), &question, 1).await.unwrap();
        assert_eq!(code, 403);
        assert!(text.contains("PERMISSION_DENIED"));
        for (path, body, code, name) in [
            ("/v1beta/models/gpt-x:generateContent", question.clone(), 404, "NOT_FOUND"),
            ("/v1beta/models/gemini-x:banana", question.clone(), 404, "NOT_FOUND"),
            ("/elsewhere", question.clone(), 404, "NOT_FOUND"),
            ("/v1/models/gemini-x:generateContent", json!({"banana": 1}), 400, "INVALID_ARGUMENT"),
            ("/v1/models/gemini-x:streamGenerateContent", json!({}), 400, "INVALID_ARGUMENT"),
        ] {
            let request = client.post(format!("{url}{path}")).header("x-goog-api-key", "any");
            let response = request.body(body.to_string()).send().await.unwrap();
            assert_eq!(response.status(), code, "{path}");
            let text = response.text().await.unwrap();
            assert_eq!(text.starts_with('['), path.contains("stream"), "{text}");
            assert!(text.contains(name), "{text}");
        }
        let large = "x".repeat((20 << 20) + 1);
        let request = client.post(format!("{url}{PATH}:generateContent?key=any")).body(large);
        // The service answers before it has read all of it, so the client may see the answer or a closed connection.
        if let Ok(response) = request.send().await {
            assert_eq!(response.status(), 400);
        }
    });
}

#[test]
fn noise_repeats_in_any_order() {
    let settings = Settings { noise: 0.5, seed: 3, ..Settings::default() };
    let questions: Vec<Value> = ["zoo", "lions", "goats"]
        .map(|about| body(&format!("Tell me of the zoo, the lions and the goats, mostly the {about}.")))
        .into();
    let ask = |order: Vec<u32>| {
        let simulator = simulator(settings.clone());
        let url = format!("{}{PATH}:generateContent", simulator.url());
        let mut said = client(async |client| {
            let calls = order.into_iter().map(|sample| {
                let (client, url, question) = (&client, url.clone(), &questions[sample as usize % 3]);
                async move { (sample, post(client, url, question, sample).await.unwrap()) }
            });
            futures_util::future::join_all(calls).await
        });
        said.sort();
        said
    };
    let forwards = ask((0..60).collect());
    assert_eq!(forwards, ask((0..60).rev().collect()));
    let distinct: std::collections::BTreeSet<_> = forwards
        .iter()
        .filter(|(sample, _)| sample % 3 == 0)
        .map(|(_, (_, text))| serde_json::from_str::<Value>(text).unwrap()["candidates"].to_string())
        .collect();
    assert!(distinct.len() > 1, "samples of one question differ");
}

#[test]
fn each_fault_looks_like_itself() {
    let seen = |fault: &str| {
        let simulator = simulator(Settings { faults: format!("{fault}:1").parse().unwrap(), ..Settings::default() });
        let url = format!("{}{PATH}:generateContent", simulator.url());
        client(async |client| post(&client, url, &body("When does the zoo open?"), 1).await)
    };
    let (code, text) = seen("429").unwrap();
    assert_eq!(code, 429);
    assert!(text.contains("Please retry in 0.2s.") && text.contains("RetryInfo"));
    let (code, text) = seen("503").unwrap();
    assert_eq!(code, 503);
    assert!(text.contains("The model is overloaded. Please try again later."));
    let (code, text) = seen("html502").unwrap();
    assert_eq!(code, 502);
    assert!(text.starts_with("<html>"));
    assert!(seen("reset").is_err_and(|error| error.is_request()));
    let cut = seen("truncate");
    assert!(cut.is_err_and(|error| error.is_body() || error.is_decode()), "the head arrives, the body does not");
}

fn scripted(script: &str) -> Simulator {
    simulator(Settings { script: Script::parse(script).unwrap(), ..Settings::default() })
}

#[test]
fn streams_break_off_as_they_do() {
    let seen = |fault: &str| {
        let simulator = scripted(&format!("{{\"outcomes\": [\"{fault}\"]}}"));
        let url = format!("{}{PATH}:streamGenerateContent?alt=sse", simulator.url());
        client(async |client| post(&client, url, &body("When does the zoo open?"), 1).await)
    };
    let (code, text) = seen("error-event").unwrap();
    assert_eq!(code, 200);
    assert!(text.starts_with("data: {\"candidates\"") && text.contains("\ndata: {\"error\""), "{text}");
    assert!(!text.contains("finishReason"), "{text}");
    let (_, text) = seen("error-tail").unwrap();
    let tail = text.split("\r\n\r\n").last().unwrap();
    assert_eq!(serde_json::from_str::<Value>(tail).unwrap()["error"]["code"], 503);
    let (code, text) = seen("no-finish").unwrap();
    assert!(code == 200 && text.contains("nine") && !text.contains("finishReason"), "{text}");
    let (code, text) = seen("slow:1ms").unwrap();
    assert!(code == 200 && text.contains("finishReason"), "{text}");
    assert!(seen("truncate").is_err());
}

#[test]
fn a_script_is_played_and_counted() {
    let simulator = scripted("{\"match\": \"zoo\", \"outcomes\": [\"429:1s\", \"reset\", 503, \"ok\"]}");
    let url = simulator.url();
    let counters = client(async |client| {
        let call = format!("{url}{PATH}:generateContent");
        let mut codes = Vec::new();
        for _ in 0..4 {
            let answer = post(&client, call.clone(), &body("When does the zoo open?"), 1).await;
            codes.push(answer.map_or(0, |(code, _)| code));
        }
        assert_eq!(codes, [429, 0, 503, 200]);
        let counters = client.get(format!("{url}/_promptgate/counters?each=true"));
        let text = counters.send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    });
    assert_eq!(counters["seen_times"], json!({"4": 1}));
    assert_eq!(counters["answered_times"], json!({"1": 1}));
    assert_eq!(counters["by_fault"], json!({"429:1s": 1, "503": 1, "reset": 1}));
    assert_eq!(counters["each"][0]["seen"], 4);
    assert_eq!(simulator.requests(), 4, "looking at the counters is no request");
}

#[test]
fn a_hanging_answer_begins() {
    let simulator = scripted("{\"outcomes\": [\"hang\"]}");
    let url = format!("{}{PATH}:streamGenerateContent?alt=sse", simulator.url());
    client(async |client| {
        let request = client.post(url).body(body("When does the zoo open?").to_string());
        let mut response = request.send().await.unwrap();
        assert!(response.chunk().await.unwrap().is_some_and(|chunk| chunk.starts_with(b"data: {")));
    });
}

/// Sends JSON and reads JSON.
async fn send(client: &reqwest::Client, verb: &str, url: &str, body: Value) -> (u16, Value) {
    let request = client.request(verb.parse().unwrap(), url);
    let request = if body.is_null() { request } else { request.body(body.to_string()) };
    let response = request.send().await.unwrap();
    let code = response.status().as_u16();
    let text = response.text().await.unwrap();
    (code, serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[cfg(feature = "emulator")]
fn item(question: &str, key: &str) -> Value {
    json!({"request": body(question), "metadata": {"key": key}})
}

#[cfg(feature = "emulator")]
#[test]
fn a_batch_answers_each_item_or_says_why_not() {
    let simulator = simulator(Settings {
        script: Script::parse("{\"match\": \"lions\", \"outcomes\": [\"429\"]}").unwrap(),
        batch_polls: 1,
        ..Settings::default()
    });
    let url = simulator.url();
    client(async |client| {
        let requests = json!([
            item("When does the zoo open?", "a"),
            item("When do the goats eat, lions?", "b"),
            {"request": {"contents": []}},
        ]);
        // The system text names lions too, so each item is met by the script; only one is asked without it.
        let mut requests = requests;
        requests[0]["request"]["systemInstruction"] = json!({"parts": [{"text": "The zoo opens at nine."}]});
        let batch = json!({"batch": {"inputConfig": {"requests": {"requests": requests}}}});
        let (code, job) = send(&client, "POST", &format!("{url}{PATH}:batchGenerateContent"), batch).await;
        assert_eq!((code, &job["metadata"]["state"]), (200, &json!("BATCH_STATE_PENDING")));
        let look = format!("{url}/v1beta/{}", job["name"].as_str().unwrap());
        let (_, job) = send(&client, "GET", &look, Value::Null).await;
        assert_eq!(job["metadata"]["state"], "BATCH_STATE_RUNNING");
        let (_, job) = send(&client, "GET", &look, Value::Null).await;
        assert_eq!(job["metadata"]["state"], "BATCH_STATE_SUCCEEDED");
        assert_eq!(
            job["metadata"]["batchStats"],
            json!({"requestCount": "3", "successfulRequestCount": "1", "failedRequestCount": "2"})
        );
        let answers = &job["response"]["inlinedResponses"]["inlinedResponses"];
        assert_eq!(answers, &job["metadata"]["output"]["inlinedResponses"]["inlinedResponses"]);
        assert_eq!(answers[0]["metadata"], json!({"key": "a"}));
        assert_eq!(answers[0]["response"]["candidates"][0]["content"]["parts"][0]["text"], "The zoo opens at nine.");
        assert_eq!(answers[1]["error"]["code"], 8);
        assert_eq!(answers[2]["error"]["code"], 3);
    });
}

#[cfg(feature = "emulator")]
#[test]
fn a_file_is_uploaded_in_pieces_and_answered_as_a_batch() {
    let simulator = simulator(Settings::default());
    let url = simulator.url();
    client(async |client| {
        let lines = format!("{}\nnot json\n", json!({"key": "a", "request": body("When does the zoo open?")}));
        let (head, tail) = lines.split_at(100);
        let start = client
            .post(format!("{url}/upload/v1beta/files"))
            .header("x-goog-upload-protocol", "resumable")
            .header("x-goog-upload-command", "start")
            .header("x-goog-upload-header-content-length", lines.len())
            .body("{}")
            .send()
            .await
            .unwrap();
        let to = start.headers()["x-goog-upload-url"].to_str().unwrap().to_owned();
        let piece = async |command: &str, offset: usize, bytes: &str| {
            let request =
                client.post(&to).header("x-goog-upload-command", command).header("x-goog-upload-offset", offset);
            let response = request.body(bytes.to_owned()).send().await.unwrap();
            let status = response.headers().get("x-goog-upload-status").cloned();
            (response.status().as_u16(), status, response.text().await.unwrap())
        };
        assert_eq!(piece("upload", 0, head).await.1.unwrap(), "active");
        assert_eq!(piece("upload", 0, head).await.0, 400, "the offset is wrong");
        assert_eq!(piece("upload", 100, &"x".repeat(lines.len())).await.0, 400, "too long");
        let (_, status, file) = piece("upload, finalize", 100, tail).await;
        assert_eq!(status.unwrap(), "final");
        let file: Value = serde_json::from_str(&file).unwrap();
        assert_eq!(file["file"]["sizeBytes"], lines.len().to_string());
        assert_eq!(piece("upload", 0, head).await.0, 404, "it is over");

        let batch = json!({"batch": {"inputConfig": {"fileName": file["file"]["name"]}}});
        let (_, job) = send(&client, "POST", &format!("{url}{PATH}:batchGenerateContent"), batch).await;
        let look = format!("{url}/v1beta/{}", job["name"].as_str().unwrap());
        let (_, job) = send(&client, "GET", &look, Value::Null).await;
        let answers = job["response"]["responsesFile"].as_str().unwrap();
        let read = client.get(format!("{url}/download/v1beta/{answers}:download?alt=media"));
        let text = read.send().await.unwrap().text().await.unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((&rows[0]["key"], rows[0].get("error")), (&json!("a"), None));
        assert_eq!(rows[1]["error"]["code"], 3);

        let lost = json!({"batch": {"inputConfig": {"fileName": "files/lost"}}});
        let (code, _) = send(&client, "POST", &format!("{url}{PATH}:batchGenerateContent"), lost).await;
        assert_eq!(code, 403);
    });
}

#[test]
fn embeddings_are_asked_one_by_one_or_together() {
    let simulator = simulator(Settings::default());
    let url = format!("{}/v1beta/models/gemini-embedding-001", simulator.url());
    client(async |client| {
        let one = json!({"content": {"parts": [{"text": "lions"}]}, "outputDimensionality": 8});
        let (_, single) = send(&client, "POST", &format!("{url}:embedContent"), one.clone()).await;
        assert_eq!(single["embedding"]["values"].as_array().unwrap().len(), 8);
        let mut named = one.clone();
        named["model"] = json!("models/gemini-embedding-001");
        let many = |request: Value, count| json!({"requests": vec![request; count]});
        let batch = format!("{url}:batchEmbedContents");
        let (_, together) = send(&client, "POST", &batch, many(named.clone(), 2)).await;
        assert_eq!(together["embeddings"], json!([single["embedding"], single["embedding"]]));
        let mut other = named.clone();
        other["model"] = json!("models/gemini-embedding-2");
        let mut long = named.clone();
        long["outputDimensionality"] = json!(4000);
        for bad in [many(one, 1), many(named, 101), many(other, 1), many(long, 1), json!({"requests": []})] {
            assert_eq!(send(&client, "POST", &batch, bad).await.0, 400);
        }
        let generate = url.replace("gemini-embedding-001", "gemini-3.8-flash");
        let (code, _) = send(&client, "POST", &format!("{generate}:embedContent"), json!({})).await;
        assert_eq!(code, 404, "the model does not embed");
    });
}

#[test]
fn a_stalled_request_ends_with_its_client() {
    let simulator = simulator(Settings { faults: "stall:1".parse().unwrap(), ..Settings::default() });
    let url = format!("{}{PATH}:generateContent", simulator.url());
    client(async |client| {
        let question = body("When?");
        let received = async {
            while simulator.requests() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = post(&client, url, &question, 1) => panic!("no answer may come: {answer:?}"),
            () = received => {}
        }
    });
    // Does not wait for the stalled request.
    drop(simulator);
}

#[test]
fn starting_can_fail() {
    let first = simulator(Settings::default());
    let port = first.url().rsplit(':').next().unwrap().parse().unwrap();
    assert!(Simulator::start(port, Settings::default()).is_err(), "the port is taken");
    let noisy = Settings { noise: 1.5, ..Settings::default() };
    let error = Simulator::start(0, noisy).unwrap_err();
    assert_eq!(error.to_string(), "the noise 1.5 is not a number from 0 to 1");
}

#[test]
fn it_starts_inside_a_runtime() {
    let inside = client(async |client| {
        let simulator = simulator(Settings::default());
        let url = format!("{}{PATH}", simulator.url());
        client.get(url).send().await.unwrap().status().as_u16()
    });
    assert_eq!(inside, 200);
}

#[cfg(feature = "emulator")]
#[test]
fn a_rehearsal_says_what_the_server_says_to_every_sample() {
    let noise = 0.5;
    let simulator = simulator(Settings { noise, seed: 7, ..Settings::default() });
    let url = simulator.url();
    let question = body("When does the zoo open?");
    let path = format!("{PATH}:generateContent");
    let rehearsal = Rehearsal::new(&path, "gemini-3.8-flash", question.to_string().as_bytes()).unwrap();
    let samples = rehearsal.samples(7);
    let mut seen = [0; 3];
    client(async |client| {
        for sample in 0..40u32 {
            let (_, text) = post(&client, format!("{url}{path}"), &question, sample).await.unwrap();
            let mut said: Value = serde_json::from_str(&text).unwrap();
            let which = samples.answer(noise, sample.to_string().as_bytes());
            let mut rehearsed = rehearsal.answers()[which].clone();
            for body in [&mut said, &mut rehearsed] {
                body.as_object_mut().unwrap().remove("responseId").unwrap();
            }
            assert_eq!(said, rehearsed, "{sample}");
            seen[which] += 1;
        }
    });
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    assert!(Rehearsal::new(&path, "gemini-3.8-flash", b"{\"no\": 1}").is_err());
}
