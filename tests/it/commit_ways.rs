//! The ways in which applications commit: through each, the right server is proven and the wrong one is
//! violated. Each way is a session of one server, so few servers are started.

use crate::common::servers::{MariaDb, Postgres};
use crate::common::{Turn, case, chatctl, errors, python, report, root, side_by_side, small};
use serde_json::Value;
use std::path::Path;

/// What is reported of each way, and of its wrong twin, whose name ends in `late`.
fn verify(url: &str, ways: &[&str], arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    for way in ways {
        for (name, late) in [((*way).to_owned(), false), (format!("{way}-late"), true)] {
            write(folder.path(), &name, way, late);
        }
    }
    let start = format!(
        "{} {} --port {{port}} --gateway {{gateway_url}}",
        python().display(),
        root().join("tests/servers/commits.py").display(),
    );
    let (report, _) = report(
        chatctl()
            .arg("verify-stream")
            .arg(folder.path())
            .args(["--ready", "/health", "--profile", "plain", "--trials", "3"])
            .args(["--database-url", url, "--start", &start])
            .args(arguments),
    );
    report
}

fn write(folder: &Path, name: &str, way: &str, late: bool) {
    let session = format!(
        "[[setup]]\nrequest = \"POST /conversations\"\ncapture = {{ conversation_id = \"$.id\" }}\n\
         [request]\nrequest = \"POST /chat\"\n\
         json = {{ conversation_id = \"{{conversation_id}}\", message = \"{{user}}\", way = \"{way}\", late = {late} }}\n\
         [[turn]]\nuser = \"Add a task to buy milk\"\nanswer = \"Task 'Buy milk' has been added to the list.\"\n"
    );
    std::fs::write(folder.join(format!("{name}.toml")), session).unwrap();
}

/// Several servers next to each other, with some of the ways each.
fn are_decided(database: impl Fn(&str) -> String + Sync, ways: &[&[&str]]) {
    let _turn = Turn::shared();
    side_by_side(ways, |ways| {
        let report = verify(&database(ways[0]), ways, &["--proof", "gate"]);
        for way in *ways {
            for (name, wanted) in [
                ((*way).to_owned(), "proven"),
                (format!("{way}-late"), "violated"),
            ] {
                let order = case(&report, &format!("{name}/order"));
                assert_eq!(order["verdict"], wanted, "{name}: {order:#}");
            }
        }
    });
}

#[test]
fn the_ways_of_postgresql_are_decided() {
    let server = Postgres::start();
    are_decided(
        |name| server.database(name),
        &[
            &["function", "copy"],
            &["staged", "copy_in_transaction", "apart"],
            &["notified", "polled"],
        ],
    );
}

#[test]
fn the_ways_of_mariadb_are_decided() {
    let server = MariaDb::start();
    are_decided(
        |name| server.database(name),
        &[
            &["assigned", "locked"],
            &["staged", "locked_commit"],
            &["prepared", "polled"],
        ],
    );
}

/// A COPY that is to fail is refused by the database, and the server reports it.
#[test]
fn a_copy_that_fails_is_reported() {
    let _turn = Turn::shared();
    let server = Postgres::start();
    let report = verify(&server.url(), &["copy"], &[]);
    let fails = case(&report, "copy/save-fails");
    assert_eq!(fails["verdict"], "held", "{fails:#}");
}

/// SQLite without a journal in a file: there is no call that commits, so the first page is withheld.
#[test]
fn the_order_is_decided_without_a_journal_in_a_file() {
    let _turn = Turn::shared();
    let cases = ["memory", "off"].map(|journal| {
        [("before", "proven"), ("200", "violated")].map(|(save, wanted)| (journal, save, wanted))
    });
    side_by_side(&cases.concat(), |(journal, save, wanted)| {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let start = small::start(&["--journal", journal, "--save", save]);
        let (report, _) = report(
            chatctl()
                .args(["verify-stream", "--ready", "/health", "--profile", "plain"])
                .args(["--proof", "gate", "--trials", "3"])
                .args(["--database-url", &url, "--start", &start]),
        );
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], *wanted, "{journal} {save}: {order:#}");
        let late = *wanted == "violated";
        assert_eq!(errors(&report).is_empty(), !late, "{journal} {save}");
    });
}
