//! `chatctl migrate lint`: findings on migration files alone.

use super::case;
use super::options::formats;
use crate::cli_error::CliError;
use crate::commands::{Done, Env};
use crate::lint::{Checked, Input, Schema, ServerVersion, Settings};
use crate::migrate::acknowledged::SUBJECT;
use crate::migrate::source;
use crate::migrate::source::{Acknowledgement, File, Migration};
use crate::model::Engine;
use crate::report::{Finding, Report, Severity, Verdict};
use crate::sql::{AllowLoss, Dialect};
use crate::text::plural;
use crate::{guard, input, lint, migrate};
use clap::builder::PossibleValuesParser;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files or folders [default: the folder of --dir]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The folder of migrations
    #[arg(long, default_value = "migrations", conflicts_with = "files")]
    dir: PathBuf,

    /// The tool whose layout the folder has [default: detected from names and contents]
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    source: Option<String>,

    /// The SQL dialect; mysql includes MariaDB [default: that of the database URL or the folder,
    /// else only rules that hold for all three]
    #[arg(long, value_parser = PossibleValuesParser::new(Engine::ALL.map(Engine::name)))]
    dialect: Option<String>,

    /// The PostgreSQL version that runs the files [default: 15]
    #[arg(long, value_name = "VERSION")]
    server_version: Option<ServerVersion>,
}

/// A text to be looked at.
struct Text {
    name: String,
    file: String,
    up: String,
    start: (u32, u32),
    no_transaction: bool,
    unsupported: Option<String>,
    acknowledged: Vec<Acknowledgement>,
}

/// What is examined, and as whose SQL.
struct Texts {
    texts: Vec<Text>,
    /// What the files themselves say; a lock file or a journal names the database.
    dialect: Option<Dialect>,
}

pub(super) fn run(args: &Args, env: &Env) -> anyhow::Result<Done> {
    let began = Instant::now();
    let asked = dialect(args, env)?;
    let paths = match args.files.as_slice() {
        [] => std::slice::from_ref(&args.dir),
        files => files,
    };
    let mut report = Report::new("migrate lint");
    for path in paths {
        let Texts { texts, dialect } = texts(path, args, env)?;
        let mut lints = Lints::of(asked.or(dialect), args, env);
        for text in texts {
            look(&text, &mut lints, &mut report)?;
        }
    }
    report.took = began.elapsed();
    Ok(Done::Report(Box::new(report)))
}

/// The dialects that texts are read in, each with what the earlier files of a folder made.
struct Lints(Vec<(Settings, Schema)>);

impl Lints {
    /// Without a dialect all of them.
    fn of(dialect: Option<Dialect>, args: &Args, env: &Env) -> Self {
        let dialects = match dialect {
            Some(dialect) => vec![dialect],
            None => {
                env.progress.note(
                    "dialect: none is given, so only findings that hold on SQLite, PostgreSQL and MySQL are \
                        reported; --dialect shows the others",
                );
                Engine::ALL.map(migrate::dialect).to_vec()
            }
        };
        if args.server_version.is_some() && dialects != [Dialect::Postgres] {
            env.progress
                .warning("--server-version applies to PostgreSQL only");
        }
        let settings = |dialect| Settings {
            dialect,
            server: args.server_version.unwrap_or_default(),
            foreign: guard::ALL.iter().map(|pattern| pattern.code).collect(),
        };
        let with_schema = |dialect| (settings(dialect), Schema::default());
        Self(dialects.into_iter().map(with_schema).collect())
    }

    /// What is found in every dialect, in the words of the first.
    fn check(&mut self, text: &Text) -> Result<Checked, CliError> {
        let checked = self.0.iter_mut().map(|(settings, schema)| {
            let acknowledged = text.acknowledged.iter().map(|it| {
                AllowLoss::of(&it.subject, settings.dialect)
                    .map_err(|why| CliError::usage(format!("{}: {why}", it.place)).hint(SUBJECT))
            });
            let acknowledged = acknowledged.collect::<Result<Vec<_>, _>>()?;
            let input = Input {
                file: &text.file,
                text: &text.up,
                start: text.start,
                no_transaction: text.no_transaction,
                acknowledged: &acknowledged,
            };
            Ok(lint::check(&input, settings, schema))
        });
        let all = checked.collect::<Result<Vec<_>, CliError>>()?;
        let mut all = all.into_iter();
        let mut first = all.next().expect("there is at least one dialect");
        for other in all {
            let same = |it: &Finding, other: &Finding| {
                it.code == other.code
                    && (it.place.line, it.place.column) == (other.place.line, other.place.column)
            };
            first
                .findings
                .retain(|it| other.findings.iter().any(|other| same(it, other)));
        }
        Ok(first)
    }
}

fn look(text: &Text, lints: &mut Lints, report: &mut Report) -> Result<(), CliError> {
    let name = text.name.clone();
    if let Some(reason) = &text.unsupported {
        let reason = format!("it cannot be inspected: {reason}");
        report.cases.push(case(name, Verdict::Inconclusive, reason));
        return Ok(());
    }
    let checked = lints.check(text)?;
    report.checked += checked.statements as u64;
    let errors = count(&checked.findings, Severity::Error);
    let verdict = match errors {
        0 => Verdict::Held,
        _ => Verdict::Violated,
    };
    let reason = format!(
        "{}, {} in {}",
        plural(errors as u64, "error"),
        plural(
            count(&checked.findings, Severity::Warning) as u64,
            "warning"
        ),
        plural(checked.statements as u64, "statement"),
    );
    report.cases.push(case(name, verdict, reason));
    for finding in checked.findings {
        report.add(finding);
    }
    Ok(())
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    let of = |finding: &&Finding| finding.severity == severity;
    findings.iter().filter(of).count()
}

/// Whose SQL the files are, as far as the user says: a text alone does not tell.
fn dialect(args: &Args, env: &Env) -> Result<Option<Dialect>, CliError> {
    let hint = "chatctl migrate lint --dialect postgres";
    let named = |name: &String| Engine::ALL.into_iter().find(|engine| engine.name() == name);
    if let Some(engine) = args.dialect.as_ref().and_then(named) {
        return Ok(Some(migrate::dialect(engine)));
    }
    let url = env
        .config
        .value("database-url", env.database_url.as_deref())?;
    let Some(url) = url else {
        return Ok(None);
    };
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    // SQLAlchemy names its driver behind a plus sign.
    let engine = Engine::of_scheme(scheme.split('+').next().unwrap_or_default());
    let engine = engine.ok_or_else(|| {
        CliError::usage(format!(
            "the database URL begins with `{scheme}`, which is not a known dialect"
        ))
        .hint(hint)
    })?;
    env.progress
        .note(&format!("dialect: {engine} (from the database URL)"));
    Ok(Some(migrate::dialect(engine)))
}

fn texts(path: &Path, args: &Args, env: &Env) -> anyhow::Result<Texts> {
    let about = fs::metadata(path);
    let folder = args.files.is_empty() || about.as_ref().is_ok_and(fs::Metadata::is_dir);
    if folder {
        let mut folder = super::options::read(path, args.source.as_deref(), env)?;
        super::options::acknowledge(&mut folder.migrations, env)?;
        let texts = folder.migrations.iter();
        return Ok(Texts {
            texts: texts
                .map(|it| text(it, &folder.migrations))
                .collect::<Result<_, _>>()?,
            dialect: folder.dialect,
        });
    }
    let bytes = input::read(path).map_err(|error| {
        let stop = CliError::usage(format!("`{}` can't be read: {error}", path.display()));
        stop.hint("name a file or a folder: `chatctl migrate lint migrations`")
    })?;
    Ok(Texts {
        texts: alone(path, bytes, args.source.as_deref())?,
        dialect: None,
    })
}

/// A file without its folder: as a migration where its name or its marks say so, so that the part
/// that undoes is left out; else all of it.
fn alone(path: &Path, bytes: Vec<u8>, format: Option<&str>) -> anyhow::Result<Vec<Text>> {
    let base = path.file_name().unwrap_or_default();
    let file = File {
        name: base.to_string_lossy().into_owned(),
        bytes,
    };
    let parent = path.parent().unwrap_or(Path::new(""));
    let parsed = source::parse(
        parent,
        std::slice::from_ref(&file),
        format,
        source::Settings::default(),
    );
    match parsed {
        Ok(folder) => {
            let migrations = &folder.migrations;
            let texts = migrations.iter().map(|it| of(it, migrations, &file.bytes));
            Ok(texts.collect())
        }
        Err(stop) if format.is_some() => Err(stop.into()),
        Err(_) => Ok(vec![Text {
            name: path.display().to_string(),
            file: path.display().to_string(),
            up: file.text()?.0.to_owned(),
            start: (1, 1),
            no_transaction: false,
            unsupported: None,
            acknowledged: Vec::new(),
        }]),
    }
}

/// A migration of a folder; its file is read once more to tell the place.
fn text(migration: &Migration, all: &[Migration]) -> anyhow::Result<Text> {
    let bytes = input::read(&migration.path).map_err(|error| {
        CliError::unreachable(format!(
            "`{}` can't be read: {error}",
            migration.path.display()
        ))
        .hint("run chatctl as a user who may read it")
    })?;
    Ok(of(migration, all, &bytes))
}

fn of(migration: &Migration, all: &[Migration], bytes: &[u8]) -> Text {
    let file = migration.path.display().to_string();
    let several = all.iter().filter(|it| it.path == migration.path).count() > 1;
    Text {
        name: if several {
            format!("{file} ({})", migration.version)
        } else {
            file.clone()
        },
        file,
        up: migration.up.clone(),
        start: start(bytes.get(..migration.up_at).unwrap_or_default()),
        no_transaction: migration.no_transaction,
        unsupported: migration.unsupported.as_ref().map(|it| it.why.clone()),
        acknowledged: migration.acknowledged.clone(),
    }
}

/// The line and column behind these bytes, from 1; a byte order mark has no column.
fn start(before: &[u8]) -> (u32, u32) {
    let before = String::from_utf8_lossy(before);
    let lines = before.matches('\n').count();
    let last = before.rsplit('\n').next().unwrap_or_default();
    let column = last.trim_start_matches('\u{feff}').chars().count();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    (number(lines) + 1, number(column) + 1)
}

#[cfg(test)]
mod tests {
    use super::start;

    #[test]
    fn a_part_of_a_file_starts_behind_what_is_before_it() {
        for (before, place) in [
            ("", (1, 1)),
            ("-- up\n", (2, 1)),
            ("a\r\nb", (2, 2)),
            ("äö", (1, 3)),
            ("\u{feff}", (1, 1)),
            ("\u{feff}a", (1, 2)),
        ] {
            assert_eq!(start(before.as_bytes()), place, "{before:?}");
        }
        assert_eq!(start(b"\xff"), (1, 2));
    }
}
