//! Which records of a history belong to the conversation.

use super::RememberedTurn;
use crate::stream::marks;
use crate::stream::session::Remembered;

/// Whether a history shows one chat for all conversations, or for several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Shows {
    /// What was said in the conversation, and no other.
    One,
    /// What was said in others too.
    Others,
}

/// The records that are to be compared with what was said. What is before the first of them was
/// there before the first turn: a greeting, or the end of another conversation.
pub(in super::super) fn own(
    told: &[RememberedTurn],
    records: &[Remembered],
    shows: Shows,
) -> Vec<Remembered> {
    let begins = records
        .iter()
        .position(|record| is_own(told, &record.content));
    let records = begins.map_or(&[][..], |begins| &records[begins..]);
    let counts =
        |record: &&Remembered| shows == Shows::One || !is_of_another(told, &record.content);
    records.iter().filter(counts).cloned().collect()
}

fn is_own(told: &[RememberedTurn], text: &str) -> bool {
    let holds = |mark: &String| text.contains(mark.as_str());
    told.iter()
        .any(|turn| holds(&turn.tag) || holds(&turn.nonce))
}

/// Whether chatctl said it, and elsewhere.
pub(in super::super) fn is_of_another(told: &[RememberedTurn], text: &str) -> bool {
    !marks::of(text).is_empty() && !is_own(told, text)
}
