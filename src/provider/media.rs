//! Media that stand in a prompt themselves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::borrow::Cow;

/// A `data:` URL (RFC 2397), taken apart.
pub(super) struct Inline<'a> {
    pub(super) mime: Option<&'a str>,
    /// In base64.
    pub(super) data: Cow<'a, str>,
}

impl Inline<'_> {
    /// `None` for any other URL.
    pub(super) fn read(url: &str) -> Option<Inline<'_>> {
        let scheme = url.get(..5)?;
        if !scheme.eq_ignore_ascii_case("data:") {
            return None;
        }
        let (head, data) = url[5..].split_once(',').unwrap_or((&url[5..], ""));
        let base64 = head.len() >= 7 && head.is_char_boundary(head.len() - 7) && {
            head[head.len() - 7..].eq_ignore_ascii_case(";base64")
        };
        let mime = head.split(';').next().filter(|mime| !mime.is_empty());
        Some(Inline {
            mime,
            data: if base64 { Cow::Borrowed(data) } else { Cow::Owned(BASE64.encode(percent_decoded(data))) },
        })
    }
}

/// What is wrong with a piece of media, in a sentence.
pub(super) fn media_problem(url: &str, content_type: Option<&str>) -> Option<String> {
    let Some(inline) = Inline::read(url) else {
        return url.trim().is_empty().then(|| "a media part has no url".to_owned());
    };
    if content_type.or(inline.mime).is_none() {
        return Some("a data: url names no mime type; write data:image/png;base64,.. or give a contentType".to_owned());
    }
    if BASE64.decode(inline.data.as_bytes()).is_err() {
        return Some("a data: url holds no valid base64 (standard alphabet, padded, without line breaks)".to_owned());
    }
    None
}

/// `%41` becomes `A`; anything else stays.
fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |offset: usize| bytes.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}
