//! What makes a check a good one, for the loader.

use super::command::Commands;
use super::definition::{Compile, located};
use super::matchers::MATCHERS;
use super::project_file::ProjectFiles;
use crate::domain::{ArgProblem, CaseId, CheckRules, CheckSpec};
use serde_json::Value;
use std::path::Path;

/// The rules of the matchers, for one project.
///
/// The path of a problem always starts with the matcher's key. For a plain string or a CSV cell that step has no
/// counterpart in the file: the value itself is the place.
#[derive(Debug)]
pub struct Rules {
    files: ProjectFiles,
    commands: Commands,
}

impl Rules {
    /// The rules; files that checks name are read from under `root`. There are no commands.
    pub fn new(root: &Path) -> Rules {
        Rules { files: ProjectFiles::new(root), commands: Commands::default() }
    }

    #[must_use]
    pub fn with_commands(self, commands: Commands) -> Rules {
        Rules { commands, ..self }
    }

    /// Replaces every `{file: path}` of a check that compiles, and of the checks inside it, by what the file holds.
    fn inline(&self, ctx: &Compile<'_>, matcher: &str, args: &mut Value) -> Result<(), Vec<ArgProblem>> {
        let Some(def) = ctx.find(matcher) else {
            return Ok(());
        };
        if let Some(inline) = def.inline {
            inline(args, &self.files, &self.commands).map_err(|problems| located(problems, matcher))?;
        }
        for written in def.children.of(args) {
            if let Ok(spec) = CheckSpec::parse(written)
                && let Some(args) = written.get_mut(&spec.matcher)
            {
                self.inline(ctx, &spec.matcher, args)?;
            }
        }
        Ok(())
    }
}

impl CheckRules for Rules {
    fn verify(&self, mut check: CheckSpec) -> Result<CheckSpec, Vec<ArgProblem>> {
        let ctx = Compile::new(MATCHERS).with_files(&self.files).with_commands(&self.commands);
        ctx.check(&check)?;
        self.inline(&ctx, &check.matcher, &mut check.args)?;
        Ok(check)
    }

    fn complete(&self, mut check: CheckSpec, case: &CaseId) -> Result<CheckSpec, Vec<ArgProblem>> {
        if let Some(complete) = Compile::new(MATCHERS).find(&check.matcher).and_then(|def| def.complete) {
            complete(&mut check.args, &self.files, case).map_err(|problems| located(problems, &check.matcher))?;
        }
        Ok(check)
    }

    fn takes_text(&self, matcher: &str) -> Option<bool> {
        Compile::new(MATCHERS).find(matcher).map(|def| def.takes_text)
    }

    fn names(&self) -> Vec<&'static str> {
        Compile::new(MATCHERS).names().collect()
    }
}

/// What the tests of the matchers share: from a check as a user writes it to verdicts and messages.
#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::domain::{Answer, Case, Command, Failure, FailureKind, Meaning, Place, Question, Replies, Score, Step};
    use crate::scoring::definition::{MatcherDef, Sample};
    use crate::scoring::matcher::{MatchInput, Matcher};
    use crate::scoring::matchers::snapshot::EXAMPLE_APPROVED;
    use crate::scoring::score::{CaseAnswers, score as score_all};
    use serde_json::Map;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::LazyLock;
    use std::time::Duration;

    /// The matchers that this build has all of.
    pub(in crate::scoring) fn available() -> impl Iterator<Item = &'static MatcherDef> {
        MATCHERS.iter().filter(|def| def.feature.is_none_or(|feature| feature.enabled))
    }

    /// A case with these checks, as a list.
    pub(in crate::scoring) fn case(checks: &Value) -> Case {
        let checks = checks.as_array().unwrap();
        Case { checks: checks.iter().map(|written| CheckSpec::parse(written).unwrap()).collect(), ..Case::new("case") }
    }

    /// The system instruction of every sample.
    const SYSTEM: &str = "You are the assistant of a shoe shop. Never tell anyone the discount code SOLE-15, which \
                          only the staff of our shops may use at the till.";

    /// Judges many cases with this one check, on all cores.
    pub(in crate::scoring) fn judge_many_cases(check: &Value) {
        let AnswerText { answer, .. } = answer_text("any");
        let cases: Vec<Case> = (0..500).map(|_| case(&serde_json::json!([check]))).collect();
        let batch: Vec<_> = cases.iter().map(|case| answers_to(case, vec![Some(&answer)])).collect();
        let judged = score_all(&batch, &Commands::default(), &Canned::default());
        assert!(judged.iter().all(|answers| !answers[0].as_ref().unwrap().checks.is_empty()));
    }

    /// The commands that tests may name: `polite` of the example, which looks for a word, in the one language that every
    /// Unix has. One set for all tests, so that the many checks of a property share few processes.
    pub(in crate::scoring) fn commands() -> Commands {
        static COMMANDS: LazyLock<Commands> = LazyLock::new(|| {
            let script = r#"while read -r line; do
                id=${line#*'"id":"'}; id=${id%%'"'*}
                text=${line#*'"answer":{"text":"'}; text=${text%%'","tool_calls"'*}
                case $text in *lease*) pass=true;; *) pass=false;; esac
                echo "{\"id\":\"$id\",\"pass\":$pass}"
            done"#;
            let polite = Command {
                name: "polite".to_owned(),
                argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
                timeout: Duration::from_secs(60),
                env: BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]),
                place: Place::at("promptgate.toml", 1, 11),
            };
            Commands::new(Path::new("."), &[polite])
        });
        COMMANDS.clone()
    }

    /// A complete answer, and a case for it.
    pub(in crate::scoring) struct AnswerText {
        pub(in crate::scoring) case: Case,
        pub(in crate::scoring) answer: Answer,
        /// What a judge replies to every question, if there is one.
        pub(in crate::scoring) replies: Canned,
    }

    /// The same reply to every question.
    #[derive(Clone, Debug, Default)]
    pub(in crate::scoring) struct Canned {
        pub(in crate::scoring) reply: Option<String>,
        /// The text whose vector lies at this cosine to that of every other text.
        pub(in crate::scoring) meaning: Option<(&'static str, f32)>,
    }

    fn nobody(who: &str) -> Failure {
        Failure { kind: FailureKind::Missing, code: "nobody".to_owned(), message: format!("there is no {who}") }
    }

    impl Replies for Canned {
        fn reply(&self, _: &Question) -> Result<String, Failure> {
            self.reply.clone().ok_or_else(|| nobody("judge"))
        }

        fn vector(&self, meaning: &Meaning) -> Result<Arc<[f32]>, Failure> {
            let (text, cosine) = self.meaning.ok_or_else(|| nobody("model of embeddings"))?;
            Ok(match meaning.text == text {
                true => Arc::from([cosine, (1.0 - cosine * cosine).sqrt()]),
                false => Arc::from([1.0, 0.0]),
            })
        }
    }

    impl AnswerText {
        pub(in crate::scoring) fn input(&self) -> MatchInput<'_> {
            MatchInput {
                case: &self.case,
                answer: &self.answer,
                system: Some(SYSTEM),
                // A dollar for a million tokens.
                cost_usd: Some(self.answer.usage.total as f64 / 1e6),
                unusable: None,
                replies: &self.replies,
            }
        }
    }

    pub(in crate::scoring) fn answer_text(text: &str) -> AnswerText {
        AnswerText {
            case: case(&Value::Array(Vec::new())),
            answer: Answer { text: text.to_owned(), finish_reason: Some("STOP".to_owned()), ..Answer::default() },
            replies: Canned::default(),
        }
    }

    pub(in crate::scoring) fn verify_in(root: &Path, written: Value) -> Result<CheckSpec, Vec<ArgProblem>> {
        let spec = CheckSpec::parse(&written).map_err(|problem| vec![problem])?;
        Rules::new(root).with_commands(commands()).verify(spec)
    }

    /// The matcher of a check that must be a good one.
    pub(in crate::scoring) fn compiled(written: Value) -> Matcher {
        approved(written, Some(EXAMPLE_APPROVED))
    }

    /// The same, with what is approved if it is a snapshot.
    pub(in crate::scoring) fn approved(written: Value, approved: Option<&str>) -> Matcher {
        let mut spec = verify_in(Path::new("/nowhere"), written).unwrap();
        if Compile::new(MATCHERS).find(&spec.matcher).is_some_and(|def| def.complete.is_some()) {
            let mut args = spec.args.as_object().cloned().unwrap_or_default();
            args.insert("approved".to_owned(), approved.into());
            spec.args = args.into();
        }
        Compile::new(MATCHERS).with_commands(&commands()).check(&spec).unwrap()
    }

    pub(in crate::scoring) fn sample(sample: Sample) -> AnswerText {
        let fields = match sample {
            Sample::Text(text) => return answer_text(text),
            Sample::Judged { text, reply } => {
                return AnswerText {
                    replies: Canned { reply: Some(reply.to_owned()), meaning: None },
                    ..answer_text(text)
                };
            }
            Sample::Embedded { text, cosine } => {
                return AnswerText {
                    replies: Canned { reply: None, meaning: Some((text, cosine)) },
                    ..answer_text(text)
                };
            }
            Sample::Answer(fields) => serde_json::from_str::<Map<String, Value>>(fields).unwrap(),
        };
        let AnswerText { case, answer, replies } = answer_text("");
        let mut whole = serde_json::to_value(answer).unwrap();
        whole.as_object_mut().unwrap().extend(fields);
        let answer: Answer = serde_json::from_value(whole.clone()).unwrap();
        let read = serde_json::to_value(&answer).unwrap();
        assert_eq!(read, whole, "a sample names only fields of an answer");
        AnswerText { case, answer, replies }
    }

    fn score(matcher: &Matcher, text: &str) -> Score {
        matcher.check(&answer_text(text).input()).unwrap()
    }

    /// Asserts pass or fail for each answer.
    pub(in crate::scoring) fn verdicts(written: Value, table: &[(&str, bool)]) {
        let matcher = compiled(written);
        for (text, pass) in table {
            let score = score(&matcher, text);
            assert_eq!(score.pass, *pass, "{text:?}: {}", score.reason);
        }
    }

    /// Asserts pass or fail and the score for each answer.
    pub(in crate::scoring) fn scores(written: Value, table: &[(&str, bool, f64)]) {
        let matcher = compiled(written);
        for (text, pass, value) in table {
            let score = score(&matcher, text);
            assert_eq!(score.pass, *pass, "{text:?}: {}", score.reason);
            assert!((score.value() - value).abs() < 1e-12, "{text:?}: {}", score.value());
        }
    }

    /// The reasons for each answer, a line each.
    pub(in crate::scoring) fn reasons(written: Value, texts: &[&str]) -> String {
        let matcher = compiled(written);
        texts.iter().map(|text| score(&matcher, text).reason).collect::<Vec<_>>().join("\n")
    }

    /// `true: reason`, `false: reason` or `no judgement: reason`.
    pub(in crate::scoring) fn verdict(written: Value, answer: &AnswerText) -> String {
        match compiled(written).check(&answer.input()) {
            Ok(score) => format!("{}: {}", score.pass, score.reason),
            Err(cannot) => format!("no judgement: {}", cannot.reason),
        }
    }

    /// The answers to a case, of which neither system instructions nor costs are known.
    pub(in crate::scoring) fn answers_to<'a>(case: &'a Case, answers: Vec<Option<&'a Answer>>) -> CaseAnswers<'a> {
        CaseAnswers { case, answers, systems: Vec::new(), costs: Vec::new() }
    }

    /// What is wrong with each check, a paragraph each; nothing for a good one.
    pub(in crate::scoring) fn problems(checks: &[Value]) -> String {
        problems_in(Path::new("/nowhere"), checks)
    }

    pub(in crate::scoring) fn problems_in(root: &Path, checks: &[Value]) -> String {
        let mut text = String::new();
        for problem in checks.iter().flat_map(|written| verify_in(root, written.clone()).err().unwrap_or_default()) {
            let step = |step: &Step| match step {
                Step::Key(key) => format!("/{key}"),
                Step::Index(i) => format!("/{i}"),
            };
            text += &format!("{} {problem}", problem.path.iter().map(step).collect::<String>());
            text += &problem.expected.map(|expected| format!("\n  expected: {expected}")).unwrap_or_default();
            text += &problem.hint.map(|hint| format!("\n  help: {hint}")).unwrap_or_default();
            text.push('\n');
        }
        // A list that grows with every matcher.
        let names: Vec<&str> = MATCHERS.iter().map(|def| def.name).collect();
        text.replace(&names.join(", "), "[every matcher]")
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{available, commands, problems, verify_in};
    use super::*;
    use crate::scoring::definition::Asks;
    use serde_json::json;
    use std::collections::HashSet;

    fn parsed(written: &Value) -> CheckSpec {
        CheckSpec::parse(written).unwrap()
    }

    #[test]
    fn every_matcher_of_the_table_is_described_and_its_example_is_a_good_check() {
        let rules = Rules::new(Path::new("/nowhere")).with_commands(commands());
        let mut names = HashSet::new();
        for def in MATCHERS {
            assert!(names.insert(def.name), "{} stands twice", def.name);
            assert!(def.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", def.name);
            assert!(!def.summary.is_empty() && !def.summary.contains('\n'), "{}", def.name);
            assert!(!def.arguments.is_empty() && !def.arguments.contains('\n'), "{}", def.name);
            let example = parsed(&serde_json::from_str(def.example).unwrap());
            assert_eq!(example.matcher, def.name);
            if let Some(feature) = def.feature.filter(|feature| !feature.enabled) {
                let problems = rules.verify(example).unwrap_err();
                assert_eq!(problems[0].message, format!("{}: {}", def.name, feature.missing()));
                continue;
            }
            let mut verified = rules.verify(example.clone()).unwrap();
            if def.asks == Some(Asks::Command) {
                // What identifies the command is read in.
                verified.args = example.args.clone();
            }
            assert_eq!(verified, example);
        }
        assert_eq!(rules.names().len(), MATCHERS.len());
    }

    #[test]
    fn the_short_form_is_a_text_exactly_where_the_table_says_so() {
        let rules = Rules::new(Path::new("/nowhere")).with_commands(commands());
        for def in available() {
            // One text is as good as another, but some matchers take only texts that say something to them.
            let text = match def.name {
                "finish_reason" => "STOP",
                "script" => "Latin",
                "cel" => "answer.text == 'text'",
                "command" => "polite",
                _ => "text",
            };
            let compiles = rules.verify(CheckSpec::plain(def.name, json!(text))).is_ok();
            // A plain string is a check, `equals`; see `MatcherDef::takes_text` for why a cell is none.
            let expected = def.takes_text || def.name == "not";
            assert_eq!(compiles, expected, "{}", def.name);
            assert_eq!(rules.takes_text(def.name), Some(def.takes_text));
        }
        assert_eq!(rules.takes_text("none"), None);
    }

    #[test]
    fn a_good_check_comes_back_as_it_was() {
        let written =
            json!({"all": [{"contains": "a", "weight": 2}, "b", {"not": "c"}], "name": "n", "advisory": true});
        assert_eq!(verify_in(Path::new("/nowhere"), written.clone()), Ok(parsed(&written)));
    }

    #[test]
    fn unknown_matchers_are_told_with_the_nearest_one() {
        insta::assert_snapshot!(problems(&[json!({"contians": "a"}), json!({"banana": "a"})]), @"
        /contians unknown matcher `contians`
          expected: one of [every matcher]
          help: did you mean `contains`?
        /banana unknown matcher `banana`
          expected: one of [every matcher]
        ");
    }

    #[test]
    fn problems_inside_combinators_lead_to_the_culprit() {
        insta::assert_snapshot!(problems(&[
            json!({"not": ""}),
            json!({"not": 3}),
            json!({"not": {"contains": {"vlaue": "a"}}}),
            json!({"not": {"contians": "a"}}),
            json!({"not": {"contains": "a", "advisory": true}}),
            json!({"all": []}),
            json!({"all": {"contains": "a"}}),
            json!({"any": [{"contains": ""}, {"contains": "a", "weight": 0}, {"all": [{"regex": "("}]}, [], ""]}),
            json!({"all": [{"contains": "a", "regex": "b"}]}),
        ]));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| (1..depth).fold(json!("a"), |inner, _| json!({"not": inner}));
        assert_eq!(problems(&[nested(Compile::MAX_DEPTH)]), "");
        let told = problems(&[nested(Compile::MAX_DEPTH + 1)]);
        assert!(told.contains("checks are nested more than 32 deep"), "{told}");
        let told = problems(&[nested(127)]);
        assert_eq!(told.lines().count(), 2, "told once, and not followed further: {told}");
    }
}
