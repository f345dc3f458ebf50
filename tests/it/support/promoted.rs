//! A project whose candidate a service has answered for, and whose verdict may be acted on.

use super::fake::{Fake, Reply};
use super::project::{KEY, Project, Run};

/// Evaluates `v2` against `v1` at a service that knows the answer, with these options besides.
pub(crate) fn evaluate(project: &Project, options: &str) -> Run {
    evaluate_with(project, options, &[])
}

pub(crate) fn evaluate_with(project: &Project, options: &str, variables: &[(&str, &str)]) -> Run {
    let service = Fake::start(|_| Reply::answer("It opens at nine."));
    let command = format!("eval --prompt v2 --target gemini --quiet --base-url {} {options}", service.url);
    let own = [("GEMINI_API_KEY", KEY), ("PROMPTGATE_REPEAT", "1")];
    project.run_with(&command, &[&own[..], variables].concat())
}

/// A project with a baseline in promptgate.toml and a verdict that may be acted on.
pub(crate) fn promoted() -> Project {
    let project = Project::with_cases(80);
    project.write("promptgate.toml", "# what serves\nbaseline = \"v1\" # blue\n");
    evaluate(&project, "").assert_exit(0);
    assert_eq!(project.verdict()["promotable"], true, "{}", project.verdict());
    project
}
