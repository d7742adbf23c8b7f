//! The sessions of a run: those that are named, those of the settings, or the shipped one.

use super::{Context, Wanted};
use crate::cli_error::CliError;
use crate::input;
use crate::source_error::{listed, nearest, utf8};
use crate::stream::body::Framing;
use crate::stream::profiles::Profile;
use crate::stream::session::{Session, Stop, StopBy};
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
    let named_profile = context.config.value("profile", wanted.profile.as_deref())?;
    let names: Vec<_> = profiles::ALL.iter().map(|profile| profile.name).collect();
    let default = match &named_profile {
        Some(name) => {
            let folder = match &wanted.profile {
                Some(_) => None,
                None => context.config.folder(),
            };
            profile(name, folder.unwrap_or(Path::new("")))?
        }
        None => &profiles::ALL[0],
    };
    let mut sessions = Vec::new();
    for path in named(wanted, context)? {
        for file in files(&path)? {
            sessions.push(session::load(&file, &names).map_err(CliError::from)?);
        }
    }
    if sessions.is_empty() {
        context.progress.note(&format!(
            "no session is named: using the built-in one for profile {} (POST /conversations, POST /chat)",
            default.name
        ));
        sessions.push(shipped::session(default)?);
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
        .map(|mut session| {
            let own = session.profile.as_deref().filter(|_| !session.shipped);
            let profile = match (&session.declared, own) {
                // As long as the run: one for each session file.
                (Some(declared), _) => Box::leak(Box::new(Profile::own(declared.clone()))),
                (None, Some(name)) => profile(name, Path::new(""))?,
                (None, None) => default,
            };
            session.detects =
                named_profile.is_none() && session.declared.is_none() && own.is_none();
            carried(&session, profile)?;
            Ok((session, profile))
        })
        .collect()
}

/// Checks that what a session sends can bring what its profile reads.
fn carried(session: &Session, profile: &Profile) -> Result<(), CliError> {
    let own = session
        .turns
        .iter()
        .filter_map(|turn| turn.request.as_ref());
    let again = session.regenerate.iter().chain(&session.edit);
    let again = again.map(|again| &again.request);
    let is_socket_io = profile.framing() == Framing::SocketIo;
    if let Some(Stop {
        by: StopBy::Message(message),
        ..
    }) = &session.stop
        && is_socket_io
        && !message.is_list()
    {
        return Err(CliError::usage(format!(
            "{}: `message` of [stop] is not an event of Socket.IO",
            session.file
        ))
        .hint("an event is a list: message = [\"stop\"]"));
    }
    let turns = own.chain([&session.request]).chain(again);
    let answers = turns.map(|sends| session.carries(sends));
    let resumes = session.resume.iter().map(|resume| &resume.request);
    for carries in answers.chain(resumes) {
        let (file, written) = (&session.file, &carries.written);
        let Some(handshake) = &carries.handshake else {
            if profile.framing().needs_a_socket() {
                return Err(CliError::usage(format!(
                    "{file}: profile `{}` reads a WebSocket, but `{written}` does not open one",
                    profile.name
                ))
                .hint("write the request as `WS /path`: docs/sessions.md has examples"));
            }
            continue;
        };
        if session.detects {
            return Err(CliError::usage(format!(
                "{file}: no profile is named, and that of a WebSocket is not detected"
            ))
            .hint(
                "name it with `profile = \"…\"`, or declare it in [profile] (docs/profiles.md)",
            ));
        }
        if handshake.auth.is_some() && !is_socket_io {
            return Err(CliError::usage(format!(
                "{file}: `auth` of `{written}` is for Socket.IO, which profile `{}` does not read",
                profile.name
            ))
            .hint("give what the server asks for in `headers`, `query` or `hello`"));
        }
        if is_socket_io && !carries.says_events() {
            return Err(CliError::usage(format!(
                "{file}: what `{written}` sends is not an event of Socket.IO"
            ))
            .hint("an event is a list: json = [\"message\", { text = \"{user}\" }]"));
        }
    }
    Ok(())
}

/// A shipped profile by its name, or one that a file declares.
fn profile(name: &str, folder: &Path) -> Result<&'static Profile, CliError> {
    if Path::new(name)
        .extension()
        .is_some_and(|ending| ending == "toml")
    {
        let path = folder.join(name);
        let file = path.display().to_string();
        let bytes = input::read(&path).map_err(|error| {
            CliError::usage(format!("the profile `{file}` cannot be read: {error}"))
                .hint("docs/profiles.md shows how to write one")
        })?;
        let declared = session::parse_profile(&file, utf8(&file, &bytes)?)?;
        return Ok(Box::leak(Box::new(Profile::own(declared))));
    }
    profiles::named(name).ok_or_else(|| {
        let names = || profiles::ALL.iter().map(|profile| profile.name);
        CliError::usage(format!("unknown profile `{name}`")).hint(match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "use one of {}, or the path of a profile that ends in `.toml`",
                listed(names())
            ),
        })
    })
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
    let entries = std::fs::read_dir(path).map_err(|error| {
        CliError::usage(format!("`{}`: {error}", path.display()))
            .hint("give a folder that this user may read")
    })?;
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
