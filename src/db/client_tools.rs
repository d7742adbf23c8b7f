//! The client programs that come with a database server: they dump and restore.

use super::{Login, Target, Tls};
use crate::cli_error::CliError;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

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
    pub(super) fn command(&self, login: &Login) -> Result<Command, CliError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = self.names.iter().find_map(|name| {
            let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
            places.find(|place| place.is_file())
        });
        let program = found.ok_or_else(|| {
            CliError::refused(format!(
                "the backup needs `{}`, which is not on the PATH",
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
            command.envs(of_postgres(&login.tls)?);
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
            let client = Client::of(Path::new(command.get_program()));
            command.args(of_mysql(&login.tls, client)?);
        }
        Ok(command)
    }
}

/// Whose client program it is: each spells encryption in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Mariadb,
    Mysql,
}

impl Client {
    /// MariaDB installs its programs under MySQL's names too.
    fn of(program: &Path) -> Self {
        let says = Command::new(program).arg("--version").output();
        let says = says.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        if says.is_ok_and(|says| says.contains("MariaDB")) {
            Self::Mariadb
        } else {
            Self::Mysql
        }
    }
}

/// The environment of libpq's programs
/// (<https://www.postgresql.org/docs/current/libpq-envars.html>).
fn of_postgres(tls: &Tls) -> Result<Vec<(&'static str, String)>, CliError> {
    let given = [
        ("PGSSLMODE", &tls.mode),
        ("PGSSLROOTCERT", &tls.roots),
        ("PGSSLCERT", &tls.certificate),
        ("PGSSLKEY", &tls.key),
    ];
    given.into_iter().filter_map(pair).collect()
}

/// The arguments of MySQL's programs, and of MariaDB's, which have no modes: there a check of the
/// certificate is always one of the host's name too
/// (<https://mariadb.com/kb/en/mariadb-command-line-client/>).
fn of_mysql(tls: &Tls, client: Client) -> Result<Vec<String>, CliError> {
    let mode = tls.mode.as_deref().unwrap_or_default().to_lowercase();
    let mut arguments = match (client, mode.as_str()) {
        (_, "") | (Client::Mariadb, "preferred") => Vec::new(),
        (Client::Mysql, mode) => vec![format!("--ssl-mode={}", mode.to_uppercase())],
        (Client::Mariadb, "disabled") => vec!["--skip-ssl".to_owned()],
        (Client::Mariadb, "required") => ["--ssl", "--skip-ssl-verify-server-cert"]
            .map(str::to_owned)
            .to_vec(),
        (Client::Mariadb, _) => ["--ssl", "--ssl-verify-server-cert"]
            .map(str::to_owned)
            .to_vec(),
    };
    let files = [
        ("--ssl-ca", &tls.roots),
        ("--ssl-cert", &tls.certificate),
        ("--ssl-key", &tls.key),
    ];
    for file in files.into_iter().filter_map(pair) {
        let (name, value) = file?;
        arguments.push(format!("{name}={value}"));
    }
    Ok(arguments)
}

/// A setting that is given. The drivers take a key itself in a file's place; no client program does.
fn pair(
    (name, value): (&'static str, &Option<String>),
) -> Option<Result<(&'static str, String), CliError>> {
    let value = value.clone()?;
    Some(if value.trim_start().starts_with("-----BEGIN") {
        Err(CliError::refused(
        "the URL holds a certificate or a key itself, and the server's client programs take files only",
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
            "let the user of --database-url read every table, and take a `{name}` that is as new as the server"
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

#[cfg(test)]
mod tests {
    use super::{Client, of_mysql, of_postgres};
    use crate::db::{Target, Tls};

    fn tls(url: &str) -> Tls {
        Target::parse(url).unwrap().login().unwrap().tls
    }

    #[test]
    fn what_the_url_says_of_encryption_reaches_the_client_programs() {
        let given = tls("postgres://a@h/d?sslmode=verify-full&sslrootcert=/r&sslcert=/c&sslkey=/k");
        let told = of_postgres(&given).unwrap();
        let told: Vec<_> = told
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            told.join(" "),
            "PGSSLMODE=verify-full PGSSLROOTCERT=/r PGSSLCERT=/c PGSSLKEY=/k"
        );
        for (mode, mariadb, mysql) in [
            ("", "", ""),
            ("ssl-mode=DISABLED", "--skip-ssl", "--ssl-mode=DISABLED"),
            ("ssl-mode=preferred", "", "--ssl-mode=PREFERRED"),
            (
                "sslmode=required&ssl-ca=/r&ssl-cert=/c&ssl-key=/k",
                "--ssl --skip-ssl-verify-server-cert --ssl-ca=/r --ssl-cert=/c --ssl-key=/k",
                "--ssl-mode=REQUIRED --ssl-ca=/r --ssl-cert=/c --ssl-key=/k",
            ),
            (
                "ssl-mode=VERIFY_CA",
                "--ssl --ssl-verify-server-cert",
                "--ssl-mode=VERIFY_CA",
            ),
            (
                "ssl-mode=VERIFY_IDENTITY",
                "--ssl --ssl-verify-server-cert",
                "--ssl-mode=VERIFY_IDENTITY",
            ),
        ] {
            let given = tls(&format!("mysql://a@h/d?{mode}"));
            assert_eq!(
                of_mysql(&given, Client::Mariadb).unwrap().join(" "),
                mariadb
            );
            assert_eq!(of_mysql(&given, Client::Mysql).unwrap().join(" "), mysql);
        }
    }

    #[test]
    fn a_key_in_the_url_is_never_an_argument() {
        let key = tls("mysql://a@h/d?ssl-key=-----BEGIN%20PRIVATE%20KEY-----x");
        let stop = of_mysql(&key, Client::Mariadb).unwrap_err();
        assert!(!format!("{stop:?}").contains("BEGIN"), "{stop:?}");
        assert!(
            of_postgres(&tls(
                "postgres://a@h/d?sslkey=-----BEGIN%20PRIVATE%20KEY-----x"
            ))
            .is_err()
        );
    }
}
