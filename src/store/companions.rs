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
    let moment = time.map(|column| by_flag(column).unwrap_or_else(|| by_time(column)));
    let flag = || {
        let column = flags.iter().find_map(|name| table.column(name))?;
        let is_time = column.declared.contains("TIME");
        by_flag(column).or_else(|| is_time.then(|| by_time(column)))
    };
    moment.or_else(flag).map(Predicate::from)
}

/// A truth value, or a number, of which 0 says that the row is there, also where it is a time.
fn by_flag(column: &Column) -> Option<String> {
    let is = if column.declared.contains("BOOL") {
        "= true"
    } else if column.is_whole() {
        "<> 0"
    } else {
        return None;
    };
    Some(format!("{{{}}} {is}", column.name))
}

/// A time that is one. A column that takes no NULL says otherwise that the row is there: by an empty
/// text, the year 0 or 1, the beginning of the epoch, the year 9999 or infinity.
fn by_time(column: &Column) -> String {
    let text = format!("CAST({{{}}} AS CHAR(40))", column.name);
    format!("{text} BETWEEN '1' AND '9' AND {text} NOT LIKE '1970-01-0%'")
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
        let time = |name: &str| {
            let text = format!("CAST({{{name}}} AS CHAR(40))");
            format!("{text} BETWEEN '1' AND '9' AND {text} NOT LIKE '1970-01-0%'")
        };
        for (columns, expected) in [
            (
                &[("deletedAt", "DATETIME"), ("is_deleted", "BOOLEAN")][..],
                Some(time("deletedAt")),
            ),
            (&[("deleted_at", "TEXT")], Some(time("deleted_at"))),
            // 0 until it is deleted, as in soft_delete of GORM.
            (
                &[("deleted_at", "BIGINT")],
                Some("{deleted_at} <> 0".to_owned()),
            ),
            (
                &[("deleted_at", "BOOL")],
                Some("{deleted_at} = true".to_owned()),
            ),
            (
                &[("is_deleted", "BOOLEAN")],
                Some("{is_deleted} = true".to_owned()),
            ),
            (
                &[("deleted", "TINYINT(1)")],
                Some("{deleted} <> 0".to_owned()),
            ),
            (&[("deleted", "TIMESTAMP")], Some(time("deleted"))),
            (&[("deleted", "TEXT")], None),
            (&[("undeleted_at", "DATETIME")], None),
        ] {
            let found = deletion(&table(columns)).map(String::from);
            assert_eq!(found, expected, "{columns:?}");
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
