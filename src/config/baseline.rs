//! The `baseline` of promptgate.toml, read and replaced without touching anything else in the file.

use crate::domain::{Place, Problem};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::{Spanned, Value};

#[derive(Clone, Debug)]
pub struct BaselineFile {
    path: PathBuf,
    shown: String,
    text: String,
    exists: bool,
    current: Option<(String, Range<usize>)>,
    insert: usize,
    min_pass_rate: bool,
}

impl BaselineFile {
    /// Reads the file; `shown` is its name for people. One that is not there is empty.
    pub fn read(root: &Path, shown: &str) -> Result<BaselineFile, Problem> {
        let path = root.join(shown);
        let whole = || Place::file(shown);
        let unreadable = |error: io::Error| Problem::at(whole(), format!("can't be read: {error}"));
        let exists = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.file_type().is_symlink() => {
                return Err(Problem::at(whole(), "the settings file is a symbolic link, which is not written through")
                    .expected("a file")
                    .hint("name the file itself with --config, or set `baseline` by hand"));
            }
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(unreadable(error)),
        };
        let text = if exists { fs::read_to_string(&path).map_err(unreadable)? } else { String::new() };
        let table: BTreeMap<Spanned<String>, Spanned<Value>> = toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().trim_end_matches('.').to_owned();
            Problem::at(Place::of_offset(shown, &text, at), message)
        })?;
        let mut file = BaselineFile {
            path,
            shown: shown.to_owned(),
            exists,
            current: None,
            insert: 0,
            min_pass_rate: false,
            text: String::new(),
        };
        for (name, value) in &table {
            let span = value.span();
            match name.get_ref().as_str() {
                "baseline" => {
                    let written = text.get(span.clone()).unwrap_or_default();
                    let plain = !written.starts_with("\"\"\"") && !written.starts_with("'''");
                    let Value::String(current) = value.get_ref() else {
                        return Err(not_plain(shown, &text, span.start));
                    };
                    if !plain || current == "none" || current.starts_with("git:") {
                        return Err(not_plain(shown, &text, span.start));
                    }
                    file.current = Some((current.clone(), span));
                }
                "candidate" | "prompt" => {
                    let rest = text.get(span.end..).unwrap_or_default();
                    file.insert = rest.find('\n').map_or(text.len(), |at| span.end + at + 1);
                }
                "min_pass_rate" => file.min_pass_rate = true,
                _ => {}
            }
        }
        Ok(BaselineFile { text, ..file })
    }

    pub fn current(&self) -> Option<&str> {
        self.current.as_ref().map(|(name, _)| name.as_str())
    }

    /// Makes `name` the baseline: the file appears with it whole, or stays as it was. Only the value is replaced; without one a
    /// line is added.
    pub fn set(&self, name: &str) -> Result<(), Problem> {
        if self.min_pass_rate && self.current.is_none() {
            return Err(Problem::at(
                Place::file(self.shown.as_str()),
                "`min_pass_rate` plays no part beside a baseline, so none is added to this file",
            )
            .hint("remove `min_pass_rate`, then promote"));
        }
        let text = self.with(name)?;
        let failed = |error: io::Error| {
            Problem::at(Place::file(self.shown.as_str()), format!("can't be written: {error}"))
                .hint(format!("set `baseline = \"{name}\"` by hand"))
        };
        let now = if self.exists { fs::read_to_string(&self.path).map_err(failed)? } else { String::new() };
        if now != self.text || self.exists != self.path.exists() {
            return Err(Problem::at(Place::file(self.shown.as_str()), "the file changed meanwhile").hint("run again"));
        }
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".promptgate-").suffix(".tmp");
        #[cfg(unix)]
        if !self.exists {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder).map_err(failed)?;
        if self.exists {
            let permissions = fs::metadata(&self.path).map_err(failed)?.permissions();
            file.as_file().set_permissions(permissions).map_err(failed)?;
        }
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The text with another baseline. Read back, so that nothing but the baseline can have changed.
    fn with(&self, name: &str) -> Result<String, Problem> {
        let value = Value::String(name.to_owned()).to_string();
        let mut text = self.text.clone();
        match &self.current {
            Some((_, span)) => text.replace_range(span.clone(), &value),
            None => {
                let before = if text[..self.insert].ends_with('\n') || self.insert == 0 { "" } else { "\n" };
                text.insert_str(self.insert, &format!("{before}baseline = {value}\n"));
            }
        }
        let read = |text: &str| toml::from_str::<BTreeMap<String, Value>>(text).unwrap_or_default();
        let mut expected = read(&self.text);
        expected.insert("baseline".to_owned(), Value::String(name.to_owned()));
        if read(&text) == expected {
            Ok(text)
        } else {
            Err(Problem::at(
                Place::file(self.shown.as_str()),
                "the baseline can't be replaced without changing other settings",
            )
            .hint(format!("set `baseline = {value}` by hand")))
        }
    }
}

fn not_plain(shown: &str, text: &str, at: usize) -> Problem {
    Problem::at(Place::of_offset(shown, text, at), "the baseline is not the plain name of a prompt, so it is not moved")
        .expected("`baseline = \"v1\"`")
        .hint("set it by hand")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, name: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("promptgate.toml");
        fs::write(&path, text).unwrap();
        BaselineFile::read(folder.path(), "promptgate.toml")
            .and_then(|file| file.set(name))
            .map_err(|problem| problem.message)?;
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        Ok(fs::read_to_string(path).unwrap())
    }

    #[test]
    fn only_the_value_changes() {
        for (before, after) in [
            ("baseline = \"v1\"", "baseline = \"v2\""),
            (
                "# a\r\ncandidate='v2' # b\r\n  baseline='v1'# c\r\n[prices.m]\r\ninput = 1\r\noutput = 2",
                "# a\r\ncandidate='v2' # b\r\n  baseline=\"v2\"# c\r\n[prices.m]\r\ninput = 1\r\noutput = 2",
            ),
            ("\"baseline\" = \"baseline\"\n", "\"baseline\" = \"v2\"\n"),
            ("", "baseline = \"v2\"\n"),
            ("margin = 0.04\n", "baseline = \"v2\"\nmargin = 0.04\n"),
            ("candidate = \"v2\"", "candidate = \"v2\"\nbaseline = \"v2\"\n"),
            (
                "candidate = \"v2\" # x\nmargin = 0.04\n[commands.c]\nargv = [\"a\"]\n",
                "candidate = \"v2\" # x\nbaseline = \"v2\"\nmargin = 0.04\n[commands.c]\nargv = [\"a\"]\n",
            ),
            (
                "[commands.c]\nargv = [\"a\"]\nenv = {baseline = \"x\"}\n",
                "baseline = \"v2\"\n[commands.c]\nargv = [\"a\"]\nenv = {baseline = \"x\"}\n",
            ),
        ] {
            assert_eq!(set(before, "v2").as_deref(), Ok(after), "{before}");
        }
        let odd = set("baseline = \"v1\"", "it's \"odd\"\n").unwrap();
        let read: BTreeMap<String, String> = toml::from_str(&odd).unwrap();
        assert_eq!(read["baseline"], "it's \"odd\"\n");
    }

    #[test]
    fn what_is_not_plain_is_left() {
        for (text, message) in [
            ("baseline = \"none\"", "not the plain name"),
            ("baseline = \"git:origin/main\"", "not the plain name"),
            ("baseline = \"\"\"v1\"\"\"", "not the plain name"),
            ("baseline = [\"v1\"]", "not the plain name"),
            ("baseline = 1", "not the plain name"),
            ("baseline = ", ""),
            ("min_pass_rate = 0.9", "plays no part"),
        ] {
            let told = set(text, "v2").unwrap_err();
            assert!(told.contains(message), "{text}: {told}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_refused_and_permissions_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real.toml");
        fs::write(&real, "baseline = \"v1\"").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, folder.path().join("promptgate.toml")).unwrap();
        let problem = BaselineFile::read(folder.path(), "promptgate.toml").unwrap_err();
        assert!(problem.message.contains("symbolic link"), "{problem}");
        BaselineFile::read(folder.path(), "real.toml").unwrap().set("v2").unwrap();
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        let stale = BaselineFile::read(folder.path(), "real.toml").unwrap();
        fs::write(&real, "baseline = \"v9\"").unwrap();
        assert_eq!(stale.set("v3").unwrap_err().message, "the file changed meanwhile");
    }
}
