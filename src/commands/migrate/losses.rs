//! What a loss is called in reports, and how to get past it.

use crate::migrate::preserve::{Lost, What};

pub(super) fn code(lost: &Lost) -> &'static str {
    match lost.what {
        What::TableGone => "table-lost",
        What::RowsGone | What::Hidden => "rows-lost",
        What::ColumnGone => "column-lost",
        What::ValuesGone => "values-lost",
        What::ValuesChanged | What::Moved | What::Unseen => "values-changed",
        What::Volatile | What::Loose => "table-volatile",
        What::Unreadable | What::Unshown => "rows-unreadable",
        What::Later | What::Cleared | What::Unstored => "destroys-later",
        What::Unwritable => "view-takes-no-rows",
        What::Rewound => "numbers-given-again",
        What::InUtc => "times-read-as-utc",
    }
}

pub(super) fn subject(lost: &Lost) -> String {
    match &lost.column {
        Some(column) => format!("{}.{column}", lost.table),
        None => lost.table.clone(),
    }
}

/// How to get past a loss that nothing acknowledges.
pub(super) fn fix(lost: &Lost) -> String {
    format!(
        "fix the migration; if the loss is intended, add to it (or to acknowledgements.toml next to it): {}",
        allow(lost)
    )
}

/// The acknowledgement that a loss needs.
pub(super) fn allow(lost: &Lost) -> String {
    // How many rows it will be, nobody knows.
    if matches!(lost.what, What::Later | What::Rewound) {
        return format!("-- chatctl: allow-loss {} reason=\"…\"", lost.subject);
    }
    format!(
        "-- chatctl: allow-loss {} rows<={} reason=\"…\"",
        lost.subject, lost.rows
    )
}
