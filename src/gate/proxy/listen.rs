//! Where a proxy listens.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What begins the text of a socket in a folder.
const UNIX: &str = "unix:";
/// How libpq names the socket of a port.
const PGSQL: &str = ".s.PGSQL.";

/// Where the proxy listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listen {
    /// At an address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// At a socket with this path.
    Unix(PathBuf),
}

impl Listen {
    /// `127.0.0.1:9192`, or `unix:PATH`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(UNIX) {
            Some("") => None,
            Some(path) => Some(Self::Unix(path.into())),
            None => text.parse().ok().map(Self::Tcp),
        }
    }

    /// Whether only this machine can connect.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The same as PostgreSQL's clients name a socket: a folder and a port.
    #[must_use]
    pub(super) fn for_libpq(self, port: u16) -> Self {
        match self {
            Self::Unix(path) if !is_named_for_libpq(&path) => {
                Self::Unix(path.join(format!("{PGSQL}{port}")))
            }
            other => other,
        }
    }

    /// Where a client on this machine connects to it.
    #[must_use]
    pub fn from_here(&self) -> Self {
        match self {
            Self::Tcp(address) if address.ip().is_unspecified() => {
                let here = match address {
                    SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                Self::Tcp(SocketAddr::new(here, address.port()))
            }
            other => other.clone(),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

fn is_named_for_libpq(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(PGSQL))
}

#[cfg(test)]
mod tests {
    use super::Listen;

    #[test]
    fn an_address_is_read_and_written() {
        for text in ["127.0.0.1:9192", "[::1]:1", "unix:/run/chatctl/db.sock"] {
            let listen = Listen::parse(text).unwrap();
            assert_eq!(listen.to_string(), text);
            assert!(listen.is_loopback());
        }
        for text in ["localhost", "9192", "unix:", "/run/db.sock"] {
            assert_eq!(Listen::parse(text), None, "{text}");
        }
        let wide = Listen::parse("0.0.0.0:5432").unwrap();
        assert!(!wide.is_loopback());
        assert_eq!(wide.from_here().to_string(), "127.0.0.1:5432");
    }

    #[test]
    fn a_socket_is_named_as_clients_of_postgresql_look_for_it() {
        let named = |text: &str| Listen::parse(text).unwrap().for_libpq(5432).to_string();
        assert_eq!(named("unix:/run/gate"), "unix:/run/gate/.s.PGSQL.5432");
        assert_eq!(named("unix:/run/.s.PGSQL.6000"), "unix:/run/.s.PGSQL.6000");
    }
}
