//! The methods to restart a server.

use crate::stream::faults::Point;
use crate::stream::run::Interruption;

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

/// When it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// The response is over.
    Over,
    /// The client has received the final marker.
    Final,
    /// The turn has come to this place.
    At(Interruption),
}

impl When {
    /// Whether a turn is under way then.
    pub(super) const fn is_in_a_turn(self) -> bool {
        match self {
            Self::Over | Self::Final => false,
            Self::At(_) => true,
        }
    }

    /// What continues half a second after SIGTERM.
    pub(super) fn goes_on(self) -> &'static str {
        match self {
            Self::At(place) if place.is_at_commit() => "commits are let through",
            Self::Over | Self::Final | Self::At(_) => "the provider continues its answer",
        }
    }
}

/// A way to restart.
#[derive(Debug, PartialEq, Eq)]
pub struct Way {
    /// The name in reports and on the command line.
    pub name: &'static str,
    /// When it is done.
    pub(super) when: When,
    pub(super) deed: Deed,
    /// What is said of it in a finding: "after …".
    pub(super) words: &'static str,
}

/// Every way to restart a server that chatctl starts.
pub static ALL: &[Way] = &[
    Way {
        name: "term",
        when: When::Over,
        deed: Deed::Terminate,
        words: "SIGTERM and a restart",
    },
    Way {
        name: "kill",
        when: When::Over,
        deed: Deed::Kill,
        words: "SIGKILL and a restart",
    },
    Way {
        name: "kill-at-final",
        when: When::Final,
        deed: Deed::Kill,
        words: "SIGKILL at the final marker and a restart",
    },
    Way {
        name: "kill-in-stream",
        when: When::At(Interruption::InStream),
        deed: Deed::Kill,
        words: "SIGKILL in the middle of an answer and a restart",
    },
    Way {
        name: "term-in-stream",
        when: When::At(Interruption::InStream),
        deed: Deed::Terminate,
        words: "SIGTERM in the middle of an answer and a restart",
    },
    Way {
        name: "kill-in-tool",
        when: When::At(Interruption::At(Point::InTool)),
        deed: Deed::Kill,
        words: "SIGKILL within a tool call and a restart",
    },
    Way {
        name: "term-in-tool",
        when: When::At(Interruption::At(Point::InTool)),
        deed: Deed::Terminate,
        words: "SIGTERM within a tool call and a restart",
    },
    Way {
        name: "kill-between-steps",
        when: When::At(Interruption::At(Point::BetweenSteps)),
        deed: Deed::Kill,
        words: "SIGKILL between two steps of a turn and a restart",
    },
    Way {
        name: "term-between-steps",
        when: When::At(Interruption::At(Point::BetweenSteps)),
        deed: Deed::Terminate,
        words: "SIGTERM between two steps of a turn and a restart",
    },
    Way {
        name: "kill-at-text-complete",
        when: When::At(Interruption::At(Point::TextComplete)),
        deed: Deed::Kill,
        words: "SIGKILL at the end of an answer's text and a restart",
    },
    Way {
        name: "term-at-text-complete",
        when: When::At(Interruption::At(Point::TextComplete)),
        deed: Deed::Terminate,
        words: "SIGTERM at the end of an answer's text and a restart",
    },
    Way {
        name: "kill-before-commit",
        when: When::At(Interruption::BeforeCommit),
        deed: Deed::Kill,
        words: "SIGKILL before an answer's commit and a restart",
    },
    Way {
        name: "term-before-commit",
        when: When::At(Interruption::BeforeCommit),
        deed: Deed::Terminate,
        words: "SIGTERM before an answer's commit and a restart",
    },
    Way {
        name: "kill-after-commit",
        when: When::At(Interruption::AfterCommit),
        deed: Deed::Kill,
        words: "SIGKILL right after an answer's commit and a restart",
    },
    Way {
        name: "term-after-commit",
        when: When::At(Interruption::AfterCommit),
        deed: Deed::Terminate,
        words: "SIGTERM right after an answer's commit and a restart",
    },
    Way {
        name: "kill-at-approval",
        when: When::At(Interruption::AtApproval),
        deed: Deed::Kill,
        words: "SIGKILL while a call waits for approval and a restart",
    },
    Way {
        name: "term-at-approval",
        when: When::At(Interruption::AtApproval),
        deed: Deed::Terminate,
        words: "SIGTERM while a call waits for approval and a restart",
    },
    Way {
        name: "reload",
        when: When::Over,
        deed: Deed::Touch,
        words: "a reload",
    },
];

/// The user's own restart command.
pub static COMMAND: Way = Way {
    name: "command",
    when: When::Over,
    deed: Deed::Command,
    words: "the restart command",
};

impl Way {
    /// Whether chatctl ends the server and starts it again.
    pub(super) fn restarts(&self) -> bool {
        [Deed::Kill, Deed::Terminate].contains(&self.deed)
    }

    /// Whether the server's commits have to be withheld for it.
    pub fn withholds_commits(&self) -> bool {
        match self.when {
            When::At(place) => place.is_at_commit(),
            When::Over | When::Final => false,
        }
    }

    /// Whether it needs a turn in which the model calls tools.
    pub fn needs_tools(&self) -> bool {
        match self.when {
            When::At(place) => place.is_at_tools(),
            When::Over | When::Final => false,
        }
    }

    /// Whether it needs a turn that waits for the user's approval.
    pub fn needs_approval(&self) -> bool {
        self.when == When::At(Interruption::AtApproval)
    }

    /// Whether the server has no time to put anything in order.
    pub(super) fn kills(&self) -> bool {
        self.deed == Deed::Kill
    }
}
