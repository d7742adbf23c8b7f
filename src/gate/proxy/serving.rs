//! Runs the proxy in a separate thread.
//!
//! One thread serves all connections, as PgBouncer does: messages are short, and handing each to another
//! thread costs more than to relay it. What chatctl does elsewhere delays none of them.

use super::listen::Listen;
use super::wire::Raw;
use super::{ConnectionContext, serve};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{io, net, thread};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Accepts connections until it is dropped, which ends them all.
pub(super) struct Serving {
    /// Dropped, it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

enum Listener {
    Tcp(net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Serving {
    /// Binds, and accepts from now on. Also gives where it listens.
    ///
    /// # Errors
    /// When the address is taken, or the system gives no thread.
    pub(super) fn start(listen: &Listen, context: ConnectionContext) -> io::Result<(Self, Listen)> {
        let (listener, at) = match listen {
            Listen::Tcp(address) => {
                let listener = net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let at = Listen::Tcp(listener.local_addr()?);
                (Listener::Tcp(listener), at)
            }
            Listen::Unix(path) => {
                let listener = std::os::unix::net::UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                (Listener::Unix(listener), listen.clone())
            }
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, Arc::new(context)) => {}
                        // Nothing is ever sent: the other end is dropped.
                        _ = stopped => {}
                    }
                });
                // A name that is looked up just now is not waited for.
                runtime.shutdown_background();
            })?;
        let serving = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        Ok((serving, at))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Its panic has been told already, and must not become a second one.
            let _ = thread.join();
        }
    }
}

/// Serves each connection that comes. Dropping it ends them.
async fn accept(listener: Listener, context: Arc<ConnectionContext>) {
    match listener {
        Listener::Tcp(listener) => {
            let Ok(listener) = TcpListener::from_std(listener) else {
                return;
            };
            let next = async || {
                let (stream, _) = listener.accept().await?;
                Raw::tcp(stream)
            };
            each(next, context).await;
        }
        Listener::Unix(listener) => {
            let Ok(listener) = UnixListener::from_std(listener) else {
                return;
            };
            let next = async || Ok(Raw::Unix(listener.accept().await?.0));
            each(next, context).await;
        }
    }
}

async fn each(next: impl AsyncFn() -> io::Result<Raw>, context: Arc<ConnectionContext>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = next() => {
                // One that broke at once is no reason to stop.
                if let Ok(raw) = accepted {
                    connections.spawn(serve(raw, Arc::clone(&context)));
                }
            }
            // Reaped so that a long run does not collect them.
            Some(_) = connections.join_next() => {}
        }
    }
}
