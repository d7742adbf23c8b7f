//! Locks on a database server where no commit can be withheld: the ordered modes under each, the
//! rights that each needs, and what is left when chatctl is killed or stopped.

use crate::common::servers::{MariaDb, Postgres, run_sql, texts};
use crate::common::{Chat, Turn, case, chatctl, python, root, side_by_side, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection as _, MySqlConnection, PgConnection};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest hold of the runs that are killed; the database itself ends a session two seconds later.
const MAX_HOLD: Duration = Duration::from_millis(1500);
/// How long a run may take until its gate is where a test wants it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which modes the trigger decides, and how. One that it leaves open is never wrong: a right one is
/// never violated, a wrong one never proven.
const MODES: [(&str, &[&str]); 6] = [
    ("save_touch", &["proven", "inconclusive"]),
    ("long_tx_correct", &["proven", "inconclusive"]),
    ("after", &["violated"]),
    ("long_tx_after", &["violated", "inconclusive"]),
    ("conc_writer", &["violated", "inconclusive"]),
    ("flush_after", &["violated", "inconclusive"]),
];

/// A table lock holds back statements, not commits: it finds violations, and proves nothing.
const MODES_OF_TABLE_LOCK: [(&str, &[&str]); 5] = [
    ("correct", &["inconclusive"]),
    ("after", &["violated"]),
    ("create_task", &["violated"]),
    ("conc_writer", &["violated"]),
    ("flush_after", &["violated", "inconclusive"]),
];

fn ordered(
    gate: &str,
    modes: &[(&'static str, &[&str])],
    database: impl Fn(&str) -> String + Sync,
    drivers: &[(&str, &str)],
) {
    let cases: Vec<_> = modes.iter().zip(drivers.iter().cycle()).collect();
    side_by_side(&cases, |((mode, wanted), (stack, driver))| {
        let chat = Chat::new(mode).stack(stack).on(database(mode), driver);
        let (report, _) = chat.report(&["--proof", "gate", "--gate", gate, "--trials", "3"]);
        let verdict = case(&report, "/order")["verdict"].as_str().unwrap();
        assert!(
            wanted.contains(&verdict),
            "{mode} with {driver}: {verdict}: {report:#}"
        );
    });
}

const ON_POSTGRES: [(&str, &str); 2] = [("async", "asyncpg"), ("sync", "psycopg2")];

#[test]
fn the_constraint_trigger_tells_the_order() {
    let server = Postgres::start();
    ordered(
        "constraint-trigger",
        &MODES,
        |mode| server.database(mode),
        &ON_POSTGRES,
    );
}

/// Whether the lock is taken again before the marker comes is a question of the scheduler: on a busy
/// machine not always, and never in no trial.
#[test]
fn the_constraint_trigger_proves_a_right_server() {
    let server = Postgres::start();
    let url = server.database("correct");
    let chat = Chat::alone("correct")
        .stack("async")
        .on(url.clone(), "asyncpg");
    let gate = ["--proof", "gate", "--gate", "constraint-trigger"];
    let (report, _) = chat.report(&[&gate[..], &["--trials", "3"]].concat());
    let order = case(&report, "/order");
    assert!(
        ["proven", "inconclusive"].contains(&order["verdict"].as_str().unwrap()),
        "{report:#}"
    );
    assert!(
        order["metrics"]["trials_proven"].as_f64() >= Some(1.0),
        "{report:#}"
    );
    assert_eq!(left(&url), "");
}

#[test]
fn the_table_lock_tells_the_order_on_postgresql() {
    let server = Postgres::start();
    ordered(
        "table-lock",
        &MODES_OF_TABLE_LOCK,
        |mode| server.database(mode),
        &ON_POSTGRES,
    );
}

#[test]
fn the_table_lock_tells_the_order_on_mariadb() {
    let server = MariaDb::start();
    ordered(
        "table-lock",
        &MODES_OF_TABLE_LOCK,
        |mode| server.database(mode),
        &[("async", "aiomysql"), ("sync", "pymysql")],
    );
}

/// How long until this holds.
fn until(patience: Duration, holds: impl Fn() -> bool) -> Option<Duration> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if holds() {
            return Some(began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// A session of the test's own that executed a statement, and keeps what it got by that until it is
/// dropped.
struct Keeping {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeping {
    fn start(url: &str, sql: &str) -> Self {
        let (end, ended) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        let (url, sql) = (url.to_owned(), sql.to_owned());
        let thread = std::thread::spawn(move || {
            macro_rules! keep {
                ($connection:ty) => {{
                    let mut connection = <$connection>::connect(&url).await.unwrap();
                    let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.as_str()));
                    statements.execute(&mut connection).await.unwrap();
                    began.send(()).unwrap();
                    // Ends when the other side is dropped.
                    let _ = ended.recv();
                    connection.close().await.unwrap();
                }};
            }
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(async {
                if url.starts_with("postgres") {
                    keep!(PgConnection);
                } else {
                    keep!(MySqlConnection);
                }
            });
        });
        begun.recv().unwrap();
        Self {
            end: Some(end),
            thread: Some(thread),
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.end = None;
        let ended = self.thread.take().unwrap().join();
        // A test that fails already must not abort the program.
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// What of chatctl is in a database: its sessions, triggers and functions.
fn left(url: &str) -> String {
    let all = "SELECT 'session ' || pid::text || ' ' || query FROM pg_stat_activity \
         WHERE application_name = 'chatctl' AND datname = current_database() \
         UNION ALL SELECT 'trigger on ' || tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'chatctl_gate' \
         UNION ALL SELECT 'function ' || proname::text FROM pg_proc WHERE proname LIKE 'chatctl%'";
    texts(url, all).join("; ")
}

/// The locks of a gate that chatctl's sessions have, or wait for, in this database.
fn locks(url: &str, gate: &str, granted: bool) -> Vec<String> {
    let (kind, mode) = match gate {
        "table-lock" => ("relation", "ShareRowExclusiveLock"),
        _ => ("advisory", "ExclusiveLock"),
    };
    let has = if granted { "" } else { "NOT" };
    let sql = format!(
        "SELECT coalesce(classid::text || ', ' || objid::text, 'table') FROM pg_locks l \
         JOIN pg_stat_activity a USING (pid) WHERE {has} l.granted AND l.locktype = '{kind}' \
         AND l.mode = '{mode}' AND a.application_name = 'chatctl' AND a.datname = current_database()"
    );
    texts(url, &sql)
}

/// Where a gate is when chatctl is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// It makes its trigger, and waits for somebody's transaction.
    Making,
    /// It waits for its lock.
    Queued,
    /// It has its lock.
    Holding,
    /// It let a writer pass, and waits behind that one.
    TakingAgain,
}

/// A run with a lock as its gate, and the small server.
fn verify(url: &str, gate: &str) -> Command {
    let hold = format!("{}ms", MAX_HOLD.as_millis());
    let start = format!(
        "{} {} --port {{port}} --gateway {{gateway_url}}",
        python().display(),
        root().join("tests/servers/drivers.py").display(),
    );
    let mut command = chatctl();
    command
        .args(["verify-stream", "--ready", "/health", "--proof", "gate"])
        .args(["--gate", gate, "--hold", &hold, "--max-hold", &hold])
        .args(["--database-url", url, "--start", &start])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A save of an answer takes two seconds for as long as the table `slow` has a row.
const SLOW: &str = "CREATE TABLE slow (now int); \
    CREATE FUNCTION zz_slow() RETURNS trigger LANGUAGE plpgsql AS \
    $$BEGIN IF EXISTS (SELECT 1 FROM slow) THEN PERFORM pg_sleep(2); END IF; RETURN NULL; END$$; \
    CREATE TABLE IF NOT EXISTS message (id bigserial PRIMARY KEY, conversation_id text NOT NULL, \
    role text NOT NULL, content text NOT NULL); \
    CREATE CONSTRAINT TRIGGER zz_slow AFTER INSERT ON message DEFERRABLE INITIALLY DEFERRED \
    FOR EACH ROW EXECUTE PROCEDURE zz_slow()";

/// Runs chatctl until its gate is there. What keeps it there goes on until it is dropped.
fn brought(url: &str, gate: &str, at: At) -> (Child, Option<Keeping>) {
    run_sql(url, SLOW);
    let until = |what: &str, holds: &dyn Fn() -> bool| {
        assert!(until(PATIENCE, holds).is_some(), "{gate}: {at:?}: {what}");
    };
    let child = verify(url, gate).spawn().unwrap();
    match at {
        At::Making => {
            // Two chats are enough for the table to be known, and the gate is not made yet.
            until("no chat", &|| {
                !texts(url, "SELECT id::text FROM message").is_empty()
            });
            let writes = Keeping::start(url, "BEGIN; LOCK TABLE message IN ROW EXCLUSIVE MODE");
            let making = "SELECT pid::text FROM pg_stat_activity WHERE application_name = 'chatctl' \
                 AND wait_event_type = 'Lock' AND query LIKE '%CREATE CONSTRAINT TRIGGER%'";
            until("it never waits", &|| !texts(url, making).is_empty());
            (child, Some(writes))
        }
        At::Queued if gate == "table-lock" => {
            until("no chat", &|| {
                !texts(url, "SELECT id::text FROM message").is_empty()
            });
            let writes = Keeping::start(url, "BEGIN; LOCK TABLE message IN ROW EXCLUSIVE MODE");
            until("it never waits", &|| !locks(url, gate, false).is_empty());
            (child, Some(writes))
        }
        At::Queued => {
            let mut key = Vec::new();
            let deadline = Instant::now() + PATIENCE;
            while key.is_empty() {
                assert!(Instant::now() < deadline, "{gate}: {at:?}: no lock");
                key = locks(url, gate, true);
            }
            let shares = format!("SELECT pg_advisory_lock_shared({})", key[0]);
            let shares = Keeping::start(url, &shares);
            until("it never waits", &|| !locks(url, gate, false).is_empty());
            (child, Some(shares))
        }
        At::Holding => {
            until("no lock", &|| !locks(url, gate, true).is_empty());
            (child, None)
        }
        At::TakingAgain => {
            until("no lock", &|| !locks(url, gate, true).is_empty());
            run_sql(url, "INSERT INTO slow VALUES (1)");
            until("it never waits", &|| !locks(url, gate, false).is_empty());
            (child, None)
        }
    }
}

/// Killed at any step, chatctl leaves nothing in the database: no lock, no place in a queue, no trigger, no
/// function. Who waits behind it goes on.
#[test]
fn nothing_is_left_on_postgresql() {
    let _turn = Turn::shared();
    let server = Postgres::start();
    let cases = [
        ("constraint-trigger", At::Making),
        ("constraint-trigger", At::Queued),
        ("constraint-trigger", At::Holding),
        ("constraint-trigger", At::TakingAgain),
        ("table-lock", At::Queued),
        ("table-lock", At::Holding),
        ("table-lock", At::TakingAgain),
    ];
    side_by_side(&cases, |(gate, at)| {
        let url = server.database(&format!("{gate}_{at:?}").to_lowercase().replace('-', "_"));
        let (mut child, keeps) = brought(&url, gate, *at);
        signal(&child, Signal::SIGKILL);
        child.wait().unwrap();
        // Also while what it waited for is still there.
        let gone = until(Duration::from_secs(10), || left(&url).is_empty());
        assert!(gone.is_some(), "{gate} {at:?}: {}", left(&url));
        run_sql(
            &url,
            "SET lock_timeout = '9s'; UPDATE message SET content = content",
        );
        drop(keeps);
    });
}

/// A transaction that nobody ends keeps the trigger from being removed. It keeps nobody from reading, and
/// the trigger is gone once the transaction is.
#[test]
fn a_trigger_that_cannot_be_removed_yet_keeps_nobody_from_reading() {
    let _turn = Turn::shared();
    let server = Postgres::start();
    let url = server.database("open_transaction");
    let (mut child, _) = brought(&url, "constraint-trigger", At::Holding);
    let writes = Keeping::start(&url, "BEGIN; LOCK TABLE message IN ROW EXCLUSIVE MODE");
    let removing = "SELECT pid::text FROM pg_stat_activity WHERE application_name = 'chatctl' \
         AND query LIKE 'DROP TRIGGER%'";
    let began = until(PATIENCE, || !texts(&url, removing).is_empty());
    assert!(began.is_some(), "the trigger is never removed");
    for _ in 0..5 {
        run_sql(
            &url,
            "SET statement_timeout = '5s'; SELECT count(*) FROM message",
        );
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    assert!(left(&url).contains("trigger on message"), "{}", left(&url));
    drop(writes);
    child.wait().unwrap();
    assert_eq!(left(&url), "");
}

/// Of a chatctl that is stopped, the database ends the session that holds the lock, and `--clean` takes the
/// trigger out.
#[test]
fn a_stopped_chatctl_keeps_no_lock_on_postgresql() {
    let _turn = Turn::shared();
    let server = Postgres::start();
    side_by_side(&["constraint-trigger", "table-lock"], |gate| {
        let url = server.database(&gate.replace('-', "_"));
        let (mut child, _) = brought(&url, gate, At::Holding);
        signal(&child, Signal::SIGSTOP);
        let gone = until(MAX_HOLD + Duration::from_secs(8), || {
            locks(&url, gate, true).is_empty()
        });
        assert!(gone.is_some(), "{gate}: the lock stays");
        run_sql(
            &url,
            "SET lock_timeout = '9s'; UPDATE message SET content = content",
        );
        if *gate == "constraint-trigger" {
            let clean = chatctl()
                .args(["verify-stream", "--clean", "--database-url", &url])
                .output()
                .unwrap();
            let (out, err) = text(&clean);
            assert_eq!(clean.status.code(), Some(0), "{out}{err}");
            assert!(
                out.contains("the trigger chatctl_gate on message"),
                "{out}{err}"
            );
            assert!(!left(&url).contains("trigger"));
        }
        signal(&child, Signal::SIGKILL);
        child.wait().unwrap();
    });
}

/// Who waits for the lock of the table `message`, or asks for it, in this database: chatctl's sessions alone, or
/// all.
fn waiting(url: &str, statement: &str) -> usize {
    let sql = format!(
        "SELECT CAST(id AS char) FROM information_schema.processlist WHERE db = DATABASE() \
         AND id <> connection_id() AND info LIKE '{statement}' AND state = 'Waiting for table metadata lock'"
    );
    texts(url, &sql).len()
}

/// The same on MariaDB, where the lock is the table's.
#[test]
fn nothing_is_left_on_mariadb() {
    const TAKES: &str = "%LOCK TABLES%READ%";
    const SAVES: &str = "INSERT%";
    let server = MariaDb::start();
    let cases = [
        (At::Queued, Signal::SIGKILL),
        (At::Holding, Signal::SIGKILL),
        (At::TakingAgain, Signal::SIGKILL),
        (At::Holding, Signal::SIGSTOP),
    ];
    side_by_side(&cases, |(at, how)| {
        let name = format!("{at:?}_{how}").to_lowercase();
        let url = server.database(&name);
        let chat = Chat::new("correct")
            .stack("sync")
            .on(url.clone(), "pymysql");
        let hold = format!("{}ms", MAX_HOLD.as_millis());
        let mut child = chat
            .verify()
            .args(["--proof", "gate", "--gate", "table-lock"])
            .args(["--hold", &hold, "--max-hold", &hold])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = |what: &str, holds: &dyn Fn() -> bool| {
            assert!(until(PATIENCE, holds).is_some(), "{at:?}: {what}");
        };
        let is_there = || {
            let sql = "SELECT table_name FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name = 'message'";
            !texts(&url, sql).is_empty()
        };
        until("no table", &is_there);
        let keeps = match at {
            At::Making | At::Holding => {
                // The server's own save waits at the gate.
                until("no save waits", &|| waiting(&url, SAVES) > 0);
                None
            }
            At::Queued => {
                let has_chats = || !texts(&url, "SELECT CAST(id AS char) FROM message").is_empty();
                until("no chat", &has_chats);
                let writes = "START TRANSACTION; UPDATE message SET content = content WHERE id = 1";
                let writes = Keeping::start(&url, writes);
                until("it never waits", &|| waiting(&url, TAKES) > 0);
                Some(writes)
            }
            At::TakingAgain => {
                // A save takes two seconds while this name is locked.
                run_sql(
                    &url,
                    &format!(
                        "CREATE TRIGGER slow BEFORE INSERT ON message FOR EACH ROW \
                         SET NEW.role = IF(IS_USED_LOCK('{name}') IS NULL, NEW.role, IF(SLEEP(2) = 0, NEW.role, ''))"
                    ),
                );
                until("no save waits", &|| waiting(&url, SAVES) > 0);
                let slow = Keeping::start(&url, &format!("SELECT GET_LOCK('{name}', 0)"));
                until("it never waits", &|| waiting(&url, TAKES) > 0);
                Some(slow)
            }
        };
        signal(&child, *how);
        let writes = format!(
            "SET SESSION lock_wait_timeout = {}; UPDATE message SET content = content WHERE id > 1",
            MAX_HOLD.as_secs() + 9
        );
        run_sql(&url, &writes);
        let gone = crate::lock_gates::until(Duration::from_secs(10), || waiting(&url, TAKES) == 0);
        assert!(gone.is_some(), "{at:?} {how}: it still waits");
        if *how == Signal::SIGSTOP {
            signal(&child, Signal::SIGKILL);
        }
        child.wait().unwrap();
        drop(keeps);
    });
}

/// The gate is chosen by the rights that there are, and a note says why it is not a stronger one.
#[test]
fn the_lock_is_chosen_by_rights() {
    let server = Postgres::start();
    for (name, rights, chosen, exit) in [
        (
            "may_trigger",
            "SELECT, TRIGGER",
            "gate constraint-trigger: withholds",
            0,
        ),
        (
            "may_lock",
            "SELECT, DELETE",
            "gate table-lock: withholds",
            3,
        ),
        ("may_read", "SELECT", "no gate can be held", 3),
    ] {
        let url = server.database(name);
        run_sql(
            &url,
            &format!(
                "CREATE ROLE {name} LOGIN; ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {rights} ON TABLES TO {name}"
            ),
        );
        let (gateway, port) = (free_port(), free_port());
        // The server works as the owner of its tables, chatctl as somebody else.
        let mut server = Command::new(crate::common::python())
            .args([
                "-m",
                "uvicorn",
                "chat.app:app",
                "--host",
                "127.0.0.1",
                "--app-dir",
            ])
            .arg(crate::common::root().join("tests/servers"))
            .args(["--port", &port.to_string()])
            .envs([
                ("MODE", "correct"),
                ("STACK", "async"),
                ("DRIVER", "asyncpg"),
            ])
            .env("DATABASE_URL", &url)
            .env("GATEWAY_URL", format!("http://127.0.0.1:{gateway}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let accepts = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(until(Duration::from_secs(60), accepts).is_some());
        let output = crate::common::chatctl()
            .args(["verify-stream", "--trials", "3"])
            .args(["--gateway", &format!("127.0.0.1:{gateway}")])
            .args(["--server", &format!("http://127.0.0.1:{port}")])
            .args([
                "--database-url",
                &url.replace("postgres@", &format!("{name}@")),
            ])
            .output()
            .unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        let (out, err) = text(&output);
        assert!(err.contains(chosen), "{name}: {out}{err}");
        assert!(
            err.contains("a stronger gate can't be used: proxy") || exit == 3,
            "{name}: {err}"
        );
        // Whether the order is proven on a busy machine is no question of rights.
        let code = output.status.code();
        assert!([Some(exit), Some(3)].contains(&code), "{name}: {out}{err}");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A lock on a database of another machine is refused, with what it would hold back and for how long, and taken
/// where it is allowed. This machine by an address that is not called its own stands for another one.
#[test]
fn a_lock_on_another_machine_needs_leave() {
    let _turn = Turn::shared();
    let server = Postgres::start();
    let url = server.database("elsewhere").replace("127.0.0.1", "0.0.0.0");
    let run = |arguments: &[&str]| {
        let output = verify(&url, "constraint-trigger")
            .args(["--trials", "3"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        (output.status.code(), text(&output).1)
    };
    let (code, said) = run(&[]);
    assert_eq!(code, Some(4), "{said}");
    for part in [
        "(table message of",
        "at most 1.5s at a time",
        "on another machine",
        "--allow-gate",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(left(&url), "");
    let (code, said) = run(&["--allow-gate"]);
    assert!([Some(0), Some(3)].contains(&code), "{said}");
    assert!(
        said.contains("gate constraint-trigger: withholds"),
        "{said}"
    );
    assert_eq!(left(&url), "");
}

/// A database of another machine is not locked without being asked.
#[test]
fn a_lock_on_another_machine_is_refused() {
    let target = |url: &str| chatctl::db::Target::parse(url).unwrap().is_local();
    for (url, local) in [
        ("postgres://a@127.0.0.1/chat", true),
        ("postgres://a@[::1]:5432/chat", true),
        ("mysql://a@localhost/chat", true),
        ("postgres://a@localhost/chat?host=/run/postgresql", true),
        ("sqlite:chat.db", true),
        ("postgres://a@db.internal/chat", false),
        ("mysql://a@10.0.0.7/chat", false),
        ("postgres://a@localhost.example.org/chat", false),
        ("postgres://a@127.0.0.1/chat?host=db.internal", false),
    ] {
        assert_eq!(target(url), local, "{url}");
    }
}
