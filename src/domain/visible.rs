//! Characters that act or hide, and how they are shown. The rule stands here because what people approve is compared in the
//! form in which they saw it; text for any output goes through `report::text`, which builds on it.

use std::borrow::Cow;

/// Characters that act on the screen, or hide, instead of showing: control characters but for newline and tab, line and
/// paragraph separators, direction marks and overrides, zero-width and tag characters. The zero-width joiners stay: emoji
/// and several scripts are written with them.
pub fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{061c}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{fffe}'
        | '\u{ffff}'
        | '\u{e0000}'..='\u{e007f}' => true,
        other => other.is_control(),
    }
}

/// Writes a character that is [`is_hidden`] so that it can be seen: `␛` for ESC, `\u{202e}` for an override.
pub fn show(c: char, into: &mut String) {
    match c {
        '\0'..='\x1f' => into.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
        '\x7f' => into.push('\u{2421}'),
        other => into.extend(other.escape_unicode()),
    }
}

/// Makes every character visible that would act or hide; newlines and tabs stay. A carriage return becomes `␍`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            show(c, &mut out);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}
