//! Where a gate is controlled: a socket in a folder, or an address and port.

use std::fmt;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::PathBuf;

/// Where a gate is controlled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlAddress {
    /// A socket with this path.
    Unix(PathBuf),
    /// A host, which may be a name, and a port: `gate:9193`.
    Tcp(String),
}

impl ControlAddress {
    /// A path, or `HOST:PORT`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let path = text.strip_prefix("unix:").unwrap_or(text);
        let is_port = |text: &str| text.parse::<u16>().is_ok();
        let has_port = text
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && is_port(port));
        Some(if has_port && !text.contains('/') {
            Self::Tcp(text.to_owned())
        } else {
            Self::Unix(path.into())
        })
    }

    /// Whether only this machine can connect.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(text) => text
                .to_socket_addrs()
                .is_ok_and(|mut all| all.all(|address| address.ip().is_loopback())),
        }
    }

    /// The machine on which the gate runs, where that is another one, as far as the address says.
    pub fn machine(&self) -> Option<IpAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(text) => {
                let mut addresses = text.to_socket_addrs().ok()?;
                addresses.next().map(|address| address.ip())
            }
        }
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ControlAddress;

    #[test]
    fn a_path_is_told_from_an_address() {
        for (text, tcp) in [
            ("chatctl-gate.sock", false),
            ("/run/chatctl/gate.sock", false),
            ("unix:gate.sock", false),
            ("./odd:1", false),
            ("127.0.0.1:9193", true),
            ("[::1]:9193", true),
            ("gate:9193", true),
        ] {
            let address = ControlAddress::parse(text).unwrap();
            assert_eq!(matches!(address, ControlAddress::Tcp(_)), tcp, "{text}");
        }
        assert_eq!(ControlAddress::parse(""), None);
        let loopback = |text| ControlAddress::parse(text).unwrap().is_loopback();
        assert!(loopback("127.0.0.1:1") && loopback("[::1]:1") && loopback("x.sock"));
        assert!(!loopback("0.0.0.0:1") && !loopback("10.0.0.1:1"));
    }
}
