//! PostgreSQL: the catalogue numbers every object, and never assigns a number twice.

use crate::db::Db;
use crate::db::evidence::{Depth, Facts, Mark, Marks, Taken, columns, mark, shortened};
use crate::model::Cell;
use std::collections::BTreeMap;

pub(super) const EVIDENCE: Facts = Facts {
    take: |db, tables, depth| Box::pin(take(db, tables, depth)),
    of_table: &[TABLE, ROWS],
    shared: &[DATABASE],
    identity: Some("oid"),
};

static DATABASE: &[Mark] = &[
    mark(
        "database",
        "d.oid::text",
        "it is another database of the same name",
    ),
    mark(
        "system",
        "CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE') THEN (SELECT system_identifier::text FROM pg_control_system()) END",
        "it is another server's data folder",
    ),
    mark(
        "standby",
        "CASE WHEN pg_is_in_recovery() THEN 'true' ELSE 'false' END",
        "one read was from a standby, whose own counters are not stored",
    ),
    mark(
        "started",
        "CASE WHEN NOT pg_is_in_recovery() THEN pg_postmaster_start_time()::text END",
        "the server was restarted",
    ),
    mark(
        "counting_since",
        "CASE WHEN NOT pg_is_in_recovery() THEN coalesce(pg_stat_get_db_stat_reset_time(d.oid)::text, 'its beginning') END",
        "the statistics were reset",
    ),
];

/// Of a table `c` with its type `t` and its sequence `s`.
static TABLE: &[Mark] = &[
    mark("oid", "c.oid::text", "only a table that was created again has another one"),
    mark("reltype", "c.reltype::text", "only a table that was created again has another one"),
    mark("made_by", "t.xmin::text", "the table was created or renamed by another transaction"),
    mark(
        "relfilenode",
        "pg_relation_filenode(c.oid)::text",
        "TRUNCATE, VACUUM FULL, CLUSTER and an ALTER that rewrites give a table another file",
    ),
    mark(
        "key",
        "(SELECT k.oid::text FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')",
        "the primary key was created again",
    ),
    mark("sequence", "s.oid::text", "the sequence of its ids was created again"),
    mark(
        "counted",
        // On a standby it is where the log has reserved up to, which is ahead.
        "CASE WHEN NOT pg_is_in_recovery() AND (has_sequence_privilege(s.oid, 'SELECT') OR has_sequence_privilege(s.oid, 'USAGE')) THEN coalesce(pg_sequence_last_value(s.oid), 0)::text END",
        "the ids advanced, or were reset if it is lower",
    ),
    mark("inserted", "CASE WHEN NOT pg_is_in_recovery() THEN pg_stat_get_tuples_inserted(c.oid)::text END", "rows were inserted since"),
    mark("updated", "CASE WHEN NOT pg_is_in_recovery() THEN pg_stat_get_tuples_updated(c.oid)::text END", "rows were updated since"),
    mark(
        "deleted",
        "CASE WHEN NOT pg_is_in_recovery() THEN pg_stat_get_tuples_deleted(c.oid)::text END",
        "rows were deleted since; TRUNCATE is not counted, and a crash sets it to 0",
    ),
    mark(
        "sentinel",
        "obj_description(c.oid, 'pg_class')",
        "the comment with the sentinel is lost only if the table is dropped or somebody changes the comment",
    ),
    mark(
        "schema",
        "(SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
            SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attnotnull || coalesce(pg_get_expr(e.adbin, e.adrelid), '')
                FROM pg_attribute a LEFT JOIN pg_attrdef e ON e.adrelid = c.oid AND e.adnum = a.attnum
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            UNION ALL SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.conrelid = c.oid
            UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i WHERE i.indrelid = c.oid) lines(line))",
        "columns, keys or indexes changed",
    ),
];

/// Of the rows: which transactions wrote them.
static ROWS: &[Mark] = &[
    mark(
        "oldest",
        "min(xmin::text::bigint)::text",
        "no earlier row is left, if it is later than the newest earlier one",
    ),
    mark(
        "newest",
        "max(xmin::text::bigint)::text",
        "rows were written since",
    ),
];

const FROM: &str = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_type t ON t.oid = c.reltype
    LEFT JOIN LATERAL (SELECT q.oid FROM pg_class q JOIN pg_depend y ON y.objid = q.oid
        WHERE q.relkind = 'S' AND y.classid = 'pg_class'::regclass AND y.refclassid = 'pg_class'::regclass
            AND y.refobjid = c.oid AND y.deptype IN ('a', 'i') ORDER BY y.refobjsubid LIMIT 1) s ON true
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND c.relname = ?";

async fn take(db: &dyn Db, tables: &[String], depth: Depth) -> anyhow::Result<Taken> {
    let sql = format!(
        "SELECT {} FROM pg_database d WHERE d.datname = current_database()",
        columns(DATABASE)
    );
    let database = Marks::of(DATABASE, &db.rows(&sql, &[]).await?[0]);
    let sql = format!("SELECT {} {FROM}", columns(TABLE));
    let mut found = BTreeMap::new();
    for table in tables {
        let rows = db.rows(&sql, &[Cell::Text(table.clone())]).await?;
        let Some(row) = rows.first() else { continue };
        let row: Vec<_> = TABLE.iter().zip(row).map(shortened).collect();
        let mut marks = Marks::of(TABLE, &row);
        if depth == Depth::Rows {
            let sql = format!("SELECT {} FROM {}", columns(ROWS), db.quote(table));
            let rows = db.rows(&sql, &[]).await?;
            for (mark, cell) in ROWS.iter().zip(&rows[0]) {
                marks.note(mark.name, cell);
            }
        }
        found.insert(table.clone(), marks);
    }
    Ok((database, found))
}
