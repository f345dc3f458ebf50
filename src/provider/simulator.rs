//! The simulator: the Gemini API's client with a base URL of its own and a header that says which sample is asked for. The
//! built-in one starts when it is opened.

use super::definition::{BaseUrlSource, KeySource, ProviderConfig, ProviderDef, service};
use super::gemini::{self, Identity};
use super::target::Target;
use crate::domain::{Feature, Problem, Problems};
use gemini_sim::Simulator;
use std::sync::Arc;

/// The built-in simulator in identities: another version may answer otherwise.
const BUILT_IN: &str = concat!("sim/", env!("CARGO_PKG_VERSION"));

/// What batches of the built-in simulator need.
pub(crate) const EMULATOR: Feature = Feature { name: "emulator", enabled: gemini_sim::HAS_EMULATOR };

/// The simulator.
pub(crate) const PROVIDER: ProviderDef = ProviderDef {
    name: "sim",
    base_url: BaseUrlSource {
        // It is never looked for where a service is said to be.
        variable: None,
        default: None,
        required: false,
        example: "http://127.0.0.1:8080 of `promptgate sim --port 8080`",
    },
    key: KeySource::None,
    simulates: true,
    open,
    ..gemini::PROVIDER
};

fn open(config: &ProviderConfig) -> Result<Target, Problems> {
    let (service, base_url, guard) = match &config.base_url {
        Some(url) => (service("sim", url), url.clone(), None),
        None => {
            if config.batched && !EMULATOR.enabled {
                return Err(Problem::new(format!("--batch with the built-in simulator {}", EMULATOR.missing())).into());
            }
            let simulator = Simulator::start(0, gemini_sim::Settings::default())
                .map_err(|error| Problem::new(format!("the simulator can't start: {error}")))?;
            let url = simulator.url();
            (BUILT_IN.to_owned(), url, Some(Arc::new(simulator) as _))
        }
    };
    let target = gemini::open_as(Identity::Simulator { service }, base_url, config)?;
    Ok(Target { _guard: guard, ..target })
}
