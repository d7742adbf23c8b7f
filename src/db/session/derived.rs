//! Values that change next to others by themselves: a time that a trigger keeps, and a count of the
//! rows that refer to a row. Pure.
//!
//! Neither is believed for its text alone: every changed value has to be a time within the run, or
//! the right count.

use crate::model::{Compared, Shape, ShapeColumn, Successor};

/// What a column would have to be set to, without blanks and in lower case.
const NOW: [&str; 9] = [
    "now()",
    "current_timestamp",
    "localtimestamp",
    "clock_timestamp()",
    "statement_timestamp()",
    "transaction_timestamp()",
    "datetime('now'",
    "strftime('%",
    "unixepoch(",
];

/// What may be around that.
const AROUND: [&str; 4] = ["(", "timezone('utc',", "timezone('utc'::text,", "cast("];

/// Whether a trigger's function of PostgreSQL sets this column to the time of the change.
pub(in crate::db) fn function_keeps_time(source: &str, column: &str) -> bool {
    let text = bare(source);
    let column = bare(column);
    tells_of_change(&column)
        && [":=", "="]
            .iter()
            .any(|sign| is_set_to_now(&text, &format!("new.{column}{sign}")))
}

/// Whether a trigger of SQLite sets this column of its own table to the time of the change.
pub(in crate::db) fn trigger_keeps_time(sql: &str, table: &str, column: &str) -> bool {
    let text = bare(sql);
    let (table, column) = (bare(table), bare(column));
    let on_update = text.contains("afterupdate") || text.contains("beforeupdate");
    tells_of_change(&column)
        && on_update
        && is_set_to_now(&text, &format!("update{table}set{column}="))
}

/// Whether a column is called as the time of the last change is. Another time that a change
/// overwrites, such as `created_at`, is lost by it: messages are in its order.
pub(in crate::db) fn tells_of_change(column: &str) -> bool {
    const WORDS: [&str; 15] = [
        "upd", "mod", "chang", "touch", "edit", "mtime", "last", "sync", "refresh", "seen",
        "access", "activ", "writ", "revis", "version",
    ];
    let column = column.to_lowercase();
    WORDS.iter().any(|word| column.contains(word))
}

fn is_set_to_now(text: &str, assignment: &str) -> bool {
    text.match_indices(assignment).any(|(at, _)| {
        let mut value = &text[at + assignment.len()..];
        while let Some(rest) = AROUND.iter().find_map(|it| value.strip_prefix(it)) {
            value = rest;
        }
        NOW.iter().any(|now| value.starts_with(now))
    })
}

/// A text without comments, blanks and the quotes of names, in lower case.
fn bare(text: &str) -> String {
    let mut bare = String::new();
    for line in text.lines() {
        let code = line.split("--").next().unwrap_or_default();
        let kept = code
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '"' | '`' | '[' | ']'));
        bare.extend(kept.flat_map(char::to_lowercase));
    }
    while let Some(begin) = bare.find("/*") {
        let length = bare[begin..]
            .find("*/")
            .map_or(bare.len() - begin, |at| at + 2);
        bare.replace_range(begin..begin + length, "");
    }
    bare
}

/// The columns whose changes may have one explanation: no row is missing and no value became NULL. Of
/// each its place in the table of before, what it is now, and how many of its values did not change.
pub(in crate::db) fn changed<'a>(
    shape: &Shape,
    successor: &'a Successor,
    compared: &Compared,
) -> Vec<(usize, &'a ShapeColumn, u64)> {
    let pairs = successor.columns.iter();
    let of = |(old, new): &'a (ShapeColumn, ShapeColumn)| {
        let index = shape.columns.iter().position(|column| column == old)?;
        let counts = &compared.columns[index];
        let explicable = counts.changed > 0 && counts.nulled == 0 && compared.missing == 0;
        explicable.then(|| (index, new, counts.filled.saturating_sub(counts.changed)))
    };
    pairs.filter_map(of).collect()
}

/// Whether a column is called as a count of the rows of that table is: `message_count`,
/// `numMessages` or `messages` of a table `messages`.
pub(in crate::db) fn is_called_count_of(column: &str, table: &str) -> bool {
    const WORDS: [&str; 8] = [
        "count", "counter", "counts", "num", "number", "total", "of", "n",
    ];
    let mut words = Vec::new();
    for part in column.split('_') {
        let mut word = String::new();
        for c in part.chars() {
            if c.is_uppercase() && word.chars().last().is_some_and(char::is_lowercase) {
                words.push(std::mem::take(&mut word));
            }
            word.push(c);
        }
        words.push(word);
    }
    let rest: Vec<_> = words
        .iter()
        .map(|word| word.to_lowercase())
        .filter(|word| !word.is_empty() && !WORDS.contains(&word.as_str()))
        .collect();
    let singular = |name: &str| name.strip_suffix('s').unwrap_or(name).to_owned();
    let wanted = table.to_lowercase().replace('_', "");
    singular(&rest.concat()) == singular(&wanted)
}

#[cfg(test)]
mod tests {
    use super::{function_keeps_time, is_called_count_of, trigger_keeps_time};

    #[test]
    fn functions_that_keep_a_time() {
        for source in [
            "BEGIN NEW.updated_at = now(); RETURN NEW; END",
            "begin\n  new.\"updated_at\" := CURRENT_TIMESTAMP;\n  return new;\nend",
            "BEGIN NEW.updated_at = timezone('utc', now()); RETURN NEW; END",
            "BEGIN NEW.updated_at = (now() AT TIME ZONE 'utc'); RETURN NEW; END",
        ] {
            assert!(function_keeps_time(source, "updated_at"), "{source}");
            assert!(!function_keeps_time(source, "created_at"), "{source}");
        }
        for source in [
            "BEGIN -- NEW.updated_at = now();\nRETURN NEW; END",
            "BEGIN /* NEW.updated_at = now(); */ RETURN NEW; END",
            "BEGIN NEW.updated_at = OLD.updated_at; RETURN NEW; END",
            "BEGIN NEW.not_updated_at = now(); RETURN NEW; END",
        ] {
            assert!(!function_keeps_time(source, "updated_at"), "{source}");
        }
    }

    #[test]
    fn a_time_that_is_no_time_of_a_change_is_not_explained() {
        let source = "BEGIN NEW.created_at = now(); NEW.last_seen = now(); RETURN NEW; END";
        assert!(!function_keeps_time(source, "created_at"));
        assert!(function_keeps_time(source, "last_seen"));
    }

    #[test]
    fn triggers_that_keep_a_time() {
        let sql = "CREATE TRIGGER t AFTER UPDATE ON messages FOR EACH ROW BEGIN\n UPDATE \"messages\" SET updated_at = \
                   strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;\nEND";
        assert!(trigger_keeps_time(sql, "messages", "updated_at"));
        assert!(!trigger_keeps_time(sql, "messages", "at"));
        assert!(!trigger_keeps_time(sql, "chats", "updated_at"));
        let sql = "CREATE TRIGGER t AFTER INSERT ON messages BEGIN UPDATE messages SET updated_at = CURRENT_TIMESTAMP; END";
        assert!(!trigger_keeps_time(sql, "messages", "updated_at"));
    }

    #[test]
    fn names_of_counts() {
        for column in [
            "message_count",
            "messages_count",
            "numMessages",
            "messages",
            "total_messages",
            "MessageCount",
        ] {
            assert!(is_called_count_of(column, "messages"), "{column}");
        }
        for column in [
            "unread_count",
            "count",
            "message_id",
            "unread_messages",
            "token_count",
        ] {
            assert!(!is_called_count_of(column, "messages"), "{column}");
        }
        assert!(is_called_count_of("chat_message_count", "chat_messages"));
    }
}
