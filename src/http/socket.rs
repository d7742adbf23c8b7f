//! A WebSocket (RFC 6455) to the server under test, and what Socket.IO 5 adds to one: its packets, in those
//! of Engine.IO 4.

use super::line::LineBody;
use crate::cli_error::CliError;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

/// What is spoken over a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Messages as they are.
    Plain,
    /// Events of Socket.IO, each `["name", argument, …]`.
    SocketIo,
}

/// The bytes below a WebSocket.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A WebSocket that is open.
pub struct Socket {
    // Nobody waits for the lock: it lets a reference to the socket be sent to another thread.
    stream: Mutex<WebSocketStream<Box<dyn Duplex>>>,
    dialect: Dialect,
    /// What came before somebody asked for it.
    waiting: VecDeque<Bytes>,
    // The other side sees the end of the connection only when the last one is closed.
    _line: Option<LineBody>,
}

impl Socket {
    /// Takes a connection that was upgraded.
    pub(super) async fn over(bytes: Box<dyn Duplex>, line: Option<LineBody>) -> Self {
        Self {
            stream: WebSocketStream::from_raw_socket(bytes, Role::Client, None)
                .await
                .into(),
            dialect: Dialect::Plain,
            waiting: VecDeque::new(),
            _line: line,
        }
    }

    /// The address at which a server of Socket.IO opens a WebSocket.
    pub fn of_socket_io(path: &str) -> String {
        let and = if path.contains('?') { '&' } else { '?' };
        format!("{path}{and}EIO=4&transport=websocket")
    }

    /// Logs in to Socket.IO's default namespace, with this JSON. The answer is the first event, `connect`; what the
    /// server sent before it comes after it, as its own client has it.
    ///
    /// # Errors
    /// When the server refuses, or speaks something else.
    pub async fn connect(&mut self, auth: Option<&str>) -> anyhow::Result<()> {
        self.dialect = Dialect::SocketIo;
        let mut early = VecDeque::new();
        loop {
            let Some(text) = self.message().await? else {
                return Err(not_socket_io("closed the socket").into());
            };
            match Packet::parse(&String::from_utf8_lossy(&text)) {
                Packet::Open => {
                    let auth = auth.unwrap_or_default();
                    self.write(format!("40{auth}")).await?;
                }
                Packet::Ping => self.write("3".to_owned()).await?,
                Packet::Connected(sid) => {
                    early.push_front(format!("[\"connect\",{sid}]").into());
                    self.waiting = early;
                    return Ok(());
                }
                Packet::Refused(why) => {
                    return Err(CliError::unreachable(format!(
                        "the server refused the Socket.IO connection: {why}"
                    ))
                    .hint("check `auth` in the session")
                    .into());
                }
                Packet::Event(event) => early.push_back(event.to_owned().into()),
                Packet::Other => {}
                Packet::Unknown => return Err(not_socket_io("sent another message").into()),
            }
        }
    }

    /// Sends a message; for Socket.IO a list, whose first value is the event's name.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.write(match self.dialect {
            Dialect::Plain => text.to_owned(),
            Dialect::SocketIo => format!("42{text}"),
        })
        .await
    }

    /// The next message, or the next event; none when the server closes the socket in order.
    ///
    /// # Errors
    /// When the connection breaks off, or the server closes it because something went wrong.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        if let Some(waiting) = self.waiting.pop_front() {
            return Ok(Some(waiting));
        }
        while let Some(message) = self.message().await? {
            match self.dialect {
                Dialect::Plain => return Ok(Some(message)),
                Dialect::SocketIo => match Packet::parse(&String::from_utf8_lossy(&message)) {
                    Packet::Event(event) => return Ok(Some(event.to_owned().into())),
                    Packet::Ping => self.write("3".to_owned()).await?,
                    Packet::Open
                    | Packet::Connected(_)
                    | Packet::Refused(_)
                    | Packet::Other
                    | Packet::Unknown => {}
                },
            }
        }
        Ok(None)
    }

    /// Closes it as a page does that is left.
    pub async fn leave(&mut self) {
        let close = CloseFrame {
            code: CloseCode::Away,
            reason: "".into(),
        };
        // A server that is gone has no use for it.
        let _ = self.stream().send(Message::Close(Some(close))).await;
    }

    fn stream(&mut self) -> &mut WebSocketStream<Box<dyn Duplex>> {
        self.stream.get_mut().expect("nobody panics with it")
    }

    async fn write(&mut self, text: String) -> anyhow::Result<()> {
        Ok(self.stream().send(Message::text(text)).await?)
    }

    async fn message(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(message) = self.stream().next().await {
            match message? {
                Message::Text(text) => return Ok(Some(text.into())),
                Message::Binary(bytes) => return Ok(Some(bytes)),
                Message::Close(Some(close)) if !is_in_order(close.code) => {
                    let (code, reason) = (u16::from(close.code), close.reason);
                    anyhow::bail!("the server closed the socket with {code} {reason}");
                }
                Message::Close(_) => return Ok(None),
                // The library answers a ping by itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Ok(None)
    }
}

fn is_in_order(code: CloseCode) -> bool {
    matches!(
        code,
        CloseCode::Normal | CloseCode::Away | CloseCode::Status
    )
}

fn not_socket_io(did: &str) -> CliError {
    CliError::unreachable(format!(
        "the server {did} where Socket.IO's handshake was expected"
    ))
    .hint("check the path: Socket.IO listens at `/socket.io/`, or below another path")
}

/// A packet of Engine.IO, or the packet of Socket.IO that is in it.
#[derive(Debug, PartialEq, Eq)]
enum Packet<'a> {
    /// The connection is there.
    Open,
    /// To be answered with a pong.
    Ping,
    /// The namespace is open: JSON with the session's id.
    Connected(&'a str),
    /// The namespace stays closed.
    Refused(&'a str),
    /// A list: the name, and the arguments.
    Event(&'a str),
    /// Acknowledgements, binary parts, other namespaces and the like.
    Other,
    /// No packet.
    Unknown,
}

impl<'a> Packet<'a> {
    fn parse(text: &'a str) -> Self {
        let Some(kind) = text.chars().next().filter(char::is_ascii) else {
            return Self::Unknown;
        };
        let rest = &text[1..];
        match (kind, rest.chars().next()) {
            ('0', _) => Self::Open,
            ('2', _) => Self::Ping,
            ('4', Some('0')) => match &rest[1..] {
                "" => Self::Connected("{}"),
                sid if sid.starts_with('{') => Self::Connected(sid),
                _ => Self::Other,
            },
            ('4', Some('4')) => Self::Refused(&rest[1..]),
            // A number before the list asks for an acknowledgement.
            ('4', Some('2')) => match rest[1..].trim_start_matches(|c: char| c.is_ascii_digit()) {
                list if list.starts_with('[') => Self::Event(list),
                _ => Self::Other,
            },
            ('1' | '3' | '4' | '5' | '6' | 'b', _) => Self::Other,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Packet, Socket};

    #[test]
    fn the_address_says_which_protocol() {
        for (path, address) in [
            ("/ws/", "/ws/?EIO=4&transport=websocket"),
            ("/ws/?a=1", "/ws/?a=1&EIO=4&transport=websocket"),
        ] {
            assert_eq!(Socket::of_socket_io(path), address);
        }
    }

    #[test]
    fn every_packet_is_recognized() {
        for (text, packet) in [
            ("0{\"sid\":\"a\"}", Packet::Open),
            ("2", Packet::Ping),
            ("40{\"sid\":\"a\"}", Packet::Connected("{\"sid\":\"a\"}")),
            ("40", Packet::Connected("{}")),
            (
                "44{\"message\":\"no\"}",
                Packet::Refused("{\"message\":\"no\"}"),
            ),
            ("42[\"a\",1]", Packet::Event("[\"a\",1]")),
            ("427[\"a\",1]", Packet::Event("[\"a\",1]")),
            ("42/admin,[\"a\"]", Packet::Other),
            ("451-[\"a\"]", Packet::Other),
            ("431[]", Packet::Other),
            ("6", Packet::Other),
            ("", Packet::Unknown),
            ("{\"a\":1}", Packet::Unknown),
            ("ü", Packet::Unknown),
        ] {
            assert_eq!(Packet::parse(text), packet, "{text}");
        }
    }
}
