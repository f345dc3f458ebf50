//! Success as the service sends it: candidates, usage, chunks of a stream, models. Zero values are left out, as proto3
//! does.

use super::answer::Reply;
use super::body::{get, list, number};
use super::noise::Key;
use super::pages::page;
use super::status::Status;
use super::validate::Method;
use serde_json::{Value, json};

/// Characters of a streamed chunk.
const CHUNK: usize = 48;

#[derive(Clone, Debug)]
pub(super) struct Answer {
    reply: Reply,
    finish: &'static str,
    prompt_tokens: u64,
    model: String,
    id: String,
}

impl Answer {
    /// Cuts the reply at the first stop sequence and at the token limit of the request.
    pub(super) fn new(reply: Reply, body: &Value, model: &str, key: Key) -> Answer {
        let mut finish = "STOP";
        let reply = match (reply, get(body, "generationConfig")) {
            (Reply::Text(mut text), Some(config)) => {
                let stops = list(config, "stopSequences").iter().filter_map(Value::as_str);
                if let Some(at) = stops.filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop)).min() {
                    text.truncate(at);
                }
                let limit = get(config, "maxOutputTokens").and_then(number).map(|limit| limit as u64);
                if let Some(limit) = limit
                    && tokens(&text) > limit
                {
                    let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(4);
                    text = text.chars().take(most).collect();
                    finish = "MAX_TOKENS";
                }
                Reply::Text(text)
            }
            (reply, _) => reply,
        };
        Answer { reply, finish, prompt_tokens: prompt_tokens(body), model: model.to_owned(), id: key.hex() }
    }

    pub(super) fn body(&self) -> Value {
        let (parts, output) = match &self.reply {
            Reply::Text(text) => (text_parts(text), tokens(text)),
            Reply::Call(call) => {
                let part = json!({"functionCall": {"name": call.name, "args": call.args}});
                let length = call.name.len() + Value::Object(call.args.clone()).to_string().len();
                (vec![part], (length as u64).div_ceil(4))
            }
        };
        self.event(parts, output, Some(self.finish))
    }

    /// The bodies of a stream's events; the last one has the finish reason. Usage is cumulative.
    pub(super) fn events(&self) -> Vec<Value> {
        let Reply::Text(text) = &self.reply else {
            return vec![self.body()];
        };
        let characters: Vec<char> = text.chars().collect();
        if characters.is_empty() {
            return vec![self.body()];
        }
        let count = characters.len().div_ceil(CHUNK);
        let mut said = 0;
        characters
            .chunks(CHUNK)
            .enumerate()
            .map(|(at, piece)| {
                said += piece.len() as u64;
                let piece: String = piece.iter().collect();
                let finish = (at + 1 == count).then_some(self.finish);
                self.event(text_parts(&piece), said.div_ceil(4), finish)
            })
            .collect()
    }

    fn event(&self, parts: Vec<Value>, output: u64, finish: Option<&str>) -> Value {
        let mut candidate = match parts.as_slice() {
            [] => json!({"content": {"role": "model"}}),
            parts => json!({"content": {"parts": parts, "role": "model"}}),
        };
        if let Some(finish) = finish {
            candidate["finishReason"] = json!(finish);
        }
        let mut usage = json!({"promptTokenCount": self.prompt_tokens});
        if output > 0 {
            usage["candidatesTokenCount"] = json!(output);
        }
        usage["totalTokenCount"] = json!(self.prompt_tokens + output);
        usage["promptTokensDetails"] = text_details(self.prompt_tokens);
        json!({
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": self.model,
            "responseId": self.id,
        })
    }
}

fn text_parts(text: &str) -> Vec<Value> {
    if text.is_empty() { Vec::new() } else { vec![json!({"text": text})] }
}

fn text_details(tokens: u64) -> Value {
    json!([{"modality": "TEXT", "tokenCount": tokens}])
}

/// An estimate: four characters a token.
fn tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}

/// The tokens of a request: all texts of its system instruction, turns and tools.
pub(super) fn prompt_tokens(body: &Value) -> u64 {
    fn characters(value: &Value) -> u64 {
        match value {
            Value::Null => 0,
            Value::Bool(_) | Value::Number(_) => 4,
            Value::String(text) => text.chars().count() as u64,
            Value::Array(items) => items.iter().map(characters).sum(),
            Value::Object(map) => map.iter().filter(|(key, _)| *key != "role").map(|(_, v)| characters(v)).sum(),
        }
    }
    let read = ["systemInstruction", "contents", "tools"];
    let all: u64 = read.iter().filter_map(|name| get(body, name)).map(characters).sum();
    all.div_ceil(4).max(1)
}

pub(super) fn counted(count: u64) -> Value {
    json!({"totalTokens": count, "promptTokensDetails": text_details(count)})
}

/// Models in the list; any other `gemini-…` name is served too.
const MODELS: [(&str, &str); 5] = [
    ("gemini-3.8-flash", "Gemini 3.8 Flash (simulated)"),
    ("gemini-3.5-flash", "Gemini 3.5 Flash (simulated)"),
    ("gemini-3.5-flash-lite", "Gemini 3.5 Flash-Lite (simulated)"),
    ("gemini-2.5-flash", "Gemini 2.5 Flash (simulated)"),
    ("gemini-embedding-001", "Gemini Embedding 001 (simulated)"),
];

/// The simulator has this model.
pub(super) fn serves(model: &str) -> bool {
    model.strip_prefix("gemini-").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    })
}

/// A model embeds texts, or it answers; none does both.
fn embeds(model: &str) -> bool {
    model.contains("embedding")
}

/// The model can be called with this method.
pub(super) fn supports(model: &str, method: Method) -> bool {
    match method {
        Method::Generate | Method::Stream => !embeds(model),
        #[cfg(feature = "emulator")]
        Method::BatchGenerate => !embeds(model),
        Method::Embed | Method::BatchEmbed => embeds(model),
        Method::CountTokens => true,
    }
}

pub(super) fn model(name: &str) -> Value {
    let shown = MODELS.iter().find(|(known, _)| *known == name).map_or(name, |(_, shown)| *shown);
    let (input, output, methods) = if embeds(name) {
        (2_048, 1, json!(["embedContent", "countTokens"]))
    } else {
        let methods = json!(["generateContent", "countTokens", "batchGenerateContent"]);
        (1_048_576, 65_536, methods)
    };
    json!({
        "name": format!("models/{name}"),
        "version": "001",
        "displayName": shown,
        "inputTokenLimit": input,
        "outputTokenLimit": output,
        "supportedGenerationMethods": methods,
    })
}

/// The body of a page of the list of models.
pub(super) fn models(query: &str) -> Result<Value, Status> {
    page(&MODELS, query, "models", |(name, _)| model(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str, config: Value) -> Answer {
        let body = json!({"contents": [{"parts": [{"text": "12345678"}]}], "generationConfig": config});
        Answer::new(Reply::Text(text.to_owned()), &body, "gemini-3.8-flash", Key::new(0, "", b"", b""))
    }

    #[test]
    fn a_body_has_candidates_and_usage() {
        insta::assert_json_snapshot!(answered("Hello there.", json!({})).body());
    }

    #[test]
    fn limits_cut() {
        let cut = answered("Hello there, how are you?", json!({"maxOutputTokens": 3})).body();
        assert_eq!(cut["candidates"][0]["content"]["parts"][0]["text"], "Hello there,");
        assert_eq!(cut["candidates"][0]["finishReason"], "MAX_TOKENS");
        assert_eq!(cut["usageMetadata"]["candidatesTokenCount"], 3);
        let stopped = answered("Hello there, how are you?", json!({"stop_sequences": ["how", ","]})).body();
        assert_eq!(stopped["candidates"][0]["content"]["parts"][0]["text"], "Hello there");
        assert_eq!(stopped["candidates"][0]["finishReason"], "STOP");
        let nothing = answered("Hello", json!({"stopSequences": ["H"]})).body();
        assert_eq!(nothing["candidates"][0]["content"], json!({"role": "model"}));
        assert!(nothing["usageMetadata"].get("candidatesTokenCount").is_none(), "zero is left out");
    }

    #[test]
    fn events_add_up_to_the_body() {
        let text = "A sentence that is long enough for three chunks, äöü included, because chunks are cut by characters, not bytes.";
        let whole = answered(text, json!({}));
        let events = whole.events();
        assert_eq!(events.len(), 3);
        let joined: String =
            events.iter().map(|e| e["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap()).collect();
        assert_eq!(joined, text);
        assert_eq!(events[2]["usageMetadata"], whole.body()["usageMetadata"]);
        assert!(events[0]["candidates"][0].get("finishReason").is_none());
        assert_eq!(events[2]["candidates"][0]["finishReason"], "STOP");
    }

    #[test]
    fn model_names_are_checked() {
        for (name, served) in [
            ("gemini-3.8-flash", true),
            ("gemini-flash-latest", true),
            ("gemini-", false),
            ("gpt-4", false),
            ("gemini-x/../y", false),
        ] {
            assert_eq!(serves(name), served, "{name}");
        }
    }
}
