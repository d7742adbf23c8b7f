//! What a store holds of a conversation.

/// One stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The key, as text.
    pub key: String,
    /// The conversation's key, as text; absent when the mapping names none.
    pub conversation: Option<String>,
    /// Whose message it is.
    pub role: Role,
    /// The text.
    pub content: String,
    /// The status column's value; absent when the mapping names none.
    pub status: Option<String>,
}

/// Whose message it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The user's.
    User,
    /// The assistant's.
    Assistant,
    /// Another role, as the store spells it.
    Other(String),
}

impl Role {
    /// The word for it.
    pub fn word(&self) -> &str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Other(word) => word,
        }
    }
}
