//! PostgreSQL: a transaction that is read-only, and a statement that was prepared before it is run, so
//! that it is one.
//!
//! A read-only transaction still lets functions end sessions, take locks that outlive it, and write
//! and read files of the server. Which functions a query calls, the server tells: see [`judge`].

mod judge;
mod known;
mod settings;
mod tls;
mod tree;
mod wire;

use crate::cli_error::CliError;
use crate::db::query::{
    Failure, Query, QueryColumn, QueryOutput, QueryRow, guard, no_expression, refused,
};
use crate::db::{Target, server};
use crate::model::Value;
use crate::sql::{Dialect, Token, TokenKind, tokenize};
use judge::Judge;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use wire::{Client, Column, Event, Field, Refusal, Zone};

/// So long the time zone of new sessions is waited for.
const ZONE_WITHIN: Duration = Duration::from_secs(3);

/// The last words of the names that UTC has.
const UTC: [&str; 6] = ["UTC", "GMT", "UCT", "Universal", "Zulu", "Greenwich"];

/// The statements that read. What EXPLAIN ANALYZE would write, the transaction forbids.
const BEGINS: &[&str] = &["select", "with", "values", "table", "show", "explain"];

/// What can be explained: nothing of it is made.
const EXPLAINED: &[&str] = &[
    "select", "with", "values", "table", "insert", "update", "delete", "merge",
];

/// The name of the query. Behind a pooler a name may outlive the connection, so it is taken back.
const NAME: &str = "chatctl_query";

/// Refuses statements that could do more than read, without running them.
pub(super) async fn judged(
    target: &Target,
    options: &PgConnectOptions,
    statements: &[String],
) -> anyhow::Result<()> {
    let mut client = Client::connect(target, options).await?;
    client.rows("BEGIN READ ONLY").await?;
    let mut judge = Judge::new(&mut client).await?;
    for (number, statement) in statements.iter().enumerate() {
        let name = format!("{NAME}_{number}");
        let prepared = judge.prepare(&name, statement).await;
        prepared.map_err(|error| match error.downcast::<Refusal>() {
            Ok(refusal) if refusal.code == "42501" => {
                server::no_right(target, &refusal.message).into()
            }
            Ok(refusal) => no_expression(&refusal.message).into(),
            Err(error) => error,
        })?;
    }
    judge.end().await?;
    for number in 0..statements.len() {
        client.rows(&format!("DEALLOCATE {NAME}_{number}")).await?;
    }
    Ok(())
}

/// The time zone of sessions that ask for none, unless it is UTC; none where no further connection can
/// be had.
pub(super) async fn zone(target: &Target, options: &PgConnectOptions) -> Option<String> {
    let asked = async {
        let mut client = Client::connect_in(Zone::OfNewSessions, target, options).await?;
        client.rows("SHOW TimeZone").await
    };
    let rows = tokio::time::timeout(ZONE_WITHIN, asked).await.ok()?.ok()?;
    let zone = rows.into_iter().flatten().next().flatten()?;
    let name = zone.rsplit('/').next().unwrap_or_default();
    let is_utc = UTC.iter().any(|it| name.eq_ignore_ascii_case(it));
    (!is_utc).then_some(zone)
}

pub(super) async fn run(
    target: &Target,
    options: &PgConnectOptions,
    query: &Query,
) -> anyhow::Result<()> {
    guard::names(&query.sql, Dialect::Postgres, BEGINS)?;
    let form = form(&query.sql)?;
    let mut client = Client::connect(target, options).await?;
    client.rows("BEGIN READ ONLY").await?;
    let pid = client.rows("SELECT pg_backend_pid()").await?;
    let pid: i32 = pid[0][0].as_deref().unwrap_or_default().parse()?;
    tokio::select! {
        done = read(&mut client, &form, query) => match done {
            Ok(End::All) => Ok(()),
            Ok(End::Left) => cancel(target, options, pid).await,
            Err(error) => Err(failed(target, query, error)),
        },
        () = query.answers.closed() => cancel(target, options, pid).await,
        () = query.over() => {
            cancel(target, options, pid).await?;
            Err(query.late().into())
        }
    }
    // What the transaction held is given back by the server when the connection ends.
}

/// What kind of statement it is, and how it is run.
enum Form<'s> {
    Query(&'s str),
    /// A query that is explained, and how.
    Explained(String, &'s str),
    /// A setting, which is only shown.
    Show(&'s str),
}

/// By the first words, which [`guard`] has looked at.
fn form(sql: &str) -> Result<Form<'_>, CliError> {
    let mut tokens: Vec<_> = tokenize(sql, Dialect::Postgres)
        .into_iter()
        .filter(|token| !matches!(token.kind, TokenKind::Comment | TokenKind::Semicolon))
        .collect();
    let word = |token: Option<&Token>| token.map(|token| token.text(sql).to_lowercase());
    match word(tokens.first()).as_deref() {
        Some("show") => {
            let plain = |token: &Token| {
                let named = matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
                named || token.text(sql) == "."
            };
            if tokens.iter().all(plain) {
                Ok(Form::Show(sql))
            } else {
                Err(refused("SHOW takes the name of a setting"))
            }
        }
        Some("explain") => {
            tokens.remove(0);
            let begins = |token: Option<&Token>| {
                word(token).is_some_and(|word| EXPLAINED.contains(&word.as_str()) || word == "(")
            };
            let mut options = Vec::new();
            if word(tokens.first()).as_deref() == Some("(") && !begins(tokens.get(1)) {
                while let Some(token) = (!tokens.is_empty()).then(|| tokens.remove(0)) {
                    options.push(token);
                    if token.text(sql) == ")" {
                        break;
                    }
                }
            } else {
                let is_option = |token: Option<&Token>| {
                    let word = word(token);
                    matches!(word.as_deref(), Some("analyze" | "analyse" | "verbose"))
                };
                while is_option(tokens.first()) {
                    options.push(tokens.remove(0));
                }
            }
            let plain = |token: &Token| {
                let is_word = matches!(token.kind, TokenKind::Word | TokenKind::Number);
                is_word || matches!(token.text(sql), "(" | ")" | ",")
            };
            match tokens.first() {
                Some(first) if begins(Some(first)) && options.iter().all(plain) => {
                    let texts: Vec<_> = options.iter().map(|token| token.text(sql)).collect();
                    Ok(Form::Explained(texts.join(" "), &sql[first.start..]))
                }
                _ => Err(refused("EXPLAIN would execute this statement")),
            }
        }
        _ => Ok(Form::Query(sql)),
    }
}

/// Judges the query, and then runs what was judged.
async fn read(client: &mut Client, form: &Form<'_>, query: &Query) -> anyhow::Result<End> {
    if let Form::Query(sql) | Form::Explained(_, sql) = form {
        let mut judge = Judge::new(client).await?;
        judge.prepare(NAME, sql).await?;
        judge.end().await?;
    }
    let kinds = kinds(client).await?;
    match form {
        Form::Show(sql) => client.begin(sql).await?,
        Form::Query(_) => client.execute(NAME).await?,
        Form::Explained(options, _) => {
            client
                .begin(&format!("EXPLAIN {options} EXECUTE {NAME}"))
                .await?;
        }
    }
    let end = rows(client, &kinds, query).await?;
    if end == End::All && !matches!(form, Form::Show(_)) {
        client.rows(&format!("DEALLOCATE {NAME}")).await?;
    }
    Ok(end)
}

/// Whether all rows were read.
#[derive(PartialEq, Eq)]
enum End {
    All,
    /// Nothing more can be asked on the connection.
    Left,
}

/// The numbers and names of all types.
async fn kinds(client: &mut Client) -> anyhow::Result<Vec<(u32, String)>> {
    let sql = "SELECT t.oid, coalesce(e.typname || '[]', t.typname) FROM pg_catalog.pg_type t
        LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid";
    let rows = client.rows(sql).await?;
    let pair = |row: &Vec<Option<String>>| {
        let number = row.first()?.as_deref()?.parse().ok()?;
        Some((number, row.get(1)?.clone()?))
    };
    Ok(rows.iter().filter_map(pair).collect())
}

/// Hands over what comes of the statement that runs.
async fn rows(client: &mut Client, kinds: &[(u32, String)], query: &Query) -> anyhow::Result<End> {
    let mut columns: Option<Vec<QueryColumn>> = None;
    let mut numbers = Vec::new();
    let mut given = 0;
    while given < query.rows
        && let Some(event) = client.next(query.longest).await?
    {
        match event {
            Event::Columns(found) => {
                numbers = found.iter().map(|column| column.kind).collect();
                let found = found.into_iter().map(|column| named(column, kinds));
                columns = Some(found.collect());
            }
            Event::Row(row) => {
                given += 1;
                // With the first row: until then it may still fail, and nothing has been shown.
                let first = columns.take().map(QueryOutput::Columns);
                let row = QueryOutput::Row(values(&numbers, row, query.longest));
                for answer in first.into_iter().chain([row]) {
                    if query.answers.send(answer).await.is_err() {
                        return Ok(End::Left);
                    }
                }
            }
        }
    }
    if let Some(columns) = columns {
        // Nobody who takes it is nobody who misses it.
        let _ = query.answers.send(QueryOutput::Columns(columns)).await;
    }
    if given < query.rows {
        Ok(End::All)
    } else {
        Ok(End::Left)
    }
}

/// Stops the query: the server does not look for a client that has gone.
async fn cancel(target: &Target, options: &PgConnectOptions, pid: i32) -> anyhow::Result<()> {
    let mut other: PgConnection = server::connect(target, options).await?;
    let cancel = sqlx::query("SELECT pg_cancel_backend($1)").bind(pid);
    cancel.execute(&mut other).await?;
    other.close().await?;
    Ok(())
}

/// PostgreSQL, appendix A: 57014 query_canceled, 25006 read_only_sql_transaction, 42501
/// insufficient_privilege, 42P14 what can't be prepared; class 42 is what is wrong in the text, 22 in
/// the data.
fn failed(target: &Target, query: &Query, error: anyhow::Error) -> anyhow::Error {
    let Some(told) = error.downcast_ref::<Refusal>() else {
        return error;
    };
    let failure = match told.code.as_str() {
        "25006" | "42P14" => Failure::Writes,
        "57014" => Failure::Late,
        "42501" => return server::no_right(target, &told.message).into(),
        code if code.starts_with("42") || code.starts_with("22") || code.starts_with("0A") => {
            Failure::Wrong
        }
        _ => return error.context(format!("reading `{target}`")),
    };
    query.failed(failure, &told.message).into()
}

fn named(column: Column, kinds: &[(u32, String)]) -> QueryColumn {
    let kind = kinds.iter().find(|(number, _)| *number == column.kind);
    QueryColumn {
        name: column.name,
        declared: kind.map(|(_, name)| name.clone()).unwrap_or_default(),
    }
}

/// Numbers of types that have a form of their own (`pg_type.dat`).
mod kind {
    pub(super) const BOOL: u32 = 16;
    pub(super) const BYTEA: u32 = 17;
    /// int8, int2, int4, oid, float4, float8, numeric.
    pub(super) const NUMBERS: &[u32] = &[20, 21, 23, 26, 700, 701, 1700];
}

fn values(kinds: &[u32], row: Vec<Option<Field>>, longest: usize) -> QueryRow {
    let mut shown = QueryRow::default();
    for (kind, field) in kinds.iter().zip(row) {
        let Some(field) = field else {
            shown.values.push(Value::Null);
            continue;
        };
        let text = String::from_utf8_lossy(&field.bytes);
        match *kind {
            kind::BOOL => shown.values.push(Value::Bool(text == "t")),
            kind::BYTEA => {
                let bytes = unhexed(&text);
                // Two digits a byte, behind `\\x`.
                shown.blob(&bytes, (field.whole - 2) / 2, longest / 2);
            }
            kind if kind::NUMBERS.contains(&kind) => shown.values.push(Value::number(text)),
            _ => shown.text(&text, field.whole, longest),
        }
    }
    shown
}

fn unhexed(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("\\x").unwrap_or_default().as_bytes();
    let pairs = digits.chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map_while(byte).collect()
}
