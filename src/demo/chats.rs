//! The demo server's store: the schema of `migrations/`, in SQLite.

use crate::db;
use crate::db::{Db, Target, Writer};
use crate::model::Cell;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::sync::Mutex;

const SCHEMA: &str = include_str!("../../migrations/sqlite/0001_chat.sql");
/// As long as most SQLite drivers wait for a lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// The demo server's conversations.
pub(super) struct Chats {
    db: Box<dyn Db>,
    writer: Mutex<Box<dyn Writer>>,
}

impl Chats {
    /// Opens the store, and makes it where there is none: a server may be started again.
    pub(super) async fn open(path: &Path) -> anyhow::Result<Self> {
        std::fs::File::options()
            .append(true)
            .create(true)
            .open(path)?;
        let db = db::open(Target::parse(&format!("sqlite:{}", path.display()))?).await?;
        let mut writer = db.writer(PATIENCE).await?;
        writer.value("PRAGMA journal_mode = wal").await?;
        if db.schema().await?.is_empty() {
            writer.execute(SCHEMA).await?;
        }
        Ok(Self {
            db,
            writer: Mutex::new(writer),
        })
    }

    pub(super) async fn begin(&self, id: &str, title: &str) -> anyhow::Result<()> {
        let args = [text(id), text(title)];
        let sql = "INSERT INTO conversation (id, title) VALUES (?, ?)";
        Ok(self.writer.lock().await.write(sql, &args).await?)
    }

    /// Appends a message. SQLite commits each statement by itself.
    pub(super) async fn append(
        &self,
        conversation: &str,
        role: &str,
        content: &str,
    ) -> anyhow::Result<()> {
        let args = [text(conversation), text(role), text(content)];
        let sql = "INSERT INTO message (conversation_id, position, role, content)
            SELECT ?1, coalesce(max(position), 0) + 1, ?2, ?3 FROM message WHERE conversation_id = ?1";
        Ok(self.writer.lock().await.write(sql, &args).await?)
    }

    /// A conversation's messages, in order; none when there is no such conversation.
    pub(super) async fn messages(&self, conversation: &str) -> anyhow::Result<Option<Vec<Value>>> {
        let key = [text(conversation)];
        let known = self
            .db
            .rows("SELECT 1 FROM conversation WHERE id = ?", &key)
            .await?;
        if known.is_empty() {
            return Ok(None);
        }
        let sql = "SELECT role, content FROM message WHERE conversation_id = ? ORDER BY position";
        let rows = self.db.rows(sql, &key).await?;
        let message =
            |row: &Vec<Cell>| json!({"role": row[0].to_string(), "content": row[1].to_string()});
        Ok(Some(rows.iter().map(message).collect()))
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}
