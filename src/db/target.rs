//! Which database: a URL, taken apart, with its password masked wherever it is shown.

use super::ALL;
use crate::mask;
use crate::stop::Stop;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// A database URL of a known backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    backend: &'static str,
    url: String,
    path: PathBuf,
    read_only: bool,
}

impl Target {
    /// Takes a URL apart: `sqlite:PATH`, `sqlite://PATH`, with `?mode=ro` for a file
    /// that must never be written.
    pub fn parse(url: &str) -> Result<Self, Stop> {
        let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
        let known = ALL.iter().find(|backend| backend.schemes.contains(&scheme));
        let Some(backend) = known else {
            let schemes: Vec<_> = ALL.iter().flat_map(|backend| backend.schemes).collect();
            return Err(
                Stop::usage(format!("`{scheme}` is no database that chatctl knows")).hint(format!(
                    "give a URL that begins with one of {schemes:?}, such as sqlite:chat.db for SQLAlchemy's sqlite:///chat.db"
                )),
            );
        };
        let rest = &url[scheme.len()..];
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path == ":memory:" {
            return Err(Stop::refused(
                "an in-memory database belongs to one process: nothing else can look into it",
            )
            .hint("let the server under test store in a file, and give sqlite:PATH"));
        }
        if path.is_empty() {
            return Err(Stop::usage(format!("`{url}` names no file")).hint("give sqlite:PATH"));
        }
        Ok(Self {
            backend: backend.name,
            url: url.to_owned(),
            path: PathBuf::from(path),
            read_only: query.split('&').any(|pair| pair == "mode=ro"),
        })
    }

    /// The backend's name in the table.
    pub fn backend(&self) -> &'static str {
        self.backend
    }

    /// The URL as it was given, password and all: for the server under test, never for a report.
    pub fn secret_url(&self) -> &str {
        &self.url
    }

    /// The file of an embedded database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the URL forbids writing.
    pub fn read_only(&self) -> bool {
        self.read_only
    }
}

/// The URL with its password masked.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match url::Url::parse(&self.url) {
            Ok(url) if url.has_host() => f.write_str(&mask::url(&url)),
            _ => f.write_str(&self.url),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Target;

    #[test]
    fn the_forms_of_a_file_url() {
        for (url, path) in [
            ("sqlite:chat.db", "chat.db"),
            ("sqlite://chat.db", "chat.db"),
            ("sqlite:///tmp/chat.db", "/tmp/chat.db"),
            ("sqlite:/tmp/a b.db?mode=ro", "/tmp/a b.db"),
        ] {
            assert_eq!(Target::parse(url).unwrap().path().to_str().unwrap(), path);
        }
        assert!(Target::parse("sqlite:x?mode=ro").unwrap().read_only());
    }

    #[test]
    fn what_is_no_file_is_refused() {
        for url in ["sqlite::memory:", "sqlite:", "oracle://x", "chat.db"] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
