//! The base URL of a service, checked once.

use crate::domain::Problem;
use reqwest::Url;
use std::net::IpAddr;

/// Where a service is. Nothing secret stands in it.
#[derive(Clone, Debug)]
pub(super) struct BaseUrl {
    /// Without a slash at its end.
    text: String,
    https: bool,
    host: String,
    loopback: bool,
}

impl BaseUrl {
    /// Checks a base URL, so that no request can fail on it. `example` shows one that works.
    ///
    /// # Errors
    /// What is wrong with it. It is not quoted, because it may hold a secret.
    pub(super) fn new(base_url: &str, example: &str) -> Result<BaseUrl, Problem> {
        let wrong = |what: &str| {
            Problem::new(format!("the base url {what}"))
                .expected(format!("http:// or https://, a host, and nothing secret: {example}"))
        };
        let url = Url::parse(base_url.trim()).map_err(|cause| wrong(&format!("can't be read: {cause}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(&format!("has the scheme `{}`", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds a user name or a password")
                .hint("the key is sent in a header; set the variable of the target's key"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment").hint("drop everything from `?` or `#` on"));
        }
        Ok(BaseUrl {
            text: url.as_str().trim_end_matches('/').to_owned(),
            https: url.scheme() == "https",
            host: url.host_str().unwrap_or_default().to_owned(),
            loopback: is_loopback(&url),
        })
    }

    /// The base URL without a slash at its end.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// A key may travel there, because nobody on the way can read it.
    ///
    /// # Errors
    /// It is plain http to another machine.
    pub(super) fn keeps_secrets(&self) -> Result<(), Problem> {
        if self.https || self.loopback {
            return Ok(());
        }
        Err(Problem::new(format!(
            "the key would travel to {} in plain http, for everyone on the way to read",
            self.host
        ))
        .expected("https://, or a host of this machine")
        .hint("mend the base url, or unset the variable of the key"))
    }

    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    /// It names this very machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.loopback
    }
}

/// `localhost` and its subdomains, 127.0.0.0/8, ::1.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "https://example.org";

    #[test]
    fn bases_that_cannot_work_are_refused_without_quoting_secrets() {
        for (base, said) in [
            ("", "can't be read"),
            ("generativelanguage.googleapis.com", "can't be read"),
            ("ftp://host", "scheme `ftp`"),
            ("file:///etc", "scheme `file`"),
            ("http://", "can't be read"),
            ("https://me:geheim@host", "user name or a password"),
            ("https://host/?key=geheim", "query"),
            ("https://host/#geheim", "fragment"),
        ] {
            let problem = BaseUrl::new(base, EXAMPLE).unwrap_err().to_string();
            assert!(problem.contains(said), "{base}: {problem}");
            assert!(problem.contains(EXAMPLE), "{problem}");
            assert!(!problem.contains("geheim"), "{problem}");
        }
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for (base, loopback) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("http://localhost:8080/x", true),
            ("http://sim.localhost", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.org", false),
            (EXAMPLE, false),
        ] {
            let read = BaseUrl::new(base, EXAMPLE).unwrap();
            assert_eq!(read.is_loopback(), loopback, "{base}");
            assert_eq!(read.keeps_secrets().is_ok(), loopback || base == EXAMPLE, "{base}");
        }
    }
}
