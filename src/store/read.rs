//! Reading messages through a mapping.

use super::Mapping;
use crate::db::Db;
use crate::model::Cell;
use crate::model::StoredMessage;

/// The messages of a conversation, in order.
pub async fn conversation(
    db: &dyn Db,
    mapping: &Mapping,
    key: &str,
) -> anyhow::Result<Vec<StoredMessage>> {
    if mapping.conversation.is_empty() {
        return Ok(Vec::new());
    }
    // Stores spell a UUID with and without dashes, as text and as a number's text.
    let plain =
        |column: &String| format!("replace(lower({}), '-', '')", db.text_of(&db.quote(column)));
    let joined = mapping
        .conversation
        .iter()
        .map(plain)
        .collect::<Vec<_>>()
        .join(" || '/' || ");
    select(db, mapping, &format!("{joined} = ?"), &plain_key(key)).await
}

/// The messages whose content holds a text, in any conversation.
pub async fn holding(
    db: &dyn Db,
    mapping: &Mapping,
    text: &str,
) -> anyhow::Result<Vec<StoredMessage>> {
    let condition = db.holds(&db.quote(&mapping.content));
    select(db, mapping, &condition, text).await
}

/// The message with that key, as [`StoredMessage::key`] spells it.
pub async fn by_key(
    db: &dyn Db,
    mapping: &Mapping,
    key: &str,
) -> anyhow::Result<Option<StoredMessage>> {
    let condition = format!("{} = ?", joined(db, &mapping.key));
    Ok(select(db, mapping, &condition, key).await?.pop())
}

fn plain_key(key: &str) -> String {
    key.to_lowercase().replace('-', "")
}

async fn select(
    db: &dyn Db,
    mapping: &Mapping,
    condition: &str,
    arg: &str,
) -> anyhow::Result<Vec<StoredMessage>> {
    let order: Vec<_> = mapping
        .order
        .iter()
        .map(|column| db.quote(column))
        .collect();
    let order = match order.is_empty() {
        true => "1".to_owned(),
        false => order.join(", "),
    };
    let sql = format!(
        "SELECT {}, {}, {}, {}, {} FROM {} WHERE {condition} ORDER BY {order}",
        joined(db, &mapping.key),
        joined(db, &mapping.conversation),
        db.quote(&mapping.role),
        db.quote(&mapping.content),
        mapping
            .status
            .as_ref()
            .map_or("NULL".to_owned(), |column| db.quote(column)),
        db.quote(&mapping.table),
    );
    let rows = db.rows(&sql, &[Cell::Text(arg.to_owned())]).await?;
    Ok(rows.into_iter().map(|row| message(mapping, &row)).collect())
}

/// Several columns as one text.
fn joined(db: &dyn Db, columns: &[String]) -> String {
    match columns {
        [] => "NULL".to_owned(),
        columns => columns
            .iter()
            .map(|column| format!("coalesce({}, '')", db.text_of(&db.quote(column))))
            .collect::<Vec<_>>()
            .join(" || '/' || "),
    }
}

fn message(mapping: &Mapping, row: &[Cell]) -> StoredMessage {
    let given = |cell: &Cell| match cell {
        Cell::Null => None,
        cell => Some(cell.to_string()),
    };
    StoredMessage {
        conversation: given(&row[1]),
        status: given(&row[4]),
        ..StoredMessage::new(
            row[0].to_string(),
            mapping.role_of(&row[2].to_string()),
            given(&row[3]).unwrap_or_default(),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::conversation;
    use super::holding;
    use crate::db::Target;
    use crate::store::by_names;
    use std::time::Duration;

    #[tokio::test]
    async fn messages_are_read_in_order_whatever_the_keys_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        std::fs::write(&path, b"").unwrap();
        let db = crate::db::open(Target::parse(&format!("sqlite:{}", path.display())).unwrap())
            .await
            .unwrap();
        let sql = "CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id CHAR(32), role TEXT, content TEXT);
            INSERT INTO message VALUES (2, 'ab12', 'ai', 'yes'), (1, 'ab12', 'human', 'milk?'), (3, 'cd', 'ai', NULL)";
        db.writer(Duration::ZERO)
            .await
            .unwrap()
            .execute(sql)
            .await
            .unwrap();
        let mapping = by_names(&db.schema().await.unwrap()).unwrap();
        let found = conversation(db.as_ref(), &mapping, "AB-12").await.unwrap();
        let texts: Vec<_> = found
            .iter()
            .map(|m| (m.role.word(), m.content.as_str()))
            .collect();
        assert_eq!(texts, [("user", "milk?"), ("assistant", "yes")]);
        assert_eq!(holding(db.as_ref(), &mapping, "ye").await.unwrap().len(), 1);
    }
}
