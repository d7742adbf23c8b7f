//! The table lock: a lock on the table of answers, opened for one writer at a time. For a database
//! server where no commit can be withheld.

mod mysql;
pub(super) mod postgres;

use super::{Fails, Gate, How, Kind, LockTarget};
use crate::model::Engine;

pub(super) const KIND: Kind = Kind {
    name: "table-lock",
    engines: &[Engine::Postgres, Engine::Mysql],
    what: "every write to the table of answers, by anyone",
    how: How::Lock(|on| Box::pin(open(on))),
    fault: Fails::Never,
    sweep: None,
};

/// A server that sends its marker between its statement and its commit is not distinguished from a right one.
const ONLY_WRITES: &str = "a table lock withholds the statement that writes the answer and not its commit: the final marker may have been sent between the two. A gate that withholds commits can prove the order";

async fn open(on: LockTarget<'_>) -> anyhow::Result<Box<dyn Gate>> {
    match on.db.target().engine() {
        Engine::Postgres => postgres::open(on).await,
        Engine::Mysql => mysql::open(on).await,
        Engine::Sqlite => anyhow::bail!("SQLite has no lock of a table"),
    }
}
