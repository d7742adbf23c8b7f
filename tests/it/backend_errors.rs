//! What keeps chatctl out of a database is reported, with something to do about it and no password.

use crate::common::servers::{MariaDb, Postgres, run_sql, texts};
use chatctl::db::Target;
use chatctl::model::Cell;
use chatctl::{cli_error, db};
use std::fs;

/// Why a URL can't be opened, as the user reads it; each has something to do about it.
async fn refusal(url: &str) -> (String, String) {
    let opened = db::open(Target::parse(url).unwrap()).await;
    let error = opened.err().unwrap();
    let (_, hint) = cli_error::classify(&error);
    let (shown, hint) = (format!("{error:#}"), hint.unwrap().to_owned());
    assert!(!format!("{shown}{hint}{error:?}").contains("hunter2"));
    (shown, hint)
}

async fn what_keeps_out(url: &str, unknown_user: &str, encrypted: &str) {
    let (shown, hint) = refusal(unknown_user).await;
    assert!(shown.contains("bob:***@127.0.0.1"), "{shown}");
    assert!(hint.contains("fix user and password"), "{shown}: {hint}");
    let (shown, hint) = refusal(&url.replace("/chat", "/none")).await;
    assert!(shown.contains("none"), "{shown}");
    assert!(hint.contains("create the database `none` first"), "{hint}");
    let (_, rest) = url.split_once("127.0.0.1:").unwrap();
    let (port, _) = rest.split_once('/').unwrap();
    let (shown, hint) = refusal(&url.replace(port, "1")).await;
    assert!(shown.contains("127.0.0.1:1`"), "{shown}");
    assert!(hint.contains("start the database server"), "{hint}");
    let (shown, hint) = refusal(&format!("{url}?sslmode=nonsense")).await;
    assert!(shown.contains("nonsense"), "{shown}");
    assert!(hint.contains("parameters"), "{hint}");
    let (shown, hint) = refusal(&format!("{url}?sslmode={encrypted}")).await;
    assert!(shown.to_uppercase().contains("TLS"), "{shown}");
    assert!(hint.contains("offers no TLS"), "{hint}");
}

#[tokio::test]
async fn what_keeps_out_of_postgres_is_reported() {
    let mut server = Postgres::start();
    let url = server.url();
    let rules = texts(&url, "SHOW hba_file");
    run_sql(&url, "CREATE ROLE bob LOGIN PASSWORD 'another'");
    fs::write(
        &rules[0],
        "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
    )
    .unwrap();
    server.restart();
    let bob = url.replace("postgres@", "bob:hunter2@");
    what_keeps_out(&url, &bob, "require").await;
    let right = url.replace("postgres@", "bob:another@");
    assert!(db::open(Target::parse(&right).unwrap()).await.is_ok());
}

#[tokio::test]
async fn what_keeps_out_of_mysql_is_reported() {
    let server = MariaDb::start();
    let url = server.url();
    run_sql(
        &url,
        "CREATE USER bob@127.0.0.1 IDENTIFIED BY 'another'; GRANT SELECT ON chat.* TO bob@127.0.0.1",
    );
    let bob = url.replace("root@", "bob:hunter2@");
    what_keeps_out(&url, &bob, "required").await;
    let right = url.replace("root@", "bob:another@");
    let db = db::open(Target::parse(&right.replace("mysql:", "mariadb:")).unwrap());
    assert!(db.await.is_ok());
}

/// Who may not read is told which right is missing, once, and not where the server's source says so.
#[test]
fn a_right_that_is_missing_is_named() {
    let chats = "CREATE TABLE message (id int PRIMARY KEY, chat int, role varchar(20), content varchar(200))";
    let postgres = Postgres::start();
    run_sql(&postgres.url(), chats);
    run_sql(&postgres.url(), "CREATE ROLE bob LOGIN");
    let mariadb = MariaDb::start();
    run_sql(&mariadb.url(), chats);
    run_sql(
        &mariadb.url(),
        "CREATE TABLE other (id int); CREATE USER bob@127.0.0.1; GRANT SELECT ON chat.other TO bob@127.0.0.1",
    );
    for (url, grant) in [
        (
            postgres.url().replace("postgres@", "bob@"),
            "GRANT SELECT ON message TO",
        ),
        (mariadb.url().replace("root@", "bob@"), "GRANT SELECT ON"),
    ] {
        for arguments in [
            &["inspect", "sql", "SELECT content FROM message"][..],
            &["inspect", "search", "x"],
        ] {
            let mut command = crate::common::chatctl();
            command.args(["--database-url", &url]).args(arguments);
            let output = command.output().unwrap();
            let (_, stderr) = crate::common::text(&output);
            if url.starts_with("mysql") && arguments[1] == "search" {
                // A table that may not be read is not listed there.
                assert_eq!(output.status.code(), Some(3), "{stderr}");
                continue;
            }
            assert_eq!(output.status.code(), Some(3), "{stderr}");
            assert!(stderr.contains(grant), "{stderr}");
            assert!(!stderr.contains("at line"), "{stderr}");
            assert_eq!(stderr.matches("denied").count(), 1, "{stderr}");
        }
    }
}

/// A server that went away is an error that names the store, not a wait without an end.
#[tokio::test]
async fn a_server_that_went_away_is_reported_and_found_again() {
    let mut server = Postgres::start();
    let db = db::open(Target::parse(&server.url()).unwrap())
        .await
        .unwrap();
    server.kill();
    let error = db.rows("SELECT 1", &[]).await.unwrap_err();
    assert!(format!("{error:#}").contains(&server.url()), "{error:#}");
    assert!(cli_error::classify(&error).1.unwrap().contains("start"));
    server.restart();
    assert_eq!(db.rows("SELECT 1", &[]).await.unwrap(), [[Cell::Int(1)]]);
}

#[test]
fn a_proof_by_a_gate_is_refused_where_no_gate_works() {
    let url = "postgres://bob:hunter2@127.0.0.1:1/chat";
    let verify = |arguments: &[&str]| {
        let mut command = crate::common::chatctl();
        command.args(["verify-stream", "--database-url", url]);
        command.args(arguments).output().unwrap()
    };
    let output = verify(&["--server", "http://127.0.0.1:1", "--gate", "proxy"]);
    let (_, stderr) = crate::common::text(&output);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("--proof observe"), "{stderr}");
    assert!(!stderr.contains("hunter2"), "{stderr}");

    let output = verify(&[
        "--proof",
        "observe",
        "--start",
        "cat {database_path} {port}",
    ]);
    let (_, stderr) = crate::common::text(&output);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("use {database_url}"), "{stderr}");
    assert!(!stderr.contains("hunter2"), "{stderr}");
}
