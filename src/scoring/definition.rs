//! How a kind of matcher is declared, and how a check compiles by its declaration.

use super::arguments::Read;
use super::command::Commands;
use super::matcher::{MatchError, Matcher};
use super::project_file::ProjectFiles;
use crate::domain::{ArgProblem, CaseId, CheckSpec, Constraint, Feature, Logic, Step};
use serde_json::Value;

/// One kind of matcher: its name, its documentation, how its arguments compile, and every fact about it that other parts of
/// the program need. Nothing else knows a matcher by its name.
///
/// `schema_refuses` and the fields from `takes_text` to `feature` have a default, see [`MatcherDef::DEFAULT`].
#[derive(Clone, Copy, Debug)]
pub struct MatcherDef {
    pub name: &'static str,
    /// One line: what passes.
    pub summary: &'static str,
    /// The forms its arguments may take.
    pub arguments: &'static str,
    /// JSON Schema (draft 2020-12) of its arguments, for editors: it refuses no check that compiles, and most that don't.
    /// It may refer to `#/$defs` of the schema of checks: `text`, `texts`, `one_text`, `many_texts`, `bounds`,
    /// `check`, `checks`.
    pub schema: &'static str,
    /// A check as JSON; it compiles.
    pub example: &'static str,
    pub passes: Sample,
    pub fails: Sample,
    /// A check as JSON that is refused while loading: a mistake that people make.
    pub refused: &'static str,
    /// The schema refuses it, too: it is wrong by its form, not by what a pattern, a schema or a name means.
    pub schema_refuses: bool,
    /// How the time of one score grows, and what bounds it.
    pub cost: &'static str,
    /// Turns arguments into a matcher. Paths of problems start at the arguments.
    pub compile: CompileFn,
    /// The short form is a text, so that a CSV cell is that text as it stands; otherwise a cell is read as JSON. `not`
    /// reads its cell as JSON: a cell `{"contains": "x"}` must never become the text of an `equals`.
    pub takes_text: bool,
    pub reads: Reads,
    /// Stands in a case's `expect` and nowhere deeper.
    pub top_level_only: bool,
    /// Judges how an answer ended. A case with such a check takes blocked, cut-off and empty answers to its checks.
    pub judges_ending: bool,
    /// Says whether a refusal is right, so that refusals of its cases are not counted as unwanted ones.
    pub judges_refusal: bool,
    pub logic: Option<Logic>,
    pub children: Children,
    pub asks: Option<Asks>,
    /// What a check of these arguments says of answers without looking at one.
    pub constraint: fn(&Value) -> Option<Constraint>,
    /// Reads what its arguments name into them, files or what identifies a command, so that scoring needs no file and the
    /// digest of the dataset covers it. For arguments that compile.
    pub inline: Option<InlineFn>,
    /// Adds to compiled arguments what depends on the case, such as its approved answer.
    pub complete: Option<CompleteFn>,
    pub feature: Option<Feature>,
}

impl MatcherDef {
    /// A matcher of the answer's text that has nothing special.
    pub const DEFAULT: MatcherDef = MatcherDef {
        name: "",
        summary: "",
        arguments: "",
        schema: "true",
        example: "",
        passes: Sample::Text(""),
        fails: Sample::Text(""),
        refused: "",
        schema_refuses: true,
        cost: "linear in the answer",
        compile: |_, _| Err(vec![ArgProblem::new("this matcher does nothing")]),
        takes_text: false,
        reads: Reads::Text,
        top_level_only: false,
        judges_ending: false,
        judges_refusal: false,
        logic: None,
        children: Children::None,
        asks: None,
        constraint: |_| None,
        inline: None,
        complete: None,
        feature: None,
    };
}

/// An answer that shows what a check says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample {
    Text(&'static str),
    /// Fields of an [`Answer`](crate::domain::Answer) as JSON; the others are those of a complete answer.
    Answer(&'static str),
    /// A complete answer of this text, and what a judge replies to every question.
    Judged {
        text: &'static str,
        reply: &'static str,
    },
    /// A complete answer of this text, and the cosine of its embedding to every other.
    Embedded {
        text: &'static str,
        /// The cosine, -1 to 1.
        cosine: f32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The answer's text, so that a part of an answer will do.
    Text,
    /// The text, and the system instruction of the request.
    SystemInstruction,
    /// More of the answer than its text, so that it can't judge a part.
    WholeAnswer,
}

/// Where checks stand in the arguments of a matcher.
#[derive(Clone, Copy, Debug)]
pub enum Children {
    None,
    /// The arguments are a check, or a list of them.
    Arguments,
    /// A check, or a list of them, under this key.
    Key(&'static str),
    Custom(fn(&mut Value) -> Vec<&mut Value>),
}

impl Children {
    pub(super) fn of(self, args: &mut Value) -> Vec<&mut Value> {
        let args = match self {
            Children::None => None,
            Children::Custom(find) => return find(args),
            Children::Arguments => Some(args),
            Children::Key(key) => args.get_mut(key),
        };
        match args {
            Some(Value::Array(list)) => list.iter_mut().collect(),
            args => args.into_iter().collect(),
        }
    }
}

/// Whom a matcher asks. `by` in its arguments names the judge or the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    Judge,
    Embeddings,
    Command,
}

pub(super) type CompileFn = fn(&Value, &Compile<'_>) -> Read<Matcher>;

pub(super) type InlineFn = fn(&mut Value, &ProjectFiles, &Commands) -> Read<()>;

pub(super) type CompleteFn = fn(&mut Value, &ProjectFiles, &CaseId) -> Read<()>;

/// What a compilation may use, and where the check stands.
#[derive(Clone, Copy, Debug)]
pub struct Compile<'a> {
    matchers: &'a [MatcherDef],
    files: Option<&'a ProjectFiles>,
    commands: Option<&'a Commands>,
    depth: usize,
    /// The check judges a part of an answer.
    part: bool,
}

impl<'a> Compile<'a> {
    /// How deep checks may be nested. Bounds the stack against hostile golden data.
    pub const MAX_DEPTH: usize = 32;

    /// The outermost level, without files.
    pub(super) fn new(matchers: &'a [MatcherDef]) -> Compile<'a> {
        Compile { matchers, files: None, commands: None, depth: 1, part: false }
    }

    pub(super) fn with_files(self, files: &'a ProjectFiles) -> Compile<'a> {
        Compile { files: Some(files), ..self }
    }

    pub(super) fn with_commands(self, commands: &'a Commands) -> Compile<'a> {
        Compile { commands: Some(commands), ..self }
    }

    /// The commands of the project; `None` where nothing is scored.
    pub(super) fn commands(&self) -> Option<&'a Commands> {
        self.commands
    }

    /// The files of the project; `None` while scoring, when everything has been read.
    pub(super) fn files(&self) -> Option<&'a ProjectFiles> {
        self.files
    }

    /// One level deeper.
    ///
    /// # Errors
    /// More than [`Compile::MAX_DEPTH`] levels.
    pub(super) fn deeper(&self) -> Read<Compile<'a>> {
        if self.depth >= Self::MAX_DEPTH {
            return Err(vec![
                ArgProblem::new(format!("checks are nested more than {} deep", Self::MAX_DEPTH))
                    .expected("fewer levels of `not`, `all` and `any`"),
            ]);
        }
        Ok(Compile { depth: self.depth + 1, ..*self })
    }

    pub(super) fn on_a_part(self) -> Compile<'a> {
        Compile { part: true, ..self }
    }

    pub(super) fn find(&self, name: &str) -> Option<&'a MatcherDef> {
        self.matchers.iter().find(|def| def.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<'a> {
        self.matchers.iter().map(|def| def.name)
    }

    /// Compiles a check.
    ///
    /// # Errors
    /// Every mistake. Paths start at the check's own map; messages start with the matcher's name.
    pub(super) fn check(&self, spec: &CheckSpec) -> Read<Matcher> {
        let Some(def) = self.find(&spec.matcher) else {
            return Err(vec![self.unknown(&spec.matcher)]);
        };
        let refused = |message: String| Err(vec![ArgProblem::new(message).inside(Step::key(def.name))]);
        if let Some(feature) = def.feature.filter(|feature| !feature.enabled) {
            return refused(format!("{}: {}", def.name, feature.missing()));
        }
        let misplaced = |why: &str, expected: &str| {
            let problem = ArgProblem::new(format!("`{}` {why}", def.name)).inside(Step::key(def.name));
            Err(vec![problem.expected(expected)])
        };
        if self.part && def.reads == Reads::WholeAnswer {
            return misplaced(
                "judges a whole answer, not a part of it",
                "a check of a text, or this one as a check of its own",
            );
        }
        if self.depth > 1 && def.top_level_only {
            return misplaced("is inside another check", "a check of its own in `expect`");
        }
        match (def.compile)(&spec.args, self) {
            // What a combination says of an incomplete answer is for the checks inside it to say.
            Ok(matcher) if def.logic.is_some() => Ok(matcher),
            Ok(matcher) => Ok(complete_only(matcher, def.judges_ending)),
            Err(problems) => Err(located(problems, def.name)),
        }
    }

    /// The checks inside a check, also those of a part of the answer.
    pub(super) fn inner(&self, spec: &CheckSpec) -> Vec<CheckSpec> {
        let Some(def) = self.find(&spec.matcher) else {
            return Vec::new();
        };
        if matches!(def.children, Children::None) {
            return Vec::new();
        }
        let mut args = spec.args.clone();
        let children = def.children.of(&mut args).into_iter();
        children.filter_map(|written| CheckSpec::parse(written).ok()).collect()
    }

    /// A check, or one inside it, is of such a kind. Depth is bounded: loading has verified the checks.
    pub(super) fn any_kind(&self, spec: &CheckSpec, is_such: fn(&MatcherDef) -> bool) -> bool {
        self.find(&spec.matcher).is_some_and(is_such)
            || self.inner(spec).iter().any(|inner| self.any_kind(inner, is_such))
    }

    fn unknown(&self, name: &str) -> ArgProblem {
        ArgProblem::new(format!("unknown matcher `{}`", super::quote::bounded(name, 40)))
            .inside(Step::key(name))
            .expected(format!("one of {}", self.names().collect::<Vec<_>>().join(", ")))
            .did_you_mean(name, self.names())
    }
}

/// Leads problems of a matcher's arguments back to the check's own map.
pub(super) fn located(problems: Vec<ArgProblem>, matcher: &str) -> Vec<ArgProblem> {
    let locate = |mut problem: ArgProblem| {
        problem.message = format!("{matcher}: {}", problem.message);
        problem.inside(Step::key(matcher))
    };
    problems.into_iter().map(locate).collect()
}

/// Keeps a check from passing on an incomplete answer: blocked, cut off or empty.
///
/// Such an answer fails before its checks, unless a deciding check judges how an answer ended. Then the checks run, but
/// only a check that names this very end can pass: a cut-off answer lacks what `not: {contains: ..}` forbids only
/// because it is cut off. Every other check has no score, also under `not`, and without a score it fails.
fn complete_only(matcher: Matcher, judges_ending: bool) -> Matcher {
    Matcher::new(move |input| {
        let Some(unusable) = input.unusable else {
            return matcher.check(input);
        };
        let named = if judges_ending { Some(matcher.check(input)?).filter(|score| score.pass) } else { None };
        named.ok_or_else(|| MatchError::new(unusable))
    })
}
