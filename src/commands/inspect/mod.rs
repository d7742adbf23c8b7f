//! `chatctl inspect`: shows the store to the person on call. It cannot write.

mod conversations;
mod mapping;
mod schema;
mod search;
mod show;
mod sql;
mod tables;

use super::{Done, Env};
use crate::cli_error::CliError;
use crate::db;
use crate::model::{Role, State, StoredMessage, ToolCall};
use crate::report::{Line, Note, Piece, Tool};
use std::time::{Duration, SystemTime};

/// Inspect the store, read-only
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the tables: rows, size, last write, and what identifies each one
    Tables(tables::Args),

    /// Show the columns, keys and indexes of a table, or of all tables
    Schema(schema::Args),

    /// Print the mapping of the chats, and why, as TOML for chatctl.toml
    Mapping(mapping::Args),

    /// List conversations, most recently written first
    Conversations(conversations::Args),

    /// Show a conversation
    Show(show::Args),

    /// Find messages by their text
    Search(search::Args),

    /// Run a read-only query
    Sql(sql::Args),
}

/// Runs it.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    let look = async {
        match &args.command {
            Command::Tables(args) => {
                tables::run(args, &*db::open_unobtrusive(env.target()?).await?, &env).await
            }
            Command::Schema(args) => {
                schema::run(args, &*db::open_unobtrusive(env.target()?).await?, &env).await
            }
            Command::Sql(args) => {
                sql::run(args, &*db::open_unobtrusive(env.target()?).await?, &env).await
            }
            Command::Mapping(args) => mapping::run(args, &env).await,
            Command::Conversations(args) => conversations::run(args, &env).await,
            Command::Show(args) => show::run(args, &env).await,
            Command::Search(args) => search::run(args, &env).await,
        }
    };
    // A query or a search stops by itself, and tells its server so; the rest takes no time.
    let looked = match &args.command {
        Command::Sql(_) | Command::Search(_) => look.await,
        _ => tokio::select! {
            looked = look => looked,
            () = env.until_gone() => Ok(()),
        },
    };
    if *env.interrupted.borrow() {
        Err(CliError::interrupted().into())
    } else {
        looked.map(|()| Done::Shown)
    }
}

/// Shows a piece. When nobody reads any more nothing is shown; the command is about to end.
async fn show(env: &Env, piece: Piece) {
    let _ = env.pieces.send(piece).await;
}

/// Reports that not everything is shown; also on stderr, where stdout is for a program.
async fn show_cut(env: &Env, text: String) {
    if !env.human {
        env.progress.note(&text);
    }
    show(env, Piece::Note(Note { text, cut: true })).await;
}

/// A moment in microseconds since 1970, as RFC 3339; one before that, or after year 9999, is reported
/// as the number that it is.
fn moment(micros: i64) -> String {
    const LAST: u64 = 253_402_300_799_999_999;
    match u64::try_from(micros) {
        Ok(after) if after <= LAST => {
            let time = SystemTime::UNIX_EPOCH + Duration::from_micros(after);
            humantime::format_rfc3339_millis(time).to_string()
        }
        _ => format!("{micros} µs since 1970"),
    }
}

fn message(message: StoredMessage) -> Line {
    let tool = |tool: ToolCall| Tool {
        name: tool.name,
        input: tool.input,
        output: tool.output,
    };
    let mut flags = Vec::new();
    if !message.on_branch {
        flags.push("not on the current branch");
    }
    if !message.decoded && message.role != Role::Other("opaque".to_owned()) {
        flags.push("undecodable: shown as stored");
    }
    Line {
        key: message.key,
        role: message.role.word().to_owned(),
        time: message.time.map(moment),
        text: message.content,
        tools: message.tools.into_iter().map(tool).collect(),
        state: match message.state {
            State::Whole => None,
            State::Open => Some("open"),
            State::Failed => Some("failed"),
            State::Deleted => Some("deleted"),
        },
        flags,
    }
}
