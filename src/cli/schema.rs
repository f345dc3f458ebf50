//! `promptgate schema`.

use super::options::SchemaOf;
use super::say;
use crate::{config, dataset, exit, prompt, scoring};

pub(super) fn schema(of: SchemaOf) -> u8 {
    let schema = match of {
        SchemaOf::Golden => dataset::schema(scoring::schema()),
        SchemaOf::PromptgateToml => config::schema(),
        SchemaOf::Prompt => prompt::schema(),
    };
    say(&serde_json::to_string_pretty(&schema).unwrap_or_default());
    exit::OK
}
