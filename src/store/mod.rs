//! Chats over any database: which tables and columns hold them, and reading them.

mod detect;
mod mapping;
mod read;

pub use detect::Hit;
pub use detect::by_names;
pub use detect::find_text;
pub use detect::from_hits;
pub use mapping::Declared;
pub use mapping::Mapping;
pub use mapping::Origin;
pub use read::by_key;
pub use read::conversation;
pub use read::holding;
