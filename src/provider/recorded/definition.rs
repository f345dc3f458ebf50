//! Recorded answers as a provider.

use super::Recorded;
use crate::domain::Problems;
use crate::provider::definition::{BaseUrlSource, KeySource, ProviderConfig, ProviderDef};
use crate::provider::gemini;
use crate::provider::target::Target;
use std::sync::Arc;

/// Files of recorded answers. They were once asked of the Gemini API, as far as anyone can tell.
pub(crate) const PROVIDER: ProviderDef = ProviderDef {
    name: "recorded",
    base_url: BaseUrlSource { variable: None, default: None, required: false, example: "" },
    key: KeySource::None,
    streams: false,
    batches: false,
    judges: false,
    replays: true,
    embedding: None,
    open,
    ..gemini::PROVIDER
};

fn open(config: &ProviderConfig) -> Result<Target, Problems> {
    let recorded = Recorded::open(&config.answers, config.names.clone())?;
    let service = format!("recorded {}", recorded.sha256());
    Ok(Target {
        provider: Arc::new(recorded),
        encoder: (PROVIDER.encoder)(config),
        batches: None,
        base_url: String::new(),
        identity: service.clone(),
        service,
        reusable: false,
        _guard: None,
    })
}
