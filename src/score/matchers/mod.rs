//! The matchers, one file each (close relatives share one), and their table.

mod affix;
mod bleu;
mod chrf;
mod combinators;
mod contains;
mod equals;
mod json;
mod json_schema;
mod length;
mod number;
mod one_of;
mod regex;
mod rouge;
mod script;
mod similarity;
#[cfg(test)]
mod tests;

use super::matcher::MatcherDef;

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
    similarity::SIMILARITY,
    rouge::ROUGE,
    bleu::BLEU,
    chrf::CHRF,
    combinators::NOT,
    combinators::ALL,
    combinators::ANY,
    combinators::AT_LEAST,
];
