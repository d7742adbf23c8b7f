//! System calls of a server, inspected and held one by one while a gate is closed.
//!
//! The helper that starts the server is its parent, and a parent may trace its children
//! everywhere: no right is needed. Outside of a closed gate nothing is traced and nothing costs.
//!
//! `watch` decides, and names no process; `tracer` does what it decides. What goes between chatctl
//! and its helper is in [`wire`].

pub mod processes;
#[cfg(target_os = "linux")]
mod registers;
#[cfg(target_os = "linux")]
mod tracer;
#[cfg(not(target_os = "linux"))]
mod untraced;
#[cfg(target_os = "linux")]
mod watch;
pub mod wire;

#[cfg(target_os = "linux")]
pub use tracer::Server;
#[cfg(not(target_os = "linux"))]
pub use untraced::Server;
