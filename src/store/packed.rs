//! Chats that are stored as JSON in a column with an arbitrary name.

use super::declared::{Items, Messages, Shape, Store};
use super::roles::Sides;
use super::score::Guess;
use super::values::Sample;
use super::{roles, values, words};
use crate::db::Db;
use crate::model::Table;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// So many values of a column are read in full, if they have no more letters than this.
const VALUES: usize = 5;
const LETTERS: usize = 1_000_000;
const ROLES: &[&str] = &["role", "from", "sender", "author", "speaker", "who", "type"];
const CONTENTS: &[&str] = &[
    "content", "text", "value", "message", "body", "parts", "words",
];

/// The messages in JSON that are in the columns of a table, by their values.
pub(super) async fn blobs(db: &dyn Db, sample: &Sample<'_>) -> anyhow::Result<Vec<Guess>> {
    let mut found = Vec::new();
    // Of two lists of messages the one that is written to is the chat.
    let mut columns: Vec<_> = sample.packed().collect();
    columns.sort_by_key(|column| words::is_archive(&column.name));
    for column in columns {
        let values = some(db, sample.table, &column.name).await?;
        found.extend(blob(sample.table, &column.name, &values));
    }
    Ok(found)
}

/// The JSON in some rows of a column.
async fn some(db: &dyn Db, table: &Table, column: &str) -> anyhow::Result<Vec<Value>> {
    let name = db.quote(column);
    let text = db.text_of(&name);
    let sql = format!(
        "SELECT {text} FROM {} WHERE length({text}) BETWEEN 3 AND {LETTERS} LIMIT {VALUES}",
        db.quote(&table.name)
    );
    let rows = db.rows(&sql, &[]).await?;
    let values = rows
        .iter()
        .filter_map(|row| serde_json::from_str(row[0].text()?).ok());
    Ok(values.collect())
}

fn blob(table: &Table, column: &str, values: &[Value]) -> Option<Guess> {
    let keys = values
        .first()
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|object| object.keys());
    let paths = keys.map(|key| Some(key.as_str()));
    [None].into_iter().chain(paths).find_map(|key| {
        let lists: Vec<_> = values
            .iter()
            .filter_map(|value| key.map_or(Some(value), |key| value.get(key))?.as_array())
            .filter(|list| !list.is_empty())
            .collect();
        let form = form(&lists)?;
        let path = key.map_or_else(|| "$".to_owned(), |key| format!("$[{}]", Value::from(key)));
        guess(table, column, &path, form)
    })
}

/// What the items of a chat are called.
struct Form<'k> {
    role: &'k str,
    content: &'k str,
    key: Option<&'k str>,
    has_times: bool,
    map: BTreeMap<String, String>,
}

fn form(lists: &[&Vec<Value>]) -> Option<Form<'static>> {
    let items: Vec<_> = lists.iter().flat_map(|list| list.iter()).collect();
    let has = |key: &&&str| {
        items
            .iter()
            .filter(|item| item.get(**key).is_some())
            .count()
            * 10
            >= items.len() * 9
    };
    let of = |keys: &'static [&'static str]| keys.iter().find(has).copied();
    if items.len() < 2 {
        return None;
    }
    let (role, content) = (of(ROLES)?, of(CONTENTS)?);
    let spelled = |item: &&Value| item.get(role).and_then(Value::as_str).map(str::to_owned);
    let spellings: BTreeSet<_> = items.iter().filter_map(spelled).collect();
    let all: Vec<_> = spellings.iter().map(String::as_str).collect();
    let map = roles::sides(&all, Sides::Both)?;
    // What is asked of a model ends with the question: a log of its calls is not a chat.
    let is_answered = |list: &&&Vec<Value>| {
        let last = list.last().and_then(|item| spelled(&item));
        let role = last.and_then(|value| roles::role_of(&map, &value));
        role.is_some_and(|role| role.word() == "assistant")
    };
    (lists.iter().filter(is_answered).count() * 2 >= lists.len()).then_some(Form {
        role,
        content,
        key: of(&["id", "uuid", "message_id"]),
        has_times: items
            .iter()
            .any(|item| words::ITEM_TIMES.iter().any(|key| item.get(*key).is_some())),
        map,
    })
}

fn guess(table: &Table, column: &str, path: &str, form: Form<'_>) -> Option<Guess> {
    let item = |key: &str| format!("$.{key}").try_into().ok();
    let items = format!("{column}::{path}").try_into().ok()?;
    let mut guess = Guess {
        unlike_older: Vec::new(),
        points: 0,
        reasons: Vec::new(),
        store: Store {
            shape: Shape::Blob,
            conversation: Some(words::conversations(table)),
            message: Messages {
                role_map: form.map,
                ..Messages::default()
            },
            item: Some(Items {
                key: form.key.and_then(item),
                time: form.has_times.then(words::item_time),
                ..Items::of(items, item(form.role)?, item(form.content)?).with_usual_fields()
            }),
            ..Store::default()
        },
    };
    guess.add(6, true, || format!("a chat in `{column}`"));
    Some(guess)
}

/// Adds the other lists of messages in the same row: archived ones, or the results of tools.
pub(super) async fn with_other_lists(
    db: &dyn Db,
    table: &Table,
    item: &mut Items,
) -> anyhow::Result<bool> {
    let sample = values::sample(db, table).await?;
    let own: Vec<_> = item.items.columns().map(str::to_owned).collect();
    let mut known = HashSet::new();
    for column in &own {
        let rows = some(db, table, column).await?;
        rows.iter().for_each(|row| texts_in(row, &mut known));
    }
    let columns = sample.packed().filter(|column| !own.contains(&column.name));
    let mut found = false;
    for column in columns {
        let rows = some(db, table, &column.name).await?;
        let items: Vec<_> = rows.iter().filter_map(Value::as_array).flatten().collect();
        if items.is_empty()
            || !items.iter().all(|value| is_item(value, item))
            || is_copy(&items, item, &known)
        {
            continue;
        }
        let Ok(source) = format!("{}::$", column.name).try_into() else {
            continue;
        };
        if words::is_archive(&column.name) {
            item.earlier.push(source);
        } else {
            item.also.push(source);
        }
        found = true;
    }
    Ok(found)
}

/// All texts in a JSON value.
fn texts_in(value: &Value, found: &mut HashSet<String>) {
    match value {
        Value::String(text) => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| texts_in(item, found)),
        Value::Object(fields) => fields.values().for_each(|item| texts_in(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether messages are the ones that are known, once more: what the model is given of a chat has its words again.
fn is_copy(items: &[&Value], like: &Items, known: &HashSet<String>) -> bool {
    let is_known = |item: &&&Value| {
        let mut texts = HashSet::new();
        let content = like.content.first(item);
        content.into_iter().for_each(|it| texts_in(it, &mut texts));
        let longest = texts.iter().max_by_key(|text| text.len());
        longest.is_some_and(|text| known.contains(text))
    };
    items.iter().filter(is_known).count() * 2 >= items.len()
}

fn is_item(value: &Value, like: &Items) -> bool {
    let role = like.role.first(value).and_then(Value::as_str);
    let paths = [
        Some(&like.content),
        like.parts.as_ref(),
        like.tools.as_ref(),
    ];
    let mut paths = paths.into_iter().flatten();
    role.is_some_and(roles::is_known) && paths.any(|path| path.first(value).is_some())
}

#[cfg(test)]
mod tests {
    use super::{HashSet, Items, blob, is_copy, texts_in};
    use crate::model::{Column, Table};
    use serde_json::{Value, json};

    fn found(values: &[Value]) -> Option<String> {
        let column = |name: &str| Column {
            name: name.to_owned(),
            declared: "TEXT".to_owned(),
            key: name == "id",
            references: None,
        };
        let table = Table {
            name: "talks".to_owned(),
            columns: ["id", "record"].map(column).into(),
        };
        let guess = blob(&table, "record", values)?;
        let item = guess.store.item.unwrap();
        let role = String::from(item.role);
        Some(format!(
            "{} {role} {}",
            item.items,
            String::from(item.content)
        ))
    }

    #[test]
    fn a_chat_in_json_is_known_by_its_sides() {
        let said = json!([{"from": "human", "value": "milk?"}, {"from": "gpt", "value": "yes"}]);
        let told = |path: &str| Some(format!("record::{path} $.from $.value"));
        assert_eq!(found(std::slice::from_ref(&said)), told("$"));
        assert_eq!(found(&[json!({"v": 1, "said": said})]), told("$[\"said\"]"));
    }

    #[test]
    fn a_list_with_the_words_of_the_chat_is_a_copy() {
        let chat =
            json!([{"role": "user", "content": "milk?"}, {"role": "assistant", "content": "yes"}]);
        let asked = json!([{"role": "system", "content": "be kind"}, chat[0], chat[1]]);
        let archived = json!([{"role": "user", "content": "bread?"}, {"role": "assistant", "content": [{"type": "text", "text": "no, no bread"}]}]);
        let path = |text: &str| text.to_owned().try_into().unwrap();
        let items = "record::$".to_owned().try_into().unwrap();
        let like = Items::of(items, path("$.role"), path("$.content"));
        let mut known = HashSet::new();
        texts_in(&chat, &mut known);
        let is_copy = |list: &Value| {
            is_copy(
                &list.as_array().unwrap().iter().collect::<Vec<_>>(),
                &like,
                &known,
            )
        };
        assert!(is_copy(&asked) && is_copy(&chat));
        assert!(!is_copy(&archived));
    }

    #[test]
    fn what_a_model_was_asked_is_no_chat() {
        let asked = json!([{"role": "assistant", "content": "hello"}, {"role": "user", "content": "milk?"}]);
        for value in [
            asked,
            json!([{"role": "user", "content": "x"}]),
            json!([1, 2]),
            json!({"a": 1}),
        ] {
            assert_eq!(found(std::slice::from_ref(&value)), None, "{value}");
        }
    }
}
