//! Options, environment and file of one call, by precedence.

use super::definition::{Group, Origin, RawValue, RawValues, Reader};
use super::file::FileSettings;
use super::groups;
use super::value::Kind;
use crate::domain::{Command, Place, Problem, Problems, nearest};
use crate::provider::TargetKind;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Environment variables, injected so that tests need not change the process's own.
pub type Environment = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
pub struct CommandLine(pub(super) RawValues);

impl CommandLine {
    /// Adds an option, unless it was not given.
    #[must_use]
    pub fn option(mut self, key: &'static str, values: Vec<String>) -> CommandLine {
        if !values.is_empty() {
            let origin = Origin::Option(key);
            self.0.insert(key, RawValue { values, origin });
        }
        self
    }
}

/// The layers of one call before they have types.
pub struct Layers {
    pub(super) root: PathBuf,
    pub(super) shown: String,
    pub(super) options: RawValues,
    pub(super) variables: RawValues,
    /// Variables of the services' own SDKs.
    foreign: RawValues,
    pub(super) file: FileSettings,
    pub(super) environment: Environment,
    pub(super) problems: Problems,
    pub(super) warnings: Vec<Problem>,
}

impl fmt::Debug for Layers {
    /// Without the environment: keys stand in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Layers {
    /// Reads environment and file below the options. Mistakes of the file are kept for [`Layers::check`] and the typed settings,
    /// because the output folder has to be known all the same. A missing file is empty unless `--config` names it.
    pub fn read(root: &Path, CommandLine(options): CommandLine, environment: Environment) -> Layers {
        let (variables, warnings) = from_environment(&environment);
        let named = options.get("config").map(|raw| raw.text().to_owned());
        let shown = named.as_deref().unwrap_or("promptgate.toml");
        let mut problems = Problems::default();
        let file = match std::fs::read_to_string(root.join(shown)) {
            Ok(text) => FileSettings::parse(&text, shown, &mut problems),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => FileSettings::default(),
            Err(error) => {
                problems.push(Problem::at(Place::file(shown), format!("can't be read: {error}")));
                FileSettings::default()
            }
        };
        let foreign = groups::all()
            .filter_map(|definition| Some((definition.key, foreign(&environment, definition.variable?)?)))
            .collect();
        let mut layers = Layers {
            root: root.to_owned(),
            shown: shown.to_owned(),
            options,
            variables,
            foreign,
            file,
            environment,
            problems: Problems::default(),
            warnings,
        };
        groups::check(&mut layers.reader(&mut problems));
        layers.check_rules(&mut problems);
        layers.problems = problems;
        layers
    }

    /// For commands that need few settings: none of all has a mistake.
    pub fn check(self) -> Result<Layers, Problems> {
        self.problems.clone().or(self)
    }

    fn by_precedence(&self) -> [&RawValues; 4] {
        [&self.options, &self.variables, &self.foreign, &self.file.values]
    }

    pub(super) fn reader<'a>(&'a self, problems: &'a mut Problems) -> Reader<'a> {
        Reader { layers: self.by_precedence().to_vec(), problems }
    }

    pub(super) fn raw(&self, key: &str) -> Option<&RawValue> {
        self.by_precedence().into_iter().find_map(|layer| layer.get(key))
    }

    /// A group of settings. Its mistakes are known since all layers were read.
    pub(super) fn group<G: Group>(&self) -> G {
        self.reader(&mut Problems::default()).group()
    }

    /// The output folder, which is cleared before anything else is looked at.
    pub fn out(&self) -> PathBuf {
        let groups::Output { out, .. } = self.group();
        self.under_root(&out)
    }

    /// A path below the root, as the user would type it.
    pub(super) fn under_root(&self, path: &str) -> PathBuf {
        if self.root == Path::new(".") { PathBuf::from(path) } else { self.root.join(path) }
    }

    /// Candidate and baseline as written, for commands that only look at prompts.
    pub fn versions(&self) -> (Option<&str>, Option<&str>) {
        // Of several candidates the first.
        let prompt = self.raw("prompt").map(RawValue::text);
        let first = prompt.map(|names| names.split(',').next().unwrap_or(names).trim());
        (first, self.raw("baseline").map(RawValue::text))
    }

    pub fn golden(&self) -> Vec<PathBuf> {
        let groups::Cases { golden, .. } = self.group();
        golden.iter().map(|path| self.under_root(path)).collect()
    }

    pub fn commands(&self) -> &[Command] {
        &self.file.tables.commands
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn config(&self) -> &str {
        &self.shown
    }

    /// What answers, for commands that only look at prompts; the Gemini API when nothing is said.
    pub fn target(&self) -> TargetKind {
        let groups::Service { target, .. } = self.group();
        target.unwrap_or_default()
    }

    pub(super) fn models_for(&self, target: TargetKind) -> ModelChoice {
        let text = |layer: &RawValues| layer.get("model").map(|raw| raw.text().to_owned());
        ModelChoice {
            wins: text(&self.options).or_else(|| text(&self.variables)),
            loses: text(&self.file.values),
            default: target.def().default_model,
        }
    }

    pub fn models(&self) -> ModelChoice {
        self.models_for(self.target())
    }

    /// The base URL of a target, if one is set: option, `PROMPTGATE_BASE_URL`, the variable of the target's SDKs, file.
    pub fn base_url(&self, target: TargetKind) -> Option<String> {
        const KEY: &str = "base_url";
        let own = self.options.get(KEY).or_else(|| self.variables.get(KEY)).cloned();
        let foreign = || foreign(&self.environment, target.def().base_url.variable?);
        let written = own.or_else(foreign).or_else(|| self.file.values.get(KEY).cloned());
        written.map(|raw| raw.text().to_owned())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelChoice {
    /// Of option or environment: wins over front matter.
    wins: Option<String>,
    /// Of promptgate.toml: loses against front matter.
    loses: Option<String>,
    default: Option<&'static str>,
}

impl ModelChoice {
    /// The model for a prompt with this front matter model; empty when nothing names one and the target has no default.
    pub fn resolve(&self, front_matter: Option<&str>) -> String {
        let model = self.wins.as_deref().or(front_matter).or(self.loses.as_deref());
        model.or(self.default).unwrap_or_default().to_owned()
    }
}

/// A variable of other tools; an empty one counts as unset.
fn foreign(environment: &Environment, variable: &str) -> Option<RawValue> {
    let value = environment.get(variable).filter(|value| !value.trim().is_empty())?;
    Some(RawValue { values: vec![value.clone()], origin: Origin::Variable(variable.to_owned()) })
}

/// Reads the `PROMPTGATE_…` variables; empty ones count as unset. Also returns warnings about unknown ones.
fn from_environment(environment: &Environment) -> (RawValues, Vec<Problem>) {
    const PREFIX: &str = "PROMPTGATE_";
    let mut raw = RawValues::new();
    let mut unknown = Vec::new();
    for (name, value) in environment {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        let Some(definition) = groups::all().find(|definition| definition.key == key.to_ascii_lowercase()) else {
            let names: Vec<String> =
                groups::all().map(|definition| format!("{PREFIX}{}", definition.key.to_uppercase())).collect();
            let problem = Problem::new(format!("the variable {name} is not a setting, it is ignored"));
            unknown.push(match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean {near}?")),
                None => problem,
            });
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let pieces = value.split(',').map(str::trim).filter(|value| !value.is_empty());
        let values = if matches!(definition.kind, Kind::List) {
            pieces.map(str::to_owned).collect()
        } else {
            vec![value.clone()]
        };
        let origin = Origin::Variable(name.clone());
        raw.insert(definition.key, RawValue { values, origin });
    }
    (raw, unknown)
}
