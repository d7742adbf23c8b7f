//! MySQL and MariaDB: what InnoDB numbers is for administrators only, and the rest is ambiguous.

use crate::db::Db;
use crate::db::evidence::{Facts, Mark, Marks, Taken, columns, digest, mark, shortened};
use crate::model::Cell;
use std::collections::BTreeMap;

pub(super) const EVIDENCE: Facts = Facts {
    take: |db, tables, _| Box::pin(take(db, tables)),
    of_table: &[TABLE, INNODB, OTHERS],
    shared: &[DATABASE],
    identity: Some("table_id"),
};

/// Of the server.
static DATABASE: &[Mark] = &[
    mark("database", "database()", "it is another database"),
    mark("host", "@@hostname", "it is another host"),
    // The host and the folder of one server may change; its number among replicas may not.
    mark(
        "server",
        "{server}",
        "one read was through another server, which has its own numbers and counters",
    ),
    mark(
        "started",
        "(SELECT CAST(unix_timestamp() - variable_value AS SIGNED) FROM {status} WHERE variable_name = 'UPTIME')",
        "the server was restarted, and its counters started again",
    ),
    mark(
        "connection",
        "CAST(connection_id() AS CHAR)",
        "connections were opened since; if it is lower, the server was restarted",
    ),
    mark(
        "drops",
        "(SELECT variable_value FROM {status} WHERE variable_name = 'COM_DROP_TABLE')",
        "somebody dropped tables on this server",
    ),
    mark(
        "truncates",
        "(SELECT variable_value FROM {status} WHERE variable_name = 'COM_TRUNCATE')",
        "somebody truncated tables on this server",
    ),
];

/// Of a table `t`.
static TABLE: &[Mark] = &[
    mark(
        "created",
        "CAST(t.create_time AS CHAR)",
        "the table was created, altered or renamed; TRUNCATE keeps it",
    ),
    mark(
        "updated",
        "CAST(t.update_time AS CHAR)",
        "rows were written; a restart forgets it",
    ),
    mark(
        "counted",
        "CAST(t.auto_increment AS CHAR)",
        "ids were assigned, or the counter was reset if it is lower; a restart sets it to the greatest id in use",
    ),
    mark(
        "engine",
        "t.engine",
        "the table was rebuilt in another engine",
    ),
    mark(
        "sentinel",
        "t.table_comment",
        "the comment with the sentinel is lost only if the table is dropped or somebody changes the comment",
    ),
];

/// Of a table in InnoDB's own catalogue, which needs the privilege PROCESS.
static INNODB: &[Mark] = &[
    mark(
        "table_id",
        "CAST(table_id AS CHAR)",
        "the table was created again, truncated, or rebuilt by OPTIMIZE or ALTER",
    ),
    mark("space", "CAST(space AS CHAR)", "its file is another one"),
];

/// Read in other ways than by an expression.
static OTHERS: &[Mark] = &[
    mark("schema", "", "columns, keys or indexes changed"),
    mark("highest", "", "the highest id changed"),
];

/// MySQL would answer out of a cache that is a day old (dev.mysql.com, `information_schema_stats_expiry`);
/// for MariaDB the hint is a comment.
const FRESH: &str = "/*+ SET_VAR(information_schema_stats_expiry = 0) */";

/// MariaDB has no number of a server but that among its replicas; the nodes of a Galera cluster
/// share it, and are distinguished by name and port.
const MARIADB: &str =
    "concat_ws('/', @@server_id, (SELECT concat(n.variable_value, '/', @@port)
    FROM information_schema.global_variables n JOIN information_schema.global_variables w
    ON w.variable_name = 'WSREP_ON' AND w.variable_value = 'ON' WHERE n.variable_name = 'WSREP_NODE_NAME'))";

const MAY: &str =
    "SELECT count(*) FROM information_schema.user_privileges WHERE privilege_type = 'PROCESS'
    AND grantee = concat('''', replace(current_user(), '@', '''@'''), '''')";

async fn take(db: &dyn Db, tables: &[String]) -> anyhow::Result<Taken> {
    let one = async |sql: &str| -> anyhow::Result<Cell> {
        let rows = db.rows(sql, &[]).await?;
        let first = rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next());
        Ok(first.unwrap_or(Cell::Null))
    };
    let is_mariadb = one("SELECT version()")
        .await?
        .to_string()
        .contains("MariaDB");
    let (status, catalog, server) = if is_mariadb {
        (
            "information_schema.global_status",
            "innodb_sys_tables",
            MARIADB,
        )
    } else {
        (
            "performance_schema.global_status",
            "innodb_tables",
            "@@server_uuid",
        )
    };
    let marks = columns(DATABASE).replace("{status}", status);
    let sql = format!("SELECT {}", marks.replace("{server}", server));
    let database = Marks::of(DATABASE, &db.rows(&sql, &[]).await?[0]);
    let may = one(MAY).await? != Cell::Int(0);
    let mut found = BTreeMap::new();
    for table in tables {
        let name = [Cell::Text(table.clone())];
        let sql = format!(
            "SELECT {FRESH} {} FROM information_schema.tables t WHERE t.table_schema = database() AND t.table_name = ?",
            columns(TABLE)
        );
        let rows = db.rows(&sql, &name).await?;
        let Some(row) = rows.first() else { continue };
        let row: Vec<_> = TABLE.iter().zip(row).map(shortened).collect();
        let mut marks = Marks::of(TABLE, &row);
        if may {
            let sql = format!(
                "SELECT {} FROM information_schema.{catalog} WHERE name = concat(database(), '/', ?)",
                columns(INNODB)
            );
            let rows = db.rows(&sql, &name).await?;
            for (mark, cell) in INNODB.iter().zip(rows.first().into_iter().flatten()) {
                marks.note(mark.name, cell);
            }
        }
        let sql = format!("SHOW CREATE TABLE {}", db.quote(table));
        let made = db.rows(&sql, &[]).await?;
        marks.set("schema", digest(&schema(&made[0][1].to_string())));
        let sql = "SELECT column_name FROM information_schema.columns WHERE table_schema = database() AND table_name = ? \
            AND extra LIKE '%auto_increment%'";
        if let Some(row) = db.rows(sql, &name).await?.first() {
            let column = db.quote(&row[0].to_string());
            let sql = format!("SELECT coalesce(max({column}), 0) FROM {}", db.quote(table));
            marks.note("highest", &one(&sql).await?);
        }
        found.insert(table.clone(), marks);
    }
    Ok((database, found))
}

/// How a table is made, without how far its ids have counted and without its comment, which both
/// are in the last line.
fn schema(made: &str) -> String {
    let (columns, options) = made.rsplit_once('\n').unwrap_or((made, ""));
    let options = options.split_once(" COMMENT=").map_or(options, |(o, _)| o);
    let options = options
        .split_whitespace()
        .filter(|word| !word.starts_with("AUTO_INCREMENT="));
    format!("{columns}\n{}", options.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::schema;

    #[test]
    fn a_schema_is_the_same_whatever_was_counted_and_commented() {
        let made =
            |options: &str| format!("CREATE TABLE `t` (\n  `id` int(11) COMMENT 'x'\n) {options}");
        let plain = schema(&made("ENGINE=InnoDB"));
        assert_eq!(
            schema(&made("ENGINE=InnoDB AUTO_INCREMENT=7 COMMENT='a b'")),
            plain
        );
        assert_ne!(schema(&made("ENGINE=MyISAM")), plain);
    }
}
