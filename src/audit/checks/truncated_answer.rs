//! An answer whose end is missing.

use super::check_context::opaque;
use super::{Cause, CauseCounts, Check, CheckContext, Look, Thing, cause};
use crate::db::Tried;
use crate::model::{Cell, CellRef, Column, Role, State, StoredMessage};
use crate::report::Severity::{Error, Note, Warning};
use crate::store::{Source, Thread};
use std::ops::ControlFlow;

pub(super) const CHECK: Check = Check {
    code: "truncated-answer",
    causes: CAUSES,
    help: "widen the column (TEXT; LONGTEXT on MySQL), keep sql_mode strict, and save the complete stream",
    unfit: opaque,
    look: Look::Both(look, of_parts),
};

static CAUSES: &[Cause] = &[
    cause(
        "column-full",
        Error,
        "the text fills its column to the last byte: the rest was cut off",
    ),
    cause(
        "length-limit",
        Warning,
        "the text is exactly as long as its column allows: the rest was probably cut off",
    ),
    cause(
        "json-ends",
        Error,
        "the content is incomplete JSON: the rest was cut off",
    ),
    cause(
        "half-a-character",
        Warning,
        "the text ends within a character",
    ),
    cause(
        "open-code-fence",
        Note,
        "the answer ends inside an unclosed code block",
    ),
    cause("open-json", Note, "the answer is incomplete JSON"),
];

/// How much a column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Bytes(usize),
    Characters(usize),
}

type CauseAndDetail = Option<(&'static Cause, String)>;

impl Limit {
    /// Whether a text was cut off here, as far as its length and its end tell.
    fn cut(self, text: &str) -> CauseAndDetail {
        match self {
            // MySQL cuts before a character that does not fit as a whole.
            Self::Bytes(most) if (most - 3..=most).contains(&text.len()) => {
                let fact = format!("{} bytes of at most {most}", text.len());
                Some((&CAUSES[0], fact))
            }
            Self::Characters(most) if text.chars().count() == most && !is_finished(text) => {
                Some((&CAUSES[1], format!("{most} characters")))
            }
            _ => None,
        }
    }
}

fn look(thread: &Thread, context: &CheckContext<'_>, tally: &mut CauseCounts) {
    for message in &thread.messages {
        let limits = limits(context, message).into_iter();
        let cut = limits
            .filter_map(|limit| limit.cut(&message.content))
            .next();
        if let Some((cause, fact)) = surest(cut, message) {
            tally.message(cause, message, &fact);
        }
    }
}

/// The surest of the signs.
fn surest(cut: CauseAndDetail, message: &StoredMessage) -> CauseAndDetail {
    let bare = |cause: usize| Some((&CAUSES[cause], String::new()));
    let answer = message.role == Role::Assistant && message.state == State::Whole;
    match cut {
        Some((cause, _)) if cause.severity == Error => cut,
        _ if json_ends(message) => bare(2),
        Some(_) => cut,
        None if ends_in_half(message) => bare(3),
        None if answer && ends_in_code(&message.content) => bare(4),
        None if answer && is_open_json(&message.content) => bare(5),
        None => None,
    }
}

/// Whether JSON was expected, and what is there is the beginning of it.
pub(super) fn json_ends(message: &StoredMessage) -> bool {
    let begins = message.content.trim_start().starts_with(['{', '[', '"']);
    !message.decoded && begins && is_cut_json(&message.content)
}

fn is_open_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && is_cut_json(text)
}

fn is_cut_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_err_and(|error| error.is_eof())
}

/// Whether the last character is a half: what a decoder puts in its place, or, in JSON that can't
/// be read for it, the first half of a UTF-16 pair before the end of a text.
pub(super) fn ends_in_half(message: &StoredMessage) -> bool {
    let text = &message.content;
    let is_half = |(at, escape): (usize, &str)| {
        let rest = text.get(at + escape.len()..).unwrap_or_default();
        let digits = rest.get(..4).map(|digits| u16::from_str_radix(digits, 16));
        matches!(digits, Some(Ok(0xd800..=0xdbff))) && rest[4..].starts_with('"')
    };
    text.ends_with('\u{fffd}') || !message.decoded && text.match_indices("\\u").any(is_half)
}

/// Whether a block of code is open at the end (CommonMark 0.31, 4.5). Models put blocks into blocks
/// with marks of the same length, which closes the outer one too early: an even number of marks
/// counts as closed.
fn ends_in_code(text: &str) -> bool {
    let mut open: Option<(char, usize)> = None;
    let mut marks = 0;
    for line in text.lines() {
        let line = line.trim_start_matches([' ', '\t', '>']);
        let Some(mark) = line.chars().next().filter(|c| ['`', '~'].contains(c)) else {
            continue;
        };
        let rest = line.trim_start_matches(mark);
        let length = line.len() - rest.len();
        // Code within a line may have three marks too.
        if length < 3 || mark == '`' && rest.contains('`') {
            continue;
        }
        marks += usize::from(open.is_none_or(|begun| begun.0 == mark));
        open = match open {
            None => Some((mark, length)),
            Some(begun) if begun.0 == mark && length >= begun.1 && rest.trim().is_empty() => None,
            open => open,
        };
    }
    open.is_some() && marks % 2 == 1
}

/// Whether a text ends as texts end: one that fills its column by chance is whole.
fn is_finished(text: &str) -> bool {
    let last = text.chars().next_back();
    last.is_some_and(|last| last.is_whitespace() || ".!?…:;)]}\"'`*|>。！？”’»".contains(last))
}

/// What the columns of a message's text take. JSON that can be read was not cut off: of it only
/// what can't be read is held against its column, and then as it is there.
fn limits(context: &CheckContext<'_>, message: &StoredMessage) -> Vec<Limit> {
    let store = context.mapping.store();
    let of = &store.message;
    let source = match (&store.item, &store.parts, &message.role) {
        (Some(item), ..) => Some(&item.items),
        // Each part has a row of its own: see `of_parts`.
        (_, Some(_), _) => None,
        (.., Role::User) => of.prompt.as_ref().or(of.content.as_ref()),
        _ => of.response.as_ref().or(of.content.as_ref()),
    };
    let holds = |source: &&Source| store.item.is_none() && !source.is_json() || !message.decoded;
    let source = source.filter(holds);
    let limits = source.map(|source| of_source(context, store.table(), source));
    limits.unwrap_or_default()
}

fn of_source(context: &CheckContext<'_>, table: &str, source: &Source) -> Vec<Limit> {
    let texts = context.db.catalog().limited_texts;
    let columns = source.columns();
    columns
        .filter_map(|name| declared(context.column(table, name)?, texts))
        .collect()
}

/// What a type takes; `texts` are those that the engine limits by bytes.
fn declared(column: &Column, texts: &[(&str, usize)]) -> Option<Limit> {
    let name = column.declared.to_uppercase();
    if let Some((kind, rest)) = name.split_once('(') {
        let most = rest.split(')').next()?.trim().parse().ok()?;
        // All of them count characters; below this a text would not be an answer.
        let counts = kind.contains("CHAR") && most >= 16;
        return counts.then_some(Limit::Characters(most));
    }
    let limited = texts.iter().find(|(text, _)| *text == name);
    limited.map(|(_, most)| Limit::Bytes(*most))
}

/// A message's parts are one text when they are read: the database is asked for those that fill
/// their column.
fn of_parts<'a>(context: &'a CheckContext<'a>, tally: &'a mut CauseCounts) -> Tried<'a, ()> {
    Box::pin(async move {
        let Some(parts) = &context.mapping.store().parts else {
            return Ok(());
        };
        let db = context.db;
        let [key, order] = [&parts.key, &parts.order].map(|name| db.text_of(&db.quote(name)));
        for name in parts.content.columns() {
            let only = Source::column(name);
            for limit in of_source(context, &parts.table, &only) {
                let (text, table) = (db.quote(name), db.quote(&parts.table));
                let full = match limit {
                    Limit::Bytes(most) => {
                        format!("length({text}) BETWEEN {} AND {most}", most - 3)
                    }
                    Limit::Characters(most) => {
                        format!("{} = {most}", (db.catalog().spelling.characters)(&text))
                    }
                };
                let sql = format!("SELECT {key}, {order}, {text} FROM {table} WHERE {full}");
                let mut row = |cells: &[CellRef<'_>]| -> anyhow::Result<ControlFlow<()>> {
                    let cell = |at: usize| Cell::from(cells[at]).to_string();
                    let told = limit
                        .cut(&cell(2))
                        .filter(|_| !parts.content.is_json() || is_cut_json(&cell(2)));
                    if let Some((cause, fact)) = told {
                        tally.row(cause, None, || Thing {
                            conversation: None,
                            message: Some(cell(0)),
                            fact: format!("part `{}`: {fact}", cell(1)),
                        });
                    }
                    Ok(ControlFlow::Continue(()))
                };
                db.scan(&sql, &[], &mut row).await?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::{ends_in_code, ends_in_half, is_finished, is_open_json};
    use crate::model::{Role, StoredMessage};

    #[test]
    fn a_block_of_code_is_open_or_closed() {
        for open in [
            "```",
            "Here:\n```sh\nls",
            "- a\n  ```py\n  x",
            "~~~\ncode\n```",
            "````md\n```sh\nls\n```",
            "> ```\n> x",
        ] {
            assert!(ends_in_code(open), "{open}");
        }
        for closed in [
            "",
            "```\nls\n```",
            "````md\n```sh\nls\n```\n````\nDone.",
            "~~~\n```\n~~~",
            "```let x = 1;``` is code in a line",
            // By the letter the outer block is closed too early, and one is open at the end.
            "```md\n```sh\nls\n```\n```",
            "``two``",
        ] {
            assert!(!ends_in_code(closed), "{closed}");
        }
    }

    #[test]
    fn half_a_character_is_one_at_the_end_of_a_text() {
        let half = |text: &str, decoded| {
            ends_in_half(&StoredMessage {
                decoded,
                ..StoredMessage::new("1", Role::Assistant, text)
            })
        };
        assert!(half("caf\u{fffd}", true));
        assert!(half(r#"{"text": "so \ud83d"}"#, false));
        assert!(!half(r#"{"text": "so \ud83d"}"#, true), "words about JSON");
        assert!(!half(r#"{"text": "so \ud83d\ude00", broken"#, false));
        assert!(!half(r#"{"text": "\u12"#, false));
    }

    #[test]
    fn json_and_sentences_end_or_do_not() {
        assert!(is_open_json("{\"a\": [1, ") && is_open_json(" [\"a"));
        assert!(!is_open_json("[1] is a footnote") && !is_open_json("{\"a\": 1}"));
        assert!(!is_open_json("\"Hello"));
        assert!(is_finished("Well done.") && is_finished("好。") && is_finished("padded  "));
        assert!(!is_finished("exactly twenty chars") && !is_finished(""));
    }
}
