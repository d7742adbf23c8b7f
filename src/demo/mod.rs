//! A small chat server inside the program: right, or with one of several bugs.

mod bugs;
mod chats;
mod server;
mod talk;

pub use bugs::ALL;
pub use bugs::Bug;
pub use bugs::Save;
pub use bugs::named;
pub use server::serve;
