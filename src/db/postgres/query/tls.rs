//! Encryption, as the driver does it for `sslmode` (postgresql.org/docs/current/libpq-ssl.html).

use super::settings::Settings;
use crate::trust;
use crate::trust::Trust;
use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Encrypts a connection.
pub(super) async fn encrypted<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    settings: &Settings,
) -> anyhow::Result<TlsStream<S>> {
    let name = ServerName::try_from(settings.host.clone())?;
    let connector = TlsConnector::from(Arc::new(config(settings)?));
    let stream = connector.connect(name, stream).await;
    stream.context("TLS with the database server")
}

fn config(settings: &Settings) -> anyhow::Result<ClientConfig> {
    let config = trust::client(match settings.mode.as_str() {
        "verify-ca" => Trust::Authority(authorities(settings)?),
        "verify-full" => Trust::Name(authorities(settings)?),
        _ => Trust::Anybody,
    })?;
    Ok(match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => {
            let certificate = certificate.bytes()?;
            let chain = CertificateDer::pem_slice_iter(&certificate);
            let chain = chain.collect::<Result<Vec<_>, _>>()?;
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&key.bytes()?)?)?
        }
        _ => config.with_no_client_auth(),
    })
}

fn authorities(settings: &Settings) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(root) = &settings.root {
        for certificate in CertificateDer::pem_slice_iter(&root.bytes()?) {
            roots.add(certificate?)?;
        }
    }
    Ok(roots)
}
