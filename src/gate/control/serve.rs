//! The gate's side: obeys one controller at a time.

use super::address::ControlAddress;
use super::wire::{About, Answer, Ask, GRACE, Greeting, LONGEST_LINE, Request, Said, VERSION};
use crate::cli_error::CliError;
use crate::clock;
use crate::gate::commits::{CommitGate as _, Hold};
use crate::gate::proxy::Proxy;
use crate::model::Engine;
use serde::Serialize;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;
use std::{fs, io};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Only the user of the gate may control it: whoever does sees statements and withholds commits.
const OWNER_ONLY: u32 = 0o600;
/// After a connection that could not be taken.
const AGAIN: Duration = Duration::from_millis(50);

/// Where controllers connect. Dropping it removes its socket.
pub struct Control {
    listener: Listener,
    at: ControlAddress,
}

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Control {
    /// Listens for controllers.
    ///
    /// # Errors
    /// When another gate uses this path, or the place can't be used.
    pub async fn listen(at: &ControlAddress) -> anyhow::Result<Self> {
        let (listener, at) = match at {
            ControlAddress::Unix(path) => (Listener::Unix(unix(path).await?), at.clone()),
            ControlAddress::Tcp(address) => {
                let listener = TcpListener::bind(address.as_str()).await.map_err(|error| {
                    CliError::unreachable(format!(
                        "the gate can't be controlled at {address}: {error}"
                    ))
                    .hint("give another place with --control")
                })?;
                let at = listener.local_addr()?.to_string();
                (Listener::Tcp(listener), ControlAddress::Tcp(at))
            }
        };
        Ok(Self { listener, at })
    }

    /// Where it listens.
    pub fn at(&self) -> &ControlAddress {
        &self.at
    }

    /// Obeys one controller after the other, forever. `note` is given what a person may want to
    /// know.
    ///
    /// # Errors
    /// When the gate can't be opened.
    pub async fn serve(
        &self,
        proxy: &mut Proxy,
        engine: Engine,
        max_hold: Duration,
        note: impl Fn(&str),
    ) -> anyhow::Result<()> {
        let about = About {
            version: VERSION,
            listen: proxy.at().clone(),
            engine: engine.name().to_owned(),
            max_hold,
            boot: super::remote::boot(),
        };
        let mut refused = JoinSet::new();
        loop {
            let stream = self.accept().await;
            note("a controller is connected");
            let why = {
                let obeys = obey(stream, proxy, &about);
                tokio::pin!(obeys);
                loop {
                    tokio::select! {
                        why = &mut obeys => break why,
                        other = self.accept() => {
                            refused.spawn(refuse(other));
                        }
                        Some(_) = refused.join_next() => {}
                    }
                }
            };
            proxy.open().await?;
            note(&format!("the controller is gone ({why}): the gate is open"));
        }
    }

    async fn accept(&self) -> Box<dyn Stream> {
        loop {
            let accepted: std::io::Result<Box<dyn Stream>> = match &self.listener {
                Listener::Unix(listener) => {
                    listener.accept().await.map(|(it, _)| Box::new(it) as _)
                }
                Listener::Tcp(listener) => listener.accept().await.and_then(|(it, _)| {
                    it.set_nodelay(true)?;
                    Ok(Box::new(it) as _)
                }),
            };
            match accepted {
                Ok(stream) => return stream,
                // One that broke at once, or too many open files: it may pass.
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let ControlAddress::Unix(path) = &self.at {
            // Somebody may have removed it already.
            let _ = fs::remove_file(path);
        }
    }
}

/// A socket at this path. One that a killed gate left there is removed.
async fn unix(path: &Path) -> anyhow::Result<UnixListener> {
    let cant = |what: String| {
        CliError::unreachable(format!(
            "the gate can't be controlled at `{}`: {what}",
            path.display()
        ))
        .hint("give another place with --control")
    };
    if let Ok(there) = fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            return Err(cant("the path is a file that is not a socket".to_owned()).into());
        }
        if UnixStream::connect(path).await.is_ok() {
            return Err(cant("another gate uses this path".to_owned()).into());
        }
        fs::remove_file(path).map_err(|error| cant(error.to_string()))?;
    }
    let listener = UnixListener::bind(path).map_err(|error| {
        let stop = cant(error.to_string());
        match (error.kind(), path.parent()) {
            (io::ErrorKind::NotFound, Some(folder)) => {
                stop.hint(format!("mkdir -p {}", folder.display()))
            }
            _ => stop,
        }
    })?;
    fs::set_permissions(path, fs::Permissions::from_mode(OWNER_ONLY))
        .map_err(|error| cant(error.to_string()))?;
    Ok(listener)
}

/// Says that somebody else controls the gate.
async fn refuse(mut stream: Box<dyn Stream>) {
    // One that does not listen is not missed.
    let _ = say(&mut stream, &Greeting::Busy { version: VERSION }).await;
}

/// Does what a controller asks until it is gone. Why it is.
async fn obey(stream: Box<dyn Stream>, proxy: &mut Proxy, about: &About) -> &'static str {
    let (from, mut to) = tokio::io::split(stream);
    if say(&mut to, &Greeting::Ready(about.clone())).await.is_err() {
        return GONE;
    }
    let (outbox, mut inbox) = mpsc::unbounded_channel();
    let (end, mut ended) = watch::channel(None);
    let mut reading = JoinSet::new();
    reading.spawn(read(from, about.max_hold + GRACE, outbox, end));
    let mut changes = proxy.changes();
    loop {
        let said = tokio::select! {
            request = inbox.recv() => match request {
                None => break,
                Some(Request { number, ask }) => tokio::select! {
                    answer = answer(proxy, ask) => Said::Answer { number, answer },
                    _ = ended.wait_for(Option::is_some) => break,
                },
            },
            Ok(()) = changes.changed() => Said::Changed,
        };
        if say(&mut to, &said).await.is_err() {
            break;
        }
    }
    ended.borrow().unwrap_or(GONE)
}

const GONE: &str = "its connection ended";

/// Hands on what a controller asks, until its connection ends or it gives no sign of life.
async fn read(
    from: impl AsyncRead + Unpin,
    patience: Duration,
    outbox: mpsc::UnboundedSender<Request>,
    end: watch::Sender<Option<&'static str>>,
) {
    let mut from = BufReader::new(from);
    let why = loop {
        let mut line = Vec::new();
        let mut part = (&mut from).take(LONGEST_LINE);
        match tokio::time::timeout(patience, part.read_until(b'\n', &mut line)).await {
            Err(_) => break "it sent nothing for longer than a hold may take",
            Ok(Err(_) | Ok(0)) => break GONE,
            Ok(Ok(_)) => {}
        }
        let Ok(request) = serde_json::from_slice(&line) else {
            break "it sent a line that can't be read";
        };
        if outbox.send(request).is_err() {
            break GONE;
        }
    };
    end.send_replace(Some(why));
}

async fn say(to: &mut (impl AsyncWrite + Unpin), said: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    Ok(to.flush().await?)
}

/// Does what is asked.
async fn answer(proxy: &mut Proxy, ask: Ask) -> Answer {
    let done = match ask {
        Ask::Time => Ok(Answer::At(clock::now())),
        Ask::Close {
            nonce,
            order,
            patience,
            elsewhere,
        } => {
            let hold = Hold {
                nonce: &nonce,
                order,
                patience,
                elsewhere,
            };
            proxy.close(hold).await.map(Answer::At)
        }
        Ask::LookFor(text) => {
            let looks = proxy.look_for(&text).await;
            looks.map(|()| Answer::At(clock::now()))
        }
        Ask::Traffic => proxy.traffic().await.map(Answer::Traffic),
        Ask::Withheld => proxy.withheld().await.map(Answer::Withheld),
        Ask::Waiting => proxy.waiting_in_store().await.map(Answer::Waiting),
        Ask::Pass(id) => proxy.pass(id).await.map(Answer::Passed),
        Ask::Answer(id) => proxy.answer(id).await.map(Answer::At),
        Ask::Arm {
            nonce,
            fault,
            lasts,
        } => proxy.arm(&nonce, fault, lasts).await.map(Answer::At),
        Ask::Open => proxy.open().await.map(|at| Answer::Open {
            at,
            expired: proxy.expired(),
            faults_done: proxy.faults_done(),
        }),
    };
    done.unwrap_or_else(|error| Answer::Failed(format!("{error:#}")))
}
