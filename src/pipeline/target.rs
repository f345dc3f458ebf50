//! What answers, opened and with an identity.

use super::Version;
use super::survey::Versions;
use crate::error::Error;
use crate::load::prompt::{Library, Prompt};
use crate::model::{Problem, Problems, PromptInfo};
use crate::report::Mask;
use crate::run::{AnyTarget, ApiKey, ArmNames, Gemini, GeminiSettings, Recorded, Renewal, gemini};
use crate::settings::{Settings, TargetKind};
use crate::sim::{self, Simulator};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A target that is ready to answer.
pub(super) struct OpenedTarget {
    pub(super) target: Arc<AnyTarget>,
    /// What answers, in the identity of each answer.
    pub(super) identity: String,
    /// Its answers may be used again.
    pub(super) reusable: bool,
    /// Secrets that must not be written.
    pub(super) mask: Mask,
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

/// Opens the target of the settings; starts the built-in simulator if it is the target.
pub(super) fn open(settings: &Settings, versions: &Versions) -> Result<OpenedTarget, Error> {
    match settings.target {
        TargetKind::Gemini => {
            let url = settings.base_url.as_deref().unwrap_or(gemini::BASE_URL);
            let mask = settings
                .key
                .as_ref()
                .map_or_else(Mask::default, |key| Mask::new([key.reveal()]));
            let renewal = settings.key_file.clone().map(|file| Renewal {
                file,
                hear: {
                    let mask = mask.clone();
                    Arc::new(move |key| mask.add(key.reveal()))
                },
            });
            let target = client(settings, url, settings.key.clone(), renewal, false)?;
            Ok(OpenedTarget {
                target: Arc::new(AnyTarget::Gemini(target)),
                identity: format!("gemini {}", url.trim_end_matches('/')),
                reusable: true,
                mask,
                _simulator: None,
            })
        }
        TargetKind::Sim => {
            let (simulator, url, identity) = match &settings.base_url {
                Some(url) => (None, url.clone(), format!("sim {}", url.trim_end_matches('/'))),
                None => {
                    let simulator = Simulator::start(0, sim::Settings::default())
                        .map_err(|error| Problem::new(format!("the simulator can't start: {error}")))?;
                    let url = simulator.url();
                    (Some(simulator), url, format!("sim/{}", env!("CARGO_PKG_VERSION")))
                }
            };
            let target = client(settings, &url, None, None, true)?;
            Ok(OpenedTarget {
                target: Arc::new(AnyTarget::Gemini(target)),
                identity,
                reusable: true,
                mask: Mask::default(),
                _simulator: simulator,
            })
        }
        TargetKind::Recorded => {
            let recorded = Recorded::open(
                &settings.answers,
                ArmNames {
                    baseline: versions.baseline.as_ref().map(recorded_names).unwrap_or_default(),
                    candidate: recorded_names(&versions.candidate),
                },
            )?;
            Ok(OpenedTarget {
                identity: format!("recorded {}", recorded.sha256()),
                target: Arc::new(AnyTarget::Recorded(recorded)),
                reusable: false,
                mask: Mask::default(),
                _simulator: None,
            })
        }
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
        version: gemini::VERSION.to_owned(),
        key,
        renewal,
        timeout: settings.timeout,
        concurrency: settings.concurrency,
        simulated,
    })
}

/// Opens a prompt and resolves its model.
///
/// # Errors
/// All mistakes of the prompt.
pub fn open_prompt(
    library: &Library,
    reference: &str,
    default_name: Option<&str>,
    model: &dyn Fn(&Prompt) -> String,
) -> Result<Version, Problems> {
    let prompt = library.open(reference, default_name)?;
    let info = PromptInfo {
        name: prompt.name.clone(),
        sha256: prompt.sha256.clone(),
        model: model(&prompt),
        path: prompt.path.clone(),
    };
    Ok(Version { prompt, info })
}
