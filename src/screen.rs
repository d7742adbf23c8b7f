//! Writes the pieces of a view while the command still finds more.
//!
//! Whoever reads may go before the end: then nothing more is written, the command learns of it by
//! its channel, and that is not a failure. Whoever reads slowly keeps no command waiting, and with it no
//! store: what is not read yet waits in the outlet. Only when that is full the command waits too.

use crate::cli_error::CliError;
use crate::mask::Mask;
use crate::model::Value;
use crate::outlet::Outlet;
use crate::redact::Redact;
use crate::render::Show;
use crate::report::{Head, Holds, Note, Piece};
use anyhow::Context as _;
use std::io;
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// When nothing comes for so long, what is held back for its layout is shown.
const PAUSE: Duration = Duration::from_millis(150);

/// When the outlet is full and its reader takes nothing for so long, the command ends.
const STALLED: Duration = Duration::from_secs(60);

/// A format and the writer that it writes into.
pub struct Place<'a> {
    /// The format.
    pub show: Box<dyn Show>,
    /// Where its text goes.
    pub out: &'a mut dyn Write,
}

/// Where the pieces of a view are shown.
pub struct Screen<'a> {
    places: Vec<Place<'a>>,
    mask: Mask,
    /// Whether a head was shown.
    begun: bool,
    /// What the columns of a sheet hold.
    holds: Vec<Holds>,
}

impl<'a> Screen<'a> {
    /// A screen in several places; the reader of the first one may go.
    pub fn new(places: Vec<Place<'a>>, mask: Mask) -> Self {
        Self {
            places,
            mask,
            begun: false,
            holds: Vec::new(),
        }
    }

    /// Shows pieces until the work is done, and gives what it gave; gives up when `stop` is over.
    pub async fn follow<T>(
        mut self,
        work: impl Future<Output = anyhow::Result<T>>,
        mut pieces: Receiver<Piece>,
        outlet: &Outlet,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<T> {
        tokio::pin!(work, stop);
        let (mut idle, mut gone) = (false, false);
        let done = loop {
            let has_room = outlet.has_room();
            tokio::select! {
                biased;
                () = outlet.ended(), if !gone => {
                    gone = true;
                    self.leave(&mut pieces);
                }
                piece = pieces.recv(), if has_room => match piece {
                    Some(piece) => {
                        idle = false;
                        if self.piece(piece)?.is_break() {
                            self.leave(&mut pieces);
                        }
                    }
                    None => break work.await,
                },
                done = &mut work => break done,
                () = &mut stop => break Err(CliError::interrupted().into()),
                () = outlet.moved(), if !has_room => {}
                () = tokio::time::sleep(STALLED), if !has_room => break Err(stalled().into()),
                () = tokio::time::sleep(PAUSE), if !idle => {
                    idle = true;
                    if self.each(|place| place.show.pause(place.out))?.is_break() {
                        self.leave(&mut pieces);
                    }
                }
            }
        };
        while let Ok(piece) = pieces.try_recv() {
            if self.piece(piece)?.is_break() {
                self.places.clear();
            }
        }
        if self.begun {
            if done.is_err() {
                let text = "an error ended the output; there may be more".to_owned();
                let note = Piece::Note(Note { text, cut: true });
                let _ = self.each(|place| place.show.piece(&note, place.out))?;
            }
            let _ = self.each(|place| place.show.end(place.out))?;
        }
        done
    }

    /// Nobody reads any more, and the command is to learn of it.
    fn leave(&mut self, pieces: &mut Receiver<Piece>) {
        self.places.clear();
        pieces.close();
    }

    fn piece(&mut self, mut piece: Piece) -> anyhow::Result<ControlFlow<()>> {
        self.begun = true;
        if let Piece::Head(Head::Sheet(sheet)) = &piece {
            self.holds = sheet.columns.iter().map(|column| column.holds).collect();
        }
        self.hide(&mut piece);
        self.each(|place| place.show.piece(&piece, place.out))
    }

    /// Writes to every place; breaks off when the first one's reader has gone.
    fn each(
        &mut self,
        mut write: impl FnMut(&mut Place<'_>) -> io::Result<()>,
    ) -> anyhow::Result<ControlFlow<()>> {
        for (number, place) in self.places.iter_mut().enumerate() {
            match write(place).and_then(|()| place.out.flush()) {
                Err(error) if number == 0 && error.kind() == io::ErrorKind::BrokenPipe => {
                    return Ok(ControlFlow::Break(()));
                }
                written => written.context("writing the output")?,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Masks secrets in our own words, and hides what users wrote when that is asked for. What is
    /// stored is shown as it is, also where it is the same as a secret.
    fn hide(&self, piece: &mut Piece) {
        match piece {
            Piece::Head(Head::Sheet(sheet)) => sheet.title = self.mask.fact(&sheet.title),
            Piece::Head(Head::Text(head)) => {
                // A comment says what speaks for a mapping, which may quote what is stored.
                let lines = head.text.split('\n').map(|line| {
                    if line.starts_with('#') {
                        self.mask.fact(line)
                    } else {
                        self.mask.text(line)
                    }
                });
                head.text = lines.collect::<Vec<_>>().join("\n");
            }
            Piece::Note(note) => note.text = self.mask.fact(&note.text),
            Piece::Head(Head::Transcript(_)) | Piece::Row(_) | Piece::Line(_) => {}
        }
        let Some(redact) = self.mask.redact() else {
            return;
        };
        let content = |text: &mut String| *text = redact.content(text);
        match piece {
            Piece::Head(Head::Transcript(head)) => {
                head.key = redact.id(&head.key);
                let texts = [&mut head.title, &mut head.user];
                texts.into_iter().flatten().for_each(content);
            }
            Piece::Head(Head::Sheet(sheet)) => {
                let names = sheet.columns.iter_mut().map(|column| &mut column.name);
                names.for_each(|name| *name = redact.secrets(name));
            }
            Piece::Row(values) => {
                for (value, holds) in values.iter_mut().zip(&self.holds) {
                    hidden(value, *holds, redact);
                }
            }
            Piece::Line(line) => {
                line.key = redact.id(&line.key);
                line.role = redact.role(&line.role);
                content(&mut line.text);
                for tool in &mut line.tools {
                    let texts = [&mut tool.input, &mut tool.output];
                    texts.into_iter().flatten().for_each(content);
                }
            }
            Piece::Head(Head::Text(_)) | Piece::Note(_) => {}
        }
    }
}

fn stalled() -> CliError {
    CliError::unreachable(format!(
        "the reader of the output read nothing for {STALLED:?}, and the buffer for waiting rows is full"
    ))
    .hint("ask for less, or write into a file: --format csv > rows.csv")
}

/// Hides a value of a sheet, as what it is.
fn hidden(value: &mut Value, holds: Holds, redact: &Redact) {
    let told = match (&*value, holds) {
        (Value::Text(text), Holds::Words | Holds::Names | Holds::Times) => redact.secrets(text),
        (Value::Text(text), Holds::Ids) => redact.id(text),
        (Value::Text(text), Holds::Roles) => redact.role(text),
        (Value::Text(text), Holds::Stored) => redact.content(text),
        (Value::Blob(bytes), _) => redact.bytes(bytes),
        (Value::Number(digits), Holds::Ids | Holds::Stored) => match redact.number(digits) {
            Some(hidden) => hidden,
            None => return,
        },
        (Value::Null | Value::Bool(_) | Value::Number(_), _) => return,
    };
    *value = Value::Text(told);
}
