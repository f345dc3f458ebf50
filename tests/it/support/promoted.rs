//! A project whose candidate a service has answered for, and whose verdict may be acted on.

use super::fake::{Fake, Reply};
use super::project::{Project, Ran};

/// A key that the fake service takes.
pub(crate) const KEY: &str = "a-key-of-a-service";

/// Evaluates `v2` against `v1` at a service that knows the answer, with these options besides.
pub(crate) fn evaluate(project: &Project, options: &[&str]) -> Ran {
    evaluate_with(project, options, &[])
}

/// The same with variables set.
pub(crate) fn evaluate_with(project: &Project, options: &[&str], variables: &[(&str, &str)]) -> Ran {
    let service = Fake::start(|_| Reply::answer("It opens at nine."));
    let mut arguments = vec![
        "eval",
        "--prompt",
        "v2",
        "--target",
        "gemini",
        "--quiet",
        "--base-url",
        &service.url,
    ];
    arguments.extend(options);
    let own = [("GEMINI_API_KEY", KEY), ("PROMPTGATE_REPEAT", "1")];
    project.run_with(&arguments, &[&own[..], variables].concat())
}

/// A project with a baseline in promptgate.toml and a verdict that may be acted on.
pub(crate) fn promoted() -> Project {
    let project = Project::with_cases(80);
    project.write("promptgate.toml", "# what serves\nbaseline = \"v1\" # blue\n");
    let ran = evaluate(&project, &[]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(project.verdict()["promotable"], true, "{}", project.verdict());
    project
}
