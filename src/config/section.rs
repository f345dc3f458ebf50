//! One table of the settings file, read by definition.

use super::definition::{Definition, Origin, RawValue, RawValues, Scope};
use crate::domain::{Place, Problem};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file's text, to find places in it.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) shown: &'a str,
}

impl Source<'_> {
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        Place::of_offset(self.shown, self.text, span.start)
    }

    pub(super) fn not_a_table(&self, value: &Spanned<DeValue<'_>>, name: &str, expected: &str) -> Problem {
        Problem::at(self.place(value.span()), format!("`{name}` is not a table")).expected(expected)
    }
}

/// A table of settings, and how messages call it.
pub(super) struct Section<'a> {
    pub(super) definitions: Vec<&'static Definition>,
    /// What the names have before them among all settings.
    pub(super) prefix: &'static str,
    /// What a name is, like "a setting".
    pub(super) noun: &'a str,
    /// Tables within it, which are read apart.
    pub(super) others: &'a [&'a str],
    /// Other names of settings, with their keys.
    pub(super) aliases: &'static [(&'static str, &'static str)],
    /// Where a name belongs that is unknown here.
    pub(super) elsewhere: fn(&str) -> Option<&'static str>,
}

impl Section<'_> {
    /// Facts of most tables.
    pub(super) const PLAIN: Section<'static> =
        Section { definitions: Vec::new(), prefix: "", noun: "", others: &[], aliases: &[], elsewhere: |_| None };

    /// Reads the values of a table; the tables within it are left to the caller.
    pub(super) fn read(&self, table: &DeTable<'_>, source: Source<'_>, problems: &mut Vec<Problem>) -> RawValues {
        let mut raw = RawValues::new();
        for (name, value) in table {
            let (written, place) = (name.get_ref().as_ref(), source.place(name.span()));
            if self.others.contains(&written) {
                continue;
            }
            let alias = self.aliases.iter().find(|(alias, _)| *alias == written);
            let full = format!("{}{}", self.prefix, alias.map_or(written, |(_, key)| *key));
            let Some(definition) = self.definitions.iter().find(|definition| definition.key == full) else {
                let problem = Problem::at(place, format!("`{written}` is not {}", self.noun));
                problems.push(match (self.elsewhere)(written) {
                    Some(where_to) => problem.hint(where_to),
                    None => problem.did_you_mean(written, self.names()),
                });
                continue;
            };
            let key = definition.key;
            if definition.scope == Scope::OneCall {
                let problem = Problem::at(place, format!("`{key}` can't stand in a file, it holds for one call only"));
                problems.push(problem.hint(format!("give --{} on the command line", key.replace('_', "-"))));
                continue;
            }
            let origin = Origin::File(source.place(value.span()));
            match definition.kind.texts(value.get_ref()) {
                Ok(values) if values.is_empty() && definition.kind.is_list() => {
                    problems.push(origin.problem(format!("`{key}` is an empty list")));
                }
                Ok(values) => {
                    if raw.insert(key, RawValue { values, origin }).is_some() {
                        problems.push(Problem::at(place, "`candidate` and `prompt` are the same setting"));
                    }
                }
                Err(expected) => {
                    problems.push(origin.problem(format!("`{key}` has the wrong type")).expected(expected));
                }
            }
        }
        raw
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.definitions.iter().map(|definition| definition.key);
        own.filter_map(|key| key.strip_prefix(self.prefix))
            .chain(self.aliases.iter().map(|(alias, _)| *alias))
            .chain(self.others.iter().copied())
    }
}
