//! Stretches of a table, by the place where its rows are stored.

use crate::db::Db;
use crate::model::Cell;

/// Pages of a table, or of the largest one of its partitions and heirs.
const PAGES: &str = "
    WITH RECURSIVE part(oid) AS (
        SELECT c.oid FROM pg_class c WHERE c.relname = ? AND c.relnamespace = current_schema()::regnamespace
        UNION SELECT i.inhrelid FROM pg_inherits i JOIN part ON part.oid = i.inhparent)
    SELECT max(pg_relation_size(oid) / current_setting('block_size')::bigint) FROM part";

/// Cuts a table by the place where its rows stand. Within a snapshot a row is in one place, and
/// the lock of the view keeps the table from being rewritten elsewhere.
pub(super) async fn stretches(
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
