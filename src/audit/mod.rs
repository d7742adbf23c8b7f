//! What survives a restart.

pub mod arm;
pub mod evidence;
