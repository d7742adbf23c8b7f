//! A standby of a PostgreSQL server, which streams what the server writes.

use super::engine::{POSTGRES, START};
use super::place::{Place, program};
use super::{DATABASE, Postgres, Server, run_sql, texts};
use std::time::{Duration, Instant};

impl Postgres {
    /// A standby of this server, with a folder and a port of its own.
    pub fn standby(&self) -> Self {
        let place = Place::new(POSTGRES.users);
        let mut copy = place.command(&program(&["pg_basebackup"]));
        copy.args(["--host=127.0.0.1", "--username=postgres", "--no-password"]);
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        copy.arg(format!("--port={}", self.0.port));
        copy.arg("--pgdata").arg(place.data());
        assert!(
            copy.status().unwrap().success(),
            "{}",
            POSTGRES.ended(&place)
        );
        Self(Server::of(&POSTGRES, place))
    }

    /// Waits until a standby has replayed all that this server has written. What a reader wrote to
    /// the log (it tidies pages) leaves the server with the next commit only, so there is one.
    pub fn reaches(&self, standby: &Self) {
        run_sql(
            &self.url(),
            "SELECT pg_logical_emit_message(true, 'test', 'sent')",
        );
        let end = texts(&self.url(), "SELECT pg_current_wal_insert_lsn()::text");
        let asked = format!("SELECT (pg_last_wal_replay_lsn() >= '{}')::text", end[0]);
        let deadline = Instant::now() + START;
        while texts(&standby.url_of(DATABASE), &asked) != ["true"] {
            assert!(Instant::now() < deadline, "the standby does not follow");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Keeps this standby from replaying, or lets it go on.
    pub fn pause(&self, pause: bool) {
        if pause {
            run_sql(&self.url(), "SELECT pg_wal_replay_pause()");
        } else {
            return run_sql(&self.url(), "SELECT pg_wal_replay_resume()");
        }
        let deadline = Instant::now() + START;
        while texts(&self.url(), "SELECT pg_get_wal_replay_pause_state()") != ["paused"] {
            assert!(Instant::now() < deadline, "the standby is not paused");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
