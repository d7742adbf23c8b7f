//! The proxy gate in front of databases as they are run: encrypted, behind a pooler, in a cluster.

use crate::common::servers::{Galera, MariaDb, PgBouncer, Postgres};
use crate::common::{Chat, case, node, text};

const TRIALS: [&str; 4] = ["--proof", "gate", "--trials", "3"];

/// The right server is proven and the wrong one violated.
fn decided(url: impl Fn(&str) -> String, (stack, driver): (&str, &str), more: &[&str]) {
    for (mode, wanted) in [("correct", "proven"), ("after", "violated")] {
        let chat = Chat::new(mode).stack(stack).on(url(mode), driver);
        let (report, _) = chat.report(&[&TRIALS[..], more].concat());
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], wanted, "{mode} with {driver}: {report:#}");
    }
}

/// One connection checks the certificate, another only encrypts; the proxy asks for the password where the
/// log-in is bound to the encrypted connection.
#[test]
fn the_order_is_decided_on_postgresql_with_tls_and_scram() {
    let server = Postgres::start();
    let names = ["correct", "after", "node"];
    let urls = names.map(|name| server.database(name));
    let certificate = server.encrypt();
    let url = |mode: &str, how: &str| {
        let url = &urls[names.iter().position(|name| *name == mode).unwrap()];
        let url = url.replace("postgres@", "postgres:secret@");
        format!("{url}?sslmode={how}")
    };
    let verified = format!("verify-full&sslrootcert={}", certificate.display());
    decided(|mode| url(mode, &verified), ("async", "asyncpg"), &[]);
    let report = node::verify(
        "correct",
        &url("node", "require"),
        "DATABASE_URL={database_url}",
    );
    assert_eq!(case(&report, "/order")["verdict"], "proven", "{report:#}");
}

#[test]
fn the_order_is_decided_through_pgbouncer() {
    let server = Postgres::start();
    for (pool, driver) in [("session", "psycopg"), ("transaction", "psycopg2")] {
        let pooler = PgBouncer::start(&server, pool);
        let stack = if driver == "psycopg" { "async" } else { "sync" };
        for (mode, wanted) in [("correct", "proven"), ("after", "violated")] {
            let name = format!("{mode}_{pool}");
            let direct = server.database(&name);
            let chat = Chat::new(mode).stack(stack).on(pooler.url(&name), driver);
            let (report, _) = chat.report(&[&TRIALS[..], &["--read-from", &direct]].concat());
            let order = case(&report, "/order");
            assert_eq!(order["verdict"], wanted, "{mode}, {pool}: {report:#}");
        }
        // A pooler keeps no settings for chatctl's own connections.
        let chat = Chat::new("correct")
            .stack(stack)
            .on(pooler.url("chat"), driver);
        let (_, said) = text(&chat.verify().output().unwrap());
        assert!(said.contains("--read-from"), "{said}");
    }
}

#[test]
fn the_order_is_decided_on_mariadb_with_tls() {
    let server = MariaDb::encrypted();
    let url = |mode: &str| format!("{}?ssl-mode=REQUIRED", server.database(mode));
    decided(url, ("sync", "pymysql"), &[]);
}

/// The server writes to one node, chatctl reads another.
#[test]
fn the_order_is_decided_on_a_cluster_of_three_nodes() {
    let cluster = Galera::start(3);
    for (mode, wanted) in [("correct", "proven"), ("after", "violated")] {
        let chat = Chat::new(mode)
            .stack("async")
            .on(cluster.url(0), "aiomysql");
        let (report, _) = chat.report(&[&TRIALS[..], &["--read-from", &cluster.url(2)]].concat());
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], wanted, "{mode}: {report:#}");
    }
}

/// A commit is seen, and answered, only when the standby has it. The standby itself shows it later.
#[test]
fn the_order_is_decided_with_a_synchronous_standby() {
    let server = Postgres::start();
    let standby = server.standby();
    server.wait_for_standby();
    decided(|mode| server.database(mode), ("async", "asyncpg"), &[]);
    let chat = Chat::new("correct")
        .stack("async")
        .on(server.url(), "asyncpg");
    let mut refused = chat.verify();
    let (_, said) = text(
        &refused
            .args(["--read-from", &standby.url()])
            .output()
            .unwrap(),
    );
    assert!(said.contains("it is a standby"), "{said}");
}
