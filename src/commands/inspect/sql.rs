//! `chatctl inspect sql`: a query of one's own, which can only read.

use super::show;
use crate::commands::Env;
use crate::db::Answer;
use crate::db::Db;
use crate::db::Named;
use crate::db::Query;
use crate::report::Align;
use crate::report::Column;
use crate::report::Head;
use crate::report::Note;
use crate::report::Piece;
use crate::report::Sheet;
use anyhow::Context as _;
use std::io::Read as _;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::Receiver;

/// How many rows may wait to be shown.
const WAITING: usize = 1024;

/// Run a query that can only read
///
/// One statement: SELECT, WITH, VALUES, EXPLAIN, SHOW, or a PRAGMA that tells something. The
/// engine itself forbids writing; functions that act outside of the transaction are refused.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The query; `-` reads it from stdin
    query: String,

    /// Show at most so many rows; 0 shows all
    #[arg(long, default_value_t = 1000, value_name = "ROWS")]
    limit: u64,

    /// Stop the query after so long
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

pub(super) async fn run(args: &Args, db: &dyn Db, env: &Env) -> anyhow::Result<()> {
    let sql = match args.query.as_str() {
        "-" => tokio::task::spawn_blocking(stdin).await??,
        _ => args.query.clone(),
    };
    let (answers, coming) = mpsc::channel(WAITING);
    let query = Query {
        sql,
        timeout: args.timeout,
        answers,
    };
    // The query ends when nobody takes its rows any more, and tells the server so.
    let (done, ()) = tokio::join!(db.query(query), async {
        tokio::select! {
            () = forward(coming, args.limit, env) => {}
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
    Ok(sql)
}

/// Shows the rows as they come, up to the limit.
async fn forward(mut answers: Receiver<Answer>, limit: u64, env: &Env) {
    let mut shown = 0;
    while let Some(answer) = answers.recv().await {
        match answer {
            Answer::Columns(columns) => {
                let head = Sheet {
                    command: "inspect sql",
                    title: "query".to_owned(),
                    columns: columns.into_iter().map(column).collect(),
                };
                show(env, Piece::Head(Head::Sheet(head))).await;
            }
            Answer::Row(_) if limit > 0 && shown == limit => {
                let text = format!("{limit} rows shown, the limit; more may exist (--limit)");
                env.progress.note(&text);
                return show(env, Piece::Note(Note { text, cut: true })).await;
            }
            Answer::Row(values) => {
                shown += 1;
                show(env, Piece::Row(values)).await;
            }
        }
    }
}

fn column(named: Named) -> Column {
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
        stored: true,
    }
}
