//! `promptgate schema`.

use super::options::SchemaOf;
use super::say;
use crate::load::{golden, prompt};
use crate::{exit, score, settings};

pub(super) fn schema(of: SchemaOf) -> u8 {
    let schema = match of {
        SchemaOf::Golden => golden::schema(score::schema()),
        SchemaOf::PromptgateToml => settings::schema(),
        SchemaOf::Prompt => prompt::schema(),
    };
    say(&serde_json::to_string_pretty(&schema).unwrap_or_default());
    exit::OK
}
