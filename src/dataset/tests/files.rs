//! Which files are read, and in which order.

use super::{Golden, link};
use std::path::Path;

const ROW: &str = "{\"expect\": [\"b\"], \"vars\": {\"n\": N}}\n";

/// A JSONL row that differs from others.
fn row(number: u32) -> String {
    ROW.replace('N', &number.to_string())
}

fn order(golden: &Golden) -> Vec<String> {
    let dataset = golden.survey().0.unwrap_or_else(|problems| panic!("{problems}"));
    let files = dataset.files.iter();
    files.map(|file| golden.relative(&file.shown).trim_start_matches("golden/").to_owned()).collect()
}

#[test]
fn folders_are_read_in_byte_order_without_what_is_not_golden() {
    let golden = Golden::of(&[]);
    let names = ["b.jsonl", "a/z.jsonl", "a.jsonl", "B.jsonl", "a-b.jsonl", "a/b/c.JSONL", "a/snap.jsonl", "ä.jsonl"];
    for (number, name) in (0..).zip(names) {
        golden.write(name, row(number).as_bytes());
    }
    for name in [
        "README.md",
        "a/README",
        "README_cases.csv",
        ".hidden.txt",
        ".git/x.txt",
        "snapshots/x.snap",
        "a/snapshots/deep/x.jsonl",
    ] {
        golden.write(name, b"not a case");
    }
    assert_eq!(
        order(&golden),
        ["B.jsonl", "a-b.jsonl", "a.jsonl", "a/b/c.JSONL", "a/snap.jsonl", "a/z.jsonl", "b.jsonl", "ä.jsonl"]
    );
}

#[test]
fn paths_are_read_in_the_order_given() {
    let golden = Golden::of(&[("a.jsonl", &row(1)), ("b/x.jsonl", &row(2)), ("c.jsonl", &row(3))]);
    let paths = ["c.jsonl", "b", "a.jsonl"].map(|name| golden.path(name));
    let (dataset, cases) = golden.survey_paths(&paths);
    assert_eq!(cases.len(), 3);
    let dataset = dataset.unwrap();
    let suites: Vec<&str> = dataset.files.iter().map(|file| &*file.suite).collect();
    assert_eq!(suites, ["c", "x", "a"]);
}

#[test]
fn no_case_is_no_mistake() {
    let total = |files: &[(&str, &str)]| Golden::of(files).survey().0.map(|dataset| dataset.total);
    assert_eq!(total(&[]), Ok(0));
    assert_eq!(total(&[("README.md", "hi"), ("snapshots/a.txt", "hi")]), Ok(0));
    for (name, text) in [
        ("a.csv", ""),
        ("a.csv", "\n\r\n"),
        ("a.csv", "\u{feff}"),
        ("a.csv", "id,expected\n"),
        ("a.jsonl", ""),
        ("a.jsonl", "\n \n"),
        ("a.json", ""),
        ("a.json", " [ ] "),
        ("a.yaml", ""),
        ("a.yaml", "# nothing yet\n"),
        ("a.yaml", "[]"),
    ] {
        assert_eq!(total(&[(name, text)]), Ok(0), "{name} {text:?}");
    }
    assert_eq!(Golden::of(&[]).survey_paths(&[]).0.map(|dataset| dataset.total), Ok(0));
}

#[test]
fn wrong_files_and_paths() {
    let golden = Golden::of(&[("a.txt", ""), ("b.ndjson", ""), ("c", ""), ("d/e.jsonl", &row(1)), ("readme.md", "")]);
    std::fs::create_dir(golden.path("folder.csv")).unwrap();
    insta::assert_snapshot!(golden.messages());
    let paths = ["missing.csv", "missing", "d", "d/e.jsonl", "a.txt"].map(|name| golden.path(name));
    insta::assert_snapshot!(golden.messages_of(&paths), @"
    golden/missing.csv: no such file or folder
    golden/missing: no such file or folder
    golden/d/e.jsonl: the file is read twice
      help: it is also reached as `golden/d/e.jsonl`: name it once
    golden/a.txt: not a golden file
      expected: a name that ends in .csv, .jsonl, .json, .yaml or .yml
      help: rename it, or move it out; only README files may stand beside golden files
    ");
}

#[cfg(unix)]
#[test]
fn links_stay_inside() {
    let golden = Golden::of(&[("in/a.jsonl", &row(1))]);
    std::fs::write(golden.folder.path().join("outside.jsonl"), row(2)).unwrap();
    std::fs::create_dir(golden.folder.path().join("elsewhere")).unwrap();
    link("../outside.jsonl", &golden.path("b.jsonl"));
    link("../elsewhere", &golden.path("c"));
    link("..", &golden.path("in/loop"));
    link("in", &golden.path("twice"));
    link("in/a.jsonl", &golden.path("d.jsonl"));
    link("nowhere.jsonl", &golden.path("e.jsonl"));
    insta::assert_snapshot!(golden.messages());
}

#[cfg(unix)]
#[test]
fn links_inside_are_followed() {
    let golden = Golden::of(&[(".data/a.jsonl", &row(1))]);
    link(".data/a.jsonl", &golden.path("linked.jsonl"));
    assert_eq!(order(&golden), ["linked.jsonl"]);
    assert_eq!(golden.cases()[0].suite.as_ref(), "linked");
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_read() {
    let golden = Golden::of(&[]);
    let socket = golden.path("a.jsonl");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    insta::assert_snapshot!(golden.messages(), @"
    golden/a.jsonl: not a regular file
      expected: a file, which is read twice
    ");
    insta::assert_snapshot!(golden.messages_of(&[Path::new("/dev/null").to_owned()]), @"
    /dev/null: not a golden file
      expected: a name that ends in .csv, .jsonl, .json, .yaml or .yml
      help: rename it, or move it out; only README files may stand beside golden files
    ");
}
