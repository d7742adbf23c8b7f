//! The deferred constraint trigger of PostgreSQL: a transaction that has written one of chatctl's
//! answers waits at its commit for a lock that chatctl holds, and no other transaction does.
//!
//! Its function is in `pg_temp`, so the trigger is gone when the connection that made it is, also
//! after SIGKILL. PostgreSQL then waits for whoever has the table open in a transaction, and readers
//! wait behind it: so chatctl removes the trigger first, in short tries. It needs the rights SELECT and
//! TRIGGER on the table, and TEMPORARY on the database.

use super::table_lock::postgres::{PostgresLock, connect, looks_for_client};
use super::turnstile::STEP_WAIT;
use super::{Fails, Gate, How, Kind, LockTarget};
use crate::db::Db;
use crate::model::Engine;

pub(super) const KIND: Kind = Kind {
    name: "constraint-trigger",
    engines: &[Engine::Postgres],
    what: "only commits of transactions that write one of chatctl's answers",
    how: How::Lock(|on| Box::pin(open(on))),
    fault: Fails::Never,
    sweep: Some(|db| Box::pin(sweep(db))),
};

/// The trigger's name, and its function's.
const NAME: &str = "chatctl_gate";
/// The first half of the lock's key; the second is the number of the connection that made the trigger.
const KEY: i32 = 0x6368_6174;

async fn open(on: LockTarget<'_>) -> anyhow::Result<Box<dyn Gate>> {
    let LockTarget { db, max_hold, .. } = on;
    let answers = on.answers()?;
    let (table, column) = (db.quote(answers.table), db.quote(answers.column));
    let mut look = db.writer(STEP_WAIT).await?;
    // Making the trigger may have to wait for somebody's transaction.
    if let Some(setting) = looks_for_client(&mut *look).await? {
        look.execute(setting).await?;
    }
    let number = look.value("SELECT pg_backend_pid()").await?;
    // Evaluated when the row is written, and the lock is waited for at the commit.
    let text = db.text_of(&format!("NEW.{column}"));
    look.execute(&format!(
        "CREATE FUNCTION pg_temp.{NAME}() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared({KEY}, {number}); RETURN NULL; END$$; \
         CREATE CONSTRAINT TRIGGER {NAME} AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW WHEN (strpos({text}, '{}') > 0) EXECUTE PROCEDURE pg_temp.{NAME}()",
        answers.mark
    ))
    .await?;
    let lock = PostgresLock {
        take: format!("SELECT pg_advisory_xact_lock({KEY}, {number})"),
        object: format!(
            "locktype = 'advisory' AND classid = {KEY} AND objid = {number} AND objsubid = 2"
        ),
        mode: "ExclusiveLock",
        proves: Ok(()),
        clear: Some(format!("DROP TRIGGER IF EXISTS {NAME} ON {table}")),
    };
    connect(db, KIND.name, lock, look, max_hold).await
}

/// Takes out the triggers of a run that is gone, or stopped. Names them.
async fn sweep(db: &dyn Db) -> anyhow::Result<Vec<String>> {
    let tables = format!(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = '{NAME}' AND NOT tgisinternal ORDER BY 1"
    );
    let mut swept = Vec::new();
    for row in db.rows(&tables, &[]).await? {
        if let Some(table) = row.first().and_then(|cell| cell.text()) {
            let mut writer = db.writer(STEP_WAIT).await?;
            // Quoted by the database itself.
            let drop = format!("DROP TRIGGER IF EXISTS {NAME} ON {table}");
            writer.execute(&drop).await?;
            swept.push(format!("the trigger {NAME} on {table}"));
        }
    }
    Ok(swept)
}
