//! The sessions of a run: those that are named, those of the settings, or the shipped one.

use super::{Context, Wanted};
use crate::cli_error::CliError;
use crate::stream::profiles::Profile;
use crate::stream::session::Session;
use crate::stream::{profiles, session, shipped};
use std::path::{Path, PathBuf};

/// The sessions that are named, those of the settings, or the shipped one, each with its profile.
///
/// Their secrets are masked from here on.
///
/// # Errors
/// When one can't be read, or names an unknown profile.
pub fn sessions(
    wanted: &Wanted,
    context: &Context<'_>,
) -> anyhow::Result<Vec<(Session, &'static Profile)>> {
    let default = context
        .config
        .value("profile", wanted.profile.as_deref())?
        .unwrap_or_default();
    let names: Vec<_> = profiles::ALL.iter().map(|profile| profile.name).collect();
    let profile = |name: &str| {
        profiles::named(name).ok_or_else(|| {
            CliError::usage(format!("unknown profile `{name}`"))
                .hint(format!("one of {}", names.join(", ")))
        })
    };
    let mut sessions = Vec::new();
    for path in named(wanted, context)? {
        for file in files(&path)? {
            sessions.push(session::load(&file, &names).map_err(CliError::from)?);
        }
    }
    if sessions.is_empty() {
        context.progress.note(&format!(
            "no session is named: taking the shipped one for profile {default} (POST /conversations, POST /chat)"
        ));
        sessions.push(shipped::session(profile(&default)?)?);
    }
    for (index, session) in sessions.iter().enumerate() {
        if let Some(other) = sessions[..index]
            .iter()
            .find(|other| other.name == session.name)
        {
            return Err(CliError::usage(format!(
                "`{}` and `{}` are both named `{}`",
                other.file, session.file, session.name
            ))
            .hint("give one of them another `name`: reports distinguish sessions by name")
            .into());
        }
    }
    for secret in sessions.iter().flat_map(|session| &session.secrets) {
        context.mask.keep(secret.expose());
    }
    sessions
        .into_iter()
        .map(|session| {
            let profile = match &session.declared {
                // As long as the run: one for each session file.
                Some(declared) => Box::leak(Box::new(Profile::own(declared.clone()))),
                None => profile(session.profile.as_ref().unwrap_or(&default))?,
            };
            Ok((session, profile))
        })
        .collect()
}

fn named(wanted: &Wanted, context: &Context<'_>) -> anyhow::Result<Vec<PathBuf>> {
    if !wanted.sessions.is_empty() {
        return Ok(wanted.sessions.clone());
    }
    let listed = context.config.value("sessions", None)?.unwrap_or_default();
    let folder = context.config.folder().unwrap_or(Path::new(""));
    let paths = listed.split(',').filter(|path| !path.is_empty());
    Ok(paths.map(|path| folder.join(path)).collect())
}

/// The file itself, or the session files in a folder, by name.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)
        .map_err(|error| CliError::usage(format!("`{}`: {error}", path.display())))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(
            CliError::usage(format!("no session (*.toml) in `{}`", path.display()))
                .hint("docs/sessions.md shows how to write one")
                .into(),
        );
    }
    Ok(files)
}
