//! Finding where the chats are: by presets, by the texts of a chat that was just held, by names
//! and a look at some rows.

use super::candidate::{Candidate, ColumnMatch};
use super::declared::{Shape, Store};
use super::keys::Condition;
use super::score::{ENOUGH, Guess, Reason, Why};
use super::select::Order;
use super::{
    Declared, Mapping, Origin, elsewhere, join, packed, preset_match, read, roles, score, select,
    texts, tie, values, words,
};
use crate::cli_error::CliError;
use crate::db::Db;
use crate::model::{Cell, Role, StoredMessage, Table};
use std::collections::BTreeSet;

/// So many rows are examined.
const SAMPLE: usize = 200;
/// In so many tables the values are examined.
const TABLES: usize = 200;

/// What is known of where the chats are before the store is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// What `chatctl.toml` says.
    pub declared: &'a Declared,
    /// The table of messages in an earlier snapshot.
    pub table: Option<&'a str>,
    /// The mapping of that snapshot, if it keeps it.
    pub mapping: Option<&'a str>,
}

impl<'a> From<&'a Declared> for Choice<'a> {
    fn from(declared: &'a Declared) -> Self {
        Self {
            declared,
            table: None,
            mapping: None,
        }
    }
}

/// The mapping to use: as declared, else the one that can be told without doubt. Of several that fit alike it is that
/// of the table that is known.
pub async fn choose(
    db: &dyn Db,
    choice: impl Into<Choice<'_>>,
    schema: &[Table],
) -> anyhow::Result<Mapping> {
    let choice = choice.into();
    if let Some(mapping) = choice.declared.resolve(schema)? {
        mapping.judge(db).await?;
        return Ok(mapping);
    }
    if let Some(text) = choice.mapping
        && let Some(mapping) = remembered(db, text, schema).await?
    {
        return Ok(mapping);
    }
    let found = candidates(db, schema).await?;
    let doubt = found.get(1).filter(|second| !found[0].beats(second));
    let alike = found.iter().filter(|other| !found[0].beats(other));
    let known = alike.filter(|it| Some(it.mapping.table()) == choice.table);
    if let (Some(_), [known]) = (doubt, &known.collect::<Vec<_>>()[..]) {
        known.mapping.judge(db).await?;
        return Ok(known.mapping.clone());
    }
    match (found.first(), doubt) {
        (None, _) => Err(nothing_found(db, schema).await?.into()),
        (Some(first), None) => {
            first.mapping.judge(db).await?;
            Ok(first.mapping.clone())
        }
        (Some(first), Some(second)) => Err(several(first, second).into()),
    }
}

/// The mapping with which a snapshot was taken, if its tables and columns are still there. What is there now
/// must not decide what is read, since a loss changes that too.
async fn remembered(db: &dyn Db, text: &str, schema: &[Table]) -> anyhow::Result<Option<Mapping>> {
    let Some(mut mapping) = Mapping::remembered(text, schema) else {
        return Ok(None);
    };
    mapping.judge(db).await?;
    let presets = preset_match::fitting(schema);
    let same = presets
        .into_iter()
        .find(|it| it.mapping.stores == mapping.stores);
    mapping.origin = same.map_or_else(
        || {
            Origin::Detected(Why {
                reasons: vec![Reason::of("as the snapshot was taken")],
                ..Why::default()
            })
        },
        |preset| preset.mapping.origin,
    );
    Ok(Some(mapping))
}

/// What looks like texts of the chats, and is not read through a mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread {
    /// Other tables.
    pub tables: Vec<String>,
    /// Other columns of the table of messages.
    pub columns: Vec<String>,
}

/// What is only named: nothing is, where it can't be looked at.
pub async fn unread(db: &dyn Db, mapping: &Mapping, schema: &[Table]) -> Unread {
    Unread {
        tables: other_tables(db, mapping, schema).await.unwrap_or_default(),
        columns: other_texts(db, mapping, schema).await.unwrap_or_default(),
    }
}

/// A preset that fits hides none of the other tables; who declares the chats has chosen.
async fn other_tables(
    db: &dyn Db,
    mapping: &Mapping,
    schema: &[Table],
) -> anyhow::Result<Vec<String>> {
    if mapping.origin == Origin::Declared {
        return Ok(Vec::new());
    }
    // What is read needs no look, and its rows may be large.
    let own = mapping.table_names();
    let mut found = preset_match::fitting(schema);
    found.extend(weighed(db, schema, &own).await?);
    let is_row = mapping.store().shape == Shape::Row;
    let read = Candidate {
        mapping: mapping.clone(),
        score: i32::MAX,
        why: Why::default(),
    };
    let mut others = BTreeSet::new();
    for other in found.iter().filter(|candidate| candidate.score >= ENOUGH) {
        let table = other.mapping.table();
        if own.iter().any(|own| own == table) {
            continue;
        }
        // A log of these messages holds no others.
        if is_row && let tie::Verdict::Log(_) = tie::compare(db, schema, &read, other).await? {
            continue;
        }
        others.insert(table.to_owned());
    }
    Ok(others.into_iter().collect())
}

async fn other_texts(
    db: &dyn Db,
    mapping: &Mapping,
    schema: &[Table],
) -> anyhow::Result<Vec<String>> {
    let store = mapping.store();
    let table = schema.iter().find(|table| table.name == mapping.table());
    let (Some(table), Shape::Row | Shape::Turn) = (table, store.shape) else {
        return Ok(Vec::new());
    };
    let own = store.message.columns();
    let sample = values::sample(db, table).await?;
    let others = sample
        .texts()
        .filter(|name| !own.iter().any(|own| own.eq_ignore_ascii_case(name)));
    Ok(others.map(str::to_owned).collect())
}

/// Every mapping that something speaks for, the best one first.
pub async fn candidates(db: &dyn Db, schema: &[Table]) -> anyhow::Result<Vec<Candidate>> {
    let fitting = preset_match::fitting(schema);
    if !fitting.is_empty() {
        return Ok(fitting);
    }
    let mut found = weighed(db, schema, &[]).await?;
    found.retain(|candidate| candidate.score >= ENOUGH);
    untie(db, schema, &mut found).await?;
    Ok(found)
}

/// What to say when the chats were not found: what comes nearest, and where else something is.
pub async fn nothing_found(db: &dyn Db, schema: &[Table]) -> anyhow::Result<CliError> {
    let mut stop = preset_match::nothing(db.target(), schema);
    let weighed = weighed(db, schema, &[]).await?;
    if let Some((message, part)) = score::parted(schema).filter(|_| weighed.is_empty()) {
        stop.message = format!(
            "{}; `{message}` comes nearest: it has roles, and its texts may be in the rows of `{part}`",
            stop.message
        );
        stop = stop.hint(format!(
            "declare [store.message] table = \"{message}\" and [store.parts] table = \"{part}\" as [[store]] in \
             chatctl.toml; `chatctl inspect schema` lists their columns"
        ));
    }
    if let Some(nearest) = weighed.first() {
        let (table, why) = (nearest.mapping.table(), &nearest.why);
        stop.message = format!(
            "{}; `{table}` comes nearest, with {why:#}; a chat has {ENOUGH} or more",
            stop.message
        );
    }
    if let Some(hint) = elsewhere::hint(db).await? {
        stop = stop.hint(hint);
    }
    Ok(stop)
}

/// Every table that may hold messages, but for these, with all that speaks for and against it, the
/// best one first.
async fn weighed(db: &dyn Db, schema: &[Table], but: &[String]) -> anyhow::Result<Vec<Candidate>> {
    let mut guesses = score::guesses(schema);
    guesses.retain(|guess| !but.iter().any(|but| but == guess.store.table()));
    for table in schema
        .iter()
        .filter(|table| !but.contains(&table.name))
        .filter(|table| !words::is_something_else(&table.name))
        .take(TABLES)
    {
        // One that can't be read tells nothing by its values; by its names it may still count.
        if let Ok(sample) = values::sample(db, table).await {
            guesses.extend(values::rows(schema, &sample));
            guesses.extend(packed::blobs(db, &sample).await.unwrap_or_default());
        }
    }
    let mut found = Vec::new();
    let mut unreadable = None;
    for guess in guesses {
        match looked_at(db, guess, schema).await {
            Ok(candidate) => found.extend(candidate),
            Err(error) => unreadable = unreadable.or(Some(error)),
        }
    }
    // A table that may not be read hides no other one.
    if let Some(error) = unreadable
        && !found.iter().any(|candidate| candidate.score >= ENOUGH)
    {
        return Err(error);
    }
    found.sort_by_key(|candidate| -candidate.score);
    // The same table in another form is not a second place.
    let mut tables: Vec<String> = Vec::new();
    found.retain(|candidate| {
        let table = candidate.mapping.table().to_owned();
        let new = !tables.contains(&table);
        tables.push(table);
        new
    });
    Ok(found)
}

/// Puts the log of another table behind it, where their rows tell which one is the log.
async fn untie(db: &dyn Db, schema: &[Table], found: &mut Vec<Candidate>) -> anyhow::Result<()> {
    let mut next = 1;
    while let (Some(first), Some(second)) = (found.first(), found.get(next)) {
        if first.beats(second) {
            break;
        }
        match tie::compare(db, schema, first, second).await? {
            tie::Verdict::Log(why) => {
                found.remove(next);
                found[0].why.reasons.push(Reason::of(why));
            }
            tie::Verdict::LogIsFirst(why) => {
                found.remove(0);
                let mut messages = found.remove(next - 1);
                messages.why.reasons.push(Reason::of(why));
                found.insert(0, messages);
                next = 1;
            }
            tie::Verdict::Open => next += 1,
        }
    }
    Ok(())
}

/// A guess after a look at some rows: names deceive.
async fn looked_at(
    db: &dyn Db,
    mut guess: Guess,
    schema: &[Table],
) -> anyhow::Result<Option<Candidate>> {
    let check =
        |store: Store| Mapping::check(vec![store], Origin::Detected(Why::default()), schema);
    let Ok(mut mapping) = check(guess.store.clone()) else {
        return Ok(None);
    };
    if texts::settle(db, schema, &mut guess).await? {
        let Ok(settled) = check(guess.store.clone()) else {
            return Ok(None);
        };
        mapping = settled;
    }
    let mut rows = sample(db, &mapping).await?;
    if let Some(store) = unpacked(&guess.store, &rows) {
        guess.reasons.push(Reason::of("the text is JSON"));
        guess.store = store;
        mapping = check(guess.store.clone()).expect("the same columns were there a moment ago");
        rows = sample(db, &mapping).await?;
    }
    for (points, why) in evidence(guess.store.shape, &rows) {
        guess.add(points, true, || why);
    }
    let untold = rows.is_empty() && words::is_vague(&guess.store);
    guess.add(-4, untold, || "no row has a role".to_owned());
    if guess.points >= ENOUGH && guess.store.item.is_none() {
        let joined = join::conversations(db, schema, &guess.store, &rows).await?;
        let (place, why) = joined.unzip();
        guess.store.conversation = place;
        let why = why.filter(|_| !rows.is_empty());
        guess.reasons.extend(why.map(Reason::of));
        mapping = check(guess.store.clone()).expect("its columns are those of a table");
    }
    if let Some(item) = guess.store.item.as_mut().filter(|_| guess.points >= ENOUGH)
        && let Some(table) = schema.iter().find(|table| table.name == mapping.table())
        && packed::with_other_lists(db, table, item).await?
    {
        mapping = check(guess.store.clone()).expect("its columns are those of the table");
    }
    mapping.origin = Origin::Detected(guess.why());
    Ok(Some(Candidate {
        mapping,
        score: guess.points,
        why: guess.why(),
    }))
}

async fn sample(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Vec<StoredMessage>> {
    select::select(db, mapping, Condition::default(), Order::Sample(SAMPLE)).await
}

/// The store with its content read as JSON, where all of the texts are arrays or objects.
fn unpacked(store: &Store, rows: &[StoredMessage]) -> Option<Store> {
    let content = store.message.content.as_ref()?;
    let packed = |row: &StoredMessage| {
        let json = row.content.starts_with(['[', '{']);
        json && serde_json::from_str::<serde_json::Value>(&row.content).is_ok()
    };
    if content.is_json() || rows.is_empty() || !rows.iter().all(packed) {
        return None;
    }
    let mut store = store.clone();
    let places = content.columns().map(|column| format!("{column}::$"));
    store.message.content = places.collect::<Vec<_>>().join("||").try_into().ok();
    Some(store)
}

/// What some messages say for or against the guess that they are messages.
fn evidence(shape: Shape, rows: &[StoredMessage]) -> Vec<(i32, String)> {
    if rows.is_empty() || shape == Shape::Opaque {
        return Vec::new();
    }
    // A call of a tool may name nobody.
    let known = |row: &&StoredMessage| match &row.role {
        Role::Other(role) if role.is_empty() => !row.tools.is_empty(),
        Role::Other(role) => roles::is_known(role),
        _ => true,
    };
    let share = |count: usize| count * 10 >= rows.len() * 9;
    let mut found = Vec::new();
    // In a row of a turn the columns say who speaks.
    if shape != Shape::Turn {
        let strange = rows.iter().find(|row| !known(row));
        found.push(match strange {
            Some(row) if !share(rows.iter().filter(known).count()) => (
                -8,
                format!("role {} is unknown", values::quoted(row.role.word())),
            ),
            _ => (4, format!("roles of {} rows are known", rows.len())),
        });
        let speaks = |role: &Role| rows.iter().any(|row| row.role == *role);
        if !speaks(&Role::User) || !speaks(&Role::Assistant) {
            found.push((-4, "only one role occurs".to_owned()));
        }
    }
    let told = rows
        .iter()
        .filter(|row| !row.content.is_empty() || !row.tools.is_empty())
        .count();
    let decoded = rows.iter().filter(|row| row.decoded).count();
    found.push(if told * 2 >= rows.len() {
        (2, "most have a text".to_owned())
    } else {
        (
            -12,
            "most have neither a text nor a tool call there".to_owned(),
        )
    });
    if !share(decoded) {
        found.push((-4, "most can't be decoded".to_owned()));
    }
    found
}

fn several(first: &Candidate, second: &Candidate) -> CliError {
    let told = |candidate: &Candidate| format!("{} [{}]", candidate.mapping.short(), candidate.why);
    CliError::unreachable(format!(
        "two places fit the chats equally well: {}; and {}",
        told(first),
        told(second)
    ))
    .hint(
        "`chatctl inspect mapping` prints both; paste the right one into chatctl.toml, \
         or name the preset there: [store] preset = \"…\"",
    )
}

/// Looks for a text in every column that may hold text. A table that may not be read is an error
/// only where the text is nowhere else.
pub async fn find_text(
    db: &dyn Db,
    schema: &[Table],
    text: &str,
) -> anyhow::Result<Vec<ColumnMatch>> {
    let mut hits = Vec::new();
    let mut unreadable = None;
    for table in schema {
        for column in table.columns.iter().filter(|column| column.holds_text()) {
            let sql = format!(
                "SELECT count(*) FROM {} WHERE {}",
                db.quote(&table.name),
                db.holds(&db.quote(&column.name))
            );
            let rows = match db.rows(&sql, &[Cell::Text(text.to_owned())]).await {
                Ok(rows) => rows[0][0].int().unwrap_or(0),
                Err(error) => {
                    unreadable = unreadable.or(Some(error));
                    0
                }
            };
            if rows > 0 {
                hits.push(ColumnMatch {
                    table: table.name.clone(),
                    column: column.name.clone(),
                    rows,
                });
            }
        }
    }
    match unreadable {
        Some(error) if hits.is_empty() => Err(error),
        _ => Ok(hits),
    }
}

/// The mapping of the table in which a text of the chat was found, and through which it is read.
/// `what` says which text.
pub async fn from_hits(
    db: &dyn Db,
    schema: &[Table],
    hits: &[ColumnMatch],
    (text, what): (&str, &str),
) -> anyhow::Result<Option<Mapping>> {
    if let [only] = preset_match::fitting(schema).as_slice()
        && only.mapping.reads_any(hits)
    {
        return Ok(Some(only.mapping.clone()));
    }
    let mut guesses = Vec::new();
    for hit in hits {
        let Some(table) = schema.iter().find(|table| table.name == hit.table) else {
            continue;
        };
        let column = table.column(&hit.column);
        guesses.extend(column.and_then(|column| score::row(schema, table, column)));
        let sample = values::sample(db, table).await?;
        guesses.extend(values::with_text(schema, &sample, &hit.column));
    }
    let mut found = Vec::new();
    for guess in guesses.into_iter().chain(score::guesses(schema)) {
        let origin = Origin::Detected(Why::default());
        let named = Mapping::check(vec![guess.store.clone()], origin, schema);
        if named.is_ok_and(|mapping| mapping.reads_any(hits)) {
            found.extend(looked_at(db, guess, schema).await?);
        }
    }
    found.sort_by_key(|candidate| -candidate.score);
    let mut holding: Vec<Candidate> = Vec::new();
    for candidate in found {
        let is_new = holding
            .iter()
            .all(|known| known.mapping.table() != candidate.mapping.table());
        if is_new
            && !read::holding(db, &candidate.mapping, text)
                .await?
                .is_empty()
        {
            holding.push(candidate);
        }
    }
    untie(db, schema, &mut holding).await?;
    if let [first, second, ..] = holding.as_slice()
        && !first.beats(second)
    {
        return Err(several(first, second).into());
    }
    Ok(holding
        .into_iter()
        .next()
        .map(|Candidate { mut mapping, .. }| {
            let (table, column) = mapping.text_columns()[0];
            let why = Reason::of(format!("{what} was found in {table}.{column}"));
            mapping.origin = Origin::Detected(Why {
                points: None,
                reasons: vec![why],
                ..Why::default()
            });
            mapping
        }))
}

/// The best mapping by the names of tables and columns alone.
pub fn by_names(schema: &[Table]) -> Option<Mapping> {
    let best = score::best(schema)?;
    let why = Why {
        points: Some(best.points),
        reasons: vec![Reason::of("by the names of its columns")],
        ..Why::default()
    };
    Mapping::check(vec![best.store], Origin::Detected(why), schema).ok()
}

#[cfg(test)]
mod tests {
    use super::{Table, by_names};
    use crate::model::Column;

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
        let message = &mapping.store().message;
        assert_eq!(mapping.table(), "message");
        assert_eq!(message.conversation[0].to_string(), "conversation_id");
        assert_eq!(message.order, ["position", "id", "created_at"]);
        assert_eq!(message.status.as_deref(), Some("status"));
    }

    #[test]
    fn a_table_without_roles_is_no_chat() {
        assert_eq!(by_names(&[table("note", &["id", "content"])]), None);
    }
}
