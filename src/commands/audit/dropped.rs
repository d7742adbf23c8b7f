//! `chatctl audit compare` with a store in which a table of the snapshot is gone, and nothing looks
//! like the chats.

use super::look;
use crate::audit::evidence;
use crate::audit::evidence::judge::{Rows, RowsFate, judge};
use crate::audit::evidence::{Depth, Evidence};
use crate::audit::file::Snapshot;
use crate::db::{Db, Target};
use crate::model::{Cell, Engine};
use crate::report::{Report, StoreLine, Verdict};
use crate::text::plural;
use crate::{db, store};
use std::collections::BTreeMap;

/// What to report where tables of the snapshot were dropped; nothing where this is another
/// database, or the chats may be elsewhere in it.
pub(super) async fn report(before: &Snapshot, target: Target) -> anyhow::Result<Option<Report>> {
    let db = db::open_unobtrusive(target).await?;
    let db = db.as_ref();
    let schema = db.schema().await?;
    let is_there = |name: &str| {
        let mut names = schema.iter().map(|table| &table.name);
        names.any(|table| table.eq_ignore_ascii_case(name))
    };
    let then = before.header.evidence.tables.keys().cloned();
    let (there, missing): (Vec<_>, Vec<_>) = then.partition(|name| is_there(name));
    if missing.is_empty() || before.summary.messages == 0 || !is_same(before, db, &there) {
        return Ok(None);
    }
    // Where the table of the messages is there, nobody has looked whether they are.
    let messages = &before.header.store.messages;
    if !missing
        .iter()
        .any(|name| name.eq_ignore_ascii_case(messages))
    {
        return Ok(None);
    }
    let is_elsewhere = !store::candidates(db, &schema).await?.is_empty()
        || store::chats_elsewhere(db).await?.is_some();
    if is_elsewhere || is_hidden(db, &missing).await {
        return Ok(None);
    }
    let now = evidence::take(db, &there, Depth::Catalog).await?;
    Ok(Some(told(before, db, &now, &missing)))
}

/// Whether it is the database of the snapshot: it has some of the tables, or is a server's under
/// the same address.
fn is_same(before: &Snapshot, db: &dyn Db, there: &[String]) -> bool {
    let target = db.target();
    let of_server = match target.engine() {
        // The same name in another folder is another file.
        Engine::Sqlite => false,
        Engine::Postgres | Engine::Mysql => true,
    };
    !there.is_empty() || of_server && before.header.store.url == target.to_string()
}

/// Whether one of the tables is there, or may be: a catalogue lists no table that its reader may not read.
async fn is_hidden(db: &dyn Db, tables: &[String]) -> bool {
    for table in tables {
        let sql = format!("SELECT 1 FROM {} WHERE 1 = 0", db.quote(table));
        match db.rows(&sql, &[]).await {
            Err(error) if db::is_missing_table(&error) => {}
            Ok(_) | Err(_) => return true,
        }
        if db.target().engine() == Engine::Postgres && may_be_unusable(db, table).await {
            return true;
        }
    }
    false
}

/// Whether a schema has the table that its reader may not use: PostgreSQL leaves it out of the path.
async fn may_be_unusable(db: &dyn Db, table: &str) -> bool {
    let sql = "SELECT 1 FROM pg_class WHERE relname = ? AND relkind IN ('r', 'p', 'v', 'm', 'f') \
        AND NOT has_schema_privilege(relnamespace, 'USAGE')";
    let named = db.rows(sql, &[Cell::Text(table.to_owned())]).await;
    named.map_or(true, |rows| !rows.is_empty())
}

fn told(before: &Snapshot, db: &dyn Db, now: &Evidence, missing: &[String]) -> Report {
    let target = db.target();
    let names = missing.iter().map(|name| format!("`{name}`"));
    let names = names.collect::<Vec<_>>().join(", ");
    let mut report = Report::new("audit compare");
    report.store = Some(StoreLine {
        backend: target.engine().to_string(),
        url: target.to_string(),
        mapping: format!("without {names}"),
    });
    let messages = before.summary.messages;
    let rows = missing.iter().map(|name| {
        let rows = Rows {
            before: messages,
            after: 0,
            kept: RowsFate::Lost,
        };
        (name.clone(), rows)
    });
    let judged = judge(
        &before.header.evidence,
        now,
        &rows.collect::<BTreeMap<_, _>>(),
    );
    for finding in judged.findings {
        report.add(finding);
    }
    report.checked = messages;
    let reason = format!(
        "{} of the snapshot {} gone, and nothing else in the store looks like the chats: none of {} was found",
        names,
        if missing.len() == 1 { "is" } else { "are" },
        plural(messages, "message"),
    );
    let mut case = look::case("compare", Verdict::Violated, reason);
    case.metrics.insert("messages", messages as f64);
    report.cases.push(case);
    report
}
