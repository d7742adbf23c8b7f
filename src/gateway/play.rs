//! The answers of the gateway in one turn, and its signals to and from the trial.

use super::matching::{Asked, Own};
use super::providers::{Form, Keeps, Message, Provider, Question};
use crate::clock;
use crate::clock::Tick;
use crate::model::{Call, ProviderEnd};
use crate::stream::cassette::{Chunk, Stamp};
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};
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

    /// Leaves out what is sent on request only. A step that is empty then stays: each keeps its number.
    pub(super) fn leave_out_what_is_on_request(&mut self, provider: &Provider) {
        let steps = || self.before.iter().chain(&self.held);
        let body: Vec<u8> = steps().flat_map(Step::bytes).copied().collect();
        let left_out = provider.on_request(&body);
        if left_out.is_empty() {
            return;
        }
        let mut end = 0;
        for step in self.before.iter_mut().chain(&mut self.held) {
            if let Act::Send(bytes) = &mut step.act {
                let start = end;
                end += bytes.len();
                let kept = (start..end).filter(|at| !left_out.iter().any(|it| it.contains(at)));
                *bytes = kept.map(|at| body[at]).collect();
            }
        }
    }

    /// The messages in it that a later request may name.
    pub(super) fn items(
        &self,
        provider: &Provider,
        keeps: &Keeps,
        streams: bool,
    ) -> Vec<(String, String)> {
        if !streams {
            let whole = serde_json::from_slice(&self.whole);
            return whole.map_or_else(|_| Vec::new(), |whole| (keeps.items)(&whole));
        }
        let steps = self.before.iter().chain(&self.held);
        let body: Vec<u8> = steps.flat_map(Step::bytes).copied().collect();
        let data = provider.framing.blocks(&body).into_iter();
        let events = data.filter_map(|block| serde_json::from_slice(&block.data?).ok());
        events.flat_map(|event| (keeps.items)(&event)).collect()
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

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.act {
            Act::Send(bytes) => bytes,
            Act::Close | Act::Reset => &[],
        }
    }

    /// Bytes that are sent without a pause.
    pub fn send(bytes: impl Into<Bytes>) -> Self {
        Self::act(Act::Send(bytes.into()))
    }
}

/// A response that is no answer of the model.
#[derive(Debug, Clone)]
pub struct Reply {
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
    /// Whether the turn's recorded answer is JSON, whatever a fault makes of it.
    is_json: bool,
    /// Whether the turn is sent in another way than the first one, such as to an endpoint that regenerates.
    is_sent_otherwise: bool,
    taken: AtomicUsize,
    withheld: watch::Sender<Option<Tick>>,
    valve: watch::Sender<Valve>,
    ended: watch::Sender<Option<Tick>>,
    served: watch::Sender<Served>,
    heard: Mutex<Option<Heard>>,
    asks: Mutex<Vec<Ask>>,
}

/// A request that came for a turn.
#[derive(Debug, Clone, Copy)]
struct Ask {
    call: Call,
    streams: bool,
    is_of_form: bool,
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
/// As many requests of a turn are kept.
const MOST_ASKS: usize = 100;

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
            is_json: false,
            is_sent_otherwise: false,
            taken: AtomicUsize::new(0),
            withheld: watch::Sender::new(None),
            valve: watch::Sender::new(Valve::UpTo(0)),
            ended: watch::Sender::new(None),
            served: watch::Sender::default(),
            heard: Mutex::default(),
            asks: Mutex::default(),
        }
    }

    /// The same, of a turn whose recorded answer is this text.
    #[must_use]
    pub fn of_answer(mut self, text: &str) -> Self {
        self.is_json = begins_with_json(text);
        self
    }

    /// The same, of a turn that may be sent in another way than the first one.
    #[must_use]
    pub const fn sent_otherwise(mut self, is_so: bool) -> Self {
        self.is_sent_otherwise = is_so;
        self
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

    /// Whether the turn's answer has a form: it is JSON, or it begins with the calls of tools. Says so without making
    /// an answer, which counts as one that was asked for.
    pub(super) const fn has_form(&self, form: &Form) -> bool {
        match form {
            Form::Call { .. } => self.steps > 0,
            Form::Json(_) => self.is_json,
        }
    }

    /// Whether its own request may be whole, although that of the first turn is a stream: the classic way with tools
    /// streams the last answer only.
    pub(super) const fn may_be_whole(&self) -> bool {
        self.steps > 0 || self.is_sent_otherwise
    }

    /// A request came for the turn.
    pub(super) fn is_asked(&self, call: Call, asked: &Asked) {
        let mut asks = self.asks.lock().expect("no holder panics");
        if asks.len() < MOST_ASKS {
            asks.push(Ask {
                call,
                streams: asked.stream,
                is_of_form: asked.is_of_form,
            });
        }
    }

    /// Which requests may be a turn's own, by those of this turn, where they were taken for it by another rule.
    /// `is_shown`: the client was sent the answer.
    pub fn should_own(&self, is_shown: bool) -> Option<Own> {
        let asks = self.asks.lock().expect("no holder panics");
        let mut own = asks.iter();
        let own = own.find(|ask| ask.call == Call::Main);
        let again = |ask: &Ask| ask.call == Call::Retry && ask.streams;
        let of_form = || asks.iter().any(|ask| ask.is_of_form);
        match own {
            None => of_form().then_some(Own::OfForm),
            Some(own) if !own.streams && asks.iter().any(again) => Some(Own::Streams),
            // A planner took the turn, and the request for the answer demands a form.
            Some(_) => (!is_shown && of_form()).then_some(Own::OfForm),
        }
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

/// Whether a text is a JSON object or list, whatever follows it.
fn begins_with_json(text: &str) -> bool {
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    text.trim_start().starts_with(['{', '[']) && matches!(values.next(), Some(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::{Asked, Call, Form, Own, Play};

    fn play(steps: usize) -> Play {
        Play::new(String::new(), steps, |_, _| panic!("nobody asks for it"))
    }

    /// A fault that comes once would be over before the turn's own request.
    #[test]
    fn what_form_an_answer_has_is_known_without_making_one() {
        let json = || Form::Json(serde_json::json!({ "type": "object" }));
        assert!(play(0).of_answer(r#"{"a": 1} [n1]"#).has_form(&json()));
        assert!(!play(0).of_answer("It is on the list.").has_form(&json()));
        assert!(!play(0).has_form(&json()));
        let call = Form::Call {
            name: "route".to_owned(),
            arguments: serde_json::json!({}),
        };
        assert!(play(1).has_form(&call) && !play(0).has_form(&call));
    }

    #[test]
    fn a_turn_with_tools_or_of_another_request_may_ask_for_a_whole_answer() {
        assert!(!play(0).may_be_whole());
        assert!(play(1).may_be_whole() && play(0).sent_otherwise(true).may_be_whole());
    }

    #[test]
    fn what_rule_a_turn_asks_for_is_known_by_its_requests() {
        let asks = |asks: &[(Call, bool, bool)], is_shown: bool| {
            let play = play(0);
            for (call, stream, is_of_form) in asks {
                let asked = Asked {
                    stream: *stream,
                    is_of_form: *is_of_form,
                    ..Asked::default()
                };
                play.is_asked(*call, &asked);
            }
            play.should_own(is_shown)
        };
        let guard_of_form = (Call::Extra, false, true);
        let whole = (Call::Main, false, false);
        let stream = (Call::Main, true, false);
        // A guard before the answer.
        assert_eq!(asks(&[guard_of_form, stream], true), None);
        let again = (Call::Retry, true, false);
        assert_eq!(asks(&[whole, again], true), Some(Own::Streams));
        // Each request demands a form, or only the one whose answer is shown does.
        assert_eq!(asks(&[(Call::Extra, true, true)], false), Some(Own::OfForm));
        let of_form = (Call::Extra, true, true);
        for planner in [whole, stream] {
            assert_eq!(asks(&[planner, of_form], false), Some(Own::OfForm));
            assert_eq!(asks(&[planner, of_form], true), None);
        }
        assert_eq!(asks(&[], false), None);
    }
}
