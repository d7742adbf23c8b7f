//! Requests that the server under test sent to its provider.

use std::collections::BTreeSet;

/// What a request was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// The turn's own request for an answer.
    Main,
    /// The turn's request, sent again.
    Retry,
    /// Another request for a completion during a turn: a title, a summary, a rewriting.
    Extra,
    /// A listing of models, a version, a count of tokens.
    Models,
    /// Embeddings of texts.
    Embeddings,
    /// One that was refused.
    Refused,
}

/// How the server's requests for a turn's answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderEnd {
    /// No request came.
    NotAsked,
    /// Some request is still being answered.
    Open,
    /// Every request was sent its whole answer. Whether the server read it nobody knows: it may be
    /// in the buffers of the connection.
    Whole,
    /// The server closed its connection before the end, after so many chunks.
    HungUp {
        /// How many chunks of the answer had been sent.
        chunks: usize,
    },
}

/// One message of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SentMessage {
    /// Whether the user said it.
    pub is_user: bool,
    pub text: String,
    /// The ids of the tool calls that it makes.
    pub calls: Vec<String>,
    /// The id of the call whose result it is.
    pub result_of: Option<String>,
}

/// A request to the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderCall {
    /// Method and path.
    pub line: String,
    /// What it was taken for.
    pub call: Call,
    /// How many messages it has.
    pub messages: usize,
    /// Which of chatctl's own marks are in them: tags of questions and nonces of answers. The texts
    /// are not kept: requests may be large, and many.
    pub marks: BTreeSet<String>,
    /// Why it was refused.
    pub refused: Option<String>,
}
