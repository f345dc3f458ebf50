//! The typed content of front matter: what a prompt asks of the model and of its cases. Strict, where dotprompt drops
//! what it does not know: a mistyped key would silently test another prompt than the one meant.

use super::frontmatter::{Document, KNOWN_KEYS};
use super::picoschema;
use super::yaml::Tree;
use crate::domain::{ArgProblem, Problem, Problems, Step, Tool};
use jsonschema::Validator;
use serde_json::{Map, Value};

/// Mistakes of one case that are named at once.
const SHOWN_MISTAKES: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// Without the prefix of dotprompt's plug-ins, `googleai/`.
    pub(super) model: Option<String>,
    pub(super) config: Map<String, Value>,
    pub(super) defaults: Map<String, Value>,
    /// `input.schema`, as JSON Schema.
    pub(super) input: Option<InputSchema>,
    pub(super) json_output: bool,
    pub(super) output_schema: Option<Value>,
    pub(super) tools: Vec<Tool>,
    /// All of it, with places; `None` without any front matter.
    pub(super) tree: Option<Tree>,
}

/// What the variables of a case must look like.
#[derive(Debug)]
pub(super) struct InputSchema {
    schema: Value,
    validator: Validator,
}

impl InputSchema {
    /// The schema has the variable, and does not require it.
    pub(super) fn is_optional(&self, name: &str) -> bool {
        let has = self.schema.get("properties").and_then(|fields| fields.get(name)).is_some();
        let required = self.schema.get("required").and_then(Value::as_array);
        has && !required.is_some_and(|required| required.iter().any(|field| field == name))
    }

    /// Checks variables, defaults already among them.
    pub(super) fn check(&self, vars: &Value) -> Result<(), String> {
        let mistakes: Vec<String> = self
            .validator
            .iter_errors(vars)
            .take(SHOWN_MISTAKES)
            .map(|mistake| {
                let path = mistake.instance_path().to_string();
                // Masked: a value may be a megabyte long.
                let text: String = mistake.masked().to_string().chars().take(200).collect();
                if path.is_empty() { text } else { format!("at `{path}`: {text}") }
            })
            .collect();
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes.join("; ")) }
    }
}

/// Reads front matter; every mistake goes to `problems`, in the order of the file.
pub(super) fn read(document: &Document, problems: &mut Problems) -> Manifest {
    let Some(tree) = &document.tree else {
        return Manifest::default();
    };
    let mut reader = Reader { tree, problems: Vec::new() };
    let manifest = reader.manifest(&document.raw);
    reader.problems.sort_by(|one, other| one.place.cmp(&other.place));
    problems.extend(reader.problems);
    manifest
}

struct Reader<'a> {
    tree: &'a Tree,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn manifest(&mut self, raw: &Map<String, Value>) -> Manifest {
        self.known_keys(raw);
        let input = self.map(raw, &[], "input", &["default", "schema"]);
        let output = self.map(raw, &[], "output", &["format", "schema"]);
        let output_schema = self.schema(&output, &["output"]);
        Manifest {
            model: self.model(raw),
            config: self.map(raw, &[], "config", &[]),
            defaults: self.map(&input, &["input"], "default", &[]),
            input: self.input_schema(&input),
            json_output: self.json_output(&output, output_schema.is_some()),
            output_schema,
            tools: self.tools(raw),
            tree: Some(self.tree.clone()),
        }
    }

    fn known_keys(&mut self, raw: &Map<String, Value>) {
        let expected = format!("one of {}, or a key in a namespace, `team.key`", KNOWN_KEYS.join(", "));
        let keys = raw.keys().filter(|key| !key.contains('.'));
        self.unknown_keys(keys, &[], &KNOWN_KEYS, "in the front matter", &expected);
    }

    fn unknown_keys<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k String>,
        path: &[Step],
        known: &[&str],
        owner: &str,
        expected: &str,
    ) {
        for key in keys.filter(|key| !known.contains(&key.as_str())) {
            let shown: String = key.chars().take(60).collect();
            let message = format!("unknown key `{shown}` {owner}");
            let problem = self.problem(&inside(path, Step::key(key)), message).expected(expected);
            self.problems.push(problem.did_you_mean(key, known.iter().copied()));
        }
    }

    fn problem(&self, path: &[Step], message: impl Into<String>) -> Problem {
        Problem::at(self.tree.place_of(path), message)
    }

    fn refuse(&mut self, path: &[Step], message: impl Into<String>, expected: &str) {
        let problem = self.problem(path, message).expected(expected);
        self.problems.push(problem);
    }

    fn argument(&mut self, path: &[Step], problem: ArgProblem) {
        let path: Vec<Step> = path.iter().cloned().chain(problem.path).collect();
        let mut found = self.problem(&path, problem.message);
        found.expected = problem.expected;
        found.hint = problem.hint;
        self.problems.push(found);
    }

    /// A map that may be absent; with `keys`, only those may be in it.
    fn map(&mut self, from: &Map<String, Value>, path: &[&str], key: &str, keys: &[&str]) -> Map<String, Value> {
        let path: Vec<Step> = path.iter().copied().chain([key]).map(Step::key).collect();
        let map = match from.get(key) {
            None | Some(Value::Null) => return Map::new(),
            Some(Value::Object(map)) => map,
            Some(_) => {
                self.refuse(&path, format!("`{key}` is not a map"), "keys and values, indented below it");
                return Map::new();
            }
        };
        if !keys.is_empty() {
            let expected = format!("one of {}", keys.join(", "));
            self.unknown_keys(map.keys(), &path, keys, &format!("in `{key}`"), &expected);
        }
        map.clone()
    }

    fn model(&mut self, raw: &Map<String, Value>) -> Option<String> {
        match raw.get("model")? {
            Value::Null => None,
            Value::String(model) if !model.trim().is_empty() => {
                let model = model.trim();
                let prefix = ["googleai/", "vertexai/", "models/"].into_iter().find(|prefix| model.starts_with(prefix));
                Some(model[prefix.map_or(0, str::len)..].to_owned())
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                self.refuse(&[Step::key("model")], "`model` is not a name", "a text like `gemini-3.8-flash`");
                None
            }
        }
    }

    fn schema(&mut self, from: &Map<String, Value>, path: &[&str]) -> Option<Value> {
        let written = from.get("schema").filter(|schema| !schema.is_null())?;
        let path: Vec<Step> = path.iter().copied().chain(["schema"]).map(Step::key).collect();
        self.json_schema(written, &path).map(|(schema, _)| schema)
    }

    fn json_schema(&mut self, written: &Value, path: &[Step]) -> Option<(Value, Validator)> {
        let schema = match picoschema::to_json_schema(written, &Map::new()) {
            Ok(schema) => schema,
            Err(problem) => {
                self.argument(path, problem);
                return None;
            }
        };
        match jsonschema::validator_for(&schema) {
            Ok(validator) => Some((schema, validator)),
            Err(error) => {
                let text: String = error.masked().to_string().chars().take(200).collect();
                let path: Vec<Step> = path.iter().cloned().chain(steps(error.instance_path().as_str())).collect();
                self.refuse(
                    &path,
                    format!("not a valid json schema: {text}"),
                    "JSON Schema, or fields like `name: string, what it means`",
                );
                None
            }
        }
    }

    /// Picoschema closes its maps, but a case may well have variables for other prompts, so the outermost stays open.
    fn input_schema(&mut self, input: &Map<String, Value>) -> Option<InputSchema> {
        let written = input.get("schema").filter(|schema| !schema.is_null())?;
        let path = [Step::key("input"), Step::key("schema")];
        let (mut schema, mut validator) = self.json_schema(written, &path)?;
        if schema.get("type").is_some_and(|kind| kind != "object") {
            self.refuse(
                &path,
                "`input.schema` describes one value, but a case has variables with names",
                "fields like `question: string`",
            );
            return None;
        }
        if !picoschema::is_json_schema(written)
            && let Value::Object(map) = &mut schema
            && map.get("additionalProperties") == Some(&Value::Bool(false))
        {
            map.remove("additionalProperties");
            validator = jsonschema::validator_for(&schema).ok()?;
        }
        Some(InputSchema { schema, validator })
    }

    fn json_output(&mut self, output: &Map<String, Value>, has_schema: bool) -> bool {
        let path = [Step::key("output"), Step::key("format")];
        match output.get("format") {
            // Only JSON can follow a schema.
            None | Some(Value::Null) => has_schema,
            Some(Value::String(format)) if format == "json" => true,
            Some(Value::String(format)) if format == "text" => {
                if has_schema {
                    self.refuse(
                        &path,
                        "`output.format` is text, but there is an `output.schema`",
                        "format `json`, or no schema",
                    );
                }
                false
            }
            Some(other) => {
                let other: String = other.to_string().chars().take(60).collect();
                self.refuse(&path, format!("unknown output format {other}"), "json or text");
                false
            }
        }
    }

    fn tools(&mut self, raw: &Map<String, Value>) -> Vec<Tool> {
        let mut tools: Vec<Tool> = Vec::new();
        let mut named = Vec::new();
        for key in ["toolDefs", "tools"] {
            let list = match raw.get(key) {
                None | Some(Value::Null) => continue,
                Some(Value::Array(list)) => list,
                Some(_) => {
                    self.refuse(&[Step::key(key)], format!("`{key}` is not a list"), "a list of tools");
                    continue;
                }
            };
            for (index, written) in list.iter().enumerate() {
                let path = [Step::key(key), Step::Index(index)];
                match written {
                    Value::String(name) => named.push((name, path)),
                    Value::Object(written) => {
                        if let Some(tool) = self.tool(written, &path) {
                            if tools.iter().any(|other| other.name == tool.name) {
                                self.refuse(&path, format!("tool `{}` is defined twice", tool.name), "one definition");
                            }
                            tools.push(tool);
                        }
                    }
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                        self.refuse(&path, "a tool is neither a name nor a map", TOOL);
                    }
                }
            }
        }
        for (name, path) in named {
            if !tools.iter().any(|tool| tool.name == *name) {
                let shown: String = name.chars().take(60).collect();
                self.refuse(
                    &path,
                    format!("tool `{shown}` is only named, and there is no registry to look it up in"),
                    TOOL,
                );
            }
        }
        tools
    }

    fn tool(&mut self, written: &Map<String, Value>, path: &[Step; 2]) -> Option<Tool> {
        const KEYS: [&str; 6] = ["name", "description", "inputSchema", "input", "parameters", "outputSchema"];
        let inside = |key: &str| inside(path, Step::key(key));
        self.unknown_keys(written.keys(), path, &KEYS, "of a tool", &format!("one of {}", KEYS.join(", ")));
        let Some(name) = written.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
            self.refuse(path, "a tool has no name", TOOL);
            return None;
        };
        let description = match written.get("description") {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text,
            Some(_) => {
                self.refuse(&inside("description"), "a tool's description is not a text", TOOL);
                ""
            }
        };
        let input = written.get("input").and_then(|input| input.get("schema"));
        let schemas: Vec<(&str, &Value)> = ["inputSchema", "parameters"]
            .into_iter()
            .filter_map(|key| written.get(key).map(|schema| (key, schema)))
            .chain(input.map(|schema| ("input", schema)))
            .filter(|(_, schema)| !schema.is_null())
            .collect();
        if schemas.len() > 1 {
            self.refuse(
                path,
                format!("tool `{name}` has two schemas of its arguments"),
                "one of inputSchema, input.schema, parameters",
            );
        }
        if written.contains_key("input") && input.is_none() {
            self.refuse(&inside("input"), format!("`input` of tool `{name}` has no schema"), "`input: {schema: ..}`");
        }
        let parameters = schemas.first().and_then(|(key, schema)| {
            let mut path = inside(key);
            if *key == "input" {
                path.push(Step::key("schema"));
            }
            self.json_schema(schema, &path).map(|(schema, _)| schema)
        });
        Some(Tool { name: name.to_owned(), description: description.to_owned(), parameters })
    }
}

const TOOL: &str = "a map like `{name: search, description: .., inputSchema: {query: string}}`; tools of the service itself, like googleSearch, stand in `config.tools`";

fn inside(path: &[Step], step: Step) -> Vec<Step> {
    path.iter().cloned().chain([step]).collect()
}

/// The steps of a JSON pointer.
fn steps(pointer: &str) -> impl Iterator<Item = Step> {
    pointer.split('/').skip(1).map(|step| match step.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::key(step.replace("~1", "/").replace("~0", "~")),
    })
}
