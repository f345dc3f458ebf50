//! Faults on the wire, each through the whole run stage: what is asked again, what is kept, what ends the run, and that
//! the key goes nowhere but into its header.
use crate::support::fake::{Fake, Received, Reply, gzip};
use crate::support::runs::{KEY, Ran, gemini, job, limits, run_cases, run_jobs, settings};
use promptgate::domain::{Failure, FailureKind, Source};
use promptgate::internals::provider::{Gemini, GeminiSettings, Renewal};
use promptgate::internals::runner::{Limits, StopReason};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Asks one case of a server that replies with `replies` in turn, and ever again with the last of them.
async fn against(replies: Vec<Reply>, limits: Limits) -> (Fake, Ran) {
    let fake = Fake::start(move |received: &Received| replies[received.number.min(replies.len() - 1)].clone());
    let ran = run_cases(gemini(&fake.url), limits, &["c0"]).await;
    (fake, ran)
}

fn impatient() -> Limits {
    Limits { timeout: Duration::from_millis(200), ..limits() }
}

fn quota(ids: &[&str], delay: &str) -> Reply {
    let violations: Vec<Value> = ids.iter().map(|id| json!({"quotaId": id})).collect();
    Reply::json(
        429,
        &json!({"error": {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
        ]}}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn transport_faults_are_asked_again_and_then_answered() {
    let overloaded = json!({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}});
    let faults = [
        ("http_408", Reply::error(408, "DEADLINE_EXCEEDED", "slow")),
        ("http_425", Reply::text(425, "text/plain", "")),
        ("http_429", Reply::error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.")),
        ("http_429", Reply::json(429, &json!({"error": {"message": "throttled", "code": "429", "param": null}}))),
        ("http_499", Reply::error(499, "CANCELLED", "The operation was cancelled.")),
        ("http_500", Reply::error(500, "INTERNAL", "An internal error has occurred.")),
        ("http_502", Reply::text(502, "text/html; charset=UTF-8", "<html><title>Error 502</title></html>")),
        ("http_503", Reply::json(503, &overloaded)),
        ("http_503", Reply::json(503, &json!([overloaded]))),
        ("http_503", Reply::text(503, "text/plain", "")),
        ("http_504", Reply::error(504, "DEADLINE_EXCEEDED", "The request timed out.")),
        ("http_503", Reply::json(200, &overloaded)),
        ("reset", Reply::reset()),
        ("reset", Reply::raw("")),
        ("reset", Reply::raw("this is not http\r\n\r\n")),
        ("bad_body", Reply::truncated()),
        ("bad_body", Reply::text(200, "application/json", "")),
        ("bad_body", Reply::text(200, "text/html", "<html>proxy</html>")),
        ("bad_body", Reply::text(200, "application/json", "{\"candidates\":[{\"content\":{\"parts\":[{\"te")),
        ("bad_body", Reply::text(200, "application/json", "{}").header("content-encoding", "gzip")),
    ];
    for (code, fault) in faults {
        let (fake, ran) = against(vec![fault.clone(), fault.clone(), Reply::answer("fine")], limits()).await;
        assert_eq!(ran.answer("c0").text, "fine", "{fault:?}");
        assert_eq!(ran.arrival("c0").attempts, 3);
        assert_eq!((ran.end.requests, ran.end.retries), (3, 2));
        assert_eq!(ran.end.ended, StopReason::Complete);
        assert_eq!(ran.retries(), [(code, Duration::ZERO), (code, Duration::ZERO)], "{fault:?}");
        assert_eq!(fake.requests().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_times_out_and_is_asked_again() {
    for fault in [Reply::stall(), Reply::stall_mid_body()] {
        // A busy machine may take longer than that for the good answer too; then it is asked once more.
        let limits = Limits { retries: 100, ..impatient() };
        let (fake, ran) = against(vec![fault, Reply::answer("fine")], limits).await;
        assert_eq!(ran.answer("c0").text, "fine");
        assert_eq!(ran.retries()[0], ("timeout", Duration::ZERO));
        fake.gone(1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_stays_is_an_error_after_all_attempts() {
    for (kind, code, fault, limits) in [
        (FailureKind::Transport, "http_503", Reply::error(503, "UNAVAILABLE", "overloaded"), limits()),
        (FailureKind::RateLimit, "http_429", Reply::error(429, "RESOURCE_EXHAUSTED", "slow down"), limits()),
        (FailureKind::Transport, "reset", Reply::reset(), limits()),
        (FailureKind::Transport, "bad_body", Reply::truncated(), limits()),
        (FailureKind::Transport, "timeout", Reply::stall(), impatient()),
    ] {
        let (fake, ran) = against(vec![fault], limits).await;
        let failure = ran.failure("c0");
        assert_eq!((failure.kind, failure.code.as_str()), (kind, code), "{failure:?}");
        assert!(failure.message.ends_with("(gave up after 4 attempts)"), "{}", failure.message);
        assert_eq!(fake.requests().len(), 4);
        assert_eq!(ran.arrival("c0").attempts, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_one_listens() {
    let url = Fake::start(|_| Reply::reset()).url.clone();
    let ran = run_cases(gemini(&url), limits(), &["c0"]).await;
    let failure = ran.failure("c0");
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Transport, "connect"));
    assert!(failure.message.contains("refused"), "{}", failure.message);
    assert!(!failure.message.contains("127.0.0.1"), "an error names no url: {}", failure.message);
    assert_eq!(ran.arrival("c0").attempts, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_refuses_for_good_is_asked_once() {
    for (kind, code, fault) in [
        (FailureKind::Request, "http_400", Reply::error(400, "INVALID_ARGUMENT", "Unknown name \"x\"")),
        (FailureKind::Request, "http_404", Reply::error(404, "NOT_FOUND", "models/x is not found")),
        (FailureKind::Request, "http_413", Reply::text(413, "text/html", "<html>too large</html>")),
        (FailureKind::Transport, "http_501", Reply::error(501, "UNIMPLEMENTED", "no")),
        (FailureKind::Transport, "http_503", Reply::text(503, "text/plain", "").header("retry-after", "86400")),
        (FailureKind::Transport, "too_large", Reply::huge(33 << 20)),
    ] {
        let (fake, ran) = against(vec![fault, Reply::answer("fine")], limits()).await;
        let failure = ran.failure("c0");
        assert_eq!((failure.kind, failure.code.as_str()), (kind, code), "{failure:?}");
        assert_eq!(fake.requests().len(), 1);
        // Other requests may fare better.
        assert_eq!(ran.end.ended, StopReason::Complete);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let elsewhere = Fake::answering("stolen");
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/v1beta/models/m:generateContent", elsewhere.url);
        let (_fake, ran) =
            against(vec![Reply::text(status, "text/html", "").header("location", &location)], limits()).await;
        assert_eq!(ran.failure("c0").code, format!("http_{status}"));
        assert_eq!(ran.end.requests, 1);
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_all_requests_share_ends_the_run() {
    let bad_key = json!({"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]}});
    for (kind, code, fault) in [
        (FailureKind::Auth, "api_key_invalid", Reply::json(400, &bad_key)),
        (
            FailureKind::Auth,
            "failed_precondition",
            Reply::error(400, "FAILED_PRECONDITION", "User location is not supported"),
        ),
        (FailureKind::Auth, "http_401", Reply::error(401, "UNAUTHENTICATED", "who are you")),
        (FailureKind::Auth, "http_403", Reply::error(403, "PERMISSION_DENIED", "reported as leaked")),
        (FailureKind::Quota, "quota_per_day", quota(&["RequestsPerMinute", "RequestsPerDay-FreeTier"], "1s")),
        (FailureKind::Quota, "quota_long_wait", quota(&["Requests"], "68940s")),
        (
            FailureKind::Quota,
            "quota_zero",
            Reply::error(429, "RESOURCE_EXHAUSTED", "limit: 0, model: m. Please retry in 9s."),
        ),
    ] {
        let fake = Fake::start(move |received| match received.number {
            0 => Reply::answer("fine"),
            1.. => fault.clone(),
        });
        let cases: Vec<String> = (0..50).map(|n| format!("c{n}")).collect();
        let ran = run_cases(gemini(&fake.url), limits(), &cases).await;
        let StopReason::Stopped(Failure { kind: told, code: with, .. }) = &ran.end.ended else {
            panic!("{:?}", ran.end);
        };
        assert_eq!((*told, with.as_str()), (kind, code));
        assert_eq!(ran.answer("c0").text, "fine");
        assert_eq!(ran.failure("c1").code, code);
        let says_when = ran.failure("c1").message.contains("midnight Pacific");
        assert_eq!(says_when, code == "quota_per_day", "{:?}", ran.failure("c1"));
        assert_eq!(ran.arrivals.len(), 2);
        assert_eq!(fake.requests().len(), 2, "nothing is sent after {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parsed_answer_is_never_asked_again() {
    for body in [
        json!({}),
        json!({"candidates": []}),
        json!({"usageMetadata": {"promptTokenCount": 8}}),
        json!({"promptFeedback": {"blockReason": "SAFETY"}}),
        json!({"candidates": [{"finishReason": "RECITATION"}]}),
        json!({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]}),
        json!({"candidates": [{"content": {"parts": [{"text": "no reason"}]}}]}),
    ] {
        let (fake, ran) = against(vec![Reply::json(200, &body), Reply::answer("better")], limits()).await;
        assert!(ran.answer("c0").unusable().is_some(), "{body}");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_own_delay_is_waited() {
    let in_message = Reply::error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.\nPlease retry in 2.5ms.");
    let in_details = quota(&["GenerateRequestsPerMinutePerProjectPerModel-FreeTier"], "0.002s");
    let in_header = Reply::error(429, "RESOURCE_EXHAUSTED", "later").header("Retry-After", "0");
    let (_fake, ran) = against(vec![in_message, in_details, in_header, Reply::answer("fine")], limits()).await;
    assert_eq!(ran.answer("c0").text, "fine");
    let waits: Vec<u128> = ran.retries().iter().map(|(_, wait)| wait.as_micros()).collect();
    assert_eq!(waits, [2500, 2000, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_is_what_the_service_expects() {
    let (fake, ran) = against(vec![Reply::answer("fine")], limits()).await;
    let requests = fake.requests();
    let [request] = requests.as_slice() else {
        panic!("one request: {requests:?}");
    };
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, "/v1beta/models/gemini-3.8-flash:generateContent");
    assert_eq!(request.header("x-goog-api-key"), Some(KEY));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-server-timeout"), Some("30"));
    assert_eq!(request.header("accept-encoding"), Some("gzip"));
    assert_eq!(request.header("user-agent"), Some(concat!("promptgate/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(request.header("x-promptgate-sample"), None);
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.body, job(0, "c0").body.to_vec());
    assert_eq!(request.asks(), "c0");
    let arrival = ran.arrival("c0");
    assert_eq!((arrival.source, arrival.attempts), (Source::Live, 1));
    let answer = ran.answer("c0");
    assert_eq!(answer.model_version.as_deref(), Some("fake-001"));
    assert_eq!((answer.usage.prompt, answer.usage.output, answer.usage.total), (10, 5, 15));
    assert_eq!(ran.end.cost_usd, Some(60.0 * 1e-6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_is_read_once_for_all_workers_and_the_run_goes_on() {
    const NEW: &str = "a-new-key-0123456789";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    for (content, goes_on) in [(NEW, true), (KEY, false)] {
        std::fs::write(&file, format!("{content}\n")).unwrap();
        // Quotes the key, as a service or a proxy may; 8 workers are refused at the same time.
        let fake = Fake::start(|received: &Received| match received.header("x-goog-api-key") {
            Some(NEW) => Reply::answer(&format!("fine with {NEW} after {KEY}")),
            _ => Reply::error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        });
        let heard = Arc::new(Mutex::new(Vec::new()));
        let target = Gemini::new(&GeminiSettings {
            renewal: Some(Renewal {
                file: file.clone(),
                hear: {
                    let heard = Arc::clone(&heard);
                    Arc::new(move |key| heard.lock().unwrap().push(key.reveal().to_owned()))
                },
            }),
            ..settings(&fake.url)
        })
        .unwrap();
        let cases: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
        let limits = Limits { concurrency: 8, retries: 0, ..limits() };
        let ran = run_cases(target, limits, &cases).await;
        if goes_on {
            assert_eq!(ran.end.ended, StopReason::Complete);
            assert_eq!(ran.arrivals.len(), 40);
            assert_eq!(ran.answer("c39").text, "fine with *** after ***");
            assert_eq!(*heard.lock().unwrap(), [NEW]);
            assert!(fake.requests().len() <= 48, "each worker is refused once at most");
        } else {
            let StopReason::Stopped(failure) = &ran.end.ended else {
                panic!("{:?}", ran.end);
            };
            assert!(failure.message.contains("the same key") && failure.message.contains("--resume"), "{failure:?}");
            assert!(heard.lock().unwrap().is_empty());
            assert!(fake.requests().len() <= 8, "it ends fast");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_goes_into_its_header_and_nowhere_else() {
    // A service, or a proxy before it, that quotes what it was sent.
    let quotes = |status| {
        Fake::start(move |received: &Received| {
            Reply::error(status, "INVALID_ARGUMENT", &format!("bad request: {:?}", received.headers))
        })
    };
    for status in [400, 403, 503] {
        let fake = quotes(status);
        let target = gemini(&fake.url);
        assert!(!format!("{target:?}").contains(KEY));
        // `run_jobs` looks for the key in arrivals, events and the end of the run.
        let ran = run_cases(target, limits(), &["c0"]).await;
        assert!(ran.failure("c0").message.contains("***"), "{:?}", ran.failure("c0"));
        for request in fake.requests() {
            assert!(!request.path.contains(KEY) && !String::from_utf8_lossy(&request.body).contains(KEY));
            let carriers: Vec<&str> = request
                .headers
                .iter()
                .filter(|(_, value)| value.contains(KEY))
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(carriers, ["x-goog-api-key"]);
        }
    }
    // Where a long message is cut, half a key must not be left over.
    for before in [960, 975, 990] {
        let message = format!("{}{KEY}", "x".repeat(before));
        let (_fake, ran) = against(vec![Reply::error(400, "INVALID_ARGUMENT", &message)], limits()).await;
        assert!(!ran.failure("c0").message.contains(&KEY[..8]), "{:?}", ran.failure("c0"));
    }
    let escaped = KEY.replace('-', "\\u002d");
    let escaped = format!("{{\"error\":{{\"message\":\"you sent {escaped}\"}}}}");
    let (_fake, ran) = against(vec![Reply::text(400, "application/json", escaped)], limits()).await;
    assert!(ran.failure("c0").message.ends_with("you sent ***"));
    let (_fake, ran) = against(vec![Reply::answer(&format!("your key is {KEY}"))], limits()).await;
    assert_eq!(ran.answer("c0").text, "your key is ***");
    let page = format!("<html>{KEY}</html>");
    let (_fake, ran) = against(vec![Reply::text(502, "text/html", page)], limits()).await;
    assert!(ran.failure("c0").message.contains("<html>***</html>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_gets_the_sample_header_and_attempts_share_it() {
    let fake = Fake::start(|received: &Received| match received.number {
        0 => Reply::reset(),
        1.. => Reply::answer("fine"),
    });
    let simulated = Gemini::new(&GeminiSettings { simulated: true, key: None, ..settings(&fake.url) });
    run_cases(simulated.unwrap(), limits(), &["c0", "c1"]).await;
    let samples: Vec<Option<String>> =
        fake.requests().iter().map(|request| request.header("x-promptgate-sample").map(str::to_owned)).collect();
    assert_eq!(samples.len(), 3);
    assert!(samples[0].is_some() && samples[0] == samples[1] && samples[1] != samples[2], "{samples:?}");
    assert!(fake.requests().iter().all(|request| request.header("x-goog-api-key").is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_permits_are_used_and_no_more() {
    let limits = Limits { concurrency: 5, ..limits() };
    let fake = Fake::start(|_| Reply::answer("fine").together(5));
    let cases: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    let ran = run_cases(gemini(&fake.url), limits, &cases).await;
    assert_eq!(ran.end.ended, StopReason::Complete);
    let mut answered: Vec<u64> = ran.arrivals.iter().map(|arrival| arrival.meta.seq).collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..40).collect::<Vec<u64>>());
    assert_eq!(fake.most_in_flight(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_keeps_what_arrived_and_drops_its_connections() {
    let fake = Fake::start(|received: &Received| match received.asks().as_str() {
        "c0" => Reply::answer("fine"),
        _ => Reply::stall(),
    });
    let limits = Limits { concurrency: 3, ..limits() };
    let jobs = (0..100).map(|seq| job(seq, &format!("c{seq}"))).collect();
    let cancel = CancellationToken::new();
    let run = tokio::spawn(run_jobs(gemini(&fake.url), limits, jobs, cancel.clone()));
    fake.arrived(4).await;
    cancel.cancel();
    let ran = run.await.unwrap();
    assert_eq!(ran.end.ended, StopReason::Interrupted);
    assert_eq!(ran.arrivals.len(), 1);
    assert_eq!(ran.answer("c0").text, "fine");
    fake.gone(3).await;
    assert_eq!(fake.requests().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_and_chunked_answers_are_read() {
    let body = br#"{"candidates":[{"content":{"parts":[{"text":"packed"}]},"finishReason":"STOP"}]}"#;
    let packed = Reply::text(200, "application/json", gzip(body)).header("content-encoding", "gzip");
    let (_fake, ran) = against(vec![packed], limits()).await;
    assert_eq!(ran.answer("c0").text, "packed");
    let (one, two) = body.split_at(30);
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let chunked = [head.to_vec(), chunk(one), chunk(two), chunk(b"")].concat();
    let (_fake, ran) = against(vec![Reply::raw(chunked)], limits()).await;
    assert_eq!(ran.answer("c0").text, "packed");
    let endless = [head.to_vec(), chunk(one)].concat();
    let (_fake, ran) = against(vec![Reply::raw(endless), Reply::answer("again")], limits()).await;
    assert_eq!((ran.answer("c0").text.as_str(), ran.retries()[0].0), ("again", "bad_body"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_name_cannot_lead_elsewhere() {
    let fake = Fake::answering("fine");
    let mut evil = job(0, "c0");
    let mut request = (*evil.request).clone();
    request.model = "../../secrets?key=".to_owned();
    evil.request = request.into();
    let ran = run_jobs(gemini(&fake.url), limits(), vec![evil], CancellationToken::new()).await;
    assert_eq!(ran.failure("c0").code, "bad_model");
    assert!(fake.requests().is_empty());
}

/// Variables of the environment are read once per process, so the test runs itself again with bad ones: proxies that
/// do not exist, and no certificates.
#[test]
fn a_local_server_needs_neither_proxy_nor_certificates() {
    const AGAIN: &str = "PROMPTGATE_TEST_BAD_ENVIRONMENT";
    if std::env::var_os(AGAIN).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_fake, ran) = against(vec![Reply::answer("fine")], limits()).await;
            assert_eq!(ran.answer("c0").text, "fine");
        });
        let problem = Gemini::new(&settings("https://generativelanguage.googleapis.com")).unwrap_err();
        assert!(problem.hint.as_ref().is_some_and(|hint| hint.contains("ca-certificates")), "{problem}");
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "faults::a_local_server_needs_neither_proxy_nor_certificates"]).env(AGAIN, "1");
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        again.env(name, "http://127.0.0.1:9");
    }
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        again.env(name, "/nonexistent");
    }
    let output = again.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
