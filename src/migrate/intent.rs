//! What the files say of themselves: losses they acknowledge, names they give, objects they drop.
//! Pure. The proof does not rest on it; only an acknowledgement does.

use super::preserve::Allowed;
use super::preserve::Renames;
use super::source::Migration;
use crate::sql;
use crate::sql::AlterAction;
use crate::sql::Dialect;
use crate::sql::Kind;
use crate::stop::Stop;

/// The losses that the files acknowledge.
pub(super) fn acknowledged(pending: &[&Migration]) -> anyhow::Result<Vec<Allowed>> {
    let mut allowed = Vec::new();
    for migration in pending {
        let directives = sql::directives(&migration.up, Dialect::Sqlite);
        if let Some(error) = directives.errors.first() {
            return Err(Stop::usage(format!("{}:{error}", migration.path.display())).into());
        }
        if migration.no_transaction {
            return Err(Stop::refused(format!(
                "`{}` wants to run without a transaction, and then nothing can be proven or rolled back",
                migration.path.display()
            ))
            .hint("remove `-- no-transaction`: on SQLite everything but VACUUM and PRAGMA runs in one")
            .into());
        }
        allowed.extend(directives.allow_loss.into_iter().map(|allow| Allowed {
            table: allow.table,
            column: allow.column,
            rows: allow.rows,
        }));
    }
    Ok(allowed)
}

/// Names that the statements give to tables and columns. A rebuild that ends in the old name is
/// no rename: what has the old name at the end is compared.
pub(super) fn renames(pending: &[&Migration]) -> Renames {
    let mut renames = Renames::default();
    for migration in pending {
        for statement in sql::split(&migration.up, Dialect::Sqlite).unwrap_or_default() {
            let facts = sql::facts(&statement, Dialect::Sqlite);
            let (Kind::AlterTable { actions }, Some(table)) = (&facts.kind, &facts.table) else {
                continue;
            };
            for action in actions {
                match action {
                    AlterAction::RenameTable { to } => {
                        renames.tables.insert(table.name.clone(), to.name.clone());
                    }
                    AlterAction::RenameColumn { from, to } => {
                        renames
                            .columns
                            .insert((table.name.clone(), from.clone()), to.clone());
                    }
                    _ => {}
                }
            }
        }
    }
    let rebuilt: Vec<_> = renames.tables.values().cloned().collect();
    renames.tables.retain(|old, _| !rebuilt.contains(old));
    renames
}

/// The line on which a migration's statement begins.
pub(super) fn line_of(migration: &Migration, number: usize) -> Option<u32> {
    let raw = String::from_utf8_lossy(&migration.raw);
    let before = raw.get(..migration.up_at)?.matches('\n').count();
    let statements = sql::split(&migration.up, Dialect::Sqlite).ok()?;
    Some(u32::try_from(before).ok()? + statements.get(number)?.line)
}

/// A migration's statement, without the comments around it.
pub(super) fn statement(migration: &Migration, number: usize) -> Option<String> {
    let statements = sql::split(&migration.up, Dialect::Sqlite).ok()?;
    Some(statements.get(number)?.text.to_owned())
}

/// Whether a statement names this index, trigger or view.
pub(super) fn drops(pending: &[&Migration], name: &str) -> bool {
    pending.iter().any(|migration| {
        let statements = sql::split(&migration.up, Dialect::Sqlite).unwrap_or_default();
        statements.iter().any(|statement| {
            let object = sql::facts(statement, Dialect::Sqlite).object;
            object.is_some_and(|object| object.matches(name))
        })
    })
}
