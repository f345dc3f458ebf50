//! The key of a service, in the one type that may hold it.

use crate::domain::Problem;
use crate::secret::{Redact, SecretForms};
use reqwest::header::HeaderValue;
use std::borrow::Cow;
use std::fmt;

/// An API key or an access token. It can be sent and masked, but not printed: `Debug` and `Display` write `***`.
///
/// Nothing is assumed about a key's prefix or length, because the service changes both; only what can't work is refused.
#[derive(Clone)]
pub struct ApiKey {
    text: String,
    header: HeaderValue,
    cover: SecretForms,
}

impl ApiKey {
    /// Characters a key must have: shorter ones could not be masked without mangling innocent text.
    pub const SHORTEST: usize = 8;

    /// Takes a key as it stands in a variable or a file; white space around it is dropped.
    ///
    /// # Errors
    /// It is empty, shorter than [`ApiKey::SHORTEST`] characters, or holds a character that can't stand in a header. The
    /// message never quotes the key.
    pub fn new(text: &str) -> Result<ApiKey, Problem> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Problem::new("the api key is empty").hint("set GEMINI_API_KEY to a key of the Gemini API"));
        }
        if text.chars().count() < ApiKey::SHORTEST {
            return Err(Problem::new(format!("the api key has fewer than {} characters", ApiKey::SHORTEST))
                .expected("a whole key, so that it can be masked in everything that is written"));
        }
        // HeaderValue would also let spaces and tabs through; no key has them, but a file with two lines does.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unsendable());
        }
        let mut header = HeaderValue::from_str(text).map_err(|_| unsendable())?;
        header.set_sensitive(true);
        Ok(ApiKey { text: text.to_owned(), header, cover: SecretForms::new(text) })
    }

    /// The key in the clear, for building a mask of it and nothing else.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The header's value, marked so that no client prints or indexes it.
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The value of an `Authorization` header, marked likewise.
    pub(super) fn bearer(&self) -> Result<HeaderValue, Problem> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.text)).map_err(|_| unsendable())?;
        bearer.set_sensitive(true);
        Ok(bearer)
    }
}

fn unsendable() -> Problem {
    Problem::new("the api key holds a character that can't stand in an http header")
        .expected("visible ascii characters only, on one line")
        .hint("look for a line break, a space, a quote or a second key in the variable or file")
}

impl Redact for ApiKey {
    fn redact<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.cover.redact(bytes)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_masked_or_sent_and_never_quotes_it() {
        for (written, said) in [
            ("", "empty"),
            (" \n", "empty"),
            ("short12", "fewer than 8"),
            ("two words", "can't stand in an http header"),
            ("first-key-\nsecond-key", "can't stand in an http header"),
            ("schlüssel-lang", "can't stand in an http header"),
            ("nul\0inside-it", "can't stand in an http header"),
        ] {
            let problem = ApiKey::new(written).unwrap_err().to_string();
            assert!(problem.contains(said), "{written:?}: {problem}");
            assert!(written.trim().is_empty() || !problem.contains(written.trim()), "{problem}");
        }
    }

    #[test]
    fn is_never_printed_and_masks_itself() {
        let key = ApiKey::new("  AQ.secret-key\r\n").unwrap();
        assert_eq!(format!("{key} {key:?} {:?}", key.header()), "*** *** Sensitive");
        assert_eq!(key.header().as_bytes(), b"AQ.secret-key");
        assert_eq!(key.text("bad key AQ.secret-key, AQ.secret-key"), "bad key ***, ***");
        assert_eq!(key.text("nothing here"), "nothing here");
        assert_eq!(key.redact_bytes(b"\xff AQ.secret-key".to_vec()), b"\xff ***");
        assert_eq!(key.redact_bytes(b"\xff nothing".to_vec()), b"\xff nothing");
    }
}
