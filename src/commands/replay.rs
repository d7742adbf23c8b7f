//! `chatctl replay`: repeats a run from its report.

use super::{Done, Env, audit, verify_stream};
use crate::cli_error::CliError;
use crate::outcome::Outcome;
use crate::report::{Asked, ORDER, REQUIRE_PROVEN, Report, Verdict};
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
    let mut report = if before.command == audit::RESTART {
        audit::restart_again(arguments, &cases, &env).await?
    } else {
        let again = Again::try_parse_from(words(arguments, &cases)).map_err(|error| {
            CliError::usage(format!("the report's arguments can't be read: {error}"))
                .hint("replay it with the version of chatctl that wrote it")
        })?;
        verify_stream::report(&again.args.into(), &env).await?
    };
    // A session may have another name by now, or fewer turns: what is not played again is no pass.
    let asked = Asked {
        named: cases,
        ..Asked::default()
    };
    asked.add_missing(&mut report);
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
    let (report, exit) = report::read(&text).map_err(unread)?;
    let follows = Outcome::from(&report).code();
    if exit != follows {
        let why = format!("its exit code is {exit}, but its cases give {follows}: it was edited");
        return Err(unread(why).into());
    }
    Ok(report)
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
    // A missing proof is given by the case that shows the order.
    let played = open.map(|case| match case.name.strip_suffix(REQUIRE_PROVEN) {
        Some(session) => format!("{session}{ORDER}"),
        None => case.name.clone(),
    });
    Ok(played.collect())
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
fn words(arguments: &[String], cases: &[String]) -> Vec<String> {
    let is_order = |case: &String| case.rsplit('/').next() == Some(ORDER);
    let shows_order = cases.is_empty() || cases.iter().any(is_order);
    // The cases are named: `--cases` would ask for others too, and a share may have none of them.
    let stays = |word: &&String| {
        let of_all = ["--cases=", "--case=", "--shard="];
        let is_of_all = of_all.iter().any(|flag| word.starts_with(flag));
        (cases.is_empty() || !is_of_all) && (shows_order || !word.starts_with("--require="))
    };
    let mut words = vec!["verify-stream".to_owned()];
    words.extend(cases.iter().map(|case| format!("--case={case}")));
    words.extend(arguments.iter().filter(stays).cloned());
    if !shows_order {
        // No other case can prove the order.
        words.push("--require=held".to_owned());
    }
    words
}

/// What became of a case.
fn compared(name: &str, was: Verdict, is: Verdict) -> String {
    if was == is {
        format!("{name}: {is}, as in the report")
    } else {
        format!("{name}: {is}, but {was} in the report")
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn named_cases_are_played_whatever_their_share() {
        let arguments = [
            "--shard=1/2",
            "--case=a/b",
            "--cases=b",
            "--require=proven",
            "--seed=7",
            "a.toml",
        ];
        let arguments = arguments.map(str::to_owned);
        for (cases, expected) in [
            (
                &["a/order"][..],
                "--case=a/order --require=proven --seed=7 a.toml",
            ),
            (
                &["a/b", "c"],
                "--case=a/b --case=c --seed=7 a.toml --require=held",
            ),
            (
                &[],
                "--shard=1/2 --case=a/b --cases=b --require=proven --seed=7 a.toml",
            ),
        ] {
            let cases: Vec<_> = cases.iter().map(|case| (*case).to_owned()).collect();
            assert_eq!(words(&arguments, &cases)[1..].join(" "), expected);
        }
    }
}
