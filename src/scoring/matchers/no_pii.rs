//! `no_pii`: the answer holds no e-mail address, phone number, card number, IBAN or IP address.
//!
//! What has a checksum must have it right (cards: Luhn, ISO/IEC 7812-1; IBAN: mod 97, ISO 13616), so that an order
//! number is none. A phone number has no checksum; its shapes are those that people recognise as one.

use super::no_secrets::{MAX_FOUND, ascii_bounded, listed, place};
use crate::domain::{ArgProblem, Score, Step};
use crate::scoring::arguments::{Fields, Read, needles, wrong};
use crate::scoring::cache::Cache;
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use regex::Regex;
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

pub(super) const NO_PII: MatcherDef = MatcherDef {
    name: "no_pii",
    summary: "the answer holds no personal data of these kinds",
    arguments: "true, or {kinds: [..], allow: [texts]}; kinds: email; phone (+ or 00 and 8 to 15 digits; ten digits in \
                North American groups like (555) 123-4567 or 555-123-4567; an area code with its 0, a slash and 6 to 9 \
                digits, like 030/1234567, and German mobile numbers with a space or dash, like 0170 1234567); \
                credit_card (13 to 19 digits, in groups or not, with dots only in groups as on a card, of a card's leading digit and with a right Luhn checksum); iban (with the length of its country \
                and a right checksum); ip (IPv4 and IPv6, but for loopback, unspecified, broadcast and documentation \
                addresses); all of them without `kinds`; allow: what may stand there, each in full; letter case and, \
                in numbers, spaces, dashes, dots and brackets say nothing in it, and \"@example.com\" allows every address of that \
                domain",
    schema: r##"{"anyOf": [{"const": true}, {"type": "object", "properties": {"kinds": {"type": "array", "minItems":
        1, "items": {"enum": ["email", "phone", "credit_card", "iban", "ip"]}}, "allow": {"$ref":
        "#/$defs/texts"}}, "additionalProperties": false}]}"##,
    example: r#"{"no_pii": {"kinds": ["email", "credit_card"], "allow": ["help@shoes.example"]}}"#,
    passes: Sample::Text("Write to help@shoes.example about order 4111 1111 1111 1112."),
    fails: Sample::Text("Ann paid with 4111 1111 1111 1111."),
    refused: r#"{"no_pii": {"kinds": ["name"]}}"#,
    compile,
    ..MatcherDef::DEFAULT
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Email,
    Phone,
    CreditCard,
    Iban,
    Ip,
}

const KINDS: [(&str, Kind); 5] = [
    ("email", Kind::Email),
    ("phone", Kind::Phone),
    ("credit_card", Kind::CreditCard),
    ("iban", Kind::Iban),
    ("ip", Kind::Ip),
];

struct NoPii {
    shapes: Vec<(&'static str, Kind, Regex)>,
    /// Without what says nothing.
    allow: Vec<String>,
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let all = || KINDS.iter().map(|(_, kind)| *kind).collect::<Vec<_>>();
    let mut fields = Fields::of_map_or_true(args, &["kinds", "allow"], "no_pii", "a map {kinds, allow}")?;
    let kinds = fields.optional("kinds", |value| listed(value, &KINDS)).unwrap_or_else(all);
    let allow = fields.optional("allow", allowed).unwrap_or_default();
    let (kinds, allow) = fields.finish(Some((kinds, allow)))?;
    let wanted = KINDS.iter().filter(|(_, kind)| kinds.contains(kind));
    let shapes = wanted.map(|(name, kind)| Ok((*name, *kind, shape(*kind)?))).collect::<Read<_>>()?;
    let no_pii = NoPii { shapes, allow };
    Ok(Matcher::new(move |input| {
        let text = &input.answer.text;
        let found = no_pii.find(text);
        Ok(match found.first() {
            None => Score::binary(true, "holds no personal data of these kinds"),
            Some((name, _)) => {
                Score::binary(false, format!("holds what looks like personal data ({name}){}", place(text, &found)))
            }
        })
    }))
}

fn allowed(value: &Value) -> Read<Vec<String>> {
    let allow: Vec<String> = needles(value)?.into_iter().map(bare).collect();
    if let Some(i) = allow.iter().position(String::is_empty) {
        return wrong(
            ArgProblem::new("the text is only signs").inside(Step::Index(i)).expected("an address or a number"),
        );
    }
    Ok(allow)
}

/// A text in lower case; a number without spaces, dashes, dots and brackets.
fn bare(text: &str) -> String {
    if text.contains('@') {
        return text.trim().to_lowercase();
    }
    let says_nothing = |c: &char| c.is_whitespace() || matches!(c, '-' | '.' | '(' | ')' | '/' | '\u{2011}');
    text.chars().filter(|c| !says_nothing(c)).flat_map(char::to_lowercase).collect()
}

impl Kind {
    /// Where one may stand; [`Kind::match_length`] decides.
    fn pattern(self) -> &'static str {
        match self {
            // The addresses of RFC 5321 that occur in practice: no quoted local part, no address literal; and those of RFC
            // 6531, which have other letters. Scripts that stand without spaces are addresses of their own: else the words
            // around an address would belong to it.
            Kind::Email => concat!(
                r"[0-9A-Za-z._%+'-]{1,64}@(?:[0-9A-Za-z-]{1,63}\.){1,8}[A-Za-z]{2,63}",
                r"|[\p{Latin}\p{Greek}\p{Cyrillic}\p{M}0-9._%+'-]+@(?:[\p{Latin}\p{Greek}\p{Cyrillic}\p{M}0-9-]+\.)+",
                r"[\p{Latin}\p{Greek}\p{Cyrillic}]{2}[\p{Latin}\p{Greek}\p{Cyrillic}\p{M}]*",
                r"|[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Devanagari}\p{Arabic}\p{Hebrew}\p{M}0-9._-]+@",
                r"(?:[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Devanagari}\p{Arabic}\p{Hebrew}\p{M}0-9-]+\.)+",
                r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Devanagari}\p{Arabic}\p{Hebrew}\p{M}]{2,}",
            ),
            // E.164: at most 15 digits with the country code, written with + or 00; or the North American plan; or, with a
            // trunk 0 and the slash that DIN 5008 had for numbers, 6 to 9 digits behind the area code; or the codes of
            // German mobile networks (Bundesnetzagentur: 015, 016, 017).
            Kind::Phone => {
                r"(?:\+|\b00)[1-9](?:[ ./\u{2011}()-]{0,3}[0-9]){7,14}\b|(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[.\u{2011} -])[2-9][0-9]{2}[.\u{2011} -][0-9]{4}\b|\b0[1-9][0-9]{1,4} ?/ ?[0-9](?:[ \u{2011}-]?[0-9]){5,8}\b|\b01[5-7][0-9]{1,2}[ \u{2011}-][0-9]{3,4}[ \u{2011}-]?[0-9]{3,5}\b"
            }
            // With dots only in groups as they stand on cards (ISO/IEC 7813 leaves them to the issuer; American Express has 4,
            // 6 and 5): every tenth long decimal has a right checksum.
            Kind::CreditCard => {
                r"\b(?:[2-6](?:[ \u{2011}-]?[0-9]){12,18}|[2-6][0-9]{3}(?:\.[0-9]{4}){2,3}(?:\.?[0-9]{1,3})?|3[47][0-9]{2}\.[0-9]{6}\.[0-9]{5})\b"
            }
            Kind::Iban => r"\b[A-Za-z]{2}[0-9]{2}(?:[ \u{2011}-]?[0-9A-Za-z]){11,30}",
            Kind::Ip => r"[0-9A-Fa-f:.]{2,45}",
        }
    }

    /// How long the one is that this candidate begins with, in bytes.
    fn match_length(self, found: &str) -> Option<usize> {
        match self {
            Kind::Email => (!found.starts_with('.') && !found.contains("..")).then_some(found.len()),
            Kind::Phone => Some(found.len()),
            Kind::CreditCard => {
                let digits: Vec<u32> = found.chars().filter_map(|c| c.to_digit(10)).collect();
                luhn(&digits).then_some(found.len())
            }
            Kind::Iban => iban(found),
            Kind::Ip => holds_ip(found).then_some(found.len()),
        }
    }
}

fn shape(kind: Kind) -> Read<Regex> {
    static COMPILED: Cache<Regex> = Cache::new(KINDS.len());
    COMPILED.get_or_try(kind.pattern(), || {
        Regex::new(&ascii_bounded(kind.pattern())).map_err(|error| vec![ArgProblem::new(error.to_string())])
    })
}

/// ISO/IEC 7812-1, annex B: from the right, every second digit doubled, digit sums added; a multiple of 10.
fn luhn(digits: &[u32]) -> bool {
    let weigh = |(i, digit): (usize, &u32)| {
        let doubled = if i % 2 == 1 { 2 * digit } else { *digit };
        doubled / 10 + doubled % 10
    };
    digits.iter().rev().enumerate().map(weigh).sum::<u32>() % 10 == 0
}

/// Lengths of IBANs by country, from the SWIFT IBAN registry.
const IBAN_LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 \
    DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 \
    JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 \
    PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 \
    XK20 YE30";

/// How long the IBAN is with which the text begins: as long as its country's, and 1 modulo 97 with the first four
/// characters at the end and letters as 10 to 35.
fn iban(found: &str) -> Option<usize> {
    let country = found.get(..2)?.to_ascii_uppercase();
    let length: usize =
        IBAN_LENGTHS.split_whitespace().find_map(|entry| entry.strip_prefix(country.as_str()))?.parse().ok()?;
    let signs = found.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric());
    let signs: Vec<(usize, char)> = signs.take(length).collect();
    let end = signs.last().filter(|_| signs.len() == length)?.0 + 1;
    // A longer word is no IBAN, but one with a word after it is.
    if found.get(end..)?.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let (head, rest) = signs.split_at_checked(4)?;
    let remainder = rest.iter().chain(head).fold(0, |sum, (_, c)| match c.to_digit(36).unwrap_or(0) {
        digit @ 0..=9 => (sum * 10 + digit) % 97,
        letter => (sum * 100 + letter) % 97,
    });
    (remainder == 1).then_some(end)
}

/// An address, perhaps at the end of a sentence, behind a colon, or with a port.
fn holds_ip(found: &str) -> bool {
    let whole = found.trim_end_matches('.');
    let stripped = found.trim_matches(['.', ':']);
    let host = stripped.split(':').next().unwrap_or_default();
    [found, whole, stripped, host].into_iter().any(is_ip)
}

/// An address that may be someone's.
fn is_ip(text: &str) -> bool {
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return !(ip.is_loopback() || ip.is_unspecified() || ip.is_broadcast() || ip.is_documentation());
    }
    match text.parse::<Ipv6Addr>() {
        // 2001:db8::/32, RFC 3849.
        Ok(ip) => !(ip.is_loopback() || ip.is_unspecified() || ip.segments().starts_with(&[0x2001, 0x0db8])),
        Err(_) => false,
    }
}

impl NoPii {
    fn allows(&self, found: &str) -> bool {
        let found = bare(found);
        let domain = |allowed: &String| allowed.starts_with('@') && found.ends_with(allowed.as_str());
        self.allow.iter().any(|allowed| *allowed == found || domain(allowed))
    }

    /// Kinds and places of the first ones that are not allowed, by kind.
    fn find(&self, text: &str) -> Vec<(&'static str, Range<usize>)> {
        let mut found = Vec::new();
        for (name, kind, shape) in &self.shapes {
            let mut at = 0;
            while found.len() < MAX_FOUND
                && let Some(candidate) = shape.find_at(text, at)
            {
                let Some(length) = kind.match_length(candidate.as_str()) else {
                    at = next(text, candidate.start(), candidate.end(), *kind);
                    continue;
                };
                at = candidate.start() + length;
                if !self.allows(candidate.as_str().get(..length).unwrap_or_default()) {
                    found.push((*name, candidate.start()..at));
                }
            }
        }
        found
    }
}

/// The personal data of all kinds in any text, at most [`MAX_FOUND`].
pub(in crate::scoring) fn find_all(text: &str) -> Vec<(&'static str, Range<usize>)> {
    let shapes = KINDS.iter().map(|(name, kind)| Ok((*name, *kind, shape(*kind)?)));
    let all = |shapes| NoPii { shapes, allow: Vec::new() };
    // The table compiles, as a test holds.
    shapes.collect::<Read<_>>().map_or_else(|_| Vec::new(), |shapes| all(shapes).find(text))
}

/// Where to look on after a candidate that is none. Digits and letters in groups may be one after their first group: a
/// card number behind an amount, an IBAN behind a word.
fn next(text: &str, start: usize, end: usize, kind: Kind) -> usize {
    let candidate = text.get(start..end).unwrap_or_default();
    match kind {
        Kind::CreditCard | Kind::Iban => {
            let group = candidate.find(|c: char| !c.is_ascii_alphanumeric());
            group.map_or(end, |group| start + group)
        }
        Kind::Email | Kind::Phone | Kind::Ip => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn each_kind_is_found_by_itself() {
        let table = [
            ("email", "Write to ann.lee+shoes@mail.example.co.uk.", false),
            ("email", "ann at example.com", true),
            ("credit_card", "番号4111111111111111です", false),
            ("email", "@ann, see you@home", true),
            ("phone", "Call +49 (0)30 1234-5678!", false),
            ("phone", "Call 0049 30 12345678", false),
            ("phone", "(555) 234-5678", false),
            ("phone", "555.234.5678 or later", false),
            ("phone", "Order 5552345678", true),
            ("phone", "2026-11-22, 12:30", true),
            ("phone", "1 + 2 = 3", true),
            ("credit_card", "4111 1111 1111 1111", false),
            ("credit_card", "4111-1111-1111-1111.", false),
            ("credit_card", "378282246310005", false),
            ("credit_card", "25 4111 1111 1111 1111", false),
            ("credit_card", "4111 1111 1111 1112", true),
            ("credit_card", "1234 5678 9012 3456", true),
            ("credit_card", "4111.1111.1111.1111", false),
            ("credit_card", "Paid with 4111.1111.1111.1111.", false),
            ("credit_card", "3782.822463.10005", false),
            ("credit_card", "3.782822463100050 is no card", true),
            ("credit_card", "378282.246310005", true),
            ("credit_card", "41.111.111.111.111.11", true),
            ("credit_card", "4111.1111.1111.1112", true),
            ("credit_card", "v4.1111.1111.1111.111", true),
            ("phone", "0170/1234567", false),
            ("phone", "Tel. 0170 / 123 45 67", false),
            ("phone", "030/12345678.", false),
            ("phone", "0170 1234567", false),
            ("phone", "0151-234-56789", false),
            ("phone", "01/02/2026", true),
            ("phone", "01/2026", true),
            ("phone", "012/2026", true),
            ("phone", "Art. 0815/4711", true),
            ("phone", "0123/45678", true),
            ("phone", "10170/1234567", true),
            ("phone", "0170/12345678901", true),
            ("phone", "0170 items, 1234567 more", true),
            ("email", "bücher@exämple.de", false),
            ("email", "ann@exämple.de", false),
            ("email", "bücher@example.de", false),
            ("email", "пишите на анна@пример.рф!", false),
            ("email", "用户@例子.广告", false),
            ("email", "ann@example.xn--p1ai", false),
            ("email", "Grüße@alle, bis später", true),
            ("email", "@zoë ist da@heim", true),
            ("email", "für 5 € @ Köln.", true),
            ("email", "ann@example", true),
            ("iban", "DE89 3704 0044 0532 0130 00", false),
            ("iban", "gb82west12345698765432", false),
            ("iban", "to DE89370400440532013000 at once", false),
            ("iban", "DE89 3704 0044 0532 0130 00 is ours", false),
            ("iban", "NO93 8601 1117 947", false),
            ("iban", "DE88 3704 0044 0532 0130 00", true),
            ("iban", "ZZ89 3704 0044 0532 0130 00", true),
            ("ip", "from 8.8.8.8.", false),
            ("ip", "fe80::1ff:fe23:4567:890a", false),
            ("ip", "at 10.0.0.7: down", false),
            ("ip", "IP:8.8.8.8:443", false),
            ("ip", "127.0.0.1 and ::1 and 192.0.2.7 and 2001:db8::1", true),
            ("ip", "v1.2.3, 12:30, a::b::c, 256.1.1.1", true),
        ];
        for (kind, text, pass) in table {
            verdicts(json!({"no_pii": {"kinds": [kind]}}), &[(text, pass)]);
            if !pass {
                verdicts(json!({"no_pii": true}), &[(text, false)]);
            }
        }
    }

    #[test]
    fn what_is_allowed_may_stand_there() {
        verdicts(
            json!({"no_pii": {"allow": ["@shoes.example", "+49 30 1234 5678", "ann@example.org"]}}),
            &[
                ("Help@Shoes.example or +49 (30) 1234/5678", true),
                ("ann@example.org", true),
                ("joann@example.org", false),
                ("連絡先はann@example.orgです", true),
                ("連絡先はjoann@example.orgです", false),
                ("büro@shoes.example", true),
                ("ann@not-shoes.example", false),
                ("help@shoes.example and +49 30 1234 5679", false),
            ],
        );
    }

    #[test]
    fn the_find_is_not_told() {
        let said = reasons(json!({"no_pii": true}), &["ann@example.org", "8.8.8.8 9.9.9.9 a@b.cd", "none"]);
        assert!(!said.contains("ann@"));
        insta::assert_snapshot!(said, @"
        holds what looks like personal data (email), after 0 characters
        holds what looks like personal data (email), after 16 characters (and 2 more)
        holds no personal data of these kinds
        ");
        insta::assert_snapshot!(problems(&[
            json!({"no_pii": false}),
            json!({"no_pii": "email"}),
            json!({"no_pii": {"kinds": ["emial"]}}),
            json!({"no_pii": {"allow": [".."]}}),
        ]));
    }

    proptest! {
        /// A single wrong digit never keeps a Luhn checksum, so a mistyped card number is none.
        #[test]
        fn luhn_notices_every_single_digit(digits in proptest::collection::vec(0..10u32, 13..19), at in 0..13usize, by in 1..10u32) {
            let mut other = digits.clone();
            other[at] = (other[at] + by) % 10;
            prop_assert!(!(luhn(&digits) && luhn(&other)));
        }
    }
}
