//! What each engine's catalogue tells an ordinary user of its tables, as queries whose rows have
//! one shape.

/// The questions of a backend.
#[derive(Debug)]
pub struct Catalog {
    /// A row a table: name, estimated rows, bytes with its indexes, last write, evidence of its
    /// identity; NULL is unknown.
    pub tables: &'static str,
    /// A row a part of a table: table, what the part is, name, type, whether it may be NULL,
    /// default, definition.
    pub parts: &'static str,
    /// Whose word the last write is.
    pub last_write: &'static str,
    /// A row a column of the tables that a bare name does not mean, as far as the login may read
    /// them: schema or database, table, column, type. None where there are no such tables.
    pub elsewhere: Option<&'static str>,
    /// A row a kind of connection to this database that is not chatctl's: who, how many. None where
    /// a database has no connections.
    pub sessions: Option<&'static str>,
}

pub(super) static SQLITE: Catalog = Catalog {
    // The sizes are read page by page, which is too much for a large file.
    tables: "
        SELECT m.name, NULL,
            CASE WHEN (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) <= 268435456
                THEN (SELECT sum(s.pgsize) FROM dbstat s
                    WHERE s.name IN (SELECT i.name FROM sqlite_master i WHERE i.tbl_name = m.name))
                END,
            NULL,
            'root page ' || m.rootpage || ', schema version ' || (SELECT schema_version FROM pragma_schema_version)
        FROM sqlite_master m
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name",
    parts: "
        SELECT name, part, item, declared, nullable, fallback, definition FROM (
            SELECT m.name, 1 AS rank, c.cid AS place, 'column' AS part, c.name AS item, c.type AS declared,
                CASE WHEN c.\"notnull\" THEN 'no' ELSE 'yes' END AS nullable, c.dflt_value AS fallback,
                CASE c.hidden WHEN 2 THEN 'generated' WHEN 3 THEN 'generated, stored' END AS definition
            FROM sqlite_master m, pragma_table_xinfo(m.name) c WHERE m.type = 'table' AND c.hidden <> 1
            UNION ALL
            SELECT m.name, 2, 0, 'primary key', NULL, NULL, NULL, NULL,
                (SELECT group_concat(name, ', ') FROM
                    (SELECT name FROM pragma_table_info(m.name) WHERE pk > 0 ORDER BY pk))
            FROM sqlite_master m WHERE m.type = 'table'
                AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) WHERE pk > 0)
            UNION ALL
            SELECT m.name, 3, f.id, 'foreign key', NULL, NULL, NULL, NULL,
                group_concat(f.\"from\", ', ') || ' references ' || f.\"table\" ||
                coalesce('(' || group_concat(f.\"to\", ', ') || ')', '') || ' on delete ' || lower(f.on_delete)
            FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'
            GROUP BY m.name, f.id
            UNION ALL
            SELECT m.name, 4, i.seq, CASE WHEN i.\"unique\" THEN 'unique' ELSE 'index' END, i.name, NULL, NULL, NULL,
                (SELECT group_concat(coalesce(name, 'expression'), ', ') FROM
                    (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno))
                || CASE WHEN i.partial THEN ' where …' ELSE '' END
            FROM sqlite_master m, pragma_index_list(m.name) i WHERE m.type = 'table' AND i.origin <> 'pk'
        )
        WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name, rank, place",
    last_write: "SQLite does not keep when a table was last written",
    elsewhere: None,
    sessions: None,
};

pub(super) static POSTGRES: Catalog = Catalog {
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
    last_write: "PostgreSQL does not keep when a table was last written",
    elsewhere: Some(
        "SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname <> coalesce(current_schema(), '') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
        ORDER BY n.nspname, c.relname, a.attnum LIMIT 20000",
    ),
    sessions: Some(
        "SELECT usename || ' from ' || coalesce(host(client_addr), 'a socket')
                || coalesce(' (' || nullif(application_name, '') || ')', ''), count(*)
            FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'chatctl'
            GROUP BY 1 ORDER BY 1",
    ),
};

pub(super) static MYSQL: Catalog = Catalog {
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
                ON r.constraint_schema = k.table_schema AND r.constraint_name = k.constraint_name
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
    last_write: "the last write is what InnoDB remembers since the server was started",
    elsewhere: Some(
        "SELECT c.table_schema, c.table_name, c.column_name, c.column_type
        FROM information_schema.columns c JOIN information_schema.tables t
            ON t.table_schema = c.table_schema AND t.table_name = c.table_name
        WHERE c.table_schema <> database() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
            AND c.table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
        ORDER BY c.table_schema, c.table_name, c.ordinal_position LIMIT 20000",
    ),
    // It does not keep the names of programs, so chatctl's own are among them.
    sessions: Some(
        "SELECT concat(user, ' from ', substring_index(host, ':', 1)), count(*)
            FROM information_schema.processlist
            WHERE db = database() AND id <> connection_id() GROUP BY 1 ORDER BY 1",
    ),
};
