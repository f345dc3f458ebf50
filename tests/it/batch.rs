//! `eval --batch`: the same plan through the batch API, and what becomes of its jobs when something goes wrong.

use crate::support::batches::{BatchApi, Twist, answered, batch_api, echo, failed, is_creation, is_look, nine, once};
use crate::support::fake::Reply;
use crate::support::project::{KEY, Project, Run};
use gemini_sim::Simulator;
use serde_json::{Value, json};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn arguments(url: &str, more: &str) -> String {
    format!(
        "eval --prompt v2 --baseline none --min-pass-rate 0.5 --repeat 1 --base-url {url} --batch --batch-poll 1ms {more}"
    )
}

fn run(project: &Project, api: &BatchApi, more: &str) -> Run {
    project.run_with_key(&arguments(&api.fake.url, more))
}

/// Evaluates `v2` against `v1` with this model.
fn run_with_model(project: &Project, api: &BatchApi, model: &str) -> Run {
    project.edit("prompts/v1.prompt", "gemini-3.8-flash", model);
    project.eval_at(&api.fake.url, "--repeat 1 --batch --batch-poll 1ms")
}

fn start(project: &Project, api: &BatchApi) -> Child {
    let mut command = project.command(&arguments(&api.fake.url, ""));
    command.env("GEMINI_API_KEY", KEY).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn echoing(done_at: usize) -> BatchApi {
    batch_api(done_at, echo, |_, _| Twist::None)
}

/// Each answer stands at the case that it was given to.
fn assert_paired(project: &Project) {
    for row in project.results() {
        let number: usize = row["case"].as_str().unwrap().trim_start_matches("case-").parse().unwrap();
        let text = row["answer"]["text"].as_str().unwrap();
        assert!(text.contains(&format!("number {number}?")), "{row}");
    }
}

#[test]
fn one_job_holds_the_whole_plan_at_half_the_price() {
    let api = echoing(3);
    let project = Project::with_cases(80);
    run(&project, &api, "").assert_exit(0).assert_stderr("waiting for 1 batch job: 0 of 80 requests");
    assert_eq!(api.jobs().len(), 1);
    assert_eq!(api.jobs()[0].items.len(), 80);
    assert_eq!(api.count("POST", ":generateContent"), 0);
    assert_paired(&project);
    let verdict = project.verdict();
    assert_eq!(verdict["promotable"], true);
    assert_eq!(verdict["requests"], 80);

    let live = Project::with_cases(80);
    let plain = crate::support::fake::Fake::start(|request| {
        let answer = answered(&format!("nine: {}", request.asks()));
        Reply::json(200, &answer["response"])
    });
    let arguments = arguments(&plain.url, "").replace("--batch --batch-poll 1ms", "");
    live.run_with_key(&arguments).assert_exit(0);
    let full = live.verdict()["cost_usd"].as_f64().unwrap();
    let half = verdict["cost_usd"].as_f64().unwrap();
    assert!((half * 2.0 - full).abs() < 1e-9, "{half} {full}");

    // What a batch job answered is used again, and by batch runs only.
    run(&project, &api, "").assert_exit(0);
    assert_eq!(api.jobs().len(), 1);
    assert_eq!(project.verdict()["cached"]["candidate"], 80);
}

#[test]
fn many_requests_are_uploaded_and_their_results_downloaded() {
    let api = echoing(1);
    let project = Project::with_cases(1_200);
    run(&project, &api, "").assert_exit(0);
    let jobs = api.jobs();
    assert_eq!((jobs.len(), jobs[0].items.len()), (1, 1_200));
    assert!(jobs[0].file.is_some());
    assert_paired(&project);
    assert_eq!(api.count("DELETE", "/files/up0"), 1, "the uploaded file is not left behind");
}

#[test]
fn failed_requests_get_another_job_where_that_can_help() {
    let api = batch_api(
        1,
        |job, at, asks| match (at % 10, job.number()) {
            (1, 0) => failed(14, "unavailable"),
            (2, 0) => failed(8, "resource exhausted"),
            (3, 0) => Value::Null,
            _ => echo(job, at, asks),
        },
        |_, _| Twist::None,
    );
    let project = Project::with_cases(80);
    run(&project, &api, "").assert_exit(0);
    let jobs = api.jobs();
    assert_eq!(jobs.iter().map(|job| job.items.len()).collect::<Vec<_>>(), [80, 24]);
    assert_paired(&project);
    let rows = project.results();
    assert_eq!(rows.iter().filter(|row| row["attempts"] == 2).count(), 24);
    let verdict = project.verdict();
    assert_eq!((&verdict["requests"], &verdict["retries"]), (&104.into(), &24.into()));
}

#[test]
fn a_request_that_is_refused_is_an_error_outcome_and_never_a_pass() {
    let api = batch_api(
        1,
        |_, _, asks| {
            if asks.contains("1?") {
                failed(3, "invalid argument")
            } else if asks.contains("2?") {
                failed(13, "internal")
            } else {
                answered("nine")
            }
        },
        |_, _| Twist::None,
    );
    let project = Project::with_cases(40);
    run(&project, &api, "--retries 2").assert_exit(11);
    assert_eq!(api.jobs().len(), 3, "once and two repetitions");
    let rows = project.results();
    let code = |code: &str| rows.iter().filter(|row| row["error"]["code"] == code).count();
    assert_eq!((code("http_400"), code("http_500")), (4, 4));
    assert!(rows.iter().all(|row| row["error"].is_null() == (row["outcome"] == "pass")));
}

#[test]
fn a_run_that_is_killed_while_it_waits_resumes_without_a_second_job() {
    let done: &'static AtomicBool = Box::leak(Box::default());
    let api = batch_api(1, echo, |request, _| match is_look(request) && !done.load(Ordering::SeqCst) {
        true => Twist::Say(Reply::json(200, &json!({"metadata": {"state": "BATCH_STATE_RUNNING"}}))),
        false => Twist::None,
    });
    let project = Project::with_cases(80);
    let mut child = start(&project, &api);
    api.was_looked_at();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!project.file("reports/verdict.json").exists());

    project.run("batch list").assert_stdout("batches/job0  run 1, 80 answers");

    done.store(true, Ordering::SeqCst);
    run(&project, &api, "--resume").assert_exit(0);
    assert_eq!(api.jobs().len(), 1);
    assert_paired(&project);
    assert_eq!(project.run("batch list").stdout, "no batch job waits\n");
}

/// The process dies after the service has created the job, and before it heard of it.
#[test]
fn a_job_whose_name_was_lost_is_found_by_its_label() {
    for created in [true, false] {
        let (telling, told) = std::sync::mpsc::channel();
        let stall = move || {
            let _ = telling.send(());
            if created { Twist::Say(Reply::stall()) } else { Twist::Reply(Reply::stall()) }
        };
        let api = batch_api(1, echo, once(is_creation, stall));
        let project = Project::with_cases(80);
        let mut child = start(&project, &api);
        told.recv().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        run(&project, &api, "--resume").assert_exit(0);
        assert_eq!(api.jobs().len(), 1, "created: {created}");
        // The service may list it late, so what is not there is looked for again.
        assert_eq!(api.count("GET", "/v1beta/batches?"), if created { 1 } else { 3 });
        assert_paired(&project);
    }
}

/// The connection breaks after the service has created the job.
#[test]
fn a_job_whose_creation_got_no_reply_is_not_created_twice() {
    let api = nine(once(is_creation, || Twist::Say(Reply::reset())));
    let project = Project::with_cases(80);
    run(&project, &api, "").assert_exit(0);
    assert_eq!(api.jobs().len(), 1);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_its_jobs_and_says_so_and_they_can_be_cancelled() {
    let api = echoing(0);
    let project = Project::with_cases(80);
    let mut command = project.command(&arguments(&api.fake.url, ""));
    let child = command.env("GEMINI_API_KEY", KEY).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    api.was_looked_at();
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    project
        .finished(child.wait_with_output().unwrap())
        .assert_exit(130)
        .assert_stderr("1 batch job may go on at the service (batches/job0)");

    // Also without --resume nothing is asked twice.
    run(&project, &api, "--batch-wait 1ms").assert_stderr("1 batch job of an earlier run with this plan wait");
    assert_eq!(api.jobs().len(), 1);

    let elsewhere = project.run_with_key("batch cancel --base-url http://127.0.0.1:9");
    assert_eq!((elsewhere.code, elsewhere.stdout.as_str()), (0, "no batch job waits there\n"));
    let cancel = |more: &str| project.run_with_key(&format!("batch cancel --base-url {} {more}", api.fake.url));
    cancel("batches/other").assert_exit(2);
    let cancelled = cancel("batches/job0");
    assert_eq!(cancelled.stdout, "batches/job0 cancelled\n", "{}", cancelled.transcript());
    assert!(api.jobs()[0].cancelled);
    assert!(project.run("batch cancel").code == 2, "without a key there is nobody to ask");
}

#[test]
fn what_ends_without_results_is_inconclusive() {
    for (state, code) in [
        ("BATCH_STATE_FAILED", "batch_failed"),
        ("BATCH_STATE_EXPIRED", "batch_expired"),
        ("JOB_STATE_CANCELLED", "batch_cancelled"),
        ("BATCH_STATE_NEW_AND_UNKNOWN", "batch_failed"),
        ("BATCH_STATE_SUCCEEDED", "batch_failed"),
    ] {
        let body = json!({"metadata": {"state": state}, "done": true});
        let api = nine(move |request, _| match is_look(request) {
            true => Twist::Reply(Reply::json(200, &body)),
            false => Twist::None,
        });
        let project = Project::with_cases(40);
        run(&project, &api, "").assert_exit(11);
        assert!(project.results().iter().all(|row| row["error"]["code"] == code), "{state}");
        assert_eq!(api.jobs().len(), 1);
    }
}

#[test]
fn looks_that_fail_are_repeated_and_a_refused_key_stops() {
    let looks = AtomicUsize::new(0);
    let api = nine(move |request, _| match is_look(request) && looks.fetch_add(1, Ordering::SeqCst) < 3 {
        true => Twist::Reply(Reply::error(503, "UNAVAILABLE", "overloaded")),
        false => Twist::None,
    });
    let project = Project::with_cases(80);
    run(&project, &api, "").assert_exit(0);

    let api = nine(|request, _| match request.method.as_str() {
        "GET" => Twist::Reply(Reply::error(403, "PERMISSION_DENIED", "no")),
        _ => Twist::None,
    });
    let project = Project::with_cases(80);
    let ran = run(&project, &api, "").assert_exit(11);
    assert_eq!(api.count("GET", "/batches/"), 1);
    assert!(ran.stderr.contains("may go on at the service"), "{}", ran.stderr);
}

#[test]
fn a_job_that_the_service_has_forgotten_is_asked_for_anew() {
    let api = nine(|request, jobs| match request.path.contains("/batches/job0") && jobs.len() == 1 {
        true => Twist::Reply(Reply::error(404, "NOT_FOUND", "Requested entity was not found.")),
        false => Twist::None,
    });
    let project = Project::with_cases(80);
    run(&project, &api, "").assert_exit(0);
    assert_eq!(api.jobs().len(), 2);
}

#[test]
fn limits_hold_before_anything_is_submitted() {
    for (limits, submitted) in [("--max-requests 30", 30), ("--max-cost 0.0000001", 0), ("--max-tokens 5", 0)] {
        let api = echoing(1);
        let project = Project::with_cases(80);
        run(&project, &api, limits).assert_exit(11);
        let items: usize = api.jobs().iter().map(|job| job.items.len()).sum();
        assert_eq!(items, submitted, "{limits:?}");
        let rows = project.results();
        assert_eq!(rows.iter().filter(|row| row["outcome"] == "pass").count(), submitted);
        // The rest is asked for by the next run; what was answered is there.
        if submitted > 0 {
            run(&project, &api, "--resume").assert_exit(0);
            assert_eq!(api.jobs()[1].items.len(), 80 - submitted);
        }
    }
}

#[test]
fn after_the_time_to_wait_the_run_ends_and_its_jobs_go_on() {
    let api = echoing(0);
    let project = Project::with_cases(80);
    run(&project, &api, "--batch-wait 20ms")
        .assert_exit(11)
        .assert_stderr("not finished after")
        .assert_stderr("may go on at the service (batches/job0)")
        .assert_stderr("(--batch-wait)");
    assert_eq!(api.jobs().len(), 1);
}

#[test]
fn a_full_service_gets_the_rest_later() {
    let api = batch_api(
        2,
        |_, _, _| answered("nine"),
        |request, jobs| {
            let full = jobs.len() == 1 && jobs[0].looks < 2;
            if full && is_creation(request) {
                return Twist::Reply(Reply::error(429, "RESOURCE_EXHAUSTED", "too many enqueued tokens"));
            }
            Twist::None
        },
    );
    let project = Project::with_cases(40);
    let ran = run_with_model(&project, &api, "googleai/gemini-3.8-pro");
    assert_eq!(api.jobs().len(), 2, "{}", ran.transcript());
    assert!(project.results().iter().all(|row| row["outcome"] == "pass"), "{}", ran.transcript());
}

#[test]
fn what_takes_no_batches_is_refused() {
    let project = Project::with_cases(1);
    let eval = |more: &str| {
        let arguments = format!("eval --prompt v2 --baseline v1 --batch {more}");
        project.run_with(&arguments, &[("GOOGLE_API_KEY", KEY)])
    };
    for (more, said) in [
        ("--stream", "can't be streamed"),
        ("--target vertex", "take batches"),
        ("--target openai --base-url http://127.0.0.1:9/v1", "take batches"),
        ("--batch-poll 2h", "is not a duration"),
        ("--batch-wait 49h", "is not a duration"),
    ] {
        eval(more).assert_exit(2).assert_stderr(said);
    }
}

#[test]
fn the_simulator_serves_batches_with_failing_items() {
    let simulator = Simulator::start(
        0,
        gemini_sim::Settings { faults: "503:0.2".parse().unwrap(), ..gemini_sim::Settings::default() },
    )
    .unwrap();
    let project = Project::with_cases(60);
    let url = simulator.url();
    project.run(&arguments(&url, "--target sim")).assert_exit(0);
    let verdict = project.verdict();
    assert_eq!(verdict["simulated"], true);
    assert!(verdict["retries"].as_u64().unwrap() > 0);
}

/// Two models: a repetition for the first one is refused while the second one's job is open, and nothing is lost by it.
#[test]
fn what_has_to_wait_takes_nothing_with_it() {
    let refused = AtomicBool::new(false);
    let api = batch_api(
        2,
        |job, _, asks| match job.number() {
            0 if asks.contains("1?") => failed(14, "unavailable"),
            _ => answered("nine"),
        },
        move |request, jobs| match is_creation(request) && jobs.len() == 1 && !refused.swap(true, Ordering::SeqCst) {
            true => Twist::Reply(Reply::error(429, "RESOURCE_EXHAUSTED", "too many")),
            false => Twist::None,
        },
    );
    let project = Project::with_cases(40);
    let ran = run_with_model(&project, &api, "googleai/gemini-2.5-pro");
    let rows = project.results();
    assert_eq!(rows.len(), 80);
    assert!(rows.iter().all(|row| row["outcome"] == "pass"), "{}", ran.transcript());
}

/// A service that does not send the keys back keeps at least the order.
#[test]
fn results_without_keys_are_paired_by_their_order_and_never_bought_again() {
    let api = batch_api(1, echo, |request, jobs| {
        if !is_look(request) {
            return Twist::None;
        }
        let asked = |request: &Value| {
            let last = request["contents"].as_array().unwrap().last().unwrap();
            last["parts"][0]["text"].as_str().unwrap().to_owned()
        };
        let rows: Vec<Value> =
            jobs[0].items.iter().map(|(_, request)| answered(&format!("nine: {}", asked(request)))).collect();
        let output = json!({"inlinedResponses": {"inlinedResponses": rows}});
        let body = json!({"metadata": {"state": "BATCH_STATE_SUCCEEDED"}, "done": true, "response": output});
        Twist::Reply(Reply::json(200, &body))
    });
    let project = Project::with_cases(80);
    run(&project, &api, "").assert_exit(0);
    assert_eq!(api.jobs().len(), 1);
    assert_paired(&project);
}

/// What an expired job had answered by then is kept; the rest failed.
#[test]
fn a_job_that_ends_badly_still_gives_what_it_has() {
    let api = nine(|request, jobs| {
        if !is_look(request) {
            return Twist::None;
        }
        let (key, _) = &jobs[0].items[0];
        let mut row = answered("nine");
        row["metadata"] = json!({ "key": key });
        let output = json!({"inlinedResponses": {"inlinedResponses": [row]}});
        let body = json!({"metadata": {"state": "BATCH_STATE_EXPIRED", "output": output}, "done": true});
        Twist::Reply(Reply::json(200, &body))
    });
    let project = Project::with_cases(40);
    run(&project, &api, "").assert_exit(11);
    let rows = project.results();
    assert_eq!(rows.iter().filter(|row| row["outcome"] == "pass").count(), 1);
    assert_eq!(rows.iter().filter(|row| row["error"]["code"] == "batch_expired").count(), 39);
}

/// The reply to the creation is lost, and the first look for the job fails, too.
#[test]
fn in_doubt_nothing_is_created_before_the_service_was_asked() {
    let (created, listed) = (
        once(is_creation, || Twist::Say(Reply::reset())),
        once(
            |request| request.path.contains("/batches?"),
            || Twist::Reply(Reply::error(503, "UNAVAILABLE", "overloaded")),
        ),
    );
    let api = nine(move |request, jobs| match created(request, jobs) {
        Twist::None => listed(request, jobs),
        twist @ (Twist::Reply(_) | Twist::Say(_)) => twist,
    });
    let project = Project::with_cases(80);
    run(&project, &api, "").assert_exit(0);
    assert_eq!(api.jobs().len(), 1);
}

/// A state nobody has heard of may yet lead to an end, and a first look may find nothing.
#[test]
fn a_job_that_is_paid_for_is_not_given_up_lightly() {
    for looked in [
        || Reply::json(200, &json!({"metadata": {"state": "JOB_STATE_PAUSED"}})),
        || Reply::error(404, "NOT_FOUND", "not yet"),
    ] {
        let api = nine(once(is_look, move || Twist::Reply(looked())));
        let project = Project::with_cases(80);
        run(&project, &api, "").assert_exit(0);
        assert_eq!(api.jobs().len(), 1);
    }
}

#[test]
fn a_second_process_waits_its_turn_and_the_last_look_comes_at_the_end_of_the_wait() {
    let api = echoing(0);
    let project = Project::with_cases(80);
    let mut child = start(&project, &api);
    api.was_looked_at();
    run(&project, &api, "--resume --out other").assert_exit(2).assert_stderr("another process works on run 1");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(api.jobs().len(), 1);

    let done = echoing(1);
    let project = Project::with_cases(80);
    // The wait ends long before the first pause does.
    let patient = arguments(&done.fake.url, "--batch-wait 1ms").replace("--batch-poll 1ms", "--batch-poll 60m");
    project.run_with_key(&patient).assert_exit(0);
}

#[test]
fn a_job_that_has_finished_is_not_cancelled() {
    let api = echoing(2);
    let project = Project::with_cases(80);
    run(&project, &api, "--batch-wait 1ms").assert_exit(11);
    project.run_with_key(&format!("batch cancel --base-url {}", api.fake.url)).assert_stdout("had finished already");
    run(&project, &api, "--resume").assert_exit(0);
    assert_eq!(api.jobs().len(), 1);
}
