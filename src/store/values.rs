//! Which tables may hold chats, by the values in their columns, whatever the names.
//!
//! What distinguishes a chat from a log, a mailbox or a table of questions is that two sides speak free
//! text by turns, the machine's after the user's.

use super::roles::Sides;
use super::score::Guess;
use super::source::Source;
use super::{roles, score, words};
use crate::db::Db;
use crate::model::{Column, Table};
use std::collections::{BTreeMap, BTreeSet};

/// How many rows of a table are examined, and how many characters of each value.
const ROWS: usize = 100;
const LETTERS: usize = 400;
/// More spellings than this are not roles.
const MOST_ROLES: usize = 12;

/// Some rows of a table: the beginnings of what is in each column, the oldest row first if
/// its key shows which that is.
pub(super) struct Sample<'s> {
    pub(super) table: &'s Table,
    columns: Vec<Values<'s>>,
    rows: usize,
    is_ordered: bool,
}

/// The values of a column, row by row.
struct Values<'s> {
    column: &'s Column,
    cells: Vec<Option<String>>,
}

/// A value of a column for a reason: it may be of any length and hold anything, and a reason becomes
/// a line of TOML too.
pub(super) fn quoted(value: &str) -> String {
    let beginning: String = value.chars().take(40).collect();
    format!("{beginning:?}")
}

/// Reads some rows, the newest if that costs nothing.
pub(super) async fn sample<'s>(db: &dyn Db, table: &'s Table) -> anyhow::Result<Sample<'s>> {
    let columns: Vec<_> = table
        .columns
        .iter()
        .filter(|column| is_readable(column))
        .collect();
    let beginning = |column: &&Column| {
        format!(
            "substr({}, 1, {LETTERS})",
            db.text_of(&db.quote(&column.name))
        )
    };
    let wanted: Vec<_> = columns.iter().map(beginning).collect();
    let order = serial(table).map(|key| format!(" ORDER BY {} DESC", db.quote(&key.name)));
    let mut rows = Vec::new();
    if !wanted.is_empty() {
        let sql = format!(
            "SELECT {} FROM {}{} LIMIT {ROWS}",
            wanted.join(", "),
            db.quote(&table.name),
            order.as_deref().unwrap_or_default()
        );
        rows = db.rows(&sql, &[]).await?;
    }
    rows.reverse();
    let values = columns.iter().enumerate().map(|(index, column)| Values {
        column,
        cells: rows
            .iter()
            .map(|row| row[index].text().map(str::to_owned))
            .collect(),
    });
    Ok(Sample {
        table,
        columns: values.collect(),
        rows: rows.len(),
        is_ordered: order.is_some(),
    })
}

fn is_readable(column: &Column) -> bool {
    let binary = ["BLOB", "BYTEA", "BINARY", "VECTOR", "GEOMETRY"];
    !binary.iter().any(|name| column.declared.contains(name))
}

/// The key that grows with each row.
fn serial(table: &Table) -> Option<&Column> {
    let mut keys = table.columns.iter().filter(|column| column.key);
    match (keys.next(), keys.next()) {
        (Some(key), None) if key.is_whole() => Some(key),
        _ => None,
    }
}

/// A row for each message, by the values in its columns.
pub(super) fn rows(schema: &[Table], sample: &Sample<'_>) -> Option<Guess> {
    by_values(schema, sample, None)
}

/// The same where the text of a chat was found in a column.
pub(super) fn with_text(schema: &[Table], sample: &Sample<'_>, column: &str) -> Option<Guess> {
    let text = sample
        .columns
        .iter()
        .find(|values| values.column.name == column)?;
    by_values(schema, sample, Some(text))
}

fn by_values(schema: &[Table], sample: &Sample<'_>, text: Option<&Values<'_>>) -> Option<Guess> {
    let wanted = match text {
        Some(_) => Sides::Any,
        None => Sides::Both,
    };
    let role = sample.role(wanted, text)?;
    let text = match text {
        Some(text) => text,
        None => sample.text(&role)?,
    };
    let conversation = sample.conversation(schema, &role, text);
    let turns = sample.turns(&role, conversation.map(|values| &values.cells));
    if wanted == Sides::Both && !turns.speak_by_turns(sample.is_ordered) {
        return None;
    }
    let mut guess = score::in_rows(
        schema,
        sample.table,
        conversation.map(|values| values.column),
    );
    let spelled: Vec<_> = role
        .spellings
        .iter()
        .map(|spelling| quoted(spelling))
        .collect();
    guess.add(3, true, || {
        format!(
            "`{}` holds {}",
            role.values.column.name,
            spelled.join(" and ")
        )
    });
    guess.add(2, true, || format!("text in `{}`", text.column.name));
    guess.add(2, turns.answered > 0, || {
        format!("the answer follows the question {} times", turns.answered)
    });
    let message = &mut guess.store.message;
    message.role = Some(Source::column(&role.values.column.name));
    message.content = Some(Source::column(&text.column.name));
    let longest = sample.longest(&role).map(|values| &values.column.name);
    let older = longest.filter(|longest| wanted == Sides::Both && **longest != text.column.name);
    guess
        .unlike_older
        .extend(older.map(|name| format!("the text in `{name}`")));
    message.role_map = role.map;
    if message.time.is_none()
        && let Some(time) = sample.time()
    {
        message.time = Some(Source::column(&time.name));
        guess.add(1, true, || format!("time in `{}`", time.name));
    }
    Some(guess)
}

/// The column of the role.
struct Role<'v> {
    values: &'v Values<'v>,
    map: BTreeMap<String, String>,
    spellings: BTreeSet<&'v str>,
}

impl Role<'_> {
    fn is(&self, row: usize, side: &str) -> bool {
        let value = self.values.cells[row].as_deref();
        value
            .and_then(|value| roles::role_of(&self.map, value))
            .is_some_and(|role| role.word() == side)
    }
}

/// How questions and answers alternate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Turns {
    /// Answers.
    answers: usize,
    /// Of them, how many come right after a question of the same conversation.
    answered: usize,
    /// Conversations in which both sides speak.
    both: usize,
    /// Conversations.
    all: usize,
}

impl Turns {
    fn speak_by_turns(&self, is_ordered: bool) -> bool {
        let in_order = !is_ordered || self.answered * 2 >= self.answers;
        self.answers > 0 && in_order && self.both * 2 >= self.all
    }
}

impl Sample<'_> {
    /// What is in a column, row by row.
    pub(super) fn cells(&self, name: &str) -> Option<&[Option<String>]> {
        let values = self
            .columns
            .iter()
            .find(|values| values.column.name == name)?;
        Some(&values.cells)
    }

    /// The columns in which JSON is.
    pub(super) fn packed(&self) -> impl Iterator<Item = &Column> {
        let is_packed = |values: &&Values<'_>| {
            let count = values.filled().count();
            let packed = values.filled().filter(|text| text.starts_with(['{', '[']));
            count > 0 && packed.count() * 10 >= count * 9
        };
        self.columns
            .iter()
            .filter(is_packed)
            .map(|values| values.column)
    }

    fn role(&self, wanted: Sides, text: Option<&Values<'_>>) -> Option<Role<'_>> {
        let flag = words::flag_column(self.table);
        let flagged = flag.as_ref().map(|(column, _)| *column);
        let named = words::role_column(self.table).or(flagged);
        let named = named.map(|column| column.name.as_str());
        let by_flag = |values: &Values<'_>, spellings: &BTreeSet<&str>| {
            let (column, map) = flag.as_ref()?;
            let is_it = column.name == values.column.name;
            let are_known = spellings.iter().all(|value| map.contains_key(*value));
            (is_it && are_known).then(|| map.clone())
        };
        let mut found: Vec<_> = self
            .columns
            .iter()
            .filter(|values| text.is_none_or(|text| text.column.name != values.column.name))
            .filter_map(|values| {
                let spellings: BTreeSet<_> = values.filled().collect();
                if spellings.len() > MOST_ROLES || values.filled().count() * 10 < self.rows * 9 {
                    return None;
                }
                let all: Vec<_> = spellings.iter().copied().collect();
                let map = roles::sides(&all, wanted).or_else(|| by_flag(values, &spellings))?;
                Some(Role {
                    values,
                    map,
                    spellings,
                })
            })
            .collect();
        // Of several, the one with a known name; otherwise it is not known which one is right.
        let is_it = |role: &Role<'_>, name| Some(role.values.column.name.as_str()) == name;
        let position = |name| found.iter().position(|role| is_it(role, name));
        let flagged = position(flagged.map(|column| column.name.as_str()));
        // Not every model that answers is in the sample; a flag tells the sides of all of them.
        let named = position(named).map(|named| match flagged {
            Some(flag) if roles::names_models(&found[named].map) => flag,
            Some(_) | None => named,
        });
        match named {
            Some(index) => Some(found.swap_remove(index)),
            None if found.len() == 1 => found.pop(),
            None => None,
        }
    }

    /// The column with the texts of both sides that is named so, else the one with the most text.
    fn text(&self, role: &Role<'_>) -> Option<&Values<'_>> {
        let longest = self.longest(role);
        let named = words::text_columns(self.table)
            .filter_map(|name| self.columns.iter().find(|it| it.column.name == name))
            .find(|it| {
                let is_text = self.may_be_text(it, role) && self.both_say(it, role);
                is_text && !(longest.is_some() && it.are_references())
            });
        // What an older version of the product wrote: few rows have it, and nearly all have the other.
        let is_left_behind = |named: &Values<'_>, other: &Values<'_>| {
            named.filled().count() * 2 < other.filled().count() && self.both_say(other, role)
        };
        match (named, longest) {
            (Some(named), Some(longest)) if is_left_behind(named, longest) => Some(longest),
            (Some(named), _) => Some(named),
            (None, longest) => longest,
        }
    }

    /// The column with the most text.
    fn longest(&self, role: &Role<'_>) -> Option<&Values<'_>> {
        let free = self
            .columns
            .iter()
            .filter(|values| self.may_be_text(values, role) && values.is_free_text());
        free.max_by_key(|values| values.letters())
    }

    fn may_be_text(&self, values: &Values<'_>, role: &Role<'_>) -> bool {
        let column = values.column;
        column.name != role.values.column.name && !column.key && column.references.is_none()
    }

    /// Whether both sides say something in a column, and not always the same.
    fn both_say(&self, values: &Values<'_>, role: &Role<'_>) -> bool {
        let all: BTreeSet<_> = values.filled().collect();
        let says = |side: &str| {
            let rows = (0..self.rows).filter(|row| role.is(*row, side));
            let said: Vec<_> = rows
                .map(|row| &values.cells[row])
                .filter(|cell| says(cell))
                .collect();
            let distinct = said.iter().collect::<BTreeSet<_>>().len();
            distinct > 1 || said.len() == 1
        };
        all.len() * 4 >= values.filled().count() && says("user") && says("assistant")
    }

    /// The columns that hold texts, as far as these rows show.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let named: Vec<_> = words::text_columns(self.table).collect();
        let holds = move |values: &&Values<'_>| {
            let column = values.column;
            let is_named = named.contains(&column.name.as_str());
            let is_text = is_named && values.cells.iter().any(says);
            let may_be = !column.key && column.references.is_none();
            may_be && (is_text || values.is_free_text())
        };
        let found = self.columns.iter().filter(holds);
        found.map(|values| values.column.name.as_str())
    }

    /// The column that names the conversation: it refers to another table, or its name says so, or
    /// it is an id under which both sides speak.
    fn conversation(
        &self,
        schema: &[Table],
        role: &Role<'_>,
        text: &Values<'_>,
    ) -> Option<&Values<'_>> {
        if let Some(named) = words::conversation_column(self.table)
            && named.name != text.column.name
        {
            return self
                .columns
                .iter()
                .find(|values| values.column.name == named.name);
        }
        let may_be = |values: &&Values<'_>| {
            let column = values.column;
            let other = ![&role.values.column.name, &text.column.name].contains(&&column.name);
            let target = column.references.as_ref();
            let itself = target.is_some_and(|target| target.eq_ignore_ascii_case(&self.table.name));
            other
                && !column.key
                && !itself
                && !words::is_about_people(column)
                && values.filled().count() * 10 >= self.rows * 9
        };
        let groups = |values: &&Values<'_>| {
            let turns = self.turns(role, Some(&values.cells));
            let is_one = turns.both * 2 >= turns.all && !values.name_rows();
            // What both sides say under one key is a conversation; a key under which nobody
            // answers may be anything.
            is_one.then_some((turns.answered > 0, turns.all))
        };
        let best = |class: &dyn Fn(&Column) -> bool| {
            let found = self
                .columns
                .iter()
                .filter(may_be)
                .filter(|values| class(values.column));
            let found = found.filter_map(|values| Some((groups(&values)?, values)));
            found
                .max_by_key(|(groups, _)| *groups)
                .map(|(_, values)| values)
        };
        let refers = |column: &Column| {
            let target = column.references.as_ref();
            target.is_some_and(|target| {
                schema
                    .iter()
                    .any(|table| table.name.eq_ignore_ascii_case(target))
            })
        };
        best(&refers).or_else(|| best(&words::is_id))
    }

    /// The only column of times, except those of later changes.
    fn time(&self) -> Option<&Column> {
        let later = ["update", "modif", "edit", "delete", "expire", "read"];
        let mut times = self.columns.iter().filter(|values| {
            let name = values.column.name.to_lowercase();
            let is_later = later.iter().any(|word| name.contains(word));
            !is_later && !words::is_id(values.column) && values.is_time()
        });
        match (times.next(), times.next()) {
            (Some(only), None) => Some(only.column),
            _ => None,
        }
    }

    /// How the two sides alternate in each conversation, or in all rows if none is named.
    fn turns(&self, role: &Role<'_>, conversation: Option<&Vec<Option<String>>>) -> Turns {
        let mut of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for row in 0..self.rows {
            let key = conversation.map_or(Some(""), |cells| cells[row].as_deref());
            if let Some(key) = key {
                of.entry(key).or_default().push(row);
            }
        }
        let mut turns = Turns {
            all: of.len(),
            ..Turns::default()
        };
        for rows in of.values() {
            let speaks = |side: &str| rows.iter().filter(|row| role.is(**row, side)).count();
            turns.answers += speaks("assistant");
            // The sample may have cut a conversation down to its last word.
            turns.both +=
                usize::from(speaks("assistant") > 0 && speaks("user") > 0 || rows.len() == 1);
            let follows = |two: &&[usize]| role.is(two[0], "user") && role.is(two[1], "assistant");
            turns.answered += rows.windows(2).filter(follows).count();
        }
        turns
    }
}

impl Values<'_> {
    fn filled(&self) -> impl Iterator<Item = &str> {
        let cells = self.cells.iter().flatten();
        cells.map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Whether they are ids, addresses or ciphertexts: long words of ASCII.
    fn are_references(&self) -> bool {
        const LONG: usize = 16;
        self.filled().all(|text| {
            let is_word = text.is_ascii() && !text.contains(char::is_whitespace);
            is_word && text.len() >= LONG && !text.starts_with(['{', '['])
        })
    }

    /// Whether each row has its own value, by which it is numbered or named: a key that the
    /// catalogue does not call one.
    fn name_rows(&self) -> bool {
        let distinct = self.filled().collect::<BTreeSet<_>>().len();
        let name = self.column.name.to_lowercase();
        let numbers: Option<Vec<i64>> = self.filled().map(|it| it.parse().ok()).collect();
        let grows = |numbers: Vec<i64>| numbers.len() > 1 && numbers.is_sorted();
        distinct == self.filled().count()
            && (["id", "uuid", "guid"].contains(&name.as_str()) || numbers.is_some_and(grows))
    }

    fn letters(&self) -> usize {
        self.filled().map(|text| text.chars().count()).sum()
    }

    /// Whether it holds free text: several words, which differ in most rows.
    fn is_free_text(&self) -> bool {
        let count = self.filled().count();
        let distinct = self.filled().collect::<BTreeSet<_>>().len();
        let words = self
            .filled()
            .filter(|text| text.trim().contains(char::is_whitespace))
            .count();
        let packed = self
            .filled()
            .filter(|text| text.starts_with(['{', '[']))
            .count();
        count > 0
            && distinct * 2 >= count
            && words * 3 >= count
            && packed * 2 < count
            && !self.is_time()
    }

    fn is_time(&self) -> bool {
        self.filled().next().is_some()
            && self
                .filled()
                .all(|text| super::time::of_text(text).is_some())
    }
}

/// Whether a cell holds more than the form of a text.
pub(super) fn says(cell: &Option<String>) -> bool {
    let text = cell.as_deref().unwrap_or_default().trim();
    !["", "[]", "{}", "null", "\"\""].contains(&text)
}

#[cfg(test)]
mod tests;
