//! `judge`: a model reads the answer against a rubric.
//!
//! The reply must be the JSON object that was asked for and nothing else. Whatever else comes (a failure, a refusal, prose,
//! a field too many, a score out of range) is no judgement, and so an error: never a pass, never a fail, also under `not`.

use crate::domain::{Answer, ArgProblem, Case, JudgeUse, Question, ReplyForm, Score, Step, digest, hex};
use crate::scoring::arguments::{Fields, Read, choice, count, needle, refuse, share};
use crate::scoring::definition::{Asks, Compile, MatcherDef, Sample};
use crate::scoring::inner_check::as_text;
use crate::scoring::matcher::{MatchError, MatchInput, Matcher};
use crate::scoring::quote::{bounded, quote};
use crate::scoring::replies::ReplyCache;
use crate::scoring::strict_json;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(super) const JUDGE: MatcherDef = MatcherDef {
    name: "judge",
    summary: "a model, the judge, finds that the answer meets the rubric",
    arguments: "the rubric as a text, or {rubric, by, reference, votes, aggregate: majority|mean, min, against}; `by` names \
                a judge under [judges.NAME] in promptgate.toml (default: default); `reference` is an answer known to be \
                good, for the judge to compare with; `votes` asks so often, 1 to 15; majority (odd votes) passes when \
                more than half of the votes say so, mean asks for scores from 0 to 1 and passes when their mean is at \
                least `min`; with `against: text` the judge says which of the two is better, is asked in both orders, and \
                the answer passes unless the other one wins (a tie, or another winner in each order, counts half; the \
                mean over the votes must be at least `min`, default 0.5); a judge that fails or says anything else than \
                it was asked is an error, never pass or fail",
    schema: r##"{"anyOf": [{"$ref": "#/$defs/text"}, {"type": "object", "properties": {"rubric": {"$ref": "#/$defs/text"},
        "by": {"$ref": "#/$defs/text"}, "reference": {"$ref": "#/$defs/text"}, "against": {"$ref": "#/$defs/text"},
        "votes": {"type": "integer", "minimum": 1, "maximum": 15}, "aggregate": {"enum": ["majority", "mean"]},
        "min": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}}, "required": ["rubric"],
        "additionalProperties": false}]}"##,
    example: r#"{"judge": "The answer names the refund period and does not promise a refund."}"#,
    passes: Sample::Judged {
        text: "You have 30 days; the shop decides then.",
        reply: r#"{"reason": "both hold", "pass": true}"#,
    },
    fails: Sample::Judged { text: "Sure, we refund you.", reply: r#"{"reason": "it promises", "pass": false}"# },
    refused: r#"{"judge": {"rubric": "good", "aggregate": "mean"}}"#,
    schema_refuses: false,
    cost: "one request to the judge's model a vote, two with `against`; stored, so that a resumed or repeated run does not \
           ask again; a reply is read up to 64 KiB",
    takes_text: true,
    compile,
    asks: Some(Asks::Judge),
    ..MatcherDef::DEFAULT
};

/// Votes on one answer at most.
const MOST_VOTES: u64 = 15;
/// Bytes of a reply that are read.
const LONGEST_REPLY: usize = 64 << 10;

struct Judge {
    by: String,
    rubric: String,
    reference: Option<String>,
    votes: u32,
    rule: Rule,
}

/// What the votes must come to.
enum Rule {
    Majority,
    Mean { min: f64 },
    Against { other: String, min: f64 },
}

#[derive(Clone, Copy, PartialEq)]
enum Aggregate {
    Majority,
    Mean,
}

fn compile(args: &Value, _: &Compile<'_>) -> Read<Matcher> {
    let judge = read(args)?;
    Ok(Matcher::new(move |input| judge.check(input)))
}

/// How the check of these arguments asks its judge; `None` for arguments that do not compile.
pub(in crate::scoring) fn judge_use(args: &Value) -> Option<JudgeUse> {
    let judge = read(args).ok()?;
    Some(JudgeUse {
        judge: judge.by,
        votes: judge.votes,
        rule: match judge.rule {
            Rule::Majority => "majority".to_owned(),
            Rule::Mean { min } => format!("mean of at least {min}"),
            Rule::Against { other: _, min } => format!("preference of at least {min}"),
        },
    })
}

fn read(args: &Value) -> Read<Judge> {
    let known = ["rubric", "by", "reference", "votes", "aggregate", "min", "against"];
    let mut fields = Fields::of_map_or_value(args, &known);
    let rubric = fields.required("rubric", "what the answer must be, in a sentence or more", needle);
    let by = fields.optional("by", needle);
    let reference = fields.optional("reference", needle);
    let against = fields.optional("against", needle);
    let votes = fields.optional("votes", votes).unwrap_or(1);
    let aggregates = [("majority", Aggregate::Majority), ("mean", Aggregate::Mean)];
    let aggregate = fields.optional("aggregate", |value| choice(value, &aggregates));
    let min = fields.optional("min", |value| share(value, "a score"));
    let rule = rule(&mut fields, aggregate, min, against, votes);
    let (rubric, rule) = fields.finish(rubric.zip(rule))?;
    Ok(Judge {
        by: by.unwrap_or("default").to_owned(),
        rubric: rubric.to_owned(),
        reference: reference.map(str::to_owned),
        votes,
        rule,
    })
}

fn rule(
    fields: &mut Fields<'_>,
    aggregate: Option<Aggregate>,
    min: Option<f64>,
    against: Option<&str>,
    votes: u32,
) -> Option<Rule> {
    match (against, aggregate, min) {
        (Some(_), Some(_), _) => {
            fields.refuse(
                ArgProblem::new("`aggregate` does not go with `against`, which always takes the mean")
                    .inside(Step::key("aggregate")),
            );
            None
        }
        (Some(other), None, min) => Some(Rule::Against { other: other.to_owned(), min: min.unwrap_or(0.5) }),
        (None, Some(Aggregate::Mean), Some(min)) => Some(Rule::Mean { min }),
        (None, Some(Aggregate::Mean), None) => {
            fields.refuse(
                ArgProblem::new("`min` is missing").expected("the least mean score that passes, like min: 0.7"),
            );
            None
        }
        (None, _, Some(_)) => {
            let message = "`min` says nothing about votes for pass or fail";
            fields.refuse_key("min", message, "`aggregate: mean` beside it");
            None
        }
        (None, _, None) if votes.is_multiple_of(2) => {
            let expected = "an odd number of votes, or `aggregate: mean`";
            fields.refuse_key("votes", format!("{votes} votes can be a tie"), expected);
            None
        }
        (None, _, None) => Some(Rule::Majority),
    }
}

fn votes(value: &Value) -> Read<u32> {
    match count(value)? {
        votes @ 1..=MOST_VOTES => Ok(votes as u32),
        votes => refuse(format!("{votes} is no number of votes"), format!("1 to {MOST_VOTES} votes")),
    }
}

/// Every question that a check may ask about an answer, as if that were empty. Arguments that don't compile ask none.
pub(in crate::scoring) fn questions(args: &Value, case: &Case) -> Vec<Question> {
    let Ok(judge) = read(args) else { return Vec::new() };
    let (verdict, pairs): (_, &[Option<bool>]) = match &judge.rule {
        Rule::Majority => (ReplyForm::PassOrFail, &[None]),
        Rule::Mean { .. } => (ReplyForm::Score, &[None]),
        Rule::Against { .. } => (ReplyForm::Preference, &[Some(true), Some(false)]),
    };
    let other = match &judge.rule {
        Rule::Against { other, .. } => other.as_str(),
        Rule::Majority | Rule::Mean { .. } => "",
    };
    let (answer, replies) = (Answer::default(), ReplyCache::default());
    let input = MatchInput { case, answer: &answer, system: None, cost_usd: None, unusable: None, replies: &replies };
    let asked = pairs.iter().flat_map(|first| (1..=judge.votes).map(move |vote| (*first, vote)));
    asked
        .map(|(first, vote)| {
            judge.question(&input, verdict, vote, |nonce: &str| {
                first.map(|first| (first, fenced("other", nonce, other)))
            })
        })
        .collect()
}

impl Judge {
    fn check(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        if !input.answer.tool_calls.is_empty() && input.answer.text.trim().is_empty() {
            return Err(MatchError::new("the answer calls functions and says nothing that a judge could read"));
        }
        match &self.rule {
            Rule::Majority => self.majority(input),
            Rule::Mean { min } => self.mean(input, *min),
            Rule::Against { other, min } => self.against(input, other, *min),
        }
    }

    fn majority(&self, input: &MatchInput<'_>) -> Result<Score, MatchError> {
        let votes = self.ask(input, ReplyForm::PassOrFail, |_| None, read_pass)?;
        let passing = votes.iter().filter(|vote| vote.value == 1.0).count();
        let pass = 2 * passing > votes.len();
        let value = if pass { 1.0 } else { 0.0 };
        let vote = votes.iter().find(|vote| (vote.value == 1.0) == pass);
        let tally = match votes.len() {
            1 => String::new(),
            all => format!("{passing} of {all} votes for pass; "),
        };
        Ok(Score::new(value, pass, format!("{tally}{}", shown_reason(vote))))
    }

    fn mean(&self, input: &MatchInput<'_>, min: f64) -> Result<Score, MatchError> {
        let votes = self.ask(input, ReplyForm::Score, |_| None, read_score)?;
        Ok(mean_score(&votes, min))
    }

    /// Each vote reads both in both orders: judges favour what stands first.
    fn against(&self, input: &MatchInput<'_>, other: &str, min: f64) -> Result<Score, MatchError> {
        let mut votes = Vec::new();
        for first in [true, false] {
            let pair = |nonce: &str| Some((first, fenced("other", nonce, other)));
            let read = |reply: &str| read_preference(reply, first);
            votes.extend(self.ask(input, ReplyForm::Preference, pair, read)?);
        }
        Ok(mean_score(&votes, min))
    }

    /// Asks all votes. Every reply must be one, for a vote that is left out could have decided.
    fn ask(
        &self,
        input: &MatchInput<'_>,
        verdict: ReplyForm,
        other: impl Fn(&str) -> Option<(bool, String)>,
        read: impl Fn(&str) -> Result<Vote, String>,
    ) -> Result<Vec<Vote>, MatchError> {
        let replies: Vec<_> =
            (1..=self.votes).map(|vote| input.replies.reply(&self.question(input, verdict, vote, &other))).collect();
        let mut votes = Vec::with_capacity(replies.len());
        for reply in replies {
            let reply = reply.map_err(|failure| {
                MatchError::new(format!("the judge gave no reply ({}): {}", failure.code, failure.message))
            })?;
            votes.push(read(&reply).map_err(|why| {
                MatchError::new(format!("the judge's reply is none: {why}; it said {}", quote(&reply)))
            })?);
        }
        Ok(votes)
    }

    fn question(
        &self,
        input: &MatchInput<'_>,
        verdict: ReplyForm,
        vote: u32,
        other: impl Fn(&str) -> Option<(bool, String)>,
    ) -> Question {
        let nonce = nonce(&[&input.answer.text, &self.rubric, input.case.id.as_str()]);
        let answer = fenced("answer", &nonce, &input.answer.text);
        let mut vars = Map::new();
        let mut put = |name: &str, text: String| {
            vars.insert(name.to_owned(), Value::String(text));
        };
        put("rubric", self.rubric.clone());
        if verdict == ReplyForm::Score {
            put("scores", "true".to_owned());
        }
        put("input", fenced("input", &nonce, &input_text(input)));
        if let Some(reference) = &self.reference {
            put("reference", fenced("reference", &nonce, reference));
        }
        match other(&nonce) {
            None => put("answer", answer),
            Some((answer_first, other)) => {
                let (first, second) = if answer_first { (answer, other) } else { (other, answer) };
                // Without names of their own nothing tells which of the two is judged.
                let rename = |text: String, name: &str| {
                    text.replace(&format!("answer-{nonce}"), name).replace(&format!("other-{nonce}"), name)
                };
                put("first", rename(first, &format!("first-{nonce}")));
                put("second", rename(second, &format!("second-{nonce}")));
            }
        }
        Question { judge: self.by.clone(), verdict, vars, vote }
    }
}

/// What was asked of the model: the values of the case, which are the same for both arms.
fn input_text(input: &MatchInput<'_>) -> String {
    let turns = input.case.history.iter().map(|turn| {
        let who = match turn.role {
            crate::domain::TurnRole::User => "user",
            crate::domain::TurnRole::Model => "model",
        };
        format!("{who}: {}", turn.text)
    });
    let vars = input.case.vars.iter().map(|(name, value)| format!("{name}: {}", as_text(value)));
    turns.chain(vars).collect::<Vec<_>>().join("\n")
}

/// A mark that the judged text can't hold: it would have to contain its own digest.
fn nonce(pieces: &[&str]) -> String {
    hex(&digest(pieces.iter().map(|piece| piece.as_bytes()))[..8])
}

/// Text from outside between marks, so that it can't pass for words of the judge's own prompt.
fn fenced(name: &str, nonce: &str, text: &str) -> String {
    format!("<{name}-{nonce}>\n{text}\n</{name}-{nonce}>")
}

struct Vote {
    value: f64,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PassReply {
    reason: String,
    pass: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScoreReply {
    reason: String,
    score: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreferenceReply {
    reason: String,
    better: Better,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Better {
    First,
    Second,
    Equal,
}

fn json<T: DeserializeOwned>(reply: &str) -> Result<T, String> {
    if reply.len() > LONGEST_REPLY {
        return Err(format!("it is longer than {} KiB", LONGEST_REPLY >> 10));
    }
    strict_json::parse_object(reply).map_err(|cause| format!("not the json that was requested: {cause}"))
}

fn read_pass(reply: &str) -> Result<Vote, String> {
    let PassReply { reason, pass } = json(reply)?;
    let value = if pass { 1.0 } else { 0.0 };
    Ok(Vote { value, reason })
}

fn read_score(reply: &str) -> Result<Vote, String> {
    let ScoreReply { reason, score } = json(reply)?;
    if !(0.0..=1.0).contains(&score) {
        return Err(format!("the score {score} is not from 0 to 1"));
    }
    // Without the sign of a negative zero.
    Ok(Vote { value: score.abs(), reason })
}

fn read_preference(reply: &str, answer_first: bool) -> Result<Vote, String> {
    let PreferenceReply { reason, better } = json(reply)?;
    let value = match better {
        Better::Equal => 0.5,
        Better::First => f64::from(u8::from(answer_first)),
        Better::Second => f64::from(u8::from(!answer_first)),
    };
    Ok(Vote { value, reason })
}

fn mean_score(votes: &[Vote], min: f64) -> Score {
    let mean = votes.iter().map(|vote| vote.value).sum::<f64>() / votes.len().max(1) as f64;
    // A mean of scores that equal the least one may miss it by a rounding.
    let pass = mean + 1e-9 >= min && !votes.is_empty();
    let is = if pass { "at least" } else { "less than" };
    let vote = votes.iter().min_by(|a, b| a.value.total_cmp(&b.value));
    Score::new(mean, pass, format!("the judge's mean is {mean:.2}, {is} {min}; {}", shown_reason(vote)))
}

fn shown_reason(vote: Option<&Vote>) -> String {
    match vote.map(|vote| vote.reason.trim()).filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("the judge: {}", bounded(reason, 300)),
        None => "the judge gave no reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::scoring::rules::testing::{Canned, answer_text, compiled, problems};
    use serde_json::{Value, json};

    /// `pass 1`, `fail 0.4` or `error`, and the reason.
    fn said(check: Value, reply: &str) -> String {
        let mut whole = answer_text("You have 30 days.");
        whole.replies = Canned { reply: Some(reply.to_owned()), meaning: None };
        match compiled(json!({ "judge": check })).check(&whole.input()) {
            Ok(score) => {
                let word = if score.pass { "pass" } else { "fail" };
                format!("{word} {}: {}", score.value(), score.reason)
            }
            Err(cannot) => format!("error: {}", cannot.reason),
        }
    }

    #[test]
    fn a_reply_is_exactly_what_was_asked_for_or_none() {
        let table = [
            (json!("ok"), r#"{"reason": "fine", "pass": true}"#),
            (json!("ok"), r#"{"pass": false}"#),
            (json!("ok"), r#"{"reason": "fine", "pass": "true"}"#),
            (json!("ok"), r#"{"reason": "fine", "pass": true, "score": 1}"#),
            (json!("ok"), r#"{"reason": "fine"}"#),
            (json!("ok"), r#"{"reason": "bad", "pass": false, "pass": true}"#),
            (json!("ok"), r#"I think it passes: {"pass": true}"#),
            (json!("ok"), "pass"),
            (json!("ok"), ""),
            (json!({"rubric": "ok", "votes": 3}), r#"{"reason": "fine", "pass": true}"#),
            (json!({"rubric": "ok", "aggregate": "mean", "min": 0.7}), r#"{"reason": "so so", "score": 0.7}"#),
            (
                json!({"rubric": "ok", "aggregate": "mean", "min": 0.7, "votes": 3}),
                r#"{"reason": "so so", "score": 0.7}"#,
            ),
            (json!({"rubric": "ok", "aggregate": "mean", "min": 0.7}), r#"{"reason": "bad", "score": 0.69}"#),
            (json!({"rubric": "ok", "aggregate": "mean", "min": 0.7}), r#"{"reason": "great", "score": 7}"#),
            (json!({"rubric": "ok", "aggregate": "mean", "min": 0.7}), r#"{"reason": "great", "score": NaN}"#),
            // The same side wins in both orders, so it is the order that wins, and nobody.
            (json!({"rubric": "ok", "against": "No."}), r#"{"reason": "first", "better": "first"}"#),
            (json!({"rubric": "ok", "against": "No.", "min": 0.6}), r#"{"reason": "first", "better": "first"}"#),
            (json!({"rubric": "ok", "against": "No."}), r#"{"reason": "?", "better": "third"}"#),
        ];
        let said: Vec<String> = table.into_iter().map(|(check, reply)| said(check, reply)).collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn a_list_is_no_object_whatever_stands_in_it() {
        for (check, reply) in [
            (json!("ok"), r#"["fine", true]"#),
            (json!({"rubric": "ok", "aggregate": "mean", "min": 0.5}), r#" ["fine", 1]"#),
            (json!({"rubric": "ok", "against": "No."}), r#"["fine", "first"]"#),
        ] {
            assert!(said(check, reply).starts_with("error: the judge's reply is none"));
        }
    }

    #[test]
    fn without_a_judge_nothing_is_judged_also_under_not() {
        let whole = answer_text("You have 30 days.");
        for check in [json!({"judge": "ok"}), json!({"not": {"judge": "ok"}})] {
            let cannot = compiled(check).check(&whole.input()).unwrap_err();
            assert!(cannot.reason.contains("there is no judge"), "{}", cannot.reason);
        }
    }

    #[test]
    fn what_cannot_decide_does_not_load() {
        insta::assert_snapshot!(problems(&[
            json!({"judge": ""}),
            json!({"judge": {}}),
            json!({"judge": {"rubric": "ok", "votes": 2}}),
            json!({"judge": {"rubric": "ok", "votes": 16}}),
            json!({"judge": {"rubric": "ok", "aggregate": "mean"}}),
            json!({"judge": {"rubric": "ok", "min": 0.5}}),
            json!({"judge": {"rubric": "ok", "aggregate": "mean", "min": 0}}),
            json!({"judge": {"rubric": "ok", "against": "x", "aggregate": "mean", "min": 0.5}}),
            json!({"judge": {"rubric": "ok", "threshold": 0.5}}),
        ]));
    }
}
