//! The database behind the proxy: its address, and the encryption of the connection.

use super::tls::{Mode, Outgoing};
use super::wire::Raw;
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use tokio::net::{TcpStream, UnixStream};

/// The database behind the proxy.
pub(super) struct Upstream {
    address: Address,
    /// How the way is encrypted.
    pub(super) mode: Mode,
    /// What encrypts it.
    pub(super) tls: Outgoing,
}

/// Where a database listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A host and a port.
    Tcp(String, u16),
    /// A socket in a folder.
    Unix(PathBuf),
}

impl Upstream {
    /// Connects to nothing yet.
    pub(super) fn new(
        address: Address,
        mode: Mode,
        authorities: Option<&Path>,
    ) -> anyhow::Result<Self> {
        // Nobody listens in on a socket in a folder, and databases don't encrypt there.
        let (host, mode) = match &address {
            Address::Tcp(host, _) => (host.as_str(), mode),
            Address::Unix(_) => ("localhost", Mode::Off),
        };
        let tls = Outgoing::new(mode, host, authorities)?;
        Ok(Self { address, mode, tls })
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> anyhow::Result<Raw> {
        Ok(match &self.address {
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .with_context(|| format!("connecting to {host}:{port}"))?;
                Raw::tcp(stream)?
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .await
                    .with_context(|| format!("connecting to {}", path.display()))?;
                Raw::Unix(stream)
            }
        })
    }
}
