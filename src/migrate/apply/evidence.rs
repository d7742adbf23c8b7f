//! What is known about the rows after a file, and the source of each fact.

use crate::migrate::preserve::{Lost, What};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is known of the rows that were there before, after one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Tables that were there before the file.
    pub tables: usize,
    /// Touched tables that were compared row by row, with their rows.
    pub exact: BTreeMap<String, u64>,
    /// Touched tables of which only rows and values were counted, with their rows.
    pub counted: BTreeMap<String, u64>,
    /// Tables of which the rehearsal had a sample of the rows only.
    pub sampled: BTreeSet<String>,
    /// Tables whose triggers the user of the run may not see.
    pub blind: BTreeSet<String>,
    /// Losses that the migration acknowledges, and changes that are explained.
    pub lost: Vec<Lost>,
    /// Statements that could not be in a transaction, and so were not measured.
    pub bare: usize,
    /// Where the file was tried before.
    pub tried: Tried,
}

/// Where the statements of a file were tried before they ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tried {
    /// Nowhere: what they do can be taken back.
    #[default]
    Nowhere,
    /// On temporary tables, by a user who reaches no other: the file makes tables and fills those.
    TemporaryTables,
    Copy,
}

impl Evidence {
    /// Whether it tells already that rows of a table are gone.
    pub(super) fn tells_of_rows(&self, table: &str) -> bool {
        let gone = |it: &&Lost| matches!(it.what, What::RowsGone | What::TableGone);
        self.lost.iter().filter(gone).any(|it| it.table == table)
    }

    /// For the journal.
    pub(super) fn words(&self, backup: Option<&Path>) -> String {
        let mut parts = Vec::new();
        for (how, tables) in [("compared", &self.exact), ("counted", &self.counted)] {
            for (table, rows) in tables {
                parts.push(format!("{how} {table} ({rows} rows)"));
            }
        }
        parts.extend(self.lost.iter().map(|lost| {
            if lost.is_explained() {
                format!("explained: {lost}")
            } else {
                format!("acknowledged: {lost}")
            }
        }));
        parts.extend(backup.map(|path| format!("backup {}", path.display())));
        if parts.is_empty() {
            "no value from before the run was touched".to_owned()
        } else {
            parts.join("; ")
        }
    }

    /// Takes over what is known after a further part of the same file.
    pub(super) fn add(&mut self, part: Self) {
        self.tables = self.tables.max(part.tables);
        self.exact.extend(part.exact);
        self.counted.extend(part.counted);
        self.sampled.extend(part.sampled);
        self.blind.extend(part.blind);
        self.lost.extend(part.lost);
        self.bare += part.bare;
        self.tried = self.tried.max(part.tried);
    }
}
