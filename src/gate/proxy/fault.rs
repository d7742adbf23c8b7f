//! What the proxy can do to the very commit that carries the answer, without any right in the
//! store.

use std::time::Duration;

/// A fault at the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The transaction is rolled back, and the commit is answered with an error.
    CommitError,
    /// The connection breaks before the commit reaches the store: it is surely not committed.
    LostBefore,
    /// The connection breaks after the commit and before its answer: the server can't know.
    LostAfter,
    /// The commit takes this long.
    Slow(Duration),
    /// Every connection breaks, and new ones break too.
    DatabaseGone,
    /// The connection breaks, and new ones are refused: there are too many.
    TooManyConnections,
}
