//! `chatctl migrate`: its sub-commands.

mod guard;
mod new;
mod plan;
mod settle;
mod status;
mod up;

use super::Done;
use super::Env;
use crate::db::Missing;
use crate::db::Session;
use crate::db::Target;
use crate::migrate::ledger::Resolution;
use crate::migrate::plan::OutOfOrder;
use crate::migrate::plan::Policy;
use crate::migrate::source;
use crate::migrate::source::Folder;
use crate::report::Case;
use crate::report::Verdict;
use crate::stop::Stop;
use std::path::PathBuf;
use std::time::Duration;

/// Apply migrations: every row survives, or nothing is changed
///
/// All pending migrations run in one transaction. Before it is committed every table is measured
/// against what was there before; anything that shrank or changed without being acknowledged in
/// the migration (`-- chatctl: allow-loss messages.body rows<=120 reason="…"`) rolls it back.
/// SQLite so far.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: Options,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Apply what is pending (the default)
    Up(Options),
    /// Show what would run and what it may destroy; changes nothing
    Plan(Options),
    /// Show what is applied, pending, changed and missing; changes nothing
    Status(Options),
    /// Write files into the history without running them, up to this version
    Baseline {
        /// The last version that counts as applied
        #[arg(id = "of", value_name = "VERSION")]
        version: String,
        #[command(flatten)]
        options: Options,
    },
    /// Accept files that differ from what was applied by line ends only
    Repair {
        /// The only difference that may be repaired
        #[arg(long, required = true)]
        eol: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Settle a version that another tool began and did not finish
    Resolve {
        /// The version
        #[arg(id = "of", value_name = "VERSION")]
        version: String,
        /// Whether its effect is there
        #[arg(long = "as", value_enum)]
        how: Resolution,
        #[command(flatten)]
        options: Options,
    },
    /// Make an empty migration with the next version
    New {
        /// What it does, in a few words
        name: String,
        /// The folder of migrations
        #[arg(long, default_value = "migrations")]
        dir: PathBuf,
    },
    /// Find start-up code that destroys tables, or never makes them, in a source tree
    Guard {
        /// Files or folders
        #[arg(default_value = ".")]
        paths: Vec<PathBuf>,
    },
}

/// What every sub-command on a database takes.
#[derive(Debug, clap::Args)]
struct Options {
    /// The folder of migrations
    #[arg(long, default_value = "migrations")]
    dir: PathBuf,

    /// Whose layout the folder has [default: found out from the names and texts]
    #[arg(long, value_name = "FORMAT")]
    source: Option<String>,

    /// The last version to apply
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,

    /// Also apply files that are older than what is applied
    #[arg(long)]
    allow_out_of_order: bool,

    /// How long to wait for another writer
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    lock_wait: Duration,
}

/// Runs it.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    match args.command {
        None => up::run(args.up, env).await,
        Some(Command::Up(options)) => up::run(options, env).await,
        Some(Command::Plan(options)) => plan::run(&options, &env),
        Some(Command::Status(options)) => status::run(&options, &env),
        Some(Command::Baseline { version, options }) => settle::baseline(&version, &options, &env),
        Some(Command::Repair { options, .. }) => settle::repair(&options, &env),
        Some(Command::Resolve {
            version,
            how,
            options,
        }) => settle::resolve(&version, how, &options, &env),
        Some(Command::New { name, dir }) => new::run(&name, &dir),
        Some(Command::Guard { paths }) => guard::run(&paths),
    }
}

/// The folder, read, with what was found out about it.
fn folder(options: &Options, env: &Env) -> anyhow::Result<Folder> {
    let folder = source::read(&options.dir, options.source.as_deref())?;
    env.progress.note(&format!(
        "migrations: {} in {} ({}, {})",
        folder.migrations.len(),
        options.dir.display(),
        folder.format,
        folder.reason
    ));
    for (path, reason) in &folder.ignored {
        env.progress
            .warning(&format!("{} is left out: {reason}", path.display()));
    }
    Ok(folder)
}

fn target(env: &Env) -> anyhow::Result<Target> {
    let url = env
        .config
        .value("database-url", env.database_url.as_deref())?
        .ok_or_else(|| {
            Stop::usage("no database").hint("give --database-url sqlite:PATH, or set DATABASE_URL")
        })?;
    let target = Target::parse(&url)?;
    env.progress
        .note(&format!("store: {target} ({})", target.backend()));
    Ok(target)
}

fn policy(options: &Options, folder: &Folder) -> anyhow::Result<Policy> {
    Ok(Policy {
        to: options
            .to
            .as_deref()
            .map(|to| folder.version(to))
            .transpose()?,
        out_of_order: match options.allow_out_of_order {
            true => OutOfOrder::Allow,
            false => OutOfOrder::Refuse,
        },
    })
}

/// A connection that can't write; none when there is no database yet.
fn look(target: &Target) -> anyhow::Result<Option<Session>> {
    if !target.path().exists() {
        return Ok(None);
    }
    Session::open(target, Missing::Look, Duration::from_secs(5)).map(Some)
}

/// Refuses a URL that forbids writing, before anything is done.
fn writable(target: &Target) -> Result<(), Stop> {
    match target.read_only() {
        true => Err(Stop::refused(format!("`{target}` forbids writing"))
            .hint("leave `?mode=ro` out of the URL")),
        false => Ok(()),
    }
}

/// A migration as a case of a report.
fn case(name: String, verdict: Verdict, reason: String) -> Case {
    Case {
        session: "migrations".to_owned(),
        fault: "none".to_owned(),
        client: "none".to_owned(),
        took: Duration::ZERO,
        timeline: Default::default(),
        metrics: Default::default(),
        name,
        verdict,
        reason,
    }
}
