//! `chatctl inspect show`: one conversation, as a transcript or as it is stored.

use super::{message, moment};
use crate::cli_error::CliError;
use crate::commands::Env;
use crate::commands::chats::Chats;
use crate::model::{Cell, Value};
use crate::report::{Column, Head, Holds, Note, Piece, Sheet, Transcript};
use crate::store;

/// Show a conversation
///
/// Messages of abandoned branches follow those of the current branch. If the chats are stored twice,
/// messages that only one place has are listed at the end.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The conversation's id, or a unique beginning of it
    #[arg(value_name = "ID")]
    conversation: String,

    /// Show the rows of the messages as they are stored
    #[arg(long)]
    raw: bool,

    /// Show messages of more than 4000 characters, and images in base64, completely
    #[arg(long)]
    full: bool,
}

pub(super) async fn run(args: &Args, env: &Env) -> anyhow::Result<()> {
    let chats = env.chats().await?;
    let found = store::find(chats.db.as_ref(), &chats.mapping, &args.conversation).await?;
    let key = match found.as_slice() {
        [] => return Err(none(&args.conversation).into()),
        [key] => key,
        several => return Err(ambiguous(&args.conversation, several).into()),
    };
    if args.raw {
        raw(&chats, key, env).await
    } else {
        transcript(&chats, key, args.full, env).await
    }
}

async fn transcript(chats: &Chats, key: &str, full: bool, env: &Env) -> anyhow::Result<()> {
    let (db, mapping) = (chats.db.as_ref(), &chats.mapping);
    let one = store::one(db, mapping, key).await?;
    let messages = store::conversation(db, mapping, key).await?;
    let head = Transcript {
        command: "inspect show",
        key: key.to_owned(),
        title: one.title,
        user: one.user,
        created: one.created.map(moment),
        last: one.last.map(moment),
        full,
    };
    super::show(env, Piece::Head(Head::Transcript(head))).await;
    let last = messages.iter().rposition(|message| message.on_branch);
    for (at, one_message) in messages.iter().enumerate() {
        let mut line = message(one_message.clone());
        if one.unanswered && Some(at) == last {
            line.flags.push("unanswered");
        }
        super::show(env, Piece::Line(Box::new(line))).await;
    }
    for (index, other) in mapping.stores.iter().enumerate().skip(1) {
        let kept = store::conversation(db, &mapping.only(index), key).await?;
        for difference in store::reconcile(&messages, &kept) {
            let (has, lacks) = if difference.in_first {
                (mapping.table(), other.table())
            } else {
                (other.table(), mapping.table())
            };
            let message = difference.message;
            let text = format!(
                "stored twice, with a difference: the {} message {:?} of `{has}` is not in `{lacks}`",
                message.role, message.key
            );
            super::show(env, Piece::Note(Note { text, cut: false })).await;
        }
    }
    Ok(())
}

async fn raw(chats: &Chats, key: &str, env: &Env) -> anyhow::Result<()> {
    let (columns, rows) = store::raw(chats.db.as_ref(), &chats.mapping, key).await?;
    let column = |name: &String| Column::of(Holds::Stored, name);
    let head = Sheet {
        command: "inspect show",
        title: format!("rows of {key:?} in {}", chats.mapping.table()),
        columns: columns.iter().map(column).collect(),
    };
    super::show(env, Piece::Head(Head::Sheet(head))).await;
    for row in rows {
        let row = row.into_iter().map(|cell| match cell {
            Cell::Null => Value::Null,
            Cell::Int(number) => Value::Number(number.to_string()),
            Cell::Real(number) => Value::number(number.to_string()),
            Cell::Text(text) => Value::Text(text),
            Cell::Blob(bytes) => Value::Blob(bytes),
        });
        super::show(env, Piece::Row(row.collect())).await;
    }
    Ok(())
}

fn none(id: &str) -> CliError {
    CliError::usage(format!("no conversation has an id that begins with {id:?}"))
        .hint("`chatctl inspect conversations` lists them")
}

fn ambiguous(id: &str, keys: &[String]) -> CliError {
    const TOLD: usize = 10;
    let told: Vec<_> = keys
        .iter()
        .take(TOLD)
        .map(|key| format!("{key:?}"))
        .collect();
    let more = if keys.len() > TOLD { ", and more" } else { "" };
    CliError::usage(format!(
        "the ids of several conversations begin with {id:?}: {}{more}",
        told.join(", ")
    ))
    .hint("give more of the id")
}
