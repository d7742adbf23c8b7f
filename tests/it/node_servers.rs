//! A server on Node gets the verdict that it deserves, with the driver of each database.

use crate::common::servers::{MariaDb, Postgres};
use crate::common::{case, chatctl, node, report, side_by_side};

/// Every mode, each on a database of its own.
fn every_mode(store: impl Fn(&str) -> (String, &'static str) + Sync) {
    let modes = node::modes();
    assert!(modes.len() >= 14, "{modes:?}");
    side_by_side(&modes, |(mode, is_right)| {
        let (url, settings) = store(mode);
        let report = node::verify(mode, &url, settings);
        let wanted = if *is_right { "proven" } else { "violated" };
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], wanted, "{mode}: {report:#}");
    });
}

#[test]
fn the_order_is_decided_with_pg() {
    let server = Postgres::start();
    every_mode(|mode| (server.database(mode), "DATABASE_URL={database_url}"));
}

#[test]
fn the_order_is_decided_with_mysql2() {
    let server = MariaDb::start();
    every_mode(|mode| (server.database(mode), "DATABASE_URL={database_url}"));
}

/// One thread for all: a withheld commit stops the whole server.
#[test]
fn the_order_is_decided_with_better_sqlite3() {
    let folder = tempfile::tempdir().unwrap();
    every_mode(|mode| {
        let file = folder.path().join(format!("{mode}.db"));
        (
            format!("sqlite:{}", file.display()),
            "DATABASE_PATH={database_path}",
        )
    });
}

/// Without a write-ahead log a withheld commit keeps every reader out: what is stored without it is read
/// in a copy.
#[test]
fn the_order_is_decided_with_better_sqlite3_and_a_rollback_journal() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("correct", "proven"),
        ("flush_after", "violated"),
        ("long_tx_after", "violated"),
    ];
    side_by_side(&cases, |(mode, wanted)| {
        let file = folder.path().join(format!("{mode}.db"));
        let url = format!("sqlite:{}", file.display());
        let settings = "JOURNAL=delete DATABASE_PATH={database_path}";
        let report = node::verify(mode, &url, settings);
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], *wanted, "{mode}: {report:#}");
    });
}

/// It is stored as three bytes that are no text, and the answer is there.
#[test]
fn half_of_a_surrogate_pair_is_no_lost_answer_with_better_sqlite3() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let start = node::start("MODE=correct DATABASE_PATH={database_path}");
    let mut command = chatctl();
    command.args(["verify-stream", "--ready", "/health", "--proof", "observe"]);
    command.args(["--provider-fault", "lone-surrogate", "--database-url", &url]);
    let (report, _) = report(command.args(["--settle", "500ms", "--start", &start]));
    let case = case(&report, "/provider-lone-surrogate");
    assert_eq!(case["verdict"], "held", "{report:#}");
}
