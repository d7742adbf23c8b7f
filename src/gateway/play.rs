//! The answers of the gateway in one turn, and its signals to and from the trial.

use super::providers::{Message, Provider, Question};
use crate::clock;
use crate::clock::Tick;
use crate::model::ProviderEnd;
use crate::stream::cassette::{Chunk, Stamp};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// As long as a tool may run before the server asks again.
const TO_RUN_A_TOOL: Duration = Duration::from_secs(2);
/// Between two chunks: enough for the server to read them one by one.
const PACE: Duration = Duration::from_millis(1);

/// The answer to one request.
#[derive(Debug, Clone)]
pub struct Reel {
    /// What is sent at once.
    pub before: Vec<Step>,
    /// What waits for the release.
    pub held: Vec<Step>,
    /// After how many steps the answer is over: who leaves then misses nothing of it.
    pub enough: usize,
    /// What is answered in place of all that.
    pub reply: Option<Reply>,
    /// The answer of a request that does not stream, as JSON.
    pub whole: Bytes,
    /// What is new in this answer.
    pub stamp: Stamp,
    /// Its text, where its format is read.
    pub said: Option<String>,
    /// How many chunks the turn's earlier answers have.
    pub earlier: usize,
    /// Whether the turn ends with it; else the server runs a tool, and asks again.
    pub is_last: bool,
}

impl Reel {
    /// An answer that is sent as it is: at once, or when it is let go.
    pub fn new(before: &[Chunk], held: &[Chunk], whole: &Value, stamp: Stamp) -> Self {
        let steps = |chunks: &[Chunk]| {
            let chunks = chunks.iter();
            chunks
                .map(|chunk| Step::send(Bytes::copy_from_slice(&chunk.bytes)))
                .collect()
        };
        Self {
            before: steps(before),
            held: steps(held),
            enough: before.len() + held.len(),
            reply: None,
            whole: whole.to_string().into(),
            stamp,
            said: None,
            earlier: 0,
            is_last: true,
        }
    }

    /// How many chunks it has.
    pub(super) fn len(&self) -> usize {
        self.before.len() + self.held.len()
    }
}

/// One step of an answer.
#[derive(Debug, Clone)]
pub struct Step {
    /// How long the provider is silent before, besides its usual pace.
    pub wait: Duration,
    /// What it does then.
    pub act: Act,
}

/// What a provider does next.
#[derive(Debug, Clone)]
pub enum Act {
    /// It sends these bytes in one piece.
    Send(Bytes),
    /// It closes the connection, without the end of the body.
    Close,
    /// It resets the connection.
    Reset,
}

impl Step {
    /// Something that is done without a pause.
    pub fn act(act: Act) -> Self {
        let wait = Duration::ZERO;
        Self { wait, act }
    }

    /// Bytes that are sent without a pause.
    pub fn send(bytes: impl Into<Bytes>) -> Self {
        Self::act(Act::Send(bytes.into()))
    }
}

/// A response that is no answer of the model.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// More headers.
    pub headers: &'static [(&'static str, &'static str)],
    /// The body, JSON.
    pub body: Bytes,
    /// Whether a request that does not stream gets it, too.
    pub is_for_all: bool,
}

/// How much of a reel's `held` part may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Valve {
    /// So many chunks of it.
    UpTo(usize),
    /// All of it.
    Open,
}

impl Valve {
    fn lets(self, index: usize) -> bool {
        match self {
            Self::UpTo(chunks) => index < chunks,
            Self::Open => true,
        }
    }
}

/// Makes an answer of the turn, from 0, as one provider gives it; the error says why there is none in its format.
type Make = dyn Fn(&'static Provider, usize) -> Result<Reel, String> + Send + Sync;

/// One turn's script. Nothing of a reel's `held` is sent before [`Play::release`].
pub struct Play {
    /// The user's message that this answers.
    pub(super) user: String,
    make: Box<Make>,
    /// How many answers come before the last one, each to a request of its own.
    steps: usize,
    taken: AtomicUsize,
    withheld: watch::Sender<Option<Tick>>,
    valve: watch::Sender<Valve>,
    ended: watch::Sender<Option<Tick>>,
    served: watch::Sender<Served>,
    heard: Mutex<Option<Heard>>,
}

/// What the turn's own request said.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The provider that it asked.
    pub provider: &'static Provider,
    /// Whether it asked for a stream.
    pub streams: bool,
    /// Whether it continues a conversation that the provider keeps, so that the texts are not all.
    pub continues: bool,
    /// Its newest messages, the newest first.
    pub messages: Vec<Message>,
}

impl Heard {
    /// The texts of these messages.
    pub fn texts(&self) -> Vec<&str> {
        let messages = self.messages.iter();
        messages.map(|message| message.text.as_str()).collect()
    }
}

/// As many bytes of a request's texts are kept; requests may be large.
const MOST_HEARD: usize = 1 << 16;

/// The answers of a play, counted.
#[derive(Debug, Clone, Copy, Default)]
struct Served {
    /// How many were begun.
    begun: usize,
    /// How many of them are over.
    over: usize,
    /// How many chunks of one of them were sent.
    sent: usize,
    /// After how many chunks the server first hung up on one.
    hung_up: Option<usize>,
    /// Whether the one that the turn ends with was begun.
    is_last: bool,
}

impl Served {
    /// Whether the server reads no answer, and asks for no further one.
    const fn is_over(self) -> bool {
        self.over == self.begun && (self.begun == 0 || self.is_last || self.hung_up.is_some())
    }
}

impl Play {
    /// A script of so many steps before the answer. Each request is answered with a reel of its own: no provider
    /// gives an id twice.
    pub fn new(
        user: String,
        steps: usize,
        make: impl Fn(&'static Provider, usize) -> Result<Reel, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            user,
            make: Box::new(make),
            steps,
            taken: AtomicUsize::new(0),
            withheld: watch::Sender::new(None),
            valve: watch::Sender::new(Valve::UpTo(0)),
            ended: watch::Sender::new(None),
            served: watch::Sender::default(),
            heard: Mutex::default(),
        }
    }

    /// Lets the withheld part go.
    pub fn release(&self) {
        self.valve.send_replace(Valve::Open);
    }

    /// Lets so many chunks of the withheld part go, and no more.
    pub fn release_up_to(&self, chunks: usize) {
        self.valve.send_replace(Valve::UpTo(chunks));
    }

    /// How the server's requests ended up to now.
    pub fn provider_end(&self) -> ProviderEnd {
        let served = *self.served.borrow();
        match served.hung_up {
            _ if served.begun == 0 => ProviderEnd::NotAsked,
            _ if served.over < served.begun => ProviderEnd::Open,
            Some(chunks) => ProviderEnd::HungUp { chunks },
            None if served.is_last => ProviderEnd::Whole,
            None => ProviderEnd::HungUp {
                chunks: served.sent,
            },
        }
    }

    /// How many requests for the answer were begun.
    pub fn asked(&self) -> usize {
        self.served.borrow().begun
    }

    /// Waits until no request for the answer is under way, and none follows.
    pub async fn until_idle(&self) {
        let mut served = self.served.subscribe();
        loop {
            // The sender lives in self, so waiting can't fail.
            let now = match served.wait_for(|served| served.over == served.begun).await {
                Ok(now) => *now,
                Err(_) => return,
            };
            if now.is_over() {
                return;
            }
            let again = served.wait_for(|served| served.begun > now.begun);
            if tokio::time::timeout(TO_RUN_A_TOOL, again).await.is_err() {
                return;
            }
        }
    }

    /// Waits until the server has asked, and so many chunks of its answer were sent.
    pub async fn until_sent(&self, chunks: usize) {
        // The sender lives in self, so waiting can't fail.
        let _ = self
            .served
            .subscribe()
            .wait_for(|served| served.begun > 0 && served.sent >= chunks)
            .await;
    }

    /// Waits until the server has asked so many times.
    pub async fn until_asked(&self, times: usize) {
        let mut served = self.served.subscribe();
        // The sender lives in self, so waiting can't fail.
        let _ = served.wait_for(|served| served.begun >= times).await;
    }

    /// What the turn's own request said, once it came.
    pub fn heard(&self) -> Option<Heard> {
        self.heard.lock().expect("no holder panics").clone()
    }

    /// The turn's own request came.
    pub(super) fn hear(&self, provider: &'static Provider, question: &Question) {
        let mut room = MOST_HEARD;
        let newest = question.messages.iter().rev();
        let newest = newest.take_while(|message| {
            let fits = message.text.len() <= room;
            room = room.saturating_sub(message.text.len());
            fits
        });
        let heard = Heard {
            provider,
            streams: question.streams,
            continues: question.previous.is_some(),
            messages: newest.cloned().collect(),
        };
        *self.heard.lock().expect("no holder panics") = Some(heard);
    }

    /// One more answer begins; the turn ends with the last one.
    pub(super) fn begin(&self, is_last: bool) {
        self.served.send_modify(|served| {
            served.begun += 1;
            served.is_last |= is_last;
        });
    }

    /// An answer is over; `left_after` says after how many chunks the server hung up on it.
    pub(super) fn over(&self, left_after: Option<usize>, is_last: bool) {
        if is_last || left_after.is_some() {
            self.end();
        }
        self.served.send_modify(|served| {
            served.over += 1;
            served.hung_up = served.hung_up.or(left_after);
        });
    }

    /// When everything but the withheld part had been sent.
    pub fn withheld(&self) -> watch::Receiver<Option<Tick>> {
        self.withheld.subscribe()
    }

    /// When the last chunk was sent.
    pub fn ended(&self) -> watch::Receiver<Option<Tick>> {
        self.ended.subscribe()
    }

    /// Marks the turn's own request as come, and tells which of its answers it gets; none where all had come before.
    pub(super) fn take(&self) -> Option<usize> {
        let step = self.taken.fetch_add(1, Ordering::SeqCst);
        (step <= self.steps).then_some(step)
    }

    pub(super) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::SeqCst) > self.steps
    }

    /// One of the answers; the last one where none is named.
    pub(super) fn reel(
        &self,
        provider: &'static Provider,
        step: Option<usize>,
    ) -> Result<Reel, String> {
        (self.make)(provider, step.unwrap_or(self.steps))
    }

    /// The next step of a reel after `index` steps were taken; waits at the withheld part.
    pub(super) async fn step(&self, reel: &Reel, index: usize) -> Option<Act> {
        // The end of the last answer waits for its release, too.
        if !reel.is_last && index >= reel.len() {
            return None;
        }
        if let Some(held) = index.checked_sub(reel.before.len()) {
            self.wait_for(reel.earlier + held).await;
        }
        let step = match index.checked_sub(reel.before.len()) {
            None => reel.before.get(index)?,
            Some(held) => reel.held.get(held)?,
        };
        tokio::time::sleep(PACE + step.wait).await;
        let sent = reel.earlier + index + 1;
        self.served
            .send_modify(|served| served.sent = served.sent.max(sent));
        // Said with the last chunk and not after it: servers hang up at the provider's
        // final marker, and then nobody asks for what follows.
        if reel.is_last && index + 1 == reel.len() {
            self.end();
        }
        Some(step.act.clone())
    }

    /// Says that only the withheld part is left, and waits until all of it may go.
    pub(super) async fn wait_for_release(&self) {
        self.wait_for(usize::MAX).await;
    }

    async fn wait_for(&self, held: usize) {
        self.withheld.send_if_modified(|at| {
            let first = at.is_none();
            at.get_or_insert_with(clock::now);
            first
        });
        // The sender lives in self, so waiting can't fail.
        let _ = self
            .valve
            .subscribe()
            .wait_for(|valve| valve.lets(held))
            .await;
    }

    /// Says that the last chunk is being sent.
    pub(super) fn end(&self) {
        self.ended.send_if_modified(|at| {
            let first = at.is_none();
            at.get_or_insert_with(clock::now);
            first
        });
    }
}
