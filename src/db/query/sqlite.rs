//! SQLite: the authorizer is asked for every act of a statement while it is compiled, and lets
//! only reading pass. Besides, the file is opened to be read only, and the connection is told so.

use super::Answer;
use super::Failure;
use super::Named;
use super::Query;
use super::refused;
use crate::db::Target;
use crate::model::Value;
use crate::stop::Stop;
use anyhow::Context as _;
use rusqlite::Batch;
use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::AuthAction;
use rusqlite::hooks::AuthContext;
use rusqlite::hooks::Authorization;
use rusqlite::types::ValueRef;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// How many steps of the engine's machine pass between two looks at the clock: about a millisecond.
const STEPS: i32 = 10_000;

/// What a pragma may be asked that only tells something; with a value it would set it.
const ASKED: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "collation_list",
    "compile_options",
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

pub(in crate::db) async fn run(target: Target, wait: Duration, query: Query) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || read(&target, wait, &query)).await?
}

fn read(target: &Target, wait: Duration, query: &Query) -> anyhow::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(target.path(), flags)
        .with_context(|| format!("opening `{target}`"))?;
    connection.busy_timeout(wait)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
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
    let (ends, answers) = (Instant::now() + query.timeout, query.answers.clone());
    connection.progress_handler(
        STEPS,
        Some(move || Instant::now() >= ends || answers.is_closed()),
    )?;
    let done = rows(&connection, query);
    let denied = denied.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (done, denied) {
        (Err(_), Some(what)) => Err(refused(&what).into()),
        (done, _) => done,
    }
}

fn rows(connection: &Connection, query: &Query) -> anyhow::Result<()> {
    let mut batch = Batch::new(connection, &query.sql);
    let Some(mut statement) = batch.next().map_err(|error| failed(query, &error))? else {
        return Err(Stop::usage("the query is empty").into());
    };
    if batch
        .next()
        .map_err(|error| failed(query, &error))?
        .is_some()
    {
        return Err(refused("it is more than one statement").into());
    }
    let columns: Vec<_> = statement
        .column_names()
        .into_iter()
        .map(|name| Named {
            name: name.to_owned(),
            declared: String::new(),
        })
        .collect();
    let count = columns.len();
    // With the first row: until then it may still fail, and nothing has been shown.
    let mut columns = Some(columns);
    let send = |answer| query.answers.blocking_send(answer).is_ok();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(|error| failed(query, &error))? {
        let values = (0..count).map(|index| Ok(value(row.get_ref(index)?)));
        let values = values.collect::<anyhow::Result<_>>()?;
        let first = columns.take().map(Answer::Columns);
        if !first.into_iter().chain([Answer::Row(values)]).all(send) {
            return Ok(());
        }
    }
    columns.map(Answer::Columns).map(send);
    Ok(())
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
            match tells {
                true => Ok(()),
                false => Err(format!("`PRAGMA {name}` can change something")),
            }
        }
        other => Err(format!("it is no reading: {}", act(other))),
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
        Some(ErrorCode::Unknown) | None => Failure::Wrong,
        Some(_) => return anyhow::anyhow!("reading: {error}"),
    };
    query.failed(failure, &error.to_string()).into()
}

/// By the class of each value, not by the declared type of its column.
fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Number(number.to_string()),
        // With a point or an exponent: it is no whole number.
        ValueRef::Real(number) => Value::number(format!("{number:?}")),
        // A text may hold bytes that are none; what is shown is what is stored.
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
