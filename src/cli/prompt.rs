//! `promptgate prompt list | render | diff`.

use super::options::Prompt as Command;
use super::terminal::print_line;
use crate::config::{CommandLine, Environment, Layers};
use crate::dataset;
use crate::domain::{Case, Problem, Problems};
use crate::error::Error;
use crate::eval::{bare_name, library, open_prompt};
use crate::prompt::Prompt;
use crate::provider::ProviderConfig;
use crate::report::{runs, source_diff, text};
use crate::scoring::{Commands, Rules};
use std::path::Path;

pub(super) fn prompt(command: Command, environment: Environment) -> Result<u8, Error> {
    match command {
        Command::List { settings } => list(&settings.layers(environment).check()?)?,
        Command::Render { name, case, settings } => render(&settings.layers(environment).check()?, &name, &case)?,
        Command::Diff { old, new } => {
            let layers = Layers::read(Path::new("."), CommandLine::default(), environment);
            diff(&layers.check()?, &old, &new)?;
        }
    }
    Ok(crate::exit::OK)
}

fn list(layers: &Layers) -> Result<(), Error> {
    let library = library(layers.root());
    let (candidate, baseline) = layers.versions();
    let mut rows = vec![["NAME", "SHA256", "MODEL", "ROLE"].map(str::to_owned)];
    let mut problems = Problems::default();
    for name in library.names()? {
        match library.open(&name, None) {
            Ok(prompt) => {
                let role = match (candidate == Some(name.as_str()), baseline == Some(name.as_str())) {
                    (true, true) => "candidate, baseline",
                    (true, false) => "candidate",
                    (false, true) => "baseline",
                    (false, false) => "",
                };
                rows.push([
                    name,
                    prompt.sha256[..12].to_owned(),
                    layers.models().resolve(prompt.model.as_deref()),
                    role.to_owned(),
                ]);
            }
            Err(found) => problems.append(found),
        }
    }
    print_line(&text::log_safe(&runs::table(&rows)));
    Ok(problems.or(())?)
}

fn render(layers: &Layers, name: &str, id: &str) -> Result<(), Error> {
    let version = open_prompt(&library(layers.root()), name, None, &|prompt: &Prompt| {
        layers.models().resolve(prompt.model.as_deref())
    })?;
    let commands = Commands::new(layers.root(), layers.commands());
    let rules = Rules::new(layers.root()).with_commands(commands);
    let mut found: Option<Case> = None;
    let mut ids = Vec::new();
    dataset::survey(&layers.golden(), &rules, &mut |case, _| {
        if case.id.as_str() == id {
            found = Some(case.clone());
        } else if ids.len() < 10_000 {
            ids.push(case.id.clone());
        }
    })?;
    let Some(case) = found else {
        let problem = Problem::new(format!("no case has the id `{id}`"));
        return Err(problem.did_you_mean(id, ids.iter().map(|id| id.as_str())).into());
    };
    let request = version.render(&case)?;
    let target = layers.target();
    let (version, delivery) = layers.call(target)?;
    let encoder = (target.def().encoder)(&ProviderConfig {
        base_url: layers.base_url(target),
        api_version: Some(version),
        delivery,
        place: layers.place(Some(target))?,
        ..ProviderConfig::default()
    });
    let body: serde_json::Value = serde_json::from_slice(&encoder.body(&request))
        .map_err(|error| Problem::new(format!("the request is not JSON: {error}")))?;
    let url = encoder.url(&request.model)?;
    print_line(&text::log_safe(&format!("POST {url}\n\n{body:#}")));
    Ok(())
}

fn diff(layers: &Layers, old: &str, new: &str) -> Result<(), Error> {
    let library = library(layers.root());
    let mut problems = Problems::default();
    let mut open = |reference: &str, default_name: Option<&str>| {
        library.open(reference, default_name).map_err(|found| problems.append(found)).ok()
    };
    let newer = open(new, None);
    let older = open(old, Some(bare_name(new)));
    let (Some(older), Some(newer)) = (older, newer) else {
        return Err(problems.into());
    };
    match source_diff(&older.source, &newer.source).trim_end_matches('\n') {
        "" => print_line("no difference"),
        hunks => print_line(&text::log_safe(&format!("{old} -> {new}\n{hunks}"))),
    }
    Ok(())
}
