//! Settings by definition: one row of a `settings!` table is an option of the command line, a variable, a key of the file with
//! its schema, and a field of a typed struct.

use super::value::{Field, Kind};
use crate::domain::{Place, Problem, Problems};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Definition {
    /// The name, as in promptgate.toml. The option is the same with `-`, the variable `PROMPTGATE_` and upper case.
    pub(crate) key: &'static str,
    pub(crate) help: &'static str,
    pub(crate) heading: &'static str,
    pub(crate) kind: Kind,
    /// Placeholder of the value in help.
    pub(crate) value_name: &'static str,
    /// What holds without it, as it would be written.
    pub(crate) default: Option<fn() -> String>,
    pub(crate) scope: Scope,
    /// A variable of the services' own SDKs: loses against option and `PROMPTGATE_…`, wins over the file.
    pub(crate) variable: Option<&'static str>,
    /// Which other values ask for less than those of the policy base.
    pub(crate) weaker: Weaker,
}

impl Definition {
    /// Facts of most settings.
    pub(crate) const PLAIN: Definition = Definition {
        key: "",
        help: "",
        heading: "",
        kind: Kind::Text,
        value_name: "",
        default: None,
        scope: Scope::Everywhere,
        variable: None,
        weaker: Weaker::Unstated,
    };

    pub(crate) fn described(&self) -> String {
        match self.default {
            Some(default) => format!("{} [default: {}]", self.help.trim(), default()),
            None => self.help.trim().to_owned(),
        }
    }

    pub(super) fn schema(&self) -> Json {
        let mut schema = self.kind.schema();
        schema["description"] = json!(self.described());
        schema
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// As option, variable and in the file.
    Everywhere,
    /// As option and variable. In a file it would make every later check meaningless.
    OneCall,
    CommandLine,
    /// As variable and in the file: a rule of a project, not of a call.
    Project,
}

/// Which values of a setting ask for less than another: all that are not proven equal or stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weaker {
    /// Any other, because the row does not say. No row may leave it so.
    Unstated,
    /// None: it changes neither what is requested nor how that is judged or decided, or what it changes is never promoted, like
    /// a shard. The one list of what is harmless.
    Harmless,
    /// None, because the rule bounds the same error; a change is worth a note.
    Never,
    Larger,
    Smaller,
    /// A larger limit of what is else not looked at, or none.
    LargerOrNone,
    /// It leaves cases out: any value but the old one may leave out others, and none at all leaves out nothing.
    Selecting,
    /// The same, but a larger number leaves out fewer.
    SmallerSelection,
    /// None of these, where it was one.
    Lost(&'static [&'static str]),
    /// A list without a name that it had.
    NameLost,
    /// Any other: whether it is milder is not known.
    AnyOther,
    /// Another one, or none, where there was one. Options and variables are no part of what is compared.
    ReplacedInFile,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Option(&'static str),
    Variable(String),
    File(Place),
}

impl Origin {
    pub fn problem(&self, message: impl fmt::Display) -> Problem {
        match self {
            Origin::Option(name) => Problem::new(format!("--{}: {message}", name.replace('_', "-"))),
            Origin::Variable(name) => Problem::new(format!("{name}: {message}")),
            Origin::File(place) => Problem::at(place.clone(), message.to_string()),
        }
    }
}

/// One setting before it has a type; flags are `true` or `false`, lists have many values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawValue {
    pub values: Vec<String>,
    pub origin: Origin,
}

impl RawValue {
    pub(super) fn text(&self) -> &str {
        self.values.first().map_or("", |text| text.trim())
    }
}

pub(crate) type RawValues = BTreeMap<&'static str, RawValue>;

/// Gives settings their types, and collects what is wrong with them.
pub(crate) struct Reader<'a> {
    pub(super) layers: Vec<&'a RawValues>,
    pub(super) problems: &'a mut Problems,
}

impl<'a> Reader<'a> {
    pub(super) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.layers.iter().find_map(|layer| layer.get(key))
    }

    /// The field of a setting. After a mistake the default stands in, so that all mistakes are found.
    pub(super) fn field<T: Field>(&mut self, definitions: &[Definition], key: &str) -> T {
        let Some(definition) = definitions.iter().find(|definition| definition.key == key) else {
            return T::default();
        };
        if let Some(raw) = self.raw(key) {
            let read = definition.kind.check(raw.text()).and_then(|()| T::from_texts(&raw.values));
            match read {
                Ok(value) => return value,
                Err(message) => {
                    // An option and a variable are named by their origin.
                    let in_file = matches!(raw.origin, Origin::File(_)) && message.starts_with("is ");
                    let message = if in_file { format!("`{key}` {message}") } else { message };
                    let mut problem = raw.origin.problem(message);
                    if let Kind::Words(words) = definition.kind {
                        problem = problem.did_you_mean(raw.text(), words());
                    }
                    self.problems.push(problem);
                }
            }
        }
        let Some(default) = definition.default else {
            return T::default();
        };
        T::from_texts(&[default()]).unwrap_or_else(|message| {
            self.problems.push(Problem::new(format!("the default of `{key}`: {message}")));
            T::default()
        })
    }

    pub(super) fn group<G: Group>(&mut self) -> G {
        G::read(self)
    }
}

/// A struct with a field for each of its settings.
pub(crate) trait Group: Sized {
    /// Its settings, in the order of help.
    const DEFINITIONS: &'static [Definition];

    fn read(reader: &mut Reader<'_>) -> Self;
}

/// Declares a group. A row is
///
/// ```text
/// /// Help.
/// key: Type = default, kind, "VALUE" { fact: other than in Definition::PLAIN };
/// ```
///
/// where a type without default is an `Option`, a list or a flag.
macro_rules! settings {
    ($(#[$meta:meta])* pub struct $group:ident($heading:literal) {
        $($(#[doc = $help:literal])+ $key:ident: $type:ty $(= $default:expr)?, $kind:expr, $value:literal
            $({ $($fact:ident: $is:expr),+ })?;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub struct $group {
            $($(#[doc = $help])+ pub $key: $type,)+
        }

        impl $crate::config::definition::Group for $group {
            const DEFINITIONS: &'static [$crate::config::definition::Definition] = &[
                $($crate::config::definition::Definition {
                    key: stringify!($key),
                    help: concat!($($help),+),
                    heading: $heading,
                    kind: $kind,
                    value_name: $value,
                    $(default: Some(|| ($default).to_string()),)?
                    $($($fact: $is,)+)?
                    ..$crate::config::definition::Definition::PLAIN
                },)+
            ];

            fn read(reader: &mut $crate::config::definition::Reader<'_>) -> $group {
                $group {
                    $($key: reader.field(Self::DEFINITIONS, stringify!($key)),)+
                }
            }
        }
    };
}
pub(super) use settings;
