//! `grounding`: the answer cites sources, as the service tells of them beside the words.
//!
//! What the model writes into its text is no citation: a text can name any page. Counted is what the service itself found,
//! opened or recognised.

use crate::domain::{ArgProblem, Details, Score};
use crate::scoring::arguments::{Fields, Read, count, flag, list, needle, refuse, wrong};
use crate::scoring::definition::{Compile, MatcherDef, Reads, Sample};
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::quote::{counted, quote};
use serde_json::Value;
use std::collections::HashSet;
use url::{Host, Url};

pub(super) const GROUNDING: MatcherDef = MatcherDef {
    name: "grounding",
    summary: "the answer cites sources, by what the service tells beside the words",
    arguments: "true, or {min: 1, urls: [..], hosts: [..], supported: false}; counted are the sources of searches, the pages \
                that were opened with success and the passages that stand elsewhere, each address once; urls: every one of \
                these is cited, without regard to a fragment; hosts: every one of these or a host below it is; supported: \
                only sources of searches count on which a passage of the answer rests; of a search the service may give \
                links of its own in place of addresses, which fit a host by their title and fit no URL; an answer \
                without citations fails",
    schema: r##"{"anyOf": [{"const": true}, {"type": "object", "properties": {"min": {"type": "integer", "minimum": 1},
        "urls": {"$ref": "#/$defs/texts"}, "hosts": {"allOf": [{"$ref": "#/$defs/texts"},
        {"items": {"pattern": "^[^/?#@]+$"}}]}, "supported": {"type": "boolean"}},
        "additionalProperties": false}]}"##,
    example: r#"{"grounding": {"min": 2, "hosts": ["who.int"]}}"#,
    passes: Sample::Answer(
        r#"{"text": "Yes.", "details": {"sources": [{"uri": "https://www.who.int/news"}, {"uri": "https://example.org/"}]}}"#,
    ),
    fails: Sample::Answer(
        r#"{"text": "See https://www.who.int/news.", "details": {"sources": [{"uri": "https://notwho.int/"}, {"uri": "https://example.org/"}]}}"#,
    ),
    refused: r#"{"grounding": {"hosts": ["https://who.int/news"]}}"#,
    cost: "the citations, of which at most 200 of each kind are kept, times the addresses of the check",
    compile,
    reads: Reads::WholeAnswer,
    ..MatcherDef::DEFAULT
};

/// The host of the links that stand for the addresses of Google Search. The title of such a source is the site's host.
const REDIRECTS: &str = "vertexaisearch.cloud.google.com";

/// How the service says that it opened a page.
const OPENED: &str = "URL_RETRIEVAL_STATUS_SUCCESS";

struct Grounding {
    min: u64,
    urls: Vec<(String, Url)>,
    hosts: Vec<String>,
    supported: bool,
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let mut fields = Fields::of_map_or_true(
        args,
        &["min", "urls", "hosts", "supported"],
        "grounding",
        "a map {min, urls, hosts, supported}",
    )?;
    let min = fields.optional("min", least).unwrap_or(1);
    let urls = fields.optional("urls", |value| addresses(value, page)).unwrap_or_default();
    let hosts = fields.optional("hosts", |value| addresses(value, host)).unwrap_or_default();
    let supported = fields.optional("supported", flag).unwrap_or(false);
    let grounding = fields.finish(Some(Grounding { min, urls, hosts, supported }))?;
    Ok(Matcher::new(move |input| grounding.check(input)))
}

fn least(value: &Value) -> Read<u64> {
    match count(value)? {
        0 => refuse("`min: 0` holds for every answer", "1 or more citations"),
        min => Ok(min),
    }
}

fn addresses<T>(value: &Value, read: fn(&str) -> Result<T, ArgProblem>) -> Read<Vec<T>> {
    list(value, "a list of texts, like [\"a\", \"b\"]", "text", |text| read(needle(text)?).or_else(wrong))
}

fn page(text: &str) -> Result<(String, Url), ArgProblem> {
    match address(text) {
        Some(url) if url.has_host() => Ok((text.to_owned(), url)),
        Some(_) | None => Err(ArgProblem::new(format!("{} is no URL of a page", quote(text)))
            .expected("a whole URL, like https://who.int/news")),
    }
}

/// A host as addresses have it: in lower case, and with letters beyond ASCII encoded.
fn host(text: &str) -> Result<String, ArgProblem> {
    match Host::parse(text) {
        // A label alone, like `com`, would be matched by nearly every source.
        Ok(Host::Domain(domain)) if domain.trim_matches('.').contains('.') => Ok(rootless(&domain).to_owned()),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => {
            Err(ArgProblem::new(format!("{} is an IP address, and nothing is below one", quote(text)))
                .expected("the name of a host alone, like who.int")
                .hint("for a page there, write its whole address under `urls`"))
        }
        Ok(Host::Domain(_)) | Err(_) => Err(ArgProblem::new(format!("{} is no host name", quote(text)))
            .expected("the name of a host alone, like who.int")),
    }
}

/// A name without the dot of the root, with which it is the same name (RFC 1034, section 3.1).
fn rootless(domain: &str) -> &str {
    domain.strip_suffix('.').unwrap_or(domain)
}

/// An address without its fragment, which names a place in the page.
fn address(text: &str) -> Option<Url> {
    let mut url = Url::parse(text.trim()).ok()?;
    url.set_fragment(None);
    Some(url)
}

struct Source<'a> {
    /// As the service wrote it: the address, or what a source without one is called.
    name: &'a str,
    url: Option<Url>,
    title: Option<&'a str>,
}

impl<'a> Source<'a> {
    fn new(uri: Option<&'a str>, title: Option<&'a str>) -> Option<Source<'a>> {
        let name = uri.or(title).filter(|name| !name.trim().is_empty())?;
        Some(Source { name, url: uri.and_then(address), title })
    }

    /// The site that it is on.
    fn host(&self) -> Option<String> {
        match self.url.as_ref()?.host_str()? {
            REDIRECTS => host(self.title?.trim()).ok(),
            host => Some(rootless(host).to_owned()),
        }
    }

    fn is_on(&self, site: &str) -> bool {
        let below = |host: String| {
            let above = host.strip_suffix(site);
            above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        };
        self.host().is_some_and(below)
    }
}

impl Grounding {
    /// What is cited, each address once.
    fn sources<'a>(&self, details: &'a Details) -> Vec<Source<'a>> {
        let supporting: HashSet<usize> = details.supports.iter().flat_map(|s| s.sources.iter().copied()).collect();
        let sources = details.sources.iter().enumerate();
        let sources = sources
            .filter(|(i, _)| !self.supported || supporting.contains(i))
            .map(|(_, source)| Source::new(source.uri.as_deref(), source.title.as_deref()));
        let passages = details.citations.iter();
        let passages = passages.map(|citation| Source::new(citation.uri.as_deref(), citation.title.as_deref()));
        let pages = details.urls.iter().filter(|url| url.status == OPENED);
        let pages = pages.map(|url| Source::new(Some(&url.url), None));
        let mut known = HashSet::new();
        let all = sources.chain(passages).chain(pages).flatten();
        all.filter(|source| known.insert(source.url.as_ref().map_or(source.name, Url::as_str).to_owned())).collect()
    }

    fn missing(&self, sources: &[Source<'_>]) -> Option<String> {
        let count = sources.len() as u64;
        if count == 0 {
            return Some("cites no source".to_owned());
        }
        let number = counted(count, "source", "sources");
        let of_these = || format!("among its {number}, like {}", quote(sources[0].name));
        let page = |(_, url): &&(String, Url)| !sources.iter().any(|source| source.url.as_ref() == Some(url));
        if let Some((written, _)) = self.urls.iter().find(page) {
            return Some(format!("{} is not {}", quote(written), of_these()));
        }
        let site = |site: &&String| !sources.iter().any(|source| source.is_on(site));
        if let Some(site) = self.hosts.iter().find(site) {
            return Some(format!("{} is not {}", quote(site), of_these()));
        }
        (count < self.min).then(|| format!("cites {number}, not at least {}", self.min))
    }

    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let Some(details) = &input.answer.details else {
            return Ok(Score::binary(false, "cites no source"));
        };
        let sources = self.sources(details);
        match self.missing(&sources) {
            None => Ok(Score::binary(true, format!("cites {}", counted(sources.len() as u64, "source", "sources")))),
            // What is missing may be among what was not kept; else `not` would pass for want of room.
            Some(missing) if details.dropped > 0 => Err(MatchError::new(format!(
                "{missing}, but {} of what the service told could not be kept",
                counted(details.dropped, "entry", "entries")
            ))),
            Some(missing) => Ok(Score::binary(false, missing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{answer_text, problems, verdict};
    use serde_json::{Value, json};

    fn said(check: Value, details: Value) -> String {
        let mut whole = answer_text("a");
        whole.answer.details = serde_json::from_value(details).unwrap();
        verdict(json!({"grounding": check}), &whole)
    }

    fn passes(check: Value, details: Value) -> bool {
        said(check, details).starts_with("true")
    }

    #[test]
    fn sources_passages_and_opened_pages_count_once_each() {
        let all = json!({
            "sources": [{"uri": "https://a.org/x"}, {"title": "Our handbook"}, {"uri": "https://A.org:443/x#part"}, {}],
            "citations": [{"start": 0, "end": 3, "uri": "https://b.org/"}, {"start": 4, "end": 9, "license": "mit"}],
            "urls": [
                {"url": "https://b.org", "status": "URL_RETRIEVAL_STATUS_SUCCESS"},
                {"url": "https://c.org", "status": "URL_RETRIEVAL_STATUS_SUCCESS"},
                {"url": "https://d.org", "status": "URL_RETRIEVAL_STATUS_ERROR"},
            ],
        });
        insta::assert_snapshot!([
            said(json!(true), all.clone()),
            said(json!({"min": 4}), all.clone()),
            said(json!({"min": 5}), all.clone()),
            said(json!({"urls": ["https://d.org"]}), all.clone()),
            said(json!({"hosts": ["a.org", "d.org"]}), all.clone()),
            said(json!({"min": 2, "supported": true}), all),
            said(json!(true), Value::Null),
            said(json!(true), json!({"queries": ["q"]})),
            said(json!(true), json!({"queries": ["q"], "dropped": 1})),
            said(json!({"min": 2}), json!({"sources": [{"uri": "https://a.org"}], "dropped": 3})),
            said(json!(true), json!({"sources": [{"uri": "https://a.org"}], "dropped": 3})),
        ].join("\n"), @r#"
        true: cites 4 sources
        true: cites 4 sources
        false: cites 4 sources, not at least 5
        false: "https://d.org" is not among its 4 sources, like "https://a.org/x"
        false: "d.org" is not among its 4 sources, like "https://a.org/x"
        true: cites 2 sources
        false: cites no source
        false: cites no source
        no judgement: cites no source, but 1 entry of what the service told could not be kept
        no judgement: cites 1 source, not at least 2, but 3 entries of what the service told could not be kept
        true: cites 1 source
        "#);
    }

    #[test]
    fn a_source_that_was_only_found_supports_nothing() {
        let details = json!({
            "sources": [{"uri": "https://a.org"}, {"uri": "https://b.org"}],
            "supports": [{"start": 0, "end": 1, "sources": [1, 7]}],
        });
        let of = |host: &str, supported: bool| json!({"hosts": [host], "supported": supported});
        assert!(passes(of("a.org", false), details.clone()));
        assert!(passes(of("b.org", true), details.clone()));
        assert!(!passes(of("a.org", true), details));
    }

    #[test]
    fn hosts_are_met_by_themselves_and_those_below_and_by_nothing_that_only_looks_so() {
        let table = [
            ("https://who.int", None, true),
            ("https://WHO.int/news?x=1#y", None, true),
            ("http://www.who.int:8080/", None, true),
            ("https://who.int./", None, true),
            ("https://notwho.int", None, false),
            ("https://who.int.evil.com/", None, false),
            ("https://who.int@evil.com/", None, false),
            ("https://evil.com\\@who.int/", None, false),
            ("https://evil.com/?who.int", None, false),
            ("https://evil.com/#who.int", Some("who.int"), false),
            ("who.int", None, false),
            ("https://vertexaisearch.cloud.google.com/grounding-api-redirect/A", Some("who.int"), true),
            ("https://vertexaisearch.cloud.google.com/grounding-api-redirect/A", Some("www.WHO.int"), true),
            ("https://vertexaisearch.cloud.google.com/grounding-api-redirect/A", Some("News of who.int"), false),
            ("https://vertexaisearch.cloud.google.com/grounding-api-redirect/A", None, false),
        ];
        for (uri, title, expected) in table {
            let source = json!({"sources": [{"uri": uri, "title": title}]});
            assert_eq!(passes(json!({"hosts": ["Who.int"]}), source.clone()), expected, "{uri}");
            assert_eq!(passes(json!({"hosts": ["who.int."]}), source), expected, "{uri}");
        }
    }

    #[test]
    fn urls_are_the_same_page() {
        let table = [
            ("https://a.org/x?y=1", "HTTPS://A.org/x?y=1#z", true),
            ("https://a.org", "https://a.org/", true),
            ("https://a.org/b/../x", "https://a.org/x", true),
            ("https://bücher.de/", "https://xn--bcher-kva.de/", true),
            ("https://a.org/x", "http://a.org/x", false),
            ("https://a.org/x", "https://a.org/X", false),
            ("https://a.org/x", "https://a.org/x/", false),
            ("https://a.org/x", "https://a.org/x?", false),
            ("https://a.org/x", "no address", false),
        ];
        for (wanted, cited, expected) in table {
            let source = json!({"citations": [{"start": 0, "end": 1, "uri": cited}]});
            assert_eq!(passes(json!({"urls": [wanted]}), source), expected, "{wanted} {cited}");
        }
    }

    #[test]
    fn mistakes() {
        insta::assert_snapshot!(problems(&[
            json!({"grounding": false}),
            json!({"grounding": 1}),
            json!({"grounding": {"min": 0}}),
            json!({"grounding": {"urls": ["who.int", "mailto:a@b.c", "https://a.org"], "hosts": []}}),
            json!({"grounding": {"hosts": ["com", "https://who.int", "who.int/news", "127.0.0.1", "0x7f.1", "[::1]", "::1"]}}),
            json!({"grounding": {"host": ["who.int"]}}),
        ]));
    }
}
