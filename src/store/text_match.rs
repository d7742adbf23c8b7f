//! Conditions that a row's columns hold a text, as it is or as JSON writes it.

use super::Mapping;
use super::declared::Items;
use super::keys::Condition;
use super::source::Source;
use crate::db::Db;
use crate::model::Cell;

/// That a row's columns hold a text letter by letter, as it is or as JSON writes it.
pub(super) fn letter_by_letter(db: &dyn Db, mapping: &Mapping, text: &str) -> Condition {
    let mut spellings = vec![text.to_owned()];
    for escaped in [in_json(text), in_ascii(&in_json(text))] {
        if !spellings.contains(&escaped) {
            spellings.push(escaped);
        }
    }
    let condition = |column: &str, is_json: bool| {
        let spellings = if is_json {
            &spellings[..]
        } else {
            &spellings[..1]
        };
        let any = spellings
            .iter()
            .map(|spelling| (db.holds(column), Cell::Text(spelling.clone())));
        any.collect::<Vec<_>>()
    };
    over_columns(db, mapping, &condition)
}

/// That a row's columns may hold a text in any case: what the databases fold differently is left
/// to the reader, which looks again.
pub(super) fn in_any_case(db: &dyn Db, mapping: &Mapping, text: &str) -> Condition {
    let plain =
        |c: char| c.is_ascii() && !c.is_ascii_control() && c != '"' && c != '\\' && c != '/';
    let longest = text
        .split(|c| !plain(c))
        .max_by_key(|part| part.len())
        .unwrap_or_default();
    if longest.is_empty() {
        return Condition {
            sql: String::new(),
            args: Vec::new(),
        };
    }
    let pattern = longest
        .to_ascii_lowercase()
        .replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_");
    let condition =
        |column: &str, _: bool| vec![(db.like(column), Cell::Text(format!("%{pattern}%")))];
    over_columns(db, mapping, &condition)
}

/// Conditions with their values, given a column and whether JSON is in it.
type OfColumn<'c> = &'c dyn Fn(&str, bool) -> Vec<(String, Cell)>;

/// A condition that holds for any of the columns in which text is.
fn over_columns(db: &dyn Db, mapping: &Mapping, condition: OfColumn<'_>) -> Condition {
    let store = mapping.store();
    let message = &store.message;
    let items = store.item.iter().flat_map(Items::lists);
    let own = [&message.content, &message.prompt, &message.response];
    let mut any = Vec::new();
    let mut args = Vec::new();
    let mut add = |table: &str, source: &Source, around: &dyn Fn(String) -> String| {
        for place in &source.places {
            let column = format!("{table}.{}", db.quote(&place.column));
            for (sql, arg) in condition(&column, place.path.is_some()) {
                any.push(around(sql));
                args.push(arg);
            }
        }
    };
    for source in own.into_iter().flatten().chain(items) {
        add("m", source, &|sql| sql);
    }
    if let (Some(parts), Some(key)) = (&store.parts, message.key.first()) {
        // Not of the parts that are joined: a message is read with all of its parts.
        let around = |sql| {
            format!(
                "m.{} IN (SELECT q.{} FROM {} q WHERE {sql})",
                db.quote(key),
                db.quote(&parts.key),
                db.quote(&parts.table)
            )
        };
        add("q", &parts.content, &around);
    }
    let sql = if any.is_empty() {
        "1 = 0".to_owned()
    } else {
        format!("({})", any.join(" OR "))
    };
    Condition { sql, args }
}

fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As writers of JSON do that keep to ASCII.
fn in_ascii(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{in_ascii, in_json};

    #[test]
    fn a_text_is_looked_for_as_json_writes_it() {
        assert_eq!(in_json("a\"b\n"), "a\\\"b\\n");
        assert_eq!(in_ascii("é😀"), "\\u00e9\\ud83d\\ude00");
    }
}
