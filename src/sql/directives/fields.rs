//! The fields of a directive: its subject, `rows<=N` and `reason="…"`.

use super::{Problem, nearest};
use crate::sql::Dialect;
use crate::sql::name::unquote;
use crate::sql::token::Lexer;

/// What is behind the word of a directive.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) subject: String,
    pub(super) rows: Option<u64>,
    pub(super) reason: String,
    parts: Vec<String>,
}

/// Schema, table and column; without a column the table's rows are meant.
pub(super) type Target = (Option<String>, String, Option<String>);

impl Fields {
    /// `counts`: the subject is a table and `rows` is allowed.
    pub(super) fn parse(text: &str, dialect: Dialect, counts: bool) -> Result<Self, Problem> {
        let text = text.trim_start();
        let what = if counts { "table" } else { "code" };
        let (parts, subject) = if counts {
            parts(text, dialect)
        } else {
            (Vec::new(), text.split(char::is_whitespace).next())
        };
        let subject = subject.unwrap_or_default();
        let mut rest = text[subject.len()..].trim_start();
        if subject.is_empty() || subject.contains(['=', '<']) || rest.starts_with(['=', '<']) {
            return Err(Problem::new(format!("the directive names no {what}")));
        }
        let mut rows = None;
        let mut reason = None;
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            let (key, value) = (&rest[..end], rest[end..].trim_start());
            rest = match key {
                "rows" if counts && rows.is_none() => {
                    let (count, rest) = count(value)?;
                    rows = Some(count);
                    rest
                }
                "reason" if reason.is_none() => {
                    let (words, rest) = quoted(value)?;
                    reason = Some(words);
                    rest
                }
                _ => return Err(unknown(rest, key, counts)),
            }
            .trim_start();
        }
        Ok(Self {
            subject: subject.to_owned(),
            rows,
            reason: reason.ok_or_else(|| Problem::new("`reason=\"…\"` is missing"))?,
            parts,
        })
    }

    /// Schema, table and column.
    pub(super) fn target(&self) -> Result<Target, Problem> {
        let column = |column: &String| (column != "*").then(|| column.clone());
        match self.parts.as_slice() {
            [table] => Ok((None, table.clone(), None)),
            [table, last] => Ok((None, table.clone(), column(last))),
            [schema, table, last] => Ok((Some(schema.clone()), table.clone(), column(last))),
            _ => {
                let subject = &self.subject;
                Err(Problem::new(format!(
                    "`{subject}` is neither `table` nor `table.column`"
                )))
            }
        }
    }
}

/// Schema, table and column of a whole text that names a table or a column.
pub(super) fn target(text: &str, dialect: Dialect) -> Result<Target, Problem> {
    let (parts, subject) = parts(text, dialect);
    let whole = subject == Some(text);
    let fields = Fields {
        subject: text.to_owned(),
        rows: None,
        reason: String::new(),
        parts: parts.into_iter().filter(|_| whole).collect(),
    };
    fields.target()
}

/// The parts between dots at the start of `text`, and the text that they are. No part is
/// returned when they are no name.
fn parts(text: &str, dialect: Dialect) -> (Vec<String>, Option<&str>) {
    let mut parts = Vec::new();
    let mut end = 0;
    let mut valid = true;
    let mut wants_part = true;
    for token in Lexer::new(text, dialect) {
        let part = token.text(text);
        if token.start != end || matches!(part, "=" | "<") {
            break;
        }
        end = token.end;
        if part == "." {
            valid &= !wants_part;
            wants_part = true;
            continue;
        }
        let name = match part {
            "*" => Some("*".to_owned()),
            _ => unquote(part, token.kind, dialect),
        };
        valid &= wants_part && name.is_some();
        wants_part = false;
        parts.extend(name);
    }
    if !valid || wants_part || parts.first().is_some_and(|part| part == "*") {
        parts.clear();
    }
    (parts, text.get(..end))
}

fn count(value: &str) -> Result<(u64, &str), Problem> {
    let problem = || {
        Problem::new("`rows` needs a whole number as its upper bound").or_rather(Some("rows<=120"))
    };
    let digits = value.strip_prefix("<=").ok_or_else(problem)?.trim_start();
    let end = digits
        .find(|c: char| !(c.is_ascii_digit() || c == '_'))
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if !(rest.is_empty() || rest.starts_with(char::is_whitespace)) {
        return Err(problem());
    }
    let count = digits.replace('_', "").parse().map_err(|_| problem())?;
    Ok((count, rest))
}

/// The text between straight double quotes, in which `\"` is a quote and `\\` a backslash.
fn quoted(value: &str) -> Result<(String, &str), Problem> {
    let problem = || {
        Problem::new("`reason` needs a text in straight double quotes")
            .or_rather(Some("reason=\"…\""))
    };
    let text = value.strip_prefix('=').ok_or_else(problem)?.trim_start();
    let text = text.strip_prefix('"').ok_or_else(problem)?;
    let mut words = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' if words.trim().is_empty() => return Err(Problem::new("the reason is empty")),
            '"' => return Ok((words, &text[at + 1..])),
            '\\' => words.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => words.push(character),
        }
    }
    Err(Problem::new("the reason has no closing `\"`"))
}

fn unknown(rest: &str, key: &str, counts: bool) -> Problem {
    let keys: &[&str] = if counts {
        &["rows", "reason"]
    } else {
        &["reason"]
    };
    let word = rest.split_whitespace().next().unwrap_or_default();
    let message = if keys.contains(&key) {
        format!("`{key}` is given twice")
    } else {
        format!("`{word}` is not a field of this directive")
    };
    let suggestion = nearest(key, keys).filter(|known| *known != key);
    Problem::new(message).or_rather(suggestion)
}
