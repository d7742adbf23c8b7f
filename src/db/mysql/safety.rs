//! What a login may drop, and settings that lose committed data.

use crate::db::Db;
use crate::db::safety::{Setting, settings};
use crate::model::Cell;

const SETTINGS: &[Setting] = &[Setting {
    query: "SELECT CAST(@@global.innodb_flush_log_at_trx_commit AS CHAR)",
    safe: "1",
    fact: "innodb_flush_log_at_trx_commit is not 1: a crash loses the last commits",
}];

pub(super) async fn risks(db: &dyn Db, table: &str) -> anyhow::Result<Vec<String>> {
    Ok([settings(db, SETTINGS).await?, engine(db, table).await?].concat())
}

async fn engine(db: &dyn Db, table: &str) -> anyhow::Result<Vec<String>> {
    let query = "SELECT CAST(engine AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?";
    let rows = db.rows(query, &[Cell::Text(table.to_owned())]).await?;
    let engine = rows
        .first()
        .and_then(|row| row[0].text())
        .unwrap_or_default();
    Ok(match engine {
        "MEMORY" => vec![format!(
            "table {table} is in memory: a restart of the database server empties it"
        )],
        "MyISAM" => vec![format!("table {table} is MyISAM: a crash may damage it")],
        _ => Vec::new(),
    })
}

pub(super) async fn may_drop(db: &dyn Db, table: &str) -> anyhow::Result<Option<String>> {
    let database = db.target().database();
    let rows = db.rows("SHOW GRANTS", &[]).await?;
    let grants = rows.iter().filter_map(|row| row[0].text());
    Ok(that_drops(grants, &database, table).map(|grant| {
        // The hash of a password may be behind it.
        grant
            .split(" IDENTIFIED ")
            .next()
            .unwrap_or_default()
            .to_owned()
    }))
}

/// The grant that allows to drop a table: `GRANT SELECT, DROP ON `chat`.* TO …`.
fn that_drops<'a>(
    mut grants: impl Iterator<Item = &'a str>,
    database: &str,
    table: &str,
) -> Option<&'a str> {
    grants.find(|grant| {
        let Some((rights, on)) = grant
            .strip_prefix("GRANT ")
            .and_then(|rest| rest.split_once(" ON "))
        else {
            return false;
        };
        let object: String = on.split(" TO ").next().unwrap_or_default().replace('`', "");
        let (schema, name) = object.split_once('.').unwrap_or((&object, "*"));
        let names =
            |pattern: &str, name: &str| pattern == "*" || pattern.replace("\\_", "_") == name;
        let may = rights == "ALL PRIVILEGES" || rights.split(", ").any(|right| right == "DROP");
        may && names(schema, database) && names(name, table)
    })
}

#[cfg(test)]
mod tests {
    use super::that_drops;

    #[test]
    fn a_grant_that_allows_to_drop() {
        for grant in [
            "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
            "GRANT ALL PRIVILEGES ON `my\\_chat`.* TO `app`@`%`",
            "GRANT SELECT, INSERT, DROP ON `my_chat`.`message` TO `app`@`%`",
        ] {
            assert_eq!(
                that_drops([grant].into_iter(), "my_chat", "message"),
                Some(grant)
            );
        }
        for grant in [
            "GRANT USAGE ON *.* TO `app`@`%`",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON `my_chat`.* TO `app`@`%`",
            "GRANT ALL PRIVILEGES ON `other`.* TO `app`@`%`",
            "GRANT DROP ON `my_chat`.`task` TO `app`@`%`",
            "GRANT `role` TO `app`@`%`",
        ] {
            assert_eq!(that_drops([grant].into_iter(), "my_chat", "message"), None);
        }
    }
}
