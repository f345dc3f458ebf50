//! Looks over a template's tags before it is compiled: finds tags and blocks that are not closed, all at once and with a
//! place, and bounds nesting, because the parser behind it recurses.

use std::ops::Range;

/// Blocks inside blocks.
const MAX_DEPTH: usize = 64;
/// Parentheses and brackets inside one tag.
const MAX_TAG_DEPTH: usize = 16;

/// A mistake at a byte offset of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxProblem {
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) expected: Option<String>,
}

/// What stands between the braces of each tag, comments aside.
pub(super) fn tags(body: &str) -> Result<Vec<Range<usize>>, Vec<SyntaxProblem>> {
    let mut checker = Checker { body, open: Vec::new(), tags: Vec::new(), found: Vec::new() };
    checker.run();
    if checker.found.is_empty() { Ok(checker.tags) } else { Err(checker.found) }
}

struct Checker<'a> {
    body: &'a str,
    /// Blocks that are open, with the offsets of their tags.
    open: Vec<(&'a str, usize)>,
    tags: Vec<Range<usize>>,
    found: Vec<SyntaxProblem>,
}

impl<'a> Checker<'a> {
    fn refuse(&mut self, at: usize, message: impl Into<String>, expected: Option<&str>) {
        let expected = expected.map(str::to_owned);
        self.found.push(SyntaxProblem { at, message: message.into(), expected });
    }

    fn run(&mut self) {
        let mut at = 0;
        while let Some(start) = self.body[at..].find("{{").map(|found| at + found) {
            let Some(end) = self.tag(start) else { return };
            at = end;
        }
        for (name, at) in std::mem::take(&mut self.open) {
            self.refuse(
                at,
                format!("`{{{{#{name}}}}}` is never closed"),
                Some(&format!("`{{{{/{name}}}}}` further down")),
            );
        }
    }

    /// Looks at what starts with `{{` and returns where to go on; `None` if the rest can't be read.
    fn tag(&mut self, start: usize) -> Option<usize> {
        // One backslash makes the braces text; two or more stand for themselves.
        let backslashes = self.body[..start].bytes().rev().take_while(|byte| *byte == b'\\').count();
        if backslashes == 1 {
            return Some(start + 2);
        }
        let rest = &self.body[start..];
        if rest.starts_with("{{!") {
            return self.comment(start);
        }
        if rest.starts_with("{{{{") {
            self.refuse(
                start,
                "raw blocks `{{{{..}}}}` are not part of dotprompt",
                Some(r"`\{{` for braces that are text"),
            );
            return None;
        }
        let Some(inside) = inside_of_tag(rest) else {
            self.refuse(start, "a `{{` is never closed", Some("`}}`"));
            return None;
        };
        let inside = start + inside.start..start + inside.end;
        let end = inside.end + 2;
        self.read(start, &self.body[inside.clone()]);
        self.tags.push(inside);
        (self.open.len() <= MAX_DEPTH).then_some(end)
    }

    fn comment(&mut self, start: usize) -> Option<usize> {
        let rest = &self.body[start..];
        let end = match rest.strip_prefix("{{!--").and_then(|rest| rest.find("--}}")) {
            Some(end) => Some(start + 5 + end + 4),
            None => rest.find("}}").map(|end| start + end + 2),
        };
        if end.is_none() {
            self.refuse(start, "a comment is never closed", Some("`}}`, or `--}}` after `{{!--`"));
        }
        end
    }

    fn read(&mut self, start: usize, inside: &'a str) {
        if deepest(inside) > MAX_TAG_DEPTH {
            self.refuse(start, format!("a tag nests more than {MAX_TAG_DEPTH} parentheses or brackets"), None);
        }
        let inside = inside.trim_matches('~').trim();
        if inside.is_empty() {
            self.refuse(start, "a tag is empty", Some("a variable or a helper, like `{{question}}`"));
        } else if let Some(opened) = inside.strip_prefix('#') {
            let name = first_word(opened.trim_start_matches(['>', '*']));
            self.open.push((name, start));
            if self.open.len() > MAX_DEPTH {
                self.refuse(start, format!("blocks are nested more than {MAX_DEPTH} deep"), None);
                self.open.clear();
            }
        } else if let Some(closed) = inside.strip_prefix('/') {
            self.close(start, first_word(closed));
        } else if (first_word(inside) == "else" || inside == "^") && self.open.is_empty() {
            self.refuse(start, "an `else` stands outside of any block", None);
        }
    }

    fn close(&mut self, start: usize, name: &'a str) {
        match self.open.iter().rposition(|(open, _)| *open == name) {
            None => {
                let expected = self.open.last().map(|(open, _)| format!("`{{{{/{open}}}}}`"));
                self.refuse(start, format!("`{{{{/{name}}}}}` closes a block that is not open"), expected.as_deref());
            }
            Some(at) => {
                for (open, at) in self.open.split_off(at).into_iter().skip(1) {
                    self.refuse(
                        at,
                        format!("`{{{{#{open}}}}}` is never closed"),
                        Some(&format!("`{{{{/{open}}}}}` before `{{{{/{name}}}}}`")),
                    );
                }
            }
        }
    }
}

/// The range between the braces of the tag that starts `text`; quoted texts may hold braces.
fn inside_of_tag(text: &str) -> Option<Range<usize>> {
    let (open, close) = if text.starts_with("{{{") { (3, "}}}") } else { (2, "}}") };
    let mut quote = None;
    let mut chars = text[open..].char_indices();
    while let Some((at, char)) = chars.next() {
        match quote {
            Some(mark) if char == mark => quote = None,
            Some(_) if char == '\\' => {
                chars.next();
            }
            Some(_) => {}
            None if char == '"' || char == '\'' => quote = Some(char),
            None if text[open + at..].starts_with(close) => return Some(open..open + at + close.len() - 2),
            None if text[open + at..].starts_with("{{") => return None,
            None => {}
        }
    }
    None
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start();
    text.find(|char: char| char.is_whitespace() || char == '~').map_or(text, |end| &text[..end])
}

fn deepest(text: &str) -> usize {
    let mut depth = 0usize;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> String {
        tags(body)
            .err()
            .into_iter()
            .flatten()
            .map(|p| format!("{}: {}{}", p.at, p.message, p.expected.map(|e| format!(" ({e})")).unwrap_or_default()))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn sound_templates_pass() {
        for body in [
            "",
            "a } b }} c { d",
            "{{a}} {{{b}}} {{~c~}} {{#if a}}x{{else}}y{{/if}}",
            "{{#each a as |b i|}}{{b}}{{/each}}",
            r"\{{#if}} is text, \\{{a}} is not",
            "{{! {{/if}} }}",
            "{{!-- {{/if}} }} {{#if --}}",
            "{{json a b=\"}} {{/if}}\"}}",
            "{{> part a=b}}",
            "{{#if a}}1{{else if b}}2{{^}}3{{/if}}",
        ] {
            assert_eq!(found(body), "", "{body}");
        }
    }

    #[test]
    fn mistakes_are_all_found() {
        insta::assert_snapshot!(found("a {{b"), @"2: a `{{` is never closed (`}}`)");
        insta::assert_snapshot!(found("{{a} {{b}}"), @"0: a `{{` is never closed (`}}`)");
        insta::assert_snapshot!(found("{{#if a}}x"), @"0: `{{#if}}` is never closed (`{{/if}}` further down)");
        insta::assert_snapshot!(found("{{#if a}}{{#each b}}{{/if}}{{/with}}"), @r"
        9: `{{#each}}` is never closed (`{{/each}}` before `{{/if}}`)
        27: `{{/with}}` closes a block that is not open
        ");
        insta::assert_snapshot!(found("{{/if}} {{else}} {{}}"), @r"
        0: `{{/if}}` closes a block that is not open
        8: an `else` stands outside of any block
        17: a tag is empty (a variable or a helper, like `{{question}}`)
        ");
        insta::assert_snapshot!(found("{{{{raw}}}} x {{{{/raw}}}}"), @r#"0: raw blocks `{{{{..}}}}` are not part of dotprompt (`\{{` for braces that are text)"#);
        insta::assert_snapshot!(found("{{!-- a"), @"0: a comment is never closed (`}}`, or `--}}` after `{{!--`)");
    }

    #[test]
    fn nesting_is_bounded() {
        assert_eq!(found(&("{{#if a}}".repeat(64) + &"{{/if}}".repeat(64))), "");
        assert!(found(&"{{#if a}}".repeat(100_000)).contains("nested more than 64 deep"));
        assert!(found(&format!("{{{{a {}b{}}}}}", "(c ".repeat(17), ")".repeat(17))).contains("nests more than 16"));
    }
}
