//! What is known before the first statement of a run where DDL commits by itself: what is left of
//! each file, and what a rehearsal on a copy shows of it.

use super::rehearse::{Past, Rehearsed, Rest};
use super::unfinished::Unfinished;
use super::{ApplyOptions, End, Failure, Outcome, limits, origin, rehearse, stepwise};
use crate::db::{Copying, Session};
use crate::migrate::intent::Intent;
use crate::migrate::journal;
use crate::migrate::journal::{Journal, State};
use crate::migrate::preserve::Tables;
use crate::migrate::source::Version;
use crate::model::Shape;
use std::collections::BTreeMap;

/// What is known before the first statement of a run, where DDL commits by itself.
#[derive(Default)]
pub(super) struct Ahead {
    /// What the rehearsal showed of each file.
    pub(super) rehearsed: BTreeMap<Version, Rehearsed>,
    /// What an earlier, unfinished run left.
    pub(super) record: Unfinished,
}

impl Ahead {
    /// Rehearses the files on a copy; `None` if the run ends with it, and the outcome says why.
    pub(super) fn of<'a>(
        session: &mut dyn Session,
        options: &ApplyOptions<'_>,
        (intents, journal): (&mut [Intent<'a>], &mut Journal),
        copies: &[Copying],
        outcome: &mut Outcome,
    ) -> anyhow::Result<Option<Self>> {
        let Some((record, rests)) = rests(session, options, (&mut *intents, journal), outcome)?
        else {
            return Ok(None);
        };
        let files: Vec<_> = intents
            .iter()
            .zip(&rests)
            .map(|(intent, rest)| Rest {
                intent,
                first: rest.first,
                left: rest.left.as_deref(),
            })
            .collect();
        (options.tell)("rehearsing on a copy");
        let past = Past {
            seeds: record.rows(),
            copies: copies.to_vec(),
        };
        let evidence = match rehearse::run(options, &files, past)? {
            Ok(evidence) => evidence,
            Err(end) => {
                outcome.ends_halfway(end, &files);
                return Ok(None);
            }
        };
        let versions = intents.iter().map(|it| it.migration.version.clone());
        let evidence = evidence.into_iter().zip(&rests).map(|(it, rest)| {
            let is_new = rest.is_new;
            Rehearsed { is_new, ..it }
        });
        let rehearsed = versions.zip(evidence).collect();
        Ok(Some(Self { rehearsed, record }))
    }
}

/// What is left of a file of which an earlier run may have applied a part.
struct Left {
    /// Its first statement that is not applied.
    first: usize,
    /// Whether no earlier run began it.
    is_new: bool,
    /// What it began with, of the tables and columns that there were: see [`Rest::left`].
    left: Option<Vec<(Shape, String)>>,
}

/// What is left of each file, and the record of the run that began the first; `None` if a file may not be
/// resumed, and the outcome says why.
fn rests(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (intents, journal): (&mut [Intent<'_>], &mut Journal),
    outcome: &mut Outcome,
) -> anyhow::Result<Option<(Unfinished, Vec<Left>)>> {
    let mut rests = Vec::new();
    let (now, names) = (session.catalog()?, session.names());
    // Nobody but this run writes of these files from here on.
    let entries = journal::read(session)?;
    let mut record = Unfinished::parse(&journal.kept(session, State::Made)?.unwrap_or_default());
    for (number, intent) in intents.iter_mut().enumerate() {
        let part = (&*intent, &mut *journal);
        let rest = match stepwise::rest(session, options, part, &entries)? {
            Ok(rest) => rest,
            Err(end) => {
                outcome.end = Some(end);
                return Ok(None);
            }
        };
        let is_new = rest.is_none();
        let (first, standing) = rest.unwrap_or_default();
        if let Some(failure) = set_otherwise(intent, first) {
            outcome.end = Some(End::Failed(failure));
            return Ok(None);
        }
        let tables = Tables {
            shapes: &now,
            names,
        };
        limits::lower(intent, &standing, tables);
        let is_first = number == 0;
        if is_first && !(record.is_empty() && first == 0) {
            record = record.resume(session, intent, first)?;
        }
        let candidates = match origin::resume(intent, (first, &standing.began), tables) {
            None if is_first && first == 0 && !record.is_empty() => Some(origin::all(&now)),
            candidates => candidates,
        };
        let left = candidates.map(|it| record.of_users(session, it));
        rests.push(Left {
            first,
            is_new,
            left: left.transpose()?,
        });
    }
    Ok(Some((record, rests)))
}

/// Why a file may not continue: its statements would work with another value of a variable than
/// those that are done.
fn set_otherwise(intent: &Intent<'_>, first: usize) -> Option<Failure> {
    let (number, name) = intent.set_otherwise(first)?;
    let rest = intent.pieces.get(first)?.line;
    Some(Failure {
        file: intent.migration.file_name(),
        line: Some(intent.pieces[number].line),
        message: format!(
            "`@{name}` would get another value now than when the statements before line {rest} ran"
        ),
        help: format!(
            "from line {rest} on, write the value that `@{name}` had then in its place, and run `chatctl migrate` again"
        ),
        busy: false,
    })
}
