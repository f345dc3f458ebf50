//! Server-sent events (WHATWG HTML, section 9.2), as far as the service uses them: the data of each event.
//!
//! Lines end in CR, LF or both, and only there: the JSON in an event may hold other line separators of Unicode. Pieces
//! arrive cut anywhere, also inside a character. Lines that are neither a known field nor a comment are kept apart: the
//! service appends an error to a stream as bare JSON.

/// Takes pieces of a stream apart. Its memory is bounded by what is put in.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    line: Vec<u8>,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
    /// The event in progress; `None` before its first data.
    data: Option<Vec<u8>>,
    /// Lines that are no part of an event.
    stray: Vec<u8>,
}

impl Decoder {
    /// Takes the next piece, and returns the data of the events that it completes.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        let mut rest = piece;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.extend_from_slice(&rest[..end]);
            events.extend(self.end_line());
            rest = if rest[end..].starts_with(b"\r\n") {
                &rest[end + 2..]
            } else {
                self.after_cr = rest[end] == b'\r' && end + 1 == rest.len();
                &rest[end + 1..]
            };
        }
        self.line.extend_from_slice(rest);
        events
    }

    /// The end of the stream: the event that no blank line ended, and the lines that belong to none.
    pub(super) fn finish(mut self) -> (Option<Vec<u8>>, Vec<u8>) {
        if !self.line.is_empty() {
            self.end_line();
        }
        (self.data, self.stray)
    }

    /// Reads a complete line; a blank one ends the event.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.data.take();
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (&line[..], &b""[..]),
        };
        match field {
            b"data" => {
                let value = value.strip_prefix(b" ").unwrap_or(value);
                match &mut self.data {
                    Some(data) => {
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                    None => self.data = Some(value.to_vec()),
                }
            }
            // A comment, or a field that tells nothing here.
            b"" | b"event" | b"id" | b"retry" => {}
            _ => {
                self.stray.extend_from_slice(&line);
                self.stray.push(b'\n');
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::any;

    /// Events (an unfinished one last), and stray lines.
    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, String) {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let mut decoder = Decoder::default();
        let mut events: Vec<String> = Vec::new();
        for piece in pieces {
            events.extend(decoder.push(piece).into_iter().map(text));
        }
        let (last, stray) = decoder.finish();
        events.extend(last.map(text));
        (events, text(stray))
    }

    #[test]
    fn events_end_in_blank_lines_of_any_kind() {
        for stream in [
            "data: a\n\ndata: b\n\n",
            "data: a\r\n\r\ndata: b\r\n\r\n",
            "data: a\r\rdata: b\r\r",
            "data:a\n\n\n\ndata:b",
            ": comment\nevent: x\nid: 1\nretry: 5\ndata: a\n\n:\n\ndata: b\n",
            "data: a\r\n\ndata: b\n\r\n",
        ] {
            assert_eq!(decode([stream.as_bytes()]).0, ["a", "b"], "{stream:?}");
        }
        assert!(decode([]).0.is_empty());
        assert!(decode(["\n\n: nothing\n\n".as_bytes()]).0.is_empty());
    }

    #[test]
    fn lines_of_data_join_and_only_cr_and_lf_end_a_line() {
        assert_eq!(decode(["data: {\ndata:  \"a\"\ndata\ndata: }\n\n".as_bytes()]).0, ["{\n \"a\"\n\n}"]);
        let separators = "data: \u{2028}\u{2029}\u{85}\u{b}\u{c}\n\n";
        assert_eq!(decode([separators.as_bytes()]).0, ["\u{2028}\u{2029}\u{85}\u{b}\u{c}"]);
    }

    #[test]
    fn lines_of_no_event_are_kept() {
        let (events, stray) = decode(["data: a\n\n{\n  \"error\": {\n    \"code\": 503\n  }\n}".as_bytes()]);
        assert_eq!(events, ["a"]);
        assert_eq!(stray, "{\n  \"error\": {\n    \"code\": 503\n  }\n}\n");
    }

    proptest::proptest! {
        /// Where a stream is cut into pieces makes no difference.
        #[test]
        fn pieces_do_not_matter(
            stream in proptest::string::string_regex("(data: ?[a-zü\u{2028}]{0,3}|[:{}a]|\r|\n){0,20}").unwrap(),
            size in 1_usize..5,
            empty in any::<bool>(),
        ) {
            let whole = decode([stream.as_bytes()]);
            let nothing: &[u8] = b"";
            let pieces = stream.as_bytes().chunks(size).flat_map(|piece| [piece].into_iter().chain(empty.then_some(nothing)));
            proptest::prop_assert_eq!(decode(pieces), whole);
        }
    }
}
