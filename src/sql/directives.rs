//! Directives for chatctl in the comments of a file.
//!
//! ```sql
//! -- chatctl: allow-loss messages.body rows<=120 reason="empty drafts, see #42"
//! -- chatctl: ignore drop-column reason="nobody reads it since 1.4"
//! -- no-transaction
//! ```
//!
//! * `allow-loss` names a table or `table.column`, and counts for the whole file. With a schema
//!   it is `schema.table.column`, or `schema.table.*` for the table. Without `rows<=N` any number
//!   of rows may go. The reason is required.
//! * `ignore` names the code of a finding and counts for the statement that it is in or
//!   before. It counts for the whole file when it is before the first statement and a blank
//!   line separates the two. The reason is required.
//! * `no-transaction` is the mark of sqlx, which sees it only as the first bytes of the file;
//!   here it may be anywhere before the first statement.
//!
//! Only line comments with `--` are read. What is nearly a directive is an error, as an
//! acknowledgement that is silently no acknowledgement helps nobody.

mod fields;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use super::split::{Comment, Scan, scan};
use super::{Dialect, Statement};
use fields::Fields;

const NO_TRANSACTION: &str = "no-transaction";
const WORDS: [&str; 2] = ["allow-loss", "ignore"];

/// All directives of a file, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// The losses that the author expects.
    pub allow_loss: Vec<AllowLoss>,
    /// The findings that the author knows.
    pub ignores: Vec<Ignore>,
    /// The first `-- no-transaction`.
    pub no_transaction: Option<NoTransaction>,
    /// Comments that look like a directive and are none.
    pub errors: Vec<DirectiveError>,
}

/// `allow-loss`: an expected loss, and how large it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowLoss {
    /// The schema, if one is named.
    pub schema: Option<String>,
    pub table: String,
    /// The column; `None`: rows of the table may go, and every value with them.
    pub column: Option<String>,
    /// How many rows may go or change at most; `None`: any number.
    pub rows: Option<u64>,
    /// Why that does no harm, in the author's words.
    pub reason: String,
    /// The line of the directive, from 1.
    pub line: u32,
}

/// `ignore`: a finding that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    /// The code of the finding.
    pub code: String,
    /// Why it does no harm, in the author's words.
    pub reason: String,
    /// Where it counts.
    pub scope: Scope,
    /// The line of the directive, from 1.
    pub line: u32,
}

impl Ignore {
    /// Whether it counts for this statement of the same file.
    pub fn applies_to(&self, statement: &Statement<'_>) -> bool {
        match &self.scope {
            Scope::File => true,
            Scope::Statement(span) => *span == statement.span,
        }
    }
}

/// Where an [`Ignore`] counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In the whole file.
    File,
    /// In the statement with this span.
    Statement(Range<usize>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTransaction {
    /// The line of the directive, from 1.
    pub line: u32,
    /// Whether sqlx sees it: only when the file starts with it, byte for byte.
    pub seen_by_sqlx: bool,
}

/// A comment that looks like a directive and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectiveError {
    /// The line of the comment, from 1.
    pub line: u32,
    /// The column of the comment, from 1, in characters.
    pub column: u32,
    /// A lower-case fragment with operands in backticks.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for DirectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            message,
            suggestion,
        } = self;
        write!(f, "{line}:{column}: {message}")?;
        match suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DirectiveError {}

/// What is wrong with a directive, without its place.
struct Problem {
    message: String,
    suggestion: Option<String>,
}

impl Problem {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            suggestion: None,
        }
    }

    fn or_rather(self, suggestion: Option<impl Into<String>>) -> Self {
        Self {
            suggestion: suggestion.map(Into::into),
            ..self
        }
    }
}

impl AllowLoss {
    /// One that is written somewhere else than in a comment: the subject is what the comment would have
    /// there.
    ///
    /// # Errors
    /// Says why the subject names neither a table nor a column.
    pub fn of(subject: &str, dialect: Dialect) -> Result<Self, String> {
        let (schema, table, column) =
            fields::target(subject.trim(), dialect).map_err(|problem| problem.message)?;
        Ok(Self {
            schema,
            table,
            column,
            rows: None,
            reason: String::new(),
            line: 0,
        })
    }
}

/// Reads the directives of a file. Where [`super::split`] fails, only those before that place
/// are found.
pub fn directives(text: &str, dialect: Dialect) -> Directives {
    let scan = scan(text, dialect);
    let mut found = Directives::default();
    for comment in &scan.comments {
        if let Err(problem) = found.comment(text, dialect, &scan, comment) {
            found.errors.push(DirectiveError {
                line: comment.place.line,
                column: comment.place.column,
                message: problem.message,
                suggestion: problem.suggestion,
            });
        }
    }
    found
}

impl Directives {
    fn comment(
        &mut self,
        text: &str,
        dialect: Dialect,
        scan: &Scan<'_>,
        comment: &Comment,
    ) -> Result<(), Problem> {
        let line = comment.place.line;
        let raw = comment.token.text(text);
        let Some(body) = raw.strip_prefix("--").map(str::trim) else {
            return if is_marked(raw.trim_matches(['/', '*', '#', ' ', '\t', '\r', '\n'])) {
                Err(Problem::new(
                    "a directive has to be a line comment that starts with `--`",
                ))
            } else {
                Ok(())
            };
        };
        let before_all = scan
            .statements
            .first()
            .is_none_or(|first| comment.token.start < first.span.start);
        if is_no_transaction(body) {
            if !before_all {
                return Err(Problem::new(
                    "`-- no-transaction` has to be before the first statement",
                ));
            }
            self.no_transaction.get_or_insert(NoTransaction {
                line,
                seen_by_sqlx: text.starts_with("-- no-transaction"),
            });
            return Ok(());
        }
        if before_all && is_near(&body.to_ascii_lowercase(), NO_TRANSACTION) {
            return Err(Problem::new(format!("`-- {body}` has no effect"))
                .or_rather(Some("-- no-transaction")));
        }
        let Some(rest) = directive(body)? else {
            return Ok(());
        };
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        match word {
            "allow-loss" => {
                let fields = Fields::parse(rest, dialect, true)?;
                let (schema, table, column) = fields.target()?;
                self.allow_loss.push(AllowLoss {
                    schema,
                    table,
                    column,
                    rows: fields.rows,
                    reason: fields.reason,
                    line,
                });
            }
            "ignore" => {
                let fields = Fields::parse(rest, dialect, false)?;
                let scope = scope(text, scan, comment, before_all)?;
                self.ignores.push(Ignore {
                    code: fields.subject,
                    reason: fields.reason,
                    scope,
                    line,
                });
            }
            _ => {
                let nearest = nearest(word, &WORDS);
                return Err(Problem::new(format!("unknown directive `{word}`")).or_rather(nearest));
            }
        }
        Ok(())
    }
}

/// The text behind `chatctl:`. `None`: an ordinary comment.
fn directive(body: &str) -> Result<Option<&str>, Problem> {
    let mark = |rest: &str| {
        let word = rest.split_whitespace().next().unwrap_or_default();
        nearest(word, &WORDS).map(|word| format!("chatctl: {word}"))
    };
    if let Some((head, rest)) = body.split_once(':') {
        let head = head.trim_end();
        if head.eq_ignore_ascii_case("chatctl") {
            return Ok(Some(rest.trim()));
        }
        if is_near(&head.to_ascii_lowercase(), "chatctl") && mark(rest).is_some() {
            return Err(
                Problem::new(format!("`{head}:` does not address chatctl")).or_rather(mark(rest))
            );
        }
    }
    let (head, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
    if head.eq_ignore_ascii_case("chatctl") && mark(rest).is_some() {
        return Err(Problem::new("`chatctl` needs a colon after it").or_rather(mark(rest)));
    }
    Ok(None)
}

fn scope(
    text: &str,
    scan: &Scan<'_>,
    comment: &Comment,
    before_all: bool,
) -> Result<Scope, Problem> {
    if let Some(start) = comment.inside {
        // The scan ended in an error when the statement is not there.
        let inside = scan.statements.iter().find(|s| s.span.start == start);
        return Ok(inside.map_or(Scope::File, |s| Scope::Statement(s.span.clone())));
    }
    if comment.trails {
        return Err(Problem::new(
            "`ignore` counts for the next statement; put it on a line above the one it is about",
        ));
    }
    let end = comment.token.end;
    let next = scan.statements.iter().find(|s| s.span.start >= end);
    match next {
        Some(next) if before_all && has_blank_line(&text[end..next.span.start]) => Ok(Scope::File),
        Some(next) => Ok(Scope::Statement(next.span.clone())),
        None if scan.error.is_some() => Ok(Scope::File),
        None => Err(Problem::new("no statement follows this `ignore`")),
    }
}

/// Whether a blank line is in what follows a line.
fn has_blank_line(gap: &str) -> bool {
    let lines = gap.split('\n').skip(1);
    // Behind the last line end is the statement itself.
    let last = gap.matches('\n').count();
    lines
        .take(last.saturating_sub(1))
        .any(|line| line.trim().is_empty())
}

/// sqlx asks only for these first bytes, so that a remark may follow.
fn is_no_transaction(body: &str) -> bool {
    body.strip_prefix(NO_TRANSACTION)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Whether a comment that is not a line comment holds a directive.
fn is_marked(body: &str) -> bool {
    is_no_transaction(body) || !matches!(directive(body), Ok(None))
}

fn is_near(word: &str, wanted: &str) -> bool {
    // A long comment is not a typing error, and to compare it would cost.
    word.len() <= 40 && word != wanted && strsim::damerau_levenshtein(word, wanted) <= 2
}

fn nearest<'a>(word: &str, words: &[&'a str]) -> Option<&'a str> {
    if word.len() > 40 {
        return None;
    }
    let word = word.to_ascii_lowercase().replace('_', "-");
    let distances = words
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&word, known), *known));
    // `allow loss` is cut at its blank.
    let cut = |known: &str| word.len() >= 4 && known.starts_with(&word);
    distances
        .min()
        .filter(|(distance, known)| *distance <= 2 || cut(known))
        .map(|(_, known)| known)
}
