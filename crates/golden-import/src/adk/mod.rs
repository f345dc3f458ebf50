//! Evalsets of Google's Agent Development Kit, in every generation: the evalset with `eval_cases`, the older list of named
//! sessions, the oldest list of turns, and the dataset of agents-cli. Each turn of a conversation becomes a case, with the
//! turns before it as its history.

mod criteria;
mod session;

use super::document::Node;
use super::draft::{Draft, Role};
use super::{Import, kind};
use criteria::Criteria;
use diagnostics::Problem;
use serde_json::{Map, Value, json};
use session::{Session, Turn};

pub(crate) fn import(import: &mut Import<'_>, root: &Node) -> Result<(), Problem> {
    if let Some(cases) = root.either("eval_cases", "evalCases") {
        let is_dataset =
            |case: &Node| ["eval_case_id", "prompt", "agent_data"].iter().any(|key| case.get(key).is_some());
        if cases.items().iter().any(is_dataset) {
            return dataset(import, root, &cases);
        }
        for (key, node) in root.entries() {
            match key.as_str() {
                "eval_cases" | "evalCases" => {}
                "eval_set_id" | "evalSetId" | "creation_timestamp" | "creationTimestamp" => {}
                "name" | "description" => {
                    let message = format!("the {key} of an evalset is left out");
                    import.findings.note(&node, message);
                }
                _ => import.findings.lose(&node, format!("an evalset has no `{key}`, and the kit ignores it")),
            }
        }
        return sessions(import, cases.items().iter().map(Session::of_case).collect());
    }
    let items = root.items();
    let Some(first) = items.first() else {
        return Err(unknown(root));
    };
    if first.get("data").is_some() {
        sessions(import, items.iter().map(Session::of_old_case).collect())
    } else if first.get("query").is_some() {
        let name = import.files.name();
        let stem = name.split('.').next().unwrap_or_default().to_owned();
        sessions(import, vec![Session::of_turns(root, stem, &items)])
    } else {
        Err(unknown(root))
    }
}

fn unknown(root: &Node) -> Problem {
    Problem::at(root.file(), "not an evalset")
        .expected("a map with `eval_cases`, or a list of `{name, data}` or of `{query, ..}`")
}

fn sessions(import: &mut Import<'_>, sessions: Vec<Session>) -> Result<(), Problem> {
    if import.options.check.is_some() {
        return Err(Problem::new("an evalset says itself how answers are compared").hint("leave out --check"));
    }
    let criteria = Criteria::read(import)?;
    remark(import, &sessions);
    for session in sessions {
        let turns = session.turns.len();
        let mut history: Vec<(Role, String)> = Vec::new();
        let mut broken = false;
        if turns == 0 {
            let mut draft = Draft::new(&session.node, session.name.clone());
            draft.findings.clone_from(&session.findings);
            draft.unusable = true;
            if session.findings.0.is_empty() {
                draft.lose(&session.node, "a conversation without turns");
            }
            import.add(draft)?;
        }
        for (number, turn) in (1..).zip(&session.turns) {
            let name = match turns {
                1 => session.name.clone(),
                _ => format!("{}-turn-{number}", session.name),
            };
            let mut draft = Draft::new(&turn.node, name);
            if number == 1 {
                draft.findings.clone_from(&session.findings);
            }
            draft.findings.0.extend(turn.findings.0.iter().cloned());
            draft.notes.extend(session.notes.iter().cloned());
            draft.vars.clone_from(&session.state);
            draft.history.clone_from(&history);
            if broken {
                draft.lose_input(&turn.node, "a turn before it has no final response, so its history is not known");
            }
            let var = import.options.var().to_owned();
            match &turn.user {
                Ok(_) if draft.vars.contains_key(&var) => {
                    let message = format!("the session's state has a `{var}` of its own; name another var with --var");
                    draft.lose_input(&turn.node, message);
                }
                Ok(text) => drop(draft.vars.insert(var, text.clone().into())),
                Err(why) => draft.lose_input(&turn.node, why.clone()),
            }
            criteria.checks(import, &mut draft, turn, &session.rubrics, turns);
            match (&turn.user, &turn.reference) {
                (Ok(user), Some(Ok(answer))) => {
                    history.push((Role::User, user.clone()));
                    history.push((Role::Model, answer.clone()));
                }
                _ => broken = true,
            }
            import.add(draft)?;
        }
    }
    Ok(())
}

/// What is to be told once about all turns.
fn remark(import: &mut Import<'_>, sessions: &[Session]) {
    let mut turns = sessions.iter().flat_map(|session| &session.turns);
    let both = turns.clone().find(|turn| !turn.calls.is_empty() && turn.reference.is_some());
    if let Some(turn) = both {
        let message = "a case is one request, and no tool is run: the expected calls and the final response are looked for \
                       in the same answer, for this turn and all others";
        import.findings.note(&turn.node, message);
    }
    if let Some(recorded) = turns.find_map(|turn| turn.recorded.as_ref()) {
        let message = "ids and times of the recording are left out, for this turn and all others";
        import.findings.note(recorded, message);
    }
}

/// The dataset of agents-cli: a prompt or a conversation, and a reference without a threshold.
fn dataset(import: &mut Import<'_>, root: &Node, cases: &Node) -> Result<(), Problem> {
    let Some(comparison) = import.options.check else {
        let message = "the dataset does not say how an answer is compared with its reference";
        return Err(Problem::at(root.file(), message).expected("--check equals, contains, starts_with or ends_with"));
    };
    for (number, case) in (1..).zip(cases.items()) {
        let name = case.text("eval_case_id").map_or_else(|| format!("case-{number}"), str::to_owned);
        let mut draft = Draft::new(&case, name);
        let var = import.options.var().to_owned();
        for (key, node) in case.entries() {
            match key.as_str() {
                "eval_case_id" => {}
                "prompt" => match session::content(&node) {
                    Ok(text) => drop(draft.vars.insert(var.clone(), text.into())),
                    Err(why) => draft.lose_input(&node, why),
                },
                "agent_data" => conversation(&mut draft, &node, &var),
                "reference" => {
                    let text = node.get("response").map(|response| session::content(&response));
                    let text = text.unwrap_or_else(|| Err("a reference without a response".to_owned()));
                    let check = text.map(|text| comparison.check(&[&text], import.options.ignore_case));
                    draft.check(&node, check.and_then(|check| import.verified(check)));
                }
                "rubric_groups" => draft.lose(&node, "rubrics of a metric that is named elsewhere"),
                _ => draft.lose(&node, format!("no field of a case is `{key}`")),
            }
        }
        if !draft.vars.contains_key(&var) && !draft.unusable {
            draft.lose_input(&case, "a case without a prompt");
        }
        import.add(draft)?;
    }
    Ok(())
}

/// Turns of events; the last event is the user's message.
fn conversation(draft: &mut Draft, node: &Node, var: &str) {
    let turns = node.get("turns").map(|turns| turns.items()).unwrap_or_default();
    let events: Vec<Node> =
        turns.iter().flat_map(|turn| turn.get("events").map(|events| events.items()).unwrap_or_default()).collect();
    for (index, event) in events.iter().enumerate() {
        let is_last = index + 1 == events.len();
        if let Some(delta) = event.get("state_delta") {
            draft.lose_input(&delta, "a change of the session's state");
        }
        let text = match event.get("content").map(|content| session::content(&content)) {
            Some(Ok(text)) => text,
            Some(Err(why)) => return draft.lose_input(event, why),
            None => continue,
        };
        match (event.text("author"), is_last) {
            (Some("user"), true) => drop(draft.vars.insert(var.to_owned(), text.into())),
            (_, true) => return draft.lose_input(event, "the last event is not the user's message"),
            (Some("user"), false) => draft.history.push((Role::User, text)),
            (_, false) => draft.history.push((Role::Model, text)),
        }
    }
}

/// The check of calls that are expected, by the kit's match type.
fn calls_check(turn: &Turn, mode: &str, ignore_args: bool) -> Option<Value> {
    if turn.calls.is_empty() {
        return (mode == "exact").then(|| json!({"tool_calls": {"mode": "none"}}));
    }
    let calls = turn.calls.iter().map(|(name, args)| {
        let mut call = Map::from_iter([("name".to_owned(), name.clone().into())]);
        if !ignore_args {
            // A map with this one key would be read as an instruction.
            let literal = |value: &Value| match value.as_object() {
                Some(map) if map.len() == 1 && (map.contains_key("check") || map.contains_key("value")) => {
                    json!({ "value": value })
                }
                _ => value.clone(),
            };
            let args: Map<String, Value> = args.iter().map(|(key, value)| (key.clone(), literal(value))).collect();
            call.insert("args".to_owned(), args.into());
        }
        Value::Object(call)
    });
    Some(json!({"tool_calls": {"mode": mode, "calls": calls.collect::<Vec<_>>()}}))
}

/// What a value is, for a message about a wrong one.
fn wrong(node: &Node, expected: &str) -> String {
    format!("it is {}, not {expected}", kind(node.value()))
}
