//! Where a request goes: base URL, version of the API, model.

use crate::model::Problem;
use reqwest::Url;
use std::net::IpAddr;

/// The public Gemini API.
pub const BASE_URL: &str = "https://generativelanguage.googleapis.com";
/// The version of the API that has every model and field.
pub const VERSION: &str = "v1beta";

/// How the service hands over an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// At once, when it is complete.
    #[default]
    Whole,
    /// In pieces, as server-sent events.
    Stream,
}

impl Delivery {
    /// The method of the API, with the query that goes with it.
    fn method(self) -> &'static str {
        match self {
            Delivery::Whole => "generateContent",
            Delivery::Stream => "streamGenerateContent?alt=sse",
        }
    }
}

/// Joins base, version and model to a URL.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// Base and version, ending in a slash.
    prefix: String,
    https: bool,
    loopback: bool,
}

impl Endpoint {
    /// Checks base URL and version once, so that no request can fail on them.
    ///
    /// # Errors
    /// What is wrong with them. Neither is quoted where it may hold a secret.
    pub(super) fn new(base_url: &str, version: &str) -> Result<Endpoint, Problem> {
        let wrong = |what: &str| {
            Problem::new(format!("the base url {what}"))
                .expected("http:// or https://, a host, and nothing secret: https://generativelanguage.googleapis.com")
        };
        let url = Url::parse(base_url.trim()).map_err(|cause| wrong(&format!("can't be read: {cause}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(&format!("has the scheme `{}`", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                wrong("holds a user name or a password").hint("the key is sent in a header; set GEMINI_API_KEY")
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment").hint("drop everything from `?` or `#` on"));
        }
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Problem::new(format!("`{version}` is no version of the api")).expected("v1beta or v1"));
        }
        Ok(Endpoint {
            prefix: format!("{}/{version}/", url.as_str().trim_end_matches('/')),
            https: url.scheme() == "https",
            loopback: is_loopback(&url),
        })
    }

    /// The URL that generates content with a model: `m`, `models/m`, `tunedModels/m` or `dynamic/m`.
    ///
    /// # Errors
    /// What is wrong with the model's name, in a sentence.
    pub(super) fn generate_content(&self, model: &str, delivery: Delivery) -> Result<Url, String> {
        if let Some(problem) = model_problem(model) {
            return Err(problem);
        }
        let collection = if model.contains('/') { "" } else { "models/" };
        Url::parse(&format!("{}{collection}{model}:{}", self.prefix, delivery.method()))
            .map_err(|cause| format!("`{model}` makes no url: {cause}"))
    }

    /// The base URL is encrypted.
    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    /// The base URL names this very machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.loopback
    }
}

/// The URL of a request, for people to look at.
///
/// # Errors
/// The base URL, the version or the model is wrong.
pub fn url(base_url: &str, version: &str, model: &str, delivery: Delivery) -> Result<String, Problem> {
    let url = Endpoint::new(base_url, version)?
        .generate_content(model, delivery)
        .map_err(Problem::new)?;
    Ok(url.to_string())
}

/// Why a text can't name a model, in a sentence. A name becomes part of a URL, so it must not lead elsewhere.
pub fn model_problem(model: &str) -> Option<String> {
    let name = ["models/", "tunedModels/", "dynamic/"]
        .into_iter()
        .find_map(|collection| model.strip_prefix(collection))
        .unwrap_or(model);
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(legal) {
        return None;
    }
    Some(format!(
        "`{model}` is no name of a model; expected a name like gemini-3.8-flash, models/NAME or tunedModels/NAME"
    ))
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

    fn url(base: &str, model: &str) -> String {
        let endpoint = Endpoint::new(base, VERSION).unwrap();
        endpoint.generate_content(model, Delivery::Whole).unwrap().to_string()
    }

    #[test]
    fn base_version_and_model_join() {
        let at = "https://generativelanguage.googleapis.com/v1beta";
        assert_eq!(url(BASE_URL, "m-1.5"), format!("{at}/models/m-1.5:generateContent"));
        assert_eq!(url(BASE_URL, "models/m"), format!("{at}/models/m:generateContent"));
        assert_eq!(
            url(BASE_URL, "tunedModels/x"),
            format!("{at}/tunedModels/x:generateContent")
        );
        assert_eq!(
            url("http://h:4020/gemini/", "m"),
            "http://h:4020/gemini/v1beta/models/m:generateContent"
        );
        assert_eq!(
            url(" http://[::1]:80// ", "m"),
            "http://[::1]/v1beta/models/m:generateContent"
        );
    }

    #[test]
    fn version_and_delivery_are_in_the_url() {
        assert_eq!(
            super::url("http://h/gemini", "v1", "m", Delivery::Stream).unwrap(),
            "http://h/gemini/v1/models/m:streamGenerateContent?alt=sse"
        );
    }

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
            let problem = Endpoint::new(base, VERSION).unwrap_err().to_string();
            assert!(problem.contains(said), "{base}: {problem}");
            assert!(!problem.contains("geheim"), "{problem}");
        }
        assert!(Endpoint::new(BASE_URL, "../v1").is_err());
        assert!(Endpoint::new(BASE_URL, "").is_err());
    }

    #[test]
    fn models_cannot_lead_elsewhere() {
        for model in [
            "",
            "..",
            "../../x",
            "models/",
            "models/../x",
            "a/b",
            "m?key=1",
            "m#x",
            "m%2f",
            "m:x",
            "m x",
            ".m",
            "é",
        ] {
            assert!(model_problem(model).is_some(), "{model}");
            assert!(
                Endpoint::new(BASE_URL, VERSION)
                    .unwrap()
                    .generate_content(model, Delivery::Whole)
                    .is_err(),
                "{model}"
            );
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
            (BASE_URL, false),
        ] {
            assert_eq!(Endpoint::new(base, VERSION).unwrap().is_loopback(), loopback, "{base}");
        }
    }
}
