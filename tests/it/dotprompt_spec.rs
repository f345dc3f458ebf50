//! dotprompt's own specification tests: every test of every file must render as the specification says.
//!
//! They are not part of this repository. `PROMPTGATE_CONFORMANCE` names the folder whose `dotprompt-spec/` has them;
//! without it the test says so and does nothing.

use promptgate::domain::Problem;
use promptgate::internals::prompt::frontmatter::{Document, KNOWN_KEYS};
use promptgate::internals::prompt::marks::Speaker;
use promptgate::internals::prompt::messages::{Message, MessagePart};
use promptgate::internals::prompt::picoschema;
use promptgate::internals::prompt::template::{Partials, Template};
use promptgate::internals::prompt::text::Text;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The specification had this many tests when this was written; fewer mean that they were not found.
const AT_LEAST: usize = 52;

#[test]
fn dotprompt_specification() {
    let Some(root) = std::env::var_os("PROMPTGATE_CONFORMANCE") else {
        println!("skipped: PROMPTGATE_CONFORMANCE is not set");
        return;
    };
    let mut files = Vec::new();
    yaml_files(&PathBuf::from(root).join("dotprompt-spec"), &mut files);
    let mut ran = 0;
    let mut failures = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let suites: Vec<Value> = serde_saphyr::from_str(&text).unwrap();
        for suite in &suites {
            for test in list(suite, "tests") {
                ran += 1;
                if let Err(failure) = run(suite, test) {
                    let names = (suite["name"].as_str(), test["desc"].as_str());
                    failures.push(format!("{} {names:?}: {failure}", file.display()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {ran} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(ran >= AT_LEAST, "only {ran} tests in {} files", files.len());
}

fn yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            yaml_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}

fn run(suite: &Value, test: &Value) -> Result<(), String> {
    let expect = &test["expect"];
    let source = suite["template"].as_str().unwrap();
    let file: Arc<str> = "spec.prompt".into();
    let document = Document::parse(&file, source).map_err(|problem| problem.to_string())?;
    let text = Text { file, source: source.into(), body: document.body.clone() };
    let template = Template::compile(text, &Given { suite }).map_err(|problems| problems.to_string())?;

    let data = merged(&suite["data"], &test["data"]);
    let mut input = map(&test["options"]["input"]["default"]);
    input.extend(map(&data["input"]));
    let history = data["messages"].as_array().map(|messages| messages.iter().map(message_of).collect());
    let messages = template
        .render(input, &map(&data["context"]), history.unwrap_or_default())
        .map_err(|problem| problem.to_string())?;

    same("messages", &Value::from_iter(messages.iter().map(json_of)), &expect["messages"])?;
    let metadata = metadata(&document, &test["options"], &map(&suite["schemas"]))?;
    for key in KNOWN_KEYS {
        let expected = match key {
            "config" => expect.get(key).cloned().unwrap_or_else(|| json!({})),
            _ => expect.get(key).cloned().unwrap_or(Value::Null),
        };
        same(key, &metadata[key], &expected)?;
    }
    same("ext", &Value::Object(document.ext.clone()), expect.get("ext").unwrap_or(&json!({})))?;
    match expect.get("raw") {
        Some(raw) => same("raw", &Value::Object(document.raw.clone()), raw),
        None => Ok(()),
    }
}

fn same(what: &str, got: &Value, expected: &Value) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what} is {got}, not {expected}")) }
}

fn list<'a>(from: &'a Value, key: &str) -> &'a [Value] {
    from[key].as_array().map_or(&[], Vec::as_slice)
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn merged(below: &Value, above: &Value) -> Value {
    let mut all = map(below);
    all.extend(map(above));
    Value::Object(all)
}

/// Options win over front matter; schemas become JSON Schema.
fn metadata(document: &Document, options: &Value, schemas: &Map<String, Value>) -> Result<Value, String> {
    let mut all = merged(&Value::Object(document.raw.clone()), options);
    all["config"] = merged(&document.raw.get("config").cloned().unwrap_or_default(), &options["config"]);
    for key in ["input", "output"] {
        if let Some(schema) = all.get(key).and_then(|section| section.get("schema")) {
            let schema = picoschema::to_json_schema(schema, schemas).map_err(|problem| problem.to_string())?;
            all[key]["schema"] = schema;
        }
    }
    Ok(all)
}

fn message_of(message: &Value) -> Message {
    let text = |part: &Value| MessagePart::Text(part["text"].as_str().unwrap().to_owned());
    Message {
        speaker: Speaker::parse(message["role"].as_str().unwrap()).unwrap(),
        parts: list(message, "content").iter().map(text).collect(),
        history: false,
    }
}

fn json_of(message: &Message) -> Value {
    let part = |part: &MessagePart| match part {
        MessagePart::Text(text) => json!({"text": text}),
        MessagePart::Media { url, content_type: Some(content_type) } => {
            json!({"media": {"url": url, "contentType": content_type}})
        }
        MessagePart::Media { url, content_type: None } => json!({"media": {"url": url}}),
        MessagePart::Pending { purpose } => json!({"metadata": {"purpose": purpose, "pending": true}}),
    };
    let mut json =
        json!({"role": message.speaker.as_str(), "content": Value::from_iter(message.parts.iter().map(part))});
    if message.history {
        json["metadata"] = json!({"purpose": "history"});
    }
    json
}

/// The partials that a suite defines.
struct Given<'a> {
    suite: &'a Value,
}

impl Partials for Given<'_> {
    fn load(&self, name: &str) -> Result<Option<Text>, Problem> {
        let given = ["partials", "resolverPartials"].into_iter().find_map(|key| self.suite[key][name].as_str());
        Ok(given.map(|source| Text::whole(name, source)))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}
