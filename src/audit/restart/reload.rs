//! A reload: the server watches its sources, and chatctl touches one of them.

use crate::cli_error::CliError;
use crate::clock;
use crate::http::Server;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often the server's processes are examined.
const ASK: Duration = Duration::from_millis(20);

/// The source that a command runs: `app.main:app` below `--app-dir`, or a word that is a file.
pub fn source_of(command: &str) -> Option<PathBuf> {
    let words = shlex::split(command)?;
    let folder = words
        .iter()
        .zip(words.iter().skip(1))
        .find(|(flag, _)| *flag == "--app-dir")
        .map_or(Path::new("."), |(_, folder)| Path::new(folder));
    let module = |word: &String| {
        let (module, _) = word.split_once(':')?;
        let dotted = module
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '.');
        (dotted && !module.is_empty())
            .then(|| folder.join(format!("{}.py", module.replace('.', "/"))))
    };
    let script = |word: &String| {
        let ending = Path::new(word).extension()?.to_str()?;
        ["py", "js", "mjs", "ts", "rb", "go"]
            .contains(&ending)
            .then(|| PathBuf::from(word))
    };
    let files = words
        .iter()
        .filter_map(|word| module(word).or_else(|| script(word)));
    files.into_iter().find(|file| file.is_file())
}

/// Makes a file look as if it had just been written; what is in it stays.
///
/// # Errors
/// When it can't be opened for writing.
pub(super) fn touch(file: &Path) -> anyhow::Result<()> {
    let touched = File::options()
        .append(true)
        .open(file)
        .and_then(|file| file.set_modified(SystemTime::now()));
    touched.map_err(|error| {
        CliError::usage(format!("`{}` can't be touched: {error}", file.display()))
            .hint("use --reload-file FILE, with a source file that the server watches")
            .into()
    })
}

/// Waits until a process of the server is gone and another one has come.
///
/// # Errors
/// When none went in the time that the server may take.
pub(super) async fn wait(
    server: &mut Server,
    before: &std::collections::BTreeSet<u32>,
) -> anyhow::Result<()> {
    let deadline = clock::now() + server.patience();
    loop {
        let now = server.processes();
        if now.difference(before).next().is_some() && before.difference(&now).next().is_some() {
            return server.wait_until_ready().await;
        }
        if clock::now() >= deadline {
            return Err(CliError::unreachable("the server did not reload: all its processes are the same as before")
                .hint("start it so that it watches its sources (uvicorn --reload), and name one with --reload-file")
                .into());
        }
        tokio::time::sleep(ASK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::source_of;
    use std::fs;

    #[test]
    fn the_source_is_found_in_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        fs::create_dir(folder.path().join("app")).unwrap();
        let main = folder.path().join("app/main.py");
        fs::write(&main, "").unwrap();
        let command = format!("uvicorn --reload app.main:app --host 127.0.0.1:1 --app-dir {place}");
        assert_eq!(source_of(&command), Some(main.clone()));
        assert_eq!(source_of(&format!("python {}", main.display())), Some(main));
        assert_eq!(source_of("gunicorn other:app"), None);
    }
}
