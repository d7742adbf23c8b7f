//! chatctl in the role of the browser: sends a turn and watches its stream.

use super::exchange::{ClientTask, ResponseProgress, Saying};
use super::spot::{Act, Acted, Spot};
use super::watcher::Watcher;
use crate::http::{Line, LineEnd};
use crate::stream::faults::Way;
use anyhow::Context as _;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// How long a message may take that is to be sent over a WebSocket.
const SAID: Duration = Duration::from_secs(5);

/// A turn's client at work. Dropping it hangs up.
pub(super) struct Watching {
    seen: watch::Receiver<ResponseProgress>,
    is_final: watch::Receiver<bool>,
    work: Work,
    /// The way to end its connection, where that is chosen.
    end: Option<LineEnd>,
    /// What it is to say over the WebSocket of its answer.
    says: mpsc::UnboundedSender<Saying>,
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

impl Watching {
    /// Sends the request and watches.
    pub(super) fn start(client_task: ClientTask) -> Self {
        let (seen_in, seen) = watch::channel(ResponseProgress::default());
        let (final_in, is_final) = watch::channel(false);
        let (says, said) = mpsc::unbounded_channel();
        let task = tokio::spawn(Watcher::new(client_task, seen_in, final_in, said).run());
        Self {
            seen,
            is_final,
            work: Work::Task(task),
            end: None,
            says,
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
        let (says, said) = mpsc::unbounded_channel();
        let mut watcher = Watcher::new(client_task, seen_in, final_in, said);
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
            says,
        };
        Ok((watching, acted))
    }

    /// Says something over the WebSocket of the answer, and returns when it is sent.
    pub(super) async fn say(&self, message: String) -> anyhow::Result<()> {
        let (sent, is_sent) = oneshot::channel();
        let over = "the answer's connection is over";
        self.says
            .send(Saying { message, sent })
            .ok()
            .context(over)?;
        // A client that waits for the next turn says nothing more in this one.
        let is_sent = tokio::time::timeout(SAID, is_sent).await;
        is_sent.ok().and_then(Result::ok).context(over)?
    }

    /// Leaves in this way. Where the connection can't be chosen, it is closed by whoever made it.
    pub(super) async fn leave(&mut self, way: Way) -> anyhow::Result<()> {
        let left = match (way, self.end.take()) {
            (Way::Fin, Some(end)) => end.close(),
            (Way::Reset, Some(end)) => end.reset(),
            (Way::HalfClose, Some(end)) => {
                let left = end.half_close();
                self.end = Some(end);
                // It continues reading.
                return left.context("closing one direction of the connection");
            }
            (Way::Stall, Some(end)) => {
                end.stall();
                // The socket stays open as long as this lives.
                self.end = Some(end);
                Ok(())
            }
            // Whoever reads the stream aborts it below. The connection stays open as long as this lives.
            (Way::ResetStream, Some(end)) => {
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
