//! A fake server at the level of the wire: a closure sees each request and says what happens on the connection, from a
//! proper answer to a reset in the middle of one. It listens on a free port of the loopback address, in a thread of its
//! own, and ends when it is dropped.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Notify, oneshot};

#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// How many requests came before it.
    pub(crate) number: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a request has a json body")
    }

    /// The text of the last part of the last turn: the tests write there what they want to happen.
    pub(crate) fn asks(&self) -> String {
        let body = self.json();
        let last = |value: &Value| value.as_array().and_then(|array| array.last().cloned()).unwrap_or_default();
        last(&last(&body["contents"])["parts"])["text"].as_str().unwrap_or_default().to_owned()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Nothing happens before so many requests are there that wait for each other.
    gather: usize,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    Http {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// The connection is reset before a byte of an answer.
    Reset,
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, then nothing until the client goes.
    Stall(Vec<u8>),
    /// A body of so many bytes, as fast as it goes.
    Huge(usize),
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Reply {
        Reply::text(status, "application/json; charset=UTF-8", body.to_string())
    }

    pub(crate) fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
        Reply::how(How::Http {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
        })
    }

    pub(crate) fn answer(text: &str) -> Reply {
        Reply::json(
            200,
            &json!({
                "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
                "modelVersion": "fake-001",
            }),
        )
    }

    pub(crate) fn error(status: u16, name: &str, message: &str) -> Reply {
        Reply::json(status, &json!({"error": {"code": status, "message": message, "status": name}}))
    }

    pub(crate) fn reset() -> Reply {
        Reply::how(How::Reset)
    }

    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply::how(How::Raw(bytes.into()))
    }

    /// Holds the connection without a byte until the client goes.
    pub(crate) fn stall() -> Reply {
        Reply::how(How::Stall(Vec::new()))
    }

    pub(crate) fn stall_mid_body() -> Reply {
        Reply::how(How::Stall(half_an_answer()))
    }

    pub(crate) fn stall_after(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply::how(How::Stall(bytes.into()))
    }

    pub(crate) fn truncated() -> Reply {
        Reply::raw(half_an_answer())
    }

    pub(crate) fn huge(bytes: usize) -> Reply {
        Reply::how(How::Huge(bytes))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Reply {
        match &mut self.how {
            How::Http { headers, .. } => headers.push((name.to_owned(), value.to_owned())),
            How::Reset | How::Raw(_) | How::Stall(_) | How::Huge(_) => panic!("this reply has no headers"),
        }
        self
    }

    /// Waits until `n` requests are there together, and is sent with theirs.
    pub(crate) fn together(mut self, n: usize) -> Reply {
        self.gather = n;
        self
    }

    fn how(how: How) -> Reply {
        Reply { gather: 1, how }
    }
}

/// Bytes packed in one block that is not compressed (RFC 1951, 3.2.4; RFC 1952).
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let crc = !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let length = u16::try_from(bytes.len()).unwrap();
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(bytes);
    packed.extend(crc.to_le_bytes());
    packed.extend(u32::from(length).to_le_bytes());
    packed
}

fn half_an_answer() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 400\r\n\r\n{\"candidates\":[{\"content\""
        .to_vec()
}

pub(crate) struct Fake {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Received>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    arrived: Notify,
    /// Clients that went while their request was stalled.
    gone: AtomicUsize,
    /// Where requests wait for each other, by the number that opens the gate.
    gates: Mutex<HashMap<usize, Arc<Barrier>>>,
}

impl Fake {
    /// Starts a server that treats every request as `script` says.
    pub(crate) fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Fake {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let seen = Arc::new(Seen::default());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                // Dropping the runtime drops every connection with it.
                runtime.expect("a runtime starts").block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = serve(listener, Arc::new(script), seen) => {}
                    }
                });
            }
        });
        Fake { url, seen, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn answering(text: &'static str) -> Fake {
        Fake::start(move |_| Reply::answer(text))
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.requests.lock().expect("no script panicked").len()
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.seen.requests.lock().expect("no script panicked").clone()
    }

    pub(crate) fn most_in_flight(&self) -> usize {
        self.seen.most_in_flight.load(Ordering::SeqCst)
    }

    pub(crate) async fn gone(&self, n: usize) {
        self.seen.until(|seen| seen.gone.load(Ordering::SeqCst) >= n).await;
    }

    pub(crate) async fn arrived(&self, n: usize) {
        self.seen.until(|seen| seen.requests.lock().expect("no script panicked").len() >= n).await;
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the fake server panicked");
        }
    }
}

impl Seen {
    fn gate(&self, n: usize) -> Arc<Barrier> {
        let mut gates = self.gates.lock().expect("no script panicked");
        Arc::clone(gates.entry(n).or_insert_with(|| Arc::new(Barrier::new(n))))
    }

    /// Waits for a condition that changes with requests and clients.
    async fn until(&self, reached: impl Fn(&Seen) -> bool) {
        loop {
            let changed = self.arrived.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if reached(self) {
                return;
            }
            changed.await;
        }
    }
}

async fn serve<S>(listener: std::net::TcpListener, script: Arc<S>, seen: Arc<Seen>)
where
    S: Fn(&Received) -> Reply + Send + Sync + 'static,
{
    let listener = TcpListener::from_std(listener).expect("a runtime takes a listener");
    // A panic in a script must fail the test, not vanish in a task: the set is watched.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a listener accepts");
                connections.spawn(connection(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
            Some(ended) = connections.join_next() => ended.expect("no script panicked"),
        }
    }
}

async fn connection<S>(mut stream: TcpStream, script: Arc<S>, seen: Arc<Seen>)
where
    S: Fn(&Received) -> Reply + Send + Sync + 'static,
{
    stream.set_nodelay(true).expect("a stream can be without delay");
    let mut buffer = Vec::new();
    while let Some(mut request) = receive(&mut stream, &mut buffer).await {
        let now = seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most_in_flight.fetch_max(now, Ordering::SeqCst);
        let reply = {
            let mut requests = seen.requests.lock().expect("no script panicked");
            request.number = requests.len();
            requests.push(request.clone());
            script(&request)
        };
        seen.arrived.notify_waiters();
        seen.gate(reply.gather).wait().await;
        seen.in_flight.fetch_sub(1, Ordering::SeqCst);
        if !act(&mut stream, reply.how, &seen).await {
            return;
        }
    }
}

/// Does what a reply says; true when the connection goes on.
async fn act(stream: &mut TcpStream, how: How, seen: &Seen) -> bool {
    match how {
        How::Http { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} Fake\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let bytes = [head.as_bytes(), b"\r\n", &body].concat();
            stream.write_all(&bytes).await.is_ok()
        }
        How::Raw(bytes) => {
            // The client may hang up at any byte of nonsense.
            drop(stream.write_all(&bytes).await);
            false
        }
        How::Reset => {
            stream.set_zero_linger().expect("a stream can end with a reset");
            false
        }
        How::Stall(bytes) => {
            drop(stream.write_all(&bytes).await);
            let mut rest = [0; 64];
            while matches!(stream.read(&mut rest).await, Ok(1..)) {}
            seen.gone.fetch_add(1, Ordering::SeqCst);
            seen.arrived.notify_waiters();
            false
        }
        How::Huge(length) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
            drop(stream.write_all(head.as_bytes()).await);
            let chunk = vec![b' '; 1 << 20];
            for _ in 0..length.div_ceil(chunk.len()) {
                if stream.write_all(&chunk).await.is_err() {
                    break;
                }
            }
            false
        }
    }
}

/// Reads one request; `None` when the client is done.
async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if !matches!(stream.read_buf(buffer).await, Ok(1..)) {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).expect("a head is text");
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().expect("a length is a number"));
    while buffer.len() < head_end + length {
        if !matches!(stream.read_buf(buffer).await, Ok(1..)) {
            return None;
        }
    }
    let rest = buffer.split_off(head_end + length);
    let body = std::mem::replace(buffer, rest).split_off(head_end);
    Some(Received { number: 0, method, path, headers, body })
}
