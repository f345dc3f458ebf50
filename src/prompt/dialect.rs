//! dotprompt's dialect of Handlebars: which helpers there are, what they take, and how they render.
//!
//! `role`, `history`, `media` and `section` leave marks in the rendered text. A mark is fenced by a token that no value
//! can contain, see [`super::marks`], so a value can't forge one.

use super::marks;
use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError, RenderErrorReason,
    Renderable, ScopedJson,
};
use serde::Serialize;
use serde_json::{Map, Value};

/// Prints a value; every plain `{{name}}` becomes a call of it. The name can't be written in a template.
pub(super) const VALUE: &str = "\0value";
/// Reads a context variable; every `{{@name.field}}` becomes a call of it. The name can't be written in a template.
pub(super) const CONTEXT: &str = "\0context";

pub(super) struct Signature {
    pub(super) name: &'static str,
    /// Written `{{#name}}..{{/name}}`.
    pub(super) block: bool,
    /// How many positional arguments it takes.
    pub(super) params: usize,
    pub(super) hash: &'static [&'static str],
    /// The right way to write it.
    pub(super) usage: &'static str,
}

pub(super) const HELPERS: [Signature; 12] = [
    inline("history", 0, &[], "{{history}}"),
    inline("json", 1, &["indent"], "{{json value}} or {{json value indent=2}}"),
    inline("lookup", 2, &[], "{{lookup map key}}"),
    inline("media", 0, &["url", "contentType"], "{{media url=url contentType=type}}"),
    inline("role", 1, &[], "{{role \"system\"}}"),
    inline("section", 1, &[], "{{section \"name\"}}"),
    block("each", 1, &[], "{{#each list}}..{{/each}}"),
    block("if", 1, &["includeZero"], "{{#if value}}..{{/if}}"),
    block("ifEquals", 2, &[], "{{#ifEquals a b}}..{{/ifEquals}}"),
    block("unless", 1, &["includeZero"], "{{#unless value}}..{{/unless}}"),
    block("unlessEquals", 2, &[], "{{#unlessEquals a b}}..{{/unlessEquals}}"),
    block("with", 1, &[], "{{#with map}}..{{/with}}"),
];

const fn inline(name: &'static str, params: usize, hash: &'static [&'static str], usage: &'static str) -> Signature {
    Signature { name, block: false, params, hash, usage }
}

const fn block(name: &'static str, params: usize, hash: &'static [&'static str], usage: &'static str) -> Signature {
    Signature { name, block: true, params, hash, usage }
}

pub(super) fn helper(name: &str) -> Option<&'static Signature> {
    HELPERS.iter().find(|helper| helper.name == name)
}

pub(super) fn leaves_mark(name: &str) -> bool {
    matches!(name, "role" | "history" | "media" | "section")
}

/// A registry with the helpers that need nothing but their arguments.
pub(super) fn registry() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    for foreign in ["raw", "log", "eq", "ne", "gt", "gte", "lt", "lte", "and", "or", "not", "len"] {
        registry.unregister_helper(foreign);
    }
    registry.register_escape_fn(handlebars::no_escape);
    registry.register_helper(VALUE, inline_helper(|helper, _| print_value(helper)));
    registry.register_helper("json", inline_helper(|helper, _| print_json(helper)));
    registry.register_helper("ifEquals", Box::new(if_equals::<true>));
    registry.register_helper("unlessEquals", Box::new(if_equals::<false>));
    registry
}

/// Adds the helpers that leave marks between `token`s.
pub(super) fn with_marks<'rc>(rc: &mut RenderContext<'_, 'rc>, token: &'rc str) {
    let mut add = |name, mark: fn(&Helper<'_>) -> Result<String, RenderError>| {
        let leave = move |helper: &Helper<'_>, _: &Value| Ok(format!("{token}{}{token}", mark(helper)?).into());
        rc.register_local_helper(name, inline_helper(leave));
    };
    add("role", role);
    add("history", |_| Ok(marks::history()));
    add("media", media);
    add("section", section);
}

/// Adds the helper that reads context variables.
pub(super) fn with_context<'rc>(rc: &mut RenderContext<'_, 'rc>, variables: &'rc Map<String, Value>) {
    let read = |helper: &Helper<'_>, root: &Value| {
        let mut steps = helper.params().iter().filter_map(|step| step.value().as_str());
        let first = match steps.next() {
            Some("root") => Some(root),
            Some(name) => variables.get(name),
            None => None,
        };
        Ok(steps.fold(first, |value, step| value?.get(step)).cloned().unwrap_or_default())
    };
    rc.register_local_helper(CONTEXT, inline_helper(read));
}

/// A helper that makes a value from its arguments and the case's variables.
struct InlineHelper<F>(F);

fn inline_helper<F>(make: F) -> Box<InlineHelper<F>>
where
    F: Fn(&Helper<'_>, &Value) -> Result<Value, RenderError> + Send + Sync,
{
    Box::new(InlineHelper(make))
}

impl<F> HelperDef for InlineHelper<F>
where
    F: Fn(&Helper<'_>, &Value) -> Result<Value, RenderError> + Send + Sync,
{
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        (self.0)(helper, context.data()).map(ScopedJson::Derived)
    }
}

fn refuse(message: impl Into<String>) -> RenderError {
    RenderErrorReason::Other(message.into()).into()
}

fn argument<'h>(helper: &'h Helper<'_>, index: usize) -> Result<&'h Value, RenderError> {
    match helper.param(index) {
        Some(param) => Ok(param.value()),
        None => Err(refuse(format!("`{}` lacks an argument", helper.name()))),
    }
}

/// Prints as JavaScript would, for that is what serves dotprompt files elsewhere; what JavaScript would print as
/// `[object Object]` is refused.
fn print_value(helper: &Helper<'_>) -> Result<Value, RenderError> {
    let value = argument(helper, 0)?;
    let text = match value.as_array() {
        Some(items) => {
            let texts: Option<Vec<String>> = items.iter().map(scalar_text).collect();
            texts.map(|texts| texts.join(","))
        }
        None => scalar_text(value),
    };
    text.map(Value::String).ok_or_else(|| {
        let name = helper.param(0).and_then(|param| param.relative_path()).map_or("this", String::as_str);
        let kind = if value.is_object() { "a map" } else { "a list of more than plain values" };
        refuse(format!("`{name}` is {kind}, which has no text; write {{{{json {name}}}}}"))
    })
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Number(number) => Some(number_text(number)),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// `3.0` is written `3`, as JavaScript does.
fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

fn print_json(helper: &Helper<'_>) -> Result<Value, RenderError> {
    let value = argument(helper, 0)?;
    let indent = match helper.hash_get("indent").map(|indent| indent.value()) {
        None | Some(Value::Null) => String::new(),
        Some(Value::Number(width)) => " ".repeat(width.as_u64().unwrap_or(0).min(10) as usize),
        Some(Value::String(text)) => text.chars().take(10).collect(),
        Some(_) => return Err(refuse("`indent` of `json` is neither a number nor a text")),
    };
    let text = if indent.is_empty() { serde_json::to_string(value) } else { indented(value, &indent) };
    text.map(Value::String).map_err(|error| refuse(format!("`json` failed: {error}")))
}

fn indented(value: &Value, indent: &str) -> Result<String, serde_json::Error> {
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(Vec::new(), formatter);
    value.serialize(&mut serializer)?;
    Ok(String::from_utf8_lossy(&serializer.into_inner()).into_owned())
}

fn if_equals<'reg, 'rc, const WANTED: bool>(
    helper: &Helper<'rc>,
    registry: &'reg Handlebars<'reg>,
    context: &'rc Context,
    rc: &mut RenderContext<'reg, 'rc>,
    out: &mut dyn Output,
) -> HelperResult {
    let equal = equal(argument(helper, 0)?, argument(helper, 1)?);
    let branch = if equal == WANTED { helper.template() } else { helper.inverse() };
    branch.map_or(Ok(()), |branch| branch.render(registry, context, rc, out))
}

/// Strict equality; numbers compare by value, as they do in JavaScript.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (left, right) => left == right,
    }
}

fn role(helper: &Helper<'_>) -> Result<String, RenderError> {
    let role = argument(helper, 0)?.as_str().and_then(marks::Speaker::parse);
    role.map(marks::role).ok_or_else(|| refuse("`role` got something else than \"system\", \"user\" or \"model\""))
}

fn media(helper: &Helper<'_>) -> Result<String, RenderError> {
    let text = |name| {
        let value = helper.hash_get(name).and_then(|value| value.value().as_str());
        value.filter(|text| !text.is_empty())
    };
    let url = text("url").ok_or_else(|| refuse("`media` got no `url`"))?;
    Ok(marks::media(url, text("contentType")))
}

fn section(helper: &Helper<'_>) -> Result<String, RenderError> {
    let name = argument(helper, 0)?.as_str();
    name.map(marks::section).ok_or_else(|| refuse("`section` got no name"))
}
