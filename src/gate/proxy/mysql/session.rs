//! The state of one connection, from the packets that passed. No I/O.
//!
//! Sources: MySQL internals, "Text Protocol", "Prepared Statements", "Binary Protocol Resultset";
//! MariaDB documentation, "COM_QUERY", "COM_STMT_PREPARE", "COM_STMT_BULK_EXECUTE".

#[cfg(test)]
mod tests;

use super::packet;
use super::packet::{BEGINS, CONTINUED};
use crate::gate::proxy::passed::{Passed, Prepared};
use crate::gate::proxy::relay::{
    CommitError, Decision, Drops, Header, Heard, Message, Refusal, Session,
};
use crate::gate::proxy::statement::{Class, Effect, Status, classes, shown};
use crate::sql::Dialect;
use std::collections::{HashMap, VecDeque};

/// So much of a database's packet tells everything but the words of a long error.
const ENOUGH: usize = 1 << 10;
/// `ER_QUERY_INTERRUPTED`: a statement was cancelled, and its transaction stays open.
const INTERRUPTED: u16 = 1317;
/// `ER_LOCK_DEADLOCK`: the whole transaction is rolled back.
const DEADLOCK: u16 = 1213;
/// The number of an error that only shows how far MariaDB is.
const PROGRESS: u16 = 0xffff;
/// The first byte of a response that asks for a file of the client.
const LOCAL_INFILE: u8 = 0xfb;
/// MariaDB's name for the statement that was prepared last.
const LAST_PREPARED: u32 = u32::MAX;

/// Status flags of the database.
mod status {
    pub(super) const IN_TRANSACTION: u16 = 0x0001;
    pub(super) const AUTOCOMMIT: u16 = 0x0002;
    pub(super) const MORE_RESULTS: u16 = 0x0008;
    pub(super) const CURSOR: u16 = 0x0040;
}

/// Commands of the client, by their first byte.
mod command {
    pub(super) const QUIT: u8 = 0x01;
    pub(super) const QUERY: u8 = 0x03;
    pub(super) const FIELD_LIST: u8 = 0x04;
    pub(super) const STATISTICS: u8 = 0x09;
    pub(super) const DEBUG: u8 = 0x0d;
    pub(super) const CHANGE_USER: u8 = 0x11;
    pub(super) const BINLOG_DUMP: u8 = 0x12;
    pub(super) const PREPARE: u8 = 0x16;
    pub(super) const EXECUTE: u8 = 0x17;
    pub(super) const SEND_LONG_DATA: u8 = 0x18;
    pub(super) const CLOSE: u8 = 0x19;
    pub(super) const SET_OPTION: u8 = 0x1b;
    pub(super) const FETCH: u8 = 0x1c;
    pub(super) const BULK_EXECUTE: u8 = 0xfa;
}

/// A connection, seen from between the server and its database.
#[derive(Debug)]
pub(super) struct Mysql {
    /// Whether a result's columns and rows end with an OK packet in place of two EOF packets.
    deprecates_eof: bool,
    status: Status,
    /// Whether the database says that a transaction is open.
    has_begun: bool,
    tables: Tables,
    /// Responses that are to come, the one under way first.
    to_come: VecDeque<Response>,
    /// The next packet of the database continues the one before.
    continued: bool,
    prepared: HashMap<u32, Prepared>,
    /// Statements whose numbers the database has not told yet.
    preparing: VecDeque<Prepared>,
    last_prepared: Option<Prepared>,
    passed: Passed,
}

/// What `LOCK TABLES` has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tables {
    /// Nothing.
    Free,
    /// It was sent.
    Asked,
    /// It locks tables.
    Locked,
    /// What unlocks them was sent.
    Released,
}

/// What comes next of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Response {
    /// OK, an error, or the number of a result's columns.
    Result,
    /// So many columns of a result, and then its rows.
    Columns(u64),
    /// The EOF packet behind the columns.
    ColumnsEnd,
    /// Rows, up to the packet that ends them.
    Rows,
    /// The answer to a statement that is prepared.
    Prepare,
    /// So many more packets.
    Packets(u64),
    /// Columns without their number, up to the packet that ends them.
    Fields,
    /// Whatever the login needs, up to OK or an error.
    Login,
}

impl Mysql {
    /// A connection right behind its login.
    pub(super) fn new(deprecates_eof: bool, status_flags: u16) -> Self {
        let mut new = Self {
            deprecates_eof,
            status: Status::Idle,
            has_begun: false,
            tables: Tables::Free,
            to_come: VecDeque::new(),
            continued: false,
            prepared: HashMap::new(),
            preparing: VecDeque::new(),
            last_prepared: None,
            passed: Passed::nothing(),
        };
        new.set_status(status_flags);
        new
    }

    fn set_status(&mut self, flags: u16) {
        let open = flags & status::IN_TRANSACTION != 0 || flags & status::AUTOCOMMIT == 0;
        self.status = if open { Status::Open } else { Status::Idle };
        self.has_begun = flags & status::IN_TRANSACTION != 0;
        self.tables = match self.tables {
            Tables::Asked | Tables::Locked => Tables::Locked,
            Tables::Released | Tables::Free => Tables::Free,
        };
        if !self.has_begun {
            self.passed.forget();
        }
    }

    /// Where the connection is.
    fn now(&self) -> Status {
        match self.tables {
            Tables::Locked => Status::Locked,
            Tables::Free | Tables::Asked | Tables::Released => self.status,
        }
    }

    /// Statements of these classes are sent.
    fn runs(&mut self, classes: &[Class]) {
        for class in classes {
            self.tables = match class {
                Class::LockTables => Tables::Asked,
                Class::UnlockTables | Class::Begin if self.tables != Tables::Free => {
                    Tables::Released
                }
                _ => self.tables,
            };
        }
    }

    /// The statement that a command runs; none when it runs none.
    fn statement(&self, body: &[u8]) -> Option<Prepared> {
        let (command, rest) = body.split_first()?;
        let number = || rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let prepared = match *command {
            command::EXECUTE | command::BULK_EXECUTE => match number()? {
                LAST_PREPARED => self.preparing.back().or(self.last_prepared.as_ref()),
                number => self.prepared.get(&number),
            },
            _ => return None,
        };
        let unknown = || Prepared::unknown("(a statement that was not seen)");
        Some(prepared.cloned().unwrap_or_else(unknown))
    }

    fn query(&self, text: &[u8], whole: bool) -> Decision {
        let Some(text) = std::str::from_utf8(text).ok().filter(|_| whole) else {
            return Decision::Commit("(a query that can't be read)".into());
        };
        let effect = |before| Effect::of_text(text, Dialect::Mysql, before, self.passed.carries);
        let mut found = effect(self.now());
        // With autocommit off, a lock commits only what has begun.
        if found.locks && !self.has_begun && self.tables == Tables::Free {
            found = effect(Status::Idle);
        }
        found.decision(|| shown(text))
    }

    fn prepare(&mut self, text: &[u8], whole: bool) {
        let text = String::from_utf8_lossy(text);
        let class = match classes(&text, Dialect::Mysql).as_slice() {
            [one] if whole => *one,
            _ => Class::Unknown,
        };
        self.preparing.push_back(Prepared::new(class, &text));
    }

    /// What follows of the response under way; none when it is over.
    fn follow(&mut self, response: Response, message: Message<'_>) -> Option<Response> {
        let Message { body, length, .. } = message;
        let first = body.first().copied();
        if first == Some(0xff) && !matches!(response, Response::Columns(_) | Response::Packets(_)) {
            return self.error(response, body);
        }
        match response {
            Response::Result => match first {
                Some(0x00) => self.end_of_result(packet::status_of_ok(body)),
                // The client sends a file, and then comes OK.
                Some(LOCAL_INFILE) => Some(Response::Result),
                _ => Some(Response::Columns(packet::number(body)?.0)),
            },
            Response::Columns(left) if left > 1 => Some(Response::Columns(left - 1)),
            Response::Columns(_) if self.deprecates_eof => Some(Response::Rows),
            Response::Columns(_) => Some(Response::ColumnsEnd),
            Response::ColumnsEnd => {
                let flags = packet::status_of_eof(body);
                if flags.is_some_and(|flags| flags & status::CURSOR != 0) {
                    self.end_of_result(flags)
                } else {
                    Some(Response::Rows)
                }
            }
            Response::Rows if first == Some(0xfe) && length < CONTINUED => {
                let flags = if self.deprecates_eof {
                    packet::status_of_ok(body)
                } else if length < 9 {
                    packet::status_of_eof(body)
                } else {
                    return Some(Response::Rows);
                };
                self.end_of_result(flags)
            }
            Response::Rows => Some(Response::Rows),
            Response::Prepare => self.prepared_as(body),
            Response::Packets(left) => (left > 1).then(|| Response::Packets(left - 1)),
            Response::Fields => (first != Some(0xfe)).then_some(Response::Fields),
            Response::Login if first == Some(0x00) => {
                self.prepared.clear();
                self.end_of_result(packet::status_of_ok(body))
            }
            Response::Login => Some(Response::Login),
        }
    }

    fn error(&mut self, response: Response, body: &[u8]) -> Option<Response> {
        let (code, words) = packet::words_of_error(body);
        if code == PROGRESS {
            return Some(response);
        }
        if response == Response::Prepare {
            self.preparing.pop_front();
        }
        self.tables = match self.tables {
            Tables::Asked | Tables::Free => Tables::Free,
            Tables::Locked | Tables::Released => Tables::Locked,
        };
        if code == DEADLOCK {
            self.passed.forget();
        }
        self.passed.failed = Some(words);
        None
    }

    fn end_of_result(&mut self, flags: Option<u16>) -> Option<Response> {
        let flags = flags?;
        self.set_status(flags);
        (flags & status::MORE_RESULTS != 0).then_some(Response::Result)
    }

    /// The database tells a statement's number: OK, number, columns, parameters.
    fn prepared_as(&mut self, body: &[u8]) -> Option<Response> {
        let prepared = self.preparing.pop_front()?;
        let number = u32::from_le_bytes(*body.get(1..)?.first_chunk()?);
        let count = |at: usize| {
            let bytes = body.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u64::from(u16::from_le_bytes(*bytes)))
        };
        self.last_prepared = Some(prepared.clone());
        self.prepared.insert(number, prepared);
        // Each of the two lists has an end of its own, where there are such ends.
        let packets = |count| match count {
            0 => 0,
            count if self.deprecates_eof => count,
            count => count + 1,
        };
        let packets = packets(count(5)) + packets(count(7));
        (packets > 0).then_some(Response::Packets(packets))
    }
}

/// A statement that changes nothing.
const DO_NOTHING: &str = "DO 0";

fn query(text: &str) -> Vec<u8> {
    packet::packet(0, &[&[command::QUERY], text.as_bytes()].concat())
}

fn interrupted() -> Vec<u8> {
    packet::error(INTERRUPTED, "70100", "Query execution was interrupted")
}

/// The number of the connection whose statement this one cancels.
fn cancelled_by(text: &str) -> Option<u64> {
    let words = text.trim().trim_end_matches(';').to_ascii_uppercase();
    let words: Vec<_> = words.split_ascii_whitespace().collect();
    match words.as_slice() {
        ["KILL", "QUERY", number] | ["KILL", "HARD" | "SOFT", "QUERY", number] => {
            number.parse().ok()
        }
        _ => None,
    }
}

impl Session for Mysql {
    fn header(bytes: &[u8]) -> anyhow::Result<Option<Header>> {
        Ok(packet::header(bytes))
    }

    fn decide(&self, message: Message<'_>) -> Decision {
        if message.kind != BEGINS {
            return Decision::Forward;
        }
        match message.body.split_first() {
            Some((&(command::QUERY | command::EXECUTE | command::BULK_EXECUTE), _))
                if self.is_busy() =>
            {
                Decision::Wait
            }
            Some((&command::QUERY, text)) => self.query(text, message.is_whole()),
            Some((&(command::EXECUTE | command::BULK_EXECUTE), _)) => {
                match self.statement(message.body) {
                    Some(statement) => Effect::of(statement.class, self.now(), self.passed.carries)
                        .decision(|| statement.shown.to_string()),
                    None => Decision::Forward,
                }
            }
            _ => Decision::Forward,
        }
    }

    fn forwarded(&mut self, message: Message<'_>, reads: bool) {
        let (BEGINS, Some((command, rest))) = (message.kind, message.body.split_first()) else {
            return;
        };
        let response = match *command {
            command::QUIT | command::SEND_LONG_DATA => return,
            command::CLOSE => {
                if let Some(number) = rest.first_chunk() {
                    self.prepared.remove(&u32::from_le_bytes(*number));
                }
                return;
            }
            command::QUERY => {
                // Tables that are known to be locked are unlocked behind an open gate too.
                if reads || self.tables != Tables::Free {
                    let text = String::from_utf8_lossy(rest);
                    self.runs(&classes(&text, Dialect::Mysql));
                    if reads {
                        self.passed.note(shown(&text));
                    }
                }
                Response::Result
            }
            command::EXECUTE | command::BULK_EXECUTE => {
                if let Some(statement) = self.statement(message.body) {
                    self.runs(&[statement.class]);
                    if reads {
                        self.passed.note(statement.shown.to_string());
                    }
                }
                Response::Result
            }
            command::PREPARE => {
                self.prepare(rest, message.is_whole());
                Response::Prepare
            }
            command::FETCH => Response::Rows,
            command::FIELD_LIST => Response::Fields,
            command::CHANGE_USER => Response::Login,
            command::STATISTICS | command::DEBUG | command::SET_OPTION => Response::Packets(1),
            // Replication: what follows has no end.
            command::BINLOG_DUMP => Response::Packets(u64::MAX),
            _ => Response::Result,
        };
        self.to_come.push_back(response);
    }

    fn needs_more(header: Header, there: usize) -> bool {
        there < header.length.min(ENOUGH)
    }

    fn hear(&mut self, message: Message<'_>) -> Heard {
        let continues = std::mem::replace(&mut self.continued, message.length == CONTINUED);
        if continues {
            return Heard::Other;
        }
        let Some(response) = self.to_come.pop_front() else {
            return Heard::Other;
        };
        let asks = response == Response::Result && message.body.first() == Some(&LOCAL_INFILE);
        match self.follow(response, message) {
            Some(next) => {
                self.to_come.push_front(next);
                if asks {
                    return Heard::Asks;
                }
            }
            None if self.to_come.is_empty() => return Heard::Ready,
            None => {}
        }
        Heard::Other
    }

    fn is_busy(&self) -> bool {
        !self.to_come.is_empty()
    }

    fn passed(&mut self) -> &mut Passed {
        &mut self.passed
    }

    fn cancels(message: Message<'_>) -> Option<(u64, Vec<u8>)> {
        let (command, text) = message.body.split_first()?;
        let is_query = message.kind == BEGINS && *command == command::QUERY && message.is_whole();
        let text = std::str::from_utf8(text).ok().filter(|_| is_query)?;
        Some((cancelled_by(text)?, query(DO_NOTHING)))
    }

    fn stays_open(&self, message: Message<'_>) -> bool {
        let ends = match message.body.split_first() {
            Some((&command::QUERY, text)) => {
                let text = String::from_utf8_lossy(text);
                classes(&text, Dialect::Mysql).contains(&Class::Commit)
            }
            _ => {
                let statement = self.statement(message.body);
                statement.is_some_and(|statement| statement.class == Class::Commit)
            }
        };
        self.now() != Status::Idle && !ends
    }

    fn commit_error(&mut self, why: Refusal, _kind: u8) -> CommitError {
        self.to_come.push_back(Response::Result);
        let (instead, error) = match why {
            Refusal::OnPurpose => {
                let words = "Deadlock found when trying to get lock: chatctl makes this commit fail on purpose";
                ("ROLLBACK", packet::error(DEADLOCK, "40001", words))
            }
            Refusal::Cancelled => ("ROLLBACK", interrupted()),
            Refusal::CancelledInside => (DO_NOTHING, interrupted()),
        };
        CommitError {
            to_database: query(instead),
            to_server: packet::packet(1, &error),
            drops: Drops::Message,
        }
    }

    fn ends_group(_kind: u8) -> bool {
        true
    }
}
