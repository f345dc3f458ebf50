//! What answers, opened and with an identity.

use super::runtime;
use super::versions::{Version, Versions};
use crate::config::{Settings, TargetKind};
use crate::domain::Problem;
use crate::error::Error;
use crate::provider::gemini::Delivery;
use crate::provider::vertex::Place;
use crate::provider::{
    AnyTarget, ApiKey, ArmNames, Gemini, GeminiSettings, OpenAi, OpenAiSettings, Recorded, Renewal, Vertex,
    VertexSettings, gemini,
};
use crate::report::Redactor;
use gemini_sim::Simulator;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A target that is ready to answer.
pub(crate) struct OpenedTarget {
    pub(crate) target: Arc<AnyTarget>,
    /// What answers, in the identity of each answer.
    pub(crate) identity: String,
    /// The service alone, in whichever version of its API and by whichever delivery it is asked: looks at its answers are
    /// looks at the same.
    pub(crate) service: String,
    /// Its answers may be used again.
    pub(crate) reusable: bool,
    /// Secrets that must not be written.
    pub(crate) redactor: Redactor,
    /// Where it embeds texts, and what it is in the identity of a vector; `None` where it does not.
    pub(crate) embeds: Option<(String, String)>,
    /// The built-in simulator lives as long as the target.
    _simulator: Option<Simulator>,
}

impl fmt::Debug for OpenedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedTarget")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl OpenedTarget {
    /// Makes sure that the first request can leave.
    ///
    /// # Errors
    /// Nobody can sign in at the service.
    pub(crate) fn sign_in(&self) -> Result<(), Problem> {
        runtime::single_threaded()?.block_on(self.target.sign_in())
    }
}

/// Opens the target of the settings, for these versions if answers are looked up by their names; starts the built-in simulator if it is the target.
pub(crate) fn open(settings: &Settings, versions: Option<&Versions>) -> Result<OpenedTarget, Error> {
    match settings.provider.target {
        TargetKind::Gemini => {
            let url = settings.provider.base_url.as_deref().unwrap_or(gemini::BASE_URL);
            let redactor = redactor(settings);
            let renewal = settings.provider.key_file.clone().map(|file| Renewal {
                file,
                hear: {
                    let redactor = redactor.clone();
                    Arc::new(move |key| redactor.add(key.reveal()))
                },
            });
            let target = client(settings, url, settings.provider.key.clone(), renewal, false)?;
            Ok(OpenedTarget {
                target: Arc::new(AnyTarget::Gemini(target)),
                identity: service("gemini", url, &settings.provider.api_version) + delivered(settings),
                service: service("gemini", url, gemini::VERSION),
                reusable: true,
                redactor,
                embeds: Some((url.to_owned(), service("gemini", url, gemini::VERSION))),
                _simulator: None,
            })
        }
        TargetKind::Vertex => {
            let place = settings.provider.place.clone().unwrap_or(Place::Express);
            let url = settings.provider.base_url.clone().unwrap_or_else(|| place.base_url());
            let identity = format!("vertex {} {}", url.trim_end_matches('/'), place.identity());
            let target = Vertex::new(&VertexSettings {
                base_url: Some(url),
                place,
                key: settings.provider.key.clone(),
                timeout: settings.limits.timeout,
                concurrency: settings.limits.concurrency,
            })?;
            Ok(OpenedTarget {
                target: Arc::new(AnyTarget::Vertex(target)),
                service: identity.clone(),
                identity,
                reusable: true,
                redactor: redactor(settings),
                embeds: None,
                _simulator: None,
            })
        }
        TargetKind::OpenAi => {
            let base_url = settings.provider.base_url.clone().unwrap_or_default();
            let identity = format!("openai {}", base_url.trim_end_matches('/'));
            let target = OpenAi::new(&OpenAiSettings {
                base_url,
                key: settings.provider.key.clone(),
                concurrency: settings.limits.concurrency,
            })?;
            Ok(OpenedTarget {
                target: Arc::new(AnyTarget::OpenAi(target)),
                service: identity.clone(),
                identity,
                reusable: true,
                redactor: redactor(settings),
                embeds: None,
                _simulator: None,
            })
        }
        TargetKind::Sim => {
            let (simulator, url, identity) = match &settings.provider.base_url {
                Some(url) => (
                    None,
                    url.clone(),
                    service("sim", url, &settings.provider.api_version) + delivered(settings),
                ),
                None => {
                    let simulator = Simulator::start(0, gemini_sim::Settings::default())
                        .map_err(|error| Problem::new(format!("the simulator can't start: {error}")))?;
                    let url = simulator.url();
                    (
                        Some(simulator),
                        url,
                        format!("sim/{}{}", env!("CARGO_PKG_VERSION"), way(settings)),
                    )
                }
            };
            let target = client(settings, &url, None, None, true)?;
            let embeds = match &settings.provider.base_url {
                Some(_) => service("sim", &url, gemini::VERSION),
                None => concat!("sim/", env!("CARGO_PKG_VERSION")).to_owned(),
            };
            Ok(OpenedTarget {
                target: Arc::new(AnyTarget::Gemini(target)),
                identity,
                reusable: true,
                redactor: Redactor::default(),
                service: embeds.clone(),
                embeds: Some((url, embeds)),
                _simulator: simulator,
            })
        }
        TargetKind::Recorded => {
            let recorded = Recorded::open(
                &settings.provider.answers,
                ArmNames {
                    baseline: versions
                        .and_then(|versions| versions.baseline.as_ref())
                        .map(recorded_names)
                        .unwrap_or_default(),
                    candidate: versions
                        .map(|versions| recorded_names(&versions.candidate))
                        .unwrap_or_default(),
                },
            )?;
            Ok(OpenedTarget {
                identity: format!("recorded {}", recorded.sha256()),
                service: format!("recorded {}", recorded.sha256()),
                target: Arc::new(AnyTarget::Recorded(recorded)),
                reusable: false,
                redactor: Redactor::default(),
                embeds: None,
                _simulator: None,
            })
        }
    }
}

/// The version of the API that the built-in simulator is asked in, where it is not the usual one, and the delivery.
fn way(settings: &Settings) -> String {
    let mut way = String::new();
    if settings.provider.api_version != gemini::VERSION {
        way = format!(" {}", settings.provider.api_version);
    }
    way + delivered(settings)
}

/// The identity of answers that come through batch jobs ends so.
pub(crate) const BATCHED: &str = " batch";

/// The delivery, in the identity of each answer: one that was not streamed has no time to its first token, one of a batch
/// job has no latency and another price.
fn delivered(settings: &Settings) -> &'static str {
    match settings.provider.delivery {
        Delivery::Whole if settings.provider.batch.is_some() => BATCHED,
        Delivery::Whole => "",
        Delivery::Stream => " stream",
    }
}

/// Hides the key. An access token changes during the run, so it is masked where answers come in.
fn redactor(settings: &Settings) -> Redactor {
    settings
        .provider
        .key
        .as_ref()
        .map_or_else(Redactor::default, |key| Redactor::new([key.reveal()]))
}

/// The identity of a service: kind, base URL, and the API version, which is left out where it is the usual one. Nothing
/// of the machine is in it, so that answers can be replayed on another.
pub(crate) fn service(kind: &str, url: &str, version: &str) -> String {
    let url = url.trim_end_matches('/');
    if version == gemini::VERSION {
        format!("{kind} {url}")
    } else {
        format!("{kind} {url} {version}")
    }
}

/// What a recording may call a prompt: its name as typed, or the stem of its file.
fn recorded_names(version: &Version) -> Vec<String> {
    let stem = Path::new(&version.info.path)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let mut names = vec![version.info.name.clone()];
    names.extend(stem.filter(|stem| *stem != version.info.name));
    names
}

fn client(
    settings: &Settings,
    url: &str,
    key: Option<ApiKey>,
    renewal: Option<Renewal>,
    simulated: bool,
) -> Result<Gemini, Problem> {
    Gemini::new(&GeminiSettings {
        base_url: url.to_owned(),
        version: settings.provider.api_version.clone(),
        delivery: settings.provider.delivery,
        key,
        renewal,
        timeout: settings.limits.timeout,
        concurrency: settings.limits.concurrency,
        simulated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_api_version_or_server_is_another_service() {
        let usual = service("gemini", "https://a.example/", gemini::VERSION);
        assert_eq!(usual, "gemini https://a.example");
        assert_eq!(service("gemini", "https://a.example", gemini::VERSION), usual);
        for other in [
            service("gemini", "https://a.example", "v1"),
            service("gemini", "https://b.example", gemini::VERSION),
            service("sim", "https://a.example", gemini::VERSION),
        ] {
            assert_ne!(other, usual);
        }
    }
}
