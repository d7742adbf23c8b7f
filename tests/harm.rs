//! What `chatctl inspect sql` is asked in the worst case, on each backend, with all rights: whatever
//! it is, every row, table, file, session and lock is there afterwards as it was before.
#![allow(clippy::unwrap_used)]

mod common;

use common::chatctl;
use common::root;
use common::servers::run_sql;
use common::servers::texts;
use common::stores::Store;
use common::stores::execute;
use common::stores::run;
use common::text;
use nix::sys::stat::Mode;
use sqlx::Connection as _;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The fewest inputs that a backend is tried with.
const FEWEST: usize = 30;

/// Each input of a backend, and what must come of it.
fn inputs(backend: &str) -> Vec<(String, String)> {
    let path = root().join(format!("fixtures/harm/{backend}.sql"));
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("--"));
    let inputs: Vec<_> = lines
        .map(|line| line.split_once('\t').unwrap())
        .map(|(outcome, sql)| (outcome.to_owned(), sql.to_owned()))
        .collect();
    assert!(inputs.len() >= FEWEST);
    inputs
}

/// Runs each input, and looks after each whether everything is as it was.
fn try_all(store: &Store, backend: &str, folder: &Path, pid: &str, look: impl Fn() -> Vec<String>) {
    let before = look();
    let mut wrong = Vec::new();
    for (outcome, sql) in inputs(backend) {
        let sql = sql
            .replace("{pid}", pid)
            .replace("{folder}", folder.to_str().unwrap());
        let output = chatctl()
            .args([
                "inspect",
                "sql",
                "--timeout",
                "200ms",
                "--database-url",
                &store.url(),
                &sql,
            ])
            .current_dir(folder)
            .output()
            .unwrap();
        let (out, err) = text(&output);
        let code = output.status.code();
        let as_said = match outcome.as_str() {
            "refused" => code == Some(4) && out.is_empty() && err.contains("the query is refused"),
            // It reads, is wrong, or takes too long.
            "impotent" => matches!(code, Some(0 | 2 | 3)),
            other => panic!("`{other}` is no outcome"),
        };
        if !as_said {
            wrong.push(format!("{sql}: not {outcome}, but {code:?}: {err}"));
        }
        let after = look();
        assert_eq!(after, before, "after {sql}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The files of a folder, with their content.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let told: BTreeSet<_> = entries
        .map(|path| format!("{} {:?}", path.display(), fs::read(&path).unwrap()))
        .collect();
    told.into_iter().collect()
}

const ROWS: &str = "INSERT INTO message VALUES (1, 'buy milk'), (2, 'bought')";

#[test]
fn nothing_harms_sqlite() {
    let store = Store::sqlite();
    run(async {
        let db = store.open().await;
        execute(&*db, &format!("CREATE TABLE message (id INTEGER PRIMARY KEY, content TEXT); CREATE INDEX i ON message (content); {ROWS}")).await;
    });
    let Store::Sqlite(folder) = &store else {
        unreachable!("it was made so");
    };
    let path = folder.path().to_owned();
    // Byte for byte the same file, and none beside it.
    try_all(&store, "sqlite", &path, "1", || files(&path));
}

/// A folder that the server could write into.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fd = fs::File::open(folder.path()).unwrap();
    nix::sys::stat::fchmod(&fd, Mode::from_bits_truncate(0o777)).unwrap();
    folder
}

#[test]
fn nothing_harms_postgres() {
    let store = Store::postgres();
    let url = store.url();
    run_sql(
        &url,
        &format!(
            "CREATE TABLE message (id int PRIMARY KEY, content text); {ROWS}; CREATE SEQUENCE message_seq;
             CREATE FUNCTION own_harm() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
                PERFORM pg_advisory_lock(7); RETURN 1; END $$;
             CREATE FUNCTION stable_harm() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN
                DELETE FROM message; RETURN 1; END $$;"
        ),
    );
    let folder = open_folder();
    // Another session, which must live on.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut other = runtime.block_on(sqlx::PgConnection::connect(&url)).unwrap();
    let pid: i32 = runtime
        .block_on(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut other))
        .unwrap();
    let look = || {
        let mut seen = texts(
            &url,
            "SELECT string_agg(m::text, ' ' ORDER BY id) FROM message m
             UNION ALL (SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1)
             UNION ALL SELECT last_value || ' ' || is_called FROM message_seq
             UNION ALL SELECT count(*)::text FROM pg_largeobject_metadata
             UNION ALL SELECT count(*)::text FROM pg_replication_slots
             UNION ALL SELECT pg_conf_load_time()::text",
        );
        let locks = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'";
        seen.extend(texts(&url, locks));
        seen.extend(texts(
            &url,
            &format!("SELECT pid::text FROM pg_stat_activity WHERE pid = {pid}"),
        ));
        seen.extend(files(folder.path()));
        seen
    };
    try_all(&store, "postgres", folder.path(), &pid.to_string(), look);
    runtime.block_on(other.ping()).unwrap();
    // Nothing of ours is left running.
    let left = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'chatctl' AND state = 'active'";
    assert_eq!(texts(&url, left), ["0"]);
}

#[test]
fn nothing_harms_mysql() {
    let store = Store::mysql();
    let url = store.url();
    run_sql(
        &url,
        &format!(
            "CREATE TABLE message (id int PRIMARY KEY, content text); {ROWS}; CREATE SEQUENCE message_seq;
             CREATE FUNCTION own_harm() RETURNS int MODIFIES SQL DATA BEGIN DELETE FROM message; RETURN 1; END"
        ),
    );
    let folder = open_folder();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut other = runtime
        .block_on(sqlx::MySqlConnection::connect(&url))
        .unwrap();
    let pid: u64 = runtime
        .block_on(sqlx::query_scalar("SELECT connection_id()").fetch_one(&mut other))
        .unwrap();
    let look = || {
        let mut seen = texts(
            &url,
            "SELECT concat_ws(' ', id, content) FROM message ORDER BY id",
        );
        seen.extend(texts(&url, "SHOW TABLES"));
        seen.extend(texts(
            &url,
            "SELECT CAST(next_not_cached_value AS CHAR) FROM message_seq",
        ));
        seen.extend(texts(&url, "SELECT CAST(@@global.max_connections AS CHAR)"));
        seen.extend(texts(&url, "SELECT CAST(is_used_lock('harm') AS CHAR)"));
        seen.extend(texts(&url, "SELECT user FROM mysql.user ORDER BY user"));
        let alive =
            format!("SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE id = {pid}");
        seen.extend(texts(&url, &alive));
        seen.extend(files(folder.path()));
        seen
    };
    try_all(&store, "mysql", folder.path(), &pid.to_string(), look);
    runtime.block_on(other.ping()).unwrap();
}
