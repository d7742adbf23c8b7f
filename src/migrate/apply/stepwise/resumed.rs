//! A file of MySQL that an earlier run did not bring to its end.

use super::{Steps, late};
use crate::db::Session;
use crate::migrate::apply::prove::Remaining;
use crate::migrate::apply::{ApplyOptions, End};
use crate::migrate::intent::Intent;
use crate::migrate::journal;
use crate::migrate::journal::{Entry, Journal, Standing, State};

/// The statement that a file continues with, by its number from 0, and how far it came: what an
/// earlier run did is done. None where the journal says nothing of it.
pub(in super::super) fn rest(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (intent, journal): (&Intent<'_>, &mut Journal),
    entries: &[Entry],
) -> anyhow::Result<Result<Option<(usize, Standing)>, End>> {
    let Some(standing) = journal::standing(entries, &intent.migration.version) else {
        return Ok(Ok(None));
    };
    let mut steps = Steps {
        options,
        intent,
        journal,
        begun: true,
        remaining: Remaining::More,
        origin: String::new(),
    };
    if let Some(end) = steps.edited(&standing) {
        return Ok(Err(end));
    }
    if let Some(end) = steps.left_aside(session, &standing)? {
        return Ok(Err(end));
    }
    let first = steps.resolve_in_flight(session, &standing)?;
    if first > standing.done.len()
        && let Some(end) = steps.came_in_flight(session, (first - 1, &standing))?
    {
        return Ok(Err(end));
    }
    Ok(Ok(Some((first, standing))))
}

impl Steps<'_> {
    /// Ends a file that an earlier run ended behind a statement that is done, as long as the rows
    /// are not where they belong.
    fn left_aside(
        &self,
        session: &mut dyn Session,
        standing: &Standing,
    ) -> anyhow::Result<Option<End>> {
        let Some(number) = standing.left_behind() else {
            return Ok(None);
        };
        let piece = (self.intent, number);
        if let Some(failure) = late::left_aside(session, piece, &standing.began)? {
            return Ok(Some(End::Failed(failure)));
        }
        let hash = journal::hash(self.intent.pieces[number].text);
        let detail = "the rows that came while it ran are where they belong";
        self.mark(session, number, (State::Done, &hash), detail)?;
        Ok(None)
    }

    /// The same where the process ended before it could look: rows may have come while a statement
    /// ran that was done.
    fn came_in_flight(
        &self,
        session: &mut dyn Session,
        (number, standing): (usize, &Standing),
    ) -> anyhow::Result<Option<End>> {
        let piece = (self.intent, number);
        let Some(failure) = late::left_aside(session, piece, &standing.began)? else {
            return Ok(None);
        };
        // The next run looks once more.
        self.mark(session, number, (State::Failed, ""), &failure.message)?;
        Ok(Some(End::Failed(failure)))
    }
}
