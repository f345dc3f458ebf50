//! `[embeddings.NAME]` in promptgate.toml: the models that make vectors of texts.
//!
//! ```toml
//! [embeddings.default]      # the one that a check means that names none
//! target = "gemini"         # gemini, openai or sim; default: as the run's target
//! model = "gemini-embedding-001"
//! base_url = "http://localhost:8080"
//! dimensions = 768          # default: as many as the model gives
//!
//! [embeddings.local]
//! path = "models/potion"    # a folder with a static model, as model2vec writes it; nothing is sent
//! ```

use super::target::{names, target_kind};
use crate::domain::{Place, Problem, Problems};
use crate::provider::ApiKey;
use crate::provider::TargetKind;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Spanned, Value};

/// The table's name in the file.
pub(super) const TABLE: &str = "embeddings";

const KEYS: &str = "target, model, base_url and dimensions, or path";

/// The most numbers of a vector.
const MOST_DIMENSIONS: i64 = 10_000;

/// One model of embeddings, as it is written.
#[derive(Clone, Debug)]
pub struct EmbeddingSettings {
    /// Whom it is asked of; `None` for the target of the run.
    pub target: Option<TargetKind>,
    /// The model; `None` for the target's own.
    pub model: Option<String>,
    /// Where it is, where that is not the usual place.
    pub base_url: Option<String>,
    /// Numbers of a vector; `None` for as many as the model gives.
    pub dimensions: Option<u32>,
    /// The folder of a static model, below the project; then nothing is asked.
    pub path: Option<String>,
    /// The key of its target, if it has one of its own.
    pub key: Option<ApiKey>,
    /// Where it stands.
    pub place: Place,
}

impl EmbeddingSettings {
    fn at(place: &Place) -> EmbeddingSettings {
        EmbeddingSettings {
            target: None,
            model: None,
            base_url: None,
            dimensions: None,
            path: None,
            key: None,
            place: place.clone(),
        }
    }
}

/// Models by name.
pub(super) type Own = BTreeMap<String, EmbeddingSettings>;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    embeddings: BTreeMap<Spanned<String>, Value>,
}

/// Reads the models of a file that is known to be TOML.
pub(super) fn read(text: &str, shown: &str) -> Result<Own, Problems> {
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Problem::at(Place::of_offset(shown, text, at), error.message().to_owned())
            .expected("a table for each model, like [embeddings.default]")
    })?;
    let mut own = Own::new();
    let mut problems = Problems::default();
    for (name, value) in file.embeddings {
        let place = Place::of_offset(shown, text, name.span().start);
        let name = name.into_inner();
        match one(&value, &place) {
            Ok(one) => {
                own.insert(name, one);
            }
            Err((message, expected)) => {
                problems.push(Problem::at(place, format!("the embeddings `{name}`: {message}")).expected(expected));
            }
        }
    }
    problems.or(own)
}

fn one(value: &Value, place: &Place) -> Result<EmbeddingSettings, (String, String)> {
    let Some(table) = value.as_table() else {
        return Err(("not a table".to_owned(), KEYS.to_owned()));
    };
    let mut one = EmbeddingSettings::at(place);
    for (key, value) in table {
        if key == "dimensions" {
            let number = value
                .as_integer()
                .filter(|number| (2..=MOST_DIMENSIONS).contains(number));
            let Some(number) = number.and_then(|number| u32::try_from(number).ok()) else {
                return Err((
                    format!("`dimensions` is {value}"),
                    format!("a whole number from 2 to {MOST_DIMENSIONS}"),
                ));
            };
            one.dimensions = Some(number);
            continue;
        }
        let known = matches!(key.as_str(), "target" | "model" | "base_url" | "path");
        if !known {
            return Err((format!("`{key}` is not known"), KEYS.to_owned()));
        }
        let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
        let Some(text) = text else {
            return Err((
                format!("`{key}` is not a text"),
                "a text with something in it".to_owned(),
            ));
        };
        match key.as_str() {
            "target" => {
                let usable = names(|def| def.embedding.is_some());
                let target = target_kind(text).map_err(|message| (message, usable.clone()))?;
                if !target.def().embedding.is_some() {
                    return Err((format!("`{text}` can't embed texts"), usable));
                }
                one.target = Some(target);
            }
            "model" => one.model = Some(text.to_owned()),
            "base_url" => one.base_url = Some(text.to_owned()),
            _ => one.path = Some(text.to_owned()),
        }
    }
    let EmbeddingSettings {
        target,
        model,
        base_url,
        dimensions,
        path,
        ..
    } = &one;
    let asked = target.is_some() || model.is_some() || base_url.is_some() || dimensions.is_some();
    if path.is_some() && asked {
        return Err((
            "`path` is a model in the project, and the other settings are for one that is asked".to_owned(),
            KEYS.to_owned(),
        ));
    }
    Ok(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_asked_or_lie_in_the_project() {
        let text = "[embeddings.default]\n[embeddings.near]\ntarget = \"gemini\"\nmodel = \"m\"\nbase_url = \"http://127.0.0.1:1\"\n\
                    dimensions = 768\n[embeddings.local]\npath = \"models/potion\"\n";
        let own = read(text, "f").unwrap();
        assert_eq!(own["default"].target, None);
        assert_eq!(
            (own["near"].target, own["near"].dimensions),
            (Some(TargetKind::Gemini), Some(768))
        );
        assert_eq!(own["local"].path.as_deref(), Some("models/potion"));
        assert!(read("margin = 0.1", "f").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_listed_together() {
        let text = "[embeddings.a]\ntarget = \"vertex\"\n[embeddings.b]\nmodel = \"\"\n[embeddings.c]\npaht = \"m\"\n\
                    [embeddings.d]\ndimensions = 0\n[embeddings.e]\npath = \"m\"\nmodel = \"x\"\n";
        insta::assert_snapshot!(read(text, "promptgate.toml").unwrap_err(), @"
        promptgate.toml:1:13: the embeddings `a`: `vertex` can't embed texts
          expected: gemini, openai or sim
        promptgate.toml:3:13: the embeddings `b`: `model` is not a text
          expected: a text with something in it
        promptgate.toml:5:13: the embeddings `c`: `paht` is not known
          expected: target, model, base_url and dimensions, or path
        promptgate.toml:7:13: the embeddings `d`: `dimensions` is 0
          expected: a whole number from 2 to 10000
        promptgate.toml:9:13: the embeddings `e`: `path` is a model in the project, and the other settings are for one that is asked
          expected: target, model, base_url and dimensions, or path
        ");
    }
}
