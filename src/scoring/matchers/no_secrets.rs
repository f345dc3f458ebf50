//! `no_secrets`: the answer holds nothing that looks like a well-known kind of key.
//!
//! The shapes are those that the vendors document for their keys, as secret scanners use them; the vendor's page or the
//! scanner's rule stands with each. A shape finds keys, not whether they are valid. Keys without a prefix of their own
//! (an Azure storage key, a password) have no shape that would tell them from other texts, so they are not found.

use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Fields, Read, choice, list, needles};
use crate::scoring::cache::Cache;
use crate::scoring::definition::{Compile, MatcherDef, Sample};
use crate::scoring::matcher::Matcher;
use crate::scoring::quote::counted;
use regex::{Regex, RegexSet};
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;

pub(super) const NO_SECRETS: MatcherDef = MatcherDef {
    name: "no_secrets",
    summary: "the answer holds no text in the shape of a well-known kind of key",
    arguments: "true, or {kinds: [..], allow: [texts]}; kinds: google_api_key, google_oauth_token, google_oauth_secret, \
                aws_access_key, github_token, gitlab_token, slack_token, slack_webhook, stripe_key, openai_key, \
                anthropic_key, hugging_face_token, npm_token, pypi_token, sendgrid_key, twilio_key, shopify_token, \
                digitalocean_token, databricks_token, jwt, private_key (all of them without `kinds`); allow: keys that \
                may stand there, each in full",
    schema: r##"{"anyOf": [{"const": true}, {"type": "object", "properties": {"kinds": {"type": "array", "minItems":
        1, "items": {"enum": ["google_api_key", "google_oauth_token", "google_oauth_secret",
        "aws_access_key", "github_token", "gitlab_token", "slack_token", "slack_webhook", "stripe_key",
        "openai_key", "anthropic_key", "hugging_face_token", "npm_token", "pypi_token", "sendgrid_key",
        "twilio_key", "shopify_token", "digitalocean_token", "databricks_token", "jwt", "private_key"]}},
        "allow": {"$ref": "#/$defs/texts"}}, "additionalProperties": false}]}"##,
    example: r#"{"no_secrets": {"kinds": ["google_api_key", "github_token", "private_key"]}}"#,
    passes: Sample::Text("Keep your key in the variable GEMINI_API_KEY."),
    // Put together by the compiler, so that no scanner stops at this file.
    fails: Sample::Text(concat!("Use AI", "zaSyA0123456789abcdefghijklmnopqrstuv.")),
    refused: r#"{"no_secrets": {"kinds": ["passwords"]}}"#,
    compile,
    ..MatcherDef::DEFAULT
};

/// Kinds and their shapes. Every shape begins with letters of its own, so that ordinary text is none.
const KINDS: [(&str, &str); 21] = [
    // cloud.google.com/docs/authentication/api-keys; gitleaks `gcp-api-key`. The Gemini API's keys that are bound to a
    // service account, and the only ones that AI Studio still makes, begin with AQ. (ai.google.dev/gemini-api/docs/api-key;
    // discuss.ai.google.dev/t/170415, an answer of Google's); 40 and more characters follow.
    ("google_api_key", r"\b(?:AIza[0-9A-Za-z_-]{35}|AQ\.[0-9A-Za-z_-]{35,})"),
    // developers.google.com/identity/protocols/oauth2: access tokens begin with ya29.
    ("google_oauth_token", r"\bya29\.[0-9A-Za-z_-]{20,}"),
    // OAuth client secrets of Google; GitHub secret scanning `google_oauth_client_secret`.
    ("google_oauth_secret", r"\bGOCSPX-[0-9A-Za-z_-]{28}"),
    // docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html (unique ID prefixes); gitleaks `aws-access-token`.
    ("aws_access_key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    // github.blog/engineering/behind-githubs-new-authentication-token-formats; gitleaks `github-pat` and its siblings.
    ("github_token", r"\b(?:gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{22,})"),
    // docs.gitlab.com/security/tokens (token prefixes); gitleaks `gitlab-pat`.
    ("gitlab_token", r"\bgl(?:pat|dt|rt|ptt|cbt|oas|soat)-[0-9A-Za-z_-]{20,}"),
    // api.slack.com/authentication/token-types; gitleaks `slack-bot-token` and its siblings.
    ("slack_token", r"\bx(?:ox[abeoprs]|app)-[0-9A-Za-z-]{10,}"),
    // api.slack.com/messaging/webhooks.
    ("slack_webhook", r"\b(?:https://)?hooks\.slack\.com/(?:services|workflows|triggers)/[0-9A-Za-z+/]{20,}"),
    // docs.stripe.com/keys and docs.stripe.com/webhooks; gitleaks `stripe-access-token`.
    ("stripe_key", r"\b(?:(?:sk|rk)_(?:live|test|prod)_[0-9A-Za-z]{10,}|whsec_[0-9A-Za-z]{32,})"),
    // The middle of such keys is the base64 of "OpenAI"; gitleaks `openai-api-key`. Those of projects, service accounts and
    // administrators are known by their beginning alone (platform.openai.com/docs/api-reference/authentication).
    ("openai_key", r"\bsk-(?:(?:proj|svcacct|admin)-[0-9A-Za-z_-]{40,}|[0-9A-Za-z_-]{20,}T3BlbkFJ[0-9A-Za-z_-]{20,})"),
    // gitleaks `anthropic-api-key` and `anthropic-admin-api-key`, but for what stands between the beginning and the rest,
    // which names the kind of key and its version and may change.
    ("anthropic_key", r"\bsk-ant-[0-9A-Za-z_-]{40,}"),
    // huggingface.co/docs/hub/security-tokens; gitleaks `huggingface-access-token`.
    ("hugging_face_token", r"\b(?:hf|api_org)_[A-Za-z]{34}\b"),
    // github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format; gitleaks `npm-access-token`.
    ("npm_token", r"\bnpm_[0-9A-Za-z]{36}\b"),
    // pypi.org/help/#apitoken: a macaroon for pypi.org; gitleaks `pypi-upload-token`.
    ("pypi_token", r"\bpypi-AgEIcHlwaS5vcmc[0-9A-Za-z_-]{50,}"),
    // docs.sendgrid.com/ui/account-and-settings/api-keys; gitleaks `sendgrid-api-token`.
    ("sendgrid_key", r"\bSG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}"),
    // twilio.com/docs/glossary/what-is-a-sid: SK and 32 hexadecimal digits; gitleaks `twilio-api-key`.
    ("twilio_key", r"\bSK[0-9a-fA-F]{32}\b"),
    // shopify.dev/changelog/app-secret-key-length-has-increased; gitleaks `shopify-access-token` and its siblings.
    ("shopify_token", r"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    // docs.digitalocean.com/reference/api/create-personal-access-token; gitleaks `digitalocean-pat`.
    ("digitalocean_token", r"\bdo[opr]_v1_[0-9a-f]{64}"),
    // docs.databricks.com/dev-tools/auth/pat; gitleaks `databricks-api-token`.
    ("databricks_token", r"\bdapi[0-9a-f]{32}(?:-[0-9])?\b"),
    // RFC 7519 with the header and payload of RFC 7515: two JSON objects (`{"` is eyJ) and a signature.
    ("jwt", r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}"),
    // RFC 7468: the label of a private key; the block of PGP.
    ("private_key", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
];

/// Whether a text in the shape of this kind is one. Beginnings that words in a row could follow, like `sk-proj-` or `AQ.`, need
/// what follows to look random: a capital, a small letter and a digit. Of 40 random characters one in 400 lacks one of these,
/// of the 100 and more of most keys none.
fn is_key(kind: &str, found: &str) -> bool {
    let random = |rest: &str| {
        let has = |is: fn(&u8) -> bool| rest.bytes().any(|byte| is(&byte));
        has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
    };
    let behind = |start: &str| {
        let rest = found.strip_prefix(start)?;
        // A short word may name the kind of key, like `proj` or `api03`.
        let named = rest.split_once('-').filter(|(name, _)| name.len() < 10);
        Some(random(named.map_or(rest, |(_, rest)| rest)))
    };
    match kind {
        "google_api_key" => behind("AQ.").unwrap_or(true),
        "openai_key" => found.contains("T3BlbkFJ") || behind("sk-").unwrap_or(true),
        "anthropic_key" => behind("sk-ant-").unwrap_or(true),
        _ => true,
    }
}

/// How many findings are counted.
pub(super) const MAX_FOUND: usize = 100;

struct NoSecrets {
    kinds: Vec<&'static str>,
    shapes: Arc<(RegexSet, Vec<Regex>)>,
    allow: Vec<String>,
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let all = || KINDS.iter().map(|(kind, _)| *kind).collect();
    let mut fields = Fields::of_map_or_true(args, &["kinds", "allow"], "no_secrets", "a map {kinds, allow}")?;
    let kinds = fields.optional("kinds", kinds).unwrap_or_else(all);
    let allow = fields.optional("allow", needles).unwrap_or_default();
    let (kinds, allow) = fields.finish(Some((kinds, allow.into_iter().map(str::to_owned).collect())))?;
    let no_secrets = NoSecrets { shapes: shapes(&kinds)?, kinds, allow };
    Ok(Matcher::new(move |input| {
        let text = &input.answer.text;
        let found = no_secrets.find(text);
        Ok(match found.first() {
            None => Score::binary(true, "holds no key of a known shape"),
            Some((kind, _)) => Score::binary(false, format!("holds what looks like a {kind}{}", place(text, &found))),
        })
    }))
}

fn kinds(value: &Value) -> Read<Vec<&'static str>> {
    let known: Vec<(&str, &'static str)> = KINDS.iter().map(|(kind, _)| (*kind, *kind)).collect();
    listed(value, &known)
}

/// A list of at least one of the known words.
pub(super) fn listed<T: Copy>(value: &Value, known: &[(&str, T)]) -> Read<Vec<T>> {
    list(value, "a list of kinds", "kind", |item| choice(item, known))
}

/// A pattern whose `\\b` are those of ASCII: a key behind Japanese letters begins a word as well.
pub(super) fn ascii_bounded(pattern: &str) -> String {
    pattern.replace(r"\b", r"(?-u:\b)")
}

/// The compiled shapes of these kinds: one pass that says which occur, and each by itself.
fn shapes(kinds: &[&str]) -> Read<Arc<(RegexSet, Vec<Regex>)>> {
    static COMPILED: Cache<Arc<(RegexSet, Vec<Regex>)>> = Cache::new(64);
    COMPILED.get_or_try(&kinds.join(" "), || {
        let shape = |kind: &&str| KINDS.iter().find(|(name, _)| name == kind).map_or("", |(_, shape)| *shape);
        let written: Vec<String> = kinds.iter().map(shape).map(ascii_bounded).collect();
        let compiled =
            || Ok((RegexSet::new(&written)?, written.iter().map(|shape| Regex::new(shape)).collect::<Result<_, _>>()?));
        compiled().map(Arc::new).map_err(|error: regex::Error| vec![ArgProblem::new(error.to_string())])
    })
}

impl NoSecrets {
    /// Kinds and places of the first keys that are not allowed, by kind.
    fn find(&self, text: &str) -> Vec<(&'static str, Range<usize>)> {
        let (set, each) = self.shapes.as_ref();
        let mut found = Vec::new();
        for i in &set.matches(text) {
            let (Some(shape), Some(kind)) = (each.get(i), self.kinds.get(i)) else {
                continue;
            };
            let keys = shape.find_iter(text);
            let keys = keys.filter(|key| is_key(kind, key.as_str()));
            let forbidden = keys.filter(|key| !self.allow.iter().any(|allowed| allowed == key.as_str()));
            let room = MAX_FOUND - found.len();
            found.extend(forbidden.take(room).map(|key| (*kind, key.range())));
        }
        found
    }
}

/// The keys of all kinds in any text, at most [`MAX_FOUND`].
pub(in crate::scoring) fn find_all(text: &str) -> Vec<(&'static str, Range<usize>)> {
    let kinds: Vec<&'static str> = KINDS.iter().map(|(kind, _)| *kind).collect();
    let all = |shapes| NoSecrets { shapes, kinds: kinds.clone(), allow: Vec::new() };
    // The table compiles, as a test holds.
    shapes(&kinds).map_or_else(|_| Vec::new(), |shapes| all(shapes).find(text))
}

/// Where the first of at most [`MAX_FOUND`] findings is, and how many there are beside it. The find itself is not told:
/// reports are read by many.
pub(super) fn place(text: &str, found: &[(&str, Range<usize>)]) -> String {
    let start = found.first().map_or(0, |(_, at)| at.start);
    let before = text.get(..start).map_or(0, |before| before.chars().count());
    let more = match found.len() {
        0 | 1 => String::new(),
        MAX_FOUND => " (and many more)".to_owned(),
        n => format!(" (and {} more)", n - 1),
    };
    format!(", after {}{more}", counted(before as u64, "character", "characters"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::rules::testing::{problems, reasons, verdicts};
    use serde_json::json;

    /// A made-up key of each kind, in two halves, so that no scanner stops at this file.
    fn keys() -> Vec<(&'static str, String)> {
        let a = |n: usize| "aB3".chars().cycle().take(n).collect::<String>();
        let hex = |n: usize| "0f3".chars().cycle().take(n).collect::<String>();
        let key = |start: &str, rest: String| format!("{start}{rest}");
        vec![
            ("google_api_key", key("AIza", a(35))),
            ("google_api_key", key("AQ.", format!("Ab8R{}", a(46)))),
            ("google_oauth_token", key("ya29.", a(40))),
            ("google_oauth_secret", key("GOCSPX-", a(28))),
            ("aws_access_key", key("AKIA", "Q2".repeat(8))),
            ("github_token", key("ghp_", a(36))),
            ("github_token", key("github_pat_", a(82))),
            ("gitlab_token", key("glpat-", a(20))),
            ("slack_token", key("xoxb-", a(24))),
            ("slack_webhook", key("https://hooks.slack.com/services/", a(30))),
            ("stripe_key", key("sk_live_", a(24))),
            ("stripe_key", key("whsec_", a(32))),
            ("openai_key", key("sk-proj-", format!("{}T3BlbkFJ{}", a(30), a(30)))),
            ("openai_key", key("sk-", format!("{}T3BlbkFJ{}", a(20), a(20)))),
            ("openai_key", key("sk-proj-", a(48))),
            ("openai_key", key("sk-svcacct-", a(60))),
            ("openai_key", key("sk-admin-", format!("{}-_{}", a(40), a(60)))),
            ("anthropic_key", key("sk-ant-", a(48))),
            ("anthropic_key", key("sk-ant-", format!("sid01-{}", a(90)))),
            ("anthropic_key", key("sk-ant-", format!("api03-{}", a(95)))),
            ("hugging_face_token", key("hf_", "abC".chars().cycle().take(34).collect())),
            ("npm_token", key("npm_", a(36))),
            ("pypi_token", key("pypi-", format!("AgEIcHlwaS5vcmc{}", a(60)))),
            ("sendgrid_key", key("SG.", format!("{}.{}", a(22), a(43)))),
            ("twilio_key", key("SK", hex(32))),
            ("shopify_token", key("shpat_", hex(32))),
            ("digitalocean_token", key("dop_v1_", hex(64))),
            ("databricks_token", key("dapi", hex(32))),
            ("jwt", key("eyJ", format!("{}.eyJ{}.{}", a(20), a(30), a(40)))),
            ("private_key", key("-----BEGIN ", "RSA PRIVATE KEY-----".to_owned())),
        ]
    }

    #[test]
    fn every_kind_is_found_and_documented() {
        for (kind, key) in keys() {
            let text = format!("Take this: {key}, it works.");
            let others: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).filter(|other| *other != kind).collect();
            verdicts(json!({"no_secrets": true}), &[(&text, false)]);
            verdicts(json!({"no_secrets": {"kinds": [kind]}}), &[(&text, false)]);
            verdicts(json!({"no_secrets": {"kinds": others}}), &[(&text, true)]);
            verdicts(json!({"no_secrets": {"allow": [key]}}), &[(&text, true)]);
        }
        for (kind, _) in KINDS {
            assert!(keys().iter().any(|(tested, _)| *tested == kind), "{kind}");
            assert!(NO_SECRETS.arguments.contains(kind), "{kind}");
        }
    }

    #[test]
    fn ordinary_text_holds_none() {
        verdicts(
            json!({"no_secrets": true}),
            &[
                ("", true),
                ("Your order AKIA-1234 will ship with SG.1 on npm_config.", true),
                ("The commit is 0123456789abcdef0123456789abcdef01234567.", true),
                ("A skeleton key: sk-learn, sk_live, whsec, eyJ.eyJ.x", true),
                ("-----BEGIN PUBLIC KEY-----", true),
            ],
        );
        // What only begins like a key.
        let words = "a-name-of-many-words-";
        for start in ["AQ.", "sk-proj-", "sk-svcacct-", "sk-admin-", "sk-ant-", "sk-ant-api03-"] {
            for rest in [
                words.repeat(5),
                format!("{}2026", words.repeat(5)),
                "X".repeat(60),
                "x".repeat(60),
                "0".repeat(60),
                "A_CONSTANT_OF_2026_".repeat(4),
                "aB3".repeat(11),
            ] {
                verdicts(json!({"no_secrets": true}), &[(&format!("Put {start}{rest} here."), true)]);
            }
        }
        verdicts(
            json!({"no_secrets": true}),
            &[
                ("Models: sk-learn, task-proj-aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3", true),
                ("FAQ.aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3", true),
            ],
        );
        let behind_letters = format!("鍵はghp_{}です", "a1".repeat(18));
        verdicts(json!({"no_secrets": true}), &[(&behind_letters, false)]);
    }

    #[test]
    fn the_secret_is_not_told() {
        let key = format!("ghp_{}", "a1".repeat(18));
        let said = reasons(json!({"no_secrets": true}), &[&format!("Ja: {key}"), &format!("{key} {key}"), "none"]);
        assert!(!said.contains(&key));
        insta::assert_snapshot!(said, @"
        holds what looks like a github_token, after 4 characters
        holds what looks like a github_token, after 0 characters (and 1 more)
        holds no key of a known shape
        ");
        insta::assert_snapshot!(problems(&[
            json!({"no_secrets": false}),
            json!({"no_secrets": {"kinds": []}}),
            json!({"no_secrets": {"kinds": ["github"], "allow": [""]}}),
            json!({"no_secrets": ["jwt"]}),
        ]));
    }
}
