//! `chatctl inspect sql`: runs a read-only query.

use super::{show, show_cut};
use crate::cli_error::CliError;
use crate::commands::Env;
use crate::commands::moment::{count, duration};
use crate::db::{Db, Query, QueryColumn, QueryOutput};
use crate::report::{Align, Column, Head, Holds, Piece, Sheet};
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::Receiver;

/// How many rows may wait to be shown.
const WAITING: usize = 16;

const EXAMPLES: &str = "\
Examples:
  chatctl inspect sql --database-url sqlite:chat.db \\
    'SELECT role, count(*) FROM message GROUP BY role'
  chatctl inspect sql --limit 0 --format csv - < query.sql

`chatctl --help` lists the exit codes.";

/// Run a read-only query
///
/// One statement: SELECT, WITH, VALUES, EXPLAIN, SHOW, or a PRAGMA that only reads. The database
/// itself forbids writing; functions that act outside of the transaction are refused.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The query; `-` reads it from stdin
    query: String,

    /// Show at most this many rows; 0 shows all
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = count::<u64>, allow_negative_numbers = true)]
    limit: u64,

    /// Stop the query after this time
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    timeout: Duration,

    /// Cut values longer than this, in bytes or with the suffix K or M
    #[arg(long, default_value = "1M", value_name = "BYTES", value_parser = size)]
    max_cell: usize,
}

/// Bytes: a number, with K or M behind it for powers of 1024.
fn size(text: &str) -> Result<usize, String> {
    let (digits, scale) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        _ => (text, 0),
    };
    let bytes = digits.parse::<usize>().ok();
    let bytes = bytes.and_then(|bytes| bytes.checked_mul(1 << scale));
    bytes
        .filter(|bytes| (1..=LARGEST).contains(bytes))
        .ok_or_else(|| "it is not a size from 1 to 1000M, such as 64K".to_owned())
}

/// No engine has larger values.
const LARGEST: usize = 1000 << 20;

pub(super) async fn run(args: &Args, db: &dyn Db, env: &Env) -> anyhow::Result<()> {
    let sql = match args.query.as_str() {
        "-" => tokio::task::spawn_blocking(stdin).await??,
        _ => args.query.clone(),
    };
    if let Some(at) = sql.find('\0') {
        return Err(CliError::usage(format!(
            "the query has a NUL character, after {} characters",
            sql[..at].chars().count()
        ))
        .hint("no database reads beyond it; leave it out")
        .into());
    }
    let known = match env.mask.redact() {
        Some(_) => Some(names(db).await?),
        None => None,
    };
    if let Some(power) = db.power().await? {
        env.progress.note(&format!(
            "you read {power}; docs/databases.md says how to create a role that can only read"
        ));
    }
    let (answers, coming) = mpsc::channel(WAITING);
    let query = Query {
        sql,
        // One more shows that there are more.
        rows: match args.limit {
            0 => u64::MAX,
            limit => limit.saturating_add(1),
        },
        timeout: args.timeout,
        longest: args.max_cell,
        answers,
    };
    // The query ends when nobody takes its rows any more, and tells the server so.
    let (done, ()) = tokio::join!(db.query(query), async {
        tokio::select! {
            () = forward(coming, args, known.as_ref(), env) => {}
            () = env.until_gone() => {}
        }
    });
    done
}

fn stdin() -> anyhow::Result<String> {
    let mut sql = String::new();
    std::io::stdin()
        .read_to_string(&mut sql)
        .context("reading the query from stdin")?;
    if sql.trim().is_empty() {
        return Err(
            CliError::usage("stdin is empty, and `-` reads the query from there")
                .hint("echo 'SELECT 1' | chatctl inspect sql -")
                .into(),
        );
    }
    Ok(sql)
}

/// Shows the rows as they come, up to the limit.
async fn forward(
    mut answers: Receiver<QueryOutput>,
    args: &Args,
    known: Option<&BTreeSet<String>>,
    env: &Env,
) {
    let limit = args.limit;
    let (mut shown, mut cells) = (0, 0);
    let mut more = false;
    while let Some(answer) = answers.recv().await {
        match answer {
            QueryOutput::Columns(columns) => {
                let head = Sheet {
                    command: "inspect sql",
                    title: "query".to_owned(),
                    columns: columns
                        .into_iter()
                        .map(|named| column(hidden(named, known, env)))
                        .collect(),
                };
                show(env, Piece::Head(Head::Sheet(head))).await;
            }
            QueryOutput::Row(_) if limit > 0 && shown == limit => {
                more = true;
                break;
            }
            QueryOutput::Row(row) => {
                shown += 1;
                cells += row.cut;
                show(env, Piece::Row(row.values)).await;
            }
        }
    }
    // From here on the query holds nothing.
    drop(answers);
    if more {
        let text = format!("{limit} rows shown, the limit; more may exist (--limit)");
        show_cut(env, text).await;
    }
    if cells > 0 {
        let longest = args.max_cell;
        let text =
            format!("{cells} values are longer than {longest} bytes and are cut (--max-cell)");
        show_cut(env, text).await;
    }
}

/// The names that say nothing of what is stored: those of the columns, and of some functions.
async fn names(db: &dyn Db) -> anyhow::Result<BTreeSet<String>> {
    let functions = ["avg", "count", "count(*)", "id", "max", "min", "now", "sum"];
    let schema = db.schema().await?;
    let columns = schema.into_iter().flat_map(|table| table.columns);
    let columns = columns.map(|column| column.name.to_lowercase());
    Ok(columns.chain(functions.map(str::to_owned)).collect())
}

/// With `--redact`: a name that is none of a column may be what is stored, or quote it.
fn hidden(mut named: QueryColumn, known: Option<&BTreeSet<String>>, env: &Env) -> QueryColumn {
    if let (Some(known), Some(redact)) = (known, env.mask.redact())
        && !known.contains(&named.name.to_lowercase())
    {
        named.name = redact.content(&named.name);
    }
    named
}

fn column(named: QueryColumn) -> Column {
    let numbers = [
        "int", "decimal", "numeric", "float", "double", "oid", "year",
    ];
    let is_number = numbers.iter().any(|name| named.declared.contains(name))
        && !named.declared.contains("interval")
        && !named.declared.contains("point");
    Column {
        name: named.name,
        align: if is_number { Align::Right } else { Align::Left },
        declared: named.declared,
        holds: Holds::Stored,
        spare: None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, LARGEST, QueryColumn, column, size};

    #[test]
    fn a_size_is_a_number_of_bytes_or_has_a_unit() {
        for (text, bytes) in [
            ("1", Some(1)),
            ("64K", Some(64 << 10)),
            ("64k", Some(64 << 10)),
            ("1M", Some(1 << 20)),
            ("1000m", Some(LARGEST)),
            ("1001M", None),
            ("0", None),
            ("0K", None),
            ("-1", None),
            ("1.5M", None),
            ("1G", None),
            ("M", None),
            ("18446744073709551615M", None),
            ("", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn numbers_are_aligned_to_the_right() {
        for (declared, align) in [
            ("int4", Align::Right),
            ("decimal(10,2)", Align::Right),
            ("double precision", Align::Right),
            ("interval", Align::Left),
            ("point", Align::Left),
            ("text", Align::Left),
            ("", Align::Left),
        ] {
            let named = QueryColumn {
                name: "n".to_owned(),
                declared: declared.to_owned(),
            };
            assert_eq!(column(named).align, align, "{declared}");
        }
    }
}
