//! Precedence, bounds, and when the simulator may stand in.

use super::definition::{Group as _, Scope};
use super::groups::{self, GateTable, GuardrailTable, PolicyTable};
use super::value::Kind;
use super::{Baseline, CallKind, CommandLine, Environment, JudgeCalibration, Layers, Settings, TargetKind, secrets};
use crate::domain::{Guardrails, Policy, Problems};
use crate::provider::gemini::Delivery;
use crate::provider::vertex::Place;
use crate::runner::RetryPolicy;
use std::path::Path;
use std::time::Duration;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn options(pairs: &[(&'static str, &str)]) -> CommandLine {
    pairs.iter().fold(CommandLine::default(), |typed, (key, value)| typed.option(key, vec![(*value).to_owned()]))
}

fn settings_of(given: &[(&'static str, &str)], variables: &[(&str, &str)], file: &str) -> Result<Settings, Problems> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("promptgate.toml"), file).unwrap();
    let settings = Layers::read(folder.path(), options(given), environment(variables)).settings(CallKind::Verdict)?;
    // Whatever sends a request ends with it.
    match &settings.provider.missing_key {
        Some(problem) => Err(problem.clone().into()),
        None => Ok(settings),
    }
}

const PAIR: [(&str, &str); 2] = [("prompt", "v2"), ("baseline", "v1")];

/// What `part` takes of the settings of a pair of prompts and more.
fn part<T>(
    more: &[(&'static str, &str)],
    variables: &[(&str, &str)],
    file: &str,
    part: impl FnOnce(Settings) -> T,
) -> Result<T, String> {
    settings_of(&[&PAIR[..], more].concat(), variables, file).map(part).map_err(|problems| problems.to_string())
}

fn message(result: Result<Settings, Problems>) -> String {
    result.err().map_or_else(|| "no problem".to_owned(), |problems| problems.to_string())
}

#[test]
fn option_wins_over_environment_over_file_over_default() {
    let file = "candidate = \"f\"\nbaseline = \"b\"\nrepeat = 5\nconcurrency = 4\nmargin = 0.1";
    let settings = settings_of(
        &[("prompt", "o")],
        &[
            ("PROMPTGATE_REPEAT", "7"),
            ("PROMPTGATE_PROMPT", "e"),
            ("PROMPTGATE_TAG", "a, b"),
            ("PROMPTGATE_RETRIES", ""),
        ],
        file,
    )
    .unwrap();
    assert_eq!(settings.arms.prompt, "o");
    assert_eq!(settings.arms.baseline, Baseline::Prompt("b".to_owned()));
    assert_eq!(settings.dataset.repeat, 7);
    assert_eq!(settings.limits.concurrency, 4);
    assert_eq!(settings.limits.retries, 8);
    assert_eq!(settings.gate.policy.margin, 0.1);
    assert_eq!(settings.dataset.selection.tags.len(), 2);
}

#[test]
fn mistakes_are_listed_together_with_their_origin() {
    insta::assert_snapshot!(
        message(settings_of(
            &[("prompt", "v2"), ("baseline", "v1"), ("timeout", "1 day")],
            &[("PROMPTGATE_CACHE", "always")],
            "repeat = 0\nconcurency = 3\n",
        )), @"
    promptgate.toml:2:1: `concurency` is not a setting
      help: did you mean `concurrency`?
    promptgate.toml:1:10: `0` is not a whole number from 1 to 1000
    --timeout: `1 day` is not a duration; expected something like 500ms, 60s or 2m, up to 60m
    PROMPTGATE_CACHE: `always` is not known; expected use, refresh, off, only
    ");
    insta::assert_snapshot!(
        message(settings_of(
            &[("prompt", "v2"), ("baseline", "v1"), ("timeout", "1 day")],
            &[("PROMPTGATE_CACHE", "always")],
            "repeat = 0\n",
        )), @"
    promptgate.toml:1:10: `0` is not a whole number from 1 to 1000
    --timeout: `1 day` is not a duration; expected something like 500ms, 60s or 2m, up to 60m
    PROMPTGATE_CACHE: `always` is not known; expected use, refresh, off, only
    ");
}

#[test]
fn what_holds_for_one_call_only_cannot_stand_in_the_file() {
    for key in ["dry_run", "no_gate", "resume"] {
        let text = message(settings_of(&PAIR, &[], &format!("{key} = true")));
        assert!(text.contains("holds for one call only"), "{text}");
    }
}

#[test]
fn answers_are_proposed_where_a_person_may_look_at_them() {
    let writes = |given: &[(&'static str, &str)], variables: &[(&str, &str)], file: &str| {
        part(&[&[("target", "sim")], given].concat(), variables, file, |settings| settings.dataset.snapshots)
    };
    assert_eq!(writes(&[], &[], ""), Ok(true));
    assert_eq!(writes(&[], &[], "snapshots = \"no\""), Ok(false));
    assert_eq!(writes(&[], &[("PROMPTGATE_SNAPSHOTS", "write")], "snapshots = \"no\""), Ok(true));
    for name in
        ["CI", "GITHUB_ACTIONS", "TF_BUILD", "BUILD_ID", "JENKINS_URL", "KUBERNETES_SERVICE_HOST", "CLOUD_RUN_JOB"]
    {
        assert_eq!(writes(&[], &[(name, "")], ""), Ok(false), "{name}");
        assert_eq!(writes(&[("snapshots", "write")], &[(name, "1")], ""), Ok(true), "{name}");
    }
    assert_eq!(
        writes(&[("snapshots", "yes")], &[], ""),
        Err("--snapshots: `yes` is not known; expected write, no".to_owned())
    );
}

#[test]
fn a_broken_file_names_line_and_column() {
    let text = message(settings_of(&PAIR, &[], "margin = 0.05\nalpha == 1\n"));
    assert!(text.starts_with("promptgate.toml:2:"), "{text}");
}

#[test]
fn the_simulator_stands_in_only_on_a_persons_machine() {
    let target = |variables: &[(&str, &str)], given: &[(&'static str, &str)]| {
        part(given, variables, "", |settings| (settings.provider.target, settings.provider.fallback))
    };
    assert_eq!(target(&[], &[]), Ok((TargetKind::Sim, true)));
    assert_eq!(target(&[], &[("target", "sim")]), Ok((TargetKind::Sim, false)));
    assert_eq!(target(&[("GEMINI_API_KEY", "12345678")], &[]), Ok((TargetKind::Gemini, false)));
    assert_eq!(
        target(&[("GOOGLE_API_KEY", ""), ("GEMINI_API_KEY", "12345678"), ("CI", "true")], &[]),
        Ok((TargetKind::Gemini, false))
    );
    for (variables, given) in [
        (&[("CI", "true")][..], &[][..]),
        (&[("CI", "")], &[]),
        (&[("CLOUD_RUN_JOB", "x")], &[]),
        (&[("GEMINI_API_KEY", "")], &[]),
        (&[("GEMINI_API_KEY", "  ")], &[]),
        (&[("GEMINI_API_KEY_FILE", "")], &[]),
        (&[("GEMINI_API_KEY_FILE", "no-such-file")], &[]),
        (&[("GEMINI_API_KEY", "short")], &[]),
        (&[], &[("target", "gemini")]),
        (&[], &[("base_url", "http://127.0.0.1:1")]),
        (&[("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1")], &[]),
        (&[], &[("answers", "a.jsonl")]),
        (&[], &[("target", "recorded")]),
    ] {
        assert!(target(variables, given).is_err(), "{variables:?} {given:?}");
    }
}

#[test]
fn vertex_has_a_place_or_a_key() {
    let place = |variables: &[(&str, &str)], given: &[(&'static str, &str)], file: &str| {
        part(&[&[("target", "vertex")], given].concat(), variables, file, |settings| {
            (settings.provider.place, settings.provider.key.is_some())
        })
    };
    let of = |project: &str, location: &str| {
        let (project, location) = (project.to_owned(), location.to_owned());
        Ok((Some(Place::Project { project, location }), false))
    };
    let google = [("GOOGLE_CLOUD_PROJECT", "g"), ("GOOGLE_CLOUD_LOCATION", "us")];
    assert_eq!(place(&google, &[("project", "o"), ("location", "eu")], ""), of("o", "eu"));
    assert_eq!(place(&[google[0], ("PROMPTGATE_PROJECT", "e")], &[], ""), of("e", "global"));
    assert_eq!(place(&google, &[], "project = \"f\"\nlocation = \"eu\""), of("g", "us"));
    assert_eq!(place(&[], &[], "project = \"f\"\nlocation = \"eu\""), of("f", "eu"));
    let key = ("GOOGLE_API_KEY", "12345678");
    assert_eq!(place(&[key], &[], ""), Ok((Some(Place::Express), true)));
    assert_eq!(place(&[key, google[0], ("CI", "true")], &[], ""), of("g", "global"));
    for variables in [&[][..], &[("GEMINI_API_KEY", "12345678")], &[("GOOGLE_API_KEY", "")], &[google[1], key]] {
        assert!(place(variables, &[], "").is_err(), "{variables:?}");
    }
}

#[test]
fn each_target_has_its_own_variable_for_the_base_url() {
    let variables = [
        ("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1"),
        ("GOOGLE_VERTEX_BASE_URL", "http://127.0.0.1:2"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:3"),
        ("GOOGLE_API_KEY", "12345678"),
    ];
    for (target, port) in [("gemini", 1), ("vertex", 2), ("openai", 3)] {
        let given = [PAIR[0], PAIR[1], ("target", target)];
        let settings = settings_of(&given, &variables, "base_url = \"http://127.0.0.1:9\"").unwrap();
        assert_eq!(settings.provider.base_url, Some(format!("http://127.0.0.1:{port}")), "{target}");
        let own = [given[0], given[1], given[2], ("base_url", "http://127.0.0.1:8")];
        assert_eq!(settings_of(&own, &variables, "").unwrap().provider.base_url.as_deref(), Some("http://127.0.0.1:8"));
    }
}

#[test]
fn an_openai_service_has_no_default_model() {
    let given = [PAIR[0], PAIR[1], ("target", "openai"), ("base_url", "http://127.0.0.1:1/v1")];
    assert_eq!(settings_of(&given, &[], "").unwrap().arms.models.resolve(None), "");
    assert_eq!(settings_of(&given, &[], "").unwrap().arms.models.resolve(Some("front")), "front");
    assert_eq!(settings_of(&given, &[], "model = \"file\"").unwrap().arms.models.resolve(None), "file");
}

#[test]
fn what_sends_nothing_needs_no_key_and_never_becomes_the_simulator_in_a_check() {
    let only = |variables: &[(&str, &str)], given: &[(&'static str, &str)]| {
        part(&[&[("cache", "only")], given].concat(), variables, "", |settings| {
            (settings.provider.target, settings.provider.key.is_some())
        })
    };
    for (variables, given) in [
        (&[("CI", "true")][..], &[][..]),
        (&[("CI", "true"), ("GEMINI_API_KEY", "")], &[]),
        (&[("GEMINI_API_KEY", "")], &[]),
        (&[("GEMINI_API_KEY_FILE", "no-such-file")], &[]),
        (&[], &[("target", "gemini")]),
        (&[], &[("base_url", "http://127.0.0.1:1")]),
    ] {
        assert_eq!(only(variables, given), Ok((TargetKind::Gemini, false)), "{variables:?} {given:?}");
    }
    assert_eq!(only(&[("GEMINI_API_KEY", "12345678")], &[]), Ok((TargetKind::Gemini, true)));
    assert_eq!(only(&[], &[]), Ok((TargetKind::Sim, false)));
    assert!(only(&[("GEMINI_API_KEY", "short")], &[]).is_err(), "it could not be masked");
}

#[test]
fn waits_between_attempts_are_settings() {
    let retry = |variables: &[(&str, &str)], file: &str| {
        settings_of(&PAIR, variables, file).map(|settings| settings.limits.retry())
    };
    assert_eq!(retry(&[], "").unwrap(), RetryPolicy::default());
    let policy =
        retry(&[("PROMPTGATE_RETRY_TOTAL", "5m")], "retry_base = \"250ms\"\nretry_max = 30\nretry_total = \"20m\"\n")
            .unwrap();
    assert_eq!(
        (policy.base, policy.max, policy.max_total),
        (Duration::from_millis(250), Duration::from_secs(30), Duration::from_secs(300))
    );
    // A long first wait alone lifts the longest.
    assert_eq!(retry(&[], "retry_base = \"2m\"").unwrap().max, Duration::from_secs(120));
    let text = message(settings_of(&PAIR, &[], "retry_base = 20\nretry_max = 10\n"));
    assert!(text.starts_with("promptgate.toml:2:13: is shorter than retry_base"), "{text}");
}

#[test]
fn prices_are_settings_of_the_file_alone() {
    let settings = settings_of(&PAIR, &[], "[prices.m]\ninput = 1\noutput = 2\n").unwrap();
    assert_eq!(settings.prices.list().own, 1);
    assert!(message(settings_of(&PAIR, &[], "[price.m]\ninput = 1\noutput = 2\n")).contains("did you mean `prices`?"));
    let both = message(settings_of(&PAIR, &[], "repeats = 3\n[prices.m]\ninput = 1\n"));
    assert!(both.contains("`repeats` is not a setting") && both.contains("`output` is missing"), "{both}");
    let settings = settings_of(&PAIR, &[("PROMPTGATE_MAX_TOKENS", "7")], "max_tokens = 9").unwrap();
    assert_eq!(settings.limits.max_tokens, Some(7));
}

#[test]
fn a_key_file_is_read_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "secret-key-1\n").unwrap();
    let settings = settings_of(&PAIR, &[("GEMINI_API_KEY_FILE", path.to_str().unwrap())], "").unwrap();
    assert_eq!(settings.provider.target, TargetKind::Gemini);
    assert_eq!(settings.provider.key_file, Some(path.clone()));
    assert!(!format!("{settings:?}").contains("secret"));
    let variables = [("GEMINI_API_KEY", "another-key"), ("GEMINI_API_KEY_FILE", path.to_str().unwrap())];
    assert_eq!(settings_of(&PAIR, &variables, "").unwrap().provider.key_file, None, "the variable wins");
}

#[test]
fn settings_can_be_looked_at_without_showing_a_key() {
    for name in ["GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY"] {
        let environment = environment(&[(name, "a-secret-key")]);
        let layers = Layers::read(Path::new("."), options(&PAIR), environment.clone());
        let written = format!("{layers:?}");
        let shown = format!("{written} {:?} {:?}", layers.settings(CallKind::Verdict), secrets(&environment));
        assert!(!shown.contains("a-secret-key"), "{shown}");
        assert_eq!(secrets(&environment).len(), 1);
    }
}

#[test]
fn without_a_baseline_a_pass_rate_is_required() {
    let none = [("prompt", "v2"), ("baseline", "none")];
    assert!(message(settings_of(&none, &[], "")).contains("--min-pass-rate"));
    assert!(settings_of(&[none[0], none[1], ("min_pass_rate", "0.9")], &[], "").is_ok());
    assert!(settings_of(&[none[0], none[1], ("no_gate", "true")], &[], "").is_ok());
    let beside = [("prompt", "v2"), ("baseline", "v1"), ("min_pass_rate", "0.9")];
    assert!(message(settings_of(&beside, &[], "")).contains("plays no part beside a baseline"));
    assert!(message(settings_of(&[("prompt", "v2")], &[], "")).contains("no baseline is named"));
    assert!(message(settings_of(&[("baseline", "v2")], &[], "")).contains("no prompt is named"));
}

#[test]
fn the_model_of_the_front_matter_loses_against_options_and_wins_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("promptgate.toml"), "model = \"file\"").unwrap();
    let model = |given: &[(&'static str, &str)], front: Option<&str>| {
        Layers::read(folder.path(), options(given), Environment::new()).models().resolve(front)
    };
    assert_eq!(model(&[], None), "file");
    assert_eq!(model(&[], Some("front")), "front");
    assert_eq!(model(&[("model", "option")], Some("front")), "option");
}

#[test]
fn unknown_variables_are_warned_about() {
    let settings = settings_of(&PAIR, &[("PROMPTGATE_REPEATS", "3")], "").unwrap();
    assert!(settings.warnings[0].to_string().contains("did you mean PROMPTGATE_REPEAT?"));
}

#[test]
fn version_delivery_and_strictness_come_from_every_place() {
    let seen = |given: &[(&'static str, &str)], variables: &[(&str, &str)], file: &str| {
        part(&[&[("target", "sim")], given].concat(), variables, file, |settings| {
            let strict = settings.gate.policy.strict_model;
            (settings.provider.api_version, settings.provider.delivery == Delivery::Stream, strict)
        })
        .unwrap()
    };
    let file = "api_version = \"v1\"\nstream = true\nstrict_model = true";
    assert_eq!(seen(&[], &[], ""), ("v1beta".to_owned(), false, false));
    assert_eq!(seen(&[], &[], file), ("v1".to_owned(), true, true));
    let variables =
        [("PROMPTGATE_API_VERSION", "v1alpha"), ("PROMPTGATE_STREAM", "false"), ("PROMPTGATE_STRICT_MODEL", "0")];
    assert_eq!(seen(&[], &variables, file), ("v1alpha".to_owned(), false, false));
    let given = [("api_version", "beta"), ("stream", "true"), ("strict_model", "true")];
    assert_eq!(seen(&given, &variables, ""), ("v1beta".to_owned(), true, true));
    let google = ("GOOGLE_GENAI_API_VERSION", "v2");
    assert_eq!(seen(&[], &[google], file).0, "v2");
    assert_eq!(seen(&[], &[google, variables[0]], file).0, "v1alpha");
    assert_eq!(seen(&[], &[("GOOGLE_GENAI_API_VERSION", " ")], file).0, "v1");
    for wrong in ["", "1", "v", "v1/x", "latest"] {
        let given = [&PAIR[..], &[("api_version", wrong)]].concat();
        let said = message(settings_of(&given, &[], ""));
        assert!(said.contains("no version of the api"), "{wrong}: {said}");
    }
}

#[test]
fn only_the_gemini_api_streams_and_has_versions() {
    let key = [
        ("GOOGLE_API_KEY", "12345678"),
        ("PROMPTGATE_ANSWERS", "a.jsonl"),
        ("PROMPTGATE_BASE_URL", "http://127.0.0.1:9"),
    ];
    for (target, streams, versioned) in [
        ("gemini", true, true),
        ("sim", true, true),
        ("vertex", false, false),
        ("openai", false, false),
        ("recorded", false, true),
    ] {
        let given = |more: &[(&'static str, &'static str)]| {
            let given = [&PAIR[..], &[("target", target)], more].concat();
            let answers = usize::from(target == "recorded");
            settings_of(
                &given,
                &[&key[..1], &key[1..1 + answers], &key[2..]].concat(),
                "stream = true\napi_version = \"v1\"",
            )
        };
        let batched = [("stream", "false"), ("batch", "true")];
        let settings = given(&batched[..usize::from(streams) * 2]).unwrap();
        assert_eq!(settings.provider.batch.is_some(), streams, "{target}");
        let settings = given(&[]).unwrap();
        assert_eq!(settings.provider.delivery == Delivery::Stream, streams, "{target}");
        assert_eq!(settings.provider.api_version == "v1", versioned, "{target}");
        for (option, value, fits) in
            [("stream", "true", streams), ("batch", "true", streams), ("api_version", "v1", versioned)]
        {
            let said = message(given(&[(option, value)]));
            let refused = said.contains("only the targets `gemini` and `sim`") && said.contains("leave it out");
            assert_eq!(refused, !fits, "{target} {option}: {said}");
        }
    }
}

#[test]
fn the_calibration_of_judges_has_a_usual_place_and_has_to_be_there_where_it_is_named() {
    let found = |given: &[(&'static str, &str)], variables: &[(&str, &str)], file: &str| {
        let found = part(given, variables, file, |settings| {
            let JudgeCalibration { path, named } = settings.scoring.judge_calibration;
            (path.strip_prefix(&settings.root).unwrap().display().to_string(), named)
        });
        found.unwrap()
    };
    let file = "judge_calibration = \"f.json\"";
    assert_eq!(found(&[], &[], ""), ("judge-calibration.json".to_owned(), false));
    assert_eq!(found(&[], &[], file), ("f.json".to_owned(), true));
    let variable = [("PROMPTGATE_JUDGE_CALIBRATION", "v.json")];
    assert_eq!(found(&[], &variable, file), ("v.json".to_owned(), true));
    assert_eq!(found(&[("judge_calibration", "o.json")], &variable, file), ("o.json".to_owned(), true));
    assert!(message(settings_of(&[&PAIR[..], &[("judge_calibration", " ")]].concat(), &[], "")).contains("is empty"));
}

#[test]
fn a_call_that_asks_judges_alone_needs_no_prompt_and_no_pass_rate() {
    let folder = tempfile::tempdir().unwrap();
    let layers = || Layers::read(folder.path(), options(&[("target", "sim"), ("margin", "0.1")]), environment(&[]));
    assert!(message(layers().settings(CallKind::Verdict)).contains("no prompt is named"));
    let settings = layers().settings(CallKind::Judges).unwrap();
    assert_eq!((settings.gate.policy.margin, settings.gate.gated), (0.1, false));
    // What is wrong elsewhere is still wrong.
    let wrong = Layers::read(folder.path(), options(&[("retries", "many")]), environment(&[]));
    assert!(message(wrong.settings(CallKind::Judges)).contains("--retries"));
}

#[test]
fn the_rules_of_tags_come_from_the_file_or_from_variables() {
    let policy = |variables: &[(&str, &str)], file: &str| settings_of(&PAIR_SIM, variables, file).unwrap().gate.policy;
    assert_eq!(policy(&[], ""), Policy::default());
    let file = "[gate]\nslice_margin = 0.2\nslice_q = 0.01\ncritical_tags = [\"b\", \"a\", \"b\"]\n";
    let expected = Policy {
        slice_margin: 0.2,
        slice_q: 0.01,
        critical_tags: vec!["a".to_owned(), "b".to_owned()],
        critical_margin: Some(0.2),
        ..Policy::default()
    };
    assert_eq!(policy(&[], file), expected);
    let variables = [("PROMPTGATE_CRITICAL_TAGS", "c, d"), ("PROMPTGATE_CRITICAL_MARGIN", "0.05")];
    let expected =
        Policy { critical_tags: vec!["c".to_owned(), "d".to_owned()], critical_margin: Some(0.05), ..expected };
    assert_eq!(policy(&variables, file), expected);
}

const PAIR_SIM: [(&str, &str); 3] = [("prompt", "v2"), ("baseline", "v1"), ("target", "sim")];

#[test]
fn rules_of_tags_out_of_range_are_reported_where_they_stand() {
    insta::assert_snapshot!(
        message(settings_of(
            &PAIR_SIM,
            &[("PROMPTGATE_SLICE_Q", "NaN")],
            "[gate]\nslice_margin = -1\ncritical_tags = \"a\"\ncritical_margin = 0.6\n",
        )), @"
    promptgate.toml:2:16: `slice_margin` is -1
      expected: more than 0, at most 1; 0.1 means 10 points of a tag's pass rate
    PROMPTGATE_SLICE_Q: `slice_q` is NaN
      expected: more than 0, at most 0.2; 0.05 means that one blocked tag in 20 may be blocked wrongly
    promptgate.toml:4:19: `critical_margin` is 0.6
      expected: more than 0, at most 0.5; 0.1 means 10 points of a critical tag's pass rate
    ");
    insta::assert_snapshot!(message(settings_of(&PAIR_SIM, &[], "slice_q = 0.1\n[gate]\ncritical_margin = 0.1\n")), @r#"
    promptgate.toml:1:1: `slice_q` is not a setting
      help: it stands in the table [gate]
    promptgate.toml:3:19: `critical_margin` plays no part without critical tags
      help: name them: critical_tags = ["refunds"]
    "#);
}

#[test]
fn guardrails_are_shares_and_off_unless_set() {
    let guardrails = |variables: &[(&str, &str)], file: &str| {
        let policy = settings_of(&PAIR_SIM, variables, file).unwrap().gate.policy;
        policy.guardrails
    };
    assert!(guardrails(&[], "").is_empty());
    let file = "[gate.guardrails]\nlatency_p95 = 0.2\ncost = 0.1\noutput_tokens = 1\nrefusal_rate = 0.02\ntruncation_rate = 0.5\n";
    let expected = Guardrails {
        latency_p95: Some(0.2),
        cost: Some(0.1),
        output_tokens: Some(1.0),
        refusal_rate: Some(0.02),
        truncation_rate: Some(0.5),
    };
    assert_eq!(guardrails(&[], file), expected);
    let variables = [("PROMPTGATE_GUARDRAIL_COST", "0.3")];
    assert_eq!(guardrails(&variables, file), Guardrails { cost: Some(0.3), ..expected });
}

#[test]
fn absurd_guardrails_are_reported_where_they_stand() {
    insta::assert_snapshot!(
        message(settings_of(
            &PAIR_SIM,
            &[("PROMPTGATE_GUARDRAIL_TRUNCATION_RATE", "nan"), ("PROMPTGATE_GUARDRAIL_COSTS", "1")],
            "[gate.guardrails]\nlatency_p95 = 20\ncost = 0\noutput_tokens = -0.1\nrefusal_rate = 0.6\n",
        )), @"
    promptgate.toml:2:15: `guardrail_latency_p95` is 20
      expected: more than 0, at most 5; 0.2 means 20% more than the baseline
    promptgate.toml:3:8: `guardrail_cost` is 0
      expected: more than 0, at most 5; 0.2 means 20% more than the baseline
    promptgate.toml:4:17: `guardrail_output_tokens` is -0.1
      expected: more than 0, at most 5; 0.2 means 20% more than the baseline
    promptgate.toml:5:16: `guardrail_refusal_rate` is 0.6
      expected: more than 0, at most 0.5; 0.02 means 2 points more than the baseline
    PROMPTGATE_GUARDRAIL_TRUNCATION_RATE: `guardrail_truncation_rate` is NaN
      expected: more than 0, at most 0.5; 0.02 means 2 points more than the baseline
    ");
    insta::assert_snapshot!(
        message(settings_of(&PAIR_SIM, &[], "[gate.guardrails]\nlatency_p95 = \"20%\"\ncost = inf\n")), @"
    promptgate.toml:2:15: `20%` is not a number; write a share, 0.2 for 20%
    promptgate.toml:3:8: `guardrail_cost` is inf
      expected: more than 0, at most 5; 0.2 means 20% more than the baseline
    ");
}

#[test]
fn rules_of_a_comparison_mean_nothing_without_a_baseline() {
    let given = [("prompt", "v2"), ("baseline", "none"), ("min_pass_rate", "0.9"), ("target", "sim")];
    for (file, place) in [("[gate]\ncritical_tags = [\"a\"]\n", "2:17"), ("[gate.guardrails]\ncost = 0.1\n", "2:8")] {
        let expected = "without a baseline there is nothing to be worse than, so it would promise what nobody checks\n  \
                        help: leave it out, name a baseline, or give --no-gate";
        assert_eq!(message(settings_of(&given, &[], file)), format!("promptgate.toml:{place}: {expected}"));
    }
}

#[test]
fn a_verdict_is_checked_without_a_key_and_by_bounded_settings() {
    let tested = |given: &[(&'static str, &str)], variables: &[(&str, &str)], file: &str, target: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("promptgate.toml"), file).unwrap();
        Layers::read(folder.path(), options(given), environment(variables)).verification(target, None)
    };
    // Nothing of this machine but what is tested plays a part: `eval` would want a key here.
    let settings = tested(&PAIR, &[("CI", "true"), ("GEMINI_API_KEY", "")], "margin = 0.04", "gemini").unwrap();
    assert_eq!((settings.policy.margin, settings.max_age), (0.04, Duration::from_secs(7 * 86_400)));
    let age = |text| tested(&[PAIR[0], PAIR[1], ("max_age", text)], &[], "", "sim").map(|settings| settings.max_age);
    assert_eq!(age("36h"), Ok(Duration::from_secs(129_600)));
    assert_eq!(age("365d"), Ok(Duration::from_secs(31_536_000)));
    for text in ["366d", "0", "-1d", "1w", "soon"] {
        let told = age(text).unwrap_err().to_string();
        assert!(told.contains("is not an age; expected something like 90m"), "{text}: {told}");
    }
    let told = tested(&[], &[], "", "oracle").unwrap_err().to_string();
    for problem in ["no prompt is named", "no baseline is named", "the verdict's target: `oracle`"] {
        assert!(told.contains(problem), "{told}");
    }
}

#[test]
fn what_ci_tells_of_the_base_wins_over_file_and_caller() {
    let ci = ("GITHUB_BASE_REF", "main");
    let base = |given: &[(&'static str, &str)], variables: &[(&str, &str)]| {
        let given = [&[("target", "sim")], given].concat();
        let base = |settings: Settings| (settings.gate.policy_base.rev, settings.gate.policy_base.instead);
        let (rev, instead) = part(&given, variables, "policy_base = \"mine\"", base).unwrap();
        format!("{} {}", rev.as_deref().unwrap_or("-"), instead.as_deref().unwrap_or("-"))
    };
    let variable = ("PROMPTGATE_POLICY_BASE", "v");
    assert_eq!(base(&[], &[]), "mine -");
    assert_eq!(base(&[], &[variable]), "v -");
    assert_eq!(base(&[("policy_base", "none")], &[]), "- -");
    assert_eq!(base(&[], &[ci]), "origin/main -");
    assert_eq!(base(&[], &[ci, variable]), "origin/main v");
    assert_eq!(base(&[("policy_base", "none")], &[ci]), "origin/main none");
    assert_eq!(base(&[("policy_base", "origin/main")], &[ci]), "origin/main -");
    let digest = "0123456789abcdef".repeat(2);
    for consent in
        [" ", "agreed", "abc=agreed", &format!("{digest}= "), &format!("{digest}=x\nagreed"), &"x".repeat(5_001)]
    {
        let told = message(settings_of(&[PAIR[0], PAIR[1], ("accept_weaker", consent)], &[], ""));
        assert!(told.contains("--accept-weaker: "), "{told}");
    }
}

#[test]
fn several_prompts_are_a_list_with_a_folder_each() {
    let settings =
        settings_of(&[("prompt", "v2, git:main:v3"), ("baseline", "v1"), ("target", "sim")], &[], "").unwrap();
    let folders: Vec<(&str, &str)> =
        settings.arms.candidates.iter().map(|candidate| (candidate.name.as_str(), candidate.folder.as_str())).collect();
    assert_eq!(settings.arms.prompt, "v2");
    assert_eq!(folders, [("v2", "v2"), ("git:main:v3", "v3")]);
    assert!(!settings.dataset.snapshots);
    let one = settings_of(&PAIR_SIM, &[], "").unwrap();
    assert!(one.arms.candidates.is_empty());
    for (baseline, message) in [("git:main", "a revision alone is another baseline"), ("v1", ""), ("git:main:v1", "")] {
        let settled = settings_of(&[("prompt", "v2,v3"), ("baseline", baseline), ("target", "sim")], &[], "");
        assert_eq!(settled.is_err(), !message.is_empty(), "{baseline}");
        if settled.is_err() {
            assert!(self::message(settled).contains(message), "{baseline}");
        }
    }
    let all_at_once =
        message(settings_of(&[("prompt", "v2,v2,,prompts/v2.md"), ("baseline", "v1"), ("target", "sim")], &[], ""));
    for told in ["a name between commas is empty", "`v2` is named twice", "in one folder, `v2`"] {
        assert!(all_at_once.contains(told), "{all_at_once}");
    }
}

#[test]
fn a_prompt_is_compared_with_itself_whatever_is_said_of_single_runs() {
    let settings_of = |given: &[(&'static str, &str)], variables: &[(&str, &str)], file: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("promptgate.toml"), file).unwrap();
        Layers::read(folder.path(), options(given), environment(variables)).settings(CallKind::SelfComparison)
    };
    let both = "candidate = \"v2\"\nbaseline = \"v1\"\n";
    for (given, variables, file, name) in [
        (&[][..], &[][..], both, "v1"),
        (&[("prompt", "v3")], &[], both, "v3"),
        (&[], &[("PROMPTGATE_BASELINE", "v4")], both, "v4"),
        // Without a baseline, and with what only such a run is asked for.
        (&[], &[("PROMPTGATE_MIN_PASS_RATE", "0.9")], "candidate = \"v2\"\nbaseline = \"none\"\n", "v2"),
        (&[], &[], "candidate = \"v2\"\nbaseline = \"git:main\"\n", "git:main:v2"),
        (&[], &[], "candidate = \"git:dev:v2\"\nbaseline = \"git:main\"\n", "git:main:v2"),
        (&[], &[], "baseline = \"git:main:v1\"\n", "git:main:v1"),
    ] {
        let settings = settings_of(given, variables, file).unwrap();
        assert_eq!(settings.arms.prompt, name);
        assert_eq!(settings.arms.baseline, Baseline::Prompt(name.to_owned()));
        assert!(!settings.gate.gated);
        assert_eq!(settings.gate.policy.min_pass_rate, None);
    }
    let shard = settings_of(&[], &[("PROMPTGATE_SHARD", "1/2")], both).unwrap();
    assert_eq!(shard.dataset.selection.shard, None);
    assert!(message(settings_of(&[], &[], "")).contains("no prompt is named"));
    assert!(
        message(settings_of(&[("answers", "a.jsonl"), ("target", "recorded")], &[], both))
            .contains("recorded answers can't")
    );
}

/// `docs/settings.md`, from the rows.
fn page_of_the_settings() -> String {
    let mut page = "# Settings\n\nWritten from the rows in `src/config/groups.rs` by a test; edit them there. Each is an option, a variable \
                    `PROMPTGATE_…`\n(upper case, `_` for `-`) and a key of promptgate.toml (`_` for `-`), unless the row says otherwise.\n"
        .to_owned();
    let tables = [
        ("[gate]", GateTable::DEFINITIONS),
        ("[gate.guardrails]", GuardrailTable::DEFINITIONS),
        ("[policy]", PolicyTable::DEFINITIONS),
    ];
    let headings = ["", "Cases", "Requests", "Decision"].map(|heading| {
        let top = groups::top().chain(groups::typed_only()).filter(move |definition| definition.heading == heading);
        (if heading.is_empty() { "General" } else { heading }, top.collect::<Vec<_>>())
    });
    let tables = tables.map(|(name, definitions)| (name, definitions.iter().collect()));
    for (heading, definitions) in headings.into_iter().chain(tables) {
        page += &format!("\n## {heading}\n\n| setting | default | |\n| --- | --- | --- |\n");
        for definition in definitions {
            let option = format!("--{} {}", definition.key.replace('_', "-"), definition.value_name);
            let name = match definition.scope {
                Scope::Project => definition.key.trim_start_matches("guardrail_"),
                Scope::Everywhere | Scope::OneCall | Scope::CommandLine => option.trim_end(),
            };
            let limits = match definition.scope {
                Scope::Everywhere => "",
                Scope::OneCall => "; not in the file",
                Scope::CommandLine => "; an option only",
                Scope::Project => "; no option",
            };
            let also = definition.variable.map_or_else(String::new, |name| format!("; also the variable `{name}`"));
            let default = definition.default.map_or_else(String::new, |default| format!("`{}`", default()));
            let (name, help) = (name.replace('|', "\\|"), definition.help.trim());
            let words = if let Kind::Words(words) = definition.kind {
                format!("; `{}`", words().join("`, `"))
            } else {
                String::new()
            };
            page += &format!("| `{name}` | {default} | {help}{words}{also}{limits} |\n");
        }
    }
    page
}

#[test]
fn the_page_of_the_settings_is_what_the_rows_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let page = page_of_the_settings();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/settings.md is stale; write it with INSTA_UPDATE=always cargo test --all-features the_page_of_the_settings"
    );
}
