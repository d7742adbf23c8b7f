//! DDL that takes rows or values with it: what was examined before must still be so when it runs,
//! so it runs while nobody else can write its tables.

use super::altered::altered;
use super::taken::dropped;
use super::{Late, Others, Seen, loss, older, refused, were};
use crate::db::{Failed, Session, Why};
use crate::migrate::apply::counting::{ignores, numbers, rewrites, which};
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::{End, Failure, prove};
use crate::migrate::intent::Intent;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::model::{Names, Shape, ShapeColumn};
use crate::sql;
use crate::sql::{AlterAction, Dialect, Facts, Kind, Name, TokenKind};

/// How a statement is run, by what was found before it.
#[derive(Debug, Default)]
pub(in super::super) struct Shut {
    /// The tables of before the run, as acknowledgements name them.
    before: Vec<Shape>,
    /// What must be there as it was found, or it is checked again.
    seen: Vec<Seen>,
    /// What it cuts without a word, where it may.
    cuts: Option<Cuts>,
    /// What keeps others from writing its tables, where they can be kept.
    lock: Option<String>,
}

/// A statement that rewrites a table so that the server cuts what does not fit, or deletes what a
/// key forbids.
#[derive(Debug)]
struct Cuts {
    /// The mode of the session, in which it cuts.
    mode: Option<String>,
    /// Whether the statement itself asks for it.
    ignores: bool,
    table: String,
    /// Whether it copied the rows in the rehearsal, where that had all of them.
    copied: bool,
    /// What counts the rows by their keys, and what that gave in the rehearsal.
    which: String,
    then: Option<Vec<u64>>,
}

impl Shut {
    /// Looks for what came after the rehearsal and would go with a statement.
    pub(in super::super) fn look(
        session: &mut dyn Session,
        piece: (&Intent<'_>, usize),
        (rehearsed, facts): (&Rehearsed, &Facts),
        (others, late): (Others, &mut Late),
    ) -> anyhow::Result<Result<Self, End>> {
        let (intent, number) = piece;
        late.forget(number);
        let job = (rehearsed, facts);
        let mut found = match dropped(session, piece, job, (others, &mut *late))? {
            Ok(found) => found,
            Err(end) => return Ok(Err(end)),
        };
        match altered(session, piece, job, (others, late))? {
            Ok(more) if found.seen.is_empty() => found = more,
            // It gives its table another name besides.
            Ok(more) => found.seen.extend(more.seen),
            Err(end) => return Ok(Err(end)),
        }
        let before = Tables {
            shapes: &found.before,
            names: session.names(),
        };
        // Where any number may go, nobody is kept waiting; who waits already brings nothing.
        found.seen.retain(|it| {
            let all = it.lost.iter().map(|lost| Lost {
                rows: u64::MAX,
                before: u64::MAX,
                ..lost.clone()
            });
            let all: Vec<_> = all.collect();
            let counts =
                it.aside.is_some() || !refused((intent, rehearsed), &all, before).is_empty();
            others == Others::Write && counts
        });
        let cuts = cuts(session, piece, (rehearsed, facts))?;
        let renames = found.seen.iter().any(|it| it.aside.is_some());
        let needs_lock = !found.seen.is_empty() || cuts.is_some();
        let lock = match others {
            Others::Write if needs_lock && !renames => lock(session, facts)?,
            Others::Write | Others::Wait => None,
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

    /// Which rows came to a table while it got another name, so that they are not where its
    /// name leads now.
    pub(in super::super) fn left_aside(
        &self,
        session: &mut dyn Session,
        piece: (&Intent<'_>, usize),
        rehearsed: &Rehearsed,
        late: &mut Late,
    ) -> anyhow::Result<Option<End>> {
        let before = Tables {
            shapes: &self.before,
            names: session.names(),
        };
        for seen in &self.seen {
            let Some(aside) = &seen.aside else { continue };
            if aside.is_as_it_was(session)? {
                late.puts_aside(piece.1, aside);
                continue;
            }
            // Nobody writes it any more under its new name; the one in its place is written again.
            let rows = which(session, &aside.old, &aside.old.name);
            if numbers(&session.rows(&rows)?)? == seen.counts {
                continue;
            }
            let lost = aside.lacking(session, before)?;
            if let Some(lost) = refused((piece.0, rehearsed), &lost, before).first() {
                return Ok(Some(End::Failed(aside.failure(session, piece, lost))));
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
            let now = numbers(&session.seen(&seen.sql)?)?;
            let is_other = now != seen.counts;
            // Of a column that has no value nothing is acknowledged.
            let lost = seen.lost(&now).into_iter().filter(|it| it.rows > 0);
            let lost: Vec<_> = lost.collect();
            if is_other && !refused((intent, rehearsed), &lost, before).is_empty() {
                return Ok(Ok(Some(End::Failed(Failure {
                    file: intent.migration.file_name(),
                    line: Some(intent.pieces[number].line),
                    message: format!(
                        "rows of `{}` were added or removed while chatctl compared it",
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
        let text = intent.pieces[number].text;
        let strict = if self.ignores {
            without_ignore(text)
        } else {
            Some(text.to_owned())
        };
        let failed = match strict {
            Some(strict) => match self.strictly(session, &strict)? {
                Ok(()) => return Ok(Ok(None)),
                Err(failed) if failed.busy || failed.lost || failed.why == Why::Locks => {
                    return Ok(Err(failed));
                }
                Err(failed) => failed,
            },
            None => Failed::because("the text of the statement hides its IGNORE"),
        };
        // By their keys: one that went would hide one that came.
        let now = numbers(&session.seen(&self.which)?)?;
        let is_same = self.then.as_ref() == Some(&now);
        let is_as_rehearsed = if self.ignores {
            self.copied && is_same
        } else {
            // What is not about values has nothing to do with the rows.
            failed.why != Why::Value || !self.copied || is_same
        };
        if is_as_rehearsed {
            return Ok(prove::run(session, intent, number).map(|()| None));
        }
        let (does, help) = if self.ignores {
            (
                "delete rows or cut values among them",
                "run `chatctl migrate` again: it rehearses with these rows; or delete or change the rows that \
                    do not fit in a separate statement, and leave IGNORE out",
            )
        } else {
            (
                "cut values in them",
                "run `chatctl migrate` again: it rehearses with these rows",
            )
        };
        Ok(Ok(Some(End::Failed(Failure {
            file: intent.migration.file_name(),
            line: Some(intent.pieces[number].line),
            message: format!(
                "rows of `{}` were added or removed after the rehearsal, and the statement may {does}: {}",
                self.table, failed.message
            ),
            help: help.into(),
            busy: false,
        }))))
    }

    /// Runs a text in a mode in which nothing is cut.
    fn strictly(
        &self,
        session: &mut dyn Session,
        text: &str,
    ) -> anyhow::Result<Result<(), Failed>> {
        let Some(mode) = &self.mode else {
            return Ok(session.run(text));
        };
        session
            .command("SET SESSION sql_mode = concat(@@SESSION.sql_mode, ',STRICT_ALL_TABLES')")?;
        let done = session.run(text);
        match done {
            Err(failed) if failed.lost => Ok(Err(failed)),
            done => {
                session.command(&format!("SET SESSION sql_mode = '{mode}'"))?;
                Ok(done)
            }
        }
    }
}

/// An ALTER without the word that lets it delete and cut.
fn without_ignore(text: &str) -> Option<String> {
    let tokens = sql::tokenize(text, Dialect::Mysql);
    let words = tokens.iter().filter(|it| it.kind == TokenKind::Word);
    let mut first = words.take(3);
    let ignore = first.find(|it| it.text(text).eq_ignore_ascii_case("IGNORE"))?;
    let (before, behind) = (&text[..ignore.start], &text[ignore.end..]);
    text.get(..5)
        .is_some_and(|it| it.eq_ignore_ascii_case("ALTER"))
        .then(|| format!("{before}{behind}"))
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
        let is_there = is_there(table, &there, names);
        // DROP TABLE IF EXISTS may name some that are not.
        if !is_there && matches!(facts.kind, Kind::DropTable { .. }) {
            continue;
        }
        if table.schema.is_some() || !is_there {
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

/// What a statement cuts or deletes without a word, where it or its session lets the server do so.
fn cuts(
    session: &mut dyn Session,
    piece: (&Intent<'_>, usize),
    (rehearsed, facts): (&Rehearsed, &Facts),
) -> anyhow::Result<Option<Cuts>> {
    let (Kind::AlterTable { actions }, Some(table)) = (&facts.kind, &facts.table) else {
        return Ok(None);
    };
    let ignores = actions.iter().any(ignores);
    if !ignores && !actions.iter().any(rewrites) {
        return Ok(None);
    }
    let mode = session.seen("SELECT @@SESSION.sql_mode")?[0][0].to_string();
    let is_strict = mode.contains("STRICT_ALL_TABLES") || mode.contains("STRICT_TRANS_TABLES");
    if is_strict && !ignores {
        return Ok(None);
    }
    let Some((was, now)) = older(session, piece, rehearsed, table)? else {
        return Ok(None);
    };
    if may_go((piece.0, rehearsed), was, actions, session.names()) {
        return Ok(None);
    }
    let evidence = &rehearsed.evidence;
    let was_empty = evidence.exact.get(&was.name) == Some(&0);
    let is_known = |rows: u64| (rows > 0 || was_empty) && !evidence.sampled.contains(&was.name);
    let rows = rehearsed.rows.get(piece.1).copied().flatten();
    let which = which(session, &now, &now.name);
    Ok(Some(Cuts {
        mode: (!is_strict).then_some(mode),
        ignores,
        table: now.name,
        then: rehearsed.fallen.there(piece.1, &which).map(<[_]>::to_vec),
        which,
        // The server says of an ALTER how many rows it copied: none where it changed the table in
        // place, which cuts nothing.
        copied: rows.is_some_and(is_known),
    }))
}

/// Whether any number of the rows and values may be lost that these actions take.
fn may_go(
    job: (&Intent<'_>, &Rehearsed),
    was: &Shape,
    actions: &[AlterAction],
    names: Names,
) -> bool {
    let before = were(job.1);
    let before = Tables {
        shapes: &before,
        names,
    };
    let any = |it: &ShapeColumn| {
        let all = (What::ValuesChanged, u64::MAX, u64::MAX);
        loss(was, Some(&it.name), all, before)
    };
    let any: Vec<_> = was.columns.iter().map(any).collect();
    let is_acknowledged = |column: &str| {
        let of_it = any.iter().filter(|it| it.column.as_deref() == Some(column));
        let of_it: Vec<_> = of_it.cloned().collect();
        !of_it.is_empty() && refused(job, &of_it, before).is_empty()
    };
    actions.iter().all(|action| match action {
        AlterAction::Modify { column, .. } | AlterAction::Change { from: column, .. } => {
            is_acknowledged(column)
        }
        other if ignores(other) => {
            let rows = loss(was, None, (What::RowsGone, u64::MAX, u64::MAX), before);
            refused(job, &[rows], before).is_empty()
        }
        other => !rewrites(other),
    })
}

#[cfg(test)]
mod tests {
    use super::without_ignore;

    #[test]
    fn an_alter_is_tried_without_the_word_that_deletes() {
        for (text, without) in [
            (
                "ALTER IGNORE TABLE t ADD UNIQUE (a)",
                Some("ALTER  TABLE t ADD UNIQUE (a)"),
            ),
            (
                "alter online /* ignore */ ignore table t add unique (a)",
                Some("alter online /* ignore */  table t add unique (a)"),
            ),
            ("ALTER TABLE `ignore` ADD UNIQUE (a)", None),
            (
                "EXECUTE IMMEDIATE 'ALTER IGNORE TABLE t ADD UNIQUE (a)'",
                None,
            ),
        ] {
            assert_eq!(without_ignore(text).as_deref(), without, "{text}");
        }
    }
}
