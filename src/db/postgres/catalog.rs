//! What PostgreSQL's catalogue says of tables.

use super::evidence::EVIDENCE;
use super::stretches::stretches;
use super::{safety, sentinel};
use crate::db::catalog::{Elsewhere, Spelling, Started, as_text, quoted};
use crate::db::safety::Durability;
use crate::db::{Catalog, Db};
use crate::model::{Cell, Nulls};

pub(super) static CATALOG: Catalog = Catalog {
    tables: "
        SELECT c.relname,
            (SELECT nullif(sum(greatest(p.reltuples, 0)), 0)::int8 FROM pg_class p
                WHERE p.oid = c.oid OR p.oid IN (SELECT relid FROM pg_partition_tree(c.oid))),
            CASE c.relkind WHEN 'p' THEN
                (SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::int8 FROM pg_partition_tree(c.oid))
                ELSE pg_total_relation_size(c.oid) END,
            NULL,
            'oid ' || c.oid || coalesce(', file ' || pg_relation_filenode(c.oid), '')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        ORDER BY c.relname",
    parts: "
        SELECT c.relname, x.part, x.item, x.declared, x.nullable, x.fallback, x.definition
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
            SELECT 1 AS rank, a.attnum::int8 AS place, 'column' AS part, a.attname::text AS item,
                format_type(a.atttypid, a.atttypmod) AS declared,
                CASE WHEN a.attnotnull THEN 'no' ELSE 'yes' END AS nullable,
                pg_get_expr(d.adbin, d.adrelid) AS fallback,
                CASE WHEN a.attgenerated <> '' THEN 'generated'
                    WHEN a.attidentity <> '' THEN 'identity' END AS definition
            FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            UNION ALL
            SELECT CASE k.contype WHEN 'p' THEN 2 WHEN 'f' THEN 3 ELSE 4 END, k.oid::int8,
                CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'f' THEN 'foreign key' WHEN 'u' THEN 'unique'
                    WHEN 'c' THEN 'check' ELSE 'constraint' END,
                k.conname::text, NULL, NULL, NULL, pg_get_constraintdef(k.oid)
            FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'f', 'u', 'c', 'x')
            UNION ALL
            SELECT 5, i.indexrelid::int8, CASE WHEN i.indisunique THEN 'unique' ELSE 'index' END,
                r.relname::text, NULL, NULL, NULL,
                pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END
            FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid
            WHERE i.indrelid = c.oid AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid
                AND k.conrelid = c.oid)
        ) x
        WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        ORDER BY c.relname, x.rank, x.place",
    last_write: "PostgreSQL does not record when a table was last written",
    elsewhere: Some(Elsewhere {
        columns: "SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname <> coalesce(current_schema(), '') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
        ORDER BY n.nspname, c.relname, a.attnum LIMIT 20000",
        reach: |schema| format!("add ?search_path={} to --database-url", spelled(schema)),
    }),
    sessions: Some(
        "SELECT usename || ' from ' || coalesce(host(client_addr), 'a socket')
                || coalesce(' (' || nullif(application_name, '') || ')', ''), count(*)
            FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'chatctl'
            GROUP BY 1 ORDER BY 1",
    ),
    first_columns: "SELECT a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] \
        WHERE c.relname = ? AND c.relnamespace = current_schema()::regnamespace AND i.indisvalid AND i.indpred IS NULL",
    loose_keys: "SELECT 1, c.relname, 'constraint ' || k.conname || ' is NOT VALID' \
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
        WHERE k.contype = 'f' AND NOT k.convalidated AND c.relnamespace = current_schema()::regnamespace \
        UNION SELECT 1, c.relname, 'the triggers of constraint ' || k.conname || ' are disabled' \
        FROM pg_constraint k JOIN pg_trigger t ON t.tgconstraint = k.oid \
        JOIN pg_class c ON c.oid = k.conrelid \
        WHERE k.contype = 'f' AND t.tgenabled = 'D' AND c.relnamespace = current_schema()::regnamespace",
    limited_texts: &[],
    is_strict: true,
    nulls: Nulls::Last,
    commits_late: true,
    lists_running: true,
    neighbours: Some(
        "SELECT 'database ' || datname FROM pg_database WHERE NOT datistemplate \
        UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'",
    ),
    started: Started::At("SELECT pg_postmaster_start_time()"),
    evidence: EVIDENCE,
    arm: |db, _, table, act| Box::pin(sentinel::arm(db, table, act)),
    may_drop: Some(|db, table| Box::pin(safety::may_drop(db, table))),
    durability: Durability::Settings(|db, table| Box::pin(safety::risks(db, table))),
    spelling: Spelling {
        quote: quoted,
        text_of: as_text,
        // Unlike `lower`, it can be answered by an index of trigrams.
        like: |column| format!("{} ILIKE ? ESCAPE '!'", as_text(column)),
        holds: |column| format!("strpos({}, ?) > 0", as_text(column)),
        characters: |column| format!("char_length({})", as_text(column)),
    },
    power: Some(|db| Box::pin(power(db))),
    word_index: None,
    intact: None,
    scans: Some(|db, sql, args| Box::pin(scans(db, sql, args))),
    stretches: Some(|db, table, count| Box::pin(stretches(db, table, count))),
    as_read: str::to_owned,
    number_of: Some(number_of),
};

async fn power(db: &dyn Db) -> anyhow::Result<Option<String>> {
    let sql = "SELECT current_setting('is_superuser') = 'on', EXISTS (SELECT FROM pg_class c
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
            AND pg_has_role(c.relowner, 'USAGE'))";
    let rows = db.rows(sql, &[]).await?;
    let is = |at: usize| rows.first().and_then(|row| row[at].int()) == Some(1);
    Ok(match (is(0), is(1)) {
        (true, _) => Some("as a superuser".to_owned()),
        (false, true) => Some("as the owner of tables, who may write".to_owned()),
        (false, false) => None,
    })
}

async fn scans(db: &dyn Db, sql: &str, args: &[Cell]) -> anyhow::Result<bool> {
    let plan = db.rows(&format!("EXPLAIN {sql}"), args).await?;
    let lines = plan.iter().filter_map(|row| row[0].text());
    Ok(lines.clone().any(|line| line.contains("Seq Scan")))
}

fn number_of(expressions: &[String]) -> String {
    // A function takes 100 arguments at most, and the text of a row would be quoted letter by
    // letter.
    let texts = expressions.chunks(30).map(|some| {
        let values = some.join(", chr(31), ");
        let nulls: Vec<_> = some.iter().map(|it| format!("({it}) IS NULL")).collect();
        format!("concat({values}, chr(31), {})", nulls.join(", "))
    });
    let text = texts.collect::<Vec<_>>().join(" || ");
    format!("hashtextextended({text}, 0)")
}

/// A schema as a search path spells it.
fn spelled(schema: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if schema.chars().all(plain) {
        schema.to_owned()
    } else {
        format!("\"{schema}\"")
    }
}
