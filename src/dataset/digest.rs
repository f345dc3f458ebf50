//! What makes two datasets the same.

use crate::domain::hex;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Digest of what the checks of one file took in from other files, such as JSON schemas.
#[derive(Default)]
pub(super) struct IncludedFiles(Option<Sha256>);

impl IncludedFiles {
    /// Takes the arguments of a check that are not those which the golden file shows.
    pub(super) fn take(&mut self, args: &Value) {
        let args = args.to_string();
        let hash = self.0.get_or_insert_default();
        hash.update((args.len() as u64).to_le_bytes());
        hash.update(args.as_bytes());
    }

    /// The SHA-256 over the length (64 bits, little endian) and JSON of each; `None` where there were none.
    pub(super) fn finish(self) -> Option<[u8; 32]> {
        self.0.map(|hash| hash.finalize().into())
    }
}

/// The SHA-256 over the digests of the files in order, as lowercase hexadecimal digits. Where checks took in other files,
/// each file's digest of that follows in the same order, 32 zero bytes for a file without one.
pub(super) fn dataset(files: &[[u8; 32]], included: &[Option<[u8; 32]>]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file);
    }
    if included.iter().any(Option::is_some) {
        for digest in included {
            hash.update(digest.unwrap_or_default());
        }
    }
    hex(hash.finalize())
}
