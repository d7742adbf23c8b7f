//! Advice on a statement that failed for a reason outside its text.

use crate::db;
use crate::migrate::apply::Failure;
use crate::sql::Dialect;

/// What is known besides the database's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    /// Nothing was applied before: the schema may have come about in another way.
    Empty,
    /// Migrations were applied before.
    Begun,
}

/// What a sub-command does with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It only reads.
    Read,
    /// It may write.
    Write,
}

/// What to do where the user lacks a right.
const MAY: &str = "grant the user of --database-url this right, or use a user who has it";

/// Parts of what a database says, in lower case, and what to do then. The first that fits counts.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["statement timeout", "max_statement_time"],
        "give it more time with --statement-timeout, or split it into smaller steps",
    ),
    (
        &["query would be affected by row-level security policy"],
        "chatctl compares every row, and a policy hides some from the user of --database-url: let a superuser run `ALTER ROLE NAME BYPASSRLS` for that user, or take `FORCE ROW LEVEL SECURITY` off the table while the migration runs",
    ),
    (
        &["invalid transaction termination"],
        "the procedure or block commits by itself, so chatctl could neither prove it nor roll it back: leave \
            its COMMIT out; or run it by hand, and record the file: `chatctl migrate baseline VERSION`",
    ),
    (
        &["due to user request", "query execution was interrupted"],
        "another session cancelled the statement: run `chatctl migrate` again",
    ),
    (
        &["access denied for user 'chatctl_scratch_"],
        "the file runs on a copy first, as a user with access to nothing else: leave the name of the database \
            out, as in `ALTER DATABASE CHARACTER SET utf8mb4`",
    ),
    (
        &["the reload privilege"],
        "leave FLUSH out: GRANT and CREATE USER take effect without FLUSH PRIVILEGES, and tables never need \
            FLUSH; or run it by hand",
    ),
    (
        &[
            "permission denied",
            "must be owner of",
            "command denied",
            "access denied",
            "you need (at least one of) the",
        ],
        MAY,
    ),
    (
        &["no space left", "disk is full", "disk full", "is full"],
        "free space on the disk of the database, then run `chatctl migrate` again",
    ),
];

/// What databases say of a table, column or index that is there already.
const THERE: &[&str] = &[
    "already exists",
    "duplicate column name",
    "duplicate key name",
];

/// How to find the session that holds a lock.
const fn holder(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => {
            "`SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database()` lists the sessions"
        }
        Dialect::Mysql => "`SHOW FULL PROCESSLIST` lists the sessions",
        Dialect::Sqlite => "`fuser -v FILE` lists the processes that have the file open",
    }
}

/// Parts of what a database says, in lower case, where another session holds a lock.
const LOCKED: &[(&str, Dialect)] = &[
    ("due to lock timeout", Dialect::Postgres),
    ("lock wait timeout exceeded", Dialect::Mysql),
    ("database is locked", Dialect::Sqlite),
    ("database table is locked", Dialect::Sqlite),
];

/// What to do about an answer to one of chatctl's own statements; none where nobody knows.
pub(super) fn of_chatctl(message: &str, access: Access) -> Option<String> {
    let lower = message.to_lowercase();
    if let Some((_, dialect)) = LOCKED.iter().find(|(part, _)| lower.contains(part)) {
        let what = match dialect {
            Dialect::Sqlite => "another process has locked the database file",
            Dialect::Postgres | Dialect::Mysql => "another session holds a lock on the table",
        };
        return Some(format!(
            "{what}: wait until it ends, or find it: {}",
            holder(*dialect)
        ));
    }
    if lower.contains("database disk image is malformed") {
        return Some("the database file is damaged: restore it (`chatctl migrate history` names the backups that chatctl made), or save what can be read with the command .recover of sqlite3".to_owned());
    }
    let denied = ["permission denied for ", "command denied to user"];
    let at = denied.iter().find_map(|part| message.find(part))?;
    Some(match access {
        // PostgreSQL names what it is about behind the words.
        Access::Read => db::grant(
            message
                .get(at..)
                .filter(|it| it.starts_with('p'))
                .unwrap_or(message),
        ),
        Access::Write => MAY.to_owned(),
    })
}

/// What to do about a failure, when that is not what its own help says.
pub(super) fn of(failure: &Failure, history: History, dialect: Dialect) -> Option<String> {
    let message = failure.message.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if failure.busy {
        return Some(format!(
            "another session held a lock at every try: end it, or wait until it ends, and run `chatctl migrate` \
                again; {}; with --lock-timeout and --retries chatctl waits longer",
            holder(dialect)
        ));
    }
    if history == History::Empty && says(THERE) {
        return Some(
            "no migration was applied here before; if the database already contains what the files up to a \
                version create, record that version: `chatctl migrate baseline VERSION`; otherwise fix the \
                statement".to_owned(),
        );
    }
    ADVICE
        .iter()
        .find(|(parts, _)| says(parts))
        .map(|(_, advice)| (*advice).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Access, Dialect, Failure, History, of, of_chatctl};

    fn failure(message: &str, busy: bool) -> Failure {
        Failure {
            file: "1_a.sql".to_owned(),
            line: None,
            message: message.to_owned(),
            help: String::new(),
            busy,
        }
    }

    #[test]
    fn what_is_there_already_asks_for_a_baseline_only_where_nothing_was_applied() {
        for message in [
            "relation \"chat\" already exists",
            "table chat already exists",
            "Table 'chat' already exists",
            "duplicate column name: title",
        ] {
            let failure = failure(message, false);
            assert!(
                of(&failure, History::Empty, Dialect::Postgres)
                    .unwrap()
                    .contains("chatctl migrate baseline")
            );
            assert_eq!(of(&failure, History::Begun, Dialect::Postgres), None);
        }
    }

    #[test]
    fn a_statement_that_is_not_to_blame_is_not_to_be_fixed() {
        for (message, says) in [
            (
                "canceling statement due to user request",
                "another session cancelled",
            ),
            (
                "canceling statement due to statement timeout",
                "--statement-timeout",
            ),
            (
                "Query execution was interrupted (max_statement_time exceeded)",
                "--statement-timeout",
            ),
            ("permission denied for table chat", "a user who has it"),
            (
                "could not extend file: No space left on device",
                "free space",
            ),
            (
                "Access denied for user 'chatctl_scratch_1_2'@'%' to database 'app'",
                "leave the name of the database out",
            ),
            (
                "Access denied; you need (at least one of) the RELOAD privilege(s) for this operation",
                "leave FLUSH out",
            ),
        ] {
            let advice = of(&failure(message, false), History::Begun, Dialect::Postgres).unwrap();
            assert!(advice.contains(says), "{message}: {advice}");
        }
        assert_eq!(
            of(
                &failure("syntax error at or near \"TABEL\"", false),
                History::Begun,
                Dialect::Postgres
            ),
            None
        );
        assert!(
            of(
                &failure("lock timeout", true),
                History::Begun,
                Dialect::Mysql
            )
            .unwrap()
            .contains("SHOW FULL PROCESSLIST")
        );
    }

    #[test]
    fn a_lock_and_a_missing_right_are_no_defects() {
        for (message, says) in [
            (
                "canceling statement due to lock timeout",
                "pg_stat_activity",
            ),
            (
                "Lock wait timeout exceeded; try restarting transaction",
                "SHOW FULL PROCESSLIST",
            ),
            ("database is locked", "fuser"),
            (
                "reading `c`: permission denied for table _sqlx_migrations",
                "GRANT SELECT ON _sqlx_migrations TO this user",
            ),
            (
                "SELECT command denied to user 'app'@'%' for table `chat`",
                "as root: GRANT SELECT",
            ),
        ] {
            let advice = of_chatctl(message, Access::Read).unwrap();
            assert!(advice.contains(says), "{message}: {advice}");
        }
        let denied = "permission denied for schema public";
        let advice = of_chatctl(denied, Access::Write).unwrap();
        assert!(!advice.contains("GRANT"), "{advice}");
        let defect = "cannot cast type integer[] to numeric";
        assert_eq!(of_chatctl(defect, Access::Read), None);
    }
}
