//! What MySQL's and MariaDB's catalogue says of tables.

use crate::db::Catalog;

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
