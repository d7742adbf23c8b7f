//! Finding the table of messages: by the texts of a chat that was just held, and by names.

use super::Mapping;
use super::Origin;
use super::mapping::keys;
use crate::db::Db;
use crate::model::Cell;
use crate::model::Column;
use crate::model::Table;
use std::collections::BTreeMap;

/// A text that was found in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// In how many rows.
    pub rows: i64,
}

/// Looks for a text in every column that may hold text.
pub async fn find_text(db: &dyn Db, schema: &[Table], text: &str) -> anyhow::Result<Vec<Hit>> {
    let mut hits = Vec::new();
    for table in schema {
        for column in table.columns.iter().filter(|column| column.holds_text()) {
            let sql = format!(
                "SELECT count(*) FROM {} WHERE {}",
                db.quote(&table.name),
                db.holds(&db.quote(&column.name))
            );
            let rows = db.rows(&sql, &[Cell::Text(text.to_owned())]).await?[0][0]
                .int()
                .unwrap_or(0);
            if rows > 0 {
                hits.push(Hit {
                    table: table.name.clone(),
                    column: column.name.clone(),
                    rows,
                });
            }
        }
    }
    Ok(hits)
}

/// The mapping of the table in which a text of the chat was found. `what` says which text.
pub fn from_hits(schema: &[Table], hits: &[Hit], what: &str) -> Option<Mapping> {
    let best = hits
        .iter()
        .filter_map(|hit| {
            let table = schema.iter().find(|table| table.name == hit.table)?;
            let column = table.column(&hit.column)?;
            Some((score(table, column), table, column))
        })
        .max_by_key(|(score, ..)| *score);
    let (_, table, column) = best?;
    let why = format!("{what} was found in {}.{}", table.name, column.name);
    build(table, column, why)
}

/// The best mapping by the names of tables and columns alone.
pub fn by_names(schema: &[Table]) -> Option<Mapping> {
    let best = schema
        .iter()
        .filter_map(|table| {
            let content = content_column(table)?;
            Some((score(table, content), table, content))
        })
        .max_by_key(|(score, ..)| *score);
    let (score, table, column) = best?;
    // Below this there is a content column and nothing that makes it a chat.
    if score < 6 {
        return None;
    }
    build(
        table,
        column,
        format!("by the names of its columns, score {score}"),
    )
}

fn build(table: &Table, content: &Column, why: String) -> Option<Mapping> {
    let key = keys(table);
    let mut order: Vec<String> = Vec::new();
    // A position or a serial key orders better than a time, which may be equal for two rows.
    let named = |names: &[&str]| table.columns.iter().find(|column| is(&column.name, names));
    let serial = table
        .columns
        .iter()
        .find(|column| column.key && column.declared.contains("INT"));
    let time = named(&[
        "created_at",
        "createdat",
        "created",
        "timestamp",
        "time",
        "created_date",
        "inserted_at",
    ]);
    for column in [
        named(&["position", "sequence", "seq", "sequence_id", "idx", "index"]),
        serial,
        time,
    ]
    .into_iter()
    .flatten()
    .map(|column| column.name.clone())
    .chain(key.iter().cloned())
    {
        if !order.contains(&column) {
            order.push(column);
        }
    }
    Some(Mapping {
        table: table.name.clone(),
        conversation: conversation_column(table)
            .map(|column| column.name.clone())
            .into_iter()
            .collect(),
        role: role_column(table)?.name.clone(),
        content: content.name.clone(),
        status: named(&["status", "state"]).map(|column| column.name.clone()),
        roles: BTreeMap::new(),
        origin: Origin::Detected(why),
        key,
        order,
    })
}

fn score(table: &Table, content: &Column) -> i32 {
    let name = table.name.to_lowercase();
    let telling = [
        "message", "step", "event", "turn", "response", "chat", "history",
    ];
    let misleading = [
        "feedback",
        "vote",
        "annotation",
        "file",
        "chunk",
        "attachment",
        "usage",
        "search",
        "fts",
        "log",
        "embed",
    ];
    let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let points = [
        (2, is(&content.name, CONTENT)),
        (3, conversation_column(table).is_some()),
        (3, role_column(table).is_some()),
        (2, any(&telling)),
        (-6, any(&misleading)),
    ];
    points
        .iter()
        .filter(|(_, holds)| *holds)
        .map(|(points, _)| points)
        .sum()
}

const CONTENT: &[&str] = &[
    "content",
    "text",
    "body",
    "message",
    "message_text",
    "parts",
    "output",
];

fn content_column(table: &Table) -> Option<&Column> {
    CONTENT
        .iter()
        .find_map(|name| table.column(name))
        .filter(|column| column.holds_text())
}

fn role_column(table: &Table) -> Option<&Column> {
    let names = [
        "role",
        "sender_role",
        "sender",
        "author",
        "message_type",
        "direction",
        "type",
    ];
    names.iter().find_map(|name| table.column(name))
}

fn conversation_column(table: &Table) -> Option<&Column> {
    const PLACES: &[&str] = &[
        "conversation",
        "conv",
        "chat",
        "session",
        "thread",
        "topic",
        "dialog",
        "room",
        "channel",
    ];
    let refers = |column: &&Column| {
        column.references.as_ref().is_some_and(|target| {
            let target = target.to_lowercase();
            PLACES.iter().any(|place| target.contains(place))
        })
    };
    let named = |column: &&Column| {
        let name = column.name.to_lowercase().replace('_', "");
        PLACES.iter().any(|place| {
            ["id", "uid", "uuid", "key"]
                .iter()
                .any(|ending| name == format!("{place}{ending}"))
        })
    };
    table
        .columns
        .iter()
        .find(refers)
        .or_else(|| table.columns.iter().find(named))
}

fn is(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Column;
    use super::Hit;
    use super::Table;
    use super::by_names;
    use super::from_hits;

    fn table(name: &str, columns: &[&str]) -> Table {
        let column = |spec: &&str| {
            let (name, declared) = spec.split_once(' ').unwrap_or((spec, "TEXT"));
            Column {
                name: name.into(),
                declared: declared.into(),
                key: name == "id",
                references: None,
            }
        };
        Table {
            name: name.into(),
            columns: columns.iter().map(column).collect(),
        }
    }

    #[test]
    fn the_incidents_schema_is_found_by_names() {
        let schema = [
            table("task", &["id INTEGER", "title", "body"]),
            table(
                "message",
                &[
                    "id INTEGER",
                    "conversation_id",
                    "role",
                    "content",
                    "status",
                    "created_at",
                    "position",
                ],
            ),
            table(
                "message_feedback",
                &["id", "conversation_id", "role", "content"],
            ),
        ];
        let mapping = by_names(&schema).unwrap();
        assert_eq!(mapping.table, "message");
        assert_eq!(mapping.conversation, ["conversation_id"]);
        assert_eq!(mapping.order, ["position", "id", "created_at"]);
        assert_eq!(mapping.status.as_deref(), Some("status"));
    }

    #[test]
    fn a_table_without_roles_is_no_chat() {
        assert_eq!(by_names(&[table("note", &["id", "content"])]), None);
    }

    #[test]
    fn the_text_of_the_chat_beats_the_names() {
        let schema = [
            table("message", &["id", "conversation_id", "role", "content"]),
            table("entries", &["id", "thread_id", "author", "txt"]),
        ];
        let hit = |table: &str, column: &str| Hit {
            table: table.into(),
            column: column.into(),
            rows: 1,
        };
        let mapping = from_hits(&schema, &[hit("entries", "txt")], "the answer").unwrap();
        assert_eq!(
            (mapping.table.as_str(), mapping.content.as_str()),
            ("entries", "txt")
        );
        let both = [hit("entries", "txt"), hit("message", "content")];
        assert_eq!(
            from_hits(&schema, &both, "the answer").unwrap().table,
            "message"
        );
    }
}
