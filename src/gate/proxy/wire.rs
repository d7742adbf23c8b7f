//! Byte streams between the server under test and its database.

use bytes::{Buf as _, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection, cut into its two directions.
pub(super) struct Link {
    /// What comes.
    pub(super) incoming: Incoming,
    /// Where it goes.
    pub(super) writer: Writer,
}

/// What comes over a connection, and was not taken yet.
pub(super) struct Incoming {
    reader: Reader,
    /// Bytes that have come.
    pub(super) bytes: BytesMut,
}

impl Incoming {
    /// Reads more. False at the end.
    pub(super) async fn more(&mut self) -> io::Result<bool> {
        self.bytes.reserve(CHUNK);
        Ok(self.reader.read_buf(&mut self.bytes).await? > 0)
    }

    /// Sends the first bytes of what has come.
    pub(super) async fn pass<W: AsyncWrite + Unpin>(
        &mut self,
        count: usize,
        to: &mut W,
    ) -> io::Result<()> {
        if count > 0 {
            to.write_all(&self.bytes[..count]).await?;
            to.flush().await?;
            self.forget(count);
        }
        Ok(())
    }

    /// Drops the first bytes of what has come.
    pub(super) fn forget(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    /// Sends so many bytes as they come. False when the end comes first.
    pub(super) async fn pass_on<W: AsyncWrite + Unpin>(
        &mut self,
        mut count: usize,
        to: &mut W,
    ) -> io::Result<bool> {
        while count > 0 {
            if self.bytes.is_empty() && !self.more().await? {
                return Ok(false);
            }
            let some = count.min(self.bytes.len());
            self.pass(some, to).await?;
            count -= some;
        }
        Ok(true)
    }

    /// Sends everything as it comes, until the end.
    pub(super) async fn all_on<W: AsyncWrite + Unpin>(&mut self, to: &mut W) -> anyhow::Result<()> {
        while self.more().await? {
            self.pass(self.bytes.len(), to).await?;
        }
        Ok(())
    }

    /// Reads until so many bytes are there. False when the end comes first.
    pub(super) async fn at_least(&mut self, count: usize) -> io::Result<bool> {
        while self.bytes.len() < count {
            if !self.more().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A connection before it is known whether it is encrypted.
pub(super) enum Raw {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Anything that reads and writes.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Raw {
    /// Of a TCP connection. A relay must not wait for more bytes before it sends some.
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    /// In one piece, to be encrypted.
    pub(super) fn whole(self) -> Box<dyn Stream> {
        match self {
            Self::Tcp(stream) => Box::new(stream),
            Self::Unix(stream) => Box::new(stream),
        }
    }

    /// As it is.
    pub(super) fn link(self) -> Link {
        match self {
            Self::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                Link::new(Box::new(reader), Box::new(writer))
            }
            Self::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                Link::new(Box::new(reader), Box::new(writer))
            }
        }
    }

    /// Exactly so many bytes, and none of what follows: that may be encrypted.
    pub(super) async fn exactly<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).await?;
        Ok(bytes)
    }

    /// The same where the number is known late.
    pub(super) async fn so_many(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.fill(&mut bytes).await?;
        Ok(bytes)
    }

    async fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.read_exact(bytes).await?,
            Self::Unix(stream) => stream.read_exact(bytes).await?,
        };
        Ok(())
    }

    /// Sends bytes at once.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Unix(stream) => stream.write_all(bytes).await,
        }
    }

    /// The first byte, left where it is; none at the end, or where it can't be looked at.
    pub(super) async fn peek(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        match self {
            Self::Tcp(stream) => Ok((stream.peek(&mut first).await? == 1).then_some(first[0])),
            Self::Unix(_) => Ok(None),
        }
    }
}

impl Link {
    /// Of an encrypted connection.
    pub(super) fn whole<S: Stream + 'static>(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self::new(Box::new(reader), Box::new(writer))
    }

    fn new(reader: Reader, writer: Writer) -> Self {
        Self {
            incoming: Incoming {
                reader,
                bytes: BytesMut::new(),
            },
            writer,
        }
    }

    /// Sends bytes at once.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.writer.flush().await
    }
}
