//! Every conversation of the store with its messages, one at a time.
//!
//! Memory holds one conversation, however large the store: rows are read in the order of the
//! conversations, so that the database sorts (from an index, or on its disk) and not chatctl. Only
//! where a conversation's key is inside of JSON, by which no database sorts alike, are all
//! messages kept until the end.

use super::declared::Shape;
use super::decode::Decoder;
use super::plan::Plan;
use super::source::Source;
use super::{Mapping, branch, key_tables, keys, read, select};
use crate::db::Db;
use crate::model::{CellRef, Role, StoredMessage};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

/// A conversation and all that is stored of it.
#[derive(Debug, Clone, Default)]
pub struct Thread {
    /// The conversation's key; absent for messages that name none.
    pub key: Option<String>,
    /// The key of the current leaf, where the store names one.
    pub tip: Option<String>,
    /// Its messages in order; those of branches that were left stand last and are marked.
    pub messages: Vec<StoredMessage>,
}

/// What takes each conversation.
pub type TakeThread<'a> = &'a mut (dyn FnMut(Thread) + Send);

/// A store without conversations is one endless thread: it is handed out in pieces of about so many.
const PIECE: usize = 50_000;

/// Hands out every conversation of the store.
pub async fn threads(db: &dyn Db, mapping: &Mapping, take: TakeThread<'_>) -> anyhow::Result<()> {
    let store = mapping.store();
    if store.shape == Shape::Chain {
        for key in key_tables::keys(db, mapping).await? {
            let messages = read::conversation(db, mapping, &key).await?;
            take(Thread {
                tip: tip(db, mapping, &key).await?,
                key: Some(key),
                messages,
            });
        }
        return Ok(());
    }
    let plan = Plan::of(db, store);
    let (from, wanted) = (plan.select_from(db, store), plan.wanted(db, store, ""));
    let in_json = store.message.conversation.iter().any(Source::is_json);
    let sql = format!("{from}{wanted}{}", order(db, mapping, &plan, in_json));
    let mut gather = Gather {
        tips: tips(db, mapping).await?,
        parents: store.message.parent.is_some(),
        one: Thread::default(),
        apart: in_json.then(BTreeMap::new),
        take,
    };
    let mut decoder = Decoder::new(&plan, store);
    let mut row = |cells: &[CellRef<'_>]| -> anyhow::Result<ControlFlow<()>> {
        if store.shape == Shape::Blob {
            gather.row(&mut decoder, cells);
        } else {
            decoder.row(cells, &mut |message| gather.message(message.clone()));
        }
        Ok(ControlFlow::Continue(()))
    };
    db.scan(&sql, &[], &mut row).await?;
    decoder.end(&mut |message| gather.message(message.clone()));
    gather.end();
    Ok(())
}

/// By conversation, then as the mapping orders messages.
fn order(db: &dyn Db, mapping: &Mapping, plan: &Plan, in_json: bool) -> String {
    let store = mapping.store();
    let told = plan.order(db, store);
    if store.shape == Shape::Blob || in_json || store.message.conversation.is_empty() {
        return told;
    }
    let keys = store.message.conversation.iter().map(|source| {
        let places: Vec<_> = source
            .columns()
            .map(|name| format!("m.{}", db.quote(name)))
            .collect();
        match places.as_slice() {
            // As it is, so that an index can give the order.
            [only] => only.clone(),
            several => {
                let texts: Vec<_> = several.iter().map(|place| db.text_of(place)).collect();
                format!("coalesce({})", texts.join(", "))
            }
        }
    });
    let mut keys: Vec<_> = keys.collect();
    keys.extend(told.strip_prefix(" ORDER BY ").map(str::to_owned));
    format!(" ORDER BY {}", keys.join(", "))
}

/// Gathers messages to conversations.
struct Gather<'t> {
    tips: HashMap<String, String>,
    parents: bool,
    one: Thread,
    apart: Option<BTreeMap<Option<String>, Vec<StoredMessage>>>,
    take: TakeThread<'t>,
}

impl Gather<'_> {
    /// A row that is a whole conversation.
    fn row(&mut self, decoder: &mut Decoder<'_>, cells: &[CellRef<'_>]) {
        let mut thread = Thread {
            key: decoder.conversation_of(cells),
            tip: decoder.tip(cells),
            messages: Vec::new(),
        };
        decoder.row(cells, &mut |message| thread.messages.push(message.clone()));
        branch::mark(&mut thread.messages, thread.tip.as_deref());
        (self.take)(thread);
    }

    fn message(&mut self, message: StoredMessage) {
        if let Some(apart) = &mut self.apart {
            let messages = apart.entry(message.conversation.clone()).or_default();
            messages.push(message);
            return;
        }
        let other = message.conversation != self.one.key;
        // A turn is never torn, and a parent never looked for in another piece.
        let full = self.one.key.is_none()
            && self.one.messages.len() >= PIECE
            && message.role == Role::User
            && !self.parents;
        if (other || full) && !self.one.messages.is_empty() {
            self.flush();
        }
        self.one.key.clone_from(&message.conversation);
        self.one.messages.push(message);
    }

    fn flush(&mut self) {
        let mut thread = std::mem::take(&mut self.one);
        thread.tip = thread
            .key
            .as_ref()
            .and_then(|key| self.tips.get(key).cloned());
        if self.parents {
            branch::mark(&mut thread.messages, thread.tip.as_deref());
        }
        (self.take)(thread);
    }

    fn end(mut self) {
        for (key, messages) in self.apart.take().into_iter().flatten() {
            self.one = Thread {
                key,
                tip: None,
                messages,
            };
            self.flush();
        }
        if !self.one.messages.is_empty() {
            self.flush();
        }
    }
}

/// The leaf of a conversation.
async fn tip(db: &dyn Db, mapping: &Mapping, key: &str) -> anyhow::Result<Option<String>> {
    let place = mapping.store().conversation.as_ref();
    let Some((place, tip)) = place.and_then(|place| Some((place, place.tip.as_ref()?))) else {
        return Ok(None);
    };
    let columns = select::sources(&place.key);
    match keys::holds(db, mapping, &place.table, &columns, key) {
        Some(condition) => select::value(db, &place.table, tip, &condition).await,
        None => Ok(None),
    }
}

/// The leaves of all conversations, for stores with message rows that name one: a short text for
/// each conversation is what they cost.
async fn tips(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<HashMap<String, String>> {
    let store = mapping.store();
    let place = store
        .conversation
        .as_ref()
        .filter(|_| store.shape != Shape::Blob);
    let Some((place, tip)) = place.and_then(|place| Some((place, place.tip.as_ref()?))) else {
        return Ok(HashMap::new());
    };
    if tip.is_json() {
        return Ok(HashMap::new());
    }
    let key = keys::joined(db, &select::sources(&place.key));
    let tip = keys::joined(db, std::slice::from_ref(tip));
    let sql = format!("SELECT {key}, {tip} FROM {} m", db.quote(&place.table));
    let rows = db.rows(&sql, &[]).await?;
    let told = rows
        .iter()
        .map(|row| (row[0].to_string(), row[1].to_string()));
    Ok(told.filter(|(_, tip)| !tip.is_empty()).collect())
}
