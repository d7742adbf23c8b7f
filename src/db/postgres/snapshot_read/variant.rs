//! Servers that speak PostgreSQL's protocol but are another product.

use crate::cli_error::CliError;
use crate::db::Target;

/// What the server calls itself, and whether its rows are kept by other servers.
pub(super) const WHO: &str =
    "SELECT version(), (SELECT count(*) FROM pg_extension WHERE extname = 'citus')";

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// PostgreSQL itself.
    Postgres,
    /// PostgreSQL, with tables whose rows are kept by workers.
    Citus,
    /// PostgreSQL's own code over a store of another kind.
    Yugabyte,
    /// Whoever speaks as PostgreSQL does.
    Other,
}

impl Variant {
    /// From its version and from how many extensions are Citus.
    pub(super) fn of(version: &str, citus: bool) -> Self {
        match version.starts_with("PostgreSQL ") {
            // It says so in front of a version of its own.
            true if version.contains("-YB-") => Self::Yugabyte,
            true if citus => Self::Citus,
            true => Self::Postgres,
            false => Self::Other,
        }
    }

    /// What whoever reads the results should know of it. Fails where there can be no results.
    pub(super) fn said(self, target: &Target, version: &str) -> Result<Option<String>, CliError> {
        match self {
            Self::Postgres => Ok(None),
            Self::Citus => Ok(Some(format!(
                "`{target}` has Citus: each of its workers has a separate snapshot, and the catalogue says \
                    nothing about the tables there."
            ))),
            Self::Yugabyte => Ok(Some(format!(
                "`{target}` is YugabyteDB: its tables may be redefined during a read, and it is not known \
                    whether its catalogue shows that a table was created again."
            ))),
            Self::Other => Err(CliError::refused(format!(
                "`{target}` only speaks PostgreSQL's protocol, and offers no consistent snapshot: `{version}`"
            ))
            .hint("docs/databases.md describes what is known about it")),
        }
    }

    /// Why its moment can't be shared; none where it can.
    pub(super) fn alone(self) -> Option<&'static str> {
        match self {
            Self::Postgres => None,
            Self::Citus => Some("the workers of Citus do not share a snapshot"),
            Self::Yugabyte | Self::Other => {
                Some("this server is not known to share a snapshot between connections")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Variant;
    use crate::cli_error::Kind;
    use crate::db::Target;

    #[test]
    fn who_only_speaks_as_postgresql_does_is_distinguished_from_it() {
        let target = Target::parse("postgres://chat@localhost/chat").unwrap();
        for (version, citus, kin, said) in [
            (
                "PostgreSQL 15.8 (Debian 15.8-0+deb12u1)",
                false,
                Variant::Postgres,
                "",
            ),
            (
                "PostgreSQL 16.4 on x86_64",
                true,
                Variant::Citus,
                "a separate snapshot",
            ),
            (
                "PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64",
                false,
                Variant::Yugabyte,
                "may be redefined",
            ),
        ] {
            let found = Variant::of(version, citus);
            assert_eq!(found, kin, "{version}");
            let told = kin.said(&target, version).unwrap().unwrap_or_default();
            assert!(told.contains(said), "{told}");
            assert_eq!(kin.alone().is_none(), kin == Variant::Postgres);
        }
        let version = "CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)";
        let stop = Variant::of(version, false)
            .said(&target, version)
            .unwrap_err();
        assert_eq!(stop.kind, Kind::Refused);
        assert!(stop.message.contains("CockroachDB"), "{}", stop.message);
    }
}
