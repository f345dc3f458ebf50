//! Tables that only the file has, with an entry for each name: `[judges.NAME]`, `[embeddings.NAME]`, `[commands.NAME]` and
//! `[prices."MODEL"]`.

use super::definition::{Definition, Group, RawValues, Reader, settings};
use super::section::{Section, Source};
use super::value::{Kind, TIME, providers};
use crate::domain::{Command, Place, Problem, Problems};
use crate::plan::price::{Entry as Price, Rates};
use crate::provider::ApiKey;
use crate::provider::TargetKind;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::ops::{Bound, Deref};
use std::time::Duration;
use time::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The tables' names in the file.
pub(super) const NAMES: [&str; 4] = ["prices", "judges", "embeddings", "commands"];

settings! {
    /// `[judges.NAME]`: a model that reads answers against a rubric; a check that names none means `default`.
    pub struct Judge("judges") {
        /// Provider [default: that of the run]
        target: Option<TargetKind>, Kind::Words(|| providers(|def| def.judges)), "TARGET";
        /// Model [default: the provider's own]
        model: Option<String>, Kind::Text, "MODEL";
        /// Base URL of the provider
        base_url: Option<String>, Kind::Text, "URL";
        /// Prompt file, like prompts/judge/default.prompt [default: a built-in one]
        prompt: Option<String>, Kind::Text, "FILE";
    }
}

settings! {
    /// `[embeddings.NAME]`: a model that makes vectors of texts; a check that names none means `default`.
    pub struct Embedding("embeddings") {
        /// Provider [default: that of the run]
        target: Option<TargetKind>, Kind::Words(|| providers(|def| def.embedding.is_some())), "TARGET";
        /// Model [default: the provider's own]
        model: Option<String>, Kind::Text, "MODEL";
        /// Base URL of the provider
        base_url: Option<String>, Kind::Text, "URL";
        /// Numbers of a vector [default: as many as the model gives]
        dimensions: Option<u32>, Kind::Whole(2, 10_000), "N";
        /// Folder with a static model, as model2vec writes it; nothing is sent
        path: Option<String>, Kind::Text, "FOLDER";
    }
}

settings! {
    /// `[commands.NAME]`: a program of the user's own that judges answers. Golden data only names it.
    pub struct CommandTable("commands") {
        /// The program and its arguments, like ["python3", "checks/polite.py"]; no shell
        argv: Vec<String>, Kind::Argv, "PROGRAM";
        /// For one answer, the start of the program included
        timeout: Duration = "10s", TIME, "D";
        /// Its environment, besides PATH
        env: BTreeMap<String, String>, Kind::Variables, "TABLE";
    }
}

/// US dollars per million tokens; more than the largest is a slip of the keyboard.
const DOLLARS: Kind =
    Kind::Number(Bound::Included(0.0), Bound::Included(100_000.0), "US dollars per million tokens, from 0 to 100000");

settings! {
    /// Prices in US dollars per million tokens.
    pub struct RateTable("prices") {
        /// Input tokens
        input: Option<f64>, DOLLARS, "USD";
        /// Output tokens, thinking included
        output: Option<f64>, DOLLARS, "USD";
        /// Input tokens read from a cache [default: as input]
        cached: Option<f64>, DOLLARS, "USD";
    }
}

settings! {
    /// What a model costs besides [`RateTable`].
    pub struct PriceTable("prices") {
        /// The first day on which these prices hold, like 2026-12-01 [default: every day]
        from: Option<Date>, Kind::Day, "DAY";
    }
}

/// Rates for prompts of more than 200,000 tokens.
const LONG: &str = "long";

/// A model that checks may name, with its place in the file.
#[derive(Clone, Debug)]
pub struct ModelEntry<T> {
    /// Where it stands.
    pub place: Place,
    /// The key of its target, if it has one of its own.
    pub key: Option<ApiKey>,
    settings: T,
}

impl<T> Deref for ModelEntry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.settings
    }
}

/// A judge.
pub type JudgeSettings = ModelEntry<Judge>;
/// An embedding model.
pub type EmbeddingSettings = ModelEntry<Embedding>;

/// The tables of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) prices: BTreeMap<String, Vec<Price>>,
    pub(super) judges: BTreeMap<String, JudgeSettings>,
    pub(super) embeddings: BTreeMap<String, EmbeddingSettings>,
    /// In the order of their names.
    pub(super) commands: Vec<Command>,
}

/// Reads one entry of a table: its name, its place and its value.
type ReadEntry<'a> = dyn FnMut(&str, Place, &Spanned<DeValue<'_>>, &mut Vec<Problem>) + 'a;

impl Tables {
    /// Reads the tables of a file.
    pub(super) fn read(table: &DeTable<'_>, source: Source<'_>, problems: &mut Vec<Problem>) -> Tables {
        let mut tables = Tables::default();
        let [prices, judges, embeddings, commands] = NAMES;
        let mut each = |name: &'static str, read: &mut ReadEntry<'_>| {
            let Some(value) = table.get(name) else { return };
            let Some(entries) = value.get_ref().as_table() else {
                problems.push(source.not_a_table(
                    value,
                    name,
                    &format!("a table for each name, like [{name}.default]"),
                ));
                return;
            };
            for (entry, value) in entries {
                read(entry.get_ref(), source.place(entry.span()), value, problems);
            }
        };
        each(judges, &mut |name, place, value, problems| {
            let judge = entry::<Judge>(&format!("{judges}.{name}"), value, source, problems);
            let judge = judge.map(|settings| ModelEntry { place, key: None, settings });
            tables.judges.extend(judge.map(|judge| (name.to_owned(), judge)));
        });
        each(embeddings, &mut |name, place, value, problems| {
            let section = format!("{embeddings}.{name}");
            let Some(settings) = entry::<Embedding>(&section, value, source, problems) else {
                return;
            };
            let remote = settings.target.is_some()
                || settings.model.is_some()
                || settings.base_url.is_some()
                || settings.dimensions.is_some();
            if settings.path.is_some() && remote {
                let message =
                    format!("[{section}]: `path` is a model in the project, the other settings are for a provider's");
                problems.push(
                    Problem::at(place.clone(), message).expected("target, model, base_url and dimensions, or path"),
                );
            }
            tables.embeddings.insert(name.to_owned(), ModelEntry { place, key: None, settings });
        });
        each(commands, &mut |name, place, value, problems| {
            let usable = (1..=64).contains(&name.chars().count())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            if !usable {
                let problem = Problem::at(place.clone(), format!("`{name}` can't be the name of a command"));
                problems.push(problem.expected("1 to 64 letters, digits, `-` and `_`"));
            }
            let section = format!("{commands}.{name}");
            let Some(CommandTable { argv, timeout, env }) = entry(&section, value, source, problems) else {
                return;
            };
            if argv.is_empty() && value.get_ref().get("argv").is_none() {
                let problem = Problem::at(place.clone(), format!("[{section}]: `argv` is missing"));
                problems.push(problem.expected("argv = [\"python3\", \"checks/polite.py\"]"));
            }
            tables.commands.push(Command { name: name.to_owned(), argv, timeout, env, place });
        });
        each(prices, &mut |model, place, value, problems| {
            let section = format!("{prices}.{model}");
            let read = model_prices(&section, value, &place, source, problems);
            tables.prices.insert(model.to_owned(), read);
        });
        tables.commands.sort_by(|a, b| a.name.cmp(&b.name));
        tables
    }
}

/// Reads the table of one name.
fn entry<G: Group>(
    section: &str,
    value: &Spanned<DeValue<'_>>,
    source: Source<'_>,
    problems: &mut Vec<Problem>,
) -> Option<G> {
    let raw = raw_entry(section, &[G::DEFINITIONS], &[], value, source, problems)?;
    Some(typed(&raw, problems))
}

fn raw_entry(
    section: &str,
    groups: &[&'static [Definition]],
    others: &[&str],
    value: &Spanned<DeValue<'_>>,
    source: Source<'_>,
    problems: &mut Vec<Problem>,
) -> Option<RawValues> {
    let Some(table) = value.get_ref().as_table() else {
        let names: Vec<&str> = groups.iter().copied().flatten().map(|definition| definition.key).collect();
        problems.push(source.not_a_table(value, section, &names.join(", ")));
        return None;
    };
    let section = Section {
        definitions: groups.iter().copied().flatten().collect(),
        prefix: "",
        noun: &format!("a setting of [{section}]"),
        others,
        aliases: &[],
        elsewhere: |_| None,
    };
    Some(section.read(table, source, problems))
}

fn typed<G: Group>(raw: &RawValues, problems: &mut Vec<Problem>) -> G {
    let mut found = Problems::default();
    let group = Reader { layers: vec![raw], problems: &mut found }.group();
    problems.extend(found.iter().cloned());
    group
}

/// One table of prices, or several, each from another day on.
fn model_prices(
    section: &str,
    value: &Spanned<DeValue<'_>>,
    place: &Place,
    source: Source<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Price> {
    let tables: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
        DeValue::Array(values) => values.iter().collect(),
        DeValue::Table(_)
        | DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => vec![value],
    };
    let mut prices: Vec<Price> = Vec::new();
    for table in tables {
        let groups = [RateTable::DEFINITIONS, PriceTable::DEFINITIONS];
        let Some(raw) = raw_entry(section, &groups, &[LONG], table, source, problems) else {
            continue;
        };
        let PriceTable { from } = typed(&raw, problems);
        let rates = rates(section, &raw, place, problems);
        let long = table.get_ref().get(LONG).and_then(|long| {
            let section = format!("{section}.{LONG}");
            let raw = raw_entry(&section, &[RateTable::DEFINITIONS], &[], long, source, problems)?;
            Some(self::rates(&section, &raw, place, problems))
        });
        if prices.iter().any(|earlier| earlier.from == from) {
            let problem = Problem::at(place.clone(), format!("[{section}]: two prices hold from the same day on"));
            problems.push(problem.expected("a `from` of its own for each"));
        }
        prices.push(Price { from, rates, long });
    }
    prices
}

fn rates(section: &str, raw: &RawValues, place: &Place, problems: &mut Vec<Problem>) -> Rates {
    for key in ["input", "output"].into_iter().filter(|key| !raw.contains_key(key)) {
        let problem = Problem::at(place.clone(), format!("[{section}]: `{key}` is missing"));
        problems.push(problem.expected("US dollars per million tokens"));
    }
    let RateTable { input, output, cached } = typed(raw, problems);
    let input = input.unwrap_or_default();
    Rates { input, output: output.unwrap_or_default(), cached: cached.unwrap_or(input) }
}

/// JSON Schema of the tables, by name.
pub(super) fn schemas() -> Map<String, Json> {
    let [prices, judges, embeddings, commands] = NAMES;
    let rates = object(&[RateTable::DEFINITIONS], &["input", "output"]);
    let mut price = object(&[RateTable::DEFINITIONS, PriceTable::DEFINITIONS], &["input", "output"]);
    price["properties"][LONG] = rates;
    let price = json!({"anyOf": [price, {"type": "array", "items": price, "minItems": 1}]});
    let embedding = object(&[Embedding::DEFINITIONS], &[]);
    [
        (prices, "own prices of models, in US dollars per million tokens", price),
        (judges, "models that read answers against a rubric", object(&[Judge::DEFINITIONS], &[])),
        (embeddings, "models that make vectors of texts", embedding),
        (commands, "programs of your own that judge answers", object(&[CommandTable::DEFINITIONS], &["argv"])),
    ]
    .into_iter()
    .map(|(name, description, entry)| {
        let schema = json!({"description": description, "type": "object", "additionalProperties": entry});
        (name.to_owned(), schema)
    })
    .collect()
}

/// JSON Schema of a table of settings.
pub(super) fn object(groups: &[&[Definition]], required: &[&str]) -> Json {
    let properties: Map<String, Json> =
        groups.iter().copied().flatten().map(|definition| (definition.key.to_owned(), definition.schema())).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

#[cfg(test)]
mod tests {
    use crate::config::{FileSettings, TargetKind};
    use crate::domain::{Command, Place};
    use crate::plan::price::Rates;
    use std::collections::BTreeMap;
    use std::time::Duration;
    use time::macros::date;

    fn read(text: &str) -> super::Tables {
        FileSettings::of_text(text, "f.toml").unwrap().tables
    }

    fn problems(text: &str) -> String {
        FileSettings::of_text(text, "f.toml").unwrap_err().to_string()
    }

    #[test]
    fn models_are_named_with_few_settings() {
        let tables = read(
            "[judges.default]\n[judges.local]\ntarget = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\n\
             prompt = \"prompts/judge/strict.prompt\"\n[embeddings.near]\ntarget = \"gemini\"\ndimensions = 768\n\
             [embeddings.local]\npath = \"models/potion\"\n",
        );
        assert_eq!(tables.judges["default"].target, None);
        let local = &tables.judges["local"];
        assert_eq!((local.target, local.model.as_deref()), (Some(TargetKind::OpenAi), Some("m")));
        assert_eq!(local.place, Place::at("f.toml", 2, 9));
        let near = &tables.embeddings["near"];
        assert_eq!((near.target, near.dimensions), (Some(TargetKind::Gemini), Some(768)));
        assert_eq!(tables.embeddings["local"].path.as_deref(), Some("models/potion"));
    }

    #[test]
    fn a_command_is_a_program_with_its_time_and_environment() {
        let tables = read(
            "margin = 0.1\n[commands.polite]\nargv = [\"python3\", \"checks/polite.py\"]\ntimeout = \"500ms\"\n\
             env = {LANG = \"C\"}\n[commands.b-2]\nargv = [\"./b\"]\n",
        );
        let [first, second] = &tables.commands[..] else { panic!("two commands") };
        assert_eq!((first.name.as_str(), first.timeout), ("b-2", Duration::from_secs(10)));
        let expected = Command {
            name: "polite".to_owned(),
            argv: vec!["python3".to_owned(), "checks/polite.py".to_owned()],
            timeout: Duration::from_millis(500),
            env: BTreeMap::from([("LANG".to_owned(), "C".to_owned())]),
            place: Place::at("f.toml", 2, 11),
        };
        assert_eq!(*second, expected);
    }

    #[test]
    fn a_model_has_one_price_or_several_by_day() {
        let tables = read(
            "[prices.\"a/b-1\"]\ninput = 1\noutput = 2.5\n[[prices.c]]\ninput = 1.0\noutput = 2.0\ncached = 0.1\n\
             [[prices.c]]\nfrom = 2026-12-01\ninput = 3.0\noutput = 4.0\nlong = {input = 5, output = 6}\n",
        );
        let rates = |input, output, cached| Rates { input, output, cached };
        assert_eq!(tables.prices["a/b-1"][0].rates, rates(1.0, 2.5, 1.0));
        let [first, second] = &tables.prices["c"][..] else { panic!("two prices") };
        assert_eq!((first.from, first.rates), (None, rates(1.0, 2.0, 0.1)));
        assert_eq!((second.from, second.rates), (Some(date!(2026 - 12 - 01)), rates(3.0, 4.0, 3.0)));
        assert_eq!(second.long, Some(rates(5.0, 6.0, 5.0)));
    }

    #[test]
    fn mistakes_of_models_are_listed_together() {
        insta::assert_snapshot!(problems(
            "[judges.a]\ntarget = \"recorded\"\n[judges.b]\nmodel = \"\"\n[judges.c]\nvotes = 3\npromt = \"x\"\n\
             [embeddings.a]\ntarget = \"vertex\"\n[embeddings.b]\npaht = \"m\"\n[embeddings.c]\ndimensions = 0\n\
             [embeddings.d]\npath = \"m\"\nmodel = \"x\"\n[judges]\nd = 3\n"
        ), @r#"
        f.toml:2:10: `recorded` is not known; expected gemini, openai, sim
        f.toml:4:9: `model` is empty
        f.toml:6:1: `votes` is not a setting of [judges.c]
        f.toml:7:1: `promt` is not a setting of [judges.c]
          help: did you mean `prompt`?
        f.toml:9:10: `vertex` is not known; expected gemini, openai, sim
        f.toml:11:1: `paht` is not a setting of [embeddings.b]
          help: did you mean `path`?
        f.toml:13:14: `0` is not a whole number from 2 to 10000
        f.toml:14:13: [embeddings.d]: `path` is a model in the project, the other settings are for a provider's
          expected: target, model, base_url and dimensions, or path
        f.toml:18:5: `judges.d` is not a table
          expected: target, model, base_url, prompt
        "#);
        insta::assert_snapshot!(problems("embeddings = 3"), @r#"
        f.toml:1:14: `embeddings` is not a table
          expected: a table for each name, like [embeddings.default]
        "#);
    }

    #[test]
    fn mistakes_of_commands_are_listed_together() {
        insta::assert_snapshot!(problems(
            "[commands.a]\nargv = \"python3 a.py\"\ntimeout = \"soon\"\nenv = {A = 1}\n[commands.b]\nargs = [\"b\"]\n\
             [commands.\"c d\"]\nargv = [\"\"]\n[commands.e]\nargv = [\"e\", 1]\ntimeout = 0\n\
             [commands.f]\nargv = []\nenv = {\"A=B\" = \"c\"}\ntimeout = [1]\n"
        ), @r#"
        f.toml:2:8: `argv` has the wrong type
          expected: a list of texts, the program and its arguments: ["python3", "checks/polite.py"]
        f.toml:3:11: `soon` is not a duration; expected something like 500ms, 60s or 2m, up to 60m
        f.toml:4:7: `env` has the wrong type
          expected: a table of texts, like {LANG = "C.UTF-8"}
        f.toml:5:11: [commands.b]: `argv` is missing
          expected: argv = ["python3", "checks/polite.py"]
        f.toml:6:1: `args` is not a setting of [commands.b]
          help: did you mean `argv`?
        f.toml:7:11: `c d` can't be the name of a command
          expected: 1 to 64 letters, digits, `-` and `_`
        f.toml:8:8: `argv` has the wrong type
          expected: a list of texts, the program and its arguments: ["python3", "checks/polite.py"]
        f.toml:10:8: `argv` has the wrong type
          expected: a list of texts, the program and its arguments: ["python3", "checks/polite.py"]
        f.toml:11:11: `0` is not a duration; expected something like 500ms, 60s or 2m, up to 60m
        f.toml:13:8: `argv` has the wrong type
          expected: a list of texts, the program and its arguments: ["python3", "checks/polite.py"]
        f.toml:14:7: `env` has the wrong type
          expected: a table of texts, like {LANG = "C.UTF-8"}
        f.toml:15:11: `timeout` has the wrong type
          expected: one text, number, or true/false
        "#);
    }

    #[test]
    fn mistakes_of_prices_are_listed_together() {
        insta::assert_snapshot!(problems(
            "[prices.a]\ninput = -1\noutputs = 2\nfrom = \"soon\"\nlong = 3\n[[prices.b]]\ninput = 1\noutput = 1\n\
             [[prices.b]]\ninput = 2\noutput = 2\n"
        ), @r#"
        f.toml:1:9: [prices.a]: `output` is missing
          expected: US dollars per million tokens
        f.toml:2:9: `-1` is out of range; expected US dollars per million tokens, from 0 to 100000
        f.toml:3:1: `outputs` is not a setting of [prices.a]
          help: did you mean `output`?
        f.toml:4:8: `soon` is not a day; expected one like 2026-12-01
        f.toml:5:8: `prices.a.long` is not a table
          expected: input, output, cached
        f.toml:6:10: [prices.b]: two prices hold from the same day on
          expected: a `from` of its own for each
        "#);
        insta::assert_snapshot!(problems("prices = 3"), @r#"
        f.toml:1:10: `prices` is not a table
          expected: a table for each name, like [prices.default]
        "#);
    }
}
