//! From the first byte of a connection to the end of its login.
//!
//! The login is passed on as it is, with one exception: where both sides are encrypted the two
//! ends of TLS differ, and a password exchange that is bound to them (`SCRAM-SHA-256-PLUS`)
//! can't be passed on. Then the proxy asks for the password and logs in by itself.
//!
//! Sources: PostgreSQL manual, "Start-up", "SASL Authentication", "SSL Session Encryption".

use super::frame;
use super::frame::HEADER;
use crate::gate::commits::CommitFault;
use crate::gate::proxy::queue::Queue;
use crate::gate::proxy::tls::Mode;
use crate::gate::proxy::upstream::Upstream;
use crate::gate::proxy::wire::{Incoming, Link, Raw};
use anyhow::Context as _;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use tokio_rustls::TlsAcceptor;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// The first byte of a client that begins TLS without asking.
const TLS_HELLO: u8 = 0x16;
/// The longest start-up message; PostgreSQL's own limit.
const LONGEST: u32 = 10_000;
/// The longest message of a login.
const LONGEST_LOGIN: usize = 64 << 10;

/// What the database asks for in a message of kind `R`.
mod asks {
    pub(super) const OK: u32 = 0;
    pub(super) const PASSWORD: u32 = 3;
    pub(super) const SASL: u32 = 10;
    pub(super) const SASL_CONTINUE: u32 = 11;
    pub(super) const SASL_FINAL: u32 = 12;
}

/// One side of the proxy and whether it is encrypted.
struct Side {
    link: Link,
    encrypted: bool,
}

/// Logs the server under test in. Gives both connections, right behind the login; none when
/// there is nothing more to relay.
pub(super) async fn begin(
    client: Raw,
    upstream: &Upstream,
    queue: &Queue,
    acceptor: &TlsAcceptor,
) -> anyhow::Result<Option<(Link, Link)>> {
    let Some((mut client, startup)) = startup(client, acceptor).await? else {
        return Ok(None);
    };
    let code = u32::from_be_bytes(*startup[4..].first_chunk().context("no protocol version")?);
    match queue.refuses() {
        Some(CommitFault::DatabaseGone) => return Ok(None),
        Some(_) if code != CANCEL_REQUEST => {
            let words = "sorry, too many clients already";
            client
                .link
                .send(&frame::error("FATAL", "53300", words))
                .await?;
            return Ok(None);
        }
        _ => {}
    }
    // The database knows nothing of a statement that is withheld: it would cancel nothing, and the server
    // would wait for what it gave up.
    if code == CANCEL_REQUEST && frame::key(&startup[8..]).is_some_and(|key| queue.cancel(key)) {
        return Ok(None);
    }
    let mut database = match connect(upstream).await {
        Ok(database) => database,
        Err(error) => {
            let words = format!("chatctl's proxy: {error:#}");
            client
                .link
                .send(&frame::error("FATAL", "08006", &words))
                .await?;
            return Ok(None);
        }
    };
    database.link.send(&startup).await?;
    if code == CANCEL_REQUEST {
        return Ok(None);
    }
    let in_ = log_in(&mut client, &mut database).await?;
    Ok(in_.then_some((client.link, database.link)))
}

/// Reads the start-up message, encrypted if the server under test asks for it.
async fn startup(mut raw: Raw, acceptor: &TlsAcceptor) -> anyhow::Result<Option<(Side, Vec<u8>)>> {
    if raw.peek().await? == Some(TLS_HELLO) {
        return encrypted(raw, acceptor).await.map(Some);
    }
    loop {
        let length = u32::from_be_bytes(raw.exactly().await?);
        anyhow::ensure!(
            (8..=LONGEST).contains(&length),
            "a start-up message of {length} bytes"
        );
        let code: [u8; 4] = raw.exactly().await?;
        match u32::from_be_bytes(code) {
            SSL_REQUEST => {
                raw.send(b"S").await?;
                return encrypted(raw, acceptor).await.map(Some);
            }
            GSS_REQUEST => raw.send(b"N").await?,
            _ => {
                let mut side = Side {
                    link: raw.link(),
                    encrypted: false,
                };
                let mut message = length.to_be_bytes().to_vec();
                message.extend(code);
                let rest = length as usize - 8;
                if !side.link.incoming.at_least(rest).await? {
                    return Ok(None);
                }
                message.extend_from_slice(&side.link.incoming.bytes.split_to(rest));
                return Ok(Some((side, message)));
            }
        }
    }
}

async fn encrypted(raw: Raw, acceptor: &TlsAcceptor) -> anyhow::Result<(Side, Vec<u8>)> {
    let stream = acceptor
        .accept(raw.whole())
        .await
        .context("TLS with the server under test")?;
    let mut link = Link::whole(stream);
    let ended = "the connection ended before its start-up message";
    anyhow::ensure!(link.incoming.at_least(8).await?, ended);
    let length = u32::from_be_bytes(
        *link
            .incoming
            .bytes
            .first_chunk()
            .expect("8 bytes are there"),
    );
    anyhow::ensure!(
        (8..=LONGEST).contains(&length),
        "a start-up message of {length} bytes"
    );
    anyhow::ensure!(link.incoming.at_least(length as usize).await?, ended);
    let message = link.incoming.bytes.split_to(length as usize).to_vec();
    Ok((
        Side {
            link,
            encrypted: true,
        },
        message,
    ))
}

async fn connect(upstream: &Upstream) -> anyhow::Result<Side> {
    let mut raw = upstream.connect().await?;
    if upstream.mode == Mode::Off {
        return Ok(plain(raw));
    }
    let mut request = 8_u32.to_be_bytes().to_vec();
    request.extend(SSL_REQUEST.to_be_bytes());
    raw.send(&request).await?;
    let [answer] = raw.exactly().await?;
    match (answer, upstream.mode) {
        (b'S', _) => Ok(Side {
            link: upstream.tls.connect(raw).await?,
            encrypted: true,
        }),
        (b'N', Mode::Prefer) => Ok(plain(raw)),
        _ => anyhow::bail!("the database does not encrypt, but its URL requires it"),
    }
}

fn plain(raw: Raw) -> Side {
    Side {
        link: raw.link(),
        encrypted: false,
    }
}

/// Passes the login on. False when the database refuses it, or somebody hangs up.
async fn log_in(client: &mut Side, database: &mut Side) -> anyhow::Result<bool> {
    loop {
        let Some(mut message) = one(&mut database.link.incoming).await? else {
            return Ok(false);
        };
        if message[0] == b'E' {
            client.link.send(&message).await?;
            return Ok(false);
        }
        if message[0] != b'R' {
            client.link.send(&message).await?;
            continue;
        }
        let code = code(&message)?;
        if code == asks::SASL && (client.encrypted || database.encrypted) {
            let offered = mechanisms(&message[HEADER + 4..]);
            if client.encrypted && database.encrypted && offered.contains(&SCRAM_SHA_256_PLUS) {
                return log_in_for(client, database).await;
            }
            message = without_binding(&offered);
        }
        client.link.send(&message).await?;
        match code {
            asks::OK => return Ok(true),
            asks::SASL_FINAL => {}
            _ => {
                let Some(answer) = one(&mut client.link.incoming).await? else {
                    return Ok(false);
                };
                database.link.send(&answer).await?;
            }
        }
    }
}

/// Asks the server under test for its password, over its encrypted connection, and logs in.
async fn log_in_for(client: &mut Side, database: &mut Side) -> anyhow::Result<bool> {
    let ask = frame::message(b'R', &asks::PASSWORD.to_be_bytes());
    client.link.send(&ask).await?;
    let Some(answer) = one(&mut client.link.incoming).await? else {
        return Ok(false);
    };
    let (password, _) = frame::text(&answer[HEADER..]).context("the server sent no password")?;
    let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
    let mut first = SCRAM_SHA_256.as_bytes().to_vec();
    first.push(0);
    first.extend(u32::try_from(scram.message().len())?.to_be_bytes());
    first.extend(scram.message());
    database.link.send(&frame::message(b'p', &first)).await?;
    loop {
        let Some(message) = one(&mut database.link.incoming).await? else {
            return Ok(false);
        };
        if message[0] != b'R' {
            client.link.send(&message).await?;
            return Ok(false);
        }
        let body = &message[HEADER + 4..];
        match code(&message)? {
            asks::SASL_CONTINUE => {
                scram.update(body)?;
                database
                    .link
                    .send(&frame::message(b'p', scram.message()))
                    .await?;
            }
            asks::SASL_FINAL => scram.finish(body)?,
            asks::OK => {
                client.link.send(&message).await?;
                return Ok(true);
            }
            other => anyhow::bail!("the database asks for {other} in the middle of its login"),
        }
    }
}

/// The next message, as a whole.
async fn one(incoming: &mut Incoming) -> anyhow::Result<Option<Vec<u8>>> {
    loop {
        if let Some(header) = frame::header(&incoming.bytes)? {
            let length = header.length;
            anyhow::ensure!(
                length <= LONGEST_LOGIN,
                "a message of {length} bytes in a login"
            );
            if !incoming.at_least(length).await? {
                return Ok(None);
            }
            return Ok(Some(incoming.bytes.split_to(length).to_vec()));
        }
        if !incoming.more().await? {
            return Ok(None);
        }
    }
}

/// What a message of kind `R` asks for.
fn code(message: &[u8]) -> anyhow::Result<u32> {
    let code = message.get(HEADER..).and_then(<[u8]>::first_chunk);
    Ok(u32::from_be_bytes(
        *code.context("a login message without its code")?,
    ))
}

fn mechanisms(mut body: &[u8]) -> Vec<&str> {
    let mut names = Vec::new();
    while let Some((name, rest)) = frame::text(body) {
        names.extend(
            std::str::from_utf8(name)
                .ok()
                .filter(|name| !name.is_empty()),
        );
        body = rest;
    }
    names
}

/// The mechanisms without the one that is bound to the encrypted connection.
fn without_binding(offered: &[&str]) -> Vec<u8> {
    let mut body = asks::SASL.to_be_bytes().to_vec();
    for name in offered.iter().filter(|name| **name != SCRAM_SHA_256_PLUS) {
        body.extend_from_slice(name.as_bytes());
        body.push(0);
    }
    body.push(0);
    frame::message(b'R', &body)
}
