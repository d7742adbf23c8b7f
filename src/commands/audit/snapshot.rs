//! `chatctl audit snapshot`: digests of everything, in a small file.

use super::look;
use super::look::Look;
use crate::audit;
use crate::audit::Background;
use crate::audit::Detail;
use crate::audit::Key;
use crate::audit::Names;
use crate::audit::Settings;
use crate::audit::Taker;
use crate::audit::file;
use crate::audit::live::Audience;
use crate::audit::live::Latecomers;
use crate::commands::Done;
use crate::commands::Env;
use crate::report::Report;
use crate::report::Verdict;
use crate::stop::Stop;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

/// Keep digests of every conversation and message in a file
///
/// The file holds no content and, unless asked, no identifier: digests with a secret key, numbers
/// and times. `chatctl audit compare` tells from it what was lost or altered since.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// The snapshot before this one; its id is kept in the new one
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,

    /// What is kept of single messages [default: all of them up to two million, a sketch beyond]
    #[arg(long, value_enum)]
    detail: Option<Kept>,

    /// Keep the keys of conversations and messages in clear, so that lost ones can be named
    #[arg(long)]
    keep_ids: bool,

    /// An answer younger than this may still be written to
    #[arg(long, default_value = "120s", value_name = "TIME", value_parser = humantime::parse_duration)]
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
    /// Nothing but sums of conversations.
    Conversations,
}

pub(super) async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    let began = Instant::now();
    let key = Key::find(args.look.key.as_deref())?;
    let previous = match &args.previous {
        Some(path) => Some(file::open(path, &key)?.id),
        None => None,
    };
    let live = args.look.open(&env).await?;
    let mut settings = Settings::at(live.taken);
    settings.settle = args.settle;
    settings.memory = args.look.memory()?;
    settings.detail = match args.detail {
        None => Detail::Auto,
        Some(Kept::Messages) => Detail::Messages,
        Some(Kept::Sketch) => Detail::Sketch(audit::CELLS),
        Some(Kept::Conversations) => Detail::Conversations,
    };
    if args.keep_ids {
        settings.names = Names::Kept;
    }
    let taker = Background::start(Taker::new(&key, settings)?)?;
    let mut all = All {
        taker,
        pace: look::Pace::new(&env, &live).await,
        conversations: 0,
    };
    if !live.read(&Latecomers::default(), &mut all).await? {
        return Err(Stop::interrupted().into());
    }
    let parts = all.taker.finish()?;
    let summary = parts.summary.clone();
    env.progress
        .doing(format!("writing {}", args.output.display()));
    let id = file::write(&args.output, &live.header(previous), parts, &key)?;
    env.progress.done();
    let mut report = Report::new("audit snapshot");
    report.store = Some(look::line(&live));
    report.took = began.elapsed();
    report.checked = summary.messages;
    let size = std::fs::metadata(&args.output).map_or(0, |data| data.len());
    let mut case = look::case(
        "snapshot",
        Verdict::Held,
        format!(
            "{} messages of {} conversations are kept in `{}` ({size} bytes, id {id}, key {})",
            summary.messages,
            all.conversations,
            args.output.display(),
            key.id()
        ),
    );
    case.took = began.elapsed();
    case.metrics.insert("messages", summary.messages as f64);
    case.metrics.insert("open_messages", summary.open as f64);
    case.metrics
        .insert("deleted_messages", summary.deleted as f64);
    case.metrics.insert("file_bytes", size as f64);
    case.metrics.insert("ranges", live.ranges() as f64);
    report.cases.push(case);
    look::warn(&env, &live);
    Ok(Done::Report(Box::new(report)))
}

struct All<'e> {
    taker: Background,
    pace: look::Pace<'e>,
    conversations: u64,
}

impl Audience for All<'_> {
    fn conversation(&mut self, key: &str) -> anyhow::Result<ControlFlow<()>> {
        self.conversations += 1;
        self.taker.take_conversation(key)?;
        Ok(self.pace.conversation())
    }

    fn message(
        &mut self,
        message: &crate::model::StoredMessage,
        late: audit::Late,
    ) -> anyhow::Result<ControlFlow<()>> {
        self.taker.take(message, late)?;
        Ok(self.pace.message())
    }
}
