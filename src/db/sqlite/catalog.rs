//! What SQLite's catalogue says of tables.

use super::evidence::EVIDENCE;
use super::{file, sentinel};
use crate::cli_error::CliError;
use crate::db::catalog::{Spelling, Started, as_text, quoted};
use crate::db::safety::Durability;
use crate::db::{Catalog, Db, WordIndex};
use crate::model::{Cell, CellRef, Nulls};
use std::ops::ControlFlow;

pub(super) static CATALOG: Catalog = Catalog {
    // The sizes are read page by page, which is too much for a large file.
    tables: "
        SELECT m.name, NULL,
            CASE WHEN (SELECT page_count * page_size FROM temp.pragma_page_count, temp.pragma_page_size) <= 268435456
                THEN (SELECT sum(s.pgsize) FROM dbstat s
                    WHERE s.name IN (SELECT i.name FROM sqlite_master i WHERE i.tbl_name = m.name))
                END,
            NULL,
            'root page ' || m.rootpage || ', schema version ' || (SELECT schema_version FROM temp.pragma_schema_version)
        FROM sqlite_master m
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
            -- The module of a virtual table may not be there.
            AND (lower(m.sql) NOT LIKE 'create virtual%' OR EXISTS (SELECT 1 FROM temp.pragma_module_list l
                WHERE lower(m.sql) LIKE '%using%' || lower(l.name) || '%'))
        ORDER BY m.name",
    parts: "
        WITH known AS MATERIALIZED (SELECT * FROM sqlite_master m WHERE m.type = 'table'
            AND (lower(m.sql) NOT LIKE 'create virtual%' OR EXISTS (SELECT 1 FROM temp.pragma_module_list l
                WHERE lower(m.sql) LIKE '%using%' || lower(l.name) || '%')))
        SELECT name, part, item, declared, nullable, fallback, definition FROM (
            SELECT m.name, 1 AS rank, c.cid AS place, 'column' AS part, c.name AS item, c.type AS declared,
                CASE WHEN c.\"notnull\" THEN 'no' ELSE 'yes' END AS nullable, c.dflt_value AS fallback,
                CASE c.hidden WHEN 2 THEN 'generated' WHEN 3 THEN 'generated, stored' END AS definition
            FROM known m, temp.pragma_table_xinfo(m.name) c WHERE c.hidden <> 1
            UNION ALL
            SELECT m.name, 2, 0, 'primary key', NULL, NULL, NULL, NULL,
                (SELECT group_concat(name, ', ') FROM
                    (SELECT name FROM temp.pragma_table_info(m.name) WHERE pk > 0 ORDER BY pk))
            FROM known m WHERE EXISTS (SELECT 1 FROM temp.pragma_table_info(m.name) WHERE pk > 0)
            UNION ALL
            SELECT m.name, 3, f.id, 'foreign key', NULL, NULL, NULL, NULL,
                group_concat(f.\"from\", ', ') || ' references ' || f.\"table\" ||
                coalesce('(' || group_concat(f.\"to\", ', ') || ')', '') || ' on delete ' || lower(f.on_delete)
            FROM known m, temp.pragma_foreign_key_list(m.name) f
            GROUP BY m.name, f.id
            UNION ALL
            SELECT m.name, 4, i.seq, CASE WHEN i.\"unique\" THEN 'unique' ELSE 'index' END, i.name, NULL, NULL, NULL,
                (SELECT group_concat(coalesce(name, 'expression'), ', ') FROM
                    (SELECT name FROM temp.pragma_index_info(i.name) ORDER BY seqno))
                || CASE WHEN i.partial THEN ' where …' ELSE '' END
            FROM known m, temp.pragma_index_list(m.name) i WHERE i.origin <> 'pk'
        )
        WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name, rank, place",
    last_write: "SQLite does not record when a table was last written",
    elsewhere: None,
    sessions: None,
    first_columns: "SELECT i.name FROM temp.pragma_index_list(?) l JOIN temp.pragma_index_info(l.name) i ON i.seqno = 0 \
        WHERE l.partial = 0",
    loose_keys: "SELECT 0, \"table\", 'row ' || coalesce(rowid, '-') || ' refers to ' || \"parent\" \
        FROM temp.pragma_foreign_key_check",
    limited_texts: &[],
    is_strict: false,
    nulls: Nulls::First,
    commits_late: false,
    lists_running: false,
    neighbours: None,
    started: Started::Unknown,
    evidence: EVIDENCE,
    arm: |db, _, table, act| Box::pin(sentinel::arm(db, table, act)),
    may_drop: None,
    durability: Durability::Place,
    spelling: Spelling {
        quote: quoted,
        text_of: as_text,
        like: |column| format!("lower({}) LIKE ? ESCAPE '!'", as_text(column)),
        holds: |column| format!("instr({}, ?) > 0", as_text(column)),
        characters: |column| format!("length({column})"),
    },
    power: None,
    word_index: Some(|db, table, column| Box::pin(word_index(db, table, column))),
    intact: Some(|db, table| Box::pin(intact(db, table))),
    scans: None,
    stretches: None,
    as_read: str::to_owned,
    number_of: None,
};

/// SQLite reads zeros in a page as rows without values. Only what it says of pages counts, and not
/// of constraints (sqlite.org/pragma.html#pragma_integrity_check).
async fn intact(db: &dyn Db, table: &str) -> anyhow::Result<()> {
    let sql = format!("PRAGMA main.quick_check({})", quoted(table));
    let mut found = None;
    let mut take = |row: &[CellRef<'_>]| {
        let text = Cell::from(row[0]).to_string();
        let of_pages =
            text.starts_with("*** in database") || text.contains("not in PRIMARY KEY order");
        if of_pages {
            found.get_or_insert(text);
        }
        Ok(ControlFlow::Continue(()))
    };
    // A scan reads a copy where a read would keep the server from committing.
    match db.scan(&sql, &[], &mut take).await {
        // An index needs what only the application has: the rows can be read, the pages not checked.
        Err(error) if format!("{error:#}").contains("no such collation sequence") => return Ok(()),
        done => done?,
    }
    match found {
        None => Ok(()),
        Some(text) => {
            let what = text.lines().find(|line| !line.starts_with("***"));
            let stop = file::damaged(db.target());
            Err(CliError {
                message: format!("{}: {}", stop.message, what.unwrap_or(&text)),
                ..stop
            }
            .into())
        }
    }
}

async fn word_index(db: &dyn Db, table: &str, column: &str) -> anyhow::Result<Option<WordIndex>> {
    // Only an index over the table's own rows has their numbers.
    let sql = "SELECT f.name, f.sql FROM sqlite_master f, temp.pragma_table_info(f.name) c
        WHERE f.type = 'table' AND lower(f.sql) LIKE '%using fts5%' AND lower(c.name) = lower(?)";
    let found = db.rows(sql, &[Cell::Text(column.to_owned())]).await?;
    let of_table = |row: &&Vec<Cell>| {
        let sql = row[1].to_string().to_lowercase();
        // A column may have that name too, and `content_rowid` begins with it.
        let options = sql
            .split("content")
            .filter_map(|rest| rest.trim_start().strip_prefix('='));
        let content = options.last().unwrap_or_default();
        let name = content.split([',', ')']).next().unwrap_or_default();
        name.trim_matches(['\'', '"', '`', '[', ']', ' ', '\n']) == table.to_lowercase()
    };
    Ok(found.iter().find(of_table).map(|row| {
        let name = quoted(&row[0].to_string());
        WordIndex {
            condition: format!(
                "m.rowid IN (SELECT rowid FROM {name} WHERE {name} MATCH '{{' || {} || '}} : ' || ?)",
                format_args!("'{}'", quoted(column).replace('\'', "''")),
            ),
            name: row[0].to_string(),
        }
    }))
}
