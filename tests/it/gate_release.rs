//! A gate never outlives chatctl: not when it is killed, nor when it is stopped, nor on Ctrl-C.

use crate::common::Chat;
use crate::common::servers::{MariaDb, Postgres, run_sql, texts};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest hold of these runs; the alarm is two seconds later.
const MAX_HOLD: u64 = 2500;

/// A write by another program, with the patience given; whether it was committed.
fn write(database: &Path, patience: Duration) -> bool {
    let script = "import sqlite3, sys\n\
        c = sqlite3.connect(sys.argv[1], timeout=float(sys.argv[2]))\n\
        c.execute('PRAGMA user_version = 7')\n";
    let done = Command::new(crate::common::python())
        .args(["-c", script])
        .arg(database)
        .arg(patience.as_secs_f64().to_string())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    done.success()
}

/// Whether the gate's helper of this database runs, and its process id.
fn helper(database: &Path) -> Option<Pid> {
    let database = database.to_str().unwrap();
    processes().into_iter().find_map(|(pid, command)| {
        let holds = command.contains("gate-holder") && command.contains(database);
        holds.then_some(pid)
    })
}

fn processes() -> Vec<(Pid, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        found.push((
            Pid::from_raw(pid),
            String::from_utf8_lossy(&command).replace('\0', " "),
        ));
    }
    found
}

fn until(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// A run whose gate is closed for as long as it may be, and the database it locks.
///
/// The session's server holds its answer back while the gate is closed, so the gate stays closed
/// for the whole hold.
fn closed(chat: &Chat) -> Child {
    let database = chat.database();
    closed_by(chat, "raw-locks", || helper(&database).is_some())
}

/// The same with this gate, once it is there. At the system call a save of the server keeps the store locked while its
/// commit is withheld.
fn closed_by(chat: &Chat, gate: &str, is_there: impl Fn() -> bool) -> Child {
    let hold = format!("{MAX_HOLD}ms");
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
    let database = chat.database();
    let is_locked = || {
        is_there() && database.exists() && !write(&database, Duration::ZERO) && {
            // A save of the server may be under way for a moment, also without a gate.
            std::thread::sleep(Duration::from_millis(300));
            !write(&database, Duration::ZERO)
        }
    };
    assert!(
        until(Duration::from_secs(60), is_locked),
        "the gate was never closed"
    );
    child
}

fn nothing_is_left(chat: &Chat) {
    let folder = chat.folder.path().to_str().unwrap().to_owned();
    // A server finds its store in its environment.
    let knows = |pid: Pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&folder)
    };
    let running = || {
        processes()
            .into_iter()
            .find(|(pid, command)| command.contains(&folder) || knows(*pid))
    };
    assert!(
        until(Duration::from_secs(10), || running().is_none()),
        "left running: {:?}",
        running()
    );
    let script = "import sqlite3, sys\n\
        c = sqlite3.connect(sys.argv[1])\n\
        assert c.execute(\"SELECT count(*) FROM sqlite_master WHERE name LIKE 'chatctl%'\").fetchone()[0] == 0\n\
        assert c.execute('PRAGMA integrity_check').fetchone()[0] == 'ok'\n";
    let clean = Command::new(crate::common::python())
        .args(["-c", script])
        .arg(chat.database())
        .status()
        .unwrap();
    assert!(clean.success(), "the store is not as it was");
    let known = ["chat.db", "chat.db-wal", "chat.db-shm", "chat.db-journal"];
    for entry in fs::read_dir(chat.folder.path()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        assert!(known.contains(&name.as_str()), "left in the folder: {name}");
    }
}

#[test]
fn a_killed_chatctl_gives_the_lock_back_at_once() {
    for journal in ["wal", "delete"] {
        let chat = Chat::new("correct").journal(journal);
        let mut child = closed(&chat);
        kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        // The kernel gives the locks back with the helper; 0.2 s is what is promised.
        let gone = until(Duration::from_millis(200), || {
            helper(&chat.database()).is_none()
        });
        assert!(gone, "{journal}: the helper lives on");
        assert!(
            write(&chat.database(), Duration::from_secs(5)),
            "{journal}: the store is still locked"
        );
        nothing_is_left(&chat);
    }
}

#[test]
fn a_stopped_chatctl_gives_the_lock_back_by_the_alarm() {
    for journal in ["wal", "delete"] {
        let chat = Chat::new("correct").journal(journal);
        let mut child = closed(&chat);
        let pid = Pid::from_raw(child.id() as i32);
        kill(pid, Signal::SIGSTOP).unwrap();
        // The alarm is set in whole seconds: the longest hold, rounded up, and two.
        let alarm = Duration::from_millis(MAX_HOLD.div_ceil(1000) * 1000 + 2000);
        assert!(
            write(&chat.database(), alarm + Duration::from_secs(1)),
            "{journal}: the store is locked though the alarm is over"
        );
        kill(pid, Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        nothing_is_left(&chat);
    }
}

/// How many of chatctl's triggers are in the store.
fn triggers(database: &Path) -> usize {
    let script = "import sqlite3, sys\n\
        c = sqlite3.connect(sys.argv[1], timeout=5)\n\
        print(c.execute(\"SELECT count(*) FROM sqlite_master WHERE name LIKE 'chatctl_fault%'\").fetchone()[0])\n";
    let output = Command::new(crate::common::python())
        .args(["-c", script])
        .arg(database)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap_or(0)
}

/// A killed run leaves its triggers, which refuse a text that is never sent again; the next run
/// takes them out. An interrupted one takes them out itself.
#[test]
fn triggers_do_not_stay() {
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let chat = Chat::new("correct_slow");
        let mut child = chat
            .verify()
            .args(["--proof", "fault"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        assert!(
            until(Duration::from_secs(30), || triggers(&chat.database()) == 2),
            "no triggers were made"
        );
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        child.wait().unwrap();
        if signal == Signal::SIGKILL {
            assert_eq!(
                triggers(&chat.database()),
                2,
                "nobody was there to take them out"
            );
            let (report, _) = chat.report(&["--proof", "fault"]);
            assert_eq!(report["verdict"], "held", "{report:#}");
        }
        nothing_is_left(&chat);
    }
}

#[test]
fn ctrl_c_opens_the_gate_and_ends_the_server() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let chat = Chat::new("correct");
        let mut child = closed(&chat);
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        assert!(
            write(&chat.database(), Duration::from_secs(1)),
            "{signal}: the store is still locked"
        );
        nothing_is_left(&chat);
    }
}

/// A helper that ends in the middle of a hold makes the trial inconclusive, never a pass.
#[test]
fn a_lost_gate_proves_nothing() {
    let chat = Chat::new("correct");
    let hold = format!("{MAX_HOLD}ms");
    let mut command = chat.verify();
    command.args([
        "--proof",
        "gate",
        "--gate",
        "raw-locks",
        "--hold",
        &hold,
        "--trials",
        "3",
        "--format",
        "json",
    ]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let database = chat.database();
    let done = std::thread::spawn(move || child.wait_with_output().unwrap());
    while !done.is_finished() {
        if let Some(helper) = helper(&database) {
            // It may have ended by itself between the two.
            let _ = kill(helper, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = done.join().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_ne!(report["verdict"], "proven", "{report:#}");
    assert_ne!(report["verdict"], "held", "{report:#}");
    assert_eq!(output.status.code(), Some(3));
}

/// A commit that is withheld at its system call when chatctl is killed is done or undone as a whole,
/// and when chatctl is stopped it is let through after the longest hold.
#[test]
fn a_commit_withheld_at_its_system_call_does_not_stay() {
    for (journal, signal) in [
        ("wal", Signal::SIGKILL),
        ("delete", Signal::SIGKILL),
        ("wal", Signal::SIGSTOP),
    ] {
        let chat = Chat::new("correct").stack("sync").journal(journal);
        let mut child = closed_by(&chat, "syscalls", || true);
        let pid = Pid::from_raw(child.id() as i32);
        kill(pid, signal).unwrap();
        let patience = match signal {
            Signal::SIGKILL => Duration::from_secs(5),
            _ => Duration::from_millis(MAX_HOLD + 2000),
        };
        assert!(
            write(&chat.database(), patience),
            "{journal} {signal}: the store is still locked"
        );
        if signal == Signal::SIGSTOP {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        child.wait().unwrap();
        nothing_is_left(&chat);
    }
}

/// The helper that traces the server, of this database.
fn tracer(chat: &Chat) -> Option<Pid> {
    let database = chat.database();
    let database = database.to_str().unwrap();
    processes().into_iter().find_map(|(pid, command)| {
        let traces = command.contains(" supervise ") && command.contains(database);
        traces.then_some(pid)
    })
}

/// A tracer that is killed or stopped in the middle of a hold ends the run without a verdict, and
/// leaves neither itself nor the server.
#[test]
fn a_lost_tracer_proves_nothing() {
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        let chat = Chat::new("correct").stack("sync");
        let mut child = closed_by(&chat, "syscalls", || true);
        kill(tracer(&chat).unwrap(), signal).unwrap();
        let mut status = None;
        until(Duration::from_secs(60), || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        let status = status.unwrap_or_else(|| {
            child.kill().unwrap();
            panic!("{signal}: chatctl does not end")
        });
        assert_eq!(status.code(), Some(3), "{signal}");
        nothing_is_left(&chat);
    }
}

/// How many sessions of a server's own are in a transaction that waits for its client.
fn open_transactions(url: &str) -> usize {
    let sql = if url.starts_with("postgres") {
        "SELECT pid::text FROM pg_stat_activity WHERE state = 'idle in transaction' \
         AND clock_timestamp() - state_change > interval '300 ms'"
    } else {
        "SELECT CAST(trx_id AS char) FROM information_schema.innodb_trx \
         WHERE trx_rows_modified > 0 AND trx_started < now() - INTERVAL 1 SECOND"
    };
    // MariaDB says what it last told where it is asked again within 0.1 s.
    std::thread::sleep(Duration::from_millis(150));
    texts(url, sql).len()
}

/// Behind the proxy the database rolls a withheld commit back: at once when chatctl is killed, and
/// within the alarm when it is stopped, which nothing but its end can do.
#[test]
fn a_commit_withheld_on_the_wire_is_rolled_back() {
    let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        for (url, driver) in [
            (postgres.database(signal.as_str()), "psycopg2"),
            (mariadb.database(signal.as_str()), "pymysql"),
        ] {
            let chat = Chat::new("correct").stack("sync").on(url.clone(), driver);
            let hold = format!("{}ms", 2 * MAX_HOLD);
            let mut child = chat
                .verify()
                .args(["--proof", "gate", "--hold", &hold, "--max-hold", &hold])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let is_withheld = || open_transactions(&url) > 0;
            assert!(until(Duration::from_secs(60), is_withheld), "{driver}");
            let answers = || texts(&url, "SELECT CAST(id AS char) FROM message").len();
            let before = answers();
            kill(Pid::from_raw(child.id() as i32), signal).unwrap();
            let patience = match signal {
                Signal::SIGKILL => Duration::from_secs(3),
                _ => Duration::from_millis(2 * MAX_HOLD + 4000),
            };
            let is_free = until(patience, || open_transactions(&url) == 0);
            let ended = until(Duration::from_secs(3), || {
                child.try_wait().unwrap().is_some()
            });
            assert!(is_free && ended, "{driver} {signal}: {is_free} {ended}");
            assert_eq!(answers(), before, "{driver} {signal}");
            run_sql(&url, "UPDATE message SET content = content");
        }
    }
}
