//! chatctl in the browser's place: sends a turn and watches its stream.

use crate::clock;
use crate::clock::Tick;
use crate::http::Client;
use crate::http::Opened;
use crate::http::Outgoing;
use crate::stream::faults::ClientBehaviour;
use crate::stream::profiles::Reader;
use crate::stream::session::FinalMarker;
use crate::stream::sse::Decoder;
use crate::stream::sse::Item;
use crate::stream::turn::Turn;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the client has seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Status and content type, once the head is there.
    pub(super) head: Option<Head>,
    /// What came over the wire. Its times are on the run's clock.
    pub(super) turn: Turn,
    /// When the last bytes came.
    pub(super) last_byte: Option<Tick>,
    /// Set when the response is over: well, or with the reason.
    pub(super) over: Option<Result<(), String>>,
}

/// The head of a response.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    /// The beginning of a body that is no stream.
    pub(super) excerpt: String,
}

/// A turn's client at work. Dropping it hangs up.
pub(super) struct Watching {
    seen: watch::Receiver<Seen>,
    is_final: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watching {
    /// Sends the request and watches.
    pub(super) fn start(
        client: Client,
        outgoing: Outgoing,
        reader: Box<dyn Reader>,
        marker: FinalMarker,
        behaviour: &'static ClientBehaviour,
    ) -> Self {
        let (seen_in, seen) = watch::channel(Seen::default());
        let (final_in, is_final) = watch::channel(false);
        let watcher = Watcher {
            seen: seen_in,
            is_final: final_in,
            reader,
            marker,
            behaviour,
        };
        let task = tokio::spawn(watcher.run(client, outgoing));
        Self {
            seen,
            is_final,
            task,
        }
    }

    /// What was seen up to now.
    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Turns true when the final marker is there.
    pub(super) fn is_final(&self) -> watch::Receiver<bool> {
        self.is_final.clone()
    }

    /// Waits until something holds; gives up when the client is gone.
    pub(super) async fn until(&self, holds: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        match seen.wait_for(holds).await {
            Ok(now) => now.clone(),
            Err(_) => self.seen(),
        }
    }
}

struct Watcher {
    seen: watch::Sender<Seen>,
    is_final: watch::Sender<bool>,
    reader: Box<dyn Reader>,
    marker: FinalMarker,
    behaviour: &'static ClientBehaviour,
}

impl Watcher {
    async fn run(mut self, client: Client, outgoing: Outgoing) {
        let over = match client.open(&outgoing).await {
            Ok(opened) => self.read(opened).await,
            Err(error) => Err(format!("{error:#}")),
        };
        self.seen.send_modify(|seen| {
            let answered = seen
                .head
                .as_ref()
                .is_some_and(|head| (200..300).contains(&head.status));
            if over.is_ok() && answered {
                seen.turn.end(clock::now(), &self.marker);
            }
            seen.over = Some(over);
        });
        self.tell_final();
    }

    async fn read(&mut self, mut opened: Opened) -> Result<(), String> {
        let head = Head {
            status: opened.status,
            content_type: opened.header("content-type").map(str::to_owned),
            excerpt: String::new(),
        };
        let streams = (200..300).contains(&head.status);
        self.seen.send_modify(|seen| seen.head = Some(head));
        let mut decoder = Decoder::new();
        let mut excerpt = Vec::new();
        loop {
            let chunk = opened.chunk().await.map_err(|error| format!("{error:#}"))?;
            let at = clock::now();
            let Some(chunk) = chunk else {
                let items = decoder.finish(at).map_err(|error| error.to_string())?;
                self.take(&items, at);
                break;
            };
            if excerpt.len() < 200 {
                excerpt.extend_from_slice(&chunk);
                let text = String::from_utf8_lossy(&excerpt)
                    .chars()
                    .take(160)
                    .collect::<String>();
                self.seen.send_modify(|seen| {
                    if let Some(head) = &mut seen.head {
                        head.excerpt = text;
                    }
                });
            }
            if !streams {
                continue;
            }
            let items = decoder
                .push(at, &chunk)
                .map_err(|error| error.to_string())?;
            self.take(&items, at);
            if self.behaviour.hangs_up_at_final && *self.is_final.borrow() {
                // Dropping the response closes the connection.
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, items: &[Item], at: Tick) {
        let reader = self.reader.as_mut();
        self.seen.send_modify(|seen| {
            seen.last_byte = Some(at);
            for item in items {
                seen.turn.take(item, reader);
            }
        });
        self.tell_final();
    }

    fn tell_final(&self) {
        if self.seen.borrow().turn.final_at.is_some() {
            self.is_final.send_replace(true);
        }
    }
}
