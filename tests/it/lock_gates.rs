//! Locks on a database server where no commit can be withheld: the ordered modes under each, the
//! rights that each needs, and what is left when chatctl is killed or stopped.

use crate::common::servers::{MariaDb, Postgres, run_sql, texts};
use crate::common::{Chat, case, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest hold of the runs that are killed; the database itself ends a session two seconds later.
const MAX_HOLD: Duration = Duration::from_millis(4000);

/// Which modes the trigger decides, and how. One that it leaves open is never wrong: a right one is
/// never violated, a wrong one never proven.
const MODES: [(&str, &[&str]); 7] = [
    ("correct", &["proven", "inconclusive"]),
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
    database: impl Fn(&str) -> String,
    drivers: &[(&str, &str)],
) {
    for (index, (mode, wanted)) in modes.iter().enumerate() {
        let (stack, driver) = drivers[index % drivers.len()];
        // Whether the lock is taken again before the marker comes is a question of the scheduler.
        let chat = if *mode == "correct" {
            Chat::alone(mode)
        } else {
            Chat::new(mode)
        };
        let chat = chat.stack(stack).on(database(mode), driver);
        let (report, _) = chat.report(&["--proof", "gate", "--gate", gate, "--trials", "3"]);
        let verdict = case(&report, "/order")["verdict"]
            .as_str()
            .unwrap()
            .to_owned();
        // On a busy machine the marker may come before the lock is seen to be taken again, but not always.
        if *mode == "correct" && gate == "constraint-trigger" {
            let proven = &case(&report, "/order")["metrics"]["trials_proven"];
            assert!(proven.as_f64() >= Some(1.0), "{report:#}");
        }
        assert!(
            wanted.contains(&verdict.as_str()),
            "{mode} with {driver}: {verdict}: {report:#}"
        );
    }
}

const ON_POSTGRES: [(&str, &str); 2] = [("async", "asyncpg"), ("sync", "psycopg2")];

#[test]
fn the_constraint_trigger_shows_the_order() {
    let server = Postgres::start();
    ordered(
        "constraint-trigger",
        &MODES,
        |mode| server.database(mode),
        &ON_POSTGRES,
    );
    assert_eq!(triggers(&server.url()), 0);
}

#[test]
fn the_table_lock_shows_the_order_on_postgresql() {
    let server = Postgres::start();
    ordered(
        "table-lock",
        &MODES_OF_TABLE_LOCK,
        |mode| server.database(mode),
        &ON_POSTGRES,
    );
}

#[test]
fn the_table_lock_shows_the_order_on_mariadb() {
    let server = MariaDb::start();
    ordered(
        "table-lock",
        &MODES_OF_TABLE_LOCK,
        |mode| server.database(mode),
        &[("async", "aiomysql"), ("sync", "pymysql")],
    );
}

/// How many triggers of the gate are in a database.
fn triggers(url: &str) -> usize {
    texts(
        url,
        "SELECT tgname::text FROM pg_trigger WHERE tgname = 'chatctl_gate'",
    )
    .len()
}

/// A run whose gate is closed for as long as it may be; returns when a write has to wait.
fn closed(chat: &Chat, gate: &str, is_closed: impl Fn() -> bool) -> Child {
    let hold = format!("{}ms", MAX_HOLD.as_millis());
    let child = chat
        .verify()
        .args([
            "--proof",
            "gate",
            "--gate",
            gate,
            "--hold",
            &hold,
            "--max-hold",
            &hold,
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_closed() {
        assert!(
            Instant::now() < deadline,
            "{gate}: the gate was never closed"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// How long until this holds.
fn until(patience: Duration, holds: impl Fn() -> bool) -> Option<Duration> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if holds() {
            return Some(began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// Whether a session of chatctl holds a lock that keeps writers out.
fn is_locked(url: &str, gate: &str) -> bool {
    let mode = match gate {
        "table-lock" => "ShareRowExclusiveLock",
        _ => "ExclusiveLock",
    };
    let sql = format!(
        "SELECT l.pid::text FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.granted \
         AND l.locktype IN ('relation', 'advisory') AND l.mode = '{mode}' AND a.application_name = 'chatctl'"
    );
    !texts(url, &sql).is_empty()
}

/// Killed, the lock and the trigger are gone at once; stopped, the database ends the session that
/// holds the lock, and `--clean` takes the trigger out.
#[test]
fn nothing_is_left_on_postgresql() {
    let server = Postgres::start();
    for (gate, name) in [
        ("constraint-trigger", "killed_trigger"),
        ("table-lock", "killed_lock"),
    ] {
        let url = server.database(name);
        let chat = Chat::new("correct")
            .stack("async")
            .on(url.clone(), "asyncpg");
        let mut child = closed(&chat, gate, || is_locked(&url, gate));
        signal(&child, Signal::SIGKILL);
        child.wait().unwrap();
        let gone = until(Duration::from_secs(2), || {
            !is_locked(&url, gate) && triggers(&url) == 0
        });
        assert!(gone.is_some(), "{gate}: something stays after SIGKILL");

        let url = server.database(&format!("{name}_stopped"));
        let chat = Chat::new("correct")
            .stack("async")
            .on(url.clone(), "asyncpg");
        let mut child = closed(&chat, gate, || is_locked(&url, gate));
        signal(&child, Signal::SIGSTOP);
        let gone = until(MAX_HOLD + Duration::from_secs(4), || !is_locked(&url, gate));
        assert!(
            gone.is_some(),
            "{gate}: the lock stays while chatctl is stopped"
        );
        run_sql(&url, "UPDATE message SET content = content");
        if gate == "constraint-trigger" {
            assert_eq!(triggers(&url), 1);
            let output = chat.verify().arg("--clean").output().unwrap();
            let (out, err) = text(&output);
            assert_eq!(output.status.code(), Some(0), "{out}{err}");
            assert!(
                out.contains("the trigger chatctl_gate on message"),
                "{out}{err}"
            );
            assert_eq!(triggers(&url), 0);
        }
        signal(&child, Signal::SIGKILL);
        child.wait().unwrap();
    }
}

/// Whether a write to the table of answers has to wait.
fn waits(url: &str) -> bool {
    let locked = "SELECT CAST(id AS char) FROM information_schema.processlist WHERE \
        info LIKE 'LOCK TABLES%READ' OR state = 'Waiting for table metadata lock'";
    !texts(url, locked).is_empty()
}

#[test]
fn nothing_is_left_on_mariadb() {
    let server = MariaDb::start();
    for how in [Signal::SIGKILL, Signal::SIGSTOP] {
        let url = server.database(how.as_str());
        let chat = Chat::new("correct")
            .stack("sync")
            .on(url.clone(), "pymysql");
        // The server's own save waits at the gate.
        let mut child = closed(&chat, "table-lock", || waits(&url));
        signal(&child, how);
        let gone = until(MAX_HOLD + Duration::from_secs(5), || !waits(&url));
        assert!(gone.is_some(), "{how}: the lock stays");
        run_sql(&url, "UPDATE message SET content = content");
        if how == Signal::SIGSTOP {
            signal(&child, Signal::SIGKILL);
        }
        child.wait().unwrap();
    }
}

/// The gate is chosen by the rights that there are, and a note says why it is not a stronger one.
#[test]
fn the_lock_is_chosen_by_rights() {
    let server = Postgres::start();
    for (name, rights, chosen, exit) in [
        (
            "may_trigger",
            "SELECT, TRIGGER",
            "gate constraint-trigger: holds back",
            0,
        ),
        (
            "may_lock",
            "SELECT, DELETE",
            "gate table-lock: holds back",
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
