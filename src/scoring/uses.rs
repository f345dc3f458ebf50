//! Which judges decide a case, and how they are asked.

use super::matcher::Compile;
use super::matchers::MATCHERS;
use super::matchers::judge::judge_use;
use crate::domain::{Case, CheckSpec, JudgeUse};

/// The judges that decide a case, also inside other checks, sorted; one that decides by two checks is there twice.
pub fn deciding_judges(case: &Case) -> Vec<JudgeUse> {
    let ctx = Compile::new(MATCHERS);
    let mut open: Vec<CheckSpec> = case.checks.iter().filter(|spec| spec.decides()).cloned().collect();
    let mut found = Vec::new();
    while let Some(spec) = open.pop() {
        found.extend(use_of(&spec));
        open.extend(ctx.inner(&spec));
    }
    found.sort_unstable();
    found
}

/// How a check asks its judge; `None` if it is no check `judge`.
pub fn use_of(spec: &CheckSpec) -> Option<JudgeUse> {
    (spec.matcher == "judge").then(|| judge_use(&spec.args)).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::rules::testing::case;
    use super::*;
    use serde_json::json;

    #[test]
    fn judges_that_decide_are_found_wherever_they_stand() {
        let shown = |checks| -> Vec<String> {
            deciding_judges(&case(&checks))
                .iter()
                .map(JudgeUse::to_string)
                .collect()
        };
        assert_eq!(shown(json!([{"contains": "a"}])), [""; 0]);
        assert_eq!(
            shown(json!([{"judge": "ok", "advisory": true}, {"judge": "ok", "weight": 0}])),
            [""; 0]
        );
        assert_eq!(
            shown(json!([
                {"judge": {"rubric": "ok", "by": "strict", "votes": 3}},
                {"not": {"any": [{"judge": "ok"}, {"judge": "other"}]}},
                {"judge": {"rubric": "ok", "aggregate": "mean", "min": 0.7, "votes": 2}},
                {"judge": {"rubric": "ok", "against": "x"}},
            ])),
            [
                "default",
                "default",
                "default (1 vote, preference of at least 0.5)",
                "default (2 votes, mean of at least 0.7)",
                "strict (3 votes, majority)",
            ]
        );
    }
}
