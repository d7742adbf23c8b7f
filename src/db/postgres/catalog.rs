//! What PostgreSQL's catalogue says of tables.

use crate::db::Catalog;

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
