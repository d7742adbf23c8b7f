//! chatctl and sqlx's own migrator on one database: whichever of them applied a file, the other
//! finds nothing left to do, and goes on from there.

use crate::common::backend::Backend;
use crate::common::root;
use crate::common::sites::{Site, TestBed, on_each_bed};
use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::{Connection as _, MySqlConnection, PgConnection, SqliteConnection};
use std::path::Path;

on_each_bed! {
    sqlx_has_nothing_left_to_do
    chatctl_goes_on_where_sqlx_ended
}

on_each_bed! { on_sqlite Sqlite: the_formats_of_sqlx_are_read_as_it_does what_chatctl_left_unfinished_is_dirty_for_sqlx }
on_each_bed! { on_postgres Postgres: the_formats_of_sqlx_are_read_as_it_does what_chatctl_left_unfinished_is_dirty_for_sqlx both_wait_for_each_other }
on_each_bed! { on_mysql Mysql: both_wait_for_each_other what_sqlx_left_dirty_is_settled }

const FIRST: &str = "CREATE TABLE conversation (id BIGINT PRIMARY KEY, title VARCHAR(200) NOT NULL);\n\
    INSERT INTO conversation VALUES (1, 'a; b -- c'), (2, 'ä');\n";
const SECOND: &str =
    "-- no-transaction\r\nCREATE INDEX conversation_title ON conversation (title);\r\n";
const THIRD: &str =
    "ALTER TABLE conversation ADD COLUMN archived BOOLEAN NOT NULL DEFAULT FALSE;\n";

/// sqlx's migrator can't be waited for in another thread.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

/// Runs sqlx's migrator.
fn sqlx_runs(backend: Backend, url: &str, dir: &Path) -> Result<(), MigrateError> {
    wait_for(async {
        let migrator = Migrator::new(dir).await.unwrap();
        match backend {
            Backend::Sqlite => {
                let mut connection = SqliteConnection::connect(url).await.unwrap();
                migrator.run(&mut connection).await
            }
            Backend::Postgres => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                migrator.run(&mut connection).await
            }
            Backend::Mysql => {
                let mut connection = MySqlConnection::connect(url).await.unwrap();
                migrator.run(&mut connection).await
            }
        }
    })
}

#[track_caller]
fn sqlx_is_content(site: &Site) {
    let before = whole(site);
    sqlx_runs(site.backend, &site.url, &site.dir()).unwrap();
    assert_eq!(whole(site), before, "sqlx did something");
}

#[track_caller]
fn chatctl_is_content(site: &Site) {
    let before = whole(site);
    let report = site.up();
    let reason = report["cases"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "every migration is applied already", "{report:#}");
    assert_eq!(whole(site), before, "chatctl did something");
}

/// What is in the database, with every value of the history.
fn whole(site: &Site) -> Vec<String> {
    let text = match site.backend {
        Backend::Mysql => "concat(installed_on, '|', execution_time)",
        _ => "installed_on || '|' || execution_time",
    };
    let mut all = site.contents();
    all.extend(site.texts(&format!(
        "SELECT {text} FROM _sqlx_migrations ORDER BY version"
    )));
    all
}

/// The columns of sqlx's history, as the catalogue has them.
fn columns(site: &Site) -> Vec<String> {
    site.texts(match site.backend {
        Backend::Sqlite => {
            r#"SELECT cid || ' ' || name || ' ' || type || ' ' || "notnull" || ' ' || coalesce(dflt_value, '-') || ' ' || pk
               FROM pragma_table_info('_sqlx_migrations') ORDER BY cid"#
        }
        Backend::Postgres => {
            "SELECT concat_ws(' ', ordinal_position, column_name, data_type, udt_name, is_nullable, coalesce(column_default, '-'),
                (SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '_sqlx_migrations'::regclass AND contype = 'p'))
             FROM information_schema.columns WHERE table_name = '_sqlx_migrations' ORDER BY ordinal_position"
        }
        Backend::Mysql => {
            "SELECT concat_ws(' ', ordinal_position, column_name, column_type, is_nullable, coalesce(column_default, '-'), column_key, extra,
                coalesce(collation_name, '-'))
             FROM information_schema.columns WHERE table_schema = database() AND table_name = '_sqlx_migrations' ORDER BY ordinal_position"
        }
    })
}

/// A database that only sqlx knew, with the same files.
fn twin(bed: &TestBed, site: &Site) -> Site {
    let twin = bed.site("twin");
    sqlx_runs(twin.backend, &twin.url, &site.dir()).unwrap();
    twin
}

#[track_caller]
fn same_as_of_sqlx(site: &Site, twin: &Site) {
    assert_eq!(site.history(), twin.history());
    assert_eq!(columns(site), columns(twin));
    assert_eq!(columns(site).len(), 6);
    assert_eq!(
        site.backend.tables(&site.url),
        twin.backend.tables(&twin.url)
    );
}

fn sqlx_has_nothing_left_to_do(bed: &TestBed) {
    let site = bed.at("talk", &[FIRST, SECOND, THIRD]);
    site.up();
    assert_eq!(site.history().len(), 3);
    sqlx_is_content(&site);
    same_as_of_sqlx(&site, &twin(bed, &site));
}

fn chatctl_goes_on_where_sqlx_ended(bed: &TestBed) {
    let site = bed.site("talk");
    site.file("1_first.sql", FIRST);
    site.file("2_an_index.sql", SECOND);
    sqlx_runs(site.backend, &site.url, &site.dir()).unwrap();
    let before = site.history();
    chatctl_is_content(&site);
    site.file("3_third.sql", THIRD);
    assert_eq!(site.status(), 10);
    let report = site.up();
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 1, "only the third was left: {report:#}");
    let after = site.history();
    assert_eq!((&after[..2], after.len()), (before.as_slice(), 3));
    sqlx_is_content(&site);
    same_as_of_sqlx(&site, &twin(bed, &site));
    site.file(
        "4_fourth.sql",
        "CREATE TABLE note (id BIGINT PRIMARY KEY);\n",
    );
    sqlx_runs(site.backend, &site.url, &site.dir()).unwrap();
    chatctl_is_content(&site);
    assert_eq!(site.status(), 0);
}

/// Reversible files, a byte-order mark, line ends and leading zeros.
fn the_formats_of_sqlx_are_read_as_it_does(bed: &TestBed) {
    let site = bed.site("talk");
    for path in crate::common::sites::files(&root().join("fixtures/formats/sqlx")) {
        std::fs::copy(&path, site.dir().join(path.file_name().unwrap())).unwrap();
    }
    site.up();
    assert_eq!(site.history().len(), 3);
    sqlx_is_content(&site);
}

/// sqlx must not run again what is half there.
fn what_chatctl_left_unfinished_is_dirty_for_sqlx(bed: &TestBed) {
    let half = "-- no-transaction\nCREATE TABLE half (id BIGINT);\nVACUUM;\nCREATE TABLE conversation (id BIGINT);\n";
    let site = bed.at("talk", &[FIRST, half]);
    assert_eq!(site.report(&["up"]).1, 1);
    let refused = sqlx_runs(site.backend, &site.url, &site.dir());
    assert!(
        matches!(refused, Err(MigrateError::Dirty(2))),
        "{refused:?}"
    );
    site.file(
        "2_file.sql",
        &half.replace("TABLE conversation", "TABLE other"),
    );
    site.up();
    sqlx_is_content(&site);
}

/// Both take the same key, so neither begins while the other one migrates.
fn both_wait_for_each_other(bed: &TestBed) {
    let site = bed.at("talk", &[FIRST, THIRD]);
    let waits = || {
        let mut command = site.command(&["up", "--lock-wait", "300ms"]);
        let output = command.output().unwrap();
        (output.status.code(), crate::common::text(&output).1)
    };
    let (exit, told) = wait_for(async {
        match site.backend {
            Backend::Mysql => {
                let mut sqlx = MySqlConnection::connect(&site.url).await.unwrap();
                // sqlx itself asks for -1 seconds, which MariaDB takes for an error and MySQL for
                // ever: on MariaDB it has no lock at all.
                let key = 0x3d32_ad9e * i64::from(crc32fast::hash(b"talk"));
                let lock = format!("SELECT get_lock('{key:x}', 10)");
                let got: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(lock))
                    .fetch_one(&mut sqlx)
                    .await
                    .unwrap();
                assert_eq!(got, 1);
                waits()
            }
            _ => {
                let mut sqlx = PgConnection::connect(&site.url).await.unwrap();
                sqlx.lock().await.unwrap();
                waits()
            }
        }
    });
    assert_eq!(exit, Some(3), "{told}");
    assert!(told.contains("another process migrates"), "{told}");
    assert_eq!(site.history().len(), 1);
    site.up();
    assert_eq!(site.history().len(), 2);
}

/// On MySQL sqlx can't take back what a file did before it failed.
fn what_sqlx_left_dirty_is_settled(bed: &TestBed) {
    for how in ["applied", "retry"] {
        let site = bed.at(
            how,
            &[
                FIRST,
                "CREATE TABLE half (id BIGINT);\nCREATE TABLE half (id BIGINT);\n",
            ],
        );
        sqlx_runs(site.backend, &site.url, &site.dir()).unwrap_err();
        let (status, exit) = site.report(&["status"]);
        assert_eq!(exit, 1, "{status:#}");
        let reason = status["cases"][1]["reason"].as_str().unwrap();
        assert!(reason.starts_with("half applied"), "{status:#}");
        let before = whole(&site);
        let told = site.refused(&["up"]);
        assert!(told.contains("chatctl migrate resolve 2 --as"), "{told}");
        assert_eq!(whole(&site), before);
        let (told, _) = site.passed(&["resolve", "2", "--as", how]);
        if how == "applied" {
            assert_eq!(told, "2  counts as applied\n");
        } else {
            assert_eq!(told, "2  pending again\n");
            assert_eq!(site.status(), 10);
            site.file(
                "2_file.sql",
                "CREATE TABLE IF NOT EXISTS half (id BIGINT);\nCREATE TABLE more (id BIGINT);\n",
            );
            site.up();
        }
        assert_eq!(site.status(), 0);
        sqlx_is_content(&site);
    }
}
