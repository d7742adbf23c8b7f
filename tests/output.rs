//! What leaves the program: no stored text moves a terminal, commands a CI system, or hides itself.
#![allow(clippy::unwrap_used)]

mod common;

#[path = "output/hostile.rs"]
mod hostile;

#[path = "output/redact.rs"]
mod redact;
#[path = "output/secrets.rs"]
mod secrets;
