//! `chatctl inspect conversations`: which there are, and which wait for an answer.

use super::{moment, show};
use crate::commands::Env;
use crate::commands::moment::span;
use crate::model::{Conversation, Value};
use crate::report::{Column, Head, Holds, Note, Piece, Sheet};
use crate::store;
use crate::store::Filter;

/// List conversations, most recently written first
///
/// `unanswered` marks those that end with the user's message, or with an empty or failed answer.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show at most this many
    #[arg(long, default_value_t = 50, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Only those written to since then: an age (24h) or a time (2026-11-21T08:00:00Z)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Only those of this user id
    #[arg(long, value_name = "ID")]
    user: Option<String>,

    /// Only those that wait for an answer, of any age
    #[arg(long)]
    unanswered: bool,
}

pub(super) async fn run(args: &Args, env: &Env) -> anyhow::Result<()> {
    let (since, _) = span(args.since.as_deref(), None)?;
    let chats = env.chats().await?;
    let filter = Filter {
        limit: args.limit as usize,
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
    for one in found {
        show(env, Piece::Row(row(one))).await;
    }
    if cut {
        let text = format!(
            "{} conversations shown, the limit; there are more (--limit)",
            args.limit
        );
        env.progress.note(&text);
        show(env, Piece::Note(Note { text, cut })).await;
    }
    Ok(())
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
