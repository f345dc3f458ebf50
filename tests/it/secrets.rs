//! Keys are kept: a key that every reply repeats, in every way there is, stands in no file and no output of a run, and
//! neither does one that replaces it while the run goes on.

use crate::support::fake::{Fake, Received, Reply, gzip};
use crate::support::project::{Project, Run};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A key with characters that the encodings treat in different ways.
const KEY: &str = "AIzaSy-planted_K3y+W/0d~C?h=a>r&s<x\"z%Q7";
/// The one that replaces it.
const NEW_KEY: &str = "AIzaSyNewSecretThatReplacesIt-_0123456789";

/// So many characters of a key, in whatever form, are a leak: more than those that all keys begin with.
const TOO_MANY: usize = 10;

/// How a character of a text may be written instead of as it is.
type Writing = fn(u8) -> String;

const WRITINGS: [Writing; 11] = [
    |byte| format!("\\u{byte:04x}"),
    |byte| format!("\\u{byte:04X}"),
    |byte| format!("\\\\u{byte:04x}"),
    |byte| format!("\\x{byte:02x}"),
    |byte| format!("%{byte:02x}"),
    |byte| format!("%{byte:02X}"),
    |byte| format!("%25{byte:02X}"),
    |byte| format!("&#{byte};"),
    |byte| format!("&#x{byte:x};"),
    |byte| format!("{byte:02x}"),
    |byte| format!("{byte:02X}"),
];

/// The text as it is, and wholly and partly in every writing; without base64.
fn spellings(key: &str) -> Vec<String> {
    let mut spellings = vec![
        key.to_owned(),
        json!(key).to_string().trim_matches('"').to_owned(),
        key.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
    ];
    for (at, write) in WRITINGS.iter().enumerate() {
        spellings.push(key.bytes().map(write).collect());
        // Hex stands for a whole text only. A percent sign as it is would be read together with what follows.
        if at < 9 {
            let partly = |byte: u8, written: bool| {
                if written || byte == b'%' { write(byte) } else { char::from(byte).to_string() }
            };
            let bytes = || key.bytes().enumerate();
            spellings.push(bytes().map(|(at, byte)| partly(byte, at % 2 == 0)).collect());
            let is_odd = |byte: u8| !byte.is_ascii_alphanumeric() && !b"-_.~".contains(&byte);
            spellings.push(bytes().map(|(_, byte)| partly(byte, is_odd(byte))).collect());
        }
    }
    spellings
}

/// Base64 of the text between others, in all alphabets and at all offsets.
fn base64s(key: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for before in ["", "k", "k=", "key"] {
        for after in ["", ";", "; ", "; x"] {
            let text = format!("{before}{key}{after}");
            texts.extend([STANDARD, URL_SAFE, STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|engine| engine.encode(&text)));
        }
    }
    texts
}

/// The key in all its forms.
fn loud(key: &str) -> String {
    [spellings(key), base64s(key)].concat().join(" ; ")
}

/// Finds pieces of keys in bytes.
struct Traces(HashSet<[u8; TOO_MANY]>);

impl Traces {
    fn of(keys: &[&str]) -> Traces {
        let mut pieces = HashSet::new();
        let mut add = |form: &[u8]| {
            for window in form.windows(TOO_MANY) {
                pieces.insert(window.try_into().unwrap());
            }
        };
        for key in keys {
            spellings(key).iter().for_each(|form| add(form.as_bytes()));
            for offset in 0..3 {
                let text = [&vec![0; offset], key.as_bytes()].concat();
                // Only what no neighbour has a part in.
                let (start, end) = ((offset * 8).div_ceil(6), text.len() * 8 / 6);
                for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                    add(&engine.encode(&text).as_bytes()[start..end]);
                }
            }
        }
        Traces(pieces)
    }

    /// The surroundings of the first piece of a key.
    fn find(&self, bytes: &[u8]) -> Option<String> {
        let windows = bytes.windows(TOO_MANY);
        let at =
            windows.enumerate().find(|(_, window)| self.0.contains::<[u8; TOO_MANY]>((*window).try_into().unwrap()))?.0;
        let around = &bytes[at.saturating_sub(80)..bytes.len().min(at + 80)];
        Some(String::from_utf8_lossy(around).into_owned())
    }

    /// There is none in any output, nor in any file below the folder but those named.
    fn assert_none(&self, what: &str, project: &Project, ran: &Run, but: &[&str]) {
        for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
            if let Some(leak) = self.find(text.as_bytes()) {
                panic!("{what}: {name} shows the key: {leak}");
            }
        }
        for path in project.files() {
            if but.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            if let Some(leak) = self.find(&fs::read(&path).unwrap()) {
                panic!("{what}: {} holds the key: {leak}", path.display());
            }
        }
    }
}

/// What stands where the forms of the key are to come into a body, escaped as JSON may escape any text.
const ESCAPED: &str = "ESCAPED";

/// The bytes of a JSON body. In it, the key also stands in escapes that only a reader of JSON takes away.
fn body(value: &Value) -> String {
    let escaped: String = KEY.bytes().map(|byte| format!("\\u{byte:04X}")).collect();
    value.to_string().replace(ESCAPED, &escaped)
}

fn message(begin: &str) -> String {
    format!("{begin} {ESCAPED} {}", loud(KEY))
}

/// A reply with the key in its headers.
fn echoing(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
    Reply::text(status, content_type, body)
        .header("x-echo", KEY)
        .header("location", &format!("https://elsewhere.example/?key={KEY}"))
        .header("www-authenticate", &format!("Bearer realm=\"{KEY}\""))
}

fn detail(name: &str, fields: &Value) -> Value {
    let mut detail = json!({"@type": format!("type.googleapis.com/google.rpc.{name}")});
    for (key, value) in fields.as_object().unwrap() {
        detail[key] = value.clone();
    }
    detail
}

/// An error with these details, besides those that hold the key.
fn error_value(status: u16, name: &str, begin: &str, details: &[Value]) -> Value {
    let mut all = details.to_vec();
    all.extend([
        detail("BadRequest", &json!({"fieldViolations": [{"field": message("f"), "description": message("d")}]})),
        detail("ErrorInfo", &json!({"reason": format!("KEY_{KEY}"), "metadata": {KEY: message("m")}})),
        detail("DebugInfo", &json!({"stackEntries": [message("s")], "detail": message("d")})),
        detail("Help", &json!({"links": [{"description": KEY, "url": format!("https://x.example/?key={KEY}")}]})),
    ]);
    json!({"error": {"code": status, "message": message(begin), "status": name, "details": all}})
}

fn error(status: u16, name: &str, begin: &str, details: &[Value]) -> Reply {
    echoing(status, "application/json", body(&error_value(status, name, begin, details)))
}

fn wait(delay: &str) -> Value {
    detail("RetryInfo", &json!({"retryDelay": delay}))
}

fn quota(id: &str) -> Value {
    let violation = json!({"quotaId": id, "quotaMetric": KEY, "quotaDimensions": {"model": message("m")}});
    detail("QuotaFailure", &json!({"violations": [violation]}))
}

fn reason(reason: &str) -> Value {
    detail("ErrorInfo", &json!({"reason": reason, "domain": "googleapis.com", "metadata": {"consumer": KEY}}))
}

/// An answer with the key in every place, also in two parts that only together are it, and at its end.
fn answer_value(finish_reason: &str) -> Value {
    let (begin, end) = KEY.split_at(20);
    let args = json!({"a": message("x"), KEY: [1, {"deep": message("x"), ESCAPED: KEY}]});
    json!({
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": message("a thought"), "thought": true, "thoughtSignature": STANDARD.encode(KEY)},
                {"text": message("nine")},
                {"text": format!(" and {begin}")},
                {"text": format!("{end}. ")},
                {"functionCall": {"name": format!("f_{KEY}_{ESCAPED}"), "args": args, "id": KEY}},
                {"functionCall": {"name": loud(KEY)}},
                {"executableCode": {"language": "PYTHON", "code": message("code")}},
                {"text": format!("cut off in {}", &KEY[..30])},
            ]},
            "finishReason": finish_reason,
            "finishMessage": message("because"),
            "citationMetadata": {"citations": [{"uri": format!("https://x.example/{KEY}")}]},
        }],
        "promptFeedback": {"safetyRatings": [{"category": KEY}]},
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
        "modelVersion": format!("fake-{KEY}-{ESCAPED}"),
        "responseId": KEY,
    })
}

fn answer(finish_reason: &str) -> Reply {
    echoing(200, "application/json", body(&answer_value(finish_reason)))
}

fn blocked(reason: &str) -> Reply {
    let feedback = json!({"blockReason": reason, "blockReasonMessage": message("blocked")});
    let value = json!({"promptFeedback": feedback, "modelVersion": KEY});
    echoing(200, "application/json", body(&value))
}

/// Bytes that claim to be longer than they are.
fn cut_off(status: u16, text: &str) -> Vec<u8> {
    let length = text.len() + 100;
    format!("HTTP/1.1 {status} Cut\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nx-echo: {KEY}\r\n\r\n{text}")
        .into_bytes()
}

type Script = Vec<(Option<&'static str>, Reply)>;

/// Failures after which the run goes on.
fn errors_of_a_request() -> Script {
    let html = format!("<html><title>Error 502</title><p>{}</p></html>", loud(KEY));
    let cut = format!("{{\"error\":{{\"message\":\"not this key: {}", &KEY[..30]);
    let at = |status: u16, name: &str| error(status, name, "no:", &[]);
    vec![
        (Some("http_400"), at(400, "INVALID_ARGUMENT")),
        (Some("http_404"), at(404, "NOT_FOUND")),
        (Some("http_408"), at(408, "DEADLINE_EXCEEDED")),
        (Some("http_413"), echoing(413, "text/html", html.clone())),
        (Some("http_418"), echoing(418, "text/plain", loud(KEY))),
        (Some("http_429"), at(429, "RESOURCE_EXHAUSTED")),
        (Some("http_429"), error(429, "RESOURCE_EXHAUSTED", "later:", &[wait("0.001s")])),
        (
            Some("http_429"),
            error(
                429,
                "RESOURCE_EXHAUSTED",
                "later:",
                &[quota("GenerateRequestsPerMinutePerProjectPerModel"), wait("0.001s")],
            ),
        ),
        (Some("http_429"), error(429, "RESOURCE_EXHAUSTED", "your spending is too high:", &[])),
        (Some("http_499"), at(499, "CANCELLED")),
        (Some("http_500"), at(500, "INTERNAL")),
        (Some("http_501"), at(501, "UNIMPLEMENTED")),
        (None, Reply::answer("nine")),
        (Some("http_502"), echoing(502, "text/html; charset=UTF-8", html)),
        (Some("http_503"), at(503, "UNAVAILABLE")),
        (Some("http_503"), echoing(503, "text/plain", KEY)),
        (
            Some("http_503"),
            echoing(503, "application/json", format!("[{}]", body(&error_value(503, "UNAVAILABLE", "x", &[])))),
        ),
        (Some("http_503"), echoing(503, "application/json", format!("\u{feff}\u{fffd}{}", loud(KEY)))),
        (Some("http_503"), Reply::raw(cut_off(503, &cut))),
        (Some("http_504"), at(504, "DEADLINE_EXCEEDED")),
        (Some("http_302"), echoing(302, "text/html", loud(KEY))),
        (Some("http_307"), echoing(307, "application/json", body(&error_value(307, "MOVED", "x", &[])))),
        (Some("http_503"), echoing(200, "application/json", body(&error_value(503, "UNAVAILABLE", "x", &[])))),
        (Some("http_500"), echoing(200, "application/json", body(&json!({"error": message("x")})))),
    ]
}

/// Replies that can't be read, or are not what they seem.
fn bad_replies() -> Script {
    let answer_text = body(&answer_value("STOP"));
    let half = &answer_text[..answer_text.find("modelVersion").unwrap() + 40];
    let mut invalid = body(&json!({"modelVersion": message("x")})).into_bytes();
    invalid.extend_from_slice(b"\xff\xfe");
    let packed = gzip(answer_text.as_bytes());
    let packed_error = gzip(body(&error_value(503, "UNAVAILABLE", "x", &[])).as_bytes());
    let gzipped = |status, bytes: &[u8]| echoing(status, "application/json", bytes).header("content-encoding", "gzip");
    let json = |text: String| echoing(200, "application/json", text);
    vec![
        (Some("reset"), Reply::reset()),
        (Some("reset"), Reply::raw(format!("{KEY}\r\n\r\n"))),
        (Some("reset"), Reply::raw(format!("HTTP/1.1 {KEY} {KEY}\r\n{KEY}\r\n\r\n"))),
        (Some("reset"), Reply::raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {KEY}\r\n\r\n"))),
        (Some("bad_body"), Reply::raw(cut_off(200, half))),
        (Some("bad_body"), json(half.to_owned())),
        (Some("bad_body"), json(loud(KEY))),
        (Some("bad_body"), json(format!("<html>{}", loud(KEY)))),
        (Some("bad_body"), json(body(&json!({"candidates": {KEY: message("x")}})))),
        (Some("bad_body"), json(body(&json!({"candidates": message("x")})))),
        (Some("bad_body"), json(body(&json!({"candidates": [{"finishReason": {KEY: 1}}]})))),
        (Some("bad_body"), json(body(&json!({"usageMetadata": {"totalTokenCount": message("x")}})))),
        (Some("bad_body"), json(format!("{answer_text}{KEY}"))),
        (Some("bad_body"), echoing(200, "application/json", invalid)),
        (Some("bad_body"), gzipped(200, answer_text.as_bytes())),
        (None, Reply::answer("nine")),
        (None, gzipped(200, &packed)),
        (Some("http_503"), gzipped(503, &packed_error)),
        (Some("too_large"), json(loud(KEY).repeat((33 << 20) / loud(KEY).len()))),
    ]
}

fn answers() -> Script {
    let reasons = "STOP MAX_TOKENS SAFETY RECITATION LANGUAGE OTHER BLOCKLIST PROHIBITED_CONTENT SPII \
        MALFORMED_FUNCTION_CALL MALFORMED_RESPONSE UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS IMAGE_SAFETY \
        NO_IMAGE MODEL_ARMOR";
    let blocks = "SAFETY OTHER BLOCKLIST PROHIBITED_CONTENT IMAGE_SAFETY";
    let with_key = |words: &'static str| words.split_whitespace().chain([KEY, ESCAPED]);
    let replies = with_key(reasons).map(answer).chain(with_key(blocks).map(blocked));
    replies.map(|reply| (None, reply)).collect()
}

fn event(value: &Value) -> String {
    format!("data: {}\r\n\r\n", body(value))
}

fn piece(text: &str) -> Value {
    json!({"candidates": [{"content": {"parts": [{"text": text}]}}], "modelVersion": KEY})
}

/// A form of the key over several events, as a stream cuts it anywhere.
fn in_pieces(form: &str) -> String {
    let mut pieces: String =
        form.as_bytes().chunks(7).map(|text| event(&piece(std::str::from_utf8(text).unwrap()))).collect();
    pieces.push_str(&event(&json!({"candidates": [{"finishReason": "STOP"}]})));
    pieces
}

fn streams() -> Script {
    let unavailable = body(&error_value(503, "UNAVAILABLE", "x", &[]));
    let begun = event(&piece(&message("nine")));
    let whole = body(&answer_value("STOP"));
    let sse = |text: String| echoing(200, "text/event-stream", text);
    let mut script: Script = vec![
        (None, sse(event(&answer_value("STOP")))),
        (None, sse(in_pieces(KEY))),
        (None, sse(in_pieces(&loud(KEY)))),
        (None, sse(format!("{begun}{}", event(&answer_value(KEY))))),
        (None, sse(event(&json!({"promptFeedback": {"blockReason": message("x")}})))),
        (None, sse(format!(": {KEY}\nid: {KEY}\nevent: {KEY}\n{KEY}\n{}", event(&answer_value("STOP"))))),
        (None, sse(format!("[{},{whole}]", body(&piece(KEY))))),
        (None, sse(whole.clone())),
        (None, sse(format!("{begun}{}{KEY}\n", event(&answer_value("STOP"))))),
        (Some("http_503"), sse(format!("{begun}{unavailable}"))),
        (Some("http_503"), sse(format!("{begun}data: {unavailable}\n\n"))),
        (Some("http_503"), sse(format!("{begun}[{unavailable}]"))),
        (Some("http_503"), sse(unavailable.clone())),
        (Some("bad_body"), sse(begun.clone())),
        (Some("bad_body"), sse(format!("{begun}data: {{\"candidates\": \"{KEY}"))),
        (Some("bad_body"), sse(format!("{begun}data: {}\n\n", loud(KEY)))),
        (Some("bad_body"), sse(format!("{begun}{{\"{KEY}"))),
        (Some("bad_body"), sse(loud(KEY))),
        (Some("bad_body"), Reply::raw(cut_off(200, &begun))),
        (Some("http_503"), error(503, "UNAVAILABLE", "x", &[])),
        (Some("http_302"), echoing(302, "text/html", loud(KEY))),
    ];
    script.extend(base64s(KEY).iter().step_by(5).map(|form| (None, sse(in_pieces(form)))));
    script
}

/// Failures that end a run, each with its code.
fn ends_of_a_run() -> Script {
    let denied = |begin: &str, details: &[Value]| error(403, "PERMISSION_DENIED", begin, details);
    let spent = |begin: &str, details: &[Value]| error(429, "RESOURCE_EXHAUSTED", begin, details);
    vec![
        (Some("api_key_invalid"), error(400, "INVALID_ARGUMENT", "API key not valid.", &[reason("API_KEY_INVALID")])),
        (Some("api_key_invalid"), error(400, "INVALID_ARGUMENT", "API key expired.", &[])),
        (Some("failed_precondition"), error(400, "FAILED_PRECONDITION", "User location is not supported", &[])),
        (Some("http_401"), error(401, "UNAUTHENTICATED", "who is", &[reason("ACCESS_TOKEN_TYPE_UNSUPPORTED")])),
        (Some("http_403"), denied("Method doesn't allow unregistered callers:", &[])),
        (Some("http_403"), denied("Your API key was reported as leaked:", &[])),
        (
            Some("api_key_http_referrer_blocked"),
            denied("Requests from referer", &[reason("API_KEY_HTTP_REFERRER_BLOCKED")]),
        ),
        (Some("http_403"), denied("API has not been used in project", &[reason("SERVICE_DISABLED")])),
        (Some("http_403"), echoing(403, "text/html", format!("<html>{}", loud(KEY)))),
        (Some("quota_per_day"), spent("x", &[quota("GenerateRequestsPerDayPerProjectPerModel"), wait("1s")])),
        (Some("quota_zero"), spent("limit: 0, model: m,", &[wait("9s")])),
        (Some("quota_long_wait"), spent("x", &[quota("Requests"), wait("68940s")])),
    ]
}

/// A server that treats each case as the script says, and its project.
fn scripted(script: Script) -> (Fake, Project, Vec<Option<&'static str>>) {
    let (codes, replies): (Vec<_>, Vec<_>) = script.into_iter().unzip();
    let project = Project::with_cases(replies.len());
    let fake = Fake::start(move |request: &Received| {
        let asks = request.asks();
        let digits: String = asks.chars().filter(char::is_ascii_digit).collect();
        replies[digits.parse::<usize>().unwrap()].clone()
    });
    (fake, project, codes)
}

const PLAIN: &str = "eval --prompt v2 --baseline none --no-gate --repeat 1 --retries 0 --timeout 60s";

const VOICES: [&str; 3] = ["", "--quiet", "--color always"];

fn planted() -> Vec<(&'static str, &'static str)> {
    vec![("GEMINI_API_KEY", KEY), ("NO_PROXY", "127.0.0.1")]
}

/// Runs each script in each voice; then nothing holds the key, and each case came to its end.
fn keeps_its_key(what: &str, script: &dyn Fn() -> Script, more: &str) {
    let traces = Traces::of(&[KEY]);
    for voice in VOICES {
        let (fake, project, codes) = scripted(script());
        let ran = project.run_with(&format!("{PLAIN} --base-url {} {voice} {more}", fake.url), &planted());
        traces.assert_none(what, &project, &ran, &[]);
        for request in fake.requests() {
            assert_eq!(request.header("x-goog-api-key"), Some(KEY));
            assert!(!request.path.contains(KEY), "{}", request.path);
        }
        let got: Vec<Option<String>> =
            project.results().iter().map(|row| row["error"]["code"].as_str().map(str::to_owned)).collect();
        let codes: Vec<Option<String>> = codes.iter().map(|code| code.map(str::to_owned)).collect();
        assert_eq!(got, codes, "{what} {voice:?}: {}", ran.transcript());
        assert!(project.read("reports/results.jsonl").contains("***"), "{what}: nothing was masked");
        let exported = project.run_with("record export --to answers.jsonl", &planted());
        traces.assert_none(what, &project, &exported, &[]);
        assert!(exported.code == 2 || project.read("answers.jsonl").lines().count() > 0);
    }
}

#[test]
fn the_traces_find_a_key_in_every_form() {
    let traces = Traces::of(&[KEY]);
    for form in [spellings(KEY), base64s(KEY)].concat() {
        assert!(traces.find(format!("xx{form}xx").as_bytes()).is_some(), "{form}");
    }
    assert!(traces.find(&KEY.as_bytes()[..TOO_MANY]).is_some());
    assert_eq!(traces.find(b"an innocent text with *** in it, AIzaSy and &lt;b&gt; \\u003c"), None);
}

#[test]
fn no_reply_shows_the_key() {
    keeps_its_key("errors", &errors_of_a_request, "");
    keeps_its_key("bad replies", &bad_replies, "");
    keeps_its_key("answers", &answers, "");
    keeps_its_key("streams", &streams, "--stream");
}

#[test]
fn no_error_that_ends_a_run_shows_the_key() {
    let traces = Traces::of(&[KEY]);
    for (at, (code, reply)) in ends_of_a_run().into_iter().enumerate() {
        let code = code.unwrap();
        let voice = VOICES[at % VOICES.len()];
        let project = Project::with_cases(5);
        let fake = Fake::start(move |request: &Received| match request.number {
            0 => answer("STOP"),
            _ => reply.clone(),
        });
        let url = format!("--base-url {} --concurrency 1", fake.url);
        let ran = project.run_with(&format!("{PLAIN} {url} {voice}"), &planted());
        traces.assert_none(code, &project, &ran, &[]);
        assert_eq!(ran.code, 11, "{code}: {}", ran.transcript());
        assert_eq!(fake.count(), 2, "{code}");
        assert_eq!(project.results()[1]["error"]["code"], code);
    }
}

#[test]
fn no_repeated_attempt_shows_the_key() {
    let traces = Traces::of(&[KEY]);
    let fake = Fake::start(|request: &Received| match request.number {
        0 => error(429, "RESOURCE_EXHAUSTED", "later:", &[quota("RequestsPerMinute"), wait("0.001s")]),
        1 => error(503, "UNAVAILABLE", "later:", &[wait("0.001s")]).header("retry-after", "0"),
        _ => answer("STOP"),
    });
    let project = Project::with_cases(1);
    let arguments = format!("{PLAIN} --base-url {}", fake.url).replace("--retries 0", "--retries 3");
    let ran = project.run_with(&arguments, &planted());
    traces.assert_none("retries", &project, &ran, &[]);
    assert_eq!(fake.count(), 3, "{}", ran.transcript());
}

#[test]
fn no_silence_shows_the_key() {
    let traces = Traces::of(&[KEY]);
    for more in ["", "--stream"] {
        let begun = cut_off(200, &format!("data: {}", loud(KEY)));
        let fake = Fake::start(move |_| Reply::stall_after(begun.clone()));
        let project = Project::with_cases(1);
        let arguments = format!("{PLAIN} --base-url {} {more}", fake.url).replace("--timeout 60s", "--timeout 300ms");
        let ran = project.run_with(&arguments, &planted());
        traces.assert_none("silence", &project, &ran, &[]);
        assert_eq!(project.results()[0]["error"]["code"], "timeout", "{}", ran.transcript());
    }
}

/// What never gets as far as a reply, or never asks.
#[test]
fn no_command_shows_the_key() {
    let traces = Traces::of(&[KEY]);
    let project = Project::with_cases(2);
    let unreachable = Fake::start(|_| Reply::reset()).url.clone();
    let with_user = format!("http://user:{KEY}@127.0.0.1:9/");
    let with_query = format!("http://127.0.0.1:9/?key={KEY}");
    let with_key = format!("http://127.0.0.1:9/{}", KEY.replace(['?', '%', '"', '<', '>'], ""));
    let eval = |more: &str| format!("{PLAIN} {more}");
    for (line, code) in [
        // An unreachable host is an error outcome; without a gate that is no block.
        (eval("--base-url UNREACHABLE"), 11),
        (eval("--base-url USER"), 2),
        (eval("--base-url QUERY"), 2),
        (eval("--base-url KEY"), 2),
        (eval("--base-url PATH --dry-run"), 0),
        (eval("--dry-run"), 0),
        (eval("--model KEY"), 2),
        (eval("--target KEY"), 2),
        (eval("--concurrency KEY"), 2),
        (eval("--config KEY"), 2),
        (eval("--case KEY"), 2),
        (eval("KEY"), 2),
        (eval("--api-key KEY"), 2),
        ("KEY".to_owned(), 2),
        ("prompt render v2 --case case-00000".to_owned(), 0),
        ("prompt render v2 --case KEY".to_owned(), 2),
        ("prompt render KEY --case case-00000".to_owned(), 2),
        ("prompt list".to_owned(), 0),
        ("prompt diff v1 KEY".to_owned(), 2),
        ("record export --to x.jsonl --run KEY".to_owned(), 2),
        ("record import KEY".to_owned(), 2),
        ("sim --noise KEY".to_owned(), 2),
        ("sim --fault KEY".to_owned(), 2),
        ("sim --script KEY".to_owned(), 2),
    ] {
        let words = line.split(' ').map(|word| match word {
            "KEY" => KEY,
            "USER" => &with_user,
            "QUERY" => &with_query,
            "PATH" => &with_key,
            "UNREACHABLE" => &unreachable,
            word => word,
        });
        let ran = project.run_with(&words.collect::<Vec<_>>(), &planted());
        traces.assert_none(&line, &project, &ran, &[]);
        assert_eq!(ran.code, code, "{line}: {}", ran.transcript());
    }
    // A prompt with the key in it is a mistake of its own; what is printed of it is masked all the same.
    let rendered = format!("---\nmodel: {KEY}\n---\n{{{{question}}}}\n");
    project.write("prompts/v3.prompt", rendered);
    let ran = project.run_with("prompt render v3 --case case-00000", &planted());
    traces.assert_none("render", &project, &ran, &["v3.prompt"]);
    let ran = project.run_with("prompt list", &planted());
    traces.assert_none("list", &project, &ran, &["v3.prompt"]);
}

#[test]
fn the_log_of_the_simulator_does_not_hold_the_key() {
    let traces = Traces::of(&[KEY]);
    let project = Project::with_cases(2);
    let mut command = project.command("sim --port 0 --require-key --log log.jsonl");
    let mut sim = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(sim.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().rsplit(' ').next().unwrap().to_owned();
    let ran = project.run_with(&format!("{PLAIN} --base-url {url}"), &planted());
    sim.kill().unwrap();
    sim.wait().unwrap();
    assert_eq!(project.read("log.jsonl").lines().count(), 2, "{}", ran.transcript());
    traces.assert_none("sim", &project, &ran, &[]);
}

/// A file that can't be used is named, and never quoted.
#[test]
fn no_message_about_a_key_file_shows_the_key() {
    let traces = Traces::of(&[NEW_KEY]);
    let two = format!("{NEW_KEY}\n{NEW_KEY}\n");
    let spaced = format!("GEMINI_API_KEY = {NEW_KEY}");
    for content in [two.as_bytes(), spaced.as_bytes(), &[NEW_KEY.as_bytes(), b"\xff"].concat()] {
        let project = Project::with_cases(1);
        project.write("key", content);
        let path = project.file("key").to_string_lossy().into_owned();
        let ran = project.run_with(PLAIN, &[("GEMINI_API_KEY_FILE", &path)]);
        traces.assert_none("key file", &project, &ran, &["key"]);
        assert_eq!(ran.code, 2, "{}", ran.transcript());
    }
}

#[test]
fn a_key_file_keeps_its_key_in_a_run() {
    let fake = Fake::start(|_| answer("STOP"));
    let project = Project::with_cases(1);
    project.write("key", format!("{KEY}\n"));
    let path = project.file("key").to_string_lossy().into_owned();
    let arguments = format!("{PLAIN} --base-url {}", fake.url);
    let ran = project.run_with(&arguments, &[("GEMINI_API_KEY_FILE", &path)]);
    Traces::of(&[KEY]).assert_none("key file", &project, &ran, &["key"]);
    assert_eq!(fake.requests()[0].header("x-goog-api-key"), Some(KEY));
}

/// A key that stands in the golden files is a mistake of its own; the reports don't spread it, and neither does one that
/// comes up in the middle of the run.
#[test]
fn reports_hide_keys_of_the_golden_files() {
    let traces = Traces::of(&[KEY, NEW_KEY]);
    let project = Project::with_cases(1);
    let loud = [loud(KEY), loud(NEW_KEY)].concat();
    let case = json!({
        "id": format!("case {KEY} {NEW_KEY}"), "vars": {"question": "When, number 0?", "more": loud.clone()},
        "tags": [KEY, NEW_KEY], "notes": loud.clone(),
        "expect": [{"contains": KEY}, {"contains": format!("{NEW_KEY} is not there")}, {"equals": loud}],
    });
    project.write("golden/cases.jsonl", case.to_string());
    for voice in VOICES {
        project.write("key", KEY);
        let file = project.file("key");
        let fake = rotating(0, true, move || fs::write(&file, NEW_KEY).unwrap());
        let ran = eval_with_file(&project, &fake.url, &format!("--cache refresh {voice}"));
        assert_eq!(asked(&fake, NEW_KEY).len(), 1, "{}", ran.transcript());
        // The store has the id and the suite of the case as they are; it stays on this machine.
        let own = ["key", "cases.jsonl", "store.sqlite", "store.sqlite-wal"];
        traces.assert_none("golden", &project, &ran, &own);
    }
}

/// Runs against Vertex AI at this address with the project's `credentials.json`.
fn run_vertex(project: &Project, url: &str, more: &str) -> Run {
    let file = project.file("credentials.json").to_string_lossy().into_owned();
    let home = project.path().to_string_lossy().into_owned();
    let variables = [
        ("HOME", home.as_str()),
        ("NO_PROXY", "127.0.0.1"),
        ("GOOGLE_APPLICATION_CREDENTIALS", &file),
        ("GOOGLE_CLOUD_PROJECT", "my-project"),
        ("GOOGLE_VERTEX_BASE_URL", url),
    ];
    project.run_with(&format!("{PLAIN} --target vertex {more}"), &variables)
}

/// What a secret's reply looks like to the targets beside the Gemini API.
#[cfg(feature = "vertex-auth")]
#[test]
fn the_other_targets_keep_their_secrets() {
    let traces = Traces::of(&[KEY]);
    let completion = json!({
        "model": message("m"),
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": message("nine"),
            "tool_calls": [{"type": "function", "function": {"name": message("f"), "arguments": json!({KEY: message("x")}).to_string()}}]}}],
    });
    let refusal = json!({"error": {"message": message("no"), "type": KEY, "code": KEY, "param": KEY}});
    let replies = [
        echoing(200, "application/json", body(&completion)),
        echoing(400, "application/json", body(&refusal)),
        echoing(500, "text/html", loud(KEY)),
        echoing(429, "application/json", body(&refusal)).header("retry-after-ms", "1"),
        echoing(200, "application/json", loud(KEY)),
    ];
    let script = move |request: &Received| replies[request.number % replies.len()].clone();
    let openai = Fake::start(script);
    let project = Project::with_cases(5);
    let more = format!("--target openai --model m --concurrency 1 --base-url {}", openai.url);
    let ran = project.run_with(&format!("{PLAIN} {more}"), &[("OPENAI_API_KEY", KEY)]);
    traces.assert_none("openai", &project, &ran, &[]);
    assert_eq!(openai.requests().len(), 5, "{}", ran.transcript());
    let exported = project.run_with("record export --to x.jsonl", &[("OPENAI_API_KEY", KEY)]);
    traces.assert_none("openai", &project, &exported, &[]);

    let replies: Vec<Reply> = errors_of_a_request().into_iter().map(|(_, reply)| reply).take(4).collect();
    let script = move |request: &Received| match request.number {
        0 => answer("STOP"),
        n => replies[n % replies.len()].clone(),
    };
    // Express mode, with a key.
    let vertex = Fake::start(script.clone());
    let project = Project::with_cases(5);
    let more = format!("--target vertex --concurrency 1 --base-url {}", vertex.url);
    let ran = project.run_with(&format!("{PLAIN} {more}"), &[("GOOGLE_API_KEY", KEY)]);
    traces.assert_none("express", &project, &ran, &[]);
    assert_eq!(vertex.requests().len(), 5, "{}", ran.transcript());

    // A project, with an access token that the token endpoint and the service repeat.
    let vertex = Fake::start(script);
    let tokens = Fake::start(|_| {
        Reply::json(
            200,
            &json!({"access_token": KEY, "expires_in": 3600, "token_type": "Bearer", "scope": message("x")}),
        )
    });
    let project = Project::with_cases(5);
    let credentials = json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "a-client-secret", "refresh_token": "a-refresh-token",
        "token_uri": format!("{}/token", tokens.url), "quota_project_id": "payer",
    });
    project.write("credentials.json", credentials.to_string());
    let ran = run_vertex(&project, &vertex.url, "--concurrency 1");
    traces.assert_none("vertex", &project, &ran, &[]);
    assert_eq!(vertex.requests().len(), 5, "{}", ran.transcript());
    let bearer = format!("Bearer {KEY}");
    assert_eq!(vertex.requests()[0].header("authorization"), Some(bearer.as_str()));
}

/// The private key of a service account is never sent; a file with a mistake in it is not quoted.
#[test]
fn a_private_key_is_not_quoted() {
    let private = "MIIEvPlantedPrivateKeyThatMustNotLeak0123456789";
    let traces = Traces::of(&[private]);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n");
    let whole = json!({
        "type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": pem,
        "client_email": "gate@p.iam.gserviceaccount.com", "client_id": "1", "token_uri": "http://127.0.0.1:9/token",
    });
    let mut lacks = whole.clone();
    lacks.as_object_mut().unwrap().remove("client_email");
    let mut number = whole.clone();
    number["private_key"] = json!([private]);
    let service = Fake::answering("nine");
    for content in [whole.to_string(), lacks.to_string(), number.to_string(), format!("{whole}{private}"), pem] {
        let project = Project::with_cases(1);
        project.write("credentials.json", content);
        let ran = run_vertex(&project, &service.url, "");
        traces.assert_none("service account", &project, &ran, &["credentials.json"]);
        assert_ne!(ran.code, 0, "{}", ran.transcript());
    }
    assert!(service.requests().is_empty());
}

/// How often each question was answered with each key, and asked at all.
fn asked(fake: &Fake, key: &str) -> HashMap<String, usize> {
    let mut asked = HashMap::new();
    for request in fake.requests() {
        if request.header("x-goog-api-key") == Some(key) {
            *asked.entry(request.asks()).or_default() += 1;
        }
    }
    asked
}

const CONCURRENCY: usize = 8;

/// A server that takes `KEY` for the first `until` requests, and then only `NEW_KEY`; `on_refusal` happens before the first
/// refusal is sent. What it says holds the key that it was sent, and if
/// it `remembers` it the old one, too.
fn rotating(until: usize, remembers: bool, on_refusal: impl Fn() + Send + Sync + 'static) -> Fake {
    let refused = AtomicBool::new(false);
    Fake::start(move |request: &Received| {
        let key = request.header("x-goog-api-key").unwrap_or_default();
        let mut said = format!("nine; you are {}", loud(key));
        if key == NEW_KEY && remembers {
            said.push_str(&format!(" and were {}", loud(KEY)));
        }
        if key == NEW_KEY || (request.number < until && !refused.load(Ordering::SeqCst)) {
            return Reply::answer(&said);
        }
        if !refused.swap(true, Ordering::SeqCst) {
            on_refusal();
        }
        let details = [reason("API_KEY_INVALID")];
        let mut error = error_value(400, "INVALID_ARGUMENT", "API key not valid.", &details);
        error["error"]["message"] = format!("API key not valid. Please pass a valid API key: {said}").into();
        Reply::text(400, "application/json", body(&error))
    })
}

fn eval_with_file(project: &Project, url: &str, more: &str) -> Run {
    let path = project.file("key").to_string_lossy().into_owned();
    let arguments = format!(
        "eval --prompt v2 --baseline none --min-pass-rate 0.5 --repeat 1 --retries 0 \
         --base-url {url} --concurrency {CONCURRENCY} {more}"
    );
    project.run_with(&arguments, &[("GEMINI_API_KEY_FILE", &path)])
}

#[test]
fn a_key_that_is_rotated_midway_costs_nothing() {
    const CASES: usize = 60;
    let traces = Traces::of(&[KEY, NEW_KEY]);
    for voice in VOICES {
        let project = Project::with_cases(CASES);
        project.write("key", format!("{KEY}\n"));
        let file = project.file("key");
        let fake = rotating(CASES / 2, true, move || fs::write(&file, format!("{NEW_KEY}\n")).unwrap());
        let ran = eval_with_file(&project, &fake.url, voice).assert_exit(0);
        traces.assert_none("rotation", &project, &ran, &["key"]);
        let rows = project.results();
        assert_eq!(rows.len(), CASES);
        assert!(rows.iter().all(|row| row["error"].is_null()), "every case is answered");
        let ids: BTreeSet<&str> = rows.iter().map(|row| row["case"].as_str().or(row["id"].as_str()).unwrap()).collect();
        assert_eq!(ids.len(), CASES);
        assert_eq!(project.verdict()["counts"]["pass"], CASES);
        // Those in flight with the old key are refused once each, and nothing is asked for a second answer.
        let (old, new) = (asked(&fake, KEY), asked(&fake, NEW_KEY));
        let refused = fake.count() - CASES;
        assert!((1..=CONCURRENCY).contains(&refused), "{refused} were refused");
        assert!(old.values().chain(new.values()).all(|times| *times == 1));
        assert_eq!(old.len(), CASES / 2 + refused);
        assert_eq!(new.len(), CASES / 2);
        let path = project.file("key").to_string_lossy().into_owned();
        let export = "record export --to x.jsonl";
        let exported = project.run_with(export, &[("GEMINI_API_KEY_FILE", &path)]).assert_exit(0);
        traces.assert_none("rotation", &project, &exported, &["key"]);
    }
}

#[test]
fn a_refused_key_without_another_stops_fast_and_resumes() {
    const CASES: usize = 60;
    let traces = Traces::of(&[KEY, NEW_KEY]);
    let project = Project::with_cases(CASES);
    project.write("key", KEY);
    let fake = Arc::new(rotating(CASES / 2, false, || {}));
    let ran = eval_with_file(&project, &fake.url, "").assert_exit(11);
    traces.assert_none("refused", &project, &ran, &["key"]);
    for said in ["GEMINI_API_KEY_FILE was read again, but it holds the same key", "--resume"] {
        assert!(ran.stdout.contains(said) || ran.stderr.contains(said), "{said}: {}", ran.transcript());
    }
    let sent = fake.count();
    assert!((CASES / 2 + 1..=CASES / 2 + CONCURRENCY).contains(&sent), "{sent} requests were sent");
    let verdict = project.verdict();
    assert_eq!(verdict["decision"], "inconclusive");
    assert_eq!(verdict["counts"]["pass"], CASES / 2);

    // With the same key again it ends at once.
    eval_with_file(&project, &fake.url, "--resume").assert_exit(11);
    let again = fake.count() - sent;
    assert!((1..=CONCURRENCY).contains(&again), "{again} requests were sent");

    project.write("key", NEW_KEY);
    let ran = eval_with_file(&project, &fake.url, "--resume").assert_exit(0);
    traces.assert_none("resumed", &project, &ran, &["key"]);
    assert_eq!(project.verdict()["counts"]["pass"], CASES);
    let new = asked(&fake, NEW_KEY);
    assert_eq!(new.len(), CASES / 2, "what was answered is not asked again");
    assert!(new.values().all(|times| *times == 1));
}
