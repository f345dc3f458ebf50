//! The targets beside the Gemini API: Vertex AI and OpenAI-compatible services, through the real binary, against servers
//! of this machine.

use crate::support::fake::{Fake, Received, Reply};
use crate::support::project::{Project, Run};
#[cfg(feature = "vertex-auth")]
use base64::Engine as _;
#[cfg(feature = "vertex-auth")]
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::fs;

/// An RSA key that was made for these tests and belongs to nobody.
#[cfg(feature = "vertex-auth")]
const KEY_OF_NOBODY: &str = include_str!("support/throwaway-test-key.pem");

const TOKEN: &str = "ya29.test-token-that-must-not-leak";
const REFRESH_TOKEN: &str = "1//test-refresh-token-that-must-not-leak";
const CLIENT_SECRET: &str = "test-client-secret-that-must-not-leak";
const KEY: &str = "test-key-that-must-not-leak";

/// Runs the two cases once in one arm.
fn eval(project: &Project, more: &str, variables: &[(&str, &str)]) -> Run {
    let arguments = format!("eval --prompt v2 --baseline none --no-gate --repeat 1 {more}");
    let home = project.path().to_string_lossy().into_owned();
    let alone = [("HOME", home.as_str()), ("NO_PROXY", "127.0.0.1")];
    let variables: Vec<_> = alone.iter().chain(variables).copied().collect();
    let ran = project.run_with(&arguments, &variables);
    nothing_leaked(project, &ran);
    ran
}

/// No secret stands in any output or file but the one with the credentials.
fn nothing_leaked(project: &Project, ran: &Run) {
    let mut texts = vec![ran.transcript().into_bytes()];
    let files = project.files().into_iter().filter(|path| !path.ends_with("credentials.json"));
    texts.extend(files.map(|path| fs::read(path).unwrap()));
    for text in texts {
        let text = String::from_utf8_lossy(&text);
        for secret in [TOKEN, REFRESH_TOKEN, CLIENT_SECRET, KEY, "BEGIN PRIVATE KEY"] {
            assert!(!text.contains(secret), "{secret} leaked in {text}");
        }
    }
}

/// A user's credentials whose tokens come from a server of this machine.
fn authorized_user(project: &Project, token_url: &str) -> String {
    let credentials = json!({
        "type": "authorized_user", "client_id": "id", "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN, "token_uri": format!("{token_url}/token"), "quota_project_id": "payer",
    });
    project.write("credentials.json", credentials.to_string());
    project.file("credentials.json").to_string_lossy().into_owned()
}

fn token_endpoint() -> Fake {
    Fake::start(|_| Reply::json(200, &json!({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})))
}

fn vertex<'a>(credentials: &'a str, url: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("GOOGLE_APPLICATION_CREDENTIALS", credentials),
        ("GOOGLE_CLOUD_PROJECT", "my-project"),
        ("GOOGLE_VERTEX_BASE_URL", url),
    ]
}

#[cfg(feature = "vertex-auth")]
#[test]
fn vertex_asks_with_one_token_for_all_requests() {
    let (tokens, service) = (token_endpoint(), Fake::answering("at nine"));
    let project = Project::with_cases(4);
    let credentials = authorized_user(&project, &tokens.url);
    let more = "--target vertex --location europe-west4";
    eval(&project, more, &vertex(&credentials, &service.url)).assert_exit(0);
    assert_eq!(tokens.requests().len(), 1);
    let requests = service.requests();
    assert_eq!(requests.len(), 4);
    for request in &requests {
        assert_eq!(request.method, "POST");
        assert_eq!(
            request.path,
            "/v1/projects/my-project/locations/europe-west4/publishers/google/models/gemini-3.8-flash:generateContent"
        );
        assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
        assert_eq!(request.header("x-goog-user-project"), Some("payer"));
        assert_eq!(request.header("x-goog-api-key"), None);
        assert!(request.asks().starts_with("When does the shop open"));
    }
    let verdict = project.verdict();
    assert_eq!(verdict["target"], "vertex");
    assert_eq!(verdict["counts"]["pass"], 4);
    assert_eq!(verdict["simulated"], false);
    // Another project pays for the same answers; another place may give others.
    let again = format!("{more} --project other-project");
    eval(&project, &again, &vertex(&credentials, &service.url)).assert_exit(0);
    assert_eq!(service.count(), 4);
    let elsewhere = "--target vertex --location us";
    eval(&project, elsewhere, &vertex(&credentials, &service.url)).assert_exit(0);
    assert_eq!(service.count(), 8);
}

#[cfg(feature = "vertex-auth")]
#[test]
fn a_service_account_signs_its_own_tokens() {
    let service = Fake::answering("at nine");
    let project = Project::with_cases(1);
    let account = json!({
        "type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": KEY_OF_NOBODY,
        "client_email": "gate@p.iam.gserviceaccount.com", "client_id": "1", "token_uri": "http://127.0.0.1:9/token",
    });
    project.write("credentials.json", account.to_string());
    let credentials = project.file("credentials.json").to_string_lossy().into_owned();
    eval(&project, "--target vertex", &vertex(&credentials, &service.url)).assert_exit(0);
    let requests = service.requests();
    let token = requests[0].header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
    let pieces: Vec<&str> = token.split('.').collect();
    assert_eq!(pieces.len(), 3);
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(pieces[1]).unwrap()).unwrap();
    assert_eq!(claims["iss"], "gate@p.iam.gserviceaccount.com");
    assert!(claims["scope"].as_str().unwrap().contains("cloud-platform"));
    assert!(requests[0].path.contains("/locations/global/"));
}

#[cfg(feature = "vertex-auth")]
#[test]
fn a_token_that_a_reply_repeats_is_masked() {
    let tokens = token_endpoint();
    let service = Fake::start(|request: &Received| {
        let said = format!("your header was {}", request.header("authorization").unwrap());
        match request.number {
            0 => Reply::answer(&said),
            _ => Reply::error(400, "INVALID_ARGUMENT", &said),
        }
    });
    let project = Project::with_cases(2);
    let credentials = authorized_user(&project, &tokens.url);
    let more = "--target vertex --concurrency 1";
    eval(&project, more, &vertex(&credentials, &service.url));
    let results = project.results();
    assert_eq!(results[0]["answer"]["text"], "your header was Bearer ***");
    let message = results[1]["error"]["message"].as_str().unwrap();
    assert!(message.contains("your header was Bearer ***"), "{message}");
}

#[test]
fn express_mode_asks_with_a_key_and_without_a_project() {
    let service = Fake::answering("at nine");
    let project = Project::with_cases(1);
    let more = format!("--target vertex --base-url {}", service.url);
    eval(&project, &more, &[("GOOGLE_API_KEY", KEY)]).assert_exit(0);
    let requests = service.requests();
    assert_eq!(requests[0].path, "/v1beta1/publishers/google/models/gemini-3.8-flash:generateContent");
    assert_eq!(requests[0].header("x-goog-api-key"), Some(KEY));
    assert_eq!(requests[0].header("authorization"), None);
}

#[test]
fn vertex_without_project_or_credentials_sends_nothing() {
    let service = Fake::answering("at nine");
    let project = Project::with_cases(1);
    project.write("no-credentials.json", "{\"type\": \"service_account\"}");
    let file = project.file("no-credentials.json").to_string_lossy().into_owned();
    let missing = project.file("missing.json").to_string_lossy().into_owned();
    let url = ("GOOGLE_VERTEX_BASE_URL", service.url.as_str());
    let own = ("GOOGLE_CLOUD_PROJECT", "p");
    for (more, variables, said) in [
        ("", vec![], "neither a project nor a key"),
        ("", vec![("GOOGLE_API_KEY", "")], "set, but empty"),
        ("--location eu", vec![("GOOGLE_API_KEY", KEY)], "without a project there is no choice"),
        ("--project a/b", vec![], "--project: `a/b` is no id of a project"),
        ("--location EU", vec![own], "--location: `EU` is no location"),
        ("", vec![own, ("GOOGLE_APPLICATION_CREDENTIALS", &missing)], "can't be read"),
        ("", vec![own, ("GOOGLE_APPLICATION_CREDENTIALS", "")], "can't be read"),
        ("", vec![own, ("GOOGLE_APPLICATION_CREDENTIALS", &file)], "lacks a field"),
    ] {
        let variables: Vec<_> = variables.into_iter().chain([url]).collect();
        let signs_in = variables.len() == 3;
        let said =
            if cfg!(feature = "vertex-auth") || !signs_in { said } else { "needs the Cargo feature `vertex-auth`" };
        eval(&project, &format!("--target vertex {more}"), &variables).assert_exit(2).assert_stderr(said);
    }
    assert_eq!(service.count(), 0);
    assert!(!project.file("reports/verdict.json").exists());
}

#[test]
fn a_project_belongs_to_the_target_that_has_one() {
    eval(&Project::with_cases(1), "--target sim --project p", &[])
        .assert_exit(2)
        .assert_stderr("only the target `vertex` has one");
    let variable = [("GOOGLE_CLOUD_PROJECT", "p")];
    eval(&Project::with_cases(1), "--target sim", &variable).assert_exit(0);
}

#[cfg(feature = "vertex-auth")]
#[test]
fn refused_credentials_send_nothing_and_say_why() {
    let service = Fake::answering("at nine");
    // The other side repeats what it was sent.
    let tokens = Fake::start(|request: &Received| {
        let sent = request.text();
        Reply::json(400, &json!({"error": "invalid_grant", "error_description": sent}))
    });
    let project = Project::with_cases(1);
    let credentials = authorized_user(&project, &tokens.url);
    eval(&project, "--target vertex", &vertex(&credentials, &service.url))
        .assert_exit(2)
        .assert_stderr("http 400, invalid_grant")
        .assert_stderr("gcloud auth application-default login");
    assert_eq!(service.count(), 0);
    // Nothing is sent on a dry run, not even for a token.
    let before = tokens.requests().len();
    eval(&project, "--target vertex --dry-run", &vertex(&credentials, &service.url)).assert_exit(0);
    assert_eq!(tokens.requests().len(), before);
}

#[test]
fn settings_that_vertex_refuses_are_listed_with_their_place() {
    let service = Fake::answering("at nine");
    let tokens = token_endpoint();
    let project = Project::with_cases(1);
    let credentials = authorized_user(&project, &tokens.url);
    let prompt = |threshold: &str, more: &str| {
        format!(
            "---\nconfig:\n  safetySettings:\n    - {{category: HARM_CATEGORY_JAILBREAK, threshold: {threshold}, method: SEVERITY}}\n  \
             responseMimeType: application/json\n  responseSchema:\n    defs: {{a: {{type: STRING{more}}}}}\n    ref: '#/defs/a'\n---\nHi {{{{question}}}}"
        )
    };
    let asked = |prompt: String, target: &str| {
        project.write("prompts/v2.prompt", &prompt);
        eval(&project, &format!("--dry-run {target}"), &vertex(&credentials, &service.url))
    };
    let target = "--target vertex";
    asked(prompt("BLOCK_NONE", ""), target).assert_exit(0);
    let wrong = asked(prompt("SOME", ", minItems: few"), target).assert_exit(2);
    for line in [
        "error: prompts/v2.prompt:4:43: `threshold` is \"SOME\"",
        "error: prompts/v2.prompt:7:30: `minItems` is \"few\"",
    ] {
        assert!(wrong.stderr.contains(line), "{}", wrong.stderr);
    }
    // The Gemini API knows neither the category, nor the method, nor references.
    let other = asked(prompt("BLOCK_NONE", ""), "--target sim").assert_exit(2);
    for word in ["HARM_CATEGORY_JAILBREAK", "`method`", "`defs`", "`ref`"] {
        assert!(other.stderr.contains(word), "{word}: {}", other.stderr);
    }
}

#[cfg(feature = "vertex-auth")]
#[test]
fn an_account_without_the_role_stops_the_run() {
    let tokens = token_endpoint();
    let service =
        Fake::start(|_| Reply::error(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied"));
    let project = Project::with_cases(8);
    let credentials = authorized_user(&project, &tokens.url);
    let more = "--target vertex --concurrency 1";
    eval(&project, more, &vertex(&credentials, &service.url)).assert_exit(11);
    assert_eq!(service.count(), 1);
    let message = project.results()[0]["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("roles/aiplatform.user"), "{message}");
}

#[test]
fn settings_that_vertex_does_not_know_are_named_before_anything_is_sent() {
    let project = Project::with_cases(1);
    project.write("prompts/v2.prompt", "---\nconfig: {serviceTier: flex, temperature: 1}\n---\n{{question}}\n");
    eval(&project, "--target vertex --project p", &[])
        .assert_exit(2)
        .assert_stderr("prompts/v2.prompt:2:10: Vertex AI has no generation setting `serviceTier`");
}

fn completion(text: &str) -> Reply {
    Reply::json(
        200,
        &json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "local-model-q4",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17,
                "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}},
        }),
    )
}

#[test]
fn an_openai_service_answers_the_same_prompts() {
    let service = Fake::start(|_| completion("at nine"));
    let project = Project::with_cases(3);
    let url = format!("{}/v1", service.url);
    let more = format!("--target openai --base-url {url} --model local-model");
    eval(&project, &more, &[("OPENAI_API_KEY", KEY)]).assert_exit(0);
    let requests = service.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(request.path, "/v1/chat/completions");
        assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        let body = request.json();
        assert_eq!(body["model"], "local-model");
        assert_eq!(body["messages"][0]["role"], "system");
        assert_eq!(body["messages"][1]["role"], "user");
    }
    let verdict = project.verdict();
    assert_eq!(verdict["target"], "openai");
    assert_eq!(verdict["counts"]["pass"], 3);
    assert_eq!(verdict["candidate"]["model"]["served"], json!(["local-model-q4"]));
    assert_eq!(verdict["cost_usd"], Value::Null);
    let row = &project.results()[0];
    assert_eq!(row["answer"]["finish_reason"], "STOP");
    assert_eq!(row["usage"], json!({"prompt": 10, "cached": 4, "output": 5, "thinking": 2, "total": 17}));
    // The same again is in the store; another model is not.
    eval(&project, &more, &[]).assert_exit(0);
    assert_eq!(service.count(), 3);
    assert_eq!(service.requests()[0].header("x-promptgate-sample"), None);
}

#[test]
fn a_local_model_needs_no_key() {
    let service = Fake::start(|_| completion("at nine"));
    let project = Project::with_cases(1);
    let more = format!("--target openai --base-url {} --model m", service.url);
    for variables in [&[][..], &[("OPENAI_API_KEY", "")], &[("CI", "true")]] {
        eval(&project, &format!("{more} --cache off"), variables).assert_exit(0);
    }
    assert!(service.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn openai_settings_that_cannot_work_send_nothing() {
    let project = Project::with_cases(1);
    project.write("prompts/v2.prompt", "---\nconfig: {topK: 3, temperature: 1}\n---\n{{question}}\n");
    project.write("prompts/v1.prompt", "{{question}}\n");
    let remote = "--base-url https://llm.example/v1";
    let named = "--base-url https://llm.example/v1 --model m";
    for (more, variables, said) in [
        ("", &[][..], "no base url"),
        (named, &[("OPENAI_API_KEY", "")], "OPENAI_API_KEY is set, but empty"),
        (named, &[("OPENAI_API_KEY", "short")], "fewer than 8"),
        ("--base-url ftp://h", &[], "scheme `ftp`"),
        (named, &[], "prompts/v2.prompt:2:10: an OpenAI-compatible service has no counterpart of this `topK`"),
        (remote, &[], "no model is named for the target `openai`"),
    ] {
        eval(&project, &format!("--target openai {more}"), variables).assert_exit(2).assert_stderr(said);
    }
}

#[test]
fn openai_errors_are_repeated_or_stop_the_run() {
    let project = Project::with_cases(3);
    let error = |code: &str| json!({"error": {"message": "m", "type": "t", "code": code}});
    let ask = |service: &Fake| {
        let more = format!("--target openai --base-url {} --model m --concurrency 1", service.url);
        eval(&project, &format!("{more} --cache off"), &[("OPENAI_API_KEY", KEY)])
    };
    let moody = Fake::start(move |request: &Received| match request.number {
        0 => Reply::json(429, &error("rate_limit_exceeded")).header("retry-after-ms", "1"),
        _ => completion("at nine"),
    });
    ask(&moody).assert_exit(0);
    assert_eq!(moody.requests().len(), 4);
    for (status, code, said) in
        [(429, "insufficient_quota", "plan and billing"), (401, "invalid_api_key", "check OPENAI_API_KEY")]
    {
        let service = Fake::start(move |_| Reply::json(status, &error(code)));
        let ran = ask(&service).assert_exit(11);
        assert_eq!(service.count(), 1);
        assert!(ran.stderr.contains(said), "{}", ran.transcript());
    }
}

#[test]
fn prompt_render_shows_what_each_target_is_sent() {
    let project = Project::with_cases(1);
    let render = |more: &str| {
        let ran = project.run(&format!("prompt render v2 --case case-00000 {more}")).assert_exit(0);
        ran.stdout
    };
    let vertex = render("--target vertex --project p --location eu");
    assert!(vertex.starts_with(
        "POST https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/publishers/google/models/gemini-3.8-flash:generateContent\n"
    ));
    assert!(vertex.contains("\"systemInstruction\""));
    let openai = render("--target openai --base-url http://localhost:11434/v1 --model m");
    assert!(openai.starts_with("POST http://localhost:11434/v1/chat/completions\n"));
    assert!(openai.contains("\"messages\""));
}

#[test]
fn a_key_travels_in_plain_http_to_this_machine_only() {
    let project = Project::with_cases(1);
    let case = json!({"id": "a", "vars": {"question": "?"}, "expect": [{"judge": {"rubric": "It is polite."}},
        {"semantic": {"to": "polite", "min": 0.5}}]});
    project.write_cases(&[case]);
    let far = "http://10.0.0.1:1/v1";
    for (target, toml) in [
        (format!("gemini --base-url {far}"), String::new()),
        (format!("openai --model m --base-url {far}"), String::new()),
        ("sim".to_owned(), format!("[judges.default]\ntarget = \"openai\"\nmodel = \"m\"\nbase_url = \"{far}\"\n")),
        ("sim".to_owned(), format!("[embeddings.default]\ntarget = \"openai\"\nmodel = \"m\"\nbase_url = \"{far}\"\n")),
    ] {
        project.write("promptgate.toml", toml);
        eval(&project, &format!("--target {target}"), &[("GEMINI_API_KEY", KEY), ("OPENAI_API_KEY", KEY)])
            .assert_exit(2)
            .assert_stderr("would travel to 10.0.0.1 in plain http");
    }
}
