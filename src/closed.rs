//! Whether stdout was closed when the program started: then its output is lost.

use nix::fcntl::FcntlArg;
use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Before Rust's runtime begins, which opens `/dev/null` in the place of what is closed.
#[ctor::ctor]
fn look() {
    let flags = nix::fcntl::fcntl(std::io::stdout(), FcntlArg::F_GETFD);
    CLOSED.store(flags.is_err(), Ordering::Relaxed);
}

/// Whether nobody could have read anything.
pub fn stdout() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
