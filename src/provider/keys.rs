//! The key of a run, which may be replaced once: a key file can be rotated while a run goes on.

use super::key::ApiKey;
use crate::domain::Problem;
use crate::secret::{Redact, redact_all};
use reqwest::header::HeaderValue;
use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A key file larger than this is not a key.
const LARGEST_FILE: u64 = 16 * 1024;

/// The text of a key file, without white space around it.
///
/// # Errors
/// It can't be read, or is empty; in a sentence without its content.
pub fn read_key_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST_FILE).read_to_string(&mut text));
    let shown = path.display();
    match read {
        Err(error) => Err(format!("the file {shown} can't be read: {error}")),
        Ok(_) if text.trim().is_empty() => Err(format!("the file {shown} is empty")),
        Ok(_) => Ok(text.trim().to_owned()),
    }
}

/// Where a refused key may be replaced from.
#[derive(Clone)]
pub struct Renewal {
    /// The file that the first key came from.
    pub file: PathBuf,
    /// Hears of the new key before it is ever sent, so that it can be masked.
    pub hear: Arc<dyn Fn(&ApiKey) + Send + Sync>,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The keys that a run has used: one, or two once the first was refused and its file held another one.
#[derive(Debug)]
pub(super) struct Keys {
    history: Mutex<KeyHistory>,
    renewal: Option<Renewal>,
}

#[derive(Debug)]
struct KeyHistory {
    keys: Vec<ApiKey>,
    /// The file was read again, and gave this reason not to go on; `None` where it was not read, or gave another key.
    given_up: Option<String>,
}

/// Which of the keys a request was sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(usize);

/// What a refused key leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// There is another key now.
    Changed,
    /// There is none; why, and what to do.
    Final(String),
}

impl Redact for Keys {
    fn redact<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        // Not under the lock: a large reply takes its time, and others wait for their key.
        let keys = self.history().keys.clone();
        redact_all(keys.iter().map(|key| key as &dyn Redact), bytes)
    }
}

impl Keys {
    pub(super) fn new(key: ApiKey, renewal: Option<Renewal>) -> Keys {
        Keys { history: Mutex::new(KeyHistory { keys: vec![key], given_up: None }), renewal }
    }

    /// The header of the key that counts now, and which one it is.
    pub(super) fn current(&self) -> (Option<HeaderValue>, Generation) {
        let history = self.history();
        (history.keys.last().map(ApiKey::header), Generation(history.keys.len()))
    }

    /// A key was refused. The first to say so reads the file again, for all: whoever used the same key gets the same
    /// reply, and the service is not asked with it any more.
    pub(super) fn refused(&self, generation: Generation) -> Rejection {
        // The lock is held while a small file is read: all others would only find out the same.
        let mut history = self.history();
        if generation.0 < history.keys.len() {
            return Rejection::Changed;
        }
        if history.keys.len() > 1 {
            return Rejection::Final(format!("the new key of {} is refused too; {ADVICE}", self.place()));
        }
        if let Some(reason) = &history.given_up {
            return Rejection::Final(reason.clone());
        }
        match self.another(&history) {
            Ok(key) => {
                history.keys.push(key);
                Rejection::Changed
            }
            Err(reason) => {
                history.given_up = Some(reason.clone());
                Rejection::Final(reason)
            }
        }
    }

    /// Reads the file again; the key is heard of before anyone can send it.
    fn another(&self, history: &KeyHistory) -> Result<ApiKey, String> {
        let Some(Renewal { file, hear }) = &self.renewal else {
            return Err(ADVICE.to_owned());
        };
        let unusable = |what: String| format!("GEMINI_API_KEY_FILE was read again, but {what}; {ADVICE}");
        let text = read_key_file(file).map_err(unusable)?;
        let key = ApiKey::new(&text).map_err(|Problem { message, .. }| unusable(message))?;
        if history.keys.iter().any(|known| known.reveal() == key.reveal()) {
            return Err(unusable("it holds the same key".to_owned()));
        }
        hear(&key);
        Ok(key)
    }

    fn place(&self) -> String {
        let file = |renewal: &Renewal| renewal.file.display().to_string();
        self.renewal.as_ref().map(file).unwrap_or_default()
    }

    /// Nothing panics while it holds the lock but a caller's `hear`, after which nothing has changed.
    fn history(&self) -> MutexGuard<'_, KeyHistory> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do about a refused key.
const ADVICE: &str = "check that the key is valid and not restricted, and that its project may use the model \
                      (aistudio.google.com/apikey); then run again with --resume";

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "the-old-key";
    const NEW: &str = "the-new-key";

    /// Keys that began with [`OLD`], their file, and what was heard.
    fn keys(folder: &tempfile::TempDir, content: &str) -> (Keys, PathBuf, Arc<Mutex<Vec<String>>>) {
        let file = folder.path().join("key");
        std::fs::write(&file, content).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let renewal = Renewal {
            file: file.clone(),
            hear: {
                let heard = Arc::clone(&heard);
                Arc::new(move |key: &ApiKey| heard.lock().unwrap().push(key.reveal().to_owned()))
            },
        };
        (Keys::new(ApiKey::new(OLD).unwrap(), Some(renewal)), file, heard)
    }

    #[test]
    fn a_refused_key_is_replaced_once_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, file, heard) = keys(&folder, &format!("{NEW}\n"));
        let (header, first) = keys.current();
        assert_eq!(header.unwrap(), OLD);
        assert_eq!(keys.refused(first), Rejection::Changed);
        // Whoever was in flight with the old key just goes on, and the file is not read again.
        std::fs::write(&file, "a-third-key").unwrap();
        assert_eq!(keys.refused(first), Rejection::Changed);
        let (header, second) = keys.current();
        assert_eq!(header.unwrap(), NEW);
        assert_eq!(*heard.lock().unwrap(), [NEW]);
        assert!(matches!(keys.refused(second), Rejection::Final(why) if why.contains("refused too")));
        assert_eq!(keys.text(&format!("{OLD} {NEW}")), "*** ***");
        assert_eq!(keys.redact_bytes(format!("{OLD} {NEW}").into_bytes()), b"*** ***");
        assert!(!format!("{keys:?}").contains("the-"), "{keys:?}");
    }

    #[test]
    fn without_another_key_it_says_why_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        for (content, said) in [(OLD, "the same key"), ("", "is empty"), ("short", "fewer than 8")] {
            let (keys, file, heard) = keys(&folder, content);
            let (_, first) = keys.current();
            let Rejection::Final(why) = keys.refused(first) else {
                panic!("{content:?} changed the key");
            };
            assert!(why.contains(said) && why.contains("--resume"), "{why}");
            // It is not read again for the next worker.
            std::fs::write(&file, NEW).unwrap();
            assert_eq!(keys.refused(first), Rejection::Final(why));
            assert!(heard.lock().unwrap().is_empty());
        }
        let (keys, file, _) = keys(&folder, OLD);
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(keys.refused(keys.current().1), Rejection::Final(why) if why.contains("can't be read")));
        let without_file = Keys::new(ApiKey::new(OLD).unwrap(), None);
        assert_eq!(without_file.refused(without_file.current().1), Rejection::Final(ADVICE.to_owned()));
    }
}
