//! Fenced code blocks of Markdown: where models put JSON, YAML, CSV, XML and code. The only place that looks for them.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The first word after the opening fence; empty if there is none.
    pub(super) mark: String,
    /// What stands between the fences; every line ends with a line break.
    pub(super) text: String,
}

impl Block {
    /// Is marked with this word, in whatever case.
    pub(super) fn is_marked(&self, mark: &str) -> bool {
        self.mark.eq_ignore_ascii_case(mark)
    }
}

/// The content of the one block with one of these marks, or else of the one unmarked block; `None` if there is neither.
///
/// # Errors
/// Several candidates: a sentence that says that it is not clear which is meant.
pub(super) fn one_marked(text: &str, marks: &[&str]) -> Result<Option<String>, String> {
    let (marked, others): (Vec<Block>, Vec<Block>) =
        blocks(text).into_iter().partition(|block| marks.iter().any(|mark| block.is_marked(mark)));
    let (mut candidates, kind) = if marked.is_empty() {
        let unmarked: Vec<Block> = others.into_iter().filter(|block| block.mark.is_empty()).collect();
        (unmarked, "unmarked blocks".to_owned())
    } else {
        (marked, format!("blocks marked {}", marks.join(" or ")))
    };
    match candidates.len() {
        0 | 1 => Ok(candidates.pop().map(|block| block.text)),
        several => Err(format!("has {several} {kind}, so it is not clear which one is meant")),
    }
}

/// The closed code blocks of a text, as CommonMark has them, but indented as far as they like. One that never ends is
/// none: the answer may be cut off.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(char, usize, Block)> = None;
    for line in text.lines() {
        let fence = fence(line);
        match (&mut open, fence) {
            (None, Some((c, length, mark))) => {
                let mark = mark.split_whitespace().next().unwrap_or("").to_owned();
                let text = String::new();
                open = Some((c, length, Block { mark, text }));
            }
            (None, None) => {}
            (Some((c, length, _)), Some((end, end_length, ""))) if end == *c && end_length >= *length => {
                blocks.extend(open.take().map(|(_, _, block)| block));
            }
            (Some((_, _, block)), Some(_) | None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
    }
    blocks
}

/// The character, length and rest of a line that starts with a fence.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let line = line.trim();
    let c = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let rest = line.trim_start_matches(c);
    let length = line.len() - rest.len();
    // Three backticks with more of them on the line are code within a sentence.
    (length >= 3 && !(c == '`' && rest.contains('`'))).then_some((c, length, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_block_goes_before_an_unmarked_one_and_two_are_one_too_many() {
        let table = [
            ("no block", Ok(None)),
            ("```\na\n```", Ok(Some("a\n"))),
            ("```\na\n```\n```YAML title=x\nb\n```", Ok(Some("b\n"))),
            ("```sh\na\n```", Ok(None)),
            (
                "```yml\na\n```\n```yaml\nb\n```",
                Err("has 2 blocks marked yaml or yml, so it is not clear which one is meant"),
            ),
            ("```\na\n```\n```\nb\n```", Err("has 2 unmarked blocks, so it is not clear which one is meant")),
            ("```yaml\na", Ok(None)),
        ];
        for (text, expected) in table {
            let expected = expected.map(|found| found.map(str::to_owned)).map_err(str::to_owned);
            assert_eq!(one_marked(text, &["yaml", "yml"]), expected, "{text:?}");
        }
    }
}
