//! DDL that takes rows or values with it: what was looked at before must still be so when it runs,
//! so it runs while nobody else can write its tables.

use super::altered::altered;
use super::prepared::prepared;
use super::{Seen, counted, dropped, loss, older, refused, were, which};
use crate::db::{Failed, Session, Why};
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::{End, Failure, prove};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::model::{Names, Shape, ShapeColumn};
use crate::sql::{AlterAction, Facts, Kind, Name};

/// How a statement is run, by what was found before it.
#[derive(Debug, Default)]
pub(in super::super) struct Shut {
    /// The tables of before the run, as acknowledgements name them.
    before: Vec<Shape>,
    /// What must be there as it was found, or it is looked at again.
    seen: Vec<Seen>,
    /// What it cuts without a word, where it may.
    cuts: Option<Cuts>,
    /// What keeps others from writing its tables, where they can be kept.
    lock: Option<String>,
}

/// A statement that rewrites a table in a mode in which the server cuts what does not fit.
#[derive(Debug)]
struct Cuts {
    mode: String,
    table: String,
    /// How many rows it copied in the rehearsal, where that had all of them and it did copy.
    rows: Option<u64>,
}

impl Shut {
    /// Looks for what came after the rehearsal and would go with a statement.
    pub(in super::super) fn look(
        session: &mut dyn Session,
        piece: (&Intent<'_>, usize),
        rehearsed: &Rehearsed,
    ) -> anyhow::Result<Result<Self, End>> {
        let (intent, number) = piece;
        let prepared = prepared(session, piece)?;
        let facts = prepared.as_ref().unwrap_or(&intent.pieces[number].facts);
        let mut found = match dropped(session, piece, (rehearsed, facts))? {
            Ok(found) => found,
            Err(end) => return Ok(Err(end)),
        };
        if found.seen.is_empty() {
            found = match altered(session, piece, (rehearsed, facts))? {
                Ok(found) => found,
                Err(end) => return Ok(Err(end)),
            };
        }
        let before = Tables {
            shapes: &found.before,
            names: session.names(),
        };
        // Where any number may go, nobody is kept waiting.
        found.seen.retain(|it| {
            let all = Lost {
                rows: u64::MAX,
                before: u64::MAX,
                ..it.lost.clone()
            };
            it.aside.is_some() || !refused((intent, rehearsed), &[all], before).is_empty()
        });
        let cuts = cuts(session, piece, (rehearsed, facts))?;
        let puts_aside = found.seen.iter().any(|it| it.aside.is_some());
        let lock = if found.seen.is_empty() && cuts.is_none() || puts_aside {
            None
        } else {
            lock(session, facts)?
        };
        Ok(Ok(Self {
            before: found.before,
            seen: found.seen,
            cuts,
            lock,
        }))
    }

    /// Runs the statement; none where it was run.
    pub(in super::super) fn run(
        &self,
        session: &mut dyn Session,
        piece: (&Intent<'_>, usize),
        rehearsed: Option<&Rehearsed>,
    ) -> anyhow::Result<Result<Option<End>, Failed>> {
        let Some(rehearsed) = rehearsed else {
            return Ok(prove::run(session, piece.0, piece.1).map(|()| None));
        };
        let Some(lock) = &self.lock else {
            return self.counted(session, piece, rehearsed);
        };
        // First chatctl's own marks are committed: where that fails, the statement was not run.
        session.command("DO 0")?;
        match session.command(lock) {
            Ok(()) => {}
            Err(failed) if failed.busy || failed.lost => return Ok(Err(failed)),
            // The right to lock tables is not needed for the statement.
            Err(_) => return self.counted(session, piece, rehearsed),
        }
        let done = self.counted(session, piece, rehearsed);
        let unlocked = session.command("UNLOCK TABLES");
        match done {
            Ok(Err(failed)) if failed.why == Why::Locks => {
                unlocked?;
                self.counted(session, piece, rehearsed)
            }
            Ok(Ok(ended)) => {
                unlocked?;
                Ok(Ok(ended))
            }
            // It may be for the same reason that nothing could be unlocked.
            Ok(Err(_)) | Err(_) => done,
        }
    }

    /// Which rows came to a table while the statement put it aside, so that they are not where its
    /// name leads now.
    pub(in super::super) fn left_aside(
        &self,
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
        rehearsed: &Rehearsed,
    ) -> anyhow::Result<Option<End>> {
        let before = Tables {
            shapes: &self.before,
            names: session.names(),
        };
        for seen in &self.seen {
            let Some(aside) = &seen.aside else { continue };
            // Nobody writes it any more under its new name; the one in its place is written again.
            let old = session.quote(&aside.old.name);
            let rows = which(session, &aside.old, &aside.old.name);
            if counted(&session.rows(&rows)?)? == seen.count {
                continue;
            }
            let Some(compared) = session.compare_with(&aside.old, &aside.new)? else {
                continue;
            };
            let mut lost = preserve::lost(&aside.was, Some(&aside.new), &compared, before);
            lost.retain(|it| it.what == What::RowsGone);
            if let Some(lost) = refused((intent, rehearsed), &lost, before).first() {
                let new = session.quote(&aside.new.table);
                return Ok(Some(End::Failed(Failure {
                    file: intent.migration.file_name(),
                    line: Some(intent.pieces[number].line),
                    message: format!(
                        "{lost}: they came while statements ran, and are in `{}` only",
                        aside.old.name
                    ),
                    help: format!(
                        "copy them: INSERT INTO {new} SELECT … FROM {old} …; then run `chatctl migrate` again: it continues behind this statement"
                    ),
                    busy: false,
                })));
            }
        }
        Ok(None)
    }

    /// Runs it if what was found is there still.
    fn counted(
        &self,
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
        rehearsed: &Rehearsed,
    ) -> anyhow::Result<Result<Option<End>, Failed>> {
        let before = Tables {
            shapes: &self.before,
            names: session.names(),
        };
        for seen in &self.seen {
            let now = counted(&session.seen(&seen.rows)?)?;
            let is_other = now != seen.count;
            if is_other && !refused((intent, rehearsed), &[seen.lost(now)], before).is_empty() {
                return Ok(Ok(Some(End::Failed(Failure {
                    file: intent.migration.file_name(),
                    line: Some(intent.pieces[number].line),
                    message: format!(
                        "rows of `{}` came or went while chatctl compared it",
                        seen.table
                    ),
                    help: "run `chatctl migrate` again while fewer rows are written".into(),
                    busy: true,
                }))));
            }
        }
        match &self.cuts {
            None => Ok(prove::run(session, intent, number).map(|()| None)),
            Some(cuts) => cuts.run(session, (intent, number)),
        }
    }
}

impl Cuts {
    /// Runs the statement so that the server refuses what it would cut, and as the file has it
    /// where that is what the rehearsal had.
    fn run(
        &self,
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
    ) -> anyhow::Result<Result<Option<End>, Failed>> {
        session
            .command("SET SESSION sql_mode = concat(@@SESSION.sql_mode, ',STRICT_ALL_TABLES')")?;
        let done = prove::run(session, intent, number);
        let back = session.command(&format!("SET SESSION sql_mode = '{}'", self.mode));
        let failed = match done {
            Ok(()) => {
                back?;
                return Ok(Ok(None));
            }
            Err(failed) if failed.busy || failed.lost || failed.why == Why::Locks => {
                return Ok(Err(failed));
            }
            Err(failed) => failed,
        };
        back?;
        let table = session.quote(&self.table);
        let now = counted(&session.seen(&format!("SELECT count(*) FROM {table}"))?)?.rows;
        // What is not about values has nothing to do with the rows.
        if failed.why != Why::Value || self.rows.is_none_or(|rows| now <= rows) {
            return Ok(prove::run(session, intent, number).map(|()| None));
        }
        Ok(Ok(Some(End::Failed(Failure {
            file: intent.migration.file_name(),
            line: Some(intent.pieces[number].line),
            message: format!(
                "rows came to `{}` after the rehearsal, and the statement may cut values in them: {}",
                self.table, failed.message
            ),
            help: "run `chatctl migrate` again: it rehearses with these rows".into(),
            busy: false,
        }))))
    }
}

/// `LOCK TABLES …` for all that a statement names; none where something is not there, or a query
/// reads it.
fn lock(session: &mut dyn Session, facts: &Facts) -> anyhow::Result<Option<String>> {
    let refers = matches!(facts.kind, Kind::AlterTable { .. });
    if !refers && !facts.reads.is_empty() {
        return Ok(None);
    }
    let names = session.names();
    let there = session.catalog()?;
    let mut locks: Vec<(&Name, &str)> = Vec::new();
    let written = facts.tables().map(|it| (it, "WRITE"));
    for (table, how) in written.chain(facts.reads.iter().map(|it| (it, "READ"))) {
        if table.schema.is_some() || !is_there(table, &there, names) {
            return Ok(None);
        }
        if !locks
            .iter()
            .any(|(it, _)| names.tables.same(&it.name, &table.name))
        {
            locks.push((table, how));
        }
    }
    let locks = locks
        .iter()
        .map(|(table, how)| format!("{} {how}", session.quote(&table.name)));
    let locks: Vec<_> = locks.collect();
    Ok((!locks.is_empty()).then(|| format!("LOCK TABLES {}", locks.join(", "))))
}

fn is_there(table: &Name, there: &[Shape], names: Names) -> bool {
    there
        .iter()
        .any(|it| names.tables.same(&it.table, &table.name))
}

/// What a statement cuts without a word, where its session lets the server do so.
fn cuts(
    session: &mut dyn Session,
    piece: (&Intent<'_>, usize),
    (rehearsed, facts): (&Rehearsed, &Facts),
) -> anyhow::Result<Option<Cuts>> {
    let rewrites = |action: &AlterAction| {
        matches!(
            action,
            AlterAction::Modify { .. }
                | AlterAction::Change { .. }
                | AlterAction::ConvertCharset { .. }
        )
    };
    let (Kind::AlterTable { actions }, Some(table)) = (&facts.kind, &facts.table) else {
        return Ok(None);
    };
    if !actions.iter().any(rewrites) {
        return Ok(None);
    }
    let mode = session.seen("SELECT @@SESSION.sql_mode")?[0][0].to_string();
    if mode.contains("STRICT_ALL_TABLES") || mode.contains("STRICT_TRANS_TABLES") {
        return Ok(None);
    }
    let Some((was, now)) = older(session, piece, rehearsed, table)? else {
        return Ok(None);
    };
    let before = were(rehearsed);
    let before = Tables {
        shapes: &before,
        names: session.names(),
    };
    let any = |it: &ShapeColumn| {
        let all = (What::ValuesChanged, u64::MAX, u64::MAX);
        loss(was, Some(&it.name), all, before)
    };
    let any: Vec<_> = was.columns.iter().map(any).collect();
    let is_acknowledged = |column: &str| {
        let of_it = any.iter().filter(|it| it.column.as_deref() == Some(column));
        let of_it: Vec<_> = of_it.cloned().collect();
        !of_it.is_empty() && refused((piece.0, rehearsed), &of_it, before).is_empty()
    };
    let is_free = |action: &AlterAction| match action {
        AlterAction::Modify { column, .. } | AlterAction::Change { from: column, .. } => {
            is_acknowledged(column)
        }
        other => !rewrites(other),
    };
    if actions.iter().all(is_free) {
        return Ok(None);
    }
    let evidence = &rehearsed.evidence;
    let was_empty = evidence.exact.get(&was.name) == Some(&0);
    let is_known = |rows: &u64| (*rows > 0 || was_empty) && !evidence.sampled.contains(&was.name);
    let rows = rehearsed.rows.get(piece.1).copied().flatten();
    Ok(Some(Cuts {
        mode,
        table: now.name,
        // The server says of an ALTER how many rows it copied: none where it changed the table in
        // place, which cuts nothing.
        rows: rows.filter(is_known),
    }))
}
