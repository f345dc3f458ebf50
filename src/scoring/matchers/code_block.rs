//! `code_block`: fenced code blocks of a language are there, so many, and hold a check.

use super::json_path::ValueScores;
use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Bounds, Fields, Read, bounds, needle, not_a, wrong};
use crate::scoring::code_fence::blocks;
use crate::scoring::definition::{Children, Compile, MatcherDef, Sample};
use crate::scoring::inner_check::PartCheck;
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::quote::quote;
use serde_json::Value;

pub(super) const CODE_BLOCK: MatcherDef = MatcherDef {
    name: "code_block",
    summary: "the answer has fenced code blocks of this language, so many, and the content of each holds the check",
    arguments: "\"language\", or {language, count: 1 or {min, max}, check: any check}; the language is the word after the \
                opening fence, without regard to letter case; without it every block counts; without `count` at least \
                one must be there; a block that is never closed is none; check: on each block's lines without the fences",
    schema: r##"{"anyOf": [{"$ref": "#/$defs/text"}, {"type": "object", "properties": {"language": {"$ref":
        "#/$defs/text"}, "count": {"$ref": "#/$defs/bounds"}, "check": {"$ref": "#/$defs/check"}},
        "additionalProperties": false, "minProperties": 1}]}"##,
    example: r#"{"code_block": {"language": "python", "count": 1, "check": {"contains": "def main"}}}"#,
    passes: Sample::Text("Run this:\n```python\ndef main():\n    pass\n```"),
    fails: Sample::Text("Run this:\n```\ndef main():\n    pass\n```"),
    refused: r#"{"code_block": {}}"#,
    cost: "linear in the answer, and the check for each of at most 1000 blocks",
    takes_text: true,
    compile,
    children: Children::Key("check"),
    ..MatcherDef::DEFAULT
};

const MAX_CHECKED: usize = 1_000;

#[derive(Debug)]
struct CodeBlock {
    language: Option<String>,
    count: Bounds,
    check: Option<PartCheck>,
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Result<Box<dyn Matcher>, Vec<ArgProblem>> {
    let at_least_one = Bounds { min: 1, max: None };
    let block = match args {
        Value::String(_) => CodeBlock { language: Some(language(args)?), count: at_least_one, check: None },
        Value::Object(map) => {
            let mut fields = Fields::new(map, &["language", "count", "check"]);
            let language = fields.optional("language", language);
            let count = fields.optional("count", bounds).unwrap_or(at_least_one);
            let check = fields.optional("check", |written| PartCheck::read(written, ctx));
            if map.is_empty() {
                fields.refuse(
                    ArgProblem::new("the map is empty")
                        .expected("language, count or check")
                        .hint("for any code block, write `count: {min: 1}`"),
                );
            }
            fields.finish(Some(CodeBlock { language, count, check }))?
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return wrong(not_a("a language, or a map {language, count, check}", args));
        }
    };
    Ok(Box::new(block))
}

fn language(value: &Value) -> Read<String> {
    let language = needle(value)?;
    if language.contains(|c: char| c.is_whitespace() || c == '`') {
        let problem = ArgProblem::new(format!("{} is not one word", quote(language)));
        return wrong(problem.expected("the word after the opening fence, like python"));
    }
    Ok(language.to_owned())
}

impl Matcher for CodeBlock {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let of = self.language.as_ref().map_or(String::new(), |language| format!(" marked {language}"));
        let wanted = |mark: &str| self.language.as_ref().is_none_or(|language| language.eq_ignore_ascii_case(mark));
        let found: Vec<String> = blocks(&input.answer.text)
            .into_iter()
            .filter(|block| wanted(&block.mark))
            .map(|block| block.text)
            .collect();
        let number = found.len();
        if !self.count.hold(number as u64) {
            let reason = format!("has {number} code blocks{of}, not {}", self.count.describe());
            return Ok(Score::binary(false, reason));
        }
        let Some(check) = self.check.as_ref().filter(|_| number > 0) else {
            return Ok(Score::binary(true, format!("has {number} code blocks{of}")));
        };
        if number > MAX_CHECKED {
            return Err(MatchError::new(format!(
                "has {number} code blocks{of}, and at most {MAX_CHECKED} are checked"
            )));
        }
        let mut scores = ValueScores::default();
        for (i, mut text) in found.into_iter().enumerate() {
            if text.ends_with('\n') {
                text.pop();
            }
            scores.add(&format!("code block {}", i + 1), check.check(input, text));
        }
        scores.score(false, number)
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use serde_json::json;

    #[test]
    fn blocks_are_counted_by_language_and_checked() {
        verdicts(
            json!({"code_block": "rust"}),
            &[
                ("```Rust\nfn\n```", true),
                ("Text\n~~~rust ignore\nfn\n~~~", true),
                ("```rust\nfn", false),
                ("```rustc\nfn\n```", false),
                ("```\nfn\n```", false),
                ("rust", false),
            ],
        );
        verdicts(
            json!({"code_block": {"count": {"max": 1}}}),
            &[("", true), ("```\n```", true), ("```\n```\n```sh\n```", false)],
        );
        verdicts(
            json!({"code_block": {"language": "json", "check": {"json": {"fenced": false}}}}),
            &[
                ("```json\n{}\n```\nand\n```json\n[]\n```", true),
                ("```json\n{}\n```\nand\n```json\n[\n```", false),
                ("{}", false),
            ],
        );
        verdicts(
            json!({"code_block": {"language": "sh", "check": "ls\npwd"}}),
            &[("```sh\nls\npwd\n```", true), ("```sh\nls\npwd\n\n```", false)],
        );
    }

    #[test]
    fn reasons_and_problems() {
        insta::assert_snapshot!(reasons(json!({"code_block": {"language": "sh", "count": 1, "check": "ls"}}), &[
            "```sh\nls\n```", "```sh\npwd\n```", "no",
        ]), @r#"
        code block 1: equals: is "ls"
        code block 1: equals: is "pwd", not "ls"
        has 0 code blocks marked sh, not exactly 1
        "#);
        insta::assert_snapshot!(problems(&[
            json!({"code_block": true}),
            json!({"code_block": {}}),
            json!({"code_block": "c plus plus"}),
            json!({"code_block": {"language": "", "count": {"min": 0}}}),
            json!({"code_block": {"check": {"tool_calls": {"mode": "none"}}}}),
        ]));
    }
}
