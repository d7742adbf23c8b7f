//! The saved state of a table while its copy changes, and the comparison with it.

use crate::model::{Shape, ShapeColumn, Successor};

/// What is kept of a table: rows and values that were there before the run, as the last file that
/// was accepted left them.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) table: String,
    pub(super) columns: Vec<ShapeColumn>,
    pub(super) rows: u64,
    pub(super) checksum: String,
    /// Columns that the server sets to the time of a change.
    pub(super) clocks: Vec<String>,
    /// The former versions of the rows, where they are kept.
    pub(super) history: Option<Box<Held>>,
}

pub(super) struct Move {
    pub(super) shape: Shape,
    pub(super) successor: Option<Successor>,
    pub(super) is_whole: bool,
}
