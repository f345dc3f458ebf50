//! `--cache-prefix`: what all requests of an arm begin with is made once, named by every request, and deleted at the end.

use crate::support::fake::{Fake, Received, Reply};
use crate::support::project::{Project, Ran};
use crate::support::runs;
use gemini_sim::Simulator;
use promptgate::domain::{Job, Part};
use promptgate::run::gemini::{self, Caching, Prefix};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const KEY: &str = "test-key-0123456789";

/// Tokens of a kept prefix, as the service here counts them.
const TOKENS: u64 = 5000;

/// A service that keeps cached contents and refuses what the real one refuses.
struct Service {
    fake: Fake,
}

/// What is kept, and how many were made.
#[derive(Default)]
struct Kept {
    names: BTreeSet<String>,
    made: usize,
    /// Requests for answers so far.
    asked: usize,
}

impl Service {
    /// `script` may answer in its place.
    fn start(script: impl Fn(&Received, &mut Kept) -> Option<Reply> + Send + Sync + 'static) -> Service {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let fake = Fake::start(move |request| {
            let mut kept = kept.lock().unwrap();
            kept.asked += usize::from(is_question(request));
            script(request, &mut kept).unwrap_or_else(|| usual(request, &mut kept))
        });
        Service { fake }
    }

    fn of(&self, method: &str, question: bool) -> Vec<Received> {
        let all = self.fake.requests().into_iter();
        all.filter(|request| request.method == method && is_question(request) == question)
            .collect()
    }

    fn creations(&self) -> Vec<Value> {
        self.of("POST", false).iter().map(body).collect()
    }

    fn questions(&self) -> Vec<Value> {
        self.of("POST", true).iter().map(body).collect()
    }

    /// The names that were deleted, in order.
    fn deletions(&self) -> Vec<String> {
        let deleted = self.of("DELETE", false).into_iter();
        deleted.map(|request| request.path.replace("/v1beta/", "")).collect()
    }
}

fn is_question(request: &Received) -> bool {
    request.path.contains("enerateContent")
}

fn body(request: &Received) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn gone() -> Reply {
    Reply::error(
        403,
        "PERMISSION_DENIED",
        "CachedContent not found (or permission denied)",
    )
}

fn usual(request: &Received, kept: &mut Kept) -> Reply {
    let name = request.path.replace("/v1beta/", "");
    match request.method.as_str() {
        "DELETE" if kept.names.remove(&name) => Reply::json(200, &json!({})),
        "DELETE" => gone(),
        "POST" if !is_question(request) => {
            kept.made += 1;
            let name = format!("cachedContents/c{}", kept.made);
            kept.names.insert(name.clone());
            Reply::json(
                200,
                &json!({"name": name, "usageMetadata": {"totalTokenCount": TOKENS}}),
            )
        }
        "POST" => {
            let body = body(request);
            let Some(name) = body["cachedContent"].as_str() else {
                return Reply::answer("nine");
            };
            if ["systemInstruction", "tools", "toolConfig"]
                .iter()
                .any(|field| !body[field].is_null())
            {
                return Reply::error(
                    400,
                    "INVALID_ARGUMENT",
                    "CachedContent can not be used with system_instruction",
                );
            }
            if !kept.names.contains(name) {
                return gone();
            }
            answer()
        }
        method => panic!("{method} {}", request.path),
    }
}

/// An answer of 5,010 input tokens, 5,000 of them cached, and 5 output tokens.
fn answer() -> Reply {
    Reply::json(
        200,
        &json!({
            "candidates": [{"content": {"parts": [{"text": "nine"}], "role": "model"}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": TOKENS + 10, "cachedContentTokenCount": TOKENS,
                "candidatesTokenCount": 5, "totalTokenCount": TOKENS + 15},
            "modelVersion": "gemini-3.8-flash",
        }),
    )
}

/// A system instruction of about 5,000 tokens.
fn long(text: &str) -> String {
    format!("{text} {}", "The shop sells shoes and says so. ".repeat(600))
}

fn prompt(system: &str, config: &str, user: &str) -> String {
    format!("---\nmodel: gemini-3.8-flash\n{config}---\n{{{{role \"system\"}}}}{system}\n{{{{role \"user\"}}}}{user}\n")
}

/// Two prompts with long prefixes that differ.
fn project(cases: usize) -> Project {
    let project = Project::with_cases(cases);
    project.write("prompts/v1.prompt", prompt(&long("It opens late."), "", "{{question}}"));
    project.write(
        "prompts/v2.prompt",
        prompt(&long("The shop opens at nine in the morning."), "", "{{question}}"),
    );
    project
}

fn eval(project: &Project, url: &str, more: &[&str]) -> Ran {
    against("v1", project, url, more)
}

fn one_arm(project: &Project, url: &str, more: &[&str]) -> Ran {
    against("none", project, url, more)
}

fn against(baseline: &str, project: &Project, url: &str, more: &[&str]) -> Ran {
    let arguments = [
        "eval",
        "--prompt",
        "v2",
        "--baseline",
        baseline,
        "--no-gate",
        "--repeat",
        "2",
    ];
    let arguments = [&arguments[..], &["--base-url", url, "--cache-prefix"], more].concat();
    project.run_with(&arguments, &[("GEMINI_API_KEY", KEY)])
}

#[test]
fn a_prefix_is_made_once_named_by_every_request_and_deleted() {
    let service = Service::start(|_, _| None);
    let project = project(6);
    let ran = eval(&project, &service.fake.url, &[]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let creations = service.creations();
    assert_eq!(creations.len(), 2, "one for each arm");
    for creation in &creations {
        assert_eq!(creation["model"], "models/gemini-3.8-flash");
        assert_eq!(creation["ttl"], "600s");
        assert!(creation["displayName"].as_str().unwrap().starts_with("promptgate "));
        assert!(creation["systemInstruction"]["parts"][0]["text"].is_string());
        assert_eq!(creation["contents"], Value::Null);
    }
    assert_ne!(creations[0]["displayName"], creations[1]["displayName"]);
    let questions = service.questions();
    assert_eq!(questions.len(), 24);
    for question in &questions {
        assert!(
            question["cachedContent"]
                .as_str()
                .unwrap()
                .starts_with("cachedContents/c")
        );
        assert_eq!(question["systemInstruction"], Value::Null);
        assert!(question["contents"][0]["parts"][0]["text"].is_string());
    }
    let mut deletions = service.deletions();
    deletions.sort();
    assert_eq!(deletions, ["cachedContents/c1", "cachedContents/c2"]);
    assert!(
        service
            .fake
            .requests()
            .iter()
            .all(|request| request.header("x-goog-api-key") == Some(KEY))
    );
    assert!(ran.stderr.contains("is cached as cachedContents/c1"), "{}", ran.stderr);
    assert!(!ran.transcript().contains(KEY));
    let verdict = project.verdict();
    assert_eq!(verdict["requests"], 24);
    assert_eq!(verdict["prefix_caches"]["created"], 2);
    assert_eq!(verdict["prefix_caches"]["tokens"], 2 * TOKENS);
}

#[test]
fn arms_with_one_prefix_share_it_and_answers_are_reused_either_way() {
    let service = Service::start(|_, _| None);
    let project = project(3);
    let system = long("The shop opens at nine.");
    project.write("prompts/v1.prompt", prompt(&system, "", "{{question}}"));
    project.write("prompts/v2.prompt", prompt(&system, "", "Briefly: {{question}}"));
    assert_eq!(eval(&project, &service.fake.url, &[]).code, 0);
    assert_eq!(service.creations().len(), 1);
    assert_eq!(service.deletions(), ["cachedContents/c1"]);
    // The model saw the same, so the answers serve a run without the option, and nothing is made for nothing.
    let plain = [
        "eval",
        "--prompt",
        "v2",
        "--baseline",
        "v1",
        "--no-gate",
        "--repeat",
        "2",
    ];
    for more in [&[][..], &["--cache-prefix"]] {
        let arguments = [&plain[..], &["--base-url", &service.fake.url], more].concat();
        assert_eq!(project.run_with(&arguments, &[("GEMINI_API_KEY", KEY)]).code, 0);
    }
    assert_eq!(service.fake.requests().len(), 1 + 12 + 1);
    assert_eq!(project.verdict()["prefix_caches"], Value::Null);
    assert_eq!(project.verdict()["cost_usd"], 0.0);
}

#[test]
fn tools_and_their_configuration_belong_to_the_prefix() {
    let service = Service::start(|_, _| None);
    let project = project(2);
    let config = "config:\n  tools: [{googleSearch: {}}]\n  toolConfig: {functionCallingConfig: {mode: AUTO}}\n";
    project.write("prompts/v2.prompt", prompt(&long("At nine."), config, "{{question}}"));
    let ran = one_arm(&project, &service.fake.url, &[]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let creations = service.creations();
    assert_eq!(creations.len(), 1);
    assert_eq!(creations[0]["tools"], json!([{"googleSearch": {}}]));
    assert_eq!(creations[0]["toolConfig"]["functionCallingConfig"]["mode"], "AUTO");
    assert_eq!(project.verdict()["counts"]["pass"], 2);
}

#[test]
fn what_cannot_be_cached_is_sent_whole_and_told() {
    let project = project(3);
    let short = prompt("The shop opens at nine.", "", "{{question}}");
    let varying = prompt(&long("The shop opens at nine. {{question}}"), "", "{{question}}");
    let own =
        "---\nmodel: gemini-3.8-flash\nconfig: {cachedContent: cachedContents/mine}\n---\n{{question}}\n".to_owned();
    for (text, said) in [
        (short, "the prefix of `v2` has about "),
        (varying, "differ from case to case"),
        (own, "neither a system instruction nor tools"),
    ] {
        let service = Service::start(|request, _| is_question(request).then(|| Reply::answer("nine")));
        project.write("prompts/v2.prompt", text);
        let ran = one_arm(&project, &service.fake.url, &["--cache", "off"]);
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
        assert_eq!(service.creations().len(), 0);
        assert_eq!(service.questions().len(), 6);
    }
}

#[test]
fn a_service_that_will_not_keep_it_is_asked_once_and_answers_all_the_same() {
    for (status, name, message) in [
        (
            400,
            "INVALID_ARGUMENT",
            "Cached content is too small. total_token_count=4000, min_total_token_count=4096",
        ),
        (
            404,
            "NOT_FOUND",
            "models/m is not found, or is not supported for createCachedContent.",
        ),
        (
            429,
            "RESOURCE_EXHAUSTED",
            "TotalCachedContentStorageTokensPerModelFreeTier limit exceeded: limit=0",
        ),
    ] {
        let service =
            Service::start(move |request, _| (!is_question(request)).then(|| Reply::error(status, name, message)));
        let project = project(4);
        let ran = one_arm(&project, &service.fake.url, &[]);
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        assert_eq!(service.creations().len(), 1, "{message}");
        let questions = service.questions();
        assert_eq!(questions.len(), 8);
        assert!(
            questions
                .iter()
                .all(|question| question["systemInstruction"].is_object())
        );
        assert!(
            ran.stderr
                .contains("goes on without a cached prefix for gemini-3.8-flash"),
            "{}",
            ran.stderr
        );
        assert_eq!(project.verdict()["prefix_caches"], Value::Null);
    }
}

#[test]
fn a_prefix_that_expires_is_made_anew_once_for_all() {
    let service = Service::start(|request, kept| {
        if is_question(request) && kept.asked == 12 {
            kept.names.clear();
        }
        None
    });
    let project = project(20);
    let ran = one_arm(&project, &service.fake.url, &["--concurrency", "8"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(project.verdict()["counts"]["pass"], 20, "{}", ran.transcript());
    assert_eq!(service.creations().len(), 2);
    assert_eq!(service.deletions(), ["cachedContents/c2"]);
    assert_eq!(project.verdict()["prefix_caches"]["created"], 2);
    assert!(ran.stderr.contains("has expired and is made anew"), "{}", ran.stderr);
    // Every further question but those that were refused was answered.
    let refused = service.questions().len() - 40;
    assert!((1..=8).contains(&refused), "{refused}");
    assert_eq!(project.verdict()["retries"], refused);
}

#[test]
fn a_prefix_that_is_never_found_is_left_out() {
    let service =
        Service::start(|request, _| (is_question(request) && !body(request)["cachedContent"].is_null()).then(gone));
    let project = project(10);
    let ran = one_arm(&project, &service.fake.url, &[]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(project.verdict()["counts"]["pass"], 10);
    assert_eq!(service.creations().len(), 1);
    assert!(ran.stderr.contains("goes on without it"), "{}", ran.stderr);
}

#[test]
fn a_creation_that_fails_is_tried_again_by_the_next_request() {
    let service = Service::start(|request, _| {
        (request.number < 1).then(|| Reply::error(503, "UNAVAILABLE", "The model is overloaded."))
    });
    let project = project(4);
    let ran = one_arm(&project, &service.fake.url, &["--concurrency", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!((service.creations().len(), service.questions().len()), (2, 8));
    let verdict = project.verdict();
    assert_eq!((&verdict["requests"], &verdict["retries"]), (&8.into(), &0.into()));
}

#[test]
fn what_cannot_be_made_fails_no_answer_and_is_not_tried_for_ever() {
    let replies: [(usize, fn() -> Reply); 4] = [
        (3, || Reply::error(500, "INTERNAL", "An internal error has occurred.")),
        (1, || {
            Reply::error(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        }),
        (1, || Reply::error(404, "NOT_FOUND", "Requested entity was not found.")),
        (1, || Reply::text(200, "text/html", "<html>welcome</html>")),
    ];
    for (creations, reply) in replies {
        let service = Service::start(move |request, _| (!is_question(request)).then(reply));
        let project = project(6);
        let ran = one_arm(&project, &service.fake.url, &["--concurrency", "1"]);
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        assert_eq!((service.creations().len(), service.questions().len()), (creations, 12));
        assert!(ran.stderr.contains("goes on without a cached prefix"), "{}", ran.stderr);
        let verdict = project.verdict();
        assert_eq!((&verdict["requests"], &verdict["retries"]), (&12.into(), &0.into()));
    }
}

#[test]
fn a_refused_key_is_no_answer() {
    let message = "Your project has been denied access.";
    let service = Service::start(move |request, _| {
        (!is_question(request)).then(|| Reply::error(403, "PERMISSION_DENIED", message))
    });
    let project = project(6);
    let ran = one_arm(&project, &service.fake.url, &["--concurrency", "2"]);
    assert_eq!(ran.code, 11, "{}", ran.transcript());
    assert_eq!((service.creations().len(), service.questions().len()), (1, 0));
    assert!(ran.stderr.contains(message), "{}", ran.stderr);
}

#[test]
fn a_name_that_leads_elsewhere_is_not_used() {
    for name in [
        "cachedContents/../models/m",
        "files/x",
        "cachedContents/",
        "cachedContents/a?b",
        "",
    ] {
        let service =
            Service::start(move |request, _| (!is_question(request)).then(|| Reply::json(200, &json!({"name": name}))));
        let ran = one_arm(&project(2), &service.fake.url, &[]);
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        assert_eq!(service.creations().len(), 1, "{name}");
        assert!(ran.stderr.contains("no name that can be used"), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("expires by itself within 10 minutes"),
            "{}",
            ran.stderr
        );
    }
}

#[tokio::test]
async fn a_prefix_in_use_is_renewed() {
    for status in [200, 500] {
        let service =
            Service::start(move |request, _| (request.method == "PATCH").then(|| Reply::json(status, &json!({}))));
        let mut request = runs::request("When?");
        request.system = vec![Part::Text(long("At nine."))];
        let target = runs::gemini(&service.fake.url);
        target.cache_prefixes(Caching {
            prefixes: Prefix::of(&request).into_iter().collect(),
            timeout: Duration::from_secs(30),
            renew_after: Duration::ZERO,
            price: Arc::new(|_, _, _| None),
            tell: Arc::new(|_| {}),
        });
        let request = Arc::new(request);
        let jobs = (0..4).map(|seq| Job {
            request: Arc::clone(&request),
            body: gemini::body(&request).into(),
            ..runs::job(seq, "When?")
        });
        let ran = runs::run_jobs(target, runs::limits(), jobs.collect(), CancellationToken::new()).await;
        assert_eq!((ran.arrivals.len(), ran.end.retries), (4, 0), "{ran:?}");
        assert_eq!(ran.end.prefix_caches.cost_usd, None);
        // The one that makes it, four questions, and a renewal that nobody waits for.
        service.fake.arrived(6).await;
        let renewals = service.of("PATCH", false);
        assert!(renewals.iter().all(|renewal| body(renewal) == json!({"ttl": "600s"})));
        assert!(
            renewals
                .iter()
                .all(|renewal| renewal.path == "/v1beta/cachedContents/c1")
        );
        if status == 500 {
            assert_eq!(renewals.len(), 1, "not tried again at once");
        }
    }
}

#[test]
fn a_spent_budget_deletes_what_was_made() {
    let service = Service::start(|_, _| None);
    let project = project(20);
    let ran = one_arm(&project, &service.fake.url, &["--max-requests", "5"]);
    assert_eq!(ran.code, 11, "{}", ran.transcript());
    assert_eq!((service.creations().len(), service.questions().len()), (1, 5));
    assert_eq!(service.deletions(), ["cachedContents/c1"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_deletes_what_was_made() {
    let (telling, told) = std::sync::mpsc::channel();
    let telling = Mutex::new(telling);
    let service = Service::start(move |request, kept| {
        if kept.asked == 6 {
            let _ = telling.lock().unwrap().send(());
        }
        (is_question(request) && kept.asked > 5).then(Reply::stall)
    });
    let project = project(20);
    let mut command = project.command(&[
        "eval",
        "--prompt",
        "v2",
        "--baseline",
        "none",
        "--no-gate",
        "--cache-prefix",
        "--base-url",
        &service.fake.url,
    ]);
    command.env("GEMINI_API_KEY", KEY).stdout(std::process::Stdio::null());
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    told.recv().unwrap();
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(service.deletions(), ["cachedContents/c1"]);
}

#[test]
fn what_cannot_be_deleted_is_named_with_its_end() {
    let service = Service::start(|request, _| {
        (request.method == "DELETE").then(|| Reply::error(503, "UNAVAILABLE", "try later"))
    });
    let project = project(2);
    project.write(
        "promptgate.toml",
        "[prices.\"gemini-3.8-flash\"]\ninput = 0\noutput = 0\nstorage = 60\n",
    );
    let ran = one_arm(&project, &service.fake.url, &[]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    // It is paid for until then: 5,000 tokens for ten minutes at $60 a million tokens and hour.
    let cost = project.verdict()["prefix_caches"]["cost_usd"].as_f64().unwrap();
    assert!((cost - 0.05).abs() < 1e-9, "{cost}");
    assert_eq!(service.deletions().len(), 3);
    assert!(
        ran.stderr.contains("cachedContents/c1 could not be deleted (http 503"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("it expires by itself at 20"), "{}", ran.stderr);
}

#[test]
fn a_service_that_is_silent_about_the_prefix_holds_nobody_up() {
    let service = Service::start(|request, kept| {
        let first = !is_question(request) && kept.made == 0 && request.number == 0;
        (first || request.method == "DELETE").then(Reply::stall)
    });
    let project = project(2);
    project.write("promptgate.toml", "retry_base = \"1ms\"\n");
    let ran = one_arm(&project, &service.fake.url, &["--timeout", "2s", "--concurrency", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(project.verdict()["counts"]["pass"], 2, "{}", ran.transcript());
    for said in [
        "cachedContents/c1 could not be deleted (",
        "the reply to the creation of a cached prefix got lost",
    ] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn a_cached_prefix_costs_and_counts() {
    let service = Service::start(|_, _| None);
    let project = project(2);
    let prices = "[prices.\"gemini-3.8-flash\"]\ninput = 100\noutput = 0\ncached = 10\nstorage = 0\n";
    project.write("promptgate.toml", prices);
    let ran = one_arm(&project, &service.fake.url, &[]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let verdict = project.verdict();
    let near = |value: &Value, dollars: f64| (value.as_f64().unwrap() - dollars).abs() < 1e-9;
    // 5,000 tokens at $100 a million once; each answer 5,000 at $10 and 10 at $100.
    assert!(near(&verdict["prefix_caches"]["cost_usd"], 0.5), "{verdict}");
    assert!(near(&verdict["answers_cost_usd"], 4.0 * 0.051), "{verdict}");
    assert!(near(&verdict["cost_usd"], 0.5 + 4.0 * 0.051), "{verdict}");
    assert!(
        ran.stdout.contains("$0.5000 of it for 1 cached prefix of 5000 tokens"),
        "{}",
        ran.stdout
    );
    // The first answer comes before anything is known; the second would exceed the limit.
    for (limit, said) in [("--max-cost", "0.55"), ("--max-tokens", "10000")] {
        let ran = one_arm(
            &project,
            &service.fake.url,
            &["--cache", "off", "--concurrency", "1", limit, said],
        );
        assert_eq!(ran.code, 11, "{}", ran.transcript());
        assert_eq!(project.verdict()["requests"], 1, "{limit}");
    }
    // Storage takes its part while it lasts.
    project.write("promptgate.toml", prices.replace("storage = 0", "storage = 100000"));
    assert_eq!(one_arm(&project, &service.fake.url, &["--cache", "off"]).code, 0);
    assert!(project.verdict()["prefix_caches"]["cost_usd"].as_f64().unwrap() > 0.5);
}

#[test]
fn a_limit_in_dollars_needs_the_price_of_storage() {
    let service = Service::start(|_, _| None);
    let project = project(2);
    let argon = ["--model", "gemini-4-argon", "--max-cost", "5"];
    let ran = one_arm(&project, &service.fake.url, &argon);
    assert_eq!(ran.code, 2, "{}", ran.transcript());
    assert!(
        ran.stderr
            .contains("the price of storing cached content of `gemini-4-argon`"),
        "{}",
        ran.stderr
    );
    assert_eq!(service.fake.requests().len(), 0);
    let ran = one_arm(&project, &service.fake.url, &argon[..2]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(project.verdict()["cost_usd"], Value::Null);
}

#[test]
fn a_dry_run_foretells_it_and_sends_nothing() {
    let service = Service::start(|_, _| None);
    let project = project(2);
    project.write(
        "promptgate.toml",
        "[prices.\"gemini-3.8-flash\"]\ninput = 2\noutput = 0\nstorage = 4\n",
    );
    let ran = eval(&project, &service.fake.url, &["--dry-run"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let told: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|line| line.starts_with("cached prefix"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    cached prefix on gemini-3.8-flash: about 5116 tokens, about $0.0102 to make it and about $0.0205 for each hour; what it saves is not taken off above
    cached prefix on gemini-3.8-flash: about 5122 tokens, about $0.0102 to make it and about $0.0205 for each hour; what it saves is not taken off above
    ");
    assert_eq!(service.fake.requests().len(), 0);
}

#[test]
fn other_targets_refuse_it() {
    let project = project(1);
    for target in ["vertex", "openai", "recorded"] {
        let ran = project.run(&[
            "eval",
            "--prompt",
            "v2",
            "--baseline",
            "none",
            "--no-gate",
            "--target",
            target,
            "--cache-prefix",
        ]);
        assert_eq!(ran.code, 2, "{}", ran.transcript());
        assert!(
            ran.stderr
                .contains("only the targets `gemini` and `sim` cache prefixes"),
            "{}",
            ran.stderr
        );
    }
}

/// What a run says of its answers, without clocks and without what caching saves.
fn answers(project: &Project) -> Vec<Value> {
    let answers = project.results().into_iter();
    answers
        .map(|row| {
            json!([
                row["case"],
                row["arm"],
                row["repeat"],
                row["answer"]["text"],
                row["usage"]["prompt"]
            ])
        })
        .collect()
}

#[test]
fn the_simulator_answers_the_same_with_and_without() {
    for stream in [&[][..], &["--stream"]] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.jsonl");
        let settings = gemini_sim::Settings {
            log: Some(log.clone()),
            ..gemini_sim::Settings::default()
        };
        let simulator = Simulator::start(0, settings).unwrap();
        let url = simulator.url();
        let project = project(8);
        let arguments = ["--target", "sim", "--base-url", &url, "--cache", "off"];
        let arguments = [&arguments[..], stream].concat();
        let plain = [
            "eval",
            "--prompt",
            "v2",
            "--baseline",
            "v1",
            "--no-gate",
            "--repeat",
            "2",
        ];
        let ran = project.run(&[&plain[..], &arguments].concat());
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        let without = answers(&project);
        let ran = project.run(&[&plain[..], &arguments, &["--cache-prefix"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        assert_eq!(answers(&project), without);
        let rows = project.results();
        assert!(
            rows.iter().all(|row| row["usage"]["cached"].as_u64() > Some(4096)),
            "{}",
            rows[0]
        );
        let log = std::fs::read_to_string(log).unwrap();
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let count = |method: &str, path: &str| {
            let fits = |line: &&Value| line["method"] == method && line["path"].as_str().unwrap().contains(path);
            lines.iter().filter(fits).count()
        };
        assert_eq!(
            (count("POST", "/cachedContents"), count("DELETE", "/cachedContents/")),
            (2, 2)
        );
        assert_eq!(count("POST", "enerateContent"), 64);
        assert!(lines.iter().all(|line| line["status"] == 200));
    }
}
