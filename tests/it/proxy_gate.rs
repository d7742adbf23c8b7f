//! The proxy gate in front of real database servers: what it withholds, and what it lets pass.

use crate::common::python;
use crate::common::servers::{MariaDb, Postgres, run_sql, texts};
use crate::common::stores::run;
use chatctl::db::Target;
use chatctl::gate::{
    Carries, CommitGate as _, CommitOutcome, Elsewhere, Hold, Listen, Order, Proxy, Withheld,
};
use sqlx::{Connection as _, Executor as _, MySqlConnection, PgConnection};
use std::time::Duration;

const MAX_HOLD: Duration = Duration::from_secs(20);

fn anywhere() -> Listen {
    Listen::Tcp("127.0.0.1:0".parse().unwrap())
}

/// The URL of a database, by way of the proxy.
fn through(url: &str, proxy: &Proxy) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.address().port())).unwrap();
    url.set_query(None);
    url.to_string()
}

fn hold(nonce: &str) -> Hold<'_> {
    Hold {
        nonce,
        order: Order::Arrival,
        patience: Duration::from_millis(300),
        elsewhere: Elsewhere::Flows,
    }
}

/// What is withheld, once so many are.
async fn until(proxy: &mut Proxy, count: usize) -> Vec<Withheld> {
    let mut changes = proxy.changes();
    let all = async {
        loop {
            let withheld = proxy.withheld().await.unwrap();
            if withheld.len() == count {
                return withheld;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .unwrap()
}

#[test]
fn a_commit_is_withheld_then_its_answer() {
    let server = Postgres::start();
    let url = server.database("withheld");
    run_sql(
        &url,
        "CREATE TABLE message (id serial PRIMARY KEY, content text)",
    );
    let rows = || texts(&url, "SELECT content FROM message");
    run(async {
        let target = Target::parse(&url).unwrap();
        let mut proxy = Proxy::listen(&anywhere(), &target, MAX_HOLD).unwrap();
        let mut app = PgConnection::connect(&through(&url, &proxy)).await.unwrap();
        assert_eq!(proxy.connections(), 1);
        proxy.close(hold("nonce-1")).await.unwrap();
        let mut save = tokio::spawn(async move {
            let mut transaction = app.begin().await.unwrap();
            sqlx::query("INSERT INTO message (content) VALUES ($1)")
                .bind("the answer nonce-1")
                .execute(&mut *transaction)
                .await
                .unwrap();
            transaction.commit().await.unwrap();
            app
        });
        let withheld = until(&mut proxy, 1).await;
        assert_eq!(withheld[0].what, "COMMIT");
        assert_eq!(withheld[0].carries, Carries::Answer);
        assert!(
            withheld[0]
                .statements
                .iter()
                .any(|text| text.starts_with("INSERT INTO message"))
        );
        assert!(rows().is_empty());

        let passed = proxy.pass(withheld[0].id).await.unwrap();
        assert_eq!(passed.outcome, CommitOutcome::Done);
        assert_eq!(rows(), ["the answer nonce-1"]);
        // The server does not know it yet.
        let early = tokio::time::timeout(Duration::from_millis(200), &mut save).await;
        assert!(early.is_err());
        proxy.answer(withheld[0].id).await.unwrap();
        let mut app = save.await.unwrap();

        // Outside of a transaction the statement itself is withheld; reads pass.
        let mut write = tokio::spawn(async move {
            app.execute("SELECT count(*) FROM message").await.unwrap();
            sqlx::query("INSERT INTO message (content) VALUES ($1)")
                .bind("another")
                .execute(&mut app)
                .await
                .unwrap();
            app
        });
        let withheld = until(&mut proxy, 1).await;
        assert_eq!(
            withheld[0].what,
            "INSERT INTO message (content) VALUES ($1)"
        );
        assert_eq!(withheld[0].carries, Carries::Other);
        assert_eq!(rows().len(), 1);
        proxy.pass(withheld[0].id).await.unwrap();
        assert_eq!(rows().len(), 2);
        assert!(
            tokio::time::timeout(Duration::from_millis(100), &mut write)
                .await
                .is_err()
        );

        // Opening gives what is withheld.
        proxy.open().await.unwrap();
        let mut app = write.await.unwrap();
        app.execute("INSERT INTO message (content) VALUES ('free')")
            .await
            .unwrap();
        assert_eq!(rows().len(), 3);
        app.close().await.unwrap();
    });
}

#[test]
fn on_mariadb_too_a_commit_is_withheld_then_its_answer() {
    let server = MariaDb::start();
    let url = server.database("withheld");
    run_sql(
        &url,
        "CREATE TABLE message (id int PRIMARY KEY AUTO_INCREMENT, content text)",
    );
    let rows = || texts(&url, "SELECT content FROM message");
    run(async {
        let target = Target::parse(&url).unwrap();
        let mut proxy = Proxy::listen(&anywhere(), &target, MAX_HOLD).unwrap();
        let mut app = MySqlConnection::connect(&through(&url, &proxy))
            .await
            .unwrap();
        proxy.close(hold("nonce-1")).await.unwrap();
        let mut save = tokio::spawn(async move {
            let mut transaction = app.begin().await.unwrap();
            sqlx::query("INSERT INTO message (content) VALUES (?)")
                .bind("the answer nonce-1")
                .execute(&mut *transaction)
                .await
                .unwrap();
            transaction.commit().await.unwrap();
            app
        });
        let withheld = until(&mut proxy, 1).await;
        assert_eq!(withheld[0].what, "COMMIT");
        assert_eq!(withheld[0].carries, Carries::Answer);
        assert!(rows().is_empty());
        let passed = proxy.pass(withheld[0].id).await.unwrap();
        assert_eq!(passed.outcome, CommitOutcome::Done);
        assert_eq!(rows(), ["the answer nonce-1"]);
        assert!(
            tokio::time::timeout(Duration::from_millis(200), &mut save)
                .await
                .is_err()
        );
        proxy.answer(withheld[0].id).await.unwrap();
        let mut app = save.await.unwrap();

        let write = tokio::spawn(async move {
            app.execute("SELECT count(*) FROM message").await.unwrap();
            app.execute("INSERT INTO message (content) VALUES ('another')")
                .await
                .unwrap();
            app
        });
        let withheld = until(&mut proxy, 1).await;
        assert_eq!(withheld[0].carries, Carries::Other);
        assert_eq!(rows().len(), 1);
        proxy.open().await.unwrap();
        let app = write.await.unwrap();
        assert_eq!(rows().len(), 2);
        app.close().await.unwrap();
    });
}

/// What a server does that gives up a part of its transaction: the request to cancel reaches the
/// withheld statement.
const CANCELS_INSIDE: &str = r#"
import os, threading, psycopg
with psycopg.connect(os.environ["URL"]) as connection:
    connection.execute("INSERT INTO message (content) VALUES ('the question')")
    connection.execute("SAVEPOINT answer")
    threading.Timer(0.3, connection.cancel).start()
    try:
        connection.execute("CALL keep()")
    except psycopg.errors.QueryCanceled:
        connection.execute("ROLLBACK TO answer")
"#;

#[test]
fn a_statement_that_is_cancelled_in_a_transaction_leaves_the_rest_of_it() {
    let server = Postgres::start();
    let url = server.database("cancelled");
    run_sql(
        &url,
        "CREATE TABLE message (id serial PRIMARY KEY, content text);
         CREATE PROCEDURE keep() LANGUAGE sql AS $$ INSERT INTO message (content) VALUES ('the answer') $$",
    );
    run(async {
        let target = Target::parse(&url).unwrap();
        let mut proxy = Proxy::listen(&anywhere(), &target, MAX_HOLD).unwrap();
        proxy.close(hold("nonce-1")).await.unwrap();
        let mut app = tokio::process::Command::new(python())
            .args(["-c", CANCELS_INSIDE])
            .env("URL", through(&url, &proxy))
            .spawn()
            .unwrap();
        let withheld = until(&mut proxy, 1).await;
        assert_eq!(withheld[0].what, "CALL keep()");
        until(&mut proxy, 0).await;
        let withheld = until(&mut proxy, 1).await;
        assert_eq!(withheld[0].what, "COMMIT");
        let passed = proxy.pass(withheld[0].id).await.unwrap();
        assert_eq!(passed.outcome, CommitOutcome::Done);
        proxy.open().await.unwrap();
        assert!(app.wait().await.unwrap().success());
        assert_eq!(proxy.traffic().await.unwrap().unwrap().cancelled, 1);
    });
    assert_eq!(texts(&url, "SELECT content FROM message"), ["the question"]);
}

#[test]
fn on_mariadb_a_withheld_statement_is_cancelled_by_another_connection() {
    let server = MariaDb::start();
    let url = server.database("cancelled");
    run_sql(
        &url,
        "CREATE TABLE message (id int PRIMARY KEY AUTO_INCREMENT, content text)",
    );
    run(async {
        let target = Target::parse(&url).unwrap();
        let mut proxy = Proxy::listen(&anywhere(), &target, MAX_HOLD).unwrap();
        let through = through(&url, &proxy);
        let mut app = MySqlConnection::connect(&through).await.unwrap();
        let mut other = MySqlConnection::connect(&through).await.unwrap();
        let number: i64 = sqlx::query_scalar("SELECT CONVERT(connection_id(), SIGNED)")
            .fetch_one(&mut app)
            .await
            .unwrap();
        proxy.close(hold("nonce-1")).await.unwrap();
        let save = tokio::spawn(async move {
            let sql = "INSERT INTO message (content) VALUES ('nonce-1')";
            let saved = app.execute(sql).await;
            // What comes next is not cancelled.
            app.execute("SELECT 1").await.unwrap();
            saved.unwrap_err().to_string()
        });
        until(&mut proxy, 1).await;
        let kill = format!("KILL QUERY {number}");
        other.execute(sqlx::AssertSqlSafe(kill)).await.unwrap();
        other.execute("SELECT 1").await.unwrap();
        let error = save.await.unwrap();
        assert!(error.contains("interrupted"), "{error}");
        assert!(proxy.withheld().await.unwrap().is_empty());
        assert_eq!(proxy.traffic().await.unwrap().unwrap().cancelled, 1);
        proxy.open().await.unwrap();
    });
    assert!(texts(&url, "SELECT content FROM message").is_empty());
}
