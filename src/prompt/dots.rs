//! `{{.}}` and `{{..}}`: this value, and the one around it. The parser does not know them where they stand alone, so they
//! get names of the same length while it reads, which keeps every line and column, and are put back afterwards.

use super::bind::visit;
use handlebars::template::{Parameter, Template};
use handlebars::{Path, PathSeg};
use std::borrow::Cow;
use std::ops::Range;

/// Unicode sets these two aside for uses like this one.
const DOT: &str = "\u{fdd0}";
const DOTS: &str = "\u{fdd0}\u{fdd1}";

/// `body` with names for lone dots in its `tags`.
pub(super) fn name_dots<'a>(body: &'a str, tags: &[Range<usize>]) -> Cow<'a, str> {
    let found: Vec<Range<usize>> = tags.iter().flat_map(|tag| lone_dots(body, tag)).collect();
    if found.is_empty() {
        return Cow::Borrowed(body);
    }
    let mut named = String::with_capacity(body.len() + 8 * found.len());
    let mut at = 0;
    for dots in found {
        named.push_str(&body[at..dots.start]);
        named.push_str(if dots.len() == 1 { DOT } else { DOTS });
        at = dots.end;
    }
    named.push_str(&body[at..]);
    Cow::Owned(named)
}

fn lone_dots(body: &str, tag: &Range<usize>) -> Vec<Range<usize>> {
    let bytes = body.as_bytes();
    let mut found = Vec::new();
    let mut quote = None;
    let mut at = tag.start;
    while at < tag.end {
        let byte = bytes[at];
        match quote {
            Some(_) if byte == b'\\' => at += 1,
            Some(mark) if byte == mark => quote = None,
            Some(_) => {}
            None if byte == b'"' || byte == b'\'' => quote = Some(byte),
            None if byte == b'.' => {
                let start = at;
                while at + 1 < tag.end && bytes[at + 1] == b'.' {
                    at += 1;
                }
                let before = start == tag.start
                    || matches!(bytes[start - 1], b' ' | b'\t' | b'\r' | b'\n' | b'(' | b'=' | b'~' | b'&' | b'{');
                let after =
                    at + 1 == tag.end || matches!(bytes[at + 1], b' ' | b'\t' | b'\r' | b'\n' | b')' | b'~' | b'}');
                if before && after && at - start < 2 {
                    found.push(start..at + 1);
                }
            }
            None => {}
        }
        at += 1;
    }
    found
}

/// Puts the dots back: as `this`, and as `this` of the scope around.
pub(super) fn restore_dots(template: &mut Template) {
    visit(template, &mut |parameter| {
        let Parameter::Path(Path::Relative((steps, _))) = parameter else {
            return;
        };
        let meant = match steps.as_slice() {
            [PathSeg::Named(name)] if name == DOT => "this",
            [PathSeg::Named(name)] if name == DOTS => "../this",
            _ => return,
        };
        if let Ok(path) = Path::parse(meant) {
            *parameter = Parameter::Path(path);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::syntax;

    #[test]
    fn only_lone_dots_get_names() {
        let named = |body: &str| {
            let named = name_dots(body, &syntax::tags(body).unwrap()).into_owned();
            assert_eq!(named.chars().count(), body.chars().count());
            named.replace(DOTS, "<up>").replace(DOT, "<this>")
        };
        for (body, expected) in [
            ("a . b .. {{a.b}} {{./c}} {{../d}} {{this.e}}", "a . b .. {{a.b}} {{./c}} {{../d}} {{this.e}}"),
            ("{{.}} {{~.~}} {{{.}}} {{&.}} {{ . }}", "{{<this>}} {{~<this>~}} {{{<this>}}} {{&<this>}} {{ <this> }}"),
            ("{{..}} {{#each ..}}{{/each}}", "{{<up>}} {{#each <up>}}{{/each}}"),
            (
                "{{json . indent=2}} {{#if (lookup . k)}}{{/if}}",
                "{{json <this> indent=2}} {{#if (lookup <this> k)}}{{/if}}",
            ),
            (
                "{{> p x=.}} {{lookup a \" . \"}} {{! . }} \\{{.}}",
                "{{> p x=<this>}} {{lookup a \" . \"}} {{! . }} \\{{.}}",
            ),
        ] {
            assert_eq!(named(body), expected);
        }
    }
}
