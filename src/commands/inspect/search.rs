//! `chatctl inspect search`: messages by their text, shown as they are found.

use super::{moment, show, show_cut};
use crate::commands::Env;
use crate::commands::chats::Chats;
use crate::commands::moment::count;
use crate::model::{StoredMessage, Value};
use crate::report::{Column, Head, Holds, Piece, Sheet};
use crate::store;
use crate::store::Way;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// How many messages may wait to be shown.
const WAITING: usize = 64;

/// Find messages by their text
///
/// Ignores case. Uses a text index if there is one; otherwise it reads every row, and says so.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The text to search for
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    text: String,

    /// Show at most this many messages; 0 shows all
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = count::<u64>, allow_negative_numbers = true)]
    limit: u64,

    /// Show this many characters before and after each match
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = count::<usize>, allow_negative_numbers = true)]
    context: usize,

    /// Read every row, even if an index finds whole words
    #[arg(long)]
    scan: bool,
}

pub(super) async fn run(args: &Args, env: &Env) -> anyhow::Result<()> {
    let chats = env.chats().await?;
    let way = if args.scan {
        Way::Scan
    } else {
        store::way(chats.db.as_ref(), &chats.mapping, &args.text).await?
    };
    env.progress.note(&match &way {
        Way::Words(indexes) => {
            let names: Vec<_> = indexes
                .iter()
                .map(|index| format!("`{}`", index.name))
                .collect();
            format!(
                "by {}, which knows whole words only; --scan finds parts of words",
                names.join(", ")
            )
        }
        Way::Index => "by an index of the texts".to_owned(),
        Way::Scan => format!(
            "no full-text index is used: every row of `{}` is read",
            chats.mapping.table()
        ),
    });
    let head = Sheet {
        command: "inspect search",
        title: "messages".to_owned(),
        columns: vec![
            Column::of(Holds::Ids, "conversation"),
            Column::of(Holds::Ids, "message").spare(0),
            Column::of(Holds::Roles, "role").spare(2),
            Column::of(Holds::Times, "time").spare(1),
            Column::of(Holds::Stored, "text"),
        ],
    };
    show(env, Piece::Head(Head::Sheet(head))).await;
    let (found, coming) = mpsc::channel(WAITING);
    // Reading may block, and must not keep what was found from being shown.
    let text = args.text.clone();
    let reader = tokio::task::spawn_blocking(move || {
        Handle::current().block_on(search(&chats, &text, &way, &found))
    });
    tokio::select! {
        () = forward(coming, args, env) => {}
        () = env.until_gone() => {}
    }
    // The reader ends when nobody takes what it finds any more.
    reader.await?
}

async fn search(
    chats: &Chats,
    text: &str,
    way: &Way,
    found: &Sender<StoredMessage>,
) -> anyhow::Result<()> {
    let mut take = |message: &mut StoredMessage| Ok(patiently(found, message.clone()));
    store::search(chats.db.as_ref(), &chats.mapping, text, way, &mut take).await
}

/// Hands a message over, and waits while too many wait.
fn patiently(found: &Sender<StoredMessage>, mut message: StoredMessage) -> ControlFlow<()> {
    loop {
        match found.try_send(message) {
            Ok(()) => return ControlFlow::Continue(()),
            Err(TrySendError::Closed(_)) => return ControlFlow::Break(()),
            Err(TrySendError::Full(back)) => message = back,
        }
        // In the middle of a row no other task may run on this connection.
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn forward(mut coming: mpsc::Receiver<StoredMessage>, args: &Args, env: &Env) {
    let mut shown = 0;
    while let Some(message) = coming.recv().await {
        if args.limit > 0 && shown == args.limit {
            let text = format!("{shown} messages shown, the limit; there are more (--limit)");
            return show_cut(env, text).await;
        }
        shown += 1;
        let row = vec![
            Value::optional(message.conversation),
            message.key.into(),
            message.role.word().into(),
            Value::optional(message.time.map(moment)),
            excerpt(&message.content, &args.text, args.context).into(),
        ];
        show(env, Piece::Row(row)).await;
    }
}

/// What was found, with some characters around it; `…` is where text is left out.
fn excerpt(text: &str, wanted: &str, context: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    // Small letters may be more than the letter that they are of: each knows where it came from.
    let lower = chars.iter().enumerate();
    let lower: Vec<(usize, char)> = lower
        .flat_map(|(at, c)| c.to_lowercase().map(move |lower| (at, lower)))
        .collect();
    let wanted: Vec<char> = wanted.to_lowercase().chars().collect();
    let found = lower
        .windows(wanted.len().max(1))
        .find(|window| window.iter().map(|(_, c)| c).eq(&wanted));
    let (first, last) = match found {
        Some([(first, _), .., (last, _)]) => (*first, *last),
        Some([(only, _)]) => (*only, *only),
        _ => (0, 0),
    };
    let from = first.saturating_sub(context);
    let to = last.saturating_add(context + 1).min(chars.len());
    let middle: String = chars[from..to].iter().collect();
    format!(
        "{}{middle}{}",
        if from > 0 { "…" } else { "" },
        if to < chars.len() { "…" } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn what_was_found_has_its_context() {
        let text = "Der Zug nach STRASSE fährt";
        assert_eq!(excerpt(text, "nach", 3), "…ug nach ST…");
        assert_eq!(excerpt(text, "FÄHRT", 100), text);
        // A capital İ has two small characters.
        assert_eq!(excerpt("İİab", "A", 1), "…İab");
        assert_eq!(excerpt("", "a", 3), "");
    }
}
