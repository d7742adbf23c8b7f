//! The types that all modules share. Depends on no other module and does no input or output.

mod action;
mod cell;
mod dependent;
mod engine;
pub mod epoch;
mod frame;
mod numbering;
mod order_key;
mod provider;
mod role_words;
mod schema;
mod shape;
mod stored;
mod value;

pub use action::{Action, Actions, Body, On, Transitions};
pub use cell::{Cell, CellRef};
pub use dependent::{Belongs, Dependent, DependentRow, Fact};
pub use engine::Engine;
pub use frame::{Frame, Line, LineKind};
pub use numbering::{Numbered, NumberedColumn, Numbering, Sequence};
pub use order_key::{Nulls, OrderKey, RankTies};
pub use provider::{Call, ProviderCall, ProviderEnd, SentMessage};
pub use role_words::{contradicts, known_role};
pub use schema::{Column, Table};
pub use shape::{
    Case, Compared, ComparedColumn, Content, Derived, Names, Shape, ShapeColumn, Successor,
};
pub use stored::{Conversation, Listed, Mark, Role, State, StoredMessage, ToolCall};
pub use value::Value;
