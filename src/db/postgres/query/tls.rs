//! Encryption, as the driver does it for `sslmode` (postgresql.org/docs/current/libpq-ssl.html).

use super::settings::Settings;
use anyhow::Context as _;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
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
    let provider = Arc::new(ring::default_provider());
    let trust = match settings.mode.as_str() {
        "verify-ca" => Trust::Authority(authority(settings, &provider)?),
        "verify-full" => Trust::Name(authority(settings, &provider)?),
        _ => Trust::Anybody,
    };
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { trust, provider }));
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

fn authority(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
) -> anyhow::Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(root) = &settings.root {
        for certificate in CertificateDer::pem_slice_iter(&root.bytes()?) {
            roots.add(certificate?)?;
        }
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    Ok(verifier.build()?)
}

/// Who is taken for the server.
#[derive(Debug)]
enum Trust {
    /// Whoever answers: what is sent is encrypted, and that is all.
    Anybody,
    /// Whoever has a certificate of an authority.
    Authority(Arc<WebPkiServerVerifier>),
    /// Whoever has one for the name.
    Name(Arc<WebPkiServerVerifier>),
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = |verifier: &WebPkiServerVerifier| {
            verifier.verify_server_cert(certificate, chain, name, response, now)
        };
        match &self.trust {
            Trust::Anybody => Ok(ServerCertVerified::assertion()),
            Trust::Name(verifier) => verified(verifier),
            Trust::Authority(verifier) => match verified(verifier) {
                Err(Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )) => Ok(ServerCertVerified::assertion()),
                verified => verified,
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
