//! The answer of a provider.

use serde_json::Value;
use std::fmt;

/// The answer of a provider, put together from its chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The text; empty when the model only calls tools.
    pub text: String,
    /// The tool calls, in the order of their index.
    pub tool_calls: Vec<ToolCall>,
    /// The last reason given; absent when the stream was cut.
    pub finish_reason: Option<String>,
    /// Whether the format's final marker came.
    pub done: bool,
    /// An error that came in the stream.
    pub error: Option<Value>,
}

/// One tool call, put together from its deltas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The provider's id.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments, JSON as the model wrote it.
    pub arguments: String,
}

/// A cassette that does not say what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// Why not.
    pub message: String,
}

impl ProviderError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { message }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProviderError {}
