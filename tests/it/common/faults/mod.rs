//! A store that misbehaves while chatctl works on it.

pub mod holder;
pub mod store;
