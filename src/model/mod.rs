//! The nouns that all parts share. Names nothing else and does no input or output.

mod cell;
mod frame;
mod measured;
mod provider;
mod schema;
mod stored;

pub use cell::Cell;
pub use frame::Frame;
pub use frame::Line;
pub use frame::LineKind;
pub use measured::Measured;
pub use measured::MeasuredColumn;
pub use measured::MeasuredTable;
pub use provider::Call;
pub use provider::ProviderCall;
pub use schema::Column;
pub use schema::Table;
pub use stored::Role;
pub use stored::StoredMessage;
