//! The requests of a run, put aside on disk until their batch jobs have ended: memory holds where they stand, not what they
//! say. The file has no name, so it is gone when the process is.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

/// What a request costs beside its body: key, names, punctuation.
const FRAME: u64 = 100;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    at: u64,
    length: u64,
}

impl Line {
    /// Bytes of the request inside a job, about.
    pub(crate) fn size(&self) -> u64 {
        self.length + FRAME
    }
}

/// Requests in the order in which they travel, each with what it is called.
pub(crate) type Lines = [(Line, String)];

/// A request, read back.
pub(crate) struct SpoolEntry {
    pub(crate) key: String,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    length: u64,
}

impl Spool {
    pub(crate) fn new() -> io::Result<Spool> {
        Ok(Spool { file: tempfile::tempfile()?, length: 0 })
    }

    pub(crate) fn push(&mut self, body: &[u8]) -> io::Result<Line> {
        let line = Line { at: self.length, length: body.len() as u64 };
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(body)?;
        self.length += line.length;
        Ok(line)
    }

    /// Reads requests back, one after the other.
    pub(crate) fn reader<'a>(&'a self, lines: &'a Lines) -> Reader<'a> {
        Reader { file: BufReader::with_capacity(1 << 16, &self.file), at: None, lines: lines.iter() }
    }

    /// The same as one stream of JSON lines `{"key", "request"}`, the form of an uploaded file.
    pub(crate) fn jsonl<'a>(&'a self, lines: &'a Lines) -> Jsonl<'a> {
        Jsonl { reader: self.reader(lines), buffer: Vec::new() }
    }
}

/// Bytes of these requests as JSON lines.
pub(crate) fn jsonl_length(lines: &Lines) -> u64 {
    let line = |(line, key): &(Line, String)| line.length + frame(key).len() as u64 + END.len() as u64;
    lines.iter().map(line).sum()
}

fn frame(key: &str) -> String {
    format!(r#"{{"key":"{key}","request":"#)
}

const END: &[u8] = b"}\n";

pub(crate) struct Reader<'a> {
    file: BufReader<&'a File>,
    at: Option<u64>,
    lines: std::slice::Iter<'a, (Line, String)>,
}

impl Reader<'_> {
    /// The next request; `None` at the end.
    pub(crate) fn line(&mut self) -> io::Result<Option<SpoolEntry>> {
        let Some((line, key)) = self.lines.next() else {
            return Ok(None);
        };
        if self.at != Some(line.at) {
            self.file.seek(SeekFrom::Start(line.at))?;
        }
        let mut body = Vec::new();
        let read = self.file.by_ref().take(line.length).read_to_end(&mut body)?;
        if read as u64 != line.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at = Some(line.at + line.length);
        Ok(Some(SpoolEntry { key: key.clone(), body }))
    }
}

pub(crate) struct Jsonl<'a> {
    reader: Reader<'a>,
    buffer: Vec<u8>,
}

impl Jsonl<'_> {
    /// The next piece: `size` bytes, less at the end, none after it.
    pub(crate) fn piece(&mut self, size: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < size {
            let Some(SpoolEntry { key, body }) = self.reader.line()? else {
                return Ok(std::mem::take(&mut self.buffer));
            };
            self.buffer.extend_from_slice(frame(&key).as_bytes());
            self.buffer.extend_from_slice(&body);
            self.buffer.extend_from_slice(END);
        }
        let rest = self.buffer.split_off(size);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_back_in_any_order_and_as_lines() {
        let mut spool = Spool::new().unwrap();
        let first = spool.push(br#"{"a":1}"#).unwrap();
        let second = spool.push(br#"{"b":"x"}"#).unwrap();
        let third = spool.push(b"{}").unwrap();
        let lines = [(third, "c".to_owned()), (first, "a".to_owned()), (second, "b".to_owned())];
        let mut reader = spool.reader(&lines);
        let mut seen = Vec::new();
        while let Some(SpoolEntry { key, body }) = reader.line().unwrap() {
            seen.push((key, String::from_utf8(body).unwrap()));
        }
        assert_eq!(
            seen,
            [("c", "{}"), ("a", r#"{"a":1}"#), ("b", r#"{"b":"x"}"#)]
                .map(|(key, body)| (key.to_owned(), body.to_owned()))
        );
        for size in [1, 7, 40, 1000] {
            let mut jsonl = spool.jsonl(&lines);
            let mut whole = Vec::new();
            loop {
                let piece = jsonl.piece(size).unwrap();
                assert!(piece.len() <= size);
                if piece.is_empty() {
                    break;
                }
                whole.extend(piece);
            }
            assert_eq!(whole.len() as u64, jsonl_length(&lines));
            assert_eq!(
                String::from_utf8(whole).unwrap(),
                concat!(
                    "{\"key\":\"c\",\"request\":{}}\n",
                    "{\"key\":\"a\",\"request\":{\"a\":1}}\n",
                    "{\"key\":\"b\",\"request\":{\"b\":\"x\"}}\n"
                )
            );
        }
    }
}
