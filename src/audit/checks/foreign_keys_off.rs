//! Foreign keys that are declared but not enforced.

use super::{Cause, CauseCounts, Check, CheckContext, Look, Thing, cause};
use crate::db::Tried;
use crate::model::Cell;
use crate::report::Severity::{Error, Warning};

pub(super) const CHECK: Check = Check {
    code: "foreign-keys-off",
    causes: CAUSES,
    help: "SQLite: `PRAGMA foreign_keys = ON` on every connection; PostgreSQL: fix the rows, then VALIDATE \
           CONSTRAINT; MySQL: ENGINE=InnoDB",
    unfit: |_| None,
    look: Look::Store(look),
};

/// In the order that [`crate::db::Catalog::loose_keys`] counts them in.
static CAUSES: &[Cause] = &[
    cause(
        "violated",
        Error,
        "a row violates a declared foreign key: the row that it refers to does not exist",
    ),
    cause(
        "not-checked",
        Warning,
        "a foreign key is declared but not enforced: rows may refer to rows that do not exist",
    ),
    cause(
        "no-transactions",
        Warning,
        "the table's engine has neither foreign keys nor transactions: a crash can leave half a turn",
    ),
];

fn look<'a>(context: &'a CheckContext<'a>, tally: &'a mut CauseCounts) -> Tried<'a, ()> {
    Box::pin(async move {
        let tables = context.tables();
        for row in context
            .db
            .rows(context.db.catalog().loose_keys, &[])
            .await?
        {
            let at = row[0].int().and_then(|at| usize::try_from(at).ok());
            let table = row[1].to_string();
            // Other tables of the database are no chats.
            if let Some(cause) = at.and_then(|at| CAUSES.get(at))
                && tables.contains(&table.as_str())
            {
                tally.row(cause, None, || {
                    Thing::fact(format!("`{table}`: {}", told(&row[2])))
                });
            }
        }
        Ok(())
    })
}

fn told(cell: &Cell) -> String {
    cell.to_string()
}
