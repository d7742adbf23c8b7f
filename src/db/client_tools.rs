//! The client programs that come with a database server: they dump and restore.

use super::{Login, Target};
use crate::cli_error::CliError;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// A program that comes with a server.
pub(super) struct Tool {
    /// What it is called, the first that is there.
    pub(super) names: &'static [&'static str],
    /// The Debian package that has it.
    pub(super) package: &'static str,
    /// Hands it user, password and encryption. The password goes by the environment, where no list of
    /// processes shows it.
    pub(super) log_in: fn(&mut Command, &Login) -> Result<(), CliError>,
}

impl Tool {
    /// The command that connects to a server.
    pub(super) fn command(&self, login: &Login) -> Result<Command, CliError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = self.names.iter().find_map(|name| {
            let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
            places.find(|place| place.is_file())
        });
        let program = found.ok_or_else(|| {
            CliError::refused(format!(
                "the backup needs the program `{}`, which is not in PATH",
                self.names[0]
            ))
            .hint(format!(
                "install it (Debian: apt-get install {})",
                self.package
            ))
        })?;
        let mut command = Command::new(program);
        (self.log_in)(&mut command, login)?;
        command
            .arg(format!("--host={}", login.host))
            .arg(format!("--port={}", login.port))
            .stdin(Stdio::null());
        Ok(command)
    }
}

/// A setting that is given. The drivers take a key itself in a file's place; no client program does.
pub(super) fn pair(
    (name, value): (&'static str, &Option<String>),
) -> Option<Result<(&'static str, String), CliError>> {
    let value = value.clone()?;
    Some(if value.trim_start().starts_with("-----BEGIN") {
        Err(CliError::refused(
        "the URL contains a certificate or a key, but the server's client programs accept only files",
    )
    .hint("write it to a file, and give the file's path in the URL"))
    } else {
        Ok((name, value))
    })
}

/// How a client program gets to the server of a target.
pub(super) fn login(target: &Target) -> Result<Login, CliError> {
    target
        .login()
        .ok_or_else(|| CliError::refused(format!("`{target}` is of no server")))
}

/// Runs it to its end; what it says on stderr is the error.
pub(super) fn run(command: &mut Command) -> Result<(), CliError> {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_owned();
    let name = name.to_string_lossy();
    let output = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| {
            CliError::refused(format!("`{name}` could not be run: {error}"))
                .hint(format!("check that `{name} --version` runs as this user"))
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
    let last = &said[said.len().saturating_sub(3)..];
    Err(
        CliError::refused(format!("`{name}` failed: {}", last.join(" / "))).hint(format!(
            "let the user of --database-url read every table, and use a `{name}` at least as new as the server"
        )),
    )
}

/// A file as the standard input of a command.
pub(super) fn input(path: &Path) -> Result<Stdio, CliError> {
    let file = File::open(path).map_err(|error| {
        CliError::refused(format!("`{}` can't be read: {error}", path.display()))
            .hint("run chatctl as the user who owns it")
    })?;
    Ok(Stdio::from(file))
}
