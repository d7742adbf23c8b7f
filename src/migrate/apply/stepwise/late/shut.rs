//! DDL that takes rows or values with it: what was looked at before must still be so when it runs, so it runs
//! while nobody else can write its tables.

use super::altered::altered;
use super::prepared::prepared;
use super::{Seen, dropped, older, refused, were};
use crate::db::{Failed, Session};
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::{End, Failure, prove};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::Tables;
use crate::sql::{AlterAction, Facts, Kind};
use std::collections::BTreeSet;

/// How a statement is run, by what was found before it.
#[derive(Debug, Default)]
pub(in super::super) struct Shut {
    /// What must be there as it was found, or the statement waits.
    seen: Vec<Seen>,
    /// What it cuts without a word, where it may.
    cuts: Option<Cuts>,
    /// Whether no other table is needed, so that these can be locked.
    locks: bool,
}

/// A statement that rewrites a table in a mode in which the server cuts what does not fit.
#[derive(Debug)]
struct Cuts {
    mode: String,
    table: String,
    /// How many rows the table had in the rehearsal.
    rows: u64,
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
        let mut seen = match dropped(session, piece, (rehearsed, facts))? {
            Ok(seen) => seen,
            Err(end) => return Ok(Err(end)),
        };
        match altered(session, piece, (rehearsed, facts))? {
            Ok(more) => seen.extend(more),
            Err(end) => return Ok(Err(end)),
        }
        let cuts = cuts(session, piece, (rehearsed, facts))?;
        let renames = seen.iter().any(|it| it.aside.is_some());
        let shut = Self {
            seen,
            cuts,
            locks: !renames && facts.reads.is_empty(),
        };
        // Under locks a statement may name no other table.
        let locks = shut.locks && shut.tables().len() == facts.tables().count();
        Ok(Ok(Self { locks, ..shut }))
    }

    /// Runs the statement; none where it was run.
    pub(in super::super) fn run(
        &self,
        session: &mut dyn Session,
        piece: (&Intent<'_>, usize),
    ) -> anyhow::Result<Result<Option<End>, Failed>> {
        let tables = self.tables();
        if tables.is_empty() || !self.locks {
            return Ok(prove::run(session, piece.0, piece.1).map(|()| None));
        }
        let tables = tables
            .iter()
            .map(|table| format!("{} WRITE", session.quote(table)));
        let lock = format!("LOCK TABLES {}", tables.collect::<Vec<_>>().join(", "));
        if let Err(failed) = session.command(&lock) {
            return Ok(Err(failed));
        }
        let done = self.under_locks(session, piece);
        session.command("UNLOCK TABLES")?;
        done
    }

    fn tables(&self) -> BTreeSet<&String> {
        let tables = self.seen.iter().map(|it| &it.table);
        tables.chain(self.cuts.iter().map(|it| &it.table)).collect()
    }

    /// Which rows came to a table while the statement put it aside, so that they are not where its name leads now.
    pub(in super::super) fn left_aside(
        &self,
        session: &mut dyn Session,
        intent: &Intent<'_>,
        rehearsed: &Rehearsed,
    ) -> anyhow::Result<Option<String>> {
        let before = were(rehearsed);
        let before = Tables {
            shapes: &before,
            names: session.names(),
        };
        for (was, aside, new) in self.seen.iter().filter_map(|it| it.aside.as_ref()) {
            let Some(compared) = session.compare_with(aside, new)? else {
                continue;
            };
            let lost = preserve::lost(was, Some(new), &compared, before);
            if let Some(lost) = refused((intent, rehearsed), &lost, before).first() {
                return Ok(Some(format!(
                    "{lost}: they came while statements ran, and are in `{}` only",
                    aside.name
                )));
            }
        }
        Ok(None)
    }

    fn under_locks(
        &self,
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
    ) -> anyhow::Result<Result<Option<End>, Failed>> {
        for seen in &self.seen {
            if count(session, &seen.rows)? != seen.count {
                let message = format!("rows of `{}` came while it was looked at", seen.table);
                return Ok(Ok(Some(came((intent, number), message, true))));
            }
        }
        let Some(cuts) = &self.cuts else {
            return Ok(prove::run(session, intent, number).map(|()| None));
        };
        session
            .command("SET SESSION sql_mode = concat(@@SESSION.sql_mode, ',STRICT_ALL_TABLES')")?;
        let done = prove::run(session, intent, number);
        session.command(&format!("SET SESSION sql_mode = '{}'", cuts.mode))?;
        match done {
            // In the rehearsal nothing that counts was cut, so that it may do so to the same rows.
            Err(failed) if !failed.busy && !failed.lost => {
                let table = session.quote(&cuts.table);
                if count(session, &format!("SELECT count(*) FROM {table}"))? == cuts.rows {
                    return Ok(prove::run(session, intent, number).map(|()| None));
                }
                let message = format!(
                    "rows of `{}` came after the rehearsal, of which it may cut values: {}",
                    cuts.table, failed.message
                );
                Ok(Ok(Some(came((intent, number), message, false))))
            }
            done => Ok(done.map(|()| None)),
        }
    }
}

fn count(session: &mut dyn Session, sql: &str) -> anyhow::Result<u64> {
    Ok(session.seen(sql)?[0][0].to_string().parse()?)
}

fn came((intent, number): (&Intent<'_>, usize), message: String, busy: bool) -> End {
    End::Failed(Failure {
        file: intent.migration.file_name(),
        line: Some(intent.pieces[number].line),
        message,
        help: "run `chatctl migrate` again: it rehearses with these rows".into(),
        busy,
    })
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
    let rows = rehearsed.evidence.exact.get(&was.name);
    Ok(Some(Cuts {
        mode,
        table: now.name,
        rows: rows.copied().unwrap_or_default(),
    }))
}
