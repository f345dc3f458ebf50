//! Sessions of an evalset: who says what, and which tools are expected. The generations differ in their keys only.

use super::super::document::Node;
use super::super::finding::Findings;
use super::wrong;
use serde_json::{Map, Value};

pub(crate) struct Session {
    pub(crate) node: Node,
    pub(crate) name: String,
    pub(crate) state: Map<String, Value>,
    pub(crate) turns: Vec<Turn>,
    pub(crate) rubrics: Vec<Node>,
    pub(crate) notes: Vec<String>,
    pub(crate) findings: Findings,
}

/// One message of the user and what is expected of the answer.
pub(crate) struct Turn {
    pub(crate) node: Node,
    pub(crate) user: Result<String, String>,
    pub(crate) reference: Option<Result<String, String>>,
    /// The expected tool calls: names and arguments.
    pub(crate) calls: Vec<(String, Map<String, Value>)>,
    pub(crate) calls_problem: Option<String>,
    pub(crate) rubrics: Vec<Node>,
    /// What was measured when the turn was recorded, not what is expected.
    pub(crate) recorded: Option<Node>,
    pub(crate) findings: Findings,
}

impl Session {
    fn new(node: &Node, name: String) -> Session {
        Session {
            node: node.clone(),
            name,
            state: Map::new(),
            turns: Vec::new(),
            rubrics: Vec::new(),
            notes: Vec::new(),
            findings: Findings::default(),
        }
    }

    /// A case of an evalset with `eval_cases`.
    pub(crate) fn of_case(node: &Node) -> Session {
        let name = node.either("eval_id", "evalId");
        let name = name.map_or_else(String::new, |name| match name.value().as_str() {
            Some(name) => name.to_owned(),
            None => name.value().to_string(),
        });
        let name = if name.trim().is_empty() { "case".to_owned() } else { name };
        let mut session = Session::new(node, name);
        for (key, node) in node.entries() {
            match key.as_str() {
                "eval_id" | "evalId" | "creation_timestamp" | "creationTimestamp" => {}
                "conversation" => session.turns = node.items().iter().map(Turn::of_invocation).collect(),
                "conversation_scenario" | "conversationScenario" => {
                    session.findings.lose(&node, "a user that a model plays");
                }
                "session_input" | "sessionInput" => session.input(&node),
                "rubrics" => session.rubrics = node.items(),
                "final_session_state" | "finalSessionState" => {
                    session.findings.lose(&node, "answers carry no session state");
                }
                _ => session.findings.lose(&node, format!("no field of a case is `{key}`")),
            }
        }
        session
    }

    /// A case of the older list.
    pub(crate) fn of_old_case(node: &Node) -> Session {
        let mut session = Session::new(node, node.text("name").unwrap_or("case").to_owned());
        for (key, node) in node.entries() {
            match key.as_str() {
                "name" => {}
                "data" => session.turns = node.items().iter().map(Turn::of_query).collect(),
                "initial_session" => session.input(&node),
                _ => session.findings.lose(&node, format!("no field of a case is `{key}`")),
            }
        }
        session
    }

    /// The oldest form: nothing but turns.
    pub(crate) fn of_turns(node: &Node, name: String, turns: &[Node]) -> Session {
        Session { turns: turns.iter().map(Turn::of_query).collect(), ..Session::new(node, name) }
    }

    /// The session before the first turn: its state becomes vars.
    fn input(&mut self, node: &Node) {
        if !node.value().is_object() {
            self.findings.lose(node, wrong(node, "a map"));
        }
        for (key, node) in node.entries() {
            match key.as_str() {
                "state" => match node.value().as_object() {
                    Some(state) => self.state = state.clone(),
                    None => self.findings.lose(&node, wrong(&node, "a map")),
                },
                "app_name" | "appName" | "user_id" | "userId" | "session_id" | "sessionId" => {
                    if let Some(text) = node.value().as_str().filter(|text| !text.is_empty()) {
                        self.notes.push(format!("{key} {text}"));
                    }
                }
                _ => self.findings.lose(&node, format!("no part of a session is `{key}`")),
            }
        }
    }
}

impl Turn {
    fn new(node: &Node) -> Turn {
        Turn {
            node: node.clone(),
            user: Err("a turn without a message of the user".to_owned()),
            reference: None,
            calls: Vec::new(),
            calls_problem: None,
            rubrics: Vec::new(),
            recorded: None,
            findings: Findings::default(),
        }
    }

    /// An invocation of an evalset with `eval_cases`.
    fn of_invocation(node: &Node) -> Turn {
        let mut turn = Turn::new(node);
        for (key, node) in node.entries() {
            match key.as_str() {
                "invocation_id" | "invocationId" | "creation_timestamp" | "creationTimestamp" | "duration"
                | "model_duration" | "modelDuration" | "tool_duration" | "toolDuration" => {
                    turn.recorded.get_or_insert(node);
                }
                "user_content" | "userContent" => turn.user = content(&node),
                "final_response" | "finalResponse" => turn.reference = Some(content(&node)),
                "intermediate_data" | "intermediateData" => turn.intermediate(&node),
                "rubrics" => turn.rubrics = node.items(),
                "app_details" | "appDetails" => turn.findings.note(&node, "details of the recorded agent are left out"),
                _ => turn.findings.lose(&node, format!("an invocation has no `{key}`, and the kit refuses it")),
            }
        }
        turn
    }

    fn intermediate(&mut self, node: &Node) {
        if !node.value().is_object() {
            self.calls_problem = Some(wrong(node, "a map"));
        }
        for (key, node) in node.entries() {
            match key.as_str() {
                "tool_uses" | "toolUses" | "invocation_events" | "invocationEvents" if !node.value().is_array() => {
                    self.calls_problem = Some(wrong(&node, "a list"));
                }
                "tool_uses" | "toolUses" => node.items().iter().for_each(|call| self.call(call, "name", "args")),
                "invocation_events" | "invocationEvents" => {
                    for event in node.items() {
                        let parts = event.get("content").and_then(|content| content.get("parts"));
                        for part in parts.map(|parts| parts.items()).unwrap_or_default() {
                            if let Some(call) = part.either("function_call", "functionCall") {
                                self.call(&call, "name", "args");
                            }
                        }
                    }
                }
                "tool_responses" | "toolResponses" | "intermediate_responses" | "intermediateResponses" => {
                    if node.value().as_array().is_none_or(|list| !list.is_empty()) {
                        self.findings.note(&node, "no criterion compares it, so it is left out");
                    }
                }
                _ => self.findings.lose(&node, format!("intermediate data have no `{key}`, and the kit refuses it")),
            }
        }
    }

    /// A turn of the older forms.
    fn of_query(node: &Node) -> Turn {
        let mut turn = Turn::new(node);
        for (key, node) in node.entries() {
            let text = || node.value().as_str().map(str::to_owned).ok_or_else(|| wrong(&node, "a text"));
            match key.as_str() {
                "query" => turn.user = text(),
                "reference" => turn.reference = Some(text()),
                "expected_tool_use" if !node.value().is_array() => turn.calls_problem = Some(wrong(&node, "a list")),
                "expected_tool_use" => {
                    node.items().iter().for_each(|call| turn.call(call, "tool_name", "tool_input"));
                }
                "expected_intermediate_agent_responses" => {
                    if node.value().as_array().is_none_or(|list| !list.is_empty()) {
                        turn.findings.note(&node, "no criterion compares it, so it is left out");
                    }
                }
                _ => turn.findings.lose(&node, format!("a turn has no `{key}`")),
            }
        }
        turn
    }

    /// An expected tool call. Its id is never compared.
    fn call(&mut self, node: &Node, name: &str, args: &str) {
        for (key, node) in node.entries() {
            match key.as_str() {
                "id" => {}
                "mock_tool_output" => self.findings.note(&node, "no tool is run, so what it would say is left out"),
                key if key == name || key == args => {}
                _ => self.findings.lose(&node, format!("a tool call has no `{key}`")),
            }
        }
        let args = match node.get(args) {
            None => {
                let note =
                    "no answer here tells a call without arguments from one with empty ones; the kit fails the latter";
                self.findings.note(node, note);
                Some(Map::new())
            }
            Some(args) => args.value().as_object().cloned(),
        };
        match (node.text(name), args) {
            (Some(name), Some(args)) => self.calls.push((name.to_owned(), args)),
            _ => {
                self.calls_problem =
                    Some(format!("{}: a tool call without a name, or with arguments that are no map", node.path()))
            }
        }
    }
}

/// The text of a content: its text parts, a line each.
pub(crate) fn content(node: &Node) -> Result<String, String> {
    let parts = node.get("parts").map(|parts| parts.items()).unwrap_or_default();
    let mut texts = Vec::with_capacity(parts.len());
    for part in &parts {
        let is_text = |(key, _): &(String, Node)| ["text", "thought"].contains(&key.as_str());
        match part.text("text") {
            Some(text) if part.entries().iter().all(is_text) => texts.push(text.to_owned()),
            Some(_) | None => return Err(format!("{}: a part that is no text", part.path())),
        }
    }
    match texts.is_empty() {
        true => Err("a content without text".to_owned()),
        false => Ok(texts.join("\n")),
    }
}
