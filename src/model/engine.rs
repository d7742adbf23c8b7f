//! The database engines that chats are stored in.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An engine, by its SQL and its protocol: MariaDB is MySQL here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// SQLite, in a file.
    Sqlite,
    /// PostgreSQL, and the servers that speak its protocol.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Mysql];

    /// The name in reports, in snapshots and for `--dialect`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    /// The schemes of its URLs; the first is its name.
    pub const fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["sqlite"],
            Self::Postgres => &["postgres", "postgresql"],
            Self::Mysql => &["mysql", "mariadb"],
        }
    }

    /// The engine of a URL's scheme.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|engine| engine.schemes().contains(&scheme))
    }

    /// The port that its server listens on unless the URL names one; none where a database is a file.
    pub const fn port(self) -> Option<u16> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(5432),
            Self::Mysql => Some(3306),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Engine;

    #[test]
    fn a_snapshot_keeps_an_engine_by_its_name() {
        for engine in Engine::ALL {
            let kept = serde_json::to_value(engine).ok();
            assert_eq!(kept, Some(engine.name().into()));
            assert_eq!(engine.schemes().first(), Some(&engine.name()));
            assert_eq!(Engine::of_scheme(engine.name()), Some(engine));
        }
        assert_eq!(Engine::of_scheme("mariadb"), Some(Engine::Mysql));
        assert_eq!(Engine::of_scheme("oracle"), None);
    }
}
