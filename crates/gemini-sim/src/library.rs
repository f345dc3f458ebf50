//! System instructions that were read before.

use super::body::get;
use super::reader::Document;
use super::turns::text_of;
use serde_json::Value;
use std::sync::Arc;

/// The system texts read so far. Thousands of requests share one; reading it is the larger part of answering.
#[derive(Debug, Default)]
pub(super) struct Library {
    read: std::sync::RwLock<Vec<(String, Arc<Document>)>>,
}

impl Library {
    /// System texts kept; the oldest makes room.
    const KEPT: usize = 16;
    /// Longer texts are read each time.
    const LONGEST: usize = 1 << 20;

    /// The system instruction of a request, read.
    pub(super) fn system(&self, body: &Value) -> Option<Arc<Document>> {
        let text = text_of(get(body, "systemInstruction")?);
        let known = |kept: &[(String, Arc<Document>)]| {
            kept.iter().find(|(other, _)| *other == text).map(|(_, document)| Arc::clone(document))
        };
        if let Ok(kept) = self.read.read()
            && let Some(document) = known(&kept)
        {
            return Some(document);
        }
        let document = Arc::new(Document::read(&text));
        if text.len() <= Library::LONGEST
            && let Ok(mut kept) = self.read.write()
            && known(&kept).is_none()
        {
            if kept.len() >= Library::KEPT {
                kept.remove(0);
            }
            kept.push((text, Arc::clone(&document)));
        }
        Some(document)
    }
}
