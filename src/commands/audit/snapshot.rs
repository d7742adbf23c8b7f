//! `chatctl audit snapshot`: digests of everything, in a small file.

use super::look::Look;
use super::{duration, look, quick};
use crate::audit::live::Live;
use crate::audit::snapshot::Taken;
use crate::audit::{CELLS, Detail, Key, Names, Settings, Summary, file, snapshot};
use crate::cli_error::CliError;
use crate::commands::{Done, Env};
use crate::report::{Report, Verdict};
use crate::sink::Sink;
use crate::store::Form;
use crate::text::plural;
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Only its owner may read a snapshot that is new.
const PRIVATE: u32 = 0o600;

/// Write digests of every conversation and message to a file
///
/// The file holds keyed digests, counts and times. It holds no content and, without --keep-ids, no
/// identifier. `chatctl audit compare` uses it to report what was lost or altered since.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The snapshot file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Replace FILE if it exists
    #[arg(long)]
    overwrite: bool,

    /// The previous snapshot; the new one records its id
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,

    /// How much to store about each message [default: all up to two million, a sketch beyond]
    #[arg(long, value_enum)]
    detail: Option<Kept>,

    /// Let the database add up its messages instead of reading them; a later comparison then names
    /// conversations only
    #[arg(long, conflicts_with_all = ["detail", "keep_ids", "ranges"])]
    quick: bool,

    /// Store the keys of conversations and messages in clear text, so that lost ones can be named
    #[arg(long)]
    keep_ids: bool,

    /// Answers younger than this may still grow, unless the store marks them as finished: later their
    /// rows must exist, and their texts must begin with the earlier ones
    #[arg(long, default_value = "120s", value_name = "DURATION", value_parser = duration)]
    settle: Duration,

    #[command(flatten)]
    look: Look,
}

/// What is kept of single messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kept {
    /// Every message.
    Messages,
    /// A sketch of constant size, which names up to some ten thousand changes.
    Sketch,
    /// One sum for each conversation.
    Conversations,
}

pub(super) async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    let began = Instant::now();
    let shown = args.output.display();
    let unwritable = || format!("could not write the snapshot `{shown}`");
    let mut sink = Sink::besides_stdout(&args.output, PRIVATE).with_context(unwritable)?;
    if !args.overwrite {
        is_free(&args.output)?;
    }
    let key = Key::find(args.look.key.as_deref())?;
    let previous = match &args.previous {
        Some(path) => Some(file::open(path, &key)?.id),
        None => None,
    };
    let live = args.look.open(&env).await?;
    let (taken, mapping) = if args.quick {
        (
            quick::taken(&env, &live, &key, settings(&args, &live)?).await?,
            quick::mapping(&live, Form::NEW),
        )
    } else {
        (read(&args, &env, &live, &key).await?, live.fingerprinted())
    };
    let Taken {
        parts,
        conversations,
    } = taken;
    let summary = parts.summary.clone();
    env.progress
        .doing(format!("writing {}", args.output.display()));
    let mut header = file::Header {
        mapping,
        ..live.header(previous)
    };
    if args.quick {
        header.dependents.clear();
    }
    let id = file::write(&mut sink, &header, parts, &key).with_context(unwritable)?;
    let size = sink.written();
    sink.finish(&mut std::io::sink(), env.until_interrupted())
        .await
        .with_context(unwritable)?;
    env.progress.done();
    let mut report = Report::new("audit snapshot");
    report.store = Some(look::line(&live));
    report.took = began.elapsed();
    report.checked = summary.messages;
    let mut case = look::case(
        "snapshot",
        Verdict::Held,
        format!(
            "{} recorded in `{}` ({size} bytes, id {id}, key {}); the store lists {}, including empty ones{}{}",
            plural(summary.messages, "message"),
            args.output.display(),
            key.id(),
            plural(conversations, "conversation"),
            unsettled(&summary),
            if args.quick { quick::LIMITS } else { "" }
        ),
    );
    if summary.ahead > 0 {
        env.progress.warning(&format!(
            "{} with a time after now: this machine's clock is wrong, or theirs was. If the text of such \
             an answer changes, a comparison cannot know whether it should",
            plural(summary.ahead, "message")
        ));
    }
    case.took = began.elapsed();
    case.metrics.insert("messages", summary.messages as f64);
    case.metrics.insert("open_messages", summary.open as f64);
    case.metrics
        .insert("unsettled_messages", summary.unsettled as f64);
    case.metrics.insert("ahead_messages", summary.ahead as f64);
    case.metrics
        .insert("deleted_messages", summary.deleted as f64);
    case.metrics.insert("file_bytes", size as f64);
    case.metrics.insert("ranges", live.ranges() as f64);
    report.cases.push(case);
    look::warn(&env, &live);
    Ok(Done::Report(Box::new(report)))
}

/// Refuses a file that holds something: an earlier snapshot can't be taken again.
fn is_free(path: &Path) -> Result<(), CliError> {
    let holds_something = fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() > 0);
    if !holds_something {
        return Ok(());
    }
    Err(CliError::refused(format!(
        "`{}` exists: it may be the only record of an earlier state",
        path.display()
    ))
    .hint("give another name, or add --overwrite to replace it"))
}

/// How many texts may still continue.
fn unsettled(summary: &Summary) -> String {
    match summary.unsettled {
        0 => String::new(),
        1 => "; the text of 1 of them has not settled".to_owned(),
        count => format!("; the texts of {count} of them have not settled"),
    }
}

fn settings(args: &Args, live: &Live) -> anyhow::Result<Settings> {
    Ok(Settings {
        settle: args.settle,
        memory: args.look.memory()?,
        ..Settings::at(live.taken)
    })
}

/// Reads the store itself, with as much of each message as is wanted.
async fn read(args: &Args, env: &Env, live: &Live, key: &Key) -> anyhow::Result<Taken> {
    let mut settings = settings(args, live)?;
    settings.detail = match args.detail {
        None => Detail::Auto,
        Some(Kept::Messages) => Detail::Messages,
        Some(Kept::Sketch) => Detail::Sketch(CELLS),
        Some(Kept::Conversations) => Detail::Conversations,
    };
    if args.keep_ids {
        settings.names = Names::Kept;
    }
    let mut pace = look::Pace::new(env, live).await;
    let taken = snapshot::take(live, key, settings, &mut pace).await?;
    taken.ok_or_else(|| CliError::interrupted().into())
}
