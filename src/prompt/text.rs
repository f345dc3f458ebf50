//! A template's text and where it stands in its file.

use crate::domain::Place;
use std::ops::Range;
use std::sync::Arc;

/// One template: the body of a prompt or of a partial.
#[derive(Clone, Debug)]
pub struct Text {
    pub file: Arc<str>,
    pub source: Arc<str>,
    pub body: Range<usize>,
}

impl Text {
    /// A file that is a template from its first byte to its last.
    pub fn whole(file: impl Into<Arc<str>>, source: impl Into<Arc<str>>) -> Text {
        let source = source.into();
        Text { file: file.into(), body: 0..source.len(), source }
    }

    pub(super) fn body(&self) -> &str {
        self.source.get(self.body.clone()).unwrap_or_default()
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        Place::of_offset(Arc::clone(&self.file), &self.source, self.body.start + offset)
    }

    /// The byte of the template at a line and column that count from 1, the column in characters.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let body = self.body();
        let mut start = 0;
        for _ in 1..line {
            match body[start..].find('\n') {
                Some(end) => start += end + 1,
                None => return body.len(),
            }
        }
        let rest = &body[start..];
        start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
    }

    /// Where `word` stands alone in the tags from byte `from` on, else `from` itself.
    pub(super) fn find_word(&self, from: usize, word: &str) -> usize {
        if word.is_empty() {
            return from;
        }
        let body = self.body();
        let is_name = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '$' | ':');
        let mut at = from;
        while let Some(found) = body.get(at..).and_then(|rest| rest.find(word)).map(|found| at + found) {
            let end = found + word.len();
            let before = body[..found].chars().next_back().is_some_and(&is_name);
            let after = body[end..].chars().next().is_some_and(|char| is_name(char) || char == '=');
            if !before && !after {
                return found;
            }
            at = end;
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_become_offsets_and_places() {
        let source = "---\na: 1\n---\näb {{x}}\n{{foo y=yy yy}}";
        let start = source.find('ä').unwrap();
        let text = Text { file: "p".into(), source: source.into(), body: start..source.len() };
        let offset = text.offset(1, 4);
        assert_eq!(&text.body()[offset..offset + 2], "{{");
        assert_eq!(text.place(offset).to_string(), "p:4:4");
        let foo = text.offset(2, 1);
        assert_eq!(text.place(text.find_word(foo, "yy")).to_string(), "p:5:9");
        assert_eq!(text.place(text.find_word(foo, "y")).to_string(), "p:5:1");
        assert_eq!(text.find_word(foo, ""), foo);
        assert_eq!(text.offset(9, 9), text.body().len());
    }
}
