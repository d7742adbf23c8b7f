//! An answer whose end is missing.

use super::Cause;
use super::Check;
use super::Ground;
use super::Look;
use super::Tally;
use super::cause;
use super::ground::opaque;
use crate::model::Column;
use crate::model::Role;
use crate::model::State;
use crate::model::StoredMessage;
use crate::report::Severity::Error;
use crate::report::Severity::Note;
use crate::report::Severity::Warning;
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "truncated-answer",
    causes: CAUSES,
    help: "widen the column (TEXT; LONGTEXT on MySQL), keep sql_mode strict, and save what was streamed to its end",
    unfit: opaque,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[
    cause(
        "column-full",
        Error,
        "the text fills its column to the last byte: what came after was cut off",
    ),
    cause(
        "length-limit",
        Warning,
        "the text is exactly as long as its column allows: what came after was probably cut off",
    ),
    cause(
        "json-ends",
        Error,
        "the content is JSON that ends in its middle: the rest was cut off",
    ),
    cause(
        "half-a-character",
        Warning,
        "the text ends within a character",
    ),
    cause(
        "open-code-fence",
        Note,
        "the answer ends inside of a block of code that is never closed",
    ),
];

/// How much a column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Bytes(usize),
    Characters(usize),
}

fn look(thread: &Thread, ground: &Ground<'_>, tally: &mut Tally) {
    for message in &thread.messages {
        let text = &message.content;
        match limit(ground, message) {
            // MySQL cuts before a character that does not fit as a whole.
            Some(Limit::Bytes(most)) if (most - 3..=most).contains(&text.len()) => {
                let fact = format!("{} bytes of at most {most}", text.len());
                tally.message(&CAUSES[0], message, &fact);
            }
            Some(Limit::Characters(most)) if text.chars().count() == most => {
                tally.message(&CAUSES[1], message, &format!("{most} characters"));
            }
            _ if json_ends(message) => tally.message(&CAUSES[2], message, ""),
            _ if text.ends_with('\u{fffd}') => tally.message(&CAUSES[3], message, ""),
            _ if ends_in_code(message) => tally.message(&CAUSES[4], message, ""),
            _ => {}
        }
    }
}

/// Whether JSON was expected, and what is there is the beginning of it.
pub(super) fn json_ends(message: &StoredMessage) -> bool {
    let begins = message.content.trim_start().starts_with(['{', '[', '"']);
    !message.decoded
        && begins
        && serde_json::from_str::<serde::de::IgnoredAny>(&message.content)
            .is_err_and(|error| error.is_eof())
}

fn ends_in_code(message: &StoredMessage) -> bool {
    let fences = || {
        let lines = message.content.lines();
        lines
            .filter(|line| line.trim_start().starts_with("```"))
            .count()
    };
    message.role == Role::Assistant && message.state == State::Whole && fences() % 2 == 1
}

/// What the column of a message's text takes; unknown where the text is a part of JSON.
fn limit(ground: &Ground<'_>, message: &StoredMessage) -> Option<Limit> {
    let store = ground.mapping.store();
    let of = &store.message;
    let source = match (&store.item, &store.parts, &message.role) {
        (Some(_), ..) | (_, Some(_), _) => return None,
        (.., Role::User) => of.prompt.as_ref().or(of.content.as_ref()),
        _ => of.response.as_ref().or(of.content.as_ref()),
    };
    let source = source.filter(|source| !source.is_json() && source.places.len() == 1)?;
    let column = ground.column(&of.table, source.columns().next()?)?;
    declared(column, ground.db.target().backend() == "mysql")
}

/// MySQL's text types are limited by bytes (refman 8.0, 13.7 "Data Type Storage Requirements").
fn declared(column: &Column, mysql: bool) -> Option<Limit> {
    let name = column.declared.to_uppercase();
    if let Some((kind, rest)) = name.split_once('(') {
        let most = rest.split(')').next()?.trim().parse().ok()?;
        // SQLite and the others count characters; below this a text would not be an answer.
        let counts = kind.contains("CHAR") && most >= 16;
        return counts.then_some(Limit::Characters(most));
    }
    match name.as_str() {
        "TINYTEXT" if mysql => Some(Limit::Bytes(255)),
        "TEXT" if mysql => Some(Limit::Bytes(65_535)),
        "MEDIUMTEXT" if mysql => Some(Limit::Bytes(16_777_215)),
        _ => None,
    }
}
