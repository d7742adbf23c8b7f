//! A store in a file: whoever looks at it, nothing of it changes, and nothing is left next to it.

use crate::common::{chatctl, text};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, Uid};
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const CHATS: &str = "
    CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id INTEGER, role TEXT, content TEXT, created_at TEXT);
    INSERT INTO message VALUES (1, 1, 'user', 'buy milk', '2026-01-02 03:04:05'), (2, 1, 'assistant', 'bought', '2026-01-02 03:04:06');";

/// What only reads.
const LOOKS: &[&[&str]] = &[
    &["inspect", "tables"],
    &["inspect", "sql", "SELECT content FROM message"],
    &["inspect", "conversations"],
    &["inspect", "search", "milk"],
    &["audit", "check"],
    &["audit", "rate", "--window", "24h", "--last", "3650d"],
    &["audit", "snapshot", "--overwrite", "-o", "out.cas"],
    &["migrate", "status", "--dir", "migrations"],
    &["migrate", "plan", "--dir", "migrations"],
];

/// Nobody in particular.
const NOBODY: u32 = 65534;

/// A folder that everybody may write into, with a store in it that its owner alone may write.
struct Site {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Site {
    fn new(setup: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        // Another user may be unable to look into the folder that the tests are built in.
        let program = folder.path().join("chatctl");
        fs::copy(env!("CARGO_BIN_EXE_chatctl"), &program).unwrap();
        fs::create_dir(folder.path().join("migrations")).unwrap();
        fs::write(
            folder.path().join("migrations/1_notes.sql"),
            "CREATE TABLE notes (id INTEGER PRIMARY KEY);\n",
        )
        .unwrap();
        let store = folder.path().join("store");
        fs::create_dir(&store).unwrap();
        fs::set_permissions(&store, fs::Permissions::from_mode(0o777)).unwrap();
        let site = Self { folder, program };
        let app = Connection::open(site.store()).unwrap();
        app.execute_batch(&format!("{setup}; {CHATS}")).unwrap();
        drop(app);
        fs::set_permissions(site.store(), fs::Permissions::from_mode(0o644)).unwrap();
        site
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store/chat.db")
    }

    /// The names, owners and contents of what is next to the store.
    fn files(&self) -> Vec<(String, u32, Vec<u8>)> {
        let entries = fs::read_dir(self.folder.path().join("store")).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (
                    name,
                    path.metadata().unwrap().uid(),
                    fs::read(&path).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    }

    fn run(&self, arguments: &[&str], user: Option<u32>) -> Output {
        let mut command = Command::new(&self.program);
        command
            .args([
                "--database-url",
                &format!("sqlite:{}", self.store().display()),
            ])
            .args(arguments)
            .env_remove("DATABASE_URL")
            .env(
                "CHATCTL_TEST_KEY",
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            )
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        if arguments.contains(&"snapshot") {
            command.args(["--key", "env:CHATCTL_TEST_KEY"]);
        }
        if let Some(user) = user.filter(|_| Uid::effective().is_root()) {
            command.uid(user).gid(user);
        }
        command.output().unwrap()
    }
}

/// The server is away, its log was folded in, and its owner alone may write its files.
#[test]
fn a_look_by_another_user_leaves_nothing_next_to_a_store_with_a_log() {
    let site = Site::new("PRAGMA journal_mode = WAL");
    let before = site.files();
    assert_eq!(before.len(), 1, "only the file itself");
    for user in [Some(NOBODY), None] {
        for look in LOOKS {
            let output = site.run(look, user);
            let (_, err) = text(&output);
            assert!(
                matches!(output.status.code(), Some(0 | 10)),
                "{look:?} as {user:?}: {err}"
            );
            assert_eq!(site.files(), before, "after {look:?} as {user:?}");
        }
    }
    // The server can write as before.
    let app = Connection::open(site.store()).unwrap();
    app.execute_batch("INSERT INTO message VALUES (3, 1, 'user', 'x', NULL)")
        .unwrap();
}

/// The server is there: its log and its index are as well, and another user reads through them.
#[test]
fn a_look_by_another_user_sees_what_a_running_server_wrote() {
    let site = Site::new("PRAGMA journal_mode = WAL");
    let app = Connection::open(site.store()).unwrap();
    app.execute_batch("UPDATE message SET content = 'sour milk' WHERE id = 1")
        .unwrap();
    let names = |files: &[(String, u32, Vec<u8>)]| {
        files
            .iter()
            .map(|(name, owner, _)| (name.clone(), *owner))
            .collect::<Vec<_>>()
    };
    let before = names(&site.files());
    assert_eq!(before.len(), 3);
    let output = site.run(
        &["inspect", "sql", "SELECT content FROM message WHERE id = 1"],
        Some(NOBODY),
    );
    let (out, err) = text(&output);
    assert!(out.contains("sour milk"), "{out}{err}");
    assert_eq!(names(&site.files()), before);
    app.execute_batch("UPDATE message SET content = 'milk' WHERE id = 1")
        .unwrap();
}

/// A store whose server was killed in the middle of a transaction.
#[test]
fn what_a_killed_server_left_is_not_rolled_back_by_who_only_looks() {
    let site = Site::new("PRAGMA journal_mode = DELETE");
    let app = Connection::open(site.store()).unwrap();
    app.execute_batch(
        "PRAGMA cache_size = 5; PRAGMA cache_spill = 1;
         WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
            INSERT INTO message SELECT i, i, 'user', hex(zeroblob(500)), NULL FROM n;
         BEGIN; UPDATE message SET content = 'x'",
    )
    .unwrap();
    // As it is on the disk now is how a killed one leaves it.
    let killed = Site::new("PRAGMA journal_mode = DELETE");
    for (name, _, content) in site.files() {
        fs::write(killed.folder.path().join("store").join(name), content).unwrap();
    }
    drop(app);
    let before = killed.files();
    assert!(
        before
            .iter()
            .any(|(name, _, content)| name == "chat.db-journal" && !content.is_empty())
    );
    for look in LOOKS {
        let output = killed.run(look, None);
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(3), "{look:?}: {err}");
        assert!(
            err.contains("journal") && err.contains("start the server"),
            "{look:?}: {err}"
        );
        assert!(killed.files() == before, "after {look:?}");
    }
}

/// As long as a process may take that must not wait for ever.
const END: Duration = Duration::from_secs(20);

#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    for path in [pipe.as_path(), folder.path(), Path::new("/dev/null")] {
        for look in LOOKS.iter().take(6) {
            let mut child = chatctl()
                .args(["--database-url", &format!("sqlite:{}", path.display())])
                .args(*look)
                .current_dir(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let late = Instant::now() + END;
            while child.try_wait().unwrap().is_none() {
                if Instant::now() > late {
                    child.kill().unwrap();
                    panic!("{look:?} of {} waits", path.display());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let (_, err) = text(&child.wait_with_output().unwrap());
            assert!(err.contains("not a database file"), "{look:?}: {err}");
        }
    }
}

#[test]
fn what_is_no_database_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    fs::write(
        &path,
        "a text that is long enough to have a header of its own",
    )
    .unwrap();
    for look in LOOKS.iter().take(6) {
        let output = chatctl()
            .args(["--database-url", &format!("sqlite:{}", path.display())])
            .args(*look)
            .output()
            .unwrap();
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(3), "{err}");
        assert_eq!(err.matches("not a database").count(), 1, "{look:?}: {err}");
    }
    let output = chatctl()
        .args([
            "--database-url",
            "sqlite:/app/data/chat.db",
            "inspect",
            "tables",
        ])
        .output()
        .unwrap();
    let (_, err) = text(&output);
    assert!(err.contains("inside a container"), "{err}");
}

#[test]
fn a_report_that_nobody_could_read_is_an_error() {
    let run = |redirection: &str| {
        let command = format!(
            "'{}' explain saved-after-done {redirection}",
            env!("CARGO_BIN_EXE_chatctl")
        );
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        (output.status.code(), text(&output).1)
    };
    let (code, err) = run(">&-");
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("stdout is closed"), "{err}");
    assert_eq!(run("> /dev/null").0, Some(0));
    let (code, err) = run("> /dev/full");
    assert_eq!(code, Some(3), "{err}");
    // As other programs open it that throw the output away.
    let mut command = chatctl();
    command.args(["explain", "saved-after-done"]);
    let null = fs::File::options().read(true).write(true).open("/dev/null");
    assert!(command.stdout(null.unwrap()).status().unwrap().success());
}

/// Whoever closes the terminal, or asks a process to quit, leaves nothing behind; and with `nohup` it goes on.
#[test]
fn a_closed_terminal_ends_it_in_order() {
    let site = Site::new("PRAGMA journal_mode = WAL");
    // Only the last one ends by itself: what it makes is not what was made by hand.
    let counting = |to: &str| {
        let text = format!(
            "CREATE TABLE notes AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n {to}) SELECT count(*) FROM n;\n"
        );
        fs::write(site.folder.path().join("migrations/1_notes.sql"), text).unwrap();
    };
    let tmp = site.folder.path().join("tmp");
    fs::create_dir(&tmp).unwrap();
    for (given, to, signal, code) in [
        ("--default-signal=HUP", "", Signal::SIGHUP, 130),
        ("--default-signal=QUIT", "", Signal::SIGQUIT, 130),
        ("--ignore-signal=HUP", "LIMIT 1000000", Signal::SIGHUP, 1),
    ] {
        counting(to);
        let mut child = Command::new("env")
            .arg(given)
            .arg(&site.program)
            .args(["migrate", "verify", "--dir", "migrations", "--database-url"])
            .arg(format!("sqlite:{}", site.store().display()))
            .current_dir(site.folder.path())
            .env("TMPDIR", &tmp)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = eventually(|| fs::read_dir(&tmp).unwrap().next().is_some());
        let id = Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(id, signal).unwrap();
        let ended = eventually(|| child.try_wait().unwrap().is_some());
        let _ = child.kill();
        assert!(begun && ended, "{given}");
        assert_eq!(child.wait().unwrap().code(), Some(code), "{given}");
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0, "{given}");
    }
}

fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        is_so()
    })
}

/// A pipe that nobody writes into is an error in the place of every file, and not waited for.
#[test]
fn no_file_that_is_named_may_be_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    fs::create_dir(folder.path().join("migrations")).unwrap();
    fs::write(
        folder.path().join("talk.toml"),
        "[request]\nrequest = \"POST /chat\"\njson = { message = \"{user}\" }\n\n[[turn]]\nuser = \"hi\"\ncassette = \"pipe\"\n",
    )
    .unwrap();
    let store = Connection::open(folder.path().join("chat.db")).unwrap();
    store.execute_batch(CHATS).unwrap();
    drop(store);
    for arguments in [
        &["config", "--config", "pipe"][..],
        &["audit", "check", "--database-url", "file:pipe"],
        &[
            "audit",
            "snapshot",
            "-o",
            "a.cas",
            "--key",
            "file:pipe",
            "--database-url",
            "sqlite:chat.db",
        ],
        &["migrate", "lint", "pipe"],
        &["verify-stream", "pipe", "--server", "http://127.0.0.1:1"],
        &[
            "verify-stream",
            "talk.toml",
            "--server",
            "http://127.0.0.1:1",
        ],
    ] {
        let mut child = chatctl()
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let ended = eventually(|| child.try_wait().unwrap().is_some());
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        assert!(ended, "{arguments:?} waits");
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains("a pipe"), "{arguments:?}: {err}");
    }
}

/// What is in settings runs as whoever reads them, so nobody reads a stranger's by chance.
#[test]
fn the_settings_of_another_user_are_not_read_by_chance() {
    if !Uid::effective().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("work");
    fs::create_dir(&below).unwrap();
    let settings = folder.path().join("chatctl.toml");
    fs::write(&settings, "start = \"pwned\"\n").unwrap();
    let run = |more: &[&str]| {
        let output = chatctl()
            .arg("config")
            .args(more)
            .current_dir(&below)
            .env_remove("SUDO_UID")
            .output()
            .unwrap();
        let (out, err) = text(&output);
        (output.status.code(), out.contains("pwned"), err)
    };
    assert_eq!(run(&[]), (Some(0), true, String::new()), "it is one's own");
    std::os::unix::fs::chown(&settings, Some(NOBODY), None).unwrap();
    let (code, told, err) = run(&[]);
    assert_eq!((code, told), (Some(4), false), "{err}");
    assert!(err.contains("belongs to another user (65534)"), "{err}");
    assert_eq!(run(&["--config", "../chatctl.toml"]).0, Some(0));
    assert_eq!(
        run(&["--config", "/dev/null"]),
        (Some(0), false, String::new())
    );
    // A link of theirs to a file of one's own says what is to be run where.
    fs::rename(&settings, below.join("own.toml")).unwrap();
    std::os::unix::fs::chown(below.join("own.toml"), Some(0), None).unwrap();
    std::os::unix::fs::symlink("work/own.toml", &settings).unwrap();
    std::os::unix::fs::lchown(&settings, Some(NOBODY), None).unwrap();
    assert_eq!(run(&[]).0, Some(4));
}
