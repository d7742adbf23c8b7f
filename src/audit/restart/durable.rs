//! Whether what is committed outlives the machine: a killed process is not a power cut.

use super::mounts;
use crate::db::Db;
use crate::model::Cell;
use crate::report::{Finding, Severity, Source};
use crate::store::Mapping;

/// What a query must answer, and what it means when it answers otherwise.
struct Setting {
    query: &'static str,
    safe: &'static str,
    fact: &'static str,
}

const POSTGRES: &[Setting] = &[
    Setting {
        query: "SELECT current_setting('fsync')",
        safe: "on",
        fact: "fsync is off: a crash of the machine may damage every table",
    },
    Setting {
        query: "SELECT current_setting('synchronous_commit')",
        safe: "on",
        fact: "synchronous_commit is off: the last commits before a crash are lost",
    },
    Setting {
        query: "SELECT current_setting('full_page_writes')",
        safe: "on",
        fact: "full_page_writes is off: a crash may leave half a page",
    },
];

const MYSQL: &[Setting] = &[Setting {
    query: "SELECT CAST(@@global.innodb_flush_log_at_trx_commit AS CHAR)",
    safe: "1",
    fact: "innodb_flush_log_at_trx_commit is not 1: the last commits before a crash are lost",
}];

/// The finding on settings and places that do not keep what is committed.
pub(super) async fn findings(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Vec<Finding>> {
    let facts = match db.target().backend() {
        "postgres" => [settings(db, POSTGRES).await?, unlogged(db, mapping).await?].concat(),
        "mysql" => [settings(db, MYSQL).await?, engine(db, mapping).await?].concat(),
        _ => place(db),
    };
    if facts.is_empty() {
        return Ok(Vec::new());
    }
    let finding = Finding::new(
        "store-not-durable",
        Severity::Warning,
        db.target().to_string(),
        "committed data may be gone after a crash of the machine or in a new container",
        "keep the store on a disk or a volume, with the settings that the database has by default",
    );
    let finding = facts
        .into_iter()
        .fold(finding, |finding, fact| finding.with(Source::Catalog, fact));
    Ok(vec![finding])
}

async fn settings(db: &dyn Db, settings: &[Setting]) -> anyhow::Result<Vec<String>> {
    let mut facts = Vec::new();
    for setting in settings {
        let rows = db.rows(setting.query, &[]).await?;
        let value = rows.first().and_then(|row| row[0].text());
        // `remote_apply`, `remote_write` and `local` wait for the disk too.
        let is_safe = value.is_none_or(|value| {
            value == setting.safe || value.starts_with("remote") || value == "local"
        });
        if !is_safe {
            facts.push(setting.fact.to_owned());
        }
    }
    Ok(facts)
}

async fn unlogged(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Vec<String>> {
    let query = "SELECT c.relname::text FROM pg_class c WHERE c.oid = to_regclass(?) AND c.relpersistence = 'u'";
    let rows = db
        .rows(query, &[Cell::Text(db.quote(mapping.table()))])
        .await?;
    Ok(rows
        .iter()
        .map(|_| {
            format!(
                "table {} is UNLOGGED: it is emptied after a crash of the database server",
                mapping.table()
            )
        })
        .collect())
}

async fn engine(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Vec<String>> {
    let query = "SELECT CAST(engine AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?";
    let rows = db
        .rows(query, &[Cell::Text(mapping.table().to_owned())])
        .await?;
    let engine = rows
        .first()
        .and_then(|row| row[0].text())
        .unwrap_or_default();
    Ok(match engine {
        "MEMORY" => vec![format!(
            "table {} is in memory: it is empty after a restart of the database server",
            mapping.table()
        )],
        "MyISAM" => vec![format!(
            "table {} is MyISAM: a crash may damage it",
            mapping.table()
        )],
        _ => Vec::new(),
    })
}

fn place(db: &dyn Db) -> Vec<String> {
    let file = db.target().path();
    mounts::passing(file)
        .map(|(kind, why)| format!("`{}` is on {kind}: {why}", file.display()))
        .into_iter()
        .collect()
}
