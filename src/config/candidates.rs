//! The candidate, or several from which one call picks the best.

use super::definition::{Origin, Reader};
use super::groups::Cache;
use crate::domain::{Candidate, MOST_CANDIDATES, candidate_folder};

impl Reader<'_> {
    /// The candidate, the first of several; and all of them, if there are several. Names are separated by commas, so that no
    /// name has one.
    pub(super) fn candidates(&mut self) -> (Option<String>, Vec<Candidate>) {
        let names = self.names();
        let first = names.first().cloned();
        if names.len() < 2 {
            return (first, Vec::new());
        }
        let Some(written) = self.raw("prompt") else {
            return (None, Vec::new());
        };
        let mut found = Vec::new();
        if names.len() > MOST_CANDIDATES {
            found.push(
                written
                    .origin
                    .problem(format!("{} candidates are named", names.len()))
                    .expected(format!("at most {MOST_CANDIDATES}"))
                    .hint("leave out those that nobody would choose: each makes promoting any of them harder"),
            );
        }
        let mut candidates: Vec<Candidate> = Vec::new();
        for name in names {
            let folder = candidate_folder(&name);
            let twin = candidates.iter().find(|earlier| earlier.folder == folder);
            match twin {
                Some(twin) if twin.name == name => {
                    found.push(
                        written.origin.problem(format!("`{name}` is named twice")).expected("each candidate once"),
                    );
                }
                Some(twin) => found.push(
                    written
                        .origin
                        .problem(format!(
                            "the reports of `{}` and `{name}` would be in one folder, `{folder}`",
                            twin.name
                        ))
                        .expected("prompts with different names, whatever their folder, revision or ending")
                        .hint("copy one of them to prompts/ under another name"),
                ),
                None => candidates.push(Candidate { name, folder }),
            }
        }
        self.problems.extend(found);
        (first, candidates)
    }

    /// The one candidate of a command that takes no more.
    pub(super) fn only_candidate(&mut self) -> Option<String> {
        let names = self.names();
        if names.len() > 1
            && let Some(written) = self.raw("prompt")
        {
            let problem = written.origin.problem(format!("{} candidates are named", names.len()));
            self.problems.push(problem.expected("the one that is meant").hint("give --prompt NAME"));
        }
        names.into_iter().next()
    }

    /// All names that are written. An empty one is a mistake.
    fn names(&mut self) -> Vec<String> {
        let Some(written) = self.raw("prompt") else {
            return Vec::new();
        };
        let pieces = written.values.iter().flat_map(|value| value.split(','));
        let names: Vec<String> = pieces.map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            self.problems.push(match names.len() {
                1 => written.origin.problem("is empty"),
                _ => written
                    .origin
                    .problem("a name between commas is empty")
                    .expected("names like v2,v3; the name of a prompt can't have a comma"),
            });
        }
        names.into_iter().filter(|name| !name.is_empty()).collect()
    }

    pub(super) fn fits_several(&mut self, cache: Cache) {
        let mut found = Vec::new();
        let mut refuse = |key: &str, message: &str, hint: &str| {
            if let Some(written) = self.raw(key) {
                found.push(written.origin.problem(message).hint(hint));
            }
        };
        let revision_alone = |text: &str| text.strip_prefix("git:").is_some_and(|rest| !rest.contains(':'));
        if self.raw("baseline").is_some_and(|written| revision_alone(written.text())) {
            refuse(
                "baseline",
                "a revision alone is another baseline for each of several candidates",
                "name the prompt, too: git:REV:NAME",
            );
        }
        refuse("failed", "several candidates did not fail at the same cases", "give --case ID..., or one --prompt");
        let given = |key: &str| self.raw(key).is_some_and(|written| matches!(written.text(), "true" | "1"));
        if given("extend") {
            refuse(
                "extend",
                "several candidates do not lack the same repeats",
                "extend one of them: the correction for picking the best of several stays with it",
            );
        }
        if given("resume") && matches!(cache, Cache::Refresh | Cache::Off) {
            refuse(
                "resume",
                "with several candidates, those that are complete would be asked again",
                "leave out --cache: answers that are there are used",
            );
        }
        if let Some(written) = self.raw("snapshots")
            && matches!(written.origin, Origin::Option(_))
            && written.text() == "write"
        {
            refuse("snapshots", "one proposal for a case can't be that of several candidates", "give one --prompt");
        }
        self.problems.extend(found);
    }
}
