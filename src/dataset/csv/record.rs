//! Cuts a CSV file into records and checks their quoting. The CSV crate accepts a quote that is never closed and text
//! after a closing quote, and does not say where a cell stands; this finds both, the crate reads the cells.

use super::super::row::Spot;
use super::super::source::MAX_ROW;
use crate::domain::Problem;
use std::io::{self, BufRead};

/// Cuts records out of a stream. A record ends at a line break outside quotes; blank lines are skipped.
pub(super) struct Records<'a> {
    source: &'a mut dyn BufRead,
    at: Spot,
    /// The last record, without its line break.
    pub(super) bytes: Vec<u8>,
}

pub(super) enum Cut {
    Record(Spot),
    /// A record with a mistake in its quoting, or too long.
    Flawed(Spot, Problem),
    End,
}

impl<'a> Records<'a> {
    pub(super) fn new(source: &'a mut dyn BufRead) -> Records<'a> {
        Records { source, at: Spot::START, bytes: Vec::new() }
    }

    /// Cuts the next record.
    pub(super) fn cut(&mut self) -> io::Result<Cut> {
        loop {
            let start = self.at;
            let (quoting, is_last) = self.follow()?;
            if self.bytes.is_empty() && quoting.flaw.is_none() {
                if is_last {
                    return Ok(Cut::End);
                }
                continue;
            }
            return Ok(match self.judge(start, &quoting) {
                Some((at, problem)) => Cut::Flawed(at, problem),
                None => Cut::Record(start),
            });
        }
    }

    /// Reads up to the next line break outside quotes, or the end.
    fn follow(&mut self) -> io::Result<(Quoting, bool)> {
        self.bytes.clear();
        let mut quoting = Quoting::default();
        loop {
            let chunk = self.source.fill_buf()?;
            if chunk.is_empty() {
                return Ok((quoting, true));
            }
            let (length, ended) = quoting.follow(chunk);
            let piece = &chunk[..length];
            if self.bytes.len() + length > MAX_ROW {
                quoting.too_long = true;
            } else if !quoting.too_long {
                self.bytes.extend_from_slice(piece);
            }
            let consumed = length + usize::from(ended);
            self.at = self.at.after(&chunk[..consumed]);
            self.source.consume(consumed);
            if ended {
                if quoting.last == b'\r' {
                    self.skip_line_feed()?;
                }
                return Ok((quoting, false));
            }
        }
    }

    /// CR LF is one line break.
    fn skip_line_feed(&mut self) -> io::Result<()> {
        if self.source.fill_buf()?.first() == Some(&b'\n') {
            self.at = self.at.after(b"\n");
            self.source.consume(1);
        }
        Ok(())
    }

    fn judge(&self, start: Spot, quoting: &Quoting) -> Option<(Spot, Problem)> {
        let spot = |offset: usize| start.after(&self.bytes[..offset.min(self.bytes.len())]);
        if let Some((offset, flaw)) = quoting.flaw {
            return Some((spot(offset), flaw.problem()));
        }
        if quoting.state == State::Quoted {
            let problem = Problem::new("the quote that opens here is never closed")
                .expected("a closing `\"` at the end of the cell")
                .hint("write a quote inside a quoted cell twice: `\"\"`");
            return Some((spot(quoting.opened), problem));
        }
        if quoting.too_long {
            return Some((start, Problem::new("the row that begins here is longer than 8 MiB")));
        }
        None
    }
}

/// The byte offset at which cell number `index` of a well-quoted record begins; the end of the record if it has fewer.
pub(super) fn cell_offset(record: &[u8], index: usize) -> usize {
    let mut quoting = Quoting::default();
    let mut remaining = index;
    for (offset, byte) in record.iter().enumerate() {
        if remaining == 0 {
            return offset;
        }
        quoting.step(*byte);
        if quoting.state == State::Begin {
            remaining -= 1;
        }
    }
    record.len()
}

/// Follows the quoting of one record, byte by byte. All bytes that matter are ASCII.
#[derive(Default)]
struct Quoting {
    state: State,
    /// Bytes so far.
    offset: usize,
    /// Where the last quoted cell begins.
    opened: usize,
    /// The first mistake and its offset.
    flaw: Option<(usize, Flaw)>,
    too_long: bool,
    last: u8,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Before the first byte of a cell.
    #[default]
    Begin,
    /// In a cell that has only blanks yet.
    Blank,
    /// In a cell without quotes around it.
    Plain,
    /// Inside quotes.
    Quoted,
    /// After a quote inside quotes: the end of the cell, or the first half of a doubled quote.
    Closed,
}

#[derive(Clone, Copy)]
enum Flaw {
    AfterQuote,
    BeforeQuote,
}

impl Flaw {
    fn problem(self) -> Problem {
        match self {
            Flaw::AfterQuote => Problem::new("text after the closing quote of a cell")
                .expected("a comma or the end of the line")
                .hint("write a quote inside a quoted cell twice: `\"\"`"),
            Flaw::BeforeQuote => {
                Problem::new("a blank before the opening quote of a cell").expected("the quote right after the comma")
            }
        }
    }
}

impl Quoting {
    /// Follows the record through `chunk`: how many bytes of it are the record's, and whether a line break comes next.
    fn follow(&mut self, chunk: &[u8]) -> (usize, bool) {
        for (at, byte) in chunk.iter().enumerate() {
            if matches!(byte, b'\n' | b'\r') && self.state != State::Quoted {
                self.last = *byte;
                return (at, true);
            }
            self.step(*byte);
        }
        (chunk.len(), false)
    }

    fn step(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Quoted, b'"') => State::Closed,
            (State::Quoted, _) => State::Quoted,
            (State::Closed, b'"') => State::Quoted,
            (State::Begin | State::Blank | State::Plain | State::Closed, b',') => State::Begin,
            (State::Closed, _) => {
                self.note(Flaw::AfterQuote);
                State::Plain
            }
            (State::Begin, b'"') => {
                self.opened = self.offset;
                State::Quoted
            }
            (State::Blank, b'"') => {
                self.note(Flaw::BeforeQuote);
                State::Plain
            }
            (State::Begin | State::Blank, b' ' | b'\t') => State::Blank,
            (State::Begin | State::Blank | State::Plain, _) => State::Plain,
        };
        self.offset += 1;
    }

    fn note(&mut self, flaw: Flaw) {
        self.flaw.get_or_insert((self.offset, flaw));
    }
}
