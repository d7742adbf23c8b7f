//! What a session declares about interrupted turns.

/// How much of an answer has to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of it: the server reads its provider to the end.
    Whole,
    /// What the client had seen, marked as cut.
    Part,
    /// Nothing: the question is all that stays.
    Nothing,
}

/// One of the values of a key.
#[derive(Debug, PartialEq, Eq)]
pub struct Policy {
    /// As the session writes it.
    pub name: &'static str,
    /// What has to be stored of the answer. The question has to be stored in any case.
    pub keep: Keep,
}

/// The values of `on_disconnect`.
pub static ON_DISCONNECT: [Policy; 3] = [
    Policy {
        name: "finish",
        keep: Keep::Whole,
    },
    Policy {
        name: "keep-part",
        keep: Keep::Part,
    },
    Policy {
        name: "drop-answer",
        keep: Keep::Nothing,
    },
];

/// The values of `on_stop`.
pub static ON_STOP: [Policy; 3] = [
    Policy {
        name: "keep-whole",
        keep: Keep::Whole,
    },
    Policy {
        name: "keep-part",
        keep: Keep::Part,
    },
    Policy {
        name: "question-only",
        keep: Keep::Nothing,
    },
];
