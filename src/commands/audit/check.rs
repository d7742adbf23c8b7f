//! `chatctl audit check`: arguments and wiring.

use crate::audit::checks;
use crate::audit::checks::{Asked, Check, CheckContext};
use crate::cli_error::CliError;
use crate::commands::Env;
use crate::commands::chats::Chats;
use crate::commands::moment::{count, span};
use crate::migrate::source;
use crate::report::{Report, Severity};
use crate::text::plural;
use crate::{audit, clock, db, migrate};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Find lost and broken messages without an earlier snapshot; changes nothing
///
/// Reads every conversation once, one at a time. All findings are counted, and some are named. An
/// error is damage that the store alone shows. Anything that may have an innocent cause is a
/// warning, and does not fail the run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only messages since then: an age (24h) or a time (2026-11-21T08:00:00Z)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Only messages until then: an age or a time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Fail on findings of this level or above
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "error")]
    fail_on: Level,

    /// Accept up to N findings of CODE, whatever their level, and fail on more; may be repeated. Notes
    /// count only if the code has nothing else
    #[arg(long, value_name = "CODE=N")]
    max: Vec<String>,

    /// Run only this check; may be repeated
    #[arg(long, value_name = "CODE")]
    check: Vec<String>,

    /// How many of each finding to name; --format csv and jsonl list all, up to 100000
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = count::<usize>, allow_negative_numbers = true)]
    examples: usize,

    /// Messages younger than this may still be in progress, and are not judged
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = super::duration)]
    grace: Duration,

    /// A folder of migrations; the tables they create must exist
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Level {
    /// Damage that the store alone shows
    Error,
    /// Also findings that may have an innocent cause
    Warning,
    /// All findings
    Note,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warning => Self::Warning,
            Level::Note => Self::Note,
        }
    }
}

/// So many of each go out as rows.
const ROWS: usize = 100_000;

pub(super) async fn run(args: &Args, env: &Env) -> anyhow::Result<Report> {
    let began = Instant::now();
    let checks = chosen(&args.check)?;
    let accepted = accepted(&args.max, &checks)?;
    let (since, until) = span(args.since.as_deref(), args.until.as_deref())?;
    let mut report = Report::new("audit check");
    let chats = match env.chats().await {
        Ok(chats) => chats,
        Err(error) => return gone(env, error, report).await,
    };
    report.store = Some(chats.line());
    let asked = Asked {
        now: clock::calendar(),
        since,
        until,
        grace: clock::micros(args.grace),
        examples: args.examples,
        keep: if env.rows {
            ROWS.max(args.examples)
        } else {
            args.examples
        },
        fail_on: args.fail_on.into(),
        accepted,
        expected: expected(args, &chats, env)?,
    };
    let context = CheckContext {
        db: chats.db.as_ref(),
        schema: &chats.schema,
        mapping: &chats.mapping,
        asked: &asked,
    };
    env.progress.doing("reading every conversation".to_owned());
    let ran = tokio::select! {
        ran = checks::run(&checks, !args.check.is_empty(), &context, &mut report) => ran,
        () = env.until_interrupted() => Err(CliError::interrupted().into()),
    };
    env.progress.done();
    ran?;
    report.took = began.elapsed();
    Ok(report)
}

fn chosen(codes: &[String]) -> Result<Vec<&'static Check>, CliError> {
    if codes.is_empty() {
        return Ok(checks::ALL.iter().collect());
    }
    let mut chosen: Vec<&'static Check> = Vec::new();
    for code in codes {
        let check = named(code)?;
        if !chosen.iter().any(|known| known.code == check.code) {
            chosen.push(check);
        }
    }
    Ok(chosen)
}

fn named(code: &str) -> Result<&'static Check, CliError> {
    checks::named(code).map_err(|near| {
        let all: Vec<_> = checks::ALL.iter().map(|check| check.code).collect();
        let hint = match near {
            // A short word is near to many codes.
            Some(near) if code.len() * 3 >= near.len() * 2 => format!("did you mean `{near}`?"),
            _ => format!("one of {}", all.join(", ")),
        };
        CliError::usage(format!("unknown check `{code}`")).hint(hint)
    })
}

/// How many of each code are accepted.
fn accepted(
    max: &[String],
    checks: &[&'static Check],
) -> Result<BTreeMap<&'static str, u64>, CliError> {
    let mut accepted = BTreeMap::new();
    for text in max {
        let parsed = text.split_once('=');
        let parsed = parsed.and_then(|(code, most)| Some((code, most.trim().parse().ok()?)));
        let Some((code, most)) = parsed else {
            return Err(
                CliError::usage(format!("`--max {text}` is not a code with a number"))
                    .hint("--max unanswered-turn=5"),
            );
        };
        let check = named(code.trim())?;
        if !checks.iter().any(|chosen| chosen.code == check.code) {
            return Err(CliError::usage(format!(
                "`--max {text}` is of a check that `--check` leaves out"
            ))
            .hint(format!("add --check {}", check.code)));
        }
        if accepted.insert(check.code, most).is_some() {
            return Err(
                CliError::usage(format!("`--max` names {} twice", check.code))
                    .hint("give one number for each code"),
            );
        }
    }
    Ok(accepted)
}

/// The tables that the folder's migrations make.
fn expected(args: &Args, chats: &Chats, env: &Env) -> anyhow::Result<Option<Vec<String>>> {
    let Some(dir) = &args.dir else {
        return Ok(None);
    };
    let folder = source::read(dir, None)?;
    let dialect = migrate::dialect(chats.db.target().engine());
    let ups = folder
        .migrations
        .iter()
        .map(|migration| migration.up.as_str());
    let expected = audit::expected(ups, dialect);
    env.progress.note(&format!(
        "migrations: {} in {} make {}",
        folder.migrations.len(),
        dir.display(),
        plural(expected.len() as u64, "table")
    ));
    Ok(Some(expected))
}

/// A store that lacks a table which `chatctl.toml` names is just what this looks for; any other
/// error stays one.
async fn gone(env: &Env, error: anyhow::Error, mut report: Report) -> anyhow::Result<Report> {
    let declared = env.config.store.tables();
    if declared.is_empty() {
        return Err(error);
    }
    let db = db::open_unobtrusive(env.target()?).await?;
    let schema = db.schema().await?;
    let absent = checks::absent(&declared, &schema);
    if absent.is_empty() {
        return Err(error);
    }
    checks::report_absent(&absent, &mut report);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::{accepted, chosen};
    use crate::audit::checks;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn checks_are_chosen_once_and_by_their_codes() {
        assert_eq!(chosen(&[]).unwrap().len(), checks::ALL.len());
        let codes = ["unanswered-turn", "empty-answer", "unanswered-turn"];
        let found = chosen(&texts(&codes)).unwrap();
        let found: Vec<_> = found.iter().map(|check| check.code).collect();
        assert_eq!(found, codes[..2]);
        let error = chosen(&texts(&["unanswered-turns"]))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.hint.unwrap(), "did you mean `unanswered-turn`?");
        let error = chosen(&texts(&["nope"])).map(|_| ()).unwrap_err();
        assert!(error.hint.unwrap().starts_with("one of "));
    }

    #[test]
    fn what_is_accepted_is_a_number_of_a_chosen_check() {
        let all = chosen(&[]).unwrap();
        let two = accepted(&texts(&["unanswered-turn=5", "empty-answer = 0"]), &all).unwrap();
        assert_eq!(two["unanswered-turn"], 5);
        assert_eq!(two["empty-answer"], 0);
        let one = chosen(&texts(&["empty-answer"])).unwrap();
        for (max, checks) in [
            (&["unanswered-turn"][..], &all),
            (&["unanswered-turn=many"], &all),
            (&["unanswered-turn=-1"], &all),
            (&["no-such-check=1"], &all),
            (&["empty-answer=1", "empty-answer=2"], &all),
            (&["unanswered-turn=1"], &one),
        ] {
            assert!(accepted(&texts(max), checks).is_err(), "{max:?}");
        }
    }
}
