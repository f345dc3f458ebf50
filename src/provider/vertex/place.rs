//! Where Vertex AI serves a model: host and path follow from project and location.

use super::super::base_url::BaseUrl;
use super::super::gemini;
use crate::domain::Problem;
use reqwest::Url;

/// The version of the API that projects ask, and the one that takes keys.
const VERSION: &str = "v1";
const EXPRESS_VERSION: &str = "v1beta1";
/// The host that belongs to no region.
const GLOBAL: &str = "https://aiplatform.googleapis.com";

/// Whose resources answer, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Express mode: the project of the API key, wherever there is room.
    Express,
    Project {
        /// Its id or number.
        project: String,
        /// `global`, `us`, `eu`, or a region like `europe-west4`.
        location: String,
    },
}

impl Place {
    /// The host that serves this place.
    pub fn base_url(&self) -> String {
        match self {
            Place::Express => GLOBAL.to_owned(),
            Place::Project { location, .. } => match location.as_str() {
                "global" => GLOBAL.to_owned(),
                "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com"),
                region => format!("https://{region}-aiplatform.googleapis.com"),
            },
        }
    }

    /// What answers, in the identity of an answer: the project only says who pays.
    pub fn identity(&self) -> &str {
        match self {
            Place::Express => "express",
            Place::Project { location, .. } => location,
        }
    }
}

/// What is wrong with a project's id or number. It becomes part of a URL, so it must not lead elsewhere.
pub fn project(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(legal) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no id of a project; expected one like my-project-123, or its number", text.escape_debug()))
}

/// What is wrong with a location. It becomes part of a host's name, so it must not lead elsewhere.
pub fn location(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(legal) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is no location; expected global, us, eu, or a region like europe-west4", text.escape_debug()))
}

/// Why a text can't name a model of Vertex AI, in a sentence.
pub fn model_problem(model: &str) -> Option<String> {
    let name = bare(model);
    if name.contains('/') || gemini::model_problem(name).is_some() {
        return Some(format!("`{model}` is no name of a model on Vertex AI; expected a name like gemini-3.8-flash"));
    }
    None
}

/// The name alone.
pub(super) fn bare(model: &str) -> &str {
    ["publishers/google/models/", "models/"]
        .into_iter()
        .find_map(|collection| model.strip_prefix(collection))
        .unwrap_or(model)
}

/// Joins base, place and model to a URL.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    base: BaseUrl,
    /// Up to the model's name.
    prefix: String,
}

impl Endpoint {
    /// Checks the base once, so that no request can fail on it. `base_url` replaces the place's own host.
    pub(super) fn new(place: &Place, base_url: Option<&str>) -> Result<Endpoint, Problem> {
        let base = match base_url {
            Some(base_url) => BaseUrl::new(base_url, GLOBAL)?,
            None => BaseUrl::new(&place.base_url(), GLOBAL)?,
        };
        let owner = match place {
            Place::Express => EXPRESS_VERSION.to_owned(),
            Place::Project { project, location } => format!("{VERSION}/projects/{project}/locations/{location}"),
        };
        Ok(Endpoint { prefix: format!("{}/{owner}/publishers/google/models/", base.as_str()), base })
    }

    pub(super) fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// The URL that generates content with a model.
    pub(super) fn generate_content(&self, model: &str) -> Result<Url, String> {
        if let Some(problem) = model_problem(model) {
            return Err(problem);
        }
        Url::parse(&format!("{}{}:generateContent", self.prefix, bare(model)))
            .map_err(|cause| format!("`{model}` makes no url: {cause}"))
    }
}

/// The URL of a request, for people to look at.
pub fn url(place: &Place, base_url: Option<&str>, model: &str) -> Result<String, Problem> {
    let url = Endpoint::new(place, base_url)?.generate_content(model).map_err(Problem::new)?;
    Ok(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(location: &str) -> Place {
        Place::Project { project: "p-1".to_owned(), location: location.to_owned() }
    }

    #[test]
    fn hosts_follow_from_the_location() {
        let path = "/v1/projects/p-1/locations";
        for (location, host) in [
            ("global", "aiplatform.googleapis.com"),
            ("us", "aiplatform.us.rep.googleapis.com"),
            ("eu", "aiplatform.eu.rep.googleapis.com"),
            ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ] {
            assert_eq!(
                url(&place(location), None, "m-1.5").unwrap(),
                format!("https://{host}{path}/{location}/publishers/google/models/m-1.5:generateContent")
            );
        }
        assert_eq!(
            url(&Place::Express, None, "m").unwrap(),
            "https://aiplatform.googleapis.com/v1beta1/publishers/google/models/m:generateContent"
        );
        assert_eq!(
            url(&place("us"), Some("http://h:4020/vertex/"), "models/m").unwrap(),
            "http://h:4020/vertex/v1/projects/p-1/locations/us/publishers/google/models/m:generateContent"
        );
    }

    #[test]
    fn the_project_is_no_part_of_an_answers_identity() {
        assert_eq!(place("us").identity(), "us");
        assert_eq!(Place::Express.identity(), "express");
    }

    #[test]
    fn nothing_leads_elsewhere() {
        for model in ["m", "models/m", "publishers/google/models/m"] {
            assert_eq!(model_problem(model), None);
        }
        for model in ["", "tunedModels/m", "a/b", "models/../m", "m?x", "publishers/other/models/m"] {
            assert!(model_problem(model).is_some(), "{model}");
        }
        for text in ["my-project", "123456", "example.com:my-project"] {
            assert_eq!(project(text).as_deref(), Ok(text));
        }
        for text in ["", "-p", "p/q", "p?", "..", "p q"] {
            assert!(project(text).is_err(), "{text}");
        }
        for text in ["global", "us", "us-central1"] {
            assert_eq!(location(text).as_deref(), Ok(text));
        }
        for text in ["", "evil.example/", "US", "us.", "a@b", "-a"] {
            assert!(location(text).is_err(), "{text}");
        }
    }
}
