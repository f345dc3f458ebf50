//! Secrets are replaced where data enters the reports, before anything is cut, escaped or compared: a reporter never sees
//! them, so none can forget to hide them, and no escape or cut can save half of one.

use crate::model::{
    Answer, ArmRow, Case, CaseId, CaseRow, CheckResult, CheckSpec, Failure, Judged, Outcome, Place, PromptInfo,
    PromptRecord, Reason, RunInfo, Slice, ToolCall, Turn, Verdict, Warning,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// What stands in a secret's place.
const STARS: &str = "***";

/// Encoded forms shorter than this are left alone: they would hit innocent text.
const SHORTEST_FORM: usize = 6;

/// Secrets that must not appear in any output, in the forms in which text may carry them: as they are, in a JSON string,
/// percent-encoded, and in base64 at each of the three offsets.
///
/// Clones share their secrets: one that appears while a run goes on, like a key that replaces a refused one, is hidden by
/// all of them from then on.
#[derive(Clone, Default)]
pub struct Mask {
    /// Longest first, so that a form that contains another one goes as a whole.
    forms: Arc<RwLock<Vec<String>>>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} forms)", self.forms().len())
    }
}

impl Mask {
    /// Hides these secrets; empty ones are ignored.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Mask {
        let mask = Mask::default();
        for secret in secrets {
            mask.add(secret.as_ref());
        }
        mask
    }

    /// Hides another secret, here and in all clones.
    pub fn add(&self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let mut forms = self.forms.write().unwrap_or_else(PoisonError::into_inner);
        forms.push(secret.to_owned());
        forms.extend(encoded(secret).into_iter().filter(|form| form.len() >= SHORTEST_FORM));
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
    }

    /// There is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.forms().is_empty()
    }

    /// The text without the secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for form in self.forms().iter() {
            if text.contains(form.as_str()) {
                text = Cow::Owned(text.replace(form.as_str(), STARS));
            }
        }
        text
    }

    /// A JSON value without the secrets, in its texts and keys.
    pub fn json(&self, value: &mut Value) {
        if !self.is_empty() {
            self.value(value);
        }
    }

    fn forms(&self) -> RwLockReadGuard<'_, Vec<String>> {
        self.forms.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run without the secrets.
    pub fn run(&self, run: &RunInfo) -> RunInfo {
        let mut run = run.clone();
        let RunInfo {
            candidate,
            baseline,
            target,
            simulated: _,
            dataset_sha256: _,
            cases: _,
            total: _,
            repeats: _,
            gated: _,
            policy: _,
            key: _,
            started_at: _,
        } = &mut run;
        for prompt in [Some(candidate), baseline.as_mut()].into_iter().flatten() {
            let PromptInfo {
                name,
                sha256: _,
                model,
                path,
            } = prompt;
            self.hide_all([name, model, path]);
        }
        self.hide(target);
        run
    }

    /// The case without the secrets; borrowed when there is nothing to hide.
    pub fn row<'a>(&self, row: &'a CaseRow) -> Cow<'a, CaseRow> {
        if self.is_empty() {
            return Cow::Borrowed(row);
        }
        let mut row = row.clone();
        let CaseRow {
            case,
            baseline,
            candidate,
        } = &mut row;
        self.case(case);
        for ArmRow { repeats } in [baseline.as_mut(), Some(candidate)].into_iter().flatten() {
            for judged in repeats {
                self.judged(judged);
            }
        }
        Cow::Owned(row)
    }

    /// The verdict without the secrets.
    pub fn verdict(&self, verdict: &Verdict) -> Verdict {
        let mut verdict = verdict.clone();
        let Verdict {
            decision: _,
            exit_code: _,
            promotable: _,
            reasons,
            warnings,
            replayed: _,
            policy_sha256: _,
            candidate,
            baseline,
            counts: _,
            paired: _,
            baseline_rate: _,
            candidate_rate: _,
            difference: _,
            z: _,
            needed: _,
            slices,
            usage: _,
            cost_usd: _,
            answers_cost_usd: _,
            prices: _,
            requests: _,
            cached: _,
            imported: _,
            retries: _,
            waited_ms: _,
            latency_ms: _,
            finished_at: _,
        } = &mut verdict;
        for Reason {
            code: _,
            message,
            cases,
        } in reasons
        {
            self.hide(message);
            cases.iter_mut().for_each(|id| self.id(id));
        }
        for Warning { code: _, message } in warnings {
            self.hide(message);
        }
        for PromptRecord { name, sha256: _, model } in [Some(candidate), baseline.as_mut()].into_iter().flatten() {
            self.hide_all([name, &mut model.requested]);
            self.hide_all(&mut model.served);
        }
        for Slice { tag, .. } in slices {
            self.hide(tag);
        }
        verdict
    }

    fn case(&self, case: &mut Case) {
        let Case {
            id,
            suite,
            place: Place {
                file,
                line: _,
                column: _,
            },
            tags,
            critical: _,
            vars,
            history,
            checks,
            notes,
        } = case;
        self.id(id);
        self.shared(suite);
        self.shared(file);
        self.hide_all(tags);
        self.map(vars);
        for Turn { role: _, text } in history {
            self.hide(text);
        }
        for CheckSpec {
            matcher,
            args,
            weight: _,
            name,
            advisory: _,
        } in checks
        {
            self.hide(matcher);
            self.value(args);
            self.hide_all(name);
        }
        self.hide_all(notes);
    }

    fn judged(&self, judged: &mut Judged) {
        let Judged {
            repeat: _,
            outcome,
            answer,
            checks,
            cost_usd: _,
            attempts: _,
            waited_ms: _,
            source: _,
        } = judged;
        match outcome {
            Outcome::Scored(score) => self.hide(&mut score.reason),
            Outcome::Errored(Failure { kind: _, code, message }) => self.hide_all([code, message]),
            Outcome::Skipped(_) => {}
        }
        if let Some(Answer {
            text,
            tool_calls,
            finish_reason,
            block_reason,
            model_version,
            usage: _,
            latency_ms: _,
            first_token_ms: _,
            details,
            simulated: _,
        }) = answer
        {
            if let Some(details) = details {
                details.for_each_text(&mut |text| self.hide(text));
            }
            self.hide(text);
            for ToolCall { name, args } in tool_calls {
                self.hide(name);
                self.map(args);
            }
            self.hide_all([finish_reason, block_reason, model_version].into_iter().flatten());
        }
        for CheckResult {
            matcher,
            name,
            pass: _,
            score: _,
            reason,
            advisory: _,
        } in checks
        {
            self.hide_all([matcher, reason]);
            self.hide_all(name);
        }
    }

    fn hide(&self, text: &mut String) {
        if let Cow::Owned(hidden) = self.text(text) {
            *text = hidden;
        }
    }

    fn hide_all<'a>(&self, texts: impl IntoIterator<Item = &'a mut String>) {
        texts.into_iter().for_each(|text| self.hide(text));
    }

    fn shared(&self, text: &mut Arc<str>) {
        if let Cow::Owned(hidden) = self.text(text) {
            *text = hidden.into();
        }
    }

    fn id(&self, id: &mut CaseId) {
        if let Cow::Owned(hidden) = self.text(id.as_str()) {
            *id = CaseId::new(hidden);
        }
    }

    fn map(&self, map: &mut Map<String, Value>) {
        if map.keys().any(|key| matches!(self.text(key), Cow::Owned(_))) {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, value)| (self.text(&key).into_owned(), value))
                .collect();
        }
        map.values_mut().for_each(|value| self.value(value));
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.hide(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(map) => self.map(map),
        }
    }
}

/// The forms of a secret in other text.
fn encoded(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    if let Ok(json) = serde_json::to_string(secret) {
        forms.push(json[1..json.len() - 1].to_owned());
    }
    let mut upper = String::new();
    let mut lower = String::new();
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            upper.push(char::from(byte));
            lower.push(char::from(byte));
        } else {
            let _ = write!(upper, "%{byte:02X}");
            let _ = write!(lower, "%{byte:02x}");
        }
    }
    forms.extend([upper, lower]);
    for offset in 0..3 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(secret.as_bytes());
        // The first and last characters also carry bits of the bytes beside the secret.
        let start = (offset * 8).div_ceil(6);
        let end = bytes.len() * 8 / 6;
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.extend(text.get(start..end).map(str::to_owned));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    const KEY: &str = "AIza_\"Sy+D/9~x?y>z";

    #[test]
    fn every_form_of_a_secret_is_hidden() {
        let mask = Mask::new([KEY]);
        assert_eq!(mask.text(&format!("key={KEY};")), "key=***;");
        assert_eq!(mask.text(r#"{"k":"AIza_\"Sy+D/9~x?y>z"}"#), r#"{"k":"***"}"#);
        assert_eq!(mask.text("?k=AIza_%22Sy%2BD%2F9~x%3Fy%3Ez&"), "?k=***&");
        assert_eq!(mask.text("?k=AIza_%22Sy%2bD%2f9~x%3fy%3ez&"), "?k=***&");
        for before in ["", "a", "ab", "abc"] {
            for engine in [&STANDARD, &URL_SAFE] {
                let text = engine.encode(format!("{before}{KEY} and more"));
                assert!(mask.text(&text).contains(STARS), "{text}");
            }
        }
    }

    #[test]
    fn a_secret_that_appears_later_is_hidden_by_every_clone() {
        let mask = Mask::default();
        let clone = mask.clone();
        mask.add("");
        assert!(clone.is_empty());
        mask.add(KEY);
        assert_eq!(clone.text(&format!("key={KEY};")), "key=***;");
        clone.add("the-second-key");
        assert_eq!(mask.text(&format!("{KEY} the-second-key")), "*** ***");
    }

    #[test]
    fn nothing_to_hide_changes_nothing() {
        let mask = Mask::new(["", ""]);
        assert!(mask.is_empty());
        assert!(matches!(mask.text("abc"), Cow::Borrowed("abc")));
    }

    #[test]
    fn a_mask_does_not_show_its_secrets() {
        assert!(!format!("{:?}", Mask::new([KEY])).contains("AIza"));
    }

    #[test]
    fn keys_of_maps_are_hidden_too() {
        let mut value = serde_json::json!({"a": [{"AIza-secret": "x AIza-secret"}], "n": 1});
        Mask::new(["AIza-secret"]).value(&mut value);
        assert_eq!(value, serde_json::json!({"a": [{"***": "x ***"}], "n": 1}));
    }
}
