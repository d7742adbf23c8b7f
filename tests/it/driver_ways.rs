//! The ways in which drivers speak to a database: through each, the right server is proven and the wrong
//! one violated.

use crate::common::servers::{MariaDb, Postgres, run_sql};
use crate::common::{Turn, case, chatctl, node, python, report, root};
use chatctl::db::Target;
use chatctl::gate::{Listen, Proxy};
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The right server and the wrong one, each on a database of its own.
fn decided(
    way: &str,
    database: impl Fn(&str) -> String + Sync,
    arguments: impl Fn(&str) -> Vec<String> + Sync,
) {
    let _turn = Turn::shared();
    let run = |late: &str, wanted: &str| {
        let start = format!(
            "{} {} --port {{port}} --gateway {{gateway_url}} --way {way} {late}",
            python().display(),
            root().join("tests/servers/drivers.py").display(),
        );
        let (report, _) = report(
            chatctl()
                .args(["verify-stream", "--ready", "/health", "--proof", "gate"])
                .args(["--trials", "3", "--start", &start])
                .args(["--database-url", &database(wanted)])
                .args(arguments(wanted)),
        );
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], wanted, "{way}: {report:#}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| run("", "proven"));
        scope.spawn(|| run("--late", "violated"));
    });
}

/// BEGIN, the write and COMMIT in one go.
#[test]
fn the_order_is_decided_with_pipelined_queries() {
    let server = Postgres::start();
    decided("pipelined", |name| server.database(name), |_| Vec::new());
}

#[test]
fn the_order_is_decided_with_a_prepared_commit() {
    let server = Postgres::start();
    decided("prepared", |name| server.database(name), |_| Vec::new());
}

/// A request to cancel a query comes through the proxy: without it each save takes half a minute.
#[test]
fn the_order_is_decided_with_a_cancelled_query() {
    let server = Postgres::start();
    decided("cancelled", |name| server.database(name), |_| Vec::new());
}

/// The server's tables are in a schema that only its own settings name.
#[test]
fn a_schema_that_only_the_server_knows_is_named() {
    let _turn = Turn::shared();
    let server = Postgres::start();
    let url = server.database("tenants");
    run_sql(&url, "CREATE SCHEMA tenant_a");
    let start = format!(
        "env PGOPTIONS=-csearch_path=tenant_a {} {} --port {{port}} --gateway {{gateway_url}}",
        python().display(),
        root().join("tests/servers/drivers.py").display(),
    );
    let output = chatctl()
        .args(["verify-stream", "--ready", "/health", "--trials", "3"])
        .args(["--start", &start, "--database-url", &url])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let hint = "`tenant_a.message` looks like the chats: add ?search_path=tenant_a";
    assert!(said.contains(hint), "{said}");
}

/// The proxy listens at a socket in a folder, as the database itself often does.
#[test]
fn the_order_is_decided_through_a_socket_in_a_folder() {
    let server = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let listen = |name: &str| {
        let own = folder.path().join(name);
        std::fs::create_dir(&own).unwrap();
        let listen = format!("unix:{}", own.display());
        vec!["--database-listen".to_owned(), listen]
    };
    decided("plain", |name| server.database(name), listen);
    // Nothing is left there.
    for name in ["proven", "violated"] {
        let own = folder.path().join(name);
        assert_eq!(std::fs::read_dir(own).unwrap().count(), 0);
    }
}

/// What a database offers in its greeting: the lower half of its capabilities.
fn offered(address: SocketAddr) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut header = [0; 4];
    stream.read_exact(&mut header).unwrap();
    let mut greeting = vec![0; u16::from_le_bytes([header[0], header[1]]).into()];
    stream.read_exact(&mut greeting).unwrap();
    // Version (text), connection (4), 8 bytes of a challenge, a zero byte.
    let version = greeting[1..].iter().position(|byte| *byte == 0).unwrap() + 2;
    let lower = version + 4 + 8 + 1;
    u16::from_le_bytes([greeting[lower], greeting[lower + 1]])
}

/// A driver that compresses where it can does not where the proxy reads along.
#[test]
fn the_order_is_decided_with_a_driver_that_compresses() {
    const COMPRESS: u16 = 1 << 5;
    let server = MariaDb::start();
    let url = server.database("greeting");
    let target = Target::parse(&url).unwrap();
    let direct = target.address().parse().unwrap();
    assert_ne!(offered(direct) & COMPRESS, 0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let anywhere = Listen::parse("127.0.0.1:0").unwrap();
        let proxy = Proxy::listen(&anywhere, &target, Duration::from_secs(9)).unwrap();
        assert_eq!(offered(proxy.address()) & COMPRESS, 0);
    });
    for (mode, wanted) in [("correct", "proven"), ("after", "violated")] {
        let settings = "COMPRESS=1 DATABASE_URL={database_url}";
        let report = node::verify(mode, &server.database(mode), settings);
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], wanted, "{mode}: {report:#}");
    }
}
