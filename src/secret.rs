//! Finds a secret in whatever comes from outside, in all the forms in which others repeat it, and puts `***` in its place.
//!
//! The one place that knows these forms. Keys (`provider/key.rs`) use it where replies come in, the redactor of the reports
//! (`report/redactor.rs`) where anything goes out.

use crate::domain::{Answer, ToolCall};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What stands in a secret's place.
pub const PLACEHOLDER: &str = "***";

/// Forms shorter than this many characters are left alone: they would hit innocent text.
const SHORTEST_FORM: usize = 6;

/// Characters of a secret with which a text may end without showing too much: a key of the service begins with six that
/// are the same in all of them.
const SHORTEST_REST: usize = 8;

/// How often a percent sign may itself be percent-encoded.
const DEEPEST_PERCENT: usize = 4;

/// Something that must not be shown, or several of them.
pub trait Redact: fmt::Debug + Sync {
    /// The bytes without it; borrowed when it does not stand in them.
    fn redact<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]>;

    /// Bytes without it, that are copied only if it stands in them.
    fn redact_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self.redact(&bytes) {
            Cow::Borrowed(_) => bytes,
            Cow::Owned(redacted) => redacted,
        }
    }

    /// The text without it.
    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.redact(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Takes it out of a text.
    fn hide(&self, text: &mut String) {
        if let Cow::Owned(hidden) = self.text(text) {
            *text = hidden;
        }
    }

    /// Takes it out of the texts of a JSON value, and out of the keys of its objects.
    fn value(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.hide(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(map) => self.map(map),
        }
    }

    /// Takes it out of the keys and values of a JSON object.
    fn map(&self, map: &mut Map<String, Value>) {
        if map.keys().any(|key| matches!(self.text(key), Cow::Owned(_))) {
            *map = std::mem::take(map).into_iter().map(|(key, value)| (self.text(&key).into_owned(), value)).collect();
        }
        map.values_mut().for_each(|value| self.value(value));
    }

    /// Takes it out of an answer, where it may have come in pieces that only together are the secret.
    fn answer(&self, answer: &mut Answer) {
        let Answer {
            text,
            tool_calls,
            finish_reason,
            finish: _,
            block_reason,
            model_version,
            usage: _,
            latency_ms: _,
            first_token_ms: _,
            details,
            batched: _,
            simulated: _,
        } = answer;
        self.hide(text);
        if let Some(details) = details {
            details.for_each_text(&mut |text| self.hide(text));
        }
        for ToolCall { name, args } in tool_calls {
            self.hide(name);
            self.map(args);
        }
        for text in [finish_reason, block_reason, model_version].into_iter().flatten() {
            self.hide(text);
        }
    }
}

/// The bytes without any of these secrets.
pub fn redact_all<'a, 's>(secrets: impl Iterator<Item = &'s dyn Redact>, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    secrets.fold(Cow::Borrowed(bytes), |bytes, secret| match secret.redact(&bytes) {
        Cow::Borrowed(_) => bytes,
        Cow::Owned(redacted) => Cow::Owned(redacted),
    })
}

/// One secret, ready to be found: as it is (in upper and lower case), in hex, and in base64 of both alphabets at each of
/// the three offsets at which a longer text may hold it. In each of these forms every character may be escaped in its own
/// way: behind backslashes, as `\u0041` or `\x41`, percent-encoded (`%41`, `%2541`), or as an HTML entity. A text that
/// ends, or was shortened with an ellipsis, within the secret shows at most its first [`SHORTEST_REST`] - 1 characters.
///
/// Looking takes time in proportion to the text: see `cover`.
#[derive(Clone)]
pub struct SecretForms(Arc<Forms>);

struct Forms {
    forms: Vec<Form>,
    /// The bytes with which any of the forms may begin.
    begins: [bool; 256],
}

struct Form {
    bytes: Vec<u8>,
    /// Upper and lower case are the same.
    any_case: bool,
    /// So many bytes of it are hidden where the text ends after them.
    rest: usize,
}

impl fmt::Debug for SecretForms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl SecretForms {
    /// Hides `secret`; an empty one hides nothing.
    pub fn new(secret: &str) -> SecretForms {
        let forms = forms(secret);
        let mut begins = [false; 256];
        for form in &forms {
            for begin in form.bytes.iter().take(1).chain(b"\\%&") {
                begins[usize::from(*begin)] = true;
                if form.any_case {
                    begins[usize::from(begin.to_ascii_lowercase())] = true;
                    begins[usize::from(begin.to_ascii_uppercase())] = true;
                }
            }
        }
        SecretForms(Arc::new(Forms { forms, begins }))
    }

    /// Where the longest form that begins at `at` ends.
    fn end(&self, bytes: &[u8], at: usize) -> Option<usize> {
        self.0.forms.iter().filter_map(|form| form.end(bytes, at)).max()
    }
}

impl Redact for SecretForms {
    /// Goes through the bytes once. What begins like a secret is compared with it and then left by one byte, or, where it
    /// begins with backslashes, by all of them; so no run of anything is read more often than the secret is long.
    fn redact<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut redacted = Vec::new();
        let (mut at, mut kept) = (0, 0);
        while let Some(byte) = bytes.get(at) {
            if !self.0.begins[usize::from(*byte)] {
                at += 1;
            } else if let Some(end) = self.end(bytes, at) {
                redacted.extend_from_slice(&bytes[kept..at]);
                redacted.extend_from_slice(PLACEHOLDER.as_bytes());
                (at, kept) = (end, end);
            } else {
                at += backslashes(&bytes[at..]).max(1);
            }
        }
        if kept == 0 {
            return Cow::Borrowed(bytes);
        }
        redacted.extend_from_slice(&bytes[kept..]);
        Cow::Owned(redacted)
    }
}

impl Form {
    fn end(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let mut next = at;
        for (matched, want) in self.bytes.iter().enumerate() {
            match self.step(bytes, next, *want) {
                Some(after) => next = after,
                None if matched >= self.rest => return cut_off(&bytes[next..]).map(|length| next + length),
                None => return None,
            }
        }
        Some(next)
    }

    /// Where the character at `at` ends if it is `want`, escaped or as it is.
    fn step(&self, bytes: &[u8], at: usize, want: u8) -> Option<usize> {
        let is = |byte: u8| byte == want || (self.any_case && byte.eq_ignore_ascii_case(&want));
        #[cfg(test)]
        tests::LOOKS.set(tests::LOOKS.get() + 1);
        let rest = bytes.get(at..)?;
        let escaped = match rest.first()? {
            b'\\' => backslash(rest, &is),
            b'%' => percent(rest, &is),
            b'&' => entity(rest, &is),
            _ => None,
        };
        let length = escaped.or_else(|| is(*rest.first()?).then_some(1))?;
        Some(at + length)
    }
}

/// What a text that was shortened ends with.
const ELLIPSIS: &[u8] = "…".as_bytes();

/// Where a text ends that ends, or was shortened, here or in the middle of an escape.
fn cut_off(rest: &[u8]) -> Option<usize> {
    const LONGEST_ESCAPE: usize = 8;
    let begun = match rest.first() {
        Some(b'\\') => backslashes(rest),
        Some(b'%' | b'&') => 1,
        Some(_) | None => 0,
    };
    let digits = rest[begun..].iter().take(if begun > 0 { LONGEST_ESCAPE } else { 0 });
    let end = begun + digits.take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'#').count();
    (end == rest.len() || rest[end..].starts_with(ELLIPSIS)).then_some(end)
}

/// How many backslashes a text begins with.
fn backslashes(text: &[u8]) -> usize {
    let run = text.iter().take_while(|byte| **byte == b'\\').count();
    #[cfg(test)]
    tests::LOOKS.set(tests::LOOKS.get() + run);
    run
}

/// The length of an escape that begins with backslashes, if it stands for the right character. Text that was escaped more
/// than once has several of them; one before any other character stands for that.
fn backslash(text: &[u8], is: &dyn Fn(u8) -> bool) -> Option<usize> {
    let run = backslashes(text);
    let escape = &text[run..];
    let kind = *escape.first()?;
    let digits = match kind {
        b'u' => 4,
        b'x' => 2,
        _ => 0,
    };
    if digits > 0 && hex(escape.get(1..=digits)?).is_some_and(is) {
        return Some(run + 1 + digits);
    }
    is(kind).then_some(run + 1)
}

/// Likewise, of a percent-encoded character. The deepest reading counts: `%2525` is a percent sign that was encoded twice.
fn percent(text: &[u8], is: &dyn Fn(u8) -> bool) -> Option<usize> {
    let mut found = None;
    for depth in 0..DEEPEST_PERCENT {
        let at = 1 + 2 * depth;
        let Some(digits) = text.get(at..at + 2) else {
            break;
        };
        if hex(digits).is_some_and(is) {
            found = Some(at + 2);
        }
        if digits != b"25" {
            break;
        }
    }
    found
}

/// Likewise, of an entity of HTML or XML.
fn entity(text: &[u8], is: &dyn Fn(u8) -> bool) -> Option<usize> {
    const LONGEST: usize = 10;
    let end = text.iter().take(LONGEST).position(|byte| *byte == b';')?;
    let byte = match &text[1..end] {
        b"amp" => b'&',
        b"lt" => b'<',
        b"gt" => b'>',
        b"quot" => b'"',
        b"apos" => b'\'',
        [b'#', b'x' | b'X', digits @ ..] => hex(digits)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        _ => return None,
    };
    is(byte).then_some(end + 1)
}

fn hex(digits: &[u8]) -> Option<u8> {
    number(digits, 16)
}

/// An ASCII character by its number.
fn number(digits: &[u8], base: u32) -> Option<u8> {
    let number = digits.iter().try_fold(0u32, |number, digit| {
        let digit = char::from(*digit).to_digit(base)?;
        number.checked_mul(base)?.checked_add(digit)
    })?;
    u8::try_from(number).ok().filter(u8::is_ascii)
}

/// The forms of a secret in other text.
fn forms(secret: &str) -> Vec<Form> {
    if secret.is_empty() {
        return Vec::new();
    }
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        Form { bytes: secret.as_bytes().to_vec(), any_case: true, rest: SHORTEST_REST },
        Form { bytes: hex.into_bytes(), any_case: true, rest: 2 * SHORTEST_REST },
    ];
    for offset in 0..3 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(secret.as_bytes());
        // The first and last characters also carry bits of the bytes beside the secret.
        let start = (offset * 8).div_ceil(6);
        let end = bytes.len() * 8 / 6;
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.extend(text.get(start..end).map(|text| Form {
                bytes: text.as_bytes().to_vec(),
                any_case: false,
                rest: SHORTEST_REST * 8 / 6 + 1,
            }));
        }
    }
    let mut first = true;
    forms.retain(|form| std::mem::take(&mut first) || form.bytes.len() >= SHORTEST_FORM);
    forms.dedup_by(|a, b| a.bytes == b.bytes);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    thread_local! {
        /// How often a byte was looked at.
        pub(super) static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    const KEY: &str = "AIza_\"Sy+D/9~x?y>z<&%=";

    fn masked(text: &str) -> String {
        SecretForms::new(KEY).text(text).into_owned()
    }

    fn each(write: impl Fn(u8) -> String) -> String {
        KEY.bytes().map(write).collect()
    }

    #[test]
    fn every_form_of_a_secret_goes_as_a_whole() {
        let json = serde_json::to_string(KEY).unwrap();
        let json = &json[1..json.len() - 1];
        let other = |n: &dyn Fn(u8) -> String| {
            KEY.bytes()
                .enumerate()
                .map(|(at, byte)| if at % 2 == 0 && byte != b'%' { char::from(byte).to_string() } else { n(byte) })
                .collect::<String>()
        };
        for form in [
            KEY.to_owned(),
            KEY.to_ascii_lowercase(),
            json.to_owned(),
            json.replace('\\', "\\\\\\"),
            json.replace('/', "\\/"),
            each(|byte| format!("\\u{byte:04x}")),
            each(|byte| format!("\\u{byte:04X}")),
            each(|byte| format!("\\\\u{byte:04X}")),
            other(&|byte| format!("\\u{byte:04x}")),
            each(|byte| format!("\\x{byte:02x}")),
            each(|byte| format!("%{byte:02X}")),
            each(|byte| format!("%{byte:02x}")),
            each(|byte| format!("%25{byte:02x}")),
            other(&|byte| format!("%{byte:02X}")),
            each(|byte| format!("&#{byte};")),
            each(|byte| format!("&#x{byte:X};")),
            KEY.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
            each(|byte| format!("{byte:02x}")),
            each(|byte| format!("{byte:02X}")),
            each(|byte| {
                format!(
                    "%{:02x}%{:02x}",
                    b"0123456789abcdef"[usize::from(byte >> 4)],
                    b"0123456789abcdef"[usize::from(byte & 15)]
                )
            }),
        ] {
            assert_eq!(masked(&format!("a {form} b {form}")), "a *** b ***", "{form}");
            assert_eq!(masked(&form), PLACEHOLDER, "{form}");
        }
    }

    #[test]
    fn base64_is_found_at_every_offset_and_in_every_alphabet() {
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "y", "yz", "yzx"] {
                for engine in [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                    let plain = engine.encode(format!("{before}{KEY}{after}"));
                    let hidden = masked(&plain);
                    assert!(hidden.contains(PLACEHOLDER), "{plain}");
                    // Beside the stars stand at most the neighbours and the characters that are shared with them.
                    assert!(hidden.len() <= PLACEHOLDER.len() + 14, "{plain} -> {hidden}");
                    let slashed = plain.replace('/', "\\/").replace('+', "%2B");
                    assert_eq!(masked(&slashed).replace("%2B", "+"), hidden, "{slashed}");
                }
            }
        }
    }

    #[test]
    fn a_json_text_stays_one() {
        for text in [
            serde_json::json!({"a": [KEY, format!("\\{KEY}"), format!("\n{KEY}\\")]}).to_string(),
            format!("{{\"a\": \"\\\\{}\"}}", each(|byte| format!("\\u{byte:04x}"))),
            format!("{{\"a\": \"\\n{}\"}}", each(|byte| format!("\\\\u{byte:04x}"))),
        ] {
            let hidden = masked(&text);
            assert!(hidden.contains(PLACEHOLDER), "{text}");
            serde_json::from_str::<Value>(&hidden).unwrap_or_else(|error| panic!("{text} -> {hidden}: {error}"));
        }
    }

    #[test]
    fn a_text_that_ends_within_a_secret_shows_little_of_it() {
        for length in SHORTEST_REST..KEY.len() {
            assert_eq!(masked(&format!("key={}", &KEY[..length])), "key=***");
        }
        assert_eq!(masked("\"key=AIza_\"Sy+…\""), "\"key=***…\"");
        assert_eq!(masked("\"key=AIza_\"Sy\\u00…\""), "\"key=***…\"");
        assert_eq!(masked("key=AIza_\"S"), "key=AIza_\"S");
        assert_eq!(masked("key=AIza_\"Sy+ is another"), "key=AIza_\"Sy+ is another");
        assert_eq!(masked("AIza_%22Sy%2BD%2"), PLACEHOLDER);
        assert_eq!(masked("AIza_\\u0022Sy\\u002BD\\u00"), PLACEHOLDER);
    }

    #[test]
    fn innocent_text_stays_as_it_is() {
        for text in [
            "",
            "AIza_",
            "\\",
            "%",
            "%2",
            "&",
            "&#;",
            "&#x;",
            "\\u00",
            "100 % of & \\ AIz\u{fffd}a_",
            "&#99999999999;",
            "%252525252525",
        ] {
            assert!(matches!(SecretForms::new(KEY).text(text), Cow::Borrowed(same) if same == text));
        }
        assert!(matches!(SecretForms::new("").text("\\ any % text &"), Cow::Borrowed(_)));
        let bytes = b"\xff\xfe nothing \xff".to_vec();
        assert_eq!(SecretForms::new(KEY).redact_bytes(bytes.clone()), bytes);
    }

    #[test]
    fn text_in_pieces_is_hidden_once_it_is_whole() {
        let mut answer = Answer {
            text: format!("a{KEY}"),
            model_version: Some(KEY.to_owned()),
            tool_calls: vec![ToolCall {
                name: KEY.to_owned(),
                args: serde_json::json!({KEY: [KEY]}).as_object().unwrap().clone(),
            }],
            ..Answer::default()
        };
        SecretForms::new(KEY).answer(&mut answer);
        assert_eq!(answer.text, "a***");
        assert_eq!(answer.model_version.as_deref(), Some(PLACEHOLDER));
        assert_eq!(answer.tool_calls[0].name, PLACEHOLDER);
        assert_eq!(Value::Object(answer.tool_calls[0].args.clone()), serde_json::json!({PLACEHOLDER: [PLACEHOLDER]}));
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", SecretForms::new(KEY)), PLACEHOLDER);
    }

    /// Whatever the text is made of, also of what begins like the secret all the time: each byte is looked at a bounded
    /// number of times.
    #[test]
    fn looking_takes_work_in_proportion_to_the_text() {
        const SIZE: usize = 200_000;
        let cover = SecretForms::new(KEY);
        for (piece, most) in [
            ("plain text ", 8),
            ("\\", 16),
            ("%25", 16),
            ("&#x41;", 16),
            ("AIza_\"Sy", 16),
            ("AIza_\\\\\\\\\\\\", 16),
            ("A", 16),
            (KEY, 16),
        ] {
            let text = piece.repeat(SIZE / piece.len()) + " ";
            LOOKS.set(0);
            assert_eq!(matches!(cover.redact(text.as_bytes()), Cow::Owned(_)), piece == KEY);
            assert!(LOOKS.get() < most * SIZE, "{piece}: {} looks", LOOKS.get());
        }
    }
}
