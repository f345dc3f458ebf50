//! JSON: one list of cases, or one case. The list is cut into its elements, so that a file of any size is read with one
//! element in memory; each element is then read as its own JSON text.

use super::json_text::JsonText;
use super::row::{Rows, Spot};
use super::source::{MAX_ROW, text};
use crate::domain::Problem;
use std::io::{self, BufRead};

/// Hands over every case of `source`. An empty file has none.
pub(super) fn read(source: &mut dyn BufRead, rows: &mut dyn Rows) -> io::Result<()> {
    let mut cutter = Cutter { source, at: Spot::START, value: Vec::new() };
    let whole = match cutter.peek()? {
        None => return Ok(()),
        Some(b'[') => read_list(&mut cutter, rows)?,
        Some(b'{') => read_case(&mut cutter, rows)?,
        Some(_) => {
            let problem = Problem::new("the file does not begin with a list").expected("a list of cases: [{..}, {..}]");
            rows.problem(cutter.at, problem);
            false
        }
    };
    if whole && cutter.peek()?.is_some() {
        let problem = Problem::new("text after the end of the JSON value")
            .expected("one list of cases: [{..}, {..}]")
            .hint("name the file .jsonl, if each line is a case");
        rows.problem(cutter.at, problem);
    }
    Ok(())
}

/// Reads a list; `false` where it could not be followed to its end.
fn read_list(cutter: &mut Cutter<'_>, rows: &mut dyn Rows) -> io::Result<bool> {
    let start = cutter.at;
    cutter.skip()?;
    let mut next = cutter.peek()?;
    if next == Some(b']') {
        cutter.skip()?;
        return Ok(true);
    }
    loop {
        match next {
            None => break,
            Some(b',' | b']') => {
                let problem = Problem::new("a case is missing before this").expected("a list of cases: [{..}, {..}]");
                rows.problem(cutter.at, problem.hint("remove the comma that is too many"));
                return Ok(false);
            }
            Some(_) => {}
        }
        let in_step = read_case(cutter, rows)?;
        match cutter.peek()? {
            Some(b']') => {
                cutter.skip()?;
                return Ok(true);
            }
            Some(b',') => cutter.skip()?,
            // After a broken case, what follows it may be a part of it: one message is enough.
            Some(_) | None if !in_step => return Ok(false),
            Some(_) => {
                let problem = Problem::new("no comma between two cases").expected("`,` or `]` after a case");
                rows.problem(cutter.at, problem);
            }
            None => break,
        }
        next = cutter.peek()?;
    }
    let problem = Problem::new("the list that begins here never ends").expected("`]` at the end of the file");
    rows.problem(start, problem);
    Ok(false)
}

/// Reads one element; `false` where it is not JSON.
fn read_case(cutter: &mut Cutter<'_>, rows: &mut dyn Rows) -> io::Result<bool> {
    let start = cutter.at;
    if !cutter.cut()? {
        let problem = Problem::new("the case that begins here is longer than 8 MiB");
        rows.problem(start, problem.hint("look for a quote or bracket that is never closed"));
        return Ok(true);
    }
    Ok(match text(&cutter.value, start) {
        Ok(text) => JsonText { text, start }.hand_to(rows),
        Err((at, problem)) => {
            rows.problem(at, problem);
            true
        }
    })
}

/// Cuts the next value out of a stream, by brackets and quotes alone.
struct Cutter<'a> {
    source: &'a mut dyn BufRead,
    at: Spot,
    value: Vec<u8>,
}

impl Cutter<'_> {
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let chunk = self.source.fill_buf()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let blank = chunk.len() - chunk.trim_ascii_start().len();
            let next = chunk.get(blank).copied();
            self.at = self.at.after(&chunk[..blank]);
            self.source.consume(blank);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    fn skip(&mut self) -> io::Result<()> {
        let chunk = self.source.fill_buf()?;
        let one = chunk.len().min(1);
        self.at = self.at.after(&chunk[..one]);
        self.source.consume(one);
        Ok(())
    }

    /// Takes one value, at least a byte, up to its end or that of the file. `false` if it is too long to keep.
    fn cut(&mut self) -> io::Result<bool> {
        self.value.clear();
        let mut bounds = Bounds::default();
        let mut fits = true;
        loop {
            let chunk = self.source.fill_buf()?;
            if chunk.is_empty() {
                return Ok(fits);
            }
            let (length, ended) = bounds.follow(chunk);
            let piece = &chunk[..length];
            fits = fits && self.value.len() + length <= MAX_ROW;
            if fits {
                self.value.extend_from_slice(piece);
            }
            self.at = self.at.after(piece);
            self.source.consume(length);
            if ended {
                return Ok(fits);
            }
        }
    }
}

/// Where in a value the cutter is.
#[derive(Default)]
struct Bounds {
    begun: bool,
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl Bounds {
    /// Follows the value through `chunk`: how many bytes of it are the value's, and whether it ended there.
    fn follow(&mut self, chunk: &[u8]) -> (usize, bool) {
        for (at, byte) in chunk.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => continue,
                }
                if !self.in_string && self.depth == 0 {
                    return (at + 1, true);
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                b',' | b']' | b' ' | b'\t' | b'\r' | b'\n' if self.begun && self.depth == 0 => return (at, true),
                _ => {}
            }
            self.begun = true;
        }
        (chunk.len(), false)
    }
}
