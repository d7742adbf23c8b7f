//! Scratch databases of runs that were killed. A lock shows whether the session that made one is
//! still there: what is in use is never dropped.

use super::{IMAGES, whom};
use crate::db::Session;
use crate::db::mysql::catalog::quote;
use crate::db::scratch::PREFIX;
use crate::model::Cell;

/// The name for a new scratch database that this session makes and uses.
pub(super) fn claim(session: &mut dyn Session) -> anyhow::Result<String> {
    let name = format!("{PREFIX}{:08x}", fastrand::u32(..));
    session.command(&format!("DO get_lock('{name}', 0)"))?;
    Ok(name)
}

/// Drops the scratch databases whose sessions are gone.
pub(super) fn sweep(session: &mut dyn Session) -> anyhow::Result<()> {
    let pattern = PREFIX.replace('_', "\\_");
    for row in session.rows(&format!("SHOW DATABASES LIKE '{pattern}%'"))? {
        let database = row[0].to_string();
        // One that is named after another has its lock and its user.
        let name = database.strip_suffix(IMAGES).unwrap_or(&database);
        let free = session.rows(&format!("SELECT is_free_lock('{name}')"))?;
        if free[0][0].text() != Some("1") {
            continue;
        }
        // The database goes last: as long as it is there, the next run finds its user too.
        for user in users(session, name)? {
            // Who may not make users has made none.
            let _ = session.command(&format!("DROP USER IF EXISTS {user}"));
        }
        session.command(&format!("DROP DATABASE IF EXISTS {}", quote(&database)))?;
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
            let user = |row: &Vec<Cell>| format!("{}@{}", quote(name), quote(&row[0].to_string()));
            Ok(hosts.iter().map(user).collect())
        }
        // Not everybody may read that table.
        Err(_) => Ok(vec![whom(session, name)?]),
    }
}
