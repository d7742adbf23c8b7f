//! What a rehearsal can't show: rows of tables of which the copy has a sample only, and former versions
//! of rows that are numbered by transactions, which no copy has. Pure.

use super::counting::sets;
use super::options::SAMPLE;
use super::reach::Known;
use super::{Culprit, End, Failure};
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

/// What leads to the tables, at one place of a run.
struct Ways {
    /// The names that each table has had, in the order of the tables.
    names: Vec<Vec<String>>,
    /// What runs or reads something else when it is used.
    deep: Vec<String>,
    /// Tables with a foreign key, and the tables that it leads to.
    keys: Vec<(String, String)>,
    /// Those of them that follow when a key is another one.
    moved: Vec<(String, String)>,
    /// Whether a column of before has another name.
    renamed: bool,
}

impl Unseen<'_> {
    /// Refuses what may change such a table, unless the loss is meant.
    pub(super) fn check(&self, files: &[(&Intent<'_>, usize)]) -> Result<(), CliError> {
        let tables = self.before.shapes.iter();
        let mut ways = Ways {
            names: tables.map(|table| vec![table.table.clone()]).collect(),
            deep: self.known.deep.iter().cloned().collect(),
            keys: self.known.keys.clone(),
            moved: self.known.moved.clone(),
            renamed: false,
        };
        for (intent, first) in files {
            for piece in &intent.pieces[*first..] {
                self.note(piece, &mut ways);
                for (place, table) in self.before.shapes.iter().enumerate() {
                    if !self.allows(intent, table) {
                        self.one(intent, piece, (table, &ways.names[place]), &ways)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What to say of a file that ends on the copy at a statement which reads a table of which that
    /// has a sample only: rows that it does not find there may be in the database.
    pub(super) fn ends(&self, intent: &Intent<'_>, end: End) -> Result<End, CliError> {
        let read = |line: Option<u32>| {
            let mut pieces = intent.pieces.iter().rev();
            let piece = pieces.find(|it| line.is_some_and(|line| it.line <= line))?;
            let mut named = piece.facts.reads.iter().chain(piece.facts.tables());
            let is_it = |name: &Name, it: &&String| self.before.names.tables.same(it, &name.name);
            named.find_map(|name| self.sampled.iter().find(|it| is_it(name, it)))
        };
        match end {
            End::Failed(failure) => Ok(End::Failed(match read(failure.line) {
                Some(table) => Failure {
                    message: format!(
                        "{} (the copy has at most {SAMPLE} rows of `{table}`, and all of them with `--guard exact`)",
                        failure.message
                    ),
                    ..failure
                },
                None => failure,
            })),
            End::Lost(culprits) => {
                let by_sample = |it: &Culprit| {
                    let is_whole = !self.sampled.contains(&it.lost.table);
                    read(it.line).filter(|_| is_whole)
                };
                let tables: Option<Vec<_>> = culprits.iter().map(by_sample).collect();
                match (tables.as_deref(), culprits.first()) {
                    (Some([table, ..]), Some(culprit)) => Err(CliError::refused(format!(
                        "{}:{} reads `{table}`, of which at most {SAMPLE} rows were rehearsed, and {} there",
                        intent.migration.path.display(),
                        culprit.line.unwrap_or_default(),
                        culprit.lost
                    ))
                    .hint("rehearse all rows: `chatctl migrate up --guard exact`")),
                    _ => Ok(End::Lost(culprits)),
                }
            }
        }
    }

    /// Notes what a statement makes that leads to tables: it may be gone when the rehearsal ends.
    fn note(&self, piece: &Piece<'_>, ways: &mut Ways) {
        let facts = &piece.facts;
        match &facts.kind {
            Kind::CreateTrigger { .. } => {
                ways.deep.extend(facts.tables().map(|it| it.name.clone()));
            }
            Kind::CreateView { .. } => {
                ways.deep
                    .extend(facts.object.iter().map(|it| it.name.clone()));
            }
            Kind::RenameTable { renames } => {
                for (from, to) in renames {
                    self.rename(from, to, ways);
                }
            }
            Kind::AlterTable { actions } => {
                for action in actions {
                    if let (AlterAction::RenameTable { to }, Some(from)) = (action, &facts.table) {
                        self.rename(from, to, ways);
                    }
                    ways.renamed |= match action {
                        AlterAction::RenameColumn { .. } => true,
                        AlterAction::Change { from, to, .. } => from != to,
                        _ => false,
                    };
                }
            }
            _ => {}
        }
        let makes = matches!(
            facts.kind,
            Kind::CreateTable { .. } | Kind::AlterTable { .. }
        );
        if let (true, Some(table)) = (makes, &facts.table) {
            let keys = facts.reads.iter();
            let keys: Vec<_> = keys
                .map(|parent| (table.name.clone(), parent.name.clone()))
                .collect();
            ways.moved.extend(keys.iter().cloned());
            ways.keys.extend(keys);
        }
    }

    fn rename(&self, from: &Name, to: &Name, ways: &mut Ways) {
        let same = |name: &String| self.before.names.tables.same(name, &from.name);
        for names in &mut ways.names {
            if names.iter().any(same) {
                names.push(to.name.clone());
            }
        }
        if ways.deep.iter().any(same) {
            ways.deep.push(to.name.clone());
        }
        for keys in [&mut ways.keys, &mut ways.moved] {
            let renamed = |name: &String| {
                if same(name) {
                    to.name.clone()
                } else {
                    name.clone()
                }
            };
            let new = keys.iter().filter(|(a, b)| same(a) || same(b));
            let new: Vec<_> = new.map(|(a, b)| (renamed(a), renamed(b))).collect();
            keys.extend(new);
        }
    }

    fn allows(&self, intent: &Intent<'_>, table: &Shape) -> bool {
        let mut allowed = intent.allowed.iter();
        allowed.any(|allowed| match allowed.subject.resolve(self.before) {
            Meaning::Table(shape) | Meaning::Column(shape, _) => shape.name == table.name,
            Meaning::Both(..) | Meaning::Nothing => false,
        })
    }

    fn one(
        &self,
        intent: &Intent<'_>,
        piece: &Piece<'_>,
        (table, names): (&Shape, &[String]),
        ways: &Ways,
    ) -> Result<(), CliError> {
        let is_sampled = self.sampled.contains(&table.name);
        if !is_sampled && !table.numbered {
            return Ok(());
        }
        let by = match self.by(piece, (table, names), ways) {
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
                format!("of which at most {SAMPLE} rows were rehearsed"),
                "rehearse all rows: `chatctl migrate up --guard exact`; or ",
            )
        } else {
            (
                "whose history is numbered by transactions, so it can't be rehearsed".to_owned(),
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

    fn by(
        &self,
        piece: &Piece<'_>,
        (table, names): (&Shape, &[String]),
        ways: &Ways,
    ) -> Option<By> {
        let same = |name: &Name, of: &str| self.before.names.tables.same(&name.name, of);
        let is_deep = |name: &Name| ways.deep.iter().any(|deep| same(name, deep));
        if runs_code(piece) || writes(piece) && piece.facts.tables().any(is_deep) {
            return Some(By::Code);
        }
        if piece.facts.destroys() == Destroys::No {
            return None;
        }
        let named = |name: &Name| names.iter().any(|it| same(name, it));
        let of_history = &piece.facts.reads[..];
        let of_history = of_history.iter().filter(|_| deletes_history(piece));
        // Columns that the run made have no value of before.
        let keeps = || {
            let shape = (table, self.before.names);
            matches!(piece.facts.kind, Kind::Update { .. })
                && !ways.renamed
                && piece.facts.tables().count() == 1
                && sets((&piece.facts, piece.text), shape).is_empty()
        };
        if piece.facts.tables().chain(of_history).any(named) {
            return (!keeps()).then_some(By::Name);
        }
        let keys = match acts(&piece.facts.kind) {
            Acts::Deletes => &ways.keys,
            Acts::Moves => &ways.moved,
            Acts::Not => return None,
        };
        let is_it = |name: &String| {
            names
                .iter()
                .any(|it| self.before.names.tables.same(it, name))
        };
        let parents = piece.facts.tables().map(|it| it.name.clone());
        let follows = self.follow(parents.collect(), keys).iter().any(is_it);
        follows.then_some(By::Cascade)
    }

    /// These tables, and those of which rows follow by these keys.
    fn follow(&self, mut all: Vec<String>, keys: &[(String, String)]) -> Vec<String> {
        let has = |all: &[String], name: &String| {
            let mut all = all.iter();
            all.any(|it| self.before.names.tables.same(it, name))
        };
        while let Some((from, _)) = keys
            .iter()
            .find(|(from, to)| has(&all, to) && !has(&all, from))
        {
            all.push(from.clone());
        }
        all
    }
}

fn runs_code(piece: &Piece<'_>) -> bool {
    match piece.facts.kind {
        Kind::Do | Kind::Call => true,
        // It could be any table that it writes.
        Kind::Insert { .. } if piece.facts.table.is_none() => true,
        Kind::Other => {
            let word = first_word(piece).to_ascii_lowercase();
            !PLAIN.contains(&word.as_str())
        }
        _ => !piece.facts.calls.is_empty(),
    }
}

fn writes(piece: &Piece<'_>) -> bool {
    piece.facts.writes_rows() || piece.facts.destroys() != Destroys::No
}

/// What a statement does to rows that others follow by foreign keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Acts {
    Not,
    /// Their keys may be other ones.
    Moves,
    /// They may go.
    Deletes,
}

fn acts(kind: &Kind) -> Acts {
    match kind {
        Kind::Delete { .. } => Acts::Deletes,
        Kind::Update { .. } => Acts::Moves,
        Kind::Insert { conflict, .. } => match conflict {
            Conflict::Replace => Acts::Deletes,
            Conflict::Update => Acts::Moves,
            Conflict::Fail | Conflict::Ignore => Acts::Not,
        },
        Kind::With { writes } => writes.iter().map(acts).max().unwrap_or(Acts::Not),
        _ => Acts::Not,
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
