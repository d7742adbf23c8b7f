//! Whether the server's own login may drop the tables that it stores messages in.

use crate::db::Db;
use crate::model::Cell;
use crate::report::{Finding, Severity, Source};
use crate::store::Mapping;

/// The finding on a login that may drop what it only needs to write. An embedded database has none.
pub(super) async fn finding(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Option<Finding>> {
    let why = match db.target().backend() {
        "postgres" => postgres(db, mapping).await?,
        "mysql" => mysql(db, mapping).await?,
        _ => None,
    };
    Ok(why.map(|why| {
        Finding::new(
            "role-may-drop",
            Severity::Warning,
            mapping.table(),
            format!("the server's login may drop `{}`: one line of start-up code can delete every message", mapping.table()),
            "let the server log in as a role that may only read and write rows, and migrate as another one",
        )
        .with(Source::Catalog, why)
    }))
}

/// An owner may drop a table, and so may the owner of its schema and a superuser.
async fn postgres(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Option<String>> {
    let query = "SELECT CASE WHEN r.rolsuper THEN 'is a superuser' \
                 WHEN pg_has_role(current_user, c.relowner, 'USAGE') THEN 'owns the table' \
                 WHEN pg_has_role(current_user, n.nspowner, 'USAGE') THEN 'owns the schema' END, \
                 current_user::text \
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles r \
                 WHERE c.oid = to_regclass(?) AND r.rolname = current_user";
    let rows = db
        .rows(query, &[Cell::Text(db.quote(mapping.table()))])
        .await?;
    Ok(rows
        .first()
        .and_then(|row| Some(format!("role {} {}", row[1].text()?, row[0].text()?))))
}

async fn mysql(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Option<String>> {
    let database = db.target().database();
    let rows = db.rows("SHOW GRANTS", &[]).await?;
    let grants = rows.iter().filter_map(|row| row[0].text());
    Ok(may_drop(grants, &database, mapping.table()).map(|grant| {
        // The hash of a password may stand behind it.
        grant
            .split(" IDENTIFIED ")
            .next()
            .unwrap_or_default()
            .to_owned()
    }))
}

/// The grant that allows to drop a table: `GRANT SELECT, DROP ON `chat`.* TO …`.
fn may_drop<'a>(
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
    use super::may_drop;

    #[test]
    fn a_grant_that_allows_to_drop() {
        for grant in [
            "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
            "GRANT ALL PRIVILEGES ON `my\\_chat`.* TO `app`@`%`",
            "GRANT SELECT, INSERT, DROP ON `my_chat`.`message` TO `app`@`%`",
        ] {
            assert_eq!(
                may_drop([grant].into_iter(), "my_chat", "message"),
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
            assert_eq!(may_drop([grant].into_iter(), "my_chat", "message"), None);
        }
    }
}
