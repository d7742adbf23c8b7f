//! One file a sub-command: its arguments and its wiring.

pub mod audit;
pub mod chats;
pub mod config;
pub mod demo;
pub mod explain;
pub mod gate;
pub mod inspect;
pub mod migrate;
mod moment;
pub mod replay;
pub mod report;
pub mod verify_stream;

use crate::cli_error::CliError;
use crate::config::Config;
use crate::mask::Mask;
use crate::progress::Progress;
use crate::report::{Piece, Report};
use crate::stream::setup::Context;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What a command is handed.
pub struct Env {
    /// The settings of the file.
    pub config: Config,
    /// `--database-url`.
    pub database_url: Option<String>,
    /// The way to the person who waits.
    pub progress: Arc<Progress>,
    /// The secrets of the run.
    pub mask: Mask,
    /// Turns true when a signal asks to stop.
    pub interrupted: watch::Receiver<bool>,
    /// Whether what is left out for brevity is reported.
    pub verbose: bool,
    /// Whether a format is asked for that carries every row of what is found.
    pub rows: bool,
    /// Whether stdout is for people, who read there what is left out.
    pub human: bool,
    /// How many columns a line on stdout may have, where that is a terminal.
    pub width: Option<u16>,
    /// Where the pieces of a view go; it is closed when nobody reads them any more.
    pub pieces: mpsc::Sender<Piece>,
}

impl Env {
    /// Waits until a signal asks to stop.
    pub async fn until_interrupted(&self) {
        let mut interrupted = self.interrupted.clone();
        // An error means that nobody listens for signals any more.
        if interrupted
            .wait_for(|interrupted| *interrupted)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// What a future gives, unless a signal asks to stop first.
    ///
    /// # Errors
    /// What it gives as one, and that it was interrupted.
    pub async fn unless_interrupted<T>(
        &self,
        future: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            result = future => result,
            () = self.until_interrupted() => Err(CliError::interrupted().into()),
        }
    }

    /// The run, as what is set up in it sees it.
    pub fn setup(&self) -> Context<'_> {
        Context {
            config: &self.config,
            progress: &self.progress,
            mask: &self.mask,
        }
    }

    /// Waits until a signal asks to stop, or nobody reads the view any more.
    pub async fn until_gone(&self) {
        tokio::select! {
            () = self.until_interrupted() => {}
            () = self.pieces.closed() => {}
        }
    }
}

/// What a command gives.
pub enum Done {
    /// A report, to be rendered.
    Report(Box<Report>),
    /// Several reports, told one after another, with words before each, and the verdict of all.
    Tour(Box<Tour>),
    /// Text for a person.
    Text(String),
    /// Text for a program: it goes to stdout as it is.
    Script(String),
    /// Nothing more: a view was shown piece by piece.
    Shown,
}

/// A guided tour over several reports.
pub struct Tour {
    /// Words, and the report that follows them.
    pub stops: Vec<(String, Option<Report>)>,
    /// The report that counts: for the exit code and every format but `human`.
    pub whole: Report,
}
