//! What an evalset is measured by: `test_config.json` beside it, or the kit's defaults. The kit compares a mean over the
//! turns of a case with a threshold; here each turn is a case, which for several turns is stricter.

use super::super::document::Node;
use super::super::draft::Draft;
use super::super::{Import, kind, least_count};
use super::session::Turn;
use super::{calls_check, wrong};
use diagnostics::Problem;
use serde_json::{Value, json};

const CONFIG: &str = "test_config.json";

pub(crate) struct Criteria {
    trajectory: Option<Trajectory>,
    /// Least ROUGE-1 F of the final response.
    response: Option<f64>,
    /// How many votes a judge has on whether the final response says the same.
    votes: Option<u64>,
    /// Least share of rubrics of the final response.
    rubrics: Option<f64>,
}

struct Trajectory {
    mode: &'static str,
    ignore_args: bool,
    threshold: f64,
}

impl Criteria {
    pub(crate) fn read(import: &mut Import<'_>) -> Result<Criteria, Problem> {
        let mut criteria = Criteria { trajectory: None, response: None, votes: None, rubrics: None };
        if !import.files.has(CONFIG) {
            criteria.trajectory = Some(Trajectory { mode: "exact", ignore_args: false, threshold: 1.0 });
            criteria.response = Some(0.8);
            return Ok(criteria);
        }
        let text =
            import.files.read(CONFIG).map_err(|why| Problem::new(format!("{CONFIG} beside the evalset {why}")))?;
        let root = Node::read(&text.shown, &text.text, false)?;
        for (key, node) in root.entries() {
            match key.as_str() {
                "criteria" => {}
                "user_simulator_config" | "live_model_config" => {
                    import.findings.note(&node, format!("`{key}` says how to run, and is left out"));
                }
                "custom_metrics" => import.findings.lose(&node, "code is not run"),
                _ => import.findings.lose(&node, format!("no criterion is `{key}`")),
            }
        }
        let Some(list) = root.get("criteria") else {
            return Err(
                Problem::at(root.place(), "there are no `criteria`").expected("a map of metrics and thresholds")
            );
        };
        for (metric, node) in list.entries() {
            criteria.metric(import, &metric, &node);
        }
        Ok(criteria)
    }

    fn metric(&mut self, import: &mut Import<'_>, metric: &str, node: &Node) {
        let threshold =
            node.value().as_f64().or_else(|| node.get("threshold").and_then(|threshold| threshold.value().as_f64()));
        let Some(threshold) = threshold else {
            let why = wrong(node, "a threshold, or a map with one");
            return import.findings.lose(node, format!("{metric}: {why}"));
        };
        let known: &[&str] = match metric {
            "tool_trajectory_avg_score" => &["threshold", "match_type", "matchType", "ignore_args", "ignoreArgs"],
            "final_response_match_v2" => &["threshold", "judge_model_options", "judgeModelOptions"],
            "response_match_score" | "rubric_based_final_response_quality_v1" => &["threshold"],
            _ => return import.findings.lose(node, format!("no matcher measures `{metric}`")),
        };
        for (key, node) in node.entries() {
            if !known.contains(&key.as_str()) {
                import.findings.lose(&node, format!("`{metric}` has no `{key}` here"));
            }
        }
        if threshold <= 0.0 {
            let message = format!("with the threshold {threshold} every answer passes");
            return import.findings.lose(node, message);
        }
        if threshold > 1.0 {
            return import.findings.lose(node, format!("no answer reaches the threshold {threshold}"));
        }
        match metric {
            "tool_trajectory_avg_score" => {
                let ignore_args = node.either("ignore_args", "ignoreArgs");
                let match_type = node.either("match_type", "matchType");
                match mode(match_type.as_ref().map(Node::value)) {
                    Some(mode) => {
                        self.trajectory = Some(Trajectory {
                            mode,
                            ignore_args: ignore_args.is_some_and(|flag| flag.value() == &Value::Bool(true)),
                            threshold,
                        });
                    }
                    None => import.findings.lose(node, "the match type is not known"),
                }
            }
            "response_match_score" => self.response = Some(threshold),
            "final_response_match_v2" => {
                let options = node.either("judge_model_options", "judgeModelOptions");
                let samples = options.and_then(|options| options.either("num_samples", "numSamples"));
                let samples = samples.and_then(|samples| samples.value().as_u64()).unwrap_or(5);
                // A judge here has an odd number of votes.
                self.votes = Some(samples | 1);
                let note = "final_response_match_v2 is `judge` here: another judge and another prompt for it";
                import.findings.note(node, note);
            }
            _ => {
                self.rubrics = Some(threshold);
                if let Some(rubrics) = node.get("rubrics") {
                    import.findings.lose(&rubrics, "rubrics stand in the evalset here");
                }
            }
        }
    }

    /// The checks of a turn, one of `turns`.
    pub(crate) fn checks(&self, import: &Import<'_>, draft: &mut Draft, turn: &Turn, rubrics: &[Node], turns: usize) {
        if let Some(trajectory) = &self.trajectory {
            trajectory.check(import, draft, turn, turns);
        }
        let reference = match &turn.reference {
            Some(reference) => reference.clone(),
            None => Err("the turn has no final response".to_owned()),
        };
        if let Some(votes) = self.votes {
            let rubric = "The answer says the same as the reference, though perhaps in other words.";
            let check = |text| json!({"judge": {"rubric": rubric, "reference": text, "votes": votes}});
            add(import, draft, turn, "final_response_match_v2", reference.clone().map(check));
        }
        if let Some(min) = self.response {
            let check = |text| json!({"rouge": {"to": text, "min": min, "metric": "rouge1", "words": "stems"}});
            if add(import, draft, turn, "response_match_score", reference.map(check)) && turns > 1 {
                let note = "response_match_score is `rouge` here, for each turn and not on average: stricter";
                draft.note(&turn.node, note);
            }
        } else if turn.reference.is_some() && self.votes.is_none() {
            draft.note(&turn.node, "no criterion compares the final response, so it is history only");
        }
        let rubrics: Vec<&Node> = rubrics.iter().chain(&turn.rubrics).collect();
        match self.rubrics {
            Some(threshold) => self::rubrics(import, draft, &rubrics, threshold),
            None => {
                rubrics.iter().for_each(|node| draft.note(node, "no criterion uses this rubric, so it is left out"))
            }
        }
    }
}

impl Trajectory {
    fn check(&self, import: &Import<'_>, draft: &mut Draft, turn: &Turn, turns: usize) {
        let check = match &turn.calls_problem {
            Some(why) => Err(why.clone()),
            None => match calls_check(turn, self.mode, self.ignore_args) {
                Some(check) => Ok(check),
                None => {
                    let note = "tool_trajectory_avg_score: without expected calls it holds for every answer";
                    return draft.note(&turn.node, note);
                }
            },
        };
        if add(import, draft, turn, "tool_trajectory_avg_score", check) && turns > 1 && self.threshold < 1.0 {
            let note = "tool_trajectory_avg_score is `tool_calls` here, for each turn and not on average: stricter";
            draft.note(&turn.node, note);
        }
    }
}

/// Adds the check of a criterion, or says why there is none; whether it was added.
fn add(import: &Import<'_>, draft: &mut Draft, turn: &Turn, metric: &str, check: Result<Value, String>) -> bool {
    let check = check.and_then(|check| import.verified(check));
    draft.check(&turn.node, check.map_err(|why| format!("{metric}: {why}")))
}

/// The match type by any of its names, in any case of letters.
fn mode(written: Option<&Value>) -> Option<&'static str> {
    let Some(written) = written else { return Some("exact") };
    let name = match written.as_str() {
        Some(name) => name.to_uppercase().replace(['-', ' '], "_"),
        None => written.to_string(),
    };
    match name.as_str() {
        "EXACT" | "0" => Some("exact"),
        "IN_ORDER" | "1" => Some("in_order"),
        "ANY_ORDER" | "2" => Some("any_order"),
        _ => None,
    }
}

/// Each rubric is a question to a judge; as many must hold as the threshold asks for.
fn rubrics(import: &Import<'_>, draft: &mut Draft, nodes: &[&Node], threshold: f64) {
    let mut checks = Vec::new();
    for node in nodes {
        match node.text("type") {
            None | Some("FINAL_RESPONSE_QUALITY") => {}
            Some(_) => {
                draft.note(node, "no criterion uses a rubric of this type, so it is left out");
                continue;
            }
        }
        let content = node.either("rubric_content", "rubricContent");
        let property = content.and_then(|content| content.either("text_property", "textProperty"));
        let made = match property.as_ref().and_then(|property| property.value().as_str()) {
            Some(text) => import.verified(json!({"judge": {"rubric": text}})),
            None => Err(format!("its text is {}", kind(node.value()))),
        };
        match made {
            Ok(check) => checks.push(check),
            Err(why) => return draft.lose(node, format!("rubric_based_final_response_quality_v1: {why}")),
        }
    }
    let count = checks.len();
    let needed = least_count(count, threshold);
    if needed == count {
        draft.checks.extend(checks);
    } else if let Ok(check) = import.verified(json!({"at_least": {"n": needed, "of": checks}})) {
        draft.checks.push(check);
    }
}
