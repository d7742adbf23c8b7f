//! The state of one connection, from the messages that passed. No I/O.
//!
//! Sources: PostgreSQL manual, "Message Flow" (extended query, pipelining, COPY) and
//! "Multiple Statements in a Simple Query".

#[cfg(test)]
mod tests;

use super::frame;
use crate::gate::proxy::passed::{Passed, Prepared};
use crate::gate::proxy::relay::{
    CommitError, Decision, Drops, Header, Heard, Message, Refusal, Session,
};
use crate::gate::proxy::statement::{Class, Effect, Status, classes, shown};
use crate::sql::Dialect;
use std::collections::HashMap;
use std::sync::Arc;

/// A connection, seen from between the server and its database.
#[derive(Debug)]
pub(super) struct Postgres {
    /// By the last `ReadyForQuery`.
    status: Status,
    /// Where the group of messages under way leads; absent at its beginning.
    ahead: Option<Status>,
    /// How many `ReadyForQuery` are to come.
    in_flight: u32,
    /// What is written outside of a transaction is committed by the group's `Sync`.
    implicit: Option<Arc<str>>,
    prepared: HashMap<Vec<u8>, Prepared>,
    portals: HashMap<Vec<u8>, Prepared>,
    copying: Copying,
    /// The COPY under way whose last row commits.
    copy_commits: Option<Arc<str>>,
    passed: Passed,
    /// The last message that asked for a `ReadyForQuery`.
    boundary: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copying {
    No,
    /// The client sends data: a `Sync` meanwhile is ignored by the database.
    In,
}

impl Postgres {
    /// A connection right behind its login.
    pub(super) fn new() -> Self {
        Self {
            status: Status::Idle,
            ahead: None,
            // The first one comes after the login.
            in_flight: 1,
            implicit: None,
            prepared: HashMap::new(),
            portals: HashMap::new(),
            copying: Copying::No,
            copy_commits: None,
            passed: Passed::nothing(),
            boundary: 0,
        }
    }

    fn now(&self) -> Status {
        self.ahead.unwrap_or(self.status)
    }

    fn query(&self, message: Message<'_>) -> Decision {
        let Some(text) = text_of(message) else {
            return Decision::Commit("(a query that can't be read)".into());
        };
        Effect::of_text(text, Dialect::Postgres, self.now(), self.passed.carries)
            .decision(|| shown(text))
    }

    fn run(&self, body: &[u8]) -> Decision {
        let Some(portal) = self.portal(body) else {
            return Decision::Commit("(a statement that was not seen)".into());
        };
        match (portal.class, self.now()) {
            // Outside of a transaction it is the group's `Sync` that commits.
            (Class::Read | Class::Call | Class::Write, Status::Idle) => Decision::Forward,
            (class, now) => {
                Effect::of(class, now, self.passed.carries).decision(|| portal.shown.to_string())
            }
        }
    }

    fn portal(&self, body: &[u8]) -> Option<&Prepared> {
        self.portals.get(frame::text(body)?.0)
    }

    fn group_ends(&mut self, boundary: u8) {
        self.boundary = boundary;
        self.in_flight += 1;
        self.ahead = None;
        self.implicit = None;
    }

    fn parse(&mut self, message: Message<'_>) {
        let Some((name, rest)) = frame::text(message.body) else {
            return;
        };
        let text = frame::text(rest).map_or(rest, |(text, _)| text);
        let text = String::from_utf8_lossy(text);
        // A prepared statement is one statement.
        let class = match classes(&text, Dialect::Postgres).as_slice() {
            _ if !message.is_whole() => Class::Unknown,
            [] => Class::Session,
            [one] => *one,
            _ => Class::Unknown,
        };
        let prepared = Prepared::new(class, &text);
        self.prepared.insert(name.to_vec(), prepared);
    }

    fn bind(&mut self, body: &[u8]) {
        let Some((portal, rest)) = frame::text(body) else {
            return;
        };
        let Some((name, _)) = frame::text(rest) else {
            return;
        };
        // One that was prepared in SQL, or before the proxy read along, is not known.
        let unknown = || Prepared::unknown("(a statement that was prepared elsewhere)");
        let prepared = self.prepared.get(name).cloned();
        let prepared = prepared.unwrap_or_else(unknown);
        self.portals.insert(portal.to_vec(), prepared);
    }

    fn close(&mut self, body: &[u8]) {
        let Some((what, rest)) = body.split_first() else {
            return;
        };
        let Some((name, _)) = frame::text(rest) else {
            return;
        };
        match what {
            b'S' => self.prepared.remove(name),
            _ => self.portals.remove(name),
        };
    }

    fn execute(&mut self, body: &[u8], reads: bool) {
        let Some(portal) = self.portal(body).cloned() else {
            return;
        };
        let effect = Effect::of(portal.class, self.now(), self.passed.carries);
        if self.now() == Status::Idle && effect.may_commit {
            self.implicit = Some(Arc::clone(&portal.shown));
        }
        if self.now() == Status::Idle && portal.class == Class::CopyIn {
            self.copy_commits = Some(Arc::clone(&portal.shown));
        }
        self.ahead = Some(effect.after);
        if reads {
            self.passed.note(portal.shown.to_string());
        }
    }

    /// A text that is sent in one piece is committed as one, behind the rows that it asks for. What of it comes
    /// before or behind them may also be in a transaction; then nothing is committed at their end.
    fn query_copies(&mut self, text: &str) {
        let classes = classes(text, Dialect::Postgres);
        let alone = self.now() == Status::Open && classes.len() == 1;
        if classes.contains(&Class::CopyIn) && !alone {
            self.copy_commits = Some(shown(text).into());
        }
    }
}

/// The text of a query, where it can be read.
fn text_of(message: Message<'_>) -> Option<&str> {
    let (text, _) = frame::text(message.body).filter(|_| message.is_whole())?;
    std::str::from_utf8(text).ok()
}

impl Session for Postgres {
    fn header(bytes: &[u8]) -> anyhow::Result<Option<Header>> {
        frame::header(bytes)
    }

    fn decide(&self, message: Message<'_>) -> Decision {
        match message.kind {
            b'Q' | b'E' | b'S' | b'F' if self.in_flight > 0 => Decision::Wait,
            b'Q' => self.query(message),
            b'E' => self.run(message.body),
            b'S' if self.copying == Copying::No && self.now() == Status::Idle => {
                let implicit = self.implicit.as_ref().map(ToString::to_string);
                implicit.map_or(Decision::Forward, Decision::Commit)
            }
            b'F' if self.now() == Status::Idle => Decision::Commit("(a function call)".into()),
            b'c' => {
                let copy = self.copy_commits.as_ref().map(ToString::to_string);
                copy.map_or(Decision::Forward, Decision::Commit)
            }
            _ => Decision::Forward,
        }
    }

    fn forwarded(&mut self, message: Message<'_>, reads: bool) {
        match message.kind {
            b'P' => self.parse(message),
            b'B' => self.bind(message.body),
            b'C' => self.close(message.body),
            b'E' => self.execute(message.body, reads),
            b'Q' => {
                if reads && let Some((text, _)) = frame::text(message.body) {
                    let text = String::from_utf8_lossy(text);
                    self.query_copies(&text);
                    self.passed.note(shown(&text));
                }
                self.group_ends(b'Q');
            }
            b'S' if self.copying == Copying::In => {}
            kind @ (b'S' | b'F') => self.group_ends(kind),
            b'c' | b'f' => self.copying = Copying::No,
            _ => {}
        }
    }

    fn needs_more(header: Header, _there: usize) -> bool {
        matches!(header.kind, b'Z' | b'E' | b'K')
    }

    fn hear(&mut self, message: Message<'_>) -> Heard {
        match message.kind {
            b'Z' => {
                self.status = if message.body.first() == Some(&b'I') {
                    Status::Idle
                } else {
                    Status::Open
                };
                self.in_flight = self.in_flight.saturating_sub(1);
                self.copying = Copying::No;
                self.copy_commits = None;
                if self.status == Status::Idle && self.in_flight == 0 {
                    self.passed.forget();
                    self.portals.clear();
                }
                if self.in_flight == 0 {
                    return Heard::Ready;
                }
            }
            b'E' => self.passed.failed = Some(frame::words_of_error(message.body)),
            b'G' => {
                self.copying = Copying::In;
                // The `Sync` that was sent behind the statement is ignored.
                if self.boundary == b'S' {
                    self.in_flight = self.in_flight.saturating_sub(1);
                }
                return Heard::Asks;
            }
            b'W' => return Heard::Raw,
            b'K' => return frame::key(message.body).map_or(Heard::Other, Heard::Key),
            _ => {}
        }
        Heard::Other
    }

    fn is_busy(&self) -> bool {
        self.in_flight > 0
    }

    fn passed(&mut self) -> &mut Passed {
        &mut self.passed
    }

    fn stays_open(&self, message: Message<'_>) -> bool {
        let classes = match message.kind {
            b'Q' => text_of(message).map(|text| classes(text, Dialect::Postgres)),
            b'E' => self.portal(message.body).map(|portal| vec![portal.class]),
            _ => return false,
        };
        let ends = classes.is_some_and(|classes| classes.contains(&Class::Commit));
        self.now() == Status::Open && !ends
    }

    fn commit_error(&mut self, why: Refusal, kind: u8) -> CommitError {
        let (state, words) = match why {
            Refusal::OnPurpose => (
                "40001",
                "could not serialize access: chatctl makes this commit fail on purpose",
            ),
            Refusal::Cancelled | Refusal::CancelledInside => {
                ("57014", "canceling statement due to user request")
            }
        };
        let mut to_server = frame::error("ERROR", state, words);
        // The database is ready once, after the rollback.
        let is_inside = why == Refusal::CancelledInside;
        to_server.extend(frame::ready(is_inside));
        let instead = if is_inside {
            frame::failing()
        } else {
            frame::rollback()
        };
        let (to_database, drops) = match (kind, self.boundary) {
            // The query waits for its rows: they are what fails.
            (b'c', b'Q') => (frame::copy_fail(), Drops::Message),
            (b'c', _) => {
                self.group_ends(b'S');
                ([frame::copy_fail(), frame::sync()].concat(), Drops::Group)
            }
            (b'E', _) => {
                self.group_ends(b'Q');
                (instead, Drops::Group)
            }
            _ => {
                self.group_ends(b'Q');
                (instead, Drops::Message)
            }
        };
        CommitError {
            to_database,
            to_server,
            drops,
        }
    }

    fn ends_group(kind: u8) -> bool {
        kind == b'S'
    }
}
