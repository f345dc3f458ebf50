//! Which variables of a case a template reads, and whether it can do without them.

use super::bind::called;
use super::lint::offset_of;
use super::text::Text;
use crate::domain::Place;
use handlebars::template::{BlockParam, HelperTemplate, Parameter, Template, TemplateElement};
use handlebars::{Path, PathSeg};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The top-level name, `user` for `{{user.name}}`.
    pub name: String,
    pub place: Place,
    /// Every case must supply it: it is read whatever the case, and neither has a default nor is optional in the input
    /// schema.
    pub required: bool,
    /// Some case should supply it; if none does, its name is probably mistyped. False for a variable with a default or
    /// optional in the schema, and for one that is only tested, or read only where it was tested before.
    pub expected: bool,
}

/// How much a reading asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Only tested, or tested before.
    Nothing,
    /// Read if some other condition holds.
    Sometimes,
    Always,
}

#[derive(Clone, Debug)]
pub(super) struct Use {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) demand: Demand,
}

/// All readings, in the order in which they render, through partials. Partials must not include themselves.
pub(super) fn uses<'a>(main: &str, find: &dyn Fn(&str) -> Option<(&'a Template, &'a Text)>) -> Vec<Use> {
    let Some((template, text)) = find(main) else {
        return Vec::new();
    };
    let mut walker = Walker {
        find,
        text,
        scopes: vec![Scope { root: true, names: Vec::new() }],
        guards: Vec::new(),
        uses: Vec::new(),
    };
    walker.template(template, 0);
    walker.uses
}

/// What plain names mean in a part of the template.
struct Scope {
    /// They are the case's variables, not fields of an item.
    root: bool,
    /// Names that the block or the partial's call gives.
    names: Vec<String>,
}

struct Walker<'a, 'f> {
    find: &'f dyn Fn(&str) -> Option<(&'a Template, &'a Text)>,
    text: &'a Text,
    scopes: Vec<Scope>,
    /// Variables tested by each block around.
    guards: Vec<Vec<String>>,
    uses: Vec<Use>,
}

impl<'a> Walker<'a, '_> {
    fn template(&mut self, template: &'a Template, outer: usize) {
        for (index, element) in template.elements.iter().enumerate() {
            let at = offset_of(template, index, self.text, outer);
            match element {
                TemplateElement::Expression(expression) | TemplateElement::HtmlExpression(expression) => {
                    if called(expression).is_some() {
                        self.inline_call(expression, at);
                    } else {
                        self.parameter(&expression.name, at, false);
                    }
                }
                TemplateElement::HelperBlock(block) => self.block(block, at),
                TemplateElement::PartialExpression(partial) => {
                    self.arguments(&partial.params, at, false);
                    let mut named: Vec<_> = partial.hash.iter().collect();
                    named.sort_unstable_by_key(|(name, _)| *name);
                    for (_, value) in &named {
                        self.parameter(value, at, false);
                    }
                    let scope = Scope {
                        root: match partial.params.first() {
                            None => self.scopes.last().is_none_or(|scope| scope.root),
                            Some(parameter) => self.is_root(parameter),
                        },
                        names: named.into_iter().map(|(name, _)| name.clone()).collect(),
                    };
                    self.partial(partial.name.as_name().unwrap_or_default(), scope);
                }
                // Nothing is read; see `lint` for what is refused.
                TemplateElement::RawString(_)
                | TemplateElement::Comment(_)
                | TemplateElement::PartialBlock(_)
                | TemplateElement::DecoratorBlock(_)
                | TemplateElement::DecoratorExpression(_)
                | _ => {}
            }
        }
    }

    fn partial(&mut self, name: &str, scope: Scope) {
        if let Some((template, text)) = (self.find)(name) {
            let outer = std::mem::replace(&mut self.text, text);
            self.scopes.push(scope);
            self.template(template, 0);
            self.scopes.pop();
            self.text = outer;
        }
    }

    fn inline_call(&mut self, call: &'a HelperTemplate, at: usize) {
        self.arguments(&call.params, at, false);
        let mut named: Vec<_> = call.hash.iter().collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in named {
            // Media without a type is media still.
            self.parameter(value, at, name == "contentType");
        }
    }

    fn block(&mut self, block: &'a HelperTemplate, at: usize) {
        let helper = block.name.as_name().unwrap_or_default();
        let scoped = matches!(helper, "each" | "with");
        // A loop over nothing is as good a case as any if the author wrote what happens then.
        let tests = !scoped || block.inverse.is_some();
        let before = self.uses.len();
        self.arguments(&block.params, at, tests);
        let tested = self.uses[before..].iter().map(|tested| tested.name.clone()).collect();
        self.guards.push(tested);
        if let Some(template) = &block.template {
            if scoped {
                let root = block.params.first().is_some_and(|parameter| self.is_root(parameter));
                self.scopes
                    .push(Scope { root: root && helper == "with", names: block_names(block.block_param.as_ref()) });
            }
            self.template(template, at);
            if scoped {
                self.scopes.pop();
            }
        }
        if let Some(inverse) = &block.inverse {
            self.template(inverse, at);
        }
        self.guards.pop();
    }

    fn arguments(&mut self, parameters: &'a [Parameter], at: usize, tests: bool) {
        for parameter in parameters {
            self.parameter(parameter, at, tests);
        }
    }

    fn parameter(&mut self, parameter: &'a Parameter, at: usize, tests: bool) {
        match parameter {
            Parameter::Path(path) => {
                if let Some(name) = self.variable(path) {
                    self.read(name, at, tests);
                }
            }
            Parameter::Subexpression(inner) => {
                if let TemplateElement::Expression(call) = inner.as_element() {
                    self.arguments(&call.params, at, tests);
                    for value in call.hash.values() {
                        self.parameter(value, at, tests);
                    }
                }
            }
            Parameter::Name(_) | Parameter::Literal(_) | _ => {}
        }
    }

    fn read(&mut self, name: &str, at: usize, tests: bool) {
        let guarded = self.guards.iter().flatten().any(|guard| guard == name);
        let demand = if tests || guarded {
            Demand::Nothing
        } else if self.guards.is_empty() {
            Demand::Always
        } else {
            Demand::Sometimes
        };
        self.uses.push(Use { name: name.to_owned(), place: self.text.place(self.text.find_word(at, name)), demand });
    }

    /// The parameter is the case itself: `this` where plain names are variables.
    fn is_root(&self, parameter: &Parameter) -> bool {
        let Parameter::Path(path) = parameter else { return false };
        let target = Target::of(path);
        target.is_some_and(|target| target.name.is_none() && self.lands_in_root(&target))
    }

    fn lands_in_root(&self, target: &Target<'_>) -> bool {
        let scope = match self.scopes.len().checked_sub(1 + target.up) {
            Some(index) => self.scopes.get(index),
            None => self.scopes.last(),
        };
        target.from_root || scope.is_none_or(|scope| scope.root)
    }

    /// The case's variable that a path reads, if it reads one.
    fn variable<'p>(&self, path: &'p Path) -> Option<&'p str> {
        let target = Target::of(path)?;
        let name = target.name?;
        let is_local = self.scopes.iter().any(|scope| scope.names.iter().any(|local| local == name));
        (!is_local || target.from_root).then_some(())?;
        self.lands_in_root(&target).then_some(name)
    }
}

struct Target<'p> {
    from_root: bool,
    up: usize,
    name: Option<&'p str>,
}

impl Target<'_> {
    /// `None` for loop and context variables.
    fn of(path: &Path) -> Option<Target<'_>> {
        let Path::Relative((steps, raw)) = path else {
            return None;
        };
        let from_root = raw.trim_start_matches("this.").trim_start_matches("./").starts_with("@root");
        let climbs = steps.iter().take_while(|step| matches!(step, PathSeg::Ruled(_))).count();
        let name = steps.iter().find_map(|step| match step {
            PathSeg::Named(name) => Some(name.as_str()),
            PathSeg::Ruled(_) | _ => None,
        });
        Some(Target { from_root, up: if from_root { 0 } else { climbs }, name })
    }
}

fn block_names(block_param: Option<&BlockParam>) -> Vec<String> {
    let name = |parameter: &Parameter| parameter.as_name().map(str::to_owned);
    match block_param {
        Some(BlockParam::Single(one)) => name(one).into_iter().collect(),
        Some(BlockParam::Pair((one, two))) => name(one).into_iter().chain(name(two)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Project, prompt};

    fn show(prompt: &crate::prompt::Prompt) -> String {
        let show = |variable: &super::Variable| {
            let need = match (variable.required, variable.expected) {
                (true, true) => "required",
                (false, true) => "expected",
                (false, false) => "optional",
                (true, false) => "impossible",
            };
            format!("{} {need} {}", variable.name, variable.place)
        };
        prompt.variables().iter().map(show).collect::<Vec<_>>().join("\n")
    }

    /// Names with `!` for required, `?` for optional.
    fn names(text: &str) -> String {
        let mark = |variable: &super::Variable| match (variable.required, variable.expected) {
            (true, _) => "!",
            (false, true) => "",
            (false, false) => "?",
        };
        let prompt = prompt(text);
        prompt.variables().iter().map(|v| format!("{}{}", v.name, mark(v))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn scopes_are_followed() {
        let cases = [
            ("{{a}} {{b.c}} {{this.d}} {{./e}} {{{f}}} {{[g h].i}} {{@root.j}}", "a! b! d! e! f! g h! j!"),
            ("{{this}} {{json this}} {{json @root}} {{.}}", ""),
            ("{{#each l}}{{.}} {{#with ..}}{{a}}{{/with}}{{/each}}", "l! a"),
            ("{{#each l}}{{a}} {{this}} {{this.b}} {{../c}} {{@index}} {{@root.d}}{{/each}}", "l! c d"),
            ("{{#each l}}{{#each m}}{{../a}} {{../../b}}{{/each}}{{/each}}", "l! b"),
            ("{{#each l as |x i|}}{{x.a}} {{i}} {{#each x.m}}{{x}} {{../../b}}{{/each}}{{/each}}", "l! b"),
            ("{{#each l}}x{{else}}{{a}}{{/each}}", "l? a"),
            ("{{#with u}}{{name}} {{../a}}{{/with}}", "u! a"),
            ("{{#with this}}{{a}}{{/with}}", "a"),
            ("{{#if a}}{{a}}{{/if}}", "a?"),
            ("{{#if a}}{{b}}{{else}}{{c}}{{/if}}", "a? b c"),
            ("{{#if a}}{{a}}{{/if}} {{a}}", "a!"),
            ("{{#unless a}}x{{else}}{{a}}{{/unless}}", "a?"),
            ("{{#if a}}1{{else if b}}{{b}}{{else}}{{c}}{{/if}}", "a? b? c"),
            ("{{#ifEquals a b}}{{b}}{{/ifEquals}}", "a? b?"),
            ("{{lookup m k}} {{json x indent=n}} {{media url=u contentType=t}}", "m! k! x! n! t? u!"),
            ("{{#if (lookup m k)}}{{m.x}}{{/if}}", "m? k?"),
            ("{{history}} {{section \"s\"}} {{role \"user\"}}", ""),
            ("{{! a }} \\{{b}}", ""),
            (
                "---\ninput: {default: {a: 1}, schema: {b?: string, c: string}}\n---\n{{a}} {{b}} {{c}} {{d}}",
                "a? b? c! d!",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(names(text), expected, "{text}");
        }
    }

    #[test]
    fn places_are_those_of_the_first_use() {
        let project = Project::new(&[
            (
                "prompts/p.prompt",
                "---\nmodel: m\n---\n\nHi {{#if vip}}\n  {{> greet name=user.name}}{{/if}}\n{{json data}} {{vip}} {{#each data}}{{> item}}{{/each}} {{> item}}{{> of user}}",
            ),
            ("prompts/_greet.prompt", "---\nx.y: 1\n---\nDear {{name}},\nü {{title}}"),
            ("prompts/_item.prompt", "{{label}} {{@root.unit}}"),
            ("prompts/_of.prompt", "{{field}} {{../top}}"),
        ]);
        insta::assert_snapshot!(show(&project.open("p").unwrap()), @r"
        vip required prompts/p.prompt:5:10
        user required prompts/p.prompt:6:18
        title expected prompts/_greet.prompt:5:5
        data required prompts/p.prompt:7:8
        unit required prompts/_item.prompt:1:19
        label required prompts/_item.prompt:1:3
        top required prompts/_of.prompt:1:16
        ");
    }
}
