//! Encryption on both sides of the proxy: a certificate of its own for the server under test,
//! and what the database's URL asks for on the way to the database.

use super::wire::{Link, Raw};
use crate::cli_error::CliError;
use crate::trust;
use crate::trust::Trust;
use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How the way to the database is encrypted, as its URL says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Never.
    Off,
    /// Where the database offers it.
    Prefer,
    /// Always, with any certificate.
    Require,
    /// Always, with a certificate of a known authority.
    VerifyCa,
    /// Always, with a certificate of a known authority for this host.
    VerifyFull,
}

impl Mode {
    /// What a URL's `sslmode` or `ssl-mode` means; `prefer` is the rule of both drivers.
    pub(super) fn named(name: Option<&str>) -> Self {
        match name
            .map(|name| name.to_ascii_lowercase().replace('-', "_"))
            .as_deref()
        {
            Some("disable" | "disabled" | "allow") => Self::Off,
            Some("require" | "required") => Self::Require,
            Some("verify_ca") => Self::VerifyCa,
            Some("verify_full" | "verify_identity") => Self::VerifyFull,
            _ => Self::Prefer,
        }
    }
}

/// The proxy's own certificate, made when it starts.
pub(super) fn acceptor() -> anyhow::Result<TlsAcceptor> {
    let names = [
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(trust::provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Encrypts the way to the database.
pub(super) struct Outgoing {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Outgoing {
    /// For a host, with the authorities of a file or those that browsers know.
    ///
    /// # Errors
    /// When the file can't be read, or the host can have no certificate.
    pub(super) fn new(mode: Mode, host: &str, authorities: Option<&Path>) -> anyhow::Result<Self> {
        let config = trust::client(match mode {
            Mode::Off | Mode::Prefer | Mode::Require => Trust::Anybody,
            Mode::VerifyCa => Trust::Authority(known(authorities)?),
            Mode::VerifyFull => Trust::Name(known(authorities)?),
        })?;
        let config = config.with_no_client_auth();
        // A socket in a folder has no name, and no certificate is examined there.
        let name = ServerName::try_from(host.to_owned())
            .unwrap_or_else(|_| ServerName::try_from("localhost").expect("it is a name"));
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }

    /// Begins to encrypt.
    pub(super) async fn connect(&self, raw: Raw) -> anyhow::Result<Link> {
        let stream = self
            .connector
            .connect(self.name.clone(), raw.whole())
            .await
            .context("TLS to the database")?;
        Ok(Link::whole(stream))
    }
}

fn known(authorities: Option<&Path>) -> anyhow::Result<RootCertStore> {
    let path = authorities.ok_or_else(|| {
        CliError::usage(
            "the database's URL requires a verified certificate, but names no authority",
        )
        .hint("add sslrootcert=FILE (PostgreSQL) or ssl-ca=FILE (MySQL) to the URL")
    })?;
    let mut roots = RootCertStore::empty();
    let read = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| {
            CliError::usage(format!("`{}`: {error}", path.display()))
                .hint("give a PEM file of certificates that this user may read")
        })?;
    roots.add_parsable_certificates(read);
    Ok(roots)
}
