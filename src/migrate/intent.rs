//! The declared intent of a file: its statements, acknowledged losses and renames. Pure.
//! The proof does not rest on it; only an acknowledgement does.

mod may;
mod temporary;
#[cfg(test)]
mod tests;
mod values;

use super::acknowledged;
use super::preserve::{Allowed, First, Named, Renames};
use super::source::Migration;
use crate::cli_error::CliError;
use crate::db::{Isolation, SESSION_PRAGMAS};
use crate::model::Shape;
use crate::sql;
use crate::sql::{AlterAction, Destroys, Dialect, Facts, Kind, Name, Statement, TokenKind};
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

/// A migration, read for one engine.
pub struct Intent<'a> {
    pub migration: &'a Migration,
    /// Its statements.
    pub pieces: Vec<Piece<'a>>,
    /// The losses that it acknowledges; they count for this file only.
    pub allowed: Vec<Allowed>,
    /// Names that the statements give to tables and columns, in their order.
    pub renames: Renames,
    /// Those from earlier files of the same run.
    pub earlier: Renames,
    /// The tables as the run found them; none where that is not looked at.
    pub first: Rc<Vec<Shape>>,
    /// The isolation level of the file's transaction, if it sets one.
    pub isolation: Option<Isolation>,
    /// Statements that the file commits together by a BEGIN and a COMMIT in the middle of it.
    blocks: Vec<Range<usize>>,
    /// The engine that it was read for.
    pub dialect: Dialect,
}

/// A statement of a migration.
pub struct Piece<'a> {
    /// Without the comments around it.
    pub text: &'a str,
    /// The line of the file on which it begins, from 1.
    pub line: u32,
    /// The column on which it begins, from 1.
    pub column: u32,
    /// What its text shows.
    pub facts: Facts,
}

/// The words of a statement, in lower case.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|it: char| !it.is_alphanumeric() && !matches!(it, '_' | '$'));
    words.filter(|it| !it.is_empty()).map(str::to_lowercase)
}

impl<'a> Intent<'a> {
    /// Whether a statement is run, when the file is resumed at its `first`: what a done statement set
    /// for the session is gone with it.
    pub(super) fn is_run(&self, number: usize, first: usize) -> bool {
        number >= first || self.sets(number) || self.is_left(number, first)
    }

    /// Whether a statement sets something for the session.
    pub(super) fn sets(&self, number: usize) -> bool {
        match &self.pieces[number].facts.kind {
            Kind::SetVariable { .. } => true,
            Kind::Pragma {
                name,
                value: Some(_),
            } => SESSION_PRAGMAS.contains(&name.as_str()),
            _ => false,
        }
    }

    /// Whether all that a statement does ends with the session: it prepares another one, or gives
    /// values to variables of the user's own.
    pub(super) fn is_of_session(&self, number: usize) -> bool {
        let piece = &self.pieces[number];
        let is_select = piece.facts.kind == Kind::Select && piece.facts.calls.is_empty();
        let assigns = || {
            let text = piece.text.to_ascii_lowercase();
            let into = text.split("into").skip(1);
            let mut into = into.map(str::trim_start);
            text.contains(":=") || into.any(|it| it.starts_with('@'))
        };
        self.dialect == Dialect::Mysql && (self.prepares(number) || is_select && assigns())
    }

    fn prepares(&self, number: usize) -> bool {
        let mut words = words(self.pieces[number].text);
        words.next().is_some_and(|it| it == "prepare")
    }

    /// The same, where a later number does not give it up before the session ended.
    fn is_left(&self, number: usize, first: usize) -> bool {
        let name = || words(self.pieces[number].text).nth(1);
        let gives_up = |piece: &Piece<'_>| {
            let mut words = words(piece.text);
            let is_it = matches!(words.next().as_deref(), Some("deallocate" | "drop"));
            is_it && words.next().as_deref() == Some("prepare") && words.next() == name()
        };
        self.is_of_session(number)
            && !(self.prepares(number) && self.pieces[number..first].iter().any(gives_up))
    }

    /// Reads a file, and refuses one whose directives are wrong, before anything is run.
    pub fn of(migration: &'a Migration, dialect: Dialect) -> Result<Self, CliError> {
        let acknowledged = acknowledged::of(migration, dialect)?;
        let (mut pieces, mut blocks) = without_frames(pieces(migration, dialect)?, dialect);
        if is_whole(&pieces, &blocks) && !(dialect == Dialect::Postgres && migration.no_transaction)
        {
            blocks.clear();
        }
        let isolation = if blocks.is_empty() && dialect == Dialect::Postgres {
            pieces.first().and_then(isolation)
        } else {
            None
        };
        if isolation.is_some() {
            pieces.remove(0);
        }
        Ok(Self {
            allowed: acknowledged.into_iter().map(|it| it.allowed).collect(),
            renames: renames(&pieces),
            earlier: Renames::default(),
            first: Rc::default(),
            migration,
            pieces,
            blocks,
            isolation,
            dialect,
        })
    }

    /// What there was when the run began, where it is looked at.
    pub fn first(&self) -> First<'_> {
        First {
            shapes: &self.first,
            since: &self.earlier,
        }
    }

    /// The names that the statements from one number on give, up to another one; none up to one
    /// before it, as a run that goes on sets its session.
    pub fn renames_of(&self, pieces: Range<usize>) -> Renames {
        renames(self.pieces.get(pieces).unwrap_or_default())
    }

    /// Whether it can't be one transaction, and so is journalled part by part.
    pub fn stepwise(&self) -> bool {
        let bare = || self.pieces.iter().any(|piece| self.is_bare(piece));
        let parts = !self.blocks.is_empty();
        match self.dialect {
            Dialect::Mysql => true,
            Dialect::Postgres => self.migration.no_transaction || parts,
            // What else asks for it on SQLite does so for `PRAGMA foreign_keys`, which is off anyway.
            Dialect::Sqlite => self.migration.no_transaction && bare() || parts,
        }
    }

    /// The statements that are committed together, in their order. Outside of the file's own
    /// transactions each is committed alone where the file asks for no transaction.
    pub fn parts(&self) -> Vec<Range<usize>> {
        let alone = self.dialect == Dialect::Mysql || self.migration.no_transaction;
        let mut parts = Vec::new();
        let mut at = 0;
        let end = self.pieces.len()..self.pieces.len();
        for block in self.blocks.iter().chain([&end]) {
            if alone {
                parts.extend((at..block.start).map(|number| number..number + 1));
            } else {
                parts.push(at..block.start);
            }
            parts.push(block.clone());
            at = block.end;
        }
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// Whether a statement fails in a transaction, or ends it.
    pub fn is_bare(&self, piece: &Piece<'_>) -> bool {
        match (self.dialect, &piece.facts.kind) {
            (Dialect::Mysql, kind) => kind.implicit_commit(Dialect::Mysql),
            (Dialect::Sqlite, kind) => {
                matches!(kind, Kind::Vacuum)
                    || self.migration.no_transaction && needs_no_transaction(kind)
            }
            (dialect, _) => piece.facts.needs_no_transaction(dialect),
        }
    }

    /// Tables that the statements seem to destroy something in, or, where `added` counts too, to write:
    /// what they hold is kept at once.
    pub fn hinted(&self, tables: &[Shape], added: bool) -> BTreeSet<String> {
        let tables = tables.iter().filter(|shape| !shape.parted);
        if self.dialect == Dialect::Mysql {
            // Its evidence will name all of them.
            return tables.map(|shape| shape.name.clone()).collect();
        }
        let named: Vec<_> = self
            .pieces
            .iter()
            .filter(|piece| {
                piece.facts.destroys() != Destroys::No || added && piece.facts.writes_rows()
            })
            .flat_map(|piece| piece.facts.tables())
            .collect();
        let hinted = tables.filter(|shape| named.iter().any(|name| name.matches(&shape.name)));
        hinted.map(|shape| shape.name.clone()).collect()
    }

    /// Whether the statements seem to drop no index, trigger or view, themselves or with a table.
    pub fn leaves_objects(&self) -> bool {
        let leaves = |piece: &Piece<'_>| {
            let kind = &piece.facts.kind;
            let plain = matches!(
                kind,
                Kind::CreateTable { .. }
                    | Kind::Insert { .. }
                    | Kind::Update { .. }
                    | Kind::Delete { .. }
                    | Kind::Select
                    | Kind::SetVariable { .. }
                    | Kind::Grant
                    | Kind::Comment
            );
            plain && piece.facts.calls.is_empty()
        };
        self.pieces.iter().all(leaves)
    }

    /// Why a statement may not run: it would bypass the measurement.
    pub fn forbidden(&self, piece: &Piece<'_>) -> Option<String> {
        let text = piece.text.to_ascii_lowercase();
        let is_own = match self.dialect {
            Dialect::Mysql => text.contains("chatctl_before_"),
            // The savepoint around a file. In a text or a comment it is a word like any other.
            Dialect::Postgres | Dialect::Sqlite => {
                let tokens = sql::tokenize(piece.text, self.dialect);
                tokens.iter().any(|token| {
                    let name = token.text(piece.text).trim_matches(['"', '`', '[', ']']);
                    matches!(token.kind, TokenKind::Word | TokenKind::QuotedName)
                        && name.eq_ignore_ascii_case("chatctl_file")
                })
            }
        };
        if is_own {
            return Some(
                "names that begin with `chatctl_` are reserved for chatctl: use another name"
                    .into(),
            );
        }
        // SQLite's own authorizer says so, whatever hides it.
        if self.dialect == Dialect::Sqlite {
            return None;
        }
        let own = crate::db::OWN_TABLES;
        if let Some(table) = piece
            .facts
            .tables()
            .find(|table| own.contains(&table.name.as_str()))
            .filter(|_| !self.cleans_history(piece))
        {
            return Some(format!(
                "the history `{table}` must not be changed by a migration"
            ));
        }
        let ends = match &piece.facts.kind {
            Kind::Begin | Kind::Commit => self.dialect != Dialect::Mysql,
            Kind::Rollback { to_savepoint } => !to_savepoint,
            _ => begins_with(piece.text, ["prepare", "transaction"]),
        };
        if ends {
            return Some(
                "a migration runs in chatctl's own transaction, which it must not end: write BEGIN and COMMIT in pairs or remove them, and remove ROLLBACK"
                    .into(),
            );
        }
        match self.dialect {
            Dialect::Mysql => out_of_database(piece),
            Dialect::Postgres => of_whole_server(piece),
            Dialect::Sqlite => None,
        }
    }

    /// Whether a statement only deletes rows of the history, as a project does that merged its files:
    /// what is left of it is examined afterwards.
    pub fn cleans_history(&self, piece: &Piece<'_>) -> bool {
        let of_history = |table: &Name| table.name == crate::db::HISTORY_TABLE;
        self.dialect == Dialect::Postgres
            && matches!(piece.facts.kind, Kind::Delete { .. })
            && piece.facts.tables().all(of_history)
    }

    /// Whether a statement is about the server's own things, which a copy of a database has not.
    pub fn is_of_server(&self, piece: &Piece<'_>) -> bool {
        const OBJECTS: [&str; 5] = ["USER", "ROLE", "SERVER", "TABLESPACE", "INSTANCE"];
        self.dialect == Dialect::Mysql
            && match &piece.facts.kind {
                Kind::Grant => true,
                Kind::CreateOther { object, .. }
                | Kind::AlterOther { object }
                | Kind::DropOther { object, .. } => OBJECTS.contains(&object.as_str()),
                _ => false,
            }
    }

    /// Whether a statement drops this index, trigger or view by its name, or gives it another one.
    pub fn drops(&self, name: &str) -> bool {
        let drops = |action: &AlterAction| match action {
            AlterAction::DropIndex { name: it }
            | AlterAction::DropConstraint { name: Some(it) } => it.eq_ignore_ascii_case(name),
            // The primary key of MySQL has no other name.
            AlterAction::DropConstraint { name: None } => name == "PRIMARY",
            AlterAction::Other { text } => {
                let words = text.split(|c: char| c.is_whitespace() || c == '`' || c == '"');
                words
                    .into_iter()
                    .any(|word| word.eq_ignore_ascii_case(name))
            }
            _ => false,
        };
        self.pieces.iter().any(|piece| {
            let named = piece.facts.object.as_ref();
            let altered = match &piece.facts.kind {
                Kind::AlterTable { actions } => actions.iter().any(drops),
                _ => false,
            };
            altered || named.is_some_and(|object| object.matches(name))
        })
    }

    /// The statement of a part that a line of the file is in, by its number; the first where there is no line.
    pub fn at_line(&self, part: &Range<usize>, line: Option<u32>) -> usize {
        let begins = |number: &usize| line.is_some_and(|line| self.pieces[*number].line <= line);
        part.clone().rev().find(begins).unwrap_or(part.start)
    }

    /// The line of the file for a place in a statement, in characters from 0.
    pub fn line(&self, number: usize, at: Option<usize>) -> Option<u32> {
        let piece = self.pieces.get(number)?;
        let before = piece.text.chars().take(at.unwrap_or(0));
        let lines = before.filter(|character| *character == '\n').count();
        Some(piece.line + u32::try_from(lines).ok()?)
    }
}

/// Why a statement of MySQL reaches further than the database: what runs on a copy of it first
/// must stay within.
fn out_of_database(piece: &Piece<'_>) -> Option<String> {
    let named = piece.facts.tables().chain(&piece.facts.object);
    let mut elsewhere = named
        .chain(&piece.facts.reads)
        .filter_map(|name| name.schema.as_ref());
    if let Some(database) =
        elsewhere.find(|name| !CATALOGS.contains(&name.to_ascii_lowercase().as_str()))
    {
        return Some(format!(
            "`{database}.…` names a database, but the rehearsal runs on a copy with another name: leave the name out"
        ));
    }
    let global = matches!(piece.facts.kind, Kind::SetVariable { .. }) && sets_server(piece.text);
    match &piece.facts.kind {
        Kind::Use => Some("chatctl can't measure another database: remove USE".into()),
        Kind::CreateDatabase { .. } | Kind::DropDatabase => {
            Some("a migration must not create or drop a whole database: do it by hand".into())
        }
        _ if global => Some(OF_SERVER.into()),
        _ => None,
    }
}

const OF_SERVER: &str = "a migration must not change a setting of the whole server: set it by hand";

/// Whether a SET of MySQL has a word that makes it the whole server's. A user's variable has one `@` before it.
fn sets_server(text: &str) -> bool {
    const WORDS: [&str; 3] = ["global", "persist", "persist_only"];
    let tokens = sql::tokenize(text, Dialect::Mysql);
    let tokens = tokens
        .iter()
        .filter(|it| it.kind != TokenKind::Comment)
        .map(|it| it.text(text));
    let tokens: Vec<_> = tokens.collect();
    tokens.iter().enumerate().any(|(at, token)| {
        let before = tokens[..at].iter().rev();
        let marks = before.take_while(|it| **it == "@").count();
        marks != 1 && WORDS.iter().any(|word| token.eq_ignore_ascii_case(word))
    })
}

/// Why a statement of PostgreSQL reaches further than the database.
pub(super) fn of_whole_server(piece: &Piece<'_>) -> Option<String> {
    begins_with(piece.text, ["alter", "system"]).then(|| OF_SERVER.into())
}

/// Whether a statement of PostgreSQL begins with these words, whatever comments are between them.
fn begins_with(text: &str, words: [&str; 2]) -> bool {
    let tokens = sql::tokenize(text, Dialect::Postgres);
    let tokens = tokens.iter().filter(|it| it.kind != TokenKind::Comment);
    let first = tokens.map(|it| it.text(text).to_ascii_lowercase()).take(2);
    first.eq(words)
}

/// Whether a pragma fails or does nothing in a transaction of SQLite. Not one by which nothing could be taken
/// back, or a crash could damage the file.
fn needs_no_transaction(kind: &Kind) -> bool {
    let Kind::Pragma { name, value } = kind else {
        return false;
    };
    let is_one = |known: &[&str]| {
        let value = value.as_deref().unwrap_or_default();
        known.iter().any(|it| value.eq_ignore_ascii_case(it))
    };
    match name.as_str() {
        "journal_mode" => is_one(&["wal", "delete", "truncate", "persist"]),
        "synchronous" => is_one(&["normal", "full", "extra", "1", "2", "3"]),
        "wal_checkpoint" => true,
        _ => false,
    }
}

/// What only describes.
const CATALOGS: [&str; 4] = ["information_schema", "performance_schema", "mysql", "sys"];

/// Takes BEGIN and COMMIT out, and gives the statements between each pair. What is not a pair stays, to
/// be refused.
fn without_frames(pieces: Vec<Piece<'_>>, dialect: Dialect) -> (Vec<Piece<'_>>, Vec<Range<usize>>) {
    // There the file's own statements begin and commit its transactions.
    if dialect == Dialect::Mysql {
        return (pieces, Vec::new());
    }
    let found = sql::transactions(pieces.iter().map(|piece| (&piece.facts.kind, piece.text)));
    let Some(found) = found else {
        return (pieces, Vec::new());
    };
    let is_border = |number: &usize| {
        found
            .iter()
            .any(|pair| pair.start == *number || pair.end == *number)
    };
    let kept = |end: usize| (0..end).filter(|number| !is_border(number)).count();
    let blocks = found
        .iter()
        .map(|pair| kept(pair.start)..kept(pair.end))
        .filter(|block| !block.is_empty())
        .collect();
    let pieces = pieces
        .into_iter()
        .enumerate()
        .filter(|(number, _)| !is_border(number))
        .map(|(_, piece)| piece)
        .collect();
    (pieces, blocks)
}

/// What a transaction is to see that begins with this statement.
fn isolation(piece: &Piece<'_>) -> Option<Isolation> {
    let words: Vec<_> = piece
        .text
        .split_whitespace()
        .map(str::to_ascii_uppercase)
        .collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words.strip_prefix(&["SET", "TRANSACTION", "ISOLATION", "LEVEL"])? {
        ["READ", "COMMITTED"] => Some(Isolation::ReadCommitted),
        ["REPEATABLE", "READ"] => Some(Isolation::RepeatableRead),
        ["SERIALIZABLE"] => Some(Isolation::Serializable),
        _ => None,
    }
}

/// Whether a file is one transaction as a whole, as other tools want it: chatctl's own does for it.
/// SQLite's own advice has pragmas around it, and others set something before.
fn is_whole(pieces: &[Piece<'_>], blocks: &[Range<usize>]) -> bool {
    let sets = |piece: &Piece<'_>| {
        matches!(
            piece.facts.kind,
            Kind::Pragma { .. } | Kind::SetVariable { .. }
        )
    };
    let [block] = blocks else { return false };
    let mut outside = pieces[..block.start].iter().chain(&pieces[block.end..]);
    outside.all(sets)
}

fn pieces(migration: &Migration, dialect: Dialect) -> Result<Vec<Piece<'_>>, CliError> {
    let raw = String::from_utf8_lossy(&migration.raw);
    let above = raw.get(..migration.up_at).unwrap_or_default();
    let above = lines(above);
    let of = |statement: Statement<'_>| sql::facts(&statement, dialect);
    if let Some(ranges) = &migration.split {
        // The file's own tool divides it, so that a body of a function may hold anything.
        let pieces = ranges.iter().flat_map(|range| {
            let whole = &migration.up[range.clone()];
            let text = whole.trim();
            let start = range.start + (whole.len() - whole.trim_start().len());
            let line = lines(&migration.up[..start]) + 1;
            let statement = Statement {
                text,
                span: start..start + text.len(),
                line,
                column: 1,
            };
            let facts = of(statement);
            let several = match facts.kind {
                Kind::Other => several(text, dialect),
                _ => Vec::new(),
            };
            if several.is_empty() {
                return vec![Piece {
                    text,
                    line: above + line,
                    column: 1,
                    facts,
                }];
            }
            let pieces = several.into_iter().map(|statement| Piece {
                text: statement.text,
                line: above + line + statement.line - 1,
                column: statement.column,
                facts: of(statement),
            });
            pieces.collect()
        });
        return Ok(pieces.collect());
    }
    match sql::split(&migration.up, dialect) {
        Ok(statements) => Ok(statements
            .into_iter()
            .map(|statement| Piece {
                text: statement.text,
                line: above + statement.line,
                column: statement.column,
                facts: of(statement),
            })
            .collect()),
        Err(error) => Err(CliError::usage(format!(
            "{}:{}:{}: {}",
            migration.path.display(),
            above + error.line,
            error.column,
            error.message
        ))
        .hint(error.hint)),
    }
}

/// The statements that are sent together as one, where each of them can be read: not the parts of a body.
fn several(text: &str, dialect: Dialect) -> Vec<Statement<'_>> {
    let all = sql::split(text, dialect).unwrap_or_default();
    let is_read = |statement: &Statement<'_>| {
        let kind = sql::facts(statement, dialect).kind;
        !matches!(kind, Kind::Other | Kind::Commit | Kind::Rollback { .. })
    };
    if all.len() > 1 && all.iter().all(is_read) {
        all
    } else {
        Vec::new()
    }
}

fn lines(text: &str) -> u32 {
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX)
}

fn renames(pieces: &[Piece<'_>]) -> Renames {
    let mut renames = Renames::default();
    let named = |name: &Name| Named {
        schema: name.schema.clone(),
        table: name.name.clone(),
    };
    for piece in pieces {
        if let Kind::RenameTable { renames: pairs } = &piece.facts.kind {
            pairs
                .iter()
                .for_each(|(from, to)| renames.table(named(from), named(to)));
        }
        let (Kind::AlterTable { actions }, Some(table)) = (&piece.facts.kind, &piece.facts.table)
        else {
            continue;
        };
        for action in actions {
            match action {
                AlterAction::RenameTable { to } => renames.table(named(table), named(to)),
                AlterAction::RenameColumn { from, to } => renames.column(named(table), from, to),
                AlterAction::Change { from, to, .. } if from != to => {
                    renames.column(named(table), from, to);
                }
                _ => {}
            }
        }
    }
    renames
}
