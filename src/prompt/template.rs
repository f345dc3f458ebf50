//! A compiled template: Handlebars with dotprompt's helpers, partials included. Compiled once, rendered for every case.

use super::bind::bind;
use super::dialect;
use super::dots::{name_dots, restore_dots};
use super::inclusions;
use super::lint::{self, Lint};
use super::marks::{Piece, TokenMaker, split};
use super::messages::{Message, assemble};
use super::syntax;
use super::text::Text;
use super::variables::{self, Use};
use crate::domain::{Place, Problem, Problems, nearest};
use handlebars::{Context, Handlebars, Output, RenderContext, RenderError, RenderErrorReason, Renderable};
use handlebars::{TemplateError, TemplateErrorReason};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

/// The main template's name in the registry; no partial can have it.
const MAIN: &str = "\0main";
/// Bytes of rendered text.
const MAX_RENDERED: usize = 64 << 20;

pub trait Partials {
    /// The partial of that name, if there is one.
    fn load(&self, name: &str) -> Result<Option<Text>, Problem>;

    /// The names there are, for messages.
    fn names(&self) -> Vec<String>;
}

/// A compiled template with its partials.
pub struct Template {
    registry: Handlebars<'static>,
    tokens: TokenMaker,
    /// Any helper that leaves marks is used.
    marks: bool,
    main: Text,
    partials: BTreeMap<String, Text>,
    uses: Vec<Use>,
    context: Vec<(String, Place)>,
    calls: BTreeMap<&'static str, Place>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("file", &self.main.file)
            .field("partials", &self.partials.keys())
            .finish_non_exhaustive()
    }
}

impl Template {
    /// Compiles `main` and every partial it uses.
    ///
    /// # Errors
    /// All mistakes in all of them: syntax, unknown helpers and partials, partials that include themselves.
    pub fn compile(main: Text, partials: &dyn Partials) -> Result<Template, Problems> {
        let mut loader =
            Loader { partials, problems: Problems::default(), parsed: BTreeMap::new(), missing: BTreeSet::new() };
        loader.add(MAIN, main.clone());
        let Loader { mut problems, parsed, .. } = loader;
        let lookup = |name: &str| parsed.get(name).map(|parsed| (&parsed.text, &parsed.lint));
        if let Err(problem) = inclusions::check(MAIN, &lookup) {
            problems.push(problem);
        }
        problems.or(())?;
        Ok(Template::assemble(main, parsed))
    }

    fn assemble(main: Text, parsed: BTreeMap<String, ParsedTemplate>) -> Template {
        let uses = variables::uses(MAIN, &|name| parsed.get(name).map(|parsed| (&parsed.template, &parsed.text)));
        let tokens = TokenMaker::new(parsed.values().map(|parsed| parsed.text.body()));
        let mut template = Template {
            registry: dialect::registry(),
            tokens,
            marks: false,
            main,
            partials: BTreeMap::new(),
            uses,
            context: Vec::new(),
            calls: BTreeMap::new(),
        };
        for (name, mut parsed) in parsed {
            bind(&mut parsed.template);
            parsed.template.name = Some(name.clone());
            template.registry.register_template(&name, parsed.template);
            template.context.extend(parsed.lint.context);
            for (helper, place) in parsed.lint.calls {
                template.marks |= dialect::leaves_mark(helper);
                template.calls.entry(helper).or_insert(place);
            }
            if name != MAIN {
                template.partials.insert(name, parsed.text);
            }
        }
        template
    }

    pub(super) fn main(&self) -> &Text {
        &self.main
    }

    /// Names and texts of the partials it uses, directly or not, in name order.
    pub fn partials(&self) -> &BTreeMap<String, Text> {
        &self.partials
    }

    /// Each reading of a variable of the case, in the order in which it renders.
    pub(super) fn uses(&self) -> &[Use] {
        &self.uses
    }

    /// Context variables (`@name`) it reads; loop variables and `@root` are none.
    pub(super) fn context_variables(&self) -> impl Iterator<Item = &(String, Place)> {
        self.context.iter().filter(|(name, _)| name != "@root")
    }

    /// Where a helper is first called, if it is.
    pub(super) fn call_of(&self, helper: &str) -> Option<&Place> {
        self.calls.get(helper)
    }

    /// Renders to messages. `data` are the case's variables, `context` what `@name` reads.
    ///
    /// # Errors
    /// A value that can't be printed, a role that does not exist, more than 64 MiB of text.
    pub fn render(
        &self,
        data: Map<String, Value>,
        context: &Map<String, Value>,
        history: Vec<Message>,
    ) -> Result<Vec<Message>, Problem> {
        let token = self.marks.then(|| self.tokens.token([&data, context]));
        let rendered =
            self.render_text(data, context, token.as_deref()).map_err(|error| self.render_problem(&error))?;
        let pieces = match &token {
            Some(token) => split(&rendered, token).ok_or_else(|| {
                Problem::at(Place::file(self.main.file.clone()), "a role, history, media or section helper was cut")
            })?,
            None => vec![Piece::Text(&rendered)],
        };
        Ok(assemble(pieces, history))
    }

    fn render_text(
        &self,
        data: Map<String, Value>,
        context: &Map<String, Value>,
        token: Option<&str>,
    ) -> Result<String, RenderError> {
        let Some(template) = self.registry.get_template(MAIN) else {
            return Err(RenderErrorReason::TemplateNotFound(MAIN.to_owned()).into());
        };
        let data = Context::from(Value::Object(data));
        let mut rc = RenderContext::new(template.name.as_ref());
        // Nothing is escaped; this spares a copy of each value.
        rc.set_disable_escape(true);
        if let Some(token) = token {
            dialect::with_marks(&mut rc, token);
        }
        if !self.context.is_empty() {
            dialect::with_context(&mut rc, context);
        }
        let mut out = BoundedOutput { text: String::with_capacity(self.main.body.len() * 2) };
        template.render(&self.registry, &data, &mut rc, &mut out)?;
        Ok(out.text)
    }

    fn render_problem(&self, error: &RenderError) -> Problem {
        let text = match error.template_name.as_deref() {
            Some(name) => self.partials.get(name).unwrap_or(&self.main),
            None => &self.main,
        };
        let place = match (error.line_no, error.column_no) {
            (Some(line), Some(column)) => text.place(text.offset(line, column)),
            _ => Place::file(text.file.clone()),
        };
        let message = if let RenderErrorReason::InvalidJsonIndex(index) = error.reason() {
            format!("a list has no field `{index}`")
        } else if let RenderErrorReason::IOError(error) = error.reason() {
            error.to_string()
        } else {
            error.reason().to_string()
        };
        Problem::at(place, format!("the template can't be rendered: {message}"))
    }
}

struct BoundedOutput {
    text: String,
}

impl Output for BoundedOutput {
    fn write(&mut self, piece: &str) -> io::Result<()> {
        if self.text.len() + piece.len() > MAX_RENDERED {
            return Err(io::Error::other(format!("more than {} MiB of text", MAX_RENDERED >> 20)));
        }
        self.text.push_str(piece);
        Ok(())
    }
}

struct ParsedTemplate {
    text: Text,
    template: handlebars::Template,
    lint: Lint,
}

struct Loader<'a> {
    partials: &'a dyn Partials,
    problems: Problems,
    parsed: BTreeMap<String, ParsedTemplate>,
    missing: BTreeSet<String>,
}

impl Loader<'_> {
    fn add(&mut self, name: &str, text: Text) {
        let mut queue = vec![(name.to_owned(), text)];
        while let Some((name, text)) = queue.pop() {
            let template = match parse(&text) {
                Ok(template) => template,
                Err(found) => {
                    self.problems.append(found);
                    // Known, so that it is not loaded and reported again.
                    self.missing.insert(name);
                    continue;
                }
            };
            let mut lint = lint::lint(&template, &text);
            self.problems.extend(std::mem::take(&mut lint.problems));
            for lint::Inclusion { name: partial, place, .. } in &lint.partials {
                let known = self.parsed.contains_key(partial) || *partial == name || self.missing.contains(partial);
                if known || queue.iter().any(|(queued, _)| queued == partial) {
                    continue;
                }
                match self.partials.load(partial) {
                    Ok(Some(text)) => queue.push((partial.clone(), text)),
                    Ok(None) => {
                        self.missing.insert(partial.clone());
                        self.problems.push(self.unknown(partial, place));
                    }
                    Err(problem) => {
                        self.missing.insert(partial.clone());
                        self.problems.push(problem);
                    }
                }
            }
            self.parsed.insert(name, ParsedTemplate { text, template, lint });
        }
    }

    fn unknown(&self, partial: &str, place: &Place) -> Problem {
        let names = self.partials.names();
        let problem = Problem::at(place.clone(), format!("there is no partial `{partial}`"))
            .expected(format!("a file `_{partial}.prompt` beside the prompt"));
        match nearest(partial, names.iter().map(String::as_str)) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None if names.is_empty() => problem,
            None => problem.hint(format!("partials there: {}", super::listed(&names))),
        }
    }
}

fn parse(text: &Text) -> Result<handlebars::Template, Problems> {
    let tags = syntax::tags(text.body()).map_err(|found| {
        let mut problems = Problems::default();
        problems.extend(
            found
                .into_iter()
                .map(|found| Problem { expected: found.expected, ..Problem::at(text.place(found.at), found.message) }),
        );
        problems
    })?;
    let body = name_dots(text.body(), &tags);
    let mut template = handlebars::Template::compile(&body).map_err(|error| template_problem(text, &error))?;
    restore_dots(&mut template);
    Ok(template)
}

fn template_problem(text: &Text, error: &TemplateError) -> Problem {
    let place = match error.pos() {
        Some((line, column)) => text.place(text.offset(line, column)),
        None => Place::file(text.file.clone()),
    };
    let message = if matches!(error.reason(), TemplateErrorReason::InvalidSyntax(_)) {
        "this tag is not valid handlebars".to_owned()
    } else {
        error.reason().to_string()
    };
    Problem::at(place, message).expected("a tag like `{{question}}`, `{{#if question}}` or `{{> partial}}`")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Project, refused};
    use super::*;
    use proptest::prelude::*;

    struct None;

    impl Partials for None {
        fn load(&self, _: &str) -> Result<Option<Text>, Problem> {
            Ok(Option::None)
        }

        fn names(&self) -> Vec<String> {
            Vec::new()
        }
    }

    proptest! {
        /// Whatever stands in a prompt file, reading it ends, and without a panic.
        #[test]
        fn any_tags_are_refused_or_rendered(
            tags in prop::collection::vec(
                prop::sample::select(&[
                    "{{", "}}", "{{{", "}}}", "{{#", "{{/", "{{^", "{{else", "{{>", "{{!--", "--}}", "{{~", "~}}", "{{&",
                    "if", "each", "a", "[]", "..", ".", "/", "@index", "@state.x", "role", "\"system\"", "'", "json",
                    "lookup", "media", "url=", "as |x|", "(", ")", " ", "\n", "\\", "1", "é", "{{#if a}}", "{{/if}}",
                    "{{#each a}}", "{{/each}}", "{{else}}", "{{a}}", "{{.}}", "{{history}}",
                ][..]),
                0..16,
            )
        ) {
            let data = serde_json::json!({"a": [{"a": 1}, "x"]});
            if let Ok(template) = Template::compile(Text::whole("p", tags.concat()), &None) {
                let _ = template.render(data.as_object().unwrap().clone(), &Map::new(), Vec::new());
            }
        }
    }

    #[test]
    fn all_mistakes_of_a_template_are_told_at_once() {
        insta::assert_snapshot!(refused("---\nmodel: m\n---\n\nHello {{nmae\n\n{{#if a}}"), @r"
        prompts/p.prompt:5:7: a `{{` is never closed
          expected: `}}`
        ");
        insta::assert_snapshot!(refused("{{#if a}}\n  {{#each b}}\n{{/if}}\n{{else}}"), @r"
        prompts/p.prompt:2:3: `{{#each}}` is never closed
          expected: `{{/each}}` before `{{/if}}`
        prompts/p.prompt:4:1: an `else` stands outside of any block
        ");
        insta::assert_snapshot!(refused("{{jsn a}} {{#iff b}}{{/iff}} {{#items}}{{/items}} {{upper (lowr a)}}"));
        insta::assert_snapshot!(refused(
            "{{role}} {{role \"assistent\"}} {{#if a b}}{{/if}} {{if a}} {{#json a}}{{/json}} {{json a indnt=2}} {{media type=a}} {{history 1}}"
        ));
        insta::assert_snapshot!(refused("{{a b=}}"), @r"
        prompts/p.prompt:1:7: this tag is not valid handlebars
          expected: a tag like `{{question}}`, `{{#if question}}` or `{{> partial}}`
        ");
        insta::assert_snapshot!(refused("ok {{question text}}"), @r"
        prompts/p.prompt:1:6: unknown helper `question`
          expected: one of history, json, lookup, media, role, section, each, if, ifEquals, unless, unlessEquals, with
        ");
        insta::assert_snapshot!(refused("{{> (lookup . a)}} {{> a/b}} {{> ../x}} {{#> p}}{{/p}} {{#*inline \"x\"}}{{/inline}}"), @r"
        prompts/p.prompt:1:1: a partial's name must be written out
          expected: `{{> name}}`
        prompts/p.prompt:1:20: a partial's name has characters that no partial's file can have
          expected: letters, digits, `-`, `_` and `.`, as in `{{> footer}}` for `_footer.prompt`
        prompts/p.prompt:1:30: a partial's name has characters that no partial's file can have
          expected: letters, digits, `-`, `_` and `.`, as in `{{> footer}}` for `_footer.prompt`
        prompts/p.prompt:1:41: a partial with a block, `{{#> name}}`, is not supported
          expected: `{{> name}}`
        prompts/p.prompt:1:56: decorators and inline partials, `{{#*inline}}`, are not supported
          expected: a partial in a file of its own, `_name.prompt`
        ");
    }

    #[test]
    fn mistakes_in_partials_have_the_partials_place() {
        let project = Project::new(&[
            ("prompts/p.prompt", "{{> one}} {{> two}} {{> tow}} {{> one}}"),
            ("prompts/_one.prompt", "---\nmodel: m\n---\nHello {{#if}}x{{/if}}\n{{> nothing}}"),
            ("prompts/_two.prompt", "{{#if a}}"),
        ]);
        insta::assert_snapshot!(project.refused("p"), @r"
        prompts/p.prompt:1:25: there is no partial `tow`
          expected: a file `_tow.prompt` beside the prompt
          help: did you mean `two`?
        prompts/_two.prompt:1:1: `{{#if}}` is never closed
          expected: `{{/if}}` further down
        prompts/_one.prompt:4:7: `if` takes 1 argument, not 0
          expected: `{{#if value}}..{{/if}}`
        prompts/_one.prompt:5:5: there is no partial `nothing`
          expected: a file `_nothing.prompt` beside the prompt
          help: partials there: `one`, `two`
        ");
        insta::assert_snapshot!(refused("{{> a}}"), @r"
        prompts/p.prompt:1:5: there is no partial `a`
          expected: a file `_a.prompt` beside the prompt
        ");
    }
}
