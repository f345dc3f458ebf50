//! What the store promises: one row per answer, the newest reusable one by key, results in order, nothing of others touched.

use super::*;
use crate::domain::{Arm, Arrival, Asked, CaseId, FailureKind, Job, Keep, Request};
use std::sync::Arc;

fn request() -> Request {
    Request {
        model: "m".to_owned(),
        system: Vec::new(),
        contents: Vec::new(),
        config: serde_json::Map::new(),
        json_output: false,
        output_schema: None,
        tools: Vec::new(),
    }
}

fn job(seq: u64, key: u8) -> Job {
    Job {
        seq,
        case: CaseId::new(format!("case-{seq}")),
        arm: Arm::Candidate,
        repeat: 1,
        request: Arc::new(request()),
        body: Arc::from(&b"body"[..]),
        key: [key; 32],
    }
}

fn arrival(seq: u64, key: u8, result: Result<&str, &str>) -> Arrival {
    let failure = |code: &str| Failure {
        kind: FailureKind::Transport,
        code: code.to_owned(),
        message: "m".to_owned(),
    };
    Arrival {
        asked: Asked::from(&job(seq, key)),
        result: result
            .map(|text| Answer {
                text: text.to_owned(),
                latency_ms: 7,
                ..Answer::default()
            })
            .map_err(failure),
        attempts: 2,
        waited_ms: Some(40),
        source: Source::Live,
    }
}

fn planned() -> Planned {
    Planned {
        plan: [9; 32],
        candidate: "v2".to_owned(),
        baseline: None,
        target: "t".to_owned(),
        answers: 3,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn texts(store: &Store, run: RunId) -> Vec<(u64, String)> {
    let results = store.results(run, 0, 100).unwrap();
    results
        .into_iter()
        .map(|row| {
            (
                row.seq,
                row.result.map_or_else(|failure| failure.code, |answer| answer.text),
            )
        })
        .collect()
}

#[test]
fn kept_answers_are_read_back_in_plan_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let run = store.begin(&planned()).unwrap();
    let writer = store.writer(run.id, "t", true).unwrap();
    block_on(async {
        writer.keep(arrival(2, 2, Ok("two"))).await.unwrap();
        writer.keep(arrival(0, 0, Ok("zero"))).await.unwrap();
        writer.keep(arrival(1, 1, Err("http_503"))).await.unwrap();
    });
    writer.finish().unwrap();
    assert_eq!(
        texts(&store, run.id),
        [(0, "zero".into()), (1, "http_503".into()), (2, "two".into())]
    );
    let row = &store.results(run.id, 2, 3).unwrap()[0];
    assert_eq!((row.attempts, row.waited_ms, row.source), (2, Some(40), Source::Live));
    assert_eq!(row.result.as_ref().unwrap().latency_ms, 7);
}

#[test]
fn the_newest_reusable_answer_is_found_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let run = store.begin(&planned()).unwrap();
    let once = |reusable, key, text| {
        let writer = store.writer(run.id, "t", reusable).unwrap();
        block_on(writer.keep(arrival(0, key, Ok(text)))).unwrap();
        writer.finish().unwrap();
    };
    once(true, 1, "old");
    once(true, 1, "new");
    once(false, 1, "recorded");
    once(false, 2, "recorded");
    let first = job(0, 1);
    let cached = store.cached(&first).unwrap().unwrap();
    assert_eq!(store.cached(&job(0, 2)).unwrap(), None);
    let other = store.begin(&planned()).unwrap();
    let writer = store.writer(other.id, "t", true).unwrap();
    writer.reuse(&Job { seq: 5, ..first }, cached).unwrap();
    writer.finish().unwrap();
    assert_eq!(texts(&store, other.id), [(5, "new".into())]);
    assert_eq!(store.results(other.id, 5, 6).unwrap()[0].source, Source::Cache);
}

#[test]
fn a_run_is_resumed_only_while_it_is_unfinished_and_nobody_works_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(store.resume(&[9; 32]).unwrap().is_none());
    let run = store.begin(&planned()).unwrap();
    let id = run.id;
    assert!(store.resume(&[9; 32]).unwrap().is_none(), "it is still being worked on");
    drop(run);
    assert!(store.resume(&[8; 32]).unwrap().is_none(), "another plan");
    let run = store.resume(&[9; 32]).unwrap().unwrap();
    assert_eq!((run.id, run.resumed), (id, 0));
    store.end(&run, RunEnded::Incomplete).unwrap();
    drop(run);
    let run = store.resume(&[9; 32]).unwrap().unwrap();
    store.end(&run, RunEnded::Complete).unwrap();
    drop(run);
    assert!(store.resume(&[9; 32]).unwrap().is_none());
    let locks = std::fs::read_dir(folder.path()).unwrap().filter(|entry| {
        entry
            .as_ref()
            .is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "lock"))
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
    Connection::open(&path)
        .unwrap()
        .execute_batch("SELECT x FROM theirs")
        .unwrap();
}

/// The schema as version 1 created it.
const VERSION_1: &str = "
CREATE TABLE runs (id INTEGER PRIMARY KEY, plan BLOB NOT NULL, candidate TEXT NOT NULL, baseline TEXT, target TEXT NOT NULL,
  planned INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER, ended TEXT);
CREATE INDEX runs_by_plan ON runs (plan);
CREATE TABLE answers (id INTEGER PRIMARY KEY, key BLOB NOT NULL, request BLOB NOT NULL, case_id TEXT NOT NULL,
  target TEXT NOT NULL, model TEXT NOT NULL, served TEXT, latency_ms INTEGER NOT NULL, attempts INTEGER NOT NULL,
  answer TEXT NOT NULL, reusable INTEGER NOT NULL, created_at INTEGER NOT NULL);
CREATE INDEX answers_by_key ON answers (key) WHERE reusable;
CREATE TABLE results (run INTEGER NOT NULL, seq INTEGER NOT NULL, answer INTEGER, source TEXT NOT NULL,
  attempts INTEGER NOT NULL, failure TEXT, PRIMARY KEY (run, seq)) WITHOUT ROWID;
CREATE TABLE not_passed (run INTEGER NOT NULL, case_id TEXT NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (run, case_id))
  WITHOUT ROWID;
PRAGMA application_id = 0x70677465;
PRAGMA user_version = 1;";

/// Tables, columns with their types, and indexes.
fn shape(folder: &Path) -> Vec<String> {
    let store = Connection::open(folder.join("store.sqlite")).unwrap();
    let mut statement = store
        .prepare(
            "SELECT m.type || ' ' || m.name || coalesce(' ' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk, '')
             FROM sqlite_schema m LEFT JOIN pragma_table_info(m.name) c ORDER BY 1",
        )
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_store_of_version_1_is_brought_up_to_date_and_keeps_everything() {
    let old = tempfile::tempdir().unwrap();
    let connection = Connection::open(old.path().join("store.sqlite")).unwrap();
    connection.execute_batch(VERSION_1).unwrap();
    let answer = serde_json::to_string(&Answer {
        text: "old".to_owned(),
        ..Answer::default()
    })
    .unwrap();
    connection
        .execute(
            "INSERT INTO answers VALUES (1, ?1, ?1, 'case-0', 't', 'm', NULL, 7, 3, ?2, 1, 1700000000)",
            params![[1u8; 32], answer],
        )
        .unwrap();
    connection
        .execute_batch(
            "INSERT INTO runs VALUES (1, x'09', 'v2', 'v1', 't', 3, 1700000000, 1700000001, 'complete'),
                                     (2, x'09', 'v2', NULL, 't', 3, 1700000000, NULL, NULL);
             INSERT INTO results VALUES (1, 0, 1, 'live', 3, NULL), (1, 1, 1, 'cache', 0, NULL), (2, 0, 1, 'live', 3, NULL);",
        )
        .unwrap();
    drop(connection);
    let store = Store::open(old.path()).unwrap();
    let new = tempfile::tempdir().unwrap();
    drop(Store::open(new.path()).unwrap());
    assert_eq!(shape(old.path()), shape(new.path()));
    assert!(shape(old.path()).len() > 30);

    assert!(store.cached(&job(0, 1)).unwrap().is_some());
    let results = store.results(RunId(1), 0, 10).unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(
        (results[1].source, results[1].attempts, results[1].waited_ms),
        (Source::Cache, 3, None)
    );
    assert_eq!(results[0].asked_at, Some(1_700_000_000));
    assert!(!results[0].imported);
    let arms: Vec<String> = store
        .connection
        .prepare("SELECT arm FROM results ORDER BY run, seq")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(arms, ["baseline", "candidate", "candidate"]);
    let error = store
        .records::<StoreError>(RunId(1), &mut |_| Ok(()))
        .unwrap_err()
        .message();
    assert!(error.contains("run it again"), "{error}");
    drop(store);
    Store::open(old.path()).unwrap();
}

#[test]
fn a_store_of_version_2_is_brought_up_to_date() {
    let old = tempfile::tempdir().unwrap();
    let connection = Connection::open(old.path().join("store.sqlite")).unwrap();
    connection.execute_batch(VERSION_1).unwrap();
    connection.execute_batch(include_str!("upgrade-2.sql")).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    let store = Store::open(old.path()).unwrap();
    let new = tempfile::tempdir().unwrap();
    drop(Store::open(new.path()).unwrap());
    assert_eq!(shape(old.path()), shape(new.path()));
    let run = store.begin(&planned()).unwrap();
    let writer = store.writer(run.id, "t", true).unwrap();
    block_on(writer.keep(arrival(0, 0, Ok("zero")))).unwrap();
    writer.finish().unwrap();
    // Another run takes it over, with what it took and how long it waited.
    let again = store.begin(&planned()).unwrap();
    let writer = store.writer(again.id, "t", true).unwrap();
    let cached = store.cached(&job(0, 0)).unwrap().unwrap();
    writer.reuse(&job(0, 0), cached).unwrap();
    writer.finish().unwrap();
    let row = &store.results(again.id, 0, 1).unwrap()[0];
    assert_eq!((row.source, row.attempts, row.waited_ms), (Source::Cache, 2, Some(40)));
}

/// Every version that a store may have: its answers and runs stay, and what it did not know of its runs is not made up.
#[test]
fn a_store_of_version_2_to_4_knows_nothing_of_its_runs_but_keeps_them() {
    let new = tempfile::tempdir().unwrap();
    drop(Store::open(new.path()).unwrap());
    let upgrades = [
        include_str!("upgrade-2.sql"),
        include_str!("upgrade-3.sql"),
        include_str!("upgrade-4.sql"),
    ];
    for version in 2..=4usize {
        let old = tempfile::tempdir().unwrap();
        let connection = Connection::open(old.path().join("store.sqlite")).unwrap();
        connection.execute_batch(VERSION_1).unwrap();
        for upgrade in &upgrades[..version - 1] {
            connection.execute_batch(upgrade).unwrap();
        }
        connection.pragma_update(None, "user_version", version as i64).unwrap();
        connection
            .execute_batch(
                "INSERT INTO runs (id, plan, candidate, target, planned, started_at, ended_at, ended)
                 VALUES (7, x'09', 'v2', 't', 3, 1700000000, 1700000001, 'complete');
                 INSERT INTO not_passed (run, case_id, outcome) VALUES (7, 'case-1', 'fail');",
            )
            .unwrap();
        drop(connection);
        let store = Store::open(old.path()).unwrap();
        assert_eq!(shape(old.path()), shape(new.path()), "{version}");
        let run = store.recall(7).unwrap().unwrap();
        assert_eq!(
            (run.ended.as_deref(), run.facts, run.concluded),
            (Some("complete"), None, None)
        );
        assert_eq!(store.not_passed("v2", None).unwrap().unwrap().1.len(), 1);
        assert_eq!(store.cases_remembered(7).unwrap(), 0);
        assert!(!store.judged(7).unwrap());
        assert_eq!(store.noise(Subject([2; 32]), 20, false).unwrap(), None);
        // A new run is remembered beside it.
        let next = store.begin(&planned()).unwrap();
        assert_eq!(next.id.0, 8);
        drop(store);
        // Once is enough.
        Store::open(old.path()).unwrap();
    }
}

#[test]
fn a_run_has_the_replies_that_it_goes_by() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let exported = |run: RunId| {
        let mut rows = Vec::new();
        store
            .records::<StoreError>(run, &mut |row| {
                rows.push((row.key[0], row.prompt, row.reply, row.answer.text));
                Ok(())
            })
            .unwrap();
        rows
    };
    let first = store.begin(&planned()).unwrap().id;
    let writer = store.writer(first, "t", true).unwrap();
    block_on(writer.keep(arrival(0, 9, Ok("answer")))).unwrap();
    writer.finish().unwrap();
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
        answer: Answer {
            text: text.to_owned(),
            latency_ms: 9,
            ..Answer::default()
        },
    }
}

fn import(store: &Store, record: &Record) -> Added {
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
    let writer = store.writer(run.id, "t", true).unwrap();
    writer.reuse(&first, cached).unwrap();
    writer.finish().unwrap();
    let row = store.results(run.id, 0, 1).unwrap().pop()?;
    Some((row.result.unwrap().text, row.imported))
}

#[test]
fn imported_answers_are_marked_and_never_hide_own_ones() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(import(&store, &record(1, "theirs")), Added::New);
    assert_eq!(import(&store, &record(1, "theirs")), Added::Known);
    assert_eq!(reused(&store, 1), Some(("theirs".to_owned(), true)));
    assert_eq!(import(&store, &record(1, "newer")), Added::New);
    assert_eq!(reused(&store, 1), Some(("newer".to_owned(), true)));

    let run = store.begin(&planned()).unwrap();
    let writer = store.writer(run.id, "t", true).unwrap();
    block_on(writer.keep(arrival(0, 1, Ok("own")))).unwrap();
    writer.finish().unwrap();
    assert_eq!(reused(&store, 1), Some(("own".to_owned(), false)));
    assert_eq!(import(&store, &record(1, "newest")), Added::Own);
    assert_eq!(reused(&store, 1), Some(("own".to_owned(), false)));

    // What a row says openly must be what it is used for.
    let lie = Record {
        case: "another".to_owned(),
        ..record(2, "lie")
    };
    assert_eq!(import(&store, &lie), Added::New);
    assert_eq!(reused(&store, 2), None);

    let importing = store.importing().unwrap();
    assert_eq!(importing.add(&record(3, "dropped")).unwrap(), Added::New);
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
        (
            "created_at",
            "2099-01-01T00:00:00Z".into(),
            "`created_at` is not a time",
        ),
        ("target", "recorded abc".into(), "never enter a store"),
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
