//! One clock for all processes of a run: the kernel's monotonic clock.
//!
//! `std::time::Instant` can't be told to another process; the helper that holds
//! the gate must say when it closed it, on the same scale as the client's bytes.

use nix::time::ClockId;
use nix::time::clock_gettime;
use std::time::Duration;

/// Time since the machine's start, equal in every process of this machine.
pub type Tick = Duration;

/// Now.
pub fn now() -> Tick {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every unix has a monotonic clock");
    Duration::from(time)
}
