//! Holds the structure: who may import whom, and who may name which crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules in the order of the data's way; each may import only what stands in its list.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("secret", &["domain"]),
    ("git", &["domain"]),
    ("dataset", &["domain", "git"]),
    ("prompt", &["domain", "git"]),
    ("load", &["domain", "dataset"]),
    ("stats", &["domain"]),
    ("lint", &["domain"]),
    ("plan", &["domain"]),
    ("run", &["domain", "secret"]),
    ("store", &["domain"]),
    ("scoring", &["domain"]),
    ("compare", &["domain"]),
    ("gate", &["domain", "stats"]),
    ("report", &["domain", "exit", "secret"]),
    ("exit", &[]),
    ("error", &["domain", "exit", "store"]),
    ("config", &["domain", "plan", "run"]),
    (
        "pipeline",
        &[
            "domain", "stats", "git", "dataset", "prompt", "load", "lint", "plan", "run", "store", "scoring",
            "compare", "gate", "report", "config", "error", "exit",
        ],
    ),
    (
        "cli",
        &[
            "domain", "lint", "dataset", "prompt", "load", "plan", "run", "scoring", "report", "config", "error",
            "exit", "pipeline",
        ],
    ),
    ("main", &["cli"]),
];

/// Crates that only some modules may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("reqwest", &["run"]),
    ("google_cloud_auth", &["run/vertex"]),
    ("tokio", &["run", "store", "pipeline", "cli"]),
    (
        "rayon",
        &[
            "scoring",
            "compare",
            "report/diff",
            "stats/bootstrap",
            "gate/simulate",
            "gate/resample",
        ],
    ),
    ("junit_report", &["report/junit"]),
    ("clap", &["cli"]),
    ("rusqlite", &["store"]),
    ("handlebars", &["prompt"]),
    ("serde_saphyr", &["dataset", "prompt", "load", "scoring/matchers/yaml"]),
    ("csv", &["dataset", "scoring/matchers/csv_shape"]),
    ("serde_json_path", &["scoring/matchers/json_path"]),
    ("pulldown_cmark", &["scoring/matchers/markdown"]),
    ("url", &["scoring/matchers/grounding"]),
    ("roxmltree", &["scoring/matchers/xml"]),
    ("model2vec_rs", &["scoring/static_model"]),
    (
        "cel",
        &["scoring/matchers/expression", "scoring/matchers/expression_bounds"],
    ),
    ("rustix", &["scoring/command/process"]),
    ("getrandom", &["scoring/command/process"]),
    ("toml", &["config"]),
    ("statrs", &["compare", "gate", "stats"]),
    ("similar", &["report"]),
    ("indicatif", &["report/progress"]),
];

#[test]
fn imports_point_one_way() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        let top = module.split('/').next().unwrap();
        if top == "lib" {
            continue;
        }
        let Some(allowed) = allowed.get(top) else {
            wrong.push(format!("{path}: the module `{top}` has no place in the import rule"));
            continue;
        };
        for import in imports(&code) {
            if import != top && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{path} imports crate::{import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_are_named_only_where_they_belong() {
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        for (krate, modules) in MAY_NAME {
            let named = code.contains(&format!("{krate}::")) && names(&code, krate);
            let allowed = modules
                .iter()
                .any(|may| module == *may || module.starts_with(&format!("{may}/")));
            if named && !allowed {
                wrong.push(format!("{path} names {krate}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rule_sees_what_it_is_for() {
    assert_eq!(
        imports("use crate::load::x;\nlet y = crate::gate::z();"),
        ["load", "gate"]
    );
    assert_eq!(imports("use crate::{domain::A, error::B};"), ["domain", "error"]);
    assert!(names("use reqwest::Client;", "reqwest"));
    assert!(!names("use my_reqwest::Client;", "reqwest"));
    assert!(sources().len() > 30);
}

/// Every source file: its module path like `run/gemini/wire`, its path, and its code without comments.
fn sources() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let relative = path
                .strip_prefix(&root)
                .unwrap()
                .with_extension("")
                .to_string_lossy()
                .replace('\\', "/");
            let module = relative.strip_suffix("/mod").unwrap_or(&relative).to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            (module, format!("src/{relative}.rs"), code.join("\n"))
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The top modules named after `crate::`, in braces too.
fn imports(code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            for (at, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && !c.is_whitespace() => {
                        found.push(word(&list[at..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            found.push(word(rest));
        }
    }
    found
}

fn names(code: &str, krate: &str) -> bool {
    code.match_indices(&format!("{krate}::")).any(|(at, _)| {
        !code[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    })
}
