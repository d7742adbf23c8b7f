//! The same chat, stored twice: the messages that only one place has.

use crate::model::{Role, StoredMessage};
use std::collections::HashMap;

/// A message that is not in both places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDifference {
    /// The message, as the place that has it keeps it.
    pub message: StoredMessage,
    /// Whether the first place has it; else the other one.
    pub in_first: bool,
}

/// The messages of either side that are in only one of two places, by role and text.
/// What is still being written, failed or deleted may differ while it is so.
pub fn reconcile(first: &[StoredMessage], other: &[StoredMessage]) -> Vec<MessageDifference> {
    let mut differences = Vec::new();
    for (have, lack, in_first) in [(first, other, true), (other, first, false)] {
        let mut there: HashMap<(&str, &str), usize> = HashMap::new();
        for message in lack {
            *there.entry(role_and_text(message)).or_default() += 1;
        }
        for message in have.iter().filter(|message| counts(message)) {
            match there.get_mut(&role_and_text(message)) {
                Some(count) if *count > 0 => *count -= 1,
                _ => differences.push(MessageDifference {
                    message: message.clone(),
                    in_first,
                }),
            }
        }
    }
    differences
}

fn role_and_text(message: &StoredMessage) -> (&str, &str) {
    (message.role.word(), message.content.trim())
}

fn counts(message: &StoredMessage) -> bool {
    message.state == crate::model::State::Whole && !matches!(message.role, Role::Other(_))
}

#[cfg(test)]
mod tests {
    use super::reconcile;
    use crate::model::{Role, State, StoredMessage};

    #[test]
    fn what_is_in_one_place_only_is_reported() {
        let message = |text: &str| StoredMessage::new(text, Role::User, text);
        let open = StoredMessage {
            state: State::Open,
            ..message("open")
        };
        let first = [message("a"), message("a"), message("b"), open];
        let other = [message("a "), message("b"), message("c")];
        let told: Vec<_> = reconcile(&first, &other)
            .into_iter()
            .map(|difference| (difference.message.content, difference.in_first))
            .collect();
        assert_eq!(told, [("a".to_owned(), true), ("c".to_owned(), false)]);
        assert_eq!(reconcile(&first, &first), []);
    }
}
