//! What to do about a statement that failed, where its text is not to blame.

use crate::migrate::apply::Failure;

/// What is known besides the database's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    /// Nothing was applied before: the schema may have come about in another way.
    Empty,
    /// Migrations were applied before.
    Begun,
}

/// Parts of what a database says, in lower case, and what to do then. The first that fits counts.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["statement timeout", "max_statement_time"],
        "give it more time with --statement-timeout, or do it in smaller steps",
    ),
    (
        &["query would be affected by row-level security policy"],
        "chatctl compares every row, and a policy hides some from the user of --database-url: let a superuser run `ALTER ROLE NAME BYPASSRLS` for that user, or take `FORCE ROW LEVEL SECURITY` off the table while the migration runs",
    ),
    (
        &["due to user request", "query execution was interrupted"],
        "somebody cancelled the statement in the database: run `chatctl migrate` again",
    ),
    (
        &[
            "permission denied",
            "must be owner of",
            "command denied",
            "access denied",
            "you need (at least one of) the",
        ],
        "let the user of --database-url do this, or use a user who may",
    ),
    (
        &["no space left", "disk is full", "disk full", "is full"],
        "make room on the disk of the database, then run `chatctl migrate` again",
    ),
];

/// What databases say of a table, column or index that is there already.
const THERE: &[&str] = &[
    "already exists",
    "duplicate column name",
    "duplicate key name",
];

/// What to do about a failure, when that is not what its own help says.
pub(super) fn of(failure: &Failure, history: History) -> Option<&'static str> {
    let message = failure.message.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if failure.busy {
        return Some(
            "the lock was not free in any try: run `chatctl migrate` again when there is less traffic, or wait longer with --lock-timeout and --retries",
        );
    }
    if history == History::Empty && says(THERE) {
        return Some(
            "no migration was applied here before; if the database already has what the files make up to a version, say so: `chatctl migrate baseline VERSION`; else fix the statement",
        );
    }
    ADVICE
        .iter()
        .find(|(parts, _)| says(parts))
        .map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::{Failure, History, of};

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
                of(&failure, History::Empty)
                    .unwrap()
                    .contains("chatctl migrate baseline")
            );
            assert_eq!(of(&failure, History::Begun), None);
        }
    }

    #[test]
    fn a_statement_that_is_not_to_blame_is_not_to_be_fixed() {
        for (message, says) in [
            (
                "canceling statement due to user request",
                "somebody cancelled",
            ),
            (
                "canceling statement due to statement timeout",
                "--statement-timeout",
            ),
            (
                "Query execution was interrupted (max_statement_time exceeded)",
                "--statement-timeout",
            ),
            ("permission denied for table chat", "a user who may"),
            (
                "could not extend file: No space left on device",
                "make room",
            ),
        ] {
            let advice = of(&failure(message, false), History::Begun).unwrap();
            assert!(advice.contains(says), "{message}: {advice}");
        }
        assert_eq!(
            of(
                &failure("syntax error at or near \"TABEL\"", false),
                History::Begun
            ),
            None
        );
        assert!(
            of(&failure("lock timeout", true), History::Begun)
                .unwrap()
                .contains("--retries")
        );
    }
}
