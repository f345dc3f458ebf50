//! The bytes of a prompt file as text.

use crate::domain::{Place, Problem, hex};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The largest prompt file, in bytes.
pub(super) const MAX_BYTES: u64 = 8 << 20;

#[derive(Debug)]
pub(super) struct Content {
    /// Without a byte order mark.
    pub(super) text: String,
    /// SHA-256 of its bytes, in hex, a byte order mark included: what `sha256sum` says.
    pub(super) sha256: String,
}

impl Content {
    /// A file that has exactly this text.
    pub(super) fn of(text: &str) -> Content {
        Content { text: text.to_owned(), sha256: sha256(text.as_bytes()) }
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes))
}

pub(super) fn decode(file: Arc<str>, mut bytes: Vec<u8>) -> Result<Content, Problem> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large(file));
    }
    let sha256 = sha256(&bytes);
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        Problem::at(Place::of_offset(file, &text, valid), "the file is not valid UTF-8").expected("text in UTF-8")
    })?;
    Ok(Content { text, sha256 })
}

pub(super) fn too_large(file: Arc<str>) -> Problem {
    Problem::at(Place::file(file), format!("the file is larger than {} MiB", MAX_BYTES >> 20)).expected("a prompt")
}
