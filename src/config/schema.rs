//! JSON Schema of promptgate.toml, from the list of settings.

use super::layers::{KEYS, ONE_CALL, may_be_list};
use super::{commands, embeddings, gate, judges, prices};
use crate::provider::{ProviderDef, TargetKind};
use serde_json::{Map, Value, json};

/// The schema (draft 2020-12) of promptgate.toml. It knows the plain way to write a value: a number as a number, not as
/// a text.
pub fn schema() -> Value {
    let mut properties: Map<String, Value> = KEYS
        .iter()
        .filter(|key| !ONE_CALL.contains(key))
        .map(|key| ((*key).to_owned(), of_setting(key)))
        .collect();
    let mut candidate = of_setting("prompt");
    candidate["description"] = json!("the candidate (green), or several to pick the best of: the same as `prompt`");
    properties.insert("candidate".to_owned(), candidate);
    properties.insert(prices::TABLE.to_owned(), own_prices());
    properties.insert(judges::TABLE.to_owned(), own_judges());
    properties.insert(embeddings::TABLE.to_owned(), own_embeddings());
    properties.insert(commands::TABLE.to_owned(), own_commands());
    properties.insert(gate::TABLE.to_owned(), of_gate());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "settings of promptgate",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "not": {"required": ["prompt", "candidate"]},
    })
}

/// A setting; one that can be a list may be a single value, too.
fn of_setting(key: &str) -> Value {
    // A test holds that every setting is described; one that is not may be anything that a file can hold.
    let one = of_key(key).unwrap_or_else(|| json!({"type": ["string", "number", "boolean"]}));
    if may_be_list(key) {
        let description = one["description"].clone();
        json!({"description": description, "anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
    } else {
        one
    }
}

/// The names of the targets that fit.
fn targets(fits: fn(&ProviderDef) -> bool) -> Vec<&'static str> {
    let fitting = TargetKind::ALL.iter().filter(|kind| fits(kind.def()));
    fitting.map(|kind| kind.as_str()).collect()
}

fn of_key(key: &str) -> Option<Value> {
    let text = |what: &str| json!({"description": what, "type": "string", "minLength": 1});
    let flag = |what: &str| json!({"description": what, "type": "boolean"});
    let words = |what: &str, words: &[&str]| json!({"description": what, "enum": words});
    let count = |what: &str, least: u64, most: Option<u64>| {
        let mut schema = json!({"description": what, "type": "integer", "minimum": least});
        if let Some(most) = most {
            schema["maximum"] = json!(most);
        }
        schema
    };
    let time = |what: &str| json!({"description": what, "type": "string", "pattern": "^ *[0-9]"});
    let share =
        |what: &str, most: f64| json!({"description": what, "type": "number", "exclusiveMinimum": 0, "maximum": most});
    Some(match key {
        "prompt" => text("the candidate (green): a name in prompts/, a path, or git:REV:NAME"),
        "baseline" => text("the baseline (blue): likewise, git:REV for the same name at a revision, or none"),
        "golden" => text("golden files and folders"),
        "case" => text("only these cases"),
        "tag" => text("only cases with any of these tags"),
        "limit" => count("only the first of the selected cases", 1, None),
        "repeat" => count("samples per case and arm", 1, Some(1000)),
        "target" => words("what answers", &targets(|_| true)),
        "model" => text("the model where a prompt names none"),
        "base_url" => text("base URL of the service"),
        "api_version" => text("version of the service's API"),
        "stream" => flag("stream the answers"),
        "batch" => flag("ask through the batch API: half the price, answered within a day"),
        "batch_poll" => time("the first pause before looking at batch jobs"),
        "batch_wait" => time("how long to wait for batch jobs"),
        "project" => text("project of Google Cloud, for the target vertex"),
        "location" => text("location of the target vertex: global, us, eu or a region"),
        "judge_calibration" => text("file of `promptgate judge calibrate`: how far judges agree with people"),
        "snapshots" => words(
            "whether answers that differ from the approved ones are proposed for review",
            &["write", "no"],
        ),
        "answers" => text("recorded answers, for the target recorded"),
        "concurrency" => count("requests at once", 1, Some(1024)),
        "rpm" => count("requests a minute", 1, Some(1_000_000)),
        "tpm" => count(
            "input tokens a minute, estimated on this machine",
            1,
            Some(u64::from(u32::MAX)),
        ),
        "timeout" => time("time for one attempt, like 500ms, 60s or 2m"),
        "retries" => count("attempts beyond the first", 0, Some(100)),
        "retry_base" => time("the first wait between attempts"),
        "retry_max" => time("the longest wait between attempts"),
        "retry_total" => time("all waits of one answer together"),
        "max_cost" => {
            json!({"description": "US dollars after which nothing more is asked", "type": "number", "exclusiveMinimum": 0})
        }
        "max_requests" => count("requests after which nothing more is asked", 1, None),
        "max_tokens" => count("tokens of answers after which nothing more is asked", 1, None),
        "cache" => words("how stored answers are used", &["use", "refresh", "off", "only"]),
        "shard" => {
            json!({"description": "one part of the dataset, like 2/8", "type": "string", "pattern": "^[0-9]+/[0-9]+$"})
        }
        "out" => text("output folder"),
        "quiet" => flag("print only the last line"),
        "color" => words("when to colour", &["auto", "always", "never"]),
        "margin" => share(
            "promote only if being worse by this share of cases or more is excluded",
            0.5,
        ),
        "tolerance" => share("block if being worse by more than this share is demonstrated", 0.5),
        "alpha" => share("chance of each wrong decision", 0.2),
        "min_pass_rate" => {
            json!({"description": "without a baseline: the pass rate that must be exceeded", "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})
        }
        "attempts" => count(
            "looks at the same that are planned before the first; each adds the repeats again",
            1,
            Some(10),
        ),
        "metric" => words(
            "what an answer scores: 1 for a pass, or what its checks scored",
            &["pass", "score"],
        ),
        "estimand" => words(
            "what the difference is about: cases like these, or exactly these",
            &["population", "dataset"],
        ),
        "sequential" => flag("look three times, with shares of the error, and stop as soon as it is decided"),
        "max_age" => time("how old a verdict may be that `verify` and `promote` take, like 36h or 7d"),
        "policy_base" => text("git revision whose merge base with HEAD must not have asked for more, or none"),
        "strict_model" => flag("inconclusive if another model served than the one asked for"),
        _ => return None,
    })
}

/// Models of embeddings by name, see `embeddings`.
fn own_embeddings() -> Value {
    let text = json!({"type": "string", "pattern": "\\S"});
    json!({
        "description": "models that make vectors of texts; a check that names none means `default`",
        "type": "object",
        "additionalProperties": {"anyOf": [
            {
                "type": "object",
                "properties": {
                    "target": {"enum": ["gemini", "sim"]},
                    "model": text,
                    "base_url": text,
                    "dimensions": {"type": "integer", "minimum": 2, "maximum": 10000},
                },
                "additionalProperties": false,
            },
            {
                "type": "object",
                "properties": {"path": text},
                "required": ["path"],
                "additionalProperties": false,
            },
        ]},
    })
}

/// The rules beside the score as a whole, see `gate`.
fn of_gate() -> Value {
    let share =
        |what: &str, most: f64| json!({"description": what, "type": "number", "exclusiveMinimum": 0, "maximum": most});
    let tag = json!({"type": "string", "pattern": "\\S"});
    json!({
        "description": "what decides beside the score as a whole",
        "type": "object",
        "properties": {
            "slice_margin": share("a tag blocks, or holds a promotion, only from this loss on", 1.0),
            "slice_q": share("share of blocked tags that are blocked wrongly, on average", 0.2),
            "critical_tags": {
                "description": "tags for which a loss of critical_margin must be excluded",
                "anyOf": [tag, {"type": "array", "items": tag, "minItems": 1}],
            },
            "critical_margin": share("the loss that critical tags must exclude; default: slice_margin", 0.5),
            "guardrails": {
                "description": "how much worse than the baseline the candidate may be; what is not given is not looked at",
                "type": "object",
                "properties": {
                    "latency_p95": share("95th percentile of the latency, as a share of the baseline's", 5.0),
                    "cost": share("cost of a case, as a share of the baseline's", 5.0),
                    "output_tokens": share("output tokens, as a share of the baseline's", 5.0),
                    "refusal_rate": share("share of refusals, in points of it", 0.5),
                    "truncation_rate": share("share of answers that are cut off, in points of it", 0.5),
                },
                "additionalProperties": false,
            },
            "quarantine": {
                "description": "tags whose cases don't decide, each with the last day on which they don't; at most 90 days ahead",
                "type": "object",
                "propertyNames": {"pattern": "^\\S(.*\\S)?$"},
                // A day of TOML's own becomes a text of JSON.
                "additionalProperties": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
                "maxProperties": 100,
            },
        },
        "additionalProperties": false,
    })
}

/// Judges by name, see `judges`.
fn own_judges() -> Value {
    let text = json!({"type": "string", "pattern": "\\S"});
    json!({
        "description": "models that read answers against a rubric; a check that names none means `default`",
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {
                "target": {"enum": targets(|def| def.judges)},
                "model": text,
                "base_url": text,
                "prompt": text,
            },
            "additionalProperties": false,
        },
    })
}

/// Commands by name, see `commands`.
fn own_commands() -> Value {
    json!({
        "description": "commands of your own that judge answers",
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {
                "argv": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "timeout": {"type": "string", "pattern": "^ *[0-9]"},
                "env": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["argv"],
            "additionalProperties": false,
        },
    })
}

/// Prices by model, see `prices`.
fn own_prices() -> Value {
    let dollars = json!({"type": "number", "minimum": 0});
    let rates = |more: Value| {
        let mut properties = json!({"input": dollars, "output": dollars, "cached": dollars});
        if let (Value::Object(properties), Value::Object(more)) = (&mut properties, more) {
            properties.extend(more);
        }
        json!({
            "type": "object",
            "properties": properties,
            "required": ["input", "output"],
            "additionalProperties": false,
        })
    };
    // A local date of TOML is a text in the JSON that editors make of it.
    let entry = rates(json!({"from": {}, "long": rates(json!({}))}));
    json!({
        "description": "own prices of models, in US dollars per million tokens",
        "type": "object",
        "additionalProperties": {"anyOf": [entry, {"type": "array", "items": entry, "minItems": 1}]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layer;
    use crate::domain::Problems;

    #[test]
    fn every_setting_is_described() {
        for key in KEYS.iter().filter(|key| !ONE_CALL.contains(key)) {
            assert!(
                of_key(key).is_some_and(|schema| schema["description"].is_string()),
                "{key}"
            );
        }
        assert!(jsonschema::meta::is_valid(&schema()));
    }

    #[test]
    fn names_and_shapes_are_those_of_the_file() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("promptgate.toml");
        for (text, valid) in [
            ("", true),
            ("candidate = \"v2\"\nbaseline = \"none\"\nmin_pass_rate = 0.9", true),
            ("golden = \"golden\"\ntag = [\"a\", \"b\"]\nrepeat = 5", true),
            ("timeout = \"90s\"\nstream = true\nmargin = 0.03", true),
            (
                "[prices.m]\ninput = 1\noutput = 2.5\nlong = {input = 2, output = 5}",
                true,
            ),
            ("[[prices.m]]\ninput = 1\noutput = 2", true),
            ("dry_run = true", false),
            ("repeats = 3", false),
            ("golden = []", false),
            ("prompt = \"a\"\ncandidate = \"b\"", false),
            (
                "[judges.default]\nmodel = \"m\"\n[judges.local]\ntarget = \"openai\"",
                true,
            ),
            ("[judges.default]\nvotes = 3", false),
            (
                "[commands.sums]\nargv = [\"python3\", \"sums.py\"]\ntimeout = \"10s\"",
                true,
            ),
            ("[commands.sums]\ntimeout = \"10s\"", false),
            (
                "[gate]\nslice_margin = 0.2\nslice_q = 0.01\ncritical_tags = [\"a\"]\ncritical_margin = 0.05",
                true,
            ),
            (
                "[gate.guardrails]\nlatency_p95 = 0.2\ncost = 0.1\noutput_tokens = 1\nrefusal_rate = 0.02\ntruncation_rate = 0.01",
                true,
            ),
            ("[gate.guardrails]\nlatency = 0.2", false),
            ("[gate.quarantine]\nflaky = \"2026-12-31\"", true),
            ("[gate.quarantine]\nflaky = \"soon\"", false),
            ("[gate.quarantine]\n\" flaky\" = \"2026-12-31\"", false),
            ("[gate]\nquarantine = [\"flaky\"]", false),
            ("[gate]\nguardrails = 3", false),
            ("[gate]\nslice_margins = 0.2", false),
            ("[gate]\ncritical_tags = []", false),
            ("slice_margin = 0.2", false),
            ("[prices.m]\ninput = 1", false),
            ("[prices.m]\ninput = 1\noutput = 2\nbatch = 1", false),
        ] {
            let written: toml::Value = toml::from_str(text).unwrap();
            assert_eq!(
                validator.is_valid(&serde_json::to_value(&written).unwrap()),
                valid,
                "{text}"
            );
            std::fs::write(&path, text).unwrap();
            let mut problems = Problems::default();
            Layer::from_file(&path, "promptgate.toml", true, &mut problems);
            assert_eq!(problems.is_empty(), valid, "{text}: {problems}");
        }
    }
}
