//! What a statement may do to a transaction, by its text.
//!
//! The text decides only what may pass a closed gate: what can't be read is withheld.
//!
//! Sources: PostgreSQL manual, "SQL Commands"; MySQL manual, "Statements That Cause an Implicit
//! Commit"; MariaDB documentation, "SQL statements That Cause an Implicit Commit".

mod known;
#[cfg(test)]
mod tests;

use super::relay::Decision;
use crate::gate::commits::Carries;
use crate::sql::{Dialect, Lexer, TokenKind};

/// How much of a statement is shown to a person, in bytes.
const SHOWN: usize = 120;

/// Where a connection is, as far as a commit is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// No transaction is open: a statement that writes commits by itself.
    Idle,
    /// A transaction is open: only its end commits.
    Open,
    /// Tables are locked for writing (MySQL): nobody sees what is written before they are unlocked.
    Locked,
}

/// What a statement may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It changes only the session.
    Session,
    /// It reads, as far as can be told: a view or an operator may call a function that writes.
    Read,
    /// It reads, and calls a function that is not known to only read.
    Call,
    /// It writes, within the open transaction or as one of its own.
    Write,
    /// It writes rows that the client sends next: their end is what commits.
    CopyIn,
    /// It locks tables, which commits what is open and keeps others from reading.
    LockTables,
    UnlockTables,
    /// It opens a transaction; one that is open already may be committed by it.
    Begin,
    /// It ends a transaction without committing it.
    Rollback,
    /// It commits what is open.
    Commit,
    /// It may commit whatever is open: a procedure, DDL in MySQL, or what can't be read.
    Unknown,
}

impl Class {
    /// Whether it may commit something, on a connection in this state.
    pub(super) fn may_commit(self, status: Status, carries: Carries) -> bool {
        match (self, status) {
            (Self::Session | Self::Rollback | Self::CopyIn, _) => false,
            (Self::Read, Status::Idle) => carries == Carries::Answer,
            (Self::Write | Self::Call, status) => status == Status::Idle,
            (Self::Read, Status::Open | Status::Locked)
            | (Self::Begin | Self::LockTables, Status::Idle)
            | (Self::Commit, Status::Locked) => false,
            (Self::UnlockTables, status) => status == Status::Locked,
            (Self::Begin | Self::LockTables, Status::Open | Status::Locked)
            | (Self::Commit, Status::Idle | Status::Open)
            | (Self::Unknown, _) => true,
        }
    }

    /// The state that follows it.
    fn after(self, status: Status) -> Status {
        match self {
            Self::Begin => Status::Open,
            Self::LockTables => Status::Locked,
            Self::UnlockTables if status == Status::Locked => Status::Idle,
            Self::Commit | Self::Rollback if status == Status::Open => Status::Idle,
            Self::Commit
            | Self::Rollback
            | Self::UnlockTables
            | Self::Session
            | Self::Read
            | Self::Call
            | Self::Write
            | Self::CopyIn
            | Self::Unknown => status,
        }
    }

    /// Whether it writes in an open transaction. A function that only computes must not be taken for the
    /// first write.
    fn writes(self, before: Status, carries: Carries) -> bool {
        let writes = match self {
            Self::Write | Self::CopyIn => true,
            Self::Call => carries == Carries::Answer,
            Self::Session
            | Self::Read
            | Self::LockTables
            | Self::UnlockTables
            | Self::Begin
            | Self::Rollback
            | Self::Commit
            | Self::Unknown => false,
        };
        writes && before == Status::Open
    }
}

/// What a message may do, and the state that it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effect {
    /// Whether something may be committed by it.
    pub(super) may_commit: bool,
    /// Whether it writes in an open transaction.
    pub(super) writes: bool,
    /// Whether it commits nothing and keeps others from reading.
    pub(super) locks: bool,
    /// The state that follows.
    pub(super) after: Status,
}

impl Effect {
    /// Of one statement.
    pub(super) fn of(class: Class, before: Status, carries: Carries) -> Self {
        Self {
            may_commit: class.may_commit(before, carries),
            writes: class.writes(before, carries),
            locks: class == Class::LockTables,
            after: class.after(before),
        }
    }

    /// Of a text with any number of statements.
    pub(super) fn of_text(text: &str, dialect: Dialect, before: Status, carries: Carries) -> Self {
        let mut all = Self {
            may_commit: false,
            writes: false,
            locks: false,
            after: before,
        };
        for class in classes(text, dialect) {
            let one = Self::of(class, all.after, carries);
            all = Self {
                may_commit: all.may_commit || one.may_commit,
                writes: all.writes || one.writes,
                locks: all.locks || one.locks,
                after: one.after,
            };
        }
        all
    }

    /// What is to be done with a message that has it.
    pub(super) fn decision(self, shown: impl FnOnce() -> String) -> Decision {
        if self.may_commit {
            Decision::Commit(shown())
        } else if self.locks {
            Decision::Lock(shown())
        } else if self.writes {
            Decision::Write(shown())
        } else {
            Decision::Forward
        }
    }
}

/// What each statement of a text may do.
pub(super) fn classes(text: &str, dialect: Dialect) -> Vec<Class> {
    let mut classes = Vec::new();
    let mut statement = Words::default();
    // What a parenthesis would call.
    let mut name = "";
    for token in Lexer::new(text, dialect) {
        match token.kind {
            TokenKind::Comment => {}
            TokenKind::Semicolon | TokenKind::Delimiter => {
                classes.extend(std::mem::take(&mut statement).class(dialect));
            }
            TokenKind::CodeOpen | TokenKind::CodeClose | TokenKind::Unclosed => {
                statement.unreadable = true;
            }
            TokenKind::Word => statement.word(token.text(text)),
            TokenKind::Punct if token.text(text) == "(" => statement.opens(name),
            _ => statement.begun = true,
        }
        match token.kind {
            TokenKind::Comment => {}
            TokenKind::Word | TokenKind::QuotedName => name = token.text(text),
            _ => name = "",
        }
    }
    classes.extend(statement.class(dialect));
    classes
}

/// Words that change what a statement does, wherever they are in it.
#[derive(Debug, Default)]
struct Words {
    first: String,
    second: String,
    begun: bool,
    unreadable: bool,
    into: bool,
    writes: bool,
    analyzes: bool,
    to: bool,
    autocommit: bool,
    from_client: bool,
    calls: Calls,
}

/// The functions that a statement calls.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Calls {
    /// None but those that only read or compute.
    #[default]
    Known,
    /// One that may write.
    Unknown,
    /// One that may commit by itself, whatever transaction is open: it has a connection of its own.
    Apart,
}

impl Words {
    fn word(&mut self, word: &str) {
        if self.first.is_empty() && !self.begun {
            self.first = word.to_ascii_uppercase();
        } else if self.second.is_empty() {
            self.second = word.to_ascii_uppercase();
        }
        self.begun = true;
        let is = |other: &[&str]| other.iter().any(|other| word.eq_ignore_ascii_case(other));
        self.into |= is(&["INTO"]);
        // Also `FOR UPDATE` and `FOR SHARE`, which wait for other writers.
        self.writes |= is(&["INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "SHARE"]);
        self.analyzes |= is(&["ANALYZE", "ANALYSE"]);
        self.to |= is(&["TO"]);
        self.autocommit |= is(&["AUTOCOMMIT"]);
        self.from_client |= is(&["STDIN"]);
    }

    /// A parenthesis opens behind this name, or behind none.
    fn opens(&mut self, name: &str) {
        self.begun = true;
        if !name.is_empty() {
            let name = name.trim_matches(['"', '`']).to_ascii_lowercase();
            self.calls = self.calls.max(known::calls(&name));
        }
    }

    /// None when there is no statement.
    fn class(self, dialect: Dialect) -> Option<Class> {
        if self.unreadable {
            return Some(Class::Unknown);
        }
        if !self.begun {
            return None;
        }
        Some(match dialect {
            Dialect::Postgres | Dialect::Sqlite => self.postgres(),
            Dialect::Mysql => self.mysql(),
        })
    }

    fn query(&self) -> Class {
        match self.calls {
            Calls::Apart => Class::Unknown,
            Calls::Known | Calls::Unknown if self.into || self.writes => Class::Write,
            Calls::Unknown => Class::Call,
            Calls::Known => Class::Read,
        }
    }

    fn explain(&self) -> Class {
        if self.analyzes {
            Class::Write
        } else {
            Class::Read
        }
    }

    fn rollback(&self) -> Class {
        if self.to {
            Class::Session
        } else {
            Class::Rollback
        }
    }

    fn postgres(&self) -> Class {
        match (self.first.as_str(), self.second.as_str()) {
            // A parenthesis begins a query, and nothing else.
            ("SELECT" | "WITH" | "VALUES" | "TABLE" | "", _) => self.query(),
            ("EXPLAIN", _) => self.explain(),
            (
                "SHOW" | "SET" | "RESET" | "DECLARE" | "FETCH" | "MOVE" | "CLOSE" | "DEALLOCATE"
                | "DISCARD" | "LISTEN" | "UNLISTEN" | "SAVEPOINT" | "RELEASE" | "LOCK",
                _,
            ) => Class::Session,
            ("BEGIN" | "START", _) => Class::Begin,
            ("ROLLBACK", "PREPARED") => Class::Unknown,
            ("ROLLBACK" | "ABORT", _) => self.rollback(),
            ("COMMIT" | "END", _) | ("PREPARE", "TRANSACTION") => Class::Commit,
            ("PREPARE", _) => Class::Session,
            ("CALL" | "DO", _) => Class::Unknown,
            ("COPY", _) if self.from_client => Class::CopyIn,
            _ => Class::Write,
        }
    }

    fn mysql(&self) -> Class {
        match (self.first.as_str(), self.second.as_str()) {
            ("SELECT" | "WITH" | "VALUES" | "TABLE" | "", _) => self.query(),
            ("EXPLAIN" | "DESCRIBE" | "DESC", _) => self.explain(),
            ("BEGIN", "NOT") => Class::Unknown,
            // Switching autocommit on commits what is open.
            ("BEGIN" | "START", _) => Class::Begin,
            ("SET", _) if self.autocommit => Class::Begin,
            ("SET", "STATEMENT" | "PASSWORD") => Class::Unknown,
            ("SET", _) if self.calls > Calls::Known => Class::Call,
            ("LOCK", "TABLES" | "TABLE") => Class::LockTables,
            ("UNLOCK", "TABLES" | "TABLE") => Class::UnlockTables,
            ("SET" | "USE" | "SHOW" | "HELP" | "SAVEPOINT" | "RELEASE" | "DEALLOCATE", _)
            | ("PREPARE", _) => Class::Session,
            ("ROLLBACK", _) => self.rollback(),
            ("COMMIT", _) => Class::Commit,
            ("INSERT" | "UPDATE" | "DELETE" | "REPLACE", _) => Class::Write,
            _ => Class::Unknown,
        }
    }
}

/// A statement as a person is shown it: in one line, and shortened. Its texts stay in quotes that are
/// closed, so that they can be hidden.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut is_cut = false;
    for word in text.split_whitespace() {
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(word);
        if shown.len() > SHOWN {
            let cut = (0..=SHOWN).rev().find(|at| shown.is_char_boundary(*at));
            shown.truncate(cut.unwrap_or(0));
            is_cut = true;
            break;
        }
    }
    // MySQL's way to write a quote in a text.
    let mut shown = shown.replace(r"\'", "''");
    if is_cut {
        shown.push('…');
    }
    if shown.matches('\'').count() % 2 == 1 {
        shown.push('\'');
    }
    shown
}
