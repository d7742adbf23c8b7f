//! Sums of conversations that the database computes: no message leaves it.

use super::declared::{Shape, Store};
use super::keys::Condition;
use super::plan::{Plan, Slot};
use super::select::{Order, Take};
use super::{Mapping, keys, plan, select, status};
use crate::db::Db;
use crate::model::{Cell, CellRef, Engine, RankTies, StoredMessage};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// What the database tells of a conversation.
pub struct SumOf<'a> {
    /// Its key.
    pub conversation: &'a str,
    /// The sum of a number of each of its messages up to the mark, modulo 2^64.
    pub sum: u64,
    /// How many these are.
    pub messages: u64,
    /// How many are after the mark, or were written by late transactions.
    pub grown: u64,
}

/// What the database tells of the order of a conversation's messages.
pub struct OrderOf<'a> {
    /// Its key.
    pub conversation: &'a str,
    /// The sum of a number of each of its messages and their rank, modulo 2^64.
    pub sum: u64,
    /// How many these are.
    pub messages: u64,
    /// Whether some of them have the same rank.
    pub ties: RankTies,
}

/// What takes each conversation's order.
pub type TakeOrder<'a> = &'a mut (dyn FnMut(OrderOf<'_>) -> anyhow::Result<ControlFlow<()>> + Send);

/// What takes each conversation's sum.
pub type TakeSum<'a> = &'a mut (dyn FnMut(SumOf<'_>) -> anyhow::Result<ControlFlow<()>> + Send);

/// Why the database can't make sums through this mapping, in words that continue a sentence; none
/// where it can.
pub fn unsummable(db: &dyn Db, mapping: &Mapping) -> Option<&'static str> {
    let store = mapping.store();
    let message = &store.message;
    let append = message.append.as_ref();
    let append = append.and_then(|name| mapping.column(store.table(), name));
    let rows = matches!(store.shape, Shape::Row | Shape::Event | Shape::Opaque);
    let plain = !message.conversation.iter().any(|source| source.is_json());
    if db.number_of(&[]).is_none() {
        Some("on this engine a snapshot without it is as fast")
    } else if !rows || store.parts.is_some() || !plain {
        Some("a message is not just a row that names its conversation")
    } else if append.is_none_or(|column| !column.is_whole()) || message.time.is_none() {
        Some("it needs a numeric append column and a time column")
    } else {
        None
    }
}

/// Whether the words of a status column are in the number of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statuses {
    /// As earlier versions had it.
    Summed,
    LeftOut,
}

/// What of a text goes into the number of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Texts {
    /// Its bytes, as earlier versions had it.
    Stored,
    /// What a client reads, whatever the character set.
    Read,
}

/// How the sums of a file are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub statuses: Statuses,
    pub texts: Texts,
}

impl Form {
    /// Of a new file.
    pub const NEW: Self = Self {
        statuses: Statuses::LeftOut,
        texts: Texts::Read,
    };
    /// What the name of an engine has behind it where the sums are of texts as read.
    const AS_READ: &'static str = " (texts as read)";

    /// Of a file that calls its maker so, with sums of these parts.
    pub fn of(maker: &str, summed: &[String]) -> Self {
        Self {
            statuses: statuses(summed),
            texts: if maker.ends_with(Self::AS_READ) {
                Texts::Read
            } else {
                Texts::Stored
            },
        }
    }

    /// Whether the sums say nothing of what a client reads once the character set is another one.
    pub fn may_be_misread(self, engine: Option<Engine>) -> bool {
        self.texts == Texts::Stored && engine == Some(Engine::Mysql)
    }

    /// What a file calls the maker of its sums. Only MySQL keeps texts in many character sets.
    pub fn maker(self, engine: Engine) -> String {
        match (engine, self.texts) {
            (Engine::Mysql, Texts::Read) => format!("{engine}{}", Self::AS_READ),
            (Engine::Mysql, Texts::Stored)
            | (Engine::Sqlite | Engine::Postgres, Texts::Read | Texts::Stored) => {
                engine.to_string()
            }
        }
    }
}

/// What of a message goes into its number, by the place that it has there. Names of columns may
/// change.
pub fn summed(db: &dyn Db, mapping: &Mapping, form: Form) -> Vec<String> {
    let plan = Plan::of(db, mapping.store());
    let word = |(name, places): (&str, Vec<usize>)| {
        let places: Vec<_> = places.iter().map(usize::to_string).collect();
        format!("{name} ({})", places.join(" "))
    };
    parts(&plan, form.statuses).map(word).collect()
}

/// Whether the words of a status are in sums of these parts. The first files name none.
fn statuses(summed: &[String]) -> Statuses {
    if summed.is_empty() || summed.iter().any(|part| part.starts_with("status (")) {
        Statuses::Summed
    } else {
        Statuses::LeftOut
    }
}

/// What goes into a number, and the places of its columns.
fn parts(plan: &Plan, statuses: Statuses) -> impl Iterator<Item = (&'static str, Vec<usize>)> {
    let places = |slot: &Slot| slot.iter().map(|(place, _)| *place).collect::<Vec<_>>();
    let of = |slot: &Option<Slot>| slot.as_ref().map(places).unwrap_or_default();
    let one = |place: &Option<usize>| place.iter().copied().collect::<Vec<_>>();
    let parts = [
        ("key", plan.key.clone()),
        (
            "conversation",
            plan.conversation.iter().flat_map(places).collect(),
        ),
        ("role", of(&plan.role)),
        ("content", of(&plan.content)),
        ("prompt", of(&plan.prompt)),
        ("response", of(&plan.response)),
        ("payload", plan.payload.clone()),
        ("time", of(&plan.time)),
        ("time of the response", of(&plan.response_time)),
        ("append", one(&plan.append)),
        ("parent", one(&plan.parent)),
        ("tools", of(&plan.tools)),
        (
            "status",
            one(&plan.status.filter(|_| statuses == Statuses::Summed)),
        ),
        ("extra", plan.extra.clone()),
        ("open", one(&plan.open)),
        ("error", one(&plan.error)),
        ("failed", of(&plan.failed)),
        ("deleted", one(&plan.deleted)),
    ];
    parts.into_iter().filter(|(_, places)| !places.is_empty())
}

/// What may still be written to.
pub struct Unsettled<'a> {
    /// What is younger; in microseconds since 1970 UTC, as the next one.
    pub settled: i64,
    /// Of what is younger, each message
    pub open: i64,
    /// of which this holds.
    pub goes_on: &'a (dyn Fn(&StoredMessage) -> bool + Sync),
}

/// The mark: the greatest number of the append column of which no message may still be written to;
/// the least number when there is no such message. And the greatest number of all.
pub async fn mark(
    db: &dyn Db,
    mapping: &Mapping,
    unsettled: &Unsettled<'_>,
) -> anyhow::Result<(i64, i64)> {
    let store = mapping.store();
    let append = append(db, mapping);
    let sql = format!(
        "SELECT min({append}), max({append}) FROM {} m",
        db.quote(store.table())
    );
    let ends = db.rows(&sql, &[]).await?;
    let (Some(first), Some(last)) = (ends[0][0].int(), ends[0][1].int()) else {
        return Ok((i64::MIN, i64::MIN));
    };
    let young = |message: &StoredMessage| message.time > Some(unsettled.settled);
    let of_today = |message: &StoredMessage| message.time > Some(unsettled.open);
    let goes_on = |message: &StoredMessage| of_today(message) && (unsettled.goes_on)(message);
    let mut mark = last;
    if let Some(sql) = marked_as_open(db, store) {
        let args = Vec::new();
        let (first, _) = before(db, mapping, &Condition { sql, args }, goes_on, of_today).await?;
        mark = mark.min(first);
    }
    let ends = (first, last);
    let first = last_of(db, mapping, ends, None, (young, young)).await?;
    mark = mark.min(first);
    if let Some(empty) = empty(db, store) {
        let first = last_of(db, mapping, ends, Some(&empty), (goes_on, of_today)).await?;
        mark = mark.min(first);
    }
    Ok((mark, last))
}

/// That the store marks a row as being written, or as not whole.
fn marked_as_open(db: &dyn Db, store: &Store) -> Option<String> {
    let message = &store.message;
    let open = message.open.as_ref();
    let open = open.map(|predicate| plan::condition(db, predicate));
    let by_status = message.status.as_ref().map(|status| {
        let words: Vec<_> = status::unfinished()
            .map(|word| format!("'{word}'"))
            .collect();
        let status = db.text_of(&format!("m.{}", db.quote(status)));
        format!("lower(trim({status})) IN ({})", words.join(", "))
    });
    let any: Vec<_> = open.into_iter().chain(by_status).collect();
    (!any.is_empty()).then(|| format!("({})", any.join(" OR ")))
}

/// That a row has no content yet.
fn empty(db: &dyn Db, store: &Store) -> Option<String> {
    let columns = store.message.content.as_ref()?.columns();
    let none = columns.map(|name| {
        let text = db.text_of(&format!("m.{}", db.quote(name)));
        format!("coalesce({text}, '') IN ('', '\"\"', '[]', '{{}}', 'null')")
    });
    let none: Vec<_> = none.collect();
    Some(none.join(" AND "))
}

/// The number before the first of the messages that `is` holds for, among those of a condition. How
/// many are that young nobody knows: more and more of the last ones are examined, until one is
/// older.
async fn last_of(
    db: &dyn Db,
    mapping: &Mapping,
    (first, last): (i64, i64),
    condition: Option<&str>,
    (is, young): (
        impl Fn(&StoredMessage) -> bool + Copy + Send + Sync,
        impl Fn(&StoredMessage) -> bool + Copy + Send + Sync,
    ),
) -> anyhow::Result<i64> {
    let append = append(db, mapping);
    let among = condition.map(|condition| {
        // The oldest row of all tells how old they are.
        let bare = append.trim_start_matches("m.");
        let table = db.quote(mapping.store().table());
        format!(
            " AND ({condition} OR {append} = (SELECT min({bare}) FROM {table} WHERE {bare} > ?))"
        )
    });
    let mut span = 1000_i64;
    loop {
        let from = last.saturating_sub(span).max(first.saturating_sub(1));
        let among = among.as_deref().unwrap_or_default();
        let examined = Condition {
            sql: format!("{append} > ?{among}"),
            args: vec![Cell::Int(from); 1 + usize::from(condition.is_some())],
        };
        let (found, old) = before(db, mapping, &examined, is, young).await?;
        if old || from < first {
            return Ok(found);
        }
        span = span.saturating_mul(16);
    }
}

/// Hands out every message behind the mark, up to `end`.
pub async fn tail(
    db: &dyn Db,
    mapping: &Mapping,
    (mark, end): (i64, i64),
    take: Take<'_>,
) -> anyhow::Result<()> {
    let append = append(db, mapping);
    let condition = Condition {
        sql: format!("{append} > ? AND {append} <= ?"),
        args: vec![Cell::Int(mark), Cell::Int(end)],
    };
    select::each(db, mapping, &condition, Order::Stored, take).await
}

/// The number before the first message of those that `is` holds for, and whether there are some
/// that are not young.
async fn before(
    db: &dyn Db,
    mapping: &Mapping,
    condition: &Condition,
    is: impl Fn(&StoredMessage) -> bool + Send + Sync,
    young: impl Fn(&StoredMessage) -> bool + Send + Sync,
) -> anyhow::Result<(i64, bool)> {
    let (mut first, mut old) = (i64::MAX, false);
    let mut take = |message: &mut StoredMessage| {
        let place = message.append.filter(|_| is(message));
        first = first.min(place.map_or(i64::MAX, |place| place.saturating_sub(1)));
        old |= !young(message) || message.append.is_none();
        Ok(ControlFlow::Continue(()))
    };
    select::each(db, mapping, condition, Order::Stored, &mut take).await?;
    Ok((first, old))
}

/// Hands out the sum of each conversation over what is up to the mark and was not written by one
/// of these transactions of PostgreSQL. Messages that are deleted for the user count as gone.
pub async fn sums(
    db: &dyn Db,
    mapping: &Mapping,
    form: Form,
    (mark, late): (i64, &[(u64, u64)]),
    take: TakeSum<'_>,
) -> anyhow::Result<()> {
    let store = mapping.store();
    let plan = Plan::of(db, store);
    let places: BTreeSet<_> = parts(&plan, form.statuses)
        .flat_map(|(_, places)| places)
        .collect();
    let columns = places.iter().map(|at| plan.select[*at].clone());
    let columns: Vec<_> = match form.texts {
        Texts::Stored => columns.collect(),
        Texts::Read => columns.map(|it| db.as_read(&it)).collect(),
    };
    let number = db.number_of(&columns).unwrap_or_default();
    let late = keys::written_by(late).map(|late| format!(" OR {}", late.sql));
    let new = format!(
        "({} > {mark}{})",
        append(db, mapping),
        late.unwrap_or_default()
    );
    let deleted = store.message.deleted.as_ref();
    let deleted = deleted.map(|deleted| {
        let deleted = plan::condition(db, deleted);
        format!("CASE WHEN {deleted} THEN 0 ELSE 1 END = 1")
    });
    let sql = format!(
        "SELECT {}, CAST(sum(CASE WHEN {new} THEN 0 ELSE {number} END) % 18446744073709551616 AS CHAR(24)), \
         count(CASE WHEN {new} THEN NULL ELSE 1 END), count(CASE WHEN {new} THEN 1 END) FROM {} m{} GROUP BY 1",
        keys::joined(db, &store.message.conversation),
        db.quote(store.table()),
        plan.wanted(db, store, &deleted.unwrap_or_default()),
    );
    let mut row = |cells: &[CellRef<'_>]| {
        let [
            CellRef::Text(key),
            CellRef::Text(sum),
            CellRef::Int(messages),
            CellRef::Int(grown),
        ] = cells
        else {
            anyhow::bail!("the database gave no sum of a conversation");
        };
        let sum: i128 = sum.trim().parse()?;
        take(SumOf {
            conversation: key,
            // A remainder of the engine's has the sign of the sum; the low 64 bits are the same.
            sum: sum as u64,
            messages: u64::try_from(*messages)?,
            grown: u64::try_from(*grown)?,
        })
    };
    db.scan(&sql, &[], &mut row).await
}

/// Hands out the order of each conversation's messages up to `end`, less those that were written by
/// one of these transactions; nothing where their keys, times and places say it.
pub async fn orders(
    db: &dyn Db,
    mapping: &Mapping,
    end: i64,
    late: &[(u64, u64)],
    take: TakeOrder<'_>,
) -> anyhow::Result<()> {
    let store = mapping.store();
    let order = store.order_apart();
    if order.is_empty() {
        return Ok(());
    }
    let order: Vec<_> = order
        .iter()
        .map(|name| format!("m.{}", db.quote(name)))
        .collect();
    let append = append(db, mapping);
    let old = match keys::written_by(late) {
        Some(late) => format!("{append} <= {end} AND NOT ({})", late.sql),
        None => format!("{append} <= {end}"),
    };
    let deleted = store.message.deleted.as_ref();
    let deleted = deleted.map(|deleted| {
        let deleted = plan::condition(db, deleted);
        format!(" AND CASE WHEN {deleted} THEN 0 ELSE 1 END = 1")
    });
    let old = format!("{old}{}", deleted.unwrap_or_default());
    let conversation = keys::joined(db, &store.message.conversation);
    let number = db.number_of(&["o.k".to_owned(), "o.r".to_owned()]);
    let sql = format!(
        "SELECT o.c, CAST(sum({}) % 18446744073709551616 AS CHAR(24)), count(*), \
         sum(CASE WHEN o.r = o.n THEN 0 ELSE 1 END) FROM (\
         SELECT {conversation} AS c, {append} AS k, rank() OVER w AS r, row_number() OVER w AS n \
         FROM {} m{} WINDOW w AS (PARTITION BY {conversation} ORDER BY {})) o GROUP BY o.c",
        number.unwrap_or_default(),
        db.quote(store.table()),
        Plan::of(db, store).wanted(db, store, &old),
        order.join(", "),
    );
    let mut row = |cells: &[CellRef<'_>]| {
        let [
            CellRef::Text(key),
            CellRef::Text(sum),
            CellRef::Int(messages),
            tied,
        ] = cells
        else {
            anyhow::bail!("the database gave no order of a conversation");
        };
        let sum: i128 = sum.trim().parse()?;
        take(OrderOf {
            conversation: key,
            sum: sum as u64,
            messages: u64::try_from(*messages)?,
            ties: match tied {
                CellRef::Int(0) | CellRef::Text("0") => RankTies::None,
                _ => RankTies::Some,
            },
        })
    };
    db.scan(&sql, &[], &mut row).await
}

fn append(db: &dyn Db, mapping: &Mapping) -> String {
    let append = mapping.store().message.append.as_deref();
    format!("m.{}", db.quote(append.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::{Form, Statuses, Texts, statuses};
    use crate::model::Engine;

    #[test]
    fn files_of_earlier_versions_have_the_bytes_of_texts_in_their_sums() {
        let of = |maker: &str| Form::of(maker, &[]).texts;
        assert_eq!(of(&Engine::Mysql.to_string()), Texts::Stored);
        assert_eq!(of(&Form::NEW.maker(Engine::Mysql)), Texts::Read);
        let old = Form {
            texts: Texts::Stored,
            ..Form::NEW
        };
        assert_eq!(old.maker(Engine::Mysql), Engine::Mysql.to_string());
        let engine = Engine::Postgres;
        assert_eq!(Form::NEW.maker(engine), engine.to_string());
    }

    #[test]
    fn files_of_earlier_versions_have_the_status_in_their_sums() {
        let of =
            |parts: &[&str]| statuses(&parts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&[]), Statuses::Summed);
        assert_eq!(
            of(&["key (0)", "status (5)", "extra (6)"]),
            Statuses::Summed
        );
        assert_eq!(of(&["key (0)", "extra (6)"]), Statuses::LeftOut);
    }
}
