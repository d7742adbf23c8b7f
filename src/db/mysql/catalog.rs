//! What MySQL's and MariaDB's catalogue says of tables.

use super::evidence::EVIDENCE;
use super::{safety, sentinel};
use crate::db::catalog::{Elsewhere, Spelling, Started};
use crate::db::safety::Durability;
use crate::db::{Catalog, Db, WordIndex};
use crate::model::{Cell, Nulls};

pub(super) static CATALOG: Catalog = Catalog {
    tables: "
        SELECT t.table_name, t.table_rows, t.data_length + t.index_length, CAST(t.update_time AS CHAR),
            concat('created ', t.create_time)
        FROM information_schema.tables t
        WHERE t.table_schema = database() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
        ORDER BY t.table_name",
    parts: "
        SELECT x.tbl, x.part, x.item, x.declared, x.nullable, x.fallback, x.definition FROM (
            SELECT c.table_name AS tbl, 1 AS ranked, c.ordinal_position AS place, 'column' AS part,
                c.column_name AS item, c.column_type AS declared, lower(c.is_nullable) AS nullable,
                c.column_default AS fallback, nullif(c.extra, '') AS definition
            FROM information_schema.columns c WHERE c.table_schema = database()
            UNION ALL
            SELECT k.table_name, 3, 0, 'foreign key', k.constraint_name, NULL, NULL, NULL,
                concat(group_concat(k.column_name ORDER BY k.ordinal_position SEPARATOR ', '), ' references ',
                    k.referenced_table_name, '(',
                    group_concat(k.referenced_column_name ORDER BY k.ordinal_position SEPARATOR ', '),
                    ') on delete ', lower(max(r.delete_rule)))
            FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r
                ON r.constraint_schema = database() AND r.constraint_name = k.constraint_name
                    AND r.table_name = k.table_name
            WHERE k.table_schema = database()
            GROUP BY k.table_name, k.constraint_name, k.referenced_table_name
            UNION ALL
            SELECT s.table_name, CASE s.index_name WHEN 'PRIMARY' THEN 2 ELSE 4 END, 0,
                CASE WHEN s.index_name = 'PRIMARY' THEN 'primary key'
                    WHEN max(s.non_unique) = 0 THEN 'unique' ELSE 'index' END,
                s.index_name, NULL, NULL, NULL,
                group_concat(s.column_name ORDER BY s.seq_in_index SEPARATOR ', ')
            FROM information_schema.statistics s WHERE s.table_schema = database()
            GROUP BY s.table_name, s.index_name
        ) x JOIN information_schema.tables t ON t.table_schema = database() AND t.table_name = x.tbl
        WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
        ORDER BY x.tbl, x.ranked, x.place, x.item",
    last_write: "InnoDB remembers the last write only since the start of the server",
    elsewhere: Some(Elsewhere {
        columns: "SELECT c.table_schema, c.table_name, c.column_name, c.column_type
        FROM information_schema.columns c JOIN information_schema.tables t
            ON t.table_schema = c.table_schema AND t.table_name = c.table_name
        WHERE c.table_schema <> database() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
            AND c.table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
        ORDER BY c.table_schema, c.table_name, c.ordinal_position LIMIT 20000",
        reach: |database| format!("give `{database}` as the database in --database-url"),
    }),
    // It does not keep the names of programs, so chatctl's own are among them.
    sessions: Some(
        "SELECT concat(user, ' from ', substring_index(host, ':', 1)), count(*)
            FROM information_schema.processlist
            WHERE db = database() AND id <> connection_id() GROUP BY 1 ORDER BY 1",
    ),
    first_columns: "SELECT column_name FROM information_schema.statistics \
        WHERE table_schema = database() AND table_name = ? AND seq_in_index = 1",
    loose_keys: "SELECT 2, table_name, concat('engine ', engine) FROM information_schema.tables \
        WHERE table_schema = database() AND engine IN ('MyISAM', 'Aria', 'MEMORY', 'CSV', 'ARCHIVE')",
    // Refman 8.0, 13.7 "Data Type Storage Requirements".
    limited_texts: &[
        ("TINYTEXT", 255),
        ("TEXT", 65_535),
        ("MEDIUMTEXT", 16_777_215),
    ],
    is_strict: false,
    nulls: Nulls::First,
    commits_late: true,
    lists_running: false,
    neighbours: Some(
        "SELECT CONCAT('database ', CAST(schema_name AS CHAR)) FROM information_schema.schemata",
    ),
    started: Started::SecondsAgo("SHOW GLOBAL STATUS LIKE 'Uptime'"),
    evidence: EVIDENCE,
    arm: |db, writer, table, act| Box::pin(sentinel::arm(db, writer, table, act)),
    may_drop: Some(|db, table| Box::pin(safety::may_drop(db, table))),
    durability: Durability::Settings(|db, table| Box::pin(safety::risks(db, table))),
    spelling: Spelling {
        quote,
        text_of,
        like: |column| format!("lower({}) LIKE ? ESCAPE '!'", text_of(column)),
        holds: |column| format!("instr({}, ?) > 0", text_of(column)),
        characters: |column| format!("char_length({})", text_of(column)),
    },
    power: Some(|db| Box::pin(power(db))),
    word_index: Some(|db, table, column| Box::pin(word_index(db, table, column))),
    intact: None,
    scans: None,
    stretches: None,
    as_read,
    number_of: Some(number_of),
};

/// An identifier, quoted.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The usual collations take `a` for `A` and `ä`; keys and nonces must not be mixed up.
/// Bytes that are no text become hexadecimal: as `?` two keys would read alike.
fn text_of(column: &str) -> String {
    let text = format!("CONVERT({column} USING utf8mb4)");
    format!(
        "(CASE WHEN charset({column}) = 'binary' AND CAST({text} AS BINARY) <> {column} \
         THEN lower(hex({column})) ELSE {text} END) COLLATE utf8mb4_bin"
    )
}

async fn power(db: &dyn Db) -> anyhow::Result<Option<String>> {
    let grants = db.rows("SHOW GRANTS", &[]).await?;
    let grants: Vec<_> = grants.iter().map(|row| row[0].to_string()).collect();
    let any = |rights: &[&str]| {
        let has = |grant: &String| rights.iter().any(|right| grant.contains(right));
        grants.iter().any(has)
    };
    Ok(
        match (
            any(&["ALL PRIVILEGES ON *.*", "SUPER"]),
            any(&["ALL PRIVILEGES", "INSERT", "DELETE"]),
        ) {
            (true, _) => Some("with all privileges".to_owned()),
            (false, true) => Some("as a user who may write".to_owned()),
            (false, false) => None,
        },
    )
}

async fn word_index(db: &dyn Db, table: &str, column: &str) -> anyhow::Result<Option<WordIndex>> {
    let sql = "SELECT index_name FROM information_schema.statistics
        WHERE table_schema = database() AND table_name = ? GROUP BY index_name
        HAVING max(index_type) = 'FULLTEXT' AND group_concat(column_name) = ?";
    let args = [table, column].map(|name| Cell::Text(name.to_owned()));
    let found = db.rows(sql, &args).await?;
    Ok(found.first().map(|row| WordIndex {
        name: row[0].to_string(),
        condition: format!("MATCH(m.{}) AGAINST(? IN BOOLEAN MODE)", quote(column)),
    }))
}

/// The bytes that a client gets: what a column keeps in another character set is converted.
fn as_read(it: &str) -> String {
    format!(
        "CASE charset({it}) WHEN 'binary' THEN CAST({it} AS BINARY) \
         ELSE CAST(CONVERT({it} USING utf8mb4) AS BINARY) END"
    )
}

/// Half of a digest of all fields, each behind its length; a field without a value has none.
fn number_of(expressions: &[String]) -> String {
    let field =
        |it: &String| format!("coalesce(concat(length({it}), ':', CAST({it} AS BINARY)), '-')");
    let fields: Vec<_> = expressions.iter().map(field).collect();
    let digest = format!("md5(concat({}))", fields.join(", "));
    format!("CAST(conv(left({digest}, 16), 16, 10) AS UNSIGNED)")
}
