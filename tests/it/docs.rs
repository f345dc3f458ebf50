//! The README and the docs say what the program does.

use crate::support::project::Project;
use promptgate::domain::{CheckRules, CheckSpec, ReasonCode, Words as _};
use promptgate::exit;
use promptgate::internals::{report, scoring};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The content of the first fenced block in a language after a heading.
pub(crate) fn block(text: &str, heading: &str, language: &str) -> String {
    let section = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}")).1;
    let opened =
        section.split_once(&format!("\n```{language}\n")).unwrap_or_else(|| panic!("no {language} under {heading}")).1;
    opened.split_once("\n```").unwrap().0.to_owned()
}

fn demo() -> Project {
    let project = Project::empty();
    for folder in ["prompts", "golden"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            project.write(&format!("{folder}/{name}"), fs::read(&path).unwrap());
        }
    }
    project.write("promptgate.toml", fs::read(root().join("promptgate.toml")).unwrap());
    project
}

/// Lines without what a clock put in.
fn timeless(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("latency")).collect()
}

#[test]
fn the_readme_shows_what_the_main_command_prints() {
    let project = demo();
    let ran = project.run("eval --prompt v2").assert_exit(0);
    let shown = block(&readme(), "## Quick start", "text");
    assert_eq!(timeless(&shown), timeless(ran.stdout.trim_end()));
}

#[test]
fn the_nicer_prompt_that_lost_sentences_is_blocked_for_reasons_in_the_diff() {
    let project = demo();
    project.run("eval --prompt v3").assert_exit(10);
    let verdict = project.verdict();
    let codes: Vec<&str> = verdict["reasons"].as_array().unwrap().iter().filter_map(|r| r["code"].as_str()).collect();
    assert_eq!(codes, ["critical", "regression", "slice"]);
    assert!(project.read("reports/diff.md").contains("return-worn-boots"));
}

#[test]
fn editing_a_prompt_changes_the_result() {
    let project = demo();
    let partial = project.read("prompts/_policies.prompt");
    let dropped: Vec<&str> = partial.lines().filter(|line| !line.contains("worn outdoors")).collect();
    assert_ne!(dropped.len(), partial.lines().count());
    let v2 = project.read("prompts/v2.prompt").replace("{{>policies}}", &dropped.join("\n"));
    project.write("prompts/v4.prompt", v2);
    project.run("eval --prompt v4").assert_exit(10);
}

#[test]
fn the_readme_lists_the_exit_codes() {
    let rows: Vec<String> = exit::TABLE.iter().map(|(code, meaning)| format!("| {code} | {meaning} |")).collect();
    assert!(readme().contains(&rows.join("\n")), "the table of exit codes is not\n{}", rows.join("\n"));
}

fn page_of_the_matchers() -> String {
    let rules = scoring::Rules::new(&root());
    let mut page = "# Matchers\n\nWritten from the table in `src/scoring/matchers/` by a test; edit it there. A check is a one-key \
                    map, `matcher: arguments`,\nand may carry `name`, `weight` and `advisory: true`. A check that no answer could \
                    miss, or that has a mistake, is refused\nwhile loading. Samples of answers are written as JSON texts.\n\n| matcher | passes when |\n| --- | --- |\n"
        .to_owned();
    for def in scoring::MATCHERS {
        page += &format!("| [`{0}`](#{0}) | {1} |\n", def.name, def.summary.replace('|', "\\|"));
    }
    for def in scoring::MATCHERS {
        let written = serde_json::from_str(def.refused).unwrap();
        let problems = match CheckSpec::parse(&written) {
            Ok(check) => rules.verify(check).expect_err(def.name),
            Err(problem) => vec![problem],
        };
        page += &format!(
            "\n## `{}`\n\nPasses when {}.\n\n- arguments: {}\n- example: {}\n- passes: {}\n- fails: {}\n- refused: {}: {}\n- time: {}\n",
            def.name,
            def.summary,
            def.arguments,
            code(def.example),
            sample(def.passes),
            sample(def.fails),
            code(def.refused),
            problems[0],
            def.cost,
        );
        if let Some(feature) = def.feature {
            page += &format!("- build: `cargo build --features {}`; published binaries have it\n", feature.name);
        }
    }
    page
}

/// Code within a sentence of Markdown, whatever backticks it holds.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

fn sample(sample: scoring::Sample) -> String {
    match sample {
        scoring::Sample::Text(text) => code(&serde_json::to_string(text).unwrap()),
        scoring::Sample::Answer(fields) => code(fields),
        scoring::Sample::Judged { text, reply } => {
            format!("{}, and the judge says {}", code(&serde_json::to_string(text).unwrap()), code(reply))
        }
        scoring::Sample::Embedded { text, cosine } => {
            format!("{} at a cosine of {cosine}", code(&serde_json::to_string(text).unwrap()))
        }
    }
}

#[test]
fn the_page_of_the_matchers_is_what_the_table_says() {
    if scoring::MATCHERS.iter().any(|def| def.feature.is_some_and(|feature| !feature.enabled)) {
        // What such a matcher refuses is not known to this build; CI has all features.
        assert!(!writes_pages(), "this build lacks features; write the page with `--all-features`");
        return;
    }
    assert_page("matchers", &page_of_the_matchers());
}

fn writes_pages() -> bool {
    std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always")
}

/// The page says what the code does; written anew when snapshots are.
fn assert_page(name: &str, page: &str) {
    let path = root().join(format!("docs/{name}.md"));
    if writes_pages() {
        fs::write(&path, page).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/{name}.md is stale; write it with INSTA_UPDATE=always cargo test --all-features the_page_of_the_{name}"
    );
}

#[test]
fn the_page_of_the_reports_is_what_the_table_says() {
    let mut page = "# Reports\n\nWritten from the table in `src/report/mod.rs` by a test. `eval` writes these files into `reports/` \
                    (`--out DIR`), verdict.json last:\n\n| file | for |\n| --- | --- |\n"
        .to_owned();
    for format in report::FORMATS.iter().rev() {
        page.push_str(&format!("| `{}` | {} |\n", format.file, format.purpose));
    }
    assert_page("reports", &page);
}

#[test]
fn the_readme_names_only_options_that_exist() {
    let help = |command: &str| Project::empty().run(command).stdout;
    let help = [
        help("eval --help"),
        help("sim --help"),
        help("record export --help"),
        help("gate simulate --help"),
        help("golden import --help"),
        help("golden lint --help"),
        help("golden stats --help"),
        help("verify --help"),
        help("promote --help"),
        help("compare --help"),
        help("runs flaky --help"),
    ]
    .join(" ");
    for word in readme().split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
        if word.len() > 2 && word.starts_with("--") && word[2..].starts_with(|c: char| c.is_ascii_lowercase()) {
            // What is cargo's and git's.
            let foreign = ["--help", "--features", "--allow-empty", "--trailer"].contains(&word);
            assert!(help.contains(word) || foreign, "{word} is no option");
        }
    }
}

#[test]
fn the_examples_of_prompt_and_cases_work() {
    let readme = readme();
    let project = Project::empty();
    project.write("prompts/shop.prompt", block(&readme, "### A prompt", "handlebars"));
    project.write("golden/cases.yaml", block(&readme, "### A case", "yaml"));
    project.write("golden/cases.csv", block(&readme, "### A case", "csv"));
    project.run("eval --prompt shop --baseline none --no-gate --repeat 1").assert_exit(0);
    let verdict = project.verdict();
    assert_eq!(verdict["counts"]["cases"], 3);
    assert_eq!(verdict["counts"]["error"], 0);
}

#[test]
fn links_lead_somewhere() {
    for file in [
        "README.md",
        "docs/gate.md",
        "docs/statistics.md",
        "docs/verdict.md",
        "docs/architecture.md",
        "docs/matchers.md",
        "docs/reports.md",
        "docs/own-checks.md",
        "golden/README.md",
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let folder = root().join(Path::new(file).parent().unwrap());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { root().join(file) } else { folder.join(path) };
            assert!(target.exists(), "{file} links to {link}");
            if !anchor.is_empty() {
                let page = fs::read_to_string(target).unwrap();
                assert!(anchors(&page).any(|known| known == anchor), "{file} links to {link}");
            }
        }
    }
}

/// What GitHub makes of the headings of a page.
fn anchors(page: &str) -> impl Iterator<Item = String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|heading| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    })
}

#[test]
fn the_gate_page_has_every_reason() {
    let page = fs::read_to_string(root().join("docs/gate.md")).unwrap();
    let table = page.split_once("\n## What to do\n").unwrap().1;
    let codes: BTreeSet<&str> = table
        .lines()
        .filter_map(|row| row.strip_prefix("| `")?.split(" |").next())
        .flat_map(|codes| codes.split(['`', ',', ' ']))
        .filter(|code| !code.is_empty())
        .collect();
    assert_eq!(codes, ReasonCode::WORDS.iter().map(|(code, _)| *code).collect());
}

#[test]
fn every_setting_of_this_repository_is_one() {
    demo().run("eval --dry-run").assert_exit(0);
}
