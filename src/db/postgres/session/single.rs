//! Statements that need no preparing, and may go to the server together: each way there and back costs more
//! than most of them.

use super::{Postgres, failed};
use crate::db::session::{DIVIDED, Failed, SHORT};
use futures_util::TryStreamExt as _;
use sqlx::AssertSqlSafe;

/// What is between two statements: a comment at the end of one ends with its line.
const BETWEEN: &str = "\n;\n";

/// Whether a text is one statement in any company: where its strings end, no setting decides.
pub(super) fn goes_with_others(statement: &str) -> bool {
    is_surely_one(statement) && statement.len() <= SHORT && !statement.contains('\\')
}

impl Postgres {
    /// A statement of a migration is next. It goes without what is chatctl's own, so that who looks at what
    /// the server does reads the migration's text.
    pub(super) fn ready_to_run(&mut self) -> Result<(), Failed> {
        self.looked.forget();
        (self.is_marked, self.told) = (false, None);
        let back = self.settings_back();
        if back.is_empty() && self.queued.is_empty() {
            return Ok(());
        }
        self.send(&back)
    }

    /// Runs one statement, and only one: the protocol for prepared statements takes no more.
    pub(super) fn one(&mut self, sql: &str) -> Result<(), Failed> {
        let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        let done = self.runtime.block_on(query.execute(&mut self.connection));
        done.map(|_| ()).map_err(|error| failed(&error))
    }

    /// Runs statements that go together. The error has the number of the one that failed.
    pub(super) fn run_together(&mut self, statements: &[&str]) -> Result<(), (usize, Failed)> {
        let sql = sqlx::raw_sql(AssertSqlSafe(statements.join(BETWEEN)));
        let connection = &mut self.connection;
        self.runtime.block_on(async {
            let (mut done, mut told) = (0, sql.fetch_many(connection));
            loop {
                match told.try_next().await {
                    Ok(None) if done == statements.len() => return Ok(()),
                    Ok(None) => return Err((0, Failed::because(DIVIDED))),
                    Ok(Some(one)) => done += usize::from(one.is_left()),
                    Err(error) => return Err(placed(statements, done, failed(&error))),
                }
            }
        })
    }
}

/// The statement that failed, after so many were done, with its own place of what is wrong: all are read before
/// the first of them runs.
fn placed(statements: &[&str], done: usize, failed: Failed) -> (usize, Failed) {
    let Some(mut at) = failed.at else {
        return (done.min(statements.len() - 1), failed);
    };
    for (number, statement) in statements.iter().enumerate() {
        let length = statement.chars().count() + BETWEEN.len();
        if at < length || number + 1 == statements.len() {
            let at = Some(at);
            return (number, Failed { at, ..failed });
        }
        at -= length;
    }
    unreachable!("there is a last statement")
}

/// Whether a text can't be more than one statement, whatever a migration has set: it has no `;`. Such a
/// statement needs no preparing, which is one more way to the server and back. COPY is left out, which
/// changes what the connection speaks.
pub(super) fn is_surely_one(statement: &str) -> bool {
    const WORDS: [&str; 7] = [
        "alter", "comment", "create", "delete", "drop", "insert", "update",
    ];
    let word = statement.split_whitespace().next().unwrap_or_default();
    let is_known = WORDS.iter().any(|it| word.eq_ignore_ascii_case(it));
    is_known && !statement.contains([';', '\0'])
}

#[cfg(test)]
mod tests {
    use super::{Failed, goes_with_others, is_surely_one, placed};

    #[test]
    fn a_statement_that_failed_is_known_by_its_place_or_by_those_that_were_done() {
        let statements = ["CREATE TABLE ü (a int)", "INSERT x", "INSERT y"];
        for (done, at, is) in [
            (0, None, (0, None)),
            (2, None, (2, None)),
            (3, None, (2, None)),
            (0, Some(21), (0, Some(21))),
            (0, Some(25 + 7), (1, Some(7))),
            (1, Some(25 + 11 + 99), (2, Some(99))),
        ] {
            let failed = Failed {
                at,
                ..Failed::because("no")
            };
            let (number, failed) = placed(&statements, done, failed);
            assert_eq!((number, failed.at), is);
        }
    }

    #[test]
    fn where_a_setting_may_say_where_a_string_ends_a_statement_goes_alone() {
        assert!(goes_with_others("INSERT INTO a VALUES ('b''c', $$d$$)"));
        assert!(!goes_with_others("INSERT INTO a VALUES ('\\')"));
    }

    #[test]
    fn what_may_be_several_statements_is_prepared() {
        for one in [
            "CREATE TABLE a (b text DEFAULT 'c')",
            "\n update a SET b = 1",
        ] {
            assert!(is_surely_one(one), "{one}");
        }
        for other in [
            "INSERT INTO a VALUES ('\\'); COMMIT; --')",
            "CREATE TABLE a (b text DEFAULT ';')",
            "COPY a FROM STDIN",
            "DO $$ BEGIN END $$",
            "WITH a AS (SELECT 1) SELECT 1",
            "-- CREATE\nCOMMIT",
            "",
        ] {
            assert!(!is_surely_one(other), "{other}");
        }
    }
}
