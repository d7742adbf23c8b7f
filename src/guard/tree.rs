//! The files of an application: found, read, classified.

use super::commands::Command;
use super::language::Language;
use super::modules::Modules;
use super::source_file::SourceFile;
use super::startup::Startup;
use super::{commands, spawned};
use crate::cli_error::CliError;
use crate::input;
use ignore::WalkBuilder;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of more bytes was made by a machine: a dump, a bundle.
pub const LARGEST: u64 = 1024 * 1024;

/// Folders that hold other people's code or what a build made.
const NOT_OURS: &[&str] = &[
    ".git",
    ".hg",
    "node_modules",
    ".venv",
    "venv",
    "site-packages",
    "target",
    "vendor",
    "dist",
    ".next",
    ".nuxt",
    ".svelte-kit",
    "__pycache__",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    "bower_components",
    "coverage",
    ".terraform",
    ".yarn",
];

/// Everything that was read.
#[derive(Debug)]
pub struct Tree {
    /// The files, in the order of their paths.
    pub files: Vec<SourceFile>,
    /// The paths of all files that were seen, also of those that were not read.
    pub names: BTreeSet<String>,
    /// The commands that run at start or deploy, and those in code, whenever it runs.
    pub commands: Vec<Command>,
    /// Which functions run at start.
    pub startup: Startup,
    /// Python's modules and who imports whom.
    pub modules: Modules,
    /// Files that could not be read, with the reason.
    pub unread: Vec<String>,
}

impl Tree {
    /// Reads every file below the paths.
    ///
    /// # Errors
    /// A path that is not there is a usage error.
    pub fn read(paths: &[PathBuf]) -> Result<Self, CliError> {
        let mut files = Vec::new();
        let mut names = BTreeSet::new();
        let mut unread = Vec::new();
        for root in paths {
            if !root.exists() {
                let message = format!("there is no `{}`", root.display());
                return Err(
                    CliError::usage(message).hint("give a file or a folder of the application")
                );
            }
            for entry in walk(root) {
                match entry {
                    Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                        let (path, relative) = name(root, entry.path());
                        if !names.insert(path.clone()) || Language::of(&relative).is_none() {
                            continue;
                        }
                        match text(entry.path()) {
                            Ok(Some(text)) => files.extend(SourceFile::new(path, relative, text)),
                            Ok(None) => {}
                            Err(error) => unread.push(format!("{path}: {error}")),
                        }
                    }
                    Ok(_) => {}
                    Err(error) => unread.push(error.to_string()),
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let context = paths.iter().find(|path| path.as_os_str() == ".");
        let context = context.and_then(|path| path.canonicalize().ok());
        let context =
            context.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Ok(Self::of(files, names, unread, context))
    }

    fn of(
        mut files: Vec<SourceFile>,
        names: BTreeSet<String>,
        unread: Vec<String>,
        context: Option<String>,
    ) -> Self {
        let mut commands = commands::collect(&mut files);
        commands.extend(spawned::collect(&files));
        let startup = Startup::of(&files);
        let modules = Modules::of(&files, context);
        Self {
            files,
            names,
            commands,
            startup,
            modules,
            unread,
        }
    }

    pub fn index(&self, file: &SourceFile) -> usize {
        self.files
            .binary_search_by(|other| other.path.cmp(&file.path))
            .expect("the file is of this tree, and the files are sorted")
    }
}

fn walk(root: &Path) -> ignore::Walk {
    WalkBuilder::new(root)
        // `.github` and `.env` are hidden and matter.
        .hidden(false)
        .require_git(false)
        // The result must not depend on whose machine it is.
        .git_global(false)
        .filter_entry(|entry| {
            let folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0 || !folder || !NOT_OURS.contains(&name.as_ref())
        })
        .build()
}

/// The path to show, and the path below the root.
fn name(root: &Path, path: &Path) -> (String, String) {
    let slashes = |path: &Path| path.to_string_lossy().replace('\\', "/");
    let shown = slashes(path);
    let relative = path.strip_prefix(root).map(slashes).unwrap_or_default();
    let shown = shown.strip_prefix("./").unwrap_or(&shown).to_owned();
    if relative.is_empty() {
        // The root is a file: the folders that were typed tell its role; of a whole path only
        // the last, because an application may live below a folder named `test`.
        let folders = if path.is_absolute() { 2 } else { usize::MAX };
        let parts: Vec<&str> = shown.split('/').filter(|part| !part.is_empty()).collect();
        let relative = parts[parts.len().saturating_sub(folders)..].join("/");
        (shown, relative)
    } else {
        (shown, relative)
    }
}

/// The text of a file; none when it is too large or not a text.
fn text(path: &Path) -> std::io::Result<Option<String>> {
    const LOOK: usize = 8192;
    if fs::metadata(path)?.len() > LARGEST {
        return Ok(None);
    }
    let bytes = input::read(path)?;
    if bytes.iter().take(LOOK).any(|byte| *byte == 0) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(Some(text.replace("\r\n", "\n")))
}
