//! Shared by the server backends: connecting, values in a statement's text, tables.

use super::Target;
use crate::cli_error::{CliError, Doing};
use crate::model::{Cell, Column, Engine, Table};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};
use tokio::runtime::{Builder, Runtime};

/// How long a server may take to answer to a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// How long a read may take: long enough for a large table, and never forever behind a lock.
pub(super) const READ: Duration = Duration::from_secs(30);
/// How many connections read at a time; a store in use has other clients to serve.
pub(super) const READERS: u32 = 4;

/// Where a session waits for its server: in the thread that asks. With workers, another thread would hear
/// each answer and wake it.
pub(super) struct Waiter(Option<Runtime>);

impl Waiter {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Arc::new(Self(Some(runtime))))
    }

    pub(super) fn block_on<F: Future>(&self, work: F) -> F::Output {
        let runtime = self.0.as_ref();
        runtime
            .expect("it is there until it is dropped")
            .block_on(work)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // A session may end where nothing may block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Connects once: a pool would try again and again, and then tell no more than that it gave up.
pub(super) async fn connect<C: sqlx::Connection>(
    target: &Target,
    options: &C::Options,
) -> Result<C, CliError> {
    let at = target.address();
    match tokio::time::timeout(CONNECT, C::connect_with(options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => {
            let (hint, passing) = (hint(target, &error), is_passing(&error));
            let stop = CliError::unreachable(match &error {
                // The first byte of PostgreSQL's answer is S, N or E.
                sqlx::Error::Protocol(told) if told.contains("SSLRequest") => {
                    format!("can't open `{target}`: the program at `{at}` is not PostgreSQL")
                }
                _ => format!("can't open `{target}` at `{at}`: {}", DriverError(error)),
            })
            .hint(hint);
            Err(if passing { stop.passing() } else { stop })
        }
        Err(_) => Err(CliError::unreachable(format!(
            "can't open `{target}`: no answer from `{at}` within {CONNECT:?}"
        ))
        .hint("check host and port in --database-url, and any firewall in between")
        .passing()),
    }
}

/// Whether a server that is starting, or has too many clients, answers so.
fn is_passing(error: &sqlx::Error) -> bool {
    /// SQLSTATE: PostgreSQL's while it starts, stops and recovers, and for too many connections;
    /// MySQL's for too many connections, and while it stops.
    const CODES: [&str; 6] = ["57P01", "57P02", "57P03", "53300", "08004", "08S01"];
    let code = error.as_database_error().and_then(|error| error.code());
    match (error, code) {
        // Nobody listens yet, or the name is not known yet.
        (sqlx::Error::Io(_), _) => true,
        (_, Some(code)) => CODES.contains(&&*code),
        _ => false,
    }
}

fn hint(target: &Target, error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code());
    match (error, code.as_deref()) {
        (sqlx::Error::Io(error), _) if error.to_string().contains("lookup") => format!(
            "this machine knows no host of that name; the name of a service works only inside its container \
                network: publish its port, and use 127.0.0.1 for {}",
            target.address()
        ),
        (sqlx::Error::Io(_), _) => {
            format!(
                "start the database server, or fix host and port in --database-url: {}",
                target.address()
            )
        }
        (sqlx::Error::Tls(error), _) if error.to_string().contains("not support TLS") => format!(
            "the server offers no TLS: `?sslmode={}` connects without it",
            match target.engine() {
                Engine::Mysql => "disabled",
                Engine::Postgres | Engine::Sqlite => "disable",
            }
        ),
        (sqlx::Error::Protocol(_), _) => format!(
            "another program may listen at {}: check host and port in --database-url",
            target.address()
        ),
        // SQLSTATE of PostgreSQL and of MySQL; MySQL also limits the connections of a user.
        (error, Some(code)) if ["53300", "08004"].contains(&code) || of_a_user(error) => format!(
            "the server has no free connection: {}, or raise the limit",
            match target.engine() {
                Engine::Mysql => "see who is connected with SHOW PROCESSLIST",
                Engine::Postgres | Engine::Sqlite => "see who is connected in pg_stat_activity",
            }
        ),
        (sqlx::Error::Tls(_), _) => "declare the encryption in the URL: `?sslmode=`".to_owned(),
        // SQLSTATE: PostgreSQL's for an unknown database, and MySQL's for one that is unknown or
        // closed to the user.
        (_, Some("3D000" | "42000")) => format!(
            "create the database `{}` first, or grant this user access: chatctl never creates the store",
            target.database()
        ),
        // SQLSTATE, class 28: the log-in is refused.
        (_, Some("28000" | "28P01")) => "fix user and password in --database-url; percent-encode special characters, such as %40 for @".to_owned(),
        // SQLSTATE: a pooler that keeps no settings for a connection.
        (_, Some("08P01")) => "if this is a pooler, name the database behind it with --read-from".to_owned(),
        _ => "check --database-url".to_owned(),
    }
}

/// Whether MySQL says that this user has too many connections.
fn of_a_user(error: &sqlx::Error) -> bool {
    let told = error.as_database_error().map(|told| told.message());
    told.is_some_and(|told| told.contains("max_user_connections"))
}

/// A read that failed. A pool says only that it waited: a server that was opened before and has no
/// connection now went away, or has none left.
pub(super) fn reading(target: &Target, error: sqlx::Error) -> anyhow::Error {
    match error {
        sqlx::Error::PoolTimedOut => CliError::unreachable(format!(
            "`{target}` opened no connection within {CONNECT:?}, although it did before"
        ))
        .hint("restart the database server, or raise its connection limit")
        .into(),
        error => match error.as_database_error() {
            // 42501 insufficient_privilege; MySQL says it in words.
            Some(told)
                if told.code().as_deref() == Some("42501")
                    || told.message().contains("command denied to user") =>
            {
                no_right(target, told.message()).into()
            }
            told => {
                let lock = told.and_then(|told| lock(target, told.message()));
                while_reading(target, DriverError(error).into(), lock)
            }
        },
    }
}

/// How to find the lock that a read may have waited for, when it was stopped for taking too long.
fn lock(target: &Target, told: &str) -> Option<String> {
    const LATE: [&str; 5] = [
        "due to statement timeout",
        "due to lock timeout",
        "max_statement_time exceeded",
        "maximum statement execution time exceeded",
        "Lock wait timeout exceeded",
    ];
    if !LATE.iter().any(|late| told.contains(late)) {
        return None;
    }
    let list = match target.engine() {
        Engine::Mysql => "SHOW FULL PROCESSLIST",
        Engine::Postgres | Engine::Sqlite => {
            "SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        }
    };
    Some(format!(
        "another transaction may hold a lock: while the command waits, {list} shows which one; end it"
    ))
}

/// An error of a read, with what to do about it where that is known.
pub(super) fn while_reading(
    target: &Target,
    error: anyhow::Error,
    hint: Option<String>,
) -> anyhow::Error {
    let what = format!("reading `{target}`");
    match hint {
        Some(hint) => error.context(Doing { what, hint }),
        None => error.context(what),
    }
}

/// An error of the driver, as it is reported: what the server said, once, and not where in its own source.
#[derive(Debug)]
pub(super) struct DriverError(pub(super) sqlx::Error);

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_database_error() {
            Some(told) => f.write_str(told.message()),
            None => write!(f, "{}", self.0),
        }
    }
}

impl std::error::Error for DriverError {}

/// The driver's error in another one.
pub(super) fn driver(error: &anyhow::Error) -> Option<&sqlx::Error> {
    error.chain().find_map(|it| {
        let told = it.downcast_ref::<DriverError>().map(|told| &told.0);
        told.or_else(|| it.downcast_ref())
    })
}

/// Whether a read failed because the table does not exist, and for nothing else.
pub fn is_missing_table(error: &anyhow::Error) -> bool {
    let told = driver(error).and_then(sqlx::Error::as_database_error);
    match told.and_then(|told| told.code()) {
        // SQLSTATE of PostgreSQL and of MySQL.
        Some(code) => code == "42P01" || code == "42S02",
        None => format!("{error:#}").contains("no such table"),
    }
}

/// A read that failed, by whatever.
pub(super) fn failed(target: &Target, error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<sqlx::Error>() {
        Ok(error) => reading(target, error),
        Err(error) => error.context(format!("reading `{target}`")),
    }
}

/// The user lacks a right, which the server names.
pub(super) fn no_right(target: &Target, message: &str) -> CliError {
    CliError::unreachable(format!(
        "this user may not read it in `{target}`: {message}"
    ))
    .hint(grant(message))
}

/// What gives a right to read: `permission denied for table message`.
pub fn grant(message: &str) -> String {
    let of = |kind: &str| {
        let name = message
            .strip_prefix("permission denied for ")?
            .strip_prefix(kind)?;
        Some(name.trim().to_owned())
    };
    if let Some(table) = of("table ")
        .or_else(|| of("view "))
        .or_else(|| of("relation "))
    {
        format!(
            "as its owner: GRANT SELECT ON {table} TO this user; for all tables: GRANT pg_read_all_data TO it"
        )
    } else if message.contains("command denied to user") {
        "as root: GRANT SELECT ON the database.* TO this user, and SHOW VIEW for its views"
            .to_owned()
    } else if let Some(schema) = of("schema ") {
        format!("as its owner: GRANT USAGE ON SCHEMA {schema} TO this user")
    } else if let Some(sequence) = of("sequence ") {
        format!("as its owner: GRANT SELECT ON SEQUENCE {sequence} TO this user")
    } else if let Some(function) = of("function ") {
        format!("as its owner: GRANT EXECUTE ON FUNCTION {function} TO this user")
    } else {
        "read as a user who has the right, or let the owner GRANT it".to_owned()
    }
}

/// An option of the URL that the driver can't take.
pub(super) fn unusable(target: &Target, error: &sqlx::Error) -> CliError {
    CliError::usage(format!("`{target}` can't be used: {error}"))
        .hint("fix the parameters after `?` in --database-url")
}

/// A statement with each `?` replaced by a value, as `literal` writes it. Only so do the servers
/// answer in text, and text is how they print every type they have.
pub(super) fn inlined(
    sql: &str,
    args: &[Cell],
    literal: fn(&Cell) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let mut text = String::with_capacity(sql.len());
    let mut values = args.iter();
    let mut quoted = None;
    for c in sql.chars() {
        match (quoted, c) {
            (None, '?') => {
                let value = values.next().ok_or_else(|| missing(sql))?;
                text.push_str(&literal(value)?);
                continue;
            }
            (None, '\'' | '"' | '`') => quoted = Some(c),
            // A doubled quote closes and opens again, which comes to the same.
            (Some(quote), c) if quote == c => quoted = None,
            _ => {}
        }
        text.push(c);
    }
    match values.next() {
        None => Ok(text),
        Some(_) => Err(missing(sql)),
    }
}

/// Whether a text could be more than one statement; then it is prepared first, which takes only one.
pub(super) fn may_be_several(sql: &str) -> bool {
    sql.contains(';')
}

fn missing(sql: &str) -> anyhow::Error {
    anyhow::anyhow!("the query needs as many values as placeholders: `{sql}`")
}

/// Rows of table, column, declared type, whether it is a key, and reference, as tables. A table
/// without columns has one row, without a column.
pub(super) fn tables(rows: &[Vec<Cell>]) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for row in rows {
        let name = row[0].to_string();
        // Not only the last one: a server may order names that differ in case as if they were one.
        let known = tables.iter().position(|table| table.name == name);
        let at = known.unwrap_or(tables.len());
        if known.is_none() {
            tables.push(Table {
                name,
                columns: Vec::new(),
            });
        }
        let table = &mut tables[at];
        if let Some(name) = row[1].text() {
            table.columns.push(Column {
                name: name.to_owned(),
                declared: row[2].to_string().to_uppercase(),
                key: row[3].int().unwrap_or(0) > 0,
                references: row[4].text().map(str::to_owned),
            });
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::{Cell, inlined};

    fn bracketed(cell: &Cell) -> anyhow::Result<String> {
        Ok(format!("<{cell}>"))
    }

    #[test]
    fn values_stand_where_the_placeholders_stood() {
        let args = [Cell::Int(1), Cell::Text("?'".into())];
        let sql = "SELECT '?''?', \"a?\", `b?` WHERE x = ? AND y = ?";
        assert_eq!(
            inlined(sql, &args, bracketed).unwrap(),
            "SELECT '?''?', \"a?\", `b?` WHERE x = <1> AND y = <?'>"
        );
    }

    #[test]
    fn a_value_too_many_or_too_few_is_an_error() {
        for sql in ["SELECT 1", "SELECT ?, ?"] {
            assert!(inlined(sql, &[Cell::Null], bracketed).is_err());
        }
    }
}
