//! `command`: a command of the user's own says pass. How it is run stands in `scoring/command/`.

use crate::domain::{ArgProblem, Score, Step};
use crate::scoring::arguments::{Fields, Read, inside, not_a, text, wrong};
use crate::scoring::command::{Commands, Pool};
use crate::scoring::definition::{Asks, Compile, MatcherDef, Reads, Sample};
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::project_file::ProjectFiles;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const COMMAND: MatcherDef = MatcherDef {
    name: "command",
    summary: "a command of your own says so; see [own checks](own-checks.md)",
    arguments: "\"name\" of a command that promptgate.toml declares, or {name, args} with any JSON that it takes; a \
                command that crashes, replies too late or says what is no reply judges nothing, which is never a pass",
    schema: r##"{"anyOf": [{"$ref": "#/$defs/text"}, {"type": "object", "properties": {"name": {"$ref": "#/$defs/text"},
        "args": {}}, "required": ["name"], "additionalProperties": false}]}"##,
    example: r#"{"command": {"name": "polite", "args": {"words": ["please"]}}}"#,
    passes: Sample::Text("Please come in."),
    fails: Sample::Text("Come in."),
    refused: r#"{"command": "rm -rf ."}"#,
    schema_refuses: false,
    cost: "what the command takes, up to its timeout; one process for each core",
    takes_text: true,
    inline: Some(inline),
    compile,
    reads: Reads::WholeAnswer,
    asks: Some(Asks::Command),
    ..MatcherDef::DEFAULT
};

/// The key under which a verified check carries what identifies its command.
const DECLARED: &str = "declared";

#[derive(Debug)]
struct CommandMatcher {
    pool: Arc<Pool>,
    args: Value,
}

struct Arguments<'a> {
    name: &'a str,
    args: Value,
    declared: Option<&'a str>,
}

fn read<'a>(args: &'a Value, loading: bool) -> Read<Arguments<'a>> {
    match args {
        Value::String(name) => Ok(Arguments { name, args: Value::Null, declared: None }),
        Value::Object(map) => {
            let known: &[&str] = if loading { &["name", "args"] } else { &["name", "args", DECLARED] };
            let mut fields = Fields::new(map, known);
            let args = fields.optional("args", |args| Ok(args.clone())).unwrap_or_default();
            let declared = fields.optional(DECLARED, text);
            let name = fields.required("name", "the name of a command that promptgate.toml declares", text);
            let name = fields.finish(name)?;
            Ok(Arguments { name, args, declared })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            wrong(not_a("the name of a command, or a map {name, args}", args))
        }
    }
}

/// A mistake in the name, which stands alone or under a key.
fn at_name(args: &Value, problem: ArgProblem) -> Vec<ArgProblem> {
    match args {
        Value::Object(_) => inside(vec![problem], &Step::key("name")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => vec![problem],
    }
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Result<Box<dyn Matcher>, Vec<ArgProblem>> {
    let loading = ctx.files().is_some();
    let written = read(args, loading)?;
    let Some(commands) = ctx.commands() else {
        return wrong(ArgProblem::new("no commands are known here"));
    };
    let pool = commands.find(written.name).map_err(|problem| at_name(args, problem))?;
    if !loading && written.declared != pool.digest() {
        return wrong(ArgProblem::new("the command is not the one that was read while loading"));
    }
    Ok(Box::new(CommandMatcher { pool, args: written.args }))
}

/// Reads what identifies the command into the check, so that another command makes another dataset.
fn inline(args: &mut Value, _: &ProjectFiles, commands: &Commands) -> Result<(), Vec<ArgProblem>> {
    let Arguments { name, args: given, .. } = read(args, true)?;
    let pool = commands.find(name).map_err(|problem| at_name(args, problem))?;
    *args = json!({"name": name, "args": given, DECLARED: pool.digest()});
    Ok(())
}

impl Matcher for CommandMatcher {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        self.pool.score(input, &self.args)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use crate::scoring::rules::testing::{problems, reasons, verify_in};
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn a_check_names_a_command_and_carries_its_digest() {
        let check = verify_in(Path::new("."), json!({"command": "polite"})).unwrap();
        assert_eq!(check.args["name"], "polite");
        assert_eq!(check.args["args"], json!(null));
        assert_eq!(check.args["declared"].as_str().unwrap().len(), 64);
        insta::assert_snapshot!(reasons(json!({"command": "polite"}), &["Please.", "No."]), @"
        the command says pass
        the command says fail
        ");
    }

    #[test]
    fn golden_data_can_not_say_what_is_run() {
        insta::assert_snapshot!(problems(&[
            json!({"command": "polit"}),
            json!({"command": "sh -c id"}),
            json!({"command": ["sh", "-c", "id"]}),
            json!({"command": {"argv": ["sh"], "name": "polite"}}),
            json!({"command": {"name": "polite", "declared": "0"}}),
            json!({"command": {"args": 1}}),
            json!({"command": {"name": "impolite"}}),
            json!({"command": ""}),
            json!({"json_path": {"path": "$.a", "check": {"command": "polite"}}}),
        ]));
    }
}
