//! From what the user typed, a name, a path or a revision, to a compiled prompt.

use super::content::Content;
use super::disk::{DiskFolder, unreadable_folder};
use super::frontmatter::Document;
use super::git::GitFolder;
use super::manifest;
use super::source::{EXTENSIONS, PromptSource};
use super::template::{Partials, Template};
use super::text::Text;
use super::version::Prompt;
use super::{lint, listed};
use crate::domain::{Problem, Problems, nearest};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Library {
    root: PathBuf,
    folder: PathBuf,
}

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
    /// `folder` is that of the prompts, with or without `root` before it. Neither needs to exist yet.
    pub fn new(root: &Path, folder: &Path) -> Library {
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let folder = if folder.starts_with(root) { folder.to_owned() } else { root.join(folder) };
        Library { root: root.to_owned(), folder }
    }

    /// Reads and compiles a prompt: NAME (`prompts/NAME.prompt`, then `.md`, `.txt`), a PATH below the root (it contains
    /// a `/` or ends in `.prompt`, `.md` or `.txt`), or `git:REV[:NAME]`, where NAME may be a path as well and is
    /// `default_name` when absent.
    ///
    /// # Errors
    /// There is no such prompt, or all mistakes in it and in its partials.
    pub fn open(&self, reference: &str, default_name: Option<&str>) -> Result<Prompt, Problems> {
        let (source, file) = match reference.strip_prefix("git:") {
            Some(rest) => self.at_revision(rest, default_name)?,
            None => self.on_disk(&Target::parse(reference))?,
        };
        let Some(content) = source.read(&file)? else {
            return Err(Problem::new(format!("there is no prompt file `{}`", source.shown(&file))).into());
        };
        compile(reference, &source, &file, content)
    }

    /// Compiles a prompt that promptgate itself brings along.
    pub fn builtin(name: &str, source: &str) -> Result<Prompt, Problems> {
        compile(name, &PromptSource::Builtin, &format!("{name}.prompt"), Content::of(source))
    }

    /// Names of all prompts in the folder, sorted. Partials (`_name.prompt`) are none.
    pub fn names(&self) -> Result<Vec<String>, Problem> {
        PromptSource::Disk(self.prompts_folder()?).prompt_names()
    }

    fn prompts_folder(&self) -> Result<DiskFolder, Problem> {
        let below = self.folder.strip_prefix(&self.root);
        let shown = below.unwrap_or(&self.folder).to_string_lossy().into_owned();
        self.folder_at(&self.folder, shown)
    }

    fn folder_at(&self, path: &Path, shown: String) -> Result<DiskFolder, Problem> {
        let climbs = path.components().any(|part| part == Component::ParentDir);
        let confines = if path.starts_with(&self.root) && !climbs { &self.root } else { path };
        let confines = std::fs::canonicalize(confines)
            .map_err(|error| unreadable_folder(&confines.display().to_string(), &error))?;
        Ok(DiskFolder::new(path.to_owned(), confines, shown))
    }

    fn on_disk(&self, target: &Target<'_>) -> Result<(PromptSource, String), Problem> {
        match target {
            Target::Name(name) => {
                let source = PromptSource::Disk(self.prompts_folder()?);
                let file = find(&source, name)?;
                Ok((source, file))
            }
            Target::Path(path) => {
                let (folder, file) = split_path(path)?;
                let source = PromptSource::Disk(self.folder_at(&self.root.join(folder), folder.to_owned())?);
                if source.read(file)?.is_none() {
                    return Err(self.no_file(path, file));
                }
                Ok((source, file.to_owned()))
            }
        }
    }

    fn no_file(&self, path: &str, file: &str) -> Problem {
        let problem = Problem::new(format!("there is no file `{path}`"));
        let stem = EXTENSIONS.iter().find_map(|extension| file.strip_suffix(extension)).unwrap_or(file);
        match self.names() {
            Ok(names) => match nearest(stem, names.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean the prompt `{near}`?")),
                None => problem,
            },
            Err(_) => problem,
        }
    }

    fn at_revision(&self, rest: &str, default_name: Option<&str>) -> Result<(PromptSource, String), Problem> {
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
                    return Err(Problem::new("the prompts folder is outside of the project, so it has no revisions"));
                };
                let source = PromptSource::Git(GitFolder::open(&self.root, rev, &below.to_string_lossy())?);
                let file = find(&source, name)?;
                Ok((source, file))
            }
            Target::Path(path) => {
                if Path::new(path).is_absolute() {
                    return Err(Problem::new(format!("`{path}` at a revision is an absolute path"))
                        .expected("a path below the project's root"));
                }
                let (folder, file) = split_path(path)?;
                let source = PromptSource::Git(GitFolder::open(&self.root, rev, folder)?);
                if source.read(file)?.is_none() {
                    let names = source.prompt_names()?;
                    return Err(unknown(&format!("there is no `{path}` at revision `{rev}`"), file, &names));
                }
                Ok((source, file.to_owned()))
            }
        }
    }
}

/// DiskFolder (empty, or with `/` at its end) and file.
fn split_path(path: &str) -> Result<(&str, &str), Problem> {
    let (folder, file) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
    if !EXTENSIONS.iter().any(|extension| file.ends_with(extension)) {
        return Err(
            Problem::new(format!("`{path}` is not a prompt file")).expected("a path that ends in .prompt, .md or .txt")
        );
    }
    Ok((folder, file))
}

fn find(source: &PromptSource, name: &str) -> Result<String, Problem> {
    if name.is_empty() {
        return Err(Problem::new("the prompt's name is empty").expected("a name like `v2`"));
    }
    if name.starts_with('_') {
        return Err(Problem::new(format!("`{name}` is a partial, not a prompt")));
    }
    let names = source.prompt_names()?;
    if !names.iter().any(|known| known == name) {
        let message = format!("there is no prompt `{name}` in {}", source.shown_folder());
        return Err(unknown(&message, name, &names));
    }
    for extension in EXTENSIONS {
        let file = format!("{name}{extension}");
        if source.read(&file)?.is_some() {
            return Ok(file);
        }
    }
    Err(Problem::new(format!(
        "the file of prompt `{name}` in {} can't be found: a broken link?",
        source.shown_folder()
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

fn compile(reference: &str, source: &PromptSource, file: &str, content: Content) -> Result<Prompt, Problems> {
    let shown: Arc<str> = source.shown(file).into();
    let text: Arc<str> = content.text.into();
    let is_dotprompt = file.ends_with(".prompt");
    let mut problems = Problems::default();
    let document = if is_dotprompt { Document::parse(&shown, &text)? } else { Document::without_front_matter(&text) };
    let manifest = manifest::read(&document, &mut problems);
    let text = Text { file: Arc::clone(&shown), source: text, body: document.body };
    match Template::compile(text, &SiblingPartials { source }) {
        Ok(template) => {
            problems.extend(out_of_reach(&template, is_dotprompt));
            problems.or(())?;
            Ok(Prompt::new(reference, content.sha256, template, manifest))
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
            Problem::at(place.clone(), format!("`{name}` is a context variable, and a golden case has none"))
                .expected("a variable of the case, like `{{question}}`")
        })
        .collect();
    for helper in ["role", "history"] {
        if let Some(place) = template.call_of(helper).filter(|_| !is_dotprompt) {
            problems.push(
                Problem::at(place.clone(), format!("`{helper}` in a prompt that is one user message"))
                    .hint("call the file NAME.prompt"),
            );
        }
    }
    problems
}

struct SiblingPartials<'a> {
    source: &'a PromptSource,
}

impl Partials for SiblingPartials<'_> {
    fn load(&self, name: &str) -> Result<Option<Text>, Problem> {
        if !lint::is_partial_name(name) {
            return Ok(None);
        }
        let file = format!("_{name}.prompt");
        let Some(Content { text: source, .. }) = self.source.read(&file)? else {
            return Ok(None);
        };
        let file: Arc<str> = self.source.shown(&file).into();
        // Its front matter belongs to dotprompt's other users; a partial has only text to give.
        let body = Document::parse(&file, &source)?.body;
        Ok(Some(Text { file, source: source.into(), body }))
    }

    fn names(&self) -> Vec<String> {
        self.source.partial_names()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Project, refused};
    use super::*;

    #[test]
    fn the_folder_may_be_given_with_or_without_the_root() {
        for (root, folder, expected) in [
            ("", "prompts", "./prompts"),
            (".", "./prompts", "./prompts"),
            ("a", "a/prompts", "a/prompts"),
            ("a", "prompts", "a/prompts"),
            ("/a", "/a/prompts", "/a/prompts"),
            ("/a", "/b", "/b"),
        ] {
            let library = Library::new(Path::new(root), Path::new(folder));
            assert_eq!(library.folder, Path::new(expected), "{root} {folder}");
        }
    }

    #[test]
    fn names_paths_and_kinds() {
        let project = Project::new(&[
            ("prompts/v2.prompt", "two"),
            ("prompts/v2.md", "two, as text"),
            ("prompts/old.md", "old {{question}}"),
            ("prompts/plain.txt", "---\nnot front matter\n---"),
            ("prompts/README.md", "about"),
            ("prompts/_part.prompt", "part"),
            ("prompts/notes.json", "{}"),
            ("elsewhere/x.prompt", "x {{> here}}"),
            ("elsewhere/_here.prompt", "---\nmodel: m\n---\nhere"),
        ]);
        assert_eq!(project.library().names().unwrap(), ["old", "plain", "v2"]);
        let opened = |reference: &str| {
            let prompt = project.open(reference).unwrap();
            (prompt.name.clone(), prompt.path.clone(), prompt.source.to_string())
        };
        let expect = |name: &str, path: &str, source: &str| (name.to_owned(), path.to_owned(), source.to_owned());
        assert_eq!(opened("v2"), expect("v2", "prompts/v2.prompt", "two"));
        assert_eq!(opened("old"), expect("old", "prompts/old.md", "old {{question}}"));
        assert_eq!(opened("prompts/v2.md"), expect("prompts/v2.md", "prompts/v2.md", "two, as text"));
        assert_eq!(opened("plain").2, "---\nnot front matter\n---");
        assert_eq!(opened("elsewhere/x.prompt").1, "elsewhere/x.prompt");
        let absolute = project.path("prompts/v2.prompt").display().to_string();
        assert_eq!(opened(&absolute).1, absolute);
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let project = Project::new(&[("prompts/v2.prompt", "two"), ("prompts/_part.prompt", "part")]);
        insta::assert_snapshot!(project.refused("v3"), @r"
        there is no prompt `v3` in `prompts`
          expected: one of `v2`
          help: did you mean `v2`?
        ");
        insta::assert_snapshot!(project.refused(""), @r"
        the prompt's name is empty
          expected: a name like `v2`
        ");
        insta::assert_snapshot!(project.refused("_part"), @"`_part` is a partial, not a prompt");
        insta::assert_snapshot!(project.refused("v2.prompt"), @r"
        there is no file `v2.prompt`
          help: did you mean the prompt `v2`?
        ");
        insta::assert_snapshot!(project.refused("prompts/nothing.md"), @"there is no file `prompts/nothing.md`");
        insta::assert_snapshot!(project.refused("prompts/v2"), @r"
        `prompts/v2` is not a prompt file
          expected: a path that ends in .prompt, .md or .txt
        ");
        insta::assert_snapshot!(project.refused("nowhere/v2.prompt"), @r"
        there is no file `nowhere/v2.prompt`
          help: did you mean the prompt `v2`?
        ");
        insta::assert_snapshot!(Project::new(&[]).refused("v1"), @r"
        there is no prompt `v1` in `prompts`
          expected: a file `NAME.prompt`; there is none yet
        ");
        let bare = Project { root: tempfile::tempdir().unwrap() };
        insta::assert_snapshot!(bare.refused("v1"), @r"
        there is no folder `prompts`
          expected: a folder with prompt files, `NAME.prompt`
        ");
    }

    #[test]
    fn files_that_are_no_text_are_refused() {
        let project = Project::new(&[]);
        project.write("prompts/latin.prompt", b"one\nna\xefve");
        project.write("prompts/huge.prompt", vec![b'a'; (8 << 20) + 1]);
        std::fs::create_dir(project.path("prompts/folder.prompt")).unwrap();
        insta::assert_snapshot!(project.refused("latin"), @r"
        prompts/latin.prompt:2:3: the file is not valid UTF-8
          expected: text in UTF-8
        ");
        insta::assert_snapshot!(project.refused("huge"), @r"
        prompts/huge.prompt: the file is larger than 8 MiB
          expected: a prompt
        ");
        insta::assert_snapshot!(project.refused("folder"), @r"
        prompts/folder.prompt: this is a folder
          expected: a prompt file
        ");
        project.write("prompts/bom.prompt", b"\xef\xbb\xbf---\nmodel: m\n---\nHello");
        assert_eq!(project.open("bom").unwrap().model.as_deref(), Some("m"));
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_project_are_refused() {
        let outside = Project::new(&[("prompts/secret.prompt", "secret"), ("prompts/_secret.prompt", "secret")]);
        let project = Project::new(&[("inside.prompt", "inside"), ("prompts/p.prompt", "{{> out}}")]);
        let link = |from: PathBuf, to: &str| std::os::unix::fs::symlink(from, project.path(to)).unwrap();
        link(outside.path("prompts/secret.prompt"), "prompts/out.prompt");
        link(outside.path("prompts/_secret.prompt"), "prompts/_out.prompt");
        link(project.path("inside.prompt"), "prompts/in.prompt");
        link(project.path("nowhere"), "prompts/broken.prompt");
        assert!(project.open("in").is_ok());
        insta::assert_snapshot!(project.refused("out"), @r"
        prompts/out.prompt: the file is a symbolic link out of the project
          expected: a file inside the project's folder
        ");
        insta::assert_snapshot!(project.refused("p"), @r"
        prompts/_out.prompt: the file is a symbolic link out of the project
          expected: a file inside the project's folder
        ");
        insta::assert_snapshot!(project.refused("broken"), @"the file of prompt `broken` in `prompts` can't be found: a broken link?");
    }

    #[test]
    fn front_matter_is_strict() {
        let text = "---\nmodle: m\nteam.owner: x\nconfig: 7\ninput:\n  defaults: {a: 1}\n  schema: string\noutput:\n  format: xml\n\
                    tools: [search, {description: d}, {name: f, parameter: 1}]\nmodel: 7\n---\nHello";
        insta::assert_snapshot!(refused(text));
        insta::assert_snapshot!(refused("---\ninput:\n  schema:\n    a: strin\n    b(object):\n      c: x\n---\nHello"), @r"
        prompts/p.prompt:4:5: unknown type `strin`
          expected: string, number, integer, boolean, null or any; a list is written `field(array): type`
          help: did you mean `string`?
        ");
        insta::assert_snapshot!(refused("---\noutput:\n  schema:\n    type: object\n    properties: {a: {type: 7}}\n---\nHello"), @r"
        prompts/p.prompt:5:22: not a valid json schema: value is not valid under any of the schemas listed in the 'anyOf' keyword
          expected: JSON Schema, or fields like `name: string, what it means`
        ");
        insta::assert_snapshot!(refused("---\noutput:\n  format: text\n  schema: string\n---\nHello"), @r"
        prompts/p.prompt:3:3: `output.format` is text, but there is an `output.schema`
          expected: format `json`, or no schema
        ");
        insta::assert_snapshot!(refused("---\nmodel: a\nmodel: b\n---\nHello"), @"prompts/p.prompt:3:1: the front matter is not valid yaml: duplicate mapping key `model` is not allowed here");
        insta::assert_snapshot!(refused("---\nmodel: a\nHello"), @r"
        prompts/p.prompt:1:1: the front matter is never closed
          expected: a second line `---` between front matter and template
        ");
        insta::assert_snapshot!(refused("---\ntoolDefs: [{name: f}]\ntools: [f, {name: f}]\n---\nHello"), @r"
        prompts/p.prompt:3:12: tool `f` is defined twice
          expected: one definition
        ");
    }

    #[test]
    fn what_a_case_cannot_give_is_refused() {
        let project = Project::new(&[
            (
                "prompts/c.prompt",
                "{{#each a}}{{@index}}{{/each}}\n{{@auth.email}} {{json @root}} {{#if @state.x}}{{/if}}",
            ),
            ("prompts/r.md", "{{role \"system\"}}x{{history}}"),
        ]);
        insta::assert_snapshot!(project.refused("c"), @r"
        prompts/c.prompt:2:3: `@auth` is a context variable, and a golden case has none
          expected: a variable of the case, like `{{question}}`
        prompts/c.prompt:2:38: `@state` is a context variable, and a golden case has none
          expected: a variable of the case, like `{{question}}`
        ");
        insta::assert_snapshot!(project.refused("r"), @r"
        prompts/r.md:1:1: `role` in a prompt that is one user message
          help: call the file NAME.prompt
        prompts/r.md:1:19: `history` in a prompt that is one user message
          help: call the file NAME.prompt
        ");
    }
}
