//! The connection that the statements of migrations run on: what chatctl itself writes there goes along with
//! them, since each way to the server and back costs more than what is done there.

use super::{MySql, connect};
use crate::db::mysql::error::failed;
use crate::db::session::Session as _;
use crate::model::Cell;
use crate::sql;
use crate::sql::{Conflict, Dialect, Kind, Statement, TokenKind, tokenize};
use sqlx::{Executor as _, MySqlConnection};
use std::sync::atomic::Ordering;

/// Statements of chatctl's own that are to be sent.
#[derive(Debug, Default)]
pub(super) struct Waiting(String);

impl Waiting {
    pub(super) fn add(&mut self, sql: &str) {
        if !self.0.is_empty() {
            self.0.push_str("; ");
        }
        self.0.push_str(sql);
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

impl MySql {
    /// The connection that statements run on, with all done that was to be done before.
    pub(super) fn runner(&mut self) -> anyhow::Result<&mut MySqlConnection> {
        self.send_waiting()?;
        self.opened()
    }

    /// Sends what waits.
    pub(super) fn send_waiting(&mut self) -> anyhow::Result<()> {
        let sql = std::mem::take(&mut self.waiting.0);
        if sql.is_empty() {
            return Ok(());
        }
        let runtime = self.runtime.clone();
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

    /// The rows of several queries, without their SELECT, which the server is asked for together.
    pub(super) fn several<const N: usize>(
        &mut self,
        queries: &[&str; N],
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

/// Whether a statement may leave a setting, a variable, a lock or a temporary table in its session: all but those
/// that certainly make a table or an index, or put values into one.
pub(super) fn sets_session(text: &str) -> bool {
    let statement = Statement {
        text,
        span: 0..text.len(),
        line: 1,
        column: 1,
    };
    let facts = sql::facts(&statement, Dialect::Mysql);
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
    !makes || !begins_so || hides || !facts.calls.is_empty()
}

#[cfg(test)]
mod tests {
    use super::sets_session;

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
