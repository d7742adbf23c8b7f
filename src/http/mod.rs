//! HTTP to the server under test, and the process it runs in. reqwest is named only here.

mod client;
mod listener;
mod server;
pub mod supervisor;

pub use client::Answer;
pub use client::Client;
pub use client::Opened;
pub use client::Outgoing;
pub use server::OutputLine;
pub use server::Server;
pub use server::Start;
