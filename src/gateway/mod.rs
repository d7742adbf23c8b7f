//! chatctl in the role of the LLM provider that the server under test calls.
//!
//! It serves what a [`Play`] says, withholds the last content chunk until it is let go,
//! and records every request.

mod answer;
mod aside;
mod conversations;
mod cut;
pub mod faults;
mod given;
mod line;
mod matching;
mod play;
pub mod providers;
mod read;
mod routes;
mod side_calls;
mod socket;

use crate::cli_error::CliError;
use crate::clock;
use crate::clock::Tick;
use crate::model::ProviderCall;
use crate::stream::cassette::Stamp;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use aside::Aside;
use conversations::Conversations;
use line::{LineEnd, Lines};
use matching::Known;

pub use answer::{Answer, ProviderError, ToolCall};
pub use cut::{Script, split};
pub use matching::Own;
pub use play::{Act, Heard, Play, Reel, Reply, Step};

/// A running gateway. Dropping it ends it.
pub struct Gateway {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct Recorded {
    at: Tick,
    call: ProviderCall,
}

/// How many requests are remembered; a server that asks on and on must not fill the memory.
const KEPT_CALLS: usize = 10_000;

/// How many conversations are remembered.
const KEPT_CONVERSATIONS: usize = 1_000;

#[derive(Default)]
struct State {
    /// The turns under way, in the order in which they began.
    playing: Mutex<Vec<Arc<Play>>>,
    /// The newest ones, in order.
    requests: Mutex<VecDeque<Recorded>>,
    /// Conversations that a provider keeps, by the id of their last answer; the newest ones.
    kept: Mutex<VecDeque<(String, Known)>>,
    /// Their answers that a request may name: the id and the text; the newest ones.
    items: Mutex<VecDeque<(String, String)>>,
    /// The same, where a server keeps them there on purpose.
    conversations: Mutex<Conversations>,
    connections: Arc<AtomicU64>,
    aside: Aside,
    own: Mutex<Own>,
}

impl State {
    /// Keeps a conversation as a provider does.
    fn remember(&self, id: String, known: Known) {
        let mut kept = self.kept.lock().expect("no holder panics");
        if kept.len() == KEPT_CONVERSATIONS {
            kept.pop_front();
        }
        kept.push_back((id, known));
    }

    /// What was said up to an answer of that id.
    fn remembered(&self, id: &str) -> Option<Known> {
        let kept = self.kept.lock().expect("no holder panics");
        let found = kept.iter().rev().find(|(own, _)| own == id);
        found.map(|(_, known)| known.clone())
    }

    /// Adds what was asked and answered to a conversation.
    fn keep_turn(&self, id: &str, asked: &Value, said: &str) {
        let mut conversations = self.conversations.lock().expect("no holder panics");
        conversations.add(id, asked);
        if !said.is_empty() {
            conversations.add(id, &json!([{"role": "assistant", "content": said}]));
        }
    }

    /// Keeps an answer that a later request may name.
    fn keep_items(&self, items: Vec<(String, String)>) {
        let mut kept = self.items.lock().expect("no holder panics");
        kept.extend(items);
        let too_many = kept.len().saturating_sub(KEPT_CONVERSATIONS);
        kept.drain(..too_many);
    }

    /// The text of the answer of that id.
    fn named(&self, id: &str) -> Option<String> {
        let kept = self.items.lock().expect("no holder panics");
        let found = kept.iter().rev().find(|(own, _)| own == id);
        found.map(|(_, text)| text.clone())
    }

    fn keep(&self, call: ProviderCall) {
        let mut requests = self.requests.lock().expect("no holder panics");
        if requests.len() == KEPT_CALLS {
            requests.pop_front();
        }
        let at = clock::now();
        requests.push_back(Recorded { at, call });
    }
}

impl Gateway {
    /// Listens on `address`, which may have port 0.
    pub async fn listen(address: &str) -> anyhow::Result<Self> {
        const HINT: &str =
            "give another address with --gateway, such as 127.0.0.1:0 for a free port";
        let port = address
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            let stop = format!("`{address}` is not an address with a port from 0 to 65535");
            return Err(CliError::usage(stop).hint(HINT).into());
        }
        let listener = TcpListener::bind(address).await.map_err(|error| {
            CliError::unreachable(format!("the gateway can't listen on `{address}`: {error}"))
                .hint(HINT)
        })?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let router = routes::router(Arc::clone(&state));
        let listener = Lines {
            listener,
            counted: Arc::clone(&state.connections),
        };
        let serving = tokio::spawn(async move {
            // Serving ends with the task; there is no error to tell.
            let service = router.into_make_service_with_connect_info::<LineEnd>();
            let _ = axum::serve(listener, service).await;
        });
        Ok(Self {
            address,
            state,
            serving,
        })
    }

    /// The base URL to give to the server: `http://HOST:PORT/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Plays this for the turn that begins now, in place of those before.
    pub fn play(&self, play: &Arc<Play>) {
        let mut playing = self.state.playing.lock().expect("no holder panics");
        *playing = vec![Arc::clone(play)];
    }

    /// Plays this for the turn that begins now, next to those that are under way.
    pub fn play_beside(&self, play: &Arc<Play>) {
        let mut playing = self.state.playing.lock().expect("no holder panics");
        playing.push(Arc::clone(play));
    }

    /// No turn is under way: any request from now on is unexpected.
    pub fn rest(&self) {
        let mut playing = self.state.playing.lock().expect("no holder panics");
        playing.clear();
    }

    /// Which requests may be a turn's own from now on.
    pub fn takes_for_own(&self, own: Own) {
        *self.state.own.lock().expect("no holder panics") = own;
    }

    /// Requests next to a turn, such as for a title, wait for their answer from now on.
    pub fn hold_asides(&self) {
        self.state.aside.hold();
    }

    /// They are answered from now on.
    pub fn release_asides(&self) {
        self.state.aside.release();
    }

    /// How many of them wait, whenever that changes.
    pub fn asides(&self) -> watch::Receiver<usize> {
        self.state.aside.waiting()
    }

    /// How many connections were made to it so far, whatever was said on them.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Requests that came since a moment.
    pub fn calls_since(&self, since: Tick) -> Vec<ProviderCall> {
        self.calls_between(since, Tick::MAX)
    }

    /// Requests that came since a moment and before another.
    pub fn calls_between(&self, since: Tick, before: Tick) -> Vec<ProviderCall> {
        let requests = self.state.requests.lock().expect("no holder panics");
        requests
            .iter()
            .filter(|request| (since..before).contains(&request.at))
            .map(|request| request.call.clone())
            .collect()
    }
}

/// What one answer has of its own, from now on.
pub fn stamp(nonce: &str) -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Stamp {
        // As long as a provider's.
        id: (0..29).map(|_| fastrand::alphanumeric()).collect(),
        now: since.unwrap_or_default().as_secs(),
        nonce: nonce.to_owned(),
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
