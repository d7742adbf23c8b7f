//! What the gateway serves in one turn, and the signals between it and the trial.

use super::providers::Provider;
use crate::clock;
use crate::clock::Tick;
use crate::stream::cassette::Stamp;
use bytes::Bytes;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Between two chunks: enough for the server to read them one by one.
const PACE: Duration = Duration::from_millis(1);

/// The answer to one request.
#[derive(Debug, Clone)]
pub struct Reel {
    /// Chunks that are sent at once.
    pub before: Vec<Bytes>,
    /// Chunks that wait for the release.
    pub held: Vec<Bytes>,
    /// The answer of a request that does not stream.
    pub whole: Value,
    /// What is new in this answer.
    pub stamp: Stamp,
    /// Its text, where its format is read.
    pub said: Option<String>,
}

/// Makes an answer as one provider gives it; the error says why there is none in its format.
type Make = dyn Fn(&'static Provider) -> Result<Reel, String> + Send + Sync;

/// One turn's script. Nothing of a reel's `held` is sent before [`Play::release`].
pub struct Play {
    /// The user's message that this answers.
    pub(super) user: String,
    make: Box<Make>,
    taken: AtomicBool,
    withheld: watch::Sender<Option<Tick>>,
    released: watch::Sender<bool>,
    ended: watch::Sender<Option<Tick>>,
}

impl Play {
    /// A script. Each request is answered with a reel of its own: no provider gives an id twice.
    pub fn new(
        user: String,
        make: impl Fn(&'static Provider) -> Result<Reel, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            user,
            make: Box::new(make),
            taken: AtomicBool::new(false),
            withheld: watch::Sender::new(None),
            released: watch::Sender::new(false),
            ended: watch::Sender::new(None),
        }
    }

    /// Lets the withheld part go.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// When everything but the withheld part had been sent.
    pub fn withheld(&self) -> watch::Receiver<Option<Tick>> {
        self.withheld.subscribe()
    }

    /// When the last chunk was sent.
    pub fn ended(&self) -> watch::Receiver<Option<Tick>> {
        self.ended.subscribe()
    }

    /// Marks the turn's own request as come; tells whether it had come before.
    pub(super) fn take(&self) -> bool {
        self.taken.swap(true, Ordering::SeqCst)
    }

    pub(super) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::SeqCst)
    }

    /// The answer to one more request.
    pub(super) fn reel(&self, provider: &'static Provider) -> Result<Reel, String> {
        (self.make)(provider)
    }

    /// The next chunk of a reel after `index` chunks were sent; waits at the withheld part.
    pub(super) async fn chunk(&self, reel: &Reel, index: usize) -> Option<Bytes> {
        if index >= reel.before.len() {
            self.wait_for_release().await;
        }
        let bytes = reel.before.iter().chain(&reel.held).nth(index)?;
        tokio::time::sleep(PACE).await;
        // Said with the last chunk and not after it: servers hang up at the provider's
        // final marker, and then nobody asks for what follows.
        if index + 1 == reel.before.len() + reel.held.len() {
            self.end();
        }
        Some(bytes.clone())
    }

    /// Says that only the withheld part is left, and waits until it may go.
    pub(super) async fn wait_for_release(&self) {
        self.withheld.send_if_modified(|at| {
            let first = at.is_none();
            at.get_or_insert_with(clock::now);
            first
        });
        // The sender lives in self, so waiting can't fail.
        let _ = self
            .released
            .subscribe()
            .wait_for(|released| *released)
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
