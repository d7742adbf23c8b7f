//! The controller's side: a proxy in another process, as if it were in this one.

use super::address::ControlAddress;
use super::timing::{Clock, Sample};
use super::wire::{About, Answer, Ask, BEAT, Greeting, LONGEST_LINE, Request, Said, VERSION};
use crate::cli_error::CliError;
use crate::clock;
use crate::clock::Tick;
use crate::db::Tried;
use crate::gate::commits::{
    CommitFault, CommitGate, FaultPlace, Hold, Lasts, Passed, Traffic, Withheld,
};
use crate::gate::proxy::{KIND, Listen};
use crate::model::Engine;
use anyhow::Context as _;
use std::time::Duration;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How long the gate may take to say who it is, and to answer what needs no database.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How often the time is asked for: the shortest way there and back counts.
const SAMPLES: usize = 8;

/// A gate that `chatctl gate` holds. Dropping it opens it.
pub struct RemoteProxy {
    at: String,
    about: About,
    engine: Engine,
    asks: mpsc::UnboundedSender<Request>,
    answers: mpsc::UnboundedReceiver<(u64, Answer)>,
    changes: watch::Receiver<u64>,
    number: u64,
    clock: Clock,
    expired: u32,
    faults_done: u32,
    // Aborted when this is dropped, and the connection with it: the gate opens.
    _talking: JoinSet<()>,
}

/// Names the machine's start; none where the system does not.
pub(super) fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

impl RemoteProxy {
    /// Takes control of a gate.
    ///
    /// # Errors
    /// When there is none, another controller has it, or it is of another version.
    pub async fn connect(at: &ControlAddress) -> anyhow::Result<Self> {
        let gone = |why: String| {
            CliError::unreachable(format!("no gate can be reached at `{at}`: {why}")).hint(
                "start `chatctl gate` there, and give the address that it prints with --gate-control",
            )
        };
        let connecting = async {
            Ok::<_, std::io::Error>(match at {
                ControlAddress::Unix(path) => halves(UnixStream::connect(path).await?),
                ControlAddress::Tcp(address) => {
                    let stream = TcpStream::connect(address.as_str()).await?;
                    stream.set_nodelay(true)?;
                    halves(stream)
                }
            })
        };
        let late = || {
            gone(format!(
                "it does not answer within {} s",
                ANSWER_WAIT.as_secs()
            ))
        };
        let (mut from, to) = tokio::time::timeout(ANSWER_WAIT, connecting)
            .await
            .map_err(|_| late())?
            .map_err(|error| gone(error.to_string()))?;
        let mut line = Vec::new();
        let mut first = (&mut from).take(LONGEST_LINE);
        tokio::time::timeout(ANSWER_WAIT, first.read_until(b'\n', &mut line))
            .await
            .map_err(|_| late())?
            .map_err(|error| gone(error.to_string()))?;
        let Ok(greeting) = serde_json::from_slice(&line) else {
            return Err(gone(
                "the program that answers there is not a gate of this version".to_owned(),
            )
            .into());
        };
        let (about, busy) = match greeting {
            Greeting::Ready(about) => (Some(about), false),
            Greeting::Busy { .. } => (None, true),
        };
        if busy {
            return Err(CliError::unreachable(format!(
                "the gate at `{at}` is controlled by another chatctl"
            ))
            .hint("wait until that run ends, or start another `chatctl gate`")
            .passing()
            .into());
        }
        let about = about.context("it is not busy, so it said who it is")?;
        if about.version != VERSION {
            return Err(CliError::unreachable(format!(
                "the gate at `{at}` speaks version {} of its protocol, but this chatctl speaks version {VERSION}",
                about.version
            ))
            .hint("use the same version of chatctl for both")
            .into());
        }
        let engine = about
            .engine()
            .with_context(|| format!("the gate at `{at}` is in front of {}", about.engine))?;
        let (asks, inbox) = mpsc::unbounded_channel();
        let (outbox, answers) = mpsc::unbounded_channel();
        let (changed, changes) = watch::channel(0);
        let mut talking = JoinSet::new();
        talking.spawn(write(to, inbox));
        talking.spawn(read(from, outbox, changed));
        let mut remote = Self {
            at: at.to_string(),
            about,
            engine,
            asks,
            answers,
            changes,
            number: 0,
            clock: Clock::Same,
            expired: 0,
            faults_done: 0,
            _talking: talking,
        };
        remote.set_clock().await?;
        Ok(remote)
    }

    /// Where the server under test connects.
    pub fn listen(&self) -> &Listen {
        &self.about.listen
    }

    /// The engine of the database behind it.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The longest that it withholds anything.
    pub fn max_hold(&self) -> Duration {
        self.about.max_hold
    }

    async fn set_clock(&mut self) -> anyhow::Result<()> {
        let mut samples = Vec::with_capacity(SAMPLES);
        for _ in 0..SAMPLES {
            let asked = clock::now();
            let there = self.when(Ask::Time).await?;
            samples.push(Sample {
                asked,
                there,
                answered: clock::now(),
            });
        }
        let boot = boot();
        let same_boot = boot.is_some() && boot == self.about.boot;
        self.clock = Clock::of(&samples, same_boot);
        Ok(())
    }

    fn gone(&self) -> CliError {
        CliError::unreachable(format!("the gate at `{}` is gone", self.at))
            .hint("see the last output of `chatctl gate`")
    }

    async fn asked(&mut self, ask: Ask, patience: Duration) -> anyhow::Result<Answer> {
        self.number += 1;
        let number = self.number;
        let request = Request { number, ask };
        self.asks.send(request).map_err(|_| self.gone())?;
        let answer = async {
            loop {
                match self.answers.recv().await {
                    // Its asker no longer waits.
                    Some((other, _)) if other != number => {}
                    Some((_, answer)) => return Some(answer),
                    None => return None,
                }
            }
        };
        let answer = tokio::time::timeout(patience, answer).await;
        let answer = answer.map_err(|_| {
            CliError::unreachable(format!("the gate at `{}` does not answer", self.at))
                .hint("see whether `chatctl gate` still runs there")
        })?;
        match answer.ok_or_else(|| self.gone())? {
            Answer::Failed(why) => anyhow::bail!("the gate at `{}`: {why}", self.at),
            answer => Ok(answer),
        }
    }

    /// When it was done, by the gate's clock.
    async fn when(&mut self, ask: Ask) -> anyhow::Result<Tick> {
        match self.asked(ask, ANSWER_WAIT).await? {
            Answer::At(at) => Ok(at),
            other => Err(self.confused(&other)),
        }
    }

    fn confused(&self, answer: &Answer) -> anyhow::Error {
        anyhow::anyhow!("the gate at `{}` answered {answer:?}", self.at)
    }
}

impl CommitGate for RemoteProxy {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn close<'a>(&'a mut self, hold: Hold<'a>) -> Tried<'a, Tick> {
        Box::pin(async move {
            self.set_clock().await?;
            let Hold {
                nonce,
                order,
                patience,
                elsewhere,
            } = hold;
            let nonce = nonce.to_owned();
            let close = Ask::Close {
                nonce,
                order,
                patience,
                elsewhere,
            };
            let at = self.when(close).await?;
            Ok(self.clock.likely(at))
        })
    }

    fn can_quiet(&self) -> bool {
        true
    }

    fn look_for<'a>(&'a mut self, text: &'a str) -> Tried<'a, ()> {
        let ask = Ask::LookFor(text.to_owned());
        Box::pin(async move { self.when(ask).await.map(|_| ()) })
    }

    fn traffic(&mut self) -> Tried<'_, Option<Traffic>> {
        Box::pin(async move {
            match self.asked(Ask::Traffic, ANSWER_WAIT).await? {
                Answer::Traffic(traffic) => Ok(traffic),
                other => Err(self.confused(&other)),
            }
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    fn withheld(&mut self) -> Tried<'_, Vec<Withheld>> {
        Box::pin(async move {
            match self.asked(Ask::Withheld, ANSWER_WAIT).await? {
                Answer::Withheld(mut withheld) => {
                    for commit in &mut withheld {
                        commit.since = self.clock.latest(commit.since);
                    }
                    Ok(withheld)
                }
                other => Err(self.confused(&other)),
            }
        })
    }

    fn waiting_in_store(&mut self) -> Tried<'_, Vec<String>> {
        Box::pin(async move {
            match self.asked(Ask::Waiting, ANSWER_WAIT).await? {
                Answer::Waiting(waiting) => Ok(waiting),
                other => Err(self.confused(&other)),
            }
        })
    }

    fn pass(&mut self, id: u64) -> Tried<'_, Passed> {
        Box::pin(async move {
            // The database has to answer, too.
            let patience = ANSWER_WAIT + self.about.max_hold;
            match self.asked(Ask::Pass(id), patience).await? {
                Answer::Passed(passed) => Ok(Passed {
                    let_through: self.clock.earliest(passed.let_through),
                    answered: self.clock.likely(passed.answered),
                    outcome: passed.outcome,
                }),
                other => Err(self.confused(&other)),
            }
        })
    }

    fn answer(&mut self, id: u64) -> Tried<'_, Tick> {
        Box::pin(async move {
            let at = self.when(Ask::Answer(id)).await?;
            Ok(self.clock.latest(at))
        })
    }

    fn can(&self, fault: CommitFault) -> bool {
        fault.place() == FaultPlace::Wire
    }

    fn arm<'a>(&'a mut self, nonce: &'a str, fault: CommitFault, lasts: Lasts) -> Tried<'a, Tick> {
        let ask = Ask::Arm {
            nonce: nonce.to_owned(),
            fault,
            lasts,
        };
        Box::pin(async move {
            self.set_clock().await?;
            let at = self.when(ask).await?;
            Ok(self.clock.likely(at))
        })
    }

    fn expired(&self) -> u32 {
        self.expired
    }

    fn faults_done(&self) -> u32 {
        self.faults_done
    }

    fn sever(&mut self) -> Tried<'_, ()> {
        Box::pin(async {
            anyhow::bail!(
                "a gate in another process breaks no connections of a server that was killed"
            )
        })
    }

    fn open(&mut self) -> Tried<'_, Tick> {
        Box::pin(async move {
            match self.asked(Ask::Open, ANSWER_WAIT).await? {
                Answer::Open {
                    at,
                    expired,
                    faults_done,
                } => {
                    (self.expired, self.faults_done) = (expired, faults_done);
                    Ok(self.clock.likely(at))
                }
                other => Err(self.confused(&other)),
            }
        })
    }
}

type Reader = BufReader<Box<dyn AsyncRead + Send + Unpin>>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

fn halves(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> (Reader, Writer) {
    let (from, to) = tokio::io::split(stream);
    (BufReader::new(Box::new(from)), Box::new(to))
}

/// Hands on what is asked, and shows that this side is there.
async fn write(mut to: Writer, mut inbox: mpsc::UnboundedReceiver<Request>) {
    loop {
        let request = match tokio::time::timeout(BEAT, inbox.recv()).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            // No question has this number, so its answer is for nobody.
            Err(_) => Request {
                number: 0,
                ask: Ask::Time,
            },
        };
        let mut line = serde_json::to_vec(&request).expect("what is asked has a JSON form");
        line.push(b'\n');
        if to.write_all(&line).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

/// Hands on what the gate says, until the connection ends.
async fn read(
    mut from: Reader,
    outbox: mpsc::UnboundedSender<(u64, Answer)>,
    changed: watch::Sender<u64>,
) {
    loop {
        let mut line = Vec::new();
        let mut part = (&mut from).take(LONGEST_LINE);
        if !matches!(part.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
            return;
        }
        match serde_json::from_slice(&line) {
            Ok(Said::Changed) => changed.send_modify(|count| *count += 1),
            // To what only showed that this side is there.
            Ok(Said::Answer { number: 0, .. }) => {}
            Ok(Said::Answer { number, answer }) => {
                if outbox.send((number, answer)).is_err() {
                    return;
                }
            }
            // A gate of this version says nothing else.
            Err(_) => return,
        }
    }
}
