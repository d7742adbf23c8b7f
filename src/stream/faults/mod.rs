//! What is varied: how the provider's answer ends, and how the client behaves.

mod client;
mod gateway;

pub use client::CLOSE_AT_FINAL;
pub use client::CLOSE_IN_STREAM;
pub use client::ClientBehaviour;
pub use client::READ_TO_END;
pub use gateway::FINISH_WITHOUT_DONE;
pub use gateway::GatewayFault;
pub use gateway::NONE;
