//! `chatctl replay`: repeats a run from its report.

use super::{Done, Env, audit, verify_stream};
use crate::cli_error::CliError;
use crate::report::{Report, Verdict};
use crate::{input, mask, report};
use clap::Parser;
use std::path::{Path, PathBuf};

/// Repeat a run of verify-stream or audit restart from its report
///
/// The report has the arguments and the seed of the run. Files are relative to the current
/// folder, and settings are those of chatctl.toml. No report has the password of a database: give
/// --database-url again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A report of --format json
    #[arg(value_name = "REPORT")]
    file: PathBuf,

    /// Only this case; may be repeated [default: violated and inconclusive cases, or all cases if
    /// there are none]
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
}

/// The arguments of the run, as the command line has them.
#[derive(Debug, Parser)]
struct Again {
    #[command(flatten)]
    args: verify_stream::Args,
}

/// Runs it.
pub async fn run(args: Args, mut env: Env) -> anyhow::Result<Done> {
    let before = load(&args.file)?;
    let cases = chosen(&before, args.case)?;
    let arguments = arguments(&before)?;
    let own = env
        .config
        .value("database-url", env.database_url.as_deref())?;
    let known = before.store.as_ref().map(|store| store.url.clone());
    env.database_url = own.or(known.filter(|url| !url.contains(mask::MASKED)));
    let report = if before.command == audit::RESTART {
        audit::restart_again(arguments, &cases, &env).await?
    } else {
        let again = Again::try_parse_from(words(arguments, cases)).map_err(|error| {
            CliError::usage(format!("the report's arguments can't be read: {error}"))
                .hint("replay it with the version of chatctl that wrote it")
        })?;
        verify_stream::report(&again.args.into(), &env).await?
    };
    for case in &report.cases {
        let was = before.cases.iter().find(|was| was.name == case.name);
        if let Some(was) = was {
            env.progress
                .note(&compared(&case.name, was.verdict, case.verdict));
        }
    }
    Ok(Done::Report(Box::new(report)))
}

/// The report in a file.
///
/// # Errors
/// When it can't be read, or is none.
pub(super) fn load(path: &Path) -> anyhow::Result<Report> {
    let unread = |why: String| {
        CliError::usage(format!("`{}` can't be read: {why}", path.display()))
            .hint("write it with --report json=FILE")
    };
    let text = input::text(path).map_err(|error| unread(error.to_string()))?;
    Ok(report::read(&text).map_err(unread)?)
}

/// The cases that are played.
fn chosen(before: &Report, named: Vec<String>) -> anyhow::Result<Vec<String>> {
    for name in &named {
        let ending = format!("/{name}");
        let is_known =
            |case: &crate::report::Case| case.name == *name || case.name.ends_with(&ending);
        if !before.cases.iter().any(is_known) {
            let names: Vec<_> = before.cases.iter().map(|case| case.name.as_str()).collect();
            return Err(CliError::usage(format!("the report has no case `{name}`"))
                .hint(format!("its cases: {}", names.join(", ")))
                .into());
        }
    }
    if !named.is_empty() {
        return Ok(named);
    }
    let is_open = |verdict| matches!(verdict, Verdict::Violated | Verdict::Inconclusive);
    let open = before.cases.iter().filter(|case| is_open(case.verdict));
    Ok(open.map(|case| case.name.clone()).collect())
}

/// The arguments of the run.
fn arguments(before: &Report) -> anyhow::Result<&[String]> {
    let Some(replay) = &before.replay else {
        return Err(CliError::usage(format!(
            "the report of `{}` does not say how to play it again",
            before.command
        ))
        .hint("reports of verify-stream and audit restart do, unless they were merged: replay the parts")
        .into());
    };
    if replay
        .arguments
        .iter()
        .any(|word| word.contains(mask::MASKED))
    {
        return Err(CliError::usage(
            "the arguments of the run hold a secret, which the report hides",
        )
        .hint(format!(
            "run {} yourself; the seed was {}",
            before.command, replay.seed
        ))
        .into());
    }
    Ok(&replay.arguments)
}

/// The command line of a verification, with these cases.
fn words(arguments: &[String], cases: Vec<String>) -> Vec<String> {
    let mut words = vec!["verify-stream".to_owned()];
    words.extend(
        cases
            .into_iter()
            .flat_map(|case| ["--case".to_owned(), case]),
    );
    // The cases are named, and `--cases` would ask for others too.
    let arguments = arguments.iter();
    words.extend(
        arguments
            .filter(|word| !word.starts_with("--cases="))
            .cloned(),
    );
    words
}

/// What became of a case.
fn compared(name: &str, was: Verdict, is: Verdict) -> String {
    if was == is {
        format!("{name}: {is}, as in the report")
    } else {
        format!("{name}: {is}, and {was} in the report")
    }
}
