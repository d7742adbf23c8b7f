//! The proxy gate: the server's own commits are withheld on the wire to its database, one by one,
//! and then the answer to each.
//!
//! It needs no right in the store, blocks nobody but the one connection that commits, sees the
//! SQL, and works with whatever speaks the protocol. When chatctl ends its connections break, and
//! the database rolls back what was not committed.

mod connection;
mod listen;
mod mysql;
mod passed;
mod postgres;
mod queue;
mod relay;
mod serving;
mod statement;
mod tls;
mod upstream;
mod wire;

use super::alarm::Alarm;
use super::commits::{CommitFault, CommitGate, FaultPlace, Hold, Lasts, Passed, Traffic, Withheld};
use super::{Fails, How, Kind};
use crate::cli_error::CliError;
use crate::clock::Tick;
use crate::db::{Login, Target, Tried};
use crate::model::Engine;
use queue::Queue;
use serving::Serving;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tls::Mode;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use upstream::{Address, Upstream};
use wire::Raw;

pub use listen::Listen;

pub(super) const KIND: Kind = Kind {
    name: "proxy",
    engines: &[Engine::Postgres, Engine::Mysql],
    what: "the server's own commits, on the wire to its database, one at a time",
    how: How::Wire,
    fault: Fails::AtCommit,
    sweep: None,
};

/// A database server that chatctl plays, in front of the real one. Dropping it ends every
/// connection.
pub struct Proxy {
    queue: Arc<Queue>,
    listen: Listen,
    // Ends this process where it is stopped for too long.
    _alarm: Option<Alarm>,
    // Ends with the proxy, and all connections with it.
    _serving: Serving,
}

/// What a connection needs.
struct ConnectionContext {
    protocol: Protocol,
    upstream: Upstream,
    queue: Arc<Queue>,
    acceptor: TlsAcceptor,
}

/// What is spoken on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Postgres,
    Mysql,
}

impl Proxy {
    /// Listens in front of a database. Nothing is withheld yet.
    ///
    /// # Errors
    /// When the database is a file, the address is taken, or the URL asks for a certificate that
    /// can't be verified.
    pub fn listen(listen: &Listen, target: &Target, max_hold: Duration) -> anyhow::Result<Self> {
        let (protocol, login) = protocol(target)?;
        let queue = Arc::new(Queue::new(max_hold));
        let context = ConnectionContext {
            protocol,
            upstream: upstream(protocol, &login)?,
            queue: Arc::clone(&queue),
            acceptor: tls::acceptor()?,
        };
        let listen = match protocol {
            Protocol::Postgres => listen.clone().for_libpq(login.port),
            Protocol::Mysql => listen.clone(),
        };
        let (serving, listen) = Serving::start(&listen, context).map_err(|error| {
            let hint = match listen {
                Listen::Tcp(_) => {
                    "give another address with --database-listen (of `chatctl gate`: --listen), or stop the program \
                     that uses this one"
                }
                Listen::Unix(_) => "create the folder; if no program uses the socket, remove it, or give another path",
            };
            CliError::unreachable(format!("the proxy can't listen at {listen}: {error}")).hint(hint)
        })?;
        Ok(Self {
            queue,
            listen,
            _alarm: None,
            _serving: serving,
        })
    }

    /// Has a helper end this process when it is stopped for longer than a hold: nothing else can end
    /// the connections of a relay that is stopped.
    ///
    /// # Errors
    /// When the helper can't be started.
    pub fn watched(mut self, max_hold: Duration) -> anyhow::Result<Self> {
        self._alarm = Some(Alarm::start(max_hold)?);
        Ok(self)
    }

    /// Where it listens.
    pub fn at(&self) -> &Listen {
        &self.listen
    }

    /// Its address; port 0 when it listens at a socket in a folder.
    pub fn address(&self) -> SocketAddr {
        match &self.listen {
            Listen::Tcp(address) => *address,
            Listen::Unix(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        }
    }

    /// How many connections came through it.
    pub fn connections(&self) -> u64 {
        self.queue.connections()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Listen::Unix(path) = &self.listen {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl CommitGate for Proxy {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn close<'a>(&'a mut self, hold: Hold<'a>) -> Tried<'a, Tick> {
        let at = self.queue.close(hold);
        Box::pin(async move { Ok(at) })
    }

    fn can_quiet(&self) -> bool {
        true
    }

    fn look_for<'a>(&'a mut self, text: &'a str) -> Tried<'a, ()> {
        self.queue.look_for(text);
        Box::pin(async { Ok(()) })
    }

    fn traffic(&mut self) -> Tried<'_, Option<Traffic>> {
        let traffic = Traffic {
            connections: self.queue.connections(),
            carried: !self.queue.carriers().is_empty(),
            broken: self.queue.broken(),
            cancelled: self.queue.cancelled(),
        };
        Box::pin(async { Ok(Some(traffic)) })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.queue.changes()
    }

    fn withheld(&mut self) -> Tried<'_, Vec<Withheld>> {
        Box::pin(async { Ok(self.queue.withheld()) })
    }

    fn waiting_in_store(&mut self) -> Tried<'_, Vec<String>> {
        let blocked = self.queue.blocked().into_iter();
        let blocked = blocked
            .map(|number| format!("connection {number}"))
            .collect();
        Box::pin(async { Ok(blocked) })
    }

    fn pass(&mut self, id: u64) -> Tried<'_, Passed> {
        Box::pin(self.queue.pass(id))
    }

    fn answer(&mut self, id: u64) -> Tried<'_, Tick> {
        let at = self.queue.answer(id);
        Box::pin(async move { Ok(at) })
    }

    fn can(&self, fault: CommitFault) -> bool {
        fault.place() == FaultPlace::Wire
    }

    fn arm<'a>(&'a mut self, nonce: &'a str, fault: CommitFault, lasts: Lasts) -> Tried<'a, Tick> {
        let at = self.queue.arm(nonce, fault, lasts);
        Box::pin(async move { Ok(at) })
    }

    fn expired(&self) -> u32 {
        self.queue.expired()
    }

    fn faults_done(&self) -> u32 {
        self.queue.faults_done()
    }

    fn open(&mut self) -> Tried<'_, Tick> {
        let at = self.queue.open();
        Box::pin(async move { Ok(at) })
    }

    fn sever(&mut self) -> Tried<'_, ()> {
        Box::pin(async {
            self.queue.sever().await?;
            self.queue.open();
            Ok(())
        })
    }
}

fn protocol(target: &Target) -> Result<(Protocol, Login), CliError> {
    let protocol = match target.engine() {
        Engine::Postgres => Some(Protocol::Postgres),
        Engine::Mysql => Some(Protocol::Mysql),
        Engine::Sqlite => None,
    };
    protocol.zip(target.login()).ok_or_else(|| {
        CliError::usage(format!(
            "`{target}` is a file: no proxy can be put in front of it"
        ))
        .hint("use --gate syscalls, or leave --gate out")
    })
}

fn upstream(protocol: Protocol, login: &Login) -> anyhow::Result<Upstream> {
    let address = if login.host.starts_with('/') {
        let folder = Path::new(&login.host);
        Address::Unix(match protocol {
            Protocol::Postgres => folder.join(format!(".s.PGSQL.{}", login.port)),
            Protocol::Mysql => folder.to_owned(),
        })
    } else {
        Address::Tcp(login.host.clone(), login.port)
    };
    Upstream::new(
        address,
        Mode::named(login.tls.mode.as_deref()),
        login.tls.roots.as_deref().map(Path::new),
    )
}

/// A connection that breaks, or can't be read, ends; the others continue.
async fn serve(client: Raw, context: Arc<ConnectionContext>) {
    let ConnectionContext {
        protocol,
        upstream,
        queue,
        acceptor,
    } = &*context;
    let queue = Arc::clone(queue);
    let ended = match protocol {
        Protocol::Postgres => postgres::serve(client, upstream, queue, acceptor).await,
        Protocol::Mysql => mysql::serve(client, upstream, queue, acceptor).await,
    };
    if let Err(error) = ended {
        context.queue.broke(format!("{error:#}"));
    }
}
