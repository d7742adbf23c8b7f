//! A connection of somebody else's, that keeps a transaction open and so others waiting.

use super::store::{Store, until};
use crate::common::backend::Backend;
use crate::common::servers;
use sqlx::{Connection as _, Executor as _, MySqlConnection, PgConnection};
use tokio::runtime::Runtime;

/// An open transaction. The server takes it back when the holder is dropped.
pub struct Holder {
    runtime: Runtime,
    connection: Link,
}

enum Link {
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

impl Holder {
    /// Begins a transaction and runs a statement in it.
    pub fn new(store: &Store, sql: &str) -> Self {
        let runtime = runtime();
        let connection = runtime.block_on(async {
            match store.backend {
                Backend::Postgres => {
                    Link::Postgres(PgConnection::connect(&store.url).await.unwrap())
                }
                _ => Link::Mysql(MySqlConnection::connect(&store.url).await.unwrap()),
            }
        });
        let mut holder = Self {
            runtime,
            connection,
        };
        holder.run("BEGIN");
        holder.run(sql);
        holder
    }

    /// Has the rows of a table: who writes them waits, and who alters the table.
    pub fn of_rows(store: &Store, table: &str) -> Self {
        Self::new(store, &format!("SELECT * FROM {table} FOR UPDATE"))
    }

    fn run(&mut self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql);
        let done = match &mut self.connection {
            Link::Postgres(it) => self.runtime.block_on(it.execute(sql)).map(drop),
            Link::Mysql(it) => self.runtime.block_on(it.execute(sql)).map(drop),
        };
        done.unwrap();
    }

    /// Lets everybody go on; nothing is held any more when it returns.
    pub fn release(mut self) {
        self.run("ROLLBACK");
    }
}

/// What a connection of a test's own waits in.
pub fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// The statements of chatctl that wait for a lock in this database.
pub fn waiting(store: &Store) -> Vec<String> {
    let name = store.url.rsplit('/').next().unwrap();
    let sql = match store.backend {
        Backend::Postgres => {
            "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'chatctl' \
             AND datname = current_database()"
                .to_owned()
        }
        // The server does not tell of every wait for a row; while somebody has them all, a statement
        // that was begun can't but wait.
        _ => format!(
            "SELECT info FROM information_schema.processlist \
             WHERE db = '{name}' AND info IS NOT NULL AND id <> connection_id()"
        ),
    };
    servers::texts(&store.url, &sql)
}

/// Waits until chatctl waits for a lock with a statement that begins so. On PostgreSQL several may go
/// together, and each begins a line.
#[track_caller]
pub fn until_waiting(store: &Store, statement: &str) {
    until(&format!("chatctl to wait with {statement}"), || {
        let all = waiting(store);
        let mut lines = all.iter().flat_map(|it| it.lines());
        lines.any(|it| it.starts_with(statement)).then_some(())
    });
}
