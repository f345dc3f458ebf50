//! A service for [`Project::with_questions`] whose new prompt can be made worse while it runs.

use super::fake::{Fake, Received, Reply};
use super::project::{KEY, Project, Run};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number that stands behind a mark in a request.
pub(crate) fn number_after(request: &Received, mark: &str) -> Option<usize> {
    let text = request.text();
    let rest = text.split(mark).nth(1)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The service, and how bad the prompt `v2` (`New.`) is.
pub(crate) struct Questions {
    pub(crate) fake: Fake,
    wrong: Arc<AtomicUsize>,
}

impl Questions {
    /// Answers `nine`; under the prompt `New.` it answers `ten` where `is_wrong` says so of the question's number and of what
    /// was last set, 0 at first.
    pub(crate) fn start(is_wrong: fn(usize, usize) -> bool) -> Questions {
        let wrong = Arc::new(AtomicUsize::new(0));
        let now = Arc::clone(&wrong);
        let fake = Fake::start(move |request| {
            let number = number_after(request, "What is ").unwrap_or(usize::MAX);
            let fails = request.text().contains("New.") && is_wrong(number, now.load(Ordering::SeqCst));
            Reply::answer(if fails { "ten" } else { "nine" })
        });
        Questions { fake, wrong }
    }

    /// A service that `fake` is, whatever its prompt.
    pub(crate) fn of(fake: Fake) -> Questions {
        Questions { fake, wrong: Arc::default() }
    }

    pub(crate) fn set_wrong(&self, wrong: usize) {
        self.wrong.store(wrong, Ordering::SeqCst);
    }

    /// Evaluates `v2` against `v1` with one repeat, and these options and variables besides.
    pub(crate) fn run(&self, project: &Project, options: &str, variables: &[(&str, &str)]) -> Run {
        let url = &self.fake.url;
        let command = format!("eval --prompt v2 --baseline v1 --target gemini --base-url {url} --repeat 1 {options}");
        let variables: Vec<_> = [("GEMINI_API_KEY", KEY)].iter().chain(variables).copied().collect();
        project.run_with(&command, &variables)
    }

    /// The same, as the exit code, the first reason, and how many requests it took.
    #[track_caller]
    pub(crate) fn eval(&self, project: &Project, options: &str, variables: &[(&str, &str)]) -> (i32, String, usize) {
        let before = self.fake.count();
        let run = self.run(project, options, variables);
        let verdict = project.verdict();
        assert_eq!(verdict["exit_code"], run.code, "{}", run.transcript());
        let reason = verdict["reasons"][0]["code"].as_str().unwrap_or_default();
        (run.code, reason.to_owned(), self.fake.count() - before)
    }

    /// Evaluates, and insists on the exit code, the first reason, and the number of requests.
    #[track_caller]
    pub(crate) fn expect(&self, project: &Project, options: &str, expected: (i32, &str, usize)) {
        self.expect_with(project, options, &[], expected);
    }

    #[track_caller]
    pub(crate) fn expect_with(
        &self,
        project: &Project,
        options: &str,
        variables: &[(&str, &str)],
        (code, reason, requests): (i32, &str, usize),
    ) {
        let got = self.eval(project, options, variables);
        assert_eq!(got, (code, reason.to_owned(), requests), "{options} {variables:?}");
    }
}
