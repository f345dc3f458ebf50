//! The bytes of a golden file: digested while they are read, with the bounds that hostile files run into.

use super::row::Spot;
use crate::domain::Problem;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The longest row: bytes of a JSONL line, a CSV record or a case of a JSON list.
pub(super) const MAX_ROW: usize = 8 * 1024 * 1024;

/// The largest YAML file, in bytes. A YAML file is held in memory, because its parser needs it whole.
pub(super) const MAX_YAML: usize = 64 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

pub(super) struct Source(BufReader<HashingReader>);

impl Source {
    /// Opens a file and skips its byte order mark.
    pub(super) fn open(path: &Path) -> io::Result<Source> {
        let reader = HashingReader { file: File::open(path)?, hash: Sha256::new(), bytes: 0 };
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        if reader.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            reader.consume(BYTE_ORDER_MARK.len());
        }
        Ok(Source(reader))
    }

    /// The bytes after the byte order mark.
    pub(super) fn reader(&mut self) -> &mut dyn BufRead {
        &mut self.0
    }

    /// Reads what is left; the SHA-256 over all bytes of the file, and how many they are.
    pub(super) fn finish(mut self) -> io::Result<([u8; 32], u64)> {
        io::copy(&mut self.0, &mut io::sink())?;
        let reader = self.0.into_inner();
        Ok((reader.hash.finalize().into(), reader.bytes))
    }
}

struct HashingReader {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    self.hash.update(&buffer[..count]);
                    self.bytes += count as u64;
                    return Ok(count);
                }
            }
        }
    }
}

/// The text of `bytes`, which begin at `start`.
pub(super) fn text(bytes: &[u8], start: Spot) -> Result<&str, (Spot, Problem)> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (before, rest) = bytes.split_at(error.valid_up_to());
        let byte = rest.first().copied().unwrap_or_default();
        let problem = Problem::new(format!("byte 0x{byte:02X} is not UTF-8"))
            .expected("UTF-8 text")
            .hint("save the file with the encoding UTF-8");
        (start.after(before), problem)
    })
}

/// The first characters of a text from outside, for a message.
pub(super) fn shorten(text: &str) -> String {
    const KEPT: usize = 60;
    match text.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
