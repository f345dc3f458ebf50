//! What the store promises: one row per answer, the newest reusable one by key, results in order, nothing of others touched.

use super::*;
use crate::model::{Arm, Arrival, CaseId, FailureKind, Job, Keep, Request};
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

fn arrival(seq: u64, key: u8, result: Result<&str, &str>) -> Arrival {
    let failure = |code: &str| Failure {
        kind: FailureKind::Transport,
        code: code.to_owned(),
        message: "m".to_owned(),
    };
    Arrival {
        job: Job {
            seq,
            case: CaseId::new(format!("case-{seq}")),
            arm: Arm::Candidate,
            repeat: 1,
            request: Arc::new(request()),
            body: Arc::from(&b"body"[..]),
            key: [key; 32],
        },
        result: result
            .map(|text| Answer {
                text: text.to_owned(),
                latency_ms: 7,
                ..Answer::default()
            })
            .map_err(failure),
        attempts: 2,
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
    assert_eq!((row.attempts, row.source), (2, Source::Live));
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
    let cached = store.cached(&[1; 32]).unwrap().unwrap();
    assert_eq!(store.cached(&[2; 32]).unwrap(), None);
    let other = store.begin(&planned()).unwrap();
    let writer = store.writer(other.id, "t", true).unwrap();
    writer.reuse(5, cached).unwrap();
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
