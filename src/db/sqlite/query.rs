//! SQLite: the authorizer is asked for every act of a statement while it is compiled, and lets
//! only reading pass. Besides, the file is opened to be read only, and the connection is told so.

use super::file;
use super::file::Opened;
use crate::cli_error::CliError;
use crate::db::Target;
use crate::db::query::{
    Failure, Query, QueryColumn, QueryOutput, QueryRow, empty, no_expression, refused,
};
use crate::model::Value;
use crate::text::plural;
use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, ErrorCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::error::TrySendError;

/// How many steps of the engine's machine pass between two looks at the clock: about a millisecond.
const STEPS: i32 = 10_000;

/// What a pragma may be asked that only tells something; with a value it would set it.
const ASKED: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "collation_list",
    "compile_options",
    // A full-text table asks for it when it is read.
    "data_version",
    "database_list",
    "encoding",
    "freelist_count",
    "function_list",
    "journal_mode",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "schema_version",
    "user_version",
];

/// Pragmas whose value says what they tell of.
const ASKED_OF: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// How long a query may keep others from committing; what takes longer reads a copy.
const SHORT: Duration = Duration::from_millis(200);

/// How much of its answer is held meanwhile.
const HELD: usize = 8 << 20;

/// How large a value may be that the engine makes or reads, and how much memory it may take.
const VALUE: usize = 64 << 20;
const MEMORY: usize = 512 << 20;

/// How long the engine may take to notice that its time is over. Some functions are never left
/// before they end: then the thread is left behind, and ends with the process.
const NOTICES: Duration = Duration::from_secs(2);

pub(super) async fn run(target: Target, wait: Duration, query: Query) -> anyhow::Result<()> {
    let late = query.late();
    let end = query.timeout.saturating_add(NOTICES);
    let read = tokio::task::spawn_blocking(move || read(&target, wait, &query));
    match tokio::time::timeout(end, read).await {
        Ok(done) => done?,
        Err(_) => Err(late.into()),
    }
}

/// How a read ended.
#[derive(PartialEq, Eq)]
enum End {
    /// All that is wanted was handed over.
    Done,
    /// It took too long, or gave too much, to be read in one go.
    TooMuch,
}

fn read(target: &Target, wait: Duration, query: &Query) -> anyhow::Result<()> {
    let ends = Instant::now() + query.timeout;
    let opened = Opened::open(target, wait)?;
    if !opened.locks() {
        shown(&opened, query, ends)?;
        return if opened.is_current() {
            Ok(())
        } else {
            Err(file::written(target).into())
        };
    }
    let (mut held, mut size) = (Vec::new(), 0);
    let soon = ends.min(Instant::now() + SHORT);
    let end = guarded(&opened, query, soon, |answer| {
        size += weight(&answer);
        held.push(answer);
        size <= HELD
    })?;
    if end == End::Done {
        // The file is let go before anybody is waited for.
        drop(opened);
        held.into_iter().all(|answer| send(query, ends, answer));
        return Ok(());
    }
    drop(held);
    if query.answers.is_closed() {
        return Ok(());
    }
    let copy = file::copy(&opened, target, ends)?;
    drop(opened);
    shown(&copy, query, ends)
}

/// Hands the rows over as they are read.
fn shown(connection: &Connection, query: &Query, ends: Instant) -> anyhow::Result<()> {
    match guarded(connection, query, ends, |answer| send(query, ends, answer))? {
        End::Done => Ok(()),
        // Nobody wants more.
        End::TooMuch if query.answers.is_closed() => Ok(()),
        End::TooMuch => Err(query.late().into()),
    }
}

/// Waits while too many answers wait, but not for longer than the query may take.
fn send(query: &Query, ends: Instant, mut answer: QueryOutput) -> bool {
    loop {
        match query.answers.try_send(answer) {
            Ok(()) => return true,
            Err(TrySendError::Closed(_)) => return false,
            Err(TrySendError::Full(back)) => answer = back,
        }
        if Instant::now() > ends {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn weight(answer: &QueryOutput) -> usize {
    let bytes = |value: &Value| match value {
        Value::Text(text) | Value::Number(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        Value::Null | Value::Bool(_) => 0,
    };
    match answer {
        QueryOutput::Columns(_) => 0,
        QueryOutput::Row(row) => row.values.iter().map(|value| 32 + bytes(value)).sum(),
    }
}

/// Refuses statements that could do more than read, without running them.
pub(super) fn judged(target: &Target, wait: Duration, statements: &[String]) -> anyhow::Result<()> {
    let opened = Opened::open(target, wait)?;
    for statement in statements {
        watched(&opened, || match opened.prepare(statement) {
            Ok(_) => Ok(()),
            Err(error) => Err(no_expression(&error.to_string()).into()),
        })?;
    }
    Ok(())
}

/// Runs the query on a connection that lets only reading pass, until `ends`.
fn guarded(
    connection: &Connection,
    query: &Query,
    ends: Instant,
    take: impl FnMut(QueryOutput) -> bool,
) -> anyhow::Result<End> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    let value = i32::try_from(VALUE.max(query.longest)).unwrap_or(i32::MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, value)?;
    connection.query_row(
        &format!("PRAGMA hard_heap_limit = {MEMORY}"),
        [],
        |_| Ok(()),
    )?;
    let answers = query.answers.clone();
    let over = move || Instant::now() >= ends || answers.is_closed() || file::is_stopped();
    connection.progress_handler(STEPS, Some(over))?;
    let done = watched(connection, || rows(connection, query, take));
    connection.progress_handler(0, None::<fn() -> bool>)?;
    let interrupted = |error: &anyhow::Error| {
        let error = error.downcast_ref::<rusqlite::Error>();
        error.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::OperationInterrupted)
    };
    match done {
        Err(error) if interrupted(&error) => Ok(End::TooMuch),
        Err(error) => Err(match error.downcast::<rusqlite::Error>() {
            Ok(error) => failed(query, &error),
            Err(error) => error,
        }),
        done => done,
    }
}

/// Does something while the authorizer watches what is compiled; what it denied is why that failed.
fn watched<T>(
    connection: &Connection,
    act: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let denied = Arc::new(Mutex::new(None));
    let notes = Arc::clone(&denied);
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        match judge(&context.action) {
            Ok(()) => Authorization::Allow,
            Err(what) => {
                let mut denied = notes.lock().unwrap_or_else(PoisonError::into_inner);
                denied.get_or_insert(what);
                Authorization::Deny
            }
        }
    }))?;
    let done = act();
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    let denied = denied.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (done, denied) {
        (Err(_), Some(what)) => Err(refused(&what).into()),
        (done, _) => done,
    }
}

fn rows(
    connection: &Connection,
    query: &Query,
    mut take: impl FnMut(QueryOutput) -> bool,
) -> anyhow::Result<End> {
    let mut batch = Batch::new(connection, &query.sql);
    let Some(mut statement) = batch.next()? else {
        return Err(empty().into());
    };
    if batch.next()?.is_some() {
        return Err(refused("it is more than one statement").into());
    }
    // SQLite takes a placeholder without a value for NULL, and nothing equals that.
    let placeholders = statement.parameter_count();
    if placeholders > 0 {
        let what = plural(placeholders as u64, "placeholder");
        return Err(
            CliError::usage(format!("the query has {what}, and no values"))
                .hint("write the values into the query: WHERE id = 7")
                .into(),
        );
    }
    let columns: Vec<_> = statement
        .column_names()
        .into_iter()
        .map(|name| QueryColumn {
            name: name.to_owned(),
            declared: String::new(),
        })
        .collect();
    let count = columns.len();
    // With the first row: until then it may still fail, and nothing has been shown.
    let mut columns = Some(columns);
    let mut rows = statement.raw_query();
    let mut given = 0;
    while given < query.rows
        && let Some(row) = rows.next()?
    {
        given += 1;
        let mut shown = QueryRow::default();
        for index in 0..count {
            value(row.get_ref(index)?, query.longest, &mut shown);
        }
        let first = columns.take().map(QueryOutput::Columns);
        if !first
            .into_iter()
            .chain([QueryOutput::Row(shown)])
            .all(&mut take)
        {
            return Ok(End::TooMuch);
        }
    }
    columns.map(QueryOutput::Columns).map(take);
    Ok(End::Done)
}

/// What a statement may do; else what it would have done.
fn judge(action: &AuthAction<'_>) -> Result<(), String> {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Ok(()),
        AuthAction::Function { function_name } => {
            match function_name.to_ascii_lowercase().as_str() {
                name @ ("load_extension" | "fts3_tokenizer") => {
                    Err(format!("`{name}` runs code from outside"))
                }
                _ => Ok(()),
            }
        }
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } => {
            let name = pragma_name.to_ascii_lowercase();
            let tells = ASKED_OF.contains(&name.as_str())
                || pragma_value.is_none() && ASKED.contains(&name.as_str());
            if tells {
                Ok(())
            } else {
                Err(format!("`PRAGMA {name}` can change something"))
            }
        }
        other => Err(format!("it does more than read: {}", act(other))),
    }
}

/// The act in words, out of the name that the engine has for it.
fn act(action: &AuthAction<'_>) -> String {
    let spelled = format!("{action:?}");
    let name = spelled.split([' ', '{', '(']).next().unwrap_or_default();
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

fn failed(query: &Query, error: &rusqlite::Error) -> anyhow::Error {
    let failure = match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => Failure::Late,
        Some(ErrorCode::ReadOnly) => Failure::Writes,
        Some(ErrorCode::TooBig) => {
            return CliError::usage(format!(
                "a value of the query is larger than {} MB",
                VALUE >> 20
            ))
            .hint("ask for its length() or for a part of it: substr(…, 1, 1000)")
            .into();
        }
        Some(ErrorCode::OutOfMemory) => {
            return CliError::usage(format!(
                "the query needs more than {} MB of memory",
                MEMORY >> 20
            ))
            .hint("narrow it with WHERE and LIMIT, or ask for smaller values")
            .into();
        }
        Some(ErrorCode::Unknown) | None => Failure::Wrong,
        Some(_) => return anyhow::anyhow!("reading: {error}"),
    };
    query.failed(failure, &error.to_string()).into()
}

/// By the class of each value, not by the declared type of its column.
fn value(value: ValueRef<'_>, longest: usize, row: &mut QueryRow) {
    match value {
        ValueRef::Null => row.values.push(Value::Null),
        ValueRef::Integer(number) => row.values.push(Value::Number(number.to_string())),
        // With a point or an exponent: it is not a whole number.
        ValueRef::Real(number) => row.values.push(Value::number(format!("{number:?}"))),
        // A text may hold bytes that are none; what is shown is what is stored.
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => row.text(text, text.len(), longest),
            Err(_) => row.blob(bytes, bytes.len(), longest),
        },
        ValueRef::Blob(bytes) => row.blob(bytes, bytes.len(), longest),
    }
}
