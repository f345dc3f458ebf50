//! The matchers, one file each (close relatives share one), and their table.

mod affix;
mod code_block;
pub(super) mod combinators;
mod command;
mod contains;
mod csv_shape;
mod equals;
mod expression;
mod expression_bounds;
mod finish_reason;
mod json;
mod json_equals;
mod json_path;
mod json_schema;
mod length;
mod markdown;
mod no_pii;
mod no_secrets;
mod number;
mod one_of;
mod prompt_leak;
mod refusal;
mod regex;
mod similarity;
mod spent;
#[cfg(test)]
mod tests;
mod tool_calls;
mod xml;
mod yaml;

use super::matcher::MatcherDef;
use serde_json::Value;

/// Every matcher, in the order in which the documentation lists them.
pub const MATCHERS: &[MatcherDef] = &[
    equals::EQUALS,
    contains::CONTAINS,
    contains::CONTAINS_ANY,
    contains::CONTAINS_ALL,
    affix::STARTS_WITH,
    affix::ENDS_WITH,
    one_of::ONE_OF,
    regex::REGEX,
    number::NUMBER,
    length::LENGTH,
    json::JSON,
    json_schema::JSON_SCHEMA,
    json_path::JSON_PATH,
    json_equals::JSON_EQUALS,
    yaml::YAML,
    xml::XML,
    csv_shape::CSV,
    markdown::MARKDOWN,
    code_block::CODE_BLOCK,
    similarity::SIMILARITY,
    finish_reason::FINISH_REASON,
    refusal::REFUSAL,
    tool_calls::TOOL_CALLS,
    no_secrets::NO_SECRETS,
    no_pii::NO_PII,
    prompt_leak::PROMPT_LEAK,
    spent::LATENCY,
    spent::TOKENS,
    spent::COST,
    expression::CEL,
    command::COMMAND,
    combinators::NOT,
    combinators::ALL,
    combinators::ANY,
];

/// Where the checks stand in the arguments of a matcher that combines: `not`, `all` and `any` have nothing else, the
/// others have one under `check`.
pub(super) fn inner_checks<'a>(matcher: &str, args: &'a mut Value) -> Vec<&'a mut Value> {
    match (matcher, args) {
        ("tool_calls", args) => tool_calls::argument_checks(args),
        ("not" | "all" | "any", Value::Array(list)) => list.iter_mut().collect(),
        ("not" | "all" | "any", check) => vec![check],
        (_, args) => args.get_mut("check").into_iter().collect(),
    }
}
