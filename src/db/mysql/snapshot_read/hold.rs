//! Blocks commits for as long as it takes to begin several transactions.
//!
//! A transaction of InnoDB can't be given the moment of another one. `FLUSH TABLES WITH READ LOCK`
//! waits for every statement that runs and keeps all others waiting meanwhile. MariaDB's
//! `BACKUP STAGE BLOCK_COMMIT` (10.4.1 on) lets statements continue, and makes only commits and
//! changes of the schema wait (mariadb.com/kb/en/backup-stage).

use super::{connect, number};
use crate::db::Target;
use crate::db::driver::rows;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection};
use std::time::Duration;

/// How long the server is held at most.
const MOST: Duration = Duration::from_secs(10);

/// A sentence for anyone who reads the results.
pub(super) fn one_range(why: &str) -> String {
    format!("The store is read in one range: {why}.")
}

/// Why several transactions can't begin at one moment; none where they can.
pub(super) async fn obstacle(connection: &mut MySqlConnection) -> anyhow::Result<Option<String>> {
    let version = rows(connection, "SELECT version()").await?[0][0].to_string();
    let cluster = rows(connection, "SHOW VARIABLES LIKE 'wsrep_on'").await?;
    Ok(if !version.contains("MariaDB") {
        Some(format!(
            "`{version}` cannot begin two transactions at the same moment unless all writers wait"
        ))
    } else if cluster.iter().any(|row| row[1].text() == Some("ON")) {
        Some("a node of a cluster falls behind if it blocks commits".to_owned())
    } else {
        None
    })
}

/// Makes commits wait, on a connection of its own; or tells why that can't be done at once.
pub(super) async fn still(target: &Target) -> anyhow::Result<Result<MySqlConnection, String>> {
    let mut holder = connect(target, MOST).await?;
    // Whoever waits for the lock keeps others waiting; and if chatctl is stopped in the middle, the
    // server ends the connection, and with it the stage.
    let bounds = format!(
        "SET SESSION lock_wait_timeout = 1, SESSION wait_timeout = {}",
        MOST.as_secs()
    );
    holder.execute(AssertSqlSafe(bounds)).await?;
    for stage in ["BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT"] {
        let Err(error) = holder.execute(stage).await else {
            continue;
        };
        let error = error.into();
        return match number(&error) {
            Some(1205) => Ok(Err(
                "a backup or a schema change is in progress, so commits cannot be blocked"
                    .to_owned(),
            )),
            // 1227: `GRANT RELOAD` is missing; 1064: a server that knows no stages.
            Some(1064 | 1227) => Ok(Err(format!("commits cannot be blocked: {error}"))),
            _ => Err(error),
        };
    }
    Ok(Ok(holder))
}

/// Lets commits continue.
pub(super) async fn let_go(mut holder: MySqlConnection) -> anyhow::Result<()> {
    holder.execute("BACKUP STAGE END").await?;
    holder.close().await?;
    Ok(())
}
