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
use hyper::client::conn::{http1, http2};
use hyper::http::response::Parts;
use hyper::{HeaderMap, Method, Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::{AbortHandle, JoinHandle};
use url::Url;

/// How long a connection may take to be there.
const TO_CONNECT: Duration = Duration::from_secs(5);

/// What a client of HTTP/2 sends first, with a frame of settings that changes none (RFC 9113, sections 3.4 and 6.5).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The length of a frame's head, and the place and value of its type where it holds settings.
const FRAME_HEAD: usize = 9;
const FRAME_TYPE: usize = 3;
const SETTINGS: u8 = 4;

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// One answer at a time: its end is the end of the connection.
    Http1,
    /// Many streams on one connection.
    Http2,
}

/// A connection that is there, and carried no request yet.
pub struct Line {
    sender: Sender,
    driver: Arc<Driver>,
    socket: TcpStream,
}

/// What takes the request.
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
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
    // A connection of HTTP/2 outlives its stream, as long as somebody could send another request.
    _outlasts: Option<(Arc<Driver>, http2::SendRequest<Full<Bytes>>)>,
}

/// The body of an answer on a connection of its own.
pub(super) struct LineBody {
    body: Incoming,
    // The bytes stop when the last one is dropped.
    _driver: Arc<Driver>,
    // The other side sees the end of the connection only when the last one is closed.
    _socket: TcpStream,
}

impl Line {
    /// Connects to a server that speaks HTTP without encryption.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(super) async fn dial(base: &Url, protocol: Protocol) -> anyhow::Result<Self> {
        let stream = connected(base).await?.into_std()?;
        let socket = stream.try_clone()?;
        let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
        // How a connection ended is seen by whoever reads the answer.
        let (sender, driver) = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(stream).await?;
                let driver = tokio::spawn(async move {
                    let _ = connection.with_upgrades().await;
                });
                (Sender::Http1(sender), driver)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                let driver = tokio::spawn(async move {
                    let _ = connection.await;
                });
                (Sender::Http2(sender), driver)
            }
        };
        Ok(Self {
            sender,
            driver: Arc::new(Driver(driver)),
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
            _outlasts: match &self.sender {
                Sender::Http1(_) => None,
                Sender::Http2(sender) => Some((Arc::clone(&self.driver), sender.clone())),
            },
        })
    }
}

/// Whether a server speaks HTTP/2 with whoever begins with it, without encryption.
pub async fn speaks_http2(base: &Url) -> bool {
    let asked = async {
        let mut stream = connected(base).await?;
        stream.write_all(PREFACE).await?;
        let mut head = [0; FRAME_HEAD];
        stream.read_exact(&mut head).await?;
        anyhow::Ok(head[FRAME_TYPE] == SETTINGS)
    };
    matches!(tokio::time::timeout(TO_CONNECT, asked).await, Ok(Ok(true)))
}

/// Connects to where a server listens.
async fn connected(base: &Url) -> anyhow::Result<tokio::net::TcpStream> {
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
    Ok(stream)
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
            sender,
            driver,
            socket,
        } = self;
        let what = format!("`{} {}`", sending.method, sending.url.path());
        let answer = match sender {
            Sender::Http1(mut sender) => sender.send_request(sending.http1()?).await,
            Sender::Http2(mut sender) => sender.send_request(sending.http2()?).await,
        };
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
    /// HTTP/2 has the authority in the address.
    fn http2(self) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.url.as_str())
            .version(Version::HTTP_2)
            .header("accept", "text/event-stream")
            .body(Full::new(self.body))
            .context("making the request")?;
        request.headers_mut().extend(self.headers);
        Ok(request)
    }

    fn http1(self) -> anyhow::Result<Request<Full<Bytes>>> {
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
