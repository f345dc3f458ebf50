//! Assertions: read from a map or from a cell of CSV, translated by the table of equivalents, and put together as
//! promptfoo weighs them.

use super::super::document::Node;
use super::super::draft::Draft;
use super::super::equivalents::{self, Args, Score};
use super::super::files::extension;
use super::super::{Import, kind, least_count, quoted, template};
use super::document;
use serde_json::{Map, Value, json};

pub(crate) struct Assertion {
    node: Node,
    /// Its type without `not-`.
    kind: String,
    is_not: bool,
    value: Option<Value>,
    pub(crate) threshold: Option<f64>,
    weight: f64,
    pub(crate) metric: Option<String>,
    config: Option<Value>,
    /// The members of an `assert-set`.
    members: Option<Vec<Assertion>>,
    /// Why it can't be translated, whatever its type.
    lost: Option<String>,
    /// What is to be told about it.
    notes: Vec<(Node, String)>,
}

pub(crate) struct Piece {
    check: Value,
    pub(crate) weight: f64,
    metric: Option<String>,
    score: Score,
}

/// What became of a list of assertions.
pub(crate) struct Pieces {
    pub(crate) made: Vec<Piece>,
    /// How many have no equivalent.
    pub(crate) lost: usize,
}

/// Types of which the CSV mini-language keeps the threshold, or gives a default one.
const CSV_THRESHOLDS: &str = "answer-relevance classifier context-faithfulness context-recall context-relevance cost latency \
                              levenshtein perplexity perplexity-score rouge-n similar starts-with";

/// Types that the CSV mini-language does not know.
const NOT_IN_CSV: [&str; 3] = ["human", "max-score", "select-best"];

impl Assertion {
    fn new(node: &Node, kind: &str) -> Assertion {
        let (kind, is_not) = match kind.strip_prefix("not-") {
            Some(kind) => (kind, true),
            None => (kind, false),
        };
        Assertion {
            node: node.clone(),
            kind: kind.to_owned(),
            is_not,
            value: None,
            threshold: None,
            weight: 1.0,
            metric: None,
            config: None,
            members: None,
            lost: None,
            notes: Vec::new(),
        }
    }

    /// Reads a map, or what it refers to in the configuration.
    pub(crate) fn read(root: Option<&Node>, node: &Node) -> Assertion {
        Assertion::read_inside(root, node, 0)
    }

    fn read_inside(root: Option<&Node>, node: &Node, depth: usize) -> Assertion {
        let lost = |why: String| Assertion { lost: Some(why), ..Assertion::new(node, "") };
        if let Some(reference) = node.text("$ref") {
            return match referred(root, reference) {
                Some(target) if depth < 4 => {
                    Assertion { node: node.clone(), ..Assertion::read_inside(root, &target, depth + 1) }
                }
                _ => lost(format!("the reference {} leads nowhere", quoted(reference))),
            };
        }
        let Some(written) = node.text("type") else {
            return lost(format!("an assertion without a type: {}", kind(node.value())));
        };
        let mut assertion = Assertion::new(node, written);
        for (key, node) in node.entries() {
            match key.as_str() {
                "type" => {}
                "value" => assertion.value = Some(node.value().clone()),
                "threshold" => match node.value().as_f64() {
                    Some(threshold) => assertion.threshold = Some(threshold),
                    None => assertion.lost = Some("its threshold is no number".to_owned()),
                },
                "weight" => match node.value().as_f64().filter(|weight| *weight >= 0.0) {
                    Some(weight) => assertion.weight = weight,
                    None => assertion.lost = Some("its weight is no number of 0 or more".to_owned()),
                },
                "metric" => match node.value().as_str() {
                    Some(metric) => assertion.metric = Some(metric.to_owned()),
                    None => assertion.notes.push((node, "its metric is no text, and is left out".to_owned())),
                },
                "config" => assertion.config = Some(node.value().clone()),
                "assert" if written == "assert-set" => {
                    let members = node.items();
                    assertion.members =
                        Some(members.iter().map(|node| Assertion::read_inside(root, node, depth + 1)).collect());
                }
                "transform" | "contextTransform" => {
                    assertion.lost = Some("it looks at a transformed answer, and code is not run".to_owned());
                }
                "provider" | "rubricPrompt" => {
                    assertion.notes.push((node, format!("`{key}` says how to grade, and is left out")));
                }
                _ => assertion.notes.push((node, format!("an assertion has no `{key}`, and promptfoo ignores it"))),
            }
        }
        assertion
    }

    /// Reads the mini-language of CSV: `[not-]type[(threshold)][:value]`, and the literal text for everything else.
    pub(crate) fn of_cell(node: &Node, cell: &str) -> Assertion {
        let with = |kind: &str, value: &str| Assertion { value: Some(value.into()), ..Assertion::new(node, kind) };
        for (prefix, kind) in [
            ("javascript:", "javascript"),
            ("fn:", "javascript"),
            ("eval:", "javascript"),
            ("python:", "python"),
            ("grade:", "llm-rubric"),
            ("llm-rubric:", "llm-rubric"),
        ] {
            if let Some(value) = cell.strip_prefix(prefix) {
                return with(kind, value.trim());
            }
        }
        if let Some((name, threshold, value)) = typed(cell) {
            let mut assertion = Assertion::new(node, name);
            let kind = assertion.kind.clone();
            // A list is cut at its commas when it is read, as anywhere else.
            assertion.value = value.map(|value| value.trim().into());
            if CSV_THRESHOLDS.split(' ').any(|known| known == kind) {
                assertion.threshold = Some(threshold.unwrap_or(if kind == "similar" { 0.8 } else { 0.75 }));
            } else if threshold.is_some() {
                let note = "promptfoo leaves out this threshold in CSV, and so does the import";
                assertion.notes.push((node.clone(), note.to_owned()));
            }
            return assertion;
        }
        let mut assertion = with("equals", cell);
        let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if cell.split_once(':').is_some_and(|(before, _)| is_word(before.split('(').next().unwrap_or_default()))
            && !cell.starts_with("file://")
        {
            let note =
                "no assertion begins like this, so promptfoo compares with the whole text, and so does the import";
            assertion.notes.push((node.clone(), note.to_owned()));
        }
        assertion
    }

    /// The check of this assertion, if there is one; what else is to be told goes to the draft.
    fn translate(&self, import: &mut Import<'_>, draft: &mut Draft) -> Result<(Value, Score), String> {
        for (node, note) in &self.notes {
            draft.note(node, note.clone());
        }
        if let Some(why) = &self.lost {
            return Err(why.clone());
        }
        let row =
            equivalents::find(&self.kind).ok_or_else(|| format!("the type {} is not known", quoted(&self.kind)))?;
        let args = Args { value: self.value(import, draft)?, threshold: self.threshold, config: self.config.clone() };
        let row = row?;
        let check = import.verified(row.check(&args, self.is_not)?)?;
        if !row.differs.is_empty() {
            draft.note(&self.node, format!("`{}` has an equivalent that differs: {}", self.name(), row.differs));
        }
        Ok((check, row.score))
    }

    fn name(&self) -> String {
        format!("{}{}", if self.is_not { "not-" } else { "" }, self.kind)
    }

    /// The value, read from its file if it names one, and rendered.
    fn value(&self, import: &mut Import<'_>, draft: &Draft) -> Result<Option<Value>, String> {
        let Some(value) = &self.value else { return Ok(None) };
        let read = match value.as_str().filter(|text| text.starts_with("file://")) {
            None => value.clone(),
            Some(name) => match extension(name).as_str() {
                "txt" => {
                    let text = import.files.read(name).map_err(|why| format!("{} {why}", quoted(name)))?;
                    text.text.trim().into()
                }
                "json" | "yaml" | "yml" => {
                    document(import, name).map_err(|why| format!("{} {why}", quoted(name)))?.value().clone()
                }
                _ => {
                    return Err(format!("code is not run, and {} is no .txt, .json or .yaml", quoted(name)));
                }
            },
        };
        if read.as_str().is_some_and(|text| text.starts_with("package:")) {
            return Err("code is not run".to_owned());
        }
        template::render_all(&read, &draft.vars).map(Some)
    }
}

/// Type, threshold and value of a cell that has the form `[not-]type[(threshold)][:value]` with a type that is known.
fn typed(cell: &str) -> Option<(&str, Option<f64>, Option<&str>)> {
    let known = |name: &str| {
        let base = name.strip_prefix("not-").unwrap_or(name);
        equivalents::find(base).is_some() && !NOT_IN_CSV.contains(&base)
    };
    // A type may have a colon in it itself; the shortest one that is known counts, as in an alternation.
    let ends = cell.match_indices([':', '(']).map(|(at, _)| at).chain([cell.len()]);
    let end = ends.into_iter().find(|end| known(&cell[..*end]))?;
    let (name, rest) = cell.split_at(end);
    let (threshold, rest) = match rest.strip_prefix('(') {
        None => (None, rest),
        Some(inside) => {
            let (number, rest) = inside.split_once(')')?;
            let is_number = !number.is_empty()
                && number.split('.').count() <= 2
                && number.split('.').all(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()));
            if !is_number {
                return None;
            }
            (Some(number.parse().ok()?), rest)
        }
    };
    match rest.strip_prefix(':') {
        Some(value) => Some((name, threshold, Some(value))),
        None if rest.is_empty() => Some((name, threshold, None)),
        None => None,
    }
}

/// What `#/a/b` leads to.
fn referred(root: Option<&Node>, reference: &str) -> Option<Node> {
    let path = reference.strip_prefix("#/")?;
    path.split('/').try_fold(root?.clone(), |node, key| node.get(&key.replace("~1", "/").replace("~0", "~")))
}

/// Translates a list. What has no equivalent is told.
pub(crate) fn all(import: &mut Import<'_>, draft: &mut Draft, assertions: &[Assertion]) -> Pieces {
    let mut pieces = Pieces { made: Vec::new(), lost: 0 };
    for assertion in assertions {
        match &assertion.members {
            Some(members) if assertion.lost.is_none() => set(import, draft, assertion, members, &mut pieces),
            _ => one(import, draft, assertion, &mut pieces),
        }
    }
    pieces
}

fn one(import: &mut Import<'_>, draft: &mut Draft, assertion: &Assertion, pieces: &mut Pieces) {
    match assertion.translate(import, draft) {
        Ok((check, score)) => {
            pieces.made.push(Piece { check, weight: assertion.weight, metric: assertion.metric(draft), score })
        }
        Err(why) => {
            let name = assertion.name();
            let message = match name.as_str() {
                "" => why,
                _ => format!("`{name}`: {why}"),
            };
            draft.lose(&assertion.node, message);
            pieces.lost += usize::from(assertion.weight > 0.0);
        }
    }
}

impl Assertion {
    fn metric(&self, draft: &mut Draft) -> Option<String> {
        let written = self.metric.as_ref().filter(|metric| !metric.trim().is_empty())?;
        match template::render(written, &draft.vars) {
            Ok(metric) => Some(metric),
            Err(why) => {
                draft.note(&self.node, format!("its metric is left out: {why}"));
                None
            }
        }
    }
}

/// An `assert-set`: all of its members, or as many as its threshold asks for. Members without weight have no say in it
/// either way, and stand beside it.
fn set(import: &mut Import<'_>, draft: &mut Draft, set: &Assertion, members: &[Assertion], outer: &mut Pieces) {
    for (node, note) in &set.notes {
        draft.note(node, note.clone());
    }
    if let Some(inner) = members.iter().find(|member| member.members.is_some()) {
        draft.lose(&inner.node, "an `assert-set` in another one, which promptfoo refuses too");
        outer.lost += 1;
        return;
    }
    let inner = all(import, draft, members);
    let (deciding, counted): (Vec<_>, Vec<_>) = inner.made.into_iter().partition(|piece| piece.weight > 0.0);
    outer.made.extend(counted);
    let threshold = set.threshold;
    if deciding.is_empty() && inner.lost == 0 {
        return draft.note(&set.node, "an `assert-set` in which nothing decides");
    }
    let grouped = match threshold {
        Some(threshold) => group(deciding, inner.lost, threshold),
        None if deciding.is_empty() => Err("none of its members has an equivalent".to_owned()),
        None => Ok(deciding.into_iter().map(Piece::into_check).collect()),
    };
    let check = grouped.and_then(|mut checks| {
        let check = match checks.len() {
            1 if checks[0].as_object().is_some_and(|check| check.len() == 1) => checks.remove(0),
            _ => json!({ "all": checks }),
        };
        import.verified(check)
    });
    match check {
        Ok(check) => {
            outer.lost += usize::from(inner.lost > 0);
            outer.made.push(Piece { check, weight: set.weight, metric: set.metric(draft), score: Score::Graded });
        }
        Err(why) => {
            draft.lose(&set.node, format!("`assert-set`: {why}"));
            outer.lost += 1;
        }
    }
}

/// The checks that hold when the weighted mean of the scores of `pieces` reaches the threshold. With a threshold, single
/// failures do not count for promptfoo.
pub(crate) fn group(pieces: Vec<Piece>, lost: usize, threshold: f64) -> Result<Vec<Value>, String> {
    if lost > 0 {
        return Err(format!(
            "the threshold {threshold} is about all assertions together, and {lost} of them have no equivalent"
        ));
    }
    if threshold <= 0.0 {
        return Err(format!("with the threshold {threshold} every answer passes"));
    }
    if let Some(piece) = pieces.iter().find(|piece| piece.score == Score::Graded) {
        return Err(format!(
            "the threshold {threshold} is about a mean of scores, and that of {} is not 1 or 0",
            quoted(&piece.check.to_string())
        ));
    }
    let total: f64 = pieces.iter().map(|piece| piece.weight).sum();
    let lightest = pieces.iter().map(|piece| piece.weight).fold(f64::INFINITY, f64::min);
    if threshold > 1.0 {
        return Err(format!("no answer reaches the threshold {threshold}"));
    }
    // Without the lightest one the threshold is missed, so all are needed.
    if (total - lightest) / total < threshold {
        return Ok(pieces.into_iter().map(Piece::into_check).collect());
    }
    if pieces.iter().any(|piece| piece.weight != lightest) {
        return Err(format!("the threshold {threshold} is about a weighted mean of assertions with different weights"));
    }
    let count = pieces.len();
    let needed = least_count(count, threshold);
    let checks: Vec<Value> = pieces.into_iter().map(|piece| Piece { weight: 1.0, ..piece }.into_check()).collect();
    Ok(vec![match needed {
        1 => json!({ "any": checks }),
        _ => json!({"at_least": {"n": needed, "of": checks}}),
    }])
}

impl Piece {
    pub(crate) fn into_check(self) -> Value {
        let mut check: Map<String, Value> = match self.check {
            Value::Object(map) => map,
            text @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                Map::from_iter([("equals".to_owned(), text)])
            }
        };
        if self.weight != 1.0 {
            let whole = self.weight as u64;
            let weight = match whole as f64 == self.weight {
                true => whole.into(),
                false => self.weight.into(),
            };
            check.insert("weight".to_owned(), weight);
        }
        if let Some(metric) = self.metric {
            check.insert("name".to_owned(), metric.into());
        }
        Value::Object(check)
    }
}
