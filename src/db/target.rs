//! The target database: a parsed URL, whose password is masked wherever it is shown.

use super::foreign_url::{unknown, with_driver};
use crate::cli_error::CliError;
use crate::mask;
use crate::mask::decoded;
use crate::model::Engine;
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use url::Url;

/// A database URL of a known engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    engine: Engine,
    url: String,
    at: At,
}

/// The parts of a server's URL. It has no `Debug`: the password must not get into a message.
pub struct Login {
    /// Host name or address.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Password, to be handed on in the environment only.
    pub password: Option<String>,
    pub database: String,
    /// How the connection is encrypted.
    pub tls: Tls,
}

/// What a URL says of encryption: each a file but the mode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The mode, as the driver names it.
    pub mode: Option<String>,
    /// The certificates that the server's is checked with.
    pub roots: Option<String>,
    /// The client's certificate.
    pub certificate: Option<String>,
    /// The client's key.
    pub key: Option<String>,
}

/// What a URL says of the way to the real server, by the names that the drivers take.
///
/// Those of encryption too: drivers don't agree on what they mean (Node's `require` checks the certificate),
/// nor on their names.
const FOR_THE_REAL_ONE: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "channel_binding",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "socket",
    "sslrootcert",
    "ssl-root-cert",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "sslpassword",
];

/// The key under which a URL names the schemas of PostgreSQL.
const SEARCH_PATH: &str = "search_path";

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    File { path: PathBuf, read_only: bool },
    Server { url: Url, port: u16 },
}

impl Target {
    /// Takes a URL apart: `sqlite:PATH`, `sqlite://PATH`, with `?mode=ro` for a file
    /// that must never be written; `postgres://USER@HOST/NAME`, `mysql://USER@HOST/NAME`,
    /// with what the driver takes after `?`.
    pub fn parse(url: &str) -> Result<Self, CliError> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let Some(engine) = Engine::of_scheme(scheme) else {
            if let Some((named, _)) = scheme.split_once('+')
                && let Some(engine) = Engine::of_scheme(named)
            {
                return Err(with_driver(engine, named, url));
            }
            return Err(unknown(url));
        };
        let at = match engine.port() {
            None => file(url)?,
            Some(port) => server(scheme, url, port)?,
        };
        Ok(Self {
            engine,
            url: for_drivers(url, &at),
            at,
        })
    }

    /// The engine that it is a database of.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The URL as it was given, password and all, but for `search_path`, which no driver takes: for
    /// the server under test, never for a report.
    pub fn secret_url(&self) -> &str {
        &self.url
    }

    /// The schemas in which PostgreSQL looks for tables, where the URL names them: `?search_path=chat`.
    pub fn search_path(&self) -> Option<String> {
        let At::Server { url, .. } = &self.at else {
            return None;
        };
        let mut pairs = url.query_pairs();
        let named = pairs.find(|(key, value)| key == SEARCH_PATH && !value.is_empty());
        named.map(|(_, value)| value.into_owned())
    }

    /// Whether it is a file of an embedded database.
    pub fn is_file(&self) -> bool {
        matches!(self.at, At::File { .. })
    }

    /// Whether it is on this machine, as far as its address says.
    pub fn is_local(&self) -> bool {
        self.login().is_none_or(|login| {
            let host = login.host.trim_matches(['[', ']']);
            let address = host.parse::<std::net::IpAddr>();
            host.starts_with('/')
                || host == "localhost"
                || address.is_ok_and(|address| address.is_loopback())
        })
    }

    /// The file of an embedded database; empty for one with a server.
    pub fn path(&self) -> &Path {
        match &self.at {
            At::File { path, .. } => path,
            At::Server { .. } => Path::new(""),
        }
    }

    /// Whether the URL forbids writing.
    pub fn read_only(&self) -> bool {
        matches!(
            self.at,
            At::File {
                read_only: true,
                ..
            }
        )
    }

    /// The database's name: that of a file is its path.
    pub fn database(&self) -> String {
        match &self.at {
            At::File { path, .. } => path.display().to_string(),
            At::Server { url, .. } => decoded(url.path().trim_start_matches('/')),
        }
    }

    /// Another database with the same server, or another file.
    #[must_use]
    pub fn sibling(&self, database: &str) -> Self {
        let at = match &self.at {
            At::File { .. } => At::File {
                path: PathBuf::from(database),
                read_only: false,
            },
            At::Server { url, port } => {
                let mut url = url.clone();
                url.set_path(database);
                At::Server { url, port: *port }
            }
        };
        let url = match &at {
            At::File { .. } => format!("sqlite:{database}"),
            At::Server { url, .. } => for_drivers(url.as_str(), &at),
        };
        Self {
            engine: self.engine,
            url,
            at,
        }
    }

    /// The same for another user. The name and the password must need no escape in a URL.
    #[must_use]
    pub fn for_user(&self, user: &str, password: &str) -> Self {
        let mut target = self.clone();
        if let At::Server { url, .. } = &mut target.at {
            // Only a URL without a host has neither, and such a one is not a target.
            let _ = url.set_username(user);
            let _ = url.set_password(Some(password));
            target.url = for_drivers(url.as_ref(), &self.at);
        }
        target
    }

    /// The same database by way of a proxy, which takes encrypted connections and others, and whose certificate
    /// nobody can verify. The way from the proxy to the database is encrypted and verified as this URL says.
    #[must_use]
    pub fn through(&self, proxy: SocketAddr) -> Self {
        self.by_way_of(&[], |url| {
            // A URL of a server has a host, so it can have a port.
            let _ = url.set_ip_host(proxy.ip());
            let _ = url.set_port(Some(proxy.port()));
        })
    }

    /// The same by way of a proxy that listens at a socket in a folder.
    #[must_use]
    pub fn through_socket(&self, socket: &Path) -> Self {
        let (folder, name) = match (socket.parent(), socket.file_name()) {
            (Some(folder), Some(name)) => (folder, name.to_string_lossy()),
            _ => (socket, Cow::Borrowed("")),
        };
        let (option, port) = match (self.engine, name.rsplit_once('.')) {
            (Engine::Postgres, Some((_, port))) => (("host", folder), port.parse().ok()),
            (Engine::Postgres, None) => (("host", folder), None),
            (Engine::Mysql | Engine::Sqlite, _) => (("socket", socket), None),
        };
        let (name, path) = (option.0, option.1.to_string_lossy());
        self.by_way_of(&[(name, &path)], |url| {
            let _ = url.set_host(Some("localhost"));
            let _ = url.set_port(port);
        })
    }

    fn by_way_of(&self, options: &[(&str, &str)], place: impl Fn(&mut Url)) -> Self {
        let mut target = self.clone();
        if let At::Server { url, .. } = &mut target.at {
            let pairs: Vec<_> = url
                .query_pairs()
                .filter(|(key, _)| !FOR_THE_REAL_ONE.contains(&key.as_ref()))
                .map(|(key, value)| (key.into_owned(), value.into_owned()))
                .collect();
            url.set_query(None);
            if !pairs.is_empty() || !options.is_empty() {
                url.query_pairs_mut()
                    .extend_pairs(pairs)
                    .extend_pairs(options);
            }
            place(url);
            target.url = for_drivers(url.as_ref(), &self.at);
        }
        target
    }

    /// How a client program of the server is told where to go; none for a file.
    pub fn login(&self) -> Option<Login> {
        let At::Server { url, port } = &self.at else {
            return None;
        };
        let host = url.host_str().unwrap_or_default();
        // The spellings that the drivers take, and as there the last one counts.
        let option = |names: &[&str]| {
            let pairs = url.query_pairs();
            pairs
                .filter(|(key, _)| names.contains(&key.as_ref()))
                .last()
                .map(|(_, value)| value.into_owned())
        };
        let password = option(&["password"]).filter(|_| self.engine == Engine::Postgres);
        Some(Login {
            host: option(&["host"]).unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned()),
            port: url.port().unwrap_or(*port),
            user: decoded(url.username()),
            password: password.or_else(|| url.password().map(decoded)),
            database: self.database(),
            tls: Tls {
                mode: option(&["sslmode", "ssl-mode"]),
                roots: option(&["sslrootcert", "ssl-root-cert", "sslca", "ssl-ca"]),
                certificate: option(&["sslcert", "ssl-cert"]),
                key: option(&["sslkey", "ssl-key"]),
            },
        })
    }

    /// Where it is: host and port of a server, or the path of a file.
    pub fn address(&self) -> String {
        match &self.at {
            At::File { path, .. } => path.display().to_string(),
            At::Server { url, port } => {
                let port = url.port().unwrap_or(*port);
                format!("{}:{port}", url.host_str().unwrap_or_default())
            }
        }
    }
}

/// A URL without what only chatctl reads in it.
fn for_drivers(url: &str, at: &At) -> String {
    match (at, url.split_once('?')) {
        (At::Server { .. }, Some((place, query))) => {
            let is_ours = |pair: &str| {
                pair.split_once('=')
                    .is_some_and(|(key, _)| key == SEARCH_PATH)
            };
            let rest: Vec<_> = query.split('&').filter(|pair| !is_ours(pair)).collect();
            let mark = if rest.is_empty() { "" } else { "?" };
            format!("{place}{mark}{}", rest.join("&"))
        }
        _ => url.to_owned(),
    }
}

fn file(url: &str) -> Result<At, CliError> {
    let rest = url.split_once(':').map_or("", |(_, rest)| rest);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path == ":memory:" {
        return Err(in_memory());
    }
    let host = path.split('/').next().unwrap_or_default();
    if url.contains("://") && !url.contains(":///") && host.contains('@') {
        let shown = mask::url_text(url);
        return Err(CliError::usage(format!(
            "`{shown}` has a user or a password, which a file does not have"
        ))
        .hint("give sqlite:PATH; chatctl can't read an encrypted file (SQLCipher)"));
    }
    if path.is_empty() {
        let shown = mask::url_text(url);
        return Err(CliError::usage(format!("`{shown}` names no file")).hint("give sqlite:PATH"));
    }
    let mut read_only = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair {
            "mode=ro" => read_only = true,
            "mode=rw" | "mode=rwc" => {}
            "mode=memory" => return Err(in_memory()),
            // Parameters of drivers, which read the same variable: an immutable file is not written.
            "immutable=1" | "immutable=true" => read_only = true,
            "immutable=0" | "immutable=false" => {}
            _ if ["cache=", "vfs="].iter().any(|it| pair.starts_with(it)) => {}
            _ => return Err(unknown_parameter(path, pair)),
        }
    }
    Ok(At::File {
        path: PathBuf::from(path),
        read_only,
    })
}

fn in_memory() -> CliError {
    CliError::refused(
        "an in-memory database belongs to one process, and no other process can read it",
    )
    .hint("let the server under test use a file, and give sqlite:PATH")
}

/// What is behind a `?` may be a slip in a parameter that forbids writing, or a part of the path.
fn unknown_parameter(path: &str, pair: &str) -> CliError {
    let shown = mask::url_text(&format!("sqlite:{path}?{pair}"));
    CliError::usage(format!("`{shown}` has an unknown parameter")).hint(
        "behind `?` there may be `mode=ro`, `mode=rw` or `mode=rwc`; the path of a database file has no `?`",
    )
}

/// How a password is written in a URL.
const ESCAPES: &str =
    "in the password write %40 for @, %2F for /, %3A for :, %3F for ?, %23 for #, %25 for %";

fn server(scheme: &str, text: &str, port: u16) -> Result<At, CliError> {
    let form = format!("give {scheme}://USER:PASSWORD@HOST:{port}/NAME");
    // What can't be read can't be masked either, so it is not shown.
    let url = Url::parse(text).map_err(|error| {
        CliError::usage(format!("the {scheme} URL can't be read: {error}"))
            .hint(format!("{form}; {ESCAPES}"))
    })?;
    // Behind the host, no part of a URL has one of its own.
    let parameters = url.query().unwrap_or_default().split('&');
    let stray = parameters
        .filter(|pair| !pair.contains('='))
        .collect::<String>();
    if [url.path(), &stray, url.fragment().unwrap_or_default()]
        .iter()
        .any(|it| it.contains('@'))
    {
        return Err(CliError::usage(format!(
            "`{}` has a password with a character that has a special meaning in URLs",
            mask::url(&url)
        ))
        .hint(format!("{form}; {ESCAPES}")));
    }
    let missing = [
        ("host", url.host_str().unwrap_or_default().is_empty()),
        ("user", url.username().is_empty()),
        ("database", url.path().trim_start_matches('/').is_empty()),
    ];
    match missing.iter().find(|(_, missing)| *missing) {
        Some((what, _)) => {
            Err(CliError::usage(format!("`{}` names no {what}", mask::url(&url))).hint(form))
        }
        None => Ok(At::Server { url, port }),
    }
}

/// The URL with its password masked.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::File { .. } => f.write_str(&mask::url_text(&self.url)),
            At::Server { url, .. } => f.write_str(&mask::url(url)),
        }
    }
}

#[cfg(test)]
mod tests;
