//! Scratch databases of runs that were killed. What is in use is never dropped: each backend shows
//! whether the session that made a database is still there.

use super::{quoted, whom};
use crate::db::Session;
use crate::model::Cell;
use crate::sql::Dialect;

/// How the names of scratch databases, their users and their locks begin.
const PREFIX: &str = "chatctl_scratch_";

/// When a session of PostgreSQL began, in microseconds: with its process id it names one session,
/// as a process id comes back after a while.
const BEGAN: &str = "(extract(epoch FROM backend_start) * 1000000)::bigint::text";

/// The name for a new scratch database that this session makes and uses.
pub(super) fn claim(session: &mut dyn Session, dialect: Dialect) -> anyhow::Result<String> {
    let number = format!("{:08x}", fastrand::u32(..));
    match dialect {
        Dialect::Sqlite => Ok(format!("{PREFIX}{number}")),
        Dialect::Mysql => {
            let name = format!("{PREFIX}{number}");
            session.command(&format!("DO get_lock('{name}', 0)"))?;
            Ok(name)
        }
        Dialect::Postgres => {
            let rows = session.rows(&format!(
                "SELECT pid::text, {BEGAN} FROM pg_stat_activity WHERE pid = pg_backend_pid()"
            ))?;
            let session: Vec<_> = rows.iter().flatten().map(Cell::to_string).collect();
            Ok(format!("{PREFIX}{}_{number}", session.join("_")))
        }
    }
}

/// Drops the scratch databases whose sessions are gone. Those that may not be dropped stay.
pub(super) fn sweep(session: &mut dyn Session, dialect: Dialect) -> anyhow::Result<()> {
    match dialect {
        Dialect::Sqlite => Ok(()),
        Dialect::Mysql => sweep_mysql(session),
        Dialect::Postgres => sweep_postgres(session),
    }
}

fn sweep_mysql(session: &mut dyn Session) -> anyhow::Result<()> {
    let pattern = PREFIX.replace('_', "\\_");
    for row in session.rows(&format!("SHOW DATABASES LIKE '{pattern}%'"))? {
        let database = row[0].to_string();
        // One that is named after another has its lock and its user.
        let name = database.strip_suffix(super::ASIDE).unwrap_or(&database);
        let free = session.rows(&format!("SELECT is_free_lock('{name}')"))?;
        if free[0][0].text() != Some("1") {
            continue;
        }
        // The database goes last: as long as it is there, the next run finds its user too.
        for user in users(session, name)? {
            // Who may not make users has made none.
            let _ = session.command(&format!("DROP USER IF EXISTS {user}"));
        }
        session.command(&format!("DROP DATABASE IF EXISTS {}", quoted(&database)))?;
    }
    Ok(())
}

/// The user of a scratch database, who may have come from another host than this session.
fn users(session: &mut dyn Session, name: &str) -> anyhow::Result<Vec<String>> {
    let found = session.rows(&format!(
        "SELECT host FROM mysql.user WHERE user = '{name}'"
    ));
    match found {
        Ok(hosts) => {
            let user =
                |row: &Vec<Cell>| format!("{}@{}", quoted(name), quoted(&row[0].to_string()));
            Ok(hosts.iter().map(user).collect())
        }
        // Not everybody may read that table.
        Err(_) => Ok(vec![whom(session, name)?]),
    }
}

fn sweep_postgres(session: &mut dyn Session) -> anyhow::Result<()> {
    // When a session of another role began is not shown to everybody: then it counts as the same.
    let forsaken = session.rows(&format!(
        "SELECT d.datname::text FROM pg_database AS d WHERE d.datname ~ '^{PREFIX}[0-9]+_[0-9]+_[0-9a-f]+$' AND NOT EXISTS \
         (SELECT 1 FROM pg_stat_activity AS a WHERE a.pid::text = split_part(d.datname, '_', 3) \
         AND (a.backend_start IS NULL OR {BEGAN} = split_part(d.datname, '_', 4)))"
    ))?;
    for row in forsaken {
        // Another role's can't be dropped, and another run may drop it first.
        let _ = session.command(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", row[0]));
    }
    Ok(())
}
