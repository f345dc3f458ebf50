//! Gemini models on Vertex AI: the same requests and answers as the Gemini API, under another host and path, with another
//! way to show who asks.
//!
//! - `place.rs`: project, location and model become a URL.
//! - `credentials.rs`: Application Default Credentials become access tokens; `no_credentials.rs` in a build without the
//!   feature `vertex-auth`, which knows express mode only.
//! - this file: one exchange. Bodies, replies and errors are those of `gemini/`; what differs
//!   in them (finish reasons, citations, traffic types) is read there as anything unknown is: kept or skipped.

#[cfg(feature = "vertex-auth")]
mod credentials;
#[cfg(not(feature = "vertex-auth"))]
#[path = "no_credentials.rs"]
mod credentials;
mod definition;
mod place;

pub use definition::PROVIDER;
pub use place::{Place, location, model_problem, project, url};

use super::api::{BoxFuture, Provider, ProviderError, Retry};
use super::definition::ProviderConfig;
use super::encoder::Findings;
use super::gemini::{self, Service, TIMEOUT_HEADER};
use super::http::{Http, post, whole_seconds, without};
use super::key::ApiKey;
use crate::domain::{Answer, ArgProblem, Job, Problem, Request};
use crate::secret::Redact;
use credentials::{Authorization, SignIn};
use place::{Endpoint, bare};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use time::Date;
use tokio::sync::OnceCell;

/// Settings that only the Gemini API knows.
const GEMINI_ONLY: [&str; 3] = ["enableEnhancedCivicAnswers", "serviceTier", "store"];
#[derive(Debug)]
pub struct Vertex {
    http: Http,
    endpoint: Endpoint,
    /// Of every request.
    headers: HeaderMap,
    auth: Auth,
}

#[derive(Debug)]
enum Auth {
    Key(ApiKey),
    /// Whoever this machine's credentials name; found when somebody first has to sign in.
    Credentials(OnceCell<SignIn>),
}

impl Vertex {
    /// A client; sends nothing yet, and signs nobody in.
    ///
    /// # Errors
    /// The base URL is wrong, express mode has no key, or no client can be made.
    pub(crate) fn new(config: &ProviderConfig) -> Result<Vertex, Problem> {
        let place = config.place.as_ref().unwrap_or(&Place::Express);
        let endpoint = Endpoint::new(place, config.base_url.as_deref())?;
        endpoint.base().keeps_secrets()?;
        let http = Http::new(endpoint.base(), config.concurrency)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(TIMEOUT_HEADER, whole_seconds(config.timeout));
        let auth = match (place, &config.key) {
            (Place::Express, Some(key)) => Auth::Key(key.clone()),
            (Place::Express, None) => {
                return Err(Problem::new("express mode of Vertex AI needs an api key").hint("set GOOGLE_API_KEY"));
            }
            (Place::Project { .. }, _) => Auth::Credentials(OnceCell::new()),
        };
        Ok(Vertex { http, endpoint, headers, auth })
    }

    /// Makes sure that somebody is signed in before the first request.
    ///
    /// # Errors
    /// The credentials are refused, or there are none. A token endpoint that fails for now is no error: each request will
    /// try again.
    async fn find_credentials(&self) -> Result<(), Problem> {
        if let Auth::Credentials(sign_in) = &self.auth {
            sign_in.get_or_try_init(async || SignIn::find()).await?;
        }
        let Err(error) = self.signed_in().await else {
            return Ok(());
        };
        match error.retry() {
            Retry::Backoff | Retry::After(_) if credentials::are_configured() => Ok(()),
            Retry::Backoff | Retry::After(_) => {
                Err(Problem::new("there are no credentials of Google Cloud on this machine")
                    .hint(credentials::WHAT_TO_DO))
            }
            Retry::Never | Retry::QuotaSpent | Retry::KeyRefused | Retry::KeyChanged => {
                Err(Problem::new(error.failure().message))
            }
        }
    }

    async fn signed_in(&self) -> Result<Authorization, ProviderError> {
        match &self.auth {
            Auth::Key(key) => {
                let mut headers = HeaderMap::new();
                headers.insert(gemini::KEY_HEADER, key.header());
                Ok(Authorization { headers, token: key.clone() })
            }
            Auth::Credentials(sign_in) => {
                let found = sign_in.get_or_try_init(async || SignIn::find()).await;
                found.map_err(credentials::missing)?.headers().await
            }
        }
    }

    async fn exchange(&self, job: &Job, signed_in: &Authorization) -> Result<Answer, ProviderError> {
        let url = self.endpoint.generate_content(&job.request.model).map_err(ProviderError::bad_model)?;
        let mut headers = self.headers.clone();
        headers.extend(signed_in.headers.clone());
        let reply = self.http.send(post(url, headers, &job.body), Some(&signed_in.token as &dyn Redact)).await?;
        if !reply.is_success() {
            return Err(gemini::classify(reply.status, reply.retry_after(), &reply.body));
        }
        Ok(reply.complete(gemini::decode(&reply.body)?))
    }

    /// An error with what to do where who asks is refused.
    fn explained(&self, error: ProviderError) -> ProviderError {
        let refused = error.retry() == Retry::KeyRefused;
        error.map_message(|message| {
            match &self.auth {
                _ if !refused => message,
                Auth::Key(_) => format!("{message}; check GOOGLE_API_KEY and that it is one of Vertex AI"),
                Auth::Credentials(_) => format!(
                    "{message}; check --project and --location, and that the account of the credentials has the role Vertex AI User (roles/aiplatform.user) there"
                ),
            }
        })
    }
}

impl Provider for Vertex {
    fn answer<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async {
            let signed_in = self.signed_in().await?;
            let answer = self.exchange(job, &signed_in).await;
            let answer = without(Some(&signed_in.token as &dyn Redact), answer);
            answer.map_err(|error| self.explained(error))
        })
    }

    fn sign_in(&self) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(self.find_credentials())
    }
}

/// Reviews what a prompt asks of the service beside its turns, for a day: by the forms of its own settings, and the
/// rules across settings and of models that it shares with the Gemini API.
pub fn review(request: &Request, today: Date) -> Findings {
    let mut request = request.clone();
    request.model = bare(&request.model).to_owned();
    let mut unknown = Vec::new();
    for key in GEMINI_ONLY {
        if request.config.remove(key).is_some() {
            let problem = ArgProblem::new(format!("Vertex AI has no generation setting `{key}` (in `config`)"));
            unknown.push(ArgProblem { path: gemini::at(&[key]), ..problem.hint("leave it out for this target") });
        }
    }
    let Findings { refused, doubtful } = gemini::review_for(Service::Vertex, &request, gemini::VERSION, today);
    unknown.extend(refused);
    Findings { refused: unknown, doubtful }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use time::macros::date;

    #[test]
    fn settings_differ_a_little_from_those_of_the_gemini_api() {
        let found = |config: Value| {
            let request = Request {
                model: "publishers/google/models/gemini-3.8-flash".to_owned(),
                config: config.as_object().unwrap().clone(),
                ..Request::default()
            };
            review(&request, date!(2026 - 11 - 22))
        };
        let problems = |config: Value| -> Vec<String> {
            let refused = found(config).refused;
            refused.into_iter().map(|problem| problem.message).collect()
        };
        let fine = json!({"temperature": 1, "labels": {}, "routingConfig": {}, "modelArmorConfig": {}, "audioTimestamp": true});
        assert_eq!(problems(fine), [""; 0]);
        let wrong = problems(json!({"store": true, "serviceTier": "flex", "temprature": 1}));
        assert_eq!(wrong.len(), 3);
        assert!(wrong[2].contains("temprature"));
        // What the Gemini API does not have.
        let richer = json!({
            "safetySettings": [
                {"category": "HARM_CATEGORY_JAILBREAK", "threshold": "OFF", "method": "SEVERITY"},
                {"category": "HARM_CATEGORY_IMAGE_HATE", "threshold": "BLOCK_NONE"},
            ],
            "tools": [{"enterpriseWebSearch": {}}, {"retrieval": {"vertexAiSearch": {}}},
                {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"ref": "#/defs/a"}}}}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "streamFunctionCallArguments": true}},
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"ref": "#/defs/a"}}, "additionalProperties": false,
                "defs": {"a": {"type": "STRING", "maxLength": "5", "enum": ["x"]}}},
            "modelArmorConfig": {"promptTemplateName": "p"}, "routingConfig": {"autoMode": {}}, "topK": 1.5,
            "responseModalities": ["VIDEO"], "enableAffectiveDialog": true,
        });
        assert_eq!(problems(richer), [""; 0]);
        let wrong = json!({"topP": 2, "tools": 1, "thinkingConfig": {"thinkingLevel": "MINIMAL"}});
        assert_eq!(problems(wrong).len(), 3);
        let safety = |fields: Value| json!({"safetySettings": [fields]});
        let schema = |schema: Value| json!({"responseMimeType": "application/json", "responseSchema": schema});
        let unsafe_method = json!({"category": "HARM_CATEGORY_JAILBREAK", "threshold": "OFF", "method": "BOTH"});
        let invocations = json!({"toolConfig": {"includeServerSideToolInvocations": true}});
        for (wrong, message) in [
            (
                safety(json!({"category": "HARM_CATEGORY_NOISE", "threshold": "OFF"})),
                "`category` is \"HARM_CATEGORY_NOISE\"",
            ),
            (safety(unsafe_method), "`method` is \"BOTH\""),
            (safety(json!({"category": "HARM_CATEGORY_JAILBREAK"})), "a safety setting has no threshold"),
            (schema(json!({"tpye": "STRING"})), "no setting `tpye` in `responseSchema`"),
            (schema(json!({"defs": {"a": {"minItems": -1}}})), "`minItems` is -1"),
            (json!({"tools": [{"fileSearch": {}}]}), "no setting `fileSearch` in `tools`"),
            (invocations, "no setting `includeServerSideToolInvocations`"),
            (json!({"thinkingConfig": {"thinkingLevel": "XHIGH"}}), "`thinkingLevel` is \"XHIGH\""),
            (json!({"modelArmorConfig": {"template": "p"}}), "no setting `template` in `modelArmorConfig`"),
            (
                json!({"enableEnhancedCivicAnswers": true}),
                "Vertex AI has no generation setting `enableEnhancedCivicAnswers`",
            ),
            (json!({"audioTimestamp": "yes"}), "`audioTimestamp` is \"yes\""),
        ] {
            let said = problems(wrong);
            assert!(said.first().is_some_and(|said| said.contains(message)), "{message}: {said:?}");
        }
        assert_eq!(found(json!({"temperature": 0.2})).doubtful.len(), 1);
    }

    #[test]
    fn replies_of_vertex_ai_are_read() {
        let reply = json!({
            "createTime": "2026-11-22T17:56:32.399656Z",
            "candidates": [{
                "content": {"role": "model", "parts": [{"text": "thirty days"}]},
                "finishReason": "MODEL_ARMOR", "avgLogprobs": -0.1,
                "citationMetadata": {"citations": [{"startIndex": 1, "endIndex": 5, "uri": "u", "publicationDate": {"year": 2020}}]},
            }],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 9, "trafficType": "ON_DEMAND"},
            "modelVersion": "gemini-3.8-flash",
        });
        let answer = gemini::decode(reply.to_string().as_bytes()).unwrap();
        assert_eq!(answer.text, "thirty days");
        assert_eq!(answer.finish_reason.as_deref(), Some("MODEL_ARMOR"));
        assert!(answer.unusable().is_some());
        let blocked =
            json!({"promptFeedback": {"blockReason": "JAILBREAK", "blockReasonMessage": "no", "safetyRatings": []}});
        let answer = gemini::decode(blocked.to_string().as_bytes()).unwrap();
        assert_eq!(answer.block_reason.as_deref(), Some("JAILBREAK"));
    }

    #[test]
    fn a_key_travels_in_a_header_and_is_not_shown() {
        let target = Vertex::new(&ProviderConfig {
            base_url: Some("http://127.0.0.1:9".to_owned()),
            key: Some(ApiKey::new("a-secret-key").unwrap()),
            ..ProviderConfig::default()
        })
        .unwrap();
        assert!(!format!("{target:?}").contains("a-secret-key"));
    }
}
