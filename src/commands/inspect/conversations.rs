//! `chatctl inspect conversations`: lists conversations, and those that wait for an answer.

use super::{moment, show, show_cut};
use crate::cli_error::CliError;
use crate::commands::Env;
use crate::commands::moment::{count, span};
use crate::model::{Conversation, Value};
use crate::report::{Column, Head, Holds, Piece, Sheet};
use crate::store;
use crate::store::{Filter, Mapping};

/// List conversations, most recently written first
///
/// `unanswered` marks those that end with the user's message, or with an empty or failed answer.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show at most this many; 0 shows all
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = count::<u32>, allow_negative_numbers = true)]
    limit: u32,

    /// Only conversations with a message since then: an age (24h) or a time (2026-11-21T08:00:00Z)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Only conversations of this user id
    #[arg(long, value_name = "ID")]
    user: Option<String>,

    /// Only conversations that wait for an answer, of any age
    #[arg(long)]
    unanswered: bool,
}

pub(super) async fn run(args: &Args, env: &Env) -> anyhow::Result<()> {
    let (since, _) = span(args.since.as_deref(), None)?;
    let chats = env.chats().await?;
    if args.user.is_some() && !has_user(&chats.mapping) {
        return Err(
            CliError::usage("the mapping names no user, so --user selects nothing")
                .hint(
                    "leave --user out, or declare `user` in [store.conversation] (docs/mapping.md)",
                )
                .into(),
        );
    }
    let filter = Filter {
        limit: match args.limit {
            0 => u32::MAX,
            limit => limit,
        } as usize,
        since,
        user: args.user.clone(),
        unanswered: args.unanswered,
    };
    let (found, cut) = store::conversations(chats.db.as_ref(), &chats.mapping, &filter).await?;
    let head = Sheet {
        command: "inspect conversations",
        title: format!("conversations of {}", chats.db.target()),
        columns: vec![
            Column::of(Holds::Ids, "conversation"),
            Column::of(Holds::Stored, "title").spare(2),
            Column::of(Holds::Stored, "user").spare(0),
            Column::number("messages").spare(1),
            Column::of(Holds::Times, "last activity").spare(3),
            Column::text("marks"),
        ],
    };
    show(env, Piece::Head(Head::Sheet(head))).await;
    if since.is_some() && found.is_empty() && !has_time(&chats.mapping) {
        env.progress.note(
            "the mapping has no time, so --since selects nothing: leave it out, or declare `time` (docs/mapping.md)",
        );
    }
    for one in found {
        show(env, Piece::Row(row(one))).await;
    }
    if cut {
        let text = match args.limit {
            1 => "only the first conversation is shown; --limit 0 shows all".to_owned(),
            limit => format!("only the first {limit} conversations are shown; --limit 0 shows all"),
        };
        show_cut(env, text).await;
    }
    Ok(())
}

/// Whether anything in the store says when a conversation was written to.
fn has_time(mapping: &Mapping) -> bool {
    let store = mapping.store();
    let of_item = store.item.as_ref().and_then(|item| item.time.as_ref());
    let of_row = store.conversation.as_ref();
    let of_row = of_row.is_some_and(|row| row.updated.is_some() || row.created.is_some());
    store.message.time.is_some() || of_item.is_some() || of_row
}

/// Whether anything in the store says whose a conversation is.
fn has_user(mapping: &Mapping) -> bool {
    let store = mapping.store();
    let of_row = store.conversation.as_ref();
    store.message.user.is_some() || of_row.is_some_and(|row| row.user.is_some())
}

fn row(one: Conversation) -> Vec<Value> {
    let marks = [(one.unanswered, "unanswered"), (one.deleted, "deleted")];
    let marks: Vec<_> = marks
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, mark)| *mark)
        .collect();
    vec![
        one.key.into(),
        Value::optional(one.title),
        Value::optional(one.user),
        Value::Number(one.messages.to_string()),
        Value::optional(one.last.map(moment)),
        Value::optional((!marks.is_empty()).then(|| marks.join(", "))),
    ]
}
