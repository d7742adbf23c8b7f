//! A separate connection for one request, whose end can be chosen.
//!
//! A pooled client ends a connection as it likes. How a browser, a proxy or a network ends one decides what
//! the server hears: an end of the bytes, a reset, or nothing at all. Over HTTP/2 it may end the stream of one
//! answer, and keep the connection.

use crate::cli_error::CliError;
use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper::http::response::Parts;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinHandle};
use url::Url;

/// How long a connection may take to be there.
const TO_CONNECT: Duration = Duration::from_secs(5);

/// A connection that is there, and carried no request yet.
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    socket: TcpStream,
}

/// Moves the bytes of a connection. Dropping it leaves the socket to whoever else holds it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends a connection in one of several ways.
pub struct LineEnd {
    socket: TcpStream,
    driver: AbortHandle,
}

/// The body of an answer on a connection of its own.
pub(super) struct LineBody {
    body: Incoming,
    // The bytes stop when it is dropped.
    _driver: Driver,
    // The other side sees the end of the connection only when the last one is closed.
    _socket: TcpStream,
}

impl Line {
    /// Connects to a server that speaks HTTP without encryption.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(super) async fn dial(base: &Url) -> anyhow::Result<Self> {
        let host = base.host_str().unwrap_or_default();
        let port = base.port_or_known_default().unwrap_or(80);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let connecting = tokio::net::TcpStream::connect((host, port));
        let stream = tokio::time::timeout(TO_CONNECT, connecting).await;
        let stream = stream
            .map_err(io::Error::from)
            .and_then(|connected| connected)
            .map_err(|error| {
                CliError::unreachable(format!("no connection to `{host}:{port}`: {error}"))
                    .hint("start the server, or let chatctl start it with --start")
            })?;
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let socket = stream.try_clone()?;
        let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
        let (sender, connection) = http1::handshake(stream).await?;
        let driver = Driver(tokio::spawn(async move {
            // How it ended is seen by whoever reads the answer.
            let _ = connection.with_upgrades().await;
        }));
        Ok(Self {
            sender,
            driver,
            socket,
        })
    }

    /// The way to end it, whatever becomes of the request.
    ///
    /// # Errors
    /// When the process has no more descriptors.
    pub fn end(&self) -> io::Result<LineEnd> {
        Ok(LineEnd {
            socket: self.socket.try_clone()?,
            driver: self.driver.0.abort_handle(),
        })
    }
}

impl LineEnd {
    /// Closes it in order, as a tab that is closed does: the server reads an end.
    pub fn close(self) -> io::Result<()> {
        self.driver.abort();
        self.socket.shutdown(Shutdown::Both)
    }

    /// Resets it, as a machine that is gone does: the server's next use of it fails.
    pub fn reset(self) -> io::Result<()> {
        let at_once = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&self.socket, sockopt::Linger, &at_once)?;
        self.driver.abort();
        Ok(())
    }

    /// Sends no more and continues reading, as some proxies do.
    pub fn half_close(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Reads no more, and keeps the connection for as long as this lives.
    pub fn stall(&self) {
        self.driver.abort();
    }
}

/// What is sent on a connection of its own.
pub(super) struct Sending {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Line {
    /// Sends a request and gives the answer as soon as its head is there.
    ///
    /// # Errors
    /// When the connection ends before.
    pub(super) async fn send(self, sending: Sending) -> anyhow::Result<(Parts, LineBody)> {
        let Self {
            mut sender,
            driver,
            socket,
        } = self;
        let what = format!("`{} {}`", sending.method, sending.url.path());
        let answer = sender.send_request(sending.request()?).await;
        let answer = answer.map_err(|error| {
            CliError::unreachable(format!("{what} broke off: {error}"))
                .hint("check the server's log")
        })?;
        let (head, body) = answer.into_parts();
        let body = LineBody {
            body,
            _driver: driver,
            _socket: socket,
        };
        Ok((head, body))
    }
}

impl Sending {
    fn request(self) -> anyhow::Result<Request<Full<Bytes>>> {
        let authority = match (self.url.host_str(), self.url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let target = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let mut request = Request::builder()
            .method(self.method)
            .uri(target)
            .header("host", authority)
            .header("accept", "text/event-stream")
            .body(Full::new(self.body))
            .context("making the request")?;
        request.headers_mut().extend(self.headers);
        Ok(request)
    }
}

impl LineBody {
    /// The next bytes; none at the end.
    pub(super) async fn chunk(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            // Trailers say nothing of the answer.
            if let Ok(bytes) = frame?.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}
