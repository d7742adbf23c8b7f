//! The private database servers of the tests: they answer, outlive being killed, and leave nothing.

use crate::common::servers::{MariaDb, Postgres, run_sql, texts};
use std::path::Path;

/// What both are to do; the macro stands for a trait that only these tests would have.
macro_rules! lives_and_ends {
    ($server:ty, $version:literal) => {{
        let mut server = <$server>::start();
        let url = server.url();
        let version = texts(&url, "SELECT version()");
        assert!(version[0].contains($version), "{version:?}");
        run_sql(
            &url,
            "CREATE TABLE t (a INT); INSERT INTO t VALUES (7), (NULL)",
        );

        let first = server.pid();
        server.kill();
        assert!(!lives(first));
        server.restart();
        assert_ne!(server.pid(), first);
        assert_eq!(texts(&url, "SELECT a FROM t"), ["7", "-"]);

        let other = server.database("another");
        assert_eq!(texts(&other, "SELECT 1"), ["1"]);
        let last = server.pid();
        drop(server);
        assert!(!lives(last));
    }};
}

fn lives(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn postgres_lives_and_ends() {
    lives_and_ends!(Postgres, "PostgreSQL");
}

#[test]
fn mariadb_lives_and_ends() {
    lives_and_ends!(MariaDb, "MariaDB");
}

/// A test may start its servers from a runtime of its own.
#[tokio::test]
async fn servers_start_side_by_side() {
    let servers = [Postgres::start(), Postgres::start()];
    assert_ne!(servers[0].url(), servers[1].url());
    for server in &servers {
        run_sql(&server.url(), "CREATE TABLE t (a INT)");
    }
}
