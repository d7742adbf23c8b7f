//! From the first byte of a connection to the end of its login.
//!
//! The login is passed on as it is. Taken out of the database's greeting is what the proxy can't
//! read along with: compression, and attributes of queries. A driver that compresses without being
//! offered it gets an error that says so. The way to the database is encrypted when the server
//! under test encrypts its own, so that both ends take the same login for safe; or when the URL
//! asks for it.
//!
//! Sources: MySQL internals, "Connection Phase" and "Capabilities Flags"; MariaDB documentation,
//! "Connection Protocol".

use super::packet;
use super::packet::HEADER;
use super::session::Mysql;
use crate::gate::commits::CommitFault;
use crate::gate::proxy::queue::Queue;
use crate::gate::proxy::tls::Mode;
use crate::gate::proxy::upstream::Upstream;
use crate::gate::proxy::wire::{Incoming, Link, Raw};
use anyhow::Context as _;
use tokio_rustls::TlsAcceptor;

/// The longest packet of a login.
const LONGEST: usize = 1 << 20;
/// The length of a handshake response that only asks for encryption.
const SSL_REQUEST: usize = 32;
/// What a text begins with that zlib or zstd has compressed.
const COMPRESSED: [u8; 2] = [0x78, 0x28];

/// Capabilities, of the client and of the database.
mod can {
    pub(super) const COMPRESS: u32 = 1 << 5;
    pub(super) const SSL: u32 = 1 << 11;
    pub(super) const DEPRECATE_EOF: u32 = 1 << 24;
    pub(super) const ZSTD: u32 = 1 << 26;
    pub(super) const ANY_COMPRESSION: u32 = COMPRESS | ZSTD;
    pub(super) const QUERY_ATTRIBUTES: u32 = 1 << 27;
    /// Of MariaDB's own capabilities, the one that changes no packet that is read here:
    /// `MARIADB_CLIENT_STMT_BULK_OPERATIONS`.
    pub(super) const MARIADB_BULK: u32 = 1 << 2;
}

/// Both connections, right behind the login, and what is known of them.
pub(super) struct LoggedIn {
    pub(super) client: Link,
    pub(super) database: Link,
    pub(super) session: Mysql,
    /// The connection's number, by which another one may cancel its statement.
    pub(super) number: u64,
}

/// Logs the server under test in. None when there is nothing to relay.
pub(super) async fn begin(
    mut client: Raw,
    upstream: &Upstream,
    queue: &Queue,
    acceptor: &TlsAcceptor,
) -> anyhow::Result<Option<LoggedIn>> {
    match queue.refuses() {
        Some(CommitFault::DatabaseGone) => return Ok(None),
        Some(_) => {
            let error = packet::error(1040, "08004", "Too many connections");
            client.send(&packet::packet(0, &error)).await?;
            return Ok(None);
        }
        None => {}
    }
    let mut database = match upstream.connect().await {
        Ok(database) => database,
        Err(error) => {
            let words = format!("chatctl's proxy: {error:#}");
            let error = packet::error(2003, "HY000", &words);
            client.send(&packet::packet(0, &error)).await?;
            return Ok(None);
        }
    };
    let mut greeting = raw_packet(&mut database).await?;
    let offered = restrict(&mut greeting[HEADER..]);
    client.send(&greeting).await?;
    let Some((number, offered)) = offered else {
        // An error in place of a greeting: the host is blocked, or there are too many.
        return Ok(None);
    };
    let first = raw_packet(&mut client).await?;
    let Some(logging) = open(client, database, first, (upstream, offered), acceptor).await? else {
        return Ok(None);
    };
    logging.run(number).await
}

/// Takes out of a greeting what can't be read along with. Gives the connection's number, and what
/// is left of the database's capabilities.
fn restrict(greeting: &mut [u8]) -> Option<(u64, u32)> {
    if greeting.first() != Some(&10) {
        return None;
    }
    // Version (text), connection (4), 8 bytes of a challenge, a zero byte, and then the
    // capabilities: lower half (2), character set (1), status (2), upper half (2), length of the
    // challenge (1), 6 zero bytes, MariaDB's own capabilities (4).
    let version = memchr::memchr(0, &greeting[1..])? + 2;
    let number = u32::from_le_bytes(*greeting.get(version..)?.first_chunk()?);
    let lower = version + 4 + 8 + 1;
    let upper = lower + 2 + 1 + 2;
    let own = upper + 2 + 1 + 6;
    let half = |at: usize| Some(u16::from_le_bytes(*greeting.get(at..)?.first_chunk()?));
    let can = u32::from(half(lower)?) | u32::from(half(upper)?) << 16;
    let can = can & !(can::ANY_COMPRESSION | can::QUERY_ATTRIBUTES);
    let [a, b, c, d] = can.to_le_bytes();
    greeting[lower..lower + 2].copy_from_slice(&[a, b]);
    greeting[upper..upper + 2].copy_from_slice(&[c, d]);
    // With MySQL these bytes are zero.
    if let Some(bytes) = greeting.get_mut(own..own + 4) {
        let own = u32::from_le_bytes(*bytes.first_chunk()?) & can::MARIADB_BULK;
        bytes.copy_from_slice(&own.to_le_bytes());
    }
    Some((number.into(), can))
}

/// A login under way.
struct Logging {
    client: Link,
    database: Link,
    /// The server's handshake response, with the number that the database expects.
    response: Vec<u8>,
    /// How much further the database has counted its packets than the server.
    ahead: u8,
    deprecates_eof: bool,
    /// Whether the server wants compression, which nobody has offered.
    compresses: bool,
}

/// Encrypts what has to be, and reads the handshake response.
async fn open(
    client: Raw,
    mut database: Raw,
    mut first: Vec<u8>,
    (upstream, offered): (&Upstream, u32),
    acceptor: &TlsAcceptor,
) -> anyhow::Result<Option<Logging>> {
    let capabilities = uncompressed(&mut first)?;
    let compresses = capabilities & can::ANY_COMPRESSION != 0;
    if first.len() == HEADER + SSL_REQUEST && capabilities & can::SSL != 0 {
        let stream = acceptor
            .accept(client.whole())
            .await
            .context("TLS with the server under test")?;
        let mut client = Link::whole(stream);
        database.send(&first).await?;
        let database = upstream.tls.connect(database).await?;
        let Some(mut response) = next(&mut client.incoming).await? else {
            return Ok(None);
        };
        uncompressed(&mut response)?;
        return Ok(Some(Logging {
            client,
            database,
            deprecates_eof: capabilities & offered & can::DEPRECATE_EOF != 0,
            response,
            ahead: 0,
            compresses,
        }));
    }
    let mut response = first;
    let demanded = !matches!(upstream.mode, Mode::Off | Mode::Prefer);
    let (database, ahead) = if demanded {
        anyhow::ensure!(
            offered & can::SSL != 0,
            "the database does not encrypt, but its URL requires it"
        );
        // The same as the response's beginning, one packet earlier.
        let flags = (capabilities & !can::ANY_COMPRESSION | can::SSL).to_le_bytes();
        response[HEADER..HEADER + 4].copy_from_slice(&flags);
        let mut request = packet::packet(1, &response[HEADER..HEADER + SSL_REQUEST]);
        request[HEADER..HEADER + 4].copy_from_slice(&flags);
        database.send(&request).await?;
        response[3] += 1;
        (upstream.tls.connect(database).await?, 1)
    } else {
        (database.link(), 0)
    };
    Ok(Some(Logging {
        client: client.link(),
        database,
        deprecates_eof: capabilities & offered & can::DEPRECATE_EOF != 0,
        response,
        ahead,
        compresses,
    }))
}

impl Logging {
    /// Passes the rest of the login on, until the database has said yes or no.
    async fn run(mut self, number: u64) -> anyhow::Result<Option<LoggedIn>> {
        self.database.send(&self.response).await?;
        loop {
            tokio::select! {
                said = next(&mut self.database.incoming) => {
                    let Some(mut said) = said? else { return Ok(None) };
                    said[3] = said[3].wrapping_sub(self.ahead);
                    self.client.send(&said).await?;
                    match said.get(HEADER) {
                        Some(0x00) => {
                            if self.compresses && refuse_compression(&mut self.client).await? {
                                return Ok(None);
                            }
                            let flags = packet::status_of_ok(&said[HEADER..]).unwrap_or(2);
                            return Ok(Some(LoggedIn {
                                client: self.client,
                                database: self.database,
                                session: Mysql::new(self.deprecates_eof, flags),
                                number,
                            }));
                        }
                        Some(0xff) => return Ok(None),
                        _ => {}
                    }
                }
                answered = next(&mut self.client.incoming) => {
                    let Some(mut answered) = answered? else { return Ok(None) };
                    answered[3] = answered[3].wrapping_add(self.ahead);
                    self.database.send(&answered).await?;
                }
            }
        }
    }
}

/// Takes out of a handshake response that its connection is compressed. Gives the capabilities that it had.
fn uncompressed(packet: &mut [u8]) -> anyhow::Result<u32> {
    let is_whole = packet.len() >= HEADER + SSL_REQUEST;
    let flags = packet.get_mut(HEADER..).and_then(<[u8]>::first_chunk_mut);
    let flags = flags
        .filter(|_| is_whole)
        .context("a handshake response that is too short")?;
    let can = u32::from_le_bytes(*flags);
    *flags = (can & !can::ANY_COMPRESSION).to_le_bytes();
    Ok(can)
}

/// Answers a compressed command with an error; false where the first one is not compressed.
async fn refuse_compression(client: &mut Link) -> anyhow::Result<bool> {
    let incoming = &mut client.incoming;
    let is_compressed = loop {
        match begins_compressed(&incoming.bytes) {
            Some(is_it) => break is_it,
            None if !incoming.more().await? => break false,
            None => {}
        }
    };
    if is_compressed {
        let words = "chatctl's proxy: the driver compresses this connection, which the proxy can't read and did not \
                     offer; turn compression off for this run";
        let error = packet::packet(1, &packet::error(1043, "08S01", words));
        // Its length when uncompressed is 0, which says that it is not compressed.
        let frame = [&packet::packet(1, &error)[..HEADER], &[0; 3], &error].concat();
        client.send(&frame).await?;
    }
    Ok(is_compressed)
}

/// Whether the first command of a connection is compressed: then the length of what was compressed comes before it,
/// 0 where it is short. None while too little of it is there.
fn begins_compressed(bytes: &[u8]) -> Option<bool> {
    let header = packet::header(bytes)?;
    match *bytes.get(HEADER..)? {
        // A command of this number is never sent.
        [0, ..] => Some(true),
        [_, _, high, begins, ..] => Some(high == 0 && COMPRESSED.contains(&begins)),
        ref command => (command.len() >= header.length - HEADER).then_some(false),
    }
}

/// The next packet of a connection that may be encrypted right behind it.
async fn raw_packet(raw: &mut Raw) -> anyhow::Result<Vec<u8>> {
    let header: [u8; HEADER] = raw.exactly().await?;
    let length = packet::header(&header).expect("it is a header").length - HEADER;
    anyhow::ensure!(length <= LONGEST, "a packet of {length} bytes in a login");
    let mut packet = header.to_vec();
    packet.extend(raw.so_many(length).await?);
    Ok(packet)
}

/// The next packet, as a whole. Nothing is lost when it is not waited for to its end.
async fn next(incoming: &mut Incoming) -> anyhow::Result<Option<Vec<u8>>> {
    loop {
        if let Some(header) = packet::header(&incoming.bytes) {
            anyhow::ensure!(
                header.length <= LONGEST,
                "a packet of {} bytes in a login",
                header.length
            );
            if incoming.bytes.len() >= header.length {
                return Ok(Some(incoming.bytes.split_to(header.length).to_vec()));
            }
        }
        if !incoming.more().await? {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{begins_compressed, packet};

    #[test]
    fn a_compressed_command_is_known_by_its_beginning() {
        let compressed = |long: &[u8; 3], body: &[u8]| {
            let mut frame = packet::packet(0, body);
            frame.splice(4..4, *long);
            frame
        };
        let short = compressed(&[0; 3], &packet::packet(0, b"\x03SET NAMES x"));
        let long = compressed(&[3, 1, 0], &[0x78, 0x9c, 1, 2, 3, 4, 5, 6]);
        let plain = [
            packet::packet(0, b"\x03SET NAMES x"),
            packet::packet(0, b"\x03SEx"),
            packet::packet(0, b"\x0e"),
            packet::packet(0, b"\x1b\0\0"),
        ];
        for (frame, expected) in plain
            .iter()
            .map(|it| (it, false))
            .chain([(&short, true), (&long, true)])
        {
            assert_eq!(begins_compressed(frame), Some(expected), "{frame:?}");
            assert_eq!(begins_compressed(&frame[..4]), None, "{frame:?}");
        }
        assert_eq!(begins_compressed(&long[..7]), None);
    }
}
