//! What survives: of a store over a restart, and between two looks.

pub mod arm;
pub mod evidence;
pub mod restart;
