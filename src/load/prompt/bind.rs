//! Rewrites a parsed template so that nothing in it is looked up by a name that comes from data.
//!
//! Handlebars decides at render time whether `{{name}}` is a helper or a variable, and knows only loop variables behind
//! `@`. Here it is decided once: a plain `{{name}}` becomes a call of the helper that prints a value, and
//! `{{@name.field}}` a call of the helper that reads the context.

use super::dialect::{self, CONTEXT, VALUE};
use handlebars::Path;
use handlebars::template::{HelperTemplate, Parameter, Subexpression, Template, TemplateElement};
use serde_json::Value;
use std::collections::HashMap;

/// Names that `each` sets.
const LOOP_VARIABLES: [&str; 4] = ["first", "last", "index", "key"];

/// The steps of a context variable, `["state", "count"]` for `@state.count`; `None` for a loop variable.
pub(super) fn context_steps(path: &Path) -> Option<Vec<&str>> {
    let Path::Local((level, name, raw)) = path else {
        return None;
    };
    let steps: Vec<&str> = raw
        .trim_start_matches('@')
        .split(['.', '/'])
        .filter(|step| !step.is_empty())
        .collect();
    let loop_variable = LOOP_VARIABLES.contains(&name.as_str()) && (*level > 0 || steps.len() == 1);
    (!loop_variable).then_some(steps)
}

/// The expression is a bare name, `{{name}}`.
pub(super) fn is_bare(expression: &HelperTemplate) -> bool {
    expression.params.is_empty() && expression.hash.is_empty() && !expression.block
}

/// The helper that an expression calls.
pub(super) fn called(expression: &HelperTemplate) -> Option<&str> {
    let name = match &expression.name {
        Parameter::Name(name) => name,
        Parameter::Path(Path::Relative((_, raw))) => raw,
        Parameter::Path(_) | Parameter::Literal(_) | Parameter::Subexpression(_) => return None,
        _ => return None,
    };
    (!is_bare(expression) || dialect::helper(name).is_some()).then_some(name)
}

/// Rewrites `template` in place.
pub(super) fn bind(template: &mut Template) {
    for element in &mut template.elements {
        match element {
            TemplateElement::Expression(expression) | TemplateElement::HtmlExpression(expression) => {
                if called(expression).is_none() {
                    let name = std::mem::replace(&mut expression.name, Parameter::Name(VALUE.to_owned()));
                    expression.params.push(name);
                }
                bind_helper(expression);
            }
            TemplateElement::HelperBlock(block) => bind_helper(block),
            TemplateElement::PartialExpression(partial) => {
                partial
                    .params
                    .iter_mut()
                    .chain(partial.hash.values_mut())
                    .for_each(bind_parameter);
            }
            // Refused before; see `lint`.
            TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
            _ => {}
        }
    }
}

fn bind_helper(helper: &mut HelperTemplate) {
    helper
        .params
        .iter_mut()
        .chain(helper.hash.values_mut())
        .for_each(bind_parameter);
    helper
        .template
        .iter_mut()
        .chain(helper.inverse.iter_mut())
        .for_each(bind);
}

fn bind_parameter(parameter: &mut Parameter) {
    match parameter {
        Parameter::Path(path) => {
            if let Some(steps) = context_steps(path) {
                let steps = steps
                    .into_iter()
                    .map(|step| Parameter::Literal(Value::from(step)))
                    .collect();
                *parameter = Parameter::Subexpression(Subexpression::new(
                    Parameter::Name(CONTEXT.to_owned()),
                    steps,
                    HashMap::new(),
                ));
            }
        }
        Parameter::Subexpression(inner) => {
            if let TemplateElement::Expression(expression) = inner.element.as_mut() {
                bind_helper(expression);
            }
        }
        _ => {}
    }
}
