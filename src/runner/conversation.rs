//! The turns of one job.

use crate::domain::{Answer, Job};
use crate::provider::{Provider, ProviderError};

/// Sends the turns one after the other. The answer is the last one's, with tokens and latency of all; a turn that fails fails
/// the conversation, which is then repeated as a whole.
pub(super) async fn answer(provider: &dyn Provider, job: &Job) -> Result<Answer, ProviderError> {
    let mut answer = provider.answer(job).await?;
    for turn in job.turns().skip(1) {
        let earlier = answer;
        answer = provider.answer(&turn).await?;
        answer.usage.add(&earlier.usage);
        answer.latency_ms = answer.latency_ms.saturating_add(earlier.latency_ms);
        answer.first_token_ms = earlier.first_token_ms;
        answer.simulated |= earlier.simulated;
    }
    Ok(answer)
}
