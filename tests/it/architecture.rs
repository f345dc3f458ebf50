//! Holds the structure: who may import whom, and who may name which crate.

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules in the order of the data's way; each may import only what stands in its list.
const MAY_IMPORT: &[(&str, &str)] = &[
    ("domain", ""),
    ("secret", "domain"),
    ("git", "domain"),
    ("json", ""),
    ("dataset", "domain git json"),
    ("prompt", "domain git"),
    ("stats", "domain"),
    ("lint", "domain"),
    ("plan", "domain"),
    ("provider", "domain secret"),
    ("runner", "domain provider"),
    ("store", "domain"),
    ("scoring", "domain json"),
    ("compare", "domain"),
    ("gate", "domain stats"),
    ("report", "domain exit secret"),
    ("exit", ""),
    ("error", "domain exit store"),
    ("config", "domain plan provider runner"),
    (
        "eval",
        "domain stats git dataset prompt lint plan provider runner store scoring compare gate report \
         config error exit",
    ),
    (
        "commands",
        "domain stats git dataset prompt lint plan provider runner store scoring compare gate report \
         config error exit eval",
    ),
    ("cli", "domain lint dataset prompt plan provider runner scoring report config error exit eval commands"),
    ("main", "cli"),
];

const MAY_NAME: &[(&str, &[&str])] = &[
    ("reqwest", &["provider"]),
    ("google_cloud_auth", &["provider/vertex"]),
    ("rustls", &["provider/tls"]),
    ("tokio", &["provider", "runner", "store", "eval", "commands", "cli"]),
    ("rayon", &["scoring", "compare", "report/diff", "gate/simulate", "gate/aa_test"]),
    ("junit_report", &["report/junit"]),
    ("clap", &["cli", "config/arguments"]),
    ("rusqlite", &["store"]),
    ("handlebars", &["prompt"]),
    ("diagnostics", &["domain", "dataset", "prompt"]),
    ("serde_saphyr", &["dataset", "prompt", "scoring/matchers/yaml"]),
    ("csv", &["dataset", "scoring/matchers/csv_shape"]),
    ("serde_json_path", &["scoring/matchers/json_path"]),
    ("pulldown_cmark", &["scoring/matchers/markdown"]),
    ("url", &["scoring/matchers/grounding"]),
    ("roxmltree", &["scoring/matchers/xml"]),
    ("model2vec_rs", &["scoring/static_model"]),
    ("cel", &["scoring/matchers/expression"]),
    ("rustix", &["scoring/command/process"]),
    ("getrandom", &["scoring/command/process"]),
    ("toml", &["config", "eval/lock"]),
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
        // Tests may put stages together.
        if top == "lib" || module.contains("/tests/") {
            continue;
        }
        let Some(allowed) = allowed.get(top) else {
            wrong.push(format!("{path}: the module `{top}` has no place in the import rule"));
            continue;
        };
        for import in imports(&code) {
            if import != top && !allowed.split(' ').any(|other| other == import) {
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
            let allowed = modules.iter().any(|may| module == *may || module.starts_with(&format!("{may}/")));
            if named && !allowed {
                wrong.push(format!("{path} names {krate}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = package_roots().into_iter().flat_map(|root| Modules::read(&root).circles());
    let circles: Vec<String> = circles.map(|circle| circle.join(", ")).collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn circles_are_seen_through_use_trees_paths_and_reexports() {
    let circles = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(path, code)| ((*path).to_owned(), (*code).to_owned()));
        Modules::new(files.collect()).circles()
    };
    let siblings = [("a/x", "use super::{y::Y, z};"), ("a/y", "use crate::a::x::X;"), ("a/z", ""), ("a", "mod x;")];
    assert_eq!(circles(&siblings), [["a/x", "a/y"]]);
    let paths =
        [("a/x", "fn f() { super::y::g() }"), ("a/y", "fn g() { super::super::a::x::f() }"), ("a", ""), ("", "")];
    assert_eq!(circles(&paths), [["a/x", "a/y"]]);
    let reexported = [("a", "pub use x::X;\nmod x;"), ("a/x", "use crate::b::B;"), ("b", "use crate::a::X;")];
    assert_eq!(circles(&reexported), [["a/x", "b"]]);
    let family =
        [("a", "use self::x::X;"), ("a/x", "use super::A;\n#[cfg(test)]\nmod tests { use crate::b::B; }"), ("b", "")];
    assert!(circles(&family).is_empty());
    let comments = [("a", "// crate::b::B\nlet text = \"crate::b::B\";"), ("b", "use crate::a::A;")];
    assert!(circles(&comments).is_empty());
}

#[test]
fn the_rule_sees_what_it_is_for() {
    assert_eq!(imports("use crate::load::x;\nlet y = crate::gate::z();"), ["load", "gate"]);
    assert_eq!(imports("use crate::{domain::A, error::B};"), ["domain", "error"]);
    assert!(names("use reqwest::Client;", "reqwest"));
    assert!(!names("use my_reqwest::Client;", "reqwest"));
    assert!(sources().len() > 30);
}

/// Every source file of the package: its module path like `run/gemini/wire`, its path, and its code without comments.
fn sources() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&root).into_iter().map(|(module, path, text)| {
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        (module, path, code.join("\n"))
    });
    files.collect()
}

/// Folders whose files are one crate each.
fn package_roots() -> Vec<String> {
    let members = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("crates")).unwrap();
    let members = members.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    let members = members.map(|entry| format!("crates/{}/src", entry.file_name().display()));
    std::iter::once("src".to_owned()).chain(members).collect()
}

/// The module path, the path and the text of every Rust file below `root`. A crate's own root file has an empty module path,
/// but for the package's.
fn rust_files(root: &Path) -> Vec<(String, String, String)> {
    let mut files = Vec::new();
    walk(root, &mut files);
    files.sort();
    let described = files.into_iter().map(|path| {
        let relative = path.strip_prefix(root).unwrap().with_extension("");
        let relative = relative.to_string_lossy().replace('\\', "/");
        let module = relative.strip_suffix("/mod").unwrap_or(&relative).to_owned();
        let text = fs::read_to_string(&path).unwrap();
        (module, format!("src/{relative}.rs"), text)
    });
    described.collect()
}

/// Files of one crate, and what each imports.
struct Modules {
    /// Code without comments, texts and tests, by module path; that of the root is empty.
    code: BTreeMap<String, String>,
    /// What modules publish of others: the name, and the path it stands for.
    reexports: BTreeMap<(String, String), Vec<String>>,
    imports: BTreeMap<String, Vec<Vec<String>>>,
}

impl Modules {
    fn read(root: &str) -> Modules {
        let files = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root)).into_iter();
        let files = files.filter(|(module, ..)| !is_test(module));
        Modules::new(files.map(|(module, _, text)| (module, text)).collect())
    }

    fn new(files: Vec<(String, String)>) -> Modules {
        let inline_tests = Regex::new(r"(?m)^#\[cfg\(test\)\]\nmod \w+ \{").unwrap();
        let noise = Regex::new(r##"r#"[\s\S]*?"#|"(?:\\.|[^"\\])*"|//[^\n]*"##).unwrap();
        let usage = Regex::new(r"(pub(?:\([\w: ]+\))?\s+)?\buse\s+([^;]+);").unwrap();
        let path = Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").unwrap();
        let mut modules = Modules { code: BTreeMap::new(), reexports: BTreeMap::new(), imports: BTreeMap::new() };
        for (module, text) in files {
            let module = if matches!(module.as_str(), "lib" | "main") { String::new() } else { module };
            let product = inline_tests.split(&text).next().unwrap_or_default();
            let code = noise.replace_all(product, "").into_owned();
            let mut imports = Vec::new();
            for found in usage.captures_iter(&code) {
                for path in expand(&found[2]) {
                    let names: Vec<String> = path.split("::").map(|name| name.trim().to_owned()).collect();
                    if let Some(last) = names.last().filter(|_| found.get(1).is_some()) {
                        modules.reexports.insert((module.clone(), last.clone()), names.clone());
                    }
                    imports.push(names);
                }
            }
            let body = usage.replace_all(&code, "");
            imports.extend(path.find_iter(&body).map(|path| path.as_str().split("::").map(str::to_owned).collect()));
            modules.imports.insert(module.clone(), imports);
            modules.code.insert(module, code);
        }
        modules
    }

    /// The file that defines what a path in a module names, through what others publish; `None` where it is not of this crate.
    fn file_of(&self, module: &str, names: &[String], depth: u32) -> Option<String> {
        let mut names = names;
        let mut here = match names.first()?.as_str() {
            "crate" => String::new(),
            "super" | "self" => module.to_owned(),
            first if self.code.contains_key(&inside(module, first)) => module.to_owned(),
            _ => return None,
        };
        while let [first, rest @ ..] = names
            && matches!(first.as_str(), "crate" | "super" | "self")
        {
            if first == "super" {
                here = here.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
            }
            names = rest;
        }
        while let [first, rest @ ..] = names
            && self.code.contains_key(&inside(&here, first))
        {
            here = inside(&here, first);
            names = rest;
        }
        let published = names.first().and_then(|name| self.reexports.get(&(here.clone(), name.clone())));
        match published {
            Some(path) if depth < 8 => self.file_of(&here, path, depth + 1).or(Some(here)),
            Some(_) | None => Some(here),
        }
    }

    /// Groups of files that reach each other; a parent and what is inside it may.
    fn circles(&self) -> Vec<Vec<String>> {
        let mut edges: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (module, imports) in &self.imports {
            let targets = imports.iter().filter_map(|names| self.file_of(module, names, 0));
            let others = targets.filter(|target| !is_within(target, module) && !is_within(module, target));
            edges.insert(module, others.filter(|target| self.code.contains_key(target)).collect());
        }
        let reached = |from| {
            let mut reached: BTreeSet<&str> = BTreeSet::new();
            let mut open = vec![from];
            while let Some(module) = open.pop() {
                open.extend(edges[module].iter().map(String::as_str).filter(|next| reached.insert(next)));
            }
            reached
        };
        let reach: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|module| (*module, reached(module))).collect();
        let mut circles = BTreeSet::new();
        for (module, reached) in &reach {
            let circle: Vec<String> = reached
                .iter()
                .filter(|other| reach[**other].contains(module))
                .map(|other| (*other).to_owned())
                .collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }
}

fn is_test(module: &str) -> bool {
    let name = module.rsplit('/').next().unwrap_or_default();
    module.split('/').any(|part| part == "tests") || name.ends_with("_tests") || ["testing", "fixtures"].contains(&name)
}

fn inside(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}/{name}") }
}

/// The module is the other, or inside it.
fn is_within(module: &str, outer: &str) -> bool {
    outer.is_empty() || module == outer || module.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Paths of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let (Some(open), Some(close)) = (tree.find('{'), tree.rfind('}')) else {
        return vec![tree.split(" as ").next().unwrap_or_default().to_owned()];
    };
    let (mut paths, mut depth, mut start) = (Vec::new(), 0, open + 1);
    for (at, c) in tree[..=close].char_indices().skip_while(|(at, _)| *at <= open) {
        match c {
            '{' => depth += 1,
            '}' if at < close => depth -= 1,
            ',' | '}' if depth == 0 => {
                if !tree[start..at].trim().is_empty() {
                    paths.extend(expand(&tree[start..at]).iter().map(|path| format!("{}{path}", &tree[..open])));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    paths
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
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
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
        !code[..at].chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    })
}
