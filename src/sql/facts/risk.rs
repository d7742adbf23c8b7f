//! The risk that follows from the kind of a statement.

use super::kind::{AlterAction, Conflict, Kind, TypeChange};
use crate::sql::Dialect;

/// Whether a statement destroys data, by its text. The greater, the worse.
///
/// `Certainly` is about the purpose: `DELETE … WHERE` may find no row. Triggers and rules that
/// fire, and the cascades of foreign keys, are not in the text and not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destroys {
    /// Nothing in the text can remove or overwrite a value.
    No,
    /// It overwrites values, narrows types, runs code that is not in the text, or is not known.
    Possibly,
    /// It is there to remove rows, columns or tables.
    Certainly,
}

impl Kind {
    /// Whether it writes rows (DML). `TRUNCATE` and `CREATE TABLE … AS` count.
    pub fn writes_rows(&self) -> bool {
        match self {
            Self::Insert { .. }
            | Self::Update { .. }
            | Self::Delete { .. }
            | Self::Truncate { .. }
            | Self::Merge { .. }
            | Self::With { .. } => true,
            Self::CreateTable { as_select, .. } => *as_select,
            _ => false,
        }
    }

    /// Whether its text can hold a `;`.
    pub(super) fn has_body(&self) -> bool {
        match self {
            Self::CreateTrigger { .. } | Self::CreateFunction { .. } | Self::Do => true,
            Self::CreateOther { object, .. } => object == "RULE",
            _ => false,
        }
    }

    /// Whether it destroys data, by its kind alone.
    pub fn destroys(&self) -> Destroys {
        match self {
            Self::DropTable { temporary, .. } => certainly_if(!temporary),
            Self::Delete { .. } | Self::Truncate { .. } | Self::DropDatabase => Destroys::Certainly,
            Self::CreateTable { or_replace, .. } | Self::CreateDatabase { or_replace } => {
                certainly_if(*or_replace)
            }
            Self::DropSchema { cascade } | Self::DropType { cascade } => certainly_if(*cascade),
            Self::Merge { deletes: true } => Destroys::Certainly,
            Self::Merge { .. } | Self::Update { .. } => Destroys::Possibly,
            Self::Do | Self::Call | Self::Other => Destroys::Possibly,
            Self::Insert { conflict, .. } => {
                possibly_if(matches!(conflict, Conflict::Update | Conflict::Replace))
            }
            Self::With { writes } => worst(writes.iter().map(Self::destroys)),
            Self::AlterTable { actions } => worst(actions.iter().map(AlterAction::destroys)),
            Self::CreateFunction { writes } => possibly_if(*writes),
            // What depends on them goes too, and that may be a column.
            Self::DropFunction { cascade } => possibly_if(*cascade),
            Self::DropView {
                materialized,
                cascade,
                ..
            } => possibly_if(*materialized || *cascade),
            Self::Pragma { name, value } => {
                possibly_if(name == "writable_schema" && value.is_some())
            }
            Self::AlterEnum { change } => match change {
                TypeChange::DropValue | TypeChange::DropAttribute => Destroys::Certainly,
                TypeChange::Other => Destroys::Possibly,
                _ => Destroys::No,
            },
            Self::CreateOther { object, or_replace } => {
                possibly_if(*or_replace && object == "SEQUENCE")
            }
            Self::AlterOther { object } => possibly_if(!ALTER_KEEPS.contains(&object.as_str())),
            Self::DropOther { object, .. } if object == "OWNED" => Destroys::Certainly,
            Self::DropOther { object, cascade } => {
                possibly_if(*cascade || !DROP_KEEPS.contains(&object.as_str()))
            }
            _ => Destroys::No,
        }
    }

    /// Whether it fails or does nothing inside of a transaction.
    ///
    /// `ALTER TYPE … ADD VALUE` is not among them: since PostgreSQL 12 it may run in a transaction.
    /// MySQL has none, as what cannot be in a transaction ends it there: see
    /// [`Kind::implicit_commit`].
    pub fn needs_no_transaction(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Mysql => false,
            Dialect::Sqlite => match self {
                Self::Vacuum | Self::Detach => true,
                Self::Pragma { name, value } => match name.as_str() {
                    "wal_checkpoint" => true,
                    "foreign_keys" | "journal_mode" | "synchronous" | "temp_store" => {
                        value.is_some()
                    }
                    _ => false,
                },
                _ => false,
            },
            Dialect::Postgres => match self {
                Self::CreateIndex { concurrently, .. } | Self::DropIndex { concurrently, .. } => {
                    *concurrently
                }
                Self::Reindex {
                    concurrently,
                    whole,
                } => *concurrently || *whole,
                Self::Vacuum | Self::CreateDatabase { .. } | Self::DropDatabase => true,
                Self::AlterTable { actions } => actions.iter().any(|action| {
                    matches!(
                        action,
                        AlterAction::DetachPartition {
                            concurrently: true,
                            ..
                        }
                    )
                }),
                Self::CreateOther { object, .. }
                | Self::DropOther { object, .. }
                | Self::AlterOther { object } => {
                    matches!(object.as_str(), "TABLESPACE" | "SYSTEM" | "SUBSCRIPTION")
                }
                _ => false,
            },
        }
    }

    /// Whether it commits what was done before it, so that no rollback takes it back.
    ///
    /// Only MySQL does that. `CALL` and what is not recognized may commit and counts.
    pub fn implicit_commit(&self, dialect: Dialect) -> bool {
        if dialect != Dialect::Mysql {
            return false;
        }
        match self {
            Self::CreateTable { temporary, .. } | Self::DropTable { temporary, .. } => !temporary,
            Self::SetVariable { .. } => self
                .set_value("autocommit")
                .is_some_and(|value| !matches!(value, "0" | "OFF" | "off")),
            Self::Insert { .. }
            | Self::Update { .. }
            | Self::Delete { .. }
            | Self::Merge { .. }
            | Self::With { .. }
            | Self::Select
            | Self::Pragma { .. }
            | Self::Rollback { .. }
            | Self::Savepoint
            | Self::Release
            | Self::Use => false,
            _ => true,
        }
    }
}

impl AlterAction {
    /// Whether it destroys data.
    pub fn destroys(&self) -> Destroys {
        match self {
            Self::DropColumn { .. }
            | Self::DropPartition { .. }
            | Self::TruncatePartition { .. } => Destroys::Certainly,
            Self::AlterType { .. }
            | Self::Modify { .. }
            | Self::Change { .. }
            | Self::ConvertCharset { .. }
            | Self::DetachPartition { .. } => Destroys::Possibly,
            Self::Other { text } => {
                let text = text.to_ascii_uppercase();
                let mut words = text.split(|c: char| !c.is_ascii_alphabetic());
                let word = words.next().unwrap_or_default();
                // The next crash of the server empties an unlogged table.
                let unlogged = word == "SET" && words.next() == Some("UNLOGGED");
                possibly_if(unlogged || !ACTION_KEEPS.contains(&word))
            }
            _ => Destroys::No,
        }
    }
}

fn worst(all: impl Iterator<Item = Destroys>) -> Destroys {
    all.max().unwrap_or(Destroys::No)
}

fn certainly_if(condition: bool) -> Destroys {
    if condition {
        Destroys::Certainly
    } else {
        Destroys::No
    }
}

fn possibly_if(condition: bool) -> Destroys {
    if condition {
        Destroys::Possibly
    } else {
        Destroys::No
    }
}

/// Objects whose `ALTER` changes no row.
#[rustfmt::skip]
const ALTER_KEEPS: [&str; 17] = [
    "AGGREGATE", "COLLATION", "DATABASE", "DEFAULT", "DOMAIN", "EVENT", "FUNCTION", "INDEX",
    "POLICY", "PROCEDURE", "ROLE", "ROUTINE", "SCHEMA", "SEQUENCE", "TRIGGER",
    "USER", "VIEW",
];

/// Objects that hold no data themselves and that no column is made of.
#[rustfmt::skip]
const DROP_KEEPS: [&str; 14] = [
    "AGGREGATE", "CAST", "COLLATION", "CONVERSION", "EVENT", "LANGUAGE", "OPERATOR", "POLICY",
    "PUBLICATION", "ROLE", "RULE", "STATISTICS", "TRANSFORM", "USER",
];

/// First words of actions of `ALTER TABLE` that keep every value. `ENGINE` is not among them:
/// some engines keep nothing.
#[rustfmt::skip]
const ACTION_KEEPS: [&str; 39] = [
    "ADD", "ALGORITHM", "ALTER", "ANALYZE", "ATTACH", "AUTO", "AVG", "CHARACTER", "CHARSET",
    "CHECK", "CLUSTER", "COALESCE", "COLLATE", "COMMENT", "DEFAULT", "DISABLE", "ENABLE", "FORCE",
    "INHERIT", "KEY", "LOCK", "MAX", "MIN", "NO", "NOWAIT", "OPTIMIZE", "ORDER", "OWNER",
    "PARTITION", "REBUILD", "REMOVE", "RENAME", "REPLICA", "RESET", "ROW", "SET", "STATS",
    "VALIDATE", "WITH",
];
