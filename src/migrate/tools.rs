//! The client programs that come with a database server: they dump and restore.

use crate::db::Login;
use crate::stop::Stop;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

/// How a program of the server is run: what it is called, by whom first, and the package that has it.
pub(super) struct Tool {
    names: &'static [&'static str],
    package: &'static str,
}

pub(super) const PG_DUMP: Tool = Tool {
    names: &["pg_dump"],
    package: "postgresql-client",
};
pub(super) const PG_RESTORE: Tool = Tool {
    names: &["pg_restore"],
    package: "postgresql-client",
};
pub(super) const PSQL: Tool = Tool {
    names: &["psql"],
    package: "postgresql-client",
};
pub(super) const MYSQL_DUMP: Tool = Tool {
    names: &["mariadb-dump", "mysqldump"],
    package: "mariadb-client",
};
pub(super) const MYSQL: Tool = Tool {
    names: &["mariadb", "mysql"],
    package: "mariadb-client",
};

impl Tool {
    /// The command, with host, port and user; the password goes by the environment, where no list
    /// of processes shows it.
    pub(super) fn command(&self, login: &Login) -> Result<Command, Stop> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = self.names.iter().find_map(|name| {
            let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
            places.find(|place| place.is_file())
        });
        let program = found.ok_or_else(|| {
            Stop::refused(format!(
                "there is no `{}` on the path, which the backup needs",
                self.names[0]
            ))
            .hint(format!(
                "install it (Debian: apt-get install {})",
                self.package
            ))
        })?;
        let mut command = Command::new(program);
        command
            .arg(format!("--host={}", login.host))
            .arg(format!("--port={}", login.port))
            .stdin(Stdio::null());
        if self.package == "postgresql-client" {
            command
                .arg(format!("--username={}", login.user))
                .arg("--no-password");
            command.envs(
                login
                    .password
                    .iter()
                    .map(|password| ("PGPASSWORD", password)),
            );
            command.envs(login.tls.iter().map(|mode| ("PGSSLMODE", mode)));
        } else {
            command
                .arg(format!("--user={}", login.user))
                .arg("--protocol=TCP");
            command.envs(
                login
                    .password
                    .iter()
                    .map(|password| ("MYSQL_PWD", password)),
            );
        }
        Ok(command)
    }
}

/// Runs it to its end; what it says on stderr is the error.
pub(super) fn run(command: &mut Command) -> Result<(), Stop> {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_owned();
    let name = name.to_string_lossy();
    let output = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| Stop::refused(format!("`{name}` could not be run: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
    let last = &said[said.len().saturating_sub(3)..];
    Err(Stop::refused(format!(
        "`{name}` failed: {}",
        last.join(" / ")
    )))
}

/// A file as the standard input of a command.
pub(super) fn input(path: &Path) -> Result<Stdio, Stop> {
    let file = File::open(path)
        .map_err(|error| Stop::refused(format!("`{}` can't be read: {error}", path.display())))?;
    Ok(Stdio::from(file))
}
