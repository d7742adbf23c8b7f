//! The nouns that all parts share. Names nothing else and does no input or output.

mod cell;
mod frame;
mod provider;
mod schema;
mod shape;
mod stored;
mod value;

pub use cell::Cell;
pub use cell::CellRef;
pub use frame::Frame;
pub use frame::Line;
pub use frame::LineKind;
pub use provider::Call;
pub use provider::ProviderCall;
pub use schema::Column;
pub use schema::Table;
pub use shape::Case;
pub use shape::Compared;
pub use shape::ComparedColumn;
pub use shape::Content;
pub use shape::Derived;
pub use shape::Names;
pub use shape::Shape;
pub use shape::ShapeColumn;
pub use shape::Successor;
pub use stored::Conversation;
pub use stored::Listed;
pub use stored::Mark;
pub use stored::Role;
pub use stored::State;
pub use stored::StoredMessage;
pub use stored::ToolCall;
pub use value::Value;
