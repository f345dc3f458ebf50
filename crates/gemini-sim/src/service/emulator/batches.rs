//! Batches: many requests in one job, answered later. A job advances when it is looked at, so that how long one takes is
//! counted in polls and repeats exactly. Its requests are answered at the poll that finishes it.
//!
//! Bounded: jobs that wait, jobs kept at all, and bytes of their requests and answers.

use super::job::{Job, JobResult, Output, Source, State, Work};
use crate::body::{get, list};
use crate::noise::mix;
use crate::pages::page;
use crate::status::Status;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::OffsetDateTime;

/// Unfinished jobs, as the service limits them.
const WAITING: usize = 100;
/// Jobs kept; the oldest finished one makes room.
const MOST: usize = 1_000;
/// Bytes of inline requests and answers of all jobs. The oldest finished jobs make room.
const ROOM: usize = 256 << 20;

#[derive(Debug, Default)]
struct Jobs {
    jobs: VecDeque<Job>,
    named: u64,
}

#[derive(Debug)]
pub(super) struct Batches {
    seed: u64,
    /// Polls that find a job unfinished.
    polls: u32,
    kept: Mutex<Jobs>,
}

impl Batches {
    pub(super) fn new(seed: u64, polls: u32) -> Batches {
        Batches { seed, polls, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Jobs> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a job out of a request that was validated. `lines` tells how many requests a file holds, or why it can't be
    /// read; `size` is the request's length in bytes. Returns the operation.
    pub(super) fn create(
        &self,
        body: &Value,
        model: &str,
        size: usize,
        lines: impl FnOnce(&str) -> Result<usize, Status>,
        now: OffsetDateTime,
    ) -> Result<Value, Status> {
        let batch = get(body, "batch").ok_or_else(|| refusal("batch", "is required"))?;
        let input = get(batch, "inputConfig").ok_or_else(|| refusal("batch.input_config", "is required"))?;
        let inline = get(input, "requests").map_or(&[][..], |requests| list(requests, "requests"));
        let (source, requests) = match (get(input, "fileName").and_then(Value::as_str), inline) {
            (Some(_), [_, ..]) => {
                return Err(refusal("batch.input_config", "may hold either requests or a file name, not both"));
            }
            (Some(file), []) => {
                let file = file.strip_prefix("files/").unwrap_or(file);
                (Source::File(file.to_owned()), lines(file)?)
            }
            (None, []) => return Err(refusal("batch.input_config.requests", "must not be empty")),
            (None, requests) => {
                if let Some(at) = requests.iter().position(|item| get(item, "request").is_none()) {
                    let place = format!("batch.input_config.requests.requests[{at}].request");
                    return Err(refusal(&place, "is required"));
                }
                (Source::Inline(requests.to_vec()), requests.len())
            }
        };
        let size = match source {
            Source::Inline(_) => size,
            Source::File(_) => 0,
        };
        let mut kept = self.kept();
        let waiting = kept.jobs.iter().filter(|job| !job.state.is_done());
        if waiting.clone().count() >= WAITING || waiting.map(|job| job.size).sum::<usize>() + size > ROOM {
            return Err(Status::new(
                429,
                format!(
                    "You exceeded your current quota: at most {WAITING} batches and {ROOM} bytes of them can be in \
                     progress."
                ),
            ));
        }
        kept.named += 1;
        let name = format!("{:016x}{:016x}", mix(self.seed ^ mix(kept.named)), mix(self.seed ^ mix(!kept.named)));
        let job = Job {
            name,
            model: model.to_owned(),
            display_name: get(batch, "displayName").and_then(Value::as_str).map(str::to_owned),
            source,
            requests,
            polls: 0,
            state: State::Pending,
            created: now,
            updated: now,
            result: None,
            size,
        };
        let body = job.body(true);
        kept.jobs.push_back(job);
        trim(&mut kept);
        Ok(body)
    }

    /// Looks at a job, which advances it. Returns the operation, or the work that finishes the job.
    pub(super) fn poll(&self, name: &str, now: OffsetDateTime) -> Result<Poll, Status> {
        let mut kept = self.kept();
        let job = find(&mut kept, name)?;
        if job.state.is_done() {
            return Ok(Poll::Seen(job.body(true)));
        }
        job.polls += 1;
        job.updated = now;
        if job.polls == self.polls + 1 {
            job.state = State::Running;
            return Ok(Poll::Due(Work {
                name: job.name.clone(),
                model: job.model.clone(),
                // The answers take its place.
                source: match &mut job.source {
                    Source::Inline(requests) => Source::Inline(std::mem::take(requests)),
                    Source::File(file) => Source::File(file.clone()),
                },
            }));
        }
        // The first of several polls still finds the job in its queue. A poll while another one answers finds it running.
        if job.polls > 1 || self.polls == 1 {
            job.state = State::Running;
        }
        Ok(Poll::Seen(job.body(true)))
    }

    /// Ends a job, unless it was cancelled or deleted meanwhile. Returns the operation.
    pub(super) fn finish(
        &self,
        name: &str,
        result: Result<JobResult, Status>,
        now: OffsetDateTime,
    ) -> Result<Value, Status> {
        let mut kept = self.kept();
        let job = find(&mut kept, name)?;
        if !job.state.is_done() {
            job.updated = now;
            job.state = if result.is_ok() { State::Succeeded } else { State::Failed };
            job.size = match result.as_ref().map(|finished| &finished.output) {
                Ok(Output::Inline(answers)) => answers.iter().map(|answer| answer.to_string().len()).sum(),
                Ok(Output::File(_)) => 0,
                Err(_) => job.size,
            };
            job.result = Some(result);
        }
        let body = job.body(true);
        trim(&mut kept);
        Ok(body)
    }

    /// Cancels a job. A finished one stays as it is.
    pub(super) fn cancel(&self, name: &str, now: OffsetDateTime) -> Result<(), Status> {
        let mut kept = self.kept();
        let job = find(&mut kept, name)?;
        if !job.state.is_done() {
            job.state = State::Cancelled;
            job.updated = now;
            job.result = Some(Err(Status::new(499, "The operation was cancelled.")));
            if let Source::Inline(requests) = &mut job.source {
                requests.clear();
            }
            job.size = 0;
        }
        Ok(())
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), Status> {
        let mut kept = self.kept();
        let at = kept.jobs.iter().position(|job| job.name == name);
        kept.jobs.remove(at.ok_or_else(|| missing(name))?);
        Ok(())
    }

    /// The body of a page of all jobs, the newest first, without inline answers. Does not count as a poll.
    pub(super) fn list(&self, query: &str) -> Result<Value, Status> {
        let kept = self.kept();
        let newest: Vec<&Job> = kept.jobs.iter().rev().collect();
        page(&newest, query, "operations", |job| job.body(false))
    }
}

#[derive(Debug)]
pub(super) enum Poll {
    /// The operation.
    Seen(Value),
    /// The job is due: its answers are to be handed to [`Batches::finish`].
    Due(Work),
}

fn find<'a>(kept: &'a mut Jobs, name: &str) -> Result<&'a mut Job, Status> {
    kept.jobs.iter_mut().find(|job| job.name == name).ok_or_else(|| missing(name))
}

/// Forgets the oldest finished jobs until the bounds hold. The newest job stays.
fn trim(kept: &mut Jobs) {
    let over = |jobs: &VecDeque<Job>| jobs.len() > MOST || jobs.iter().map(|job| job.size).sum::<usize>() > ROOM;
    while over(&kept.jobs) {
        let newest = kept.jobs.len() - 1;
        let Some(at) = kept.jobs.iter().take(newest).position(|job| job.state.is_done()) else {
            return;
        };
        kept.jobs.remove(at);
    }
}

fn refusal(field: &str, what: &str) -> Status {
    Status::new(400, format!("* GenerateContentBatchRequest.{field}: {field} {what}.\n"))
}

fn missing(name: &str) -> Status {
    let shown: String = name.chars().take(60).collect();
    Status::new(404, format!("Requested entity was not found: batches/{shown}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_786_000_000 + seconds).unwrap()
    }

    fn inline() -> Value {
        json!({"batch": {"display_name": "eval", "input_config": {"requests": {"requests": [
            {"request": {"contents": []}, "metadata": {"key": "a"}},
            {"request": {"contents": []}},
        ]}}}})
    }

    fn created(batches: &Batches, body: &Value) -> String {
        let body = batches.create(body, "gemini-x", 100, |_| Ok(3), at(0)).unwrap();
        assert_eq!(body["metadata"]["state"], "BATCH_STATE_PENDING");
        assert!(body.get("done").is_none());
        body["name"].as_str().unwrap().replace("batches/", "")
    }

    fn due(batches: &Batches, name: &str) -> Work {
        match batches.poll(name, at(1)).unwrap() {
            Poll::Due(work) => work,
            Poll::Seen(body) => panic!("not due: {body}"),
        }
    }

    fn state(batches: &Batches, name: &str) -> String {
        match batches.poll(name, at(1)).unwrap() {
            Poll::Seen(body) => body["metadata"]["state"].as_str().unwrap().to_owned(),
            Poll::Due(work) => format!("due: {:?}", work.model),
        }
    }

    #[test]
    fn polls_advance_a_job() {
        for (polls, expected) in [
            (0, &["due: \"gemini-x\"", "BATCH_STATE_RUNNING"][..]),
            (1, &["BATCH_STATE_RUNNING", "due: \"gemini-x\""]),
            (
                3,
                &[
                    "BATCH_STATE_PENDING",
                    "BATCH_STATE_RUNNING",
                    "BATCH_STATE_RUNNING",
                    "due: \"gemini-x\"",
                    "BATCH_STATE_RUNNING",
                ],
            ),
        ] {
            let batches = Batches::new(0, polls);
            let name = created(&batches, &inline());
            let seen: Vec<String> = expected.iter().map(|_| state(&batches, &name)).collect();
            assert_eq!(seen, expected, "{polls} polls");
        }
    }

    #[test]
    fn a_finished_job_holds_its_answers_twice() {
        let batches = Batches::new(0, 0);
        let name = created(&batches, &inline());
        let work = due(&batches, &name);
        assert!(matches!(&work.source, Source::Inline(requests) if requests.len() == 2));
        let finished = JobResult {
            output: Output::Inline(vec![
                json!({"response": {"candidates": []}, "metadata": {"key": "a"}}),
                json!({"error": Status::new(429, "quota").rpc()}),
            ]),
            succeeded: 1,
            failed: 1,
        };
        batches.finish(&name, Ok(finished), at(2)).unwrap();
        let Poll::Seen(mut body) = batches.poll(&name, at(3)).unwrap() else {
            panic!("the job is done");
        };
        let listed = batches.list("").unwrap();
        assert!(!listed.to_string().contains("inlinedResponses"), "lists leave answers out");
        body["name"] = json!("batches/x");
        body["metadata"]["name"] = json!("batches/x");
        insta::assert_json_snapshot!(body);
    }

    #[test]
    fn a_cancelled_job_stays_cancelled() {
        let batches = Batches::new(0, 0);
        let name = created(&batches, &inline());
        due(&batches, &name);
        batches.cancel(&name, at(2)).unwrap();
        let late = JobResult { output: Output::Inline(vec![]), succeeded: 2, failed: 0 };
        let body = batches.finish(&name, Ok(late), at(3)).unwrap();
        assert_eq!(body["metadata"]["state"], "BATCH_STATE_CANCELLED");
        assert_eq!(body["error"]["code"], 1);
        assert_eq!((&body["done"], body.get("response")), (&json!(true), None));
        batches.delete(&name).unwrap();
        assert_eq!(batches.poll(&name, at(4)).unwrap_err().http, 404);
        assert_eq!(batches.cancel(&name, at(4)).unwrap_err().http, 404);
        assert_eq!(batches.delete(&name).unwrap_err().http, 404);
    }

    #[test]
    fn files_fail_as_a_whole() {
        let batches = Batches::new(0, 0);
        let body = json!({"batch": {"inputConfig": {"fileName": "files/f"}}});
        let error = batches.create(&body, "gemini-x", 1, |_| Err(Status::new(403, "no")), at(0));
        assert_eq!(error.unwrap_err().http, 403);
        let name = created(&batches, &body);
        assert!(matches!(due(&batches, &name).source, Source::File(file) if file == "f"));
        let body = batches.finish(&name, Err(Status::new(404, "gone")), at(1)).unwrap();
        assert_eq!(body["metadata"]["state"], "BATCH_STATE_FAILED");
        assert_eq!(body["metadata"]["batchStats"], json!({"requestCount": "3", "pendingRequestCount": "3"}));
        assert_eq!(body["error"], json!({"code": 5, "message": "gone"}));
    }

    #[test]
    fn bad_jobs_are_refused() {
        let batches = Batches::new(0, 0);
        for body in [
            json!({}),
            json!({"batch": {}}),
            json!({"batch": {"inputConfig": {}}}),
            json!({"batch": {"inputConfig": {"requests": {"requests": [{"metadata": {}}]}}}}),
            json!({"batch": {"inputConfig": {"fileName": "files/a", "requests": {"requests": [{"request": {}}]}}}}),
        ] {
            let error = batches.create(&body, "gemini-x", 1, |_| Ok(1), at(0)).unwrap_err();
            assert_eq!(error.http, 400, "{body}");
        }
    }

    #[test]
    fn the_room_is_bounded() {
        let batches = Batches::new(0, 0);
        let names: Vec<String> = (0..WAITING).map(|_| created(&batches, &inline())).collect();
        let more = || batches.create(&inline(), "gemini-x", 1, |_| Ok(1), at(0));
        assert_eq!(more().unwrap_err().http, 429);
        batches.cancel(&names[0], at(0)).unwrap();
        more().unwrap();
        for _ in 0..2 * MOST {
            batches.cancel(&created_or_newest(&batches), at(0)).unwrap();
        }
        assert!(batches.kept().jobs.len() <= MOST);
    }

    /// Cancels the newest job and creates another one.
    fn created_or_newest(batches: &Batches) -> String {
        let newest = batches.kept().jobs.back().unwrap().name.clone();
        batches.cancel(&newest, at(0)).unwrap();
        created(batches, &inline())
    }
}
