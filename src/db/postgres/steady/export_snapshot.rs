//! Several views of one moment, and stretches of a table for each of them to read.

use super::{BEGIN, FILES, NOW, Postgres, Sorts, Variant, base, code, connect, unlocked};
use crate::db::Db;
use crate::model::Cell;
use crate::stop::Stop;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::sync::Mutex;

/// Whether this user may share a moment.
const MAY: &str = "SELECT coalesce(has_function_privilege(
    to_regprocedure('pg_export_snapshot()')::oid, 'EXECUTE'), false)::int";

/// Pages of a table, or of the largest one of its partitions and heirs.
const PAGES: &str = "
    WITH RECURSIVE part(oid) AS (
        SELECT c.oid FROM pg_class c WHERE c.relname = ? AND c.relnamespace = current_schema()::regnamespace
        UNION SELECT i.inhrelid FROM pg_inherits i JOIN part ON part.oid = i.inhparent)
    SELECT max(pg_relation_size(oid) / current_setting('block_size')::bigint) FROM part";

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
        anyhow::bail!(
            "the server gave no name to the moment of `{}`",
            first.target
        );
    };
    // The name is the server's own, and stands between quotes all the same.
    let name = name.replace('\'', "''");
    let begin = format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{name}'{lock}");
    let mut views = Vec::with_capacity(count);
    for _ in 0..count {
        views.push(another(first, &begin).await?);
    }
    Ok(views)
}

async fn another(first: &Postgres, begin: &str) -> anyhow::Result<Postgres> {
    let target = first.target.clone();
    let mut connection = connect(&target, first.limit, Sorts::Yes).await?;
    if let Err(error) = connection.execute(AssertSqlSafe(begin.to_owned())).await {
        // 22023 invalid_parameter_value, 42704 undefined_object: it knows nothing of the moment.
        return Err(match code(&error).as_deref() {
            Some("22023" | "42704") => elsewhere(first).into(),
            _ => unlocked(&target, error),
        });
    }
    let at = base::rows(&mut connection, NOW).await?;
    if at[0][0].text() != first.moment.snapshot.as_deref() {
        return Err(elsewhere(first).into());
    }
    let files = base::rows(&mut connection, FILES).await?;
    Ok(Postgres {
        target,
        reader: Mutex::new(Some(connection)),
        moment: first.moment.clone(),
        files,
        limit: first.limit,
        deadline: first.deadline,
    })
}

/// What stands between shares connections out to several servers.
fn elsewhere(first: &Postgres) -> Stop {
    Stop::unreachable(format!(
        "two connections to `{}` came to two servers, which share no moment",
        first.target
    ))
    .hint("give the URL of one server, or read without --ranges")
}

/// Cuts a table by the place where its rows stand. Within a snapshot a row is in one place, and
/// the lock of the view keeps the table from being written anew elsewhere.
pub(in crate::db::postgres) async fn stretches(
    view: &dyn Db,
    table: &str,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let rows = view.rows(PAGES, &[Cell::Text(table.to_owned())]).await?;
    let pages = rows[0][0].int().and_then(|pages| u64::try_from(pages).ok());
    Ok(cut(pages.unwrap_or(0), count))
}

/// Conditions for as many stretches of about as many pages; fewer where there are not so many pages.
/// The first one has no beginning and the last one no end, so that no row is in none of them.
fn cut(pages: u64, count: usize) -> Vec<String> {
    let count = count as u64;
    let mut ends: Vec<_> = (1..count).map(|at| pages * at / count).collect();
    ends.dedup();
    ends.retain(|page| *page > 0);
    let mut from = None;
    let mut stretches = Vec::with_capacity(ends.len() + 1);
    for end in ends.into_iter().map(Some).chain([None]) {
        let after = from.map(|page| format!("m.ctid >= '({page},0)'::tid"));
        let before = end.map(|page| format!("m.ctid < '({page},0)'::tid"));
        let both: Vec<_> = after.into_iter().chain(before).collect();
        stretches.push(both.join(" AND "));
        from = end;
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn every_page_is_in_one_stretch() {
        assert_eq!(
            cut(10, 3),
            [
                "m.ctid < '(3,0)'::tid",
                "m.ctid >= '(3,0)'::tid AND m.ctid < '(6,0)'::tid",
                "m.ctid >= '(6,0)'::tid"
            ]
        );
        assert_eq!(cut(1, 4), [""]);
        assert_eq!(cut(0, 4), [""]);
        assert_eq!(
            cut(2, 8),
            ["m.ctid < '(1,0)'::tid", "m.ctid >= '(1,0)'::tid"]
        );
    }
}
