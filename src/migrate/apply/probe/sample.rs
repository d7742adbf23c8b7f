//! Copies rows of a table or view through its name, and reads what became of them.

use super::copy;
use super::copy::Harm;
use crate::db::Session;
use crate::model::Cell;
use crate::sql::Dialect;
use std::collections::BTreeSet;

/// So many of the newest rows are looked at.
const ROWS: usize = 100;
/// How far a new number is from the last one: the rows that a view hides may have the next ones.
const AHEAD: [i64; 3] = [1, 1_000, 1_000_003];
/// What a row is called: a bare name after ORDER BY would be that of a column as text.
const ROW: &str = "chatctl_row";
/// A trigger that takes longer for one row, or waits for another session, tells nothing.
const SHORT: &str = "SELECT pg_catalog.set_config('statement_timeout', '2000', true), pg_catalog.set_config('lock_timeout', '200', true)";
/// Tables that are searched for a text may be large.
const LONG: &str = "SELECT pg_catalog.set_config('statement_timeout', '60000', true)";

/// A table or view that rows are written through.
pub(super) struct Place {
    pub(super) name: String,
    /// The columns of its key, where they are known.
    pub(super) key: Vec<String>,
    /// The columns that an application writes, where not all.
    pub(super) only: Option<Vec<String>>,
    pub(super) is_view: bool,
}

/// A table that may keep a text.
pub(super) struct Elsewhere {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
}

/// What a written row lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Loss {
    /// It is not there.
    Row { row: String },
    /// A value of it.
    Column {
        row: String,
        column: String,
        harm: Harm,
    },
    /// A changed value: it is the former one, or harmed.
    Change {
        row: String,
        column: String,
        harm: Option<Harm>,
    },
}

impl Loss {
    pub(super) fn column(&self) -> Option<&str> {
        match self {
            Self::Row { .. } => None,
            Self::Column { column, .. } | Self::Change { column, .. } => Some(column),
        }
    }

    /// Whether another row lost the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let same = std::mem::discriminant(self) == std::mem::discriminant(other);
        same && self.column() == other.column()
    }
}

/// What copies of some rows lose; nothing where they can't be inserted.
pub(super) fn losses(
    session: &mut dyn Session,
    dialect: Dialect,
    place: &Place,
    elsewhere: &[Elsewhere],
) -> anyhow::Result<Vec<Loss>> {
    let sample = held(session, |session| Sample::of(session, dialect, place))?;
    let Some(sample) = sample.flatten() else {
        return Ok(Vec::new());
    };
    let mut losses: Vec<Loss> = Vec::new();
    for row in sample.chosen() {
        for loss in sample.copied(session, row, elsewhere)? {
            if !losses.iter().any(|it| it.is_like(&loss)) {
                losses.push(loss);
            }
        }
    }
    Ok(losses)
}

/// Does something in a savepoint, and takes it back; nothing where it fails.
fn held<T>(
    session: &mut dyn Session,
    work: impl FnOnce(&mut dyn Session) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    if session.command("SAVEPOINT chatctl_probe").is_err() {
        return Ok(None);
    }
    let done = work(session);
    session.rows("ROLLBACK TO SAVEPOINT chatctl_probe")?;
    session.rows("RELEASE SAVEPOINT chatctl_probe")?;
    Ok(done.ok())
}

struct Column {
    name: String,
    declared: String,
    /// Whether its values may be texts of users.
    is_text: bool,
}

/// The newest rows of a place.
struct Sample {
    quoted: String,
    is_view: bool,
    dialect: Dialect,
    columns: Vec<Column>,
    /// The places of the columns of the key.
    key: Vec<usize>,
    /// Those of columns that no two rows have the same values in.
    unique: BTreeSet<usize>,
    /// Those of columns with texts that users wrote.
    content: BTreeSet<usize>,
    rows: Vec<Vec<Cell>>,
}

/// What became of a copy.
enum Copied {
    /// It has these values, and after an UPDATE of a column this one; and so many places keep what it lost.
    Row(Vec<Cell>, Option<(usize, Option<String>)>, i64),
    /// There are so many rows, and none is it.
    Missing(i64),
}

impl Sample {
    /// None where a row can't be found again.
    fn of(
        session: &mut dyn Session,
        dialect: Dialect,
        place: &Place,
    ) -> anyhow::Result<Option<Self>> {
        let quoted = session.quote(&place.name);
        let names = session.names().columns;
        let mut columns = columns(session, dialect, (&place.name, &quoted))?;
        if let Some(only) = &place.only {
            columns.retain(|it| only.iter().any(|name| names.same(name, &it.name)));
        }
        let at = |name: &str| columns.iter().position(|it| names.same(&it.name, name));
        let mut key: Vec<_> = place.key.iter().filter_map(|name| at(name)).collect();
        if key.len() < place.key.len() {
            return Ok(None);
        }
        if key.is_empty() {
            key.extend(at("id"));
        }
        if key.is_empty() {
            return Ok(None);
        }
        let unique = unique(session, dialect, (&place.name, &quoted))?;
        let unique = unique.iter().filter_map(|name| at(name));
        let unique = unique.filter(|it| !key.contains(it)).collect();
        let mut sample = Self {
            quoted,
            is_view: place.is_view,
            dialect,
            columns,
            key,
            unique,
            content: BTreeSet::new(),
            rows: Vec::new(),
        };
        let order = sample
            .key
            .iter()
            .map(|at| format!("{ROW}.{} DESC", sample.name(*at)));
        let order = order.collect::<Vec<_>>().join(", ");
        let sql = format!("{} ORDER BY {order} LIMIT {ROWS}", sample.read());
        sample.rows = session.rows(&sql)?;
        let content = (0..sample.columns.len()).filter(|at| {
            let values = sample.rows.iter().filter_map(|row| row[*at].text());
            sample.columns[*at].is_text && copy::is_content(values)
        });
        sample.content = content.collect();
        Ok(Some(sample))
    }

    /// The rows that are copied.
    fn chosen(&self) -> Vec<&Vec<Cell>> {
        let at = (0..self.columns.len()).filter(|at| self.columns[*at].is_text);
        let at: Vec<_> = at.filter(|at| !self.key.contains(at)).collect();
        let names: Vec<_> = at
            .iter()
            .map(|at| self.columns[*at].name.as_str())
            .collect();
        let rows = self.rows.iter();
        let rows: Vec<Vec<_>> = rows
            .map(|row| at.iter().map(|at| row[*at].text()).collect())
            .collect();
        let chosen = copy::chosen(&names, &rows).into_iter();
        chosen.map(|row| &self.rows[row]).collect()
    }

    fn name(&self, at: usize) -> String {
        quoted(&self.columns[at].name)
    }

    /// The query of all columns, as texts where they are compared.
    fn read(&self) -> String {
        let all = self.columns.iter().map(|column| {
            let name = quoted(&column.name);
            match self.dialect {
                Dialect::Postgres if column.declared == "bytea" => {
                    format!("CASE WHEN {name} IS NULL THEN NULL ELSE '' END")
                }
                Dialect::Postgres => format!("{name}::text"),
                Dialect::Sqlite | Dialect::Mysql => {
                    format!("CASE typeof({name}) WHEN 'blob' THEN x'' ELSE {name} END")
                }
            }
        });
        let all = all.collect::<Vec<_>>().join(", ");
        format!("SELECT {all} FROM {} AS {ROW}", self.quoted)
    }

    fn literal(&self, at: usize, value: &Cell) -> String {
        let text = || format!("'{}'", value.to_string().replace('\'', "''"));
        match (self.dialect, value) {
            (_, Cell::Null) => "NULL".to_owned(),
            (Dialect::Postgres, _) => format!("CAST({} AS {})", text(), self.columns[at].declared),
            (_, Cell::Int(number)) => number.to_string(),
            (_, Cell::Real(number)) => number.to_string(),
            (_, Cell::Text(_) | Cell::Blob(_)) => text(),
        }
    }

    /// The condition that a row has this key.
    fn is_row(&self, row: &[Cell]) -> String {
        let key = self.key.iter();
        let all = key.map(|at| format!("{} = {}", self.name(*at), self.literal(*at, &row[*at])));
        all.collect::<Vec<_>>().join(" AND ")
    }

    /// What a copy of a row loses.
    fn copied(
        &self,
        session: &mut dyn Session,
        row: &[Cell],
        elsewhere: &[Elsewhere],
    ) -> anyhow::Result<Vec<Loss>> {
        let ways = self.key.iter().rev();
        let ways = ways.flat_map(|at| (0..AHEAD.len()).map(move |way| (*at, way)));
        for (at, way) in ways {
            let copied = held(session, |session| {
                let copy = self.other(session, row, (at, way))?;
                self.insert(session, (row, &copy), at, elsewhere)
            })?;
            let Some(copied) = copied else { continue };
            let name = row[at].to_string();
            return match copied {
                Copied::Missing(inside) => {
                    let outside = held(session, |session| self.count(session))?;
                    // It may be there under another key.
                    let is_gone = self.is_view && outside.is_some_and(|it| it >= inside);
                    Ok(Vec::from_iter(is_gone.then_some(Loss::Row { row: name })))
                }
                Copied::Row(back, change, kept) => {
                    let losses = self.judged(&name, row, (&back, change));
                    if losses.is_empty() {
                        return Ok(losses);
                    }
                    let texts = self.lost_texts(row, &back);
                    let before = held(session, |session| {
                        keeping(session, self.dialect, elsewhere, &texts)
                    })?;
                    let is_kept = !self.is_view && before.is_none_or(|before| kept > before);
                    Ok(if is_kept { Vec::new() } else { losses })
                }
            };
        }
        Ok(Vec::new())
    }

    /// The row with another key, and other values where no two rows have the same.
    fn other(
        &self,
        session: &mut dyn Session,
        row: &[Cell],
        (key, way): (usize, usize),
    ) -> anyhow::Result<Vec<Cell>> {
        let mut copy = row.to_vec();
        for at in self.unique.iter().copied().chain([key]) {
            copy[at] = match &row[at] {
                Cell::Null => Cell::Null,
                value if self.is_number(at, value) => {
                    let most = self.most(session, at)?.unwrap_or_default();
                    Cell::Int(most.saturating_add(AHEAD[way]))
                }
                value => Cell::Text(copy::other_text(&value.to_string(), [1, 2, 3][way])),
            };
        }
        Ok(copy)
    }

    fn is_number(&self, at: usize, value: &Cell) -> bool {
        let declared = &self.columns[at].declared;
        let is_declared = self.dialect != Dialect::Postgres
            || ["int", "numeric"].iter().any(|it| declared.contains(it));
        let is_int = self.dialect == Dialect::Postgres || value.int().is_some();
        is_declared && is_int && copy::number(value).is_some()
    }

    /// The highest number of a column.
    fn most(&self, session: &mut dyn Session, at: usize) -> anyhow::Result<Option<i64>> {
        let sql = format!("SELECT max({}) FROM {}", self.name(at), self.quoted);
        let sql = match self.dialect {
            Dialect::Postgres => format!("SELECT ({sql})::text"),
            Dialect::Sqlite | Dialect::Mysql => sql,
        };
        Ok(copy::number(&session.rows(&sql)?[0][0]))
    }

    fn count(&self, session: &mut dyn Session) -> anyhow::Result<i64> {
        let rows = session.rows(&format!("SELECT count(*) FROM {}", self.quoted))?;
        Ok(rows[0][0].to_string().parse()?)
    }

    /// Inserts the copy of a row, changes it, and reads it after both.
    fn insert(
        &self,
        session: &mut dyn Session,
        (row, copy): (&[Cell], &[Cell]),
        key: usize,
        elsewhere: &[Elsewhere],
    ) -> anyhow::Result<Copied> {
        let is_postgres = self.dialect == Dialect::Postgres;
        if is_postgres {
            session.rows(SHORT)?;
        }
        let most = if self.is_number(key, &copy[key]) {
            self.most(session, key)?
        } else {
            None
        };
        let names: Vec<_> = (0..self.columns.len()).map(|at| self.name(at)).collect();
        let values = names.iter().enumerate().map(|(at, name)| {
            let is_other = at == key || self.unique.contains(&at);
            if is_other {
                self.literal(at, &copy[at])
            } else {
                name.clone()
            }
        });
        let values = values.collect::<Vec<_>>().join(", ");
        // The key may be one that the database gives by itself.
        let given = if is_postgres {
            "OVERRIDING SYSTEM VALUE "
        } else {
            ""
        };
        session.rows(&format!(
            "INSERT INTO {} ({}) {given}SELECT {values} FROM {} WHERE {}",
            self.quoted,
            names.join(", "),
            self.quoted,
            self.is_row(row)
        ))?;
        let mut found = session.rows(&format!("{} WHERE {}", self.read(), self.is_row(copy)))?;
        // A trigger may have given it a key of its own.
        if let Some(most) = most.filter(|_| found.is_empty()) {
            let newer = format!("{} > {most}", self.name(key));
            found = session.rows(&format!("{} WHERE {newer}", self.read()))?;
        }
        let Some(back) = found.into_iter().next() else {
            return Ok(Copied::Missing(self.count(session)?));
        };
        let texts = self.lost_texts(row, &back);
        if is_postgres && !texts.is_empty() {
            session.rows(LONG)?;
        }
        let kept = keeping(session, self.dialect, elsewhere, &texts)?;
        // Where it fails, the copy was read already.
        let change = self.changed(session, &back, elsewhere).unwrap_or_default();
        Ok(Copied::Row(back, change, kept))
    }

    /// The longest text of a row, changed by an UPDATE, and read.
    fn changed(
        &self,
        session: &mut dyn Session,
        back: &[Cell],
        elsewhere: &[Elsewhere],
    ) -> anyhow::Result<Option<(usize, Option<String>)>> {
        let Some(at) = self.longest(back) else {
            return Ok(None);
        };
        let text = copy::altered(&back[at].to_string());
        let is_row = self.is_row(back);
        session.rows(&format!(
            "UPDATE {} SET {} = {} WHERE {is_row}",
            self.quoted,
            self.name(at),
            self.literal(at, &Cell::Text(text.clone()))
        ))?;
        let rows = session.rows(&format!("{} WHERE {is_row}", self.read()))?;
        let row = rows.into_iter().next();
        let is_other = row
            .as_ref()
            .is_some_and(|row| row[at].text() != Some(&text));
        let is_kept =
            !self.is_view && is_other && keeping(session, self.dialect, elsewhere, &[text])? > 0;
        Ok(row
            .filter(|_| !is_kept)
            .map(|row| (at, row[at].text().map(str::to_owned))))
    }

    /// The column with the longest text of users, of those that any text can be written to.
    fn longest(&self, row: &[Cell]) -> Option<usize> {
        let of_texts = |at: &&usize| {
            let is_json = self.columns[**at].declared.starts_with("json");
            let is_other = self.key.contains(at) || self.unique.contains(at);
            !is_json && !is_other && row[**at].text().is_some_and(|it| !it.is_empty())
        };
        let columns = self.content.iter().filter(of_texts);
        columns
            .copied()
            .max_by_key(|at| row[*at].text().map(str::len))
    }

    /// The columns whose values are those of the row that was copied.
    fn same(&self) -> impl Iterator<Item = usize> {
        let is_other = |at: &usize| self.key.contains(at) || self.unique.contains(at);
        (0..self.columns.len()).filter(move |at| !is_other(at))
    }

    /// The texts that did not come back.
    fn lost_texts(&self, row: &[Cell], back: &[Cell]) -> Vec<String> {
        let lost = self
            .same()
            .filter(|at| self.harmed(*at, row, back).is_some());
        let texts = lost.filter_map(|at| row[at].text().map(str::to_owned));
        texts.collect()
    }

    /// What a value of the copy lost. A state of a table may lose it, and so may what not all rows have.
    fn harmed(&self, at: usize, row: &[Cell], back: &[Cell]) -> Option<Harm> {
        match row[at].text() {
            Some(written) if self.content.contains(&at) => copy::harm(written, back[at].text()),
            _ => {
                let is_always = self.rows.iter().all(|row| row[at] != Cell::Null);
                let is_gone = is_always && back[at] == Cell::Null;
                (self.is_view && is_gone).then_some(Harm::Emptied)
            }
        }
    }

    fn judged(
        &self,
        name: &str,
        row: &[Cell],
        (back, change): (&[Cell], Option<(usize, Option<String>)>),
    ) -> Vec<Loss> {
        let name_of = |at: usize| self.columns[at].name.clone();
        let columns = self.same().filter_map(|at| {
            let harm = self.harmed(at, row, back)?;
            Some(Loss::Column {
                row: name.to_owned(),
                column: name_of(at),
                harm,
            })
        });
        let mut losses: Vec<_> = columns.collect();
        if let Some((at, changed)) = change {
            let former = back[at].to_string();
            let harm = copy::harm(&copy::altered(&former), changed.as_deref());
            let is_former = self.is_view && changed.as_deref() == Some(&former as &str);
            if harm.is_some() || is_former {
                losses.push(Loss::Change {
                    row: name.to_owned(),
                    column: name_of(at),
                    harm,
                });
            }
        }
        losses
    }
}

/// In how many values of these tables one of the texts is.
fn keeping(
    session: &mut dyn Session,
    dialect: Dialect,
    elsewhere: &[Elsewhere],
    texts: &[String],
) -> anyhow::Result<i64> {
    let mut all = 0;
    for (text, of) in texts
        .iter()
        .flat_map(|text| elsewhere.iter().map(move |of| (text, of)))
    {
        let text = text.replace('\'', "''");
        let sums = of.columns.iter().map(|column| {
            let column = quoted(column);
            let has = match dialect {
                Dialect::Postgres => format!("strpos({column}::text, '{text}') > 0"),
                Dialect::Sqlite | Dialect::Mysql => format!("instr({column}, '{text}') > 0"),
            };
            format!("count(CASE WHEN {has} THEN 1 END)")
        });
        let sums = sums.collect::<Vec<_>>().join(" + ");
        let table = session.quote(&of.table);
        let rows = session.rows(&format!("SELECT {sums} FROM {table}"))?;
        all += rows[0][0].to_string().parse::<i64>()?;
    }
    Ok(all)
}

/// The columns that can be written.
fn columns(
    session: &mut dyn Session,
    dialect: Dialect,
    (name, of): (&str, &str),
) -> anyhow::Result<Vec<Column>> {
    const TEXTS: [&str; 4] = ["text", "character", "json", "citext"];
    let sql = match dialect {
        // Of a view, a column that is an expression takes no value, unless a trigger or a rule stores the row.
        Dialect::Postgres => format!(
            "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) \
             FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid \
             WHERE a.attrelid = '{}'::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
             AND (c.relkind <> 'v' OR pg_catalog.pg_column_is_updatable(a.attrelid, a.attnum, false) \
             OR EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgtype & 68 = 68) \
             OR EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = c.oid AND r.ev_type = '3')) \
             ORDER BY a.attnum",
            of.replace('\'', "''")
        ),
        Dialect::Sqlite | Dialect::Mysql => format!(
            "SELECT name, type FROM temp.pragma_table_xinfo('{}', 'main') WHERE hidden = 0",
            name.replace('\'', "''")
        ),
    };
    let rows = session.rows(&sql)?;
    let columns = rows.iter().map(|row| {
        let declared = row[1].to_string();
        Column {
            name: row[0].to_string(),
            is_text: dialect != Dialect::Postgres
                || TEXTS.iter().any(|it| declared.starts_with(it)),
            declared,
        }
    });
    Ok(columns.collect())
}

/// The last column of each index that keeps two rows from having the same values; of a view, none is known.
fn unique(
    session: &mut dyn Session,
    dialect: Dialect,
    (name, of): (&str, &str),
) -> anyhow::Result<Vec<String>> {
    let sql = match dialect {
        Dialect::Postgres => format!(
            "SELECT a.attname::text FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS a \
             ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.indnkeyatts - 1] \
             WHERE i.indrelid = '{}'::pg_catalog.regclass AND i.indisunique AND NOT i.indisprimary",
            of.replace('\'', "''")
        ),
        Dialect::Sqlite | Dialect::Mysql => format!(
            "SELECT i.name FROM temp.pragma_index_list('{}', 'main') AS l, temp.pragma_index_info(l.name, 'main') AS i \
             WHERE l.\"unique\" AND l.origin <> 'pk' AND i.name IS NOT NULL \
             AND i.seqno = (SELECT max(seqno) FROM temp.pragma_index_info(l.name, 'main'))",
            name.replace('\'', "''")
        ),
    };
    Ok(session
        .rows(&sql)?
        .iter()
        .map(|row| row[0].to_string())
        .collect())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
