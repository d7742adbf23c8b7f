//! What a migration's statements do, and may not do, by the calls of SQLite's authorizer.

use crate::db::session::{HISTORY, OWN};
use crate::model::Shape;
use rusqlite::hooks::{AuthAction, Authorization};
use std::collections::BTreeSet;

/// The names of a row's number (sqlite.org/rowidtable.html).
const ROW_ID: [&str; 3] = ["rowid", "oid", "_rowid_"];

/// What was seen since the watch began. Names are in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    /// Why the last statement was not let through.
    pub(super) denied: Option<String>,
    /// Whether an INSERT may take rows away.
    pub(super) replaces: bool,
    /// Tables that the last statement altered.
    pub(super) altered: BTreeSet<String>,
    /// Tables with rows deleted, or gone with the table.
    pub(super) written: BTreeSet<String>,
    /// Tables and columns with values updated.
    updated: BTreeSet<(String, String)>,
    inserted: BTreeSet<String>,
}

impl Notes {
    pub(super) fn see(&mut self, action: &AuthAction<'_>) -> Authorization {
        if let Some(why) = forbidden(action) {
            self.denied = Some(why);
            return Authorization::Deny;
        }
        if gives_the_journal_up(action) {
            return Authorization::Ignore;
        }
        match action {
            AuthAction::Delete { table_name }
            | AuthAction::DropTable { table_name }
            | AuthAction::DropVtable { table_name, .. } => {
                self.written.insert(table_name.to_ascii_lowercase());
            }
            AuthAction::Update {
                table_name,
                column_name,
            } => {
                let column = column_name.to_ascii_lowercase();
                self.updated
                    .insert((table_name.to_ascii_lowercase(), column));
            }
            AuthAction::Insert { table_name } => {
                self.inserted.insert(table_name.to_ascii_lowercase());
            }
            AuthAction::AlterTable { table_name, .. } => {
                self.altered.insert(table_name.to_ascii_lowercase());
            }
            _ => {}
        }
        Authorization::Allow
    }

    /// Whether rows or values of before may be gone or other ones.
    pub(super) fn touches(&self, shape: &Shape) -> bool {
        let table = shape.name.to_ascii_lowercase();
        let mut updated = self
            .updated
            .iter()
            .filter(|(of, _)| *of == table)
            .peekable();
        // An UPDATE can take other rows' place where a conflict replaces, and one of the key is
        // another row.
        let replaced =
            self.replaces && (self.inserted.contains(&table) || updated.peek().is_some());
        let of_before = |(_, column): &(String, String)| {
            let mut names = shape
                .columns
                .iter()
                .map(|column| column.name.to_ascii_lowercase());
            names.any(|name| name == *column) || ROW_ID.contains(&column.as_str())
        };
        self.written.contains(&table) || replaced || updated.any(of_before)
    }

    /// Whether rows were added, or values of columns that are new.
    pub(super) fn adds_to(&self, shape: &Shape) -> bool {
        let table = shape.name.to_ascii_lowercase();
        self.inserted.contains(&table) || self.updated.iter().any(|(of, _)| *of == table)
    }

    /// Whether a table was written in any way.
    pub(super) fn has_written(&self, table: &str) -> bool {
        let updated = self.updated.iter().map(|(table, _)| table);
        let mut all = self.written.iter().chain(&self.inserted).chain(updated);
        all.any(|name| name.eq_ignore_ascii_case(table))
    }

    /// Whether a virtual table or one of its shadow tables was written in any way: an INSERT may
    /// be a command to its module, and a module may have prepared its statements before.
    pub(super) fn wrote_virtual(&self, table: &str) -> bool {
        let table = table.to_ascii_lowercase();
        let of_it = |name: &String| {
            name.strip_prefix(&table)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        let updated = self.updated.iter().map(|(table, _)| table);
        self.written
            .iter()
            .chain(&self.inserted)
            .chain(updated)
            .any(of_it)
    }
}

/// Whether a pragma would take away what a rollback needs, also after a crash. Its effect is only on this
/// connection, so that it is passed over. The engine takes any beginning of a mode's name.
fn gives_the_journal_up(action: &AuthAction<'_>) -> bool {
    let AuthAction::Pragma {
        pragma_name,
        pragma_value: Some(value),
    } = action
    else {
        return false;
    };
    let begins = |mode: &&str| {
        let beginning = mode.get(..value.len());
        beginning.is_some_and(|it| it.eq_ignore_ascii_case(value))
    };
    pragma_name.eq_ignore_ascii_case("journal_mode") && ["off", "memory"].iter().any(begins)
}

/// Why a statement must not be in a migration: it would get around what is measured.
fn forbidden(action: &AuthAction<'_>) -> Option<String> {
    let own = |table: &str| OWN.iter().any(|own| table.eq_ignore_ascii_case(own));
    match action {
        AuthAction::Transaction { .. } => Some(
            "a migration runs in chatctl's own transaction, which it must not end: write BEGIN and COMMIT in pairs or remove them, and remove ROLLBACK".into(),
        ),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            Some("chatctl can't measure another database: remove ATTACH and DETACH".into())
        }
        AuthAction::Pragma { pragma_name, pragma_value: Some(_) }
            if ["writable_schema", "schema_version", "query_only"].iter().any(|name| pragma_name.eq_ignore_ascii_case(name)) =>
        {
            Some(format!("`PRAGMA {pragma_name}` gets around the measurement: remove it"))
        }
        // A project may clean its own history: what is left of it is examined afterwards.
        AuthAction::Delete { table_name } if table_name.eq_ignore_ascii_case(HISTORY) => None,
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
            if own(table_name) =>
        {
            Some(format!("the history `{table_name}` must not be changed by a migration"))
        }
        AuthAction::CreateTrigger { table_name, .. } | AuthAction::CreateTempTrigger { table_name, .. }
            if own(table_name) =>
        {
            Some(format!("a trigger on the history `{table_name}` would run after the comparison"))
        }
        _ => None,
    }
}
