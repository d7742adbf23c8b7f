//! MySQL and MariaDB: one transaction with a consistent snapshot, or several of one moment, and rows
//! as they come.

mod hold;

use super::catalog::quote;
use super::values::Kind;
use super::{connection, error, values};
use crate::cli_error::CliError;
use crate::db::driver::{Driver as _, alone, rows};
use crate::db::snapshot_read::{Moment, SnapshotRead, ViewConnection, reads_only, redefined};
use crate::db::{Db, Each, Query, Target, Tried, Writer, server};
use crate::model::{Cell, CellRef, Table};
use futures_util::TryStreamExt as _;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Executor as _, MySqlConnection, Row as _, ValueRef as _};
use std::time::Duration;
use tokio::time::Instant;

/// How often a snapshot is taken again because a table was redefined between the list of tables and
/// its lock.
const ATTEMPTS: u32 = 2;

struct MySql {
    view: ViewConnection<MySqlConnection>,
    moment: Moment,
}

async fn connect(target: &Target, limit: Duration) -> anyhow::Result<MySqlConnection> {
    let mut connection: MySqlConnection =
        server::connect(target, &connection::options(target)?).await?;
    let version = rows(&mut connection, "SELECT version()").await?;
    let bound = if version[0][0].to_string().contains("MariaDB") {
        format!("max_statement_time = {}", limit.as_secs_f64())
    } else {
        format!("max_execution_time = {}", limit.as_millis())
    };
    let wait = server::READ.as_secs();
    let settings = format!("SET SESSION {bound}, SESSION lock_wait_timeout = {wait}");
    connection.execute(AssertSqlSafe(settings)).await?;
    // A node of a cluster may be behind what another has committed: a read waits until it is not.
    let cluster = rows(&mut connection, "SHOW VARIABLES LIKE 'wsrep_on'").await?;
    if cluster.iter().any(|row| row[1].text() == Some("ON")) {
        connection
            .execute("SET SESSION wsrep_sync_wait = 1")
            .await?;
    }
    connection
        .execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .await?;
    Ok(connection)
}

/// Views of one moment, `count` of them if the server can hold still for it.
pub(super) async fn open(
    target: Target,
    tables: &[String],
    limit: Duration,
    count: usize,
) -> anyhow::Result<Vec<Box<dyn SnapshotRead>>> {
    let begun = Instant::now();
    let mut connections = vec![connect(&target, limit).await?];
    let mut moment = Moment::default();
    if count > 1 {
        match hold::obstacle(&mut connections[0]).await? {
            Some(why) => moment.warnings.push(hold::one_range(&why)),
            None => {
                for _ in 1..count {
                    connections.push(connect(&target, limit).await?);
                }
            }
        }
    }
    let mut attempt = 1;
    while let Err(error) = begin(&target, &mut connections, &mut moment, tables).await {
        if attempt == ATTEMPTS || !is_redefined(&error) {
            return Err(explained(&target, error));
        }
        attempt += 1;
        for connection in &mut connections {
            connection.execute("ROLLBACK").await?;
        }
    }
    let view = |connection| MySql {
        view: ViewConnection::new(target.clone(), connection, begun, limit, explained),
        moment: moment.clone(),
    };
    let views = connections.into_iter().map(view);
    Ok(views
        .map(|view| Box::new(view) as Box<dyn SnapshotRead>)
        .collect())
}

/// Locks each table against redefinition and then fixes the moment.
///
/// The other order would not do: a table that is renamed to another one's name after the moment was
/// created before it, so that the engine reports nothing, and its rows may be younger than it.
async fn begin(
    target: &Target,
    connections: &mut Vec<MySqlConnection>,
    moment: &mut Moment,
    tables: &[String],
) -> anyhow::Result<()> {
    let there = "SELECT table_name FROM information_schema.tables WHERE table_schema = database() \
        AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')";
    let there = rows(&mut connections[0], there).await?;
    let names: Vec<_> = there
        .iter()
        .filter_map(|row| row[0].text())
        .filter(|name| tables.is_empty() || tables.iter().any(|it| it == name))
        .collect();
    for connection in &mut *connections {
        connection.execute("START TRANSACTION").await?;
    }
    // Until the transaction ends, no statement redefines a table that it opened. As no row is read,
    // the moment is still to come. One connection is enough: it holds for the other ones as well.
    look(&mut connections[0], &names, 0).await?;
    let mut holder = None;
    if connections.len() > 1 {
        match hold::still(target).await? {
            Ok(still) => holder = Some(still),
            Err(why) => {
                moment.warnings.push(hold::one_range(&why));
                connections.truncate(1);
            }
        }
    }
    for connection in connections {
        look(connection, &names, 1).await?;
    }
    if let Some(holder) = holder {
        hold::let_go(holder).await?;
    }
    Ok(())
}

/// Opens each table, and reads up to `count` rows of it. The first read fixes the moment.
async fn look(connection: &mut MySqlConnection, names: &[&str], count: u8) -> anyhow::Result<()> {
    for name in names {
        let look = format!("SELECT 1 FROM {} LIMIT {count}", quote(name));
        rows(connection, &look).await?;
    }
    Ok(())
}

fn number(error: &anyhow::Error) -> Option<u16> {
    error::number(server::driver(error)?)
}

/// 1412 the definition of a table has changed; 1146 there is no such table any more.
fn is_redefined(error: &anyhow::Error) -> bool {
    matches!(number(error), Some(1412 | 1146))
}

/// 1047 the node is not in its cluster; 1205 no lock in time; 1969 and 3024 a statement took too long, in MariaDB and in MySQL.
fn explained(target: &Target, error: anyhow::Error) -> anyhow::Error {
    match number(&error) {
        Some(1412) => redefined(target).into(),
        Some(1205) => CliError::unreachable(format!(
            "tables of `{target}` are being redefined: no lock for reading within {:?}",
            server::READ
        ))
        .hint("wait until the schema change is over, and read again")
        .into(),
        Some(1047) => CliError::unreachable(format!("the node `{target}` has lost its cluster"))
            .hint("read from a node whose wsrep_cluster_status is Primary")
            .into(),
        _ => server::failed(target, error),
    }
}

impl Db for MySql {
    fn target(&self) -> &Target {
        self.view.target()
    }

    fn schema(&self) -> Tried<'_, Vec<Table>> {
        Box::pin(connection::schema(self))
    }

    fn rows<'a>(&'a self, sql: &'a str, args: &'a [Cell]) -> Tried<'a, Vec<Vec<Cell>>> {
        Box::pin(self.view.read(async move |mut connection| {
            let sql = server::inlined(sql, args, sqlx::MySql::literal)?;
            let rows = rows(&mut connection, &sql).await?;
            Ok((connection, rows))
        }))
    }

    fn scan<'a>(&'a self, sql: &'a str, args: &'a [Cell], each: Each<'a>) -> Tried<'a, ()> {
        Box::pin(self.view.read(async move |mut connection| {
            let sql = server::inlined(sql, args, sqlx::MySql::literal)?;
            read(&mut connection, &sql, each).await?;
            Ok((connection, ()))
        }))
    }

    fn query(&self, _: Query) -> Tried<'_, ()> {
        reads_only(self.view.target())
    }

    fn writer(&self, _: Duration) -> Tried<'_, Box<dyn Writer>> {
        reads_only(self.view.target())
    }
}

impl SnapshotRead for MySql {
    fn moment(&self) -> &Moment {
        &self.moment
    }

    /// A table that was redefined would have failed to be read.
    fn unchanged(&self) -> Tried<'_, ()> {
        Box::pin(async move { self.rows("SELECT 1", &[]).await.map(|_| ()) })
    }
}

/// Hands over the rows of one statement, on a connection of its own: its time is not limited, that
/// of its wait for a lock is.
pub(super) async fn scan(
    target: &Target,
    sql: &str,
    args: &[Cell],
    each: Each<'_>,
) -> anyhow::Result<()> {
    let sql = server::inlined(sql, args, sqlx::MySql::literal)?;
    // Zero disables the limit.
    let mut connection = connect(target, Duration::ZERO).await?;
    let done = read(&mut connection, &sql, each).await;
    done.map_err(|error| explained(target, error))
}

/// Rows after the last one that is wanted are dropped by the driver before the next statement.
async fn read(connection: &mut MySqlConnection, sql: &str, each: Each<'_>) -> anyhow::Result<()> {
    alone(connection, sql).await?;
    let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
    let mut kinds = Vec::new();
    while let Some(row) = rows.try_next().await? {
        if kinds.is_empty() {
            let infos = (0..row.len()).map(|index| row.try_get_raw(index));
            kinds = infos
                .map(|value| Ok(values::kind(&value?.type_info())))
                .collect::<anyhow::Result<_>>()?;
        }
        let values: Vec<_> = (0..row.len())
            .map(|index| bytes(&row, index))
            .collect::<anyhow::Result<_>>()?;
        let owned: Vec<_> = kinds.iter().zip(&values).map(owned).collect();
        let cells = kinds.iter().zip(&values).zip(&owned);
        let cells: Vec<_> = cells
            .map(|((kind, value), owned)| cell(*kind, *value, owned.as_ref()))
            .collect::<anyhow::Result<_>>()?;
        if each(&cells)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn bytes(row: &MySqlRow, index: usize) -> anyhow::Result<Option<&[u8]>> {
    if row.try_get_raw(index)?.is_null() {
        Ok(None)
    } else {
        Ok(Some(row.try_get_unchecked(index)?))
    }
}

/// What can't be lent as it came.
fn owned((kind, value): (&Kind, &Option<&[u8]>)) -> Option<Cell> {
    let bytes = (*value)?;
    match kind {
        Kind::Bits => Some(values::bits(bytes)),
        Kind::Text if std::str::from_utf8(bytes).is_err() => {
            Some(Cell::Text(String::from_utf8_lossy(bytes).into_owned()))
        }
        _ => None,
    }
}

fn cell<'a>(
    kind: Kind,
    value: Option<&'a [u8]>,
    owned: Option<&'a Cell>,
) -> anyhow::Result<CellRef<'a>> {
    let (Some(bytes), None) = (value, owned) else {
        return Ok(owned.map_or(CellRef::Null, CellRef::from));
    };
    if kind == Kind::Bytes {
        return Ok(CellRef::Blob(bytes));
    }
    let text = std::str::from_utf8(bytes)?;
    Ok(match kind {
        // Beyond the range of a number it stays a text.
        Kind::Whole => text.parse().map_or(CellRef::Text(text), CellRef::Int),
        Kind::Real => CellRef::Real(text.parse()?),
        _ => CellRef::Text(text),
    })
}
