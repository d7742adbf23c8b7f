//! Foreign keys that are declared, and that nothing keeps.

use super::{Cause, Check, Ground, Look, Tally, Thing, cause};
use crate::db::Tried;
use crate::model::Cell;
use crate::report::Severity::{Error, Warning};

pub(super) const CHECK: Check = Check {
    code: "foreign-keys-off",
    causes: CAUSES,
    help: "SQLite: `PRAGMA foreign_keys = ON` on every connection; PostgreSQL: fix the rows, then VALIDATE \
           CONSTRAINT; MySQL: ENGINE=InnoDB",
    unfit,
    look: Look::Store(look),
};

static CAUSES: &[Cause] = &[
    cause(
        "violated",
        Error,
        "a row breaks a foreign key that is declared: what it refers to is not there",
    ),
    cause(
        "not-checked",
        Warning,
        "a foreign key is declared and not enforced: rows may refer to rows that do not exist",
    ),
    cause(
        "no-transactions",
        Warning,
        "the table's engine keeps no foreign keys and no transactions: a crash can leave half a turn",
    ),
];

/// Rows of three: the cause's place, the table, and what else is known.
struct Question {
    backend: &'static str,
    sql: &'static str,
}

static QUESTIONS: &[Question] = &[
    Question {
        backend: "sqlite",
        sql: "SELECT 0, \"table\", 'row ' || coalesce(rowid, '-') || ' refers to ' || \"parent\" \
              FROM pragma_foreign_key_check",
    },
    Question {
        backend: "postgres",
        sql: "SELECT 1, c.relname, 'constraint ' || k.conname || ' is NOT VALID' \
              FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
              WHERE k.contype = 'f' AND NOT k.convalidated AND c.relnamespace = current_schema()::regnamespace \
              UNION SELECT 1, c.relname, 'the triggers of constraint ' || k.conname || ' are disabled' \
              FROM pg_constraint k JOIN pg_trigger t ON t.tgconstraint = k.oid \
              JOIN pg_class c ON c.oid = k.conrelid \
              WHERE k.contype = 'f' AND t.tgenabled = 'D' AND c.relnamespace = current_schema()::regnamespace",
    },
    Question {
        backend: "mysql",
        sql: "SELECT 2, table_name, concat('engine ', engine) FROM information_schema.tables \
              WHERE table_schema = database() AND engine IN ('MyISAM', 'Aria', 'MEMORY', 'CSV', 'ARCHIVE')",
    },
];

fn question(ground: &Ground<'_>) -> Option<&'static Question> {
    let backend = ground.db.target().backend();
    QUESTIONS
        .iter()
        .find(|question| question.backend == backend)
}

fn unfit(ground: &Ground<'_>) -> Option<&'static str> {
    question(ground)
        .is_none()
        .then_some("chatctl does not know where this database keeps its foreign keys")
}

fn look<'a>(ground: &'a Ground<'a>, tally: &'a mut Tally) -> Tried<'a, ()> {
    Box::pin(async move {
        let question = question(ground).expect("a check that does not fit is not made");
        let tables = ground.tables();
        for row in ground.db.rows(question.sql, &[]).await? {
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
