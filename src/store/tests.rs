//! What the store promises: one row per answer, the newest reusable one by key, results in order, nothing of others touched.

use super::*;
use crate::domain::{AnswerSink, Arm, FailureKind, Job, JobResult, RequestMeta, fixtures};

fn job(seq: u64, key: u8) -> Job {
    Job { seq, key: [key; 32], ..fixtures::job(&format!("case-{seq}")) }
}

fn arrival(seq: u64, key: u8, result: Result<&str, &str>) -> JobResult {
    let failure = |code: &str| Failure { kind: FailureKind::Transport, code: code.to_owned(), message: "m".to_owned() };
    JobResult {
        meta: RequestMeta::from(&job(seq, key)),
        result: result
            .map(|text| Answer { text: text.to_owned(), latency_ms: 7, ..Answer::default() })
            .map_err(failure),
        attempts: 2,
        waited_ms: Some(40),
        source: Source::Live,
    }
}

pub(super) fn opened() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

/// Keeps arrivals of a run, or reuses earlier answers, and waits until they are committed.
fn written(store: &Store, run: RunId, reusable: bool, write: impl FnOnce(&Writer)) {
    let writer = store.writer(run, ["t"; 2], reusable).unwrap();
    write(&writer);
    writer.finish().unwrap();
}

fn kept(store: &Store, run: RunId, reusable: bool, arrivals: impl IntoIterator<Item = JobResult>) {
    written(store, run, reusable, |writer| {
        arrivals.into_iter().for_each(|arrival| block_on(writer.keep(arrival)).unwrap());
    });
}

pub(super) fn planned() -> RunPlan {
    RunPlan { plan: [9; 32], candidate: "v2".to_owned(), baseline: None, target: "t".to_owned(), answers: 3 }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn texts(store: &Store, run: RunId) -> Vec<(u64, String)> {
    let results = store.results(run, 0, 100).unwrap();
    results
        .into_iter()
        .map(|row| (row.seq, row.result.map_or_else(|failure| failure.code, |answer| answer.text)))
        .collect()
}

#[test]
fn kept_answers_are_read_back_in_plan_order() {
    let (_folder, store) = opened();
    let run = store.begin(&planned()).unwrap();
    let arrivals = [arrival(2, 2, Ok("two")), arrival(0, 0, Ok("zero")), arrival(1, 1, Err("http_503"))];
    kept(&store, run.id, true, arrivals);
    assert_eq!(texts(&store, run.id), [(0, "zero".into()), (1, "http_503".into()), (2, "two".into())]);
    let row = &store.results(run.id, 2, 3).unwrap()[0];
    assert_eq!((row.attempts, row.waited_ms, row.source), (2, Some(40), Source::Live));
    assert_eq!(row.result.as_ref().unwrap().latency_ms, 7);
}

#[test]
fn a_reusable_answer_is_found_by_its_key_and_stands_for_a_day() {
    let (_folder, store) = opened();
    let run = store.begin(&planned()).unwrap();
    let once = |reusable, key, text| kept(&store, run.id, reusable, [arrival(0, key, Ok(text))]);
    once(true, 1, "old");
    once(true, 1, "new");
    once(false, 1, "recorded");
    once(false, 2, "recorded");
    let first = job(0, 1);
    let cached = store.cached(&first).unwrap().unwrap();
    assert_eq!(store.cached(&job(0, 2)).unwrap(), None);
    let other = store.begin(&planned()).unwrap();
    written(&store, other.id, true, |writer| writer.reuse(&Job { seq: 5, ..first }, cached).unwrap());
    assert_eq!(texts(&store, other.id), [(5, "old".into())]);
    assert_eq!(store.results(other.id, 5, 6).unwrap()[0].source, Source::Cache);
}

#[test]
fn a_run_is_resumed_only_while_it_is_unfinished_and_nobody_works_on_it() {
    let (folder, store) = opened();
    assert!(store.resume(&[9; 32]).unwrap().is_none());
    let run = store.begin(&planned()).unwrap();
    let id = run.id;
    assert!(store.resume(&[9; 32]).unwrap().is_none(), "it is still being worked on");
    drop(run);
    assert!(store.resume(&[8; 32]).unwrap().is_none(), "another plan");
    let run = store.resume(&[9; 32]).unwrap().unwrap();
    assert_eq!((run.id, run.resumed), (id, 0));
    store.end(&run, RunStatus::Incomplete).unwrap();
    drop(run);
    let run = store.resume(&[9; 32]).unwrap().unwrap();
    store.end(&run, RunStatus::Complete).unwrap();
    drop(run);
    assert!(store.resume(&[9; 32]).unwrap().is_none());
    let locks = std::fs::read_dir(folder.path()).unwrap().filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "lock"))
    });
    assert_eq!(locks.count(), 0);
}

#[test]
fn databases_of_others_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let foreign = Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(foreign);
    let error = Store::open(folder.path()).unwrap_err();
    assert!(error.message().contains("another program"), "{error}");
    Connection::open(&path).unwrap().execute_batch("SELECT x FROM theirs").unwrap();
}

#[test]
fn a_store_of_another_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let connection = Connection::open(folder.path().join("store.sqlite")).unwrap();
    for version in [0, 1, 6] {
        connection.pragma_update(None, "user_version", version).unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(error.message().contains(&format!("version {version}")), "{error}");
        assert!(error.hint().unwrap().contains("delete .promptgate"));
    }
    connection.pragma_update(None, "user_version", 2).unwrap();
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_reused_answer_tells_what_it_took_when_it_was_asked_for() {
    let (_folder, store) = opened();
    let run = store.begin(&planned()).unwrap();
    kept(&store, run.id, true, [arrival(0, 0, Ok("zero"))]);
    let again = store.begin(&planned()).unwrap();
    let cached = store.cached(&job(0, 0)).unwrap().unwrap();
    written(&store, again.id, true, |writer| writer.reuse(&job(0, 0), cached).unwrap());
    let row = &store.results(again.id, 0, 1).unwrap()[0];
    assert_eq!((row.source, row.attempts, row.waited_ms), (Source::Cache, 2, Some(40)));
}

#[test]
fn a_run_has_the_replies_that_it_goes_by() {
    let (_folder, store) = opened();
    let exported = |run: RunId| {
        let mut rows = Vec::new();
        store
            .records::<StoreError>(run.number(), &mut |row| {
                rows.push((row.key[0], row.prompt, row.reply, row.answer.text));
                Ok(())
            })
            .unwrap();
        rows
    };
    let first = store.begin(&planned()).unwrap().id;
    kept(&store, first, true, [arrival(0, 9, Ok("answer"))]);
    let writer = store.replies(first, "strict", "t", true).unwrap();
    block_on(writer.keep(arrival(0, 1, Ok("reply")))).unwrap();
    block_on(writer.keep(arrival(0, 2, Err("down")))).unwrap();
    writer.finish().unwrap();
    let reply = (1, "strict".to_owned(), true, "reply".to_owned());
    let answer = (9, "v2".to_owned(), false, "answer".to_owned());
    assert_eq!(exported(first), [answer, reply.clone()]);

    // A later run goes by the same reply, and by an imported one.
    let second = store.begin(&planned()).unwrap().id;
    assert_eq!(exported(second), []);
    import(&store, &record(3, "theirs"));
    let got = |key: u8| {
        let reply = store.reply(second, "strict", &job(0, key)).unwrap();
        reply.map(|(answer, imported)| (answer.text, imported))
    };
    assert_eq!(got(1), Some(("reply".to_owned(), false)));
    assert_eq!(got(1), Some(("reply".to_owned(), false)));
    assert_eq!(got(2), None);
    assert_eq!(got(3), Some(("theirs".to_owned(), true)));
    let theirs = (3, "strict".to_owned(), true, "theirs".to_owned());
    assert_eq!(exported(second), [reply, theirs]);
}

fn record(key: u8, text: &str) -> Record {
    Record {
        key: [key; 32],
        case: "case-0".to_owned(),
        arm: Arm::Candidate,
        prompt: "v2".to_owned(),
        repeat: 1,
        target: "t".to_owned(),
        model: "m".to_owned(),
        request: [3; 32],
        attempts: 2,
        waited_ms: Some(40),
        created_at: 1_790_000_000,
        reply: false,
        answer: Answer { text: text.to_owned(), latency_ms: 9, ..Answer::default() },
    }
}

fn import(store: &Store, record: &Record) -> ImportOutcome {
    let importing = store.importing().unwrap();
    let added = importing.add(record).unwrap();
    importing.commit().unwrap();
    added
}

/// The text that a job of `case-0` would reuse, and whether it was imported.
fn reused(store: &Store, key: u8) -> Option<(String, bool)> {
    let first = job(0, key);
    let cached = store.cached(&first).unwrap()?;
    let run = store.begin(&planned()).unwrap();
    written(store, run.id, true, |writer| writer.reuse(&first, cached).unwrap());
    let row = store.results(run.id, 0, 1).unwrap().pop()?;
    Some((row.result.unwrap().text, row.imported))
}

#[test]
fn imported_answers_are_marked_and_never_hide_own_ones() {
    let (_folder, store) = opened();
    assert_eq!(import(&store, &record(1, "theirs")), ImportOutcome::New);
    assert_eq!(import(&store, &record(1, "theirs")), ImportOutcome::Known);
    assert_eq!(reused(&store, 1), Some(("theirs".to_owned(), true)));
    assert_eq!(import(&store, &record(1, "newer")), ImportOutcome::New);
    assert_eq!(reused(&store, 1), Some(("theirs".to_owned(), true)));

    let run = store.begin(&planned()).unwrap();
    kept(&store, run.id, true, [arrival(0, 1, Ok("own"))]);
    assert_eq!(reused(&store, 1), Some(("own".to_owned(), false)));
    assert_eq!(import(&store, &record(1, "newest")), ImportOutcome::Own);
    assert_eq!(reused(&store, 1), Some(("own".to_owned(), false)));

    // What a row says openly must be what it is used for.
    let lie = Record { case: "another".to_owned(), ..record(2, "lie") };
    assert_eq!(import(&store, &lie), ImportOutcome::New);
    assert_eq!(reused(&store, 2), None);

    let importing = store.importing().unwrap();
    assert_eq!(importing.add(&record(3, "dropped")).unwrap(), ImportOutcome::New);
    drop(importing);
    assert_eq!(reused(&store, 3), None);
}

#[test]
fn a_record_survives_its_row() {
    let record = record(0xab, "a \u{2028} \"text\"");
    let json = record.to_json().unwrap();
    assert_eq!(Record::from_json(json.to_string().as_bytes()), Ok(record));
    assert_eq!(json["created_at"], "2026-09-21T14:13:20Z");
}

#[test]
fn rows_are_read_strictly() {
    let good = record(1, "x").to_json().unwrap();
    for (field, value, message) in [
        ("case", "".into(), "`case` is empty"),
        ("model", "m".repeat(5000).into(), "`model` is empty or longer"),
        ("arm", "green".into(), "unknown variant `green`"),
        ("repeat", 0.into(), "`repeat` is not a number from 1"),
        ("repeat", "1".into(), "invalid type: string"),
        ("attempts", 1001.into(), "`attempts` is not a number from 1"),
        ("key", "AB".into(), "`key` is not a digest"),
        ("request", "G".repeat(64).into(), "`request` is not a digest"),
        ("created_at", "yesterday".into(), "`created_at` is not a time"),
        ("created_at", "2099-01-01T00:00:00Z".into(), "`created_at` is not a time"),
        ("answer", "text".into(), "`answer` is not an object"),
        ("answer", serde_json::json!({"text": 3}), "`answer`: invalid type"),
        ("extra", 1.into(), "unknown field `extra`"),
    ] {
        let mut row = good.clone();
        row[field] = value;
        let mistakes = Record::from_json(row.to_string().as_bytes()).unwrap_err();
        assert!(mistakes[0].contains(message), "{field}: {mistakes:?}");
    }
    let mut row = good.clone();
    row["answer"]["surprise"] = 1.into();
    assert_eq!(
        Record::from_json(row.to_string().as_bytes()),
        Err(vec!["`answer`: unknown field `surprise`".to_owned()])
    );
    let mut row = good.clone();
    row["repeat"] = 0.into();
    row["key"] = "x".into();
    assert_eq!(Record::from_json(row.to_string().as_bytes()).unwrap_err().len(), 2);
    // The one field that older answers do not have.
    for field in good.as_object().unwrap().keys().filter(|field| *field != "waited_ms") {
        let mut row = good.as_object().unwrap().clone();
        row.remove(field);
        let text = serde_json::to_string(&row).unwrap();
        assert!(Record::from_json(text.as_bytes()).is_err(), "{field} may be missing");
    }
    assert!(Record::from_json(b"[1]").is_err());
    assert!(Record::from_json(b"{").is_err());
}
