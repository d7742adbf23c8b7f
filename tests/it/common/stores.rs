//! A new store of each backend, and a suite that runs on all of them.

use super::servers::{MariaDb, Postgres};
use chatctl::db;
use chatctl::db::{Db, Target};
use std::fs;
use std::time::Duration;

/// A store, and what keeps it alive.
pub enum Store {
    Sqlite(tempfile::TempDir),
    Postgres(Postgres),
    Mysql(MariaDb),
}

/// Makes a test of each function for each backend; it takes the store.
macro_rules! on_each_backend {
    ($($test:ident)*) => {
        $crate::common::stores::on_each_backend!(sqlite: $($test)*);
        $crate::common::stores::on_each_backend!(postgres: $($test)*);
        $crate::common::stores::on_each_backend!(mysql: $($test)*);
    };
    ($backend:ident: $($test:ident)*) => {
        mod $backend {
            $(
                #[test]
                fn $test() {
                    let store = $crate::common::stores::Store::$backend();
                    $crate::common::stores::run(super::$test(&store));
                }
            )*
        }
    };
}

pub(crate) use on_each_backend;

/// How many random trials a test makes: so many, unless `CHATCTL_TEST_TRIALS` says otherwise.
pub fn trials(usual: u32) -> u32 {
    let told = std::env::var("CHATCTL_TEST_TRIALS").ok();
    told.map_or(usual, |told| told.parse().unwrap())
}

/// Waits for a test.
pub fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(test);
}

impl Store {
    /// An empty file.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("chat.db"), b"").unwrap();
        Self::Sqlite(folder)
    }

    /// A server of its own.
    pub fn postgres() -> Self {
        Self::Postgres(Postgres::start())
    }

    /// A server of its own.
    pub fn mysql() -> Self {
        Self::Mysql(MariaDb::start())
    }

    /// Its URL, as chatctl takes it.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}/chat.db", folder.path().display()),
            Self::Postgres(server) => server.url(),
            Self::Mysql(server) => server.url(),
        }
    }

    /// Opens it as chatctl does.
    pub async fn open(&self) -> Box<dyn Db> {
        db::open(Target::parse(&self.url()).unwrap()).await.unwrap()
    }

    /// One of three, by backend.
    pub fn pick<T>(&self, sqlite: T, postgres: T, mysql: T) -> T {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
            Self::Mysql(_) => mysql,
        }
    }
}

/// Runs statements, on a connection that may write.
pub async fn execute(db: &dyn Db, sql: &str) {
    let mut writer = db.writer(Duration::from_secs(1)).await.unwrap();
    writer.execute(sql).await.unwrap();
}
