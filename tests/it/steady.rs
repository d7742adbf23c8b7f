//! A view shows one moment, whatever is done to the store under it, and is in nobody's way.

use crate::common::stores::{Store, execute, on_each_backend, run};
use chatctl::db;
use chatctl::db::{Db, SnapshotRead, Target};
use chatctl::model::{Cell, CellRef};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ROWS: i64 = 1000;
const LONG: Duration = Duration::from_secs(60);

on_each_backend! {
    a_view_shows_one_moment_while_others_write
    a_table_is_not_redefined_under_a_view
    a_table_redefined_again_and_again_is_never_seen_short
    a_view_ends_at_its_limit
    a_scan_may_break_off
}

#[test]
fn views_of_postgres_are_of_one_moment() {
    run(several_views_are_of_one_moment(&Store::postgres()));
}

#[test]
fn views_of_mariadb_are_of_one_moment() {
    run(several_views_are_of_one_moment(&Store::mysql()));
}

async fn filled(store: &Store) -> Box<dyn Db> {
    let db = store.open().await;
    let values: Vec<_> = (0..ROWS).map(|id| format!("({id}, 'row {id}')")).collect();
    let text = store.pick("TEXT", "text", "LONGTEXT");
    let sql = format!(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, content {text}); INSERT INTO t VALUES {}",
        values.join(", ")
    );
    execute(db.as_ref(), &sql).await;
    db
}

async fn count(db: &dyn Db) -> anyhow::Result<i64> {
    let rows = db.rows("SELECT count(*) FROM t", &[]).await?;
    Ok(rows[0][0].int().unwrap())
}

async fn scanned(db: &dyn Db) -> anyhow::Result<i64> {
    let mut rows = 0;
    let mut each = |_: &[CellRef<'_>]| {
        rows += 1;
        Ok(ControlFlow::Continue(()))
    };
    db.scan("SELECT id, content FROM t", &[], &mut each).await?;
    Ok(rows)
}

async fn view(db: &dyn Db) -> anyhow::Result<Box<dyn SnapshotRead>> {
    db::open_snapshot_read(db.target().clone(), &["t".to_owned()], LONG).await
}

async fn a_view_shows_one_moment_while_others_write(store: &Store) {
    let db = filled(store).await;
    let view = view(db.as_ref()).await.unwrap();
    let write = "INSERT INTO t VALUES (5000, 'new'); DELETE FROM t WHERE id < 10";
    execute(db.as_ref(), write).await;
    assert_eq!(count(db.as_ref()).await.unwrap(), ROWS - 9);
    assert_eq!(count(view.as_ref()).await.unwrap(), ROWS);
    assert_eq!(scanned(view.as_ref()).await.unwrap(), ROWS);
    assert_eq!(scanned(db.as_ref()).await.unwrap(), ROWS - 9);
    assert_eq!(view.schema().await.unwrap().len(), 1);
    view.unchanged().await.unwrap();
    assert!(view.writer(Duration::ZERO).await.is_err());
    let told = view.moment().snapshot.is_some();
    assert_eq!(told, matches!(store, Store::Postgres(_)));
}

async fn a_table_is_not_redefined_under_a_view(store: &Store) {
    let db = filled(store).await;
    let view = view(db.as_ref()).await.unwrap();
    let mut writer = db.writer(Duration::from_millis(300)).await.unwrap();
    let dropped = writer.execute("DROP TABLE t").await;
    // SQLite's readers see what was, and let others do what they like.
    assert_eq!(dropped.is_ok(), matches!(store, Store::Sqlite(_)));
    assert_eq!(scanned(view.as_ref()).await.unwrap(), ROWS);
    view.unchanged().await.unwrap();
    drop(view);
    let dropped = writer.execute("DROP TABLE IF EXISTS t").await;
    assert!(dropped.is_ok(), "{dropped:?}");
}

/// Another process replaces the table by one with the same rows, in one step. A reader whose
/// moment is before the step and whose first read is after it would see no row at all.
async fn a_table_redefined_again_and_again_is_never_seen_short(store: &Store) {
    let db = filled(store).await;
    let replace = store.pick(
        "BEGIN IMMEDIATE; CREATE TABLE n AS SELECT * FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t; COMMIT",
        "BEGIN; CREATE TEMP TABLE n ON COMMIT DROP AS SELECT * FROM t; TRUNCATE t; INSERT INTO t SELECT * FROM n; COMMIT",
        "CREATE TABLE n LIKE t; INSERT INTO n SELECT * FROM t; RENAME TABLE t TO o, n TO t; DROP TABLE o",
    );
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| {
            run(async {
                let mut writer = store.open().await.writer(LONG).await.unwrap();
                while !done.load(Ordering::Relaxed) {
                    writer.execute(replace).await.unwrap();
                    // Without a pause, SQLite would let no reader in at all.
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        });
        let reading = scope.spawn(|| {
            let mut seen = Vec::new();
            run(async {
                for _ in 0..30 {
                    let counted = async {
                        let view = view(db.as_ref()).await?;
                        let counted = scanned(view.as_ref()).await?;
                        view.unchanged().await?;
                        anyhow::Ok(counted)
                    };
                    seen.push(counted.await);
                }
            });
            done.store(true, Ordering::Relaxed);
            seen
        });
        reading.join().unwrap()
    });
    let mut whole = 0;
    for counted in seen {
        match counted {
            Ok(counted) => {
                assert_eq!(counted, ROWS);
                whole += 1;
            }
            Err(error) => assert!(format!("{error:#}").contains("redefined"), "{error:#}"),
        }
    }
    assert!(whole > 0);
}

/// What is taken from one row is given to another in the same transaction, so that the sum over
/// views which see other moments would be another one.
async fn several_views_are_of_one_moment(store: &Store) {
    const VIEWS: usize = 4;
    const WRITERS: u64 = 4;
    let db = filled(store).await;
    execute(
        db.as_ref(),
        "ALTER TABLE t ADD COLUMN coins BIGINT NOT NULL DEFAULT 100",
    )
    .await;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..WRITERS {
            let done = &done;
            scope.spawn(move || {
                run(async {
                    let mut writer = store.open().await.writer(LONG).await.unwrap();
                    let mut random = fastrand::Rng::with_seed(seed);
                    while !done.load(Ordering::Relaxed) {
                        // The lower one first, so that no two wait for each other.
                        let from = random.i64(0..ROWS - 1);
                        let (to, coins) = (random.i64(from + 1..ROWS), random.i64(1..9));
                        let give = format!(
                            "BEGIN; UPDATE t SET coins = coins - {coins} WHERE id = {from}; \
                             UPDATE t SET coins = coins + {coins} WHERE id = {to}; COMMIT"
                        );
                        writer.execute(&give).await.unwrap();
                    }
                });
            });
        }
        let counting = scope.spawn(|| {
            run(async {
                let tables = ["t".to_owned()];
                for _ in 0..20 {
                    let target = Target::parse(&store.url()).unwrap();
                    let views = db::open_several_snapshot_reads(target, &tables, LONG, VIEWS).await;
                    let views = views.unwrap();
                    assert_eq!(views.len(), VIEWS, "{:?}", views[0].moment().warnings);
                    let mut coins = 0;
                    for (view, at) in views.iter().zip(0..) {
                        let sql = format!(
                            "SELECT CAST(sum(coins) AS CHAR(20)) FROM t WHERE id % {VIEWS} = {at}"
                        );
                        let rows = view.rows(&sql, &[]).await.unwrap();
                        coins += rows[0][0].text().unwrap().trim().parse::<i64>().unwrap();
                        view.unchanged().await.unwrap();
                    }
                    assert_eq!(coins, 100 * ROWS);
                }
            });
        });
        let counted = counting.join();
        done.store(true, Ordering::Relaxed);
        counted.unwrap();
    });
}

/// Connections to SQLite can't share a moment, and say so.
#[test]
fn views_of_sqlite_are_one() {
    let folder = tempfile::tempdir().unwrap();
    rusqlite::Connection::open(folder.path().join("chat.db"))
        .unwrap()
        .execute_batch(WAL)
        .unwrap();
    run(async {
        let views = db::open_several_snapshot_reads(sqlite(folder.path()), &[], LONG, 3).await;
        let views = views.unwrap();
        assert_eq!(views.len(), 1);
        assert!(views[0].moment().warnings[0].contains("cannot share a snapshot"));
    });
}

async fn a_view_ends_at_its_limit(store: &Store) {
    let db = filled(store).await;
    let view = db::open_snapshot_read(db.target().clone(), &[], Duration::from_millis(200))
        .await
        .unwrap();
    let endless = "SELECT count(*) FROM t a, t b, t c, t d WHERE a.id + b.id < c.id - d.id";
    for _ in 0..2 {
        assert!(view.rows(endless, &[]).await.is_err());
    }
    assert!(view.unchanged().await.is_err());
    assert_eq!(count(db.as_ref()).await.unwrap(), ROWS);
}

async fn a_scan_may_break_off(store: &Store) {
    let db = filled(store).await;
    let view = view(db.as_ref()).await.unwrap();
    for db in [db.as_ref(), view.as_ref() as &dyn Db] {
        let mut ids = Vec::new();
        let mut each = |row: &[CellRef<'_>]| {
            ids.push(Cell::from(row[0]));
            Ok(match ids.len() {
                3 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
        };
        let args = [Cell::Text("row 997".to_owned())];
        db.scan(
            "SELECT id FROM t WHERE content <> ? ORDER BY id DESC",
            &args,
            &mut each,
        )
        .await
        .unwrap();
        assert_eq!(ids, [999, 998, 996].map(Cell::Int));
        assert_eq!(count(db).await.unwrap(), ROWS);
    }
}

fn sqlite(folder: &Path) -> Target {
    Target::parse(&format!("sqlite:{}/chat.db", folder.display())).unwrap()
}

/// The names and sizes of the files of a folder.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, entry.metadata().unwrap().len())
        })
        .collect();
    files.sort();
    files
}

const WAL: &str = "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)";

async fn counted(folder: &Path) -> i64 {
    let view = db::open_snapshot_read(sqlite(folder), &[], LONG)
        .await
        .unwrap();
    count(view.as_ref()).await.unwrap()
}

/// The files of a folder and what is in them, as a copy of the whole folder.
fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for (name, _) in files(from) {
        fs::copy(from.join(&name), to.path().join(&name)).unwrap();
    }
    to
}

#[test]
fn nothing_is_left_next_to_a_database_that_nobody_uses() {
    let folder = tempfile::tempdir().unwrap();
    let app = rusqlite::Connection::open(folder.path().join("chat.db")).unwrap();
    app.execute_batch(WAL).unwrap();
    drop(app);
    let before = files(folder.path());
    run(async { assert_eq!(counted(folder.path()).await, 2) });
    assert_eq!(files(folder.path()), before);
    assert_eq!(before.len(), 1);
}

#[test]
fn the_log_of_a_killed_server_is_left_to_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let app = rusqlite::Connection::open(folder.path().join("chat.db")).unwrap();
    app.execute_batch(WAL).unwrap();
    // As it is on the disk while the server runs is how a killed one leaves it.
    let killed = copied(folder.path());
    let before = files(killed.path());
    assert!(
        before
            .iter()
            .any(|(name, size)| name == "chat.db-wal" && *size > 0)
    );
    run(async { assert_eq!(counted(killed.path()).await, 2) });
    assert_eq!(files(killed.path()), before);
}

#[test]
fn what_a_server_writes_while_it_is_read_stays_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(WAL)
        .unwrap();
    run(async {
        let view = db::open_snapshot_read(sqlite(folder.path()), &[], LONG)
            .await
            .unwrap();
        let app = rusqlite::Connection::open(&path).unwrap();
        app.execute_batch("INSERT INTO t VALUES (3); CREATE TABLE u (a)")
            .unwrap();
        assert_eq!(count(view.as_ref()).await.unwrap(), 2);
        drop(app);
        drop(view);
        assert_eq!(counted(folder.path()).await, 3);
    });
}

#[test]
fn a_text_that_is_none_is_read_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let app = rusqlite::Connection::open(folder.path().join("chat.db")).unwrap();
    app.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (CAST(x'61ff62' AS TEXT))")
        .unwrap();
    run(async {
        let view = db::open_snapshot_read(sqlite(folder.path()), &[], LONG)
            .await
            .unwrap();
        let rows = view.rows("SELECT a FROM t", &[]).await.unwrap();
        assert_eq!(rows[0][0], Cell::Text("a\u{fffd}b".to_owned()));
    });
    app.execute_batch("INSERT INTO t VALUES (1)").unwrap();
}
