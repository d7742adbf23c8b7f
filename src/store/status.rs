//! Words in a status column that say whether a message is finished.

use crate::model::Mark;

/// Words that chat servers write when a message is finished. Words that may be there from the
/// beginning, like `sent` or `active`, are not among them.
const FINISHED: &[&str] = &[
    "complete",
    "completed",
    "done",
    "final",
    "finalized",
    "finished",
    "success",
    "succeeded",
];

/// Words that they write while it is being written.
const WRITING: &[&str] = &[
    "generating",
    "in progress",
    "in-progress",
    "in_progress",
    "pending",
    "processing",
    "queued",
    "running",
    "streaming",
    "writing",
];

/// Words that they write for a while, or for good where an answer ended early.
const PARTIAL: &[&str] = &["incomplete", "partial"];

/// The words, in lower case, of what may still be written to.
pub(super) fn unfinished() -> impl Iterator<Item = &'static str> {
    WRITING.iter().chain(PARTIAL).copied()
}

/// What a status says.
pub(super) fn mark(status: &str) -> Mark {
    let status = status.trim();
    let is_in = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(status));
    if is_in(FINISHED) {
        Mark::Finished
    } else if is_in(WRITING) {
        Mark::Writing
    } else if is_in(PARTIAL) {
        Mark::Partial
    } else {
        Mark::None
    }
}

#[cfg(test)]
mod tests {
    use super::mark;
    use crate::model::Mark;

    #[test]
    fn only_words_that_leave_no_doubt_count() {
        for word in ["complete", "DONE", " finished "] {
            assert_eq!(mark(word), Mark::Finished, "{word}");
        }
        for word in ["streaming", "IN_PROGRESS", "in-progress"] {
            assert_eq!(mark(word), Mark::Writing, "{word}");
        }
        for word in ["partial", "Incomplete"] {
            assert_eq!(mark(word), Mark::Partial, "{word}");
        }
        for word in ["", "sent", "active", "1", "not done", "interrupted"] {
            assert_eq!(mark(word), Mark::None, "{word}");
        }
    }
}
