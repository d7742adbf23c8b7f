//! The client programs of MySQL and MariaDB.

use crate::cli_error::CliError;
use crate::db::client_tools::{Tool, pair};
use crate::db::{Login, Tls};
use std::path::Path;
use std::process::Command;

pub(super) const MYSQL_DUMP: Tool = tool(&["mariadb-dump", "mysqldump"]);
pub(super) const MYSQL: Tool = tool(&["mariadb", "mysql"]);

const fn tool(names: &'static [&'static str]) -> Tool {
    Tool {
        names,
        package: "mariadb-client",
        log_in,
    }
}

fn log_in(command: &mut Command, login: &Login) -> Result<(), CliError> {
    // Option files may leave out tables or change letters; it has to be the first argument.
    command
        .arg("--no-defaults")
        .arg("--default-character-set=utf8mb4")
        .arg("--max-allowed-packet=1G")
        .arg(format!("--user={}", login.user))
        .arg("--protocol=TCP");
    let password = login.password.iter();
    command.envs(password.map(|password| ("MYSQL_PWD", password)));
    let client = Client::of(Path::new(command.get_program()));
    command.args(encryption(&login.tls, client)?);
    Ok(())
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

/// The arguments of MySQL's programs, and of MariaDB's, which have no modes: there a check of the
/// certificate is always one of the host's name too
/// (<https://mariadb.com/kb/en/mariadb-command-line-client/>).
fn encryption(tls: &Tls, client: Client) -> Result<Vec<String>, CliError> {
    let mode = tls.mode.as_deref().unwrap_or_default().to_lowercase();
    let mut arguments = match (client, mode.as_str()) {
        (Client::Mysql, "") => Vec::new(),
        // Newer ones would demand a certificate that they can check, which the driver does not.
        (Client::Mariadb, "" | "preferred") => vec!["--skip-ssl-verify-server-cert".to_owned()],
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

#[cfg(test)]
mod tests {
    use super::{Client, encryption};
    use crate::db::{Target, Tls};

    fn tls(url: &str) -> Tls {
        Target::parse(url).unwrap().login().unwrap().tls
    }

    #[test]
    fn what_the_url_says_of_encryption_reaches_the_client_programs() {
        for (mode, mariadb, mysql) in [
            ("", "--skip-ssl-verify-server-cert", ""),
            ("ssl-mode=DISABLED", "--skip-ssl", "--ssl-mode=DISABLED"),
            (
                "ssl-mode=preferred",
                "--skip-ssl-verify-server-cert",
                "--ssl-mode=PREFERRED",
            ),
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
                encryption(&given, Client::Mariadb).unwrap().join(" "),
                mariadb
            );
            assert_eq!(encryption(&given, Client::Mysql).unwrap().join(" "), mysql);
        }
    }

    #[test]
    fn a_key_in_the_url_is_never_an_argument() {
        let key = tls("mysql://a@h/d?ssl-key=-----BEGIN%20PRIVATE%20KEY-----x");
        let error = encryption(&key, Client::Mariadb).unwrap_err();
        assert!(!format!("{error:?}").contains("BEGIN"), "{error:?}");
    }
}
