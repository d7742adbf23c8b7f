//! Rows of other tables that are parts of messages: tool calls, attachments, versions, LangGraph's
//! blobs. And who owns a conversation, and its title.

use super::declared::Shape;
use super::mapping::{Mapping, Origin};
use super::plan::{self, Plan, Slot};
use super::row::Row;
use super::source::{Path, Source};
use super::{decode, keys, part_names, presets, score, select};
use crate::db::Db;
use crate::model::{Belongs, Cell, CellRef, Column, Dependent, DependentRow, Fact, Table};
use std::ops::ControlFlow;

/// What looks at each row, and may break off.
pub type TakeDependent<'a> =
    &'a mut (dyn FnMut(DependentRow) -> anyhow::Result<ControlFlow<()>> + Send);

/// No more tables are read.
const MOST: usize = 200;

/// The tables whose rows are parts of the messages, as names and foreign keys show.
pub fn dependents(mapping: &Mapping, schema: &[Table]) -> Vec<Dependent> {
    let store = mapping.store();
    let by_name = match &mapping.origin {
        Origin::Declared | Origin::Detected(_) => true,
        // What a product keeps next to its messages follows rules of its own.
        Origin::Preset { name, .. } => presets::all()
            .iter()
            .any(|preset| preset.name == name && preset.general),
    };
    let own = mapping.table_names();
    let others = schema.iter().filter(|table| !own.contains(&table.name));
    match store.shape {
        Shape::Opaque => others.filter_map(of_checkpoints).collect(),
        Shape::Row | Shape::Event | Shape::Turn | Shape::Chain if by_name => {
            let messages = schema.iter().find(|table| table.name == store.table());
            let Some(messages) = messages.filter(|_| store.message.key.len() == 1) else {
                return Vec::new();
            };
            let found = others.filter_map(|table| of_messages(table, messages));
            found.take(MOST).collect()
        }
        Shape::Row | Shape::Event | Shape::Turn | Shape::Chain | Shape::Blob => Vec::new(),
    }
}

/// Parts of messages in rows of their own.
fn of_messages(table: &Table, messages: &Table) -> Option<Dependent> {
    if !part_names::is_part(&table.name) {
        return None;
    }
    let id = messages.keys().next();
    // By its name alone, a column of another kind is none: the database may not even compare the two.
    let is_alike = |column: &Column| {
        column.references.is_some() || id.is_some_and(|id| id.is_whole() == column.is_whole())
    };
    let refers = |column: &&Column| score::refers(column, messages) && is_alike(column);
    let owner = table.columns.iter().find(refers)?;
    let compared = table.columns.iter().filter(|column| {
        let is_id = column.key || column.name == owner.name;
        !is_id && column.holds_content() && part_names::is_kept(&column.name)
    });
    Some(Dependent {
        table: table.name.clone(),
        key: table.keys().map(|column| column.name.clone()).collect(),
        owner: owner.name.clone(),
        of: Belongs::ToMessages,
        columns: compared.map(|column| column.name.clone()).collect(),
        counted: None,
    })
}

/// What LangGraph keeps next to its checkpoints.
fn of_checkpoints(table: &Table) -> Option<Dependent> {
    const TABLES: [&str; 3] = ["checkpoint_blobs", "checkpoint_writes", "writes"];
    if !TABLES
        .iter()
        .any(|name| table.name.eq_ignore_ascii_case(name))
    {
        return None;
    }
    let named = |name: &&&str| table.column(name).map(|column| column.name.clone());
    let owner = table.column("thread_id")?.name.clone();
    let key = [
        "thread_id",
        "checkpoint_ns",
        "checkpoint_id",
        "task_id",
        "idx",
        "channel",
        "version",
    ];
    let columns: Vec<_> = ["type", "blob", "value"]
        .iter()
        .filter_map(|it| named(&it))
        .collect();
    (columns.len() > 1).then(|| Dependent {
        table: table.name.clone(),
        key: key.iter().filter_map(|it| named(&it)).collect(),
        owner,
        of: Belongs::ToConversations,
        columns,
        // Errors, interrupts and what resumes from them have negative numbers, and are replaced.
        counted: named(&&"idx"),
    })
}

/// A statement that reads nothing, and fails where its rows may not be read, or their owners are of a type that
/// the database does not compare with the messages' keys.
pub fn probe_dependent(db: &dyn Db, mapping: &Mapping, dependent: &Dependent) -> String {
    let names = dependent
        .key
        .iter()
        .chain(&dependent.columns)
        .chain([&dependent.owner]);
    let names: Vec<_> = names.map(|name| format!("d.{}", db.quote(name))).collect();
    let (names, table) = (names.join(", "), db.quote(&dependent.table));
    let join = join(db, mapping, dependent).unwrap_or_default();
    format!("SELECT {names} FROM {table} d{join} WHERE 1 = 0")
}

/// The messages that its rows belong to, as `m`.
fn join(db: &dyn Db, mapping: &Mapping, dependent: &Dependent) -> Option<String> {
    let store = mapping.store();
    let (Belongs::ToMessages, [id]) = (dependent.of, &store.message.key[..]) else {
        return None;
    };
    let (table, id, owner) = (
        db.quote(store.table()),
        db.quote(id),
        db.quote(&dependent.owner),
    );
    Some(format!(" JOIN {table} m ON m.{id} = d.{owner}"))
}

/// Hands out the rows of such a table that belong to a message or conversation.
pub async fn scan_dependent(
    db: &dyn Db,
    mapping: &Mapping,
    (index, dependent): (u8, &Dependent),
    take: TakeDependent<'_>,
) -> anyhow::Result<()> {
    let store = mapping.store();
    let mut select: Vec<String> = Vec::new();
    let mut put = |sql: String| {
        select.push(sql);
        select.len() - 1
    };
    let of_row = |name: &String| format!("d.{}", db.quote(name));
    let key: Vec<_> = dependent.key.iter().map(|it| put(of_row(it))).collect();
    let columns: Vec<_> = dependent.columns.iter().map(|it| put(of_row(it))).collect();
    let owner = put(of_row(&dependent.owner));
    let mut slots: Vec<Slot> = Vec::new();
    let (mut message, mut from) = (None, String::new());
    match (dependent.of, &store.message.key[..]) {
        (Belongs::ToMessages, [id]) => {
            message = Some(put(format!("m.{}", db.quote(id))));
            for source in &store.message.conversation {
                let places = source.places.iter();
                let slot = places.map(|place| -> (usize, Option<Path>) {
                    let column = format!("m.{}", db.quote(&place.column));
                    (put(column), place.path.clone())
                });
                slots.push(slot.collect());
            }
            from = join(db, mapping, dependent).unwrap_or_default();
            // A clean-up job takes the parts of what is deleted for its user.
            let shown = store.message.deleted.as_ref().map(|deleted| {
                let deleted = plan::condition(db, deleted);
                format!("CASE WHEN {deleted} THEN 1 ELSE 0 END = 0")
            });
            let wanted = Plan::of(db, store).wanted(db, store, &shown.unwrap_or_default());
            from.push_str(&wanted);
        }
        (Belongs::ToMessages | Belongs::ToConversations, _) => slots.push(vec![(owner, None)]),
    }
    if let Some(counted) = dependent.counted.as_ref().map(of_row) {
        let and = if from.contains(" WHERE ") {
            "AND"
        } else {
            "WHERE"
        };
        from.push_str(&format!(" {and} {counted} >= 0"));
    }
    let sql = format!(
        "SELECT {} FROM {} d{from}",
        select.join(", "),
        db.quote(&dependent.table)
    );
    let mut row = |cells: &[CellRef<'_>]| {
        let row = Row::new(cells);
        let mut found = DependentRow {
            what: Fact::Row(index),
            key: String::new(),
            conversation: decode::conversation(&slots, &row).map(|it| it.into_owned()),
            message: message
                .and_then(|at| row.cell(at))
                .map(|it| it.into_owned()),
            content: String::new(),
            filled: 0,
        };
        // An empty list says as little as NULL.
        for at in &columns {
            if row.says_something(*at) {
                row.joined(&[*at], &mut found.content);
                found.filled = found.filled.saturating_add(1);
            } else {
                found.content.push('\u{1f}');
            }
        }
        found.key = format!("{}\0", dependent.table);
        if key.is_empty() {
            row.key(&[owner], &mut found.key);
            found.key.push_str(&found.content);
        } else {
            row.key(&key, &mut found.key);
        }
        if let (Some(key), Shape::Turn) = (&mut found.message, store.shape) {
            key.push_str("#response");
        }
        take(found)
    };
    db.scan(&sql, &[], &mut row).await
}

/// Hands out who owns each conversation that is not deleted for the user, and its title.
pub async fn scan_heads(
    db: &dyn Db,
    mapping: &Mapping,
    take: TakeDependent<'_>,
) -> anyhow::Result<()> {
    let Some(place) = &mapping.store().conversation else {
        return Ok(());
    };
    let told = [(Fact::Owner, &place.user), (Fact::Title, &place.title)];
    let told = told
        .into_iter()
        .filter_map(|(what, source)| Some((what, source.as_ref()?)));
    let mut select = vec![keys::joined(db, &select::sources(&place.key))];
    let mut facts = Vec::new();
    for (what, source) in told {
        let from = select.len();
        select.extend(source.columns().map(|name| format!("m.{}", db.quote(name))));
        facts.push((what, source, from..select.len()));
    }
    if facts.is_empty() {
        return Ok(());
    }
    let deleted = place.deleted.as_ref().map(|it| plan::condition(db, it));
    select.push(match deleted {
        Some(deleted) => format!("CASE WHEN {deleted} THEN 1 ELSE 0 END"),
        None => "0".to_owned(),
    });
    let only = place.only.as_ref().map(|it| plan::condition(db, it));
    let only = only.map(|only| format!(" WHERE {only}"));
    let sql = format!(
        "SELECT {} FROM {} m{}",
        select.join(", "),
        db.quote(&place.table),
        only.unwrap_or_default()
    );
    let mut row = |cells: &[CellRef<'_>]| {
        let (CellRef::Text(key), Some(deleted)) = (cells[0], cells.last()) else {
            return Ok(ControlFlow::Continue(()));
        };
        if *deleted == CellRef::Int(1) {
            return Ok(ControlFlow::Continue(()));
        }
        for (what, source, range) in &facts {
            let flow = take(head(*what, key, value(source, &cells[range.clone()])))?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    };
    db.scan(&sql, &[], &mut row).await
}

fn value(source: &Source, cells: &[CellRef<'_>]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| Cell::from(*cell)).collect();
    select::value_of(source, &cells).unwrap_or_default()
}

fn head(what: Fact, key: &str, content: String) -> DependentRow {
    DependentRow {
        what,
        key: format!("{what:?}\0{key}"),
        conversation: Some(key.to_owned()),
        message: None,
        filled: u8::from(!content.trim().is_empty()),
        content,
    }
}

#[cfg(test)]
mod tests {
    use super::{Belongs, of_checkpoints, of_messages};
    use crate::model::{Column, Table};

    fn table(name: &str, columns: &[(&str, &str)]) -> Table {
        let column = |(name, declared): &(&str, &str)| Column {
            name: (*name).to_owned(),
            declared: (*declared).to_owned(),
            key: *name == "id",
            references: None,
        };
        Table {
            name: name.to_owned(),
            columns: columns.iter().map(column).collect(),
        }
    }

    #[test]
    fn parts_of_messages_are_read_and_notes_about_them_are_not() {
        let messages = table("messages", &[("id", "INTEGER"), ("content", "TEXT")]);
        let columns = [
            ("id", "INTEGER"),
            ("message_id", "INTEGER"),
            ("name", "VARCHAR(80)"),
            ("data", "BYTEA"),
            ("status", "TEXT"),
            ("retries", "INTEGER"),
            ("created_at", "TEXT"),
        ];
        let read = |name: &str| of_messages(&table(name, &columns), &messages);
        for name in [
            "tool_calls",
            "attachments",
            "message_versions",
            "messageParts",
            "messageattachment",
            "chat_files",
            "ToolInvocation",
        ] {
            let found = read(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(found.columns, ["name", "data"], "{name}");
            assert_eq!(
                (found.owner.as_str(), found.of),
                ("message_id", Belongs::ToMessages)
            );
        }
        for name in [
            "message_feedback",
            "tool_usage",
            "file_embeddings",
            "participants",
            "callbacks",
            "attachment_views",
            "tool_call_logs",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
        assert_eq!(
            of_messages(&table("tool_calls", &[("id", "INTEGER")]), &messages),
            None
        );
    }

    #[test]
    fn what_langgraph_keeps_next_to_its_checkpoints() {
        let blobs = [
            ("thread_id", "TEXT"),
            ("channel", "TEXT"),
            ("type", "TEXT"),
            ("blob", "BYTEA"),
        ];
        let found = of_checkpoints(&table("checkpoint_blobs", &blobs)).unwrap();
        assert_eq!(found.key, ["thread_id", "channel"]);
        assert_eq!(found.columns, ["type", "blob"]);
        assert_eq!(
            of_checkpoints(&table("checkpoint_migrations", &blobs)),
            None
        );
    }
}
