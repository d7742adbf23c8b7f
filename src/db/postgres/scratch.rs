//! Scratch databases on a server of PostgreSQL.

use super::dump;
use crate::db::Session;
use crate::db::scratch::{PREFIX, Place, Server};
use crate::model::Cell;
use crate::temporary::Folder;

pub(super) const PLACE: Place = Place::Server(Server {
    allow: "as a superuser: ALTER ROLE this user CREATEDB; or use another user",
    claim,
    // A table has no encoding of its own.
    like: |_| Ok(String::new()),
    sweep,
    fill: |scratch, _, of, _| {
        let folder = Folder::new()?;
        let path = folder.path().join("copy");
        let filled = dump::write(of, &path)
            .and_then(|()| dump::check(of, &path))
            .and_then(|()| dump::load(&scratch.target, &path));
        // The rows of all conversations were in it.
        folder.close()?;
        filled
    },
    drop: |scratch, _| {
        let name = scratch.target.database();
        Ok(vec![format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")])
    },
});

/// When a session began, in microseconds: with its process id it names one session, as a process id
/// comes back after a while.
const BEGAN: &str = "(extract(epoch FROM backend_start) * 1000000)::bigint::text";

/// The name for a new scratch database that this session makes and uses.
fn claim(session: &mut dyn Session) -> anyhow::Result<String> {
    let rows = session.rows(&format!(
        "SELECT pid::text, {BEGAN} FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    ))?;
    let session: Vec<_> = rows.iter().flatten().map(Cell::to_string).collect();
    let number = fastrand::u32(..);
    Ok(format!("{PREFIX}{}_{number:08x}", session.join("_")))
}

/// Drops the scratch databases whose sessions are gone.
fn sweep(session: &mut dyn Session) -> anyhow::Result<()> {
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
