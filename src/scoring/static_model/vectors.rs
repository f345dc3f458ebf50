//! Reads a static model with the crate model2vec-rs.
//!
//! The vectors are those of the Python package's `encode(texts, max_length=None)`: unlike its default, no text is cut off, since
//! what was not read must not decide.

use crate::domain::{Problem, digest};
use model2vec_rs::model::StaticModel as Model;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Bytes of each of a model's files.
const LARGEST_FILE: u64 = 1 << 30;

pub struct StaticModel {
    model: Model,
    digest: [u8; 32],
}

impl std::fmt::Debug for StaticModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticModel").finish_non_exhaustive()
    }
}

impl StaticModel {
    /// Reads the model in a folder: `tokenizer.json`, `model.safetensors` and `config.json`.
    ///
    /// # Errors
    /// A file is missing or too large, or they are no model.
    pub fn open(folder: &Path) -> Result<StaticModel, Problem> {
        let read = |name: &str| read(&folder.join(name));
        let tokenizer = read("tokenizer.json")?;
        let model = read("model.safetensors")?;
        let config = read("config.json")?;
        let digest = digest([tokenizer.as_slice(), &model, &config]);
        let no_model = |message: String| {
            Problem::new(format!("{} holds no static model: {message}", folder.display()))
                .expected("a folder that model2vec has saved a model to")
        };
        if let Some(message) = too_short(&tokenizer, &model) {
            return Err(no_model(message));
        }
        // The crate indexes by what the files say; what is wrong in them must not end the run.
        let model = catch_unwind(|| Model::from_bytes(&tokenizer, &model, &config, None))
            .map_err(|_| "its files contradict each other".to_owned())
            .and_then(|model| model.map_err(|error| format!("{error:#}")))
            .map_err(no_model)?;
        Ok(StaticModel { model, digest })
    }

    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The vector of a text.
    ///
    /// # Errors
    /// The model knows none of its words, or can't embed it; in a sentence.
    pub fn vector(&self, text: &str) -> Result<Vec<f32>, String> {
        let texts = [text.to_owned()];
        let vectors = catch_unwind(AssertUnwindSafe(|| self.model.encode_with_args(&texts, None, 1)))
            .map_err(|_| "the static model can't embed the text".to_owned())?;
        let vector = vectors.into_iter().next().unwrap_or_default();
        if vector.iter().all(|number| *number == 0.0) {
            return Err("the static model knows no word of the text".to_owned());
        }
        Ok(vector)
    }
}

/// What is wrong if `mapping` or `weights` say nothing of some tokens: the crate would then take the token itself, or a
/// weight of 1. Files that can't be read so far are left to it.
fn too_short(tokenizer: &[u8], model: &[u8]) -> Option<String> {
    let tokenizer: Value = serde_json::from_slice(tokenizer).ok()?;
    let tokens = match &tokenizer["model"]["vocab"] {
        Value::Object(ids) => ids.values().filter_map(Value::as_u64).max()? + 1,
        Value::Array(pieces) => pieces.len() as u64,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    let (length, rest) = model.split_first_chunk::<8>()?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let header: Value = serde_json::from_slice(header).ok()?;
    ["mapping", "weights"].into_iter().find_map(|tensor| {
        let rows = header[tensor]["shape"][0].as_u64()?;
        (rows < tokens).then(|| format!("`{tensor}` has {rows} entries for {tokens} tokens"))
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |error: std::io::Error| {
        Problem::new(format!("can't read {}: {error}", path.display()))
            .expected("a folder with tokenizer.json, model.safetensors and config.json")
    };
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Problem::new(format!("{} is not a plain file", path.display())));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Problem::new(format!("{} is too large", path.display())).expected("at most 1 GiB"));
    }
    Ok(bytes)
}
