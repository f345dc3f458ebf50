//! Where a request goes: base URL, version of the API, model.

use super::super::base_url::BaseUrl;
use crate::domain::Problem;
use reqwest::Url;

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
    /// The method of the API, and the query that goes with it.
    fn method(self) -> (&'static str, Option<&'static str>) {
        match self {
            Delivery::Whole => ("generateContent", None),
            Delivery::Stream => ("streamGenerateContent", Some("alt=sse")),
        }
    }
}

/// Joins base, version and model to a URL.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    base: BaseUrl,
    /// Base and version, ending in a slash. Read once: only the path is new in each request.
    prefix: Url,
    version: String,
}

impl Endpoint {
    /// Checks base URL and version once, so that no request can fail on them.
    ///
    /// # Errors
    /// What is wrong with them. Neither is quoted where it may hold a secret.
    pub(super) fn new(base_url: &str, version: &str) -> Result<Endpoint, Problem> {
        let base = BaseUrl::new(base_url, BASE_URL)?;
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Problem::new(format!("`{version}` is no version of the api")).expected("v1beta or v1"));
        }
        let prefix = format!("{}/{version}/", base.as_str());
        let prefix =
            Url::parse(&prefix).map_err(|cause| Problem::new(format!("the base url can't be read: {cause}")))?;
        Ok(Endpoint { base, prefix, version: version.to_owned() })
    }

    pub(super) fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// The URL that generates content with a model: `m`, `models/m`, `tunedModels/m` or `dynamic/m`.
    pub(super) fn generate_content(&self, model: &str, delivery: Delivery) -> Result<Url, String> {
        let (method, query) = delivery.method();
        let mut url = self.method(model, method)?;
        url.set_query(query);
        Ok(url)
    }

    /// The URL that creates a batch job for a model.
    pub(super) fn batch_generate_content(&self, model: &str) -> Result<Url, String> {
        self.method(model, "batchGenerateContent")
    }

    /// The URL that embeds texts with a model.
    pub(super) fn batch_embed_contents(&self, model: &str) -> Result<Url, String> {
        self.method(model, "batchEmbedContents")
    }

    fn method(&self, model: &str, method: &str) -> Result<Url, String> {
        match model_problem(model) {
            Some(problem) => Err(problem),
            None => Ok(self.resource(&format!("{}:{method}", resource(model)))),
        }
    }

    /// The URL of a resource, like `batches/x` or `cachedContents/x`, or of all of them. The caller knows that the name
    /// can't lead elsewhere.
    pub(super) fn resource(&self, path: &str) -> Url {
        let mut url = self.prefix.clone();
        url.set_path(&format!("{}{path}", url.path()));
        url
    }

    /// The URL where an upload begins.
    pub(super) fn upload(&self) -> Url {
        let mut url = self.prefix.clone();
        let path = url.path().trim_end_matches('/');
        let base = path.strip_suffix(self.version.as_str()).unwrap_or(path);
        url.set_path(&format!("{base}upload/{}/files", self.version));
        url
    }
}

/// A model as a resource: `models/m` for a bare `m`.
pub(super) fn resource(model: &str) -> String {
    let collection = if model.contains('/') { "" } else { "models/" };
    format!("{collection}{model}")
}

/// The URL of a request, for people to look at.
pub fn url(base_url: &str, version: &str, model: &str, delivery: Delivery) -> Result<String, Problem> {
    let url = Endpoint::new(base_url, version)?.generate_content(model, delivery).map_err(Problem::new)?;
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
        assert_eq!(url(BASE_URL, "tunedModels/x"), format!("{at}/tunedModels/x:generateContent"));
        assert_eq!(url("http://h:4020/gemini/", "m"), "http://h:4020/gemini/v1beta/models/m:generateContent");
        assert_eq!(url(" http://[::1]:80// ", "m"), "http://[::1]/v1beta/models/m:generateContent");
    }

    #[test]
    fn version_and_delivery_are_in_the_url() {
        assert_eq!(
            super::url("http://h/gemini", "v1", "m", Delivery::Stream).unwrap(),
            "http://h/gemini/v1/models/m:streamGenerateContent?alt=sse"
        );
    }

    #[test]
    fn versions_cannot_lead_elsewhere() {
        assert!(Endpoint::new(BASE_URL, "../v1").is_err());
        assert!(Endpoint::new(BASE_URL, "").is_err());
    }

    #[test]
    fn models_cannot_lead_elsewhere() {
        for model in
            ["", "..", "../../x", "models/", "models/../x", "a/b", "m?key=1", "m#x", "m%2f", "m:x", "m x", ".m", "é"]
        {
            assert!(model_problem(model).is_some(), "{model}");
            assert!(
                Endpoint::new(BASE_URL, VERSION).unwrap().generate_content(model, Delivery::Whole).is_err(),
                "{model}"
            );
        }
    }
}
