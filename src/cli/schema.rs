//! `promptgate schema`.

use super::options::SchemaOf;
use super::terminal::print_json;
use crate::{config, dataset, exit, prompt, scoring};

pub(super) fn schema(of: SchemaOf) -> u8 {
    let schema = match of {
        SchemaOf::Golden => dataset::schema(scoring::schema()),
        SchemaOf::PromptgateToml => config::schema(),
        SchemaOf::Prompt => prompt::schema(),
    };
    print_json(&schema);
    exit::OK
}
