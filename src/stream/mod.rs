//! Chats over a wire: what is sent, what is recorded, what must be true.
//!
//! `run` does the I/O, and `setup` prepares it; everything else is pure.

pub mod body;
pub mod cassette;
pub mod declared;
pub mod detect;
pub mod dialects;
pub mod faults;
pub mod forms;
pub mod json;
pub mod judge;
pub mod kept;
pub mod last_event;
pub mod marker;
pub mod marks;
pub mod own_words;
mod parts;
pub mod path;
pub mod policy;
pub mod profiles;
pub mod resumed;
pub mod run;
pub mod session;
pub mod setup;
pub mod shipped;
pub mod sse;
pub mod turn;
