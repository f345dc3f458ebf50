//! The model without a server: all answers that it has to one request, and which of them a sample gets. For those who need
//! thousands of noisy runs, in which the few distinct answers can be judged once.

use crate::answer::answer;
use crate::library::Library;
use crate::noise::{Degrade, Key, SECOND_BEST, degrade, numbers};
use crate::respond::Answer;
use crate::validate::{Method, validate};
use serde_json::Value;

/// What noise can do to an answer, in the order of [`Rehearsal::answers`].
const WAYS: [Option<Degrade>; 3] = [None, Some(Degrade::SecondBest), Some(Degrade::DropFormat)];

/// One `generateContent` request, answered in every way that noise allows.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// Path and body, as draws of noise take them.
    numbers: Vec<u64>,
    answers: [Value; 3],
}

impl Rehearsal {
    /// Answers a body for a model, as the server does at `path`, which takes part in the draws of noise.
    ///
    /// # Errors
    /// The body is no JSON, or the server would refuse it; in the server's words.
    pub fn new(path: &str, model: &str, body: &[u8]) -> Result<Rehearsal, String> {
        let request: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        validate(Method::Generate, model, &request).map_err(|status| status.message)?;
        let system = Library::default().system(&request);
        let numbers: Vec<u64> = numbers(path.as_bytes()).chain(numbers(body)).collect();
        let key = Key::of_request(0, &numbers);
        let answers = WAYS.map(|way| {
            let reply = answer(&request, system.as_deref(), way);
            Answer::new(reply, &request, model, key).body()
        });
        Ok(Rehearsal { numbers, answers })
    }

    /// Bodies of the responses: without noise, with the second best passage, without the form that was asked for. They are
    /// those of the server but for `responseId`, which names a sample.
    pub fn answers(&self) -> &[Value; 3] {
        &self.answers
    }

    /// The samples of this request under a seed.
    pub fn samples(&self, seed: u64) -> Samples {
        Samples(Key::of_request(seed, &self.numbers))
    }

    /// The chance of each of the answers if an answer is degraded with chance `noise`.
    pub fn chances(noise: f64) -> [f64; 3] {
        [1.0 - noise, noise * SECOND_BEST, noise * (1.0 - SECOND_BEST)]
    }
}

/// The samples of one request under one seed.
#[derive(Clone, Copy, Debug)]
pub struct Samples(Key);

impl Samples {
    /// The index of the answer that the server gives at this noise (0..=1) to this sample header.
    pub fn answer(self, noise: f64, sample: &[u8]) -> usize {
        match degrade(self.0.sample(sample), noise) {
            None => 0,
            Some(Degrade::SecondBest) => 1,
            Some(Degrade::DropFormat) => 2,
        }
    }
}
