//! What passed on one connection, whatever the protocol.

use super::statement::{Class, shown};
use crate::gate::commits::{Carries, CommitOutcome};
use std::sync::Arc;

/// How many statements of a transaction are kept for the timeline.
const KEPT: usize = 20;

/// A statement that was prepared.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) class: Class,
    pub(super) shown: Arc<str>,
}

impl Prepared {
    pub(super) fn new(class: Class, text: &str) -> Self {
        let shown = shown(text).into();
        Self { class, shown }
    }

    /// One whose text did not pass; `what` describes it.
    pub(super) fn unknown(what: &str) -> Self {
        let class = Class::Unknown;
        let shown = what.into();
        Self { class, shown }
    }
}

/// What passed of the open transaction, and the last error.
#[derive(Debug)]
pub(super) struct Passed {
    /// Whether the nonce was seen in the open transaction.
    pub(super) carries: Carries,
    /// The statements of the open transaction, as far as they were read.
    pub(super) statements: Vec<String>,
    /// The last error of the database that is not reported yet.
    pub(super) failed: Option<String>,
}

impl Passed {
    pub(super) fn nothing() -> Self {
        Self {
            carries: Carries::Other,
            statements: Vec::new(),
            failed: None,
        }
    }

    pub(super) fn note(&mut self, statement: String) {
        if self.statements.len() < KEPT {
            self.statements.push(statement);
        }
    }

    /// The transaction has ended.
    pub(super) fn forget(&mut self) {
        self.carries = Carries::Other;
        self.statements.clear();
    }

    /// What became of what was answered last.
    pub(super) fn outcome(&mut self) -> CommitOutcome {
        match self.failed.take() {
            Some(words) => CommitOutcome::Failed(words),
            None => CommitOutcome::Done,
        }
    }
}
