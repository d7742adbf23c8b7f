//! Folders of migrations, as several tools write them.
//!
//! [`parse`] is pure: names and bytes in, a [`Folder`] out. [`read`] is the thin reader before it.
//! Table of rows: one format a file in [`formats`].

pub mod acknowledged;
pub(crate) mod directions;
pub mod eol;
mod foreign;
pub mod formats;
mod marks;
mod migration;
mod read;
mod settings;
mod version;

pub use acknowledged::Acknowledgement;
pub use formats::{ALL, Claim, Depth, Format, Parsed};
pub use migration::{File, Migration, Unsupported, checksum, checksum_ignoring};
pub use read::read;
pub use settings::Settings;
pub use version::Version;

pub(crate) use migration::{BOM, blank, says_nothing};

use crate::cli_error::CliError;
use crate::sql::Dialect;
use crate::text::nearest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A folder of migrations, read.
#[derive(Debug)]
pub struct Folder {
    /// The format's name.
    pub format: &'static str,
    /// Why it is this format.
    pub reason: String,
    /// Other formats that would read the same names; a history in the database can tell them apart.
    pub rivals: Vec<&'static str>,
    /// The migrations, by ascending version.
    pub migrations: Vec<Migration>,
    /// Files that are no migrations to the tool, and why.
    pub ignored: Vec<(PathBuf, String)>,
    /// What `sqlx.toml` says.
    pub settings: Settings,
    /// Whose SQL it is, where a file of the folder or its tool says so.
    pub dialect: Option<Dialect>,
}

impl Folder {
    /// The version that the user means, which must be that of a migration here.
    ///
    /// # Errors
    /// Stops when there is none, and names the nearest.
    pub fn version(&self, wanted: &str) -> Result<Version, CliError> {
        let number = Version::parse(wanted);
        let same = |known: &&Version| {
            let number = number.as_ref();
            known.text() == wanted
                || number.is_some_and(|number| number == *known || known.begins_with(number))
        };
        // Folders may have one number: it means all of them, and the last of these is the newest.
        let versions = self.migrations.iter().map(|it| &it.version);
        let found = versions.rev().find(same);
        found.cloned().ok_or_else(|| {
            let stop = CliError::usage(format!("there is no migration with version `{wanted}`"));
            let known = self.migrations.iter().map(|it| it.version.text());
            match nearest(wanted, known) {
                Some(near) => stop.hint(format!("did you mean `{near}`?")),
                None => stop.hint("`chatctl migrate status` lists the versions"),
            }
        })
    }
}

/// A format, and why it is this one.
#[derive(Debug)]
pub struct Choice {
    /// The row of the table.
    pub format: &'static Format,
    /// Why it is this format.
    pub reason: String,
    /// Other formats that lay claim to the same files.
    pub rivals: Vec<&'static str>,
}

/// Finds the format of the files, or takes the one that is asked for.
///
/// The contents say more than the names: a marker of dbmate, goose or alembic outweighs every name.
///
/// # Errors
/// Stops when the name is unknown or no format fits.
pub fn choose(files: &[File], asked: Option<&str>) -> Result<Choice, CliError> {
    if let Some(name) = asked {
        let format = ALL
            .iter()
            .find(|format| format.name == name)
            .ok_or_else(|| {
                let names: Vec<_> = ALL.iter().map(|format| format.name).collect();
                let stop = CliError::usage(format!("unknown migration format `{name}`"));
                match nearest(name, names.iter().copied()) {
                    Some(near) => stop.hint(format!("did you mean `{near}`?")),
                    None => stop.hint(format!("one of {}", names.join(", "))),
                }
            })?;
        return Ok(Choice {
            format,
            reason: "it was asked for".to_owned(),
            rivals: Vec::new(),
        });
    }
    let mut claims: Vec<_> = ALL
        .iter()
        .filter_map(|format| Some((format, (format.claim)(files)?)))
        .collect();
    // The sort is stable: with equal weights the order of the table decides.
    claims.sort_by_key(|(_, claim)| std::cmp::Reverse(claim.weight));
    // A mark in the text is sure; a name that two tools may have is not.
    if claims
        .first()
        .is_none_or(|(_, claim)| claim.weight < BY_MARKER)
    {
        foreign::refuse(files)?;
    }
    let mut claims = claims.into_iter();
    let Some((format, claim)) = claims.next() else {
        return Err(unknown(files));
    };
    // What a marker decides, no name may overturn: read as sqlx's, a file of dbmate would also run its down part.
    let least = if claim.weight >= BY_MARKER {
        BY_MARKER
    } else {
        BY_NAME
    };
    Ok(Choice {
        format,
        reason: claim.reason,
        rivals: claims
            .filter(|(_, claim)| claim.weight >= least)
            .map(|(format, _)| format.name)
            .collect(),
    })
}

/// The least weight of a claim by a marker in the text.
const BY_MARKER: u8 = 90;
/// The least weight of a claim by names that the tool would take.
const BY_NAME: u8 = 20;

/// So many files of another kind are named.
const SHOWN: usize = 3;

fn unknown(files: &[File]) -> CliError {
    let names: Vec<_> = files
        .iter()
        .map(|file| file.name.as_str())
        .filter(|name| is_sql(name))
        .collect();
    let Some(first) = names.first() else {
        let others: Vec<_> = files
            .iter()
            .map(|file| format!("`{}`", file.name))
            .collect();
        let none = "there is no migration in the folder";
        let stop = match others.len() {
            0 => none.to_owned(),
            1..=SHOWN => format!("{none}, only {}", others.join(", ")),
            count => format!("{none}: none of its {count} files is named `*.sql`"),
        };
        return CliError::usage(stop)
            .hint("create the first one: `chatctl migrate new NAME --dir DIR`");
    };
    let stop = CliError::usage(format!(
        "no known format names its migrations like `{first}`"
    ));
    match first.rsplit_once('/') {
        Some((folder, _)) => stop.hint(format!(
            "if the migrations are in a subfolder, name it: `--dir …/{folder}`"
        )),
        None => stop.hint("name the files `<VERSION>_<NAME>.sql`, as in `1_create_chat.sql`"),
    }
}

/// Whether the name ends as SQL files do, in any case.
pub(crate) fn is_sql(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() > 4 && bytes[bytes.len() - 4..].eq_ignore_ascii_case(b".sql")
}

/// Reads the files of a folder: pure, apart from the names nothing comes from the disk.
///
/// # Errors
/// Stops when the format is unknown, two files have one version (refused: the order is unsafe),
/// a name or text is not what the format's tool takes, or there is no migration.
pub fn parse(
    dir: &Path,
    files: &[File],
    asked: Option<&str>,
    settings: Settings,
) -> Result<Folder, CliError> {
    let Choice {
        format,
        reason,
        rivals,
    } = choose(files, asked)?;
    let (near, far): (Vec<File>, Vec<File>) = files
        .iter()
        .cloned()
        .partition(|file| format.depth == Depth::Deep || !file.name.contains('/'));
    let Parsed {
        mut migrations,
        mut ignored,
    } = (format.parse)(&near, &settings)?;
    if migrations.is_empty() {
        return Err(CliError::usage(format!(
            "`{}` has no migration that {} would run",
            dir.display(),
            format.name
        ))
        .hint("create the first one: `chatctl migrate new NAME --dir DIR`"));
    }
    for file in far.iter().filter(|file| is_sql(&file.name)) {
        ignored.push((
            PathBuf::from(&file.name),
            format!("{} does not read subfolders", format.name),
        ));
    }
    migrations.sort_by(|a, b| (&a.version, &a.path).cmp(&(&b.version, &b.path)));
    duplicates(&migrations)?;
    for migration in &mut migrations {
        let file = files
            .iter()
            .find(|file| migration.path == Path::new(&file.name));
        if migration.unsupported.is_none() {
            let raw = String::from_utf8_lossy(&migration.raw);
            let found = marks::swallowing(&raw).or_else(|| marks::unknown(&migration.up));
            migration.unsupported = found;
        }
        one_direction(migration, file.map_or(&[], |file| &file.bytes));
        migration.path = dir.join(&migration.path);
    }
    for (path, _) in &mut ignored {
        *path = dir.join(&path);
    }
    ignored.sort();
    Ok(Folder {
        format: format.name,
        reason,
        rivals,
        migrations,
        ignored,
        settings,
        dialect: dialect(format, files),
    })
}

/// The database that a folder is for, as Prisma's lock file or Drizzle's journal says; some tools know
/// one only.
fn dialect(format: &Format, files: &[File]) -> Option<Dialect> {
    if ["node-pg-migrate", "tern"].contains(&format.name) {
        return Some(Dialect::Postgres);
    }
    let says = ["migration_lock.toml", formats::drizzle::JOURNAL];
    let file = files
        .iter()
        .find(|file| says.contains(&file.name.as_str()))?;
    let text = std::str::from_utf8(&file.bytes).ok()?;
    let line = text.lines().find(|line| {
        let key = line.trim_start().trim_start_matches('"');
        key.starts_with("provider") || key.starts_with("dialect")
    })?;
    let word = line
        .rsplit(['=', ':'])
        .next()?
        .trim_matches(['"', ' ', ',', '\r']);
    match word {
        "postgresql" | "postgres" | "pg" | "cockroachdb" => Some(Dialect::Postgres),
        "mysql" | "singlestore" => Some(Dialect::Mysql),
        "sqlite" | "turso" => Some(Dialect::Sqlite),
        _ => None,
    }
}

/// Both parts of a file would be run that another tool's marks part.
fn one_direction(migration: &mut Migration, bytes: &[u8]) {
    let Some(found) = directions::undivided(&migration.up) else {
        return;
    };
    let before = bytes.get(..migration.up_at + found.at).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let (whose, way) = match found.tool {
        Some(tool) if ALL.iter().any(|format| format.name == tool) => (
            format!(", a mark of {tool}"),
            format!("if the folder belongs to {tool}, declare it: `--source {tool}`; otherwise move those \
                statements out of the file"),
        ),
        Some(tool) => (
            format!(", a mark of {tool}, whose files chatctl does not read"),
            "move the statements that undo it out of the file".to_owned(),
        ),
        None => (
            String::new(),
            "move the statements that undo it out of the file; if they should run, reword the comment".to_owned(),
        ),
    };
    migration.unsupported.get_or_insert(Unsupported {
        why: format!(
            "line {line} begins a part that undoes the rest (`{}`{whose}), and both parts would run",
            found.line
        ),
        instead: Some(way),
    });
}

fn duplicates(migrations: &[Migration]) -> Result<(), CliError> {
    let mut seen = BTreeMap::new();
    for migration in migrations {
        if let Some(first) = seen.insert(&migration.version, migration) {
            let (message, hint) = one_version(first, migration);
            return Err(CliError::refused(message).hint(hint));
        }
    }
    Ok(())
}

/// What is wrong with two files of one version, and what to do.
pub(crate) fn one_version(first: &Migration, second: &Migration) -> (String, String) {
    let message = format!(
        "`{}` and `{}` both have version `{}`",
        first.path.display(),
        second.path.display(),
        second.version
    );
    let undoes = [first, second]
        .into_iter()
        .find(|it| directions::undoes_by_name(&it.file_name()));
    let hint = match undoes {
        // With a newer version it would be run.
        Some(it) => format!(
            "`{}` seems to undo the other: rename it to `<VERSION>_<NAME>.down.sql`, so that it does not run",
            it.file_name()
        ),
        None => "give the one that is not yet applied a newer version".to_owned(),
    };
    (message, hint)
}

#[cfg(test)]
mod tests;
