//! What the service would say about a prompt's settings, known before anything is sent.
//!
//! A wrong setting is refused with every request, after a run has begun and money is spent; an ignored one leaves a
//! difference between two prompts that is none. Types, ranges and names stand in `fields.rs`; rules across settings are those that the documentation names, and
//! `family.rs` knows the models. What the service grows tomorrow stands inside the settings that are not looked into.

use super::super::encoder::Findings;
use super::family::Family;
use super::fields::CONFIG;
use super::shape::{Form, Service, at, check, deeper};
use crate::domain::{ArgProblem, Request, Step};
use serde_json::{Map, Value};
use time::Date;

/// Bytes of a function's name.
const LONGEST_NAME: usize = 128;

/// Reviews what a prompt asks of the service beside its turns, for a version of the API and a day.
pub fn review(request: &Request, version: &str, today: Date) -> Findings {
    review_for(Service::Gemini, request, version, today)
}

/// The same for either service.
pub(in crate::provider) fn review_for(service: Service, request: &Request, version: &str, today: Date) -> Findings {
    let mut review = Review { request, findings: Findings::default() };
    let config = Value::Object(request.config.clone());
    check(&config, Form::Map(CONFIG), &at(&[]), service, &mut review.findings.refused);
    review.schemas();
    review.logprobs();
    review.safety();
    review.functions();
    review.cached_content();
    Family::of(&request.model).review(&request.model, &request.config, version, today, &mut review.findings);
    review.findings
}

struct Review<'a> {
    request: &'a Request,
    findings: Findings,
}

impl Review<'_> {
    /// A setting that is there.
    fn get(&self, name: &str) -> Option<&Value> {
        self.request.config.get(name).filter(|value| !value.is_null())
    }

    fn refuse(&mut self, path: Vec<Step>, message: impl Into<String>, expected: &str) {
        self.findings.refused.push(ArgProblem { path, ..ArgProblem::new(message).expected(expected) });
    }

    /// One schema at most, and an answer type that goes with it.
    fn schemas(&mut self) {
        let open_api = self.get("responseSchema").is_some();
        let json = self.get("responseJsonSchema").is_some();
        if open_api && json {
            self.refuse(
                at(&["responseJsonSchema"]),
                "both `responseSchema` and `responseJsonSchema` are given",
                "one of them",
            );
        }
        let written = if open_api { "responseSchema" } else { "responseJsonSchema" };
        let output = self.request.output_schema.is_some();
        if output && (open_api || json) {
            self.refuse(at(&[written]), format!("both `output.schema` and `{written}` are given"), "one of them");
        }
        if let Some(Value::Object(_)) | None = self.get("responseJsonSchema") {
        } else {
            self.refuse(at(&["responseJsonSchema"]), "`responseJsonSchema` is not a map", "a JSON Schema");
        }
        let implied = output || self.request.json_output;
        let fits = match self.get("responseMimeType").and_then(Value::as_str) {
            Some(mime) => matches!(mime, "application/json" | "text/x.enum"),
            None => implied,
        };
        if (open_api || json || output) && !fits {
            let path = if self.get("responseMimeType").is_some() { at(&["responseMimeType"]) } else { at(&[written]) };
            self.refuse(
                path,
                "a schema of the answer needs an answer in JSON",
                "`responseMimeType: application/json` (or text/x.enum)",
            );
        }
    }

    fn logprobs(&mut self) {
        if self.get("logprobs").is_some() && self.get("responseLogprobs") != Some(&Value::Bool(true)) {
            self.refuse(
                at(&["logprobs"]),
                "`logprobs` counts nothing without `responseLogprobs`",
                "`responseLogprobs: true` beside it",
            );
        }
    }

    /// The service takes one setting a category.
    fn safety(&mut self) {
        let settings = self.get("safetySettings").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut seen: Vec<String> = Vec::new();
        for (index, setting) in settings.iter().enumerate() {
            let path = deeper(&at(&["safetySettings"]), Step::Index(index));
            let category = setting.get("category").and_then(Value::as_str).map(str::to_ascii_uppercase);
            match category {
                None => self.refuse(path, "a safety setting has no category", "category and threshold"),
                Some(category) if seen.contains(&category) => {
                    self.refuse(path, format!("`{category}` is set twice"), "one setting a category");
                }
                Some(category) => seen.push(category),
            }
            if setting.get("threshold").is_none() {
                let path = deeper(&at(&["safetySettings"]), Step::Index(index));
                self.refuse(path, "a safety setting has no threshold", "category and threshold");
            }
        }
    }

    /// Names of functions, their schemas, and which of them may be called.
    fn functions(&mut self) {
        let mut names: Vec<String> = self.request.tools.iter().map(|tool| tool.name.clone()).collect();
        for (index, name) in names.iter().enumerate() {
            if !is_function_name(name) {
                let problem = ArgProblem::new(format!("`{}` is no name of a function", short(name)));
                self.findings.refused.push(ArgProblem {
                    path: vec![Step::key("tools"), Step::Index(index), Step::key("name")],
                    ..problem.expected(FUNCTION_NAME)
                });
            }
        }
        let written = match self.get("tools") {
            Some(Value::Array(tools)) => tools.clone(),
            Some(tool) => vec![tool.clone()],
            None => Vec::new(),
        };
        let alone = !matches!(self.get("tools"), Some(Value::Array(_)));
        for (index, tool) in written.iter().enumerate() {
            let mut tool_path = at(&["tools"]);
            if !alone {
                tool_path.push(Step::Index(index));
            }
            if tool.as_object().is_some_and(Map::is_empty) {
                self.refuse(tool_path.clone(), "a tool is empty", "a map like `{googleSearch: {}}`");
            }
            let declarations = tool.get("functionDeclarations").and_then(Value::as_array);
            for (number, function) in declarations.into_iter().flatten().enumerate() {
                let path = deeper(&deeper(&tool_path, Step::key("functionDeclarations")), Step::Index(number));
                self.function(function, path, &mut names);
            }
        }
        self.allowed(&names);
    }

    fn function(&mut self, function: &Value, path: Vec<Step>, names: &mut Vec<String>) {
        match function.get("name").and_then(Value::as_str) {
            Some(name) if !is_function_name(name) => {
                let message = format!("`{}` is no name of a function", short(name));
                self.refuse(deeper(&path, Step::key("name")), message, FUNCTION_NAME);
            }
            Some(name) if names.iter().any(|known| known == name) => {
                let message = format!("function `{name}` is declared twice");
                self.refuse(deeper(&path, Step::key("name")), message, "one declaration");
            }
            Some(name) => names.push(name.to_owned()),
            None => self.refuse(path.clone(), "a function has no name", FUNCTION_NAME),
        }
        for (one, other) in [("parameters", "parametersJsonSchema"), ("response", "responseJsonSchema")] {
            if function.get(one).is_some() && function.get(other).is_some() {
                let message = format!("both `{one}` and `{other}` are given");
                self.refuse(deeper(&path, Step::key(other)), message, "one of them");
            }
        }
    }

    /// Names that may be called must be declared, and are only looked at in two modes.
    fn allowed(&mut self, names: &[String]) {
        let calling = self.get("toolConfig").and_then(|config| config.get("functionCallingConfig"));
        let Some(allowed) = calling.and_then(|calling| calling.get("allowedFunctionNames")).cloned() else {
            return;
        };
        let mode = calling.and_then(|calling| calling.get("mode")).and_then(Value::as_str);
        let heeds = mode.is_some_and(|mode| ["ANY", "VALIDATED"].iter().any(|word| word.eq_ignore_ascii_case(mode)));
        let path = at(&["toolConfig", "functionCallingConfig", "allowedFunctionNames"]);
        if !heeds {
            self.refuse(
                path.clone(),
                "`allowedFunctionNames` needs a mode that heeds it",
                "`mode: ANY` or `mode: VALIDATED` beside it",
            );
        }
        for (index, name) in allowed.as_array().into_iter().flatten().enumerate() {
            if let Some(name) = name.as_str()
                && !names.iter().any(|known| known == name)
            {
                let message = format!("no function `{}` is declared", short(name));
                self.refuse(deeper(&path, Step::Index(index)), message, "the name of a declared function");
            }
        }
    }

    /// What a cached prefix holds can't be given anew.
    fn cached_content(&mut self) {
        let Some(name) = self.get("cachedContent").and_then(Value::as_str) else {
            return;
        };
        if !name.contains("cachedContents/") {
            self.refuse(
                at(&["cachedContent"]),
                format!("`{}` is no cached content", short(name)),
                "a name like cachedContents/abc123",
            );
        }
        for (name, given) in [
            ("tools", self.get("tools").is_some() || !self.request.tools.is_empty()),
            ("toolConfig", self.get("toolConfig").is_some()),
        ] {
            if given {
                self.refuse(
                    at(&["cachedContent"]),
                    format!("`{name}` can't stand beside `cachedContent`"),
                    "tools and their settings inside the cached content",
                );
            }
        }
    }
}

const FUNCTION_NAME: &str = "a letter or `_`, then letters, digits and `_.:-`, 128 in all at most";

fn is_function_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c))
}

/// The service has a generation setting of this name.
pub(in crate::provider) fn knows_setting(name: &str) -> bool {
    CONFIG.iter().any(|field| field.name == name && field.is_of(Service::Gemini))
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
