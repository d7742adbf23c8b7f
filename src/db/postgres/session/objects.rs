//! Indexes, triggers, views and defaults, as PostgreSQL's catalogue lists them.

use super::catalog::FIRST;
use super::{Postgres, numbers, text_literal};
use crate::db::session::{
    COMPUTED, DEFAULT, Object, POLICIES, POLICY, SWITCHED_OFF, columns_of, computes,
};
use crate::model::{Cell, Shape, ShapeColumn};
use crate::sql::Dialect;
use std::collections::{BTreeMap, BTreeSet};

/// What a view `c` shows rows of that a crash of the server empties, or that are elsewhere.
const LOOSE: &str = "WITH RECURSIVE below AS (SELECT c.oid AS id UNION SELECT e.shown FROM below JOIN (SELECT w.ev_class AS id, d.refobjid AS shown \
     FROM pg_rewrite AS w JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass \
     UNION ALL SELECT inhparent, inhrelid FROM pg_inherits) AS e ON e.id = below.id) \
     SELECT 1 FROM below JOIN pg_class AS b ON b.oid = below.id WHERE b.relpersistence <> 'p' OR b.relkind = 'f'";

impl Postgres {
    /// The view that has the name of a table which is gone. It is compared as a table is, unless it
    /// shows rows that are not kept as safely.
    pub(super) fn view_in_place(&mut self, gone: &Shape) -> anyhow::Result<Option<Shape>> {
        let (schema, view) = (text_literal(&gone.schema), text_literal(&gone.table));
        let [columns] = self.several(&[format!(
            "a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid \
             JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname = {view} \
             AND c.relkind = 'v' AND a.attnum > 0 AND NOT a.attisdropped AND NOT EXISTS ({LOOSE}) ORDER BY a.attnum"
        )])?;
        if columns.is_empty() {
            return Ok(None);
        }
        let column = |row: &Vec<Cell>| ShapeColumn {
            id: None,
            name: row[0].to_string(),
            declared: row[1].to_string(),
        };
        let view = Shape {
            name: gone.name.clone(),
            schema: gone.schema.clone(),
            table: gone.table.clone(),
            bare: gone.bare,
            on_path: gone.on_path,
            columns: columns.iter().map(column).collect(),
            ..Shape::default()
        };
        self.views.insert(view.name.clone(), view.clone());
        Ok(Some(view))
    }

    /// Indexes, triggers and views, read one catalogue table at a time: planning a join takes the
    /// server longer than reading them.
    pub(super) fn all_objects(&mut self) -> anyhow::Result<BTreeSet<Object>> {
        let [
            schemas,
            relations,
            indexes,
            triggers,
            constraints,
            defaults,
            expressions,
            policies,
        ] = self.several(&objects())?;
        let of_user = |name: &str| name != "information_schema" && !name.starts_with("pg_");
        let schemas: BTreeMap<_, _> = schemas
            .iter()
            .map(|row| (row[0].to_string(), row[1].to_string()))
            .filter(|(_, name)| of_user(name))
            .collect();
        let relations: BTreeMap<_, _> = relations
            .iter()
            .filter_map(|row| {
                let schema = schemas.get(&row[2].to_string())?;
                Some((numbers(&row[..1])[0], (schema, row)))
            })
            .collect();
        let of_constraints: BTreeSet<_> = constraints.iter().map(|row| numbers(row)[0]).collect();
        let computed = expressions.iter().filter(|row| {
            let default = row[2].text();
            default.is_some_and(|it| computes(it, Dialect::Postgres))
        });
        let computed: BTreeSet<_> = computed.map(|row| numbers(&row[..2])).collect();
        let mut objects = BTreeSet::new();
        let object = |kind: &str, schema: &str, (name, table): (&Cell, &Cell), id: u64| Object {
            kind: kind.to_owned(),
            name: self.shown(schema, &name.to_string()),
            table: self.shown(schema, &table.to_string()),
            id: Some(id),
            columns: Vec::new(),
        };
        for row in &indexes {
            let ids = numbers(&row[..2]);
            let found = relations.get(&ids[0]).zip(relations.get(&ids[1]));
            if let Some(((_, index), (schema, table))) = found
                && table[4].text() != Some("t")
                && !of_constraints.contains(&ids[0])
            {
                objects.insert(Object {
                    columns: row[2].text().map(columns_of).unwrap_or_default(),
                    ..object("index", schema, (&index[1], &table[1]), ids[0])
                });
            }
        }
        for row in &triggers {
            let ids = numbers(&row[1..3]);
            let kind = match row[3].text() {
                Some("O" | "A") => "trigger",
                _ => SWITCHED_OFF,
            };
            if let Some((schema, table)) = relations.get(&ids[0]) {
                objects.insert(object(kind, schema, (&row[0], &table[1]), ids[1]));
            }
        }
        for row in &policies {
            let ids = numbers(&row[1..3]);
            if let Some((schema, table)) = relations.get(&ids[0]) {
                objects.insert(object(POLICY, schema, (&row[0], &table[1]), ids[1]));
            }
        }
        for (id, (schema, relation)) in &relations {
            let name = &relation[1];
            if matches!(relation[3].text(), Some("v" | "m")) {
                objects.insert(object("view", schema, (name, name), *id));
            }
            if relation[5].text() == Some("true") {
                let security = Cell::Text("security".to_owned());
                objects.insert(object(POLICIES, schema, (&security, name), *id));
            }
        }
        for row in &defaults {
            let ids = numbers(&row[..2]);
            if let Some((schema, table)) = relations.get(&ids[0])
                && table[4].text() != Some("t")
            {
                let column = row[2].to_string();
                let id = (ids[0] << 16) | ids[1];
                let computed = computed.contains(&ids).then_some(COMPUTED);
                objects.extend([DEFAULT].into_iter().chain(computed).map(|kind| Object {
                    name: column.clone(),
                    columns: vec![column.clone()],
                    ..object(kind, schema, (&row[2], &table[1]), id)
                }));
            }
        }
        Ok(objects)
    }
}

/// Schemas, relations, indexes, triggers, indexes of constraints, columns with a default, defaults,
/// and policies.
fn objects() -> [String; 8] {
    [
        "oid::text, nspname::text FROM pg_catalog.pg_namespace".to_owned(),
        "oid::text, relname::text, relnamespace::text, relkind::text, relpersistence::text, relrowsecurity::text FROM pg_catalog.pg_class WHERE relkind <> 't'".to_owned(),
        format!(
            "i.indexrelid::text, i.indrelid::text, CASE WHEN i.indrelid < {FIRST} OR 0 = ANY (i.indkey::int2[]) THEN '' ELSE \
             (SELECT string_agg(a.attname::text, E'\\n' ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a \
             WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])) END FROM pg_catalog.pg_index AS i"
        ),
        "tgname::text, tgrelid::text, oid::text, tgenabled::text FROM pg_catalog.pg_trigger WHERE NOT tgisinternal".to_owned(),
        "conindid::text FROM pg_catalog.pg_constraint WHERE conindid <> 0".to_owned(),
        format!(
            "attrelid::text, attnum::text, attname::text FROM pg_catalog.pg_attribute WHERE attrelid >= {FIRST} AND attnum > 0 \
             AND (atthasdef OR attidentity <> '') AND attgenerated = '' AND NOT attisdropped"
        ),
        format!(
            "adrelid::text, adnum::text, pg_catalog.pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attrdef WHERE adrelid >= {FIRST}"
        ),
        "polname::text, polrelid::text, oid::text FROM pg_catalog.pg_policy".to_owned(),
    ]
}
