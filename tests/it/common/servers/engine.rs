//! What differs between the engines, and starting one.

use super::place::{CERTIFICATE, KEY, Place, program};
use super::sql::wait_for;
use nix::sys::signal::Signal;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, MySqlConnection, PgConnection};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How long a server may take to accept connections; the machine may run many at a time.
pub const START: Duration = Duration::from_secs(60);

/// What differs between the engines.
pub struct Engine {
    name: &'static str,
    program: &'static str,
    /// Who runs it when the tests run as root, which both engines refuse; the first that exists.
    pub users: &'static [&'static str],
    /// Makes a data folder.
    install: fn(&Place) -> Command,
    /// Serves the data folder.
    pub serve: fn(&Place, u16) -> Command,
    /// Whether it answers on the socket of its folder. Only that socket is surely its own, and it
    /// is opened after the port, so the port is its own too then.
    answers: fn(&Place, u16) -> bool,
    /// Ends it at once, with its children.
    pub end: Signal,
    /// Ends it as an operator does.
    pub stop: Signal,
}

impl Engine {
    /// Starts a server and waits until it answers; the error is how it ended before that.
    pub fn launch(&self, place: &Place, port: u16) -> Result<Child, ExitStatus> {
        let mut child = (self.serve)(place, port).spawn().unwrap();
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return Err(status);
            }
            if (self.answers)(place, port) {
                return Ok(child);
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{}", self.ended(place));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A data folder to copy: making one takes seconds, copying it a fraction of one. Each version
    /// of an engine has its own. Another version is another file: to ask the program takes a
    /// quarter of a start.
    pub fn template(&self) -> PathBuf {
        let about = program(&[self.program]).metadata().unwrap();
        let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (name, inode) = (self.program, about.ino());
        let template = all.join(format!("data-{name}-{inode}-{}", about.mtime()));
        if !template.exists() {
            let place = Place::new(self.users);
            let made = (self.install)(&place).status().unwrap();
            assert!(made.success(), "{}", self.ended(&place));
            // A copy that was cut short never gets the name of a whole one. Of tests that make one at
            // the same time the first gives it the name, and what the others made is the same.
            let part = tempfile::tempdir_in(all).unwrap();
            let data = part.path().join("data");
            place.copy(&place.data(), &data);
            if fs::rename(&data, &template).is_err() {
                assert!(template.exists(), "{} can't be made", template.display());
            }
        }
        template
    }

    /// What to say of a server that did not start.
    pub fn ended(&self, place: &Place) -> String {
        let log = fs::read_to_string(place.log()).unwrap_or_default();
        format!("{} did not start; its log:\n{log}", self.name)
    }
}

// Both engines write to the operating system at each commit but never wait for the disk: what is
// committed outlives a killed server, which is what the tests ask for, and not the machine.

pub static POSTGRES: Engine = Engine {
    name: "PostgreSQL",
    program: "postgres",
    users: &["postgres", "nobody"],
    install: |place| {
        let mut command = place.command(&program(&["initdb"]));
        command.args(["--auth=trust", "--username=postgres", "--encoding=UTF8"]);
        command.args(["--locale=C.UTF-8", "--no-sync", "--no-instructions"]);
        command.arg("-D").arg(place.data());
        command
    },
    serve: |place, port| {
        let mut command = place.command(&program(&["postgres"]));
        command.arg("-D").arg(place.data());
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            format!("unix_socket_directories={}", place.path().display()),
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "max_connections=60".to_owned(),
            "shared_buffers=32MB".to_owned(),
            // In the folder, so that a killed server leaves nothing elsewhere.
            "dynamic_shared_memory_type=mmap".to_owned(),
        ] {
            command.arg("-c").arg(setting);
        }
        command
    },
    answers: |place, port| {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(place.path())
            .port(port)
            .username("postgres")
            .database("postgres");
        wait_for(async move { PgConnection::connect_with(&options).await.is_ok() })
    },
    end: Signal::SIGQUIT,
    stop: Signal::SIGINT,
};

/// MariaDB that takes encrypted connections only; its certificate is in its folder.
pub static MARIADB_ENCRYPTED: Engine = Engine {
    name: MARIADB.name,
    program: MARIADB.program,
    users: MARIADB.users,
    install: MARIADB.install,
    serve: |place, port| {
        let mut command = (MARIADB.serve)(place, port);
        for (name, file) in [("cert", CERTIFICATE), ("key", KEY)] {
            command.arg(format!(
                "--ssl-{name}={}",
                place.path().join(file).display()
            ));
        }
        command.arg("--require-secure-transport");
        command
    },
    answers: MARIADB.answers,
    end: MARIADB.end,
    stop: MARIADB.stop,
};

pub static MARIADB: Engine = Engine {
    name: "MariaDB",
    program: "mariadbd",
    users: &["mysql", "nobody"],
    install: |place| {
        let mut command = place.command(&program(&["mariadb-install-db", "mysql_install_db"]));
        command.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
        command.args(["--skip-test-db", "--innodb-log-file-size=8M"]);
        command.arg(format!("--datadir={}", place.data().display()));
        // A server removes what looks like a killed one's tables: several may be at work here.
        command.arg(format!("--tmpdir={}", place.path().display()));
        command
    },
    serve: |place, port| {
        let mut command = place.command(&program(&["mariadbd"]));
        command.arg("--no-defaults");
        for (name, file) in [
            ("datadir", "data"),
            ("socket", "socket"),
            ("pid-file", "pid"),
            ("tmpdir", ""),
        ] {
            command.arg(format!("--{name}={}", place.path().join(file).display()));
        }
        command.args(["--bind-address=127.0.0.1", &format!("--port={port}")]);
        command.args([
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-flush-method=nosync",
            "--sync-frm=0",
            "--innodb-log-file-size=8M",
        ]);
        command.args([
            "--innodb-buffer-pool-size=32M",
            // Caches of other kinds of tables: the usual ones take a quarter of a start.
            "--aria-pagecache-buffer-size=8M",
            "--key-buffer-size=1M",
            "--skip-log-bin",
            "--skip-name-resolve",
        ]);
        command.args([
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_general_ci",
        ]);
        command
    },
    answers: |place, _| {
        let options = MySqlConnectOptions::new()
            .socket(place.path().join("socket"))
            .username("root");
        wait_for(async move { MySqlConnection::connect_with(&options).await.is_ok() })
    },
    end: Signal::SIGKILL,
    stop: Signal::SIGTERM,
};
