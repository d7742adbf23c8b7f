//! Reading MySQL and MariaDB.

use super::connection::{options, plain_options, schema};
use super::{query as queries, snapshot_read};
use crate::db::driver::ServerWriter;
use crate::db::{Db, Each, Query, Target, Tried, Writer, driver, server};
use crate::model::{Cell, Table};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::{Connection as _, Executor as _, MySqlConnection, MySqlPool, Row as _};
use std::time::Duration;

pub(super) struct MySql {
    target: Target,
    version: String,
    readers: MySqlPool,
}

impl MySql {
    pub(super) async fn open(target: Target) -> anyhow::Result<Self> {
        let options = options(&target)?;
        let mut first: MySqlConnection = server::connect(&target, &options).await?;
        let reading = |error| server::reading(&target, error);
        let version: String = sqlx::query_scalar("SELECT version()")
            .fetch_one(&mut first)
            .await
            .map_err(reading)?;
        let cluster = first.fetch_optional("SHOW VARIABLES LIKE 'wsrep_on'").await;
        let cluster = cluster.map_err(reading)?;
        let is_cluster = cluster.is_some_and(|row| row.try_get(1).is_ok_and(|is: &str| is == "ON"));
        first.close().await?;
        let mut settings = settings(&version, server::READ);
        if is_cluster {
            // A reader waits until its node has what was committed on the others.
            settings = format!("SET SESSION wsrep_sync_wait = 1; {settings}");
        }
        let pool = MySqlPoolOptions::new()
            .max_connections(server::READERS)
            .acquire_timeout(server::CONNECT)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move {
                    let settings = sqlx::raw_sql(sqlx::AssertSqlSafe(settings));
                    connection.execute(settings).await.map(|_| ())
                })
            });
        Ok(Self {
            target,
            version,
            readers: pool.connect_lazy_with(options),
        })
    }
}

/// What every reading connection is set to. MariaDB and MySQL bound a read by different variables; neither bounds
/// a wait for a table's definition by them.
fn settings(version: &str, limit: Duration) -> String {
    // A chain of messages is longer than the thousand steps that both allow for by themselves:
    // MariaDB would cut it without a word.
    let bound = match (version.contains("MariaDB"), version.starts_with("5.")) {
        (true, _) => format!(
            "max_statement_time = {}, SESSION max_recursive_iterations = 4294967295",
            limit.as_secs_f64()
        ),
        (false, true) => format!("max_execution_time = {}", limit.as_millis()),
        (false, false) => format!(
            "max_execution_time = {}, SESSION cte_max_recursion_depth = 4294967295",
            limit.as_millis()
        ),
    };
    let limit = limit.as_secs().max(1);
    format!(
        "SET SESSION {bound}, SESSION lock_wait_timeout = {limit}; SET SESSION TRANSACTION READ ONLY"
    )
}

impl Db for MySql {
    fn target(&self) -> &Target {
        &self.target
    }

    fn schema(&self) -> Tried<'_, Vec<Table>> {
        Box::pin(schema(self))
    }

    fn rows<'a>(&'a self, sql: &'a str, args: &'a [Cell]) -> Tried<'a, Vec<Vec<Cell>>> {
        Box::pin(driver::pooled(&self.readers, &self.target, sql, args))
    }

    fn scan<'a>(&'a self, sql: &'a str, args: &'a [Cell], each: Each<'a>) -> Tried<'a, ()> {
        Box::pin(snapshot_read::scan(&self.target, sql, args, each))
    }

    fn query(&self, query: Query) -> Tried<'_, ()> {
        Box::pin(async move {
            let settings = settings(&self.version, query.timeout);
            queries::run(&self.target, &options(&self.target)?, &settings, &query).await
        })
    }

    /// A node of a Galera cluster does not lag: its readers wait for what the others committed.
    fn lags(&self) -> Tried<'_, Option<String>> {
        Box::pin(async move {
            let replicas = if self.version.contains("MariaDB") {
                "SHOW ALL SLAVES STATUS"
            } else {
                "SHOW REPLICA STATUS"
            };
            let group = "SELECT 1 FROM performance_schema.global_variables
                WHERE variable_name = 'group_replication_group_name' AND variable_value <> ''";
            match self.rows(replicas, &[]).await {
                Err(error) => {
                    return Ok(Some(format!(
                        "whether it is a replica is not known ({error:#})"
                    )));
                }
                Ok(rows) if !rows.is_empty() => return Ok(Some("it is a replica".to_owned())),
                Ok(_) => {}
            }
            // MariaDB has no such groups, and older servers have no such table.
            let group = self.rows(group, &[]).await.unwrap_or_default();
            Ok((!group.is_empty()).then(|| "it is a member of a replication group".to_owned()))
        })
    }

    fn writer(&self, wait: Duration) -> Tried<'_, Box<dyn Writer>> {
        Box::pin(async move {
            let options = plain_options(&self.target)?;
            let mut connection: MySqlConnection = server::connect(&self.target, &options).await?;
            let wait = wait.as_millis().div_ceil(1000);
            let settings = format!(
                "SET SESSION innodb_lock_wait_timeout = {wait}, SESSION lock_wait_timeout = {wait}"
            );
            connection.execute(sqlx::AssertSqlSafe(settings)).await?;
            Ok(Box::new(ServerWriter(connection)) as Box<dyn Writer>)
        })
    }
}
