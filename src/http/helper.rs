//! The pipes between chatctl and the helper that starts a server: what is asked, and what is reported.

use crate::trace::wire::{Ask, TracerMessage};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the helper is asked, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Asked {
    /// End the server in its own time.
    End,
    /// Something of its system calls.
    Trace(Ask),
}

/// The pipes. When they are dropped, the helper ends the server.
pub(super) struct Helper {
    asks: mpsc::UnboundedSender<Asked>,
    writing: JoinHandle<()>,
    told: Option<mpsc::UnboundedReceiver<TracerMessage>>,
}

/// What is asked and told of a server's system calls.
pub struct Tracing {
    asks: mpsc::UnboundedSender<Asked>,
    told: mpsc::UnboundedReceiver<TracerMessage>,
}

impl Tracing {
    /// Asks. A helper that is gone answers nothing, and [`Tracing::told`] says so.
    pub fn ask(&self, ask: Ask) {
        let _ = self.asks.send(Asked::Trace(ask));
    }

    /// What is reported next; none when the helper is gone.
    pub async fn next_message(&mut self) -> Option<TracerMessage> {
        self.told.recv().await
    }
}

impl Helper {
    pub(super) fn new(stdin: ChildStdin, stdout: ChildStdout) -> Self {
        let (asks, inbox) = mpsc::unbounded_channel();
        let (outbox, told) = mpsc::unbounded_channel();
        // Ends by itself when the helper closes its end.
        tokio::spawn(read(stdout, outbox));
        Self {
            asks,
            writing: tokio::spawn(write(stdin, inbox)),
            told: Some(told),
        }
    }

    /// The server's process group; 0 when it could not be started.
    pub(super) async fn group(&mut self) -> u32 {
        let told = self.told.as_mut().expect("it is asked for first");
        match told.recv().await {
            Some(TracerMessage::Group(group)) => group,
            _ => 0,
        }
    }

    /// Asks the server to end in its own time.
    pub(super) fn ask_to_end(&self) {
        // A helper that is gone needs not be asked.
        let _ = self.asks.send(Asked::End);
    }

    /// What is asked and told of system calls, for anyone who asks first.
    pub(super) fn tracing(&mut self) -> Option<Tracing> {
        Some(Tracing {
            asks: self.asks.clone(),
            told: self.told.take()?,
        })
    }

    /// Closes the pipe: the helper ends the server.
    pub(super) fn close(&self) {
        self.writing.abort();
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.close();
    }
}

async fn write(mut stdin: ChildStdin, mut inbox: mpsc::UnboundedReceiver<Asked>) {
    while let Some(asked) = inbox.recv().await {
        let mut line = serde_json::to_vec(&asked).expect("what is asked has a JSON form");
        line.push(b'\n');
        if stdin.write_all(&line).await.is_err() {
            break;
        }
    }
}

async fn read(stdout: ChildStdout, outbox: mpsc::UnboundedSender<TracerMessage>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // A line that can't be read is none of this version's.
        if let Ok(told) = serde_json::from_str(&line)
            && outbox.send(told).is_err()
        {
            break;
        }
    }
}
