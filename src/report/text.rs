//! The one place where text from outside is made safe for where it is going: terminals and CI logs, XML, Markdown, JSON,
//! CSV. Every function takes any text. Nothing is deleted silently: what can't be shown is replaced by something that
//! can be seen, because an answer that differs only in a control character must not look equal.

pub use crate::domain::visible;

use crate::domain::{is_hidden as hidden, show};
use std::borrow::Cow;
use std::fmt::Write as _;

/// What an invisible entity in Markdown keeps apart: renderers look for mentions and links in the text around it.
const MD_BREAK: &str = "&#8203;";

/// One line of [`visible`] text: newlines become ` ⏎ `, tabs a space.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let text = visible(text.trim());
    if text.contains(['\n', '\t']) { Cow::Owned(text.replace('\n', " ⏎ ").replace('\t', " ")) } else { text }
}

/// Starts of lines that GitHub's runner takes for a command, after blanks.
const COMMANDS: [&str; 1] = ["::"];
/// The same, and what Buildkite takes for the start of a group.
const COMMANDS_AND_GROUPS: [&str; 5] = ["::", "--- ", "+++ ", "~~~ ", "^^^ "];

/// Text for a terminal or a CI log: [`visible`], and no line of it is a command to the machine that reads the log.
/// GitHub and Azure act on `::command::` at the start of a line (after blanks) and on `##[command]` and `##vso[..]`
/// anywhere in it, TeamCity on `##teamcity[..]`, Buildkite on `---`, `+++` and `~~~` at its start.
pub fn log_safe(text: &str) -> String {
    defuse(text, &COMMANDS_AND_GROUPS)
}

/// Puts `| ` before lines that begin with one of `starts`, and breaks commands that work anywhere in a line.
fn defuse(text: &str, starts: &[&str]) -> String {
    let text = visible(text);
    let mut out = String::with_capacity(text.len() + 16);
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let start = line.trim_start();
        if starts.iter().any(|mark| start.starts_with(mark)) {
            out.push_str("| ");
        }
        break_commands(line, &mut out);
    }
    out
}

/// One line for a terminal or a CI log, see [`log_safe`].
pub fn log_line(text: &str) -> String {
    log_safe(&one_line(text))
}

/// Copies text, but puts a blank into each `##` that a log reader would take for a command: `##[`, `##vso[`, …
fn break_commands(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find("##") {
        let (before, marks) = rest.split_at(at + 1);
        out.push_str(before);
        let name = marks[1..].trim_start_matches(|c: char| c.is_ascii_alphabetic());
        if name.starts_with('[') {
            out.push(' ');
        }
        rest = marks;
    }
    out.push_str(rest);
}

/// Text that XML 1.0 can carry, escaping left to the writer: characters outside `Char` become visible, and so does the
/// carriage return, which parsers turn into a newline.
pub fn xml_safe(text: &str) -> Cow<'_, str> {
    let illegal = |c: char| matches!(c, '\0'..='\x08' | '\x0b'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    if !text.contains(illegal) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if illegal(c) => show(c, &mut out),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The inside of a CDATA section: [`xml_safe`], and `]]>` is spread over two sections.
pub fn xml_cdata(text: &str) -> Cow<'_, str> {
    let text = xml_safe(text);
    if text.contains("]]>") { Cow::Owned(text.replace("]]>", "]]]]><![CDATA[>")) } else { text }
}

/// Serialised JSON whose invisible characters and log commands are written as `\u` escapes; it parses to the same value.
pub fn json_safe(json: &str) -> Cow<'_, str> {
    if !json.contains(hidden) && !json.contains("##") {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        // Both stand only inside strings: serde_json escapes the C0 controls, and JSON's own syntax is ASCII. A carriage
        // return or a DEL between tokens can't occur in what it writes.
        if hidden(c) {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else if c == '#' && out.ends_with('#') {
            out.push_str("\\u0023");
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// One line of Markdown that shows the text and nothing else: no markup, HTML, mention, link, image, issue reference or
/// new table cell. Must not be the start of a line of its own paragraph's code block: leading blanks are cut.
pub fn md_inline(text: &str) -> String {
    let line = one_line(text);
    let line = line.trim();
    let mut out = String::with_capacity(line.len() + 16);
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    for (at, c) in line.char_indices() {
        let rest = &line[at + c.len_utf8()..];
        let (before, after) = match c {
            '@' => ("", MD_BREAK),
            '#' if rest.starts_with(|c: char| c.is_ascii_digit()) => ("", MD_BREAK),
            ':' if rest.starts_with("//") => ("", MD_BREAK),
            '.' if ends_with_ignore_case(&line[..at], "www") => (MD_BREAK, ""),
            '-' if ends_with_ignore_case(&line[..at], "gh") => (MD_BREAK, ""),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '!' | '#' | '^' => ("\\", ""),
            '-' | '+' | '=' if at == 0 => ("\\", ""),
            '.' | ')' if at > 0 && at == digits => ("\\", ""),
            _ => ("", ""),
        };
        out.push_str(before);
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
        out.push_str(after);
    }
    out
}

fn ends_with_ignore_case(text: &str, end: &str) -> bool {
    let (text, end) = (text.as_bytes(), end.as_bytes());
    text.len() >= end.len() && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
}

/// A Markdown code span of one line. Not for table cells: a `|` would end the cell.
pub fn md_code(text: &str) -> String {
    let mut line = String::new();
    break_commands(&one_line(text), &mut line);
    let ticks = "`".repeat(longest_run(&line, '`') + 1);
    let pad = if line.is_empty() || line.starts_with(['`', ' ']) || line.ends_with(['`', ' ']) { " " } else { "" };
    format!("{ticks}{pad}{line}{pad}{ticks}")
}

/// A fenced block with its closing newline. The fence is longer than any run of backticks in the text. Its lines are safe
/// in a log too: people print reports there.
pub fn md_fence(language: &'static str, text: &str) -> String {
    let text = defuse(text, &COMMANDS);
    let fence = "`".repeat((longest_run(&text, '`') + 1).max(3));
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}{language}\n{text}{end}{fence}\n")
}

fn longest_run(text: &str, mark: char) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == mark { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// At most `max` bytes of the text, cut between characters, with a mark that says how much is missing.
pub fn truncate(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let cut = text.floor_char_boundary(max);
    Cow::Owned(format!("{}… ({} more bytes)", &text[..cut], text.len() - cut))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_or_hides_becomes_visible() {
        for (text, expected) in [
            ("plain ä\tb\nc", "plain ä\tb\nc"),
            ("\x1b[31mred\x07", "␛[31mred␇"),
            ("a\r\nb", "a␍\nb"),
            ("\x7f\u{9b}1m", "␡\\u{9b}1m"),
            ("abc\u{202e}txt\u{2069}", "abc\\u{202e}txt\\u{2069}"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
            ("👩\u{200d}🚀", "👩\u{200d}🚀"),
            ("line\u{2028}sep", "line\\u{2028}sep"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn log_commands_are_defused() {
        for (text, expected) in [
            ("::error::x", "| ::error::x"),
            ("a\n \u{a0}::set-output name=x::y", "a\n|  \u{a0}::set-output name=x::y"),
            ("x ##[group]y", "x # #[group]y"),
            ("###[x]", "## #[x]"),
            ("##vso[task.setvariable]", "# #vso[task.setvariable]"),
            ("##TeamCity[x]", "# #TeamCity[x]"),
            ("## Heading", "## Heading"),
            ("--- group", "| --- group"),
            ("std::fmt", "std::fmt"),
            ("a\r::error::b", "a␍::error::b"),
        ] {
            assert_eq!(log_safe(text), expected);
        }
        assert_eq!(log_line("a\n::error::b\tc"), "a ⏎ ::error::b c");
    }

    #[test]
    fn xml_gets_only_legal_characters() {
        assert_eq!(xml_safe("a\0b\x1b[0m\u{fffe}\r\n\tc"), "a␀b␛[0m\u{fffd}␍\n\tc");
        assert_eq!(xml_cdata("x]]>y]]]>"), "x]]]]><![CDATA[>y]]]]]><![CDATA[>");
    }

    #[test]
    fn markdown_shows_text_and_nothing_else() {
        for (text, expected) in [
            ("hi @team/x", "hi @&#8203;team/x"),
            ("fixes #12 and # 3", "fixes #&#8203;12 and \\# 3"),
            ("![x](https://e.vil/p.png)", "\\!\\[x\\](https:&#8203;//e.vil/p.png)"),
            ("<img src=x> & |", "&lt;img src=x&gt; &amp; \\|"),
            ("www.evil.example", "www&#8203;.evil.example"),
            ("GH-7 `a` **b**", "GH&#8203;-7 \\`a\\` \\*\\*b\\*\\*"),
            ("- item", "\\- item"),
            ("12. item 3. x", "12\\. item 3. x"),
            ("  a\nb", "a ⏎ b"),
        ] {
            assert_eq!(md_inline(text), expected);
        }
        assert_eq!(md_code("a`b"), "``a`b``");
        assert_eq!(md_code("`a"), "`` `a ``");
        assert_eq!(md_code("##[x]"), "`# #[x]`");
        assert_eq!(md_fence("text", "a\n```\nb"), "````text\na\n```\nb\n````\n");
        assert_eq!(md_fence("diff", "--- a\n ::error::b"), "```diff\n--- a\n|  ::error::b\n```\n");
    }

    #[test]
    fn a_cut_is_visible_and_between_characters() {
        assert_eq!(truncate("abc", 3), "abc");
        assert_eq!(truncate("aäb", 2), "a… (3 more bytes)");
    }

    proptest! {
        #[test]
        fn logs_carry_neither_controls_nor_commands(text in "(\\PC|[\\x00-\\x20\\x7f-\\u{a0}:#\\[\u{202e}\u{2028}]|##\\[|::){0,60}") {
            let safe = log_safe(&text);
            prop_assert!(!safe.chars().any(hidden));
            for line in safe.split('\n') {
                prop_assert!(!line.trim_start().starts_with("::"), "{line:?}");
                prop_assert!(!line.contains("##["), "{line:?}");
            }
            prop_assert!(!log_line(&text).contains('\n'));
        }

        #[test]
        fn json_stays_the_same_value(text in "(\\PC|[\\x00-\\x7f\\u{80}-\\u{a0}]|##\\[|\u{e0001}|\\\\){0,60}") {
            let json = serde_json::to_string(&text).unwrap();
            let safe = json_safe(&json);
            prop_assert!(!safe.contains(hidden));
            prop_assert!(!safe.contains("##["));
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }

        #[test]
        fn any_text_survives_xml(text in "(\\PC|[\\x00-\\x20\\u{80}-\\u{a0}\u{fffe}&<>\"']|\\]\\]>){0,60}") {
            use quick_xml::events::{BytesCData, BytesStart, Event};
            let mut writer = quick_xml::Writer::new(Vec::new());
            let attribute = xml_safe(&one_line(&text)).into_owned();
            writer.write_event(Event::Start(BytesStart::new("a").with_attributes([("m", attribute.as_str())]))).unwrap();
            writer.write_event(Event::CData(BytesCData::new(xml_cdata(&text)))).unwrap();
            writer.write_event(Event::End(quick_xml::events::BytesEnd::new("a"))).unwrap();
            let xml = String::from_utf8(writer.into_inner()).unwrap();
            let mut reader = quick_xml::Reader::from_str(&xml);
            let mut read = String::new();
            loop {
                let event = reader.read_event().unwrap();
                if let Event::Start(start) = &event {
                    let found = start.attributes().next().unwrap().unwrap();
                    prop_assert_eq!(found.normalized_value(quick_xml::XmlVersion::Explicit1_0).unwrap(), attribute.as_str());
                } else if let Event::CData(data) = &event {
                    read.push_str(&data.decode().unwrap());
                } else {
                    prop_assert!(matches!(event, Event::End(_)), "{event:?}");
                    break;
                }
            }
            let legal = |c| matches!(c, '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'..);
            prop_assert!(read.chars().all(legal));
            prop_assert_eq!(read, xml_safe(&text));
        }

        #[test]
        fn markdown_lines_carry_no_markup(text in "(\\PC|[\\n\\t@#<>&\\[\\]`|!]|https://|www\\.|@a){0,60}") {
            let line = md_inline(&text);
            prop_assert!(!line.contains(['\n', '<', '>']));
            prop_assert!(!line.contains("://"));
            let bytes = line.as_bytes();
            for (i, b) in bytes.iter().enumerate() {
                if b"[]`|*_".contains(b) {
                    let backslashes = bytes[..i].iter().rev().take_while(|b| **b == b'\\').count();
                    prop_assert!(backslashes % 2 == 1, "{line:?}");
                }
                if *b == b'@' {
                    prop_assert!(line[i + 1..].starts_with(MD_BREAK));
                }
            }
        }

        #[test]
        fn no_text_closes_its_fence(text in "(\\PC|`{1,8}|\\n){0,60}") {
            let block = md_fence("text", &text);
            let fence = block.split("text").next().unwrap();
            let inside = &block[fence.len() + "text\n".len()..block.len() - fence.len() - 1];
            prop_assert!(!inside.contains(fence));
        }
    }
}
