//! Embeddings, whoever makes them: a job holds many texts, one a content, and its answer is their vectors as a JSON array of
//! arrays of numbers, in the order of the texts. `gemini/embed.rs` and `openai/embed.rs` know what that is on the wire.

use super::api::ProviderError;
use crate::domain::{Answer, Finish, Job, Usage};

/// Texts of one request; `batchEmbedContents` takes no more.
const MOST_TEXTS: usize = 100;

/// Bytes of the texts of one request, unless a single text is longer: about 16,000 tokens, below the 20,000 that some models
/// take at once, and little enough for a small quota of tokens a minute.
const MOST_BYTES: usize = 64 << 10;

/// Cuts texts into those of one request each, in their order; `bytes` is the length of one.
pub fn requests<T>(texts: &[T], bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut requests = Vec::new();
    let (mut from, mut held) = (0, 0);
    for (at, text) in texts.iter().enumerate() {
        let full = at - from == MOST_TEXTS || held + bytes(text) > MOST_BYTES;
        if full && at > from {
            requests.push(&texts[from..at]);
            (from, held) = (at, 0);
        }
        held += bytes(text);
    }
    if from < texts.len() {
        requests.push(&texts[from..]);
    }
    requests
}

/// An answer that holds these vectors. `counted` are the tokens that the service counted; not every one does.
///
/// # Errors
/// There is not one vector for each text, or one has fewer than two numbers: `bad_body`, worth another attempt.
pub(super) fn answer(job: &Job, vectors: &[Vec<f32>], counted: Option<u64>) -> Result<Answer, ProviderError> {
    let (got, texts) = (vectors.len(), job.request.contents.len());
    if got != texts {
        return Err(ProviderError::bad_body(format!("{got} embeddings came for {texts} texts")));
    }
    // One number has no direction: all such vectors would be alike.
    if vectors.iter().any(|vector| vector.len() < 2) {
        return Err(ProviderError::bad_body("an embedding has fewer than two numbers"));
    }
    let tokens = counted.unwrap_or_else(|| job.request.estimated_tokens());
    Ok(Answer {
        text: serde_json::to_string(vectors).unwrap_or_default(),
        usage: Usage { prompt: tokens, total: tokens, ..Usage::default() },
        model_version: Some(job.request.model.clone()),
        finish: Some(Finish::Complete),
        ..Answer::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_so_many_texts_and_so_many_bytes() {
        let sizes =
            |texts: &[usize]| -> Vec<usize> { requests(texts, |text| *text).iter().map(|one| one.len()).collect() };
        assert_eq!(sizes(&[]), Vec::<usize>::new());
        assert_eq!(sizes(&[1; 250]), [100, 100, 50]);
        assert_eq!(sizes(&[MOST_BYTES / 2; 5]), [2, 2, 1]);
        assert_eq!(sizes(&[MOST_BYTES, 1]), [1, 1]);
        assert_eq!(sizes(&[1, MOST_BYTES + 1, 1]), [1, 1, 1]);
    }
}
