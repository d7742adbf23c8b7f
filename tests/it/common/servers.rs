//! Private database servers: one a test, on a port and a folder of its own, gone when dropped.
//!
//! A server stays in the test's process group. Whoever kills a test that hangs kills the group (the
//! test runner does, and so does Ctrl-C), so the server ends even where `drop` doesn't run.

mod engine;
mod galera;
mod pgbouncer;
mod place;
mod sql;
mod standby;

use engine::{Engine, MARIADB, MARIADB_ENCRYPTED, POSTGRES, START};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use place::{CERTIFICATE, Place, program};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub use galera::Galera;
pub use pgbouncer::PgBouncer;
pub use sql::{Client, run_sql, texts};

/// How long a server may take to end when asked to.
const END: Duration = Duration::from_secs(10);
/// How often a server that ended at once is started again: another process may have taken its port.
const ATTEMPTS: u32 = 5;
/// The database that each server has.
const DATABASE: &str = "chat";

struct Server {
    engine: &'static Engine,
    place: Place,
    port: u16,
    child: Child,
}

/// A PostgreSQL server that trusts everyone on 127.0.0.1; its superuser is `postgres`.
pub struct Postgres(Server);

/// A MariaDB server whose `root` has no password.
pub struct MariaDb(Server);

impl Postgres {
    /// A new server with an empty database.
    pub fn start() -> Self {
        let server = Self(Server::start(&POSTGRES));
        server.database(DATABASE);
        server
    }

    /// Takes encrypted connections with the password `secret` only, from now on (SCRAM, which is bound to
    /// the connection where the client can). Gives the file with its certificate.
    pub fn encrypt(&self) -> PathBuf {
        let data = self.0.place.data();
        self.0.place.certify(&data);
        for sql in [
            "ALTER USER postgres PASSWORD 'secret'",
            "ALTER SYSTEM SET ssl = on",
        ] {
            run_sql(&self.url(), sql);
        }
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), rules).unwrap();
        self.reload();
        data.join(CERTIFICATE)
    }

    /// Waits with each commit for a standby.
    pub fn wait_for_standby(&self) {
        let sql = "ALTER SYSTEM SET synchronous_standby_names = '*'";
        run_sql(&self.url(), sql);
        self.reload();
    }

    /// Takes up changed settings.
    fn reload(&self) {
        run_sql(&self.url(), "SELECT pg_reload_conf()");
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// Makes another database, and gives its URL.
    pub fn database(&self, name: &str) -> String {
        let name_quoted = name.replace('"', "\"\"");
        run_sql(
            &self.url_of("postgres"),
            &format!("CREATE DATABASE \"{name_quoted}\""),
        );
        self.url_of(name)
    }

    /// Removes a database, whoever is still connected to it.
    pub fn drop_database(&self, name: &str) {
        run_sql(
            &self.url_of("postgres"),
            &format!("DROP DATABASE \"{name}\" WITH (FORCE)"),
        );
    }

    /// Makes a database that has what another one has, and gives its URL.
    pub fn copy(&self, of: &str, name: &str) -> String {
        run_sql(
            &self.url_of("postgres"),
            // Page by page through the log it takes twice as long.
            &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{of}\" STRATEGY file_copy"),
        );
        self.url_of(name)
    }

    fn url_of(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.0.port)
    }

    /// The process id of the server's first process.
    pub fn pid(&self) -> u32 {
        self.0.child.id()
    }

    /// Ends the first process as a power cut would; its children notice and end by themselves.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Ends it as an operator does, with everything in its place.
    pub fn stop(&mut self) {
        self.0.end_by(self.0.engine.stop);
    }

    /// Starts it again on the same folder and port; one that runs is ended as by a power cut.
    pub fn restart(&mut self) {
        self.0.restart();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.0.end();
        // A killed server leaves a segment of shared memory behind, and the system has room for a
        // few thousand only. The seventh line of the lock file tells its key and its id.
        let lock = fs::read_to_string(self.0.place.data().join("postmaster.pid"));
        let line = lock.unwrap_or_default().lines().nth(6).map(str::to_owned);
        if let Some(id) = line.as_deref().and_then(|l| l.split_whitespace().nth(1)) {
            let _ = self
                .0
                .place
                .command(Path::new("ipcrm"))
                .args(["-m", id])
                .status();
        }
    }
}

impl MariaDb {
    /// A new server with an empty database.
    pub fn start() -> Self {
        let server = Self(Server::start(&MARIADB));
        server.database(DATABASE);
        server
    }

    /// The same, which takes encrypted connections only.
    pub fn encrypted() -> Self {
        Self(Server::start(&MARIADB_ENCRYPTED))
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// Makes another database, and gives its URL.
    pub fn database(&self, name: &str) -> String {
        let name_quoted = name.replace('`', "``");
        run_sql(
            &self.url_of("mysql"),
            &format!("CREATE DATABASE `{name_quoted}`"),
        );
        self.url_of(name)
    }

    /// Removes a database.
    pub fn drop_database(&self, name: &str) {
        run_sql(&self.url_of("mysql"), &format!("DROP DATABASE `{name}`"));
    }

    /// A database with what another one has. Its URL.
    pub fn copy(&self, of: &str, name: &str) -> String {
        let url = self.database(name);
        run_sql(&url, &self.dump(of));
        url
    }

    /// The statements that make what a database has.
    pub fn dump(&self, name: &str) -> String {
        let mut dump = Command::new(program(&["mariadb-dump"]));
        dump.args(["--no-defaults", "--skip-comments", "--hex-blob"]);
        dump.args(["--user=root", "--host=127.0.0.1"]);
        dump.arg(format!("--port={}", self.0.port)).arg(name);
        let done = dump.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn url_of(&self, name: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{name}", self.0.port)
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.0.child.id()
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Ends it as an operator does, with everything in its place.
    pub fn stop(&mut self) {
        self.0.end_by(self.0.engine.stop);
    }

    /// Starts it again on the same folder and port; one that runs is ended as by a power cut.
    pub fn restart(&mut self) {
        self.0.restart();
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Server {
    fn start(engine: &'static Engine) -> Self {
        let place = Place::new(engine.users);
        place.copy(&engine.template(), &place.data());
        place.certify(place.path());
        Self::of(engine, place)
    }

    /// A server on a folder that has its data, on a port that is free.
    fn of(engine: &'static Engine, place: Place) -> Self {
        for _ in 1..ATTEMPTS {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            if let Ok(child) = engine.launch(&place, port) {
                return Self {
                    engine,
                    place,
                    port,
                    child,
                };
            }
        }
        panic!("{}", engine.ended(&place));
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The children of a killed server may outlive it for a moment, and keep the next one away.
    fn restart(&mut self) {
        self.end();
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Ok(child) = self.engine.launch(&self.place, self.port) {
                self.child = child;
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{}", self.engine.ended(&self.place));
    }

    fn end(&mut self) {
        self.end_by(self.engine.end);
    }

    fn end_by(&mut self, signal: Signal) {
        if self.child.try_wait().unwrap().is_some() {
            return;
        }
        let id = i32::try_from(self.child.id()).unwrap();
        let _ = nix::sys::signal::kill(Pid::from_raw(id), signal);
        let deadline = Instant::now() + END;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                return self.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
