//! What answers: each provider turns one request into one answer. Who asks, when and how often is the business of `runner`.
//!
//! - `gemini/`: the Gemini API, and the simulator that speaks its protocol. `vertex/`: the same models on Vertex AI.
//!   `openai/`: chat completions. `recorded.rs`: answers from files.
//! - `target.rs`: what answers. A target sends once; it neither retries nor waits.
//! - `embeddings.rs`: vectors of texts instead of answers, whoever makes them.
//! - `protocol.rs`: what a target must know of a prompt before anything is sent. `media.rs`: media inside a prompt.
//! - `http.rs`: one exchange over HTTP, whoever answers. `base_url.rs`: where a service is.
//! - `key.rs`: the type that holds an API key. `keys.rs`: the key of a run, which may be replaced once.

mod base_url;
mod embeddings;
pub mod gemini;
mod http;
mod key;
mod keys;
mod media;
pub mod openai;
mod protocol;
mod recorded;
mod target;
pub mod vertex;

pub use embeddings::{Embedder, requests as embedding_requests};
pub use gemini::{Gemini, GeminiSettings};
pub use key::ApiKey;
pub use keys::{Renewal, read_key_file};
pub use openai::{OpenAi, OpenAiSettings};
pub use protocol::Protocol;
pub use recorded::{ArmNames, Recorded};
pub use target::{AnyTarget, Reach, Retry, Target, TargetError};
pub use vertex::{Vertex, VertexSettings};
