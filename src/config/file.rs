//! promptgate.toml: its values with their places, read by definition.

use super::definition::{Group as _, RawValues};
use super::groups::{self, GateTable, GuardrailTable, PolicyTable};
use super::quarantine::{self, Quarantine};
use super::section::{Section, Source};
use super::tables::{self, Tables};
use crate::domain::{Problem, Problems};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The table of the gate, and the names of those within it.
pub(super) const GATE: &str = "gate";
pub(super) const GUARDRAILS: &str = "guardrails";
/// The table of who may accept what is weaker.
pub(super) const POLICY: &str = "policy";
/// What the names of guardrails have before them among all settings.
pub(super) const GUARDRAIL: &str = "guardrail_";

/// The settings of a file, and the tables that only a file can have.
#[derive(Clone, Debug, Default)]
pub struct FileSettings {
    pub(super) values: RawValues,
    pub(super) tables: Tables,
    pub(super) quarantine: Quarantine,
}

impl FileSettings {
    /// Reads the text of a settings file, as far as it can be read.
    pub(super) fn parse(text: &str, shown: &str, problems: &mut Problems) -> FileSettings {
        let source = Source { text, shown };
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let place = source.place(error.span().unwrap_or_default());
                problems.push(Problem::at(place, error.message().trim_end_matches('.').to_owned()));
                return FileSettings::default();
            }
        };
        let mut found = Vec::new();
        let others: Vec<&str> = tables::NAMES.iter().copied().chain([GATE, POLICY]).collect();
        let section = Section {
            definitions: groups::top().collect(),
            prefix: "",
            noun: "a setting",
            others: &others,
            aliases: &[("candidate", "prompt")],
            elsewhere: |name| {
                let gate = GateTable::DEFINITIONS.iter().any(|definition| definition.key == name);
                gate.then_some("it stands in the table [gate]")
            },
        };
        let mut file = FileSettings {
            values: section.read(&table, source, &mut found),
            tables: Tables::read(&table, source, &mut found),
            quarantine: Quarantine::default(),
        };
        if let Some(gate) = table.get(GATE) {
            file.read_gate(gate, source, &mut found);
        }
        if let Some(policy) = table.get(POLICY) {
            const EXAMPLE: &str = "a table, like [policy] with accept_signers = \"signers\"";
            let definitions = PolicyTable::DEFINITIONS.iter().collect();
            let section = Section { definitions, noun: "a setting of the policy", ..Section::PLAIN };
            file.read_table((policy, POLICY, EXAMPLE), &section, source, &mut found);
        }
        found.sort_by(|a, b| a.place.cmp(&b.place));
        problems.extend(found);
        file
    }

    fn read_gate(&mut self, gate: &Spanned<DeValue<'_>>, source: Source<'_>, found: &mut Vec<Problem>) {
        const EXAMPLE: &str = "a table, like [gate] with slice_margin = 0.1";
        let section = Section {
            definitions: GateTable::DEFINITIONS.iter().collect(),
            noun: "a setting of the gate",
            others: &[GUARDRAILS, quarantine::TABLE],
            elsewhere: |name| {
                let top = groups::top().any(|definition| definition.key == name);
                top.then_some("it stands at the top of the file, above all tables")
            },
            ..Section::PLAIN
        };
        self.read_table((gate, GATE, EXAMPLE), &section, source, found);
        let within = |name| gate.get_ref().as_table().and_then(|table| table.get(name));
        if let Some(guardrails) = within(GUARDRAILS) {
            const EXAMPLE: &str = "a table, like [gate.guardrails] with cost = 0.1";
            let section = Section {
                definitions: GuardrailTable::DEFINITIONS.iter().collect(),
                prefix: GUARDRAIL,
                noun: "a guardrail",
                ..Section::PLAIN
            };
            self.read_table((guardrails, GUARDRAILS, EXAMPLE), &section, source, found);
        }
        if let Some(value) = within(quarantine::TABLE) {
            self.quarantine = quarantine::read(value, source, found);
        }
    }

    fn read_table(
        &mut self,
        (value, name, example): (&Spanned<DeValue<'_>>, &str, &str),
        section: &Section<'_>,
        source: Source<'_>,
        found: &mut Vec<Problem>,
    ) {
        match value.get_ref().as_table() {
            Some(table) => self.values.extend(section.read(table, source, found)),
            None => found.push(source.not_a_table(value, name, example)),
        }
    }

    pub fn of_text(text: &str, shown: &str) -> Result<FileSettings, Problems> {
        let mut problems = Problems::default();
        let file = FileSettings::parse(text, shown, &mut problems);
        problems.or(file)
    }
}

#[cfg(test)]
mod tests {
    use super::FileSettings;

    fn problems(text: &str) -> String {
        let read = FileSettings::of_text(text, "promptgate.toml");
        read.map_or_else(|problems| problems.to_string(), |_| "none".to_owned())
    }

    #[test]
    fn the_table_holds_settings_with_their_places() {
        let file = FileSettings::of_text(
            "margin = 0.1\n[gate]\nslice_margin = 0.2\ncritical_tags = [\"b\", \"a\"]\ncritical_margin = 0.1\n\
             [gate.guardrails]\nlatency_p95 = 0.2\nrefusal_rate = 1\n",
            "promptgate.toml",
        )
        .unwrap();
        let shown: Vec<String> = file
            .values
            .iter()
            .map(|(key, written)| format!("{key} {:?} {}", written.values, written.origin.problem("here")))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        critical_margin ["0.1"] promptgate.toml:5:19: here
        critical_tags ["b", "a"] promptgate.toml:4:17: here
        guardrail_latency_p95 ["0.2"] promptgate.toml:7:15: here
        guardrail_refusal_rate ["1"] promptgate.toml:8:16: here
        margin ["0.1"] promptgate.toml:1:10: here
        slice_margin ["0.2"] promptgate.toml:3:16: here
        "#);
    }

    #[test]
    fn mistakes_are_listed_together() {
        insta::assert_snapshot!(
            problems("[gate]\nslice_margn = 0.1\nslice_q = [1]\nmargin = 0.05\ncritical_tags = []\n"), @"
        promptgate.toml:2:1: `slice_margn` is not a setting of the gate
          help: did you mean `slice_margin`?
        promptgate.toml:3:11: `slice_q` has the wrong type
          expected: one text, number, or true/false
        promptgate.toml:4:1: `margin` is not a setting of the gate
          help: it stands at the top of the file, above all tables
        promptgate.toml:5:17: `critical_tags` is an empty list
        ");
        insta::assert_snapshot!(
            problems("[gate]\nslice_q = 0.1\n[gate.guardrails]\nlatency = 0.1\ncost = [0.1]\noutput_tokens = true\n"), @"
        promptgate.toml:4:1: `latency` is not a guardrail
        promptgate.toml:5:8: `guardrail_cost` has the wrong type
          expected: one text, number, or true/false
        ");
        insta::assert_snapshot!(problems("gate.guardrails = 0.1"), @"
        promptgate.toml:1:19: `guardrails` is not a table
          expected: a table, like [gate.guardrails] with cost = 0.1
        ");
        insta::assert_snapshot!(problems("gate = 3"), @"
        promptgate.toml:1:8: `gate` is not a table
          expected: a table, like [gate] with slice_margin = 0.1
        ");
        insta::assert_snapshot!(problems("[[gate]]\nslice_q = 0.1"), @"
        promptgate.toml:1:1: `gate` is not a table
          expected: a table, like [gate] with slice_margin = 0.1
        ");
    }
}
