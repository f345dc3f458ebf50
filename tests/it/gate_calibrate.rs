//! `gate calibrate`: a prompt against itself, with the simulator as a model that varies.

use crate::support::fake::{Fake, Reply};
use crate::support::project::{Project, Run};
use gemini_sim::{Settings, Simulator};
use serde_json::Value;

fn noisy(noise: f64) -> Simulator {
    Simulator::start(0, Settings { noise, seed: 3, ..Settings::default() }).unwrap()
}

/// Cases whose second best sentence is wrong, and a settings file that names what serves.
fn project(cases: usize) -> Project {
    let project = Project::with_cases(cases);
    let prompt = "{{role \"system\"}}The shop opens at nine in the morning. The shop is open every day but Sunday.\n\
                  {{role \"user\"}}{{question}}\n";
    project.write("prompts/v1.prompt", prompt);
    project.write("promptgate.toml", "candidate = \"v2\"\nbaseline = \"v1\"\n");
    project
}

fn calibrate(project: &Project, url: &str, more: &str) -> Run {
    project.run(&format!("gate calibrate --quiet --target sim --base-url {url} {more}"))
}

#[test]
fn answers_that_vary_are_measured_and_resampled() {
    let (project, simulator) = (project(120), noisy(0.1));
    let ran = calibrate(&project, &simulator.url(), "--json");
    let found = ran.assert_exit(0).json();
    let number = |key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key}: {found}"));
    assert_eq!(found["schema"], "promptgate.gate_calibration/1");
    assert_eq!(found["prompt"]["name"], "v1", "the prompt that serves");
    assert_eq!((number("judged"), number("missing"), number("repeats")), (120.0, 0.0, 3.0));
    // Really asked, every answer of both arms, though they send the same requests.
    assert_eq!((simulator.requests(), number("requests")), (720, 720.0));
    // 7% of the answers come from the wrong sentence: p(1-p)·2 = 0.13 of the pairs differ, σ² is the same by both arms.
    assert!((0.08..0.19).contains(&number("discordance")), "{found}");
    assert!((number("sigma2") - number("discordance")).abs() < 0.03, "{found}");
    assert!(number("omega2").abs() < 0.03, "{found}");
    assert!((20.0..70.0).contains(&number("flaky")), "{found}");
    assert!(found["varies"].as_bool().unwrap() && found["simulated"].as_bool().unwrap());
    // The rule's promises, on these answers.
    assert!(found["equal"]["block"].as_f64().unwrap() <= 0.02, "{found}");
    assert!(found["lost_the_margin"]["promote"].as_f64().unwrap() <= 0.05, "{found}");
    let rows = found["by_repeats"].as_array().unwrap();
    let promoted: Vec<f64> = rows.iter().map(|row| row["decisions"]["promote"].as_f64().unwrap()).collect();
    assert!(promoted.is_sorted(), "{promoted:?}");
    let enough = found["enough_repeats"].as_u64();
    let first = rows.iter().zip(&promoted).find(|(_, share)| **share >= 0.8);
    assert_eq!(enough, first.map(|(row, _)| row["repeats"].as_u64().unwrap()));
    assert!(found["enough_cases"]["cases"].as_u64().unwrap() >= 70, "{found}");
    assert!(found["enough_cases"]["promote"].as_f64().unwrap() >= 0.8, "{found}");

    // Nothing that looks like a verdict, and no run of the gate.
    assert!(!project.file("reports").exists());
    let runs: Value = serde_json::from_str(&project.run("runs list --json").stdout).unwrap();
    let run = &runs["runs"][0];
    assert_eq!((&run["facts"]["gated"], &run["candidate"]), (&Value::Bool(false), &"v1 (gate calibrate)".into()));
    project.run("eval --prompt v1 --failed --target sim").assert_exit(2);

    // Answers are stored: a second call asks nothing and says the same.
    let again = calibrate(&project, &simulator.url(), "--json");
    assert_eq!(simulator.requests(), 720);
    let mut again = again.assert_exit(0).json();
    again["requests"] = found["requests"].clone();
    again["cost_usd"] = found["cost_usd"].clone();
    assert_eq!(again, found);
}

#[test]
fn answers_that_do_not_vary_are_said_to() {
    let (project, simulator) = (project(80), noisy(0.0));
    let ran = calibrate(&project, &simulator.url(), "--repeat 2").assert_exit(0);
    insta::assert_snapshot!("gate_calibrate_still", ran.stdout);
    project
        .run("gate calibrate --dry-run --target sim")
        .assert_exit(0)
        .assert_stdout("80 of 80 cases, 3 repeats: 480 answers planned");
}

#[test]
fn what_varies_is_told_in_words() {
    let (project, simulator) = (project(60), noisy(0.3));
    let rows = project.read("golden/cases.jsonl").replacen("\"expect\"", "\"critical\":true,\"expect\"", 1);
    project.write("golden/cases.jsonl", rows);
    let ran = calibrate(&project, &simulator.url(), "--margin 0.1 --prompt v1").assert_exit(0);
    insta::assert_snapshot!("gate_calibrate_noisy", ran.stdout);
}

#[test]
fn without_enough_answers_nothing_is_said() {
    let (project, simulator) = (project(30), noisy(0.1));
    let url = simulator.url();
    let refused = |ran: Run, code: i32, what: &str| {
        assert_eq!(ran.code, code, "{}", ran.transcript());
        assert!(ran.stdout.is_empty(), "{}", ran.transcript());
        assert!(ran.stderr.contains(what), "{}", ran.transcript());
    };
    refused(calibrate(&project, &url, "--cache only"), 11, "180 of 180 answers could not be judged");
    refused(calibrate(&project, &url, "--max-requests 20"), 11, "the budget was spent");
    refused(calibrate(&project, &url, "--limit 9"), 11, "9 cases were judged completely");
    refused(calibrate(&project, &url, "--tag none"), 4, "none of the 30");
    refused(calibrate(&project, &url, "--prompt v9"), 2, "v9");
    project.write("answers.jsonl", "");
    let recorded = project.run_with("gate calibrate --target recorded", &[("PROMPTGATE_ANSWERS", "answers.jsonl")]);
    refused(recorded, 2, "recorded answers can't tell");
    let broken = Fake::start(|_| Reply::error(400, "INVALID_ARGUMENT", "no"));
    refused(
        project.run_with_key(&format!("gate calibrate --quiet --target gemini --base-url {}", broken.url)),
        11,
        "nothing can be said",
    );
    assert!(!project.file("reports").exists());
    // The budget's answers were kept.
    let resumed = calibrate(&project, &url, "--resume --json");
    assert_eq!(resumed.assert_exit(0).json()["judged"], 30);
}
