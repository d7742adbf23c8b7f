//! In which of several columns the texts of messages are: names deceive, what is in them tells.

use super::declared::Shape;
use super::score::{Guess, Reason};
use super::source::Source;
use super::values::says;
use super::{values, words};
use crate::db::Db;
use crate::model::Table;

/// Where the texts are.
#[derive(Debug, PartialEq, Eq)]
enum Texts {
    /// In the column that was taken by its name.
    AsNamed,
    /// Elsewhere, or also elsewhere.
    In(String),
    /// In two columns, and nothing shows which one counts for a message.
    Apart,
}

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
    let others: Vec<_> = others.into_iter().filter_map(filled).collect();
    let Texts::In(source) = of(own, &others) else {
        let apart = of(own, &others) == Texts::Apart;
        guess.add(-20, apart, || {
            format!("texts are in `{named}` and in another column, and neither is NULL elsewhere")
        });
        return Ok(false);
    };
    guess.unlike_older.push(format!("the text in `{named}`"));
    let why = format!("`{named}` is empty where `{source}` has the text");
    guess.reasons.push(Reason::of(why));
    guess.store.message.content = source.try_into().ok();
    Ok(true)
}

/// Where the texts are, of a column that was taken by its name and of others.
fn of(named: Filled<'_>, others: &[Filled<'_>]) -> Texts {
    let beyond = |other: &Filled<'_>| named.rows(*other).filter(|it| *it == (false, true)).count();
    let Some(other) = others.iter().copied().max_by_key(beyond) else {
        return Texts::AsNamed;
    };
    let unread = beyond(&other);
    let (only, both) = named
        .rows(other)
        .fold((0, 0), |(only, both), row| match row {
            (true, false) => (only + 1, both),
            (true, true) => (only, both + 1),
            (false, _) => (only, both),
        });
    if unread == 0 {
        Texts::AsNamed
    } else if only == 0 {
        Texts::In(other.place())
    } else if unread * 10 < unread + only + both {
        // The output of a few tools, or the like.
        Texts::AsNamed
    } else if other.is_null_where_empty() && (both == 0 || other.is_packed()) {
        Texts::In(format!("{}|{}", other.place(), named.place()))
    } else if named.is_null_where_empty() {
        Texts::In(format!("{}|{}", named.place(), other.place()))
    } else {
        Texts::Apart
    }
}

impl<'v> Filled<'v> {
    /// Row by row, whether each of the two says something.
    fn rows(self, other: Self) -> impl Iterator<Item = (bool, bool)> + 'v {
        let both = self.cells.iter().zip(other.cells);
        both.map(|(own, other)| (says(own), says(other)))
    }

    fn is_null_where_empty(self) -> bool {
        self.cells.iter().all(|cell| cell.is_none() || says(cell))
    }

    fn is_packed(self) -> bool {
        let mut said = self.cells.iter().filter(|cell| says(cell)).flatten();
        said.all(|text| text.trim_start().starts_with(['[', '{']))
    }

    /// As a mapping names it.
    fn place(self) -> String {
        let path = if self.is_packed() { "::$" } else { "" };
        format!("{}{path}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Filled, Texts, of};

    #[test]
    fn the_texts_are_where_something_is_said() {
        let parts = "[{\"type\":\"text\",\"text\":\"x\"}]";
        let told = |content: &[&str], parts: &[&str]| {
            // A dash for NULL.
            let cells = |values: &[&str]| -> Vec<_> {
                let cell = |value: &&str| (*value != "-").then(|| (*value).to_owned());
                values.iter().map(cell).collect()
            };
            let (content, parts) = (cells(content), cells(parts));
            let named = Filled {
                name: "content",
                cells: &content,
            };
            let other = Filled {
                name: "parts",
                cells: &parts,
            };
            of(named, &[other])
        };
        let text = |source: &str| Texts::In(source.to_owned());
        for (content, other, expected) in [
            (["a", "b"], ["-", "-"], Texts::AsNamed),
            (["a", "b"], [parts, parts], Texts::AsNamed),
            (["a", "b"], ["[]", "[]"], Texts::AsNamed),
            (["", ""], [parts, parts], text("parts::$")),
            (["-", "-"], [parts, parts], text("parts::$")),
            (["a", ""], [parts, parts], text("parts::$")),
            (["a", ""], ["-", parts], text("parts::$|content")),
            (["a", "-"], ["[]", parts], text("content|parts::$")),
            (["a", "-"], ["", "b"], text("content|parts")),
            (["a", ""], ["[]", parts], Texts::Apart),
        ] {
            assert_eq!(told(&content, &other), expected, "{content:?} {other:?}");
        }
    }
}
