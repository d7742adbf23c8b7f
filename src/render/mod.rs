//! What a report or a view looks like: one file a format, each writing into the writer it is given.
//!
//! A format decides nothing: the verdict and the exit code stand in the report
//! before any format sees it, and every format carries every finding. A new
//! format is one file and one row in [`ALL`].

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

use crate::report::Piece;
use crate::report::Report;
use std::io;
use std::io::Write;

pub use json::SCHEMAS;

/// Writes a whole report, ending with a newline; fails only when the writer does.
pub type WriteReport = fn(&Report, &Style, &mut dyn Write) -> io::Result<()>;

/// Begins to write a view.
pub type BeginView = fn(&Style) -> Box<dyn Show>;

/// One output format: its name on the command line and what writes it.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The value of `--format` and the left side of `--report FORMAT=FILE`.
    pub name: &'static str,
    /// Writes a report; none when the format can't carry one.
    pub report: Option<WriteReport>,
    /// Begins to write a view; none when the format can't carry one.
    pub view: Option<BeginView>,
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

/// The format of that name.
pub fn named(name: &str) -> Option<&'static Format> {
    ALL.iter().find(|format| format.name == name)
}
