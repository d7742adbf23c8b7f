//! The rows of conversations: title, user and times.

use super::keys::Condition;
use super::source::Source;
use super::{Mapping, keys, plan, select, time};
use crate::db::Db;
use crate::model::{Cell, CellRef, Conversation};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// Which conversations are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// How many at most.
    pub limit: usize,
    /// Written to since then, in microseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Of this user only.
    pub user: Option<String>,
    /// Only those that wait for an answer.
    pub unanswered: bool,
}

impl Filter {
    pub(super) fn holds(&self, one: &Conversation) -> bool {
        let is_recent = self.since.is_none_or(|since| one.last >= Some(since));
        let is_theirs = self.user.is_none() || one.user == self.user;
        is_recent && is_theirs && (!self.unanswered || one.unanswered)
    }
}

/// The newest rows of the conversations' own table: those that were written to last, and those that
/// were made last. A new one may not have been written to yet.
pub(super) async fn rows(
    db: &dyn Db,
    mapping: &Mapping,
    filter: &Filter,
    limit: usize,
) -> anyhow::Result<Vec<Vec<Conversation>>> {
    let Some(place) = &mapping.store().conversation else {
        return Ok(Vec::new());
    };
    let mut conditions = Vec::new();
    let mut args = Vec::new();
    conditions.extend(place.only.as_ref().map(|only| plan::condition(db, only)));
    if let (Some(user), Some(source)) = (&filter.user, &place.user) {
        conditions.push(format!(
            "{} = ?",
            keys::joined(db, std::slice::from_ref(source))
        ));
        args.push(Cell::Text(user.clone()));
    }
    let times = [place.updated.as_ref(), place.created.as_ref()];
    let times = match times {
        [None, None] => vec![None],
        some => some.into_iter().filter(Option::is_some).collect(),
    };
    let condition = if conditions.is_empty() {
        "1 = 1".to_owned()
    } else {
        conditions.join(" AND ")
    };
    let mut lists = Vec::new();
    for time in times {
        let order = time.into_iter().chain(&place.key);
        let order = order.map(|name| format!("m.{} DESC", db.quote(name)));
        let order = order.collect::<Vec<_>>().join(", ");
        let condition = Condition {
            sql: format!("{condition} ORDER BY {order} LIMIT {limit}"),
            args: args.clone(),
        };
        lists.push(described(db, mapping, &condition).await?);
    }
    Ok(lists)
}

/// The row of one conversation; one that has none is known by its messages only.
pub(super) async fn row(db: &dyn Db, mapping: &Mapping, key: &str) -> anyhow::Result<Conversation> {
    let bare = || Conversation {
        key: key.to_owned(),
        ..Conversation::default()
    };
    let Some(place) = &mapping.store().conversation else {
        return Ok(bare());
    };
    let columns = select::sources(&place.key);
    let condition = keys::holds(db, mapping, &place.table, &columns, key)
        .unwrap_or_else(|| keys::alike(db, &columns, key));
    let found = described(db, mapping, &condition).await?;
    Ok(found.into_iter().next().unwrap_or_else(bare))
}

/// The titles and users of these conversations, by their keys. One that has no row of its own is not
/// among them, unless its messages name its user.
pub async fn heads(
    db: &dyn Db,
    mapping: &Mapping,
    keys: &[String],
) -> anyhow::Result<HashMap<String, Conversation>> {
    let mut found = own_rows(db, mapping, keys).await?;
    let lacks = |key: &&String| found.get(*key).is_none_or(|known| known.user.is_none());
    let unknown: Vec<_> = keys.iter().filter(lacks).collect();
    for (key, user) in users(db, mapping, &unknown).await? {
        let known = found.entry(key.clone()).or_insert_with(|| Conversation {
            key,
            ..Conversation::default()
        });
        known.user = Some(user);
    }
    Ok(found)
}

/// The rows that these conversations have of their own.
pub async fn own_rows(
    db: &dyn Db,
    mapping: &Mapping,
    keys: &[String],
) -> anyhow::Result<HashMap<String, Conversation>> {
    let mut found = HashMap::new();
    if let Some(place) = &mapping.store().conversation {
        let columns = select::sources(&place.key);
        for some in keys.chunks(AT_ONCE) {
            let conditions = some
                .iter()
                .filter_map(|key| keys::holds(db, mapping, &place.table, &columns, key));
            let (sql, args): (Vec<_>, Vec<_>) = conditions
                .map(|condition| (format!("({})", condition.sql), condition.args))
                .unzip();
            if sql.is_empty() {
                continue;
            }
            let any = Condition {
                sql: sql.join(" OR "),
                args: args.concat(),
            };
            let rows = described(db, mapping, &any).await?;
            let mut rows: HashMap<_, _> = rows
                .into_iter()
                .map(|row| (keys::same(&row.key), row))
                .collect();
            for key in some {
                let row = rows.remove(&keys::same(key));
                found.extend(row.map(|row| (key.clone(), row)));
            }
        }
    }
    Ok(found)
}

/// The user of a conversation, as its messages name them.
pub(super) async fn user(
    db: &dyn Db,
    mapping: &Mapping,
    key: &str,
) -> anyhow::Result<Option<String>> {
    let store = mapping.store();
    let Some(source) = &store.message.user else {
        return Ok(None);
    };
    let columns = &store.message.conversation;
    let Some(mut condition) = keys::holds(db, mapping, &store.message.table, columns, key) else {
        return Ok(None);
    };
    let first = source.columns().next().unwrap_or_default();
    condition.sql = format!(
        "{} AND m.{} IS NOT NULL LIMIT 1",
        condition.sql,
        db.quote(first)
    );
    select::value(db, &store.message.table, source, &condition).await
}

/// The users of these conversations, as their messages name them. Without an index each question
/// for one conversation reads every message, so they are asked for together.
async fn users(
    db: &dyn Db,
    mapping: &Mapping,
    wanted: &[&String],
) -> anyhow::Result<HashMap<String, String>> {
    let message = &mapping.store().message;
    let (place, Some(source)) = (&message.conversation, &message.user) else {
        return Ok(HashMap::new());
    };
    let mut found = HashMap::new();
    if wanted.is_empty() || place.is_empty() {
        return Ok(found);
    }
    if source.is_json() || place.iter().any(Source::is_json) {
        for key in wanted {
            let user = user(db, mapping, key).await?;
            found.extend(user.map(|user| ((*key).clone(), user)));
        }
        return Ok(found);
    }
    let (key, user) = (
        keys::joined(db, place),
        keys::joined(db, std::slice::from_ref(source)),
    );
    let mut conditions = vec![format!("{user} <> ''")];
    let mut args = Vec::new();
    if wanted.len() <= AT_ONCE {
        let any = wanted
            .iter()
            .filter_map(|key| keys::holds(db, mapping, &message.table, place, key));
        let (sql, cells): (Vec<_>, Vec<_>) = any
            .map(|condition| (format!("({})", condition.sql), condition.args))
            .unzip();
        if sql.is_empty() {
            return Ok(found);
        }
        conditions.push(format!("({})", sql.join(" OR ")));
        args = cells.concat();
    }
    let wanted: HashMap<_, _> = wanted.iter().map(|key| (keys::same(key), *key)).collect();
    let sql = format!(
        "SELECT {key}, min({user}) FROM {} m WHERE {} GROUP BY {key}",
        db.quote(&message.table),
        conditions.join(" AND ")
    );
    let mut row = |cells: &[CellRef<'_>]| -> anyhow::Result<ControlFlow<()>> {
        let text = |at: usize| Cell::from(cells[at]).to_string();
        if let Some(key) = wanted.get(&keys::same(&text(0))) {
            found.insert((*key).clone(), text(1));
        }
        Ok(ControlFlow::Continue(()))
    };
    db.scan(&sql, &args, &mut row).await?;
    Ok(found)
}

/// So many conversations are asked for in one statement.
const AT_ONCE: usize = 100;

async fn described(
    db: &dyn Db,
    mapping: &Mapping,
    condition: &Condition,
) -> anyhow::Result<Vec<Conversation>> {
    let Some(place) = &mapping.store().conversation else {
        return Ok(Vec::new());
    };
    let key = select::sources(&place.key);
    let mut select = vec![keys::joined(db, &key)];
    let mut sources = Vec::new();
    let time = |name: &Option<String>| name.as_ref().map(Source::column);
    for source in [
        place.title.clone(),
        place.user.clone(),
        time(&place.created),
        time(&place.updated),
    ] {
        let from = select.len();
        if let Some(source) = &source {
            select.extend(source.columns().map(|name| format!("m.{}", db.quote(name))));
        }
        sources.push((source, from..select.len()));
    }
    select.push(match &place.deleted {
        Some(deleted) => format!(
            "CASE WHEN {} THEN 1 ELSE 0 END",
            plan::condition(db, deleted)
        ),
        None => "0".to_owned(),
    });
    let sql = format!(
        "SELECT {} FROM {} m WHERE {}",
        select.join(", "),
        db.quote(&place.table),
        condition.sql
    );
    let rows = db.rows(&sql, &condition.args).await?;
    let read = |row: &Vec<Cell>| {
        let mut values = sources.iter().map(|(source, range)| {
            source
                .as_ref()
                .and_then(|source| select::value_of(source, &row[range.clone()]))
        });
        let mut next = || values.next().flatten();
        let (title, user) = (next(), next());
        let mut moment = || next().as_deref().and_then(time::of_text);
        let (created, updated) = (moment(), moment());
        Conversation {
            key: row[0].to_string(),
            title,
            user,
            created,
            last: updated,
            deleted: row.last().and_then(Cell::int) == Some(1),
            ..Conversation::default()
        }
    };
    Ok(rows.iter().map(read).collect())
}
