//! What PostgreSQL's catalogue shows about every table.

use super::account::Account;
use super::{Postgres, large_objects, quoted, text_literal};
use crate::db::session::{OWN, Session as _};
use crate::model::{Cell, Compared, Shape, ShapeColumn};
use std::collections::{BTreeMap, BTreeSet};

/// A table at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) shape: Shape,
    /// The file that holds its rows: another one after TRUNCATE, a rewrite or CLUSTER.
    file: String,
    /// The table that it is a part of, or inherits from: its rows belong to that one, too.
    parents: String,
    /// The topmost of these tables.
    root: Option<u64>,
    /// Whether it can change without a change of its own rows in the catalogue, or of those that
    /// are examined as a whole.
    composed: bool,
    /// The words of the enums in its columns, each with its type.
    pub(super) words: BTreeMap<u64, String>,
    /// The fields of the composite types in its columns, by the number of the column and by what the
    /// field is known by, each with its type and name.
    fields: BTreeMap<(u64, u64), String>,
}

impl Seen {
    /// Whether this transaction may have changed rows or values in between.
    pub(super) fn is_touched(&self, now: &Self) -> bool {
        let typed = |seen: &Self| -> BTreeMap<_, _> {
            let columns = seen.shape.columns.iter();
            columns
                .map(|column| (column.id, column.declared.clone()))
                .collect()
        };
        let (was, is) = (typed(self), typed(now));
        self.file != now.file
            || self.parents != now.parents
            || self.has_other_words(now)
            || !self.other_fields(now, &BTreeMap::new()).is_empty()
            || was
                .iter()
                .any(|(id, declared)| is.get(id) != Some(declared))
    }

    /// A table without parts, with columns of plain types.
    pub(super) const fn alone(shape: Shape, file: String) -> Self {
        Self {
            shape,
            file,
            parents: String::new(),
            root: None,
            composed: false,
            words: BTreeMap::new(),
            fields: BTreeMap::new(),
        }
    }

    /// The columns with a composite type in which an earlier name, or one of when the run began, now means
    /// another field.
    pub(super) fn other_fields(&self, now: &Self, first: &BTreeMap<u64, String>) -> BTreeSet<u64> {
        let is_other = |((column, field), name): &(&(u64, u64), &String)| {
            let other = |((of, other), text): (&(u64, u64), &String)| {
                of == column && text == *name && other != field
            };
            now.fields.iter().any(other)
        };
        let takes_name = |(of, name): &(&(u64, u64), &String)| {
            let is_new = self.fields.get(of) != Some(name);
            let mut first = first.iter();
            is_new && first.any(|(field, was)| was == *name && *field != of.1)
        };
        let others = self.fields.iter().filter(is_other);
        let others = others.chain(now.fields.iter().filter(takes_name));
        others.map(|((column, _), _)| *column).collect()
    }

    /// What an application reads its values by, each by the number of a label or by that of a field.
    pub(super) fn called(&self) -> impl Iterator<Item = (u64, &String)> {
        let fields = self.fields.iter();
        let fields = fields.map(|((_, field), name)| (*field, name));
        let labels = self.words.iter().map(|(label, word)| (*label, word));
        labels.chain(fields)
    }

    pub(super) const fn is_composed(&self) -> bool {
        self.composed
    }

    /// Whether it is a part of another table, or inherits to it.
    pub(super) const fn is_of_others(&self) -> bool {
        !self.parents.is_empty() || self.shape.heir
    }
}

/// The user's schemas.
const OF_USER: &str = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// The catalogue as last read.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Every table, by its number.
    pub(super) tables: BTreeMap<u64, Seen>,
    versions: Versions,
    /// The schemas, with the versions of their rows.
    pub(super) schemas: Vec<Vec<Cell>>,
    /// Whether nothing can have changed since.
    pub(super) fresh: bool,
    /// Which transactions had committed when it was read, if no statement ran since.
    pub(super) account: Option<Account>,
}

/// Which versions of the catalogue's rows were read: any change of a row gives it another place
/// and another transaction number.
#[derive(Debug, Default, PartialEq, Eq)]
struct Versions {
    /// Those that concern several tables: schemas, inheritance, enums and other types.
    shared: String,
    /// Those of each table, its columns and its primary key.
    tables: BTreeMap<u64, String>,
    /// Whether there is any large object.
    has_large_objects: bool,
}

impl Looked {
    /// Something may have changed since it was read.
    pub(super) fn forget(&mut self) {
        self.fresh = false;
        self.account = None;
    }

    /// The next read includes these, whatever their versions are.
    pub(super) fn forget_versions(&mut self, tables: &BTreeSet<u64>) {
        self.versions.tables.retain(|id, _| !tables.contains(id));
    }
}

/// The first number that the server assigns to user objects.
pub(super) const FIRST: u64 = 16384;

/// The schemas, and which versions of their rows these are.
pub(super) const SCHEMAS: &str =
    "oid::text, nspname::text, ctid::text, xmin::text FROM pg_namespace ORDER BY oid";

impl Postgres {
    /// Reads the parts of the catalogue that changed since the last read.
    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        let (versions, schemas, account) = self.versions()?;
        let known = &self.looked;
        let apart = known.versions.shared == versions.shared
            && !known.tables.values().any(|seen| seen.composed);
        let changed: Vec<_> = versions
            .tables
            .iter()
            .filter(|(id, version)| known.versions.tables.get(id) != Some(version))
            .map(|(id, _)| *id)
            .collect();
        let mut tables = if !apart {
            self.read_tables(None)?
        } else if changed.is_empty() {
            std::mem::take(&mut self.looked.tables)
        } else {
            let some = self.read_tables(Some(&changed))?;
            if some.values().any(|seen| seen.composed) {
                self.read_tables(None)?
            } else {
                let mut tables = std::mem::take(&mut self.looked.tables);
                tables.retain(|id, _| !changed.contains(id));
                tables.extend(some);
                tables
            }
        };
        if apart {
            tables.retain(|id, _| versions.tables.contains_key(id));
        }
        // If the last one is gone, the earlier ones are compared with none.
        if versions.has_large_objects || self.before.contains_key(&large_objects::ID) {
            let seen = Seen::alone(large_objects::shape(), String::new());
            tables.insert(large_objects::ID, seen);
        }
        self.name(&mut tables);
        self.looked = Looked {
            tables,
            versions,
            schemas,
            fresh: true,
            account: None,
        };
        self.opened = account;
        Ok(())
    }

    /// The names of the stored columns of one table of the schema that a bare name means.
    pub(super) fn columns_of(&mut self, table: &str) -> anyhow::Result<Option<Vec<String>>> {
        let name = text_literal(&format!("{}.{}", quoted(&self.default), quoted(table)));
        let rows = self.rows(&format!(
            "SELECT a.attname::text FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid \
             WHERE c.oid = pg_catalog.to_regclass({name}) AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped \
             AND a.attgenerated = '' ORDER BY a.attnum"
        ))?;
        let names: Vec<_> = rows.iter().map(|row| row[0].to_string()).collect();
        Ok(Some(names).filter(|names| !names.is_empty()))
    }

    fn versions(&mut self) -> anyhow::Result<(Versions, Vec<Vec<Cell>>, Option<Account>)> {
        let all = |table: &str, order: &str, of: &str| {
            format!(
                "(SELECT string_agg(concat(ctid, ' ', xmin), ',' ORDER BY {order}) FROM {table} WHERE {of})"
            )
        };
        let shared = [
            all("pg_inherits", "inhrelid, inhseqno", "true"),
            all("pg_enum", "oid", "true"),
            // Except those of table rows and of arrays.
            all(
                "pg_type",
                "oid",
                &format!("oid >= {FIRST} AND typrelid = 0 AND (typtype <> 'b' OR typelem = 0)"),
            ),
        ];
        // VACUUM FULL moves rows.
        let files = ["pg_class", "pg_attribute", "pg_index", "pg_type", "pg_enum"];
        let files = files.map(|name| format!("pg_relation_filenode('{name}')"));
        // First the committed transactions: later commits are found at the next read.
        let [account, schemas, shared, classes, columns, keys, large] = self.several(&[
            "pg_current_snapshot()::text".to_owned(),
            SCHEMAS.to_owned(),
            format!("md5(concat_ws(';', {}, {}))", shared.join(", "), files.join(", ")),
            format!(
                "oid::text, ctid::text, xmin::text FROM pg_class WHERE oid >= {FIRST} AND relkind IN ('r', 'p') AND relpersistence <> 't'"
            ),
            format!(
                "attrelid::text, md5(string_agg(concat(ctid, ' ', xmin), ',' ORDER BY attnum)) \
                 FROM pg_attribute WHERE attrelid >= {FIRST} AND attnum > 0 GROUP BY attrelid"
            ),
            format!("indrelid::text, ctid::text, xmin::text FROM pg_index WHERE indrelid >= {FIRST} AND indisprimary"),
            format!("EXISTS (SELECT 1 FROM {})::text", large_objects::TABLE),
        ])?;
        let mut versions = Versions {
            shared: format!("{} {schemas:?}", shared[0][0]),
            tables: BTreeMap::new(),
            has_large_objects: large[0][0].text() == Some("true"),
        };
        for row in &classes {
            let (id, version) = (
                row[0].to_string().parse()?,
                format!("{} {}", row[1], row[2]),
            );
            versions.tables.insert(id, version);
        }
        for row in columns.iter().chain(&keys) {
            if let Some(version) = versions.tables.get_mut(&row[0].to_string().parse()?) {
                for part in &row[1..] {
                    version.push_str(&format!(" {part}"));
                }
            }
        }
        let account = account[0][0].text().and_then(Account::parse);
        Ok((versions, schemas, account))
    }

    /// Tables by their numbers: these, or all.
    fn read_tables(&mut self, only: Option<&[u64]>) -> anyhow::Result<BTreeMap<u64, Seen>> {
        let of = |column: &str| {
            only.map_or_else(String::new, |ids| {
                let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
                format!(" AND {column} IN ({})", ids.join(", "))
            })
        };
        let [tables, columns, fields, words, names] = self.several(&[
            format!(
            "c.oid::text, n.nspname::text, c.relname::text, (c.relkind = 'p')::text, c.relfilenode::text, \
             (SELECT coalesce(string_agg(i.inhparent::text, ' ' ORDER BY i.inhparent), '') FROM pg_inherits AS i WHERE i.inhrelid = c.oid), \
             (WITH RECURSIVE above AS (SELECT c.oid AS part, 0 AS height UNION ALL SELECT i.inhparent, height + 1 FROM above \
             JOIN pg_inherits AS i ON i.inhrelid = above.part AND i.inhseqno = 1) \
             SELECT part::text FROM above WHERE part <> c.oid ORDER BY height DESC LIMIT 1), (c.relpersistence = 'u')::text, \
             (NOT c.relispartition AND EXISTS (SELECT 1 FROM pg_inherits AS i WHERE i.inhrelid = c.oid))::text \
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {OF_USER}{}", of("c.oid")
            ),
            // A type made of others is a composite, a domain or a range, or an array of one.
            format!(
            "a.attrelid::text, a.attnum::text, a.attname::text, format_type(a.atttypid, a.atttypmod), \
             (array_position(i.indkey::int2[], a.attnum))::text, \
             (t.typnamespace <> 'pg_catalog'::regnamespace AND coalesce(e.typtype, t.typtype) NOT IN ('b', 'e'))::text, \
             (a.attgenerated <> '')::text \
             FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_type AS e ON e.oid = t.typelem \
             LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary \
             WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') \
             AND c.relpersistence <> 't' AND {OF_USER}{} ORDER BY a.attrelid, a.attnum", of("a.attrelid")
            ),
            // A field that is removed from a composite type is removed from every column of that
            // type.
            if only.is_some() { "''".to_owned() } else { format!(
            "md5(coalesce(string_agg(a.attrelid::text || ' ' || a.attnum::text || ' ' || a.atttypid::text, ',' ORDER BY a.attrelid, a.attnum), '')) \
             FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('c', 'r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND c.relpersistence <> 't' AND {OF_USER}"
            ) },
            format!(
            "h.attrelid::text, e.oid::text, e.enumtypid::text || ' ' || e.enumlabel FROM pg_enum AS e \
             JOIN {} AS h ON h.type = e.enumtypid", held(&of("a.attrelid"))),
            format!(
            "h.attrelid::text, h.attnum::text, f.attnum::text, f.attrelid::text || ' ' || f.attname FROM pg_attribute AS f \
             JOIN pg_type AS k ON k.typrelid = f.attrelid AND k.typtype = 'c' JOIN {} AS h ON h.type = k.oid \
             WHERE f.attrelid >= {FIRST} AND f.attnum > 0 AND NOT f.attisdropped", held(&of("a.attrelid"))),
        ])?;
        let mut found = BTreeMap::new();
        for row in &tables {
            let id: u64 = row[0].to_string().parse()?;
            let (schema, table) = (row[1].to_string(), row[2].to_string());
            let shape = Shape {
                id: Some(id),
                name: self.shown(&schema, &table),
                bare: schema == self.default,
                on_path: self.path.lines().any(|it| it == schema),
                schema,
                table,
                volatile: row[7].text() == Some("true"),
                parted: row[3].text() == Some("true"),
                heir: row[8].text() == Some("true"),
                ..Shape::default()
            };
            let seen = Seen {
                shape,
                file: row[4].to_string(),
                parents: row[5].to_string(),
                root: row[6].text().map(str::parse).transpose()?,
                composed: id < FIRST,
                words: BTreeMap::new(),
                fields: BTreeMap::new(),
            };
            found.insert(id, seen);
        }
        add_columns(&mut found, &columns, &fields[0][0])?;
        add_words(&mut found, &words, &names)?;
        Ok(found)
    }

    /// Records the names of all tables, and the parents of parts by their names.
    pub(super) fn name(&mut self, tables: &mut BTreeMap<u64, Seen>) {
        let names: BTreeMap<_, _> = tables
            .iter()
            .map(|(id, seen)| (*id, seen.shape.name.clone()))
            .collect();
        for seen in tables.values_mut() {
            let shape = &mut seen.shape;
            shape.whole = seen.root.and_then(|root| names.get(&root).cloned());
            let full = (shape.schema.clone(), shape.table.clone(), shape.parted);
            self.known.insert(shape.name.clone(), full);
        }
    }

    /// Counts values as changed if a name in them now means another field: their texts have no
    /// names.
    pub(super) fn see_fields(&self, shape: &Shape, compared: &mut Compared) {
        let sides = shape.id.and_then(|id| {
            let was = self.before.get(&id)?;
            Some((was, self.looked.tables.get(&id)?))
        });
        let Some((was, now)) = sides else { return };
        let others = was.other_fields(now, &self.labels);
        for (column, counts) in shape.columns.iter().zip(&mut compared.columns) {
            if column.id.is_some_and(|id| others.contains(&id)) {
                counts.changed = counts.filled;
            }
        }
    }

    /// The rows of several queries, each without its SELECT, in one round trip, which costs more
    /// than the queries.
    pub(super) fn several<const N: usize>(
        &mut self,
        queries: &[String; N],
    ) -> anyhow::Result<[Vec<Vec<Cell>>; N]> {
        // In a transaction chatctl's own path is set; elsewhere it is set for these queries only,
        // and objects that a migration left in the temporary schema must not hide the catalogue.
        let path = if self.transaction.is_none() {
            "SET LOCAL search_path = pg_catalog, pg_temp; "
        } else {
            ""
        };
        let rows = self.rows(&format!("{path}{}", numbered(queries)))?;
        by_number(rows)
    }

    /// A name for display: bare in the schema to which bare names refer.
    pub(super) fn shown(&self, schema: &str, name: &str) -> String {
        // A dot in a name must not look like a schema before it.
        let part = |name: &str| {
            if name.contains('.') {
                format!("\"{name}\"")
            } else {
                name.to_owned()
            }
        };
        if schema == self.default {
            part(name)
        } else {
            format!("{}.{}", part(schema), part(name))
        }
    }
}

/// What a field is known by, of all composite types, and next to the labels of enums: its name has the
/// number of its type before it.
fn known_by(field: u64, name: &str) -> u64 {
    let of: u64 = name
        .split(' ')
        .next()
        .map_or(0, |it| it.parse().unwrap_or(0));
    1 << 63 | of << 16 | field
}

/// The users' types in each column, however deep: those that an array, a domain, a composite or a range
/// is made of.
fn held(of: &str) -> String {
    format!(
        "(WITH RECURSIVE held AS (SELECT a.attrelid, a.attnum, a.atttypid AS type FROM pg_attribute AS a \
         WHERE a.atttypid >= {FIRST} AND a.attnum > 0 AND NOT a.attisdropped{of} \
         UNION SELECT h.attrelid, h.attnum, m.type FROM held AS h JOIN pg_type AS t ON t.oid = h.type \
         CROSS JOIN LATERAL (SELECT t.typelem AS type UNION ALL SELECT t.typbasetype \
         UNION ALL SELECT r.rngsubtype FROM pg_range AS r WHERE r.rngtypid = t.oid \
         UNION ALL SELECT f.atttypid FROM pg_attribute AS f \
         WHERE f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped) AS m WHERE m.type >= {FIRST}) \
         SELECT attrelid, attnum, type FROM held)"
    )
}

/// Adds the words in the values of the columns: labels of enums, and names of fields.
fn add_words(
    found: &mut BTreeMap<u64, Seen>,
    words: &[Vec<Cell>],
    names: &[Vec<Cell>],
) -> anyhow::Result<()> {
    for row in words {
        if let Some(seen) = found.get_mut(&row[0].to_string().parse()?) {
            seen.words
                .insert(row[1].to_string().parse()?, row[2].to_string());
        }
    }
    for row in names {
        if let Some(seen) = found.get_mut(&row[0].to_string().parse()?) {
            let name = row[3].to_string();
            let field = known_by(row[2].to_string().parse()?, &name);
            seen.fields
                .insert((row[1].to_string().parse()?, field), name);
        }
    }
    Ok(())
}

/// Several queries, each without its SELECT, whose rows are distinguished by its number.
pub(super) fn numbered<S: AsRef<str>>(queries: &[S]) -> String {
    let queries = queries.iter().enumerate();
    let queries = queries.map(|(number, query)| format!("SELECT '{number}', {}", query.as_ref()));
    queries.collect::<Vec<_>>().join("; ")
}

/// The rows of each of them.
pub(super) fn by_number<const N: usize>(
    rows: Vec<Vec<Cell>>,
) -> anyhow::Result<[Vec<Vec<Cell>>; N]> {
    let mut all = [const { Vec::new() }; N];
    for mut row in rows {
        let number: usize = row.remove(0).to_string().parse()?;
        all[number].push(row);
    }
    Ok(all)
}

/// Columns; generated ones are created again from the stored ones.
fn add_columns(
    tables: &mut BTreeMap<u64, Seen>,
    columns: &[Vec<Cell>],
    fields: &Cell,
) -> anyhow::Result<()> {
    let mut keys: BTreeMap<u64, Vec<(u64, String)>> = BTreeMap::new();
    for row in columns {
        let id: u64 = row[0].to_string().parse()?;
        let Some(seen) = tables.get_mut(&id) else {
            continue;
        };
        let name = row[2].to_string();
        let made_of_others = row[5].text() == Some("true");
        let column = ShapeColumn {
            id: Some(row[1].to_string().parse()?),
            name: name.clone(),
            declared: if made_of_others {
                format!("{} {fields}", row[3])
            } else {
                row[3].to_string()
            },
        };
        if row[6].text() == Some("true") {
            seen.shape.generated.push(column);
            continue;
        }
        seen.shape.columns.push(column);
        seen.composed |= made_of_others;
        if let Some(place) = row[4].text() {
            keys.entry(id).or_default().push((place.parse()?, name));
        }
    }
    for (id, mut key) in keys {
        key.sort();
        if let Some(seen) = tables.get_mut(&id) {
            seen.shape.key = key.into_iter().map(|(_, name)| name).collect();
        }
    }
    Ok(())
}

/// Objects on chatctl's own tables that would run, or be resolved, when a row is written there:
/// a trigger, a rule, a default, a check, an index, a policy, or another table in their place.
pub(super) fn history(session: &mut Postgres) -> anyhow::Result<String> {
    let names: Vec<_> = OWN.iter().map(|name| text_literal(name)).collect();
    let schema = text_literal(&session.default);
    let own = format!(
        "SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname IN ({})",
        names.join(", ")
    );
    let rows = session.rows(&format!(
        "WITH own AS ({own}) SELECT coalesce(string_agg(what, '; ' ORDER BY what), '') FROM ( \
         SELECT concat('table ', c.oid, c.relkind, c.relfilenode, c.relrowsecurity, c.relforcerowsecurity) AS what FROM pg_class AS c WHERE c.oid IN (SELECT oid FROM own) \
         UNION ALL SELECT concat('trigger ', tgname) FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM own) \
         UNION ALL SELECT concat('rule ', rulename) FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM own) \
         UNION ALL SELECT concat('default ', oid) FROM pg_attrdef WHERE adrelid IN (SELECT oid FROM own) \
         UNION ALL SELECT concat('constraint ', conname) FROM pg_constraint WHERE conrelid IN (SELECT oid FROM own) \
         UNION ALL SELECT concat('index ', indexrelid) FROM pg_index WHERE indrelid IN (SELECT oid FROM own) \
         UNION ALL SELECT concat('policy ', polname) FROM pg_policy WHERE polrelid IN (SELECT oid FROM own) \
         UNION ALL SELECT concat('column ', attrelid, ' ', attname, ' ', atttypid) FROM pg_attribute WHERE attrelid IN (SELECT oid FROM own) AND attnum > 0 \
         UNION ALL SELECT concat('heir ', inhrelid) FROM pg_inherits WHERE inhparent IN (SELECT oid FROM own)) AS all_of_it"
    ))?;
    Ok(rows[0][0].to_string())
}
