//! Compares a table of the copy with its earlier state, row by row, in one pass.

use super::sameness::{Side, equal, form, readings};
use super::{MySql, quoted, sameness};
use crate::db::session::{Failed, Session as _, compared, numbers};
use crate::model::{Cell, Compared, Shape, ShapeColumn, Successor};

/// Saves a copy of a table, without the rows that a condition leaves out.
pub(super) fn save_image(
    session: &mut MySql,
    copy: &str,
    shape: &Shape,
    but: &str,
) -> Result<(), Failed> {
    let list: Vec<_> = shape
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    let (list, table) = (list.join(", "), quoted(&shape.name));
    let query = format!("SELECT {list} FROM {table}{but}");
    create(session, copy, shape.key.iter(), &query)
}

/// Makes a table of what a query gives, with this key where it can have it.
fn create<'a>(
    session: &mut MySql,
    copy: &str,
    key: impl Iterator<Item = &'a String>,
    query: &str,
) -> Result<(), Failed> {
    let key: Vec<_> = key.map(|name| quoted(name)).collect();
    let key = (!key.is_empty()).then(|| format!("PRIMARY KEY ({})", key.join(", ")));
    let made = session.look_by(&format!("CREATE TABLE {copy} ENGINE = InnoDB AS {query}"));
    match made {
        Ok(()) => {
            // Only for speed, and not to be had where the key is of a text without end.
            if let Some(key) = key {
                let _ = session.look_by(&format!("ALTER TABLE {copy} ADD {key}"));
            }
            Ok(())
        }
        Err(failed) if failed.lost || failed.busy => Err(failed),
        // There are servers where each table must be made with a key.
        Err(failed) => {
            let number = "chatctl_n BIGINT AUTO_INCREMENT PRIMARY KEY".to_owned();
            let mut keys = key.into_iter().chain([number]);
            let is_made = keys.any(|key| {
                let sql = format!("CREATE TABLE {copy} ({key}) ENGINE = InnoDB AS {query}");
                session.look_by(&sql).is_ok()
            });
            if is_made { Ok(()) } else { Err(failed) }
        }
    }
}

/// Saves the former versions of a table's rows, with the times from when to when they were.
pub(super) fn save_history_image(
    session: &mut MySql,
    copy: &str,
    shape: &Shape,
    (start, end): &(String, String),
) -> Result<(), Failed> {
    let list = shape.columns.iter().map(|column| quoted(&column.name));
    let list: Vec<_> = list.collect();
    let (start, end, table) = (quoted(start), quoted(end), quoted(&shape.name));
    let query = format!(
        "SELECT {}, {start} AS {START}, {end} AS {END} FROM {table} FOR SYSTEM_TIME ALL \
         WHERE {end} < current_timestamp(6) + INTERVAL 1 DAY",
        list.join(", ")
    );
    create(session, copy, std::iter::empty(), &query)
}

/// The columns of a period in what is saved.
const START: &str = "chatctl_start";
const END: &str = "chatctl_end";

/// How many former versions of rows are not there any more.
pub(super) fn history(
    session: &mut MySql,
    was: &str,
    successor: &Successor,
) -> anyhow::Result<u64> {
    let tables = session.catalog()?;
    let now = tables.iter().find(|it| it.name == successor.table);
    let Some(period) = now.and_then(|now| now.period.as_ref()) else {
        let rows = session.rows(&format!("SELECT count(*) FROM {was}"))?;
        return Ok(numbers(&rows[0])[0]);
    };
    let column = |name: &str| ShapeColumn {
        id: None,
        name: name.to_owned(),
        declared: "timestamp(6)".to_owned(),
    };
    let mut pairs = successor.columns.clone();
    pairs.push((column(START), column(&period.0)));
    pairs.push((column(END), column(&period.1)));
    let successor = Successor {
        columns: pairs,
        ..successor.clone()
    };
    let now = format!("{} FOR SYSTEM_TIME ALL", quoted(&successor.table));
    missing(session, By::Eye, (was, &now), &successor)
}

/// Whether every value of a column that is another one is of a time since then: of an instant in
/// UTC, of what has no zone in that of clients or in UTC.
pub(super) fn is_since(
    session: &mut MySql,
    was: &str,
    (successor, column): (&Successor, &ShapeColumn),
    (began, since): (&str, &str),
) -> anyhow::Result<bool> {
    let pair = successor.columns.iter().find(|(old, _)| old == column);
    let (Some((old, new)), false) = (pair, successor.key.is_empty()) else {
        return Ok(false);
    };
    let on = successor.key.iter();
    let on: Vec<_> = on.map(|pair| sameness::joined("a", "b", pair)).collect();
    let (a, b) = (sameness::of("a", old), sameness::of("b", new));
    let since = if new.declared.starts_with("timestamp") {
        began
    } else {
        since
    };
    let other = format!(
        "SELECT 1 FROM {was} AS a JOIN {} AS b ON {} WHERE {a} IS NOT NULL AND {b} IS NOT NULL AND NOT {} \
         AND NOT coalesce({b} >= '{since}', FALSE) LIMIT 1",
        quoted(&successor.table),
        on.join(" AND "),
        equal((&a, old), (&b, new))
    );
    Ok(session.rows(&other)?.is_empty())
}

/// Saves of a table what is left of the rows that were saved before.
pub(super) fn save_rest_image(
    session: &mut MySql,
    (was, copy): (&str, &str),
    shape: &Shape,
    successor: &Successor,
) -> anyhow::Result<()> {
    let now = quoted(&successor.table);
    let list = successor.columns_now();
    let list: Vec<_> = list
        .iter()
        .map(|new| format!("b.{}", quoted(&new.name)))
        .collect();
    let list = list.join(", ");
    // Without a key, rows can't be told apart that the run added: they count as older.
    let joins = if !shape.key.is_empty() && is_key(session, &now, successor)? {
        let on = successor.key.iter();
        let on = on.map(|pair| sameness::joined("a", "b", pair));
        let on = on.collect::<Vec<_>>().join(" AND ");
        format!("{was} AS a JOIN {now} AS b ON {on}")
    } else {
        format!("{now} AS b")
    };
    let key = successor.key.iter().map(|(_, new)| &new.name);
    Ok(create(
        session,
        copy,
        key,
        &format!("SELECT {list} FROM {joins}"),
    )?)
}

/// By which connection two tables are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The one that looks.
    Eye,
    /// The one of the statements, which holds the locks of a file: no table that it locked may have
    /// another name in a query.
    Statements,
}

impl By {
    fn rows(self, session: &mut MySql, sql: &str) -> anyhow::Result<Vec<Vec<Cell>>> {
        match self {
            Self::Eye => session.rows(sql),
            Self::Statements => session.seen(sql),
        }
    }

    /// How a query names a table, and how it is called in it.
    fn table(self, table: &str, short: &str) -> (String, String) {
        match self {
            Self::Eye => (format!("{table} AS {short}"), short.to_owned()),
            Self::Statements => (table.to_owned(), table.to_owned()),
        }
    }
}

/// Compares a table with the copy that was saved.
pub(super) fn compare(
    session: &mut MySql,
    was: &str,
    shape: &Shape,
    successor: Option<&Successor>,
) -> anyhow::Result<Compared> {
    match successor {
        Some(successor) => compare_by(session, By::Eye, was, (shape, successor)),
        None => Ok(compared(
            &session
                .rows(&format!("SELECT count(*) FROM {was}"))?
                .remove(0),
        )),
    }
}

/// Compares a table with another one.
pub(super) fn compare_by(
    session: &mut MySql,
    by: By,
    was: &str,
    (shape, successor): (&Shape, &Successor),
) -> anyhow::Result<Compared> {
    let now = quoted(&successor.table);
    if !tells_apart(session, by, &now, successor)? {
        return as_wholes(session, by, (was, &now), (shape, successor));
    }
    let (from, left) = by.table(was, "a");
    let (joined, right) = by.table(&now, "b");
    let on: Vec<_> = successor
        .key
        .iter()
        .map(|pair| sameness::joined(&left, &right, pair))
        .collect();
    let there = format!("{right}.{} IS NOT NULL", quoted(&successor.key[0].1.name));
    let counts: Vec<_> = shape
        .columns
        .iter()
        .map(|column| {
            let filled = format!("count({left}.{})", quoted(&column.name));
            let pair = successor.columns.iter().find(|(old, _)| old == column);
            let Some((old, new)) = pair else {
                return format!("{filled}, 0, 0");
            };
            let (a, b) = (sameness::of(&left, old), sameness::of(&right, new));
            let are_there = format!("{there} AND {a} IS NOT NULL AND {b} IS");
            let changed = readings((&a, old), (&b, new)).into_iter();
            let changed = changed
                .map(|equal| format!("coalesce(sum({are_there} NOT NULL AND NOT {equal}), 0)"));
            // One of them for all values of the column, so that unlike ones stay unlike.
            let fewest = match changed.collect::<Vec<_>>().as_slice() {
                [one] => one.clone(),
                all => format!("least({})", all.join(", ")),
            };
            format!("{filled}, coalesce(sum({are_there} NULL), 0), {fewest}")
        })
        .collect();
    // Two rows that have become one are both joined to it.
    let folded = if successor.key.iter().any(sameness::may_fold) {
        let key = successor.key.iter();
        let key: Vec<_> = key.map(|(_, new)| sameness::of(&right, new)).collect();
        let key = key.join(", ");
        format!(" + coalesce(sum({there}), 0) - count(DISTINCT {key})")
    } else {
        String::new()
    };
    let sql = format!(
        "SELECT count(*), coalesce(sum(NOT ({there})), 0){folded}, {} FROM {from} LEFT JOIN {joined} ON {}",
        counts.join(", "),
        on.join(" AND ")
    );
    match by.rows(session, &sql) {
        Ok(mut rows) => Ok(compared(&rows.remove(0))),
        // A key whose collation is another one now can't be joined.
        Err(_) => as_wholes(session, by, (was, &now), (shape, successor)),
    }
}

/// Whether the old key tells the rows apart still: a migration may take its constraint away.
pub(super) fn is_key(
    session: &mut MySql,
    now: &str,
    successor: &Successor,
) -> anyhow::Result<bool> {
    tells_apart(session, By::Eye, now, successor)
}

fn tells_apart(
    session: &mut MySql,
    by: By,
    now: &str,
    successor: &Successor,
) -> anyhow::Result<bool> {
    if successor.key.is_empty() || successor.keyed {
        return Ok(successor.keyed);
    }
    let new: Vec<_> = successor
        .key
        .iter()
        .map(|(_, new)| quoted(&new.name))
        .collect();
    let twice = format!(
        "SELECT 1 FROM {now} GROUP BY {} HAVING count(*) > 1 LIMIT 1",
        new.join(", ")
    );
    Ok(by.rows(session, &twice)?.is_empty())
}

/// Rows without a key are compared as a whole, and each as often as it is there.
fn as_wholes(
    session: &mut MySql,
    by: By,
    (was, now): (&str, &str),
    (shape, successor): (&Shape, &Successor),
) -> anyhow::Result<Compared> {
    let missing = missing(session, by, (was, now), successor)?;
    let counts: Vec<_> = shape
        .columns
        .iter()
        .map(|column| format!(", count({}), 0, 0", quoted(&column.name)))
        .collect();
    let sql = format!("SELECT count(*), 0{} FROM {was}", counts.concat());
    let row = by.rows(session, &sql)?;
    Ok(Compared {
        missing,
        ..compared(&row[0])
    })
}

/// How many rows of before are not there after, all of them compared as wholes.
fn missing(
    session: &mut MySql,
    by: By,
    (was, now): (&str, &str),
    successor: &Successor,
) -> anyhow::Result<u64> {
    let side = |side: Side| {
        let parts = successor.columns.iter().enumerate();
        let parts = parts.map(|(index, (old, new))| {
            let pair = match side {
                Side::Before => (old, new),
                Side::After => (new, old),
            };
            let value = form(&quoted(&pair.0.name), pair, side);
            format!(", {value} AS v{index}")
        });
        parts.collect::<String>()
    };
    let places: Vec<_> = (0..successor.columns.len())
        .map(|index| format!("v{index}"))
        .collect();
    if places.is_empty() {
        Ok(0)
    } else {
        let sql = format!(
            "SELECT coalesce(sum(greatest(n, 0)), 0) FROM (SELECT sum(side) AS n FROM \
             (SELECT 1 AS side{} FROM {was} UNION ALL SELECT -1{} FROM {now}) AS both_sides GROUP BY {}) AS counted",
            side(Side::Before),
            side(Side::After),
            places.join(", ")
        );
        Ok(numbers(&by.rows(session, &sql)?[0])[0])
    }
}
