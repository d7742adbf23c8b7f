//! PgBouncer in front of a PostgreSQL server.

use super::Postgres;
use super::engine::{POSTGRES, START};
use super::place::{Place, program};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

/// A pooler that is gone when dropped.
pub struct PgBouncer {
    port: u16,
    child: Child,
    _place: Place,
}

impl PgBouncer {
    /// In front of a server; `pool` is `session` or `transaction`.
    pub fn start(server: &Postgres, pool: &str) -> Self {
        let place = Place::new(POSTGRES.users);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {pool}\n\
             ignore_startup_parameters = extra_float_digits\n",
            server.0.port
        );
        let path = place.path().join("pgbouncer.ini");
        fs::write(&path, settings).unwrap();
        let mut child = place
            .command(&program(&["pgbouncer"]))
            .arg(&path)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{}",
                fs::read_to_string(place.log()).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            port,
            child,
            _place: place,
        }
    }

    /// The URL of a database by way of it.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
