//! `code_block`: fenced code blocks of a language are there, so many, and hold a check.

use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Bounds, Fields, Read, bounds, needle, refuse};
use crate::scoring::code_fence::{Block, blocks};
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

struct CodeBlock {
    language: Option<String>,
    count: Bounds,
    check: Option<PartCheck>,
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let keys = ["language", "count", "check"];
    let mut fields = Fields::of_map_or(Value::is_string, args, &keys, "a language, or a map {language, count, check}")?;
    let language = fields.optional("language", language);
    let count = fields.optional("count", bounds).unwrap_or(Bounds { min: 1, max: None });
    let check = fields.optional("check", |written| PartCheck::read(written, ctx));
    if fields.is_empty() {
        fields.refuse(
            ArgProblem::new("the map is empty")
                .expected("language, count or check")
                .hint("for any code block, write `count: {min: 1}`"),
        );
    }
    let block = fields.finish(Some(CodeBlock { language, count, check }))?;
    Ok(Matcher::new(move |input| block.check(input)))
}

fn language(value: &Value) -> Read<String> {
    let language = needle(value)?;
    if language.contains(|c: char| c.is_whitespace() || c == '`') {
        let message = format!("{} is not one word", quote(language));
        return refuse(message, "the word after the opening fence, like python");
    }
    Ok(language.to_owned())
}

impl CodeBlock {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let of = self.language.as_ref().map_or(String::new(), |language| format!(" marked {language}"));
        let wanted = |mark: &str| self.language.as_ref().is_none_or(|language| language.eq_ignore_ascii_case(mark));
        let found: Vec<Block> = blocks(&input.answer.text).into_iter().filter(|block| wanted(&block.mark)).collect();
        let number = found.len();
        if !self.count.hold(number as u64) {
            let reason = format!("has {number} code blocks{of}, not {}", self.count.describe());
            return Ok(Score::binary(false, reason));
        }
        let Some(check) = self.check.as_ref().filter(|_| number > 0) else {
            return Ok(Score::binary(true, format!("has {number} code blocks{of}")));
        };
        let text = |block: Block| block.text.strip_suffix('\n').unwrap_or(&block.text).to_owned();
        let texts = found.into_iter().map(text).collect();
        check.check_each(input, texts, "code block", &format!("has {number} code blocks{of}"))
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
