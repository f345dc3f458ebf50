//! Every way in which a command can go wrong, with small scripts of the shell.

use super::{Commands, MOST_BREAKS};
use crate::domain::{Command, Place};
use crate::scoring::rules::testing::{AnswerText, answer_text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Reads the id of a request into `$id`; what follows replies.
const READ: &str = r#"next() { read -r line || exit 0; id=${line#*'"id":"'}; id=${id%%'"'*}; }
reply() { echo "{\"id\":\"$id\",$1}"; }
"#;

/// A project with a command `check`, and what it said.
struct Tried {
    folder: TempDir,
    commands: Commands,
}

impl Tried {
    fn new(script: &str) -> Tried {
        Tried::with_timeout(script, Duration::from_secs(60))
    }

    fn with_timeout(script: &str, timeout: Duration) -> Tried {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("check.sh"), format!("{READ}{script}\n")).unwrap();
        let commands = Commands::new(folder.path(), &[declared(&["sh", "check.sh"], timeout)]);
        Tried { folder, commands }
    }

    fn judge(&self, text: &str) -> String {
        self.commands.forget();
        judge(&self.commands, text, &Value::Null)
    }
}

fn declared(argv: &[&str], timeout: Duration) -> Command {
    Command {
        name: "check".to_owned(),
        argv: argv.iter().map(|text| (*text).to_owned()).collect(),
        timeout,
        env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        place: Place::at("promptgate.toml", 1, 11),
    }
}

fn judge(commands: &Commands, text: &str, args: &Value) -> String {
    let AnswerText { mut case, answer, replies } = answer_text(text);
    case.notes = Some("a\nnote".to_owned());
    let input = AnswerText { case, answer, replies };
    match commands.find("check").unwrap().score(&input.input(), args) {
        Ok(score) => format!("pass {} {}: {}", score.pass, score.value(), score.reason),
        Err(cannot) => format!("error: {cannot}"),
    }
}

#[test]
fn one_process_answers_many_requests() {
    let tried = Tried::new(
        "n=0; while next; do n=$((n + 1)); reply \"\\\"pass\\\":true,\\\"reason\\\":\\\"${#id} $n\\\"\"; done",
    );
    assert_eq!(tried.judge("a"), "pass true 1: 32 1");
    assert_eq!(tried.judge("b"), "pass true 1: 32 2");
}

#[test]
fn what_was_said_of_an_answer_is_kept_until_it_is_forgotten() {
    let tried = Tried::new(
        r#"while next; do echo x >> asked; case $line in *crash*) exit 1;; esac; reply '"pass":true'; done"#,
    );
    let again = |text: &str, args: &Value| judge(&tried.commands, text, args);
    for _ in 0..3 {
        assert_eq!(again("a", &Value::Null), "pass true 1: the command says pass");
        assert_eq!(again("b", &Value::Null), "pass true 1: the command says pass");
        assert_eq!(again("a", &json!(1)), "pass true 1: the command says pass");
        assert!(again("crash", &Value::Null).starts_with("error: "));
    }
    let asked = || std::fs::read_to_string(tried.folder.path().join("asked")).unwrap().lines().count();
    assert_eq!(asked(), 4);
    tried.commands.forget();
    again("a", &Value::Null);
    assert_eq!(asked(), 5);
}

#[test]
fn the_request_is_one_line_with_all_that_counts() {
    let tried =
        Tried::new(r#"next; printf '%s\n' "$line" > seen.json; reply '"pass":false,"score":0.25,"reason":"no"'; next"#);
    assert_eq!(judge(&tried.commands, "two\nlines \"quoted\"", &json!({"words": ["please"]})), "pass false 0.25: no");
    let seen = std::fs::read_to_string(tried.folder.path().join("seen.json")).unwrap();
    let whole: Value = serde_json::from_str(&seen).unwrap();
    let seen = seen.replace(whole["id"].as_str().unwrap(), "ID");
    insta::assert_snapshot!(seen, @r#"{"version":1,"id":"ID","case":{"id":"case","tags":[],"vars":{},"history":[],"notes":"a\nnote"},"answer":{"text":"two\nlines \"quoted\"","tool_calls":[],"finish_reason":"STOP","model_version":null,"usage":{"prompt":0,"cached":0,"output":0,"thinking":0,"total":0},"latency_ms":0,"first_token_ms":null,"cost_usd":0.0},"args":{"words":["please"]}}"#);
}

#[test]
fn it_runs_in_the_project_with_path_and_its_own_variables_alone() {
    let tried = Tried::new(
        r#"next; here=$(basename "$PWD"); test -n "$PATH" || exit 1; reply "\"pass\":true,\"reason\":\"$here $GREETING $HOME $CARGO_MANIFEST_DIR.\""; next"#,
    );
    let name = tried.folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(tried.judge("a"), format!("pass true 1: {name} hello  ."));
}

#[test]
fn everything_but_a_reply_is_an_error() {
    let long = "next; reply \"\\\"pass\\\":true,\\\"reason\\\":\\\"$(printf '%70000s' x)\\\"\"; next";
    let endless = "next; while :; do printf xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done";
    let table = [
        ("ends at once", "exit 0"),
        ("crashes", "next; echo oh no >&2; exit 3"),
        ("is killed", "next; kill -9 $$"),
        ("ends within a line", r#"next; printf '{"id":"%s","pass":true}' "$id""#),
        ("closes its output", "next; exec >&-; next"),
        ("no JSON", "next; echo yes; next"),
        ("debug output first", r#"next; echo loading; reply '"pass":true'; next"#),
        ("an empty line", "next; echo; next"),
        ("wrong id", r#"next; id=7; reply '"pass":true'; next"#),
        ("no pass", r#"next; reply '"score":1'; next"#),
        ("unknown key", r#"next; reply '"pass":true,"resaon":"x"'; next"#),
        ("score too high", r#"next; reply '"pass":true,"score":2'; next"#),
        ("score is no number", r#"next; reply '"pass":true,"score":NaN'; next"#),
        ("contradiction", r#"next; reply '"pass":true,"score":0'; next"#),
        ("a key twice", r#"next; reply '"pass":false,"pass":true'; next"#),
        ("its own error", r#"next; reply '"error":"no dictionary"'; next"#),
        ("too long", long),
        ("never ends", endless),
        ("control characters", r#"next; printf '\033[31m::error::x\n'; next"#),
        ("bytes that are no text", r"next; printf '\377\376\n'; next"),
    ];
    let told: Vec<String> = table.map(|(what, script)| format!("{what}: {}", Tried::new(script).judge("a"))).to_vec();
    insta::assert_snapshot!(told.join("\n"), @r#"
    ends at once: error: the command `check` ended without a reply (exit status: 0)
    crashes: error: the command `check` ended without a reply (exit status: 3); it wrote "oh no"
    is killed: error: the command `check` closed its output without a reply
    ends within a line: error: the command `check` ended without a reply (exit status: 0)
    closes its output: error: the command `check` closed its output without a reply
    no JSON: error: the command `check` wrote a line that is not a reply: "yes"
    debug output first: error: the command `check` wrote a line that is not a reply: "loading"
    an empty line: error: the command `check` wrote a line that is not a reply: ""
    wrong id: error: the command `check` replied with an id that is not the one of the request
    no pass: error: the command `check` replied without `pass`
    unknown key: error: the command `check` wrote a line that is not a reply: "{"id":"…","pass":true,"resaon":"x"}"
    score too high: error: the command `check` replied with the score 2, which is not from 0 to 1
    score is no number: error: the command `check` wrote a line that is not a reply: "{"id":"…","pass":true,"score":NaN}"
    contradiction: error: the command `check` replied with pass and the score 0, which contradict each other
    a key twice: error: the command `check` wrote a line that is not a reply: "{"id":"…","pass":false,"pass":true}"
    its own error: error: the command `check` can't judge: no dictionary
    too long: error: the command `check` replied with more than 64 KiB in a line
    never ends: error: the command `check` replied with more than 64 KiB in a line
    control characters: error: the command `check` wrote a line that is not a reply: "\u{1b}[31m::error::x"
    bytes that are no text: error: the command `check` wrote a line that is not a reply: "��"
    "#);
}

#[test]
fn a_command_that_never_answers_is_late() {
    let tried =
        Tried::with_timeout("mkfifo idle; next; echo waiting >&2; read -r never <idle", Duration::from_millis(300));
    let said = tried.judge("a");
    // On a busy machine it may not have come to its words.
    let told = said.trim_end_matches("; it wrote \"waiting\"");
    assert_eq!(told, "error: the command `check` did not reply within 300ms");
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_command_started_ends_with_it() {
    use std::time::Instant;
    let tried =
        Tried::new(r#"mkfifo idle; (read -r never <idle) & next; reply "\"pass\":true,\"reason\":\"$!\""; wait"#);
    let said = tried.judge("a");
    let child = said.strip_prefix("pass true 1: ").unwrap();
    // A dead process that nobody has waited for yet still has a number, but its state is Z.
    let runs = || {
        let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    };
    assert!(runs());
    let Tried { folder, commands } = tried;
    drop(commands);
    let started = Instant::now();
    while runs() {
        assert!(started.elapsed() < Duration::from_secs(60), "the child still runs");
        std::thread::yield_now();
    }
    drop(folder);
}

#[test]
fn a_command_that_does_not_read_is_late_too() {
    // A request larger than what a pipe holds.
    let tried = Tried::with_timeout("mkfifo idle; read -r never <idle", Duration::from_millis(200));
    let said = tried.judge(&"x".repeat(1 << 20));
    assert_eq!(said, "error: the command `check` did not reply within 200ms");
}

#[test]
fn a_line_too_many_is_told_at_the_next_request_at_the_latest() {
    let tried = Tried::new(r#"while next; do reply '"pass":true'; reply '"pass":true'; done"#);
    assert_eq!(tried.judge("a"), "pass true 1: the command says pass");
    let second = tried.judge("a");
    let told = [
        "error: the command `check` wrote a line that answers no request",
        "error: the command `check` replied with an id that is not the one of the request",
    ];
    assert!(told.contains(&second.as_str()), "{second}");
}

/// Prints the text of the answer as it is, and then says that it is bad.
const ECHO: &str = r#"while next; do text=${line#*'"text":"'}; text=${text%%'","tool_calls"'*}
    printf '%s\n' "$text" | sed 's/\\"/"/g; s/\\n/\n/g'; reply '"pass":false'; done"#;

#[test]
fn an_answer_that_is_printed_brings_no_reply_of_its_own() {
    // Ids that a count, an earlier request or a careless comparison would let pass.
    for id in ["1", "2", "", "0", "00000000000000000000000000000000", "$id", "*"] {
        let said = Tried::new(ECHO).judge(&format!(r#"{{"id":"{id}","pass":true}}"#));
        let expected = "error: the command `check` replied with an id that is not the one of the request";
        assert_eq!(said, expected, "{id}");
    }
    let said = Tried::new(ECHO).judge("Hello.");
    assert_eq!(said, "error: the command `check` wrote a line that is not a reply: \"Hello.\"");
}

#[test]
fn lines_behind_a_reply_answer_no_later_request() {
    // Every line that a process has ever been sent or told comes back, and comes as a pass.
    let tried = Tried::new(
        r#"known=; while next; do reply '"pass":false'; known="$known $id"
        for old in $known 1 2 3; do echo "{\"id\":\"$old\",\"pass\":true}"; done; done"#,
    );
    let mut errors = 0;
    for _ in 0..8 {
        let said = tried.judge("a");
        assert!(said.starts_with("pass false") || said.starts_with("error: "), "{said}");
        errors += u32::from(said.starts_with("error: "));
    }
    assert_eq!(errors, 4, "each line too many costs the next request its judgement");
}

#[test]
fn a_crash_is_an_error_of_its_own_and_the_next_check_has_a_new_process() {
    let tried = Tried::new(r#"while next; do case $line in *crash*) exit 9;; esac; reply '"pass":true'; done"#);
    assert_eq!(tried.judge("a"), "pass true 1: the command says pass");
    assert_eq!(tried.judge("crash"), "error: the command `check` ended without a reply (exit status: 9)");
    assert_eq!(tried.judge("a"), "pass true 1: the command says pass");
}

#[test]
fn a_command_that_keeps_breaking_is_given_up() {
    let tried = Tried::new("echo x >> starts; exit 1");
    for _ in 0..=MOST_BREAKS {
        assert_eq!(tried.judge("a"), "error: the command `check` ended without a reply (exit status: 1)");
    }
    insta::assert_snapshot!(tried.judge("a"), @"error: the command `check` broke 11 times, so it is not started again; the last time: the command `check` ended without a reply (exit status: 1)");
    let starts = std::fs::read_to_string(tried.folder.path().join("starts")).unwrap();
    assert_eq!(starts.lines().count(), MOST_BREAKS as usize + 1);
}

#[test]
fn workers_have_processes_of_their_own() {
    let tried = Tried::new(
        r#"while next; do text=${line#*'"text":"'}; reply "\"pass\":true,\"reason\":\"${text%%'"'*}\""; done"#,
    );
    let said: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let tried = &tried;
                scope.spawn(move || (0..20).map(|i| tried.judge(&format!("{worker}-{i}"))).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let expected: Vec<String> =
        (0..8).flat_map(|worker| (0..20).map(move |i| format!("pass true 1: {worker}-{i}"))).collect();
    assert_eq!(said, expected);
}

#[test]
fn an_interrupted_run_asks_no_more() {
    let tried = Tried::new(r#"while next; do reply '"pass":true'; done"#);
    tried.commands.end_when(|| true);
    assert_eq!(tried.judge("a"), "error: the run was interrupted before the command `check` judged");
}

fn problem(root: &Path, argv: &[&str]) -> String {
    let commands = Commands::new(root, &[declared(argv, Duration::from_secs(1))]);
    match commands.find("check") {
        Ok(_) => "found".to_owned(),
        Err(problem) => problem.message,
    }
}

#[test]
fn a_program_that_can_not_be_started_is_told_before_anything_runs() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::write(root.join("plain"), "").unwrap();
    std::fs::write(root.join("run"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(root.join("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let table = [
        problem(root, &["no-such-program-anywhere"]),
        problem(root, &["./none"]),
        problem(root, &["./plain"]),
        problem(root, &["./"]),
        problem(root, &["run"]),
        problem(root, &["./run"]),
        problem(root, &["sh"]),
        problem(root, &["/bin/sh"]),
    ];
    insta::assert_snapshot!(table.join("\n"), @"
    the command `check` can't be started: there is no program `no-such-program-anywhere` in PATH
    the command `check` can't be started: `./none` is not there
    the command `check` can't be started: `./plain` may not be run
    the command `check` can't be started: `./` is not a file
    the command `check` can't be started: there is no program `run` in PATH
    found
    found
    found
    ");
}

#[test]
fn the_digest_covers_settings_and_the_files_that_they_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("check.sh"), "1").unwrap();
    let digest = |command: Command| {
        let commands = Commands::new(folder.path(), &[command]);
        commands.find("check").unwrap().digest().unwrap().to_owned()
    };
    let plain = || declared(&["sh", "check.sh"], Duration::from_secs(1));
    let first = digest(plain());
    assert_eq!(first, digest(plain()));
    let elsewhere = Command { place: Place::file("other.toml"), ..plain() };
    assert_eq!(first, digest(elsewhere), "where it is declared does not count");
    let mut others = vec![
        digest(declared(&["sh", "check.sh"], Duration::from_secs(2))),
        digest(declared(&["sh", "check.sh", "-v"], Duration::from_secs(1))),
        digest(declared(&["sh", "other.sh"], Duration::from_secs(1))),
        digest(Command { env: BTreeMap::new(), ..plain() }),
    ];
    std::fs::write(folder.path().join("check.sh"), "2").unwrap();
    others.push(digest(plain()));
    for other in others {
        assert_ne!(first, other);
    }
}
