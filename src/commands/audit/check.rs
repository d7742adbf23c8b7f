//! `chatctl audit check`: arguments and wiring.

use super::moment;
use crate::audit;
use crate::audit::checks;
use crate::audit::checks::Asked;
use crate::audit::checks::Check;
use crate::audit::checks::Ground;
use crate::commands::Env;
use crate::commands::chats::Chats;
use crate::db;
use crate::migrate::source;
use crate::report::Report;
use crate::sql::Dialect;
use crate::stop::Stop;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

/// Look for what is lost or broken, with no earlier snapshot; changes nothing
///
/// Every conversation is read once, one at a time. All that is found is counted, and some of it is
/// named. An error is what the store alone shows to be lost; what may have an innocent cause is a
/// warning and does not fail the run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only what is not older: a duration, or a time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Only this check; may be repeated
    #[arg(long, value_name = "CODE")]
    check: Vec<String>,

    /// How many of each are named
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,

    /// What is younger may still be under way
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = super::duration)]
    grace: Duration,

    /// A folder of migrations, whose tables must be there
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, env: &Env) -> anyhow::Result<Report> {
    let began = Instant::now();
    let checks = chosen(&args.check)?;
    let since = args
        .since
        .as_deref()
        .map(|since| moment("--since", since))
        .transpose()?;
    let mut report = Report::new("audit check");
    let chats = match env.chats().await {
        Ok(chats) => chats,
        Err(error) => return gone(env, error, report).await,
    };
    report.store = Some(chats.line());
    let asked = Asked {
        now: super::now(),
        since,
        grace: super::micros(args.grace),
        examples: args.examples,
        expected: expected(args, &chats, env)?,
    };
    let ground = Ground {
        db: chats.db.as_ref(),
        schema: &chats.schema,
        mapping: &chats.mapping,
        asked: &asked,
    };
    env.progress.doing("reading every conversation".to_owned());
    let ran = tokio::select! {
        ran = checks::run(&checks, !args.check.is_empty(), &ground, &mut report) => ran,
        () = env.until_interrupted() => Err(Stop::interrupted().into()),
    };
    env.progress.done();
    ran?;
    report.took = began.elapsed();
    Ok(report)
}

fn chosen(codes: &[String]) -> Result<Vec<&'static Check>, Stop> {
    if codes.is_empty() {
        return Ok(checks::ALL.iter().collect());
    }
    let all: Vec<_> = checks::ALL.iter().map(|check| check.code).collect();
    let mut chosen: Vec<&'static Check> = Vec::new();
    for code in codes {
        let check = checks::named(code).map_err(|near| {
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of {}", all.join(", ")),
            };
            Stop::usage(format!("`{code}` is no check")).hint(hint)
        })?;
        if !chosen.iter().any(|known| known.code == check.code) {
            chosen.push(check);
        }
    }
    Ok(chosen)
}

/// The tables that the folder's migrations make.
fn expected(args: &Args, chats: &Chats, env: &Env) -> anyhow::Result<Option<Vec<String>>> {
    let Some(dir) = &args.dir else {
        return Ok(None);
    };
    let folder = source::read(dir, None)?;
    let dialect = match chats.db.target().backend() {
        "postgres" => Dialect::Postgres,
        "mysql" => Dialect::Mysql,
        _ => Dialect::Sqlite,
    };
    let ups = folder
        .migrations
        .iter()
        .map(|migration| migration.up.as_str());
    let expected = audit::expected(ups, dialect);
    env.progress.note(&format!(
        "migrations: {} in {} make {} tables",
        folder.migrations.len(),
        dir.display(),
        expected.len()
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
    let db = db::open_aside(env.target()?).await?;
    let schema = db.schema().await?;
    let absent = checks::absent(&declared, &schema);
    if absent.is_empty() {
        return Err(error);
    }
    checks::report_absent(&absent, &mut report);
    Ok(report)
}
