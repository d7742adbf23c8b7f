//! PostgreSQL's client programs.

use crate::cli_error::CliError;
use crate::db::client_tools::{Tool, pair};
use crate::db::{Login, Tls};
use std::process::Command;

pub(super) const PG_DUMP: Tool = tool(&["pg_dump"]);
pub(super) const PG_RESTORE: Tool = tool(&["pg_restore"]);
pub(super) const PSQL: Tool = tool(&["psql"]);

const fn tool(names: &'static [&'static str]) -> Tool {
    Tool {
        names,
        package: "postgresql-client",
        log_in,
    }
}

fn log_in(command: &mut Command, login: &Login) -> Result<(), CliError> {
    command
        .arg(format!("--username={}", login.user))
        .arg("--no-password");
    let password = login.password.iter();
    command.envs(password.map(|password| ("PGPASSWORD", password)));
    command.envs(encryption(&login.tls)?);
    Ok(())
}

/// The environment of libpq's programs
/// (<https://www.postgresql.org/docs/current/libpq-envars.html>).
fn encryption(tls: &Tls) -> Result<Vec<(&'static str, String)>, CliError> {
    let given = [
        ("PGSSLMODE", &tls.mode),
        ("PGSSLROOTCERT", &tls.roots),
        ("PGSSLCERT", &tls.certificate),
        ("PGSSLKEY", &tls.key),
    ];
    given.into_iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::encryption;
    use crate::db::{Target, Tls};

    fn tls(url: &str) -> Tls {
        Target::parse(url).unwrap().login().unwrap().tls
    }

    #[test]
    fn what_the_url_says_of_encryption_reaches_the_client_programs() {
        let given = tls("postgres://a@h/d?sslmode=verify-full&sslrootcert=/r&sslcert=/c&sslkey=/k");
        let settings = encryption(&given).unwrap().into_iter();
        let settings: Vec<_> = settings
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            settings.join(" "),
            "PGSSLMODE=verify-full PGSSLROOTCERT=/r PGSSLCERT=/c PGSSLKEY=/k"
        );
    }

    #[test]
    fn a_key_in_the_url_is_refused() {
        let key = tls("postgres://a@h/d?sslkey=-----BEGIN%20PRIVATE%20KEY-----x");
        let error = encryption(&key).unwrap_err();
        assert!(!format!("{error:?}").contains("BEGIN"), "{error:?}");
    }
}
