//! The schema in lines that two databases of the same migrations have in common.

use super::Postgres;
use crate::db::session::{OWN, Session as _};

/// What is listed: each gives a name and a text. Members of extensions belong to their extension.
const LISTS: &[&str] = &[
    "SELECT n.nspname || '.' || c.relname, CASE c.relkind WHEN 'p' THEN 'partitioned table ' ELSE 'table ' END || n.nspname || '.' || c.relname \
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || c.relname, 'column ' || n.nspname || '.' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) \
     || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') \
     || CASE WHEN a.attidentity <> '' THEN ' identity ' || a.attidentity::text ELSE '' END || CASE WHEN a.attgenerated <> '' THEN ' generated' ELSE '' END \
     FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum \
     WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || c.relname, 'constraint ' || n.nspname || '.' || c.relname || '.' || k.conname || ' ' || pg_get_constraintdef(k.oid) \
     FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || t.relname, 'index ' || pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END \
     FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = t.relnamespace WHERE {user} AND {own t.oid}",
    "SELECT n.nspname || '.' || c.relname, 'trigger ' || pg_get_triggerdef(g.oid) \
     FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE NOT g.tgisinternal AND {user}",
    "SELECT n.nspname || '.' || c.relname, CASE c.relkind WHEN 'm' THEN 'materialized ' ELSE '' END || 'view ' || n.nspname || '.' || c.relname || ' ' || pg_get_viewdef(c.oid) \
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || t.typname, 'enum ' || n.nspname || '.' || t.typname || ' ' || string_agg(e.enumlabel::text, ', ' ORDER BY e.enumsortorder) \
     FROM pg_type AS t JOIN pg_enum AS e ON e.enumtypid = t.oid JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE {user} AND {own t.oid} GROUP BY 1, n.nspname, t.typname",
    "SELECT n.nspname || '.' || p.proname, 'function ' || pg_get_functiondef(p.oid) \
     FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE p.prokind IN ('f', 'p') AND {user} AND {own p.oid}",
];

pub(super) fn lines(session: &mut Postgres) -> anyhow::Result<Vec<String>> {
    let own: Vec<_> = OWN
        .iter()
        .map(|own| format!("{}.{own}", session.default))
        .collect();
    let mut lines = Vec::new();
    for list in LISTS {
        let sql = list.replace(
            "{user}",
            "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'",
        );
        let sql = ["c", "t", "p"].iter().fold(sql, |sql, alias| {
            sql.replace(
                &format!("{{own {alias}.oid}}"),
                &format!("NOT EXISTS (SELECT 1 FROM pg_depend AS x WHERE x.objid = {alias}.oid AND x.deptype = 'e')"),
            )
        });
        let mut found: Vec<_> = session
            .rows(&sql)?
            .iter()
            .filter(|row| !own.contains(&row[0].to_string()))
            .map(|row| row[1].to_string())
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        found.sort();
        lines.extend(found);
    }
    Ok(lines)
}
