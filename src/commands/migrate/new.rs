//! `chatctl migrate new`: an empty migration with the next version.

use crate::cli_error::CliError;
use crate::commands::Done;
use crate::migrate::source;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::SystemTime;

pub(super) fn run(name: &str, dir: &Path) -> anyhow::Result<Done> {
    let words: Vec<_> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    if words.is_empty() {
        return Err(CliError::usage(format!(
            "`{name}` has no letter or digit to make a file name of"
        ))
        .hint("describe what it does: `chatctl migrate new \"add notes\"`")
        .into());
    }
    suits(dir)?;
    std::fs::create_dir_all(dir).map_err(|error| unwritable(dir, &error))?;
    let name_of = format!("{}_{}.sql", next(dir, SystemTime::now()), words.join("_"));
    let path = dir.join(name_of);
    create(&path, &format!("-- {name}\n")).map_err(|error| unwritable(&path, &error))?;
    Ok(Done::Text(format!("{}\n", path.display())))
}

/// Creates a file, with all of its text or not at all: an empty migration would be applied, and the text that
/// is put there later never.
fn create(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut part = tempfile::Builder::new()
        .prefix(".chatctl-new-")
        // What the user's mask leaves of it.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    part.write_all(text.as_bytes())?;
    part.as_file().sync_all()?;
    part.persist_noclobber(path)?;
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::refused(format!("`{}` can't be written: {error}", path.display()))
        .hint("let this user write there, or name another folder with --dir")
}

/// Refuses to put a plain file among those of a tool that writes others: it would be read as one of
/// them, or they would not be read any more.
fn suits(dir: &Path) -> Result<(), CliError> {
    // A folder that is empty or not there yet is anybody's.
    let Ok(folder) = source::read(dir, None) else {
        return Ok(());
    };
    let format = source::ALL
        .iter()
        .find(|format| format.name == folder.format);
    match format.and_then(|format| format.another) {
        None => Ok(()),
        Some(way) => Err(CliError::refused(format!(
            "`{}` holds migrations of {}, whose names differ from those of `migrate new`",
            dir.display(),
            folder.format
        ))
        .hint(format!("create it in the way of {}: {way}", folder.format))),
    }
}

/// One more than the last, as many digits as it has; the time in a folder that is new or counts by
/// times, where the last one is before it.
fn next(dir: &Path, now: SystemTime) -> String {
    let last = source::read(dir, Some("sqlx")).ok().and_then(|folder| {
        let migration = folder.migrations.into_iter().next_back()?;
        let name = migration.file_name();
        let digits = name.split('_').next()?.to_owned();
        Some((migration.version.as_number()?, digits.len()))
    });
    let now = humantime::format_rfc3339_seconds(now).to_string();
    let now: String = now.chars().filter(char::is_ascii_digit).collect();
    match last {
        // Fourteen digits are a time: 20261121203500. Two files may be made in one second.
        Some((number, width)) if width < 14 || now.parse().is_ok_and(|now| number >= now) => {
            format!("{:0width$}", number + 1)
        }
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use super::{create, next, run};
    use crate::cli_error::{CliError, Kind};
    use std::path::Path;
    use std::time::SystemTime;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn now() -> SystemTime {
        humantime::parse_rfc3339("2026-12-01T12:07:17Z").unwrap()
    }

    #[test]
    fn a_version_follows_the_last_one_in_its_own_form() {
        for (last, version) in [
            ("1_a.sql", "2"),
            ("0009_a.sql", "0010"),
            ("0099_a.sql", "0100"),
            ("999_a.sql", "1000"),
        ] {
            let folder = folder(&[("0_first.sql", "SELECT 1;"), (last, "SELECT 1;")]);
            assert_eq!(next(folder.path(), now()), version, "{last}");
        }
        for (files, version) in [
            (&[][..], "20261201120717"),
            (&["20240101120000_a.sql"], "20261201120717"),
            // The same second, and one that is later than now.
            (&["20261201120717_a.sql"], "20261201120718"),
            (&["20261201235959_a.sql"], "20261201235960"),
        ] {
            let files: Vec<_> = files.iter().map(|name| (*name, "SELECT 1;")).collect();
            assert_eq!(next(folder(&files).path(), now()), version, "{files:?}");
        }
    }

    #[test]
    fn the_file_is_named_by_the_words() {
        let folder = folder(&[("1_a.sql", "SELECT 1;")]);
        run("Add notes: (v2)", folder.path()).unwrap();
        let file = folder.path().join("2_add_notes_v2.sql");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(
            std::fs::read_to_string(file).unwrap(),
            "-- Add notes: (v2)\n"
        );
    }

    #[test]
    fn a_file_that_is_there_is_kept_and_one_is_readable_by_others() {
        let folder = folder(&[("1_a.sql", "SELECT 1;")]);
        let (old, new) = (folder.path().join("1_a.sql"), folder.path().join("2_b.sql"));
        create(&old, "-- b\n").unwrap_err();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "SELECT 1;");
        create(&new, "-- b\n").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions();
        assert_eq!(mode(&new), mode(&old));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_name_without_words_and_a_folder_of_another_tool_are_refused() {
        let refused = |name: &str, dir: &Path| {
            let error = run(name, dir).map(|_| ()).unwrap_err();
            error.downcast_ref::<CliError>().unwrap().kind
        };
        assert_eq!(refused("…", folder(&[]).path()), Kind::Usage);
        let goose = [("1_a.sql", "-- +goose Up\nSELECT 1;\n")];
        let goose = folder(&goose);
        assert_eq!(refused("add notes", goose.path()), Kind::Refused);
        assert_eq!(std::fs::read_dir(goose.path()).unwrap().count(), 1);
    }
}
