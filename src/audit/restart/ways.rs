//! The ways to restart a server.

use crate::stream::run::Until;

/// What is done to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// SIGTERM, and SIGKILL for one that does not end.
    Terminate,
    /// SIGKILL.
    Kill,
    /// A source file is touched.
    Touch,
    /// The user's own command is run.
    Command,
}

/// A way to restart.
#[derive(Debug, PartialEq, Eq)]
pub struct Way {
    /// The name in reports and on the command line.
    pub name: &'static str,
    /// How far the last answer has come when it is done.
    pub(super) until: Until,
    pub(super) deed: Deed,
    /// What is said of it in a finding: "after …".
    pub(super) words: &'static str,
}

/// Every way to restart a server that chatctl starts.
pub static ALL: &[Way] = &[
    Way {
        name: "term",
        until: Until::Over,
        deed: Deed::Terminate,
        words: "SIGTERM and a new start",
    },
    Way {
        name: "kill",
        until: Until::Over,
        deed: Deed::Kill,
        words: "SIGKILL and a new start",
    },
    Way {
        name: "kill-at-final",
        until: Until::Final,
        deed: Deed::Kill,
        words: "SIGKILL at the final marker and a new start",
    },
    Way {
        name: "kill-in-stream",
        until: Until::Middle,
        deed: Deed::Kill,
        words: "SIGKILL in the middle of an answer and a new start",
    },
    Way {
        name: "term-in-stream",
        until: Until::Middle,
        deed: Deed::Terminate,
        words: "SIGTERM in the middle of an answer and a new start",
    },
    Way {
        name: "reload",
        until: Until::Over,
        deed: Deed::Touch,
        words: "a reload",
    },
];

/// The user's own restart command.
pub static COMMAND: Way = Way {
    name: "command",
    until: Until::Over,
    deed: Deed::Command,
    words: "the restart command",
};

impl Way {
    /// Whether chatctl ends the server and starts it again.
    pub(super) fn restarts(&self) -> bool {
        [Deed::Kill, Deed::Terminate].contains(&self.deed)
    }

    /// Whether the server has no time to put anything in order.
    pub(super) fn kills(&self) -> bool {
        self.deed == Deed::Kill
    }
}
