//! `command`: a command of the user's own says pass. How it is run stands in `scoring/command/`.

use crate::domain::ArgProblem;
use crate::scoring::arguments::{Fields, Read, text, wrong};
use crate::scoring::command::{Commands, Pool};
use crate::scoring::definition::{Asks, Compile, MatcherDef, Reads, Sample};
use crate::scoring::matcher::Matcher;
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

struct Arguments<'a> {
    name: &'a str,
    args: Value,
    declared: Option<&'a str>,
    pool: Arc<Pool>,
}

fn read<'a>(args: &'a Value, commands: &Commands, loading: bool) -> Read<Arguments<'a>> {
    let known: &[&str] = if loading { &["name", "args"] } else { &["name", "args", DECLARED] };
    let expected = "the name of a command, or a map {name, args}";
    let mut fields = Fields::of_map_or(Value::is_string, args, known, expected)?;
    let args = fields.optional("args", |args| Ok(args.clone())).unwrap_or_default();
    let declared = fields.optional(DECLARED, text);
    let named = fields.required("name", "the name of a command that promptgate.toml declares", |name| {
        let name = text(name)?;
        Ok((name, commands.find(name).or_else(wrong)?))
    });
    let (name, pool) = fields.finish(named)?;
    Ok(Arguments { name, args, declared, pool })
}

fn compile(args: &Value, ctx: &Compile<'_>) -> Read<Matcher> {
    let loading = ctx.files().is_some();
    let Some(commands) = ctx.commands() else {
        return wrong(ArgProblem::new("no commands are known here"));
    };
    let Arguments { args, declared, pool, .. } = read(args, commands, loading)?;
    if !loading && declared != pool.digest() {
        return wrong(ArgProblem::new("the command is not the one that was read while loading"));
    }
    Ok(Matcher::new(move |input| pool.score(input, &args)))
}

/// Reads what identifies the command into the check, so that another command makes another dataset.
fn inline(args: &mut Value, _: &ProjectFiles, commands: &Commands) -> Read<()> {
    let Arguments { name, args: given, pool, .. } = read(args, commands, true)?;
    *args = json!({"name": name, "args": given, DECLARED: pool.digest()});
    Ok(())
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
