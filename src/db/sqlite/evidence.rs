//! SQLite: numbers in the file may all be the same for tables that were created again; few are proof.

use super::sentinel::INDEX;
use crate::db::Db;
use crate::db::evidence::{Facts, Mark, Marks, Taken, columns, digest, mark};
use crate::model::Cell;
use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

pub(super) const EVIDENCE: Facts = Facts {
    take: |db, tables, _| Box::pin(take(db, tables)),
    of_table: &[TABLE, OTHERS],
    shared: &[DATABASE, FILE],
    // The number of a root page is given again.
    identity: None,
};

/// Of the file's content.
static DATABASE: &[Mark] = &[
    mark(
        "schema_version",
        "(SELECT schema_version FROM temp.pragma_schema_version)",
        "each statement that creates, alters or drops something raises it by one, and so does VACUUM",
    ),
    mark(
        "free_pages",
        "(SELECT freelist_count FROM temp.pragma_freelist_count)",
        "rows were deleted or written",
    ),
    mark(
        "user_version",
        "(SELECT user_version FROM temp.pragma_user_version)",
        "the application raised its version",
    ),
    mark(
        "application_id",
        "(SELECT application_id FROM temp.pragma_application_id)",
        "the application marks the file as another type",
    ),
];

/// Of the file, as the file system has it; looked up by name, never by opening it.
static FILE: &[Mark] = &[
    mark(
        "born",
        "",
        "the file was created again: nothing else changes its creation time",
    ),
    mark("inode", "", "another file has this name"),
];

/// Of a table `m`.
static TABLE: &[Mark] = &[
    mark(
        "rootpage",
        "m.rootpage",
        "the table was created again, or the file was vacuumed",
    ),
    mark("rowid", "m.rowid", "the table was created again"),
];

/// Read in other ways than by an expression.
static OTHERS: &[Mark] = &[
    mark(
        "counted",
        "",
        "the ids advanced, or were reset if it is lower; dropping the table forgets it",
    ),
    mark(
        "sentinel",
        "",
        "the sentinel index is lost only if the table is dropped or somebody removes it",
    ),
    mark("schema", "", "columns, keys, indexes or triggers changed"),
];

async fn take(db: &dyn Db, tables: &[String]) -> anyhow::Result<Taken> {
    let sql = format!("SELECT {}", columns(DATABASE));
    let mut database = Marks::of(DATABASE, &db.rows(&sql, &[]).await?[0]);
    file(db, &mut database);
    let mut found = BTreeMap::new();
    for table in tables {
        let name = [Cell::Text(table.clone())];
        let sql = format!(
            "SELECT {} FROM sqlite_master m WHERE m.type = 'table' AND m.name = ?",
            columns(TABLE)
        );
        let rows = db.rows(&sql, &name).await?;
        let Some(row) = rows.first() else { continue };
        let mut marks = Marks::of(TABLE, row);
        let sql = "SELECT name, sql FROM sqlite_master WHERE tbl_name = ? ORDER BY type, name";
        let (sentinels, objects): (Vec<_>, Vec<_>) = db
            .rows(sql, &name)
            .await?
            .into_iter()
            .partition(|row| row[0].to_string().starts_with(INDEX));
        if let Some(row) = sentinels.first() {
            marks.set("sentinel", row[0].to_string().replacen(INDEX, "", 1));
        }
        let texts = objects.iter().map(|row| row[1].to_string());
        let texts: Vec<_> = texts.collect();
        marks.set("schema", digest(&texts.join(";\n")));
        if texts
            .iter()
            .any(|text| text.to_lowercase().contains("autoincrement"))
        {
            let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?";
            marks.note("counted", &db.rows(sql, &name).await?[0][0]);
        }
        found.insert(table.clone(), marks);
    }
    Ok((database, found))
}

/// Not every file system knows when a file was made.
fn file(db: &dyn Db, marks: &mut Marks) {
    use std::os::unix::fs::MetadataExt as _;

    let Ok(about) = std::fs::metadata(db.target().path()) else {
        return;
    };
    marks.set("inode", about.ino().to_string());
    let born = about.created().ok();
    if let Some(born) = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok()) {
        marks.set("born", born.as_nanos().to_string());
    }
}
