//! Whether a view that replaced a table takes the rows that applications store in the table. The catalogue
//! says of a whole view that it takes rows, although one of its columns does not.

use crate::db::Session;
use crate::model::{Cell, Shape};
use crate::sql::Dialect;

/// Why an INSERT into the view fails, if it names the columns of the table; none where it does not fail.
pub(super) fn refuses(
    session: &mut dyn Session,
    (was, view): (&Shape, &str),
    now: Option<&Shape>,
    dialect: Dialect,
) -> anyhow::Result<Option<String>> {
    let (computed, missing) = match dialect {
        Dialect::Postgres => (
            postgres_computed(session, view)?,
            postgres_missing(session, view, now)?,
        ),
        Dialect::Mysql => (
            mysql_computed(session, (was, view))?,
            mysql_missing(session, view, now)?,
        ),
        // A trigger stores the rows, and what it does with each column is its own.
        Dialect::Sqlite => return Ok(None),
    };
    let names = session.names().columns;
    let computed = computed.into_iter().find(|name| {
        let mut of_table = was.columns.iter();
        of_table.any(|column| names.same(&column.name, name))
    });
    Ok(match (computed, missing.into_iter().next()) {
        // The server takes no row by such a view, and does not say which column it is.
        (Some(_), _) if dialect == Dialect::Mysql => Some(
            "that computes a column or shows one twice: an INSERT under this name fails".to_owned(),
        ),
        (Some(column), _) => Some(format!(
            "whose column `{column}` is an expression: an INSERT that gives it a value fails"
        )),
        (None, Some(column)) => Some(format!(
            "that does not show `{column}`, which is NOT NULL and has no default: an INSERT under this name fails"
        )),
        (None, None) => None,
    })
}

/// Columns of the view that take no value, unless a trigger or a rule stores the rows.
fn postgres_computed(session: &mut dyn Session, view: &str) -> anyhow::Result<Vec<String>> {
    let view = session.quote(view).replace('\'', "''");
    let sql = format!(
        "SELECT a.attname::text FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = '{view}'::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped \
         AND NOT pg_catalog.pg_column_is_updatable(a.attrelid, a.attnum, false) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = a.attrelid AND t.tgtype & 68 = 68) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = a.attrelid AND r.ev_type = '3') \
         ORDER BY a.attnum"
    );
    Ok(texts(session.rows(&sql)?))
}

/// Columns of the table behind the view that need a value and get none.
fn postgres_missing(
    session: &mut dyn Session,
    view: &str,
    now: Option<&Shape>,
) -> anyhow::Result<Vec<String>> {
    let Some(now) = now else {
        return Ok(Vec::new());
    };
    let view = session.quote(view).replace('\'', "''");
    let table = session.quote(&now.name).replace('\'', "''");
    let sql = format!(
        "SELECT a.attname::text FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = '{table}'::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped \
         AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t \
           WHERE NOT t.tgisinternal AND (t.tgrelid = a.attrelid AND t.tgtype & 7 = 7 \
             OR t.tgrelid = '{view}'::pg_catalog.regclass AND t.tgtype & 68 = 68)) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite r \
           JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid \
           WHERE r.ev_class = '{view}'::pg_catalog.regclass AND (r.ev_type = '3' \
             OR d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum)) \
         ORDER BY a.attnum"
    );
    Ok(texts(session.rows(&sql)?))
}

/// The server names no column: it refuses the plan of an INSERT that has them all.
fn mysql_computed(
    session: &mut dyn Session,
    (was, view): (&Shape, &str),
) -> anyhow::Result<Vec<String>> {
    let names = session.names().columns;
    let shows = session.shows(view)?;
    let mut computed = Vec::new();
    for column in &was.columns {
        let Some(shown) = shows.iter().find(|it| names.same(it, &column.name)) else {
            continue;
        };
        let (view, quoted) = (session.quote(view), session.quote(shown));
        let plan = format!("EXPLAIN INSERT INTO {view} ({quoted}) VALUES (NULL)");
        if session.rows(&plan).is_err() {
            computed.push(shown.clone());
        }
    }
    Ok(computed)
}

fn mysql_missing(
    session: &mut dyn Session,
    view: &str,
    now: Option<&Shape>,
) -> anyhow::Result<Vec<String>> {
    let Some(now) = now else {
        return Ok(Vec::new());
    };
    let literal = |text: &str| text.replace('\\', "\\\\").replace('\'', "''");
    let (view, table) = (literal(view), literal(&now.table));
    let sql = format!(
        "SELECT c.column_name FROM information_schema.columns c JOIN information_schema.views v \
         ON v.table_schema = c.table_schema AND v.table_name = '{view}' \
         WHERE c.table_schema = database() AND c.table_name = '{table}' AND c.is_nullable = 'NO' \
         AND c.column_default IS NULL AND c.extra NOT LIKE '%auto_increment%' AND c.extra NOT LIKE '%GENERATED%' \
         AND instr(v.view_definition, concat('.`', c.column_name, '` AS ')) = 0 \
         ORDER BY c.ordinal_position"
    );
    Ok(texts(session.rows(&sql)?))
}

fn texts(rows: Vec<Vec<Cell>>) -> Vec<String> {
    let first = |row: Vec<Cell>| row.first().and_then(|cell| cell.text().map(str::to_owned));
    rows.into_iter().filter_map(first).collect()
}
