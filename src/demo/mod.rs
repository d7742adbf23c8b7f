//! A small built-in chat server: correct, or with one of several bugs.

mod bugs;
mod chats;
mod server;
mod talk;

pub use bugs::{ALL, Bug, Save, named};
pub use server::serve;
