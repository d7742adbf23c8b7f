//! One clock for all processes of a run: the kernel's monotonic clock.
//!
//! `std::time::Instant` can't be told to another process; the helper that holds
//! the gate must say when it closed it, on the same scale as the client's bytes.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// Time since the machine's start, equal in every process of this machine.
pub type Tick = Duration;

pub fn now() -> Tick {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every unix has a monotonic clock");
    Duration::from(time)
}

/// The time of the calendar, in microseconds since 1970 UTC.
pub fn calendar() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, micros)
}

/// A duration in microseconds.
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// How long this thread has run or has been kept waiting for a processor: all of its time but its
/// sleep. Nothing where the system does not tell.
pub fn busy() -> Option<Duration> {
    let ran = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok()?;
    // Nanoseconds on a processor, nanoseconds waiting for one, and how often it got one (Linux,
    // Documentation/scheduler/sched-stats). A kernel that keeps no account writes zeros.
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let account: Vec<u64> = account
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    match account[..] {
        [_, waited, times] if times > 0 => Some(Duration::from(ran) + Duration::from_nanos(waited)),
        _ => None,
    }
}
