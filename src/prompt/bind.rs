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
    let steps: Vec<&str> = raw.trim_start_matches('@').split(['.', '/']).filter(|step| !step.is_empty()).collect();
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
        Parameter::Path(_) | Parameter::Literal(_) | Parameter::Subexpression(_) | _ => return None,
    };
    (!is_bare(expression) || dialect::helper(name).is_some()).then_some(name)
}

pub(super) fn bind(template: &mut Template) {
    visit_expressions(template, &mut |expression| {
        if called(expression).is_none() {
            let name = std::mem::replace(&mut expression.name, Parameter::Name(VALUE.to_owned()));
            expression.params.push(name);
        }
    });
    visit(template, &mut |parameter| {
        let Parameter::Path(path) = &*parameter else { return };
        if let Some(steps) = context_steps(path) {
            let steps = steps.into_iter().map(|step| Parameter::Literal(Value::from(step))).collect();
            *parameter = Parameter::Subexpression(Subexpression::new(
                Parameter::Name(CONTEXT.to_owned()),
                steps,
                HashMap::new(),
            ));
        }
    });
}

/// Every `{{name}}` and `{{helper arguments}}`, also inside blocks.
fn visit_expressions(template: &mut Template, change: &mut dyn FnMut(&mut HelperTemplate)) {
    for element in &mut template.elements {
        if let TemplateElement::Expression(expression) | TemplateElement::HtmlExpression(expression) = element {
            change(expression);
        } else if let TemplateElement::HelperBlock(block) = element {
            for branch in block.template.iter_mut().chain(&mut block.inverse) {
                visit_expressions(branch, change);
            }
        }
    }
}

/// Every name and argument, also inside blocks and parentheses.
pub(super) fn visit(template: &mut Template, change: &mut dyn FnMut(&mut Parameter)) {
    for element in &mut template.elements {
        if let TemplateElement::Expression(call)
        | TemplateElement::HtmlExpression(call)
        | TemplateElement::HelperBlock(call) = element
        {
            visit_call(call, change);
        } else if let TemplateElement::PartialExpression(partial) = element {
            for parameter in partial.params.iter_mut().chain(partial.hash.values_mut()) {
                visit_parameter(parameter, change);
            }
        }
    }
}

fn visit_call(call: &mut HelperTemplate, change: &mut dyn FnMut(&mut Parameter)) {
    let arguments = call.params.iter_mut().chain(call.hash.values_mut());
    for parameter in std::iter::once(&mut call.name).chain(arguments) {
        visit_parameter(parameter, change);
    }
    for branch in call.template.iter_mut().chain(&mut call.inverse) {
        visit(branch, change);
    }
}

fn visit_parameter(parameter: &mut Parameter, change: &mut dyn FnMut(&mut Parameter)) {
    if let Parameter::Subexpression(inner) = parameter
        && let TemplateElement::Expression(call) = inner.element.as_mut()
    {
        visit_call(call, change);
    }
    change(parameter);
}
