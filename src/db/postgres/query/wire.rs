//! A connection that hands out what the driver keeps to itself: the details of the server's notices,
//! and values that are cut while they are read.

use super::settings::Settings;
use super::tls;
use crate::cli_error::CliError;
use crate::db::{Target, server};
use anyhow::Context as _;
use bytes::{Buf as _, BytesMut};
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication;
use postgres_protocol::authentication::sasl;
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use sqlx::postgres::PgConnectOptions;
use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// How the message of a notice begins whose detail is how the server reads a query. It is not translated.
const READ_AS: &str = "rewritten parse tree";

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// In which time zone a connection is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Zone {
    Utc,
    /// That which a setting of the role, the database or the server gives to whoever asks for none.
    OfNewSessions,
}

/// A connection.
pub(super) struct Client {
    stream: Box<dyn Stream>,
    input: BytesMut,
}

/// What the server sends while it answers.
pub(super) enum Event {
    /// The columns of the rows that follow.
    Columns(Vec<Column>),
    /// A row; nothing for NULL.
    Row(Vec<Option<Field>>),
}

pub(super) struct Column {
    pub(super) name: String,
    /// The number of its type.
    pub(super) kind: u32,
}

/// A value as the server prints it, as far as it was asked for.
pub(super) struct Field {
    pub(super) bytes: Vec<u8>,
    /// How long it is as a whole.
    pub(super) whole: usize,
}

/// Why the server did not do what it was asked to.
#[derive(Debug)]
pub(super) struct Refusal {
    /// SQLSTATE.
    pub(super) code: String,
    pub(super) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// A stream to the server, encrypted where the settings ask for it.
async fn reached(settings: &Settings) -> anyhow::Result<Box<dyn Stream>> {
    if let Some(folder) = &settings.socket {
        let path = folder.join(format!(".s.PGSQL.{}", settings.port));
        return Ok(Box::new(UnixStream::connect(path).await?));
    }
    let mut stream = TcpStream::connect((settings.host.as_str(), settings.port)).await?;
    stream.set_nodelay(true)?;
    if matches!(settings.mode.as_str(), "disable" | "allow") {
        return Ok(Box::new(stream));
    }
    let mut ask = BytesMut::new();
    frontend::ssl_request(&mut ask);
    stream.write_all(&ask).await?;
    match stream.read_u8().await? {
        b'S' => Ok(Box::new(tls::encrypted(stream, settings).await?)),
        _ if settings.mode == "prefer" => Ok(Box::new(stream)),
        _ => anyhow::bail!("the server does not support TLS"),
    }
}

impl Client {
    pub(super) async fn connect(
        target: &Target,
        options: &PgConnectOptions,
    ) -> anyhow::Result<Self> {
        Self::connect_in(Zone::Utc, target, options).await
    }

    pub(super) async fn connect_in(
        zone: Zone,
        target: &Target,
        options: &PgConnectOptions,
    ) -> anyhow::Result<Self> {
        let settings = Settings::of(options);
        let connected = async {
            let mut client = Self {
                stream: reached(&settings).await?,
                input: BytesMut::new(),
            };
            client.log_in(&settings, zone).await?;
            anyhow::Ok(client)
        };
        match tokio::time::timeout(server::CONNECT, connected).await {
            Ok(connected) => connected.with_context(|| format!("opening `{target}`")),
            Err(_) => Err(CliError::unreachable(format!(
                "can't open `{target}`: no answer within {:?}",
                server::CONNECT
            ))
            .hint("check host and port in --database-url, and any firewall in between")
            .into()),
        }
    }

    async fn log_in(&mut self, settings: &Settings, zone: Zone) -> anyhow::Result<()> {
        let mut parameters = vec![
            ("user", settings.user.as_str()),
            ("database", &settings.database),
            ("application_name", "chatctl"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("options", &settings.options),
        ];
        match zone {
            Zone::Utc => parameters.push(("TimeZone", "UTC")),
            Zone::OfNewSessions => {}
        }
        let mut out = BytesMut::new();
        frontend::startup_message(parameters, &mut out)?;
        self.send(&mut out).await?;
        let password = settings.password.as_bytes();
        let mut scram = None;
        loop {
            match self.message().await? {
                Message::AuthenticationCleartextPassword => {
                    frontend::password_message(password, &mut out)?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let user = settings.user.as_bytes();
                    let hash = authentication::md5_hash(user, password, body.salt());
                    frontend::password_message(hash.as_bytes(), &mut out)?;
                }
                Message::AuthenticationSasl(body) => {
                    let known = body
                        .mechanisms()
                        .any(|name| Ok(name == sasl::SCRAM_SHA_256))?;
                    anyhow::ensure!(
                        known,
                        "the server requires a log-in method that chatctl does not support"
                    );
                    let first =
                        sasl::ScramSha256::new(password, sasl::ChannelBinding::unsupported());
                    frontend::sasl_initial_response(
                        sasl::SCRAM_SHA_256,
                        first.message(),
                        &mut out,
                    )?;
                    scram = Some(first);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let scram = scram
                        .as_mut()
                        .context("the server did not begin a log-in")?;
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut out)?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let scram = scram
                        .as_mut()
                        .context("the server did not begin a log-in")?;
                    scram.finish(body.data())?;
                }
                Message::AuthenticationOk
                | Message::ParameterStatus(_)
                | Message::BackendKeyData(_)
                | Message::NoticeResponse(_) => {}
                Message::ErrorResponse(body) => return Err(refusal(body.fields())?.into()),
                Message::ReadyForQuery(_) => return Ok(()),
                _ => anyhow::bail!(
                    "the server requires a log-in method that chatctl does not support"
                ),
            }
            self.send(&mut out).await?;
        }
    }

    /// The rows of chatctl's own statements; each value as the server prints it.
    pub(super) async fn rows(&mut self, sql: &str) -> anyhow::Result<Vec<Vec<Option<String>>>> {
        let mut rows = Vec::new();
        self.begin(sql).await?;
        while let Some(event) = self.next(usize::MAX).await? {
            if let Event::Row(row) = event {
                let text = |field: Field| String::from_utf8_lossy(&field.bytes).into_owned();
                rows.push(row.into_iter().map(|field| field.map(text)).collect());
            }
        }
        Ok(rows)
    }

    /// Begins to run statements; [`Client::next`] says what comes of them.
    pub(super) async fn begin(&mut self, sql: &str) -> anyhow::Result<()> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out)?;
        Ok(self.send(&mut out).await?)
    }

    /// What comes next of the statements that run; nothing at their end.
    pub(super) async fn next(&mut self, longest: usize) -> anyhow::Result<Option<Event>> {
        let mut refused = None;
        loop {
            if self.tag().await? == b'D' {
                return Ok(Some(Event::Row(self.row(longest).await?)));
            }
            match self.message().await? {
                Message::RowDescription(body) => {
                    let column = |field: postgres_protocol::message::backend::Field<'_>| {
                        Ok(Column {
                            name: field.name().to_owned(),
                            kind: field.type_oid(),
                        })
                    };
                    return Ok(Some(Event::Columns(body.fields().map(column).collect()?)));
                }
                Message::ErrorResponse(body) => refused = Some(refusal(body.fields())?),
                Message::ReadyForQuery(_) => {
                    return refused.map_or(Ok(None), |refused| Err(refused.into()));
                }
                Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                    anyhow::bail!("the server wants to copy");
                }
                _ => {}
            }
        }
    }

    /// Lets the server prepare one statement, by the protocol that takes no second one, and gives how
    /// it read the query. The types of parameters are their numbers.
    pub(super) async fn prepare(
        &mut self,
        name: &str,
        sql: &str,
        types: &[u32],
    ) -> anyhow::Result<Vec<String>> {
        let mut out = BytesMut::new();
        frontend::parse(name, sql, types.iter().copied(), &mut out)?;
        frontend::sync(&mut out);
        self.send(&mut out).await?;
        let (mut refused, mut read) = (None, Vec::new());
        loop {
            match self.message().await? {
                Message::NoticeResponse(body) => read.extend(detail(body.fields())?),
                Message::ErrorResponse(body) => refused = Some(refusal(body.fields())?),
                Message::ReadyForQuery(_) => {
                    return refused.map_or(Ok(read), |refused| Err(refused.into()));
                }
                _ => {}
            }
        }
    }

    /// Begins to run what was prepared; [`Client::next`] says what comes of it.
    pub(super) async fn execute(&mut self, name: &str) -> anyhow::Result<()> {
        let mut out = BytesMut::new();
        let none = |(): (), _: &mut BytesMut| unreachable!("there are no values");
        frontend::bind("", name, [], [(); 0], none, [], &mut out)
            .map_err(|_| anyhow::anyhow!("the statement can't be sent"))?;
        frontend::describe(b'P', "", &mut out)?;
        frontend::execute("", 0, &mut out)?;
        frontend::sync(&mut out);
        Ok(self.send(&mut out).await?)
    }

    async fn send(&mut self, out: &mut BytesMut) -> io::Result<()> {
        self.stream.write_all(out).await?;
        self.stream.flush().await?;
        out.clear();
        Ok(())
    }

    /// Reads until so many bytes are there.
    async fn fill(&mut self, count: usize) -> io::Result<()> {
        while self.input.len() < count {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// What the next message is.
    async fn tag(&mut self) -> io::Result<u8> {
        self.fill(1).await?;
        Ok(self.input[0])
    }

    async fn message(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.input)? {
                return Ok(message);
            }
            let count = self.input.len() + 1;
            self.fill(count).await?;
        }
    }

    /// A row, of whose values no more is kept than is asked for.
    async fn row(&mut self, longest: usize) -> io::Result<Vec<Option<Field>>> {
        self.fill(7).await?;
        self.input.advance(5);
        let mut row = Vec::new();
        for _ in 0..self.input.get_i16() {
            self.fill(4).await?;
            row.push(match usize::try_from(self.input.get_i32()) {
                // -1 is NULL.
                Err(_) => None,
                Ok(whole) => {
                    let kept = whole.min(longest.saturating_add(1));
                    self.fill(kept).await?;
                    let bytes = self.input.split_to(kept).to_vec();
                    self.skip(whole - kept).await?;
                    Some(Field { bytes, whole })
                }
            });
        }
        Ok(row)
    }

    async fn skip(&mut self, mut count: usize) -> io::Result<()> {
        while count > 0 {
            self.fill(1).await?;
            let some = count.min(self.input.len());
            self.input.advance(some);
            count -= some;
        }
        Ok(())
    }
}

/// Message fields (postgresql.org/docs/current/protocol-error-fields.html). Where in the server's own
/// source it happened is for nobody.
fn refusal(mut fields: ErrorFields<'_>) -> io::Result<Refusal> {
    let (mut code, mut message) = (String::new(), String::new());
    while let Some(field) = fields.next()? {
        let value = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = value(),
            b'M' => message = value(),
            _ => {}
        }
    }
    Ok(Refusal { code, message })
}

/// How the server read a query, if a notice tells.
fn detail(mut fields: ErrorFields<'_>) -> io::Result<Option<String>> {
    let (mut is_it, mut detail) = (false, None);
    while let Some(field) = fields.next()? {
        let value = String::from_utf8_lossy(field.value_bytes());
        match field.type_() {
            b'M' => is_it = value.starts_with(READ_AS),
            b'D' => detail = Some(value.into_owned()),
            _ => {}
        }
    }
    Ok(detail.filter(|_| is_it))
}
