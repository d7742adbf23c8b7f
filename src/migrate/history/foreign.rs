//! Histories that chatctl can name and not take over: their rows do not tell which file they mean, or the
//! files are no SQL.

use super::{OF_SERVICES, place};
use std::collections::BTreeSet;

/// How a tool's history is known.
struct Known {
    tool: &'static str,
    /// The schema, where it has one of its own, and the table in lower case.
    table: (&'static str, &'static str),
    /// Columns that it has among others.
    columns: &'static [&'static str],
    /// Another table that must be there.
    with: Option<&'static str>,
}

const fn known(
    tool: &'static str,
    table: (&'static str, &'static str),
    columns: &'static [&'static str],
) -> Known {
    Known {
        tool,
        table,
        columns,
        with: None,
    }
}

/// The upper one wins.
const ALL: &[Known] = &[
    Known {
        with: Some("ar_internal_metadata"),
        ..known("Rails", ("", "schema_migrations"), &["version"])
    },
    known(
        "Ecto",
        ("", "schema_migrations"),
        &["version", "inserted_at"],
    ),
    known("Laravel", ("", "migrations"), &["migration", "batch"]),
    known("TypeORM", ("", "migrations"), &["timestamp", "name"]),
    known("db-migrate", ("", "migrations"), &["name", "run_on"]),
    known("Knex", ("", "knex_migrations"), &["name", "batch"]),
    known("Sequelize", ("", "sequelizemeta"), &["name"]),
    known("Django", ("", "django_migrations"), &["app", "name"]),
    known("Liquibase", ("", "databasechangelog"), &["id", "author"]),
    known("EF Core", ("", "__efmigrationshistory"), &["migrationid"]),
    known("Kysely", ("", "kysely_migration"), &["name"]),
    known("MikroORM", ("", "mikro_orm_migrations"), &["name"]),
    known("SeaORM", ("", "seaql_migrations"), &["version"]),
    known("yoyo", ("", "_yoyo_migration"), &["migration_id"]),
    known("postgrator", ("", "schemaversion"), &["version"]),
    known(
        "graphile-migrate",
        ("graphile_migrate", "migrations"),
        &["hash", "filename"],
    ),
    known("Play evolutions", ("", "play_evolutions"), &["hash"]),
    known("Atlas", ("", "atlas_schema_revisions"), &["version"]),
    known("Wrangler", ("", "d1_migrations"), &["name"]),
    known("Phinx", ("", "phinxlog"), &["version"]),
    known(
        "Doctrine",
        ("", "doctrine_migration_versions"),
        &["version"],
    ),
    known("Aerich", ("", "aerich"), &["version", "app"]),
    known("sqitch", ("sqitch", "changes"), &["change_id"]),
    known("micrate", ("", "micrate_db_version"), &["version_id"]),
    known("shmig", ("", "shmig_version"), &["version"]),
];

/// A history that only its own tool can continue with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    pub tool: &'static str,
    /// The table, as the catalogue names it.
    pub table: String,
}

/// The first such history among the tables of a database; the names may be `schema.table`.
pub fn recognise(tables: &[(String, Vec<String>)]) -> Option<Foreign> {
    let present: BTreeSet<_> = tables.iter().map(|(name, _)| place(name).1).collect();
    let of = |known: &Known| {
        let is = |(table, columns): &&(String, Vec<String>)| {
            let (schema, name) = place(table);
            let has = |wanted: &&str| columns.iter().any(|it| it.eq_ignore_ascii_case(wanted));
            name == known.table.1
                && (known.table.0.is_empty() || known.table.0 == schema)
                && !OF_SERVICES.contains(&schema)
                && known.columns.iter().all(has)
                && known.with.is_none_or(|with| present.contains(with))
        };
        let (table, _) = tables.iter().find(is)?;
        Some(Foreign {
            tool: known.tool,
            table: table.clone(),
        })
    };
    ALL.iter().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::{ALL, recognise};

    #[test]
    fn every_tool_is_named_by_its_table() {
        for known in ALL {
            let (schema, table) = known.table;
            let name = match schema {
                "" => table.to_uppercase(),
                _ => format!("{schema}.{table}"),
            };
            let columns = known.columns.iter().map(|it| (*it).to_owned()).collect();
            let mut tables = vec![
                ("chat".to_owned(), vec!["id".to_owned()]),
                (name.clone(), columns),
            ];
            tables.extend(known.with.map(|with| (with.to_owned(), Vec::new())));
            let found = recognise(&tables).map(|found| (found.tool, found.table));
            assert_eq!(found, Some((known.tool, name)));
        }
    }

    #[test]
    fn a_table_of_a_service_or_of_the_user_is_none() {
        let table = |name: &str, columns: &str| {
            (
                name.to_owned(),
                columns.split(' ').map(str::to_owned).collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            recognise(&[table("storage.migrations", "id name batch migration")]),
            None
        );
        assert_eq!(
            recognise(&[table("migrations", "id from_country to_country")]),
            None
        );
        assert_eq!(recognise(&[table("changes", "change_id")]), None);
    }
}
