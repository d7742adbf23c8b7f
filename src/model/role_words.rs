//! The role of a message, in the spellings that many products share.

use super::Role;

/// Spellings that are known without being told.
const KNOWN: &[(&str, &str)] = &[
    ("user", "user"),
    ("human", "user"),
    ("user_message", "user"),
    ("usermessage", "user"),
    ("humanmessage", "user"),
    ("assistant", "assistant"),
    ("ai", "assistant"),
    ("bot", "assistant"),
    ("model", "assistant"),
    ("agent", "assistant"),
    ("assistant_message", "assistant"),
    ("apimessage", "assistant"),
    ("aimessage", "assistant"),
    ("system", "system"),
    ("developer", "system"),
    ("systemmessage", "system"),
    ("tool", "tool"),
    ("function", "tool"),
    ("toolmessage", "tool"),
];

/// What a word for a role means, where that is known without being told: `user`, `assistant`, `system` or `tool`.
pub fn known_role(value: &str) -> Option<&'static str> {
    let lower = value.to_lowercase();
    let row = KNOWN.iter().find(|(spelling, _)| *spelling == lower);
    row.map(|(_, role)| *role)
}

/// Whether a word for a role is known to be of the other side of a chat.
pub fn contradicts(value: &str, who: &Role) -> bool {
    matches!(
        (who, known_role(value)),
        (Role::User, Some("assistant")) | (Role::Assistant, Some("user"))
    )
}
