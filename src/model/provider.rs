//! Requests that the server under test sent to its provider.

/// What a request was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// The turn's own request for an answer.
    Main,
    /// The turn's request, sent again.
    Retry,
    /// Another request for a completion during a turn: a title, a summary, a rewriting.
    Extra,
    /// A listing of models.
    Models,
    /// Nothing that a cassette answers.
    Unmatched,
}

/// A request to the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderCall {
    /// Method and path.
    pub line: String,
    /// What it was taken for.
    pub call: Call,
    /// The texts of its messages, in order.
    pub messages: Vec<String>,
}
