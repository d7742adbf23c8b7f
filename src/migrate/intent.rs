//! What a file says of itself: losses it acknowledges, names it gives, objects it drops. Pure.
//! The proof does not rest on it; only an acknowledgement does.

use super::preserve::Allowed;
use super::preserve::Renames;
use super::source::Migration;
use crate::sql;
use crate::sql::AlterAction;
use crate::sql::Dialect;
use crate::sql::Kind;
use crate::sql::Statement;
use crate::stop::Stop;

/// Refuses a file that can't be proven, before anything is run.
pub(super) fn check(migration: &Migration) -> Result<(), Stop> {
    let place = migration.path.display();
    if migration.no_transaction {
        return Err(Stop::refused(format!(
            "`{place}` wants to run without a transaction, and then nothing can be proven or rolled back"
        ))
        .hint("remove `-- no-transaction`: on SQLite everything but VACUUM and some pragmas runs in one"));
    }
    acknowledged(migration).map(|_| ())
}

/// The losses that a file acknowledges; they count for this file only.
pub(super) fn acknowledged(migration: &Migration) -> Result<Vec<Allowed>, Stop> {
    let directives = sql::directives(&migration.up, Dialect::Sqlite);
    let place = migration.path.display();
    if let Some(error) = directives.errors.first() {
        return Err(Stop::usage(format!("{place}:{error}")));
    }
    directives
        .allow_loss
        .into_iter()
        .map(|allow| match allow.schema.as_deref() {
            None | Some("main") => Ok(Allowed {
                table: allow.table,
                column: allow.column,
                rows: allow.rows,
            }),
            Some(schema) => Err(Stop::usage(format!(
                "{place}:{}: schema `{schema}` is not migrated here",
                allow.line
            ))),
        })
        .collect()
}

/// Names that the statements give to tables and columns, in their order.
pub(super) fn renames(migration: &Migration) -> Renames {
    let mut renames = Renames::default();
    for statement in statements(migration) {
        let facts = sql::facts(&statement, Dialect::Sqlite);
        let (Kind::AlterTable { actions }, Some(table)) = (&facts.kind, &facts.table) else {
            continue;
        };
        for action in actions {
            match action {
                AlterAction::RenameTable { to } => renames.table(&table.name, &to.name),
                AlterAction::RenameColumn { from, to } => renames.column(from, to),
                _ => {}
            }
        }
    }
    renames
}

/// The line on which a migration's statement begins.
pub(super) fn line_of(migration: &Migration, number: usize) -> Option<u32> {
    let raw = String::from_utf8_lossy(&migration.raw);
    let before = raw.get(..migration.up_at)?.matches('\n').count();
    Some(u32::try_from(before).ok()? + statements(migration).get(number)?.line)
}

/// A migration's statement, without the comments around it.
pub(super) fn statement(migration: &Migration, number: usize) -> Option<String> {
    Some(statements(migration).get(number)?.text.to_owned())
}

/// Whether a statement names this index, trigger or view.
pub(super) fn drops(pending: &[&Migration], name: &str) -> bool {
    pending.iter().any(|migration| {
        statements(migration).iter().any(|statement| {
            let object = sql::facts(statement, Dialect::Sqlite).object;
            object.is_some_and(|object| object.matches(name))
        })
    })
}

/// A text that can't be cut gives none; SQLite itself says what is wrong with it.
fn statements(migration: &Migration) -> Vec<Statement<'_>> {
    sql::split(&migration.up, Dialect::Sqlite).unwrap_or_default()
}
