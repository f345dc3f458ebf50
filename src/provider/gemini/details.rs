//! What a response tells beside its words, and how the pieces of a streamed one add up.
//!
//! Nothing here can make an answer unreadable: what has another form than expected is counted as dropped. Lists and
//! texts are bounded, because they are stored with every answer.
//!
//! The two services differ in one name: citations are `citationSources` on the Gemini API and `citations` on Vertex AI.

use super::wire::Candidate;
use crate::domain::{
    ChosenToken, Citation, CodeRun, Details, FoundSource, ModelStatus, RetrievedUrl, SafetyRating, Support, TopToken,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Tokens whose probabilities are kept.
const TOKENS: usize = 4_096;
/// Tokens kept at one place; the service gives 20 at most.
const TOP: usize = 20;
/// Entries of every other list.
const ENTRIES: usize = 200;
/// Bytes of a text.
const TEXT: usize = 4 * 1024;
/// Bytes of code, and of what it printed.
const CODE: usize = 16 * 1024;

pub(super) fn add(details: &mut Details, candidate: &Candidate<'_>) {
    if let Some(message) = sentence(details, candidate.finish_message) {
        details.finish_message = Some(message);
    }
    safety(details, candidate.safety_ratings);
    // Of a streamed answer, the last one stands for the whole.
    if let Some(mean) = read(details, candidate.avg_logprobs) {
        details.avg_logprob = Some(mean);
    }
    if let Some(result) = read(details, candidate.logprobs_result) {
        logprobs(details, result);
    }
    if let Some(metadata) = read::<CitationMetadata>(details, candidate.citation_metadata) {
        for citation in metadata.citation_sources.into_iter().chain(metadata.citations) {
            push(&mut details.citations, citation.into(), &mut details.dropped);
        }
    }
    if let Some(metadata) = read(details, candidate.grounding_metadata) {
        grounding(details, metadata);
    }
    if let Some(metadata) = read::<UrlContextMetadata>(details, candidate.url_context_metadata) {
        for url in metadata.url_metadata {
            let url = RetrievedUrl { url: cut(url.retrieved_url, TEXT), status: cut(url.url_retrieval_status, TEXT) };
            push(&mut details.urls, url, &mut details.dropped);
        }
    }
}

/// Adds what is told of a blocked prompt.
pub(super) fn add_feedback(details: &mut Details, message: Option<&RawValue>, ratings: Option<&RawValue>) {
    if let Some(message) = sentence(details, message) {
        details.block_message = Some(message);
    }
    safety(details, ratings);
}

/// Adds the state of the model that served, unless it is the usual one.
pub(super) fn add_status(details: &mut Details, status: Option<&RawValue>) {
    if let Some(WireStatus { model_stage, message, retirement_time }) = read(details, status) {
        let usual = matches!(model_stage.as_deref(), None | Some("STABLE" | "MODEL_STAGE_UNSPECIFIED"));
        if usual && message.is_none() && retirement_time.is_none() {
            return;
        }
        let text = |text: Option<String>| text.map(|text| cut(text, TEXT));
        details.model_status =
            Some(ModelStatus { stage: text(model_stage), message: text(message), retires_at: text(retirement_time) });
    }
}

/// Adds code that is about to run.
pub(super) fn add_code(details: &mut Details, code: Option<&RawValue>) {
    if let Some(WireCode { language, code }) = read(details, code) {
        let run = CodeRun {
            language: language.map(|language| cut(language, TEXT)),
            code: code.map(|code| cut(code, CODE)),
            ..CodeRun::default()
        };
        keep(&mut details.code, run, ENTRIES, &mut details.dropped);
    }
}

/// Adds how code ended: the last one that has no end yet.
pub(super) fn add_code_result(details: &mut Details, result: Option<&RawValue>) {
    let Some(WireResult { outcome, output }) = read(details, result) else {
        return;
    };
    let outcome = Some(cut(outcome.unwrap_or_default(), TEXT));
    let output = output.map(|output| cut(output, CODE));
    match details.code.last_mut() {
        Some(run) if run.outcome.is_none() => {
            run.outcome = outcome;
            run.output = output;
        }
        _ => {
            let run = CodeRun { outcome, output, ..CodeRun::default() };
            keep(&mut details.code, run, ENTRIES, &mut details.dropped);
        }
    }
}

/// Only what is more than negligible: each answer may carry a rating of every kind of harm that was not found. A later
/// rating of the same kind replaces an earlier one, but does not take a block back.
fn safety(details: &mut Details, ratings: Option<&RawValue>) {
    let Some(ratings) = read::<Vec<WireRating>>(details, ratings) else {
        return;
    };
    for WireRating { category, probability, blocked } in ratings {
        let (category, probability) = (cut(category, TEXT), cut(probability, TEXT));
        if let Some(known) = details.safety.iter_mut().find(|known| known.category == category) {
            known.probability = probability;
            known.blocked |= blocked;
        } else if blocked || !matches!(probability.as_str(), "" | "NEGLIGIBLE" | "HARM_PROBABILITY_UNSPECIFIED") {
            let rating = SafetyRating { category, probability, blocked };
            keep(&mut details.safety, rating, ENTRIES, &mut details.dropped);
        }
    }
}

/// Each piece of a stream has the tokens of its own text.
fn logprobs(details: &mut Details, result: LogprobsResult) {
    let LogprobsResult { chosen_candidates, top_candidates } = result;
    let mut top = top_candidates.into_iter();
    for WireToken { token, log_probability } in chosen_candidates {
        let mut top = top.next().unwrap_or_default().candidates;
        details.dropped += top.len().saturating_sub(TOP) as u64;
        top.truncate(TOP);
        let top = top.into_iter().map(|top| TopToken { token: cut(top.token, TEXT), logprob: top.log_probability });
        let chosen = ChosenToken { token: cut(token, TEXT), logprob: log_probability, top: top.collect() };
        keep(&mut details.logprobs, chosen, TOKENS, &mut details.dropped);
    }
    // Places whose chosen token was not told.
    details.dropped += top.count() as u64;
}

/// A piece of a stream may repeat earlier sources or bring new ones; its supports count its own.
fn grounding(details: &mut Details, metadata: GroundingMetadata) {
    let GroundingMetadata { grounding_chunks, grounding_supports, web_search_queries, retrieval_queries } = metadata;
    for query in web_search_queries.into_iter().chain(retrieval_queries) {
        push(&mut details.queries, cut(query, TEXT), &mut details.dropped);
    }
    let places: Vec<Option<usize>> = grounding_chunks
        .into_iter()
        .map(|chunk| {
            let source = chunk.into_source();
            let known = details.sources.iter().position(|known| *known == source);
            known.or_else(|| {
                let place = details.sources.len();
                keep(&mut details.sources, source, ENTRIES, &mut details.dropped).then_some(place)
            })
        })
        .collect();
    for WireSupport { segment, grounding_chunk_indices } in grounding_supports {
        let indices = grounding_chunk_indices.into_iter().take(ENTRIES);
        let support = Support {
            start: segment.start_index,
            end: segment.end_index,
            text: cut(segment.text, TEXT),
            sources: indices.filter_map(|index| places.get(index).copied().flatten()).collect(),
        };
        push(&mut details.supports, support, &mut details.dropped);
    }
}

/// Adds an entry unless it is there already.
fn push<T: PartialEq>(list: &mut Vec<T>, entry: T, dropped: &mut u64) {
    if !list.contains(&entry) {
        keep(list, entry, ENTRIES, dropped);
    }
}

/// Adds an entry if there is room; whether there was.
fn keep<T>(list: &mut Vec<T>, entry: T, most: usize, dropped: &mut u64) -> bool {
    let room = list.len() < most;
    if room {
        list.push(entry);
    } else {
        *dropped += 1;
    }
    room
}

/// Reads a field that may be absent, null, or of a form that is not known.
fn read<T: DeserializeOwned>(details: &mut Details, raw: Option<&RawValue>) -> Option<T> {
    let raw = raw.filter(|raw| raw.get() != "null")?;
    let value = serde_json::from_str(raw.get()).ok();
    details.dropped += u64::from(value.is_none());
    value
}

fn sentence(details: &mut Details, raw: Option<&RawValue>) -> Option<String> {
    filled(read(details, raw))
}

/// A text that says something, cut to [`TEXT`].
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(|text| cut(text, TEXT))
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireRating {
    category: String,
    probability: String,
    blocked: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LogprobsResult {
    chosen_candidates: Vec<WireToken>,
    top_candidates: Vec<TopCandidates>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TopCandidates {
    candidates: Vec<WireToken>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireToken {
    token: String,
    log_probability: f64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CitationMetadata {
    citation_sources: Vec<WireCitation>,
    /// Vertex AI's.
    citations: Vec<WireCitation>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireCitation {
    start_index: u64,
    end_index: u64,
    uri: Option<String>,
    title: Option<String>,
    license: Option<String>,
}

impl From<WireCitation> for Citation {
    fn from(wire: WireCitation) -> Citation {
        Citation {
            start: wire.start_index,
            end: wire.end_index,
            uri: filled(wire.uri),
            title: filled(wire.title),
            license: filled(wire.license),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GroundingMetadata {
    grounding_chunks: Vec<WireChunk>,
    grounding_supports: Vec<WireSupport>,
    web_search_queries: Vec<String>,
    retrieval_queries: Vec<String>,
}

/// One of them is there.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireChunk {
    web: Option<WireSource>,
    retrieved_context: Option<WireSource>,
    maps: Option<WireSource>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireSource {
    uri: Option<String>,
    title: Option<String>,
    text: Option<String>,
}

impl WireChunk {
    /// An unknown kind of source keeps its place: supports count on it.
    fn into_source(self) -> FoundSource {
        let WireSource { uri, title, text } = self.web.or(self.retrieved_context).or(self.maps).unwrap_or_default();
        FoundSource { uri: filled(uri), title: filled(title), text: filled(text) }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSupport {
    segment: Segment,
    grounding_chunk_indices: Vec<usize>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Segment {
    start_index: u64,
    end_index: u64,
    text: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UrlContextMetadata {
    url_metadata: Vec<WireUrl>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireUrl {
    retrieved_url: String,
    url_retrieval_status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus {
    model_stage: Option<String>,
    message: Option<String>,
    retirement_time: Option<String>,
}

#[derive(Deserialize)]
struct WireCode {
    language: Option<String>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct WireResult {
    outcome: Option<String>,
    output: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::super::{decode, decode_stream};
    use super::*;
    use crate::domain::Answer;
    use serde_json::{Value, json};

    fn candidate(fields: Value) -> Value {
        let mut candidate = json!({"content": {"parts": [{"text": "Hi."}]}, "finishReason": "STOP"});
        candidate.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"candidates": [candidate]})
    }

    fn answer(response: &Value) -> Answer {
        decode(response.to_string().as_bytes()).unwrap()
    }

    fn streamed(responses: &[Value]) -> Answer {
        let events: String = responses.iter().map(|response| format!("data: {response}\n\n")).collect();
        decode_stream(events.as_bytes()).unwrap()
    }

    fn details(response: &Value) -> Value {
        serde_json::to_value(answer(response).details).unwrap()
    }

    #[test]
    fn each_field_is_kept_in_our_words() {
        let table = [
            (json!({"finishMessage": "Because."}), json!({"finish_message": "Because."})),
            (json!({"avgLogprobs": -0.25}), json!({"avg_logprob": -0.25})),
            (
                json!({"logprobsResult": {"logProbabilitySum": -0.5,
                    "chosenCandidates": [{"token": "Hi", "tokenId": 1, "logProbability": -0.25}, {"token": "."}],
                    "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.25}, {"token": "Yo", "logProbability": -2}]}]}}),
                json!({"logprobs": [
                    {"token": "Hi", "logprob": -0.25, "top": [{"token": "Hi", "logprob": -0.25}, {"token": "Yo", "logprob": -2.0}]},
                    {"token": ".", "logprob": 0.0}]}),
            ),
            (
                json!({"citationMetadata": {"citationSources": [{"endIndex": 6, "uri": "u", "license": "MIT"}]}}),
                json!({"citations": [{"start": 0, "end": 6, "uri": "u", "license": "MIT"}]}),
            ),
            // Of Vertex AI.
            (
                json!({"citationMetadata": {"citations": [{"startIndex": 1, "endIndex": 2, "title": "t", "publicationDate": {"year": 2020}}]}}),
                json!({"citations": [{"start": 1, "end": 2, "title": "t"}]}),
            ),
            (
                json!({"groundingMetadata": {"searchEntryPoint": {"renderedContent": "<div/>"}, "webSearchQueries": ["q"],
                    "groundingChunks": [{"web": {"uri": "u", "title": "t"}}, {"retrievedContext": {"text": "found"}}, {"new": {}}],
                    "groundingSupports": [{"segment": {"partIndex": 0, "endIndex": 3, "text": "Hi."},
                        "groundingChunkIndices": [0, 2, 9], "confidenceScores": [0.9]}]}}),
                json!({"queries": ["q"], "sources": [{"uri": "u", "title": "t"}, {"text": "found"}, {}],
                    "supports": [{"start": 0, "end": 3, "text": "Hi.", "sources": [0, 2]}]}),
            ),
            (
                json!({"urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "u", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"}]}}),
                json!({"urls": [{"url": "u", "status": "URL_RETRIEVAL_STATUS_SUCCESS"}]}),
            ),
            (
                json!({"safetyRatings": [{"category": "A", "probability": "NEGLIGIBLE"}, {"category": "B", "probability": "HIGH", "blocked": true},
                    {"category": "C", "probability": "LOW"}]}),
                json!({"safety": [{"category": "B", "probability": "HIGH", "blocked": true}, {"category": "C", "probability": "LOW", "blocked": false}]}),
            ),
            (
                json!({"content": {"parts": [{"executableCode": {"language": "PYTHON", "code": "print(1)"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_FAILED"}}, {"text": "1"}]}}),
                json!({"code": [{"language": "PYTHON", "code": "print(1)", "outcome": "OUTCOME_OK", "output": "1\n"},
                    {"outcome": "OUTCOME_FAILED"}]}),
            ),
            (
                json!({"finishMessage": "", "safetyRatings": [], "groundingMetadata": {}, "citationMetadata": null}),
                Value::Null,
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(details(&candidate(fields.clone())), expected, "{fields}");
        }
        let retiring = json!({"modelStatus": {"modelStage": "DEPRECATED", "message": "It goes.", "retirementTime": "2026-12-01T00:00:00Z"}});
        assert_eq!(
            details(&retiring),
            json!({"model_status": {"stage": "DEPRECATED", "message": "It goes.", "retires_at": "2026-12-01T00:00:00Z"}})
        );
        assert_eq!(details(&json!({"modelStatus": {"modelStage": "STABLE"}})), Value::Null);
    }

    #[test]
    fn code_is_no_part_of_the_text() {
        let parts = json!([{"text": "It is "}, {"executableCode": {"code": "6*7"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "41"}}, {"text": "42."}]);
        let answer = answer(&json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}));
        assert_eq!(answer.text, "It is 42.");
        assert_eq!(answer.details.unwrap().code.len(), 1);
    }

    #[test]
    fn why_it_stopped_is_said_in_the_services_words() {
        let stopped = json!({"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "Malformed function call: f(", "content": {}});
        assert_eq!(
            answer(&json!({"candidates": [stopped]})).unusable().as_deref(),
            Some("the answer was stopped (MALFORMED_FUNCTION_CALL: Malformed function call: f()")
        );
        let blocked = json!({"promptFeedback": {"blockReason": "MODEL_ARMOR", "blockReasonMessage": "It breaks a filter.",
            "safetyRatings": [{"category": "A", "probability": "HIGH"}]}});
        let answer = answer(&blocked);
        assert_eq!(answer.unusable().as_deref(), Some("the prompt was blocked (MODEL_ARMOR: It breaks a filter.)"));
        assert_eq!(answer.details.unwrap().safety[0].probability, "HIGH");
    }

    #[test]
    fn the_pieces_of_a_stream_add_up() {
        let grounded = |chunks: Value, supports: Value| {
            candidate(
                json!({"groundingMetadata": {"groundingChunks": chunks, "groundingSupports": supports, "webSearchQueries": ["q"]}}),
            )
        };
        let (a, b) = (json!({"web": {"uri": "a"}}), json!({"web": {"uri": "b"}}));
        let first = json!({"segment": {"endIndex": 1}, "groundingChunkIndices": [0]});
        let second = json!({"segment": {"endIndex": 2}, "groundingChunkIndices": [1]});
        let other = json!({"segment": {"endIndex": 2}, "groundingChunkIndices": [0]});
        let begun = grounded(json!([a]), json!([first]));
        // What comes later holds what was there before, or only what is new.
        for later in [grounded(json!([a, b]), json!([first, second])), grounded(json!([b]), json!([other]))] {
            let details = streamed(&[begun.clone(), later]).details.unwrap();
            let uris: Vec<_> = details.sources.iter().map(|source| source.uri.as_deref().unwrap()).collect();
            assert_eq!(uris, ["a", "b"]);
            let supports: Vec<_> =
                details.supports.iter().map(|support| (support.end, support.sources.clone())).collect();
            assert_eq!(supports, [(1, vec![0]), (2, vec![1])]);
            assert_eq!((details.queries.len(), details.dropped), (1, 0));
        }
        let token = |text: &str, mean: f64| {
            candidate(
                json!({"avgLogprobs": mean, "logprobsResult": {"chosenCandidates": [{"token": text, "logProbability": -1}]}}),
            )
        };
        let rated = |probability: &str, blocked: bool| {
            candidate(json!({"safetyRatings": [{"category": "A", "probability": probability, "blocked": blocked}]}))
        };
        let details =
            streamed(&[token("a", -1.0), token("b", -2.0), rated("HIGH", true), rated("LOW", false)]).details.unwrap();
        let tokens: Vec<_> = details.logprobs.iter().map(|chosen| chosen.token.as_str()).collect();
        assert_eq!((tokens, details.avg_logprob), (vec!["a", "b"], Some(-2.0)));
        let SafetyRating { category: _, probability, blocked } = &details.safety[0];
        assert_eq!((probability.as_str(), *blocked, details.safety.len()), ("LOW", true, 1));
        let code = json!({"candidates": [{"content": {"parts": [{"executableCode": {"code": "1"}}]}}]});
        let result = candidate(json!({"content": {"parts": [{"codeExecutionResult": {"outcome": "OUTCOME_OK"}}]}}));
        let runs = streamed(&[code, result]).details.unwrap().code;
        assert_eq!(
            (runs.len(), runs[0].code.as_deref(), runs[0].outcome.as_deref()),
            (1, Some("1"), Some("OUTCOME_OK"))
        );
    }

    #[test]
    fn unknown_forms_are_counted_and_the_answer_stays() {
        for fields in [
            json!({"finishMessage": 5}),
            json!({"avgLogprobs": "high"}),
            json!({"groundingMetadata": "none"}),
            json!({"citationMetadata": {"citationSources": [{"startIndex": -1}]}}),
            json!({"safetyRatings": {}}),
            json!({"urlContextMetadata": {"urlMetadata": [5]}}),
            json!({"content": {"parts": [{"text": "Hi."}, {"executableCode": "1"}]}}),
        ] {
            let answer = answer(&candidate(fields.clone()));
            assert_eq!((answer.text.as_str(), answer.unusable()), ("Hi.", None), "{fields}");
            assert_eq!(answer.details.unwrap().dropped, 1, "{fields}");
        }
    }

    #[test]
    fn lists_and_texts_are_bounded() {
        let chosen = vec![json!({"token": "x".repeat(2 * TEXT)}); TOKENS + 3];
        let top = json!([{"candidates": vec![json!({"token": "y"}); TOP + 2]}]);
        let citations: Vec<Value> = (0..ENTRIES + 5).map(|start| json!({"startIndex": start})).collect();
        let parts = json!([{"executableCode": {"code": "ü".repeat(CODE)}}]);
        let response = candidate(json!({"logprobsResult": {"chosenCandidates": chosen, "topCandidates": top},
            "citationMetadata": {"citations": citations}, "content": {"parts": parts}}));
        let details = answer(&response).details.unwrap();
        assert_eq!((details.logprobs.len(), details.logprobs[0].top.len()), (TOKENS, TOP));
        assert_eq!((details.citations.len(), details.dropped), (ENTRIES, 3 + 2 + 5));
        assert!(details.logprobs[0].token.len() <= TEXT + 3);
        assert!(details.code[0].code.as_ref().unwrap().len() <= CODE + 3);
    }

    #[test]
    fn answers_without_details_are_read_and_written_as_before() {
        let old = r#"{"text":"Hi.","tool_calls":[],"finish_reason":"STOP","model_version":null,"usage":{"prompt":1,"cached":0,"output":1,"thinking":0,"total":2},"latency_ms":5}"#;
        let read: Answer = serde_json::from_str(old).unwrap();
        assert_eq!(read.details, None);
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
        let rich = answer(&candidate(
            json!({"finishMessage": "m", "avgLogprobs": -0.1, "citationMetadata": {"citations": [{}]}}),
        ));
        let again: Answer = serde_json::from_str(&serde_json::to_string(&rich).unwrap()).unwrap();
        assert_eq!(again, rich);
    }
}
