//! Runs the statements of a file, one by one or several together.

use crate::db::{Failed, Session};
use crate::migrate::apply::{Failure, definer};
use crate::migrate::intent::Intent;
use crate::sql::Dialect;
use std::ops::Range;

/// So many statements go to the database together at most.
pub(in crate::migrate::apply) const TOGETHER: usize = 100;

/// Runs a statement, if a file may have it.
pub(in crate::migrate::apply) fn run(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    number: usize,
) -> Result<(), Failed> {
    let piece = &intent.pieces[number];
    match intent.forbidden(piece) {
        Some(why) => Err(Failed::because(why)),
        None => session.run(piece.text),
    }
}

/// Runs a statement that is tried out, or can be taken back: what belongs to the server is left out on
/// a copy of the database.
pub(in crate::migrate::apply) fn try_out(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    number: usize,
) -> Result<(), Failed> {
    let piece = &intent.pieces[number];
    if intent.is_of_server(piece) {
        return Ok(());
    }
    match (intent.dialect, intent.forbidden(piece)) {
        (_, Some(why)) => Err(Failed::because(why)),
        (Dialect::Mysql, None) => session.run(&definer::blanked(piece.text)),
        (Dialect::Postgres | Dialect::Sqlite, None) => session.run(piece.text),
    }
}

/// The first of these statements, with those behind it that go to the database with it.
pub(super) fn together(
    session: &dyn Session,
    intent: &Intent<'_>,
    pieces: Range<usize>,
) -> Range<usize> {
    let goes = |number: &usize| {
        let piece = &intent.pieces[*number];
        !intent.is_of_server(piece)
            && intent.forbidden(piece).is_none()
            && session.goes_with_others(piece.text)
    };
    let many = pieces.clone().take(TOGETHER).take_while(goes).count();
    pieces.start..pieces.start + many.max(1)
}

/// Tries statements out; the error has the number of the one that failed.
pub(super) fn try_all(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    pieces: Range<usize>,
) -> Result<(), (usize, Failed)> {
    let start = pieces.start;
    if pieces.len() == 1 {
        return try_out(session, intent, start).map_err(|failed| (start, failed));
    }
    let texts: Vec<_> = intent.pieces[pieces].iter().map(|it| it.text).collect();
    let done = session.run_all(&texts);
    done.map_err(|(number, failed)| (start + number, failed))
}

/// What to say of a statement that failed; one that nobody answered is an error.
pub(in crate::migrate::apply) fn failure(
    intent: &Intent<'_>,
    number: usize,
    failed: Failed,
) -> anyhow::Result<Failure> {
    if failed.lost {
        return Err(failed.into());
    }
    let needs_mark = !intent.migration.no_transaction && failed.needs_no_transaction();
    let help = if needs_mark {
        "write `-- no-transaction` at the beginning of the file: chatctl then journals it statement by statement"
    } else {
        "fix the statement and run it again"
    };
    Ok(Failure {
        file: intent.migration.file_name(),
        line: intent.line(number, failed.at),
        message: failed.message,
        help: help.into(),
        busy: failed.busy,
    })
}
