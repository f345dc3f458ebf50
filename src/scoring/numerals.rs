//! Finds numbers in prose.
//!
//! A number is a run of ASCII digits with, each optional:
//! - groups of three after a separator: `1,234`, `1'234`, or a no-break or thin space (the first group has one to three
//!   digits and no leading zero; `1,2` and `12,3456` are two numbers each);
//! - decimals after a point (`3.` at the end of a sentence is 3, `.5` is 0.5);
//! - an exponent (`1e6`);
//! - a sign, also before a currency sign (`-$5`, `$-5`). A dash after a letter, a digit or a closing bracket is none:
//!   `16-3` are 16 and 3, `COVID-19` holds 19.
//!
//! What follows is a unit and does not matter: `18%`, `18km` and `18.` are 18. Not numbers: digits right after an ASCII
//! letter or `_` (`H2O`, `v2.5`), and more than one point (`1.2.3`, a version or a date). Number words, fractions and
//! decimal commas are not read.

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Numeral<'a> {
    /// As it stands there, without its sign.
    pub(super) text: &'a str,
    /// Its value; infinite if it is too large.
    pub(super) value: f64,
}

/// All numbers of a text, in order. Linear in the text.
pub(super) fn numerals(text: &str) -> Numerals<'_> {
    Numerals { text, at: 0 }
}

#[derive(Debug)]
pub(super) struct Numerals<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Numerals<'a> {
    type Item = Numeral<'a>;

    fn next(&mut self) -> Option<Numeral<'a>> {
        loop {
            let digit = self.at + self.text[self.at..].find(|c: char| c.is_ascii_digit())?;
            let start = leading_point(self.text, digit).unwrap_or(digit);
            let end = end_of_number(self.text, digit, start < digit);
            let version = end_of_version(self.text, end);
            self.at = version.unwrap_or(end);
            let before = self.text[..start].chars().next_back();
            let part_of_word = before.is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            if version.is_some() || part_of_word {
                continue;
            }
            let text = &self.text[start..end];
            let mut plain: String = text.chars().filter(|c| !is_separator(*c)).map(ascii_minus).collect();
            if is_negative(&self.text[..start]) {
                plain.insert(0, '-');
            }
            if let Ok(value) = plain.parse() {
                return Some(Numeral { text, value });
            }
        }
    }
}

/// The byte of a decimal point right before the first digit, unless it ends or continues something else.
fn leading_point(text: &str, digit: usize) -> Option<usize> {
    let rest = text[..digit].strip_suffix('.')?;
    let ends_something = rest.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | ')' | ']' | '}' | '_'));
    (!ends_something).then_some(rest.len())
}

/// The byte after the number whose first digit is at `digit`.
fn end_of_number(text: &str, digit: usize, after_point: bool) -> usize {
    let mut end = end_of_digits(text, digit);
    if !after_point {
        end = end_of_groups(text, digit, end);
        if let Some(decimals) = text[end..].strip_prefix('.').filter(|rest| starts_with_digit(rest)) {
            end = end_of_digits(text, text.len() - decimals.len());
        }
    }
    end_of_exponent(text, end).unwrap_or(end)
}

fn end_of_digits(text: &str, start: usize) -> usize {
    let rest = text[start..].trim_start_matches(|c: char| c.is_ascii_digit());
    text.len() - rest.len()
}

/// The byte after the groups of three that follow the first group, if there are any.
fn end_of_groups(text: &str, start: usize, first: usize) -> usize {
    let Some(separator) = text[first..].chars().next().filter(|c| is_separator(*c)) else {
        return first;
    };
    if first - start > 3 || text[start..].starts_with('0') {
        return first;
    }
    let mut end = first;
    while let Some(group) = text[end..].strip_prefix(separator) {
        let group_start = text.len() - group.len();
        let group_end = end_of_digits(text, group_start);
        if group_end - group_start != 3 {
            break;
        }
        end = group_end;
    }
    end
}

fn end_of_exponent(text: &str, mantissa: usize) -> Option<usize> {
    let rest = text[mantissa..].strip_prefix(['e', 'E'])?;
    let digits = rest.strip_prefix(['+', '-', '−']).unwrap_or(rest);
    let end = end_of_digits(text, text.len() - digits.len());
    let is_exponent = starts_with_digit(digits) && !text[end..].starts_with(|c: char| c.is_ascii_alphanumeric());
    is_exponent.then_some(end)
}

/// The byte after `.3` and the like, when that follows a number.
fn end_of_version(text: &str, end: usize) -> Option<usize> {
    let mut version = None;
    let mut at = end;
    while let Some(rest) = text[at..].strip_prefix('.').filter(|rest| starts_with_digit(rest)) {
        at = end_of_digits(text, text.len() - rest.len());
        version = Some(at);
    }
    version
}

/// Whether what stands before a number ends with a minus sign that belongs to it.
fn is_negative(before: &str) -> bool {
    let mut before = before.chars().rev();
    let mut sign = before.next();
    if sign.is_some_and(is_currency) {
        sign = before.next();
    }
    let is_minus = sign.is_some_and(|c| matches!(c, '-' | '−' | '–'));
    let joins = |c: char| c.is_alphanumeric() || matches!(c, ')' | ']' | '}' | '%' | '-' | '−' | '–' | '—');
    is_minus && !before.next().is_some_and(joins)
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | '\'' | '’' | '\u{a0}' | '\u{2009}' | '\u{202f}')
}

fn is_currency(c: char) -> bool {
    matches!(c, '$' | '¢' | '£' | '¤' | '¥' | '\u{20a0}'..='\u{20cf}' | '￥' | '＄')
}

fn ascii_minus(c: char) -> char {
    if c == '−' { '-' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str) -> Vec<f64> {
        numerals(text).map(|numeral| numeral.value).collect()
    }

    #[test]
    fn reads_what_people_and_models_write() {
        let table: &[(&str, &[f64])] = &[
            ("", &[]),
            ("no number", &[]),
            ("A: 18", &[18.0]),
            ("The answer is 3.", &[3.0]),
            ("3.)", &[3.0]),
            ("1. first 2. second", &[1.0, 2.0]),
            ("3.25 and .5 and 0.75", &[3.25, 0.5, 0.75]),
            ("so...5", &[5.0]),
            ("1,234.5", &[1234.5]),
            ("$1,234,567", &[1_234_567.0]),
            ("1'234 1’234", &[1234.0, 1234.0]),
            ("1\u{a0}234 1\u{2009}234 1\u{202f}234\u{202f}567", &[1234.0, 1234.0, 1_234_567.0]),
            ("1 234", &[1.0, 234.0]),
            ("1,2", &[1.0, 2.0]),
            ("1, 2, 3", &[1.0, 2.0, 3.0]),
            ("12,3456", &[12.0, 3456.0]),
            ("1234,567", &[1234.0, 567.0]),
            ("0,123", &[0.0, 123.0]),
            ("1,234'567", &[1234.0, 567.0]),
            ("1,234,", &[1234.0]),
            ("18%", &[18.0]),
            ("€18 £5 ₹7", &[18.0, 5.0, 7.0]),
            ("-5 −6 –7 +8", &[-5.0, -6.0, -7.0, 8.0]),
            ("-$5 $-6 (-7) **-8** =-9", &[-5.0, -6.0, -7.0, -8.0, -9.0]),
            ("-.5", &[-0.5]),
            ("16-3=13", &[16.0, 3.0, 13.0]),
            ("(4)-3 x-2 10%-5", &[4.0, 3.0, 2.0, 10.0, 5.0]),
            ("16 - 3", &[16.0, 3.0]),
            ("answer--5", &[5.0]),
            ("COVID-19", &[19.0]),
            ("2024-05-01", &[2024.0, 5.0, 1.0]),
            ("H2O x_3 v2.5 gpt4", &[]),
            ("1.2.3 and 01.05.2024 and 192.168.0.1.", &[]),
            ("18km 3rd 5G", &[18.0, 3.0, 5.0]),
            ("答案是18个", &[18.0]),
            ("1e6 2.5E-3 1e+2 5e−1", &[1e6, 2.5e-3, 100.0, 0.5]),
            ("3e 3ex 12e4f", &[3.0, 3.0, 12.0]),
            (r"\boxed{18}", &[18.0]),
            ("**18**", &[18.0]),
            ("1/2", &[1.0, 2.0]),
            ("16 - 3 = <<16-3=13>>13", &[16.0, 3.0, 16.0, 3.0, 13.0, 13.0]),
            ("1e999", &[f64::INFINITY]),
        ];
        for (text, expected) in table {
            assert_eq!(values(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn keeps_the_text_for_messages() {
        assert_eq!(numerals("is $1,234.50!").map(|n| n.text).collect::<Vec<_>>(), ["1,234.50"]);
    }

    proptest! {
        #[test]
        fn reads_back_every_number(value in -1e15..1e15_f64) {
            prop_assert_eq!(values(&format!("it is {value} so")), [value]);
        }

        #[test]
        fn reads_back_grouped_integers(value in 0..1_000_000_000_000_u64, separator in ",'\u{a0}\u{202f}") {
            let digits = value.to_string();
            let mut grouped = String::new();
            for (i, digit) in digits.chars().enumerate() {
                if i > 0 && (digits.len() - i) % 3 == 0 {
                    grouped.push_str(&separator[..separator.chars().next().map_or(0, char::len_utf8)]);
                }
                grouped.push(digit);
            }
            prop_assert_eq!(values(&grouped), [value as f64]);
        }

        #[test]
        fn never_panics_and_never_invents(text in "[-−–+.,'’$€eE0-9a_ )\u{a0}\u{2009}ü]{0,40}|\\PC{0,40}") {
            for numeral in numerals(&text) {
                prop_assert!(text.contains(numeral.text));
                prop_assert!(!numeral.value.is_nan());
            }
        }
    }
}
