//! In which of several columns the texts of messages are: names deceive, what is in them tells.

use super::declared::Shape;
use super::score::{Guess, Reason};
use super::source::Source;
use super::values::says;
use super::{values, words};
use crate::db::Db;
use crate::model::Table;

/// Columns that may as well hold why an answer failed, or what a tool gave.
const LOOSE: [&str; 2] = ["message", "output"];

/// What is in a column, row by row.
#[derive(Clone, Copy)]
struct Filled<'v> {
    name: &'v str,
    cells: &'v [Option<String>],
}

/// Corrects the column of the texts of a guess, if the table has several that may hold them; says
/// whether it did.
pub(super) async fn settle(
    db: &dyn Db,
    schema: &[Table],
    guess: &mut Guess,
) -> anyhow::Result<bool> {
    let message = &guess.store.message;
    let plain = message.content.as_ref().filter(|it| !it.is_json());
    let table = schema.iter().find(|table| table.name == message.table);
    let (Some(content), Some(table), Shape::Row) = (plain, table, guess.store.shape) else {
        return Ok(false);
    };
    let named = content.to_string();
    let taken = [message.role.as_ref(), message.time.as_ref()]
        .into_iter()
        .flatten()
        .chain(&message.conversation);
    let taken: Vec<_> = taken.flat_map(Source::columns).collect();
    let others: Vec<_> = words::text_columns(table)
        .filter(|name| *name != named && !taken.contains(name))
        .collect();
    if others.is_empty() || guess.store.parts.is_some() {
        return Ok(false);
    }
    let sample = values::sample(db, table).await?;
    let filled = |name| sample.cells(name).map(|cells| Filled { name, cells });
    let Some(own) = filled(named.as_str()) else {
        return Ok(false);
    };
    let others = others.into_iter().filter_map(filled);
    let others: Vec<_> = others
        .filter(|other| !LOOSE.contains(&other.name) || own.misses_often(*other))
        .collect();
    let places = places(own, &others);
    let unread = others.iter().find(|other| own.misses(**other));
    if let Some(other) = unread {
        let place = other.place();
        guess.unlike_older.push(format!("the text in `{named}`"));
        let why = format!("`{named}` is empty where `{place}` has the text");
        guess.reasons.push(Reason::of(why));
    }
    guess.store.message.content = places.join("||").try_into().ok();
    Ok(true)
}

/// Where texts are looked for, of a column that was taken by its name and of others. These rows do
/// not show what older ones have: a column in which they hold nothing may have their texts.
fn places(named: Filled<'_>, others: &[Filled<'_>]) -> Vec<String> {
    // JSON with parts has more than the text.
    let (first, last): (Vec<_>, Vec<_>) = others
        .iter()
        .partition(|other| other.is_packed() && named.misses(**other));
    let all = first.into_iter().chain([&named]).chain(last);
    all.map(|filled| filled.place()).collect()
}

impl Filled<'_> {
    /// Whether the other one says something in a row in which this one does not.
    fn misses(self, other: Self) -> bool {
        let mut both = self.cells.iter().zip(other.cells);
        both.any(|(own, other)| !says(own) && says(other))
    }

    /// Whether that is so in every tenth of the rows that say something.
    fn misses_often(self, other: Self) -> bool {
        let both = self.cells.iter().zip(other.cells);
        let said = both.filter(|(own, other)| says(own) || says(other));
        let (own, all) = said.fold((0, 0), |(own, all), (cell, _)| {
            (own + usize::from(says(cell)), all + 1)
        });
        all > 0 && (all - own) * 10 >= all
    }

    fn is_packed(self) -> bool {
        let mut told = self.cells.iter().flatten().filter(|text| !text.is_empty());
        let holds_any = self.name == "parts" || told.clone().next().is_some();
        holds_any && told.all(|text| looks_like_json(text))
    }

    /// As a mapping names it.
    fn place(self) -> String {
        let path = if self.is_packed() { "::$" } else { "" };
        format!("{}{path}", self.name)
    }
}

/// Whether a text begins as a list or an object does. Only its beginning may be there.
fn looks_like_json(text: &str) -> bool {
    let mut letters = text.chars().filter(|c| !c.is_whitespace());
    let two = (letters.next(), letters.next());
    matches!(
        two,
        (Some('['), Some('[' | ']' | '{' | '"')) | (Some('{'), Some('"' | '}'))
    ) || text == "null"
}

#[cfg(test)]
mod tests {
    use super::{Filled, places};

    #[test]
    fn each_column_is_read_in_which_texts_may_be() {
        let parts = "[{\"type\":\"text\",\"text\":\"x\"}]";
        let read = |name: &str, content: &[&str], other: &[&str]| {
            // A dash for NULL.
            let cells = |values: &[&str]| -> Vec<_> {
                let cell = |value: &&str| (*value != "-").then(|| (*value).to_owned());
                values.iter().map(cell).collect()
            };
            let (content, other) = (cells(content), cells(other));
            let named = Filled {
                name: "content",
                cells: &content,
            };
            let other = Filled {
                name,
                cells: &other,
            };
            places(named, &[other]).join("||")
        };
        for (name, content, other, expected) in [
            ("parts", ["a", "b"], ["-", "-"], "content||parts::$"),
            ("parts", ["a", "b"], [parts, parts], "content||parts::$"),
            ("parts", ["a", "b"], ["[]", "[]"], "content||parts::$"),
            ("parts", ["", ""], [parts, parts], "parts::$||content"),
            ("parts", ["-", "-"], [parts, parts], "parts::$||content"),
            ("parts", ["a", ""], [parts, parts], "parts::$||content"),
            ("parts", ["a", ""], ["-", parts], "parts::$||content"),
            ("parts", ["a", "-"], ["[]", parts], "parts::$||content"),
            ("parts", ["a", ""], ["[]", parts], "parts::$||content"),
            ("text", ["a", "b"], ["-", "-"], "content||text"),
            ("text", ["a", "-"], ["", "b"], "content||text"),
            ("text", ["a", "-"], ["", "[b"], "content||text"),
            ("body", ["a", "-"], ["b", "[1] b"], "content||body"),
        ] {
            assert_eq!(
                read(name, &content, &other),
                expected,
                "{content:?} {other:?}"
            );
        }
    }

    #[test]
    fn the_message_of_a_few_errors_is_no_text() {
        let cells = |count: usize, said: usize| -> Vec<_> {
            (0..count)
                .map(|at| (at < said).then(|| "x".to_owned()))
                .collect()
        };
        fn filled<'v>(name: &'v str, cells: &'v [Option<String>]) -> Filled<'v> {
            Filled { name, cells }
        }
        for (said, expected) in [(19, false), (18, true)] {
            let (content, message) = (cells(20, said), vec![Some("y".to_owned()); 20]);
            let named = filled("content", &content);
            assert_eq!(named.misses_often(filled("message", &message)), expected);
        }
        let none = cells(20, 0);
        assert!(!filled("content", &none).misses_often(filled("message", &none)));
    }
}
