//! What a matcher is, how it is described, and how a check becomes one.

use super::command::Commands;
use super::ending::guarded;
use super::matchers::inner_checks;
use super::part::WHOLE_ANSWER;
use super::project_file::ProjectFiles;
use crate::domain::{Answer, ArgProblem, Case, CheckSpec, Replies, Score, Step, nearest};
use serde_json::Value;
use std::fmt::Debug;

/// Checks that stand in a case's `expect` and nowhere deeper. `not: snapshot` would pass while nothing is approved, and
/// there is one approved answer a case.
pub(super) const STANDS_ALONE: [&str; 1] = ["snapshot"];

/// Judges one answer. Pure: no clock, no network, no randomness. The matcher `command` is not, by design: see `command/`.
pub trait Matcher: Debug + Send + Sync {
    /// Scores what it sees.
    ///
    /// # Errors
    /// When no judgement is possible. That is neither pass nor fail, also under `not`.
    fn check(&self, seen: &Seen<'_>) -> Result<Score, CannotJudge>;
}

/// What a matcher may look at.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The case the answer is for.
    pub case: &'a Case,
    /// The answer.
    pub answer: &'a Answer,
    /// The system instruction that the answer was asked with; `None` where it is not known.
    pub system: Option<&'a str>,
    /// US dollars that the answer cost when it was asked for; `None` where it is not known.
    pub cost_usd: Option<f64>,
    /// Why the answer is not usable, if it is not and the case wants to see it all the same; see `ending.rs`.
    pub unusable: Option<&'a str>,
    /// What judges reply, and what texts mean.
    pub replies: &'a dyn Replies,
}

/// No judgement is possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct CannotJudge {
    /// Why, in a short sentence; may quote the answer.
    pub reason: String,
}

impl CannotJudge {
    /// With a reason.
    pub fn new(reason: impl Into<String>) -> CannotJudge {
        CannotJudge { reason: reason.into() }
    }
}

/// One kind of matcher: its name, its documentation, and how its arguments compile.
#[derive(Clone, Copy, Debug)]
pub struct MatcherDef {
    /// The key of a check.
    pub name: &'static str,
    /// One line: what passes.
    pub summary: &'static str,
    /// The forms its arguments may take.
    pub arguments: &'static str,
    /// JSON Schema (draft 2020-12) of its arguments, for editors: it refuses no check that compiles, and most that don't.
    /// It may refer to what `#/$defs` of [`super::schema`] holds: `text`, `texts`, `one_text`, `many_texts`, `bounds`,
    /// `check`, `checks`.
    pub schema: &'static str,
    /// A check as JSON; it compiles.
    pub example: &'static str,
    /// An answer that passes the example.
    pub passes: Sample,
    /// An answer that fails the example.
    pub fails: Sample,
    /// A check as JSON that is refused while loading: a mistake that people make.
    pub refused: &'static str,
    /// How the time of one judgement grows, and what bounds it.
    pub cost: &'static str,
    /// The short form is a text, so that a CSV cell is that text as it stands; otherwise a cell is read as JSON. `not`
    /// reads its cell as JSON: a cell `{"contains": "x"}` must never become the text of an `equals`.
    pub takes_text: bool,
    /// Its arguments are checks, or hold some; `matchers::inner_checks` knows where.
    pub combines: bool,
    /// Reads what its arguments name into them, files or what identifies a command, so that judging needs no file and the
    /// digest of the dataset covers it. For arguments that compile.
    pub inline: Option<InlineFn>,
    /// Turns arguments into a matcher. Paths of problems start at the arguments.
    pub compile: CompileFn,
}

/// An answer that shows what a check says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample {
    /// A complete answer of this text.
    Text(&'static str),
    /// Fields of an [`Answer`] as JSON, where a text is not enough; the others are those of a complete answer.
    Answer(&'static str),
    /// A complete answer of this text, and what a judge replies to every question.
    Judged {
        /// The answer's text.
        text: &'static str,
        /// The judge's words.
        reply: &'static str,
    },
    /// A complete answer of this text, and the cosine of its embedding to every other.
    Embedded {
        /// The answer's text.
        text: &'static str,
        /// The cosine, -1 to 1.
        cosine: f32,
    },
}

/// See [`MatcherDef::compile`].
pub type CompileFn = fn(&Value, &Compile<'_>) -> Result<Box<dyn Matcher>, Vec<ArgProblem>>;

/// See [`MatcherDef::inline`].
pub type InlineFn = fn(&mut Value, &ProjectFiles, &Commands) -> Result<(), Vec<ArgProblem>>;

/// Where a compilation stands: which matchers there are, which files may be read, and how deep the check stands in others.
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
    /// How many checks may stand inside each other. Bounds the stack against hostile golden data.
    pub const MAX_DEPTH: usize = 32;

    /// The outermost level, without files.
    pub(super) fn new(matchers: &'a [MatcherDef]) -> Compile<'a> {
        Compile {
            matchers,
            files: None,
            commands: None,
            depth: 1,
            part: false,
        }
    }

    /// With the files of a project.
    pub(super) fn with_files(self, files: &'a ProjectFiles) -> Compile<'a> {
        Compile {
            files: Some(files),
            ..self
        }
    }

    /// With the commands of a project.
    pub(super) fn with_commands(self, commands: &'a Commands) -> Compile<'a> {
        Compile {
            commands: Some(commands),
            ..self
        }
    }

    /// The commands of the project; `None` where nothing is judged.
    pub(super) fn commands(&self) -> Option<&'a Commands> {
        self.commands
    }

    /// The files of the project; `None` while judging, when everything has been read.
    pub(super) fn files(&self) -> Option<&'a ProjectFiles> {
        self.files
    }

    /// One level deeper.
    ///
    /// # Errors
    /// More than [`Compile::MAX_DEPTH`] levels.
    pub(super) fn deeper(&self) -> Result<Compile<'a>, ArgProblem> {
        if self.depth >= Self::MAX_DEPTH {
            return Err(ArgProblem::new(format!(
                "checks stand inside each other more than {} deep",
                Self::MAX_DEPTH
            ))
            .expected("fewer levels of `not`, `all` and `any`"));
        }
        Ok(Compile {
            depth: self.depth + 1,
            ..*self
        })
    }

    /// Inside a check on a part of an answer.
    pub(super) fn on_a_part(self) -> Compile<'a> {
        Compile { part: true, ..self }
    }

    /// The kind of this name.
    pub(super) fn find(&self, name: &str) -> Option<&'a MatcherDef> {
        self.matchers.iter().find(|def| def.name == name)
    }

    /// All names, in the order of the table.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<'a> {
        self.matchers.iter().map(|def| def.name)
    }

    /// Compiles a check.
    ///
    /// # Errors
    /// Every mistake. Paths start at the check's own map; messages start with the matcher's name.
    pub(super) fn check(&self, spec: &CheckSpec) -> Result<Box<dyn Matcher>, Vec<ArgProblem>> {
        let Some(def) = self.find(&spec.matcher) else {
            return Err(vec![self.unknown(&spec.matcher)]);
        };
        if self.part && WHOLE_ANSWER.contains(&def.name) {
            let problem = ArgProblem::new(format!("`{}` judges a whole answer, not a part of it", def.name))
                .inside(Step::key(def.name))
                .expected("a check of a text, or this one as a check of its own");
            return Err(vec![problem]);
        }
        if self.depth > 1 && STANDS_ALONE.contains(&def.name) {
            let problem = ArgProblem::new(format!("`{}` stands inside another check", def.name))
                .inside(Step::key(def.name))
                .expected("a check of its own in `expect`");
            return Err(vec![problem]);
        }
        match (def.compile)(&spec.args, self) {
            Ok(matcher) => Ok(guarded(def.name, matcher)),
            Err(problems) => Err(located(problems, def.name)),
        }
    }

    /// The checks inside a check, also those of a part of the answer.
    pub(super) fn inner(&self, spec: &CheckSpec) -> Vec<CheckSpec> {
        if !self.find(&spec.matcher).is_some_and(|def| def.combines) {
            return Vec::new();
        }
        let mut args = spec.args.clone();
        inner_checks(&spec.matcher, &mut args)
            .into_iter()
            .filter_map(|written| CheckSpec::parse(written).ok())
            .collect()
    }

    fn unknown(&self, name: &str) -> ArgProblem {
        let problem = ArgProblem::new(format!("unknown matcher `{}`", super::quote::bounded(name, 40)))
            .inside(Step::key(name))
            .expected(format!("one of {}", self.names().collect::<Vec<_>>().join(", ")));
        match nearest(name, self.names()) {
            Some(known) => problem.hint(format!("did you mean `{known}`?")),
            None => problem,
        }
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
