//! JSONL: one JSON object a line. Blank lines are skipped.

use super::json_text::JsonText;
use super::row::{Rows, Spot};
use super::source::{MAX_ROW, text};
use crate::domain::Problem;
use std::io::{self, BufRead, Read};

/// Hands over every line of `source`. Holds one line at a time.
pub(super) fn read(mut source: &mut dyn BufRead, rows: &mut dyn Rows) -> io::Result<()> {
    let mut line = Vec::new();
    let mut start = Spot::START;
    let mut is_first = true;
    loop {
        line.clear();
        Read::take(&mut source, MAX_ROW as u64 + 1).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() > MAX_ROW {
            rows.problem(start, too_long());
            line.clear();
            source.skip_until(b'\n')?;
        }
        let content = line.trim_ascii_end();
        let blank = content.len() - content.trim_ascii_start().len();
        let begin = start.after(&content[..blank]);
        let content = &content[blank..];
        if is_first && (content == b"[" || content == b"{") {
            rows.problem(begin, spread_over_lines());
            return Ok(());
        }
        if !content.is_empty() {
            is_first = false;
            match text(content, begin) {
                Ok(text) => drop(JsonText { text, start: begin }.hand_to(rows)),
                Err((at, problem)) => rows.problem(at, problem),
            }
        }
        start = Spot { line: start.line.saturating_add(1), column: 1 };
    }
}

fn too_long() -> Problem {
    Problem::new("the line is longer than 8 MiB").expected("one JSON object a line")
}

fn spread_over_lines() -> Problem {
    Problem::new("the first line is not a whole JSON object")
        .expected("one JSON object a line")
        .hint("name the file .json, if it is one JSON list of cases")
}
