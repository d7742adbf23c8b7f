//! A proxy in another process: `chatctl gate` relays and withholds, and `verify-stream` says what.
//!
//! Where a server, or a part of it, runs in another container, the proxy has to run where that server
//! finds it. The two processes talk over a socket, in JSON lines ([`wire`]). The gate obeys one
//! controller at a time. When that controller is gone, or gives no sign of life, the gate opens:
//! nothing stays withheld for somebody who is not there.

mod address;
mod remote;
mod serve;
mod timing;
mod wire;

pub use address::ControlAddress;
pub use remote::RemoteProxy;
pub use serve::Control;
