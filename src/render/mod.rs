//! What a report looks like: one file a format, each writing into the writer it is given.
//!
//! A format decides nothing: the verdict and the exit code stand in the report
//! before any format sees it, and every format carries every finding. A new
//! format is one file and one row in [`ALL`].

pub mod escape;
mod github;
mod human;
mod json;
mod junit;
#[cfg(test)]
mod samples;
mod sarif;
#[cfg(test)]
mod tests;
mod text;

use crate::report::Report;
use std::io;
use std::io::Write;

pub use json::SCHEMA;

/// One output format: its name on the command line and the function that writes it.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The value of `--format` and the left side of `--report FORMAT=FILE`.
    pub name: &'static str,
    /// Writes the whole report, ending with a newline; fails only when the writer does.
    pub write: fn(&Report, &Style, &mut dyn Write) -> io::Result<()>,
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
}

/// Every format, in the order of the help page.
pub static ALL: &[Format] = &[
    human::FORMAT,
    json::FORMAT,
    junit::FORMAT,
    sarif::FORMAT,
    github::FORMAT,
];

/// The format of that name.
pub fn named(name: &str) -> Option<&'static Format> {
    ALL.iter().find(|format| format.name == name)
}
