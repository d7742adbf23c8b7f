//! What the names of columns say of what a message has besides its text: tool calls, attachments,
//! a state, a mark of deletion. Pure.

use super::predicate::Predicate;
use crate::model::{Column, Table};

/// Columns that hold the tools that a message calls. One that is called `tools` says which there are.
const CALLS: &[&str] = &[
    "tool_calls",
    "toolcalls",
    "tool_call",
    "toolcall",
    "tool_use",
    "tool_uses",
    "tool_invocations",
    "toolinvocations",
    "function_call",
    "function_calls",
    "functioncall",
];

/// The column that says how far a message is.
pub(super) fn status_column(table: &Table) -> Option<&Column> {
    let names = ["status", "state"];
    names.iter().find_map(|name| table.column(name))
}

/// The condition that a row is deleted for the user: by a time, or by a flag.
pub(super) fn deletion(table: &Table) -> Option<Predicate> {
    let times = ["deleted_at", "deletedAt", "deleted_on", "date_deleted"];
    let flags = ["is_deleted", "isDeleted", "deleted", "soft_deleted"];
    let time = times.iter().find_map(|name| table.column(name));
    let by_time = time.map(|column| format!("{{{}}} IS NOT NULL", column.name));
    let flag = || {
        let column = flags.iter().find_map(|name| table.column(name))?;
        let is = if column.declared.contains("BOOL") {
            "= true"
        } else if column.is_whole() {
            "<> 0"
        } else if column.declared.contains("TIME") {
            "IS NOT NULL"
        } else {
            return None;
        };
        Some(format!("{{{}}} {is}", column.name))
    };
    by_time.or_else(flag).map(Predicate::from)
}

/// Columns of what belongs to a message besides its text.
pub(super) fn next_to_the_text(table: &Table) -> Vec<String> {
    let names = [
        "attachments",
        "attachment",
        "files",
        "file_ids",
        "images",
        "reasoning",
        "reasoning_content",
        "thinking",
    ];
    let columns = names.iter().filter_map(|name| table.column(name));
    let texts = columns.filter(|column| column.holds_text() && !column.key);
    texts.map(|column| column.name.clone()).collect()
}

/// The column that holds the tools that a message calls.
pub(super) fn calls_column(table: &Table) -> Option<&Column> {
    let column = CALLS.iter().find_map(|name| table.column(name));
    column.filter(|column| column.holds_text())
}

#[cfg(test)]
mod tests {
    use super::{deletion, next_to_the_text};
    use crate::model::{Column, Table};

    fn table(columns: &[(&str, &str)]) -> Table {
        let column = |(name, declared): &(&str, &str)| Column {
            name: (*name).to_owned(),
            declared: (*declared).to_owned(),
            key: false,
            references: None,
        };
        Table {
            name: "messages".to_owned(),
            columns: columns.iter().map(column).collect(),
        }
    }

    #[test]
    fn a_mark_of_deletion_is_read_as_its_type_says() {
        for (columns, expected) in [
            (
                &[("deletedAt", "DATETIME"), ("is_deleted", "BOOLEAN")][..],
                Some("{deletedAt} IS NOT NULL"),
            ),
            (&[("is_deleted", "BOOLEAN")], Some("{is_deleted} = true")),
            (&[("deleted", "TINYINT(1)")], Some("{deleted} <> 0")),
            (&[("deleted", "TIMESTAMP")], Some("{deleted} IS NOT NULL")),
            (&[("deleted", "TEXT")], None),
            (&[("undeleted_at", "DATETIME")], None),
        ] {
            let found = deletion(&table(columns)).map(String::from);
            assert_eq!(found.as_deref(), expected, "{columns:?}");
        }
    }

    #[test]
    fn what_is_next_to_a_text() {
        let columns = [
            ("attachments", "JSONB"),
            ("files", "INTEGER"),
            ("reasoning", "TEXT"),
            ("content", "TEXT"),
        ];
        assert_eq!(
            next_to_the_text(&table(&columns)),
            ["attachments", "reasoning"]
        );
    }
}
