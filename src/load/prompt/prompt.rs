//! A prompt version, compiled: from a case's variables to a request.

use super::manifest::Manifest;
use super::messages::{Message, into_contents};
use super::template::Template;
use super::variables::{Demand, Variable};
use crate::model::{Content, Place, Problem, Request, Role, Turn, digest};
use serde_json::{Map, Value};
use std::sync::Arc;

/// One prompt version. Cheap to share, safe to render from many threads.
#[derive(Debug)]
pub struct Prompt {
    /// As the user typed it: `v2`, a path, or `git:REV:v2`.
    pub name: String,
    /// Where it was read from.
    pub path: String,
    /// The file's text, without a byte order mark.
    pub source: Arc<str>,
    /// SHA-256, in hex, over the source and over names and sources of the partials it uses, directly or not.
    pub sha256: String,
    /// The front matter's model, without a plug-in's prefix (`googleai/`).
    pub model: Option<String>,
    /// The front matter's `config`, as it was written.
    pub config: Map<String, Value>,
    manifest: Manifest,
    template: Template,
    variables: Vec<Variable>,
}

impl Prompt {
    pub(super) fn new(name: &str, template: Template, manifest: Manifest) -> Prompt {
        let text = template.main();
        Prompt {
            name: name.to_owned(),
            path: text.file.to_string(),
            source: Arc::clone(&text.source),
            sha256: sha256(&template),
            model: manifest.model.clone(),
            config: manifest.config.clone(),
            variables: variables(&template, &manifest),
            manifest,
            template,
        }
    }

    /// Renders one case. `model` is the one that settings resolved. Values are inserted as they are: never escaped, never
    /// rendered again, and never read as a role, media, history or section.
    ///
    /// # Errors
    /// A value that has no text (a map), or messages that are no request: there is none, or the last is not the user's.
    pub fn render(&self, model: &str, vars: &Map<String, Value>, history: &[Turn]) -> Result<Request, Problem> {
        let history = history.iter().map(Message::from).collect();
        let messages = self.template.render(self.with_defaults(vars), &Map::new(), history)?;
        let (system, contents) = into_contents(messages);
        self.check_turns(&contents)?;
        Ok(Request {
            model: model.to_owned(),
            system,
            contents,
            config: self.config.clone(),
            json_output: self.manifest.json_output,
            output_schema: self.manifest.output_schema.clone(),
            tools: self.manifest.tools.clone(),
        })
    }

    /// The variables of a case that the template and its partials read, in the order in which they render.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Checks a case's variables, with the defaults, against `input.schema`. Variables that the schema does not name may
    /// be there, unless the schema is JSON Schema and forbids them.
    ///
    /// # Errors
    /// The first mistakes, in one line.
    pub fn check_vars(&self, vars: &Map<String, Value>) -> Result<(), String> {
        match &self.manifest.input {
            Some(schema) => schema.check(&Value::Object(self.with_defaults(vars))),
            None => Ok(()),
        }
    }

    fn with_defaults(&self, vars: &Map<String, Value>) -> Map<String, Value> {
        if self.manifest.defaults.is_empty() {
            return vars.clone();
        }
        let mut all = self.manifest.defaults.clone();
        all.extend(vars.iter().map(|(name, value)| (name.clone(), value.clone())));
        all
    }

    fn check_turns(&self, contents: &[Content]) -> Result<(), Problem> {
        let problem = |message: &str| Problem::at(Place::file(self.path.as_str()), message);
        match contents.last() {
            None => Err(problem("the prompt renders no user message")
                .expected("text outside of `{{role \"system\"}}` that is not blank, like `{{question}}`")),
            Some(Content { role: Role::Model, .. }) => Err(problem(
                "the last message is the model's, so there is nothing to answer",
            )
            .expected("a user message at the end")
            .hint("text after `{{history}}` is the model's until `{{role \"user\"}}`")),
            Some(Content { role: Role::User, .. }) => Ok(()),
        }
    }
}

fn sha256(template: &Template) -> String {
    let partials = template
        .partials()
        .iter()
        .flat_map(|(name, text)| [name.as_bytes(), text.source.as_bytes()]);
    let digest = digest([template.main().source.as_bytes()].into_iter().chain(partials));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn variables(template: &Template, manifest: &Manifest) -> Vec<Variable> {
    let mut variables: Vec<Variable> = Vec::new();
    for used in template.uses() {
        let input = manifest.input.as_ref();
        let optional =
            manifest.defaults.contains_key(&used.name) || input.is_some_and(|schema| schema.is_optional(&used.name));
        let demand = if optional { Demand::Nothing } else { used.demand };
        let (required, expected) = match demand {
            Demand::Nothing => (false, false),
            Demand::Sometimes => (false, true),
            Demand::Always => (true, true),
        };
        match variables.iter_mut().find(|known| known.name == used.name) {
            Some(known) => {
                known.required |= required;
                known.expected |= expected;
            }
            None => variables.push(Variable {
                name: used.name.clone(),
                place: used.place.clone(),
                required,
                expected,
            }),
        }
    }
    variables
}
