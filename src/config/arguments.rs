//! Settings as options of the command line, by definition.

use super::definition::{Definition, Group, Reader, Scope};
use super::groups;
use super::layers::{CommandLine, Environment, Layers};
use super::value::Kind;
use crate::domain::Problems;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::ffi::OsStr;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

pub(crate) trait Options {
    fn definitions() -> Vec<Definition>;
}

pub(crate) fn group<G: Group>() -> impl Iterator<Item = Definition> {
    let options = G::DEFINITIONS.iter().filter(|definition| definition.scope != Scope::Project);
    options.copied()
}

/// A single option, perhaps with another help text. It stands without a heading.
pub(crate) fn single(key: &str, help: Option<&'static str>) -> Option<Definition> {
    let definition = groups::definition(key)?;
    let plain = Definition { heading: "", ..*definition };
    Some(match help {
        Some(help) => Definition { help, default: None, ..plain },
        None => plain,
    })
}

pub(crate) struct OptionArgs<O>(CommandLine, PhantomData<O>);

impl<O> OptionArgs<O> {
    pub(crate) fn command_line(self) -> CommandLine {
        self.0
    }

    /// One group of settings, of what was typed and defaults alone.
    pub(crate) fn group<G: Group>(&self, problems: &mut Problems) -> G {
        Reader { layers: vec![&self.0.0], problems }.group()
    }

    /// With environment and file below, in this folder.
    pub(crate) fn layers(self, environment: Environment) -> Layers {
        Layers::read(Path::new("."), self.0, environment)
    }
}

impl<O> fmt::Debug for OptionArgs<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<O: Options> FromArgMatches for OptionArgs<O> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<OptionArgs<O>, clap::Error> {
        let typed = O::definitions().into_iter().fold(CommandLine::default(), |typed, definition| {
            let key = definition.key;
            let values = if matches!(definition.kind, Kind::Flag) {
                let given = matches.get_flag(key);
                given.then(|| "true".to_owned()).into_iter().collect()
            } else {
                matches.get_many::<String>(key).into_iter().flatten().cloned().collect()
            };
            typed.option(key, values)
        });
        Ok(OptionArgs(typed, PhantomData))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = OptionArgs::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<O: Options> Args for OptionArgs<O> {
    fn augment_args(command: Command) -> Command {
        command.args(O::definitions().iter().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        OptionArgs::<O>::augment_args(command)
    }
}

fn argument(definition: &Definition) -> Arg {
    // Names live as long as the process, which makes its command line once.
    let long: &'static str = Box::leak(definition.key.replace('_', "-").into_boxed_str());
    let argument = Arg::new(definition.key)
        .long(long)
        .value_name(definition.value_name)
        .help(definition.described())
        .action(ArgAction::Set);
    let argument = match definition.heading {
        "" => argument,
        heading => argument.help_heading(heading),
    };
    match definition.kind {
        Kind::Flag => argument.action(ArgAction::SetTrue).value_name(None::<&str>),
        Kind::List => argument.action(ArgAction::Append).num_args(1..),
        Kind::Names => argument.action(ArgAction::Append),
        Kind::Run => argument.num_args(0..=1).default_missing_value("newest"),
        Kind::Words(words) => argument.value_parser(WordParser(words)),
        Kind::Text
        | Kind::Reason(_)
        | Kind::Pattern(_)
        | Kind::Argv
        | Kind::Variables
        | Kind::Whole(..)
        | Kind::Number(..)
        | Kind::Time(_)
        | Kind::Day => argument,
    }
}

/// Words that help and completions offer. Others are let pass: the settings refuse them, with all other mistakes.
#[derive(Clone)]
pub(crate) struct WordParser(pub(crate) fn() -> Vec<&'static str>);

impl TypedValueParser for WordParser {
    type Value = String;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}

/// Declares the options of a command: whole groups, and single settings with a help text of their own where needed.
macro_rules! options {
    ($(#[$meta:meta])* $name:ident: $($group:ident),* $(; $($key:ident $(= $help:literal)?),+)?) => {
        $(#[$meta])*
        pub(super) enum $name {}

        impl $crate::config::Options for $name {
            fn definitions() -> Vec<$crate::config::Definition> {
                let mut definitions = Vec::new();
                $($(
                    let help: Option<&'static str> = None $(.or(Some($help)))?;
                    definitions.extend($crate::config::single(stringify!($key), help));
                )+)?
                $(definitions.extend($crate::config::group::<$crate::config::$group>());)*
                definitions
            }
        }
    };
}
pub(crate) use options;
