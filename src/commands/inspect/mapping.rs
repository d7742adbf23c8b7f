//! `chatctl inspect mapping`: where the chats are, and why chatctl thinks so.

use super::show;
use crate::commands::Env;
use crate::report::{Head, Note, Piece, Text};
use crate::store::Mapping;
use crate::{db, store};

/// Print the mapping of the chats, and why, as TOML for chatctl.toml
///
/// Prints every candidate with its reasons, the best first. A `[[store]]` in chatctl.toml is checked
/// against the tables and printed with every default.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// List the shipped presets instead
    #[arg(long)]
    presets: bool,
}

pub(super) async fn run(args: &Args, env: &Env) -> anyhow::Result<()> {
    if args.presets {
        return presets(env).await;
    }
    let db = db::open_unobtrusive(env.target()?).await?;
    let schema = db.schema().await?;
    if let Some(mapping) = env.config.store.resolve(&schema)? {
        mapping.judge(db.as_ref()).await?;
        return page(env, vec![section(&mapping, "declared")]).await;
    }
    let found = store::candidates(db.as_ref(), &schema).await?;
    let misfits = store::misfits(&schema);
    if found.is_empty() && misfits.is_empty() {
        return Err(store::nothing_found(db.as_ref(), &schema).await?.into());
    }
    let sections = found.iter().map(|one| {
        if env.verbose {
            section(&one.mapping, &format!("{:#}", one.why))
        } else {
            section(&one.mapping, &one.why.to_string())
        }
    });
    let fix = misfits
        .iter()
        .map(|one| format!("# {one}; fix it:\n{}", one.toml()));
    page(env, sections.chain(fix).collect()).await?;
    if let [first, second, ..] = found.as_slice()
        && !first.beats(second)
    {
        let text = "two places fit the chats equally well: keep the right one in chatctl.toml";
        env.progress.note(text);
        show(
            env,
            Piece::Note(Note {
                text: text.to_owned(),
                cut: false,
            }),
        )
        .await;
    }
    Ok(())
}

fn section(mapping: &Mapping, why: &str) -> String {
    let unreadable = mapping
        .unreadable()
        .map(|what| format!("# not readable: {what}\n"));
    format!(
        "# {}: {why}\n{}{}",
        mapping.short(),
        unreadable.unwrap_or_default(),
        mapping.toml()
    )
}

async fn presets(env: &Env) -> anyhow::Result<()> {
    let line =
        |preset: &store::Preset| format!("{:<22} {}, {}", preset.name, preset.title, preset.source);
    page(
        env,
        vec![
            store::presets()
                .iter()
                .map(line)
                .collect::<Vec<_>>()
                .join("\n"),
        ],
    )
    .await
}

async fn page(env: &Env, sections: Vec<String>) -> anyhow::Result<()> {
    let head = Text {
        command: "inspect mapping",
        text: sections.join("\n"),
    };
    show(env, Piece::Head(Head::Text(head))).await;
    Ok(())
}
