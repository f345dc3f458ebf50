//! From what the user typed, a name, a path or a revision, to a compiled prompt.

use super::disk::Folder;
use super::frontmatter::Document;
use super::git::Revision;
use super::manifest;
use super::prompt::Prompt;
use super::source::{EXTENSIONS, Shelf};
use super::template::{Partials, Template};
use super::text::Text;
use super::{lint, listed};
use crate::model::{Problem, Problems, nearest};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The prompts folder, and where the project's root is.
#[derive(Clone, Debug)]
pub struct Library {
    root: PathBuf,
    folder: PathBuf,
}

/// A reference, taken apart.
enum Target<'a> {
    Name(&'a str),
    Path(&'a str),
}

impl<'a> Target<'a> {
    fn parse(text: &'a str) -> Target<'a> {
        if text.contains('/') || EXTENSIONS.iter().any(|extension| text.ends_with(extension)) {
            Target::Path(text)
        } else {
            Target::Name(text)
        }
    }
}

impl Library {
    /// Neither folder needs to exist yet. A `folder` that is not absolute is below `root`.
    pub fn new(root: &Path, folder: &Path) -> Library {
        Library {
            root: root.to_owned(),
            folder: root.join(folder),
        }
    }

    /// Reads and compiles a prompt: NAME (`prompts/NAME.prompt`, then `.md`, `.txt`), a PATH below the root (it contains
    /// a `/` or ends in `.prompt`, `.md` or `.txt`), or `git:REV[:NAME]`, where NAME may be a path as well and is
    /// `default_name` when absent.
    ///
    /// # Errors
    /// There is no such prompt, or all mistakes in it and in its partials.
    pub fn open(&self, reference: &str, default_name: Option<&str>) -> Result<Prompt, Problems> {
        let (shelf, file) = match reference.strip_prefix("git:") {
            Some(rest) => self.at_revision(rest, default_name)?,
            None => self.on_disk(&Target::parse(reference))?,
        };
        let Some(source) = shelf.read(&file)? else {
            return Err(Problem::new(format!("there is no prompt file `{}`", shelf.shown(&file))).into());
        };
        compile(reference, &shelf, &file, source)
    }

    /// Names of all prompts in the folder, sorted. Partials (`_name.prompt`) are none.
    ///
    /// # Errors
    /// The folder can't be listed.
    pub fn names(&self) -> Result<Vec<String>, Problem> {
        Shelf::Disk(self.prompts_folder()?).prompt_names()
    }

    fn prompts_folder(&self) -> Result<Folder, Problem> {
        let below = self.folder.strip_prefix(&self.root);
        let shown = below.unwrap_or(&self.folder).to_string_lossy().into_owned();
        self.folder_at(&self.folder, shown)
    }

    fn folder_at(&self, path: &Path, shown: String) -> Result<Folder, Problem> {
        let climbs = path.components().any(|part| part == Component::ParentDir);
        let confines = if path.starts_with(&self.root) && !climbs {
            &self.root
        } else {
            path
        };
        let confines = std::fs::canonicalize(confines).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Problem::new(format!("there is no folder `{}`", confines.display())),
            _ => Problem::new(format!("the folder `{}` can't be read: {error}", confines.display())),
        })?;
        Ok(Folder::new(path.to_owned(), confines, shown))
    }

    fn on_disk(&self, target: &Target<'_>) -> Result<(Shelf, String), Problem> {
        match target {
            Target::Name(name) => {
                let shelf = Shelf::Disk(self.prompts_folder()?);
                let file = find(&shelf, name)?;
                Ok((shelf, file))
            }
            Target::Path(path) => {
                let (folder, file) = split_path(path)?;
                let shelf = Shelf::Disk(self.folder_at(&self.root.join(folder), folder.to_owned())?);
                if shelf.read(file)?.is_none() {
                    return Err(self.no_file(path, file));
                }
                Ok((shelf, file.to_owned()))
            }
        }
    }

    fn no_file(&self, path: &str, file: &str) -> Problem {
        let problem = Problem::new(format!("there is no file `{path}`"));
        let stem = EXTENSIONS
            .iter()
            .find_map(|extension| file.strip_suffix(extension))
            .unwrap_or(file);
        match self.names() {
            Ok(names) => match nearest(stem, names.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean the prompt `{near}`?")),
                None => problem,
            },
            Err(_) => problem,
        }
    }

    fn at_revision(&self, rest: &str, default_name: Option<&str>) -> Result<(Shelf, String), Problem> {
        let (rev, name) = match rest.split_once(':') {
            Some((rev, name)) => (rev, Some(name)),
            None => (rest, default_name),
        };
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(Problem::new(format!("`git:{rest}` names no prompt")).expected("git:REV:NAME"));
        };
        match Target::parse(name) {
            Target::Name(name) => {
                let Ok(below) = self.folder.strip_prefix(&self.root) else {
                    return Err(Problem::new(
                        "the prompts folder is outside of the project, so it has no revisions",
                    ));
                };
                let shelf = Shelf::Git(Revision::open(&self.root, rev, &below.to_string_lossy())?);
                let file = find(&shelf, name)?;
                Ok((shelf, file))
            }
            Target::Path(path) => {
                if Path::new(path).is_absolute() {
                    return Err(Problem::new(format!("`{path}` at a revision is an absolute path"))
                        .expected("a path below the project's root"));
                }
                let (folder, file) = split_path(path)?;
                let shelf = Shelf::Git(Revision::open(&self.root, rev, folder)?);
                if shelf.read(file)?.is_none() {
                    let names = shelf.prompt_names()?;
                    return Err(unknown(
                        &format!("there is no `{path}` at revision `{rev}`"),
                        file,
                        &names,
                    ));
                }
                Ok((shelf, file.to_owned()))
            }
        }
    }
}

/// Folder (empty, or with `/` at its end) and file.
fn split_path(path: &str) -> Result<(&str, &str), Problem> {
    let (folder, file) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
    if !EXTENSIONS.iter().any(|extension| file.ends_with(extension)) {
        return Err(
            Problem::new(format!("`{path}` is not a prompt file")).expected("a path that ends in .prompt, .md or .txt")
        );
    }
    Ok((folder, file))
}

/// The file of a prompt's name.
fn find(shelf: &Shelf, name: &str) -> Result<String, Problem> {
    if name.is_empty() {
        return Err(Problem::new("the prompt's name is empty").expected("a name like `v2`"));
    }
    if name.starts_with('_') {
        return Err(Problem::new(format!("`{name}` is a partial, not a prompt")));
    }
    let names = shelf.prompt_names()?;
    if !names.iter().any(|known| known == name) {
        let message = format!("there is no prompt `{name}` in {}", shelf.shown_folder());
        return Err(unknown(&message, name, &names));
    }
    for extension in EXTENSIONS {
        let file = format!("{name}{extension}");
        if shelf.read(&file)?.is_some() {
            return Ok(file);
        }
    }
    Err(Problem::new(format!(
        "the file of prompt `{name}` in {} can't be found: a broken link?",
        shelf.shown_folder()
    )))
}

fn unknown(message: &str, name: &str, names: &[String]) -> Problem {
    let problem = Problem::new(message);
    let problem = match names {
        [] => problem.expected("a file `NAME.prompt`; there is none yet"),
        names => problem.expected(format!("one of {}", listed(names))),
    };
    problem.did_you_mean(name, names.iter().map(String::as_str))
}

fn compile(reference: &str, shelf: &Shelf, file: &str, source: String) -> Result<Prompt, Problems> {
    let shown: Arc<str> = shelf.shown(file).into();
    let source: Arc<str> = source.into();
    let is_dotprompt = file.ends_with(".prompt");
    let mut problems = Problems::default();
    let document = if is_dotprompt {
        Document::parse(&shown, &source)?
    } else {
        Document::without_front_matter(&source)
    };
    let manifest = manifest::read(&document, &mut problems);
    let text = Text {
        file: Arc::clone(&shown),
        source,
        body: document.body,
    };
    match Template::compile(text, &Beside { shelf }) {
        Ok(template) => {
            problems.extend(out_of_reach(&template, is_dotprompt));
            problems.or(())?;
            Ok(Prompt::new(reference, template, manifest))
        }
        Err(found) => {
            problems.append(found);
            Err(problems)
        }
    }
}

/// What dotprompt knows and a golden case can't give.
fn out_of_reach(template: &Template, is_dotprompt: bool) -> Vec<Problem> {
    let mut problems: Vec<Problem> = template
        .context_variables()
        .map(|(name, place)| {
            Problem::at(
                place.clone(),
                format!("`{name}` is a context variable, and a golden case has none"),
            )
            .expected("a variable of the case, like `{{question}}`")
        })
        .collect();
    for helper in ["role", "history"] {
        if let Some(place) = template.call_of(helper).filter(|_| !is_dotprompt) {
            problems.push(
                Problem::at(
                    place.clone(),
                    format!("`{helper}` in a prompt that is one user message"),
                )
                .hint("call the file NAME.prompt"),
            );
        }
    }
    problems
}

/// The partials beside a prompt.
struct Beside<'a> {
    shelf: &'a Shelf,
}

impl Partials for Beside<'_> {
    fn load(&self, name: &str) -> Result<Option<Text>, Problem> {
        if !lint::is_partial_name(name) {
            return Ok(None);
        }
        let file = format!("_{name}.prompt");
        let Some(source) = self.shelf.read(&file)? else {
            return Ok(None);
        };
        let file: Arc<str> = self.shelf.shown(&file).into();
        // Its front matter belongs to dotprompt's other users; a partial has only text to give.
        let body = Document::parse(&file, &source)?.body;
        Ok(Some(Text {
            file,
            source: source.into(),
            body,
        }))
    }

    fn names(&self) -> Vec<String> {
        self.shelf.partial_names()
    }
}
