//! Connections that a handler can reset.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A listener that counts its connections.
pub(super) struct Lines {
    pub(super) listener: TcpListener,
    pub(super) counted: Arc<AtomicU64>,
}

impl Listener for Lines {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        self.counted.fetch_add(1, Ordering::Relaxed);
        let end = LineEnd::default();
        (Line { stream, end }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection.
pub(super) struct Line {
    stream: TcpStream,
    end: LineEnd,
}

/// How a connection ends when the server drops it.
#[derive(Debug, Clone, Default)]
pub(super) struct LineEnd {
    is_reset: Arc<AtomicBool>,
}

impl LineEnd {
    /// It is reset, and not closed in order.
    pub(super) fn reset(&self) {
        self.is_reset.store(true, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, Lines>> for LineEnd {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.io().end.clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.end.is_reset.load(Ordering::SeqCst) {
            let at_once = libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            // A connection that is gone already can't be reset, and need not be.
            let _ = setsockopt(&self.stream, sockopt::Linger, &at_once);
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
