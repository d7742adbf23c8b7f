//! What is varied: how the provider's answer ends, and how the client behaves.

mod client;
mod gateway;

pub use client::{CLOSE_AT_FINAL, CLOSE_IN_STREAM, ClientBehaviour, READ_TO_END};
pub use gateway::{FINISH_WITHOUT_DONE, GatewayFault, IsFinal, NONE};
