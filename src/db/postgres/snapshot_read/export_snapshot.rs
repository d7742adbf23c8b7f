//! Several views of one moment, and stretches of a table for each of them to read.

use super::{BEGIN, FILES, NOW, Postgres, Sorts, Variant, code, connect, unlocked};
use crate::cli_error::CliError;
use crate::db::Db;
use crate::db::driver::rows;
use crate::model::Cell;
use sqlx::{AssertSqlSafe, Executor as _};

/// Whether this user may share a moment.
const MAY: &str = "SELECT coalesce(has_function_privilege(
    to_regprocedure('pg_export_snapshot()')::oid, 'EXECUTE'), false)::int";

/// Why the moment can't be shared, in a sentence; none where it can.
pub(super) async fn obstacle(first: &Postgres, kin: Variant) -> anyhow::Result<Option<String>> {
    let why = match kin.alone() {
        Some(why) => Some(why),
        None if first.rows(MAY, &[]).await?[0][0] == Cell::Int(1) => None,
        None => Some("this user may not call pg_export_snapshot()"),
    };
    Ok(why.map(|why| format!("The store is read in one range: {why}.")))
}

/// Opens so many more views of the moment of the first one, each with a lock of its own.
pub(super) async fn open(
    first: &Postgres,
    lock: &str,
    count: usize,
) -> anyhow::Result<Vec<Postgres>> {
    let exported = first.rows("SELECT pg_export_snapshot()", &[]).await?;
    let Cell::Text(name) = &exported[0][0] else {
        anyhow::bail!("the server exported no snapshot of `{}`", first.target());
    };
    // The name is the server's own, and is between quotes all the same.
    let name = name.replace('\'', "''");
    let begin = format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{name}'{lock}");
    let mut views = Vec::with_capacity(count);
    for _ in 0..count {
        views.push(another(first, &begin).await?);
    }
    Ok(views)
}

async fn another(first: &Postgres, begin: &str) -> anyhow::Result<Postgres> {
    let target = first.target().clone();
    let mut connection = connect(&target, first.view.limit(), Sorts::Yes).await?;
    if let Err(error) = connection.execute(AssertSqlSafe(begin.to_owned())).await {
        // 22023 invalid_parameter_value, 42704 undefined_object: it knows nothing of the moment.
        return Err(match code(&error).as_deref() {
            Some("22023" | "42704") => elsewhere(first).into(),
            _ => unlocked(&target, error),
        });
    }
    let at = rows(&mut connection, NOW).await?;
    if at[0][0].text() != first.moment.snapshot.as_deref() {
        return Err(elsewhere(first).into());
    }
    let files = rows(&mut connection, FILES).await?;
    Ok(Postgres {
        view: first.view.with(connection),
        moment: first.moment.clone(),
        files,
    })
}

/// A proxy that shares connections out to several servers.
fn elsewhere(first: &Postgres) -> CliError {
    CliError::unreachable(format!(
        "two connections to `{}` reached two servers, which cannot share a snapshot",
        first.target()
    ))
    .hint("give the URL of one server, or read without --ranges")
}
