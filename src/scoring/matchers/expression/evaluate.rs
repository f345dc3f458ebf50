//! Parses, checks and evaluates expressions, within the bounds of `bounds.rs`.

use super::bounds::{MOST_STEPS, Size, depth, parts, steps};
use crate::domain::{ArgProblem, Score};
use crate::scoring::arguments::{Fields, Read, needle, refuse, share, wrong};
use crate::scoring::cache::Cache;
use crate::scoring::command::{AnswerView, CaseView};
use crate::scoring::definition::Compile;
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::matchers::json::find_json;
use crate::scoring::matchers::regex::compiled_pattern;
use crate::scoring::quote::{bounded, quote};
use cel::common::ast::{EntryExpr, Expr, IdedExpr, SourceInfo};
use cel::common::types::{self, CelBool, CelString};
use cel::common::value::CowVal;
use cel::{Context, Env, ExecutionError};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};
use std::thread;

/// The longest expression, in characters, and how deep its brackets and its parts may be nested. A level
/// takes up to some 40 KiB of stack in a debug build while it is evaluated.
const LONGEST: usize = 1_000;
const DEEPEST_BRACKETS: usize = 24;
const DEEPEST: usize = 20;

/// The stack for parsing: a bracket takes some 170 KiB in a debug build, and the parser follows at most 96 levels.
const PARSER_STACK: usize = 64 << 20;
const PARSER_LEVELS: u16 = 96;

/// What an expression may look at.
const INPUTS: [&str; 3] = ["answer", "case", "json"];

/// Names of types, for comparisons with `type(x)`.
const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// Functions of the standard library that need no clock. Operators have names of their own, which no letter begins.
const FUNCTIONS: [&str; 13] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// Stands around what `map` and `filter` loop over: the keys of a map have no order, so a list of them would differ from
/// run to run. Not a name that an expression can have.
const LISTED: &str = "@listed";

struct Program {
    root: IdedExpr,
    uses: BTreeSet<&'static str>,
}

pub(super) fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let known = ["expr", "min"];
    let mut fields = Fields::of_map_or(Value::is_string, args, &known, "an expression, or a map {expr, min}")?;
    let min = fields.optional("min", |value| share(value, "a score"));
    let expression = fields.required("expr", "an expression", expression);
    let expression = fields.finish(expression)?;
    Ok(Matcher::new(move |input| evaluate(&expression, min, input)))
}

fn expression(value: &Value) -> Read<Arc<Program>> {
    static PARSED: Cache<Arc<Program>> = Cache::new(256);
    let text = needle(value)?;
    if text.chars().count() > LONGEST {
        return wrong(
            ArgProblem::new("the expression is too long")
                .expected(format!("at most {LONGEST} characters"))
                .hint("a command of your own can do more; see `command`"),
        );
    }
    if brackets(text) > DEEPEST_BRACKETS {
        return wrong(too_deep());
    }
    PARSED.get_or_try(text, || {
        let parsing = thread::scope(|scope| {
            let parser = thread::Builder::new().stack_size(PARSER_STACK);
            let parsing = parser.spawn_scoped(scope, || parse(text));
            parsing.map_err(|_| ()).and_then(|parsing| parsing.join().map_err(|_| ()))
        });
        parsing.unwrap_or_else(|()| refuse("the expression can't be parsed", "a CEL expression"))
    })
}

fn too_deep() -> ArgProblem {
    ArgProblem::new("the expression is nested too deeply")
        .expected(format!("at most {DEEPEST} levels"))
        .hint("make several checks of it")
}

/// How deep brackets are nested, counted also within texts.
fn brackets(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

fn parse(text: &str) -> Read<Arc<Program>> {
    let parser = ENVIRONMENT.parser().max_recursion_depth(PARSER_LEVELS).error_recovery_limit(1);
    let (mut root, source) = match parser.parse_with_source_info(text) {
        Ok(parsed) => parsed,
        Err(errors) => {
            let what = errors.errors.first().map_or_else(String::new, |error| {
                let place = place(error.pos.0, error.pos.1);
                let message = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
                format!(": {}{place}", bounded(message, 160))
            });
            return refuse(format!("the expression is not valid{what}"), "a CEL expression");
        }
    };
    if depth(&root) > DEEPEST {
        return wrong(too_deep());
    }
    let mut names = Names { source: &source, uses: BTreeSet::new(), problems: Vec::new() };
    names.visit(&root, &mut Vec::new());
    let Names { uses, problems, .. } = names;
    if !problems.is_empty() {
        return Err(problems);
    }
    if !uses.contains("answer") && !uses.contains("json") {
        let message = "the expression looks at neither `answer` nor `json`, so no answer changes it";
        return refuse(message, "an expression about the answer");
    }
    list_what_is_looped_over(&mut root);
    Ok(Arc::new(Program { root, uses }))
}

fn place(line: isize, column: isize) -> String {
    match (line, column) {
        (line, _) if line < 1 => String::new(),
        (1, column) => format!(" (at character {column})"),
        (line, column) => format!(" (at line {line}, character {column})"),
    }
}

/// The standard library without clocks and optional values, and with regular expressions of bounded size.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::stdlib().with_optional_support(false);
    let text = || types::STRING_TYPE;
    // Each is declared once here, and the library has none of them.
    let _ = environment.add_overload("matches", "matches_bounded", vec![text(), text()], matches);
    let _ = environment.add_member_overload("matches", "member_matches_bounded", text(), vec![text()], matches);
    let _ = environment.add_overload(LISTED, "listed", vec![types::LIST_TYPE], |mut list| {
        list.pop().ok_or(ExecutionError::MissingArgumentOrTarget)
    });
    Arc::new(environment)
});

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = |at: usize| args.get(at).and_then(|value| value.downcast_ref::<CelString<'_>>());
    let (Some(this), Some(pattern)) = (text(0), text(1)) else {
        return Err(ExecutionError::MissingArgumentOrTarget);
    };
    match compiled_pattern(pattern.inner()) {
        Ok(regex) => Ok(CowVal::owned(CelBool::from(regex.is_match(this.inner())))),
        Err(problem) => Err(ExecutionError::function_error("matches", problem)),
    }
}

/// Has `map` and `filter`, which make lists, loop over lists alone.
fn list_what_is_looped_over(expression: &mut IdedExpr) {
    if let Expr::Comprehension(looping) = &mut expression.expr
        && matches!(&looping.accu_init.expr, Expr::List(_))
    {
        let range = std::mem::take(&mut looping.iter_range);
        looping.iter_range = IdedExpr {
            id: range.id,
            expr: Expr::Call(cel::common::ast::CallExpr {
                func_name: LISTED.to_owned(),
                target: None,
                args: vec![range],
            }),
        };
    }
    for part in parts_mut(expression) {
        list_what_is_looped_over(part);
    }
}

/// The expressions within an expression.
fn parts_mut(expression: &mut IdedExpr) -> Vec<&mut IdedExpr> {
    match &mut expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref_mut().into_iter().chain(&mut call.args).collect(),
        Expr::Comprehension(looping) => vec![
            &mut looping.iter_range,
            &mut looping.accu_init,
            &mut looping.loop_cond,
            &mut looping.loop_step,
            &mut looping.result,
        ],
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Select(select) => vec![&mut select.operand],
        Expr::Map(map) => map.entries.iter_mut().flat_map(|entry| entry_parts(&mut entry.expr)).collect(),
        Expr::Struct(structure) => {
            structure.entries.iter_mut().flat_map(|entry| entry_parts(&mut entry.expr)).collect()
        }
    }
}

fn entry_parts(entry: &mut EntryExpr) -> Vec<&mut IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&mut field.value],
        EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
    }
}

struct Names<'a> {
    source: &'a SourceInfo,
    uses: BTreeSet<&'static str>,
    problems: Vec<ArgProblem>,
}

impl Names<'_> {
    /// Visits an expression within loops over these variables.
    fn visit(&mut self, expression: &IdedExpr, variables: &mut Vec<String>) {
        match &expression.expr {
            Expr::Ident(name) => self.identifier(expression.id, name, variables),
            Expr::Call(call) => {
                let named = call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
                if named && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    self.unknown(expression.id, "function", &call.func_name, &FUNCTIONS);
                }
                parts(expression).into_iter().for_each(|part| self.visit(part, variables));
            }
            Expr::Comprehension(looping) => {
                self.visit(&looping.iter_range, variables);
                self.visit(&looping.accu_init, variables);
                let outer = variables.len();
                variables.extend([looping.iter_var.clone(), looping.accu_var.clone()]);
                variables.extend(looping.iter_var2.clone());
                for part in [&looping.loop_cond, &looping.loop_step, &looping.result] {
                    self.visit(part, variables);
                }
                variables.truncate(outer);
            }
            Expr::List(_) | Expr::Select(_) | Expr::Map(_) => {
                parts(expression).into_iter().for_each(|part| self.visit(part, variables));
            }
            Expr::Struct(structure) => self.unknown(expression.id, "type", &structure.type_name, &TYPES),
            Expr::Literal(_) => {}
            Expr::Unspecified => self.problems.push(ArgProblem::new("a part of the expression is missing")),
        }
    }

    fn identifier(&mut self, id: u64, name: &str, variables: &[String]) {
        if variables.iter().any(|variable| variable == name) {
            return;
        }
        match INPUTS.iter().find(|input| **input == name) {
            Some(input) => {
                self.uses.insert(input);
            }
            None if TYPES.contains(&name) => {}
            None => self.unknown(id, "name", name, &INPUTS),
        }
    }

    fn unknown(&mut self, id: u64, kind: &str, name: &str, known: &[&str]) {
        let at = self
            .source
            .offset_for(id)
            .map_or_else(String::new, |(start, _)| format!(" (at character {})", start.saturating_add(1)));
        let problem = ArgProblem::new(format!("unknown {kind} `{}`{at}", bounded(name, 40)));
        let problem = problem.expected(format!("one of {}", known.join(", ")));
        self.problems.push(problem.did_you_mean(name, known.iter().copied()));
    }
}

/// A JSON value as CEL has it, and its size. Whole numbers are ints as far as they fit.
fn value(json: &Value, size: &mut Size) -> cel::Value {
    size.items += 1.0;
    match json {
        Value::Null => cel::Value::Null,
        Value::Bool(flag) => cel::Value::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => cel::Value::Int(int),
            (None, Some(uint)) => cel::Value::UInt(uint),
            (None, None) => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => {
            size.bytes += text.len() as f64;
            cel::Value::from(text.as_str())
        }
        Value::Array(list) => {
            let values: Vec<cel::Value> = list.iter().map(|item| value(item, size)).collect();
            cel::Value::from(values)
        }
        Value::Object(map) => {
            let mut values: HashMap<String, cel::Value> = HashMap::with_capacity(map.len());
            for (key, item) in map {
                size.bytes += key.len() as f64;
                values.insert(key.clone(), value(item, size));
            }
            cel::Value::from(values)
        }
    }
}

fn view(of: impl Serialize) -> Result<Value, MatchError> {
    serde_json::to_value(of).map_err(|error| MatchError::new(format!("the inputs can't be read: {error}")))
}

fn evaluate(expression: &Program, min: Option<f64>, input: &MatchInput<'_>) -> Result<Score, MatchError> {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    let mut sizes = Vec::new();
    for name in &expression.uses {
        let input = match *name {
            "answer" => view(AnswerView::of(input))?,
            "case" => view(CaseView::of(input))?,
            _ => match find_json(&input.answer.text, true) {
                Ok(json) => json,
                Err(reason) => return Ok(Score::binary(false, reason)),
            },
        };
        let mut size = Size::default();
        context.add_variable_from_value(*name, value(&input, &mut size));
        sizes.push((*name, size));
    }
    let steps = steps(&expression.root, &sizes);
    if steps > MOST_STEPS {
        return Err(MatchError::new(format!(
            "on an answer and a case of this size, the expression might take more than {} million steps",
            MOST_STEPS / 1e6
        )));
    }
    match cel::Value::resolve(&expression.root, &context) {
        Ok(found) => score(min, &found),
        Err(error) => Err(MatchError::new(format!("the expression has no value: {}", message(&error)))),
    }
}

fn message(error: &ExecutionError) -> String {
    let text = error.to_string();
    if text.contains(LISTED) {
        return "map() and filter() loop over lists alone, because the keys of a map have no order".to_owned();
    }
    bounded(&text, 200)
}

fn score(min: Option<f64>, found: &cel::Value) -> Result<Score, MatchError> {
    use cel::Value::{Bool, Float, Int, UInt};
    let number = if let Int(number) = found {
        Some(*number as f64)
    } else if let UInt(number) = found {
        Some(*number as f64)
    } else if let Float(number) = found {
        Some(*number)
    } else {
        None
    };
    match (min, found, number) {
        (None, Bool(holds), _) => {
            let is = if *holds { "true" } else { "false" };
            Ok(Score::binary(*holds, format!("the expression is {is}")))
        }
        (Some(min), _, Some(number)) if (0.0..=1.0).contains(&number) => {
            let than = if number >= min { "not less" } else { "less" };
            let reason = format!("the expression yields {number}, {than} than {min}");
            Ok(Score::new(number, number >= min, reason))
        }
        (Some(_), _, Some(number)) => {
            Err(MatchError::new(format!("the expression yields {number}, which is not from 0 to 1")))
        }
        (Some(_), _, None) => Err(MatchError::new(format!("the expression yields no number, but {}", kind(found)))),
        (None, _, Some(_)) => Err(MatchError::new("the expression yields a number; `min` says what passes")),
        (None, _, None) => {
            Err(MatchError::new(format!("the expression yields neither true nor false, but {}", kind(found))))
        }
    }
}

fn kind(value: &cel::Value) -> String {
    if let cel::Value::String(text) = value {
        format!("the text {}", quote(text))
    } else {
        format!("a {}", value.type_of())
    }
}

#[cfg(test)]
mod tests {
    use super::{evaluate, expression};
    use crate::domain::{Answer, ToolCall, Turn, TurnRole};
    use crate::scoring::rules::testing::{answer_text, compiled, problems, verdict, verdicts};
    use serde_json::{Value, json};

    fn told(expr: &str, answer: &Answer) -> String {
        let mut whole = answer_text("");
        whole.case.tags = vec!["refunds".to_owned()];
        whole.case.vars =
            json!({"question": "When?", "words": ["nine", "ten"], "most": 3}).as_object().unwrap().clone();
        whole.case.history = vec![Turn { role: TurnRole::User, text: "Hi".to_owned() }];
        whole.answer = answer.clone();
        verdict(json!({"cel": expr}), &whole)
    }

    #[test]
    fn sees_answer_case_and_json() {
        let mut answer =
            answer_text(r#"{"items": [{"price": 2, "name": "ann@example.org"}], "total": 2.5, "n": 3}"#).answer;
        answer.latency_ms = 90;
        answer.usage.output = 7;
        answer.tool_calls =
            vec![ToolCall { name: "find".to_owned(), args: json!({"id": 3}).as_object().unwrap().clone() }];
        for holds in [
            "json.items.all(i, i.price > 0)",
            "json.items.exists(i, i.name.matches('^[a-z]+@'))",
            "json.items.map(i, i.price) == [2]",
            "json.items.filter(i, i.price > 5).size() == 0",
            "json.items.exists_one(i, true)",
            "json.n + 1 == 4 && json.n == case.vars.most && json.total > 2",
            "has(json.items) && !has(json.none)",
            "'total' in json && json.exists(k, k == 'n')",
            "answer.text.contains('items') && answer.finish_reason == 'STOP'",
            "answer.tool_calls[0].name == 'find' && answer.tool_calls[0].args.id == 3",
            "answer.usage.output < 10 && answer.latency_ms <= 90 && answer.cost_usd < 0.01",
            "answer.model_version == null && size(answer.text) > 3",
            "case.tags == ['refunds'] && case.history[0].role == 'user' && answer.text != ''",
            "type(json.n) == int && answer.text.size() > 0",
        ] {
            assert_eq!(told(holds, &answer), "true: the expression is true", "{holds}");
        }
    }

    #[test]
    fn what_has_no_value_is_not_judged() {
        let answer = answer_text(r#"{"a": {"x": 1, "y": 2}, "t": "b"}"#).answer;
        let table = [
            "json.none > 1",
            "json.t > 1",
            "1 / (json.a.x - 1) == 1",
            "json.a.map(k, k) == ['x', 'y']",
            "json.t",
            "json.a.x",
            "answer.text.matches('(')",
            "json.a[0] == 1",
            "json.t.all(c, true)",
        ];
        let told: Vec<String> = table.iter().map(|expr| told(expr, &answer)).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        no judgement: the expression has no value: No such key: none
        no judgement: the expression has no value: found no matching overload for '_>_' applied to '(string, int)'
        no judgement: the expression has no value: Division by zero of Int(1)
        no judgement: the expression has no value: map() and filter() loop over lists alone, because the keys of a map have no order
        no judgement: the expression yields neither true nor false, but the text "b"
        no judgement: the expression yields a number; `min` says what passes
        no judgement: the expression has no value: Error executing function 'matches': the pattern "(" is not valid: unclosed group (at character 1)
        no judgement: the expression has no value: No such key: 0
        no judgement: the expression has no value: Unexpected type: got 'string', want 'iterable'
        "#);
        verdicts(json!({"cel": "json.a > 1"}), &[("{\"a\": 2}", true), ("{\"a\": 1}", false), ("no JSON", false)]);
    }

    #[test]
    fn a_number_is_a_score() {
        let matcher = compiled(json!({"cel": {"expr": "json", "min": 0.5}}));
        let table: Vec<String> = ["0.5", "1", "0.4", "1.5", "-1", "true"]
            .map(|text| match matcher.check(&answer_text(text).input()) {
                Ok(score) => format!("{} {}: {}", score.pass, score.value(), score.reason),
                Err(cannot) => cannot.to_string(),
            })
            .to_vec();
        insta::assert_snapshot!(table.join("\n"), @"
        true 0.5: the expression yields 0.5, not less than 0.5
        true 1: the expression yields 1, not less than 0.5
        false 0.4: the expression yields 0.4, less than 0.5
        the expression yields 1.5, which is not from 0 to 1
        the expression yields -1, which is not from 0 to 1
        the expression yields no number, but a bool
        ");
    }

    #[test]
    fn what_can_not_mean_anything_is_refused_with_its_place() {
        insta::assert_snapshot!(problems(&[
            json!({"cel": "answer.text =="}),
            json!({"cel": "answer.text == 'a"}),
            json!({"cel": "answer.text.size() > )"}),
            json!({"cel": "true &&\n answr.text == 'a'"}),
            json!({"cel": "json.items.all(i, j > 0)"}),
            json!({"cel": "answer.text.lowerAscii() == 'a'"}),
            json!({"cel": "answer.text == now()"}),
            json!({"cel": "Foo{a: 1} == answer"}),
            json!({"cel": "case.vars.a == 1"}),
            json!({"cel": "1 == 1"}),
            json!({"cel": ""}),
            json!({"cel": 3}),
            json!({"cel": {"expr": "json", "min": 0}}),
            json!({"cel": {"min": 1}}),
            json!({"cel": format!("answer.text == '{}'", "a".repeat(1000))}),
            json!({"cel": format!("{}answer{} == 1", "(".repeat(30), ")".repeat(30))}),
            json!({"cel": format!("answer.latency_ms == 1{}", " + 1".repeat(30))}),
            json!({"json_path": {"path": "$.a", "check": {"cel": "answer.latency_ms < 5"}}}),
        ]));
    }

    /// Expressions that would take forever, or all memory, on a long answer. Each would do so here, if it were evaluated.
    #[test]
    fn what_would_blow_up_is_not_evaluated() {
        let list: Vec<u32> = (0..3_000).collect();
        let answer = answer_text(&json!({"list": list, "text": "x".repeat(100_000)}).to_string()).answer;
        let doubling = format!("size([json.text]{}) > 0", ".map(x, x + x)".repeat(12));
        let nested = format!("size([json.text]{}) > 0", ".map(x, [x, x, x, x])".repeat(12));
        for expr in [
            doubling.as_str(),
            &nested,
            "json.list.all(a, json.list.all(b, json.list.all(c, a + b + c >= 0)))",
            "json.list.map(a, json.list.map(b, json.list)).size() > 0",
            "json.list.all(a, json.text.matches(string(a) + '.*'))",
            "json.list.map(a, json.text + string(a)).size() > 0",
        ] {
            let told = told(expr, &answer);
            assert!(told.contains("more than 20 million steps"), "{expr}: {told}");
        }
        // One loop over a long list is fine.
        assert_eq!(told("json.list.all(a, a >= 0)", &answer), "true: the expression is true");
    }

    #[test]
    fn the_deepest_expressions_fit_the_stack() {
        let whole = answer_text("[1]");
        for (level, end) in [("[", "]"), ("(json.size() > 0 ? ", " : 1)"), ("json.map(x, ", ")"), ("-(1 + ", ")")] {
            let deepest = (1..24).rev().find_map(|levels| {
                let expr = format!("size([{}json{}]) > 0", level.repeat(levels), end.repeat(levels));
                expression(&Value::String(expr)).ok()
            });
            // Whatever it says: the thread is still there.
            let _ = evaluate(&deepest.unwrap(), None, &whole.input());
        }
    }
}
