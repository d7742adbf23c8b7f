//! chatctl in the browser's place: sends a turn and watches its stream.

use super::spot::{Act, Acted, Spot};
use crate::clock;
use crate::clock::Tick;
use crate::http::{Client, Line, LineEnd, Opened, Outgoing};
use crate::stream::body::{Body, Framing};
use crate::stream::faults::{ClientBehaviour, Way};
use crate::stream::marker::FinalMarker;
use crate::stream::profiles::Reader;
use crate::stream::sse::Item;
use crate::stream::turn::Turn;
use anyhow::Context as _;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// The largest body of a turn's answer, in bytes: a server that never ends its stream must not fill
/// the memory.
const LARGEST: usize = 128 << 20;

/// What the client has seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct ResponseProgress {
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
    /// The beginning of a body that is not a stream.
    pub(super) excerpt: String,
}

/// A turn's client at work. Dropping it hangs up.
pub(super) struct Watching {
    seen: watch::Receiver<ResponseProgress>,
    is_final: watch::Receiver<bool>,
    work: Work,
    /// The way to end its connection, where that is chosen.
    end: Option<LineEnd>,
}

/// Where a turn's client works.
enum Work {
    Task(JoinHandle<()>),
    /// A thread of its own, which ends when this end of the line is dropped.
    Thread(#[expect(dead_code, reason = "it is only dropped")] oneshot::Sender<()>),
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Work::Task(task) = &self.work {
            task.abort();
        }
    }
}

/// What a turn's client is to do.
pub(super) struct ClientTask {
    pub(super) client: Client,
    pub(super) outgoing: Outgoing,
    pub(super) reader: Box<dyn Reader>,
    pub(super) framing: Framing,
    pub(super) marker: FinalMarker,
    pub(super) behaviour: &'static ClientBehaviour,
    /// The connection to use, when its end is to be chosen.
    pub(super) line: Option<Line>,
}

impl Watching {
    /// Sends the request and watches.
    pub(super) fn start(client_task: ClientTask) -> Self {
        let (seen_in, seen) = watch::channel(ResponseProgress::default());
        let (final_in, is_final) = watch::channel(false);
        let task = tokio::spawn(Watcher::new(client_task, seen_in, final_in).run());
        Self {
            seen,
            is_final,
            work: Work::Task(task),
            end: None,
        }
    }

    /// The same, on a connection whose end is chosen later.
    pub(super) fn start_on(mut client_task: ClientTask, line: Line) -> anyhow::Result<Self> {
        let end = line.end().context("keeping a connection")?;
        client_task.line = Some(line);
        let mut watching = Self::start(client_task);
        watching.end = Some(end);
        Ok(watching)
    }

    /// The same, and acts at the final marker: in a thread of its own, where nothing else has to
    /// be done first.
    pub(super) fn armed(
        client_task: ClientTask,
        act: Act,
    ) -> anyhow::Result<(Self, oneshot::Receiver<Acted>)> {
        let (seen_in, seen) = watch::channel(ResponseProgress::default());
        let (final_in, is_final) = watch::channel(false);
        let (told, acted) = oneshot::channel();
        let (hang_up, hung_up) = oneshot::channel();
        let mut watcher = Watcher::new(client_task, seen_in, final_in);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting a client")?;
        std::thread::spawn(move || {
            watcher.spot = Some(Spot::new(act, told));
            runtime.block_on(async {
                tokio::select! {
                    () = watcher.run() => {}
                    _ = hung_up => {}
                }
            });
        });
        let watching = Self {
            seen,
            is_final,
            work: Work::Thread(hang_up),
            end: None,
        };
        Ok((watching, acted))
    }

    /// Leaves in this way. Where the connection can't be chosen, it is closed by whoever made it.
    pub(super) async fn leave(&mut self, way: Way) -> anyhow::Result<()> {
        let left = match (way, self.end.take()) {
            (Way::Fin, Some(end)) => end.close(),
            (Way::Reset, Some(end)) => end.reset(),
            (Way::HalfClose, Some(end)) => {
                let left = end.half_close();
                self.end = Some(end);
                // It goes on reading.
                return left.context("closing one direction of the connection");
            }
            (Way::Stall, Some(end)) => {
                end.stall();
                // The socket stays open as long as this lives.
                self.end = Some(end);
                Ok(())
            }
            (_, None) => Ok(()),
        };
        if let Work::Task(task) = &mut self.work {
            task.abort();
            // It was ended on purpose, so it has nothing to tell.
            let _ = task.await;
        }
        left.context("ending the connection")
    }

    /// Hangs up, and returns when nobody reads any more.
    pub(super) async fn hang_up(mut self) {
        if let Work::Task(task) = &mut self.work {
            task.abort();
            // It was ended on purpose, so it has nothing to tell.
            let _ = task.await;
        }
    }

    /// What was seen up to now.
    pub(super) fn seen(&self) -> ResponseProgress {
        self.seen.borrow().clone()
    }

    /// What is seen from now on, also after this client is gone.
    pub(super) fn follow(&self) -> watch::Receiver<ResponseProgress> {
        self.seen.clone()
    }

    /// Turns true when the final marker is there.
    pub(super) fn is_final(&self) -> watch::Receiver<bool> {
        self.is_final.clone()
    }

    /// Waits until something holds; gives up when the client is gone.
    pub(super) async fn until(
        &self,
        holds: impl FnMut(&ResponseProgress) -> bool,
    ) -> ResponseProgress {
        let mut seen = self.seen.clone();
        match seen.wait_for(holds).await {
            Ok(now) => now.clone(),
            Err(_) => self.seen(),
        }
    }
}

/// A stream that ended before its end, with the innermost reason.
fn broke_off(error: &anyhow::Error) -> String {
    format!("the server's stream broke off ({})", error.root_cause())
}

struct Watcher {
    client_task: ClientTask,
    seen: watch::Sender<ResponseProgress>,
    is_final: watch::Sender<bool>,
    spot: Option<Spot>,
}

impl Watcher {
    fn new(
        client_task: ClientTask,
        seen: watch::Sender<ResponseProgress>,
        is_final: watch::Sender<bool>,
    ) -> Self {
        Self {
            client_task,
            seen,
            is_final,
            spot: None,
        }
    }

    async fn run(mut self) {
        let task = &mut self.client_task;
        let opened = match task.line.take() {
            Some(line) => task.client.open_on(line, &task.outgoing).await,
            None => task.client.open(&task.outgoing).await,
        };
        let over = match opened {
            Ok(opened) => self.read(opened).await,
            Err(error) => Err(format!("{error:#}")),
        };
        let marker = &self.client_task.marker;
        self.seen.send_modify(|seen| {
            let answered = seen
                .head
                .as_ref()
                .is_some_and(|head| (200..300).contains(&head.status));
            if over.is_ok() && answered {
                seen.turn.end(clock::now(), marker);
            }
            seen.over = Some(over);
        });
        self.tell_final();
    }

    async fn read(&mut self, mut opened: Opened) -> Result<(), String> {
        let notice = opened.notice();
        let head = Head {
            status: opened.status,
            content_type: opened.header("content-type").map(str::to_owned),
            excerpt: notice.clone().unwrap_or_default(),
        };
        let streams = (200..300).contains(&head.status);
        self.seen.send_modify(|seen| seen.head = Some(head));
        let mut decoder = Body::new(&self.client_task.framing);
        let mut excerpt = Vec::new();
        let mut length = 0;
        loop {
            let chunk = self.chunk(&mut opened).await?;
            let at = clock::now();
            let Some(chunk) = chunk else {
                let items = decoder.finish(at).map_err(|error| error.to_string())?;
                self.take(&items, at);
                break;
            };
            if notice.is_none() && excerpt.len() < 200 {
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
            length += chunk.len();
            if length > LARGEST {
                return Err(format!(
                    "the server's stream has more than {} MB",
                    LARGEST >> 20
                ));
            }
            let items = decoder
                .push(at, &chunk)
                .map_err(|error| error.to_string())?;
            self.take(&items, at);
            if self.client_task.behaviour.hangs_up_at_final && *self.is_final.borrow() {
                // Dropping the response closes the connection.
                break;
            }
        }
        Ok(())
    }

    /// The next bytes. What acts at the marker has to know how long they lay unread.
    async fn chunk(&mut self, opened: &mut Opened) -> Result<Option<bytes::Bytes>, String> {
        let mut next = pin!(opened.chunk());
        let mut waits = false;
        let chunk = poll_fn(|context| {
            let polled = next.as_mut().poll(context);
            if polled.is_pending() && !std::mem::replace(&mut waits, true) {
                self.spot.iter_mut().for_each(Spot::waits);
            }
            polled
        });
        let chunk = chunk.await;
        self.spot.iter_mut().for_each(Spot::has_bytes);
        chunk.map_err(|error| broke_off(&error))
    }

    fn take(&mut self, items: &[Item], at: Tick) {
        let reader = self.client_task.reader.as_mut();
        self.seen.send_modify(|seen| {
            seen.last_byte = Some(at);
            for item in items {
                seen.turn.take(item, reader);
            }
        });
        self.tell_final();
    }

    fn tell_final(&mut self) {
        let Some(at) = self.seen.borrow().turn.final_at else {
            return;
        };
        if let Some(spot) = self.spot.take() {
            spot.act(at);
        }
        self.is_final.send_replace(true);
    }
}
