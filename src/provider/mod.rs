//! What answers: each provider turns one request into one answer. Who asks, when and how often is the business of `runner`.
//!
//! - `api.rs`: the trait, and what can go wrong. `by_arm.rs`: a provider for each arm.
//! - `encoder.rs`: how requests are written, known before anything is sent. `media.rs`: media inside a prompt.
//! - `definition.rs`: what there is to know about a kind of provider. The table of them stands in this file.
//! - `target.rs`: a provider that is open. `open.rs`: the service of a judge or an embedding model.
//! - `gemini/`: the Gemini API. `simulator.rs`: the simulator, which speaks its protocol. `vertex/`: the same models on
//!   Vertex AI. `openai/`: chat completions. `recorded.rs`: answers from files.
//! - `embeddings.rs`: vectors of texts instead of answers.
//! - `http.rs`: one exchange over HTTP. `base_url.rs`: where a service is. `key.rs`: an API key. `keys.rs`: the key of a run,
//!   which may be replaced once.

mod api;
mod base_url;
mod by_arm;
mod definition;
mod embeddings;
mod encoder;
pub mod gemini;
mod http;
mod key;
mod keys;
mod media;
mod open;
mod openai;
mod recorded;
mod simulator;
mod target;
mod tls;
pub mod vertex;

pub use api::{Lane, Provider, ProviderError, Reach, Retry};
pub use by_arm::ByArm;
pub use definition::{BaseUrlSource, KeySource, ProviderConfig, ProviderDef};
pub use embeddings::requests as embedding_requests;
pub use encoder::RequestEncoder;
pub use gemini::{Gemini, GeminiSettings};
pub use key::ApiKey;
pub use keys::{Renewal, read_key_file};
pub use open::{OwnService, Purpose, RunService, ServiceConfig};
pub use openai::is_local;
pub use recorded::ArmNames;
pub(crate) use simulator::EMULATOR;
pub use target::Target;

macro_rules! providers {
    ($($(#[$meta:meta])* $kind:ident => $definition:path,)*) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum TargetKind {
            $($(#[$meta])* $kind,)*
        }

        impl TargetKind {
            /// All of them, in the order in which help and messages list them.
            pub const ALL: &[TargetKind] = &[$(TargetKind::$kind,)*];

            /// What there is to know about it.
            pub fn def(self) -> &'static ProviderDef {
                match self {
                    $(TargetKind::$kind => &$definition,)*
                }
            }
        }
    };
}

providers! {
    #[default]
    Gemini => gemini::PROVIDER,
    Vertex => vertex::PROVIDER,
    OpenAi => openai::PROVIDER,
    Sim => simulator::PROVIDER,
    Recorded => recorded::PROVIDER,
}

impl TargetKind {
    /// Its name in settings and reports.
    pub fn as_str(self) -> &'static str {
        self.def().name
    }
}

/// Whether answers of this target, or of this identity of one, were read from files.
pub fn is_replay(target: &str) -> bool {
    let name = target.split(' ').next();
    TargetKind::ALL.iter().any(|kind| kind.def().replays && name == Some(kind.as_str()))
}
