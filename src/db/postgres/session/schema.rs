//! The schema in lines that two databases of the same migrations have in common.

use super::Postgres;
use crate::db::session::{ForeignKey, OWN, Session as _};
use std::collections::BTreeSet;

/// What is listed: each gives a name and a text. Members of extensions belong to their extension. The sequence
/// of a serial column had another type before PostgreSQL 10. An event trigger of a role that this user does not
/// have, such as the one of a platform, is by no migration.
const LISTS: &[&str] = &[
    "SELECT n.nspname || '.' || c.relname, CASE c.relpersistence WHEN 'u' THEN 'unlogged ' ELSE '' END || CASE c.relkind WHEN 'p' THEN 'partitioned table ' ELSE 'table ' END \
     || n.nspname || '.' || c.relname || CASE WHEN c.relrowsecurity THEN ' row level security' ELSE '' END || CASE WHEN c.relforcerowsecurity THEN ' forced' ELSE '' END \
     || coalesce(' ' || pg_get_expr(c.relpartbound, c.oid), '') \
     || coalesce((SELECT ' of ' || string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno) FROM pg_inherits AS i WHERE i.inhrelid = c.oid), '') \
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || c.relname, 'column ' || n.nspname || '.' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) \
     || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') \
     || CASE WHEN a.attidentity <> '' THEN ' identity ' || a.attidentity::text ELSE '' END || CASE WHEN a.attgenerated <> '' THEN ' generated' ELSE '' END \
     || CASE WHEN a.attcollation <> (SELECT t.typcollation FROM pg_type AS t WHERE t.oid = a.atttypid) \
     THEN (SELECT ' collate ' || l.collname FROM pg_collation AS l WHERE l.oid = a.attcollation) ELSE '' END \
     FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum \
     WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || c.relname, 'constraint ' || n.nspname || '.' || c.relname || '.' || k.conname || ' ' || pg_get_constraintdef(k.oid) \
     FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || t.relname, 'index ' || pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END \
     FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = t.relnamespace WHERE {user} AND {own t.oid}",
    "SELECT n.nspname || '.' || c.relname, 'trigger ' || pg_get_triggerdef(g.oid) || CASE g.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' disabled' \
     WHEN 'R' THEN ' enabled for replicas' ELSE ' enabled always' END \
     FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE NOT g.tgisinternal AND {user}",
    "SELECT DISTINCT n.nspname || '.' || c.relname, 'disabled constraint ' || n.nspname || '.' || c.relname || '.' || k.conname \
     FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_constraint AS k ON k.oid = g.tgconstraint \
     WHERE g.tgisinternal AND g.tgenabled IN ('D', 'R') AND {user}",
    "SELECT n.nspname || '.' || c.relname, 'rule ' || pg_get_ruledef(w.oid) || CASE w.ev_enabled WHEN 'O' THEN '' WHEN 'D' THEN ' disabled' \
     WHEN 'R' THEN ' enabled for replicas' ELSE ' enabled always' END \
     FROM pg_rewrite AS w JOIN pg_class AS c ON c.oid = w.ev_class JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE w.ev_type <> '1' AND {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || c.relname, 'policy ' || n.nspname || '.' || c.relname || '.' || y.polname || ' ' || y.polcmd::text \
     || CASE WHEN y.polpermissive THEN ' permissive' ELSE ' restrictive' END || coalesce(' using ' || pg_get_expr(y.polqual, y.polrelid), '') \
     || coalesce(' check ' || pg_get_expr(y.polwithcheck, y.polrelid), '') \
     || coalesce((SELECT ' to ' || string_agg(r.rolname::text, ', ' ORDER BY r.rolname) FROM pg_roles AS r WHERE r.oid = ANY (y.polroles)), '') \
     FROM pg_policy AS y JOIN pg_class AS c ON c.oid = y.polrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || coalesce((SELECT o.relname FROM pg_depend AS d JOIN pg_class AS o ON o.oid = d.refobjid \
     WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') LIMIT 1), c.relname), \
     'sequence ' || n.nspname || '.' || c.relname || CASE WHEN o.own THEN '' ELSE ' ' || format_type(s.seqtypid, NULL) END || ' start ' || s.seqstart || ' increment ' || s.seqincrement \
     || CASE WHEN o.own AND s.seqmin IN (1, -32768, -2147483648, -9223372036854775808) THEN '' ELSE ' from ' || s.seqmin END \
     || CASE WHEN o.own AND s.seqmax IN (-1, 32767, 2147483647, 9223372036854775807) THEN '' ELSE ' to ' || s.seqmax END || CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END || CASE c.relpersistence WHEN 'u' THEN ' unlogged' ELSE '' END \
     FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
     CROSS JOIN LATERAL (SELECT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid \
     AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a') AS own) AS o WHERE {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || t.typname, 'domain ' || n.nspname || '.' || t.typname || ' ' || format_type(t.typbasetype, t.typtypmod) \
     || CASE WHEN t.typnotnull THEN ' not null' ELSE '' END || coalesce(' default ' || t.typdefault, '') \
     || coalesce((SELECT ' ' || string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname) FROM pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'c'), '') \
     FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE t.typtype = 'd' AND {user} AND {own t.oid}",
    "SELECT e.evtname::text, 'event trigger ' || e.evtname || ' ' || e.evtevent || ' ' || e.evtfoid::regproc::text || coalesce(' ' || e.evttags::text, '') \
     || CASE e.evtenabled WHEN 'D' THEN ' disabled' ELSE '' END \
     FROM pg_event_trigger AS e WHERE pg_has_role(e.evtowner, 'USAGE') AND NOT EXISTS (SELECT 1 FROM pg_depend AS x WHERE x.objid = e.oid AND x.deptype = 'e')",
    "SELECT n.nspname || '.' || c.relname, CASE c.relkind WHEN 'm' THEN 'materialized ' ELSE '' END || 'view ' || n.nspname || '.' || c.relname || ' ' || pg_get_viewdef(c.oid) \
     || coalesce(' with ' || array_to_string(c.reloptions, ', '), '') \
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {user} AND {own c.oid}",
    "SELECT n.nspname || '.' || t.typname, 'enum ' || n.nspname || '.' || t.typname || ' ' || string_agg(e.enumlabel::text, ', ' ORDER BY e.enumsortorder) \
     FROM pg_type AS t JOIN pg_enum AS e ON e.enumtypid = t.oid JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE {user} AND {own t.oid} GROUP BY 1, n.nspname, t.typname",
    "SELECT n.nspname || '.' || p.proname, 'function ' || pg_get_functiondef(p.oid) \
     FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE p.prokind IN ('f', 'p') AND {user} AND {own p.oid}",
];

/// The foreign keys that lead to these tables.
pub(super) fn keys_to(
    session: &mut Postgres,
    parents: &BTreeSet<&str>,
) -> anyhow::Result<Vec<ForeignKey>> {
    let [rows] = session.several(&[
        "c.oid::text, cn.nspname::text, cc.relname::text, pn.nspname::text, pc.relname::text, ca.attname::text, pa.attname::text, \
         CASE c.confdeltype WHEN 'c' THEN 'CASCADE' ELSE '' END \
         FROM pg_constraint AS c CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (own, other, place) \
         JOIN pg_class AS cc ON cc.oid = c.conrelid JOIN pg_namespace AS cn ON cn.oid = cc.relnamespace \
         JOIN pg_class AS pc ON pc.oid = c.confrelid JOIN pg_namespace AS pn ON pn.oid = pc.relnamespace \
         JOIN pg_attribute AS ca ON ca.attrelid = c.conrelid AND ca.attnum = k.own \
         JOIN pg_attribute AS pa ON pa.attrelid = c.confrelid AND pa.attnum = k.other \
         WHERE c.contype = 'f' AND c.conparentid = 0 ORDER BY c.oid, k.place"
            .to_owned(),
    ])?;
    let rows = rows.iter().map(|row| {
        let text = |at: usize| row[at].to_string();
        let (child, parent) = (
            session.shown(&text(1), &text(2)),
            session.shown(&text(3), &text(4)),
        );
        [text(0), child, parent, text(5), text(6), text(7)]
    });
    let is_one = |row: &[String; 6]| parents.contains(row[2].as_str());
    Ok(ForeignKey::all(rows.filter(is_one)))
}

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
