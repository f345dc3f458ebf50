//! The matchers, one file each (close relatives share one), and their table.

mod bleu;
mod chrf;
mod code_block;
mod combinators;
mod command;
mod contains;
mod cost;
mod csv_shape;
mod equals;
mod expression;
mod finish_reason;
mod grounding;
mod json;
mod json_equals;
mod json_path;
mod json_schema;
pub(super) mod judge;
mod length;
mod limits;
mod markdown;
pub(super) mod no_pii;
pub(super) mod no_secrets;
mod number;
mod one_of;
mod prompt_leak;
pub(super) mod refusal;
pub(super) mod regex;
mod rouge;
mod script;
mod semantic;
mod similarity;
pub(super) mod snapshot;
mod starts_ends;
#[cfg(test)]
mod tests;
mod tool_calls;
mod xml;
mod yaml;

use super::definition::MatcherDef;

/// Every matcher, in the order in which the documentation lists them.
pub const MATCHERS: &[MatcherDef] = &[
    equals::EQUALS,
    contains::CONTAINS,
    contains::CONTAINS_ANY,
    contains::CONTAINS_ALL,
    starts_ends::STARTS_WITH,
    starts_ends::ENDS_WITH,
    one_of::ONE_OF,
    regex::REGEX,
    number::NUMBER,
    length::LENGTH,
    script::SCRIPT,
    json::JSON,
    json_schema::JSON_SCHEMA,
    json_path::JSON_PATH,
    json_equals::JSON_EQUALS,
    yaml::YAML,
    xml::XML,
    csv_shape::CSV,
    markdown::MARKDOWN,
    code_block::CODE_BLOCK,
    snapshot::SNAPSHOT,
    similarity::SIMILARITY,
    rouge::ROUGE,
    bleu::BLEU,
    chrf::CHRF,
    finish_reason::FINISH_REASON,
    refusal::REFUSAL,
    tool_calls::TOOL_CALLS,
    grounding::GROUNDING,
    no_secrets::NO_SECRETS,
    no_pii::NO_PII,
    prompt_leak::PROMPT_LEAK,
    limits::LATENCY,
    limits::TOKENS,
    semantic::SEMANTIC,
    judge::JUDGE,
    cost::COST,
    expression::CEL,
    command::COMMAND,
    combinators::NOT,
    combinators::ALL,
    combinators::ANY,
    combinators::AT_LEAST,
];
