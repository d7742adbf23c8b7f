//! The history tables of the tools: how to know them, the SELECT that reads them, what their rows mean.
//!
//! Table of rows: one tool a file. Everything here is pure; the caller runs the SELECT.

pub mod alembic;
pub mod dbmate;
pub mod diesel;
pub mod drizzle;
pub mod flyway;
mod foreign;
pub mod golang_migrate;
pub mod goose;
pub mod mybatis;
pub mod node_pg_migrate;
pub mod prisma;
pub mod rambler;
pub mod refinery;
pub mod sql_migrate;
pub mod sqlx;
pub mod supabase;
pub mod tern;

pub use foreign::{Foreign, recognise as foreign};

// The crate of that name belongs to `db` alone; another name keeps the two apart.
use self::sqlx as sqlx_row;
use super::plan::{Applied, Reached};
use super::source::{Migration, Version};
use crate::cli_error::CliError;
use crate::model::Shape;
use crate::sql::Dialect;
use std::collections::{BTreeMap, BTreeSet};

/// A row of a history, as text; absent where the database has NULL.
pub type Row = Vec<Option<String>>;

/// How one tool remembers what is applied.
#[derive(Debug)]
pub struct History {
    /// The tool, by the name of its format in `migrate::source`.
    pub tool: &'static str,
    /// The table's name, when the user has chosen no other.
    pub table: &'static str,
    /// The columns that are read, in this order.
    pub columns: &'static [&'static str],
    /// Those of them that hold bytes.
    pub bytes: &'static [&'static str],
    /// What the rows are ordered by.
    pub order: &'static str,
    /// What else must be true of the columns and of other tables.
    pub recognition: Recognition,
    /// What the rows mean.
    pub read: fn(&History, &[Row]) -> Result<Recorded, CliError>,
    /// The checksums that the tool records for a file; empty when it records none.
    pub checksums: fn(&Migration) -> Vec<Vec<u8>>,
    /// What the tool calls a file in [`Recorded::by_name`]; empty when it records versions.
    pub names: fn(&Migration) -> Vec<String>,
}

/// When a table is a tool's history.
#[derive(Debug, Clone, Copy)]
pub struct Recognition {
    /// The columns alone are enough, whatever the table is called.
    pub by_columns: bool,
    /// The table has no other columns.
    pub exact: bool,
    /// A table whose presence means that the history is another tool's.
    pub unless: &'static [&'static str],
    /// The schema that the table is in; any when absent.
    pub schema: Option<&'static str>,
}

impl Recognition {
    /// By name, with other columns, in any schema.
    const ANY: Self = Self {
        by_columns: false,
        exact: false,
        unless: &[],
        schema: None,
    };
}

/// What a history says, before it is laid next to files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Versions that it names one by one.
    pub each: Vec<Applied>,
    /// Every file up to here counts as applied: the history holds a position, not a list.
    pub up_to: Option<Version>,
    /// Revisions that are applied together with all that they follow.
    pub heads: Vec<String>,
    /// Files that it calls by a name of its own, any of these; the version is used
    /// when no file has such a name.
    pub by_name: Vec<(Vec<String>, Applied)>,
}

impl Recorded {
    /// The applied versions, with what only the files can tell.
    ///
    /// A checksum of the tool's own kind that fits the file becomes the file's checksum here; one that does
    /// not fit stays as it is, so that a plan sees a changed file.
    pub fn against(self, history: &History, files: &[Migration]) -> Vec<Applied> {
        let mut applied = self.each;
        for row in &mut applied {
            row.version = version_among(files, &row.version);
        }
        applied.extend(called(history, self.by_name, files));
        let named: BTreeSet<_> = applied.iter().map(|row| row.version.clone()).collect();
        if let Some(up_to) = &self.up_to {
            let below = files
                .iter()
                .filter(|file| file.version <= *up_to && !named.contains(&file.version));
            applied.extend(below.map(assumed));
        }
        applied.extend(followed(&self.heads, files));
        for row in &mut applied {
            let file = files.iter().find(|file| file.version == row.version);
            let Some(file) = file else { continue };
            if row.description.is_empty() {
                row.description.clone_from(&file.description);
            }
            if (history.checksums)(file).contains(&row.checksum) {
                row.checksum.clone_from(&file.checksum);
            }
        }
        applied.sort_by(|a, b| a.version.cmp(&b.version));
        applied
    }
}

/// The version that a number of a history means: that of the file which has this number.
fn version_among(files: &[Migration], version: &Version) -> Version {
    let number = version.as_number();
    let known = files
        .iter()
        .find(|file| number.is_some() && file.version.as_number() == number);
    match (known, number) {
        (Some(file), _) => file.version.clone(),
        (None, Some(number)) if files.iter().any(|file| file.version.is_named()) => {
            Version::of_lost_name(number)
        }
        (None, _) => version.clone(),
    }
}

/// Rows that call their files by names. Where no file has a row's name, the number that the name begins
/// with is its version, so that it can be compared with those of the files.
fn called(
    history: &History,
    rows: Vec<(Vec<String>, Applied)>,
    files: &[Migration],
) -> Vec<Applied> {
    let mut files_by_name = BTreeMap::new();
    for file in files {
        for name in (history.names)(file) {
            files_by_name.entry(name).or_insert(file);
        }
    }
    let of = |(names, row): (Vec<String>, Applied)| {
        let file = names.iter().find_map(|name| files_by_name.get(name));
        let version = match file {
            Some(file) => file.version.clone(),
            None => lost(&names, files).unwrap_or(row.version),
        };
        Applied { version, ..row }
    };
    rows.into_iter().map(of).collect()
}

fn lost(names: &[String], files: &[Migration]) -> Option<Version> {
    let name = names.first()?;
    if files.iter().any(|file| file.version.is_named()) {
        return Version::named(name);
    }
    let end = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
    let version = Version::parse(&name[..end])?;
    // A file may have the number and another name.
    (!files.iter().any(|file| file.version == version)).then_some(version)
}

fn assumed(file: &Migration) -> Applied {
    Applied {
        description: file.description.clone(),
        ..applied(file.version.clone())
    }
}

/// The files of the heads and of everything before them; a head that only precedes files is left out.
fn followed(heads: &[String], files: &[Migration]) -> Vec<Applied> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = heads.iter().map(String::as_str).collect();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let file = files.iter().find(|file| file.version.text() == id);
        if let Some(file) = file {
            found.push(assumed(file));
            open.extend(file.after.iter().map(String::as_str));
        } else if !files
            .iter()
            .any(|file| file.after.iter().any(|it| it == id))
        {
            found.push(applied(Version::unplaced(id)));
        }
    }
    found
}

/// A row of which only the version is known.
fn applied(version: Version) -> Applied {
    Applied {
        version,
        description: String::new(),
        checksum: Vec::new(),
        reached: Reached::End,
        installed_on: None,
        execution_ns: -1,
    }
}

/// The table; of two that fit one table, the upper one wins.
pub const ALL: &[History] = &[
    sqlx_row::HISTORY,
    prisma::HISTORY,
    drizzle::HISTORY,
    supabase::HISTORY,
    diesel::HISTORY,
    node_pg_migrate::HISTORY,
    sql_migrate::HISTORY,
    mybatis::HISTORY,
    rambler::HISTORY,
    goose::HISTORY,
    flyway::HISTORY,
    refinery::HISTORY,
    alembic::HISTORY,
    golang_migrate::HISTORY,
    tern::HISTORY,
    dbmate::HISTORY,
];

/// A history that was found in a database.
#[derive(Debug)]
pub struct Found {
    /// The row of the table.
    pub history: &'static History,
    /// The table, as the catalogue names it.
    pub table: String,
}

/// Schemas in which the services of Supabase keep tables of their own, histories among them.
const OF_SERVICES: [&str; 8] = [
    "auth",
    "storage",
    "realtime",
    "_realtime",
    "_analytics",
    "supabase_functions",
    "vault",
    "cron",
];

/// Tables that a tool keeps in a schema of its own; each other one is where bare names lead.
const IN_OWN_SCHEMAS: [(&str, &str); 4] = [
    ("supabase_migrations", "schema_migrations"),
    ("drizzle", "__drizzle_migrations"),
    ("graphile_migrate", "migrations"),
    ("sqitch", "changes"),
];

/// Tools that migrate PostgreSQL only. Elsewhere a table called as theirs is the application's own, and
/// its numbers say nothing of these files.
const OF_POSTGRES: [&str; 3] = ["tern", "node-pg-migrate", "supabase"];

/// Whether a table can be the history of these files: a tool finds its own by a bare name. That of a
/// schema off the search path is another service's, or another tenant's.
pub fn may_be_ours(shape: &Shape) -> bool {
    let is_it = |(schema, table): &(&str, &str)| {
        (shape.schema.as_str(), shape.table.as_str()) == (*schema, *table)
    };
    shape.bare || shape.on_path || IN_OWN_SCHEMAS.iter().any(is_it)
}

/// The histories of tools that migrate such databases.
pub fn recognise_in(tables: &[(String, Vec<String>)], dialect: Dialect) -> Vec<Found> {
    let mut found = recognise(tables);
    let is_of =
        |it: &Found| dialect == Dialect::Postgres || !OF_POSTGRES.contains(&it.history.tool);
    found.retain(is_of);
    found
}

/// The histories among the tables of a database; the names may be `schema.table`.
///
/// Several can be there, when a project has changed its tool.
fn recognise(tables: &[(String, Vec<String>)]) -> Vec<Found> {
    let present: BTreeSet<_> = tables.iter().map(|(name, _)| place(name).1).collect();
    let mut found = Vec::new();
    for (table, columns) in tables {
        let (schema, name) = place(table);
        let fits = |history: &&History| {
            let how = history.recognition;
            let has = |wanted: &&str| columns.iter().any(|it| it.eq_ignore_ascii_case(wanted));
            (how.by_columns || name == history.table)
                && how.schema.is_none_or(|wanted| schema == wanted)
                && !OF_SERVICES.contains(&schema)
                && history.columns.iter().all(has)
                && (!how.exact || columns.len() == history.columns.len())
                && !how.unless.iter().any(|other| present.contains(*other))
        };
        if let Some(history) = ALL.iter().find(fits) {
            found.push(Found {
                history,
                table: table.clone(),
            });
        }
    }
    found
}

/// The schema of a table, empty for the usual one, and its name in lower case.
fn place(table: &str) -> (&str, String) {
    let (schema, name) = table.rsplit_once('.').unwrap_or(("", table));
    (schema, name.to_ascii_lowercase())
}

impl History {
    /// A table with one row for each version, which records no checksums.
    const fn of(tool: &'static str, table: &'static str, columns: &'static [&'static str]) -> Self {
        Self {
            tool,
            table,
            columns,
            bytes: &[],
            order: columns[0],
            recognition: Recognition::ANY,
            read: read_versions,
            checksums: |_| Vec::new(),
            names: |_| Vec::new(),
        }
    }

    /// What the rows mean, with what only the files can tell.
    pub fn applied(&self, rows: &[Row], files: &[Migration]) -> Result<Vec<Applied>, CliError> {
        Ok((self.read)(self, rows)?.against(self, files))
    }

    /// A version in a row.
    fn version(&self, row: &Row) -> Result<Version, CliError> {
        let (table, text) = (self.table, cell(row, 0).unwrap_or_default());
        Version::parse(text).ok_or_else(|| {
            CliError::unreachable(format!("`{table}` holds `{text}`, which is not a version")).hint(
                format!("inspect it: `chatctl inspect sql \"SELECT * FROM {table}\"`"),
            )
        })
    }

    /// Of a row of a version and, where the tool records them, its description and when it was applied.
    fn row(&self, row: &Row) -> Result<Applied, CliError> {
        Ok(Applied {
            description: cell(row, 1).unwrap_or_default().to_owned(),
            installed_on: cell(row, 2).map(str::to_owned),
            ..applied(self.version(row)?)
        })
    }

    /// The SELECT that reads the history; `table` is quoted by the caller, as its database quotes names.
    pub fn select(&self, dialect: Dialect, table: &str) -> String {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|column| self.expression(column, dialect))
            .collect();
        format!(
            "SELECT {} FROM {table} ORDER BY {}",
            columns.join(", "),
            quoted(self.order, dialect)
        )
    }

    /// A column as text; bytes as hexadecimal text.
    fn expression(&self, column: &str, dialect: Dialect) -> String {
        let name = quoted(column, dialect);
        match (self.bytes.contains(&column), dialect) {
            (false, Dialect::Mysql) => format!("CAST({name} AS CHAR)"),
            (false, _) => format!("CAST({name} AS TEXT)"),
            (true, Dialect::Postgres) => format!("encode({name}, 'hex')"),
            (true, _) => format!("hex({name})"),
        }
    }
}

fn quoted(name: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Mysql => format!("`{name}`"),
        Dialect::Sqlite | Dialect::Postgres => format!("\"{name}\""),
    }
}

/// The cell of a row, absent when it is NULL or the row is too short.
fn cell(row: &Row, at: usize) -> Option<&str> {
    row.get(at)?.as_deref()
}

/// A truth value, as the databases write it as text.
fn truth(row: &Row, at: usize) -> bool {
    cell(row, at).is_some_and(|text| matches!(text, "1" | "t" | "true" | "TRUE"))
}

fn read_versions(history: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let each = rows.iter().map(|row| history.row(row));
    Ok(Recorded {
        each: each.collect::<Result<_, _>>()?,
        ..Recorded::default()
    })
}

/// Of rows that hold a file's name, and then when it was applied if the tool records that.
#[allow(
    clippy::unnecessary_wraps,
    reason = "every row of the table has this type"
)]
fn read_names(_: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let by_name = rows.iter().map(|row| {
        let name = cell(row, 0).unwrap_or_default().to_owned();
        let state = Applied {
            installed_on: cell(row, 1).map(str::to_owned),
            ..applied(Version::unplaced(&name))
        };
        (vec![name], state)
    });
    Ok(Recorded {
        by_name: by_name.collect(),
        ..Recorded::default()
    })
}

fn file_names(file: &Migration) -> Vec<String> {
    vec![file.file_name()]
}

#[cfg(test)]
mod tests;
