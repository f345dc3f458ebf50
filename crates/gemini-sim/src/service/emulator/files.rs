//! Files: resumable uploads, and what batches write. Everything is in memory and bounded; when the room is used up, an
//! upload is refused as the service refuses it, so nothing disappears behind a client's back.

use super::stamp;
use crate::body::{get, number};
use crate::noise::mix;
use crate::pages::page;
use crate::status::Status;
use axum::body::Bytes;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use time::{Duration, OffsetDateTime};

/// Files kept.
const MOST: usize = 1_000;
/// Bytes of all files, and of those on their way.
pub(super) const ROOM: u64 = 256 << 20;
/// Uploads that have begun; the oldest is forgotten for a new one.
const UPLOADS: usize = 64;
/// Room for an upload that doesn't say how long it is.
const UNSAID: u64 = 20 << 20;
/// After this time the service deletes a file. The simulator only says so.
const LIFE: Duration = Duration::hours(48);

#[derive(Clone, Debug)]
struct File {
    /// Without `files/`.
    name: String,
    display_name: Option<String>,
    mime_type: String,
    bytes: Bytes,
    created: OffsetDateTime,
    /// Written by the service, and so for download.
    generated: bool,
}

impl File {
    fn body(&self, base: &str) -> Value {
        let uri = format!("{base}/files/{}", self.name);
        let mut body = json!({"name": format!("files/{}", self.name)});
        if let Some(name) = &self.display_name {
            body["displayName"] = json!(name);
        }
        body["mimeType"] = json!(self.mime_type);
        if !self.bytes.is_empty() {
            body["sizeBytes"] = json!(self.bytes.len().to_string());
        }
        let created = stamp(self.created);
        body["createTime"] = json!(created);
        body["updateTime"] = json!(created);
        body["expirationTime"] = json!(self.created.checked_add(LIFE).map(stamp));
        body["sha256Hash"] = json!(BASE64_STANDARD.encode(hexadecimal(&Sha256::digest(&self.bytes))));
        if self.generated {
            body["downloadUri"] = json!(format!("{uri}:download?alt=media"));
        }
        body["uri"] = json!(uri);
        body["state"] = json!("ACTIVE");
        body["source"] = json!(if self.generated { "GENERATED" } else { "UPLOADED" });
        body
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An upload on its way.
#[derive(Debug)]
pub(super) struct Upload {
    id: String,
    name: String,
    display_name: Option<String>,
    mime_type: String,
    /// Room that is held for it.
    room: u64,
    received: Vec<u8>,
}

impl Upload {
    /// Bytes that may still come.
    pub(super) fn left(&self) -> usize {
        usize::try_from(self.room).unwrap_or(usize::MAX).saturating_sub(self.received.len())
    }

    /// Bytes that came so far.
    pub(super) fn received(&self) -> usize {
        self.received.len()
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }
}

/// A handle on an upload. Its pieces come one after the other.
pub(super) type UploadHandle = Arc<tokio::sync::Mutex<Upload>>;

#[derive(Debug, Default)]
struct StoredFiles {
    files: Vec<File>,
    uploads: VecDeque<(String, u64, UploadHandle)>,
    /// Names given so far.
    named: u64,
}

impl StoredFiles {
    fn used(&self) -> u64 {
        let kept: u64 = self.files.iter().map(|file| file.bytes.len() as u64).sum();
        kept + self.uploads.iter().map(|(_, room, _)| room).sum::<u64>()
    }

    fn has_room(&self, length: u64) -> bool {
        self.files.len() < MOST && self.used().saturating_add(length) <= ROOM
    }

    fn find(&self, name: &str) -> Result<&File, Status> {
        self.files.iter().find(|file| file.name == name).ok_or_else(|| missing(name))
    }
}

#[derive(Debug, Default)]
pub(super) struct Files {
    seed: u64,
    shelf: Mutex<StoredFiles>,
}

impl Files {
    pub(super) fn new(seed: u64) -> Files {
        Files { seed, shelf: Mutex::default() }
    }

    fn shelf(&self) -> MutexGuard<'_, StoredFiles> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an upload: the file as the request describes it, with its length and type as the headers tell. Returns the
    /// upload's id.
    pub(super) fn begin(&self, file: &Value, length: Option<u64>, mime_type: &str) -> Result<String, Status> {
        let length = length.or_else(|| get(file, "sizeBytes").and_then(number).map(|n| n as u64));
        let room = length.unwrap_or(UNSAID);
        let given = get(file, "name").and_then(Value::as_str).map(file_name).transpose()?;
        let mut shelf = self.shelf();
        if shelf.uploads.len() >= UPLOADS {
            shelf.uploads.pop_front();
        }
        if !shelf.has_room(room) {
            return Err(full());
        }
        let name = match given {
            Some(name) if shelf.find(name).is_ok() => {
                return Err(Status::new(409, format!("The file files/{name} already exists.")));
            }
            Some(name) => name.to_owned(),
            None => {
                shelf.named += 1;
                generated_name(self.seed, shelf.named)
            }
        };
        shelf.named += 1;
        let id = format!("upload{:016x}", mix(self.seed ^ mix(shelf.named)));
        let mime_type = match get(file, "mimeType").and_then(Value::as_str).unwrap_or(mime_type) {
            "" => "application/octet-stream",
            given => given,
        };
        let upload = Upload {
            id: id.clone(),
            name,
            display_name: get(file, "displayName").and_then(Value::as_str).map(str::to_owned),
            mime_type: mime_type.to_owned(),
            room,
            received: Vec::new(),
        };
        let handle = Arc::new(tokio::sync::Mutex::new(upload));
        shelf.uploads.push_back((id.clone(), room, handle));
        Ok(id)
    }

    pub(super) fn upload(&self, id: &str) -> Option<UploadHandle> {
        let shelf = self.shelf();
        let (.., handle) = shelf.uploads.iter().find(|(known, ..)| known == id)?;
        Some(Arc::clone(handle))
    }

    /// Ends an upload: it is a file now. Returns the file's body.
    pub(super) fn finish(&self, upload: &mut Upload, base: &str, now: OffsetDateTime) -> Result<Value, Status> {
        let mut shelf = self.shelf();
        let at = shelf.uploads.iter().position(|(id, ..)| *id == upload.id);
        shelf.uploads.remove(at.ok_or_else(no_upload)?);
        let file = File {
            name: upload.name.clone(),
            display_name: upload.display_name.clone(),
            mime_type: upload.mime_type.clone(),
            bytes: Bytes::from(std::mem::take(&mut upload.received)),
            created: now,
            generated: false,
        };
        let body = file.body(base);
        shelf.files.retain(|other| other.name != file.name);
        shelf.files.push(file);
        Ok(body)
    }

    pub(super) fn abandon(&self, id: &str) {
        self.shelf().uploads.retain(|(known, ..)| known != id);
    }

    /// Keeps a file that the service itself wrote.
    pub(super) fn put(&self, name: &str, bytes: Vec<u8>, now: OffsetDateTime) -> Result<(), Status> {
        let mut shelf = self.shelf();
        if !shelf.has_room(bytes.len() as u64) {
            return Err(full());
        }
        shelf.files.push(File {
            name: name.to_owned(),
            display_name: None,
            mime_type: "application/jsonl".to_owned(),
            bytes: Bytes::from(bytes),
            created: now,
            generated: true,
        });
        Ok(())
    }

    /// The body of a file. `base` is what its address begins with.
    pub(super) fn get(&self, name: &str, base: &str) -> Result<Value, Status> {
        Ok(self.shelf().find(name)?.body(base))
    }

    /// The body of a page of all files.
    pub(super) fn list(&self, query: &str, base: &str) -> Result<Value, Status> {
        page(&self.shelf().files, query, "files", |file| file.body(base))
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), Status> {
        let mut shelf = self.shelf();
        let at = shelf.files.iter().position(|file| file.name == name);
        shelf.files.remove(at.ok_or_else(|| missing(name))?);
        Ok(())
    }

    /// The bytes of a file, for the service itself.
    pub(super) fn read(&self, name: &str) -> Result<Bytes, Status> {
        Ok(self.shelf().find(name)?.bytes.clone())
    }

    /// The bytes and type of a file, for a client: only what the service wrote can be downloaded.
    pub(super) fn download(&self, name: &str) -> Result<(Bytes, String), Status> {
        let shelf = self.shelf();
        let file = shelf.find(name)?;
        if !file.generated {
            return Err(Status::new(
                400,
                format!("The file files/{name} was uploaded; only generated files can be downloaded."),
            ));
        }
        Ok((file.bytes.clone(), file.mime_type.clone()))
    }
}

/// The name of a file without `files/`.
fn file_name(name: &str) -> Result<&str, Status> {
    let bare = name.strip_prefix("files/").unwrap_or(name);
    let legal = (1..=40).contains(&bare.len())
        && bare.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !bare.starts_with('-')
        && !bare.ends_with('-');
    if legal {
        return Ok(bare);
    }
    Err(Status::new(
        400,
        "* CreateFileRequest.file.name: file names can only contain up to 40 lowercase letters, digits and dashes, and \
         can't begin or end with a dash.\n",
    ))
}

/// Twelve letters and digits.
fn generated_name(seed: u64, number: u64) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = mix(seed ^ mix(number));
    let letter = |_| {
        let letter = LETTERS[(state % 36) as usize];
        state /= 36;
        char::from(letter)
    };
    (0..12).map(letter).collect()
}

/// The service doesn't tell a missing file from someone else's.
fn missing(name: &str) -> Status {
    let shown: String = name.chars().take(60).collect();
    Status::new(403, format!("You do not have permission to access the File {shown} or it may not exist."))
}

/// An upload that never began, or was forgotten.
pub(super) fn no_upload() -> Status {
    Status::new(404, "The upload was not found, was finished, or was given up.")
}

/// No room for a file.
pub(super) fn full() -> Status {
    Status::new(
        429,
        format!("You have exceeded your file storage quota: {MOST} files, {ROOM} bytes. Delete files to continue."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://sim/v1beta";

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_786_000_000).unwrap()
    }

    fn uploaded(files: &Files, bytes: &[u8]) -> Value {
        let id = files.begin(&json!({"displayName": "mine"}), Some(bytes.len() as u64), "text/plain").unwrap();
        let handle = files.upload(&id).unwrap();
        let mut upload = handle.try_lock().unwrap();
        assert_eq!(upload.left(), bytes.len());
        upload.take(bytes);
        assert_eq!(upload.left(), 0);
        files.finish(&mut upload, BASE, now()).unwrap()
    }

    #[test]
    fn an_upload_becomes_a_file() {
        let files = Files::new(1);
        let mut file = uploaded(&files, b"hello");
        let name = file["name"].as_str().unwrap().strip_prefix("files/").unwrap().to_owned();
        assert_eq!(files.get(&name, BASE).unwrap(), file);
        assert_eq!(files.list("", BASE).unwrap(), json!({"files": [file.clone()]}));
        assert_eq!(files.read(&name).unwrap(), "hello");
        assert_eq!(files.download(&name).unwrap_err().http, 400, "uploads can't be downloaded");
        file["name"] = json!("files/x");
        file["uri"] = json!("http://sim/v1beta/files/x");
        insta::assert_json_snapshot!(file);
        files.delete(&name).unwrap();
        assert_eq!(files.get(&name, BASE).unwrap_err().http, 403);
        assert_eq!(files.delete(&name).unwrap_err().http, 403);
        assert_eq!(files.list("", BASE).unwrap(), json!({}));
    }

    #[test]
    fn what_the_service_wrote_can_be_downloaded() {
        let files = Files::default();
        files.put("batch-1", b"{}\n".to_vec(), now()).unwrap();
        assert_eq!(files.download("batch-1").unwrap(), (Bytes::from("{}\n"), "application/jsonl".to_owned()));
        assert_eq!(
            files.get("batch-1", BASE).unwrap()["downloadUri"],
            "http://sim/v1beta/files/batch-1:download?alt=media"
        );
    }

    #[test]
    fn the_room_is_bounded() {
        let files = Files::default();
        let begin = |room| files.begin(&json!({}), Some(room), "");
        let first = begin(ROOM).unwrap();
        assert_eq!(begin(1).unwrap_err().http, 429, "what is on its way counts");
        files.abandon(&first);
        assert!(files.upload(&first).is_none());
        for _ in 0..2 * UPLOADS {
            begin(1).unwrap();
        }
        assert_eq!(files.shelf().uploads.len(), UPLOADS);
        assert_eq!(begin(u64::MAX).unwrap_err().http, 429);
    }

    #[test]
    fn names_are_checked() {
        let files = Files::default();
        for name in ["files/", "Upper", "a/../b", "-a", "a-", &"a".repeat(41)] {
            assert_eq!(files.begin(&json!({"name": name}), Some(1), "").unwrap_err().http, 400, "{name}");
        }
        let id = files.begin(&json!({"name": "files/my-file"}), Some(0), "").unwrap();
        let handle = files.upload(&id).unwrap();
        let mut upload = handle.try_lock().unwrap();
        files.finish(&mut upload, BASE, now()).unwrap();
        assert_eq!(files.finish(&mut upload, BASE, now()).unwrap_err().http, 404);
        assert_eq!(files.begin(&json!({"name": "my-file"}), Some(1), "").unwrap_err().http, 409);
    }
}
