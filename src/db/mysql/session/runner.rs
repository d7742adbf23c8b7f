//! The connection that the statements of migrations run on: what chatctl itself writes there goes along with
//! them, since each way to the server and back costs more than what is done there.

use super::{IDLE, MySql, connect};
use crate::db::driver::as_written;
use crate::db::mysql::error::failed;
use crate::db::server;
use crate::db::session::{DIVIDED, Failed, SHORT, Session as _, numbers};
use crate::model::Cell;
use crate::sql;
use crate::sql::{Conflict, Dialect, Kind, Statement, TokenKind, tokenize};
use futures_util::{Stream, TryStreamExt as _};
use sqlx::mysql::{MySqlQueryResult, MySqlRow};
use sqlx::{AssertSqlSafe, Either, Executor as _, MySqlConnection};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Statements of chatctl's own that are to be sent.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    sql: String,
    many: usize,
    /// How much of both is committed: it is sent whatever becomes of what follows.
    committed: (usize, usize),
}

impl Waiting {
    pub(super) fn add(&mut self, sql: &str) {
        if !self.sql.is_empty() {
            self.sql.push_str("; ");
        }
        self.sql.push_str(sql);
        self.many += 1;
    }

    pub(super) fn commit(&mut self) {
        self.add("COMMIT");
        self.committed = (self.sql.len(), self.many);
    }

    pub(super) fn roll_back(&mut self) {
        self.sql.truncate(self.committed.0);
        self.many = self.committed.1;
    }
}

/// A statement of chatctl's own, whatever a file set for its session: a limit of rows would hide
/// what is there, and a safe mode would refuse an UPDATE. Other servers than MariaDB take the
/// beginning for a comment.
pub(super) fn own(sql: &str) -> String {
    let changes = ["SELECT", "INSERT", "UPDATE", "DELETE"];
    if changes.iter().any(|word| sql.starts_with(word)) {
        format!(
            "/*M! SET STATEMENT sql_select_limit = 18446744073709551615, sql_safe_updates = 0 FOR */ {sql}"
        )
    } else {
        sql.to_owned()
    }
}

/// How many rows a statement changed; the server does not say so of one that shows them.
pub(super) async fn counted(
    mut told: impl Stream<Item = Result<Either<MySqlQueryResult, MySqlRow>, sqlx::Error>> + Unpin,
) -> Result<u64, sqlx::Error> {
    let (mut changed, mut shown) = (0, 0);
    while let Some(one) = told.try_next().await? {
        match one {
            Either::Left(done) => changed = done.rows_affected(),
            Either::Right(_) => shown += 1,
        }
    }
    Ok(changed.max(shown))
}

impl MySql {
    /// The connection that statements run on, with all done that was to be done before.
    pub(super) fn runner(&mut self) -> anyhow::Result<&mut MySqlConnection> {
        self.send_waiting()?;
        self.opened()
    }

    pub(super) fn send_waiting(&mut self) -> anyhow::Result<()> {
        let Waiting { sql, .. } = std::mem::take(&mut self.waiting);
        if sql.is_empty() {
            return Ok(());
        }
        let runtime = Arc::clone(&self.runtime);
        let done = runtime.block_on(self.opened()?.execute(sqlx::AssertSqlSafe(sql)));
        done.map(|_| ()).map_err(|error| failed(&error).into())
    }

    fn opened(&mut self) -> anyhow::Result<&mut MySqlConnection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let (connection, id) =
                    connect(&self.runtime, &self.target, &self.options, &self.settings)?;
                self.id.store(id, Ordering::SeqCst);
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// The name of the lock that sqlx's migrator takes, so that both wait for each other.
    fn migration_lock(&self) -> String {
        let key = 0x3d32_ad9e * i64::from(crc32fast::hash(self.database.as_bytes()));
        format!("{key:x}")
    }

    /// Takes a place in the row of replicas.
    pub(super) fn take_lock(&mut self) -> anyhow::Result<bool> {
        let sql = format!(
            "SET SESSION wait_timeout = {IDLE}; SELECT get_lock('{}', 0)",
            self.migration_lock()
        );
        let mut lock = match self.migration_lock.take() {
            Some(lock) => lock,
            None => {
                let connecting = server::connect(&self.target, &self.options);
                self.runtime.block_on(connecting)?
            }
        };
        let got = self.runtime.block_on(as_written(&mut lock, &sql))?;
        let is_held = numbers(&got[0])[0] == 1;
        self.migration_lock = is_held.then_some(lock);
        Ok(is_held)
    }

    /// Looks whether this run still has its place in the row of replicas: where the connection that
    /// holds it has ended, another run may do the same.
    pub(super) fn check_lock(&mut self) -> Result<(), Failed> {
        let lock = self.migration_lock();
        let Some(holder) = &mut self.migration_lock else {
            return Ok(());
        };
        let sql = format!("SELECT coalesce(is_used_lock('{lock}') = connection_id(), FALSE)");
        let held = self.runtime.block_on(as_written(holder, &sql));
        if held.is_ok_and(|rows| rows[0][0].text() == Some("1")) {
            return Ok(());
        }
        Err(Failed {
            lost: true,
            ..Failed::because(
                "the connection that keeps other runs of chatctl waiting has ended, and nothing more is run",
            )
        })
    }

    /// Runs statements that are certainly one each, with what waits, in one message. The error has the number of
    /// the one that failed.
    pub(super) fn run_plainly(&mut self, statements: &[&str]) -> Result<(), (usize, Failed)> {
        let Waiting { mut sql, many, .. } = std::mem::take(&mut self.waiting);
        if many > 0 {
            sql.push_str("; ");
        }
        // A comment at the end of one ends with its line.
        sql.push_str(&statements.join("\n;\n"));
        let runtime = Arc::clone(&self.runtime);
        let connection = self.opened().map_err(|error| (0, Failed::of(error)))?;
        let mut changed = Vec::new();
        let done: Result<(), sqlx::Error> = runtime.block_on(async {
            let mut told = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(connection);
            let mut shown = 0;
            while let Some(one) = told.try_next().await? {
                match one {
                    Either::Left(done) => {
                        changed.push(done.rows_affected().max(shown));
                        shown = 0;
                    }
                    Either::Right(_) => shown += 1,
                }
            }
            Ok(())
        });
        let own = many.saturating_sub(changed.len());
        let changed = changed.get(many..).unwrap_or_default();
        self.changed.extend(changed);
        let ended = match done {
            // What chatctl itself was about to write failed, and no statement was run.
            Err(error) if own > 0 => {
                let failed = failed(&error);
                let message = format!("chatctl can't write its journal: {}", failed.message);
                Err((0, Failed { message, ..failed }))
            }
            Err(error) => Err((changed.len().min(statements.len() - 1), failed(&error))),
            Ok(()) if changed.len() == statements.len() => Ok(()),
            Ok(()) => Err((0, Failed::because(DIVIDED))),
        };
        self.is_set |= ended.is_err() || statements.iter().any(|it| sets_session(it));
        ended
    }

    /// The rows of several queries, without their SELECT, which the server is asked for together.
    pub(super) fn several<const N: usize>(
        &mut self,
        queries: &[String; N],
    ) -> anyhow::Result<[Vec<Vec<Cell>>; N]> {
        let numbered = queries.iter().enumerate();
        let sql: Vec<_> = numbered
            .map(|(number, query)| format!("SELECT '{number}', {query}"))
            .collect();
        let mut all = [const { Vec::new() }; N];
        for mut row in self.rows(&sql.join("; "))? {
            let number: usize = row.remove(0).to_string().parse()?;
            all[number].push(row);
        }
        Ok(all)
    }
}

/// Whether a text is certainly one statement, in any company: where its strings end, no setting decides.
pub(super) fn goes_with_others(text: &str) -> bool {
    let is_known = matches!(
        facts(text).kind,
        Kind::CreateTable { .. } | Kind::CreateIndex { .. } | Kind::Insert { .. }
    );
    is_known && text.len() <= SHORT && !text.contains([';', '\\', '\0']) && is_simple(text)
}

fn facts(text: &str) -> sql::Facts {
    sql::facts(&Statement::alone(text), Dialect::Mysql)
}

/// Whether a statement may leave a setting, a variable, a lock or a temporary table in its session: all but those
/// that certainly make a table or an index, or put values into one.
pub(super) fn sets_session(text: &str) -> bool {
    let facts = facts(text);
    let makes = match facts.kind {
        Kind::CreateTable {
            temporary: false,
            as_select: false,
            ..
        }
        | Kind::CreateIndex { .. } => true,
        Kind::Insert { select, conflict } => !select && conflict == Conflict::Fail,
        _ => false,
    };
    !makes || !is_simple(text) || !facts.calls.is_empty()
}

/// Whether it begins as a statement that makes something or inserts rows, and has neither variables nor code in
/// comments.
fn is_simple(text: &str) -> bool {
    let tokens = tokenize(text, Dialect::Mysql);
    // `SET STATEMENT … FOR INSERT …` counts as what it runs.
    let first = tokens.first().map_or("", |token| token.text(text));
    let begins_so = ["CREATE", "INSERT"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word));
    let hides = tokens.iter().any(|token| match token.kind {
        TokenKind::CodeOpen | TokenKind::CodeClose | TokenKind::Unclosed | TokenKind::Delimiter => {
            true
        }
        TokenKind::Punct => token.text(text) == "@",
        TokenKind::Word
        | TokenKind::QuotedName
        | TokenKind::String
        | TokenKind::DollarString
        | TokenKind::Number
        | TokenKind::Semicolon
        | TokenKind::Comment => false,
    });
    begins_so && !hides
}

#[cfg(test)]
mod tests {
    use super::{Waiting, goes_with_others, sets_session};

    #[test]
    fn what_is_committed_is_sent_and_what_follows_can_be_taken_back() {
        let mut waiting = Waiting::default();
        waiting.add("a");
        waiting.roll_back();
        assert_eq!((waiting.sql.as_str(), waiting.many), ("", 0));
        waiting.add("b");
        waiting.commit();
        waiting.add("c");
        waiting.roll_back();
        assert_eq!((waiting.sql.as_str(), waiting.many), ("b; COMMIT", 2));
    }

    #[test]
    fn what_is_surely_one_statement_goes_with_others() {
        for text in [
            "CREATE TABLE t (id INT) -- a note",
            "CREATE TEMPORARY TABLE t (id INT)",
            "INSERT INTO t VALUES (1, 'b''c')",
        ] {
            assert!(goes_with_others(text), "{text}");
        }
        for text in [
            "INSERT INTO t VALUES ('\\')",
            "INSERT INTO t VALUES (';')",
            "CREATE TABLE t (id INT) /*!50000 ENGINE = MyISAM */",
            "CREATE PROCEDURE p() SELECT 1",
            "SET NAMES utf8mb4",
            "LOCK TABLES t WRITE",
        ] {
            assert!(!goes_with_others(text), "{text}");
        }
    }

    #[test]
    fn a_table_and_its_values_leave_nothing_in_a_session() {
        for text in [
            "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME DEFAULT now())",
            "CREATE UNIQUE INDEX i ON t (id)",
            "INSERT INTO t VALUES (1, '@x'), (2, now())",
        ] {
            assert!(!sets_session(text), "{text}");
        }
    }

    #[test]
    fn everything_else_may() {
        for text in [
            "SET NAMES utf8mb4",
            "SET STATEMENT max_statement_time = 1 FOR INSERT INTO t VALUES (1)",
            "CREATE TEMPORARY TABLE t (id INT)",
            "CREATE TABLE t AS SELECT @x := 1",
            "INSERT INTO t VALUES (@x := 1)",
            "INSERT INTO t SELECT id FROM u",
            "INSERT INTO t VALUES (tidy())",
            "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE id = 2",
            "/*!40101 SET NAMES utf8 */",
            "CREATE TABLE t (id INT) /*!50000 ENGINE = MyISAM */",
            "UPDATE t SET id = 1",
            "CALL tidy()",
            "LOCK TABLES t WRITE",
            "START TRANSACTION",
            "PREPARE p FROM 'SELECT 1'",
            "SELECT get_lock('a', 1)",
        ] {
            assert!(sets_session(text), "{text}");
        }
    }
}
