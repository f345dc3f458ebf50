//! `[judges.NAME]` in promptgate.toml: the models that read answers against a rubric.
//!
//! ```toml
//! [judges.default]          # the one that a check means that names none
//! target = "gemini"         # gemini, openai or sim; default: as the run's target
//! model = "gemini-3.8-pro"  # default: the target's own
//! base_url = "http://localhost:11434/v1"
//! prompt = "prompts/judge/default.prompt"   # default: a built-in one
//! ```

use super::target::{names, target_kind};
use crate::domain::{Place, Problem, Problems};
use crate::provider::ApiKey;
use crate::provider::TargetKind;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Spanned, Value};

/// The table's name in the file.
pub(super) const TABLE: &str = "judges";

const KEYS: &str = "target, model, base_url and prompt";

/// One judge, as it is written.
#[derive(Clone, Debug)]
pub struct JudgeSettings {
    /// What answers its questions; `None` for the target of the run.
    pub target: Option<TargetKind>,
    /// Its model; `None` for the target's own.
    pub model: Option<String>,
    /// Where it is, where that is not the usual place.
    pub base_url: Option<String>,
    /// Its prompt; `None` for the built-in one.
    pub prompt: Option<String>,
    /// The key of its target, if it has one of its own.
    pub key: Option<ApiKey>,
    /// Where it stands.
    pub place: Place,
}

/// Judges by name.
pub(super) type Judges = BTreeMap<String, JudgeSettings>;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    judges: BTreeMap<Spanned<String>, Value>,
}

/// Reads the judges of a file that is known to be TOML.
pub(super) fn read(text: &str, shown: &str) -> Result<Judges, Problems> {
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Problem::at(Place::of_offset(shown, text, at), error.message().to_owned())
            .expected("a table for each judge, like [judges.default]")
    })?;
    let mut judges = Judges::new();
    let mut problems = Problems::default();
    for (name, value) in file.judges {
        let place = Place::of_offset(shown, text, name.span().start);
        let name = name.into_inner();
        match judge(&value, &place) {
            Ok(judge) => {
                judges.insert(name, judge);
            }
            Err((message, expected)) => {
                problems.push(Problem::at(place, format!("the judge `{name}`: {message}")).expected(expected));
            }
        }
    }
    problems.or(judges)
}

fn judge(value: &Value, place: &Place) -> Result<JudgeSettings, (String, String)> {
    let Some(table) = value.as_table() else {
        return Err(("not a table".to_owned(), KEYS.to_owned()));
    };
    let mut judge = JudgeSettings {
        target: None,
        model: None,
        base_url: None,
        prompt: None,
        key: None,
        place: place.clone(),
    };
    for (key, value) in table {
        let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
        let known = matches!(key.as_str(), "target" | "model" | "base_url" | "prompt");
        let Some(text) = text.filter(|_| known) else {
            return Err(match known {
                true => (
                    format!("`{key}` is not a text"),
                    "a text with something in it".to_owned(),
                ),
                false => (format!("`{key}` is not known"), KEYS.to_owned()),
            });
        };
        match key.as_str() {
            "target" => {
                let usable = names(|def| def.judges);
                let target = target_kind(text).map_err(|message| (message, usable.clone()))?;
                if !target.def().judges {
                    return Err((format!("`{text}` can't be a judge"), usable));
                }
                judge.target = Some(target);
            }
            "model" => judge.model = Some(text.to_owned()),
            "base_url" => judge.base_url = Some(text.to_owned()),
            _ => judge.prompt = Some(text.to_owned()),
        }
    }
    Ok(judge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_have_names_and_few_settings() {
        let text = "[judges.default]\n[judges.local]\ntarget = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\nprompt = \"prompts/judge/strict.prompt\"\n";
        let judges = read(text, "f").unwrap();
        assert_eq!(judges["default"].target, None);
        let local = &judges["local"];
        assert_eq!(local.target, Some(TargetKind::OpenAi));
        assert_eq!(local.model.as_deref(), Some("m"));
        assert!(read("margin = 0.1", "f").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_listed_together() {
        let text = "[judges.a]\ntarget = \"recorded\"\n[judges.b]\nmodel = \"\"\n[judges.c]\nvotes = 3\n[judges]\n";
        let text = text.replace("[judges]\n", "[judges.d]\ntarget = 1\n");
        insta::assert_snapshot!(read(&text, "f.toml").unwrap_err(), @r"
        f.toml:1:9: the judge `a`: `recorded` can't be a judge
          expected: gemini, openai or sim
        f.toml:3:9: the judge `b`: `model` is not a text
          expected: a text with something in it
        f.toml:5:9: the judge `c`: `votes` is not known
          expected: target, model, base_url and prompt
        f.toml:7:9: the judge `d`: `target` is not a text
          expected: a text with something in it
        ");
    }
}
