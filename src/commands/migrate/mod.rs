//! `chatctl migrate`: its sub-commands.

mod acknowledged;
mod advice;
mod check;
mod guard;
mod history;
mod job;
mod lint;
mod losses;
mod new;
mod options;
mod plan;
mod settle;
mod status;
mod up;

use super::{Done, Env};
use crate::cli_error::CliError;
use crate::migrate::ledger::{Progress, Resolution};
use crate::migrate::plan::{Refusal, Wrong, listed};
use crate::migrate::restore::Foreign;
use crate::migrate::source::Version;
use crate::report::{Case, Finding, Severity, Verdict};
use advice::Access;
use clap::ArgGroup;
use options::{Folders, Options};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  chatctl migrate new add_status     create an empty migration
  chatctl migrate plan               see what would run
  chatctl migrate                    apply it

They read --database-url from DATABASE_URL or chatctl.toml.

`chatctl --help` lists the exit codes.";

/// Apply migrations, and reject those that lose rows
///
/// Pending migrations run in a transaction: on PostgreSQL one per file, on SQLite one for all.
/// Before COMMIT every touched table is compared with its earlier contents. Anything that is gone or
/// changed, and not acknowledged in the migration (`-- chatctl: allow-loss messages.body rows<=120
/// reason="…"`), rolls it back. On MySQL and MariaDB, where DDL commits by itself, the files run on
/// a copy of the database first.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: up::Args,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Apply what is pending (the default)
    Up(up::Args),
    /// Show what would run, statement by statement, and what it may destroy; changes nothing. Exits with
    /// 10 if something is pending, and with 1 if an applied file was edited or is gone
    Plan(Options),
    /// Show the state of each version: applied, pending, altered, missing, or newer than the files. Exits
    /// with 10 if something is pending, and with 1 if an applied file was edited or is gone
    Status(status::Args),
    /// Rehearse on a copy: check that nothing is lost, that an empty database gets the same schema, and
    /// that a second run changes nothing
    Verify(Folders),
    /// Compare the live schema with the one that the applied migrations make
    Drift(Folders),
    /// Record files as applied, up to a version, without running them
    #[command(group = ArgGroup::new("what").args(["of", "none"]).required(true))]
    Baseline {
        /// The last version that counts as applied
        #[arg(id = "of", value_name = "VERSION")]
        version: Option<String>,
        /// Begin with an empty history, although another tool migrated the database
        #[arg(long)]
        none: bool,
        #[command(flatten)]
        folders: Folders,
    },
    /// Continue from the history that another tool wrote
    Adopt(Folders),
    /// Accept files that differ only in line ends, or that were removed on purpose
    #[command(group = ArgGroup::new("what").args(["eol", "missing"]).required(true))]
    Repair {
        /// Record files that differ only in line ends or a byte order mark
        #[arg(long)]
        eol: bool,
        /// Remove a version from the history whose file was removed on purpose; may be repeated
        #[arg(long, value_name = "VERSION")]
        missing: Vec<String>,
        #[command(flatten)]
        folders: Folders,
    },
    /// Resolve a migration that started but did not finish
    Resolve {
        /// The version to resolve
        #[arg(id = "of", value_name = "VERSION")]
        version: String,
        /// Whether the migration took effect
        #[arg(long = "as", value_enum)]
        how: Resolution,
        /// With `--as retry`: you have undone the applied statements by hand, so chatctl runs them again
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        folders: Folders,
    },
    /// Restore the backup that a run made
    Restore {
        /// The run, as `migrate history` names it, or the backup's file
        #[arg(value_name = "RUN")]
        from: String,
        /// Where to put a backup of the current database
        #[arg(long, value_name = "DIR")]
        backup_dir: Option<PathBuf>,
        /// Restore the file even if it has none of the database's tables
        #[arg(long)]
        allow_foreign: bool,
    },
    /// Show what chatctl did to this database, run by run
    History,
    /// Create an empty migration with the next version
    New {
        /// What it does, in a few words
        name: String,
        /// The folder of migrations
        #[arg(long, default_value = "migrations")]
        dir: PathBuf,
    },
    /// Find destructive and risky statements in migration files; opens no database
    Lint(lint::Args),
    /// Find start-up code in a source tree that destroys tables, or never creates them
    Guard {
        /// Files or folders
        #[arg(default_value = ".")]
        paths: Vec<PathBuf>,
    },
}

/// What is wrong with versions that were applied, and keeps `up` from running; nothing of a refusal for
/// another reason.
fn wrong(refusal: &Refusal) -> Option<Finding> {
    let code = match refusal.wrong {
        Wrong::Dirty | Wrong::HalfApplied | Wrong::HalfMissing => "migration-unfinished",
        Wrong::Missing => "migration-missing",
        Wrong::OutOfOrder => "migration-out-of-order",
        Wrong::Changed | Wrong::ChangedByLineEnds => "migration-changed",
        Wrong::Duplicate
        | Wrong::Newer
        | Wrong::UnknownTarget
        | Wrong::TargetPassed
        | Wrong::Unsupported => return None,
    };
    let subject = listed(refusal.versions.iter()).replace('`', "");
    Some(Finding::new(
        code,
        Severity::Error,
        subject,
        &refusal.message,
        &refusal.hint,
    ))
}

/// Runs it.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    let command = args.command.unwrap_or(Command::Up(args.up));
    let access = match command {
        Command::Plan(_) | Command::Status(_) | Command::History => Access::Read,
        _ => Access::Write,
    };
    // A migration is one statement after another: it blocks, on a thread of its own.
    job::run(env, move |job| match command {
        Command::Up(args) => up::run(args, job),
        Command::Plan(options) => plan::run(&options, job),
        Command::Status(args) => status::run(&args, job),
        Command::Verify(folders) => check::verify(&folders, job),
        Command::Drift(folders) => check::drift(&folders, job),
        Command::Baseline {
            version, folders, ..
        } => settle::baseline(version.as_deref(), &folders, job),
        Command::Adopt(folders) => settle::adopt(&folders, job),
        Command::Repair {
            missing, folders, ..
        } => settle::repair(&missing, &folders, job),
        Command::Resolve {
            version,
            how,
            force,
            folders,
        } => {
            let progress = if force {
                Progress::Discard
            } else {
                Progress::Keep
            };
            settle::resolve(&version, how, progress, &folders, job)
        }
        Command::Restore {
            from,
            backup_dir,
            allow_foreign,
        } => {
            let foreign = if allow_foreign {
                Foreign::Allowed
            } else {
                Foreign::Refused
            };
            history::restore(&from, backup_dir.as_deref(), foreign, job)
        }
        Command::History => history::history(job),
        Command::New { name, dir } => new::run(&name, &dir),
        Command::Lint(args) => lint::run(&args, &job.env),
        Command::Guard { paths } => guard::run(&paths),
    })
    .await
    .map_err(|error| with_a_way(error, access))
}

/// What no part of chatctl knew an answer to is an answer of the database to one of chatctl's own
/// statements: nothing of the file at hand was committed.
fn with_a_way(error: anyhow::Error, access: Access) -> anyhow::Error {
    if error.chain().any(|cause| cause.is::<CliError>()) {
        return error;
    }
    let message = format!("{error:#}");
    let hint = advice::of_chatctl(&message, access).unwrap_or_else(|| "`chatctl migrate status` shows what is applied; if the database's own log does not show why, report this line as a defect of chatctl".to_owned());
    CliError::unreachable(message).hint(hint).into()
}

/// The code of a statement that failed.
const FAILED: &str = "migration-failed";

/// What a migration is called: its version and what it does, where the version does not say both.
fn title(version: &Version, description: &str) -> String {
    match version.text() {
        text if description.is_empty() || description == text => text.to_owned(),
        text => format!("{text} {description}"),
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

#[cfg(test)]
mod tests {
    use super::{Access, Version, title, with_a_way};
    use crate::cli_error;
    use crate::cli_error::CliError;
    use crate::outcome::Outcome;
    use anyhow::Context as _;

    #[test]
    fn no_error_is_without_a_way_out() {
        let failed: anyhow::Result<()> =
            Err(anyhow::anyhow!("cannot cast type integer[] to numeric"));
        let error = with_a_way(failed.context("comparing `t`").unwrap_err(), Access::Write);
        assert_eq!(
            error.to_string(),
            "comparing `t`: cannot cast type integer[] to numeric"
        );
        let (outcome, hint) = cli_error::classify(&error);
        assert_eq!(outcome, Outcome::Undecided);
        assert!(hint.unwrap().contains("chatctl migrate status"));
        let locked = "reading `chat`: canceling statement due to lock timeout";
        let error = with_a_way(anyhow::anyhow!(locked), Access::Read);
        let (outcome, hint) = cli_error::classify(&error);
        assert_eq!(outcome, Outcome::Undecided);
        assert!(hint.unwrap().contains("pg_stat_activity"), "{hint:?}");
        let known = with_a_way(CliError::refused("x").hint("y").into(), Access::Write);
        assert_eq!(cli_error::classify(&known), (Outcome::Refused, Some("y")));
    }

    #[test]
    fn a_title_says_nothing_twice() {
        assert_eq!(title(&Version::number(1), "add chat"), "1 add chat");
        assert_eq!(title(&Version::number(1), ""), "1");
        let named = Version::named("20240101_a").unwrap();
        assert_eq!(title(&named, "20240101_a"), "20240101_a");
    }
}
