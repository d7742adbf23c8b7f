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

use crate::trace::processes;

/// A process that listens on a port of this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// Its id.
    pub pid: u32,
    /// When it was started, as the system counts: a later process may get the same id.
    pub started: Option<u64>,
    /// The name of its program's file.
    pub program: Option<String>,
}

/// The processes that listen on a port of this machine, as far as `/proc` tells.
pub fn listeners_on(port: u16) -> std::collections::BTreeSet<Listener> {
    let holders = listener::holders(port).into_iter();
    holders
        .map(|pid| Listener {
            pid,
            started: processes::started_at(pid),
            program: listener::program(pid),
        })
        .collect()
}
