//! The output formats: one file per format, each writing into a given writer.
//!
//! A format decides nothing: the verdict and the exit code are in the report
//! before any format sees it, and every format carries every finding. A new
//! format is one file and one row in [`ALL`].

mod clean;
mod csv;
pub mod escape;
mod github;
mod human;
mod json;
mod jsonl;
mod junit;
mod markdown;
#[cfg(test)]
mod samples;
mod sarif;
#[cfg(test)]
mod tests;
mod text;
#[cfg(test)]
mod view_tests;

use crate::outcome::Outcome;
use crate::report::{Piece, Report};
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use clean::{Clean, Kind, Lines};
pub use json::SCHEMAS;

/// Writes a whole report, ending with a newline; fails only when the writer does.
pub type WriteReport = fn(&Report, &Style, &mut dyn Write) -> io::Result<()>;

/// Begins to write a view.
pub type BeginView = fn(&Style) -> Box<dyn Show>;

/// Why a run ended without a report.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong.
    pub error: &'a str,
    /// The next step.
    pub hint: Option<&'a str>,
}

/// Writes a failure, ending with a newline.
pub type WriteFailure = fn(&Failure<'_>, &mut dyn Write) -> io::Result<()>;

/// Where a format shows that a run ended without a report. Whoever reads stderr is always told.
#[derive(Debug, Clone, Copy)]
pub enum Failing {
    /// On stderr, in a form of its own.
    Stderr(WriteFailure),
    /// On stdout, where a report would have been, and on stderr as text.
    Stdout(WriteFailure),
    /// On stderr as text: rows can't say it.
    Text,
}

/// One output format: its name on the command line and what writes it.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The value of `--format` and the left side of `--report FORMAT=FILE`.
    pub name: &'static str,
    /// What its text is, on its way out.
    pub kind: Kind,
    /// Tells that there is no report.
    pub failing: Failing,
    /// Writes a report; none when the format can't carry one.
    pub report: Option<WriteReport>,
    /// Begins to write a view; none when the format can't carry one.
    pub view: Option<BeginView>,
}

impl Format {
    /// Writes a report that the format can carry.
    pub fn write(&self, report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
        let write = self.report.expect("a format that can't was refused before");
        write(report, style, &mut Clean::new(self.kind(style), out))
    }

    /// Tells on stderr why there is no report.
    pub fn fail(&self, failure: &Failure<'_>, err: &mut dyn Write) -> io::Result<()> {
        let (kind, write) = match self.failing {
            Failing::Stderr(write) => (self.kind(&Style::default()), write),
            Failing::Stdout(_) | Failing::Text => {
                (human::FORMAT.kind(&Style::default()), human::failure as _)
            }
        };
        write(failure, &mut Clean::new(kind, err))
    }

    /// Tells on stdout why there is no report, where the format does so there.
    pub fn fail_on_stdout(&self, failure: &Failure<'_>, out: &mut dyn Write) -> io::Result<()> {
        match self.failing {
            Failing::Stdout(write) => {
                write(failure, &mut Clean::new(self.kind(&Style::default()), out))
            }
            Failing::Stderr(_) | Failing::Text => Ok(()),
        }
    }

    /// Tells in a file why there is no report in it; false when the format has no words for it.
    pub fn fail_in_file(&self, failure: &Failure<'_>, out: &mut dyn Write) -> io::Result<bool> {
        match self.failing {
            Failing::Stdout(write) | Failing::Stderr(write) => {
                write(failure, &mut Clean::new(self.kind(&Style::default()), out))?;
                Ok(true)
            }
            Failing::Text => Ok(false),
        }
    }

    /// Begins to write a view, if the format can carry one. `raw` turns true when something in it
    /// can act on a terminal or in a log, and can't be spelled out.
    pub fn begin(&self, style: &Style, raw: &Arc<AtomicBool>) -> Option<Box<dyn Show>> {
        Some(Box::new(Safe {
            show: self.view?(style),
            lines: Lines::new(self.kind(style)),
            raw: Arc::clone(raw),
        }))
    }

    /// Whether it is for other programs, row by row: then every row counts, and not a few examples.
    pub fn is_of_rows(&self) -> bool {
        [csv::FORMAT.name, jsonl::FORMAT.name].contains(&self.name)
    }

    fn kind(&self, style: &Style) -> Kind {
        match self.kind {
            Kind::Text { color } => Kind::Text {
                color: color && style.color,
            },
            kind => kind,
        }
    }
}

/// A view whose lines are made safe as they leave.
struct Safe {
    show: Box<dyn Show>,
    lines: Lines,
    raw: Arc<AtomicBool>,
}

impl Safe {
    fn write(
        &mut self,
        out: &mut dyn Write,
        show: impl FnOnce(&mut dyn Show, &mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut shown = Vec::new();
        show(&mut *self.show, &mut shown)?;
        let safe = self.lines.safe(&String::from_utf8_lossy(&shown));
        self.raw.fetch_or(self.lines.was_raw(), Ordering::Relaxed);
        out.write_all(safe.as_bytes())
    }
}

impl Show for Safe {
    fn piece(&mut self, piece: &Piece, out: &mut dyn Write) -> io::Result<()> {
        self.write(out, |show, out| show.piece(piece, out))
    }

    fn pause(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.write(out, |show, out| show.pause(out))
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.write(out, |show, out| show.end(out))
    }
}

/// Writes a view piece by piece, as they come.
pub trait Show: Send {
    /// Writes a piece, or holds it back until it can be laid out.
    fn piece(&mut self, piece: &Piece, out: &mut dyn Write) -> io::Result<()>;

    /// Writes what was held back: nothing has come for a moment.
    fn pause(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Writes what is left; the last line ends with a newline.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// What the reader's side can show. Only formats for people look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Colour with ANSI sequences; everything must be understood without.
    pub color: bool,
    /// Columns of the terminal; 100 when unknown.
    pub width: Option<u16>,
    /// Show what is left out for brevity: timelines of passed cases, figures, all evidence.
    pub verbose: bool,
    /// Whether it goes to a terminal, which would obey what a stored text says.
    pub terminal: bool,
}

/// Every format, in the order of the help page.
pub static ALL: &[Format] = &[
    human::FORMAT,
    json::FORMAT,
    junit::FORMAT,
    sarif::FORMAT,
    github::FORMAT,
    jsonl::FORMAT,
    csv::FORMAT,
    markdown::FORMAT,
];

pub fn named(name: &str) -> Option<&'static Format> {
    ALL.iter().find(|format| format.name == name)
}
