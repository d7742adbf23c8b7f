//! `chatctl migrate baseline`, `repair` and `resolve`: what changes the history alone.

use super::Options;
use crate::commands::Done;
use crate::commands::Env;
use crate::db::Missing;
use crate::db::Session;
use crate::migrate::ledger;
use crate::migrate::ledger::Resolution;
use crate::migrate::source::Version;

pub(super) fn baseline(version: &str, options: &Options, env: &Env) -> anyhow::Result<Done> {
    let folder = super::folder(options, env)?;
    let to = folder.version(version)?;
    let written = ledger::baseline(&open(options, env)?, &folder.migrations, &to)?;
    Ok(told("written into the history without being run", &written))
}

pub(super) fn repair(options: &Options, env: &Env) -> anyhow::Result<Done> {
    let folder = super::folder(options, env)?;
    let written = ledger::repair_line_ends(&open(options, env)?, &folder.migrations)?;
    Ok(told("accepted with other line ends", &written))
}

pub(super) fn resolve(
    version: &str,
    how: Resolution,
    options: &Options,
    env: &Env,
) -> anyhow::Result<Done> {
    let folder = super::folder(options, env)?;
    let version = folder.version(version)?;
    ledger::resolve(&open(options, env)?, &folder.migrations, &version, how)?;
    let how = match how {
        Resolution::Applied => "counts as applied",
        Resolution::Retry => "pending again",
    };
    Ok(told(how, &[version]))
}

fn open(options: &Options, env: &Env) -> anyhow::Result<Session> {
    let target = super::target(env)?;
    super::writable(&target)?;
    Session::open(&target, Missing::Fail, options.lock_wait)
}

fn told(what: &str, versions: &[Version]) -> Done {
    let lines = versions
        .iter()
        .map(|version| format!("{version}  {what}\n"));
    Done::Text(match versions {
        [] => "nothing to do\n".to_owned(),
        _ => lines.collect(),
    })
}
