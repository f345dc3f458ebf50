//! JSON Schema of promptgate.toml, from the definitions.

use super::definition::{Group as _, Scope};
use super::file::{GATE, GUARDRAIL, GUARDRAILS, POLICY};
use super::groups::{self, GateTable, GuardrailTable, PolicyTable};
use super::quarantine;
use super::tables::{self, object};
use serde_json::{Map, Value, json};

/// The schema (draft 2020-12) of promptgate.toml.
pub fn schema() -> Value {
    let settings = groups::top().filter(|definition| definition.scope != Scope::OneCall);
    let mut properties: Map<String, Value> =
        settings.map(|definition| (definition.key.to_owned(), definition.schema())).collect();
    if let Some(candidate) = properties.get("prompt").cloned() {
        properties.insert("candidate".to_owned(), candidate);
    }
    properties.extend(tables::schemas());
    let mut gate = object(&[GateTable::DEFINITIONS], &[]);
    gate["description"] = json!("what decides besides the score as a whole");
    let guardrails: Map<String, Value> = GuardrailTable::DEFINITIONS
        .iter()
        .filter_map(|definition| Some((definition.key.strip_prefix(GUARDRAIL)?.to_owned(), definition.schema())))
        .collect();
    gate["properties"][GUARDRAILS] = json!({
        "description": "how much worse than the baseline the candidate may be; what is not given is not looked at",
        "type": "object",
        "properties": guardrails,
        "additionalProperties": false,
    });
    gate["properties"][quarantine::TABLE] = quarantine::schema();
    properties.insert(GATE.to_owned(), gate);
    properties.insert(POLICY.to_owned(), object(&[PolicyTable::DEFINITIONS], &[]));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "settings of promptgate",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "not": {"required": ["prompt", "candidate"]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FileSettings;

    #[test]
    fn it_is_a_schema() {
        assert!(jsonschema::meta::is_valid(&schema()));
    }

    #[test]
    fn names_and_shapes_are_those_of_the_file() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        for (text, valid) in [
            ("", true),
            ("candidate = \"v2\"\nbaseline = \"none\"\nmin_pass_rate = 0.9", true),
            ("golden = \"golden\"\ntag = [\"a\", \"b\"]\nrepeat = 5", true),
            ("timeout = \"90s\"\nstream = true\nmargin = 0.03", true),
            ("[prices.m]\ninput = 1\noutput = 2.5\nlong = {input = 2, output = 5}", true),
            ("[[prices.m]]\ninput = 1\noutput = 2", true),
            ("dry_run = true", false),
            ("repeats = 3", false),
            ("golden = []", false),
            ("prompt = \"a\"\ncandidate = \"b\"", false),
            ("[judges.default]\nmodel = \"m\"\n[judges.local]\ntarget = \"openai\"", true),
            ("[judges.default]\nvotes = 3", false),
            ("[commands.sums]\nargv = [\"python3\", \"sums.py\"]\ntimeout = \"10s\"", true),
            ("[commands.sums]\ntimeout = \"10s\"", false),
            ("[gate]\nslice_margin = 0.2\nslice_q = 0.01\ncritical_tags = [\"a\"]\ncritical_margin = 0.05", true),
            (
                "[gate.guardrails]\nlatency_p95 = 0.2\ncost = 0.1\noutput_tokens = 1\nrefusal_rate = 0.02\ntruncation_rate = 0.01",
                true,
            ),
            ("[policy]\naccept_signers = \".github/signers\"", true),
            ("[policy]\nsigners = \"a\"", false),
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
            assert_eq!(validator.is_valid(&serde_json::to_value(&written).unwrap()), valid, "{text}");
            let problems = FileSettings::of_text(text, "promptgate.toml").err().unwrap_or_default();
            assert_eq!(problems.is_empty(), valid, "{text}: {problems}");
        }
    }
}
