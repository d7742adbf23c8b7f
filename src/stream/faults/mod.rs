//! The variations: how the provider's answer ends, and how the client behaves.

mod client;
mod doubled;
mod gateway;
mod leaving;
mod resuming;

pub use client::{CLOSE_AT_FINAL, CLOSE_IN_STREAM, ClientBehaviour, READ_TO_END, RESUME, STOP};
pub use doubled::{DOUBLED, Doubled, Second, TWICE};
pub use gateway::{FINISH_WITHOUT_DONE, GatewayFault, IsFinal, NONE, STEP_BY_STEP, Withholds};
pub use leaving::{Cut, Point, Way};
pub use resuming::{Moment, Resuming};
