//! The simulator's life: binds, serves on its own thread and runtime, stops.

use super::Settings;
use super::connection::{Door, Line};
use super::service::{Service, serve};
use axum::Router;
use std::future::IntoFuture as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Threads that answer; a client of the same machine needs the other cores.
const WORKERS: usize = 2;

/// A running simulator. Stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Binds 127.0.0.1 at `port` (0 = any free one) and serves at once, on its own thread and runtime.
    ///
    /// # Errors
    /// The port is taken or not allowed, the noise is no chance, or the system has no thread left.
    pub fn start(port: u16, settings: Settings) -> io::Result<Simulator> {
        if !(0.0..=1.0).contains(&settings.noise) {
            let message = format!("the noise {} is not a number from 0 to 1", settings.noise);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service::new(settings));
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::channel();
        let served = Arc::clone(&service);
        // The runtime is born and dies on its own thread: a caller may be on a runtime itself.
        let thread = std::thread::Builder::new()
            .name("promptgate-sim".to_owned())
            .spawn(move || match runtime_for(listener) {
                Ok((runtime, listener)) => {
                    let _ = ready.send(Ok(()));
                    run(runtime, listener, served, stopped);
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            })?;
        started.recv().map_err(io::Error::other)??;
        Ok(Simulator {
            address,
            service,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens, without a path: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests received so far, failed ones included.
    pub fn requests(&self) -> u64 {
        self.service.requests()
    }

    /// How long its 429s asked clients to wait; times that overlap count once.
    pub fn announced(&self) -> Duration {
        self.service.announced()
    }

    /// Serves until the process is told to stop (interrupt or termination signal), then stops.
    pub fn wait(self) {
        match Builder::new_current_thread().enable_io().build() {
            Ok(runtime) => runtime.block_on(told_to_stop()),
            // Without a way to hear signals, their default action ends the process.
            Err(_) => loop {
                std::thread::park();
            },
        }
    }
}

async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn runtime_for(listener: std::net::TcpListener) -> io::Result<(Runtime, TcpListener)> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("promptgate-sim")
        .enable_io()
        .enable_time()
        .build()?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    Ok((runtime, listener))
}

fn run(runtime: Runtime, listener: TcpListener, service: Arc<Service>, stopped: oneshot::Receiver<()>) {
    let app = Router::new().fallback(serve).with_state(service);
    runtime.block_on(async move {
        let server = axum::serve(Door(listener), app.into_make_service_with_connect_info::<Line>());
        tokio::select! {
            _ = server.into_future() => {}
            // Stopped, or the simulator is gone.
            _ = stopped => {}
        }
    });
    // Stalled requests never end by themselves.
    runtime.shutdown_background();
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const PATH: &str = "/v1beta/models/gemini-3.8-flash";

    fn body(question: &str) -> Value {
        json!({
            "systemInstruction": {"parts": [{"text":
                "Answer in one sentence. The zoo opens at nine. The lions sleep all day. The goats may be fed."}]},
            "contents": [{"role": "user", "parts": [{"text": question}]}],
        })
    }

    fn simulator(settings: Settings) -> Simulator {
        Simulator::start(0, settings).unwrap()
    }

    /// Runs a client against a simulator.
    fn client<T>(work: impl AsyncFnOnce(reqwest::Client) -> T) -> T {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work(client))
    }

    async fn post(client: &reqwest::Client, url: String, body: &Value, sample: u32) -> reqwest::Result<(u16, String)> {
        let request = client
            .post(url)
            .header("x-promptgate-sample", sample.to_string())
            .body(body.to_string());
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    #[test]
    fn every_endpoint_answers() {
        let simulator = simulator(Settings::default());
        let url = simulator.url();
        client(async |client| {
            let question = body("When does the zoo open?");
            let (code, text) = post(&client, format!("{url}{PATH}:generateContent"), &question, 1)
                .await
                .unwrap();
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(code, 200);
            assert_eq!(
                answer["candidates"][0]["content"]["parts"][0]["text"],
                "The zoo opens at nine."
            );
            assert_eq!(answer["modelVersion"], "gemini-3.8-flash");

            let prefixed = format!("{url}/gateway/v1/models/gemini-3.8-flash:countTokens");
            let (code, text) = post(&client, prefixed, &json!({"contents": question["contents"]}), 1)
                .await
                .unwrap();
            let counted: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((code, counted["totalTokens"].as_u64()), (200, Some(6)));

            let (code, text) = post(
                &client,
                format!("{url}{PATH}:streamGenerateContent?alt=sse"),
                &question,
                1,
            )
            .await
            .unwrap();
            assert_eq!(code, 200);
            assert!(text.starts_with("data: {") && text.ends_with("}\r\n\r\n"), "{text}");
            assert!(!text.contains("[DONE]"));

            let (_, text) = post(&client, format!("{url}{PATH}:streamGenerateContent"), &question, 1)
                .await
                .unwrap();
            assert!(serde_json::from_str::<Value>(&text).unwrap().is_array());

            let models = client.get(format!("{url}/v1beta/models")).send().await.unwrap();
            let models: Value = serde_json::from_str(&models.text().await.unwrap()).unwrap();
            assert_eq!(models["models"][0]["name"], "models/gemini-3.8-flash");
            let model = client.get(format!("{url}{PATH}")).send().await.unwrap();
            assert_eq!(model.status(), 200);
        });
        assert_eq!(simulator.requests(), 6);
    }

    #[test]
    fn refusals_are_statuses() {
        let simulator = simulator(Settings {
            require_key: true,
            ..Settings::default()
        });
        let url = simulator.url();
        client(async |client| {
            let question = body("When?");
            let (code, text) = post(&client, format!("{url}{PATH}:generateContent"), &question, 1)
                .await
                .unwrap();
            assert_eq!(code, 403);
            assert!(text.contains("PERMISSION_DENIED"));
            for (path, body, code, name) in [
                (
                    "/v1beta/models/gpt-x:generateContent",
                    question.clone(),
                    404,
                    "NOT_FOUND",
                ),
                ("/v1beta/models/gemini-x:banana", question.clone(), 404, "NOT_FOUND"),
                ("/elsewhere", question.clone(), 404, "NOT_FOUND"),
                (
                    "/v1/models/gemini-x:generateContent",
                    json!({"banana": 1}),
                    400,
                    "INVALID_ARGUMENT",
                ),
                (
                    "/v1/models/gemini-x:streamGenerateContent",
                    json!({}),
                    400,
                    "INVALID_ARGUMENT",
                ),
            ] {
                let request = client.post(format!("{url}{path}")).header("x-goog-api-key", "any");
                let response = request.body(body.to_string()).send().await.unwrap();
                assert_eq!(response.status(), code, "{path}");
                let text = response.text().await.unwrap();
                assert_eq!(text.starts_with('['), path.contains("stream"), "{text}");
                assert!(text.contains(name), "{text}");
            }
            let large = "x".repeat((20 << 20) + 1);
            let request = client.post(format!("{url}{PATH}:generateContent?key=any")).body(large);
            // The service answers before it has read all of it, so the client may see the answer or a closed connection.
            if let Ok(response) = request.send().await {
                assert_eq!(response.status(), 400);
            }
        });
    }

    #[test]
    fn noise_repeats_in_any_order() {
        let settings = Settings {
            noise: 0.5,
            seed: 3,
            ..Settings::default()
        };
        let questions: Vec<Value> = ["zoo", "lions", "goats"]
            .map(|about| {
                body(&format!(
                    "Tell me of the zoo, the lions and the goats, mostly the {about}."
                ))
            })
            .into();
        let ask = |order: Vec<u32>| {
            let simulator = simulator(settings.clone());
            let url = format!("{}{PATH}:generateContent", simulator.url());
            let mut said = client(async |client| {
                let calls = order.into_iter().map(|sample| {
                    let (client, url, question) = (&client, url.clone(), &questions[sample as usize % 3]);
                    async move { (sample, post(client, url, question, sample).await.unwrap()) }
                });
                futures_util::future::join_all(calls).await
            });
            said.sort();
            said
        };
        let forwards = ask((0..60).collect());
        assert_eq!(forwards, ask((0..60).rev().collect()));
        let distinct: std::collections::BTreeSet<_> = forwards
            .iter()
            .filter(|(sample, _)| sample % 3 == 0)
            .map(|(_, (_, text))| serde_json::from_str::<Value>(text).unwrap()["candidates"].to_string())
            .collect();
        assert!(distinct.len() > 1, "samples of one question differ");
    }

    #[test]
    fn each_fault_looks_like_itself() {
        let seen = |fault: &str| {
            let simulator = simulator(Settings {
                faults: format!("{fault}:1").parse().unwrap(),
                ..Settings::default()
            });
            let url = format!("{}{PATH}:generateContent", simulator.url());
            client(async |client| post(&client, url, &body("When does the zoo open?"), 1).await)
        };
        let (code, text) = seen("429").unwrap();
        assert_eq!(code, 429);
        assert!(text.contains("Please retry in 0.2s.") && text.contains("RetryInfo"));
        let (code, text) = seen("503").unwrap();
        assert_eq!(code, 503);
        assert!(text.contains("The model is overloaded. Please try again later."));
        let (code, text) = seen("html502").unwrap();
        assert_eq!(code, 502);
        assert!(text.starts_with("<html>"));
        assert!(seen("reset").is_err_and(|error| error.is_request()));
        let cut = seen("truncate");
        assert!(
            cut.is_err_and(|error| error.is_body() || error.is_decode()),
            "the head arrives, the body does not"
        );
    }

    #[test]
    fn a_stalled_request_ends_with_its_client() {
        let simulator = simulator(Settings {
            faults: "stall:1".parse().unwrap(),
            ..Settings::default()
        });
        let url = format!("{}{PATH}:generateContent", simulator.url());
        client(async |client| {
            let question = body("When?");
            let received = async {
                while simulator.requests() == 0 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                answer = post(&client, url, &question, 1) => panic!("no answer may come: {answer:?}"),
                () = received => {}
            }
        });
        // Does not wait for the stalled request.
        drop(simulator);
    }

    #[test]
    fn starting_can_fail() {
        let first = simulator(Settings::default());
        let port = first.url().rsplit(':').next().unwrap().parse().unwrap();
        assert!(
            Simulator::start(port, Settings::default()).is_err(),
            "the port is taken"
        );
        let noisy = Settings {
            noise: 1.5,
            ..Settings::default()
        };
        let error = Simulator::start(0, noisy).unwrap_err();
        assert_eq!(error.to_string(), "the noise 1.5 is not a number from 0 to 1");
    }

    #[test]
    fn it_starts_inside_a_runtime() {
        let inside = client(async |client| {
            let simulator = simulator(Settings::default());
            let url = format!("{}{PATH}", simulator.url());
            client.get(url).send().await.unwrap().status().as_u16()
        });
        assert_eq!(inside, 200);
    }
}
