//! What a rehearsal can't show: rows of tables of which the copy has a sample only, and former versions
//! of rows that are numbered by transactions, which no copy has. Pure.

use super::options::SAMPLE;
use super::reach::Known;

use crate::cli_error::CliError;
use crate::migrate::intent::{Intent, Piece};
use crate::migrate::preserve::{Meaning, Tables};
use crate::model::Shape;
use crate::sql::{AlterAction, Conflict, Destroys, Kind, Name};
use std::collections::BTreeSet;

/// The tables of a run, as far as its rehearsal can't show them.
pub(super) struct Unseen<'a> {
    /// Those of which the copy has a sample only.
    pub(super) sampled: &'a BTreeSet<String>,
    /// What there was before the run.
    pub(super) before: Tables<'a>,
    /// What leads from one of them to another.
    pub(super) known: &'a Known,
}

/// How a statement gets at a table.
enum By {
    Name,
    /// A foreign key.
    Cascade,
    /// Code that its text does not show.
    Code,
}

/// Statements that run no code and name what they change, or change nothing.
#[rustfmt::skip]
const PLAIN: [&str; 10] = [
    "analyze", "check", "checksum", "deallocate", "drop", "explain", "flush", "optimize", "prepare", "repair",
];

impl Unseen<'_> {
    /// Refuses what may change such a table, unless the loss is meant.
    pub(super) fn check(&self, files: &[(&Intent<'_>, usize)]) -> Result<(), CliError> {
        for (intent, first) in files {
            for piece in &intent.pieces[*first..] {
                for table in self.before.shapes {
                    if !self.allows(intent, table) {
                        self.one(intent, piece, table)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn allows(&self, intent: &Intent<'_>, table: &Shape) -> bool {
        let mut allowed = intent.allowed.iter();
        allowed.any(|allowed| match allowed.subject.resolve(self.before) {
            Meaning::Table(shape) | Meaning::Column(shape, _) => shape.name == table.name,
            Meaning::Both(..) | Meaning::Nothing => false,
        })
    }

    fn one(&self, intent: &Intent<'_>, piece: &Piece<'_>, table: &Shape) -> Result<(), CliError> {
        let is_sampled = self.sampled.contains(&table.name);
        if !is_sampled && !table.numbered {
            return Ok(());
        }
        let by = match self.by(piece, table) {
            Some(by @ By::Code) => by,
            Some(by) if is_sampled || takes_history(piece) => by,
            _ => return Ok(()),
        };
        let place = format!("{}:{}", intent.migration.path.display(), piece.line);
        let does = match by {
            By::Name => "changes",
            By::Cascade => "changes, by a foreign key,",
            By::Code => "runs code that may change",
        };
        let (why, exact) = if is_sampled {
            (
                format!("of which only {SAMPLE} rows are rehearsed"),
                "rehearse with all of them: `chatctl migrate up --guard exact`; or ",
            )
        } else {
            (
                "whose former rows are numbered by transactions, so that they can't be rehearsed"
                    .to_owned(),
                "",
            )
        };
        Err(
            CliError::refused(format!("{place} {does} `{}`, {why}", table.name)).hint(format!(
                "{exact}write into the migration what may be lost: -- chatctl: allow-loss {} reason=\"…\"",
                self.before.subject(table, None)
            )),
        )
    }

    fn by(&self, piece: &Piece<'_>, table: &Shape) -> Option<By> {
        let same = |name: &Name, of: &str| self.before.names.tables.same(&name.name, of);
        let is_deep = |name: &Name| self.known.deep.iter().any(|deep| same(name, deep));
        if runs_code(piece, table) || writes(piece) && piece.facts.tables().any(is_deep) {
            return Some(By::Code);
        }
        if piece.facts.destroys() == Destroys::No {
            return None;
        }
        let named = |name: &Name| same(name, &table.table);
        let of_history = &piece.facts.reads[..];
        let of_history = of_history.iter().filter(|_| deletes_history(piece));
        if piece.facts.tables().chain(of_history).any(named) {
            return Some(By::Name);
        }
        let parents = self.known.tables.iter();
        let parents = parents.filter(|parent| piece.facts.tables().any(|name| same(name, parent)));
        let parents = parents.cloned().collect();
        let follows =
            deletes(&piece.facts.kind) && self.known.follow(parents).contains(&table.name);
        follows.then_some(By::Cascade)
    }
}

fn runs_code(piece: &Piece<'_>, table: &Shape) -> bool {
    match piece.facts.kind {
        Kind::Do | Kind::Call => true,
        Kind::Other => {
            let word = first_word(piece).to_ascii_lowercase();
            let text = piece.text.to_ascii_lowercase();
            match word.as_str() {
                // It can't be read, but it has no other table than one that it names.
                "load" => text.contains(&table.table.to_ascii_lowercase()),
                word => !PLAIN.contains(&word),
            }
        }
        _ => !piece.facts.calls.is_empty(),
    }
}

fn writes(piece: &Piece<'_>) -> bool {
    piece.facts.writes_rows() || piece.facts.destroys() != Destroys::No
}

/// Whether rows may go, and others with them.
fn deletes(kind: &Kind) -> bool {
    match kind {
        Kind::Delete { .. } => true,
        Kind::Insert { conflict, .. } => matches!(conflict, Conflict::Replace),
        Kind::With { writes } => writes.iter().any(deletes),
        _ => false,
    }
}

fn deletes_history(piece: &Piece<'_>) -> bool {
    let mut words = piece.text.split_whitespace();
    let is_delete = words
        .next()
        .is_some_and(|it| it.eq_ignore_ascii_case("delete"));
    is_delete
        && words
            .next()
            .is_some_and(|it| it.eq_ignore_ascii_case("history"))
}

/// Whether a statement may take former versions of rows.
fn takes_history(piece: &Piece<'_>) -> bool {
    let by_alter = |action: &AlterAction| action.destroys() != Destroys::No;
    match &piece.facts.kind {
        Kind::AlterTable { actions } => actions.iter().any(by_alter),
        Kind::CreateTable { or_replace, .. } => *or_replace,
        Kind::DropTable { .. } => true,
        _ => deletes_history(piece),
    }
}

pub(super) fn first_word<'a>(piece: &Piece<'a>) -> &'a str {
    piece.text.split_whitespace().next().unwrap_or_default()
}
