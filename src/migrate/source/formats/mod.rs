//! The table of formats. A row is a value; a new tool is a new file here and a line in [`ALL`].

pub mod alembic;
pub mod dbmate;
pub mod diesel;
pub mod drizzle;
pub mod flyway;
pub mod golang_migrate;
pub mod goose;
pub mod mybatis;
pub mod node_pg_migrate;
pub mod prisma;
pub mod rambler;
pub mod refinery;
pub mod sql_migrate;
pub mod sqlx;
pub mod tern;

// The crate of that name belongs to `db` alone; another name keeps the two apart.
use self::sqlx as sqlx_row;
use super::{File, Migration, Settings, Version, says_nothing};
use crate::cli_error::CliError;
use std::path::PathBuf;

/// How one tool writes its folder of migrations.
#[derive(Debug)]
pub struct Format {
    /// Its name, as the user writes it.
    pub name: &'static str,
    /// What its files look like, in one line.
    pub summary: &'static str,
    /// Whether the tool looks into folders below.
    pub depth: Depth,
    /// What makes another migration, where that is not `migrate new`.
    pub another: Option<&'static str>,
    /// Whether files look like this format, and why.
    pub claim: fn(&[File]) -> Option<Claim>,
    /// Reads the files; they need not be sorted.
    pub parse: fn(&[File], &Settings) -> Result<Parsed, CliError>,
}

/// Whether a tool looks into folders below the one it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only the folder itself.
    Flat,
    /// Every folder below it.
    Deep,
}

/// Why files may be of a format.
#[derive(Debug)]
pub struct Claim {
    /// A file or folder that only one tool makes 94 or 95, markers in the text 90, names that only few
    /// tools use 50, a number and a name 30 or less.
    pub weight: u8,
    /// A sentence for the user.
    pub reason: String,
}

/// What a format made of the files; paths are names below the folder.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The migrations, in any order.
    pub migrations: Vec<Migration>,
    /// Files that the tool does not run, and why.
    pub ignored: Vec<(PathBuf, String)>,
}

impl Parsed {
    fn ignore(&mut self, file: &File, reason: impl Into<String>) {
        self.ignored
            .push((PathBuf::from(&file.name), reason.into()));
    }

    /// Gives each text that undoes a migration to its migration.
    fn attach(&mut self, downs: Vec<Down<'_>>) -> Result<(), CliError> {
        for at in 0..downs.len() {
            let down = &downs[at];
            if let Some(first) = downs[..at].iter().find(|it| it.version == down.version) {
                return Err(CliError::refused(format!(
                    "`{}` and `{}` both undo version `{}`",
                    first.file.name, down.file.name, down.version
                ))
                .hint("delete the one that is wrong"));
            }
            let text = down.file.text()?.0.to_owned();
            let owner = self
                .migrations
                .iter_mut()
                .find(|it| it.version == down.version);
            match owner {
                Some(owner) => owner.down = Some(text),
                None => self.ignore(
                    down.file,
                    format!("it undoes version `{}`, which has no file", down.version),
                ),
            }
        }
        Ok(())
    }
}

/// A file that is named by a number and a title, which the tool records by its whole name. None where
/// it is not SQL.
fn numbered(
    parsed: &mut Parsed,
    file: &File,
    separator: char,
) -> Result<Option<Migration>, CliError> {
    let Some(stem) = file.name.strip_suffix(".sql") else {
        parsed.ignore(file, "it is not an `.sql` file");
        return Ok(None);
    };
    let end = stem.find(|c: char| !c.is_ascii_digit());
    let (digits, title) = stem.split_at(end.unwrap_or(stem.len()));
    let version = Version::parse(digits).filter(|version| version.as_number().is_some());
    let Some(version) = version else {
        return Err(
            CliError::usage(format!("`{}` must begin with a number", file.name)).hint(format!(
                "rename it, for example to `1{separator}{}`",
                file.name
            )),
        );
    };
    let title = title.trim_start_matches(['_', '-']).to_owned();
    let mut migration = Migration::whole(version, title, file)?;
    migration.recorded_as = Some(file.name.clone());
    Ok(Some(migration))
}

/// A file that undoes a version.
struct Down<'a> {
    version: Version,
    file: &'a File,
}

/// The table; where two lay equal claim to a folder, the upper one wins.
pub const ALL: &[Format] = &[
    drizzle::FORMAT,
    prisma::FORMAT,
    diesel::FORMAT,
    dbmate::FORMAT,
    goose::FORMAT,
    sql_migrate::FORMAT,
    alembic::FORMAT,
    rambler::FORMAT,
    tern::FORMAT,
    mybatis::FORMAT,
    node_pg_migrate::FORMAT,
    flyway::FORMAT,
    refinery::FORMAT,
    sqlx_row::FORMAT,
    golang_migrate::FORMAT,
];

/// A claim when a line of an SQL file satisfies `marks`.
fn claim_by_line(files: &[File], what: &str, marks: fn(&str) -> bool) -> Option<Claim> {
    let file = files
        .iter()
        .filter(|file| super::is_sql(&file.name))
        .find(|file| {
            let text = String::from_utf8_lossy(&file.bytes);
            text.trim_start_matches(super::BOM).lines().any(marks)
        })?;
    Some(Claim {
        weight: 90,
        reason: format!("`{}` has the line `{what}`", file.name),
    })
}

/// The lines of a text with their byte offsets, each with its line end.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |next, line| {
        let at = *next;
        *next += line.len();
        Some((at, line))
    })
}

/// An error at a line of a file; `at` is an offset in the text without a byte-order mark.
fn at_line(file: &File, text: &str, at: usize, message: &str) -> CliError {
    let line = text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1;
    CliError::usage(format!("`{}:{line}`: {message}", file.name))
}

/// Refuses statements before the first mark, which the tool would not run.
fn nothing_before(file: &File, text: &str, first: usize, mark: &str) -> Result<(), CliError> {
    let statement = lines(&text[..first]).find(|(_, line)| !says_nothing(line));
    match statement {
        None => Ok(()),
        Some((at, _)) => Err(at_line(
            file,
            text,
            at,
            &format!("a statement before `{mark}` is not run"),
        )
        .hint(format!("put `{mark}` on a line before it"))),
    }
}

/// Refuses migrations that a tool, which orders them by these texts, would run in another order.
fn in_order_of(
    tool: &str,
    migrations: &[Migration],
    text: impl Fn(&Migration) -> String,
) -> Result<(), CliError> {
    let mut by_text: Vec<_> = migrations.iter().map(|it| (text(it), it)).collect();
    by_text.sort_by(|a, b| a.0.cmp(&b.0));
    for pair in by_text.windows(2) {
        if pair[0].1.version > pair[1].1.version {
            return Err(CliError::usage(format!(
                "{tool} runs `{}` before `{}`, against the order of their numbers",
                pair[0].1.path.display(),
                pair[1].1.path.display()
            ))
            .hint("give the versions the same number of digits"));
        }
    }
    Ok(())
}

/// Files with these names and texts, for the tests of the formats.
#[cfg(test)]
pub(super) fn files_of(files: &[(&str, &str)]) -> Vec<File> {
    let file = |(name, text): &(&str, &str)| File {
        name: (*name).to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    files.iter().map(file).collect()
}
