//! The vocabulary of facts.

use crate::sql::Name;

/// What a statement does. Names of columns are without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `CREATE TABLE`, also virtual and foreign ones. `or_replace` drops the old one (MariaDB).
    CreateTable {
        if_not_exists: bool,
        or_replace: bool,
        temporary: bool,
        as_select: bool,
    },
    /// `DROP TABLE`; `temporary` only where MySQL says so.
    DropTable {
        if_exists: bool,
        cascade: bool,
        temporary: bool,
    },
    /// `ALTER TABLE`, one action for each comma.
    AlterTable { actions: Vec<AlterAction> },
    /// MySQL's `RENAME TABLE a TO b, …`, old and new name in pairs.
    RenameTable { renames: Vec<(Name, Name)> },
    /// `CREATE INDEX`; its table is [`super::Facts::table`].
    CreateIndex {
        unique: bool,
        concurrently: bool,
        if_not_exists: bool,
    },
    /// `DROP INDEX`; only MySQL names the table.
    DropIndex { concurrently: bool, if_exists: bool },
    /// `INSERT`, `REPLACE`, `LOAD DATA` and `COPY … FROM`; `select`: the rows come from a query.
    Insert { select: bool, conflict: Conflict },
    /// `UPDATE`; a `WHERE` that is always true counts as none.
    Update { has_where: bool },
    /// `DELETE`; a `WHERE` that is always true counts as none.
    Delete { has_where: bool },
    /// `TRUNCATE`.
    Truncate { cascade: bool, tables: Vec<Name> },
    /// `MERGE`; `deletes`: a branch deletes.
    Merge { deletes: bool },
    /// A query or a write with writes inside of it. The main statement, if it writes, is the last.
    With { writes: Vec<Kind> },
    /// `CREATE TRIGGER`.
    CreateTrigger {
        if_not_exists: bool,
        or_replace: bool,
    },
    /// `DROP TRIGGER`.
    DropTrigger,
    /// `CREATE VIEW`, also a materialized one.
    CreateView {
        if_not_exists: bool,
        or_replace: bool,
        materialized: bool,
    },
    /// `DROP VIEW`, also a materialized one.
    DropView {
        if_exists: bool,
        materialized: bool,
        cascade: bool,
    },
    /// `REFRESH MATERIALIZED VIEW`.
    RefreshView,
    /// `CREATE SCHEMA`, except in MySQL, where a schema is a database.
    CreateSchema,
    /// `DROP SCHEMA`, except in MySQL.
    DropSchema { cascade: bool },
    /// `CREATE DATABASE`. `or_replace` drops the old one (MariaDB).
    CreateDatabase { or_replace: bool },
    /// `DROP DATABASE`.
    DropDatabase,
    /// `CREATE FUNCTION`, `PROCEDURE` and MySQL's `EVENT`; `writes`: the body changes or drops
    /// something that is there, or cannot be read.
    CreateFunction { writes: bool },
    /// `DROP FUNCTION`, `PROCEDURE`, `ROUTINE` and MySQL's `EVENT`.
    DropFunction { cascade: bool },
    /// A block that runs at once: `DO`, and MariaDB's `BEGIN NOT ATOMIC`, `IF`, `LOOP`, …
    Do,
    /// `CALL`.
    Call,
    /// `PRAGMA`, its name in lower case and without schema, its value without quotes.
    Pragma { name: String, value: Option<String> },
    /// `SET` and `RESET`: the first name, in lower case and without `SESSION` or `@@`, and its
    /// value without quotes; `also` holds the further pairs of MySQL. See [`Kind::set_value`].
    SetVariable {
        name: String,
        value: String,
        also: Vec<(String, String)>,
    },
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`.
    Commit,
    /// `ROLLBACK`, `ABORT`.
    Rollback { to_savepoint: bool },
    /// `SAVEPOINT`.
    Savepoint,
    /// `RELEASE SAVEPOINT`.
    Release,
    /// `VACUUM`, with or without `INTO`.
    Vacuum,
    /// `REINDEX`; `whole`: a schema, a database or the system.
    Reindex { concurrently: bool, whole: bool },
    /// `ANALYZE`; in MySQL also `OPTIMIZE TABLE` and `CHECK TABLE`.
    Analyze,
    /// What only reads: `SELECT`, `VALUES`, `TABLE`, `SHOW`, `EXPLAIN` without `ANALYZE`, `COPY TO`.
    /// A `SELECT` may call functions that write: see [`super::Facts::calls`].
    Select,
    /// `GRANT` and `REVOKE`.
    Grant,
    /// `COMMENT ON`.
    Comment,
    /// `ALTER TYPE`, an enum or another.
    AlterEnum { change: TypeChange },
    /// `DROP TYPE` and `DROP DOMAIN`.
    DropType { cascade: bool },
    /// `CREATE` of something else; `object` in upper case: `EXTENSION`, `TYPE`, `SEQUENCE`, …
    CreateOther { object: String, or_replace: bool },
    /// `ALTER` of something else.
    AlterOther { object: String },
    /// `DROP` of something else.
    DropOther { object: String, cascade: bool },
    /// `LOCK TABLE` and `UNLOCK TABLES`.
    Lock,
    /// `USE`: the names that follow belong to another database.
    Use,
    /// SQLite's `ATTACH`.
    Attach,
    /// SQLite's `DETACH`.
    Detach,
    /// Not recognized.
    Other,
}

/// What an `INSERT` does with a row whose key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// The statement fails.
    Fail,
    /// The new row is dropped.
    Ignore,
    /// The old row is changed.
    Update,
    /// The old row is deleted, and what cascades from it.
    Replace,
}

/// One action of an `ALTER TABLE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlterAction {
    /// `ADD COLUMN`. `definition` is everything behind the name. `has_default` is also true for
    /// generated, identity, serial and `AUTO_INCREMENT` columns: old rows get a value.
    AddColumn {
        column: String,
        definition: String,
        not_null: bool,
        has_default: bool,
        if_not_exists: bool,
    },
    /// `DROP COLUMN`.
    DropColumn {
        column: String,
        if_exists: bool,
        cascade: bool,
    },
    /// `RENAME COLUMN`.
    RenameColumn { from: String, to: String },
    /// `RENAME TO`.
    RenameTable { to: Name },
    /// PostgreSQL's `ALTER COLUMN … TYPE`; `to` is the type without `USING`.
    AlterType {
        column: String,
        to: String,
        using: bool,
    },
    /// MySQL's `MODIFY COLUMN`; `to` is the whole definition.
    Modify { column: String, to: String },
    /// MySQL's `CHANGE COLUMN`.
    Change {
        from: String,
        to: String,
        definition: String,
    },
    /// `ALTER COLUMN … SET NOT NULL`.
    SetNotNull { column: String },
    /// `ALTER COLUMN … DROP NOT NULL`.
    DropNotNull { column: String },
    /// `ADD CONSTRAINT`, with or without that word and a name.
    AddConstraint {
        name: Option<String>,
        what: Constraint,
        not_valid: bool,
    },
    /// `DROP CONSTRAINT`; in MySQL also `DROP FOREIGN KEY`, `DROP CHECK` and `DROP PRIMARY KEY`.
    DropConstraint { name: Option<String> },
    /// MySQL's `DROP INDEX` and `DROP KEY`.
    DropIndex { name: String },
    /// `DROP PARTITION`: the rows go with it.
    DropPartition { partitions: Vec<String> },
    /// `TRUNCATE PARTITION`.
    TruncatePartition { partitions: Vec<String> },
    /// `DETACH PARTITION`: the rows stay, but no longer in this table.
    DetachPartition { partition: Name, concurrently: bool },
    /// MySQL's `CONVERT TO CHARACTER SET`.
    ConvertCharset { to: String },
    /// Anything else, as it is in the text.
    Other { text: String },
}

/// What a constraint demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// `PRIMARY KEY`.
    PrimaryKey,
    /// `FOREIGN KEY`.
    ForeignKey,
    /// `UNIQUE`.
    Unique,
    /// `CHECK`.
    Check,
    /// `EXCLUDE`.
    Exclude,
    /// `NOT NULL`, or something that is not recognized.
    Other,
}

/// What an `ALTER TYPE` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeChange {
    /// `ADD VALUE`.
    AddValue { if_not_exists: bool },
    /// `RENAME VALUE`.
    RenameValue,
    /// `DROP VALUE`, which no release of PostgreSQL up to 18 has.
    DropValue,
    /// `DROP ATTRIBUTE`: the values go with it.
    DropAttribute,
    /// `RENAME`, `OWNER TO`, `SET SCHEMA`, `ADD ATTRIBUTE`.
    Harmless,
    /// Anything else, such as `ALTER ATTRIBUTE … TYPE`.
    Other,
}

impl Kind {
    /// The value that a `SET` gives to the variable `name`, in lower case.
    pub fn set_value(&self, name: &str) -> Option<&str> {
        let Self::SetVariable {
            name: first,
            value,
            also,
        } = self
        else {
            return None;
        };
        std::iter::once((first, value))
            .chain(also.iter().map(|(name, value)| (name, value)))
            .find(|(own, _)| own.as_str() == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether it begins, ends or marks a transaction.
    pub fn controls_transaction(&self) -> bool {
        matches!(
            self,
            Self::Begin | Self::Commit | Self::Rollback { .. } | Self::Savepoint | Self::Release
        )
    }
}
