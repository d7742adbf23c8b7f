//! Where the server is, and how a connection to it is made.

use crate::input;
use anyhow::Context as _;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use std::path::{Path, PathBuf};

/// Where the server is and how it is reached, as the driver understands the URL and the environment.
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) socket: Option<PathBuf>,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) database: String,
    pub(super) options: String,
    pub(super) mode: String,
    pub(super) root: Option<Pem>,
    pub(super) certificate: Option<Pem>,
    pub(super) key: Option<Pem>,
}

/// A certificate or a key: the text itself, or a file.
pub(super) struct Pem(String);

impl Pem {
    pub(super) fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        if self.0.contains("-----BEGIN") {
            Ok(self.0.clone().into_bytes())
        } else {
            input::read(Path::new(&self.0)).with_context(|| format!("reading `{}`", self.0))
        }
    }
}

impl Settings {
    pub(super) fn of(options: &PgConnectOptions) -> Self {
        let url = options.to_url_lossy();
        let decoded = |text: &str| {
            let decoded = url::form_urlencoded::parse(text.replace('+', "%2B").as_bytes())
                .next()
                .map(|(text, _)| text.into_owned());
            decoded.unwrap_or_default()
        };
        let given = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned())
        };
        let pem = |name| {
            given(name).map(|text| Pem(text.strip_prefix("file: ").unwrap_or(&text).to_owned()))
        };
        Self {
            host: options.get_host().trim_matches(['[', ']']).to_owned(),
            port: options.get_port(),
            socket: options.get_socket().cloned(),
            user: options.get_username().to_owned(),
            password: decoded(url.password().unwrap_or_default()),
            database: options
                .get_database()
                .unwrap_or(options.get_username())
                .to_owned(),
            options: options.get_options().unwrap_or_default().to_owned(),
            mode: given("sslmode").unwrap_or_default(),
            root: pem("sslrootcert"),
            certificate: pem("sslcert"),
            key: pem("sslkey"),
        }
    }
}
