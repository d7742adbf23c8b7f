//! chatctl in the browser's place: sends a turn and watches its stream.

use super::spot::{Act, Acted, Spot};
use super::watcher::Watcher;
use crate::clock::Tick;
use crate::http::{Client, Line, LineEnd, Outgoing};
use crate::stream::body::Framing;
use crate::stream::faults::{ClientBehaviour, Way};
use crate::stream::marker::FinalMarker;
use crate::stream::profiles::Reader;
use crate::stream::session::{Capture, Captures, Expanded, Follow, Request};
use crate::stream::turn::Turn;
use anyhow::Context as _;
use std::sync::{Arc, Mutex};
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// As much of a body is kept as it came, in bytes.
pub(super) const BEGINNING: usize = 256 << 10;

/// What the client has seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct ResponseProgress {
    /// Status and content type, once the head is there.
    pub(super) head: Option<Head>,
    /// What came over the wire. Its times are on the run's clock.
    pub(super) turn: Turn,
    /// When the last bytes came.
    pub(super) last_byte: Option<Tick>,
    /// How many bytes of its body came.
    pub(super) received: usize,
    /// What was taken out of the response.
    pub(super) captured: Captures,
    /// The beginning of the body.
    pub(super) beginning: Arc<Mutex<Vec<u8>>>,
    /// Set when the response is over: well, or with the reason.
    pub(super) over: Option<Result<(), String>>,
}

impl ResponseProgress {
    /// All bytes of the body, where they were kept.
    pub(super) fn whole_body(&self) -> Option<Vec<u8>> {
        self.body_so_far()
            .filter(|_| matches!(self.over, Some(Ok(()))))
    }

    /// All bytes of the body that came up to now, where they were kept.
    pub(super) fn body_so_far(&self) -> Option<Vec<u8>> {
        let beginning = self.beginning.lock().expect("nobody panics with it");
        (beginning.len() < BEGINNING).then(|| beginning.clone())
    }
}

/// The head of a response.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    /// The beginning of a body that is not a stream.
    pub(super) excerpt: String,
}

impl Head {
    /// Whether an answer follows: a body, or the messages of a WebSocket.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status) || self.status == 101
    }
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
    pub(super) sends: Expanded,
    /// What to take out of the head and the events of its response.
    pub(super) captures: Vec<Capture>,
    /// The second request, when the first one only starts the answer.
    pub(super) then: Option<Second>,
    pub(super) reader: Box<dyn Reader>,
    pub(super) framing: Framing,
    pub(super) marker: FinalMarker,
    pub(super) behaviour: &'static ClientBehaviour,
    /// The connection to use, when its end is to be chosen.
    pub(super) line: Option<Line>,
}

/// What fetches an answer that was started.
#[derive(Clone)]
pub(super) struct Second {
    pub(super) first: Request,
    pub(super) follow: Follow,
    /// What both know.
    pub(super) captures: Captures,
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

pub(super) fn outgoing(expanded: &Expanded) -> Outgoing {
    Outgoing {
        method: expanded.method.word().to_owned(),
        path: expanded.path_and_query.clone(),
        headers: expanded.headers.clone(),
        body: expanded.body.clone(),
    }
}
