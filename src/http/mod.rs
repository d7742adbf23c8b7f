//! HTTP to the server under test, and its process. reqwest is used only here.

mod again;
mod client;
mod helper;
mod line;
mod listener;
mod server;
mod socket;
pub mod supervisor;

pub use again::Again;
pub use client::{Client, HttpResponse, Opened, Outgoing};
pub use helper::Tracing;
pub use line::{Line, LineEnd, Protocol, speaks_http2};
pub use listener::Reserved;
pub use server::{Killer, Listens, OutputLine, Ready, Server, Start, words};
pub use socket::Socket;

/// The programs that listen on a port of this machine, by the names of their files, as far as
/// `/proc` tells.
pub fn programs_on(port: u16) -> std::collections::BTreeSet<String> {
    let holders = listener::holders(port).into_iter();
    holders.filter_map(listener::program).collect()
}
