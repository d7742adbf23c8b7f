//! What a migration's statements may not do.

use super::compare::ASIDE;
use rusqlite::hooks::AuthAction;

/// Why a statement may not stand in a migration: it would get around what is measured.
pub(super) fn forbidden(action: &AuthAction<'_>, history: &str) -> Option<String> {
    let of_history = |table: &str| table.eq_ignore_ascii_case(history);
    match action {
        AuthAction::Transaction { .. } => Some(
            "a migration runs in chatctl's own transaction, which it must not end: remove BEGIN, COMMIT and ROLLBACK".into(),
        ),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            Some("another database can't be measured: remove ATTACH and DETACH".into())
        }
        AuthAction::Pragma { pragma_name, pragma_value: Some(_) }
            if ["writable_schema", "schema_version", "query_only"].iter().any(|name| pragma_name.eq_ignore_ascii_case(name)) =>
        {
            Some(format!("`PRAGMA {pragma_name}` gets around what is measured: remove it"))
        }
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
            if of_history(table_name) =>
        {
            Some(format!("the history `{history}` is not a migration's to change"))
        }
        AuthAction::CreateTempTable { table_name }
        | AuthAction::DropTempTable { table_name }
        | AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. }
            if table_name.to_lowercase().starts_with(ASIDE) =>
        {
            Some(format!("`{table_name}` is where chatctl keeps what it compares with: take another name"))
        }
        _ => None,
    }
}
