//! The thin reader: names and bytes of a folder, and its `sqlx.toml`.

use super::acknowledged::Among;
use super::formats::drizzle::JOURNAL;
use super::{Depth, File, Folder, Settings, acknowledged, choose, is_sql, parse};
use crate::cli_error::CliError;
use crate::input;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Reads a folder of migrations. Links are followed, as all the tools do.
///
/// # Errors
/// Stops when the folder or a file cannot be read, and as [`parse`] does.
pub fn read(dir: &Path, format: Option<&str>) -> Result<Folder, CliError> {
    let mut files = Vec::new();
    let mut folders = Vec::new();
    list(dir, "", &mut files, &mut folders)?;
    files.retain(|file| file.name != acknowledged::FILE);
    if dir.join(JOURNAL).is_file() {
        files.push(file(dir, JOURNAL)?);
        folders.retain(|folder| !JOURNAL.starts_with(&**folder));
    }
    let flat = files.iter().any(|file| is_sql(&file.name))
        && choose(&files, format).is_ok_and(|choice| choice.format.depth == Depth::Flat);
    if flat && format.is_none() {
        one_kind(dir, &files, &folders)?;
    }
    // A link can lead back up; every folder is inspected once.
    let mut seen: BTreeSet<PathBuf> = dir.canonicalize().into_iter().collect();
    while !flat && !folders.is_empty() {
        let mut below = Vec::new();
        for folder in &folders {
            let path = dir.join(folder);
            let real = path
                .canonicalize()
                .map_err(|error| unreadable(&path, &error))?;
            if seen.insert(real) {
                list(dir, folder, &mut files, &mut below)?;
            }
        }
        folders = below;
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let mut folder = parse(dir, &files, format, settings_of(dir)?)?;
    acknowledge(dir, &mut folder)?;
    if flat {
        for name in folders {
            folder.ignored.push((
                dir.join(name),
                format!("a folder; {} does not read it", folder.format),
            ));
        }
    }
    Ok(folder)
}

/// Gives the losses that a file in the folder acknowledges to their migrations.
fn acknowledge(dir: &Path, folder: &mut Folder) -> Result<(), CliError> {
    let path = dir.join(acknowledged::FILE);
    let text = match input::text(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(&path, &error)),
    };
    let entries = acknowledged::parse(&path, &text, Among::Nothing)?;
    acknowledged::attach(&mut folder.migrations, entries)
}

/// Refuses files next to folders that hold a migration each: one of the two kinds would not be run.
fn one_kind(dir: &Path, files: &[File], folders: &[String]) -> Result<(), CliError> {
    let inside = folders.iter().find_map(|folder| {
        let names = ["migration.sql", "up.sql"].map(|base| format!("{folder}/{base}"));
        names.into_iter().find(|name| dir.join(name).is_file())
    });
    let file = files.iter().find(|file| is_sql(&file.name));
    match (file, inside) {
        (Some(file), Some(inside)) => Err(CliError::usage(format!(
            "`{}` and `{inside}` have different layouts, and only one of them would run",
            file.name
        ))
        .hint("move one of them out of the folder, or choose a layout: `--source sqlx`, `--source prisma`, `--source diesel`")),
        _ => Ok(()),
    }
}

/// Adds the files of `dir/below` to `files`, and its folders to `folders`, by names relative to `dir`.
fn list(
    dir: &Path,
    below: &str,
    files: &mut Vec<File>,
    folders: &mut Vec<String>,
) -> Result<(), CliError> {
    let here = if below.is_empty() {
        dir.to_owned()
    } else {
        dir.join(below)
    };
    for entry in fs::read_dir(&here).map_err(|error| unreadable(&here, &error))? {
        let entry = entry.map_err(|error| unreadable(&here, &error))?;
        let path = entry.path();
        // The name only has to be compared and shown, so what is not UTF-8 in it may be replaced.
        let base = entry.file_name().to_string_lossy().into_owned();
        let name = if below.is_empty() {
            base
        } else {
            format!("{below}/{base}")
        };
        let about = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
        if about.is_dir() {
            folders.push(name);
        } else if about.is_file() && (is_sql(&name) || TEXTS.iter().any(|it| name.ends_with(it))) {
            files.push(file(dir, &name)?);
        } else if about.is_file() {
            // Other files count by their names only; they may be large.
            files.push(File {
                name,
                bytes: Vec::new(),
            });
        }
    }
    folders.sort();
    Ok(())
}

/// The ends of names of files that say how others are run.
const TEXTS: [&str; 3] = [".conf", "/metadata.toml", "migration_lock.toml"];

fn file(dir: &Path, name: &str) -> Result<File, CliError> {
    let path = dir.join(name);
    let bytes = input::read(&path).map_err(|error| unreadable(&path, &error))?;
    Ok(File {
        name: name.to_owned(),
        bytes,
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    let shown = path.display();
    match error.kind() {
        ErrorKind::NotFound if path.is_symlink() => {
            CliError::usage(format!("`{shown}` is a broken link"))
                .hint("restore the file that it points to, or remove the link")
        }
        ErrorKind::NotFound => CliError::usage(format!("there is no folder `{shown}`")).hint(
            "name the folder of migrations with --dir DIR, or create the first migration: `chatctl migrate new NAME`",
        ),
        ErrorKind::NotADirectory => CliError::usage(format!("`{shown}` is not a folder"))
            .hint("name the folder of migrations with --dir DIR"),
        _ => CliError::unreachable(format!("cannot read `{shown}`: {error}"))
            .hint("run chatctl as a user who may read it"),
    }
}

/// The `sqlx.toml` above the folder whose `migrations-dir` is this folder.
///
/// One for another folder does not count: its ignored characters would change the checksums here.
fn settings_of(dir: &Path) -> Result<Settings, CliError> {
    let Ok(dir) = dir.canonicalize() else {
        return Ok(Settings::default());
    };
    for above in dir.ancestors().skip(1) {
        let path: PathBuf = above.join("sqlx.toml");
        let Ok(text) = input::text(&path) else {
            continue;
        };
        let settings = Settings::parse(&text, &path)?;
        let named = above.join(settings.dir()).canonicalize();
        if named.is_ok_and(|named| named == dir) {
            return Ok(settings);
        }
    }
    Ok(Settings::default())
}

#[cfg(test)]
mod tests {
    use super::read;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/formats")
            .join(name)
    }

    /// Every fixture, by the format that it must be found to be.
    #[test]
    fn every_fixture_is_found_to_be_its_format() {
        for format in super::super::ALL {
            let dir = fixture(format.name);
            let found = read(&dir, None).unwrap();
            // Nothing in the files tells golang-migrate from reversible files of sqlx.
            if format.name == "golang-migrate" {
                assert_eq!(found.format, "sqlx");
                assert_eq!(found.rivals, ["golang-migrate"]);
            } else {
                assert_eq!(found.format, format.name, "{}", found.reason);
            }
            let folder = read(&dir, Some(format.name)).unwrap();
            assert!(folder.migrations.len() > 1, "{}", format.name);
            for migration in &folder.migrations {
                assert!(migration.path.starts_with(&dir), "{:?}", migration.path);
            }
        }
    }

    /// `up` is a stretch of the file: a place in it is a place in the file.
    #[test]
    fn every_offset_leads_into_the_file() {
        for format in super::super::ALL {
            for migration in read(&fixture(format.name), None).unwrap().migrations {
                let file = fs::read(&migration.path).unwrap();
                let stretch = &file[migration.up_at..];
                assert!(stretch.len() >= migration.up.len(), "{:?}", migration.path);
                for (a, b) in migration.up.bytes().zip(stretch) {
                    // Drizzle's breakpoint ends a statement.
                    let breakpoint = a == b';' && *b == b'-';
                    assert!(a == *b || a == b' ' || breakpoint, "{:?}", migration.path);
                }
            }
        }
    }

    #[test]
    fn files_next_to_folders_of_migrations_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("1_a.sql"), "A;").unwrap();
        fs::create_dir(dir.path().join("20240101_b")).unwrap();
        fs::write(dir.path().join("20240101_b/migration.sql"), "B;").unwrap();
        let stop = read(dir.path(), None).unwrap_err();
        assert!(
            stop.message.contains("`1_a.sql`")
                && stop.message.contains("`20240101_b/migration.sql`")
        );
        assert_eq!(
            read(dir.path(), Some("prisma")).unwrap().migrations.len(),
            1
        );
        assert_eq!(read(dir.path(), Some("sqlx")).unwrap().migrations.len(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let stop = read(Path::new("no/such"), None).unwrap_err();
        assert_eq!(stop.message, "there is no folder `no/such`");
        assert!(stop.hint.is_some());
    }

    #[test]
    fn an_empty_folder_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let stop = read(dir.path(), None).unwrap_err();
        assert_eq!(stop.message, "there is no migration in the folder");
    }

    #[test]
    fn sqlx_toml_counts_only_for_its_own_folder() {
        let root = tempfile::tempdir().unwrap();
        let toml = "[migrate]\nmigrations-dir = \"db/a\"\nignored-chars = [\"\\r\"]\n";
        fs::write(root.path().join("sqlx.toml"), toml).unwrap();
        for name in ["a", "b"] {
            let dir = root.path().join("db").join(name);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("1_x.sql"), "SELECT 1;\r\n").unwrap();
            let folder = read(&dir, None).unwrap();
            let expected: &[u8] = if name == "a" {
                b"SELECT 1;\n"
            } else {
                b"SELECT 1;\r\n"
            };
            assert_eq!(
                folder.migrations[0].checksum,
                super::super::checksum(expected)
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_a_broken_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let real = elsewhere.path().join("real.sql");
        fs::write(&real, "SELECT 1;").unwrap();
        let link = dir.path().join("1_link.sql");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(read(dir.path(), None).unwrap().migrations.len(), 1);
        fs::remove_file(&real).unwrap();
        let stop = read(dir.path(), None).unwrap_err();
        assert!(
            stop.message.ends_with("is a broken link"),
            "{}",
            stop.message
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_back_up_is_followed_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("chat")).unwrap();
        fs::write(dir.path().join("chat/V1__a.sql"), "SELECT 1;").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("chat/up")).unwrap();
        assert_eq!(read(dir.path(), None).unwrap().migrations.len(), 1);
    }

    #[test]
    fn a_folder_below_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("1_a.sql"), "SELECT 1;").unwrap();
        fs::create_dir(dir.path().join("old")).unwrap();
        let folder = read(dir.path(), None).unwrap();
        assert_eq!(folder.ignored[0].0, dir.path().join("old"));
    }
}
