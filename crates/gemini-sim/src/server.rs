//! The simulator's life: binds, serves on its own thread and runtime, stops.

use super::Settings;
use super::connection::{CuttableListener, Line};
use super::service::{Service, serve};
use axum::Router;
use std::future::IntoFuture as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
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
    /// The port is taken or not allowed, the noise is no chance, the log can't be written, or the system has no thread left.
    pub fn start(port: u16, settings: Settings) -> io::Result<Simulator> {
        if !(0.0..=1.0).contains(&settings.noise) {
            let message = format!("the noise {} is not a number from 0 to 1", settings.noise);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service::new(settings)?);
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::channel();
        let served = Arc::clone(&service);
        // The runtime is born and dies on its own thread: a caller may be on a runtime itself.
        let thread =
            std::thread::Builder::new().name("promptgate-sim".to_owned()).spawn(move || {
                match runtime_for(listener) {
                    Ok((runtime, listener)) => {
                        let _ = ready.send(Ok(()));
                        run(runtime, listener, served, stopped);
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
            })?;
        started.recv().map_err(io::Error::other)??;
        Ok(Simulator { address, service, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens, without a path: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests received so far, failed ones included.
    pub fn requests(&self) -> u64 {
        self.service.requests()
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
        let server = axum::serve(CuttableListener(listener), app.into_make_service_with_connect_info::<Line>());
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
