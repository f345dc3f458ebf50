//! What can be said of a template without rendering it: helpers that don't exist or are written wrongly, partials it
//! needs, context variables it reads.

use super::bind::{called, context_steps, is_bare};
use super::dialect::{self, HELPERS, Signature};
use super::marks::Speaker;
use super::text::Text;
use crate::domain::{Place, Problem};
use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, Template, TemplateElement};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Lint {
    pub(super) problems: Vec<Problem>,
    pub(super) partials: Vec<Inclusion>,
    /// Blocks inside blocks, at most.
    pub(super) depth: usize,
    /// `@name`s that are not loop variables.
    pub(super) context: Vec<(String, Place)>,
    /// Where each helper is first called.
    pub(super) calls: BTreeMap<&'static str, Place>,
}

/// A `{{> name}}`.
pub(super) struct Inclusion {
    pub(super) name: String,
    pub(super) place: Place,
    /// Blocks around it.
    pub(super) depth: usize,
}

pub(super) fn lint(template: &Template, text: &Text) -> Lint {
    let mut linter = Linter { text, depth: 0, found: Lint::default() };
    linter.template(template, 0);
    linter.found
}

/// The offset of element `index`, or `outer`, that of the block it stands in; else-branches have no places of their own.
pub(super) fn offset_of(template: &Template, index: usize, text: &Text, outer: usize) -> usize {
    match template.mapping.get(index) {
        Some(start) => text.offset(start.0, start.1),
        None => outer,
    }
}

struct Linter<'a> {
    text: &'a Text,
    depth: usize,
    found: Lint,
}

impl Linter<'_> {
    fn template(&mut self, template: &Template, outer: usize) {
        for (index, element) in template.elements.iter().enumerate() {
            let at = offset_of(template, index, self.text, outer);
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::Expression(expression) | TemplateElement::HtmlExpression(expression) => {
                    self.expression(expression, at);
                }
                TemplateElement::HelperBlock(block) => self.call(block, at),
                TemplateElement::PartialExpression(partial) => self.partial(partial, at),
                TemplateElement::PartialBlock(_) => {
                    self.refuse(at, "a partial with a block, `{{#> name}}`, is not supported", "`{{> name}}`")
                }
                TemplateElement::DecoratorBlock(_) | TemplateElement::DecoratorExpression(_) => self.refuse(
                    at,
                    "decorators and inline partials, `{{#*inline}}`, are not supported",
                    "a partial in a file of its own, `_name.prompt`",
                ),
                _ => self.refuse(at, "this tag is not supported", "a variable, a helper, a block or a partial"),
            }
        }
    }

    fn refuse(&mut self, at: usize, message: &str, expected: &str) {
        self.found.problems.push(Problem::at(self.text.place(at), message).expected(expected));
    }

    /// `{{name}}`, `{{helper args}}`.
    fn expression(&mut self, expression: &HelperTemplate, at: usize) {
        if called(expression).is_some() {
            self.call(expression, at);
        } else {
            self.parameter(&expression.name, at);
        }
    }

    /// Any call: inline, block, or inside parentheses.
    fn call(&mut self, call: &HelperTemplate, at: usize) {
        match call.name.as_name() {
            Some(name) => match dialect::helper(name) {
                Some(helper) => {
                    self.found.calls.entry(helper.name).or_insert_with(|| self.text.place(at));
                    self.signature(helper, call, at);
                }
                None => self.unknown(name, call, at),
            },
            None => self.refuse(at, "a helper's name must be written out", "a name like `if`"),
        }
        for parameter in call.params.iter().chain(call.hash.values()) {
            self.parameter(parameter, at);
        }
        self.depth += 1;
        self.found.depth = self.found.depth.max(self.depth);
        for branch in call.template.iter().chain(&call.inverse) {
            self.template(branch, at);
        }
        self.depth -= 1;
    }

    fn unknown(&mut self, name: &str, call: &HelperTemplate, at: usize) {
        let place = self.text.place(self.text.find_word(at, name));
        let names: Vec<&str> = HELPERS.iter().map(|helper| helper.name).collect();
        let mut problem =
            Problem::at(place, format!("unknown helper `{name}`")).expected(format!("one of {}", names.join(", ")));
        if call.block && call.params.is_empty() {
            problem = problem.hint(format!("write `{{{{#each {name}}}}}` or `{{{{#if {name}}}}}`"));
        }
        self.found.problems.push(problem.did_you_mean(name, names));
    }

    fn signature(&mut self, helper: &Signature, call: &HelperTemplate, at: usize) {
        let fault = if call.block != helper.block {
            let kind = if helper.block { "a block" } else { "not a block" };
            Some(format!("`{}` is {kind}", helper.name))
        } else if call.params.len() != helper.params {
            let plural = if helper.params == 1 { "" } else { "s" };
            Some(format!("`{}` takes {} argument{plural}, not {}", helper.name, helper.params, call.params.len()))
        } else if let Some(unknown) = sorted(call).into_iter().find(|name| !helper.hash.contains(name)) {
            Some(format!("`{}` has no argument `{unknown}`", helper.name))
        } else if helper.name == "media" && !call.hash.contains_key("url") {
            Some("`media` lacks its `url`".to_owned())
        } else {
            None
        };
        if let Some(fault) = fault {
            let mut problem = Problem::at(self.text.place(at), fault).expected(format!("`{}`", helper.usage));
            if is_bare(call) {
                problem = problem.hint(format!("a variable of that name is written `{{{{this.{}}}}}`", helper.name));
            }
            self.found.problems.push(problem);
        } else if helper.name == "role" {
            self.role(call, at);
        }
    }

    fn role(&mut self, call: &HelperTemplate, at: usize) {
        let Some(Parameter::Literal(written)) = call.params.first() else {
            return;
        };
        let name = written.as_str().unwrap_or_default();
        if Speaker::parse(name).is_none() {
            let problem = Problem::at(self.text.place(at), format!("unknown role {written}"))
                .expected("\"system\", \"user\" or \"model\"");
            self.found.problems.push(problem.did_you_mean(name, ["system", "user", "model"]));
        }
    }

    fn partial(&mut self, partial: &DecoratorTemplate, at: usize) {
        match &partial.name {
            Parameter::Name(name) if is_partial_name(name) => {
                let place = self.text.place(self.text.find_word(at, name));
                self.found.partials.push(Inclusion { name: name.clone(), place, depth: self.depth });
            }
            Parameter::Name(_) => self.refuse(
                at,
                "a partial's name has characters that no partial's file can have",
                "letters, digits, `-`, `_` and `.`, as in `{{> footer}}` for `_footer.prompt`",
            ),
            Parameter::Path(_) | Parameter::Literal(_) | Parameter::Subexpression(_) | _ => {
                self.refuse(at, "a partial's name must be written out", "`{{> name}}`");
            }
        }
        if partial.params.len() > 1 {
            self.refuse(at, "a partial takes at most one argument", "`{{> name map key=value}}`");
        }
        for parameter in partial.params.iter().chain(partial.hash.values()) {
            self.parameter(parameter, at);
        }
    }

    fn parameter(&mut self, parameter: &Parameter, at: usize) {
        match parameter {
            Parameter::Path(path) => {
                if let Some(name) = context_steps(path).and_then(|steps| steps.first().copied()) {
                    let name = format!("@{name}");
                    let place = self.text.place(self.text.find_word(at, &name));
                    self.found.context.push((name, place));
                }
            }
            Parameter::Subexpression(inner) => {
                if let TemplateElement::Expression(call) = inner.as_element() {
                    self.call(call, at);
                }
            }
            Parameter::Name(_) | Parameter::Literal(_) | _ => {}
        }
    }
}

/// Named arguments in a fixed order.
fn sorted(call: &HelperTemplate) -> Vec<&str> {
    let mut names: Vec<&str> = call.hash.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// The name stays in its folder: no path, nothing hidden.
pub(super) fn is_partial_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && !name.contains("..")
        && name.chars().all(|char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.'))
}
