//! The matchers, one file each (close relatives share one), and their table.

mod affix;
mod bleu;
mod chrf;
mod code_block;
pub(super) mod combinators;
mod command;
mod contains;
mod cost;
mod csv_shape;
mod equals;
mod expression;
mod expression_bounds;
mod finish_reason;
mod grounding;
mod json;
mod json_equals;
mod json_path;
mod json_schema;
pub(super) mod judge;
mod length;
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
    spent::LATENCY,
    spent::TOKENS,
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

/// Where the checks stand in the arguments of a matcher that combines: `not`, `all` and `any` have nothing else,
/// `at_least` has a list under `of`; the others judge parts of the answer, `regex` by one under `is`, `tool_calls` by
/// those of its arguments, the rest by one under `check`.
pub(super) fn inner_checks<'a>(matcher: &str, args: &'a mut Value) -> Vec<&'a mut Value> {
    let args = match matcher {
        "tool_calls" => return tool_calls::argument_checks(args),
        "not" | "all" | "any" => Some(args),
        "at_least" => args.get_mut("of"),
        "regex" => args.get_mut("is"),
        _ => args.get_mut("check"),
    };
    match args {
        Some(Value::Array(list)) => list.iter_mut().collect(),
        args => args.into_iter().collect(),
    }
}
