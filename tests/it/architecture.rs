//! Holds the structure: who may import whom, and who may name which crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules in the order of the data's way; each may import only what stands in its list.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("secret", &["model"]),
    ("load", &["model"]),
    ("lint", &["model"]),
    ("plan", &["model"]),
    ("run", &["model", "secret"]),
    ("store", &["model"]),
    ("score", &["model"]),
    ("compare", &["model"]),
    ("gate", &["model"]),
    ("report", &["model", "exit", "secret"]),
    ("sim", &["model"]),
    ("exit", &[]),
    ("error", &["model", "exit", "store"]),
    ("settings", &["model", "plan", "run"]),
    (
        "pipeline",
        &[
            "model", "load", "lint", "plan", "run", "store", "score", "compare", "gate", "report", "sim", "settings",
            "error", "exit",
        ],
    ),
    (
        "cli",
        &[
            "model", "lint", "load", "plan", "run", "score", "report", "sim", "settings", "error", "exit", "pipeline",
        ],
    ),
    ("main", &["cli"]),
];

/// Crates that only some modules may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("reqwest", &["run", "sim"]),
    ("axum", &["sim"]),
    ("google_cloud_auth", &["run/vertex"]),
    ("tokio", &["run", "sim", "store", "pipeline", "cli"]),
    (
        "rayon",
        &[
            "score",
            "compare",
            "report/diff",
            "gate/statistics/bootstrap",
            "gate/simulate",
            "gate/resample",
        ],
    ),
    ("junit_report", &["report/junit"]),
    ("clap", &["cli"]),
    ("rusqlite", &["store"]),
    ("handlebars", &["load/prompt"]),
    ("serde_saphyr", &["load", "score/matchers/yaml"]),
    ("csv", &["load/golden", "score/matchers/csv_shape"]),
    ("serde_json_path", &["score/matchers/json_path"]),
    ("pulldown_cmark", &["score/matchers/markdown"]),
    ("url", &["score/matchers/grounding"]),
    ("roxmltree", &["score/matchers/xml"]),
    ("model2vec_rs", &["score/static_model"]),
    (
        "cel",
        &["score/matchers/expression", "score/matchers/expression_bounds"],
    ),
    ("rustix", &["score/command/process"]),
    ("getrandom", &["score/command/process"]),
    ("toml", &["settings"]),
    ("statrs", &["compare", "gate"]),
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
    assert_eq!(imports("use crate::{model::A, error::B};"), ["model", "error"]);
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
